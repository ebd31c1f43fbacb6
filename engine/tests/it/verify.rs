//! Verification says what it read, and what it says of a snapshot is what a
//! restore of it finds.

mod accepted;
mod damage;
mod extent;
mod in_time;
mod once;
mod pinned;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::repository::{Repository, Snapshot};
use indelible_engine::snapshot::{self, Input};
use indelible_engine::store::faulty::{Fate, Fault, Request};
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey};
use indelible_engine::verify::{Amount, Harm, ProblemKind, Report};
use indelible_format::attest::Level;
use indelible_format::commit::Reach;
use indelible_format::manifest::Manifest;
use indelible_format::rights::Rights;

use crate::support::{
    Contents, Fixture, Forged, forge_snapshot, noise, object, packs, request, restore,
    restore_stream, rows, snapshot_at, stream, take, take_stream, verify_with,
};

const LEVELS: [Level; 3] = [Level::Packs, Level::Tree, Level::Data];

/// The snapshots that some problem is said to harm, perhaps left out.
fn harmed(report: &Report) -> BTreeSet<u64> {
    let of_problem = |harm: &Harm| match harm {
        Harm::Snapshots(numbers) | Harm::AtLeast(numbers) => numbers.clone(),
        Harm::Within { surely, .. } => surely.clone(),
    };
    let problems = report.problems.iter();
    let by_problem: BTreeSet<u64> = problems
        .flat_map(|problem| of_problem(&problem.harm))
        .collect();
    let by_verdict = report
        .snapshots
        .iter()
        .filter(|verdict| !verdict.problems.is_empty())
        .map(|verdict| verdict.number)
        .collect();
    assert_eq!(by_problem, by_verdict, "both sides of the report agree");
    by_problem
}

/// The snapshots that some problem is said to harm, surely or perhaps.
fn harmed_at_most(report: &Report) -> BTreeSet<u64> {
    let mut numbers = harmed(report);
    for problem in &report.problems {
        if let Harm::Within { perhaps, .. } = &problem.harm {
            numbers.extend(perhaps);
        }
    }
    for verdict in &report.snapshots {
        if !verdict.suspects.is_empty() {
            assert!(numbers.contains(&verdict.number), "both sides agree");
        }
    }
    numbers
}

/// The snapshots that don't restore byte for byte.
fn lost(repository: &Repository<'_, MemoryStore>, originals: &[(u64, Contents)]) -> BTreeSet<u64> {
    let differs =
        |(number, content): &&(u64, Contents)| restore(repository, *number).as_ref() != Ok(content);
    originals
        .iter()
        .filter(differs)
        .map(|(number, _)| *number)
        .collect()
}

/// What each snapshot restores to now.
fn originals(repository: &Repository<'_, MemoryStore>) -> Vec<(u64, Contents)> {
    repository
        .snapshot_entries()
        .map(|entry| entry.header().number)
        .map(|number| (number, restore(repository, number).expect("it is intact")))
        .collect()
}

/// A sound repository is sound at every level, and each level says what it
/// read.
///
/// Method: two domains and an unchanged snapshot; compare the counts with the
/// store's.
#[test]
fn a_sound_repository_is_sound() {
    let fixture = Fixture::new(91);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    fixture.snapshot_of("shop", &rows(0..500));
    fixture.snapshot_of("shop", &rows(0..500));
    take_stream(&mut fixture.open_as(&writer), "shop", &rows(0..500)).unwrap();
    let all = packs(&fixture.store);
    let stored: usize = all
        .iter()
        .map(|pack| object(&fixture.store, &ObjectKey::Pack(*pack)).len())
        .sum();
    for level in LEVELS {
        let report = fixture.verify(level);
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!((report.level, report.size), (level, 5));
        assert_eq!(report.root, fixture.open().history().root());
        assert_eq!(report.packs, all.len() as u64);
        let numbers: Vec<u64> = report.snapshots.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [2, 3, 4]);
        assert!(report.unreferenced.is_empty() && report.foreign.is_empty());
        assert_eq!(report.bytes, stored as u64);
        assert_eq!(report.unread, Amount::default());
        assert_eq!(report.nodes > 0, level != Level::Packs);
        assert_eq!(report.chunks > report.nodes, level == Level::Data);
        let named = report
            .snapshots
            .iter()
            .all(|it| it.name.as_deref() == Some("shop"));
        assert_eq!(named, level != Level::Packs);
    }
}

