//! A client that is an enemy, and has every credential of a host that may write.

use std::sync::Arc;
use std::thread;

use indelible_engine::env::OsEntropy;
use indelible_engine::repository::Repository;
use indelible_engine::serve::{OBJECT_CHARGE_BYTES_MIN, Quota};
use indelible_engine::store::{
    AppendStore, Area, ErrorClass, Listed, LocalStore, MemoryStore, ObjectKey, PutOutcome,
    ReadStore as _, RemoteStore, StoreError,
};
use indelible_format::entry::Draft;
use indelible_format::ids::{LogHash, PackId, RecordId};
use indelible_format::name::Name;
use indelible_format::protocol::{Answer, Object, Reason, Request};
use indelible_format::rights::Rights;
use indelible_format::secret::SecretKey;

use super::{Raw, connect, guarded};
use crate::support::{
    Fixture, attest, chain, draft_at, listed, noise, object, packs, restore_stream, rows,
    take_stream,
};

fn refused(remote: &RemoteStore, key: &ObjectKey, bytes: &[u8], why: &str) {
    let error = remote.put_new(key, bytes).expect_err(why);
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");
    assert!(chain(&error).contains(why), "{error}");
}

/// An enemy changes nothing that is there, and adds nothing that is not what its name
/// says.
///
/// Method: put other bytes under the name of every object; packs and records under
/// other names; a copy of the first entry that is none. Then the store is as it was.
#[test]
fn nothing_is_overwritten_or_misnamed() {
    let fixture = Fixture::new(520);
    fixture.snapshot_of("shop", &rows(0..200));
    let store = Arc::new(fixture.store.clone());
    let remote = connect(guarded(&store, None)).expect("it is welcome");
    for key in fixture.store.keys() {
        for bytes in [&b""[..], b"other bytes", &noise(1, 300_000)] {
            let outcome = remote.put_new(&key, bytes).expect("an outcome");
            assert!(matches!(outcome, PutOutcome::Conflict), "{key}");
        }
        let same = remote.put_new(&key, &object(&store, &key));
        assert!(matches!(same, Ok(PutOutcome::AlreadySame)), "{key}");
    }
    let pack = packs(&fixture.store)[0];
    let bytes = object(&store, &ObjectKey::Pack(pack));
    let cut = &bytes[..bytes.len() - 1];
    refused(
        &remote,
        &ObjectKey::Pack(PackId([1; 32])),
        &bytes,
        "another hash",
    );
    refused(
        &remote,
        &ObjectKey::Pack(PackId::of(&bytes[1..])),
        cut,
        "another hash",
    );
    refused(
        &remote,
        &ObjectKey::Record(RecordId([1; 32])),
        b"",
        "another hash",
    );
    let long = vec![0; (32 << 20) + 1];
    refused(
        &remote,
        &ObjectKey::Pack(PackId::of(&long)),
        &long,
        "may have 33554432",
    );
    for key in store.keys() {
        assert!(object(&store, &key) == object(&fixture.store, &key));
    }
    assert_eq!(store.keys(), fixture.store.keys());
    let copy = ObjectKey::Repository;
    store.forget(&copy);
    refused(&remote, &copy, b"no copy", "no copy of the first");
    let first = object(&store, &ObjectKey::Log(0));
    assert!(
        remote
            .put_new(&copy, &first)
            .expect("an outcome")
            .is_stored()
    );
}

