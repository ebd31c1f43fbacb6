//! What is promised is locked, as long and no longer, whoever fails or lies.

mod bounded;
mod mirrored;
mod vault;

use std::collections::BTreeMap;

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::retention::PolicyRefused;
use indelible_engine::snapshot::{self, Input, SnapshotRunError};
use indelible_engine::store::faulty::{Call, Fate, Fault, Request};
use indelible_engine::store::{AppendStore, FaultyStore, MemoryStore, ObjectKey, ReadStore};
use indelible_format::attest::Level;
use indelible_format::entry::Body;
use indelible_format::ids::{CommitId, RecordId};
use indelible_format::policy::LockMode;
use indelible_format::rights::{Kind, Rights};
use rustix::io::Errno;

use crate::support::{
    CHUNKER, Client, START_UNIX_MS, new_repository, request, revoke, rows, snapshot_at, stream,
    take_stream, verify_with,
};
use vault::{DAY_MS, Vault, promised, short};

/// Everything that a snapshot needs is locked until its NAME's promise ends, by a host
/// with no more than a write key; what no promise names is not.
///
/// Method: two promises, three NAMEs, a NAME whose snapshot leans on its earlier one;
/// ask the store for every lock; verify before and after each promise ends.
#[test]
fn what_is_needed_is_locked() {
    let vault = Vault::new(801, &[("orders*", 400), ("shop", 35)]);
    let writer = vault.add_key(Rights::WRITE, &["*"]);
    for (name, first) in [
        ("shop", 0),
        ("orders.eu", 500),
        ("shop", 20),
        ("scratch", 900),
    ] {
        let taken = take_stream(&mut vault.open_as(&writer), name, &rows(first..first + 300));
        let locked = taken.expect("it is committed").locked;
        assert!(locked.short.is_none());
        assert_eq!(locked.promised_until_ms.is_some(), name != "scratch");
    }
    let ends = |days: u64| START_UNIX_MS + days * DAY_MS;
    // Entries 0 to 2 are genesis, policy and key.
    for (number, days, most) in [(3, 35, 66), (4, 400, 431), (5, 35, 66)] {
        let end_ms = vault.locked_until_ms(number).expect("all of it is locked");
        assert!(
            (ends(days)..ends(most)).contains(&end_ms),
            "@{number} until {end_ms}"
        );
    }
    assert_eq!(
        vault.locked_until_ms(6),
        Some(ends(7)),
        "nothing is promised to it"
    );
    for days in [0, 34, 36, 399, 401] {
        vault.clock.set_unix_ms(ends(days));
        assert_eq!(vault.short(), [0_u64; 0], "after {days} days");
    }
}

/// Without a promise nothing is locked longer, and a store that can't lock does not keep
/// a promise.
///
/// Method: no policy at all; then a policy in a store without locks.
#[test]
fn no_lock_no_promise() {
    let vault = Vault::new(802, &[]);
    let taken = take_stream(&mut vault.open(), "shop", &rows(0..90)).expect("it is committed");
    assert_eq!(
        (taken.locked.promised_until_ms, taken.locked.extended),
        (None, 0)
    );
    let report = verify_with(&vault.open(), Level::Tree);
    assert_eq!((report.locks, report.is_sound()), (0, true));

    let store = MemoryStore::new();
    let new = new_repository(&vault.env, CHUNKER);
    new.create(&store).expect("the store is empty");
    let open = || Repository::open(&store, None, &vault.recovery, vault.env.clone()).unwrap();
    let stated = open()
        .promise(None, &promised(&[("*", 35)]))
        .expect("it is stated");
    assert!(stated.short.is_some(), "nothing can be locked");
    let taken = take_stream(&mut open(), "shop", &rows(0..90)).expect("it is committed");
    assert!(taken.locked.short.is_some());
    assert_eq!(short(&verify_with(&open(), Level::Tree)), [taken.number]);
}

