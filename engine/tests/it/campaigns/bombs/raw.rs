//! Encodings by hand, where the library's own encoders refuse or can't lie.
//!
//! Everything is sealed and signed with real keys: only what it says is wrong.

use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_format::bundle::KeyBundle;
use indelible_format::commit::NewPack;
use indelible_format::entry::Body;
use indelible_format::ids::{CommitId, RecordId};
use indelible_format::manifest::Manifest;
use indelible_format::pack::{PackHeader, PackRandomness, PackRecipients, encode_trailer};
use indelible_format::rights::Kind;
use indelible_format::seal::{self, DIRECTORY, LOG_ENTRY, MANIFEST, MANIFEST_KEY, REACH};
use indelible_format::secret::{SecretKey, directory_key, reach_key};
use indelible_format::wire::Builder;

use crate::support::draft_at;
use crate::support::tree::Insider;

/// The kinds whose bodies are written by hand.
pub(super) const AUTHORIZE: u8 = 1;
pub(super) const SNAPSHOT: u8 = 4;

/// Signs an entry of any body for the next number of the log.
pub(super) fn entry(
    repository: &Repository<'_, MemoryStore>,
    key: &KeyBundle,
    kind: u8,
    commit: &CommitId,
    body: &[u8],
) -> Vec<u8> {
    // Only for what it states of the log.
    let body_of_none = Body::Opaque(Kind::Policy, Vec::new());
    let draft = draft_at(repository, repository.history().next, body_of_none);
    let mut out = Builder::new();
    out.bytes(b"INDLLOG1")
        .u64(draft.number)
        .u8(kind)
        .u8(u8::from(kind == AUTHORIZE));
    out.u32(0)
        .u64(draft.claimed_ms)
        .bytes(&commit.0)
        .bytes(&key.domain.0);
    out.bytes(&key.signer().0)
        .bytes(&draft.previous.0)
        .bytes(&draft.root.0)
        .text32(body);
    let mut bytes = out.finish();
    let message = [&repository.id().0[..], &bytes].concat();
    bytes.extend(seal::sign(&key.signing_seed, LOG_ENTRY, &message));
    bytes
}

/// What a forged commit says.
pub(super) struct RawCommit {
    /// The clear pack list, its count in front.
    pub(super) packs: Vec<u8>,
    /// Plaintext of the reach.
    pub(super) reach: Vec<u8>,
    /// Plaintext of the manifest.
    pub(super) manifest: Vec<u8>,
    /// What is said of the lengths of reach and manifest, if not the truth.
    pub(super) lens: (Option<u32>, Option<u32>),
}

impl RawCommit {
    /// That of a snapshot with these packs, with nothing wrong in it.
    pub(super) fn of(packs: &[NewPack], manifest: &Manifest) -> Self {
        let mut list = Builder::new();
        list.count32(packs.len());
        for pack in packs {
            list.bytes(&pack.id.0).u32(pack.len).bytes(&pack.sha256);
        }
        Self {
            packs: list.finish(),
            reach: vec![0; 4],
            manifest: manifest.encode(),
            lens: (None, None),
        }
    }

    /// Seals it; bound to the commit.
    pub(super) fn seal(&self, insider: &Insider<'_>, commit: &CommitId) -> Vec<u8> {
        let (key, env) = (insider.key(), insider.repository.env());
        let mut bound = Builder::new();
        bound
            .bytes(&insider.repository.id().0)
            .bytes(&commit.0)
            .bytes(&key.domain.0)
            .u32(0);
        let bound = bound.finish();
        let (salt, manifest_key) = (env.random(), SecretKey::new(env.random()));
        let reach_key = reach_key(&insider.domain_keys().index, &salt);
        let reach = seal::seal(&reach_key, REACH, &bound, &self.reach);
        let manifest = seal::seal(&manifest_key, MANIFEST, &bound, &self.manifest);
        let wrapped = seal::wrap(
            &key.meta_public,
            &key.psk,
            MANIFEST_KEY,
            &bound,
            &manifest_key,
            env.random(),
        );
        let len = |said: Option<u32>, bytes: &[u8]| {
            said.unwrap_or_else(|| u32::try_from(bytes.len()).expect("it is short"))
        };
        let mut out = Builder::new();
        out.u64(0).bytes(&self.packs).bytes(&salt);
        out.u32(len(self.lens.0, &reach)).bytes(&reach);
        out.bytes(&wrapped.expect("the keys are usable"));
        out.u32(len(self.lens.1, &manifest)).bytes(&manifest);
        out.finish()
    }

