//! Long logs, read by their bundles: what that saves, and that it changes no answer,
//! whatever stands in a bundle and whoever made it.

mod hostile;

use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::keys::Credential;
use indelible_engine::log::{self, Signed};
use indelible_engine::mirror::mirror;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::store::faulty::{Fate, Fault, Request};
use indelible_engine::store::{AppendStore, FaultyStore, MemoryStore, ObjectKey, ReadStore as _};
use indelible_format::attest::Level;
use indelible_format::bundle::KeyBundle;
use indelible_format::entry::Draft;
use indelible_format::history::History;
use indelible_format::ids::{CommitId, LogHash};
use indelible_format::log_bundle::LogBundle;
use indelible_format::merkle::{Frontier, leaf_hash};
use indelible_format::rights::Rights;

use crate::support::{
    Client, Fixture, attest, key_file, key_request, object, restore_stream, rows, take_stream,
};

/// The key in a key file.
fn bundle(credential: &Credential) -> &KeyBundle {
    match credential {
        Credential::KeyFile(file) => &file.bundle,
        Credential::Passphrase(_) => panic!("a key file"),
    }
}

/// Fills the log up to a size with entries that these keys sign in turn, straight into
/// the store. What is `junk` at its number stands there instead of an entry, and what is
/// `None` leaves a hole.
fn grow_with(
    fixture: &Fixture,
    store: &MemoryStore,
    size: u64,
    by: &[&KeyBundle],
    other: impl Fn(u64) -> Option<Option<Vec<u8>>>,
) {
    let history = each(store);
    let repository = history.authority.repository();
    let mut frontier = Frontier::new();
    for leaf in &history.leaves {
        frontier.push(*leaf);
    }
    let mut previous = *history.leaves.last().expect("a genesis");
    for number in history.next..size {
        let signer = by[usize::try_from(number).expect("small") % by.len()];
        let draft = Draft {
            number,
            epoch: 0,
            claimed_ms: fixture.env.clock.now_unix_ms(),
            commit: CommitId(fixture.env.random()),
            domain: signer.domain,
            previous,
            root: frontier.root(),
            body: attest(),
        };
        let entry = draft.sign(&repository, &signer.signing_seed);
        let bytes = other(number).unwrap_or_else(|| Some(entry.expect("it is small")));
        if let Some(bytes) = &bytes {
            store.replace(&ObjectKey::Log(number), bytes);
        }
        previous = leaf_hash(bytes.as_deref().unwrap_or_default());
        frontier.push(previous);
    }
}

fn grow(fixture: &Fixture, size: u64, by: &[&KeyBundle]) {
    grow_with(fixture, &fixture.store, size, by, |_| None);
}

/// The log, object by object.
fn each(store: &MemoryStore) -> History {
    each_remembering(store, &[])
}

fn each_remembering(store: &MemoryStore, leaves: &[LogHash]) -> History {
    log::read_each(store, leaves, &Signed::default()).expect("the log is read")
}

/// The log as a client without a memory opens it.
fn opened(store: &MemoryStore) -> History {
    remembering(store, &[])
}

fn remembering(store: &MemoryStore, leaves: &[LogHash]) -> History {
    log::read(store, leaves, &Signed::default()).expect("the log is read")
}

