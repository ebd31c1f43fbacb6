//! An entry under a temporary name, until it takes its own.
//!
//! The name is one that nobody can foresee and is created exclusively, so what
//! stands under it is ours. Taking the final name is one rename within a
//! directory that stays open, which can't lead out of the target whatever
//! happened to the path meanwhile. Dropping it before that unlinks it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use indelible_format::page::Metadata;
use indelible_format::path::EntryPath;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::metadata::{self, NotApplied};
use super::{Place, Shared, Step, TargetError};

/// How often a name may be taken before something else must be wrong.
const ATTEMPTS_MAX: usize = 8;

/// An entry that has no final name yet.
#[derive(Debug)]
pub(super) struct Staged {
    shared: Arc<Shared>,
    place: Place,
    temporary: String,
    /// Whether the temporary name is to be unlinked.
    armed: bool,
}

impl Staged {
    /// Creates something in the directory of `place` under a temporary name.
    ///
    /// `create` must fail with EEXIST when the name is taken.
    pub(super) fn create<T>(
        shared: Arc<Shared>,
        place: Place,
        create: impl Fn(BorrowedFd<'_>, &str) -> Result<T, Errno>,
    ) -> Result<(Self, T), TargetError> {
        for _ in 0..ATTEMPTS_MAX {
            let temporary = shared.temporary_name();
            match create(place.parent.as_fd(), &temporary) {
                Ok(created) => {
                    return Ok((
                        Self {
                            shared,
                            place,
                            temporary,
                            armed: true,
                        },
                        created,
                    ));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(TargetError::io(Step::Create, &place.path, errno)),
            }
        }
        Err(TargetError::io(Step::Create, &place.path, Errno::EXIST))
    }

    /// The path in the snapshot.
    pub(super) fn path(&self) -> &EntryPath {
        &self.place.path
    }

    /// Gives a link its owner and time, through a descriptor on the link.
    pub(super) fn apply_to_symlink(
        &self,
        metadata: &Metadata,
    ) -> Result<Vec<NotApplied>, TargetError> {
        let failed = |errno| TargetError::io(Step::Examine, &self.place.path, errno);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(
            &self.place.parent,
            self.temporary.as_str(),
            flags,
            Mode::empty(),
        )
        .map_err(failed)?;
        // Whoever may write to the directory could have put a hard link to
        // another file there. We would give that file away.
        if !metadata::is_symlink(&fd).map_err(failed)? {
            return Err(TargetError::InTheWay {
                path: self.place.path.clone(),
            });
        }
        metadata::apply_to_symlink(&fd, &self.place.path, metadata)
    }

    /// Takes the final name: the moment at which the entry is restored.
    pub(super) fn take_name(mut self) -> Result<(), TargetError> {
        if self.shared.policy.overwrite {
            self.shared.may_take(&self.place)?;
            self.rename(RenameFlags::empty())
                .map_err(|errno| self.rename_error(errno))?;
            self.armed = false;
        } else {
            match self.rename(RenameFlags::NOREPLACE) {
                Ok(()) => self.armed = false,
                // Some network file systems know no exclusive rename. Linking
                // is exclusive everywhere, and dropping `self` then unlinks the
                // temporary name.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    self.link().map_err(|errno| self.rename_error(errno))?;
                }
                Err(errno) => return Err(self.rename_error(errno)),
            }
        }
        self.shared.note_entry(&self.place);
        Ok(())
    }

    fn rename(&self, flags: RenameFlags) -> Result<(), Errno> {
        let (parent, from, to) = (
            &self.place.parent,
            self.temporary.as_str(),
            self.place.name(),
        );
        if flags.is_empty() {
            return rustix::fs::renameat(parent, from, parent, to);
        }
        rustix::fs::renameat_with(parent, from, parent, to, flags)
    }

    fn link(&self) -> Result<(), Errno> {
        let (parent, from, to) = (
            &self.place.parent,
            self.temporary.as_str(),
            self.place.name(),
        );
        rustix::fs::linkat(parent, from, parent, to, AtFlags::empty())
    }

    fn rename_error(&self, errno: Errno) -> TargetError {
        match errno {
            Errno::EXIST => TargetError::Exists {
                path: self.place.path.clone(),
            },
            Errno::ISDIR | Errno::NOTEMPTY => TargetError::InTheWay {
                path: self.place.path.clone(),
            },
            _ => TargetError::io(Step::Rename, &self.place.path, errno),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.armed {
            // Nothing can be done about a failure: the name says whose it is.
            let temporary = self.temporary.as_str();
            let _ = rustix::fs::unlinkat(&self.place.parent, temporary, AtFlags::empty());
        }
    }
}
