//! Until when the store locks what, as far as this client has seen to it.
//!
//! It saves questions, and proves nothing: who verifies asks the store. Locks are those of one place, since a
//! copy of the repository elsewhere has its own.
//! Losing the file, or not being able to read it, costs those questions once.

use std::collections::BTreeMap;

use indelible_format::ids::{PackId, RecordId};

use super::{RepositoryState, read_file, write_unsynced};
use crate::store::ObjectKey;

const MAGIC: &[u8] = b"INDLLCK1";
/// Kind, id or number, and end of one lock.
const RECORD_BYTES: usize = 41;

impl RepositoryState {
    /// The ends of the locks that are known, Unix milliseconds.
    pub fn locks(&self, location: &str) -> BTreeMap<ObjectKey, u64> {
        self.read_locks(location).unwrap_or_default()
    }

    fn read_locks(&self, location: &str) -> Option<BTreeMap<ObjectKey, u64>> {
        let bytes = read_file(&self.locks_file(location), u64::MAX).ok()??;
        let (content, hash) = bytes.split_last_chunk::<32>()?;
        if blake3::hash(content) != *hash {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?.strip_prefix(&self.id.0[..])?;
        let (records, []) = rest.as_chunks::<RECORD_BYTES>() else {
            return None;
        };
        records.iter().map(decode).collect()
    }

    /// Keeps the ends of locks, in the place of those that were kept before.
    pub fn keep_locks(&self, location: &str, locks: &BTreeMap<ObjectKey, u64>) {
        let mut bytes = [MAGIC, &self.id.0].concat();
        for (key, end_ms) in locks {
            let (kind, id) = match key {
                ObjectKey::Repository => (0, [0; 32]),
                ObjectKey::Log(number) => {
                    let mut id = [0; 32];
                    id[..8].copy_from_slice(&number.to_le_bytes());
                    (1, id)
                }
                ObjectKey::Record(id) => (2, id.0),
                ObjectKey::Pack(id) => (3, id.0),
                // Nothing is promised of what can be made anew.
                ObjectKey::Bundle(_) => continue,
            };
            bytes.push(kind);
            bytes.extend_from_slice(&id);
            bytes.extend_from_slice(&end_ms.to_le_bytes());
        }
        bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
        let _ = write_unsynced(&self.locks_file(location), &bytes);
    }

    fn locks_file(&self, location: &str) -> std::path::PathBuf {
        let place = blake3::hash(location.as_bytes()).to_hex();
        self.root.join(format!("locks-{}", &place[..16]))
    }
}

fn decode(record: &[u8; RECORD_BYTES]) -> Option<(ObjectKey, u64)> {
    let (kind, rest) = record.split_first()?;
    let (id, end) = rest.split_first_chunk::<32>()?;
    let (number, _) = id.split_first_chunk()?;
    let key = match kind {
        0 => ObjectKey::Repository,
        1 => ObjectKey::Log(u64::from_le_bytes(*number)),
        2 => ObjectKey::Record(RecordId(*id)),
        3 => ObjectKey::Pack(PackId(*id)),
        _ => return None,
    };
    Some((key, u64::from_le_bytes(end.try_into().ok()?)))
}