/// The log takes only what counts, at its end.
///
/// Method: junk, entries forged, replayed, for another number, another root, or by
/// keys that may not, at the next number and at others. None leaves an object. What a
/// revoked key signs is refused on a connection that was there before.
#[test]
fn the_log_takes_no_junk() {
    let fixture = Fixture::new(521);
    fixture.snapshot_of("shop", &rows(0..200));
    let store = Arc::new(fixture.store.clone());
    let remote = connect(guarded(&store, None)).expect("it is welcome");
    let at = ObjectKey::Log;
    let repository = fixture.open();
    let (id, key) = (repository.id(), &fixture.bundle.signing_seed);
    let sign = |draft: Draft| draft.sign(&id, key).expect("it is small");
    let entry = || draft_at(&repository, 2, attest());

    refused(&remote, &at(2), b"junk", "no effect");
    refused(&remote, &at(2), &noise(3, 65_537), "may have 65536");
    refused(&remote, &at(2), &object(&store, &at(1)), "no effect");
    let valid = sign(entry());
    let mut flipped = valid.clone();
    *flipped.last_mut().expect("a signature") ^= 1;
    refused(&remote, &at(2), &flipped, "no effect");
    let stranger = SecretKey::new([9; 32]);
    let strange = entry().sign(&id, &stranger).expect("it is small");
    refused(&remote, &at(2), &strange, "no effect");
    let mut other = entry();
    other.root = LogHash([4; 32]);
    refused(&remote, &at(2), &sign(other), "another log");
    let mut other = entry();
    other.previous = LogHash([4; 32]);
    refused(&remote, &at(2), &sign(other), "another log");
    for number in [3, 1_026, 999_999_999_999] {
        refused(&remote, &at(number), &valid, "the next log entry is 2");
    }
    assert_eq!(store.keys(), fixture.store.keys());
    let put = remote.put_new(&at(2), &valid).expect("an outcome");
    assert!(matches!(put, PutOutcome::Created));
    refused(&remote, &at(3), &valid, "no effect");

    // What others append meanwhile counts.
    let rights = Fixture::new(522);
    let writer = rights.add_key(Rights::WRITE, &["*"]);
    let store = Arc::new(rights.store.clone());
    let remote = connect(guarded(&store, None)).expect("it is welcome");
    let mut written = Repository::open(&remote, None, &writer, rights.env.clone()).expect("opens");
    take_stream(&mut written, "shop", &rows(0..50)).expect("it is committed");
    let mut admin =
        Repository::open(&*store, None, &rights.recovery, rights.env.clone()).expect("opens");
    let subject = written.signer();
    admin.revoke(subject, None).expect("it is revoked");
    let error = take_stream(&mut written, "shop", &rows(0..60)).expect_err("it is revoked");
    let error = chain(&error);
    assert!(
        error.contains("revoked") || error.contains("no effect"),
        "{error}"
    );
}

/// A bundle of log objects is taken if it has what the log has, and not before an entry
/// stands behind it.
///
/// Method: fill the log up; put the right bundle, one with a byte changed, one early, and
/// one that is far ahead.
#[test]
fn bundles_are_what_the_log_is() {
    let fixture = Fixture::new(525);
    for number in 1..256 {
        let repository = fixture.open();
        let entry = draft_at(&repository, number, attest());
        let bytes = entry.sign(&repository.id(), &fixture.bundle.signing_seed);
        let bytes = bytes.expect("it is small");
        fixture.store.replace(&ObjectKey::Log(number), &bytes);
    }
    let before = Arc::new(fixture.store.clone());
    let key = ObjectKey::Bundle(1);
    let mut client = fixture.open();
    take_stream(&mut client, "shop", &rows(0..20)).expect("it is committed");
    let bundle = object(&fixture.store, &key);
    let remote = connect(guarded(&before, None)).expect("it is welcome");
    refused(&remote, &key, &bundle, "what the log holds");

    let store = Arc::new(fixture.store.clone());
    store.forget(&key);
    let remote = connect(guarded(&store, None)).expect("it is welcome");
    let mut changed = bundle.clone();
    changed[5_000] ^= 1;
    refused(&remote, &key, &changed, "what the log holds");
    refused(
        &remote,
        &ObjectKey::Bundle(2),
        &bundle,
        "what the log holds",
    );
    refused(
        &remote,
        &ObjectKey::Bundle(3_906_249_999),
        &bundle,
        "what the log holds",
    );
    refused(&remote, &key, &vec![0; 17 << 20], "may have");
    let put = remote.put_new(&key, &bundle).expect("an outcome");
    assert!(matches!(put, PutOutcome::Created));
    let again = Repository::open(&remote, None, &fixture.recovery, fixture.env.clone());
    assert_eq!(again.expect("it opens").history().bundled, 255);
}

