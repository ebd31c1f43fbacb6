//! The keys of one domain, and the one way from stored bytes to a chunk: decrypt,
//! decode, hold against the id.
//!
//! It takes no memory by what a chunk says of itself: the coded bytes are as long
//! as what was read, and the plaintext as long as an authentic directory states,
//! which is within the format's limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_format::bundle::KeyBundle;
use indelible_format::coding::{Class, Coding, DecodeError, decode_delta};
use indelible_format::directory::Record;
use indelible_format::ids::{DomainId, PackId, RepositoryId};
use indelible_format::node::Node;
use indelible_format::pack::{ChunkCipher, KeyClass, PackHeader, chunk_id};
use indelible_format::page::Page;
use indelible_format::planted::{Bug, planted};
use indelible_format::seal::OpenError;
use indelible_format::secret::SecretKey;

use super::bench::{Bench, Benches, at_least};
use super::{ChunkFault, ReadError};
use crate::pack::{IndexKeys, OpenPack, PackError, SealedDirectory, Span};
use crate::repository::Repository;
use crate::store::ReadStore;

/// What a record of an open directory takes, bytes.
const RECORD_BYTES: usize = 90;
/// What the list of a record's bases takes, bytes.
const BASES_BYTES: usize = 32;

/// A pack, open for reading.
pub(crate) struct ReadPack {
    pub(crate) pack: OpenPack,
    node: Option<Result<ChunkCipher, OpenError>>,
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
        let directory = &self.pack.directory;
        let bases = directory.records.iter().filter(|it| !it.bases.is_empty());
        RECORD_BYTES * directory.records.len()
            + BASES_BYTES * bases.count()
            + size_of_val(&*directory.packs)
            + self.whole.as_ref().map_or(0, Vec::len)
    }
}

/// What a chunk is decoded from.
#[derive(Clone, Copy)]
pub(crate) struct Coded<'a> {
    /// The bytes at its place.
    pub(crate) stored: &'a [u8],
    /// The plaintexts of its bases, in order.
    pub(crate) bases: &'a [&'a [u8]],
}

/// A chunk's bytes in what was read of its pack from an offset on.
pub(crate) fn stored(bytes: &[u8], from: u64, span: Span) -> &[u8] {
    let start = usize::try_from(span.offset - from).expect("a pack is at most 32 MiB");
    let len = usize::try_from(span.len).expect("a pack is at most 32 MiB");
    &bytes[start..start + len]
}

/// Gives the data key of a pack whose writer remembers it.
pub type PackKeys<'k> = Arc<dyn Fn(&PackId) -> Option<SecretKey> + Send + Sync + 'k>;

/// What unwraps the keys of the packs of one epoch.
struct Unwrapping {
    meta_private: SecretKey,
    data_private: Option<SecretKey>,
    psk: SecretKey,
}

impl Unwrapping {
    /// With the verify right.
    fn of(key: &KeyBundle) -> Option<(u32, Self)> {
        let unwrapping = Self {
            meta_private: key.verify.as_ref()?.meta_private.clone(),
            data_private: key.restore.as_ref().map(|keys| keys.data_private.clone()),
            psk: key.psk.clone(),
        };
        Some((key.epoch, unwrapping))
    }

    fn private(&self, class: KeyClass) -> Option<&SecretKey> {
        match class {
            KeyClass::Node => Some(&self.meta_private),
            KeyClass::Data => self.data_private.as_ref(),
        }
    }
}

/// Where the ciphers of a pack come from.
enum Ciphers<'k> {
    /// Unwrapped from its header, as the rights allow.
    Wrapped(BTreeMap<u32, Unwrapping>),
    /// From the memory of who wrote it: contents alone.
    Remembered(PackKeys<'k>),
}

impl Ciphers<'_> {
    /// A pack's cipher, or nothing without the right to it.
    fn of(
        &self,
        class: KeyClass,
        id: &PackId,
        header: &PackHeader,
    ) -> Option<Result<ChunkCipher, OpenError>> {
        match self {
            Self::Wrapped(epochs) => {
                let Some(keys) = epochs.get(&header.epoch) else {
                    return Some(Err(OpenError::OtherKey));
                };
                let private = keys.private(class);
                private.map(|private| header.open_key(class, private, &keys.psk))
            }
            Self::Remembered(_) if class == KeyClass::Node => None,
            Self::Remembered(keys) => keys(id).map(|key| header.remembered_key(class, &key)),
        }
    }

    fn read_data(&self) -> bool {
        match self {
            Self::Wrapped(epochs) => epochs.values().any(|keys| keys.data_private.is_some()),
            Self::Remembered(_) => true,
        }
    }
}