/// What a crashed run left, and names that are no object's, are reported and no
/// errors.
///
/// Method: a run that may store packs and a commit record but no entry; junk
/// names in each area.
#[test]
fn leftovers_are_reported_and_no_errors() {
    let fixture = Fixture::new(92);
    fixture.snapshot_of("shop", b"content");
    let before = packs(&fixture.store);
    let store = FaultyStore::new(&fixture.store, |call| match call.put() {
        Some(ObjectKey::Log(_)) => Fate::Fails(Fault::Unreachable),
        _ => Fate::Done,
    });
    let mut repository =
        Repository::open(&store, None, &fixture.recovery, fixture.env.clone()).unwrap();
    let mut request = request("shop");
    request.labels = long_labels();
    let input = Input::Items(vec![stream("dump.sql", b"other")]);
    snapshot::run(&mut repository, &request, input, &Cancel::new(), &Silent).unwrap_err();
    let junk = ["packs/zz/junk", "commits/junk", "log/junk"];
    for name in junk {
        fixture.store.plant(name, b"junk");
    }
    for level in LEVELS {
        let report = fixture.verify(level);
        assert!(report.is_sound(), "{:?}", report.problems);
        let [left] = report.unreferenced[..] else {
            panic!("{:?}", report.unreferenced)
        };
        assert!(!before.contains(&left));
        assert_eq!(report.unreferenced_records.len(), 1);
        let foreign: BTreeSet<&str> = report.foreign.iter().map(String::as_str).collect();
        assert_eq!(foreign, BTreeSet::from(junk));
    }
}

/// A copy of genesis that is another object is reported, and one that is absent
/// is not missed.
///
/// Method: flip a bit in it, replace it, remove it.
#[test]
fn a_wrong_copy_of_genesis_is_reported() {
    let fixture = Fixture::new(97);
    fixture.snapshot_of("shop", b"content");
    let key = ObjectKey::Repository;
    let intact = object(&fixture.store, &key);
    fixture.store.flip(&key, 100, 1);
    let kinds = |level| {
        let report = fixture.verify(level);
        assert!(harmed(&report).is_empty());
        let problems = report.problems.iter();
        problems.map(|it| it.kind).collect::<Vec<_>>()
    };
    for level in LEVELS {
        assert_eq!(kinds(level), [ProblemKind::GenesisCopy]);
    }
    fixture.store.replace(&key, &[&intact[..], b"x"].concat());
    assert_eq!(kinds(Level::Packs), [ProblemKind::GenesisCopy]);
    fixture.store.forget(&key);
    assert!(fixture.verify(Level::Data).is_sound());
}

