//! Objects of the log that are no entries, that were altered, or that are gone:
//! each is reported as what it is, and neither backup nor restore stops for it.

use indelible_engine::store::{AppendStore as _, MemoryStore, ObjectKey};
use indelible_engine::verify::{Harm, ProblemKind, Report};
use indelible_format::attest::Level;
use indelible_format::authority::Void;
use indelible_format::entry::{Body, Draft};
use indelible_format::history::{Continuity, LogProblem};
use indelible_format::secret::SecretKey;

use crate::support::{
    Fixture, attest, draft_at, key_file, listed, noise, object, restore_stream, rows, take_stream,
};

/// The three snapshots of [`three`], each sharing most of its content with the
/// one before.
fn content(number: u64) -> Vec<u8> {
    rows(number..number + 150)
}

/// A repository with snapshots at 1, 2 and 3.
fn three(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed);
    for number in 1..=3 {
        assert_eq!(fixture.snapshot_of("shop", &content(number)).number, number);
    }
    fixture
}

/// The kinds of what a verification found in the log, with their objects.
fn log_problems(report: &Report) -> Vec<(ProblemKind, &str)> {
    let of_the_log = report
        .problems
        .iter()
        .filter(|problem| problem.kind.is_of_the_log());
    of_the_log
        .map(|problem| (problem.kind, problem.object.as_str()))
        .collect()
}

/// Asserts that these snapshots restore, and that a new one can be taken and
/// restores too. Gives its number.
fn goes_on(fixture: &Fixture, snapshots: &[u64]) -> u64 {
    let repository = fixture.open();
    assert_eq!(listed(&repository), snapshots);
    for number in snapshots {
        let restored = restore_stream(&repository, *number).unwrap();
        assert!(restored == content(*number), "snapshot {number}");
    }
    let bytes = rows(10_000..10_100);
    let next = fixture.snapshot_of("shop", &bytes).number;
    assert!(restore_stream(&fixture.open(), next).unwrap() == bytes);
    next
}

/// An object of the log that is no entry, and the reason that a reader gives.
type Junk = (Vec<u8>, fn(&Void) -> bool);

/// The ways to make one.
fn junk(fixture: &Fixture, number: u64) -> Vec<Junk> {
    let repository = fixture.open();
    let sign = |draft: Draft, seed: &SecretKey| {
        let bytes = draft.sign(&repository.id(), seed);
        bytes.expect("the entry is small")
    };
    let own = &repository.key().signing_seed;
    let good = |at| Draft {
        number: at,
        ..draft_at(&repository, 1, attest())
    };
    let mut oversized = sign(good(number), own);
    oversized.resize(70_000, 0);
    let mut flipped = sign(good(number), own);
    flipped[160] ^= 1;
    let stranger = SecretKey::new([7; 32]);
    let foreign = Fixture::new(999);
    let foreign_entry = draft_at(&foreign.open(), 1, attest())
        .sign(&foreign.open().id(), own)
        .expect("the entry is small");
    let foreign_entry = sign_over(foreign_entry, number);
    vec![
        (b"junk".to_vec(), |void| matches!(void, Void::Layout(_))),
        (Vec::new(), |void| matches!(void, Void::Layout(_))),
        (oversized, |void| matches!(void, Void::Layout(_))),
        (flipped, |void| {
            matches!(void, Void::Layout(_) | Void::Signature(_))
        }),
        (object(&fixture.store, &ObjectKey::Log(1)), |void| {
            matches!(void, Void::Number { stated: 1 })
        }),
        (object(&fixture.store, &ObjectKey::Log(0)), |void| {
            matches!(void, Void::Number { stated: 0 })
        }),
        (sign(good(number), &stranger), |void| {
            matches!(void, Void::UnknownSigner { .. })
        }),
        (foreign_entry, |void| matches!(void, Void::Signature(_))),
    ]
}

/// The entry with another number in its frame; its signature is then wrong for
/// two reasons.
fn sign_over(mut entry: Vec<u8>, number: u64) -> Vec<u8> {
    entry[8..16].copy_from_slice(&number.to_le_bytes());
    entry
}