/// The keys with which one domain is read.
pub(crate) struct DomainReader<'k> {
    pub(super) domain: DomainId,
    index_keys: IndexKeys,
    node_id: Option<SecretKey>,
    pub(super) data_id: Option<SecretKey>,
    ciphers: Ciphers<'k>,
    repository: RepositoryId,
    benches: Benches,
    decodes: AtomicU64,
}

impl<'k> DomainReader<'k> {
    /// The keys for a domain, if the key has the verify right.
    pub(crate) fn new<S: ReadStore + ?Sized>(
        repository: &Repository<'_, S>,
        domain: DomainId,
    ) -> Result<Self, ReadError> {
        let key = repository.key();
        let not_allowed = || ReadError::NotAllowed { needed: "verify" };
        let ring = repository.ring();
        let index_keys = IndexKeys::of(ring, &domain);
        if key.verify.is_none() {
            return Err(not_allowed());
        }
        Ok(Self {
            domain,
            index_keys,
            node_id: key.node_id_key(&domain),
            data_id: key.restore.as_ref().and_then(|_| key.data_id_key(&domain)),
            ciphers: Ciphers::Wrapped(ring.all().filter_map(Unwrapping::of).collect()),
            repository: repository.id(),
            benches: Benches::default(),
            decodes: AtomicU64::new(0),
        })
    }

    /// The keys with which a writer reads the contents of its own domain, if it has
    /// the write right.
    pub(super) fn of_writer<S: ReadStore + ?Sized>(
        repository: &Repository<'_, S>,
        pack_keys: PackKeys<'k>,
    ) -> Option<Self> {
        let key = repository.key();
        let write = key.write.as_ref()?;
        Some(Self {
            domain: key.domain,
            index_keys: IndexKeys::of(repository.ring(), &key.domain),
            node_id: None,
            data_id: Some(write.data_id.clone()),
            ciphers: Ciphers::Remembered(pack_keys),
            repository: repository.id(),
            benches: Benches::default(),
            decodes: AtomicU64::new(0),
        })
    }

    /// Opens a pack's directory and keys.
    pub(crate) fn open(&self, id: &PackId, sealed: SealedDirectory) -> Result<ReadPack, PackError> {
        let header = sealed.header();
        if header.repository != self.repository || header.domain != self.domain {
            return Err(PackError::Foreign);
        }
        let index_key = self.index_keys.at(header.epoch)?;
        let pack = sealed.open(index_key)?;
        let node = self.ciphers.of(KeyClass::Node, id, &pack.header);
        let data = self.ciphers.of(KeyClass::Data, id, &pack.header);
        Ok(ReadPack {
            pack,
            node,
            data,
            whole: None,
        })
    }

    /// Opens a pack that was read whole, and keeps its bytes.
    pub(super) fn open_whole(&self, id: &PackId, bytes: Vec<u8>) -> Result<ReadPack, PackError> {
        let open = self.open(id, SealedDirectory::of_bytes(&bytes)?)?;
        Ok(ReadPack {
            whole: Some(bytes),
            ..open
        })
    }

    /// Decodes a chunk from the bytes that stand at its place, and from its bases,
    /// into a buffer as long as the chunk. After a fault nothing is said of what the
    /// buffer holds.
    pub(crate) fn decode(
        &self,
        pack: &ReadPack,
        number: usize,
        coded: Coded<'_>,
        plain: &mut [u8],
    ) -> Result<(), ChunkFault> {
        self.decode_unnamed(pack, number, coded, plain)?;
        self.check_id(record(pack, number)?, plain)
    }

    /// The same, of a chunk that is used as a base and for nothing else: the id of
    /// what leans on it tells whether it was right.
    pub(super) fn decode_unnamed(
        &self,
        pack: &ReadPack,
        number: usize,
        coded: Coded<'_>,
        plain: &mut [u8],
    ) -> Result<(), ChunkFault> {
        self.benches
            .with(|bench| self.decode_at(bench, pack, number, coded, plain))
    }

