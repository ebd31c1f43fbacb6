//! A pack by itself: how chunks are coded, what fits, and which bytes are taken
//! for one.

use std::sync::Mutex;

use indelible_engine::pack::{
    Basis, CodedChunk, FinishedPack, OpenPack, PackBuilder, PackError, SealedDirectory, code,
};
use indelible_engine::store::faulty::Fate;
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey, StoreError};
use indelible_format::bundle::KeyBundle;
use indelible_format::coding::{Class, Coding};
use indelible_format::directory::{Base, Directory, DirectoryError, Record};
use indelible_format::ids::{ChunkId, PackId, RepositoryId};
use indelible_format::limits::{
    DELTA_BASES_MAX, DIRECTORY_PACKS_MAX, PACK_BYTES_MAX, PACK_CHUNKS_MAX,
};
use indelible_format::pack::{HEADER_BYTES, PackRecipients, TRAILER_BYTES, encode_trailer};
use indelible_format::places::Place;
use indelible_format::seal::TAG_BYTES;
use indelible_format::secret::SecretKey;
use indelible_format::wire::LayoutError;

use crate::support::{Fixture, noise};

/// What a record of the directory takes without bases, bytes (SPEC 6.4).
const RECORD_BYTES: usize = 44;
/// Header and trailer, bytes.
const FRAME_BYTES: usize = HEADER_BYTES + TRAILER_BYTES;

fn index_key(fixture: &Fixture) -> &SecretKey {
    &fixture.bundle.write.as_ref().expect("every right").index
}

fn begin(fixture: &Fixture) -> PackBuilder {
    let KeyBundle {
        domain,
        ref data_public,
        ref meta_public,
        ref psk,
        ..
    } = fixture.bundle;
    let to = PackRecipients {
        repository: RepositoryId([1; 32]),
        domain,
        epoch: 0,
        data_public,
        meta_public,
        psk,
    };
    PackBuilder::new(&to, index_key(fixture), &fixture.env).expect("the keys are usable")
}

/// A chunk of this coded length.
fn chunk(coded_len: usize) -> CodedChunk {
    CodedChunk {
        id: ChunkId([7; 32]),
        class: Class::Data,
        coding: Coding::Raw,
        plain_len: 1,
        coded: vec![0; coded_len],
        basis: Basis::default(),
    }
}

/// A pack of so many chunks of five bytes.
fn pack_of(fixture: &Fixture, chunks: usize) -> FinishedPack {
    let mut pack = begin(fixture);
    pack.add((0..chunks).map(|_| chunk(5)).collect());
    pack.finish()
}

/// These bytes between a pack's header and its directory, which ends with a
/// trailer that states this length.
fn assembled(header: &[u8], chunks: &[u8], directory: &[u8], stated: usize) -> Vec<u8> {
    [header, chunks, directory, &encode_trailer(stated)].concat()
}

/// The layout that a pack is refused for, if it is refused for its end.
fn refused(parts: Result<SealedDirectory, PackError>) -> LayoutError {
    match parts {
        Err(PackError::Trailer(error)) => error,
        other => panic!("not refused for its end: {other:?}"),
    }
}

/// A plaintext is compressed only where that makes it shorter.
///
/// Method: noise with ever more zeros behind it, so that zstd's frame is longer at
/// first, then as long, then shorter.
#[test]
fn a_plaintext_is_compressed_where_that_is_shorter() {
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    let mut met = Vec::new();
    for zeros in 0..64 {
        let plain = [noise(1, 100), vec![0; zeros]].concat();
        let frame = compressor.compress(&plain).unwrap();
        let order = frame.len().cmp(&plain.len());
        met.push(order);
        let (coding, coded) = code(&mut compressor, &plain);
        if order.is_lt() {
            assert_eq!((coding, coded), (Coding::Zstd, frame));
        } else {
            assert_eq!((coding, coded), (Coding::Raw, plain));
        }
    }
    met.dedup();
    assert!(met.is_sorted_by(|one, next| one > next), "{met:?}");
    assert_eq!(met.len(), 3, "{met:?}");
}

/// A pack under way knows how long it would be.
///
/// Method: packs of some chunks, counted and measured before they are finished.
#[test]
fn a_pack_knows_its_size() {
    let fixture = Fixture::new(91);
    for chunks in [0, 1, 2, 7] {
        let mut pack = begin(&fixture);
        let first = pack.add((0..chunks).map(chunk).collect());
        assert_eq!(first, 0);
        assert_eq!(pack.len(), chunks);
        assert_eq!(pack.is_empty(), chunks == 0);
        let size = pack.size_bytes();
        assert_eq!(pack.finish().bytes.len(), size, "{chunks} chunks");
    }
}

