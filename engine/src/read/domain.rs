//! The keys of one domain, and the one way from stored bytes to a chunk: decrypt,
//! decode, hold against the id.
//!
//! It takes no memory by what a chunk says of itself: the coded bytes are as long
//! as what was read, and the plaintext as long as an authentic directory states,
//! which is within the format's limits.

use indelible_format::coding::{Class, DecodeError};
use indelible_format::directory::Record;
use indelible_format::ids::{DomainId, RepositoryId};
use indelible_format::node::Node;
use indelible_format::pack::{ChunkCipher, KeyClass, chunk_id};
use indelible_format::page::Page;
use indelible_format::planted::{Bug, planted};
use indelible_format::seal::OpenError;
use indelible_format::secret::SecretKey;

use super::bench::{Bench, Benches, at_least};
use super::{ChunkFault, ReadError};
use crate::pack::{OpenPack, PackError, SealedDirectory, Span};
use crate::repository::Repository;
use crate::store::ReadStore;

/// What a record of an open directory takes, bytes.
const RECORD_BYTES: usize = 90;

/// A pack, open for reading.
pub(crate) struct ReadPack {
    pub(crate) pack: OpenPack,
    node: Result<ChunkCipher, OpenError>,
    data: Option<Result<ChunkCipher, OpenError>>,
    /// All its bytes, if it was read whole.
    whole: Option<Vec<u8>>,
}

impl ReadPack {
    /// A chunk's bytes, if the pack was read whole.
    pub(super) fn stored(&self, span: Span) -> Option<&[u8]> {
        self.whole.as_deref().map(|whole| stored(whole, 0, span))
    }

    /// About how much memory it takes, bytes.
    pub(super) fn size_bytes(&self) -> usize {
        RECORD_BYTES * self.pack.spans.len() + self.whole.as_ref().map_or(0, Vec::len)
    }
}

/// A chunk's bytes in what was read of its pack from an offset on.
pub(crate) fn stored(bytes: &[u8], from: u64, span: Span) -> &[u8] {
    let start = usize::try_from(span.offset - from).expect("a pack is at most 32 MiB");
    let len = usize::try_from(span.len).expect("a pack is at most 32 MiB");
    &bytes[start..start + len]
}

/// The keys with which one domain is read.
pub(crate) struct DomainReader<'k> {
    pub(super) domain: DomainId,
    index_key: SecretKey,
    node_id: SecretKey,
    pub(super) data_id: Option<SecretKey>,
    meta_private: &'k SecretKey,
    data_private: Option<&'k SecretKey>,
    psk: &'k SecretKey,
    repository: RepositoryId,
    benches: Benches,
}

impl<'k> DomainReader<'k> {
    /// The keys for a domain, if the key has the verify right.
    pub(crate) fn new<S: ReadStore + ?Sized>(
        repository: &'k Repository<'_, S>,
        domain: DomainId,
    ) -> Result<Self, ReadError> {
        let key = repository.key();
        let not_allowed = || ReadError::NotAllowed { needed: "verify" };
        let verify = key.verify.as_ref().ok_or_else(not_allowed)?;
        Ok(Self {
            domain,
            index_key: key.index_key(&domain).ok_or_else(not_allowed)?,
            node_id: key.node_id_key(&domain).ok_or_else(not_allowed)?,
            data_id: key.restore.as_ref().and_then(|_| key.data_id_key(&domain)),
            meta_private: &verify.meta_private,
            data_private: key.restore.as_ref().map(|keys| &keys.data_private),
            psk: &key.psk,
            repository: repository.id(),
            benches: Benches::default(),
        })
    }

    /// Opens a pack's directory and keys.
    pub(crate) fn open(&self, sealed: SealedDirectory) -> Result<ReadPack, PackError> {
        let header = sealed.header();
        if header.repository != self.repository || header.domain != self.domain {
            return Err(PackError::Foreign);
        }
        let pack = sealed.open(&self.index_key)?;
        let key = |class, private| pack.header.open_key(class, private, self.psk);
        let node = key(KeyClass::Node, self.meta_private);
        let data = self
            .data_private
            .map(|private| key(KeyClass::Data, private));
        Ok(ReadPack {
            pack,
            node,
            data,
            whole: None,
        })
    }