/// Nights without changes extend few locks, since what is locked long enough is not asked
/// for again; and none is ever too short.
///
/// Method: a client that remembers takes the same dump for 90 nights; each night all
/// locks are asked for, and what the client had to extend is counted.
#[test]
fn most_nights_extend_little() {
    let vault = Vault::new(803, &[("*", 35)]);
    let client = Client::new();
    let dump = rows(0..3_000);
    let (mut extended, mut quiet) = (0, 0);
    for night in 0..90 {
        let open = Repository::open(
            &vault.store,
            Some(&client.state),
            &vault.recovery,
            vault.env.clone(),
        );
        let taken = take_stream(&mut open.expect("it opens"), "shop", &dump);
        let taken = taken.expect("it is committed");
        let promise_ends = START_UNIX_MS + (night + 35) * DAY_MS;
        assert!(
            vault.locked_until_ms(taken.number) >= Some(promise_ends),
            "night {night}"
        );
        if night > 0 {
            // The night's own entry is always one.
            extended += taken.locked.extended - 1;
            quiet += u32::from(taken.locked.extended == 1);
        }
        vault
            .clock
            .set_unix_ms(START_UNIX_MS + (night + 1) * DAY_MS);
    }
    // On average half of 90 entries in each of three periods, and a few packs.
    assert!(extended < 90 / 2 * 3 + 30, "{extended} locks in 89 nights");
    assert!(quiet > 40, "{quiet} of 89 nights extended nothing");
}

/// A lock that fails takes no backup away: the snapshot is there, and said to be locked
/// too briefly until somebody extends it.
///
/// Method: fail each call to lock in turn, for good from the n-th on, then let another
/// extend.
#[test]
fn a_lock_that_fails_is_told_and_repaired() {
    for n in 0..6 {
        let vault = Vault::new(804, &[("*", 35)]);
        let locks = std::sync::atomic::AtomicU64::new(0);
        let decide = |call: &Call| {
            let is_lock = matches!(call.request, Request::Lock(_));
            let count = if is_lock {
                locks.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            } else {
                0
            };
            if is_lock && count >= n {
                Fate::Fails(Fault::Unreachable)
            } else {
                Fate::Done
            }
        };
        let faulty = FaultyStore::new(&vault.store, decide);
        let open = Repository::open(&faulty, None, &vault.recovery, vault.env.clone());
        let taken = take_stream(&mut open.expect("it opens"), "shop", &rows(0..300));
        let taken = taken.expect("it is committed");
        if taken.locked.short.is_none() {
            assert!(n > 3, "a snapshot needs more than {n} locks");
            continue;
        }
        assert_eq!(vault.short(), [taken.number], "from lock {n} on");
        let extended = vault.open().extend_locks(&Silent);
        assert_eq!((extended.snapshots, extended.short.len()), (1, 0));
        assert!(extended.locks > 0);
        assert_eq!(vault.short(), [0_u64; 0]);
    }
}

/// What is gone, or can't be locked by itself, keeps nothing else from being locked.
///
/// Method: of two snapshots remove a log entry and one pack, and fail every
/// call to lock the other pack; extend, and see all the rest locked.
#[test]
fn one_object_keeps_no_other_from_being_locked() {
    let vault = Vault::new(810, &[("*", 35)]);
    vault.add_key(Rights::WRITE, &["*"]);
    for first in [0, 5_000] {
        take_stream(&mut vault.open(), "shop", &rows(first..first + 300)).expect("committed");
    }
    vault
        .open()
        .promise(None, &promised(&[("*", 90)]))
        .expect("it is longer");
    let packs: Vec<ObjectKey> = vault
        .store
        .keys()
        .into_iter()
        .filter(|key| matches!(key, ObjectKey::Pack(_)))
        .collect();
    vault.store.forget(&ObjectKey::Log(2));
    vault.store.forget(&packs[0]);
    let stubborn = packs[1];
    let faulty = FaultyStore::new(&vault.store, |call: &Call| match call.request {
        Request::Lock(key) if key == stubborn => Fate::Fails(Fault::System(Errno::IO)),
        _ => Fate::Done,
    });
    let open = Repository::open(&faulty, None, &vault.recovery, vault.env.clone());
    let extended = open.expect("it opens").extend_locks(&Silent);
    let short: Vec<ObjectKey> = extended.short.iter().map(|(_, error)| error.key).collect();
    assert_eq!(short, [stubborn]);
    for (key, end_ms) in locks_of(&vault.store) {
        let is_long = end_ms >= Some(START_UNIX_MS + 90 * DAY_MS);
        assert_eq!(is_long, key != stubborn, "{key} until {end_ms:?}");
    }
}

/// Two administrators who promise at once take nothing of each other back.
///
/// Method: the second opens before the first appends, and appends behind it.
#[test]
fn promises_made_at_once_add_up() {
    let vault = Vault::new(811, &[("*", 35)]);
    let (mut one, mut other) = (vault.open(), vault.open());
    one.promise(None, &promised(&[("a", 90)]))
        .expect("it is longer");
    other
        .promise(None, &promised(&[("b", 60)]))
        .expect("it is longer");
    let policy = vault.open().policy().expect("there is one").policy;
    assert_eq!(
        policy.promises(),
        promised(&[("*", 35), ("a", 90), ("b", 60)])
    );
    let mut late = vault.open();
    vault
        .open()
        .promise(None, &promised(&[("a", 99)]))
        .expect("it is longer");
    let refused = late.promise(None, &promised(&[("a", 91)]));
    assert!(
        matches!(refused, Err(PolicyRefused::Shortens { .. })),
        "{refused:?}"
    );
}

