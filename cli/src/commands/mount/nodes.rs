//! What stands where below a mount point.
//!
//! ```text
//! by-name/NAME/2026-11-22T03:00:00Z/...    a snapshot
//! by-name/NAME/latest                      a link to the newest
//! by-number/12/...                         the same snapshot by its number in the log
//! .../app.sql.tables/public.orders.data.sql  the rows of a table of app.sql
//! ```
//!
//! Names of times are in UTC, so that they are the same on every machine; a second
//! snapshot of the same second has its number behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use indelible_engine::read::ReadError;
use indelible_engine::view::{Children, Entry, File, TableRows, Tree, View, rows_of};
use indelible_format::page::EntryKind;
use indelible_format::path::EntryPath;

use crate::output;
use crate::place::Store;

/// A snapshot, as the mount holds it.
pub(super) type Opened = Arc<Tree<Store>>;

/// The snapshots by all that they are called.
#[derive(Default)]
pub(super) struct Shown {
    names: BTreeMap<String, BTreeMap<String, Opened>>,
    numbers: BTreeMap<String, Opened>,
}

impl Shown {
    pub(super) fn of(view: &View<Store>) -> Self {
        let mut shown = Self::default();
        for tree in view.trees() {
            let snapshot = tree.snapshot();
            let number = snapshot.number.to_string();
            let series = shown.names.entry(snapshot.manifest.name.to_string());
            let series = series.or_default();
            let mut time = time_name(snapshot.claimed_ms);
            if series.contains_key(&time) {
                time = format!("{time}@{number}");
            }
            series.insert(time, Arc::clone(tree));
            shown.numbers.insert(number, Arc::clone(tree));
        }
        shown
    }

    /// What the newest snapshot of a series is called: the last in the log, whatever
    /// its writer says of its time.
    fn latest(&self, series: &str) -> Option<&str> {
        let snapshots = self.names.get(series)?.iter();
        let newest = snapshots.max_by_key(|(_, tree)| tree.snapshot().number);
        newest.map(|(time, _)| time.as_str())
    }
}

/// A time as a name: in UTC, to the second.
fn time_name(unix_ms: u64) -> String {
    output::utc_time(unix_ms / 1_000 * 1_000).unwrap_or_else(|| unix_ms.to_string())
}

/// Something below the mount point.
#[derive(Clone)]
pub(super) enum Node {
    /// The mount point.
    Root,
    /// Where series are, by NAME.
    Names,
    /// Where snapshots are, by number.
    Numbers,
    /// The snapshots of a NAME, by time.
    Series(String),
    /// The link to the newest of a NAME.
    Latest(String),
    /// The top of a snapshot.
    Top(Opened),
    /// An entry of a snapshot.
    Entry(Opened, Entry),
    /// The directory of a dump's tables, and those.
    Tables(Opened, Entry, Arc<[Arc<TableRows>]>),
    /// The rows of one of them.
    Rows(Opened, Entry, Arc<TableRows>),
}

/// What a node is, for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Link,
}

/// What the kernel wants to know of a node.
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) mode: u16,
    /// User and group, where they are known.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    /// Whether it can become another one while the mount lasts.
    pub(super) changes: bool,
}

/// What stands in a directory, one after the other.
pub(super) enum Listing {
    Few(std::vec::IntoIter<Named>),
    Entries {
        tree: Opened,
        children: Box<Children<Store>>,
        /// The tables of the dump that was given last.
        tables: Option<Named>,
    },
}

/// A node and what it is called.
pub(super) type Named = (Vec<u8>, Node);

impl Listing {
    fn entries(tree: &Opened, directory: Option<&EntryPath>) -> Self {
        Self::Entries {
            tree: Arc::clone(tree),
            children: Box::new(tree.children(directory)),
            tables: None,
        }
    }

    fn few(nodes: Vec<Named>) -> Self {
        Self::Few(nodes.into_iter())
    }
}

impl Iterator for Listing {
    type Item = Result<Named, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (tree, children, tables) = match self {
            Self::Few(nodes) => return nodes.next().map(Ok),
            Self::Entries {
                tree,
                children,
                tables,
            } => (tree, children, tables),
        };
        if let Some(tables) = tables.take() {
            return Some(Ok(tables));
        }
        children.next().map(|entry| {
            let entry = entry?;
            let name = entry.path.components().next_back().unwrap_or_default();
            let name = name.to_vec();
            if let Some(node) = tables_beside(tree, &entry) {
                *tables = Some(([&name, TABLES_SUFFIX].concat(), node));
            }
            Ok((name, Node::Entry(Arc::clone(tree), entry)))
        })
    }
}

/// What stands behind a dump's name in that of the directory of its tables.
const TABLES_SUFFIX: &[u8] = b".tables";