/// Junk at the head of the log stops nothing, and is reported as void.
///
/// Method: for each kind of junk (no entry, empty, too long, altered, replayed
/// from another number, a second genesis, by an unknown key, of another
/// repository): create it where the next entry would stand.
#[test]
fn junk_at_the_head_is_void() {
    for at in 0..junk(&three(41), 4).len() {
        let fixture = three(41);
        let (bytes, expected) = junk(&fixture, 4).swap_remove(at);
        let put = fixture.store.put_new(&ObjectKey::Log(4), &bytes).unwrap();
        assert!(put.is_stored());
        let problems = fixture.open().history().problems.clone();
        assert!(
            matches!(&problems[..], [LogProblem::Void { number: 4, reason, .. }] if expected(reason)),
            "junk {at}: {problems:?}"
        );
        assert_eq!(goes_on(&fixture, &[1, 2, 3]), 5, "junk {at}");
        let report = fixture.verify(Level::Data);
        assert_eq!(
            log_problems(&report),
            [(ProblemKind::VoidEntry, "log/000000000004")]
        );
        let harm = &report.problems[0].harm;
        assert!(matches!(harm, Harm::Snapshots(harmed) if harmed.is_empty()));
    }
}

/// Junk ahead of the head leaves a gap, which writers fill from its start, since
/// nothing valid stands beyond; then they step over the junk.
///
/// Method: junk two numbers ahead; three snapshots; no problem but the junk.
#[test]
fn junk_ahead_of_the_head_is_stepped_over() {
    let fixture = three(42);
    fixture.store.replace(&ObjectKey::Log(6), b"junk");
    assert_eq!(goes_on(&fixture, &[1, 2, 3]), 4);
    let numbers = [5, 7].map(|_| fixture.snapshot_of("shop", &noise(1, 100)).number);
    assert_eq!(numbers, [5, 7]);
    let report = fixture.verify(Level::Tree);
    assert_eq!(
        log_problems(&report),
        [(ProblemKind::VoidEntry, "log/000000000006")]
    );
}

/// A writer whose key file pins more than the store shows appends no lower than
/// at its pin, so that everyone sees the hole.
///
/// Method: pin four entries and junk ahead of them, roll back to two, and take
/// a snapshot with the key file alone.
#[test]
fn a_pinned_writer_appends_above_its_pin() {
    let fixture = three(51);
    let two = {
        let store = fixture.store.clone();
        store.forget(&ObjectKey::Log(3));
        store.forget(&ObjectKey::Log(2));
        store
    };
    let pinned = key_file(&fixture.open(), &fixture.bundle);
    fixture.store.roll_back_to(&two);
    fixture.store.replace(&ObjectKey::Log(3), b"junk");
    let mut repository = fixture.open_as(&pinned);
    let behind = Continuity::Behind {
        shown: 2,
        remembered: 4,
    };
    assert_eq!(repository.continuity(), behind);
    let taken = take_stream(&mut repository, "shop", b"content").unwrap();
    assert_eq!(taken.number, 4);
    let repository = fixture.open();
    assert!(
        matches!(
            repository.history().problems[..],
            [
                LogProblem::Removed { first: 2, last: 2 },
                LogProblem::Void { number: 3, .. }
            ]
        ),
        "{:?}",
        repository.history().problems
    );
    assert_eq!(listed(&repository), [1, 4]);
    assert_eq!(restore_stream(&repository, 4).unwrap(), b"content");
}

/// Objects more than 1,023 numbers ahead have no effect and are reported.
///
/// Method: junk at the last number that counts, and at the first that does not.
#[test]
fn objects_far_beyond_the_end_are_reported() {
    let fixture = three(43);
    for (number, kind) in [
        (4 + 1_023, ProblemKind::VoidEntry),
        (4 + 1_024, ProblemKind::BeyondEnd),
    ] {
        let store = fixture.store.clone();
        fixture.store.replace(&ObjectKey::Log(number), b"junk");
        let report = fixture.verify(Level::Packs);
        let object = ObjectKey::Log(number).path();
        assert_eq!(log_problems(&report), [(kind, object.as_str())]);
        assert_eq!(goes_on(&fixture, &[1, 2, 3]), 4);
        fixture.store.roll_back_to(&store);
    }
}