    /// Opens a pack that was read whole, and keeps its bytes.
    pub(super) fn open_whole(&self, bytes: Vec<u8>) -> Result<ReadPack, PackError> {
        let open = self.open(SealedDirectory::of_bytes(&bytes)?)?;
        Ok(ReadPack {
            whole: Some(bytes),
            ..open
        })
    }

    /// Decodes a chunk from the bytes that stand at its place.
    pub(crate) fn decode(
        &self,
        pack: &ReadPack,
        number: usize,
        stored: &[u8],
    ) -> Result<Vec<u8>, ChunkFault> {
        let record = record(pack, number)?;
        let mut plain = vec![0; plain_len(record)?];
        self.decode_into(pack, number, stored, &mut plain)?;
        Ok(plain)
    }

    /// The same, into a buffer as long as the chunk. After a fault nothing is said
    /// of what it holds.
    pub(crate) fn decode_into(
        &self,
        pack: &ReadPack,
        number: usize,
        stored: &[u8],
        plain: &mut [u8],
    ) -> Result<(), ChunkFault> {
        self.benches
            .with(|bench| self.decode_at(bench, pack, number, stored, plain))
    }

    /// Checks a chunk as [`decode`](Self::decode) does, and keeps nothing of it.
    pub(crate) fn check(
        &self,
        pack: &ReadPack,
        number: usize,
        stored: &[u8],
    ) -> Result<(), ChunkFault> {
        let len = plain_len(record(pack, number)?)?;
        self.benches.with(|bench| {
            let mut plain = std::mem::take(&mut bench.plain);
            let checked = self.decode_at(bench, pack, number, stored, at_least(&mut plain, len));
            bench.plain = plain;
            checked
        })
    }

    /// Decrypts, decodes and verifies a chunk.
    fn decode_at(
        &self,
        bench: &mut Bench,
        pack: &ReadPack,
        number: usize,
        stored: &[u8],
        plain: &mut [u8],
    ) -> Result<(), ChunkFault> {
        let record = record(pack, number)?;
        assert_eq!(plain.len() as u64, u64::from(record.plain_len));
        let class = record
            .known_class()
            .ok_or(ChunkFault::Decode(DecodeError::Unsupported(record.class)))?;
        let (cipher, id_key) = match KeyClass::of(class) {
            KeyClass::Node => (&pack.node, &self.node_id),
            KeyClass::Data => match (&pack.data, &self.data_id) {
                (Some(cipher), Some(id_key)) => (cipher, id_key),
                _ => return Err(ChunkFault::Key(OpenError::OtherKey)),
            },
        };
        let cipher = cipher.as_ref().map_err(|error| ChunkFault::Key(*error))?;
        let number = u32::try_from(number).map_err(|_| ChunkFault::NotHere)?;
        let coded = cipher
            .decrypt_into(
                class,
                number,
                stored,
                at_least(&mut bench.coded, stored.len()),
            )
            .map_err(|_| ChunkFault::Altered)?;
        let decoded = bench.decoder.decode(record.coding, coded, plain);
        decoded.map_err(ChunkFault::Decode)?;
        let identity = match class {
            Class::Data => Ok(&*plain),
            Class::Page => Page::identity_of(plain),
            Class::Node => Node::identity_of(plain),
        };
        let matches = identity.is_ok_and(|identity| chunk_id(id_key, class, identity) == record.id);
        if matches || planted(Bug::ChunkIdUnchecked) {
            Ok(())
        } else {
            Err(ChunkFault::OtherId)
        }
    }

    /// Whether contents can be read, and not only the tree.
    pub(crate) fn reads_data(&self) -> bool {
        self.data_private.is_some()
    }
}

fn record(pack: &ReadPack, number: usize) -> Result<&Record, ChunkFault> {
    let record = pack.pack.directory.records.get(number);
    record.ok_or(ChunkFault::NotHere)
}

fn plain_len(record: &Record) -> Result<usize, ChunkFault> {
    usize::try_from(record.plain_len).map_err(|_| ChunkFault::NotHere)
}
