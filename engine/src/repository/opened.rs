//! What is sealed in entries to the meta key (manifests, and the facts of
//! grants), opened once and then kept by the client that opened it.
//!
//! Each opening costs a Diffie-Hellman; a log of thousands would cost them at
//! every listing. So what was opened is kept in the state, in one sealed file
//! (SPEC 2.4) under a key that follows from the reader's own meta private key,
//! the repository secret and a fresh salt: whoever takes the state without the
//! key learns its length. Why it changes no answer:
//!
//! - it is known by the leaf hash of its entry, which covers the sealed bytes, or
//!   the id of the record that they stand in;
//! - the file is bound to the repository; one that does not open is none;
//! - only plaintexts are kept, whose layout was found to be right and is read
//!   again. Every judgement of them is made anew.

use std::collections::HashMap;
use std::ops::Range;

use indelible_format::history::History;
use indelible_format::ids::{LogHash, RepositoryId};
use indelible_format::key_ring::KeyRing;
use indelible_format::seal::{self, OPENED, SEAL_OVERHEAD};
use indelible_format::secret::{SecretKey, opened_key};
use indelible_format::wire::Cursor;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::state::{OPENED_BYTES_MAX, RepositoryState};

const MAGIC: &[u8] = b"INDLOPN1";
const FIELD: &str = "opened entry";
const SALT_BYTES: usize = 32;
/// Plaintexts with the leaves and lengths before them.
const CONTENT_BYTES_MAX: usize = OPENED_BYTES_MAX - MAGIC.len() - SALT_BYTES - SEAL_OVERHEAD;

/// What a reader opens sealed things with.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) repository: RepositoryId,
    pub(super) meta_private: &'a SecretKey,
    pub(super) psk: &'a SecretKey,
    /// The same and those of other epochs.
    pub(super) ring: &'a KeyRing,
}

impl<'a> Reader<'a> {
    /// The meta private key and the repository secret of an epoch.
    pub(super) fn of_epoch(&self, epoch: u32) -> Option<(&'a SecretKey, &'a SecretKey)> {
        let key = self.ring.at(epoch)?;
        Some((&key.verify.as_ref()?.meta_private, &key.psk))
    }
}

/// Plaintexts by the leaves of their entries.
#[derive(Default)]
pub(super) struct Opened {
    content: Zeroizing<Vec<u8>>,
    places: HashMap<LogHash, Range<usize>>,
    fresh: HashMap<LogHash, Zeroizing<Vec<u8>>>,
}

impl Opened {
    /// Those that the state has, or none.
    pub(super) fn load(state: Option<&RepositoryState>, reader: Reader<'_>) -> Self {
        let sealed = state.and_then(RepositoryState::opened);
        sealed
            .and_then(|sealed| Self::open(&sealed, reader))
            .unwrap_or_default()
    }

    fn open(sealed: &[u8], reader: Reader<'_>) -> Option<Self> {
        let (salt, sealed) = sealed.strip_prefix(MAGIC)?.split_first_chunk()?;
        let key = opened_key(reader.meta_private, reader.psk, salt);
        let content = seal::open(&key, OPENED, &reader.repository.0, sealed).ok()?;
        let mut places = HashMap::new();
        let mut cursor = Cursor::new(&content);
        while cursor.remaining() > 0 {
            let leaf = LogHash(cursor.array(FIELD).ok()?);
            let left = cursor.remaining();
            let len = cursor.text32(left, FIELD).ok()?.len();
            let end = content.len() - cursor.remaining();
            places.insert(leaf, end - len..end);
        }
        Some(Self {
            content,
            places,
            fresh: HashMap::new(),
        })
    }

    /// What was sealed in the entry with this leaf, if it was opened before.
    pub(super) fn get(&self, leaf: &LogHash) -> Option<&[u8]> {
        let kept = self
            .places
            .get(leaf)
            .map(|place| &self.content[place.clone()]);
        kept.or_else(|| self.fresh.get(leaf).map(|plain| plain.as_slice()))
    }

    /// Adds what was just opened and found to be laid out rightly.
    pub(super) fn add(&mut self, leaf: LogHash, plain: Zeroizing<Vec<u8>>) {
        self.fresh.insert(leaf, plain);
    }

    /// Keeps what belongs to the entries of the log, the newest first if there is
    /// no room for all. If nothing new has room, what is kept stays.
    pub(super) fn keep(
        &self,
        state: &RepositoryState,
        reader: Reader<'_>,
        history: &History,
        env: &Env,
    ) {
        if self.fresh.is_empty() {
            return;
        }
        let mut content = Zeroizing::new(Vec::with_capacity(self.size_bytes()));
        let mut gains = false;
        for entry in history.entries.values().rev() {
            let leaf = entry.leaf();
            let Some(plain) = self.get(&leaf) else {
                continue;
            };
            let room = CONTENT_BYTES_MAX - content.len();
            if let (Ok(len), true) = (u32::try_from(plain.len()), plain.len() + 36 <= room) {
                content.extend_from_slice(&leaf.0);
                content.extend_from_slice(&len.to_le_bytes());
                content.extend_from_slice(plain);
                gains |= self.fresh.contains_key(&leaf);
            }
        }
        if !gains {
            return;
        }
        let salt: [u8; SALT_BYTES] = env.random();
        let key = opened_key(reader.meta_private, reader.psk, &salt);
        let sealed = seal::seal(&key, OPENED, &reader.repository.0, &content);
        state.keep_opened(&[MAGIC, &salt, &sealed].concat());
    }

    /// Room for everything, so that no copy of it is left behind by growing.
    fn size_bytes(&self) -> usize {
        let fresh = self.fresh.values().map(|plain| plain.len() + 36);
        (self.content.len() + fresh.sum::<usize>()).min(CONTENT_BYTES_MAX)
    }
}
