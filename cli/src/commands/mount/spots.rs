//! Which node has which number. A number follows from the node's path, so the kernel
//! finds the same one again; what it forgets takes no memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use fuser::{Errno, INodeNo};

use super::nodes::{Node, Shown};

/// A node that the kernel knows.
pub(super) struct Spot {
    pub(super) node: Node,
    /// Below the mount point, without a slash in front.
    pub(super) path: Vec<u8>,
}

/// The nodes that the kernel knows, by number.
pub(super) struct Spots {
    known: HashMap<u64, (Arc<Spot>, u64)>,
    /// Drawn anew for each mount, so that nobody can store paths whose numbers are
    /// one.
    hasher: RandomState,
}

impl Spots {
    /// Of a mount of which the kernel knows the mount point alone.
    pub(super) fn new() -> Self {
        let root = Spot {
            node: Node::Root,
            path: Vec::new(),
        };
        Self {
            known: HashMap::from([(INodeNo::ROOT.0, (Arc::new(root), 1))]),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn number(&self, path: &[u8]) -> u64 {
        if path.is_empty() {
            return INodeNo::ROOT.0;
        }
        self.hasher.hash_one(path).max(INodeNo::ROOT.0 + 1)
    }

    pub(super) fn get(&self, number: u64) -> Result<Arc<Spot>, Errno> {
        let known = self.known.get(&number).ok_or(Errno::ESTALE)?;
        Ok(Arc::clone(&known.0))
    }

    /// The kernel learns of a node once more.
    pub(super) fn learn(&mut self, spot: Spot) -> (u64, Arc<Spot>) {
        let number = self.number(&spot.path);
        let known = self.known.entry(number);
        let (known, lookups) = known.or_insert_with(|| (Arc::new(spot), 0));
        *lookups += 1;
        (number, Arc::clone(known))
    }

    pub(super) fn forget(&mut self, number: u64, times: u64) {
        if let Some((_, lookups)) = self.known.get_mut(&number) {
            *lookups = lookups.saturating_sub(times);
            if *lookups == 0 && number != INodeNo::ROOT.0 {
                self.known.remove(&number);
            }
        }
    }
}

/// What the number of a node follows from: its path. That of a link to the newest
/// snapshot goes on with where it points, so that it is another link once that is
/// another snapshot, and the kernel may keep what it read of this one.
pub(super) fn path_of(directory: &[u8], name: &[u8], node: &Node, shown: &Shown) -> Vec<u8> {
    let path = below(directory, name);
    match node {
        Node::Latest(_) => below(&path, &node.target(shown).unwrap_or_default()),
        _ => path,
    }
}

/// The path of what is called so in a directory.
fn below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        name.to_vec()
    } else {
        [directory, name].join(&b'/')
    }
}