/// What somebody wrote over objects, where the store keeps versions, is told and harms
/// nothing: neither restores nor the next snapshot.
///
/// Method: junk over every object of three snapshots, one with a commit record, and over
/// that a copy with one flipped bit; verify at every level, and restore.
#[test]
fn what_lies_over_objects_is_told_and_harms_nothing() {
    let fixture = Fixture::new(79);
    fixture.snapshot_of("shop", &noise(1, 200_000));
    let mut labelled = request("shop");
    labelled.labels = long_labels();
    let input = Input::Items(vec![stream("dump.sql", &noise(2, 200_000))]);
    snapshot::run(
        &mut fixture.open(),
        &labelled,
        input,
        &Cancel::new(),
        &Silent,
    )
    .unwrap();
    fixture.snapshot_of("shop", &rows(0..500));
    let before = originals(&fixture.open());
    let keys = fixture.store.keys();
    assert!(keys.iter().any(|key| matches!(key, ObjectKey::Record(_))));
    for key in &keys {
        let mut bytes = object(&fixture.store, key);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fixture.store.push_newer(key, b"junk");
        fixture.store.push_newer(key, &bytes);
    }
    let repository = fixture.open();
    assert!(lost(&repository, &before).is_empty());
    for level in LEVELS {
        let report = verify_with(&repository, level);
        assert!(harmed_at_most(&report).is_empty(), "{:?}", report.problems);
        let of = |kind| {
            report
                .problems
                .iter()
                .filter(move |it| it.kind == kind)
                .count()
        };
        // The copy of genesis has no hash in its name, and is no part of the log.
        assert_eq!(of(ProblemKind::Covered), keys.len() - 1);
        assert_eq!(of(ProblemKind::GenesisCopy), 1);
        assert_eq!(report.problems.len(), keys.len());
    }
    let next = fixture.snapshot_of("shop", &rows(20..520)).number;
    assert_eq!(
        restore_stream(&fixture.open(), next).as_deref(),
        Ok(&rows(20..520)[..])
    );
}

/// Labels that make a commit body too large for a log entry.
fn long_labels() -> Vec<String> {
    (0..40).map(|n| format!("{n:02000}")).collect()
}

/// A commit record that is gone or altered costs its own snapshot, and none of
/// those that lean on its packs.
///
/// Method: a snapshot with labels that need a record, between two that share
/// its content; remove, flip, cut and extend the record.
#[test]
fn a_lost_commit_record_costs_its_snapshot() {
    type Harming = fn(&MemoryStore, &ObjectKey);
    let ways: [Harming; 4] = [
        |store, key| store.forget(key),
        |store, key| store.flip(key, 1_000, 3),
        |store, key| store.truncate(key, 1_000),
        |store, key| store.extend(key, b"more"),
    ];
    for harm in ways {
        let fixture = Fixture::new(93);
        fixture.snapshot_of("shop", &rows(0..300));
        let mut request = request("shop");
        request.labels = long_labels();
        let input = Input::Items(vec![stream("dump.sql", &rows(0..600))]);
        let mut repository = fixture.open();
        snapshot::run(&mut repository, &request, input, &Cancel::new(), &Silent).unwrap();
        fixture.snapshot_of("shop", &rows(0..700));
        assert!(fixture.verify(Level::Data).is_sound());
        let repository = fixture.open();
        let originals = originals(&repository);
        let keys = fixture.store.keys();
        let record = keys.iter().find(|key| matches!(key, ObjectKey::Record(_)));
        harm(&fixture.store, record.expect("labels were too many"));
        assert_eq!(lost(&repository, &originals), BTreeSet::from([2]));
        for level in LEVELS {
            let report = fixture.verify(level);
            assert_eq!(
                harmed(&report),
                BTreeSet::from([2]),
                "{:?}",
                report.problems
            );
            assert_eq!(report.problems[0].kind, ProblemKind::CommitRecord);
            assert_eq!(report.problems.len(), 1);
        }
        let next = fixture.snapshot_of("shop", &rows(0..700));
        let again = restore(&fixture.open(), next.number).unwrap();
        assert!(again[&b"dump.sql"[..]] == rows(0..700));
    }
}

