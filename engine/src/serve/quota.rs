//! How much an account may store, counted beside the repository.
//!
//! Objects are charged before they are created, and what was not created is given
//! back; so a crash may count too much, and never too little. The count of an account
//! is one file in `accounts/`, which no store looks into. It is changed under a lock,
//! which all connections and processes take, and is durable before the object is
//! created. A file that can't be read as a count ends it for the account: nothing is
//! ever forgotten by damage.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use indelible_format::name::Name;
use rustix::fs::FlockOperation;

use crate::store::{Action, StoreError};

/// Every object counts as at least so many bytes, as a file system counts it; else
/// small ones could fill it.
pub const OBJECT_CHARGE_BYTES_MIN: u64 = 4_096;

/// Beside the repository's objects.
const DIRECTORY: &str = "accounts";
/// Decimal digits of a count, which a newline follows.
const DIGITS: usize = 20;

/// What an account has stored, and may.
#[derive(Debug)]
pub struct Quota {
    file: Mutex<File>,
    path: String,
    limit_bytes: u64,
}

impl Quota {
    /// The quota of an account, whose count is kept in the repository's directory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`]: what the system answered.
    pub fn open(root: &Path, account: &Name, limit_bytes: u64) -> Result<Self, StoreError> {
        let directory = root.join(DIRECTORY);
        let path = format!("{DIRECTORY}/{account}");
        let io = |action| {
            let path = path.clone();
            move |source| StoreError::Io {
                action,
                path,
                source,
            }
        };
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io(Action::MakeDirectory)(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(directory.join(account.as_str()))
            .map_err(io(Action::Open))?;
        // The count is to survive a power cut, and so its name.
        [directory.as_path(), root]
            .into_iter()
            .try_for_each(|dir| {
                let synced = File::open(dir).and_then(|dir| dir.sync_all());
                synced.map_err(io(Action::SyncDirectory))
            })?;
        Ok(Self {
            file: Mutex::new(file),
            path,
            limit_bytes,
        })
    }

    /// Counts an object that is about to be created.
    ///
    /// # Errors
    ///
    /// [`StoreError::OverQuota`], or the count can't be read or kept: then nothing may
    /// be created.
    pub fn charge(&self, len_bytes: u64) -> Result<(), StoreError> {
        let limit_bytes = self.limit_bytes;
        self.change(|used| {
            let used = used.checked_add(len_bytes.max(OBJECT_CHARGE_BYTES_MIN));
            used.filter(|&used| used <= limit_bytes)
                .ok_or(StoreError::OverQuota { limit_bytes })
        })
    }

    /// Gives back what was charged for an object that was not created.
    ///
    /// # Errors
    ///
    /// The count can't be read or kept.
    pub fn refund(&self, len_bytes: u64) -> Result<(), StoreError> {
        self.change(|used| Ok(used.saturating_sub(len_bytes.max(OBJECT_CHARGE_BYTES_MIN))))
    }

    fn change(&self, next: impl FnOnce(u64) -> Result<u64, StoreError>) -> Result<(), StoreError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let io = |action| {
            move |source: io::Error| StoreError::Io {
                action,
                path: self.path.clone(),
                source,
            }
        };
        let lock = |how| rustix::io::retry_on_intr(|| rustix::fs::flock(&*file, how));
        lock(FlockOperation::LockExclusive).map_err(|error| io(Action::Open)(error.into()))?;
        let changed = read_count(&file)
            .map_err(io(Action::Read))
            .and_then(next)
            .and_then(|used| {
                let text = format!("{used:0DIGITS$}\n");
                file.write_all_at(text.as_bytes(), 0)
                    .map_err(io(Action::Write))
            })
            .and_then(|()| file.sync_data().map_err(io(Action::Sync)));
        // It ends with the process too.
        let _ = lock(FlockOperation::Unlock);
        changed
    }
}

/// The count in a file; an empty one is that of a new account.
fn read_count(file: &File) -> io::Result<u64> {
    let mut text = [0; DIGITS + 1];
    match file.metadata()?.len() {
        0 => return Ok(0),
        len if len != text.len() as u64 => return Err(io::ErrorKind::InvalidData.into()),
        _ => file.read_exact_at(&mut text, 0)?,
    }
    let count = std::str::from_utf8(&text).ok();
    let count = count.and_then(|text| text.strip_suffix('\n'));
    let digits = count.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
