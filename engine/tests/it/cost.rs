//! What a snapshot costs: as much as is new, and never a byte for what is not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::pack::SealedDirectory;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::restore::Restore;
use indelible_engine::state::State;
use indelible_engine::store::faulty::{Fate, Request};
use indelible_engine::store::{FaultyStore, ObjectKey};
use indelible_format::ids::ChunkId;
use indelible_format::rights::Rights;

use crate::support::{
    FINE, Fixture, noise, object, packs, restore_stream, rows, snapshot_at, take_stream,
};

/// An unchanged snapshot is one object, under whatever NAME.
///
/// Method: count the store's objects; store the same stream again, under the
/// same NAME and under another.
#[test]
fn an_unchanged_snapshot_is_one_object() {
    let fixture = Fixture::new(31);
    let bytes = rows(0..20_000);
    fixture.snapshot_of("shop", &bytes);
    for name in ["shop", "shop-copy"] {
        let before = fixture.store.keys();
        let summary = fixture.snapshot_of(name, &bytes);
        let after = fixture.store.keys();
        let added: Vec<_> = after.iter().filter(|key| !before.contains(key)).collect();
        assert_eq!(added, [&ObjectKey::Log(summary.number)]);
        assert_eq!(summary.packs, 0);
        assert_eq!(summary.accounting.new_chunks, 0);
        assert_eq!(summary.accounting.added_bytes, 0);
    }
}

/// A small snapshot is two objects: a pack and the log entry.
///
/// Method: count the store's objects around the first and around a changed one.
#[test]
fn a_small_snapshot_is_two_objects() {
    let fixture = Fixture::new(32);
    for bytes in [rows(0..3_000), rows(1..3_001)] {
        let before = fixture.store.keys().len();
        fixture.snapshot_of("shop", &bytes);
        assert_eq!(fixture.store.keys().len(), before + 2);
    }
}

/// An edit costs the chunks that it touches and the nodes above, wherever it is.
///
/// Method: change, insert and remove one byte at the start, in the middle and at
/// the end of a megabyte of noise; each adds at most three chunks of content and
/// 32 KiB in all.
#[test]
fn an_edit_costs_little() {
    let fixture = Fixture::new(33);
    let bytes = noise(1, 1 << 20);
    fixture.snapshot_of("shop", &bytes);
    for at in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let mut inserted = bytes.clone();
        inserted.insert(at, 7);
        let mut removed = bytes.clone();
        removed.remove(at);
        for edited in [changed, inserted, removed] {
            let summary = fixture.snapshot_of("shop", &edited);
            let cost = summary.accounting;
            assert!(cost.new_chunks <= 3, "{cost:?} at {at}");
            assert!(cost.added_bytes <= 32 << 10, "{cost:?} at {at}");
        }
    }
}

/// Content that repeats within one stream is stored once.
///
/// Method: the same noise eight times over costs little more than once.
#[test]
fn repeats_are_stored_once() {
    let fixture = Fixture::new(34);
    let once = noise(1, 100_000);
    let summary = fixture.snapshot_of("shop", &once.repeat(8));
    assert!(
        summary.accounting.new_bytes < 130_000,
        "{:?}",
        summary.accounting
    );
}

/// The ids in the directories of some packs.
fn ids(fixture: &Fixture, packs: &[indelible_format::ids::PackId]) -> BTreeSet<ChunkId> {
    let mut ids = BTreeSet::new();
    for pack in packs {
        let bytes = object(&fixture.store, &ObjectKey::Pack(*pack));
        let sealed = SealedDirectory::of_bytes(&bytes).unwrap();
        let index = fixture.bundle.index_key(&sealed.header().domain).unwrap();
        let open = sealed.open(&index).unwrap();
        ids.extend(open.directory.records.iter().map(|record| record.id));
    }
    ids
}

/// Two domains share nothing, not even an id.
///
/// Method: the administrator and a write key store the same stream; the second
/// costs as much as the first, and no chunk id stands in both's directories.
#[test]
fn domains_share_nothing() {
    let fixture = Fixture::new(35);
    let bytes = rows(0..2_000);
    fixture.snapshot_of("shop", &bytes);
    let first = packs(&fixture.store);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let summary = take_stream(&mut fixture.open_as(&writer), "shop", &bytes).unwrap();
    assert_eq!(summary.accounting.new_bytes, bytes.len() as u64);
    let second: Vec<_> = packs(&fixture.store)
        .into_iter()
        .filter(|pack| !first.contains(pack))
        .collect();
    let (one, other) = (ids(&fixture, &first), ids(&fixture, &second));
    assert!(!one.is_empty() && !other.is_empty());
    assert!(one.is_disjoint(&other));
    // And within its own domain the write key shares everything.
    let again = take_stream(&mut fixture.open_as(&writer), "shop", &bytes).unwrap();
    assert_eq!(again.packs, 0);
}