/// A first entry begins a log, and only one that begins a repository.
///
/// Method: an empty store, one with its first entry gone, and a foreign first entry.
#[test]
fn only_a_genesis_begins_a_log() {
    let fixture = Fixture::new(523);
    let first = object(&fixture.store, &ObjectKey::Log(0));
    let store = Arc::new(MemoryStore::new());
    let remote = connect(guarded(&store, None)).expect("it is welcome");
    refused(&remote, &ObjectKey::Log(0), b"junk", "begins no repository");
    refused(&remote, &ObjectKey::Log(1), &first, "no log");
    assert!(store.keys().is_empty());
    store.replace(&ObjectKey::Log(1), b"what is left");
    refused(&remote, &ObjectKey::Log(0), &first, "log entries already");
    store.forget(&ObjectKey::Log(1));
    let put = remote
        .put_new(&ObjectKey::Log(0), &first)
        .expect("an outcome");
    assert!(matches!(put, PutOutcome::Created));
}

/// What is no request, or comes out of turn, is answered with a fault and ends the
/// connection; another connection goes on.
///
/// Method: each wrong message behind a right hello, and wrong beginnings.
#[test]
fn malformed_messages_end_the_connection() {
    let fixture = Fixture::new(524);
    let store = Arc::new(fixture.store.clone());
    let read = |number| {
        let object = Object::Log(0);
        let (offset, len) = (0, 10);
        Request::Read {
            object,
            offset,
            len,
        }
        .frame(number)
    };
    // A read of a log entry with a number that has 13 digits, and of a kind of object
    // that does not exist: paths can't be said.
    let mut far = read(1);
    far[14..22].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut path = read(1);
    path[13] = b'.';
    let mut removal = read(1);
    removal[4] = 9;
    let wrong = [
        u32::MAX.to_le_bytes().to_vec(),
        (0x0400_0041_u32).to_le_bytes().to_vec(),
        vec![0; 4],
        far,
        path,
        removal,
        Request::Hello.frame(1),
        read(0),
        [read(5), read(5)].concat(),
        Answer::Done.frame(1),
    ];
    for bytes in wrong {
        let mut raw = Raw::new(guarded(&store, None));
        raw.send(&bytes);
        let mut faults = 0;
        while let Some(frame) = raw.next() {
            if let Ok((0, Answer::Fault(fault))) = Answer::decode(&frame) {
                assert_eq!(fault.reason(), Reason::Malformed);
                faults += 1;
            }
        }
        assert_eq!(faults, 1, "{bytes:02x?}");
    }
    let (input, output) = guarded(&store, None);
    let mut raw = Raw { input, output };
    let answer = raw.say(&read(0)).expect("a fault");
    assert!(matches!(Answer::decode(&answer), Ok((0, Answer::Fault(_)))));
    assert!(raw.next().is_none());

    let mut raw = Raw::new(guarded(&store, None));
    let lock = Request::Extend {
        object: Object::Log(0),
        until_ms: 1,
    };
    let answer = raw.say(&lock.frame(3)).expect("an answer");
    match Answer::decode(&answer) {
        Ok((3, Answer::Fault(fault))) => assert_eq!(fault.reason(), Reason::Unsupported),
        other => panic!("{other:?}"),
    }
    assert!(raw.say(&read(4)).is_some());
    assert_eq!(store.keys(), fixture.store.keys());
}

