//! Reads objects from S3.
//!
//! Why it is safe: what the store claims about lengths decides only what is
//! refused. No more is read than the caller bounded, straight into memory that
//! grows with what arrives. A body that ends early is asked for again. Where the
//! store says that there is no object, its versions are listed before that is
//! believed.

use std::io::{self, Read};

use super::super::{
    Action, Area, Capabilities, Listed, ObjectKey, ReadStore, StoreError, StoredSum, Version,
    VersionId, choice,
};
use super::S3Store;
use super::client::{Fetch, Reply};
use super::fault::{Fault, Garbled, Lost};
use super::request::Request;

/// Ranges that end beyond this are not asked for: no object is so long, and
/// servers reckon in signed numbers.
const RANGE_END_MAX: u64 = 1 << 62;
/// What is compared at once, in bytes.
const COMPARED_BYTES: usize = 64 << 10;

impl S3Store {
    /// Gets an object, or some of it, from the newest version or a given one.
    fn get<T>(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        range: Option<String>,
        take: &mut dyn FnMut(Reply) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let fetch = Fetch::new(Action::Read, key);
        let mut request = Request::get(self.path_of(key));
        if let Some(version) = version {
            request = request.query("versionId", &version.0);
        }
        if let Some(range) = range {
            request = request.header("range", range);
        }
        self.client.ask(&fetch, &request, take)
    }