    /// Checks a chunk as [`decode`](Self::decode) does, and keeps nothing of it.
    pub(crate) fn check(
        &self,
        pack: &ReadPack,
        number: usize,
        coded: Coded<'_>,
    ) -> Result<(), ChunkFault> {
        let record = record(pack, number)?;
        let len = usize::try_from(record.plain_len).map_err(|_| ChunkFault::NotHere)?;
        self.benches.with(|bench| {
            let mut plain = std::mem::take(&mut bench.plain);
            let into = at_least(&mut plain, len);
            let checked = self
                .decode_at(bench, pack, number, coded, into)
                .and_then(|()| self.check_id(record, into));
            bench.plain = plain;
            checked
        })
    }

    /// Checks that a chunk's bytes are those that its writer sealed, and decodes
    /// nothing.
    pub(crate) fn check_seal(
        &self,
        pack: &ReadPack,
        number: usize,
        stored: &[u8],
    ) -> Result<(), ChunkFault> {
        let record = record(pack, number)?;
        self.benches
            .with(|bench| open_chunk(&mut bench.coded, pack, number, record, stored).map(|_| ()))
    }

    /// Decrypts and decodes a chunk.
    fn decode_at(
        &self,
        bench: &mut Bench,
        pack: &ReadPack,
        number: usize,
        Coded { stored, bases }: Coded<'_>,
        plain: &mut [u8],
    ) -> Result<(), ChunkFault> {
        let record = record(pack, number)?;
        assert_eq!(plain.len() as u64, u64::from(record.plain_len));
        self.decodes.fetch_add(1, Ordering::Relaxed);
        let coded = open_chunk(&mut bench.coded, pack, number, record, stored)?;
        let decoded = match record.coding {
            Coding::Delta => decode_delta(coded, bases, plain),
            coding => bench.decoder.decode(coding, coded, plain),
        };
        decoded.map_err(ChunkFault::Decode)
    }

    /// How often a chunk was decoded.
    pub(crate) fn decodes(&self) -> u64 {
        self.decodes.load(Ordering::Relaxed)
    }

    /// Whether a plaintext has the id that its record states.
    pub(super) fn check_id(&self, record: &Record, plain: &[u8]) -> Result<(), ChunkFault> {
        let class = known_class(record)?;
        let id_key = match KeyClass::of(class) {
            KeyClass::Node => &self.node_id,
            KeyClass::Data => &self.data_id,
        };
        let no_key = ChunkFault::Key(OpenError::OtherKey);
        let id_key = id_key.as_ref().ok_or(no_key)?;
        let identity = match class {
            Class::Data => Ok(plain),
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
        self.ciphers.read_data()
    }
}

fn record(pack: &ReadPack, number: usize) -> Result<&Record, ChunkFault> {
    let record = pack.pack.directory.records.get(number);
    record.ok_or(ChunkFault::NotHere)
}

fn known_class(record: &Record) -> Result<Class, ChunkFault> {
    let unknown = DecodeError::Unsupported(record.class);
    record.known_class().ok_or(ChunkFault::Decode(unknown))
}

/// Decrypts a chunk into a buffer, and gives its coded bytes there.
fn open_chunk<'b>(
    buffer: &'b mut Vec<u8>,
    pack: &ReadPack,
    number: usize,
    record: &Record,
    stored: &[u8],
) -> Result<&'b [u8], ChunkFault> {
    let class = known_class(record)?;
    let cipher = match KeyClass::of(class) {
        KeyClass::Node => &pack.node,
        KeyClass::Data => &pack.data,
    };
    let no_key = ChunkFault::Key(OpenError::OtherKey);
    let cipher = cipher.as_ref().ok_or(no_key)?;
    let cipher = cipher.as_ref().map_err(|error| ChunkFault::Key(*error))?;
    let number = u32::try_from(number).map_err(|_| ChunkFault::NotHere)?;
    let room = at_least(buffer, stored.len());
    let opened = cipher.decrypt_into(class, number, stored, room);
    opened.map_err(|_| ChunkFault::Altered)
}