/// Only an administrator promises; nothing is made shorter; a hold is one snapshot's own.
///
/// Method: promise and hold with a write key, shorter than before, longer, and without a
/// policy; after each, what the repository says is promised.
#[test]
fn promises_only_grow() {
    let vault = Vault::new(805, &[("*", 35)]);
    let writer = vault.add_key(Rights::WRITE, &["*"]);
    let number = take_stream(&mut vault.open_as(&writer), "shop", &rows(0..90));
    let number = number.expect("it is committed").number;
    let until = || {
        let repository = vault.open();
        let policy = repository.policy().expect("there is one");
        policy.promised_until_ms(&snapshot_at(&repository, number), START_UNIX_MS)
    };
    let ends = |days: u64| Some(START_UNIX_MS + days * DAY_MS);
    assert_eq!(until(), ends(35));
    let refused = vault
        .open_as(&writer)
        .promise(None, &promised(&[("*", 90)]));
    assert!(
        matches!(refused, Err(PolicyRefused::Forbidden(_))),
        "{refused:?}"
    );
    let refused = vault.open().promise(None, &promised(&[("*", 34)]));
    assert!(
        matches!(refused, Err(PolicyRefused::Shortens { .. })),
        "{refused:?}"
    );
    vault
        .open()
        .promise(None, &promised(&[("shop", 20)]))
        .expect("for others it is longer");
    assert_eq!(until(), ends(35));
    vault
        .open()
        .promise(Some(LockMode::Compliance), &promised(&[("s*", 90)]))
        .expect("longer");
    assert_eq!(until(), ends(90));
    assert_eq!(vault.short(), [number], "nobody has extended it yet");
    vault.open().extend_locks(&Silent);
    assert_eq!(vault.short(), [0_u64; 0]);

    vault
        .open()
        .hold(number, START_UNIX_MS + 700 * DAY_MS)
        .expect("it is longer");
    assert_eq!(until(), ends(700));
    let refused = vault.open().hold(number, START_UNIX_MS + 699 * DAY_MS);
    assert!(
        matches!(refused, Err(PolicyRefused::ShortensHold)),
        "{refused:?}"
    );
    let repository = vault.open();
    let policy = repository.policy().expect("there is one").policy;
    assert_eq!(
        policy.mode(),
        LockMode::Compliance,
        "a hold leaves the mode"
    );
    assert_eq!(policy.promises().len(), 3);

    let bare = Vault::new(806, &[]);
    let refused = bare.open().hold(1, START_UNIX_MS + DAY_MS);
    assert!(
        matches!(refused, Err(PolicyRefused::NoPolicy)),
        "{refused:?}"
    );
}

/// What a thief of keys says of time and policies locks nothing for longer than was
/// promised.
///
/// Method: a snapshot of a clock a century ahead; junk as a policy; a policy that a
/// distrusted administrator made; a snapshot of a distrusted writer. Then extend.
#[test]
fn thieves_lock_nothing_for_long() {
    let vault = Vault::new(807, &[("*", 35)]);
    let writer = vault.add_key(Rights::WRITE, &["*"]);
    let admin = vault.add_key(Rights::ADMIN, &["*"]);
    vault.clock.set_unix_ms(START_UNIX_MS + 36_500 * DAY_MS);
    // Its own locks fail: the test's store has no bound, and a real one has.
    let faulty = FaultyStore::new(&vault.store, |call: &Call| match call.request {
        Request::Lock(_) => Fate::Fails(Fault::Unreachable),
        _ => Fate::Done,
    });
    let open = Repository::open(&faulty, None, &writer, vault.env.clone());
    let ahead = take_stream(&mut open.expect("it opens"), "shop", &rows(0..90));
    let ahead = ahead.expect("it is committed").number;
    vault.clock.set_unix_ms(START_UNIX_MS);

    let mut stolen = vault.open_as(&admin);
    let (signer, from) = (stolen.signer(), stolen.history().next);
    stolen
        .promise(None, &promised(&[("*", 36_000)]))
        .expect("an administrator may");
    assert!(vault.open().policy().expect("there is one").entry > from - 1);
    let number = revoke(&mut vault.open(), signer, from);
    let junk =
        |_: &_| Ok::<_, indelible_engine::keys::Forbidden>(Body::Opaque(Kind::Policy, vec![1; 99]));
    vault
        .open()
        .append(CommitId([9; 16]), junk)
        .expect("it is appended");
    assert_eq!(
        vault.open().policy().expect("there is one").entry,
        1,
        "entry {number} revokes"
    );

    let before = locks_of(&vault.store);
    let extended = vault.open().extend_locks(&Silent);
    assert_eq!((extended.snapshots, extended.short.len()), (1, 0));
    let latest = START_UNIX_MS + (35 + 30) * DAY_MS;
    for (key, end_ms) in locks_of(&vault.store) {
        let changed = before.get(&key) != Some(&end_ms);
        assert!(!changed || end_ms <= Some(latest), "{key} until {end_ms:?}");
    }

    let signer = vault.open_as(&writer).signer();
    revoke(&mut vault.open(), signer, ahead);
    let extended = vault.open().extend_locks(&Silent);
    assert_eq!(
        extended.snapshots, 0,
        "nothing is promised of a refused snapshot"
    );
    let taken = take_stream(&mut vault.open_as(&writer), "shop", b"late");
    assert!(matches!(taken, Err(SnapshotRunError::Forbidden(_))));
}

