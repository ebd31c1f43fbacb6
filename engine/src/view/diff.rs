//! What differs between two snapshots, found from lists: of entries, of chunks, and
//! of tables. What both share is not decoded.
//!
//! Two ranges with the same chunks at the same places are the same. Where chunks
//! differ, the bytes are compared, so that nothing is called changed that is not:
//! chunk boundaries can move while the content stands.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use indelible_format::ids::ChunkId;
use indelible_format::page::EntryKind;
use indelible_format::path::EntryPath;

use super::file::File;
use super::tables::{Dumps, TableRows, rows_of};
use super::tree::{Entry, Tree};
use crate::read::ReadError;
use crate::store::ReadStore;

/// How much is compared at a time, bytes.
const STEP_BYTES: u64 = 4 << 20;

/// How something is in one snapshot and in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The other alone has it.
    Added,
    /// The one alone has it.
    Removed,
    /// Its content, its kind or where it points is another.
    Changed,
    /// Its mode, owner or time is another, and nothing else.
    Metadata,
}

/// An entry that differs.
#[derive(Debug, Clone)]
pub struct EntryChange {
    /// Where it stands.
    pub path: EntryPath,
    /// How.
    pub change: Change,
    /// Its size in the one, bytes.
    pub before_bytes: Option<u64>,
    /// Its size in the other.
    pub after_bytes: Option<u64>,
    /// Bytes of chunks that the one alone has.
    pub gone_bytes: u64,
    /// Bytes of chunks that the other alone has.
    pub new_bytes: u64,
    /// The tables in it that differ, if both have a table of contents.
    pub tables: Vec<TableChange>,
}

/// A table's rows that differ.
#[derive(Debug, Clone)]
pub struct TableChange {
    /// Its name, as it can be typed, fit for people.
    pub name: String,
    /// How.
    pub change: Change,
    /// Rows in the one.
    pub before_rows: Option<u64>,
    /// Rows in the other.
    pub after_rows: Option<u64>,
    /// Bytes in the one.
    pub before_bytes: Option<u64>,
    /// Bytes in the other.
    pub after_bytes: Option<u64>,
    /// Bytes of it that lie in chunks which the other alone has.
    pub new_bytes: u64,
}

/// One side of a comparison.
struct Side<'t, S: ReadStore + ?Sized + 'static> {
    tree: &'t Arc<Tree<S>>,
    dumps: Arc<Dumps>,
}

/// Tells how `after` differs from `before`, entry by entry, in the order of their
/// paths.
///
/// # Errors
///
/// [`ReadError`]: something of a list can't be read, or a content that had to be
/// compared.
pub fn diff<S: ReadStore + ?Sized + 'static>(
    before: &Arc<Tree<S>>,
    after: &Arc<Tree<S>>,
    tell: &mut dyn FnMut(EntryChange),
) -> Result<(), ReadError> {
    let side = |tree| {
        let dumps = Tree::dumps(tree)?;
        Ok::<_, ReadError>(Side { tree, dumps })
    };
    let (one, other) = (side(before)?, side(after)?);
    let (mut ones, mut others) = (before.entries(), after.entries());
    let (mut left, mut right) = (ones.next().transpose()?, others.next().transpose()?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => one.path.cmp(&other.path),
        };
        let gone = if order.is_le() { left.take() } else { None };
        let new = if order.is_ge() { right.take() } else { None };
        match (gone, new) {
            (Some(gone), Some(new)) => {
                if let Some(change) = compare(&one, &other, &gone, &new)? {
                    tell(change);
                }
            }
            (Some(gone), None) => tell(alone(&gone, Change::Removed)),
            (None, Some(new)) => tell(alone(&new, Change::Added)),
            (None, None) => unreachable!("one of them was taken"),
        }
        if left.is_none() {
            left = ones.next().transpose()?;
        }
        if right.is_none() {
            right = others.next().transpose()?;
        }
    }
}

fn alone(entry: &Entry, change: Change) -> EntryChange {
    let size = entry.size_bytes();
    let (gone, new) = match change {
        Change::Added => (None, Some(size)),
        _ => (Some(size), None),
    };
    EntryChange {
        path: entry.path.clone(),
        change,
        before_bytes: gone,
        after_bytes: new,
        gone_bytes: gone.unwrap_or(0),
        new_bytes: new.unwrap_or(0),
        tables: Vec::new(),
    }
}

