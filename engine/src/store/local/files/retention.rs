//! The calls by which a write-once filesystem is told what to keep, and until when.
//!
//! NetApp SnapLock, Dell SmartLock and others understand the same: a file whose last write
//! bit goes is committed, and kept until its access time. From then on that time can only
//! be moved later. To any other filesystem these are calls like others, and keep nothing.
//!
//! Why it is safe: what is called is a regular file's open handle, never a name.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, Timespec, Timestamps, UTIME_OMIT};

/// How much earlier an attack has a file kept, in seconds.
const EARLIER_S: i64 = 60;

/// What a write-once filesystem keeps of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// It has no write bit: it was committed.
    pub is_committed: bool,
    /// Its access time in milliseconds since 1970, until which it is kept if it was
    /// committed.
    pub until_ms: u64,
}

pub(super) fn of(file: &OwnedFd) -> io::Result<Retention> {
    let stat = regular(file)?;
    let (seconds, nanoseconds) = (stat.st_atime.cast_unsigned(), stat.st_atime_nsec);
    // A time before 1970 has passed in any case.
    let until_ms = if stat.st_atime < 0 {
        0
    } else {
        seconds
            .saturating_mul(1_000)
            .saturating_add(nanoseconds / 1_000_000)
    };
    Ok(Retention {
        is_committed: !mode_of(&stat).intersects(WRITABLE),
        until_ms,
    })
}

pub(super) fn commit(file: &OwnedFd, until_s: u64) -> io::Result<()> {
    let mode = mode_of(&regular(file)?);
    let until_s = i64::try_from(until_s).map_err(|_| io::ErrorKind::InvalidInput)?;
    set_access_time(file, until_s)?;
    if mode.intersects(WRITABLE) {
        rustix::fs::fchmod(file, mode - WRITABLE)?;
    }
    Ok(rustix::fs::fsync(file)?)
}

pub(super) fn make_writable(file: &OwnedFd) -> io::Result<()> {
    let mode = mode_of(&regular(file)?);
    Ok(rustix::fs::fchmod(file, mode | Mode::WUSR)?)
}

pub(super) fn shorten(file: &OwnedFd) -> io::Result<()> {
    let until_s = regular(file)?.st_atime;
    set_access_time(file, until_s - EARLIER_S)
}

/// The bits of whoever may write.
const WRITABLE: Mode = Mode::WUSR.union(Mode::WGRP).union(Mode::WOTH);

fn mode_of(stat: &rustix::fs::Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode)
}

fn regular(file: &OwnedFd) -> io::Result<rustix::fs::Stat> {
    let stat = rustix::fs::fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(stat)
}

/// Leaves the time of the last change as it is.
fn set_access_time(file: &OwnedFd, seconds: i64) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        },
        last_modification: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
    };
    Ok(rustix::fs::futimens(file, &times)?)
}
