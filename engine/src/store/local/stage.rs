//! Writes files in `tmp/`, where nobody reads them.
//!
//! Why it is safe: a file whose sync failed is given up and written anew under another
//! name, since a second sync of it would prove nothing.

use std::io;

use indelible_format::planted::{Bug, planted};

use super::files::Files;
use super::{Immutable, LocalStore, STAGING, retry};
use crate::store::{Action, StoreError};

/// How many times an object is written before a failing sync is believed.
const WRITE_ATTEMPTS: u32 = 3;

/// How many names are tried for a staged file. Random names do not meet; those
/// of a test that replays the same seed over its own litter do.
const NAME_ATTEMPTS: u32 = 1_000;

impl<F: Files> LocalStore<F> {
    /// Writes and syncs a file in `tmp/`, to be kept as is said, and answers its path.
    pub(super) fn stage(&self, bytes: &[u8], how: Option<Immutable>) -> Result<String, StoreError> {
        let mut attempt = 1;
        loop {
            let (path, mut file) = self.create_staged(how)?;
            let written = self
                .write_all(&mut file, bytes)
                .map_err(|source| (Action::Write, source))
                // Interrupted or not, a sync that failed has failed.
                .and_then(|()| {
                    self.sync_staged(&file)
                        .map_err(|source| (Action::Sync, source))
                });
            drop(file);
            let Err((action, source)) = written else {
                return Ok(path);
            };
            self.discard(&path);
            if action != Action::Sync || attempt == WRITE_ATTEMPTS {
                return Err(StoreError::Io {
                    action,
                    path,
                    source,
                });
            }
            attempt += 1;
        }
    }

    /// Makes a staged file's bytes durable, by the only try that means anything.
    fn sync_staged(&self, file: &F::File) -> io::Result<()> {
        if planted(Bug::FileUnsynced) {
            return Ok(());
        }
        let synced = self.files.fsync(file);
        if synced.is_err() && planted(Bug::SyncRetried) {
            return self.files.fsync(file);
        }
        synced
    }

    /// Creates an empty file in `tmp/` under a name that nobody can foresee.
    fn create_staged(&self, how: Option<Immutable>) -> Result<(String, F::File), StoreError> {
        let mut attempt = 1;
        loop {
            let mut name = [0; 16];
            self.entropy.fill(&mut name);
            let path = format!("{STAGING}/{:032x}", u128::from_be_bytes(name));
            let created = retry(|| match how {
                Some(Immutable::PosixWorm) => self.files.create_writable(&path),
                _ => self.files.create_new(&path),
            });
            match created {
                Ok(file) => return Ok((path, file)),
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && attempt < NAME_ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(source) => {
                    return Err(StoreError::Io {
                        action: Action::Create,
                        path,
                        source,
                    });
                }
            }
        }
    }

    fn write_all(&self, file: &mut F::File, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match retry(|| self.files.write(file, bytes))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    /// Removes a file that this store staged.
    ///
    /// A failure is of no consequence: the file costs space, and nobody reads
    /// it. Where the fate of the link is unclear this also settles it, for a
    /// link that the server has yet to make can no longer succeed.
    pub(super) fn discard(&self, staged: &str) {
        let _ = self.files.unlink(staged);
    }
}