/// A pack takes as many bytes as the format allows, and not one more.
///
/// Method: with no, one and two chunks in it, each of which makes it longer by as
/// much as the format says, ask for one, two and three more of just the room that
/// is left, and of a byte more.
#[test]
fn a_pack_takes_what_fits() {
    let fixture = Fixture::new(92);
    let mut pack = begin(&fixture);
    for held in 0..3 {
        for more in 1..=3 {
            let room = PACK_BYTES_MAX - pack.size_bytes() - more * (TAG_BYTES + RECORD_BYTES);
            assert!(pack.fits(more, room, 0), "{more} beside {held}");
            assert!(!pack.fits(more, room + 1, 0), "{more} beside {held}");
        }
        let before = pack.size_bytes();
        assert_eq!(pack.add(vec![chunk(1_000)]), held);
        let grown = pack.size_bytes() - before;
        assert_eq!(grown, 1_000 + TAG_BYTES + RECORD_BYTES);
    }
}

/// A pack takes as many chunks as the format allows, and not one more.
///
/// Method: with no, one and two chunks in it, ask for all that are left, and for
/// one more; then fill it with them, and open it.
#[test]
fn a_pack_takes_so_many_chunks() {
    let fixture = Fixture::new(93);
    let mut pack = begin(&fixture);
    for held in 0..3 {
        assert!(pack.fits(PACK_CHUNKS_MAX - held, 0, 0));
        assert!(!pack.fits(PACK_CHUNKS_MAX - held + 1, 0, 0));
        pack.add(vec![chunk(0)]);
    }
    pack.add((3..PACK_CHUNKS_MAX).map(|_| chunk(0)).collect());
    assert!(!pack.fits(1, 0, 0));
    let sealed = SealedDirectory::of_bytes(&pack.finish().bytes).unwrap();
    let open = sealed.open(index_key(&fixture)).unwrap();
    assert_eq!(open.spans.len(), PACK_CHUNKS_MAX);
}

/// A directory says where the bases of its chunks lie, and names each other pack
/// once; the room for both is counted.
///
/// Method: two batches of chunks that lean on chunks of this pack and of two others;
/// measure before finishing, open, and look up what the directory says. Then ask for
/// as many bases as could fill the table, and for one more.
#[test]
fn a_pack_names_bases() {
    let fixture = Fixture::new(96);
    let mut pack = begin(&fixture);
    let own = pack.provisional();
    let others = [PackId([1; 32]), PackId([2; 32])];
    let place = |pack, number| Place { pack, number };
    let leaning = |depth, bases: &[Place]| CodedChunk {
        coding: Coding::Delta,
        basis: Basis {
            depth,
            bases: bases.to_vec(),
        },
        ..chunk(40)
    };
    let bases = [
        vec![place(others[1], 8_191)],
        vec![place(own, 0), place(others[0], 3), place(others[1], 5)],
    ];
    pack.add(vec![chunk(9), leaning(3, &bases[0])]);
    pack.add(vec![leaning(16, &bases[1])]);
    let room = DIRECTORY_PACKS_MAX - 2;
    assert!(pack.fits(1, 0, room) && !pack.fits(1, 0, room + 1));
    let room = PACK_BYTES_MAX - pack.size_bytes() - TAG_BYTES - RECORD_BYTES - 3 * (4 + 32);
    assert!(pack.fits(1, room, 3) && !pack.fits(1, room + 1, 3));

    let size = pack.size_bytes();
    let finished = pack.finish();
    assert_eq!(finished.bytes.len(), size);
    let sealed = SealedDirectory::of_bytes(&finished.bytes).unwrap();
    let directory = sealed.open(index_key(&fixture)).unwrap().directory;
    assert_eq!(directory.packs, [others[1], others[0]]);
    let table = [own, others[1], others[0]];
    let found = directory.records.iter().map(|record| {
        let bases = record.bases.iter();
        let bases = bases.map(|base| place(table[usize::from(base.slot)], base.number));
        (record.depth, bases.collect::<Vec<_>>())
    });
    let [one, two] = bases;
    assert!(found.eq([(0, Vec::new()), (3, one), (16, two)]));
}

/// Nothing makes a pack longer than the format allows.
///
/// Method: add a chunk that is a byte too long, without asking.
#[test]
#[should_panic = "the caller asked whether they fit"]
fn a_chunk_that_does_not_fit_is_our_mistake() {
    let mut pack = begin(&Fixture::new(94));
    let room = PACK_BYTES_MAX - pack.size_bytes() - TAG_BYTES - RECORD_BYTES;
    pack.add(vec![chunk(room + 1)]);
}

/// Nothing gives a pack more chunks than the format allows.
///
/// Method: add one too many, without asking.
#[test]
#[should_panic = "the caller asked whether they fit"]
fn a_chunk_too_many_is_our_mistake() {
    let mut pack = begin(&Fixture::new(95));
    pack.add((0..=PACK_CHUNKS_MAX).map(|_| chunk(0)).collect());
}

