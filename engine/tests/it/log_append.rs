//! Reading the log and appending to it, by themselves: what an answer of the
//! store means, and what is known of the log afterwards.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_engine::log::{self, AppendError, Appended, LogError, Signed};
use indelible_engine::store::faulty::{Call, Fate, Fault, Request};
use indelible_engine::store::{AppendStore, FaultyStore, MemoryStore, ObjectKey, StoreError};
use indelible_format::entry::Draft;
use indelible_format::history::{Continuity, History, LogProblem};
use indelible_format::ids::{CommitId, LogHash};
use indelible_format::merkle::leaf_hash;

use crate::support::{Fixture, attest, object};

/// The log as it stands, for a client that remembers nothing.
fn read(fixture: &Fixture) -> History {
    log::read(&fixture.store, &[], &Signed::default()).expect("the log is read")
}

/// Appends an entry that is valid wherever it is signed for.
fn append<S: AppendStore>(
    fixture: &Fixture,
    store: &S,
    history: &History,
) -> Result<Appended, AppendError<Infallible>> {
    log::append(store, history, |history, previous, root| {
        let draft = Draft {
            number: history.next,
            epoch: 0,
            claimed_ms: fixture.env.clock.now_unix_ms(),
            commit: CommitId(fixture.env.random()),
            domain: fixture.bundle.domain,
            previous,
            root,
            body: attest(),
        };
        let repository = history.authority.repository();
        let entry = draft.sign(&repository, &fixture.bundle.signing_seed);
        Ok(entry.expect("the entry is small"))
    })
}

/// A store that keeps no versions, and goes down right behind the next entry.
fn down_behind_an_entry(store: &MemoryStore) -> FaultyStore<'_, MemoryStore> {
    let fate = |call: &Call| match call.put() {
        Some(ObjectKey::Log(_)) => Fate::LastWord,
        _ => Fate::Done,
    };
    FaultyStore::new(store, fate).without_versions()
}

/// A log that can't be listed is not a place without a repository, where somebody
/// might make one.
///
/// Method: an empty store, and one that does not answer.
#[test]
fn a_log_that_cannot_be_listed_is_not_absent() {
    let empty = MemoryStore::new();
    assert!(matches!(
        log::read(&empty, &[], &Signed::default()),
        Err(LogError::NoRepository { location }) if location == "memory"
    ));
    let fixture = Fixture::new(101);
    for behind in [&empty, &fixture.store] {
        let store = FaultyStore::new(behind, |_| Fate::Fails(Fault::Unreachable));
        assert!(matches!(
            log::read(&store, &[], &Signed::default()),
            Err(LogError::Store(StoreError::Unreachable { .. }))
        ));
    }
}

/// An entry that was created and has no effect is no success.
///
/// Method: append bytes that are no entry; the next entry then stands behind them.
#[test]
fn an_entry_without_effect_is_void() {
    let fixture = Fixture::new(102);
    let junk = |_: &History, _, _| Ok::<_, Infallible>(b"junk".to_vec());
    assert!(matches!(
        log::append(&fixture.store, &read(&fixture), junk),
        Err(AppendError::Void { number: 1 })
    ));
    let appended = append(&fixture, &fixture.store, &read(&fixture)).unwrap();
    assert_eq!(appended.number, 2);
}

/// A signature that a client has seen to verify is not checked again, and every
/// other one is.
///
/// Method: alter the signature of the last of two entries. What is kept of the log
/// are the leaves of the valid ones; and only a client that claims to have seen
/// the altered one verify, at its own number, takes it for valid.
#[test]
fn only_what_was_seen_to_verify_is_not_checked_again() {
    let fixture = Fixture::new(108);
    for _ in [1, 2] {
        append(&fixture, &fixture.store, &read(&fixture)).unwrap();
    }
    let key = ObjectKey::Log(2);
    let end = object(&fixture.store, &key).len() - 1;
    fixture.store.flip(&key, end, 0);
    let altered = leaf_hash(&object(&fixture.store, &key));

    let history = read(&fixture);
    let kept = Signed::of(&history);
    assert_eq!(kept.get(0), Some(&history.leaves[0]));
    assert_eq!(kept.get(1), Some(&history.leaves[1]));
    assert_eq!((kept.get(2), kept.get(3)), (None, None));

    let claims = [
        (vec![None, None, Some(altered)], true),
        (vec![None, None, Some(history.leaves[1])], false),
        (vec![None, Some(altered), None], false),
        (Vec::new(), false),
    ];
    for (claim, believed) in claims {
        let signed: Signed = claim.into_iter().collect();
        let history = log::read(&fixture.store, &[], &signed).unwrap();
        assert_eq!(history.entries.contains_key(&2), believed, "{signed:?}");
    }
}

