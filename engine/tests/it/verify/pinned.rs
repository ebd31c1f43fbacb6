//! A log is compared with everything that says where it stood, and the worst
//! answer counts.

use indelible_engine::keys::Credential;
use indelible_engine::pin::Pin;
use indelible_engine::repository::Repository;
use indelible_engine::state::State;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{self, ProblemKind, Report, Terms, VerifyError};
use indelible_format::attest::Level;
use indelible_format::history::Continuity;

use super::LEVELS;
use crate::support::{Fixture, key_file, verify_on};

/// A pin of the log as it stands.
fn pin_of(fixture: &Fixture) -> Pin {
    let pin = fixture.verify(Level::Packs).pin();
    pin.expect("the repository is sound")
}

fn against(fixture: &Fixture, pin: &Pin, level: Level) -> Report {
    verify_on(&fixture.open(), level, &terms(pin))
}

fn terms(pin: &Pin) -> Terms<'_> {
    Terms {
        pin: Some(pin),
        ..Terms::default()
    }
}

fn kinds(report: &Report) -> Vec<ProblemKind> {
    report.problems.iter().map(|it| it.kind).collect()
}

/// A log extends its pin, or was rolled back, or was forked, at every level and
/// without any memory; and only a sound one gives a new pin.
///
/// Method: pin three snapshots; add one; roll back to two; grow another third
/// and fourth.
#[test]
fn a_pin_stands_for_a_memory() {
    let fixture = Fixture::new(141);
    fixture.snapshot_of("shop", b"1");
    let early = fixture.store.clone();
    fixture.snapshot_of("shop", b"2");
    fixture.snapshot_of("shop", b"3");
    let pin = pin_of(&fixture);
    assert_eq!(pin.checkpoint.size, 4);
    assert_eq!(Pin::parse(&pin.to_text()).as_ref(), Ok(&pin));
    let check = |expected: Continuity, kinds_expected: &[ProblemKind]| {
        for level in LEVELS {
            let report = against(&fixture, &pin, level);
            assert_eq!(report.freshness.pin, expected);
            assert_eq!(report.freshness.memory, Continuity::Unpinned);
            assert_eq!(kinds(&report), kinds_expected);
            assert_eq!(report.pin().is_some(), report.is_sound());
        }
    };
    check(Continuity::Extends, &[]);
    fixture.snapshot_of("shop", b"4");
    check(Continuity::Extends, &[]);
    fixture.store.roll_back_to(&early);
    let behind = Continuity::Behind {
        shown: 2,
        remembered: 4,
    };
    check(behind, &[ProblemKind::RolledBack]);
    for content in [b"another 2", b"another 3", b"another 4"] {
        fixture.snapshot_of("shop", content);
    }
    check(Continuity::Forked { at: 3 }, &[ProblemKind::Forked]);
}

/// A pin of another repository ends the verification, whatever that would find.
///
/// Method: hold a repository against the other's pin, at each level.
#[test]
fn a_pin_of_another_repository_is_an_error() {
    let (fixture, other) = (Fixture::new(142), Fixture::new(143));
    let pin = pin_of(&other);
    let repository = fixture.open();
    let (seen, env) = (repository.seen(), repository.env());
    let silent = &indelible_engine::progress::Silent;
    for level in LEVELS {
        let report = match level {
            Level::Packs => verify::packs(&fixture.store, seen, &terms(&pin), env, silent),
            level => verify::with_key(&repository, level, &terms(&pin), silent),
        };
        assert!(matches!(
            report,
            Err(VerifyError::OtherRepository(error))
                if error.pinned == other.open().id() && error.found == repository.id()
        ));
    }
}

/// Memory, key file and pin are each compared, and the worst counts.
///
/// Method: let each of them alone know a newer log than the store shows; then one
/// of them another log, which is worse.
#[test]
fn the_worst_of_three_counts() {
    let fixture = Fixture::new(144);
    fixture.snapshot_of("shop", b"1");
    let early = fixture.store.clone();
    let (old_pin, old_key) = (pin_of(&fixture), key_of(&fixture));
    let (old_dir, old_state) = remembering(&fixture);
    fixture.snapshot_of("shop", b"2");
    let (pin, key) = (pin_of(&fixture), key_of(&fixture));
    let (dir, state) = remembering(&fixture);
    let late = fixture.store.clone();
    let freshness = |state: &State, key: &Credential, pin: &Pin| {
        let store: &MemoryStore = &fixture.store;
        let repository = Repository::open(store, Some(state), key, fixture.env.clone()).unwrap();
        let report = verify_on(&repository, Level::Tree, &terms(pin));
        let worst = report.freshness.worst();
        assert_eq!(
            report.is_sound(),
            matches!(worst, Continuity::Unpinned | Continuity::Extends)
        );
        (report.freshness, worst)
    };
    fixture.store.roll_back_to(&early);
    let behind = Continuity::Behind {
        shown: 2,
        remembered: 3,
    };
    for (state, key, pin) in [
        (&state, &old_key, &old_pin),
        (&old_state, &key, &old_pin),
        (&old_state, &old_key, &pin),
    ] {
        assert_eq!(freshness(state, key, pin).1, behind);
    }
    let extends = freshness(&old_state, &old_key, &old_pin);
    assert_eq!(extends.1, Continuity::Extends);
    // The pin knows another entry 2 than the store shows now, and the memory a
    // longer log.
    fixture.snapshot_of("shop", b"another 2");
    let forked = Continuity::Forked { at: 2 };
    let (each, worst) = freshness(&old_state, &old_key, &pin);
    assert_eq!(
        (each.memory, each.pin, worst),
        (Continuity::Extends, forked, forked)
    );
    fixture.store.roll_back_to(&late);
    assert_eq!(freshness(&state, &key, &pin).1, Continuity::Extends);
    drop((old_dir, dir));
}

fn key_of(fixture: &Fixture) -> Credential {
    key_file(&fixture.open(), &fixture.bundle)
}

/// A state that saw the log as it stands.
fn remembering(fixture: &Fixture) -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    fixture.open_with(&state);
    (dir, state)
}

/// Nothing that is wrong is ever pinned.
///
/// Method: damage a pack, remove a log entry, plant junk at the head; ask for a
/// pin at each level that notices.
#[test]
fn what_is_wrong_is_never_pinned() {
    type Harming = fn(&MemoryStore);
    let ways: [Harming; 3] = [
        |store| store.flip(&ObjectKey::Pack(crate::support::packs(store)[0]), 500, 1),
        |store| store.forget(&ObjectKey::Log(1)),
        |store| store.replace(&ObjectKey::Log(3), b"junk"),
    ];
    for harm in ways {
        let fixture = Fixture::new(145);
        fixture.snapshot_of("shop", b"content");
        fixture.snapshot_of("shop", b"more");
        assert!(fixture.verify(Level::Data).pin().is_some());
        harm(&fixture.store);
        for level in LEVELS {
            assert_eq!(fixture.verify(level).pin(), None);
        }
    }
}