/// How many log objects and bundles a client reads that remembers these leaves.
fn reads(store: &MemoryStore, leaves: &[LogHash]) -> (u64, u64) {
    let (objects, bundles) = (AtomicU64::new(0), AtomicU64::new(0));
    let counting = FaultyStore::new(store, |call| {
        match call.request {
            Request::Read(ObjectKey::Log(_)) => objects.fetch_add(1, Ordering::Relaxed),
            Request::Read(ObjectKey::Bundle(_)) => bundles.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        Fate::Done
    });
    let counting = counting.without_versions();
    log::read(&counting, leaves, &Signed::default()).expect("the log is read");
    drop(counting);
    (objects.into_inner(), bundles.into_inner())
}

/// All that a log tells, but for how it was read.
fn told(history: &History) -> String {
    let entries: Vec<_> = history
        .entries
        .iter()
        .map(|(n, entry)| (n, entry.leaf()))
        .collect();
    let revoked: Vec<_> = history
        .authority
        .grants()
        .map(|(id, grant)| (id, grant.revoked))
        .collect();
    format!(
        "{entries:?} {:?} {} {:?} {:?} {revoked:?}",
        history.leaves, history.next, history.problems, history.continuity
    )
}

/// A log of this size by two keys that may sign attestations, with all its bundles.
pub(crate) fn long(seed: u64, size: u64) -> (Fixture, [Credential; 2]) {
    let fixture = Fixture::new(seed);
    let keys = [
        fixture.add_key(Rights::VERIFY, &["*"]),
        fixture.add_key(Rights::VERIFY, &["*"]),
    ];
    grow(&fixture, size, &[bundle(&keys[0]), bundle(&keys[1])]);
    settle(&fixture.store);
    (fixture, keys)
}

/// The bundle of what a store has.
fn bundle_of(store: &MemoryStore, number: u64) -> Vec<u8> {
    let objects: Vec<Option<Vec<u8>>> = ((number - 1) * 256..number * 256)
        .map(|n| store.read(&ObjectKey::Log(n), u64::MAX).ok())
        .collect();
    let bundle = LogBundle {
        repository: each(store).authority.repository(),
        number,
        objects: objects.iter().map(Option::as_deref).collect(),
    };
    bundle.encode()
}

/// Puts all bundles there.
fn settle(store: &MemoryStore) {
    let newest = *each(store).entries.keys().next_back().expect("a genesis");
    for number in 1..=newest / 256 {
        store.replace(&ObjectKey::Bundle(number), &bundle_of(store, number));
    }
}

fn append<S: AppendStore>(repository: &mut Repository<'_, S>) {
    let commit = CommitId(repository.env().random());
    let appended = repository.append(commit, |_| {
        Ok::<_, indelible_engine::keys::Forbidden>(attest())
    });
    appended.expect("it is appended");
}

fn bundles(store: &MemoryStore) -> Vec<u64> {
    let keys = store.keys().into_iter();
    let numbers = keys.filter_map(|key| match key {
        ObjectKey::Bundle(number) => Some(number),
        _ => None,
    });
    numbers.collect()
}

/// How many objects so many bundles stand for: genesis is always read itself.
fn read_by(bundles: u64) -> u64 {
    bundles * 256 - 1
}

/// A long log is opened in few reads, with a memory and without, and tells what it tells
/// when each object is read.
///
/// Method: 1,500 entries by two keys; count before and after the bundles were made.
#[test]
fn a_long_log_takes_few_reads() {
    let fixture = Fixture::new(701);
    let keys = [
        fixture.add_key(Rights::VERIFY, &["*"]),
        fixture.add_key(Rights::VERIFY, &["*"]),
    ];
    grow(&fixture, 1_500, &[bundle(&keys[0]), bundle(&keys[1])]);
    let leaves = each(&fixture.store).leaves;
    assert_eq!(reads(&fixture.store, &[]), (1_500, 0));
    settle(&fixture.store);
    for known in [0, 1, 700, 1_500] {
        // Genesis, and what has no bundle yet.
        assert_eq!(reads(&fixture.store, &leaves[..known]), (1 + 220, 5));
    }
    let history = opened(&fixture.store);
    assert_eq!(history.bundled, read_by(5));
    assert_eq!(told(&history), told(&each(&fixture.store)));
    let client = Client::new();
    for _ in 0..2 {
        let repository = fixture.open_with(&client.state);
        assert_eq!(repository.history().bundled, read_by(5));
    }
}

/// One key alone vouches for nothing: what it signed is read object by object too, by who
/// does not remember it.
///
/// Method: 600 entries of one key behind those of the administrator. Without a memory,
/// and with one that ends early, in the middle, and at the end; and once another key has
/// signed.
#[test]
fn one_key_alone_does_not_vouch() {
    let fixture = Fixture::new(702);
    let key = fixture.add_key(Rights::VERIFY, &["*"]);
    let other = fixture.add_key(Rights::VERIFY, &["*"]);
    grow(&fixture, 600, &[bundle(&key)]);
    settle(&fixture.store);
    let leaves = each(&fixture.store).leaves;
    // The administrator's last entry is 2.
    for (known, read) in [
        (0, 599),
        (3, 598),
        (256, 345),
        (511, 90),
        (512, 89),
        (600, 89),
    ] {
        let counted = reads(&fixture.store, &leaves[..known]);
        assert_eq!(counted, (read, 2), "{known} are known");
    }
    append(&mut fixture.open_as(&other));
    assert_eq!(reads(&fixture.store, &[]), (90, 2));
    assert_eq!(told(&opened(&fixture.store)), told(&each(&fixture.store)));
}

/// The administrator of genesis vouches by himself. One that he made does not, neither
/// with the keys that it made.
#[test]
fn the_administrator_of_genesis_vouches() {
    let fixture = Fixture::new(703);
    let second = fixture.add_key(Rights::ALL, &["*"]);
    let made = {
        let mut repository = fixture.open_as(&second);
        let made = repository.add_key(key_request(Rights::VERIFY, &["*"]));
        key_file(&repository, made.expect("it may").bundle())
    };
    grow(&fixture, 600, &[bundle(&second), bundle(&made)]);
    settle(&fixture.store);
    // Its last entry is 1.
    assert_eq!(reads(&fixture.store, &[]).0, 600);
    append(&mut fixture.open());
    assert_eq!(reads(&fixture.store, &[]).0, 601 - 512 + 1);
}

/// Bundles are made by who appends the first entry behind one, and by nobody else; that
/// they can't be made is no failure. Those that are missing are made then, at most eight.
///
/// Method: snapshots as entries 255, 256 and 257, of which the second finds a store that
/// takes no bundle; the next chance, at entry 512, makes both. Then one has ten to make.
#[test]
fn writers_make_bundles_when_they_can() {
    let fixture = Fixture::new(704);
    let key = fixture.add_key(Rights::VERIFY, &["*"]);
    grow(&fixture, 255, &[bundle(&key)]);
    fixture.snapshot_of("shop", &rows(0..50));
    let refuses = FaultyStore::new(&fixture.store, |call| match call.put() {
        Some(ObjectKey::Bundle(_)) => Fate::Fails(Fault::Unreachable),
        _ => Fate::Done,
    });
    let mut writer =
        Repository::open(&refuses, None, &fixture.recovery, fixture.env.clone()).expect("it opens");
    let number = take_stream(&mut writer, "shop", &rows(0..60)).expect("it is committed");
    assert_eq!(number.number, 256);
    fixture.snapshot_of("shop", &rows(0..70));
    fixture.verify(Level::Data);
    assert_eq!(bundles(&fixture.store), [0; 0]);

    grow(&fixture, 512, &[bundle(&key)]);
    let number = fixture.snapshot_of("shop", &rows(0..80)).number;
    assert_eq!((number, bundles(&fixture.store)), (512, vec![1, 2]));
    for number in [1, 2] {
        let made = object(&fixture.store, &ObjectKey::Bundle(number));
        assert!(made == bundle_of(&fixture.store, number));
    }
    assert_eq!(reads(&fixture.store, &[]), (2, 2));
    assert!(restore_stream(&fixture.open(), number).is_ok());

    grow(&fixture, 3_072, &[bundle(&key)]);
    append(&mut fixture.open());
    assert_eq!(bundles(&fixture.store), [1, 2, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert!(fixture.verify(Level::Data).is_sound());
}

/// Junk and holes are what they were, and stop no bundle.
///
/// Method: junk of several lengths and holes at the borders of bundles and elsewhere,
/// which later entries state as they are.
#[test]
fn junk_and_holes_are_kept_as_they_are() {
    let fixture = Fixture::new(705);
    let keys = [
        fixture.add_key(Rights::VERIFY, &["*"]),
        fixture.add_key(Rights::VERIFY, &["*"]),
    ];
    let by = [bundle(&keys[0]), bundle(&keys[1])];
    grow_with(&fixture, &fixture.store, 768, &by, |number| match number {
        5 | 255 | 300 => Some(Some(b"junk".to_vec())),
        6 => Some(Some(Vec::new())),
        7 => Some(Some(vec![7; 65_537])),
        256 | 400..=420 | 766 => Some(None),
        _ => None,
    });
    append(&mut fixture.open());
    assert_eq!(bundles(&fixture.store), [1, 2, 3]);
    let history = opened(&fixture.store);
    assert_eq!(history.bundled, 768 - 1 - 23);
    assert_eq!(told(&history), told(&each(&fixture.store)));
    assert!(history.problems.len() > 3);
}

/// A copy gets bundles of its own.
#[test]
fn a_copy_has_bundles_of_its_own() {
    let (fixture, _) = long(706, 800);
    fixture.store.replace(&ObjectKey::Bundle(2), b"junk");
    let copy = MemoryStore::new();
    mirror(&fixture.store, &copy, u64::MAX, &Cancel::new(), &Silent).expect("it is copied");
    assert_eq!(bundles(&copy), [1, 2, 3]);
    for number in [1, 2, 3] {
        let key = ObjectKey::Bundle(number);
        assert!(object(&copy, &key) == bundle_of(&fixture.store, number));
    }
}
