//! What a restore would take: packs, space, and a place for each entry.
//!
//! Reads the snapshot's tree, and the directories of packs for what its chunks lean
//! on, and asks the store which packs it has, without reading them whole: that they
//! are there is not that they are undamaged. It takes the
//! verify right alone, since no content is read, and it writes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use indelible_format::ids::PackId;
use indelible_format::node::{Item, PlacedRoot};
use indelible_format::page::{Content, EntryKind, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use super::hole::{Hole, Tally, is_lasting};
use super::listed::{Found, Listed};
use super::{RestoreError, is_selected, unread};
use crate::progress::{Phase, Progress};
use crate::read::{ReadError, Reader};
use crate::repository::{Listings, Repository, Snapshot};
use crate::store::{ObjectKey, ReadStore};
use crate::target::{Policy, Room, Standing, StandingKind, TargetDir, TargetError};

/// How many conflicts are named.
const CONFLICTS_MAX: usize = 1_000;

/// What becomes of an entry where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// What stands there is replaced.
    Replaced,
    /// What stands there is kept if it is right, and else what the policy says.
    Compared,
    /// The restore stops there.
    Refused,
}

/// An entry where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The entry.
    pub path: EntryPath,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// A pack that a restore needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeededPack {
    /// Its id.
    pub id: PackId,
    /// Its length in the store, or `None` if the store has none.
    pub len: Option<u64>,
}

/// What a restore would take.
#[derive(Debug)]
pub struct Plan {
    /// Files and streams to be written.
    pub files: u64,
    /// Directories to be made, where they are not there.
    pub directories: u64,
    /// Symbolic links to be made.
    pub links: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Space that they take beside what an earlier run left, bytes.
    pub space_bytes: u64,
    /// What the target's file system has.
    pub room: Room,
    /// The packs to be read, ascending by id.
    pub packs: Vec<NeededPack>,
    /// Bytes of content that no pack in the store has, as far as the packs that
    /// are missing say.
    pub missing_bytes: u64,
    /// Holes that the tree has, each of which was told.
    pub holes: u64,
    /// Where something stands, the first 1,000 of them.
    pub conflicts: Vec<Conflict>,
    /// How many entries the restore would be refused for.
    pub refused: u64,
    /// How many entries replace something.
    pub replaced: u64,
}

impl Plan {
    /// The packs that the store has not.
    pub fn missing(&self) -> impl Iterator<Item = &NeededPack> {
        self.packs.iter().filter(|pack| pack.len.is_none())
    }

    /// Whether the target has room.
    pub fn fits(&self) -> bool {
        self.space_bytes <= self.room.free_bytes
    }
}

/// Which restore is planned.
#[derive(Debug, Clone, Copy)]
pub struct Intent<'a> {
    /// The directory.
    pub target: &'a Path,
    /// What to restore, or everything if there is none.
    pub paths: &'a [EntryPath],
    /// What may be done to what stands there.
    pub policy: Policy,
    /// Whether it would go on with an earlier restore.
    pub resumes: bool,
}