/// Only the oldest version commits, though the store said "created".
///
/// Method: another entry, and junk, come in front of ours when we look at what
/// was created.
#[test]
fn an_older_version_takes_the_number() {
    for valid in [true, false] {
        let fixture = Fixture::new(103);
        let start = read(&fixture);
        let faster = if valid {
            let other = fixture.store.clone();
            append(&fixture, &other, &start).unwrap();
            object(&other, &ObjectKey::Log(1))
        } else {
            b"junk".to_vec()
        };
        let raced = AtomicBool::new(false);
        let store = FaultyStore::new(&fixture.store, |call| {
            let looks = matches!(call.request, Request::Inspect(key) | Request::Read(key)
                if key == ObjectKey::Log(1));
            if looks && !raced.swap(true, Ordering::SeqCst) {
                fixture.store.push_older(&ObjectKey::Log(1), &faster);
            }
            Fate::Done
        });
        let appended = append(&fixture, &store, &start).unwrap();
        assert!(raced.load(Ordering::SeqCst));
        assert_eq!(appended.number, 2);
        assert_eq!(appended.history.entries.contains_key(&1), valid);
        assert_eq!(appended.history.leaves[1], leaf_hash(&faster));
    }
}

/// After a commit the log is known as well without another read as with one.
///
/// Method: append twice to logs with nothing, with junk and with a hole below,
/// each time to a store that goes down right behind the entry; and compare with
/// what a reader then finds.
#[test]
fn a_committed_entry_is_known_without_another_read() {
    let plain: fn(&Fixture) = |_| {};
    let junk: fn(&Fixture) = |fixture| {
        for number in [1, 2] {
            fixture.store.replace(&ObjectKey::Log(number), b"junk");
        }
    };
    let hole: fn(&Fixture) = |fixture| {
        for _ in [1, 2] {
            append(fixture, &fixture.store, &read(fixture)).unwrap();
        }
        fixture.store.forget(&ObjectKey::Log(1));
    };
    for below in [plain, junk, hole] {
        let fixture = Fixture::new(104);
        below(&fixture);
        let mut history = read(&fixture);
        for _ in 0..2 {
            let store = down_behind_an_entry(&fixture.store);
            let appended = append(&fixture, &store, &history).unwrap();
            let found = read(&fixture);
            history = appended.history;
            assert_eq!(history.next, appended.number + 1);
            assert_eq!(history.next, found.next);
            assert_eq!(history.leaves, found.leaves);
            assert!(history.entries.keys().eq(found.entries.keys()));
            assert_eq!(history.problems, found.problems);
        }
    }
}

/// With something ahead of the number, which an entry may put into another light,
/// the log stays as it was known until it is read again.
///
/// Method: with junk ahead, and with more leaves remembered than readers reach,
/// append to a store that goes down right behind the entry.
#[test]
fn with_something_ahead_the_log_is_to_be_read_again() {
    let junk = Fixture::new(105);
    junk.store.replace(&ObjectKey::Log(3), b"junk");
    let history = read(&junk);

    let remembering = Fixture::new(106);
    let mut remembered = read(&remembering).leaves;
    remembered.resize(2_000, LogHash([5; 32]));
    let long = log::read(&remembering.store, &remembered, &Signed::default()).unwrap();
    assert!(long.next < long.size());

    for (fixture, before) in [(junk, history), (remembering, long)] {
        let store = down_behind_an_entry(&fixture.store);
        let appended = append(&fixture, &store, &before).unwrap();
        assert_eq!(appended.number, before.next);
        let after = appended.history;
        assert_eq!(after.next, before.next);
        assert_eq!(after.leaves, before.leaves);
        assert!(after.entries.keys().eq(before.entries.keys()));
    }
}

/// What was known of the log below an entry is held against the log that is read
/// once the entry is there, and what was known at it and behind is not.
///
/// Method: append as it is remembered; with an entry below exchanged for junk as
/// soon as ours is created; and with more remembered than readers reach.
#[test]
fn what_is_remembered_below_stays_remembered() {
    let fixture = Fixture::new(107);
    let history = append(&fixture, &fixture.store, &read(&fixture))
        .unwrap()
        .history;
    let appended = append(&fixture, &fixture.store, &history).unwrap();
    assert_eq!(appended.history.continuity, Continuity::Extends);
    assert_eq!(appended.history.leaves[..2], history.leaves);

    let store = FaultyStore::new(&fixture.store, |call| {
        if call.put() == Some(ObjectKey::Log(3)) {
            fixture.store.replace(&ObjectKey::Log(2), b"junk");
        }
        Fate::Done
    });
    let damaged = append(&fixture, &store, &appended.history).unwrap().history;
    assert_eq!(damaged.continuity, Continuity::Extends);
    assert!(matches!(
        damaged.problems[..],
        [LogProblem::Damaged { number: 2, .. }]
    ));

    let mut remembered = damaged.leaves;
    remembered.resize(2_000, LogHash([5; 32]));
    let long = log::read(&fixture.store, &remembered, &Signed::default()).unwrap();
    let appended = append(&fixture, &fixture.store, &long).unwrap();
    assert_eq!(appended.number, long.next);
    assert_eq!(appended.history.size(), long.next + 1);
    assert_eq!(appended.history.continuity, Continuity::Extends);
}
