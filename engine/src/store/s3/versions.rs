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
    fn page(
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
        let (mut from, mut last) = (None, String::new());
        loop {
            let page = self.page(&fetch, &prefix, from.as_ref())?;
            for entry in page.entries {
                let foreign = !entry.key.starts_with(&prefix);
                if entry.is_marker || foreign || entry.key == last {
                    continue;
                }
                let path = &entry.key[prefix.len() - area.directory().len() - 1..];
                let key = ObjectKey::from_path(path);
                each(match key {
                    Some(key) => Listed::Object {
                        key,
                        size_bytes: entry.size_bytes,
                    },
                    None => Listed::Foreign {
                        path: path.to_owned(),
                    },
                });
                last = entry.key;
            }
            if page.next.is_none() {
                return Ok(());
            }
            from = page.next;
        }
    }
}

fn version_of(entry: Entry) -> Version {
    Version {
        id: VersionId(entry.version),
        size_bytes: entry.size_bytes,
    }
}
