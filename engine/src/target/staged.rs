//! An entry under a temporary name, until it takes its own.
//!
//! What stands under the temporary name is ours: either it was created there
//! exclusively, or it was left by a run that died, and [`left`](super::left)
//! looked at it. Taking the final name is one rename within a directory that
//! stays open, which can't lead out of the target whatever happened to the path
//! meanwhile. Dropping it before that unlinks it, unless it is to stay for the
//! next run.

use std::os::fd::AsFd;
use std::sync::Arc;

use indelible_format::page::Metadata;
use indelible_format::path::EntryPath;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::metadata::{self, NotApplied};
use super::{Place, Shared, Step, TargetError};

/// How often a name may be taken before something else must be wrong.
pub(super) const ATTEMPTS_MAX: u64 = 8;

/// An entry that has no final name yet.
#[derive(Debug)]
pub(super) struct Staged {
    shared: Arc<Shared>,
    place: Place,
    temporary: Vec<u8>,
    /// Whether the temporary name is to be unlinked.
    armed: bool,
}

impl Staged {
    /// Takes over what stands under a temporary name in the directory of
    /// `place`, and is ours.
    pub(super) fn new(shared: Arc<Shared>, place: Place, temporary: Vec<u8>) -> Self {
        Self {
            shared,
            place,
            temporary,
            armed: true,
        }
    }

    /// Makes a link under a temporary name in the directory of `place`.
    pub(super) fn create_symlink(
        shared: Arc<Shared>,
        place: Place,
        target: &[u8],
    ) -> Result<Self, TargetError> {
        for _ in 0..ATTEMPTS_MAX {
            let temporary = shared.unforeseen_name();
            match rustix::fs::symlinkat(target, place.parent.as_fd(), temporary.as_str()) {
                Ok(()) => return Ok(Self::new(shared, place, temporary.into_bytes())),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(TargetError::io(Step::Create, &place.path, errno)),
            }
        }
        Err(TargetError::io(Step::Create, &place.path, Errno::EXIST))
    }

    /// Where it is to stand.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The path in the snapshot.
    pub(super) fn path(&self) -> &EntryPath {
        &self.place.path
    }

    /// Whether the policy lets it take the name of this place, where it does not
    /// stand already.
    pub(super) fn may_take(&self, place: &Place) -> Result<(), TargetError> {
        if self.temporary == place.name() {
            return Ok(());
        }
        self.shared.may_take(place)
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
            self.temporary.as_slice(),
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
        self.rename_to(&self.place)?;
        self.armed = false;
        Ok(())
    }

    /// Takes the name of another place in the same directory instead.
    pub(super) fn take_name_of(mut self, place: &Place) -> Result<(), TargetError> {
        self.rename_to(place)?;
        self.armed = false;
        Ok(())
    }

    /// Leaves it under its temporary name, for the next run to take up.
    pub(super) fn leave(mut self) {
        self.armed = false;
    }

    fn rename_to(&self, place: &Place) -> Result<(), TargetError> {
        if self.temporary != place.name() {
            if self.shared.policy.overwrite {
                self.shared.may_take(place)?;
                self.rename(place, RenameFlags::empty())?;
            } else {
                self.rename(place, RenameFlags::NOREPLACE)?;
            }
        }
        self.shared.note_entry(place);
        Ok(())
    }

    fn rename(&self, place: &Place, flags: RenameFlags) -> Result<(), TargetError> {
        let (parent, from, to) = (&self.place.parent, self.temporary.as_slice(), place.name());
        let renamed = if flags.is_empty() {
            rustix::fs::renameat(parent, from, parent, to)
        } else {
            match rustix::fs::renameat_with(parent, from, parent, to, flags) {
                // Some network file systems know no exclusive rename. Linking
                // is exclusive everywhere.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    let linked = rustix::fs::linkat(parent, from, parent, to, AtFlags::empty());
                    linked.inspect(|()| self.unlink())
                }
                renamed => renamed,
            }
        };
        renamed.map_err(|errno| match errno {
            Errno::EXIST => TargetError::Exists {
                path: place.path.clone(),
            },
            Errno::ISDIR | Errno::NOTEMPTY => TargetError::InTheWay {
                path: place.path.clone(),
            },
            _ => TargetError::io(Step::Rename, &place.path, errno),
        })
    }

    fn unlink(&self) {
        // Nothing can be done about a failure: the name says whose it is.
        let temporary = self.temporary.as_slice();
        let _ = rustix::fs::unlinkat(&self.place.parent, temporary, AtFlags::empty());
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.armed {
            self.unlink();
        }
    }
}
