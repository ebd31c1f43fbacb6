//! Which versions of packs and commit records are read, remembered.
//!
//! Why it is safe: a version is taken unseen only if a list shows no other under its
//! name; of several, the one that has the hash counts (as [`choice`] has it). Reads
//! name the version, so that what somebody puts over an object changes nothing for a
//! reader, not even halfway. Where no version is right the newest is read, and its reader
//! finds the damage. What is remembered is bounded, and forgotten where the store
//! contradicts it.
//!
//! It costs few requests: an answer tells of up to a thousand packs. Where they are more,
//! those are listed that share two digits with the one that is wanted; and if that happens
//! again and again, all.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indelible_format::planted::{Bug, planted};

use super::super::choice;
use super::super::{Action, Area, ObjectKey, StoreError, Version};
use super::S3Store;
use super::client::Fetch;
use super::versions::{Object, Seen};

/// How many versions are remembered. With their names they take some twenty mebibytes.
const REMEMBERED_MAX: usize = 1 << 17;
/// So many directories of packs are listed by themselves, then all.
const DIRECTORIES_MAX: usize = 6;
/// All packs are listed if they fit in so many answers of a thousand.
const PAGES_MAX: usize = REMEMBERED_MAX / 1_000;

/// What is known of versions.
#[derive(Debug, Default)]
pub(super) struct Chosen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    versions: HashMap<ObjectKey, Version>,
    listed: Extent,
}

/// What was listed of the packs.
#[derive(Debug, Default)]
enum Extent {
    #[default]
    Nothing,
    /// All of them.
    All,
    /// Those below these directories; all together are too many for one answer.
    Below(HashSet<String>),
}

impl Chosen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version that was chosen.
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Version> {
        self.state().versions.get(key).cloned()
    }

    pub(super) fn keep(&self, key: ObjectKey, version: Version) {
        let mut state = self.state();
        if state.versions.len() >= REMEMBERED_MAX {
            *state = State::default();
        }
        state.versions.insert(key, version);
    }

    pub(super) fn forget(&self, key: &ObjectKey) {
        self.state().versions.remove(key);
    }
}

impl S3Store {
    /// The version of a pack or commit record that is read.
    pub(super) fn choose(&self, key: &ObjectKey) -> Result<Version, StoreError> {
        if planted(Bug::NewestIsRead) {
            return self.newest_version(key);
        }
        if let Some(version) = self.chosen.get(key) {
            return Ok(version);
        }
        if let ObjectKey::Pack(_) = key {
            self.learn_of_packs(key)?;
            if let Some(version) = self.chosen.get(key) {
                return Ok(version);
            }
        }
        let version = match choice::version_that_counts(self, key) {
            Err(StoreError::NotFound { .. }) => self.newest_version(key)?,
            counts => counts?,
        };
        self.chosen.keep(*key, version.clone());
        Ok(version)
    }

    /// Lists packs, among them this one, if that was not done.
    fn learn_of_packs(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let all = self.path_below(Area::Packs.directory()) + "/";
        let path = self.path_of(key);
        let digits = path.len() - path.rsplit('/').next().map_or(0, str::len);
        let directory = &path[..digits];
        // Others may do the same meanwhile, which costs a request and nothing else.
        let is_first = match &self.chosen.state().listed {
            Extent::Nothing => true,
            Extent::All => return Ok(()),
            Extent::Below(listed) if listed.contains(directory) => return Ok(()),
            Extent::Below(_) => false,
        };
        if is_first {
            let is_all = self.learn_below(&all, 1)?;
            self.chosen.state().listed = if is_all {
                Extent::All
            } else {
                Extent::Below(HashSet::new())
            };
            return self.learn_of_packs(key);
        }
        let many = match &self.chosen.state().listed {
            Extent::Below(listed) => listed.len() == DIRECTORIES_MAX,
            _ => false,
        };
        if many && self.learn_below(&all, PAGES_MAX)? {
            self.chosen.state().listed = Extent::All;
            return Ok(());
        }
        self.learn_below(directory, 1)?;
        if let Extent::Below(listed) = &mut self.chosen.state().listed {
            listed.insert(directory.to_owned());
        }
        Ok(())
    }

    /// Remembers what so many pages tell of packs that have one version and nothing else.
    /// True if they are all there is.
    fn learn_below(&self, prefix: &str, pages_max: usize) -> Result<bool, StoreError> {
        let fetch = Fetch::elsewhere(Action::List, Area::Packs.directory());
        let (mut from, mut seen) = (None, Seen::default());
        for _ in 0..pages_max {
            let page = self.page(&fetch, prefix, from.as_ref())?;
            for entry in page.entries {
                if let Some(object) = seen.next(entry) {
                    self.learn(&object);
                }
            }
            if page.next.is_none() {
                // Of the last, more could stand on the next page.
                if let Some(object) = seen.end() {
                    self.learn(&object);
                }
                return Ok(true);
            }
            from = page.next;
        }
        Ok(false)
    }

    fn learn(&self, object: &Object) {
        let name = object.path.strip_prefix(&self.prefix);
        if let Some(key) = name.and_then(ObjectKey::from_path) {
            self.keep_if_alone(key, object);
        }
    }

    /// Remembers a version that there is no choice about.
    pub(super) fn keep_if_alone(&self, key: ObjectKey, object: &Object) {
        if let (ObjectKey::Pack(_), Some(version)) = (key, object.alone()) {
            self.chosen.keep(key, version.clone());
        }
    }
}