/// Finds out what a restore would take. Holes of the tree are told as they are
/// met.
///
/// # Errors
///
/// [`RestoreError`]: [`ReadError::NotAllowed`] without the verify right, a store
/// that does not answer, a target that can't be looked at, or a path that the
/// snapshot has not.
pub fn plan<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    listings: &Listings,
    snapshot: &Snapshot,
    intent: &Intent<'_>,
    progress: &dyn Progress,
    tell: &dyn Fn(&Hole),
) -> Result<Plan, RestoreError> {
    let reader = Reader::new(repository, listings, snapshot.binding.domain).map_err(unread)?;
    let planner = Planner {
        target: match TargetDir::open(intent.target, intent.policy, false, [0; 32]) {
            Ok(there) => Some(there),
            Err(TargetError::NoTarget { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        store: repository.store(),
        reader: &reader,
        small: snapshot.manifest.small,
        policy: intent.policy,
        resumes: intent.resumes,
        tally: Tally::new(Some(tell)),
        packs: BTreeMap::new(),
        plan: Plan {
            files: 0,
            directories: 0,
            links: 0,
            bytes: 0,
            space_bytes: 0,
            room: Room::at(intent.target)?,
            packs: Vec::new(),
            missing_bytes: 0,
            holes: 0,
            conflicts: Vec::new(),
            refused: 0,
            replaced: 0,
        },
    };
    planner.run(&snapshot.manifest.list, intent.paths, progress)
}

struct Planner<'a, 'r, S: ReadStore + ?Sized> {
    target: Option<TargetDir>,
    store: &'r S,
    reader: &'a Reader<'r, S>,
    small: Option<PlacedRoot>,
    policy: Policy,
    resumes: bool,
    tally: Tally<'a>,
    /// Every pack that was asked after: its length in the store, if it is there,
    /// and whether it is needed.
    packs: BTreeMap<PackId, (Option<u64>, bool)>,
    plan: Plan,
}

impl<S: ReadStore + ?Sized> Planner<'_, '_, S> {
    fn run(
        mut self,
        list: &PlacedRoot,
        paths: &[EntryPath],
        progress: &dyn Progress,
    ) -> Result<Plan, RestoreError> {
        progress.begin(Phase::WalkingTree, None);
        let mut found = vec![false; paths.len()];
        for listed in Listed::new(self.reader, list, true) {
            progress.advance(Phase::WalkingTree, 1);
            let (entry, place) = match listed? {
                Found::Entry(entry, place) => (entry, place),
                Found::Lost(hole) => {
                    for (path, found) in paths.iter().zip(&mut found) {
                        *found |= hole.may_hold(path);
                    }
                    if paths.is_empty() || paths.iter().any(|path| hole.may_hold(path)) {
                        self.tell(hole)?;
                    }
                    continue;
                }
            };
            for (path, found) in paths.iter().zip(&mut found) {
                *found |= entry.path.is_within(path);
            }
            if is_selected(&entry.path, paths) {
                self.entry(&entry, place)?;
            }
        }
        if let Some(missing) = found.iter().position(|found| !found) {
            let path = paths[missing].clone();
            return Err(RestoreError::NoSuchPath { path });
        }
        // The tree was read from these, so they are there.
        for pack in self.reader.tree_packs() {
            self.need(pack)?;
        }
        progress.end(Phase::WalkingTree);
        let packs = self.packs.into_iter().filter(|(_, (_, needed))| *needed);
        self.plan.packs = packs.map(|(id, (len, _))| NeededPack { id, len }).collect();
        self.plan.holes = self.tally.finish().holes;
        Ok(self.plan)
    }

    fn entry(&mut self, entry: &TreeEntry, place: Option<Place>) -> Result<(), RestoreError> {
        let left_bytes = self.look(entry)?;
        match &entry.kind {
            EntryKind::Directory { .. } => self.plan.directories += 1,
            EntryKind::Symlink { .. } => self.plan.links += 1,
            EntryKind::File { content, .. } | EntryKind::Stream { content } => {
                self.plan.files += 1;
                let len = content.len();
                self.plan.bytes = self.plan.bytes.saturating_add(len);
                let space_bytes = self.plan.room.taken_by(len).saturating_sub(left_bytes);
                self.plan.space_bytes = self.plan.space_bytes.saturating_add(space_bytes);
                self.content(entry, content, place)?;
            }
        }
        Ok(())
    }

    /// Looks at what stands where an entry is to stand, and gives the space that
    /// needs not be taken again.
    fn look(&mut self, entry: &TreeEntry) -> Result<u64, RestoreError> {
        let Some(target) = &self.target else {
            return Ok(0);
        };
        let Standing { kind, left_bytes } = target.standing(&entry.path)?;
        let directory = matches!(entry.kind, EntryKind::Directory { .. });
        let outcome = match kind {
            StandingKind::Nothing => None,
            StandingKind::Directory if directory => None,
            StandingKind::Replaceable if !directory && self.resumes => Some(Outcome::Compared),
            StandingKind::Replaceable if !directory && self.policy.overwrite => {
                Some(Outcome::Replaced)
            }
            _ => Some(Outcome::Refused),
        };
        if let Some(outcome) = outcome {
            self.plan.refused += u64::from(outcome == Outcome::Refused);
            self.plan.replaced += u64::from(outcome == Outcome::Replaced);
            if self.plan.conflicts.len() < CONFLICTS_MAX {
                let path = entry.path.clone();
                self.plan.conflicts.push(Conflict { path, outcome });
            }
        }
        Ok(if self.resumes { left_bytes } else { 0 })
    }

    /// Walks the nodes over a file's content.
    fn content(
        &mut self,
        entry: &TreeEntry,
        content: &Content,
        place: Option<Place>,
    ) -> Result<(), RestoreError> {
        let (root, offset) = match *content {
            Content::Empty => return Ok(()),
            Content::Small { offset, .. } => (self.small, offset),
            Content::Own(root) => (place.map(|place| PlacedRoot { root, place }), 0),
        };
        let Some(root) = root else {
            return self.lose(entry, 0, content.len(), ReadError::BeyondEnd);
        };
        let mut at = 0;
        for part in self.reader.walk(&root, offset, content.len()) {
            match part.chunk {
                Ok((item, place)) => self.chunk(&item, place, part.len)?,
                Err(cause) => self.lose(entry, at, part.len, cause)?,
            }
            at += part.len;
        }
        Ok(())
    }

    fn lose(
        &mut self,
        entry: &TreeEntry,
        offset: u64,
        len: u64,
        cause: ReadError,
    ) -> Result<(), RestoreError> {
        let path = entry.path.clone();
        if !is_lasting(&cause) {
            return Err(RestoreError::Read {
                path: Some(path),
                source: cause,
            });
        }
        self.tell(Hole::Bytes {
            path,
            offset,
            len,
            cause,
        })
    }

    /// Tells a hole of the tree, and counts the pack that would fill it.
    fn tell(&mut self, hole: Hole) -> Result<(), RestoreError> {
        if let ReadError::Chunk { place, fault, .. } = hole.cause()
            && fault.is_missing()
        {
            self.need(place.pack)?;
        }
        self.tally.tell(hole);
        Ok(())
    }

    /// Finds the packs that a chunk is to come from.
    fn chunk(&mut self, item: &Item, place: Place, len: u64) -> Result<(), RestoreError> {
        if self.take(place)? {
            return Ok(());
        }
        for other in self.reader.other_places(&item.id, place) {
            if self.take(other)? {
                return Ok(());
            }
        }
        self.plan.missing_bytes = self.plan.missing_bytes.saturating_add(len);
        for pack in self.reader.needs(place) {
            self.need(pack)?;
        }
        Ok(())
    }

    /// Takes a place for a chunk, if the store has every pack that this needs.
    fn take(&mut self, place: Place) -> Result<bool, RestoreError> {
        if !self.is_there(place.pack)? {
            return Ok(false);
        }
        let needs = self.reader.needs(place);
        for pack in &needs {
            if !self.is_there(*pack)? {
                return Ok(false);
            }
        }
        for pack in needs {
            self.need(pack)?;
        }
        Ok(true)
    }

    fn need(&mut self, pack: PackId) -> Result<(), RestoreError> {
        self.is_there(pack)?;
        if let Some((_, needed)) = self.packs.get_mut(&pack) {
            *needed = true;
        }
        Ok(())
    }

    /// Whether the store has a pack. Each is asked after once.
    fn is_there(&mut self, pack: PackId) -> Result<bool, RestoreError> {
        if let Some((len, _)) = self.packs.get(&pack) {
            return Ok(len.is_some());
        }
        let len = match self.store.size(&ObjectKey::Pack(pack)) {
            Ok(len) => Some(len),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(RestoreError::Packs(error)),
        };
        self.packs.insert(pack, (len, false));
        Ok(len.is_some())
    }
}
