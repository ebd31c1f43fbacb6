//! Reading: what hides an object does not hide it, what comes cut is asked for
//! again, and what is told holds no secret.

use std::error::Error;

use indelible_engine::log::{self, Signed};
use indelible_engine::store::{
    Action, AppendStore as _, Area, ErrorClass, ExpireStore as _, Listed, ObjectKey,
    ReadStore as _, StoreError,
};
use indelible_format::ids::PackId;

use super::server::Fate;
use super::{LOCK, PATIENCE, PREFIX, SECRET, Stage, open};
use crate::support::{Fixture, START_UNIX_MS};

const KEY: ObjectKey = ObjectKey::Pack(PackId([0xAB; 32]));
const BYTES: &[u8] = b"0123456789";

fn path(key: &ObjectKey) -> String {
    format!("{PREFIX}/{}", key.path())
}

/// With an object of ten bytes.
fn stage() -> Stage {
    let stage = Stage::new(None);
    assert!(
        stage
            .store
            .put_new(&KEY, BYTES)
            .expect("an answer")
            .is_stored()
    );
    stage
}

fn listed(stage: &Stage, area: Area) -> Vec<Listed> {
    let mut all = Vec::new();
    let list = stage.store.list(area, &mut |listed| all.push(listed));
    list.expect("it can be listed");
    all
}

/// An object behind a marker is there, in every way to ask for it; one that never
/// was is missing.
///
/// Method: hide it twice, with many other versions between, so that lists come in
/// parts; ask for everything.
#[test]
fn markers_hide_nothing() {
    let stage = stage();
    let path = path(&KEY);
    for newer in [None, Some(&b"forged"[..]), None, None, None, None] {
        stage.server.bucket().push(&path, newer);
    }
    let store = &stage.store;
    // Where none has the hash, the newest that has bytes is read.
    assert_eq!(store.read(&KEY, 100).expect("it is there"), b"forged");
    assert_eq!(store.read_prefix(&KEY, 3).expect("it is there"), b"for");
    assert_eq!(store.read_range(&KEY, 2, 2).expect("it is there"), b"rg");
    let mut filled = [0; 2];
    store.read_into(&KEY, 4, &mut filled).expect("it is there");
    assert_eq!(&filled, b"ed");
    assert_eq!(store.size(&KEY).expect("it is there"), 6);
    // What counts is the oldest.
    assert_eq!(store.read_oldest(&KEY, 100).expect("it is there"), BYTES);
    let versions = store.versions(&KEY).expect("it is there");
    let sizes: Vec<u64> = versions.iter().map(|version| version.size_bytes).collect();
    assert_eq!(sizes, [10, 6]);
    let oldest = store.read_version(&KEY, &versions[0].id, 100);
    assert_eq!(oldest.expect("it is there"), BYTES);
    assert_eq!(
        listed(&stage, Area::Packs),
        [
            Listed::Object {
                key: KEY,
                size_bytes: 6
            },
            Listed::Covered {
                key: KEY,
                others: 1,
                markers: 5
            },
        ]
    );
    assert!(store.put_new(&KEY, BYTES).expect("an answer").is_stored());

    let never = ObjectKey::Pack(PackId([1; 32]));
    stage.server.bucket().push(&self::path(&never), None);
    let error = store.read(&never, 100).expect_err("it has no bytes");
    assert!(error.is_not_found(), "{error:?}");
    assert_eq!(listed(&stage, Area::Packs).len(), 2);
}

