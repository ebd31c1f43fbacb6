//! What a restore would take, found out beforehand.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::restore::{Hole, Intent, Outcome, Plan, RestoreError, plan};
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::target::Policy;
use indelible_format::ids::PackId;
use indelible_format::rights::Rights;

use super::{How, KEEP, OVERWRITE, items_of, scratch, tree};
use crate::support::{Fixture, noise, object, packs, path, snapshot_at, stream, take};

/// How a plan is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    target: &'a Path,
    paths: &'a [&'a [u8]],
    policy: Policy,
    resumes: bool,
}

impl Asked<'_> {
    fn of(target: &Path) -> Asked<'_> {
        Asked {
            target,
            paths: &[],
            policy: KEEP,
            resumes: false,
        }
    }

    fn run(
        self,
        repository: &Repository<'_, MemoryStore>,
        number: u64,
    ) -> (Result<Plan, RestoreError>, Vec<Hole>) {
        let snapshot = snapshot_at(repository, number);
        let (listings, _) = repository.listings();
        let paths: Vec<_> = self.paths.iter().map(|bytes| path(bytes)).collect();
        let holes = RefCell::new(Vec::new());
        let tell = |hole: &Hole| holes.borrow_mut().push(hole.clone());
        let intent = Intent {
            target: self.target,
            paths: &paths,
            policy: self.policy,
            resumes: self.resumes,
        };
        let planned = plan(repository, &listings, &snapshot, &intent, &Silent, &tell);
        (planned, holes.into_inner())
    }
}

fn ids(plan: &Plan) -> BTreeSet<PackId> {
    plan.packs.iter().map(|pack| pack.id).collect()
}

/// A plan counts what a restore then writes, with a key that reads no content,
/// and writes nothing itself.
///
/// Method: plan a tree below a target that does not exist, whole and in part;
/// restore it, and compare.
#[test]
fn a_plan_says_what_a_restore_does() {
    let source = tree(40);
    let fixture = Fixture::new(341);
    let number = fixture.snapshot("files", items_of(source.path())).number;
    let verifier = fixture.add_key(Rights::VERIFY, &[]);
    let repository = fixture.open_as(&verifier);
    let dir = scratch();
    let target = dir.path().join("new/deep");
    let (planned, holes) = Asked::of(&target).run(&repository, number);
    let planned = planned.unwrap();
    assert!(!dir.path().join("new").exists() && holes.is_empty());
    let cancel = Cancel::new();
    let (restored, _) = How::plainly(&cancel).run(&fixture.open(), number, &target);
    let restored = restored.unwrap();
    assert_eq!(planned.bytes, restored.bytes);
    let entries = planned.files + planned.directories + planned.links;
    assert_eq!(entries, restored.entries);
    assert_eq!((planned.directories, planned.links), (4, 1));
    assert!(planned.space_bytes >= planned.bytes && planned.fits());
    assert_eq!(planned.space_bytes % planned.room.block_bytes, 0);
    assert_eq!(planned.missing().count(), 0);
    assert!(planned.conflicts.is_empty());
    let part = Asked {
        paths: &[b"tree/data", b"tree/nothing"],
        ..Asked::of(&target)
    };
    let part = part.run(&repository, number).0.unwrap();
    assert_eq!((part.files, part.directories, part.bytes), (2, 2, 70_000));
    let absent = Asked {
        paths: &[b"tree/absent"],
        ..Asked::of(&target)
    };
    let error = absent.run(&repository, number).0.unwrap_err();
    assert!(matches!(error, RestoreError::NoSuchPath { .. }));
}

/// A plan names the packs that a restore reads, and no other.
///
/// Method: three snapshots, of which the last shares a pack with the first one;
/// without a pack that is not named it restores, and without any that is named it
/// does not.
#[test]
fn a_plan_names_the_packs_that_it_takes() {
    let fixture = Fixture::new(342);
    let both = |seed| {
        vec![
            stream("a", &noise(1, 20_000)),
            stream("b", &noise(seed, 9_000)),
        ]
    };
    for seed in [2, 3, 4] {
        take(&mut fixture.open(), "shop", both(seed)).unwrap();
    }
    let repository = fixture.open();
    let dir = scratch();
    let planned = Asked::of(dir.path()).run(&repository, 3).0.unwrap();
    let all = packs(&fixture.store);
    assert_eq!((all.len(), planned.packs.len()), (3, 2));
    let intact = fixture.store.clone();
    for pack in all {
        let key = ObjectKey::Pack(pack);
        let len = object(&fixture.store, &key).len() as u64;
        let needed = planned.packs.iter().find(|it| it.id == pack);
        assert!(needed.is_none_or(|it| it.len == Some(len)));
        fixture.store.forget(&key);
        let target = scratch();
        let cancel = Cancel::new();
        let (restored, _) = How::plainly(&cancel).run(&fixture.open(), 3, target.path());
        assert_eq!(restored.is_err(), needed.is_some());
        fixture.store.roll_back_to(&intact);
    }
}

