//! The state of a simulated disk: what is visible, and how much of it would
//! survive.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustix::io::Errno;

/// The number of the root directory.
pub(super) const ROOT: usize = 0;

/// Whether something would survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Not yet: a sync that succeeds makes it durable.
    Pending,
    /// Yes.
    Synced,
    /// It may, but no sync will tell: one that concerned it has failed.
    Forsaken,
}

/// What was written at once.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) bytes: Arc<[u8]>,
    pub(super) durability: Durability,
    /// Which operation wrote it.
    pub(super) by: u64,
}

/// One change of a name since it was last durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// What it leads to from then on, if to anything.
    pub(super) to: Option<usize>,
    forsaken: bool,
    /// Which operation made it.
    pub(super) by: u64,
}

/// A name in a directory: what it surely leads to, and what it led to since.
#[derive(Debug, Clone, Default)]
pub(super) struct Name {
    pub(super) synced: Option<usize>,
    pub(super) since: Vec<Change>,
}

impl Name {
    /// A name that survives.
    pub(super) fn durable(node: usize) -> Self {
        Self {
            synced: Some(node),
            since: Vec::new(),
        }
    }

    /// What it leads to now.
    pub(super) fn now(&self) -> Option<usize> {
        self.since.last().map_or(self.synced, |change| change.to)
    }

    fn sync(&mut self, succeeds: bool) {
        if !succeeds {
            for change in &mut self.since {
                change.forsaken = true;
            }
        } else if self.since.last().is_some_and(|change| !change.forsaken) {
            self.synced = self.now();
            self.since.clear();
        }
    }
}

/// A file or a directory, by whatever names.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Vec<Extent>),
    Directory(BTreeMap<String, Name>),
}

/// Something that changes a disk, or makes a change durable.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A file was created.
    Create {
        /// Its name.
        path: String,
    },
    /// Bytes were appended to a file.
    Write {
        /// The name that it was opened under.
        path: String,
        /// Its number.
        node: usize,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// A file was to be made durable.
    Sync {
        /// The name that it was opened under.
        path: String,
        /// Its number.
        node: usize,
        /// Whether it succeeded.
        succeeds: bool,
    },
    /// A file got another name.
    Link {
        /// A name that it had.
        from: String,
        /// The new one.
        to: String,
    },
    /// A name was removed.
    Unlink {
        /// Which one.
        path: String,
    },
    /// A directory was made.
    MakeDirectory {
        /// Its name.
        path: String,
    },
    /// The names in a directory were to be made durable.
    SyncDirectory {
        /// The directory's name.
        path: String,
        /// Whether it succeeded.
        succeeds: bool,
    },
}

/// In a few words, for a test that fails.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = |succeeds: &bool| if *succeeds { "" } else { ", which failed" };
        match self {
            Self::Create { path } => write!(f, "create {path}"),
            Self::Write { path, bytes, .. } => write!(f, "write {} bytes to {path}", bytes.len()),
            Self::Sync { path, succeeds, .. } => write!(f, "sync {path}{}", failed(succeeds)),
            Self::Link { from, to } => write!(f, "link {from} to {to}"),
            Self::Unlink { path } => write!(f, "unlink {path}"),
            Self::MakeDirectory { path } => write!(f, "make directory {path}"),
            Self::SyncDirectory { path, succeeds } => {
                write!(f, "sync directory '{path}'{}", failed(succeeds))
            }
        }
    }
}

/// Files and directories, by number. A number is never given again.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) nodes: Vec<Node>,
    /// How many operations were tried.
    operations: u64,
}

impl Disk {
    /// An empty root.
    pub(super) fn new() -> Self {
        Self::of(vec![Node::Directory(BTreeMap::new())])
    }

    /// These files and directories, the first being the root.
    pub(super) fn of(nodes: Vec<Node>) -> Self {
        Self {
            nodes,
            operations: 0,
        }
    }

