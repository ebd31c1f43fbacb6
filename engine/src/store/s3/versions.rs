//! Lists versions. It is the only way by which an object is known to be missing.
//!
//! Anyone who may write can hide an object behind a marker, or behind another
//! version, and hiding is not removing: so nothing here asks for what the store
//! shows by itself.
//!
//! Why it is safe: an answer that leads nowhere new ends the listing with an
//! error, and of one object's versions a bounded number is held, the oldest. What
//! is listed twice in a row is told once.

use std::collections::VecDeque;

use super::super::{Action, Area, Listed, ObjectKey, StoreError, Version, VersionId};
use super::S3Store;
use super::client::Fetch;
use super::fault::{Fault, Garbled};
use super::request::Request;
use super::xml::{self, Entry, Page};

/// How many versions of one object are told. Nobody but an attacker makes more
/// than one, and the oldest are what counts.
const VERSIONS_MAX: usize = 1_000;
/// How many answers the versions of one object may take.
const PAGES_MAX: u32 = 10_000;

impl S3Store {
    /// The part of a list that begins behind `from`.
    pub(super) fn page(
        &self,
        fetch: &Fetch,
        prefix: &str,
        from: Option<&(String, String)>,
    ) -> Result<Page, StoreError> {
        let mut request = Request::get(String::new())
            .query("versions", "")
            .query("encoding-type", "url")
            .query("prefix", prefix);
        if let Some((key, version)) = from {
            request = request.query("key-marker", key.as_str());
            if !version.is_empty() {
                request = request.query("version-id-marker", version.as_str());
            }
        }
        let page = self.client.ask(fetch, &request, &mut |reply| {
            xml::versions(&reply.into_bytes()?).map_err(Fault::from)
        })?;
        if page.next.is_some() && page.next.as_ref() == from {
            return Err(self.client.error(fetch, Garbled::Endless.into()));
        }
        Ok(page)
    }

    /// Calls `each` for every version of an object, markers included, the newest
    /// first.
    pub(super) fn each_version(
        &self,
        key: &ObjectKey,
        each: &mut dyn FnMut(Entry),
    ) -> Result<(), StoreError> {
        if !key.is_nameable() {
            return Ok(());
        }
        let fetch = Fetch::new(Action::Inspect, key);
        let path = self.path_of(key);
        let mut from = None;
        for _ in 0..PAGES_MAX {
            let page = self.page(&fetch, &path, from.as_ref())?;
            let mut others_met = false;
            for entry in page.entries {
                if entry.key == path {
                    each(entry);
                } else {
                    others_met = true;
                }
            }
            // A name stands before all names that begin with it.
            if page.next.is_none() || others_met {
                return Ok(());
            }
            from = page.next;
        }
        Err(self.client.error(&fetch, Garbled::Endless.into()))
    }

    /// The oldest versions that have bytes, oldest first.
    pub(super) fn oldest_versions(
        &self,
        key: &ObjectKey,
        most: usize,
    ) -> Result<Vec<Version>, StoreError> {
        let mut oldest = VecDeque::new();
        self.each_version(key, &mut |entry| {
            if !entry.is_marker {
                oldest.push_front(version_of(entry));
                oldest.truncate(most);
            }
        })?;
        Ok(oldest.into())
    }

    /// The newest version that has bytes.
    pub(super) fn newest_version(&self, key: &ObjectKey) -> Result<Version, StoreError> {
        let mut newest = None;
        self.each_version(key, &mut |entry| {
            if newest.is_none() && !entry.is_marker {
                newest = Some(version_of(entry));
            }
        })?;
        newest.ok_or(StoreError::NotFound { key: *key })
    }

    /// As many versions as are told, oldest first, at least one.
    pub(super) fn told_versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        let versions = self.oldest_versions(key, VERSIONS_MAX)?;
        if versions.is_empty() {
            return Err(StoreError::NotFound { key: *key });
        }
        Ok(versions)
    }

    /// Tells what is in an area, hidden or not.
    pub(super) fn list_area(
        &self,
        area: Area,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), StoreError> {
        let fetch = Fetch::elsewhere(Action::List, area.directory());
        let prefix = self.path_below(area.directory()) + "/";
        let (mut from, mut seen) = (None, Seen::default());
        loop {
            let page = self.page(&fetch, &prefix, from.as_ref())?;
            let foreign = |entry: &Entry| !entry.key.starts_with(&prefix);
            for entry in page.entries.into_iter().filter(|entry| !foreign(entry)) {
                if let Some(object) = seen.next(entry) {
                    self.tell(area, &object, each)?;
                }
            }
            if page.next.is_none() {
                break;
            }
            from = page.next;
        }
        seen.end()
            .map_or(Ok(()), |last| self.tell(area, &last, each))
    }

    /// Tells of one object, if it has bytes.
    fn tell(
        &self,
        area: Area,
        object: &Object,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), StoreError> {
        let Some(oldest) = &object.oldest else {
            return Ok(());
        };
        let path = &object.path[self.path_below(area.directory()).len() - area.directory().len()..];
        let Some(key) = ObjectKey::from_path(path) else {
            each(Listed::Foreign {
                path: path.to_owned(),
            });
            return Ok(());
        };
        let size_bytes = match object.alone() {
            Some(version) => version.size_bytes,
            None if key.is_hash() => self.choose(&key)?.size_bytes,
            None => oldest.size_bytes,
        };
        self.keep_if_alone(key, object);
        each(Listed::Object { key, size_bytes });
        if object.alone().is_none() {
            each(Listed::Covered {
                key,
                others: object.versions - 1,
                markers: object.markers,
            });
        }
        Ok(())
    }
}

/// What a list says of one object.
pub(super) struct Object {
    /// Its name in the bucket.
    pub(super) path: String,
    /// The oldest version that has bytes.
    oldest: Option<Version>,
    /// How many have bytes.
    versions: u32,
    /// How many hide those that are older.
    markers: u32,
    /// The version that was listed last.
    last: String,
}

impl Object {
    /// The version, if there is one and nothing else.
    pub(super) fn alone(&self) -> Option<&Version> {
        let version = self.oldest.as_ref();
        version.filter(|_| self.versions == 1 && self.markers == 0)
    }
}

/// Puts together what a list tells of one object after the other. What is listed twice
/// in a row counts once.
#[derive(Default)]
pub(super) struct Seen(Option<Object>);

impl Seen {
    /// Takes one more version, and gives the object before it, which is complete.
    pub(super) fn next(&mut self, entry: Entry) -> Option<Object> {
        let is_same = |object: &Object| object.path == entry.key;
        let complete = self.0.take_if(|object| !is_same(object));
        let object = self.0.get_or_insert_with(|| Object {
            path: entry.key.clone(),
            oldest: None,
            versions: 0,
            markers: 0,
            last: String::new(),
        });
        if object.last != entry.version || object.versions + object.markers == 0 {
            object.last.clone_from(&entry.version);
            if entry.is_marker {
                object.markers = object.markers.saturating_add(1);
            } else {
                object.versions = object.versions.saturating_add(1);
                object.oldest = Some(version_of(entry));
            }
        }
        complete
    }

    /// The last object.
    pub(super) fn end(self) -> Option<Object> {
        self.0
    }
}

fn version_of(entry: Entry) -> Version {
    Version {
        id: VersionId(entry.version),
        size_bytes: entry.size_bytes,
    }
}