    /// Asks for the version of a pack or commit record that counts; of other objects for
    /// what the store shows, and where it shows nothing, for the newest version that is
    /// hidden.
    pub(super) fn of_right<T>(
        &self,
        key: &ObjectKey,
        mut ask: impl FnMut(Option<&VersionId>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !key.is_hash() {
            return self.of_newest(key, ask);
        }
        match ask(Some(&self.choose(key)?.id)) {
            // It was removed since, and may have been put again.
            Err(StoreError::NotFound { .. }) => {
                self.chosen.forget(key);
                ask(Some(&self.choose(key)?.id))
            }
            answer => answer,
        }
    }

    fn of_newest<T>(
        &self,
        key: &ObjectKey,
        mut ask: impl FnMut(Option<&VersionId>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !key.is_nameable() {
            return Err(StoreError::NotFound { key: *key });
        }
        match ask(None) {
            Err(StoreError::NotFound { .. }) => ask(Some(&self.newest_version(key)?.id)),
            answer => answer,
        }
    }

    fn size_of(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        if key.is_hash() {
            return Ok(self.choose(key)?.size_bytes);
        }
        self.of_newest(key, |version| {
            let fetch = Fetch::new(Action::Inspect, key);
            let mut request = Request::head(self.path_of(key));
            if let Some(version) = version {
                request = request.query("versionId", &version.0);
            }
            self.client.ask(&fetch, &request, &mut |reply| {
                reply.content_length().ok_or(Garbled::Range.into())
            })
        })
    }

    /// Reads a range with `fill`, which is given exactly its bytes, or is called
    /// again after a failure. `wanted` is positive.
    fn ranged<T>(
        &self,
        key: &ObjectKey,
        offset: u64,
        wanted: u64,
        fill: &mut dyn FnMut(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let end = offset.saturating_add(wanted);
        if end > RANGE_END_MAX {
            return Err(self.too_short(key, offset, wanted)?);
        }
        let range = format!("bytes={offset}-{}", end - 1);
        let read = self.of_right(key, |version| {
            self.get(key, version, Some(range.clone()), &mut |reply| {
                let skipped = skipped_of(&reply, key, offset, wanted)?;
                let mut reader = reply.reader();
                io::copy(&mut reader.by_ref().take(skipped), &mut io::sink())
                    .map_err(Fault::cut)?;
                fill(&mut reader.take(wanted)).map_err(Fault::cut)
            })
        });
        match read {
            Err(StoreError::Answered { source, .. }) if source.status == 416 => {
                Err(self.too_short(key, offset, wanted)?)
            }
            read => read,
        }
    }

    /// The error for a range that is not there.
    fn too_short(
        &self,
        key: &ObjectKey,
        offset: u64,
        wanted: u64,
    ) -> Result<StoreError, StoreError> {
        let actual = self.size_of(key)?.saturating_sub(offset);
        if actual >= wanted {
            let fetch = Fetch::new(Action::Read, key);
            return Err(self.client.error(&fetch, Garbled::Range.into()));
        }
        Ok(StoreError::ShortRead {
            key: *key,
            offset,
            wanted,
            actual,
        })
    }

    /// The first bytes of a version.
    fn prefix(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let range = (1..RANGE_END_MAX)
            .contains(&len_bytes_max)
            .then(|| format!("bytes=0-{}", len_bytes_max - 1));
        let read = self.get(key, version, range, &mut |reply| {
            let length = reply.content_length();
            let bytes = read_up_to(reply, len_bytes_max)?;
            let complete = length.is_none_or(|it| it.min(len_bytes_max) == bytes.len() as u64);
            complete.then_some(bytes).ok_or_else(ended_early)
        });
        match read {
            // Of what is empty, no range can be had.
            Err(StoreError::Answered { source, .. }) if source.status == 416 => Ok(Vec::new()),
            read => read,
        }
    }

    /// A whole object, of at most so many bytes.
    fn whole(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        size_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let too_long = |actual| {
            Fault::Decided(StoreError::TooLong {
                key: *key,
                limit: size_bytes_max,
                actual,
            })
        };
        self.get(key, version, None, &mut |reply| {
            let length = reply.content_length();
            if let Some(length) = length
                && length > size_bytes_max
            {
                return Err(too_long(length));
            }
            let bytes = read_up_to(reply, size_bytes_max.saturating_add(1))?;
            let actual = bytes.len() as u64;
            if actual > size_bytes_max {
                return Err(too_long(actual));
            }
            if length.is_some_and(|length| length != actual) {
                return Err(ended_early());
            }
            Ok(bytes)
        })
    }

    /// Whether a version has exactly these bytes.
    pub(super) fn is_same(
        &self,
        key: &ObjectKey,
        version: &Version,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        if version.size_bytes != bytes.len() as u64 {
            return Ok(false);
        }
        self.get(key, Some(&version.id), None, &mut |reply| {
            let mut reader = reply.reader();
            let mut met = vec![0; COMPARED_BYTES];
            for expected in bytes.chunks(COMPARED_BYTES) {
                let met = &mut met[..expected.len()];
                reader.read_exact(met).map_err(Fault::cut)?;
                if met != expected {
                    return Ok(false);
                }
            }
            Ok(reader.read(&mut met[..1]).map_err(Fault::cut)? == 0)
        })
    }
}

/// How many bytes of an answer come before the range that was asked for: none,
/// but for a server that sends everything.
fn skipped_of(reply: &Reply, key: &ObjectKey, offset: u64, wanted: u64) -> Result<u64, Fault> {
    let skipped = if reply.status() == 206 {
        let range = reply.header("content-range").unwrap_or_default();
        let first = range
            .strip_prefix("bytes ")
            .and_then(|it| it.split_once('-'));
        if first.is_none_or(|(first, _)| first.parse() != Ok(offset)) {
            return Err(Garbled::Range.into());
        }
        0
    } else {
        offset
    };
    let length = reply.content_length().ok_or(Garbled::Range)?;
    let actual = length.saturating_sub(skipped);
    if actual < wanted {
        return Err(Fault::Decided(StoreError::ShortRead {
            key: *key,
            offset,
            wanted,
            actual,
        }));
    }
    Ok(skipped)
}

fn read_up_to(reply: Reply, len_bytes_max: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut reader = reply.reader().take(len_bytes_max);
    reader.read_to_end(&mut bytes).map_err(Fault::cut)?;
    Ok(bytes)
}

fn ended_early() -> Fault {
    Fault::Lost(Lost {
        may_have_arrived: true,
        cause: io::Error::from(io::ErrorKind::UnexpectedEof).into(),
    })
}

impl ReadStore for S3Store {
    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        // Of what is read whole the hash tells whether it is right, so that the versions
        // need not be listed before.
        let shown = self.of_newest(key, |version| self.whole(key, version, size_bytes_max));
        match &shown {
            Ok(bytes) if key.names(bytes) => return shown,
            Ok(_) | Err(StoreError::TooLong { .. }) if key.is_hash() => {}
            _ => return shown,
        }
        self.of_right(key, |version| self.whole(key, version, size_bytes_max))
    }

    fn read_range(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, StoreError> {
        if len_bytes == 0 {
            return self.size_of(key).map(|_| Vec::new());
        }
        self.ranged(key, offset, len_bytes, &mut |reader| {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            if bytes.len() as u64 == len_bytes {
                Ok(bytes)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        })
    }

    fn read_into(&self, key: &ObjectKey, offset: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return self.size_of(key).map(drop);
        }
        let wanted = bytes.len() as u64;
        self.ranged(key, offset, wanted, &mut |reader| reader.read_exact(bytes))
    }

    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.of_right(key, |version| self.prefix(key, version, len_bytes_max))
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        self.size_of(key)
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.list_area(area, each)
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        self.told_versions(key)
    }

    fn version_that_counts(&self, key: &ObjectKey) -> Result<Version, StoreError> {
        if key.is_hash() {
            return self.choose(key);
        }
        choice::version_that_counts(self, key)
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.prefix(key, Some(version), len_bytes_max)
    }

    fn stored_sum(&self, key: &ObjectKey) -> Result<Option<StoredSum>, StoreError> {
        self.told_sum(key)
    }

    fn locked_until(
        &self,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<u64>, StoreError> {
        Ok(self.retention(key, version)?.map(|held| held.until_ms))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            distant: true,
            versions: true,
            conditional_create: self.is_conditional(),
            locks: self.lock().is_some(),
            final_locks: false,
        }
    }

    fn location(&self) -> String {
        self.client.location.clone()
    }
}