    /// Commits it inside of an entry, and gives the entry's number.
    pub(super) fn inline(&self, insider: &Insider<'_>) -> u64 {
        let commit = CommitId(insider.repository.env().random());
        let body = [&[0][..], &self.seal(insider, &commit)].concat();
        insider.put_entry(&entry(
            &insider.repository,
            insider.key(),
            SNAPSHOT,
            &commit,
            &body,
        ))
    }

    /// Commits it in a record of its own. `len` is said of the record, if not
    /// the truth.
    pub(super) fn record(
        &self,
        insider: &Insider<'_>,
        store: &MemoryStore,
        len: Option<u32>,
    ) -> u64 {
        let commit = CommitId(insider.repository.env().random());
        let bytes = self.seal(insider, &commit);
        let id = RecordId::of(&bytes);
        store.replace(&ObjectKey::Record(id), &bytes);
        let len = len.unwrap_or_else(|| u32::try_from(bytes.len()).expect("it is short"));
        record_entry(insider, &commit, &id, len)
    }
}

/// An entry that names a commit record.
pub(super) fn record_entry(
    insider: &Insider<'_>,
    commit: &CommitId,
    id: &RecordId,
    len: u32,
) -> u64 {
    let mut body = Builder::new();
    body.u8(1).bytes(&id.0).u32(len);
    let (key, body) = (insider.key(), body.finish());
    insider.put_entry(&entry(&insider.repository, key, SNAPSHOT, commit, &body))
}

/// A pack with the plaintext of its directory given.
pub(super) struct RawPack {
    header: PackHeader,
    index: SecretKey,
}

impl RawPack {
    pub(super) fn new(insider: &Insider<'_>) -> Self {
        let (key, env) = (insider.key(), insider.repository.env());
        let to = PackRecipients {
            repository: insider.repository.id(),
            domain: key.domain,
            epoch: 0,
            data_public: &key.data_public,
            meta_public: &key.meta_public,
            psk: &key.psk,
        };
        let random = PackRandomness {
            data_key: SecretKey::new(env.random()),
            node_key: SecretKey::new(env.random()),
            wrap: [env.random(), env.random()],
            salt: env.random(),
        };
        let (header, _) = PackHeader::create(&to, &random).expect("the keys are usable");
        Self {
            header,
            index: insider.domain_keys().index.clone(),
        }
    }

    /// Its bytes, with these chunks and this directory. `said` is what the
    /// trailer says of the directory's length, if not the truth.
    pub(super) fn bytes(&self, chunks: &[u8], directory: &[u8], said: Option<usize>) -> Vec<u8> {
        let key = directory_key(&self.index, &self.header.salt);
        let bound = blake3::hash(&self.header.encode());
        let sealed = seal::seal(&key, DIRECTORY, bound.as_bytes(), directory);
        let trailer = encode_trailer(said.unwrap_or(sealed.len()));
        [&self.header.encode()[..], chunks, &sealed, &trailer].concat()
    }
}

/// A zstd frame (RFC 8878) of blocks that each repeat one byte.
///
/// `window` is the window descriptor; without one the frame is a single segment.
pub(super) fn frame(window: Option<u8>, content: Option<u64>, blocks: &[u32]) -> Vec<u8> {
    let mut out = Builder::new();
    let size_flag = if content.is_some() { 3 << 6 } else { 0 };
    let single = if window.is_none() { 1 << 5 } else { 0 };
    out.u32(0xFD2F_B528).u8(size_flag | single);
    if let Some(window) = window {
        out.u8(window);
    }
    match content {
        Some(content) => {
            out.u64(content);
        }
        // A single segment always states its size, in one byte at least.
        None if window.is_none() => {
            out.u8(0);
        }
        None => {}
    }
    for (at, len) in blocks.iter().enumerate() {
        let last = u32::from(at + 1 == blocks.len());
        let header = last | 1 << 1 | len << 3;
        out.bytes(&header.to_le_bytes()[..3]).u8(b'x');
    }
    out.finish()
}