/// A commit record that can be read at first, and then not, does not leave its
/// snapshot unread and unreported.
///
/// Method: of the two times that a verification reads the record, fail either.
#[test]
fn a_record_that_goes_unread_later_is_reported() {
    let fixture = Fixture::new(97);
    let mut request = request("shop");
    request.labels = long_labels();
    let input = Input::Items(vec![stream("dump.sql", b"content")]);
    let mut repository = fixture.open();
    snapshot::run(&mut repository, &request, input, &Cancel::new(), &Silent).unwrap();
    for level in [Level::Tree, Level::Data] {
        for fails in [0, 1] {
            let met = AtomicU32::new(0);
            let store = FaultyStore::new(&fixture.store, |call| match call.request {
                Request::Read(ObjectKey::Record(_))
                    if met.fetch_add(1, Ordering::SeqCst) == fails =>
                {
                    Fate::Fails(Fault::Unreachable)
                }
                _ => Fate::Done,
            });
            let env = fixture.env.clone();
            let repository = Repository::open(&store, None, &fixture.recovery, env).unwrap();
            let report = verify_with(&repository, level);
            assert_eq!(harmed(&report), BTreeSet::from([1]), "{level:?}, {fails}");
            assert_eq!(report.problems[0].kind, ProblemKind::CommitRecord);
            assert_eq!(met.load(Ordering::SeqCst), 2);
        }
    }
}

/// Forges a snapshot after the one at `from`, with every right.
fn forge(fixture: &Fixture, from: u64, change: impl Fn(&mut Manifest), reach: &Reach) -> u64 {
    let repository = fixture.open();
    let from: Snapshot = snapshot_at(&repository, from);
    let mut manifest = from.manifest.clone();
    change(&mut manifest);
    let forged = Forged { manifest, reach };
    let entry = forge_snapshot(&repository, &from, &fixture.bundle, &forged);
    let number = repository.history().next;
    fixture.store.replace(&ObjectKey::Log(number), &entry);
    number
}

/// A snapshot that states its tree otherwise than it is does not pass for one of
/// its neighbours, whose nodes it names.
///
/// Method: a writer that lies about a root's length or level, or about totals;
/// both it and the intact snapshot before it are judged as restoring them ends.
#[test]
fn a_lying_manifest_is_harmed_alone() {
    let changes: [fn(&mut Manifest); 4] = [
        |manifest| manifest.list.root.len += 1,
        |manifest| manifest.list.root.level += 1,
        |manifest| manifest.small.as_mut().expect("there is one").root.len -= 1,
        |manifest| manifest.small = None,
    ];
    for change in changes {
        let fixture = Fixture::new(94);
        let source = tempfile::tempdir().unwrap();
        std::fs::write(source.path().join("small"), noise(1, 5_000)).unwrap();
        let named = indelible_engine::source::NamedPath {
            path: source.path().to_owned(),
            as_name: Some(b"tree".to_vec()),
        };
        let items = indelible_engine::source::list(&[named]).unwrap().items;
        take(&mut fixture.open(), "files", items).unwrap();
        let number = forge(&fixture, 1, change, &Reach::default());
        let repository = fixture.open();
        assert!(restore(&repository, 1).is_ok());
        assert!(restore(&repository, number).is_err());
        for level in [Level::Tree, Level::Data] {
            assert_eq!(
                harmed(&verify_with(&repository, level)),
                BTreeSet::from([number])
            );
        }
    }
    let fixture = Fixture::new(95);
    fixture.snapshot_of("shop", b"content");
    let number = forge(&fixture, 1, |it| it.entries += 1, &Reach::default());
    assert_eq!(
        harmed(&fixture.verify(Level::Tree)),
        BTreeSet::from([number])
    );
}

/// A snapshot that needs a pack which it does not say that it reaches is
/// reported before a sweep destroys what it needs.
///
/// Method: forge an unchanged snapshot with an empty reach, and one that reaches
/// a pack which the entry does not list.
#[test]
fn a_reach_that_falls_short_is_reported() {
    let fixture = Fixture::new(96);
    fixture.snapshot_of("shop", b"content");
    fixture.snapshot_of("shop", b"content");
    let short = forge(&fixture, 2, |_| {}, &Reach::default());
    let beyond = forge(&fixture, 2, |_| {}, &Reach::collect([(1, 0), (1, 1)]));
    let report = fixture.verify(Level::Tree);
    let kinds: Vec<ProblemKind> = report.problems.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [ProblemKind::OutsideReach, ProblemKind::Snapshot]);
    assert_eq!(harmed(&report), BTreeSet::from([short, beyond]));
}
