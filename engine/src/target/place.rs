//! A name in a directory that is open, and the names beside it that a restore
//! uses for what is not whole.

use std::os::fd::OwnedFd;

use indelible_format::limits::COMPONENT_BYTES_MAX;
use indelible_format::page::Metadata;
use indelible_format::path::{EntryPath, PathError};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::left::may_be_ours;
use super::metadata::{self, NotApplied};
use super::staged::ATTEMPTS_MAX;
use super::{Standing, StandingKind, Step, TargetError};

/// How the names of unfinished entries begin.
pub(super) const UNFINISHED: &str = ".indelible-";
/// How the names of files with holes end.
const SALVAGED: &str = ".salvaged";
/// Domain separation for the names of unfinished files.
const UNFINISHED_CONTEXT: &str = "indelible 2026 name of an unfinished file";

/// Whether a name could be that of an unfinished file or of one with holes.
pub(super) fn is_like_ours(name: &[u8]) -> bool {
    name.starts_with(UNFINISHED.as_bytes()) || name.ends_with(SALVAGED.as_bytes())
}

/// A name in a directory that is open.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: EntryPath,
    /// The path of the directory; `None` for the target itself.
    pub(super) directory: Option<EntryPath>,
    /// That directory.
    pub(super) parent: OwnedFd,
}

impl Place {
    /// The last component of the path.
    pub(super) fn name(&self) -> &[u8] {
        let path = self.path.as_bytes();
        match &self.directory {
            None => path,
            Some(directory) => &path[directory.as_bytes().len() + 1..],
        }
    }

    /// The path of something else in the same directory.
    pub(super) fn sibling(&self, name: &[u8]) -> Result<EntryPath, PathError> {
        match &self.directory {
            None => EntryPath::new(name),
            Some(directory) => EntryPath::new([directory.as_bytes(), b"/", name].concat()),
        }
    }

    /// The name under which the file of this name is written. Any run finds it
    /// again; a later attempt is for a name that something else has.
    pub(super) fn unfinished(&self, attempt: u64) -> Vec<u8> {
        let mut hash = blake3::Hasher::new_derive_key(UNFINISHED_CONTEXT);
        hash.update(&attempt.to_le_bytes()).update(self.name());
        let hash = hash.finalize().to_hex();
        format!("{UNFINISHED}{}", &hash[..32]).into_bytes()
    }

    /// Where the file is to stand if it has holes. A name that would become too
    /// long loses its end.
    pub(super) fn salvaged(&self) -> Result<Self, TargetError> {
        let kept = self.name().len().min(COMPONENT_BYTES_MAX - SALVAGED.len());
        let name = [&self.name()[..kept], SALVAGED.as_bytes()].concat();
        let path = self.sibling(&name);
        let parent = self.parent.try_clone();
        Ok(Self {
            path: path
                .map_err(|_| TargetError::io(Step::Create, &self.path, Errno::NAMETOOLONG))?,
            directory: self.directory.clone(),
            parent: parent.map_err(|source| TargetError::io(Step::Open, &self.path, source))?,
        })
    }

    /// What the link that stands there lacks, if it is one with this target that
    /// can be ours.
    pub(super) fn standing_symlink(
        &self,
        target: &[u8],
        metadata: &Metadata,
    ) -> Result<Option<Vec<NotApplied>>, TargetError> {
        let Some(stat) = self.stat()? else {
            return Ok(None);
        };
        // Of anything but a link this is an error.
        let found = rustix::fs::readlinkat(&self.parent, self.name(), Vec::new());
        let same = found.is_ok_and(|found| found.as_bytes() == target);
        if !same || !may_be_ours(&stat, metadata, 0) {
            return Ok(None);
        }
        let mut missing = Vec::new();
        if (stat.st_uid, stat.st_gid) != (metadata.uid, metadata.gid) {
            missing.push(metadata::owner_missing(&self.path, metadata));
        }
        let (seconds, nanoseconds) = (metadata.mtime_s, u64::from(metadata.mtime_ns));
        if (stat.st_mtime, stat.st_mtime_nsec) != (seconds, nanoseconds) {
            let path = self.path.clone();
            missing.push(NotApplied::Time { path });
        }
        Ok(Some(missing))
    }

    /// What stands there, and how much of the file an earlier run left, finished
    /// or not.
    pub(super) fn standing(&self) -> Result<Standing, TargetError> {
        let kind = match self.stat()? {
            None => StandingKind::Nothing,
            Some(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => StandingKind::Directory,
                FileType::RegularFile | FileType::Symlink => StandingKind::Replaceable,
                _ => StandingKind::InTheWay,
            },
        };
        let salvaged = self.salvaged().ok();
        let names = (0..ATTEMPTS_MAX).map(|attempt| self.unfinished(attempt));
        let names = names.chain(salvaged.map(|salvaged| salvaged.name().to_vec()));
        let taken = names.chain([self.name().to_vec()]).map(|name| {
            let stat = rustix::fs::statat(&self.parent, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW);
            // A block of stat(2) has 512 bytes, whatever the file system's have.
            stat.map_or(0, |stat| u64::try_from(stat.st_blocks).unwrap_or(0) * 512)
        });
        Ok(Standing {
            kind,
            left_bytes: taken.sum(),
        })
    }

    /// What stands there, which is never followed.
    pub(super) fn stat(&self) -> Result<Option<Stat>, TargetError> {
        match rustix::fs::statat(&self.parent, self.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(TargetError::io(Step::Examine, &self.path, errno)),
        }
    }
}