/// A directory is the same wherever it comes from, and says where each chunk
/// stands; a store is asked no more than it must be.
///
/// Method: packs without chunks, with few, and with as many as make the directory
/// just short and just too long for the first read of the end; from a store that
/// counts, from the bytes and from the copies that clients keep.
#[test]
fn a_directory_is_the_same_from_everywhere() {
    let fixture = Fixture::new(96);
    for (chunks, reads) in [(0, 2), (1, 2), (3, 2), (1_487, 2), (1_488, 3), (2_000, 3)] {
        let pack = pack_of(&fixture, chunks);
        let len = u32::try_from(pack.bytes.len()).unwrap();
        let memory = MemoryStore::new();
        memory.replace(&ObjectKey::Pack(pack.id), &pack.bytes);
        let store = FaultyStore::new(&memory, |_| Fate::Done);
        let fetched = SealedDirectory::fetch(&store, &pack.id, len).unwrap();
        assert_eq!(store.calls(), reads, "{chunks} chunks");
        let copy = pack.directory_copy();
        assert_eq!(fetched.copy(&pack.id, index_key(&fixture)), copy);
        let parts = [
            fetched,
            SealedDirectory::of_bytes(&pack.bytes).unwrap(),
            SealedDirectory::of_copy(&copy, &pack.id, len, index_key(&fixture)).unwrap(),
        ];
        for part in parts {
            let header = part.header().clone();
            assert_eq!(header.encode(), pack.bytes[..HEADER_BYTES]);
            let open = part.open(index_key(&fixture)).unwrap();
            assert_eq!(open.header, header);
            assert_eq!(open.directory.records.len(), chunks);
            assert_eq!(stands(&open), pack.directory_at, "{chunks} chunks");
        }
    }
}

/// Where the last chunk ends, if they stand one behind the other.
fn stands(open: &OpenPack) -> usize {
    let records = open.directory.records.iter();
    let end = records
        .zip(&open.spans)
        .fold(HEADER_BYTES as u64, |at, (record, span)| {
            assert_eq!((span.offset, span.len), (at, record.stored_len));
            at + u64::from(span.len)
        });
    usize::try_from(end).unwrap()
}

/// What is too short for a pack is refused before anything is read, and what is
/// just long enough is looked at.
///
/// Method: around the length of header and trailer, from a store that keeps a
/// record, from bytes, and from copies.
#[test]
fn what_is_too_short_is_no_pack() {
    let fixture = Fixture::new(97);
    let short = LayoutError::Truncated { field: "pack" };
    let pack = pack_of(&fixture, 0);
    let header = &pack.bytes[..HEADER_BYTES];
    let bare = assembled(header, &[], &[], 0);
    assert_eq!(bare.len(), FRAME_BYTES);

    let memory = MemoryStore::new();
    let id = PackId([3; 32]);
    let asked = Mutex::new(Vec::new());
    let store = FaultyStore::new(&memory, |call| {
        asked.lock().unwrap().push(call.request);
        Fate::Done
    });
    let len = u32::try_from(FRAME_BYTES).unwrap();
    for short_len in [0, len / 2, len - 1] {
        let parts = SealedDirectory::fetch(&store, &id, short_len);
        assert_eq!(refused(parts), short);
    }
    assert!(asked.lock().unwrap().is_empty());
    assert!(matches!(
        SealedDirectory::fetch(&store, &id, len),
        Err(PackError::Store(StoreError::NotFound { .. }))
    ));
    memory.replace(&ObjectKey::Pack(id), &bare);
    let fetched = SealedDirectory::fetch(&store, &id, len).unwrap();

    for short_len in [0, FRAME_BYTES / 2, FRAME_BYTES - 1] {
        let parts = SealedDirectory::of_bytes(&bare[..short_len]);
        assert_eq!(refused(parts), short);
    }
    let whole = SealedDirectory::of_bytes(&bare).unwrap();

    let copy = whole.copy(&id, index_key(&fixture));
    assert_eq!(copy.len(), 32 + HEADER_BYTES);
    let taken = |copy, len| SealedDirectory::of_copy(copy, &id, len, index_key(&fixture));
    let parts = taken(&copy[1..], len);
    assert!(matches!(refused(parts), LayoutError::Truncated { .. }));
    assert_eq!(refused(taken(&copy, len - 1)), short);
    let kept = taken(&copy, len).unwrap();
    for part in [fetched, whole, kept] {
        assert!(matches!(
            part.open(index_key(&fixture)),
            Err(PackError::Directory(DirectoryError::Open(_)))
        ));
    }
}

