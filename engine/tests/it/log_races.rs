//! Created is not committed (SPEC 9.4): lost races, and answers that are
//! unclear.

use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::log::AppendError;
use indelible_engine::progress::{Note, Silent};
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{Input, SnapshotRunError};
use indelible_engine::store::faulty::{Fate, Fault};
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey};
use indelible_format::rights::Rights;

use crate::support::{Fixture, Notes, listed, noise, restore_stream, run, stream, take_stream};

type Faulty<'s> = FaultyStore<'s, MemoryStore>;

/// Runs `once` at the first creation of a log entry, then lets all be done.
fn at_first_entry<'a>(
    store: &'a MemoryStore,
    once: impl Fn() -> Fate + Send + Sync + 'a,
) -> Faulty<'a> {
    let met = AtomicU32::new(0);
    FaultyStore::new(store, move |call| {
        let entry = matches!(call.put(), Some(ObjectKey::Log(_)));
        let first = entry && met.fetch_add(1, Ordering::SeqCst) == 0;
        if first { once() } else { Fate::Done }
    })
}

fn open<'s>(fixture: &Fixture, store: &'s Faulty<'s>) -> Repository<'s, Faulty<'s>> {
    Repository::open(store, None, &fixture.recovery, fixture.env.clone())
        .expect("the repository opens")
}

/// Who loses a race commits at the next number, and both snapshots restore.
///
/// Method: another writer commits right before our entry is created, three
/// times in a row.
#[test]
fn a_lost_race_ends_at_the_next_number() {
    let fixture = Fixture::new(51);
    fixture.snapshot_of("shop", b"first");
    let races = AtomicU32::new(0);
    let store = FaultyStore::new(&fixture.store, |call| {
        if matches!(call.put(), Some(ObjectKey::Log(_))) && races.fetch_add(1, Ordering::SeqCst) < 3
        {
            fixture.snapshot_of("other", b"faster");
        }
        Fate::Done
    });
    let mut repository = open(&fixture, &store);
    let notes = Notes::default();
    let input = Input::Items(vec![stream("dump.sql", b"slower")]);
    let summary = run(&mut repository, "shop", input, &notes).unwrap();
    assert_eq!(summary.number, 5);
    let taken = (2..5).map(|number| Note::LogNumberTaken { number });
    // Without a state there is nothing to lean on.
    let expected: Vec<_> = [Note::NothingToLeanOn].into_iter().chain(taken).collect();
    assert_eq!(notes.taken(), expected);
    let repository = fixture.open();
    assert_eq!(listed(&repository), [1, 2, 3, 4, 5]);
    assert_eq!(restore_stream(&repository, 4).unwrap(), b"faster");
    assert_eq!(restore_stream(&repository, 5).unwrap(), b"slower");
    assert!(repository.history().problems.is_empty());
}

/// Junk that wins the race is stepped over.
///
/// Method: an attacker creates the object right before we do.
#[test]
fn junk_that_wins_a_race_is_stepped_over() {
    let fixture = Fixture::new(52);
    let store = at_first_entry(&fixture.store, || {
        fixture.store.replace(&ObjectKey::Log(1), b"junk");
        Fate::Done
    });
    let summary = take_stream(&mut open(&fixture, &store), "shop", b"content").unwrap();
    assert_eq!(summary.number, 2);
    assert_eq!(restore_stream(&fixture.open(), 2).unwrap(), b"content");
}

/// An older version that appears in the middle of the commit wins, though the
/// store said "created".
///
/// Method: put a version in front of ours while our answer is on its way, as a
/// store without conditional creation lets happen.
#[test]
fn an_older_version_wins_over_created() {
    let fixture = Fixture::new(53);
    let store = at_first_entry(&fixture.store, || {
        fixture.store.push_older(&ObjectKey::Log(1), b"junk");
        Fate::Unclear
    });
    let summary = take_stream(&mut open(&fixture, &store), "shop", b"content").unwrap();
    assert_eq!(summary.number, 2);
    assert_eq!(restore_stream(&fixture.open(), 2).unwrap(), b"content");
}

/// An unclear answer is asked again, and ends in one commit at one number.
///
/// Method: the entry was created and the answer lost; and nothing was created;
/// in stores that keep versions and in those that don't.
#[test]
fn an_unclear_answer_is_cleared_up() {
    for fate in [Fate::AnswerLost, Fate::Unclear] {
        for versions in [true, false] {
            let fixture = Fixture::new(54);
            let mut store = at_first_entry(&fixture.store, || fate);
            if !versions {
                store = store.without_versions();
            }
            let mut repository = open(&fixture, &store);
            let summary = take_stream(&mut repository, "shop", b"content").unwrap();
            assert_eq!(summary.number, 1, "{fate:?}, versions: {versions}");
            assert_eq!(fixture.open().history().size(), 2);
            assert_eq!(restore_stream(&fixture.open(), 1).unwrap(), b"content");
        }
    }
}

