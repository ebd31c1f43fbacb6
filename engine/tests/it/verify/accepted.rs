//! Junk that somebody looked at is known from then on; the next junk is not.

use indelible_engine::pin::Accepted;
use indelible_engine::repository::{Freshness, NotJunk, SeenLog};
use indelible_engine::state::State;
use indelible_engine::store::ObjectKey;
use indelible_engine::verify::{ProblemKind, Report, Terms};
use indelible_format::attest::Level;
use indelible_format::history::Continuity;

use super::LEVELS;
use crate::support::{Fixture, object, verify_on};

const FRESH: Freshness = Freshness {
    memory: Continuity::Unpinned,
    key_file: Continuity::Unpinned,
    pin: Continuity::Unpinned,
};

fn kinds(report: &Report) -> Vec<ProblemKind> {
    report.problems.iter().map(|it| it.kind).collect()
}

/// What accepting the junk at a number keeps.
fn accept(seen: &SeenLog, numbers: &[u64]) -> Accepted {
    let mut accepted = Accepted::default();
    for number in numbers {
        let leaf = seen.junk_at(*number, &FRESH).expect("it is junk");
        accepted.insert(*number, leaf);
    }
    accepted
}

fn knowing(fixture: &Fixture, accepted: &Accepted, level: Level) -> Report {
    let terms = Terms {
        accepted: accepted.clone(),
        ..Terms::default()
    };
    verify_on(&fixture.open(), level, &terms)
}

/// Accepted junk is listed and is no problem, at the head, behind later entries
/// and behind a gap; other junk is a problem, and so is the same at another
/// number, and other bytes at the same.
///
/// Method: junk at 2 and behind a gap; accept each; grow the log; more junk;
/// change a byte.
#[test]
fn accepted_junk_is_no_problem_and_the_next_is() {
    let fixture = Fixture::new(151);
    fixture.snapshot_of("shop", b"1");
    fixture.store.replace(&ObjectKey::Log(2), b"junk");
    fixture.store.replace(&ObjectKey::Log(700), b"junk");
    let seen = fixture.open().seen().clone();
    let head = accept(&seen, &[2]);
    let both = accept(&seen, &[2, 700]);
    for level in LEVELS {
        assert_eq!(kinds(&fixture.verify(level)), [ProblemKind::VoidEntry; 2]);
        assert_eq!(
            kinds(&knowing(&fixture, &head, level)),
            [ProblemKind::VoidEntry]
        );
        let report = knowing(&fixture, &both, level);
        assert!(report.is_sound());
        let listed: Vec<u64> = report.accepted.iter().map(|junk| junk.number).collect();
        assert_eq!(listed, [2, 700]);
        assert_eq!(report.pin().expect("it is sound").accepted, both);
    }
    assert_eq!(fixture.snapshot_of("shop", b"2").number, 3);
    assert!(knowing(&fixture, &both, Level::Data).is_sound());
    // The same bytes at another number are other junk.
    fixture.store.replace(&ObjectKey::Log(4), b"junk");
    let report = knowing(&fixture, &both, Level::Data);
    assert_eq!(kinds(&report), [ProblemKind::VoidEntry]);
    assert_eq!(report.problems[0].object, "log/000000000004");
    fixture.store.replace(&ObjectKey::Log(4), b"Junk");
    let more = accept(fixture.open().seen(), &[4]);
    fixture.store.replace(&ObjectKey::Log(4), b"junk");
    let mut all = both.clone();
    all.add(&more);
    assert_eq!(
        kinds(&knowing(&fixture, &all, Level::Data)),
        [ProblemKind::VoidEntry]
    );
}

/// Junk that a later entry counts and that changed since is damage, also if the
/// junk was accepted.
///
/// Method: accept junk, let an entry follow, change the junk.
#[test]
fn accepted_junk_that_changed_is_damage() {
    let fixture = Fixture::new(152);
    fixture.store.replace(&ObjectKey::Log(1), b"junk");
    let accepted = accept(fixture.open().seen(), &[1]);
    fixture.snapshot_of("shop", b"content");
    assert!(knowing(&fixture, &accepted, Level::Tree).is_sound());
    fixture.store.replace(&ObjectKey::Log(1), b"other junk");
    assert_eq!(
        kinds(&knowing(&fixture, &accepted, Level::Tree)),
        [ProblemKind::DamagedEntry]
    );
}

/// Only junk can be accepted, and each refusal says what stands there.
///
/// Method: ask for a valid entry, a removed one, a damaged one, none, one far
/// beyond the end, and junk in a log that contradicts what is known.
#[test]
fn only_junk_is_accepted() {
    let fixture = Fixture::new(153);
    for content in [b"1", b"2", b"3", b"4"] {
        fixture.snapshot_of("shop", content);
    }
    fixture.store.forget(&ObjectKey::Log(1));
    fixture.store.flip(&ObjectKey::Log(3), 100, 0);
    fixture.store.replace(&ObjectKey::Log(5), b"junk");
    fixture.store.replace(&ObjectKey::Log(9_000), b"junk");
    let seen = fixture.open().seen().clone();
    let at = |number| seen.junk_at(number, &FRESH);
    for number in [0, 2, 4] {
        assert!(matches!(at(number), Err(NotJunk::Valid { number: it, .. }) if it == number));
    }
    assert_eq!(at(1), Err(NotJunk::Removed { number: 1 }));
    assert_eq!(at(3), Err(NotJunk::Damaged { number: 3 }));
    assert_eq!(at(6), Err(NotJunk::Absent { number: 6 }));
    assert_eq!(at(9_000), Err(NotJunk::Beyond { number: 9_000 }));
    assert!(at(5).is_ok());
    let forked = Freshness {
        pin: Continuity::Forked { at: 4 },
        ..FRESH
    };
    assert_eq!(
        seen.junk_at(5, &forked),
        Err(NotJunk::Contradicted { number: 5 })
    );
}

/// What was accepted on a machine stays accepted there, beside what was before,
/// and a damaged file of it means that nothing is.
///
/// Method: accept one piece of junk, then another, in the state; reopen; cut the
/// file.
#[test]
fn a_machine_keeps_what_was_accepted() {
    let fixture = Fixture::new(154);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    fixture.snapshot_of("shop", b"content");
    for number in [2, 3] {
        fixture.store.replace(&ObjectKey::Log(number), b"junk");
        let repository = fixture.open_with(&state);
        assert_eq!(repository.seen().unknown_problems().count(), 1);
        let accepted = accept(repository.seen(), &[number]);
        repository.state().unwrap().accept(&accepted).unwrap();
    }
    let repository = fixture.open_with(&state);
    assert_eq!(repository.seen().unknown_problems().count(), 0);
    let report = verify_on(&repository, Level::Data, &Terms::default());
    assert!(report.is_sound());
    assert_eq!(report.accepted.len(), 2);
    let file = dir
        .path()
        .join(repository.id().to_string())
        .join("accepted");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() - 5]).unwrap();
    assert_eq!(
        kinds(&verify_on(
            &fixture.open_with(&state),
            Level::Packs,
            &Terms::default()
        )),
        [ProblemKind::VoidEntry; 2]
    );
    assert_eq!(object(&fixture.store, &ObjectKey::Log(2)), b"junk");
}