/// A pack that was destroyed is stored anew, and not leaned on.
///
/// Method: destroy the only pack, or cut it; the next snapshot of the same
/// stream stores it again and restores, also where the client has kept a copy of
/// the pack's directory.
#[test]
fn destroyed_packs_are_stored_anew() {
    for (cut, remembers) in [(false, false), (false, true), (true, false), (true, true)] {
        let fixture = Fixture::new(36);
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let open = || {
            if remembers {
                fixture.open_with(&state)
            } else {
                fixture.open()
            }
        };
        let bytes = rows(0..2_000);
        take_stream(&mut open(), "shop", &bytes).unwrap();
        let key = ObjectKey::Pack(packs(&fixture.store)[0]);
        if cut {
            let len = object(&fixture.store, &key).len();
            fixture.store.truncate(&key, len - 1);
        } else {
            fixture.store.forget(&key);
        }
        let summary = take_stream(&mut open(), "shop", &bytes).unwrap();
        assert_eq!(summary.packs, 1);
        assert!(restore_stream(&fixture.open(), summary.number).unwrap() == bytes);
    }
}

/// Restoring a small snapshot reads its pack once.
///
/// Method: count the reads of packs.
#[test]
fn a_small_pack_is_read_in_one_request() {
    let fixture = Fixture::new(37);
    let bytes = noise(37, 100_000);
    let number = fixture.snapshot_of("shop", &bytes).number;
    let reads = AtomicU64::new(0);
    let store = FaultyStore::new(&fixture.store, |call| {
        if matches!(call.request, Request::Read(ObjectKey::Pack(_))) {
            reads.fetch_add(1, Ordering::SeqCst);
        }
        Fate::Done
    });
    let repository = Repository::open(&store, None, &fixture.recovery, fixture.env.clone());
    let repository = repository.expect("it opens");
    let snapshot = snapshot_at(&repository, number);
    let (listings, _) = repository.listings();
    let cancel = Cancel::new();
    let restore = Restore::new(&repository, &listings, &snapshot, &cancel, &Silent).unwrap();
    let mut written = Vec::new();
    restore.to_writer(None, &mut written).unwrap();
    assert!(written == bytes);
    assert_eq!(reads.load(Ordering::SeqCst), 1);
}

/// A run with more new chunks than memory keeps stores each once all the same.
///
/// Method: a first snapshot of some 85,000 chunks whose beginning comes again at
/// the end, by a client with a state, which moves chunks to its index on the way,
/// also while packs are on theirs to a distant store, and by one without; compare what
/// they stored, and restore.
#[test]
fn more_new_chunks_than_memory_keeps_are_stored_once() {
    let bytes = noise(5, 24 << 20);
    let bytes = [&bytes[..], &bytes[..1 << 20]].concat();
    let mut stored = Vec::new();
    for (is_kept, is_distant) in [(true, false), (true, true), (false, false)] {
        let fixture = Fixture::with_chunker(37, FINE);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(dir.path()).expect("it is writable");
        let state = is_kept.then_some(&state);
        let store = FaultyStore::new(&fixture.store, |_| Fate::Done);
        let store = if is_distant { store.distant() } else { store };
        let repository = Repository::open(&store, state, &fixture.recovery, fixture.env.clone());
        let mut repository = repository.expect("it opens");
        let summary = take_stream(&mut repository, "shop", &bytes).expect("a snapshot");
        assert!(summary.accounting.new_chunks > 70_000);
        assert!(summary.accounting.new_bytes < (24 << 20) + 2_048);
        assert_eq!(
            restore_stream(&repository, summary.number).as_ref(),
            Ok(&bytes)
        );
        stored.push((summary.accounting.new_chunks, summary.accounting.new_bytes));
    }
    assert!(stored.windows(2).all(|two| two[0] == two[1]), "{stored:?}");
}