/// A pack that is missing is named, with how much is lost with it, unless what it
/// had stands elsewhere, too.
///
/// Method: remove the pack with the data, then the one with the tree; then store
/// the content a second time, and remove either copy.
#[test]
fn a_plan_names_what_is_missing() {
    let fixture = Fixture::new(343);
    let bytes = noise(1, 30_000);
    fixture.snapshot_of("shop", &bytes);
    let first = packs(&fixture.store)[0];
    let longer = [&bytes[..], b"one more row"].concat();
    let number = fixture.snapshot_of("shop", &longer).number;
    let all: BTreeSet<PackId> = packs(&fixture.store).into_iter().collect();
    let second = *all.iter().find(|pack| **pack != first).unwrap();
    let intact = fixture.store.clone();
    let dir = scratch();
    let look = || {
        let (planned, holes) = Asked::of(dir.path()).run(&fixture.open(), number);
        (planned.unwrap(), holes)
    };
    fixture.store.forget(&ObjectKey::Pack(first));
    let (planned, holes) = look();
    assert_eq!(ids(&planned), all);
    let missing: Vec<_> = planned.missing().map(|pack| pack.id).collect();
    assert_eq!((missing, holes.len()), (vec![first], 0));
    assert!(planned.missing_bytes > 20_000 && planned.missing_bytes < 30_000);

    fixture.store.roll_back_to(&intact);
    fixture.store.forget(&ObjectKey::Pack(second));
    let (planned, holes) = look();
    let missing: Vec<_> = planned.missing().map(|pack| pack.id).collect();
    assert_eq!(missing, [second]);
    assert_eq!((planned.holes, holes.len()), (1, 1), "its list is lost");
    assert_eq!(planned.files, 0);

    fixture.store.roll_back_to(&intact);
    fixture.store.forget(&ObjectKey::Pack(first));
    fixture.snapshot_of("shop", &longer);
    let (planned, _) = look();
    assert_eq!(planned.missing().count(), 0);
    assert!(!ids(&planned).contains(&first), "there is another copy");
}

/// A plan says what stands in the way and what becomes of it.
///
/// Method: a target with a file, a link and a directory that are in the snapshot,
/// a file where a directory is to be, and a directory where a file is to be; with
/// each policy.
#[test]
fn a_plan_says_what_is_in_the_way() {
    let source = tree(3);
    let fixture = Fixture::new(344);
    let number = fixture.snapshot("files", items_of(source.path())).number;
    let dir = scratch();
    let place = |name: &str| dir.path().join("tree").join(name);
    fs::create_dir_all(place("data")).unwrap();
    fs::write(place("data/empty"), b"no directory").unwrap();
    fs::write(place("other.dump"), noise(1, 66_000)).unwrap();
    symlink("nowhere", place("latest")).unwrap();
    fs::create_dir(place("nothing")).unwrap();
    let look = |policy, resumes| {
        let asked = Asked {
            policy,
            resumes,
            ..Asked::of(dir.path())
        };
        let planned = asked.run(&fixture.open(), number).0.unwrap();
        let conflicts = planned.conflicts.iter();
        let outcomes: Vec<_> = conflicts
            .map(|it| (it.path.to_string(), it.outcome))
            .collect();
        (outcomes, planned)
    };
    let expected = |outcome| {
        [
            ("tree/data/empty", Outcome::Refused),
            ("tree/latest", outcome),
            ("tree/nothing", Outcome::Refused),
            ("tree/other.dump", outcome),
        ]
        .map(|(path, outcome)| (path.to_owned(), outcome))
    };
    let (outcomes, planned) = look(KEEP, false);
    assert_eq!(outcomes, expected(Outcome::Refused));
    assert_eq!((planned.refused, planned.replaced), (4, 0));
    let space_bytes = planned.space_bytes;
    let (outcomes, planned) = look(OVERWRITE, false);
    assert_eq!(outcomes, expected(Outcome::Replaced));
    assert_eq!((planned.refused, planned.replaced), (2, 2));
    assert_eq!(planned.space_bytes, space_bytes, "both stand for a while");
    let (outcomes, planned) = look(KEEP, true);
    assert_eq!(outcomes, expected(Outcome::Compared));
    assert!(planned.space_bytes <= space_bytes - 66_000);
    let tight = Plan {
        room: indelible_engine::target::Room {
            free_bytes: planned.space_bytes - 1,
            ..planned.room
        },
        ..planned
    };
    assert!(!tight.fits());
}
