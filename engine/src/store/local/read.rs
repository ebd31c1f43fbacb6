//! How a local store reads and lists.
//!
//! Why it is safe: a file is inspected after it was opened, so what is read is
//! what was found to be a regular file. The length that the system states is
//! held against the caller's bound before anything is allocated, and a file
//! that turns out shorter than it said is an error, never padding.

use std::ffi::OsStr;
use std::io;

use super::files::{FileStat, Files, Kind};
use super::immutable::Immutable;
use super::{LocalStore, retry};
use crate::store::{
    Action, Area, Capabilities, Listed, ObjectKey, ReadStore, StoreError, Version, VersionId,
    only_version, read_only_version,
};

/// How much of an object is compared at once, in bytes.
const COMPARE_BYTES: usize = 1 << 20;

impl<F: Files> LocalStore<F> {
    /// Opens an object and answers its size in bytes.
    fn open_object(&self, key: &ObjectKey) -> Result<(F::File, u64), StoreError> {
        if !key.is_nameable() {
            return Err(StoreError::NotFound { key: *key });
        }
        let path = key.path();
        let file = match retry(|| self.files.open(&path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NotFound { key: *key });
            }
            Err(source) => {
                // A symbolic link and a socket can't be opened, and the system's
                // words for that differ. Looking at the name tells them from
                // an object that can't be opened.
                return Err(match retry(|| self.files.stat(&path)) {
                    Ok(stat) if stat.kind != Kind::File => StoreError::NotRegular { key: *key },
                    _ => StoreError::Io {
                        action: Action::Open,
                        path,
                        source,
                    },
                });
            }
        };
        match retry(|| self.files.stat_open(&file)) {
            Ok(FileStat {
                kind: Kind::File,
                size_bytes,
            }) => Ok((file, size_bytes)),
            Ok(_) => Err(StoreError::NotRegular { key: *key }),
            Err(source) => Err(StoreError::Io {
                action: Action::Inspect,
                path,
                source,
            }),
        }
    }

    /// Reads exactly `len_bytes` from an open object whose size was checked.
    fn read_exact(
        &self,
        key: &ObjectKey,
        file: &F::File,
        offset: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let too_long = StoreError::TooLong {
            key: *key,
            limit: usize::MAX as u64,
            actual: len_bytes,
        };
        let len = usize::try_from(len_bytes).map_err(|_| too_long)?;
        let mut bytes = vec![0; len];
        self.fill(key, file, offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills a buffer from an open object whose size was checked.
    fn fill(
        &self,
        key: &ObjectKey,
        file: &F::File,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), StoreError> {
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset + filled as u64;
            match retry(|| self.files.read_at(file, &mut bytes[filled..], at)) {
                Ok(0) => {
                    return Err(StoreError::ShortRead {
                        key: *key,
                        offset,
                        wanted: bytes.len() as u64,
                        actual: filled as u64,
                    });
                }
                Ok(read) => filled += read,
                Err(source) => {
                    return Err(StoreError::Io {
                        action: Action::Read,
                        path: key.path(),
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    /// Opens an object that has `len_bytes` bytes from `offset` on.
    fn open_range(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
    ) -> Result<F::File, StoreError> {
        let (file, size_bytes) = self.open_object(key)?;
        let actual = size_bytes.saturating_sub(offset);
        if actual < len_bytes {
            return Err(StoreError::ShortRead {
                key: *key,
                offset,
                wanted: len_bytes,
                actual,
            });
        }
        Ok(file)
    }

    /// Opens the object if it has exactly these bytes.
    pub(super) fn open_same(
        &self,
        key: &ObjectKey,
        bytes: &[u8],
    ) -> Result<Option<F::File>, StoreError> {
        let (file, size_bytes) = self.open_object(key)?;
        if size_bytes != bytes.len() as u64 {
            return Ok(None);
        }
        let mut offset = 0;
        for expected in bytes.chunks(COMPARE_BYTES) {
            let len_bytes = expected.len() as u64;
            if self.read_exact(key, &file, offset, len_bytes)? != expected {
                return Ok(None);
            }
            offset += len_bytes;
        }
        Ok(Some(file))
    }

    /// Lists one directory of objects.
    ///
    /// A directory whose name says that an area keeps more objects in it goes
    /// to `fan_out`.
    fn list_directory(
        &self,
        directory: &str,
        fan_out: &mut Vec<String>,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), StoreError> {
        let mut first_error = Ok(());
        let mut visit = |name: &OsStr, stat: &dyn Fn() -> io::Result<FileStat>| {
            let path = format!("{directory}/{}", name.to_string_lossy());
            // A name that is not Unicode is no object's, even if what it was
            // replaced by would be.
            let Some(name) = name.to_str() else {
                return each(Listed::Foreign { path });
            };
            match retry(stat) {
                Ok(stat)
                    if stat.kind == Kind::Directory
                        && directory == Area::Packs.directory()
                        && is_fan_out(name) =>
                {
                    fan_out.push(path);
                }
                Ok(FileStat {
                    kind: Kind::File,
                    size_bytes,
                }) => {
                    each(match ObjectKey::from_path(&path) {
                        Some(key) => Listed::Object { key, size_bytes },
                        None => Listed::Foreign { path },
                    });
                }
                Ok(_) => each(Listed::Foreign { path }),
                // Removed since it was met.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => keep_first(
                    &mut first_error,
                    Err(StoreError::Io {
                        action: Action::Inspect,
                        path,
                        source,
                    }),
                ),
            }
        };
        match self.files.list(directory, &mut visit) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                let path = directory.to_owned();
                keep_first(
                    &mut first_error,
                    Err(StoreError::Io {
                        action: Action::List,
                        path,
                        source,
                    }),
                );
            }
            _ => {}
        }
        first_error
    }
}

impl<F: Files> ReadStore for LocalStore<F> {
    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let (file, actual) = self.open_object(key)?;
        if actual > size_bytes_max {
            return Err(StoreError::TooLong {
                key: *key,
                limit: size_bytes_max,
                actual,
            });
        }
        self.read_exact(key, &file, 0, actual)
    }

    fn read_range(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let file = self.open_range(key, offset, len_bytes)?;
        self.read_exact(key, &file, offset, len_bytes)
    }

    fn read_into(&self, key: &ObjectKey, offset: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        let file = self.open_range(key, offset, bytes.len() as u64)?;
        self.fill(key, &file, offset, bytes)
    }

    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let (file, size_bytes) = self.open_object(key)?;
        self.read_exact(key, &file, 0, size_bytes.min(len_bytes_max))
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        Ok(self.open_object(key)?.1)
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let mut fan_out = Vec::new();
        let mut first_error = self.list_directory(area.directory(), &mut fan_out, each);
        for directory in fan_out {
            let listed = self.list_directory(&directory, &mut Vec::new(), each);
            keep_first(&mut first_error, listed);
        }
        first_error
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        only_version(self, key)
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        read_only_version(self, key, version, len_bytes_max)
    }

    fn locked_until(
        &self,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<u64>, StoreError> {
        if *version != VersionId::only() {
            return Err(StoreError::NotFound { key: *key });
        }
        self.kept_until(key)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            distant: false,
            versions: false,
            conditional_create: true,
            locks: self.mode().is_some(),
            final_locks: self.mode() == Some(Immutable::PosixWorm),
        }
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

/// Whether packs lie in a directory of this name.
fn is_fan_out(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Adds a result to those before it, of which the first error counts.
fn keep_first(first: &mut Result<(), StoreError>, next: Result<(), StoreError>) {
    if first.is_ok() {
        *first = next;
    }
}