/// How an entry that both have differs; `None` if it does not.
fn compare<S: ReadStore + ?Sized + 'static>(
    one: &Side<'_, S>,
    other: &Side<'_, S>,
    before: &Entry,
    after: &Entry,
) -> Result<Option<EntryChange>, ReadError> {
    let mut found = EntryChange {
        path: after.path.clone(),
        change: Change::Metadata,
        before_bytes: Some(before.size_bytes()),
        after_bytes: Some(after.size_bytes()),
        gone_bytes: 0,
        new_bytes: 0,
        tables: Vec::new(),
    };
    match (one.tree.open(before)?, other.tree.open(after)?) {
        (Some(before_file), Some(after_file)) => {
            let shared = one.tree.domain() == other.tree.domain();
            let (old, new) = (before_file.chunks()?, after_file.chunks()?);
            let known_same = shared && old == new;
            if !known_same && !same(&before_file, &after_file, shared)? {
                let (gone, new) = if shared {
                    (lacking(&old, &new), lacking(&new, &old))
                } else {
                    (vec![(0, before_file.len())], vec![(0, after_file.len())])
                };
                found.change = Change::Changed;
                found.gone_bytes = sum(&gone);
                found.new_bytes = sum(&new);
                let tables = [(one, before), (other, after)].map(|(side, entry)| {
                    let contents = side.dumps.get(&entry.path);
                    contents.filter(|contents| contents.len() == entry.size_bytes())
                });
                if let [Some(old), Some(now)] = tables {
                    let files = (&before_file, &after_file);
                    let ranges = (gone.as_slice(), new.as_slice());
                    found.tables = tables_of(files, ranges, rows_of(old), rows_of(now), shared)?;
                }
                return Ok(Some(found));
            }
        }
        (None, None)
            if target(before) == target(after) && before.is_directory() == after.is_directory() => {
        }
        _ => {
            found.change = Change::Changed;
            return Ok(Some(found));
        }
    }
    Ok((before.metadata() != after.metadata()).then_some(found))
}

fn target(entry: &Entry) -> Option<&[u8]> {
    match &entry.listed {
        Some(EntryKind::Symlink { target, .. }) => Some(target),
        _ => None,
    }
}

/// A chunk of a file, as far as the file has it: its id, what lies in front, and its
/// length there.
type Chunk = (ChunkId, u64, u64);

/// Ranges of a file, ascending: where each begins and how long it is.
type Ranges = [(u64, u64)];

fn sum(ranges: &Ranges) -> u64 {
    ranges.iter().map(|(_, len)| len).sum()
}

/// The ranges of one file that lie in chunks which the other has not.
fn lacking(chunks: &[Chunk], others: &[Chunk]) -> Vec<(u64, u64)> {
    let others: HashSet<&ChunkId> = others.iter().map(|(id, ..)| id).collect();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut at = 0;
    for (id, _, len) in chunks {
        if !others.contains(id) {
            match ranges.last_mut() {
                Some((from, before)) if *from + *before == at => *before += len,
                _ => ranges.push((at, *len)),
            }
        }
        at += len;
    }
    ranges
}

/// How many bytes of a range lie in others.
fn within(offset: u64, len: u64, ranges: &Ranges) -> u64 {
    let end = offset + len;
    let first = ranges.partition_point(|(from, len)| from + len <= offset);
    let inside = ranges[first..].iter().take_while(|(from, _)| *from < end);
    inside
        .map(|(from, len)| (from + len).min(end) - (*from).max(offset))
        .sum()
}

