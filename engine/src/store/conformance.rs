//! What every store must do, as one suite that runs against each of them.
//!
//! This is test support: it panics where a store breaks a promise of
//! [`super`]'s traits. It is no `cfg(test)` module because stores outside this
//! crate, and wrappers around stores, have to pass it as well.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use indelible_format::ids::{PackId, RecordId};
use sha2::{Digest as _, Sha256};

use super::{
    Area, ErrorClass, ExpireStore, LOG_NUMBER_MAX, Listed, ObjectKey, PutOutcome, StoreError,
    StoredSum,
};

/// More than any caller here stores.
const LARGE: u64 = 1 << 30;

/// A fresh store under test, and a way past it.
pub trait Subject {
    /// The store, empty and prepared.
    fn store(&self) -> &dyn ExpireStore;

    /// Puts a file under a name without asking the store, as somebody does who
    /// has access to where it lies. `path` has the form of [`Listed::Foreign`].
    fn plant(&self, path: &str, bytes: &[u8]);
}

/// Runs the whole suite. Every part takes a store of its own from `make`.
///
/// # Panics
///
/// Where the store breaks a promise.
pub fn check(make: &dyn Fn() -> Box<dyn Subject>) {
    let parts: [fn(&dyn Subject); 13] = [
        prepares_twice,
        creates_only,
        tells_same_from_conflict,
        one_of_racing_creators_wins,
        racing_same_bytes_agree,
        reads_ranges_to_the_edge,
        bounds_what_it_reads,
        finds_nothing_where_nothing_is,
        lists_exactly_what_was_put,
        has_a_version_of_each_object,
        tells_right_sums_or_none,
        removes_only_what_may_go,
        locks_only_grow,
    ];
    for part in parts {
        part(&*make());
    }
}

/// One key of each kind, their hashes made up.
fn one_of_each() -> [ObjectKey; 4] {
    [
        ObjectKey::Repository,
        ObjectKey::Log(0),
        ObjectKey::Record(RecordId([0x5C; 32])),
        ObjectKey::Pack(PackId([0xAB; 32])),
    ]
}

/// Puts an object that must not exist yet.
fn create(store: &dyn ExpireStore, key: &ObjectKey, bytes: &[u8]) {
    let outcome = store
        .put_new(key, bytes)
        .expect("a store takes a new object");
    assert!(matches!(outcome, PutOutcome::Created), "{key}: {outcome:?}");
}

fn class<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> ErrorClass {
    answer.expect_err("the store refuses").class()
}

/// Everything in one area. Nothing may be listed twice.
fn listed(store: &dyn ExpireStore, area: Area) -> BTreeSet<Listed> {
    let mut met = BTreeSet::new();
    store
        .list(area, &mut |listed| {
            assert!(met.insert(listed.clone()), "{listed:?} comes twice");
        })
        .expect("the area can be listed");
    met
}

/// Preparing again does no harm.
fn prepares_twice(subject: &dyn Subject) {
    let store = subject.store();
    store.prepare().expect("an empty store can be prepared");
    create(store, &ObjectKey::Log(0), b"genesis");
    store.prepare().expect("a store in use can be prepared");
    assert_eq!(
        store.read(&ObjectKey::Log(0), LARGE).expect("it is there"),
        b"genesis"
    );
    assert!(!store.location().is_empty());
}

