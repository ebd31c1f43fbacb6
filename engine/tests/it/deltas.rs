//! Chunks that lean on others, as readers meet them.

mod damage;
mod hostile;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::read::Reader;
use indelible_engine::repository::Repository;
use indelible_engine::store::faulty::{Fate, Request};
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey};
use indelible_format::secret::SecretKey;

use crate::support::deltas::{Kept, Line, data_keys, plain_of};
use crate::support::tree::Insider;
use crate::support::{Fixture, noise, restore_stream, rows, snapshot_at};

/// A later generation of some bytes: a few of them change.
fn next(plain: &[u8], generation: u64) -> Vec<u8> {
    let mut plain = plain.to_vec();
    let at = usize::try_from(generation * 97).expect("small") % plain.len();
    for (byte, new) in plain[at..].iter_mut().zip(noise(generation, 24)) {
        *byte = new;
    }
    plain
}

/// Generations of a stream of so many chunks of this length, each leaning on its
/// neighbours in the one before. Gives the snapshots' numbers with their chunks.
fn generations(
    line: &mut Line<'_>,
    count: u64,
    (chunks, len): (u64, usize),
    neighbours: usize,
) -> Vec<(u64, Vec<Kept>)> {
    let mut all: Vec<(u64, Vec<Kept>)> = Vec::new();
    for generation in 0..count {
        let taken = line.snapshot(|pack| match all.last() {
            None => (0..chunks)
                .map(|seed| pack.keep(noise(1_000 + seed, len), &[]))
                .collect(),
            Some((_, before)) => before
                .iter()
                .enumerate()
                .map(|(at, own)| {
                    let from = at.min(before.len().saturating_sub(neighbours));
                    let bases: Vec<&Kept> = before[from..].iter().take(neighbours).collect();
                    pack.keep(next(&own.plain, generation), &bases)
                })
                .collect(),
        });
        all.push(taken);
    }
    all
}

/// Reads the stream of a snapshot window by window, as a restore does, and gives it
/// with the number of times that a base was decoded.
fn read_windows(
    repository: &Repository<'_, MemoryStore>,
    number: u64,
    window: u64,
) -> (Vec<u8>, u64) {
    let snapshot = snapshot_at(repository, number);
    let (listings, _) = repository.listings();
    let reader = Reader::new(repository, &listings, snapshot.binding.domain);
    let reader = reader.expect("the key may restore").wanting_contents();
    let mut bytes = Vec::new();
    let list = reader.entries(&snapshot.manifest.list).expect("the list");
    for entry in list {
        let (entry, place) = entry.expect("an entry");
        let root = entry.own_root().zip(place).expect("a stream");
        let root = indelible_format::node::PlacedRoot {
            root: root.0,
            place: root.1,
        };
        let mut walk = reader.walk(&root, 0, root.root.len);
        loop {
            let parts = walk.window(window);
            if parts.is_empty() {
                break;
            }
            let decoded = reader.decode(reader.fetch(parts));
            for (_, part) in decoded.parts() {
                bytes.extend_from_slice(part.expect("the part is read"));
            }
            reader.recycle(decoded);
        }
    }
    (bytes, reader.base_decodes())
}

/// Every generation restores, at every depth, from one base and from four.
///
/// Method: seventeen generations, so that the last is as deep as can be.
#[test]
fn every_depth_restores() {
    for neighbours in [1, 4] {
        let fixture = Fixture::new(900);
        let mut line = Line::new(&fixture);
        let all = generations(&mut line, 17, (9, 3_000), neighbours);
        assert_eq!(all[16].1[0].depth, 16);
        let repository = fixture.open();
        for (number, chunks) in &all {
            assert_eq!(restore_stream(&repository, *number), Ok(plain_of(chunks)));
        }
    }
}

/// Bases lie in the chunk's own pack, too.
///
/// Method: one snapshot of chunks that each lean on the one before them.
#[test]
fn bases_in_the_same_pack_restore() {
    let fixture = Fixture::new(901);
    let mut line = Line::new(&fixture);
    let (number, chunks) = line.snapshot(|pack| {
        let mut chunks = vec![pack.keep(rows(0..100), &[])];
        for generation in 1..=16 {
            let last = chunks.last().expect("the first").clone();
            chunks.push(pack.keep(next(&last.plain, generation), &[&last]));
        }
        chunks
    });
    assert_eq!(
        restore_stream(&fixture.open(), number),
        Ok(plain_of(&chunks))
    );
}

