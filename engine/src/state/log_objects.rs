//! Copies of the log's objects that this client has read, for stores that are far away.
//!
//! The file holds objects in the order of their numbers, each behind its number (`u64`)
//! and length (`u32`, bytes), little-endian. It only grows.
//!
//! Why it is safe: nothing in it is believed. A copy counts only where its leaf hash is
//! that of an entry which was seen at its number, and everything else is read from the
//! store. What a dead run left half written is cut off by the next that adds.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use indelible_format::limits::LEAF_BYTES_MAX;

use super::RepositoryState;

const HEADER_BYTES: usize = 12;

/// The file, read from its beginning on.
pub(crate) struct LogCopies {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// The number of the object that was read last, or of one before all.
    last: Option<u64>,
}

impl LogCopies {
    /// The copy of an object, if there is one. Asked for in ascending order, the file is
    /// read once.
    pub(crate) fn get(&mut self, number: u64) -> Option<Vec<u8>> {
        if self.file.is_none() || self.last.is_some_and(|last| last >= number) {
            self.file = File::open(&self.path).ok().map(BufReader::new);
            self.last = None;
        }
        let file = self.file.as_mut()?;
        while let Some((found, len)) = header(file) {
            self.last = Some(found);
            if found == number {
                let mut bytes = vec![0; len];
                return file.read_exact(&mut bytes).ok().map(|()| bytes);
            }
            file.seek_relative(i64::try_from(len).ok()?).ok()?;
            if found > number {
                // What was passed over may be asked for next.
                break;
            }
        }
        None
    }
}

/// Number and length of the next object, if a sound header stands there.
fn header(file: &mut impl io::Read) -> Option<(u64, usize)> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).ok()?;
    let (number, len) = header.split_first_chunk::<8>()?;
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    (len <= LEAF_BYTES_MAX).then_some((u64::from_le_bytes(*number), len))
}

impl RepositoryState {
    /// The copies that are kept.
    pub(crate) fn log_copies(&self) -> LogCopies {
        LogCopies {
            path: self.log_copies_file(),
            file: None,
            last: None,
        }
    }

    /// Keeps copies of objects, ascending, behind those that are kept, of which those go
    /// that are at `stale` or behind it. What can't be kept is not missed.
    pub(crate) fn keep_log_copies(&self, stale: Option<u64>, objects: &[(u64, Vec<u8>)]) {
        if let Ok(_turn) = self.lock() {
            let _ = self.add_log_copies(stale, objects);
        }
    }

    fn add_log_copies(&self, stale: Option<u64>, objects: &[(u64, Vec<u8>)]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.log_copies_file())?;
        let size_bytes = file.metadata()?.len();
        let (mut end, mut last) = (0, None);
        let mut reader = BufReader::new(&file);
        while let Some((number, len)) = header(&mut reader) {
            let next = end + (HEADER_BYTES + len) as u64;
            let is_sound = next <= size_bytes && last.is_none_or(|last| last < number);
            if !is_sound || stale.is_some_and(|stale| stale <= number) {
                break;
            }
            reader.seek(SeekFrom::Start(next))?;
            (end, last) = (next, Some(number));
        }
        let mut bytes = Vec::new();
        for (number, object) in objects {
            if last.is_none_or(|last| last < *number) && object.len() <= LEAF_BYTES_MAX {
                let len = u32::try_from(object.len()).expect("less than 64 KiB and one");
                bytes.extend_from_slice(&number.to_le_bytes());
                bytes.extend_from_slice(&len.to_le_bytes());
                bytes.extend_from_slice(object);
                last = Some(*number);
            }
        }
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(&bytes)
    }

    fn log_copies_file(&self) -> PathBuf {
        self.root.join("log-objects")
    }
}