    /// What a path leads to.
    pub(super) fn find(&self, path: &str) -> Result<usize, Errno> {
        let mut at = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let entry = self.names(at)?.get(name);
            at = entry.and_then(Name::now).ok_or(Errno::NOENT)?;
        }
        Ok(at)
    }

    /// The names in a directory.
    pub(super) fn names(&self, node: usize) -> Result<&BTreeMap<String, Name>, Errno> {
        match &self.nodes[node] {
            Node::Directory(names) => Ok(names),
            Node::File(_) => Err(Errno::NOTDIR),
        }
    }

    /// The parts of a file.
    pub(super) fn extents(&self, node: usize) -> Result<&[Extent], Errno> {
        match &self.nodes[node] {
            Node::File(extents) => Ok(extents),
            Node::Directory(_) => Err(Errno::ISDIR),
        }
    }

    /// Does it, and gives the number of the file that it concerns, or of the
    /// directory.
    pub(super) fn apply(&mut self, operation: &Operation) -> Result<usize, Errno> {
        self.operations += 1;
        match operation {
            Operation::Create { path } => self.make(path, Node::File(Vec::new())),
            Operation::MakeDirectory { path } => self.make(path, Node::Directory(BTreeMap::new())),
            Operation::Write { node, bytes, .. } => {
                let by = self.operations;
                self.extents_mut(*node)?.push(Extent {
                    bytes: Arc::clone(bytes),
                    durability: Durability::Pending,
                    by,
                });
                Ok(*node)
            }
            Operation::Sync { node, succeeds, .. } => {
                let becomes = if *succeeds {
                    Durability::Synced
                } else {
                    Durability::Forsaken
                };
                for extent in self.extents_mut(*node)? {
                    if extent.durability == Durability::Pending {
                        extent.durability = becomes;
                    }
                }
                Ok(*node)
            }
            Operation::Link { from, to } => {
                // Both directories are entered before anything is looked up.
                self.enter(from)?;
                self.enter(to)?;
                let node = self.find(from)?;
                self.vacant(to)?;
                // A directory has one name.
                self.extents(node).map_err(|_| Errno::PERM)?;
                self.change(to, Some(node))?;
                Ok(node)
            }
            Operation::Unlink { path } => {
                let node = self.find(path)?;
                self.extents(node)?;
                self.change(path, None)?;
                Ok(node)
            }
            Operation::SyncDirectory { path, succeeds } => {
                let node = self.find(path)?;
                for name in self.names_mut(node)?.values_mut() {
                    name.sync(*succeeds);
                }
                Ok(node)
            }
        }
    }

    /// Enters something new under a free name.
    fn make(&mut self, path: &str, node: Node) -> Result<usize, Errno> {
        self.vacant(path)?;
        let number = self.nodes.len();
        self.change(path, Some(number))?;
        self.nodes.push(node);
        Ok(number)
    }

    /// Fails unless a name can be made.
    fn vacant(&self, path: &str) -> Result<(), Errno> {
        let (directory, name) = self.enter(path)?;
        let name = self.names(directory)?.get(name);
        match name.and_then(Name::now) {
            Some(_) => Err(Errno::EXIST),
            None => Ok(()),
        }
    }

    /// The directory that a name is in, and the name there.
    fn enter<'p>(&self, path: &'p str) -> Result<(usize, &'p str), Errno> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let directory = self.find(directory)?;
        self.names(directory)?;
        Ok((directory, name))
    }

    fn change(&mut self, path: &str, to: Option<usize>) -> Result<(), Errno> {
        let by = self.operations;
        let (directory, name) = self.enter(path)?;
        let name = self.names_mut(directory)?.entry(name.to_owned());
        name.or_default().since.push(Change {
            to,
            forsaken: false,
            by,
        });
        Ok(())
    }

    fn names_mut(&mut self, node: usize) -> Result<&mut BTreeMap<String, Name>, Errno> {
        match &mut self.nodes[node] {
            Node::Directory(names) => Ok(names),
            Node::File(_) => Err(Errno::NOTDIR),
        }
    }

    fn extents_mut(&mut self, node: usize) -> Result<&mut Vec<Extent>, Errno> {
        match &mut self.nodes[node] {
            Node::File(extents) => Ok(extents),
            Node::Directory(_) => Err(Errno::ISDIR),
        }
    }

    /// The last operation that made something which is not durable; 0 if all is.
    pub(super) fn latest(&self) -> u64 {
        let latest = self.nodes.iter().filter_map(|node| match node {
            Node::File(extents) => {
                let unsynced = extents
                    .iter()
                    .filter(|extent| extent.durability != Durability::Synced);
                unsynced.map(|extent| extent.by).max()
            }
            Node::Directory(names) => {
                let changes = names.values().flat_map(|name| &name.since);
                changes.map(|change| change.by).max()
            }
        });
        latest.max().unwrap_or(0)
    }

    /// Whether anything that is visible may be gone after a power cut, and no
    /// sync can change that.
    pub(super) fn is_forsaken(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::File(extents) => extents
                .iter()
                .any(|extent| extent.durability == Durability::Forsaken),
            Node::Directory(names) => names
                .values()
                .any(|name| name.since.last().is_some_and(|change| change.forsaken)),
        })
    }
}