/// The directory of tables that stands beside an entry, if it is a dump whose tables
/// are known: nothing else may be called so. Tables of contents that can't be read are
/// none: the dump itself may be sound.
fn tables_beside(tree: &Opened, entry: &Entry) -> Option<Node> {
    let contents = tree.contents(entry).ok()??;
    let beside = [entry.path.as_bytes(), TABLES_SUFFIX].concat();
    let beside = EntryPath::new(beside).ok()?;
    if !matches!(tree.entry(&beside), Ok(None)) {
        return None;
    }
    let rows = rows_of(&contents).into_iter();
    // A name that no file can have is left out.
    let rows = rows.filter(|rows| rows.file.is_some()).map(Arc::new);
    Some(Node::Tables(
        Arc::clone(tree),
        entry.clone(),
        rows.collect(),
    ))
}

impl Node {
    /// What is called so in this directory.
    pub(super) fn child(&self, shown: &Shown, name: &[u8]) -> Result<Option<Self>, ReadError> {
        let text = || std::str::from_utf8(name).ok();
        let top = |tree: &Opened| Self::Top(Arc::clone(tree));
        Ok(match self {
            Self::Root => match name {
                b"by-name" => Some(Self::Names),
                b"by-number" => Some(Self::Numbers),
                _ => None,
            },
            Self::Names => {
                let series = text().filter(|name| shown.names.contains_key(*name));
                series.map(|name| Self::Series(name.to_owned()))
            }
            Self::Numbers => text().and_then(|name| shown.numbers.get(name)).map(top),
            Self::Series(series) if name == b"latest" => {
                shown.latest(series).map(|_| Self::Latest(series.clone()))
            }
            Self::Series(series) => {
                let series = shown.names.get(series);
                let tree = text().and_then(|name| series?.get(name));
                tree.map(top)
            }
            Self::Top(tree) => entry(tree, None, name)?,
            Self::Entry(tree, directory) => entry(tree, Some(&directory.path), name)?,
            Self::Tables(tree, dump, tables) => {
                let is_called = |rows: &&Arc<TableRows>| {
                    rows.file
                        .as_ref()
                        .is_some_and(|file| file.as_bytes() == name)
                };
                let rows = tables.iter().find(is_called);
                rows.map(|rows| Self::Rows(Arc::clone(tree), dump.clone(), Arc::clone(rows)))
            }
            Self::Latest(_) | Self::Rows(..) => None,
        })
    }

    /// What stands in it; `None` if it is no directory.
    pub(super) fn listing(&self, shown: &Shown) -> Option<Listing> {
        let few = |nodes| Some(Listing::few(nodes));
        let tops = |trees: &BTreeMap<String, Opened>| -> Vec<(Vec<u8>, Self)> {
            let top = |(name, tree): (&String, &Opened)| {
                (name.clone().into_bytes(), Self::Top(Arc::clone(tree)))
            };
            trees.iter().map(top).collect()
        };
        match self {
            Self::Root => few(vec![
                (b"by-name".to_vec(), Self::Names),
                (b"by-number".to_vec(), Self::Numbers),
            ]),
            Self::Names => {
                let series = shown.names.keys();
                let series =
                    series.map(|name| (name.clone().into_bytes(), Self::Series(name.clone())));
                few(series.collect())
            }
            Self::Numbers => few(tops(&shown.numbers)),
            Self::Series(series) => {
                let mut nodes = shown.names.get(series).map(tops).unwrap_or_default();
                nodes.push((b"latest".to_vec(), Self::Latest(series.clone())));
                few(nodes)
            }
            Self::Top(tree) => Some(Listing::entries(tree, None)),
            Self::Entry(tree, entry) if entry.is_directory() => {
                Some(Listing::entries(tree, Some(&entry.path)))
            }
            Self::Tables(tree, dump, tables) => {
                let named = tables.iter().filter_map(|rows| {
                    let node = Self::Rows(Arc::clone(tree), dump.clone(), Arc::clone(rows));
                    Some((rows.file.clone()?.into_bytes(), node))
                });
                few(named.collect())
            }
            Self::Entry(..) | Self::Latest(_) | Self::Rows(..) => None,
        }
    }