/// An account stores no more than it may, over all its connections and for good;
/// others go on, and so does reading.
///
/// Method: a directory; two connections of one account at once put packs until both
/// are refused; then count what is there, and connect again.
#[test]
fn a_quota_holds_over_all_connections() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = LocalStore::open(root.path(), Arc::new(OsEntropy)).expect("it exists");
    let store = Arc::new(store);
    let name = |text: &str| Name::new(text.as_bytes()).expect("a NAME");
    let client = |account: &str| {
        let quota = Quota::open(root.path(), &name(account), 100_000).expect("it is writable");
        connect(guarded(&store, Some(quota))).expect("it is welcome")
    };
    let put = |remote: &RemoteStore, seed: u64, len: usize| {
        let bytes = noise(seed, len);
        remote.put_new(&ObjectKey::Pack(PackId::of(&bytes)), &bytes)
    };
    client("first").prepare().expect("it is writable");
    thread::scope(|scope| {
        for first in [0, 1_000] {
            let (remote, put) = (client("first"), &put);
            scope.spawn(move || {
                let full = (first..first + 200).find_map(|seed| put(&remote, seed, 7_000).err());
                assert_eq!(full.expect("it ends").class(), ErrorClass::NoSpace);
            });
        }
    });
    let used = |least: u64| {
        let mut used = 0;
        let listed = store.list(Area::Packs, &mut |listed| match listed {
            Listed::Object { size_bytes, .. } => used += size_bytes.max(least),
            other => panic!("{other:?}"),
        });
        listed.expect("it can be listed");
        used
    };
    assert_eq!(used(0), 14 * 7_000);
    let again = client("first");
    assert_eq!(
        put(&again, 5_000, 1).expect_err("it is full").class(),
        ErrorClass::NoSpace
    );
    let mut keys = Vec::new();
    again
        .list(Area::Packs, &mut |listed| keys.push(listed))
        .expect("it can be read");
    let Listed::Object { key, .. } = &keys[0] else {
        panic!("{keys:?}")
    };
    // What is there already costs nothing.
    let bytes = again.read(key, 10_000).expect("it is there");
    assert!(matches!(
        again.put_new(key, &bytes),
        Ok(PutOutcome::AlreadySame)
    ));

    let second = client("second");
    for seed in 0..24 {
        let created = put(&second, 10_000 + seed, 1).expect("there is room");
        assert!(matches!(created, PutOutcome::Created));
    }
    // Small objects count as what a file takes.
    put(&second, 20_000, 1).expect_err("it is full");
    assert!(used(OBJECT_CHARGE_BYTES_MIN) <= 200_000);
    std::fs::write(root.path().join("accounts/second"), "none").expect("it is writable");
    let error = put(&client("second"), 20_001, 1).expect_err("its count is damaged");
    assert!(matches!(error, StoreError::Served { .. }));
}

/// After all that an enemy does, what was there restores, and others go on.
///
/// Method: attack on one connection; then restore and commit on another.
#[test]
fn others_go_on_after_an_enemy() {
    let fixture = Fixture::new(525);
    let content = rows(0..200);
    fixture.snapshot_of("shop", &content);
    let writer = fixture.add_key(Rights::WRITE, &["shop"]);
    let store = Arc::new(fixture.store.clone());
    let enemy = connect(guarded(&store, None)).expect("it is welcome");
    for seed in 0..50 {
        let bytes = noise(seed, 2_000);
        let kept = enemy.put_new(&ObjectKey::Pack(PackId::of(&bytes)), &bytes);
        assert!(kept.expect("an outcome").is_stored());
        let record = ObjectKey::Record(RecordId::of(&bytes));
        assert!(
            enemy
                .put_new(&record, &bytes)
                .expect("an outcome")
                .is_stored()
        );
        for number in 3..40 {
            enemy
                .put_new(&ObjectKey::Log(number), &bytes)
                .expect_err("it is junk");
        }
    }
    let other = connect(guarded(&store, None)).expect("it is welcome");
    let mut repository =
        Repository::open(&other, None, &writer, fixture.env.clone()).expect("it opens");
    take_stream(&mut repository, "shop", &rows(100..300)).expect("it is committed");
    let repository =
        Repository::open(&other, None, &fixture.recovery, fixture.env.clone()).expect("it opens");
    assert_eq!(listed(&repository), [1, 3]);
    assert!(restore_stream(&repository, 1).expect("it restores") == content);
    assert!(repository.history().problems.is_empty());
}
