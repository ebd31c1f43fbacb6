//! Copies of repositories in other stores.

use indelible_engine::cancel::Cancel;
use indelible_engine::mirror::{LostCause, MirrorError, Mirrored, mirror};
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::store::faulty::{Fate, FaultyStore};
use indelible_engine::store::{AppendStore, MemoryStore, ObjectKey, ReadStore};
use indelible_format::attest::Level;

use crate::support::{Fixture, listed, noise, object, packs, restore, take_stream, verify_with};

fn mirrored<S: ReadStore, D: AppendStore>(from: &S, to: &D) -> Result<Mirrored, MirrorError> {
    mirror(from, to, u64::MAX, &Cancel::new(), &Silent)
}

fn open<'s>(fixture: &Fixture, store: &'s MemoryStore) -> Repository<'s, MemoryStore> {
    Repository::open(store, None, &fixture.recovery, fixture.env.clone()).expect("it opens")
}

/// A repository with a few snapshots, one of them with a commit record of its own.
fn original(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed);
    for (n, len) in [40_000, 80_000, 120_000, 160_000].into_iter().enumerate() {
        fixture.snapshot_of("shop", &noise(n as u64, len));
    }
    fixture
}

/// Objects that both stores have are the same, and each has the other's.
#[track_caller]
fn assert_same(one: &MemoryStore, other: &MemoryStore) {
    let mut keys = [one.keys(), other.keys()];
    for keys in &mut keys {
        keys.sort();
    }
    assert_eq!(keys[0], keys[1]);
    for key in &keys[0] {
        assert!(object(one, key) == object(other, key), "{key}");
    }
}

/// A copy is a repository that verifies and restores; what the original gains is copied
/// by the next run, and nothing else.
#[test]
fn a_copy_is_a_repository() {
    let fixture = original(1);
    let copy = MemoryStore::new();
    let first = mirrored(&fixture.store, &copy).expect("it is copied");
    assert_eq!((first.size, first.entries), (5, 5));
    assert_same(&fixture.store, &copy);
    let again = mirrored(&fixture.store, &copy).expect("nothing is to do");
    assert_eq!((again.entries, again.packs, again.bytes), (0, 0, 0));
    fixture.snapshot_of("shop", &noise(9, 50_000));
    let more = mirrored(&fixture.store, &copy).expect("it goes on");
    assert_eq!((more.size, more.entries), (6, 1));
    assert!(more.packs >= 1 && more.lost.is_empty());
    assert_same(&fixture.store, &copy);
    let repository = open(&fixture, &copy);
    assert!(verify_with(&repository, Level::Data).is_sound());
    for number in listed(&repository) {
        assert_eq!(
            restore(&repository, number).unwrap(),
            restore(&fixture.open(), number).unwrap()
        );
    }
}

/// Junk is copied where it stands, so that the copy's log is the original's.
#[test]
fn junk_is_copied() {
    let fixture = original(2);
    fixture.store.replace(&ObjectKey::Log(5), b"junk");
    fixture.store.replace(&ObjectKey::Log(6), &noise(1, 70_000));
    fixture.snapshot_of("shop", b"behind it");
    let copy = MemoryStore::new();
    assert!(
        mirrored(&fixture.store, &copy)
            .expect("it is copied")
            .lost
            .is_empty()
    );
    let (one, other) = (fixture.open(), open(&fixture, &copy));
    assert_eq!(one.history().root(), other.history().root());
    assert_eq!(one.history().problems, other.history().problems);
    assert_eq!(listed(&one), listed(&other));
}

/// A copy that was broken off at any call is an older state of the repository, and the
/// next run completes it.
#[test]
fn it_can_be_broken_off_anywhere() {
    let fixture = original(3);
    for fate in [Fate::DownBefore, Fate::DownAfter, Fate::LastWord] {
        let mut n = 0;
        loop {
            let copy = MemoryStore::new();
            let failing = FaultyStore::new(
                &copy,
                |call| {
                    if call.number == n { fate } else { Fate::Done }
                },
            );
            let done = mirrored(&fixture.store, &failing).is_ok();
            let reached = failing.calls() > n;
            drop(failing);
            if copy.keys().contains(&ObjectKey::Log(0)) {
                let repository = open(&fixture, &copy);
                assert!(verify_with(&repository, Level::Data).is_sound(), "call {n}");
            } else {
                assert!(!done);
            }
            mirrored(&fixture.store, &copy).expect("the next run completes it");
            assert_same(&fixture.store, &copy);
            if !reached {
                break;
            }
            n += 1;
        }
        assert!(n > 10, "only {n} calls");
    }
}

/// What was rolled back or forked is told, and the copy is not touched.
#[test]
fn contradictions_are_told() {
    let fixture = original(4);
    let copy = MemoryStore::new();
    let older = fixture.store.clone();
    fixture.snapshot_of("shop", b"newer");
    mirrored(&fixture.store, &copy).expect("it is copied");
    let before = copy.clone();
    let told = mirrored(&older, &copy).expect_err("it was rolled back");
    assert!(
        matches!(
            told,
            MirrorError::Behind {
                original: 5,
                copy: 6
            }
        ),
        "{told:?}"
    );
    let mut other_branch = open(&fixture, &older);
    take_stream(&mut other_branch, "shop", b"another one").expect("it commits");
    take_stream(&mut other_branch, "shop", b"and one more").expect("it commits");
    let told = mirrored(&older, &copy).expect_err("it was forked");
    assert!(matches!(told, MirrorError::Forked { at: 5 }), "{told:?}");
    let stranger = original(5);
    let told = mirrored(&stranger.store, &copy).expect_err("it is another");
    assert!(matches!(told, MirrorError::OtherRepository), "{told:?}");
    let told = mirrored(&MemoryStore::new(), &copy).expect_err("there is nothing");
    assert!(matches!(told, MirrorError::Original(_)), "{told:?}");
    assert_same(&before, &copy);
}

/// What is damaged in the original is told and stops nothing else; when it is back, it
/// is copied.
#[test]
fn damage_is_not_copied() {
    let fixture = original(6);
    let all = packs(&fixture.store);
    let (altered, gone) = (all[0], all[1]);
    let whole = fixture.store.clone();
    fixture.store.flip(&ObjectKey::Pack(altered), 1_000, 3);
    fixture.store.forget(&ObjectKey::Pack(gone));
    let copy = MemoryStore::new();
    let done = mirrored(&fixture.store, &copy).expect("the rest is copied");
    assert_eq!(done.entries, 5);
    let mut lost: Vec<_> = done.lost.iter().map(|lost| lost.key).collect();
    lost.sort();
    let mut expected = vec![ObjectKey::Pack(altered), ObjectKey::Pack(gone)];
    expected.sort();
    assert_eq!(lost, expected);
    for lost in &done.lost {
        let is_altered = matches!(lost.cause, LostCause::Altered);
        assert_eq!(is_altered, lost.key == ObjectKey::Pack(altered));
    }
    let back = mirrored(&whole, &copy).expect("it is back");
    assert_eq!((back.entries, back.packs), (0, 2));
    assert_same(&whole, &copy);
}

/// Of a pack that somebody wrote again, the version with its hash is copied.
#[test]
fn the_right_version_is_copied() {
    let fixture = original(7);
    let pack = ObjectKey::Pack(packs(&fixture.store)[0]);
    let right = object(&fixture.store, &pack);
    fixture.store.push_newer(&pack, b"forged");
    let copy = MemoryStore::new();
    assert!(
        mirrored(&fixture.store, &copy)
            .expect("it is copied")
            .lost
            .is_empty()
    );
    assert!(object(&copy, &pack) == right);
}