/// A restore decodes each base once, nearly, whatever the depth.
///
/// Method: ten generations of more plaintext than is kept, read window by window,
/// with one base a chunk and with two that neighbours share.
#[test]
fn a_base_is_decoded_once_for_its_neighbours() {
    let (chunks, generations_count) = (192, 10);
    for neighbours in [1, 2] {
        let fixture = Fixture::new(902);
        let mut line = Line::new(&fixture);
        let all = generations(&mut line, generations_count, (chunks, 48 << 10), neighbours);
        let (number, last) = all.last().expect("generations");
        let (bytes, decodes) = read_windows(&fixture.open(), *number, 1 << 20);
        assert!(bytes == plain_of(last), "it is the stream");
        let distinct = chunks * (generations_count - 1);
        assert!(
            decodes * 10 <= distinct * 11,
            "{decodes} decodings of {distinct} bases"
        );
    }
}

/// A writer that reads nothing else reads what it leans on, with the keys of packs
/// that it remembers.
///
/// Method: ask for the chunks of a deep generation with the keys of all packs, of
/// all but the first, and of none, and with wrong places and ids.
#[test]
fn a_writer_reads_what_it_leans_on() {
    let fixture = Fixture::new(903);
    let mut line = Line::new(&fixture);
    let all = generations(&mut line, 5, (40, 2_000), 2);
    let last = &all[4].1;
    let wanted: Vec<_> = last.iter().map(|kept| (kept.id, kept.place)).collect();
    let plains = |known: usize| -> Vec<Option<Arc<Vec<u8>>>> {
        let keys = data_keys(&fixture);
        let known: BTreeSet<_> = all[5 - known..]
            .iter()
            .map(|all| all.1[0].place.pack)
            .collect();
        let repository = fixture.open_as(line.insider.credential());
        let (listings, _) = repository.listings();
        let reader = Reader::of_writer(
            &repository,
            &listings,
            Arc::new(move |pack| keys.get(pack).filter(|_| known.contains(pack)).cloned()),
        );
        reader.expect("it is a write key").bases(&wanted)
    };
    let right: Vec<_> = last
        .iter()
        .map(|kept| Some(Arc::clone(&kept.plain)))
        .collect();
    assert_eq!(plains(5), right);
    assert_eq!(plains(4), vec![None; last.len()]);
    assert_eq!(plains(0), vec![None; last.len()]);

    let repository = fixture.open_as(line.insider.credential());
    let (listings, _) = repository.listings();
    let wrong = Arc::new(|_: &_| Some(SecretKey::new([3; 32])));
    let reader = Reader::of_writer(&repository, &listings, wrong).expect("as before");
    assert_eq!(reader.bases(&wanted), vec![None; last.len()]);
}

/// A writer that may restore needs no memory of keys.
///
/// Method: the first key writes three generations, and asks for the last.
#[test]
fn a_writer_that_may_restore_reads_by_its_right() {
    let fixture = Fixture::new(906);
    let (key, credential) = (fixture.bundle.clone(), fixture.recovery.clone());
    let mut line = Line::of(Insider::with_key(&fixture, key, credential));
    let all = generations(&mut line, 3, (5, 2_000), 1);
    let repository = fixture.open();
    let (listings, _) = repository.listings();
    let reader = Reader::of_writer(&repository, &listings, Arc::new(|_| None));
    let last = all[2].1.iter();
    let wanted: Vec<_> = last.clone().map(|kept| (kept.id, kept.place)).collect();
    let right: Vec<_> = last.map(|kept| Some(Arc::clone(&kept.plain))).collect();
    assert_eq!(reader.expect("it has every right").bases(&wanted), right);
    // What stands there under another id is not it.
    let wrong = [(wanted[0].0, wanted[1].1)];
    let reader = Reader::of_writer(&repository, &listings, Arc::new(|_| None));
    assert_eq!(reader.expect("as before").bases(&wrong), [None]);
}

/// A restore asks for the packs of bases in few requests, whatever the depth.
///
/// Method: ten generations of 64 chunks; count what is read of packs for the last.
#[test]
fn bases_are_read_together() {
    let fixture = Fixture::new(905);
    let mut line = Line::new(&fixture);
    let all = generations(&mut line, 10, (64, 16 << 10), 2);
    let (number, last) = all.last().expect("generations");
    let reads = AtomicU64::new(0);
    let store = FaultyStore::new(&fixture.store, |call| {
        if matches!(call.request, Request::Read(ObjectKey::Pack(_))) {
            reads.fetch_add(1, Ordering::SeqCst);
        }
        Fate::Done
    });
    let repository = Repository::open(&store, None, &fixture.recovery, fixture.env.clone());
    let repository = repository.expect("it opens");
    let restored = restore_stream(&repository, *number);
    assert!(restored == Ok(plain_of(last)), "it is the stream");
    // The list is walked by a reader of its own, which reads one pack's tree: header,
    // end, and three pages and nodes. Then nine small packs whole, and of the first
    // and largest the header, the end and all chunks at once.
    let reads = reads.load(Ordering::SeqCst);
    assert!(reads <= 5 + 9 + 3, "{reads} requests");
}
