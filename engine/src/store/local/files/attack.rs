//! What can be done to a file that nobody should do to an object, for real.
//!
//! Why it is safe: it is called for canaries alone.

use std::io;

use rustix::fs::{AtFlags, Mode, OFlags};

use super::{Files as _, OBJECT_MODE, RealFiles, retention};

/// What can be done to a file that nobody should do to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Remove its name.
    Remove,
    /// Write into it.
    Write,
    /// Cut it to nothing.
    Truncate,
    /// Give it another name in its directory.
    Rename,
    /// Put another file in its place.
    Replace,
    /// Clear its immutable flag.
    ClearFlag,
    /// Let its owner write to it again.
    MakeWritable,
    /// Move its access time, until which a write-once filesystem keeps it, back.
    Shorten,
    /// Rename its directory, and back.
    RenameParent,
}

impl RealFiles {
    /// Does it.
    pub(super) fn carry_out(&self, attack: Attack, path: &str) -> io::Result<()> {
        let (directory, name) = self.enter(path)?;
        let other = format!("{name}.other");
        let write = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |flags| rustix::fs::openat(&directory, name, write | flags, Mode::empty());
        match attack {
            Attack::Remove => rustix::fs::unlinkat(&directory, name, AtFlags::empty())?,
            Attack::Write => drop(rustix::io::write(open(OFlags::empty())?, b"forged")?),
            Attack::Truncate => drop(open(OFlags::TRUNC)?),
            Attack::Rename => rustix::fs::renameat(&directory, name, &directory, &other)?,
            Attack::Replace => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
                drop(rustix::fs::openat(&directory, &other, flags, OBJECT_MODE)?);
                rustix::fs::renameat(&directory, &other, &directory, name)?;
            }
            Attack::ClearFlag => self.set_immutable(path, false)?,
            Attack::MakeWritable => retention::make_writable(&self.open(path)?)?,
            Attack::Shorten => retention::shorten(&self.open(path)?)?,
            Attack::RenameParent => {
                let (path, _) = path.rsplit_once('/').ok_or(io::ErrorKind::Unsupported)?;
                let (above, name) = self.enter(path)?;
                let moved = format!("{name}.moved");
                rustix::fs::renameat(&above, name, &above, &moved)?;
                rustix::fs::renameat(&above, &moved, &above, name)?;
            }
        }
        Ok(())
    }
}