/// Whether two files have the same bytes. Chunks that both have at the same places
/// are not decoded, if chunks can be compared.
fn same<S: ReadStore + ?Sized + 'static>(
    one: &File<S>,
    other: &File<S>,
    shared: bool,
) -> Result<bool, ReadError> {
    if one.len() != other.len() {
        return Ok(false);
    }
    let ranges = if shared {
        differing(&one.chunks()?, &other.chunks()?)
    } else {
        vec![(0, one.len())]
    };
    for (from, len) in ranges {
        let mut done = 0;
        while done < len {
            let step = STEP_BYTES.min(len - done);
            let read = |file: &File<S>| {
                let bytes = file.read_at(from + done, step);
                bytes.map_err(|fault| fault.cause)
            };
            if read(one)? != read(other)? {
                return Ok(false);
            }
            done += step;
        }
    }
    Ok(true)
}

/// The ranges of two files of one length in which they do not have the same chunks at
/// the same places.
fn differing(one: &[Chunk], other: &[Chunk]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let (mut left, mut right) = (one.iter(), other.iter());
    let mut at = 0;
    while let (Some(old), Some(new)) = (left.next(), right.next()) {
        let from = at;
        at += old.2;
        if old == new {
            continue;
        }
        // Up to where both have a boundary again.
        let mut end = from + new.2;
        while at != end {
            let behind = if at < end { left.next() } else { right.next() };
            let Some((_, _, len)) = behind else { break };
            if at < end {
                at += len;
            } else {
                end += len;
            }
        }
        ranges.push((from, at.max(end) - from));
        at = at.max(end);
    }
    ranges
}

/// A table in the one dump and in the other.
type Pair = (Option<TableRows>, Option<TableRows>);

/// The tables that differ between two dumps, in the order of their names.
fn tables_of<S: ReadStore + ?Sized + 'static>(
    (one, other): (&File<S>, &File<S>),
    (gone, new): (&Ranges, &Ranges),
    before: Vec<TableRows>,
    after: Vec<TableRows>,
    shared: bool,
) -> Result<Vec<TableChange>, ReadError> {
    let mut tables: BTreeMap<Vec<Vec<u8>>, Pair> = BTreeMap::new();
    for table in before {
        let name = table.name.clone();
        tables.entry(name).or_default().0 = Some(table);
    }
    for table in after {
        let name = table.name.clone();
        tables.entry(name).or_default().1 = Some(table);
    }
    let mut changes = Vec::new();
    for (before, after) in tables.into_values() {
        let change = match (&before, &after) {
            (Some(old), Some(now)) => {
                let touched = within(old.offset, old.len, gone) + within(now.offset, now.len, new);
                let sizes = (old.len, old.rows) == (now.len, now.rows);
                if sizes && touched == 0 {
                    continue;
                }
                let slices = (
                    one.slice(old.offset, old.len),
                    other.slice(now.offset, now.len),
                );
                if sizes && same(&slices.0, &slices.1, shared)? {
                    continue;
                }
                Change::Changed
            }
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        let new_bytes = after
            .as_ref()
            .map_or(0, |now| within(now.offset, now.len, new));
        let shown = after.as_ref().or(before.as_ref());
        changes.push(TableChange {
            name: shown.map(|table| table.shown.clone()).unwrap_or_default(),
            change,
            before_rows: before.as_ref().map(|table| table.rows),
            after_rows: after.as_ref().map(|table| table.rows),
            before_bytes: before.as_ref().map(|table| table.len),
            after_bytes: after.as_ref().map(|table| table.len),
            new_bytes,
        });
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: u8, len: u64) -> Chunk {
        (ChunkId([id; 32]), 0, len)
    }

    /// What is at the same place and the same is left out, and nothing else.
    #[test]
    fn differing_ranges_are_exact() {
        let old = [chunk(1, 10), chunk(2, 10), chunk(3, 5), chunk(4, 7)];
        assert!(differing(&old, &old).is_empty());
        let new = [chunk(1, 10), chunk(5, 4), chunk(6, 11), chunk(4, 7)];
        assert_eq!(differing(&old, &new), [(10, 15)]);
        let new = [chunk(9, 10), chunk(2, 10), chunk(3, 5), chunk(8, 7)];
        assert_eq!(differing(&old, &new), [(0, 10), (25, 7)]);
        // The same chunks at other places are no proof.
        let new = [chunk(2, 10), chunk(1, 10), chunk(4, 7), chunk(3, 5)];
        assert_eq!(differing(&old, &new), [(0, 10), (10, 10), (20, 12)]);
    }
}