/// What lies over a pack, or hides it, changes nothing for who reads it, whenever it was
/// put there; packs that have one version take few requests.
///
/// Method: more packs than come in one answer; some are covered before they are read,
/// some after; ask for each in every way, and count.
#[test]
fn what_lies_over_a_pack_changes_nothing() {
    let stage = Stage::new(None);
    stage.server.bucket().page_max = 7;
    let bytes = |number: usize| vec![7; 100 + number];
    let packs: Vec<ObjectKey> = (0..40)
        .map(|number| ObjectKey::Pack(PackId::of(&bytes(number))))
        .collect();
    let cover = |number: usize| {
        let mut bucket = stage.server.bucket();
        bucket.push(&path(&packs[number]), Some(b"forged"));
        bucket.push(&path(&packs[number]), None);
        bucket.push(&path(&packs[number]), Some(&bytes(number + 1)));
    };
    for (number, key) in packs.iter().enumerate() {
        let put = stage.store.put_new(key, &bytes(number));
        assert!(put.expect("an answer").is_stored());
    }
    for number in (0..40).step_by(3) {
        cover(number);
    }
    let store = &stage.store;
    let read_all = || {
        for (number, key) in packs.iter().enumerate() {
            let expected = bytes(number);
            let len = expected.len() as u64;
            assert_eq!(store.size(key).expect("it is there"), len);
            let ranged = store.read_range(key, 0, len).expect("it is there");
            assert_eq!(ranged, expected);
            let mut filled = vec![0; 50];
            store.read_into(key, 50, &mut filled).expect("it is there");
            assert_eq!(filled, expected[50..100]);
            let prefix = store.read_prefix(key, 1_000).expect("it is there");
            assert_eq!(prefix, expected);
            assert_eq!(store.read(key, 1_000).expect("it is there"), expected);
            let short = store.read(key, len).expect("it is as long as that");
            assert_eq!(short, expected);
        }
    };
    read_all();
    for number in (1..40).step_by(3) {
        cover(number);
    }
    read_all();
    let mut told = 0;
    store
        .list(Area::Packs, &mut |listed| match listed {
            Listed::Object { key, size_bytes } => {
                let at = packs.iter().position(|pack| *pack == key);
                assert_eq!(size_bytes, 100 + at.expect("it is ours") as u64);
            }
            Listed::Covered {
                others: 2,
                markers: 1,
                ..
            } => told += 1,
            other => panic!("{other:?}"),
        })
        .expect("it can be listed");
    assert_eq!(told, 27);

    let again = Stage::new(None);
    for (number, key) in packs.iter().enumerate() {
        again.server.bucket().push(&path(key), Some(&bytes(number)));
    }
    again.server.bucket().page_max = 1_000;
    for (number, key) in packs.iter().enumerate() {
        let range = again.store.read_range(key, 1, 2).expect("it is there");
        assert_eq!(range, bytes(number)[1..3]);
        again.store.size(key).expect("it is there");
    }
    // One list and 40 ranges, each with a look at the clock's difference at most.
    let requests = again.server.requests().len();
    assert!((41..=43).contains(&requests), "{requests}");
}

/// Removing takes every version and marker, and what is locked stays.
///
/// Method: remove a hidden object without a lock, and one with.
#[test]
fn removal_is_whole_or_refused() {
    let plain = stage();
    plain.server.bucket().push(&path(&KEY), Some(b"newer"));
    plain.server.bucket().push(&path(&KEY), None);
    plain.store.remove(&KEY).expect("it is not locked");
    assert_eq!(plain.server.bucket().keys().count(), 0);

    let locked = Stage::new(Some(LOCK));
    let put = locked.store.put_new(&KEY, BYTES).expect("an answer");
    assert!(put.is_stored());
    let error = locked.store.remove(&KEY).expect_err("it is locked");
    assert_eq!(error.class(), ErrorClass::PermissionDenied);
    assert_eq!(locked.store.read(&KEY, 100).expect("it is there"), BYTES);
    locked.clock.advance(LOCK.span_ms + 1_000);
    locked.store.remove(&KEY).expect("the lock has ended");
}

/// Names that no object has are told, whatever is in them, and hide none that has.
///
/// Method: plant names with controls, spaces and signs, and names that begin as an
/// object's.
#[test]
fn foreign_names_are_told() {
    let stage = stage();
    let names = ["packs/\u{1}%41 <&", "packs/ab", &format!("{}x", KEY.path())];
    for name in names {
        let mut bucket = stage.server.bucket();
        bucket.push(&format!("{PREFIX}/{name}"), Some(b"?"));
    }
    stage
        .server
        .bucket()
        .push(&format!("{PREFIX}x/packs/a"), Some(b"?"));
    let all = listed(&stage, Area::Packs);
    assert_eq!(all.len(), 4, "{all:?}");
    for name in names {
        let path = name.to_owned();
        assert!(all.contains(&Listed::Foreign { path }), "{name:?}");
    }
    assert_eq!(stage.store.versions(&KEY).expect("it is there").len(), 1);
}

/// A body that comes cut, or not at all, is asked for again; one that always
/// comes cut is an error, never fewer bytes.
///
/// Method: cut the first answers of each way to read, then all.
#[test]
fn cut_bodies_are_asked_for_again() {
    let stage = stage();
    let fail = |times: u32, fate| {
        let mut left = times;
        stage.server.decide(move |request, _| {
            let strikes = request.is_get() && left > 0;
            left -= u32::from(strikes);
            if strikes { fate } else { Fate::Done }
        });
    };
    let store = &stage.store;
    let version = store.versions(&KEY).expect("it is there").remove(0).id;
    for fate in [
        Fate::Cut,
        Fate::ResetBefore,
        Fate::Refused(500, "InternalError"),
    ] {
        for times in [2, 9] {
            let mut filled = [0; 10];
            fail(times, fate);
            let answers = [
                store.read(&KEY, 100),
                store.read_range(&KEY, 0, 10),
                store.read_prefix(&KEY, 100),
                store.read_version(&KEY, &version, 100),
                store
                    .read_into(&KEY, 0, &mut filled)
                    .map(|()| filled.to_vec()),
            ];
            // Nine failures are more than the first two ways to read outlast.
            let lasting = if times == 9 { 2 } else { 0 };
            for (number, answer) in answers.into_iter().enumerate() {
                match answer {
                    Ok(bytes) if number >= lasting => assert_eq!(bytes, BYTES),
                    Err(error) if number < lasting => assert!(error.is_transient(), "{error:?}"),
                    other => panic!("{fate:?}, {number}: {other:?}"),
                }
            }
        }
    }
}