/// An answer that stays unclear is an error of its own, and no second entry is
/// tried.
///
/// Method: the store goes down with the entry, created or not; and it never
/// gives a clear answer.
#[test]
fn an_answer_that_stays_unclear_is_unknown() {
    let fates = [
        Fate::DownAfter,
        Fate::DownBefore,
        Fate::Unclear,
        Fate::AnswerLost,
    ];
    for fate in fates {
        let fixture = Fixture::new(55);
        let store = FaultyStore::new(&fixture.store, |call| match call.put() {
            Some(ObjectKey::Log(_)) => fate,
            _ => Fate::Done,
        });
        let mut repository = open(&fixture, &store);
        let error = take_stream(&mut repository, "shop", b"content").unwrap_err();
        assert!(
            matches!(&error, SnapshotRunError::Append(append)
                if matches!(**append, AppendError::Unknown { number: 1, .. })),
            "{fate:?}: {error:?}"
        );
        let created = matches!(fate, Fate::DownAfter | Fate::AnswerLost);
        assert_eq!(fixture.open().history().size(), 1 + u64::from(created));
        // Whatever it was, the next run works.
        let next = fixture.snapshot_of("shop", b"content");
        assert_eq!(next.number, 1 + u64::from(created));
    }
}

/// A refusal commits nothing and is no mystery.
///
/// Method: the store refuses the entry; then it accepts the next run's.
#[test]
fn a_refused_entry_is_not_committed() {
    let fixture = Fixture::new(56);
    let store = at_first_entry(&fixture.store, || Fate::Fails(Fault::Unreachable));
    let mut repository = open(&fixture, &store);
    let error = take_stream(&mut repository, "shop", b"content").unwrap_err();
    assert!(
        matches!(&error, SnapshotRunError::Append(append)
            if matches!(**append, AppendError::Store(_))),
        "{error:?}"
    );
    assert_eq!(fixture.open().history().size(), 1);
    let summary = take_stream(&mut repository, "shop", b"content").unwrap();
    assert_eq!(summary.number, 1);
}

/// A snapshot whose entry was committed is a success, though the log can't be
/// read again.
///
/// Method: the store, which keeps no versions, goes down right behind the
/// entry; nothing but the entry's creation is answered. The same with junk
/// ahead, and then the next snapshot once the store is back.
#[test]
fn a_commit_is_a_success_without_another_read() {
    for junk in [false, true] {
        let fixture = Fixture::new(57);
        if junk {
            fixture.store.replace(&ObjectKey::Log(3), b"junk");
        }
        let store = at_first_entry(&fixture.store, || Fate::LastWord).without_versions();
        let mut repository = open(&fixture, &store);
        let summary = take_stream(&mut repository, "shop", b"content").unwrap();
        assert_eq!(summary.number, 1);
        assert_eq!(repository.history().size(), if junk { 1 } else { 2 });
        assert_eq!(restore_stream(&fixture.open(), 1).unwrap(), b"content");
        store.is_back();
        let next = take_stream(&mut repository, "shop", b"more").unwrap();
        assert_eq!(next.number, 2);
    }
}

/// What a snapshot leans on is checked again after a lost race.
///
/// Method: while another writer takes our number, a pack that we lean on is
/// destroyed.
#[test]
fn reach_is_checked_again_after_a_lost_race() {
    let fixture = Fixture::new(58);
    let bytes = noise(1, 20_000);
    fixture.snapshot_of("shop", &bytes);
    let pack = ObjectKey::Pack(crate::support::packs(&fixture.store)[0]);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let store = at_first_entry(&fixture.store, || {
        take_stream(&mut fixture.open_as(&writer), "other", b"faster").unwrap();
        fixture.store.forget(&pack);
        Fate::Done
    });
    let error = take_stream(&mut open(&fixture, &store), "shop", &bytes).unwrap_err();
    assert!(
        matches!(error, SnapshotRunError::ReachLost { .. }),
        "{error:?}"
    );
    assert_eq!(listed(&fixture.open()), [1, 3]);
}

/// A run whose key is revoked while it lasts commits nothing.
///
/// Method: the administrator revokes the writer's key right before the writer's
/// entry is created.
#[test]
fn a_key_revoked_during_the_run_commits_nothing() {
    use indelible_engine::keys::Forbidden;

    let fixture = Fixture::new(59);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let signer = fixture.open_as(&writer).signer();
    let store = at_first_entry(&fixture.store, || {
        crate::support::revoke(&mut fixture.open(), signer, 2);
        Fate::Done
    });
    let mut repository = Repository::open(&store, None, &writer, fixture.env.clone()).unwrap();
    let input = Input::Items(vec![stream("dump.sql", b"content")]);
    let error = run(&mut repository, "shop", input, &Silent).unwrap_err();
    assert!(
        matches!(
            error,
            SnapshotRunError::Forbidden(Forbidden::Revoked { by: 2 })
        ),
        "{error:?}"
    );
    assert_eq!(fixture.open().history().size(), 3);
}