/// A damaged entry costs its own snapshot and no other, though others lean on
/// what it stored.
///
/// Method: flip a bit in each part of the entry in the middle; the first entry,
/// on whose packs all others lean; and the last, whose leaf nothing states.
#[test]
fn a_damaged_entry_costs_itself() {
    for (damaged, left, kind) in [
        (1, [2, 3], ProblemKind::DamagedEntry),
        (2, [1, 3], ProblemKind::DamagedEntry),
        (3, [1, 2], ProblemKind::VoidEntry),
    ] {
        let len = object(&three(44).store, &ObjectKey::Log(damaged)).len();
        for offset in [0, 8, 16, 30, 62, 94, 126, 170, len - 1] {
            let fixture = three(44);
            fixture.store.flip(&ObjectKey::Log(damaged), offset, 0);
            assert_eq!(goes_on(&fixture, &left), 4);
            let report = fixture.verify(Level::Data);
            let object = ObjectKey::Log(damaged).path();
            assert_eq!(log_problems(&report), [(kind, object.as_str())]);
            assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        }
    }
}

/// A removed entry is reported, costs its own snapshot and no other, and its
/// number is not filled.
///
/// Method: remove each entry; the last one leaves no trace without a memory.
#[test]
fn a_removed_entry_costs_itself() {
    for (removed, left) in [(1, [2, 3]), (2, [1, 3])] {
        let fixture = three(45);
        fixture.store.forget(&ObjectKey::Log(removed));
        assert_eq!(goes_on(&fixture, &left), 4);
        let report = fixture.verify(Level::Data);
        let object = ObjectKey::Log(removed).path();
        assert_eq!(
            log_problems(&report),
            [(ProblemKind::RemovedEntry, object.as_str())]
        );
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    }
    let fixture = three(45);
    fixture.store.forget(&ObjectKey::Log(3));
    assert!(fixture.verify(Level::Data).is_sound());
    assert_eq!(goes_on(&fixture, &[1, 2]), 3);
}

/// Several removed entries are one hole.
///
/// Method: remove two that follow each other.
#[test]
fn a_hole_is_reported_once() {
    let fixture = three(46);
    fixture.store.forget(&ObjectKey::Log(1));
    fixture.store.forget(&ObjectKey::Log(2));
    let problems = fixture.open().history().problems.clone();
    assert_eq!(problems, [LogProblem::Removed { first: 1, last: 2 }]);
    assert_eq!(goes_on(&fixture, &[3]), 4);
}

/// Of an entry's versions the oldest counts.
///
/// Method: put junk behind an entry's version, which changes nothing; then in
/// front of it, which damages the entry and nothing else.
#[test]
fn the_oldest_version_counts() {
    let fixture = three(47);
    fixture.store.push_newer(&ObjectKey::Log(2), b"junk");
    let covered = (ProblemKind::Covered, "log/000000000002");
    assert_eq!(log_problems(&fixture.verify(Level::Data)), [covered]);
    assert_eq!(listed(&fixture.open()), [1, 2, 3]);
    fixture.store.push_older(&ObjectKey::Log(2), b"junk");
    assert_eq!(goes_on(&fixture, &[1, 3]), 4);
    let report = fixture.verify(Level::Data);
    assert_eq!(
        log_problems(&report),
        [(ProblemKind::DamagedEntry, "log/000000000002"), covered]
    );
}

/// A copy of genesis under a telling name decides nothing, and is reported if it
/// is none.
///
/// Method: exchange it, and remove it.
#[test]
fn the_copy_of_genesis_decides_nothing() {
    let fixture = three(48);
    fixture.store.replace(&ObjectKey::Repository, b"junk");
    assert_eq!(goes_on(&fixture, &[1, 2, 3]), 4);
    for level in [Level::Packs, Level::Data] {
        let report = fixture.verify(level);
        assert_eq!(
            log_problems(&report),
            [(ProblemKind::GenesisCopy, "repository")]
        );
        let harm = &report.problems[0].harm;
        assert!(matches!(harm, Harm::Snapshots(harmed) if harmed.is_empty()));
    }
    fixture.store.forget(&ObjectKey::Repository);
    assert!(fixture.verify(Level::Data).is_sound());
}