/// A list that leads nowhere ends, and so does one of nonsense.
///
/// Method: a server whose lists always begin anew, then one that answers with
/// something else.
#[test]
fn lists_end() {
    let stage = stage();
    for newer in 0..8_u8 {
        stage.server.bucket().push(&path(&KEY), Some(&[newer]));
    }
    stage.server.bucket().page_max = 0;
    for error in [
        stage
            .store
            .list(Area::Packs, &mut |_| {})
            .expect_err("it ends"),
        stage.store.versions(&KEY).expect_err("it ends"),
    ] {
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    }
    stage.server.decide(|_, _| Fate::Refused(200, "Nonsense"));
    let error = stage.store.versions(&KEY).expect_err("it is no list");
    assert!(
        matches!(
            error,
            StoreError::Io {
                action: Action::Inspect,
                ..
            }
        ),
        "{error:?}"
    );
}

/// A list that says everything twice changes nothing about a log.
///
/// Method: read one with and without that.
#[test]
fn repeated_lists_change_no_log() {
    let fixture = Fixture::new(92);
    for content in [b"first", b"other", b"third"] {
        fixture.snapshot_of("shop", content);
    }
    let stage = Stage::new(None);
    stage.server.bucket().page_max = 100;
    for key in fixture.store.keys() {
        let bytes = fixture.store.read(&key, 1 << 20).expect("it is there");
        stage.server.bucket().push(&path(&key), Some(&bytes));
    }
    let read = || log::read(&stage.store, &[], &Signed::default()).expect("it can be read");
    let once = read();
    stage.server.bucket().repeats = true;
    let twice = read();
    assert_eq!(once.leaves.len(), 4);
    assert_eq!((once.leaves, once.next), (twice.leaves, twice.next));
    assert!(twice.problems.is_empty());
}

/// Clocks that are far apart are told before anything is stored; what is less
/// makes no difference, and locks end by the store's clock.
///
/// Method: set this machine's clock back by little and by much.
#[test]
fn clocks_far_apart_are_refused() {
    let stage = Stage::new(Some(LOCK));
    let start_ms = START_UNIX_MS;
    let shifted = |by_ms: u64| {
        let clock = std::sync::Arc::new(indelible_engine::env::ManualClock::new(start_ms - by_ms));
        open(&stage.server, &clock, Some(LOCK), PATIENCE)
    };
    let late = shifted(3_000_000);
    assert!(late.put_new(&KEY, BYTES).expect("an answer").is_stored());
    let version = &late.versions(&KEY).expect("it is there")[0].id;
    let until = late.locked_until(&KEY, version).expect("an answer");
    assert_eq!(until, Some(start_ms + LOCK.span_ms));

    let wrong = shifted(3_700_000);
    let other = ObjectKey::Log(0);
    for error in [
        wrong.put_new(&other, BYTES).expect_err("it is far off"),
        wrong.read(&KEY, 100).expect_err("it is far off"),
    ] {
        match &error {
            StoreError::ClockSkew { apart_s: 3_700, .. } => {}
            other => panic!("{other:?}"),
        }
        assert!(error.to_string().contains("set this machine's clock"));
    }
    let nothing = stage.store.size(&other).expect_err("nothing was stored");
    assert!(nothing.is_not_found());
}

/// Neither errors nor debug output show a secret or the address of a request.
///
/// Method: provoke every kind of failure, and look through all texts.
#[test]
fn secrets_are_not_shown() {
    let stage = stage();
    let mut texts = vec![format!("{:?}", stage.store), stage.store.location()];
    let mut look = |error: StoreError| {
        let mut source: Option<&dyn Error> = Some(&error);
        while let Some(error) = source {
            texts.push(format!("{error} {error:?}"));
            source = error.source();
        }
    };
    for fate in [
        Fate::Refused(403, "SignatureDoesNotMatch"),
        Fate::Refused(301, "PermanentRedirect"),
        Fate::Refused(503, "SlowDown"),
        Fate::Refused(200, "Nonsense"),
        Fate::ResetBefore,
    ] {
        stage.server.decide(move |_, _| fate);
        look(stage.store.versions(&KEY).expect_err("a fault"));
        look(
            stage
                .store
                .size(&ObjectKey::Log(9))
                .map_or_else(|error| error, |_| StoreError::NotFound { key: KEY }),
        );
    }
    stage.server.decide(|_, _| Fate::Done);
    look(stage.store.read(&KEY, 1).expect_err("it is longer"));
    let sent = stage.server.requests();
    assert!(
        sent.iter().any(|line| line.contains(SECRET)),
        "a token is sent"
    );
    for text in texts {
        for secret in [SECRET, "X-Amz", "Signature="] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