/// What is put comes back, empty and big objects included, and a name with 13
/// digits is not made.
fn creates_only(subject: &dyn Subject) {
    let store = subject.store();
    for (number, key) in one_of_each().iter().enumerate() {
        let bytes = vec![0x5A; number * 7];
        create(store, key, &bytes);
        assert_eq!(store.read(key, LARGE).expect("it is there"), bytes);
        assert_eq!(store.size(key).expect("it is there"), bytes.len() as u64);
    }
    let big: Vec<u8> = (0..(33_u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
    let key = ObjectKey::Pack(PackId::of(&big));
    create(store, &key, &big);
    assert!(
        store.read(&key, LARGE).expect("it is there") == big,
        "a big object comes back"
    );

    create(store, &ObjectKey::Log(LOG_NUMBER_MAX), b"the last");
    assert_eq!(
        class(store.put_new(&ObjectKey::Log(LOG_NUMBER_MAX + 1), b"")),
        ErrorClass::Refused
    );
    let forged = ObjectKey::Log(u64::MAX);
    assert!(
        store
            .read_oldest(&forged, LARGE)
            .expect_err("it has no name")
            .is_not_found()
    );
}

/// A store that tells checksums tells that of what was put, and none of what is missing.
fn tells_right_sums_or_none(subject: &dyn Subject) {
    let store = subject.store();
    for (number, key) in one_of_each().iter().enumerate() {
        match store.stored_sum(key) {
            Ok(None) => {}
            answer => assert_eq!(class(answer), ErrorClass::NotFound, "{key}"),
        }
        let bytes = vec![0x5B; number * 9_000];
        create(store, key, &bytes);
        if let Some(sum) = store.stored_sum(key).expect("an answer") {
            let expected = StoredSum {
                size_bytes: bytes.len() as u64,
                sha256: Sha256::digest(&bytes).into(),
            };
            assert_eq!(sum, expected, "{key}");
        }
    }
}

/// A name that is taken keeps its bytes, and the answer says whether they are
/// the caller's: also where only the length or the last byte differs.
fn tells_same_from_conflict(subject: &dyn Subject) {
    let store = subject.store();
    let bytes = vec![7; (2 << 20) + 1];
    let mut last_differs = bytes.clone();
    last_differs[2 << 20] = 8;
    for key in one_of_each() {
        create(store, &key, &bytes);
        let again = store.put_new(&key, &bytes).expect("an answer");
        assert!(matches!(again, PutOutcome::AlreadySame), "{key}: {again:?}");
        for other in [&b""[..], &bytes[..bytes.len() - 1], &last_differs] {
            let outcome = store.put_new(&key, other).expect("an answer");
            assert!(
                matches!(outcome, PutOutcome::Conflict),
                "{key}: {outcome:?}"
            );
        }
        assert!(
            store.read(&key, LARGE).expect("it is there") == bytes,
            "{key} has changed"
        );
    }
}

/// Puts one key from several threads at once.
fn race(store: &dyn ExpireStore, key: &ObjectKey, contents: &[Vec<u8>]) -> Vec<PutOutcome> {
    let start = &Barrier::new(contents.len());
    thread::scope(|scope| {
        let mut racers = Vec::new();
        for bytes in contents {
            racers.push(scope.spawn(move || {
                start.wait();
                store.put_new(key, bytes).expect("an answer")
            }));
        }
        racers
            .into_iter()
            .map(|racer| racer.join().expect("no racer panics"))
            .collect()
    })
}

/// Of several writers at one name exactly one creates it, and its bytes stay.
fn one_of_racing_creators_wins(subject: &dyn Subject) {
    let store = subject.store();
    for number in 0..16 {
        let key = ObjectKey::Log(number);
        let contents: Vec<Vec<u8>> = (0..8).map(|racer| vec![racer; 100]).collect();
        let outcomes = race(store, &key, &contents);
        let mut winners = Vec::new();
        for (outcome, bytes) in outcomes.iter().zip(&contents) {
            match outcome {
                PutOutcome::Created => winners.push(bytes.clone()),
                PutOutcome::Conflict => {}
                other => panic!("{key}: {other:?}"),
            }
        }
        assert_eq!(
            winners,
            [store.read_oldest(&key, LARGE).expect("it is there")]
        );
    }
}

/// Writers of the same bytes all find them stored, and one created them.
fn racing_same_bytes_agree(subject: &dyn Subject) {
    let store = subject.store();
    for first in 0..16 {
        let key = ObjectKey::Pack(PackId([first; 32]));
        let outcomes = race(store, &key, &vec![vec![first; 100]; 4]);
        assert!(
            outcomes.iter().all(PutOutcome::is_stored),
            "{key}: {outcomes:?}"
        );
        let created = |outcome: &&PutOutcome| matches!(outcome, PutOutcome::Created);
        assert_eq!(
            outcomes.iter().filter(created).count(),
            1,
            "{key}: {outcomes:?}"
        );
    }
}

/// A range is exact or an error that says how much there is.
fn reads_ranges_to_the_edge(subject: &dyn Subject) {
    let store = subject.store();
    let key = ObjectKey::Pack(PackId([1; 32]));
    create(store, &key, b"0123456789");
    for (offset, len, expected) in [
        (0, 10, &b"0123456789"[..]),
        (0, 0, b""),
        (3, 4, b"3456"),
        (9, 1, b"9"),
        (10, 0, b""),
        (u64::MAX, 0, b""),
    ] {
        let range = store
            .read_range(&key, offset, len)
            .expect("the range is there");
        assert_eq!(range, expected, "{len} bytes from {offset}");
        let mut filled = vec![7; expected.len()];
        let read = store.read_into(&key, offset, &mut filled);
        read.expect("the range is there");
        assert_eq!(filled, expected, "{len} bytes from {offset}");
    }
    let beyond = store.read_into(&key, 9, &mut [0; 2]);
    assert!(matches!(beyond, Err(StoreError::ShortRead { .. })));
    for (offset, len, expected) in [
        (0, 11, 10),
        (9, 2, 1),
        (10, 1, 0),
        (u64::MAX, 1, 0),
        (5, u64::MAX, 5),
    ] {
        match store.read_range(&key, offset, len) {
            Err(StoreError::ShortRead { actual, wanted, .. }) => {
                assert_eq!(
                    (actual, wanted),
                    (expected, len),
                    "{len} bytes from {offset}"
                );
            }
            other => panic!("{len} bytes from {offset}: {other:?}"),
        }
    }
}

/// No more is read than the caller allows.
fn bounds_what_it_reads(subject: &dyn Subject) {
    let store = subject.store();
    let key = ObjectKey::Log(3);
    create(store, &key, b"0123456789");
    assert_eq!(store.read(&key, 10).expect("it fits"), b"0123456789");
    match store.read(&key, 9) {
        Err(StoreError::TooLong {
            limit: 9,
            actual: 10,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
    for (most, expected) in [
        (0, &b""[..]),
        (4, b"0123"),
        (10, b"0123456789"),
        (u64::MAX, b"0123456789"),
    ] {
        assert_eq!(
            store.read_prefix(&key, most).expect("it is there"),
            expected
        );
        assert_eq!(
            store.read_oldest(&key, most).expect("it is there"),
            expected
        );
    }
}

/// Every way to ask for a missing object says that it is missing, and an area
/// that was never used is empty.
fn finds_nothing_where_nothing_is(subject: &dyn Subject) {
    let store = subject.store();
    for key in one_of_each() {
        assert_eq!(class(store.read(&key, LARGE)), ErrorClass::NotFound);
        assert_eq!(class(store.read_range(&key, 0, 0)), ErrorClass::NotFound);
        assert_eq!(class(store.read_prefix(&key, LARGE)), ErrorClass::NotFound);
        assert_eq!(class(store.read_oldest(&key, LARGE)), ErrorClass::NotFound);
        assert_eq!(class(store.size(&key)), ErrorClass::NotFound);
        assert_eq!(class(store.versions(&key)), ErrorClass::NotFound);
    }
    for area in Area::ALL {
        assert_eq!(listed(store, area), BTreeSet::new());
    }
}

/// A listing holds every object of its area once, with its size, and whatever
/// has a name that no object has; names sort as their numbers do.
fn lists_exactly_what_was_put(subject: &dyn Subject) {
    let store = subject.store();
    let mut expected = [const { BTreeSet::new() }; 4];
    let numbers = [0, 1, 2, 9, 10, 99, 100, LOG_NUMBER_MAX];
    for (n, number) in (0..).zip(numbers) {
        let keys = [
            ObjectKey::Pack(PackId([n; 32])),
            ObjectKey::Record(RecordId([n; 32])),
            ObjectKey::Log(number),
            ObjectKey::Bundle(u64::from(n) + 1),
        ];
        for (key, expected) in keys.into_iter().zip(&mut expected) {
            create(store, &key, &vec![n; usize::from(n)]);
            expected.insert(Listed::Object {
                key,
                size_bytes: u64::from(n),
            });
        }
    }
    create(store, &ObjectKey::Repository, b"in no area");
    let foreign = [
        "packs/README".to_owned(),
        format!("packs/00/{}", "ab".repeat(32)),
        format!("packs/00/{}.part", "00".repeat(32)),
        format!("commits/{}", "AB".repeat(32)),
        "log/5".to_owned(),
        "bundle/5".to_owned(),
    ];
    for path in foreign {
        subject.plant(&path, b"?");
        let area = Area::ALL
            .iter()
            .position(|area| path.starts_with(area.directory()));
        expected[area.expect("in an area")].insert(Listed::Foreign { path });
    }
    for (area, expected) in Area::ALL.into_iter().zip(expected) {
        assert_eq!(listed(store, area), expected);
    }
    let names: Vec<String> = numbers
        .iter()
        .map(|number| ObjectKey::Log(*number).path())
        .collect();
    assert!(names.is_sorted());
}

/// An object that was put once has one version, which is the object.
fn has_a_version_of_each_object(subject: &dyn Subject) {
    let store = subject.store();
    for key in one_of_each() {
        create(store, &key, b"0123456789");
        let versions = store.versions(&key).expect("it is there");
        let [version] = &versions[..] else {
            panic!("{key}: {versions:?}")
        };
        assert_eq!(version.size_bytes, 10);
        let read = |most| {
            store
                .read_version(&key, &version.id, most)
                .expect("it is there")
        };
        assert_eq!(read(4), b"0123");
        assert_eq!(read(LARGE), b"0123456789");
        let unknown = super::VersionId("no such version".to_owned());
        assert_eq!(
            class(store.read_version(&key, &unknown, LARGE)),
            ErrorClass::NotFound
        );
    }
}

/// Packs and commit records can be removed; the log stays.
fn removes_only_what_may_go(subject: &dyn Subject) {
    let store = subject.store();
    for key in one_of_each() {
        let may_go = key.is_expirable();
        let missing = if may_go {
            ErrorClass::NotFound
        } else {
            ErrorClass::Refused
        };
        assert_eq!(class(store.remove(&key)), missing);
        create(store, &key, b"bytes");
        if may_go && store.capabilities().locks {
            store.remove(&key).expect_err("it is locked");
            assert_eq!(store.size(&key).expect("it stays"), 5);
        } else if may_go {
            store.remove(&key).expect("it may go");
            assert_eq!(class(store.size(&key)), ErrorClass::NotFound);
            create(store, &key, b"others");
        } else {
            assert_eq!(class(store.remove(&key)), ErrorClass::Refused);
            assert_eq!(store.size(&key).expect("it stays"), 5);
        }
    }
}

/// A lock can be extended and never made shorter, and what is locked stays. A
/// store without locks says so.
fn locks_only_grow(subject: &dyn Subject) {
    let store = subject.store();
    let key = ObjectKey::Pack(PackId([9; 32]));
    create(store, &key, b"bytes");
    let version = &store.versions(&key).expect("it is there")[0].id;
    let until = || store.locked_until(&key, version).expect("it is there");
    let extend = |until_ms| store.extend_lock(&key, version, until_ms);
    if !store.capabilities().locks {
        assert_eq!(until(), None);
        assert_eq!(class(extend(u64::MAX >> 20)), ErrorClass::Unsupported);
        return;
    }
    let first = until().expect("what is put is locked");
    // What has a lock without an end can get no longer one.
    let longer = first.saturating_add(60_000);
    extend(longer).expect("a lock can be extended");
    assert_eq!(until(), Some(longer));
    extend(longer).expect("it is as long as that");
    match extend(longer - 30_000) {
        Err(StoreError::WouldShorten {
            locked_until_ms, ..
        }) => assert_eq!(locked_until_ms, longer),
        other => panic!("{other:?}"),
    }
    assert_eq!(until(), Some(longer));
    store.remove(&key).expect_err("it is locked");
    assert_eq!(store.read(&key, LARGE).expect("it stays"), b"bytes");
    let unknown = super::VersionId("no such version".to_owned());
    assert_eq!(
        class(store.extend_lock(&key, &unknown, longer)),
        ErrorClass::NotFound
    );
}