/// Without its genesis, or with another, there is no repository.
///
/// Method: remove, damage and exchange `log/0`; an empty store.
#[test]
fn without_genesis_there_is_no_repository() {
    use indelible_engine::keys::{Credential, UnlockError};
    use indelible_engine::log::LogError;
    use indelible_engine::repository::{OpenError, read_log};

    let opened = |store: &MemoryStore| read_log(store, None, None).map(|_| ());
    let fixture = three(49);
    let Credential::KeyFile(file) = key_file(&fixture.open(), &fixture.bundle) else {
        unreachable!("a key file was asked for")
    };
    fixture.store.flip(&ObjectKey::Log(0), 40, 0);
    assert!(matches!(
        opened(&fixture.store),
        Err(OpenError::Log(LogError::Genesis { .. }))
    ));
    fixture.store.forget(&ObjectKey::Log(0));
    assert!(matches!(
        opened(&fixture.store),
        Err(OpenError::Log(LogError::Genesis { .. }))
    ));
    let other = Fixture::new(50);
    let genesis = object(&other.store, &ObjectKey::Log(0));
    fixture.store.replace(&ObjectKey::Log(0), &genesis);
    let exchanged = read_log(&fixture.store, None, Some(&file)).map(|_| ());
    assert!(matches!(
        exchanged,
        Err(OpenError::Unlock(UnlockError::OtherRepository { .. }))
    ));
    assert!(matches!(
        opened(&MemoryStore::new()),
        Err(OpenError::Log(LogError::NoRepository { .. }))
    ));
}

/// A kind of entry that this release does not know stops writers if an
/// administrator signed it as critical, and readers never.
///
/// Method: an upgrade by the administrator; then a policy by him, and an
/// upgrade by a key without the admin right, neither of which stops anybody.
#[test]
fn a_critical_unknown_kind_stops_writers() {
    use indelible_engine::log::AppendError;
    use indelible_engine::snapshot::SnapshotRunError;
    use indelible_format::rights::{Kind, Rights};

    let create = |fixture: &Fixture, credential, kind| {
        let repository = fixture.open_as(credential);
        let draft = draft_at(&repository, 4, Body::Opaque(kind, b"of tomorrow".to_vec()));
        let entry = draft.sign(&repository.id(), &repository.key().signing_seed);
        let entry = entry.expect("the entry is small");
        fixture.store.replace(&ObjectKey::Log(4), &entry);
    };
    let fixture = three(50);
    create(&fixture, &fixture.recovery, Kind::Upgrade);
    let stopped = take_stream(&mut fixture.open(), "shop", b"content");
    assert!(matches!(
        stopped,
        Err(SnapshotRunError::Append(error))
            if matches!(*error, AppendError::NewerRelease { number: 4, kind: Kind::Upgrade })
    ));
    assert_eq!(fixture.open().history().size(), 5);
    assert!(restore_stream(&fixture.open(), 3).unwrap() == content(3));
    assert!(fixture.verify(Level::Data).is_sound());

    let fixture = three(50);
    create(&fixture, &fixture.recovery, Kind::Policy);
    assert_eq!(goes_on(&fixture, &[1, 2, 3]), 5);

    let fixture = Fixture::new(50);
    let verifier = fixture.add_key(Rights::VERIFY, &[]);
    for _ in 0..2 {
        fixture.snapshot_of("shop", b"content");
    }
    create(&fixture, &verifier, Kind::Upgrade);
    assert!(matches!(
        fixture.open().history().problems[..],
        [LogProblem::Void {
            reason: Void::NotAllowed { .. },
            ..
        }]
    ));
    assert_eq!(fixture.snapshot_of("shop", b"content").number, 5);
}