fn locks_of(store: &MemoryStore) -> BTreeMap<ObjectKey, Option<u64>> {
    let lock = |key: ObjectKey| {
        let version = &store.versions(&key).expect("it is there")[0].id;
        (key, store.locked_until(&key, version).expect("it is there"))
    };
    store.keys().into_iter().map(lock).collect()
}

/// A lock is put on the version that counts, whatever somebody wrote over it.
///
/// Method: newer versions over every object, then extend: the old ones are locked.
#[test]
fn the_version_that_counts_is_locked() {
    let vault = Vault::new(808, &[("*", 35)]);
    let number = take_stream(&mut vault.open(), "shop", &rows(0..300));
    let number = number.expect("it is committed").number;
    vault
        .open()
        .promise(None, &promised(&[("*", 90)]))
        .expect("it is longer");
    let keys = vault.store.keys();
    for key in &keys {
        vault.store.push_newer(key, b"forged");
    }
    let extended = vault.open().extend_locks(&Silent);
    assert!(
        extended.short.is_empty() && extended.broken.is_empty(),
        "{extended:?}"
    );
    assert!(vault.locked_until_ms(number) >= Some(START_UNIX_MS + 90 * DAY_MS));
    for key in keys.iter().filter(|key| **key != ObjectKey::Repository) {
        let versions = vault.store.versions(key).expect("it is there");
        let until = |at: usize| {
            vault
                .store
                .locked_until(key, &versions[at].id)
                .expect("locks")
        };
        assert!(until(0) > until(1), "{key}");
    }
}

/// What no entry names becomes free soon: new objects are locked for a week, or less where
/// less is promised.
///
/// Method: take a snapshot under each promise, and look how the store locks what is put
/// then.
#[test]
fn new_objects_are_locked_briefly() {
    for (promises, days) in [(&[][..], 1), (&[("*", 3)], 3), (&[("a", 3), ("b", 35)], 7)] {
        let vault = Vault::new(809, promises);
        take_stream(&mut vault.open(), "shop", &rows(0..90)).expect("it is committed");
        let orphan = ObjectKey::Record(RecordId::of(b"orphan"));
        let put = vault.store.put_new(&orphan, b"orphan");
        assert!(put.expect("it is new").is_stored());
        let ends = Some(START_UNIX_MS + days * DAY_MS);
        assert_eq!(locks_of(&vault.store)[&orphan], ends);
    }
    // Who leaves it to another asks for no lock at all.
    let vault = Vault::new(812, &[]);
    vault
        .open()
        .promise(None, &promised(&[("*", 35)]))
        .expect("it is stated");
    vault.store.lock_new(LockMode::Governance, DAY_MS);
    let asked = snapshot::Request {
        lock: false,
        ..request("shop")
    };
    let input = Input::Items(vec![stream("dump.sql", &rows(0..90))]);
    let taken = snapshot::run(&mut vault.open(), &asked, input, &Cancel::new(), &Silent);
    let taken = taken.expect("it is committed");
    assert_eq!(
        (taken.locked.promised_until_ms, taken.locked.extended),
        (None, 0)
    );
    assert_eq!(vault.short(), [taken.number]);
}