/// A trailer can't state a directory that the pack has no room for.
///
/// Method: the trailer states just the room between header and trailer, which is
/// then taken for the directory; and one byte more.
#[test]
fn a_directory_lies_within_its_pack() {
    let fixture = Fixture::new(98);
    let pack = pack_of(&fixture, 1);
    let header = &pack.bytes[..HEADER_BYTES];
    let between = &pack.bytes[HEADER_BYTES..pack.bytes.len() - TRAILER_BYTES];
    let memory = MemoryStore::new();
    let key = ObjectKey::Pack(pack.id);
    let len = u32::try_from(pack.bytes.len()).unwrap();

    let filled = assembled(header, &[], between, between.len());
    memory.replace(&key, &filled);
    for parts in [
        SealedDirectory::fetch(&memory, &pack.id, len),
        SealedDirectory::of_bytes(&filled),
    ] {
        let copy = parts.unwrap().copy(&pack.id, index_key(&fixture));
        assert_eq!(copy[32..], [header, between].concat());
    }
    let beyond = assembled(header, &[], between, between.len() + 1);
    memory.replace(&key, &beyond);
    for parts in [
        SealedDirectory::fetch(&memory, &pack.id, len),
        SealedDirectory::of_bytes(&beyond),
    ] {
        assert!(matches!(refused(parts), LayoutError::OutOfBounds { .. }));
    }
}

/// The fullest directory that the format allows is read, and none that is longer.
///
/// Method: seal one with every other pack, every chunk and every base, and open
/// it; then let the trailer of a pack with room enough state a byte more.
#[test]
fn the_fullest_directory_is_read() {
    let fixture = Fixture::new(99);
    let bare = SealedDirectory::of_bytes(&pack_of(&fixture, 0).bytes).unwrap();
    let header = bare.header();
    let delta = Record {
        id: ChunkId([7; 32]),
        class: Class::Data.to_byte(),
        coding: Coding::from_byte(2),
        stored_len: u32::try_from(TAG_BYTES).unwrap(),
        plain_len: 1,
        depth: 1,
        bases: vec![Base { slot: 1, number: 0 }; DELTA_BASES_MAX],
    };
    let fullest = Directory {
        packs: vec![PackId([3; 32]); DIRECTORY_PACKS_MAX],
        records: vec![delta; PACK_CHUNKS_MAX],
    };
    let sealed = fullest.seal(header, index_key(&fixture));
    let chunks = vec![0; PACK_CHUNKS_MAX * TAG_BYTES];
    let pack = assembled(&header.encode(), &chunks, &sealed, sealed.len());
    let open = SealedDirectory::of_bytes(&pack)
        .and_then(|parts| parts.open(index_key(&fixture)))
        .unwrap();
    assert_eq!(open.directory, fullest);
    let longer = assembled(&header.encode(), &chunks, &sealed, sealed.len() + 1);
    let parts = SealedDirectory::of_bytes(&longer);
    assert!(matches!(refused(parts), LayoutError::OutOfBounds { .. }));
}

/// A kept copy of a directory is that of its pack and of no other, whoever made it, and
/// says of which epoch it is.
///
/// Method: the copies of who built a pack and of who fetched its directory, taken as that
/// of the pack, of another one, under another key, with each byte changed, and cut.
#[test]
fn a_kept_copy_is_bound_to_its_pack() {
    let fixture = Fixture::new(76);
    let built = pack_of(&fixture, 3);
    let store = MemoryStore::new();
    store.replace(&ObjectKey::Pack(built.id), &built.bytes);
    let len = u32::try_from(built.bytes.len()).expect("it is small");
    let key = index_key(&fixture);
    let fetched = SealedDirectory::fetch(&store, &built.id, len).expect("it is there");
    // What lies in front of the chunks and behind them, but for the trailer.
    let chunks = 3 * (5 + TAG_BYTES);
    let around = built.bytes.len() - chunks - TRAILER_BYTES;
    assert_eq!(fetched.size_bytes(), around);
    let copy = built.directory_copy();
    assert_eq!(fetched.copy(&built.id, key), copy);
    let of = |copy: &[u8], pack: &PackId, key: &SecretKey| {
        SealedDirectory::of_copy(copy, pack, len, key).map(|sealed| sealed.size_bytes())
    };
    assert_eq!(of(&copy, &built.id, key).ok(), Some(fetched.size_bytes()));
    assert_eq!(SealedDirectory::epoch_of_copy(&copy), Some(0));
    let others = [
        of(&copy, &PackId([1; 32]), key),
        of(&copy, &built.id, &SecretKey::new([1; 32])),
    ];
    for other in others {
        assert!(matches!(other, Err(PackError::Copy)), "{other:?}");
    }
    for at in 0..copy.len() {
        let mut changed = copy.clone();
        changed[at] ^= 1;
        of(&changed, &built.id, key).expect_err("it is another's");
    }
    of(&copy[..40], &built.id, key).expect_err("it is cut");
    assert_eq!(SealedDirectory::epoch_of_copy(&copy[..40]), None);
}