    /// Where it points, if it is a link.
    pub(super) fn target(&self, shown: &Shown) -> Option<Vec<u8>> {
        match self {
            Self::Latest(series) => shown.latest(series).map(|name| name.as_bytes().to_vec()),
            Self::Entry(_, entry) => match &entry.listed {
                Some(EntryKind::Symlink { target, .. }) => Some(target.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the kernel wants to know of it.
    pub(super) fn facts(&self, shown: &Shown) -> Facts {
        let directory = |modified, changes| Facts {
            kind: Kind::Directory,
            mode: 0o555,
            owner: None,
            size: 0,
            modified,
            changes,
        };
        let newest = |trees: &BTreeMap<String, Opened>| {
            let times = trees.values().map(|tree| tree.snapshot().claimed_ms);
            at_ms(times.max().unwrap_or(0))
        };
        match self {
            Self::Root | Self::Names | Self::Numbers => directory(newest(&shown.numbers), true),
            Self::Series(series) => {
                let series = shown.names.get(series);
                directory(series.map_or(SystemTime::UNIX_EPOCH, newest), true)
            }
            Self::Latest(series) => Facts {
                kind: Kind::Link,
                mode: 0o777,
                size: shown.latest(series).map_or(0, |name| name.len() as u64),
                ..Self::Series(series.clone()).facts(shown)
            },
            Self::Top(tree) => directory(at_ms(tree.snapshot().claimed_ms), false),
            Self::Entry(tree, entry) => facts_of(entry, at_ms(tree.snapshot().claimed_ms)),
            Self::Tables(tree, dump, _) => {
                let dump = facts_of(dump, at_ms(tree.snapshot().claimed_ms));
                let readable = dump.mode & 0o444;
                Facts {
                    kind: Kind::Directory,
                    // Who may read the dump may look for its tables.
                    mode: readable | readable >> 2,
                    size: 0,
                    ..dump
                }
            }
            Self::Rows(tree, dump, rows) => Facts {
                size: rows.len,
                ..facts_of(dump, at_ms(tree.snapshot().claimed_ms))
            },
        }
    }

    /// The snapshot that it belongs to, and its path there.
    pub(super) fn place(&self) -> Option<(&Opened, String)> {
        match self {
            Self::Top(tree) => Some((tree, "the list of entries".to_owned())),
            Self::Entry(tree, entry) | Self::Tables(tree, entry, _) => {
                Some((tree, entry.path.to_string()))
            }
            Self::Rows(tree, entry, rows) => Some((
                tree,
                format!(
                    "{} in {}, which begins at {}",
                    rows.shown, entry.path, rows.offset
                ),
            )),
            _ => None,
        }
    }

    /// What it holds, if it is a file.
    pub(super) fn open(&self) -> Result<Option<File<Store>>, ReadError> {
        match self {
            Self::Entry(tree, entry) => tree.open(entry),
            Self::Rows(tree, dump, rows) => {
                let file = tree.open(dump)?;
                Ok(file.map(|file| file.slice(rows.offset, rows.len)))
            }
            _ => Ok(None),
        }
    }
}

/// What is called so in a directory of a snapshot.
fn entry(
    tree: &Opened,
    directory: Option<&EntryPath>,
    name: &[u8],
) -> Result<Option<Node>, ReadError> {
    let path = match directory {
        Some(directory) => [directory.as_bytes(), name].join(&b'/'),
        None => name.to_vec(),
    };
    let Ok(path) = EntryPath::new(path) else {
        return Ok(None);
    };
    if let Some(entry) = tree.entry(&path)? {
        return Ok(Some(Node::Entry(Arc::clone(tree), entry)));
    }
    let dump = path.as_bytes().strip_suffix(TABLES_SUFFIX);
    let Some(dump) = dump.and_then(|dump| EntryPath::new(dump).ok()) else {
        return Ok(None);
    };
    let dump = tree.entry(&dump)?;
    Ok(dump.and_then(|dump| tables_beside(tree, &dump)))
}

/// What is known of an entry of a snapshot that was taken at a time.
fn facts_of(entry: &Entry, taken: SystemTime) -> Facts {
    let (kind, mode, size) = match &entry.listed {
        None | Some(EntryKind::Directory { .. }) => (Kind::Directory, 0o555, 0),
        // A dump is for its owner.
        Some(EntryKind::File { .. } | EntryKind::Stream { .. }) => {
            (Kind::File, 0o600, entry.size_bytes())
        }
        Some(EntryKind::Symlink { target, .. }) => (Kind::Link, 0o777, target.len() as u64),
    };
    let known = entry.metadata();
    Facts {
        kind,
        mode: known.map_or(mode, |known| (known.mode & 0o7777) as u16),
        owner: known.map(|known| (known.uid, known.gid)),
        size,
        modified: known.map_or(taken, |known| at(known.mtime_s, known.mtime_ns)),
        changes: false,
    }
}

fn at_ms(unix_ms: u64) -> SystemTime {
    let since = Duration::from_millis(unix_ms);
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn at(seconds: i64, nanoseconds: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if seconds < 0 {
        epoch.checked_sub(whole)
    } else {
        epoch.checked_add(whole)
    };
    let time = time.and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds.into())));
    time.unwrap_or(epoch)
}
