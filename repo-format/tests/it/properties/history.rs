//! What a reader finds of damage, removal and forks (SPEC 3.13).

use std::collections::{BTreeMap, BTreeSet};

use indelible_format::authority::Authority;
use indelible_format::examined::Examined;
use indelible_format::history::{Continuity, History, Judging, LogProblem};
use indelible_format::ids::{LogHash, RepositoryId};
use indelible_format::merkle::leaf_hash;
use indelible_format::rights::Rights;
use proptest::collection::btree_map;
use proptest::prelude::*;

use crate::fixture::{ADMIN, Log, attest, authorize, snapshot, staffed};

type Objects = Vec<(u64, Vec<u8>)>;

fn read(objects: &Objects, remembered: &[LogHash]) -> History {
    let objects = objects
        .iter()
        .map(|(number, object)| (*number, object.as_slice()));
    History::read(objects, remembered).unwrap()
}

/// Genesis and eight entries that depend on nothing else.
fn nine() -> Log {
    let mut log = Log::begin();
    for _ in 0..8 {
        log.append(ADMIN, &attest());
    }
    log
}

/// The numbers that problems are about.
fn reported(problems: &[LogProblem]) -> BTreeSet<u64> {
    problems
        .iter()
        .flat_map(|problem| match problem {
            LogProblem::Removed { first, last } | LogProblem::OtherHistory { first, last } => {
                *first..=*last
            }
            other => other.first()..=other.first(),
        })
        .collect()
}

/// A signature that is known spares that very object the check, and no other.
///
/// Method: each entry of a log with a bit of its signature inverted. Who knows
/// nothing, or the intact entry's leaf, finds it void; who says that it knows the
/// inverted one's takes it, and counts it. The intact log is the same to who
/// knows all its leaves.
#[test]
fn a_known_signature_is_that_of_one_object() {
    let log = nine();
    let intact = read(&log.objects, &[]);
    let leaves = &intact.leaves;
    let judged = |objects: &Objects, known: &dyn Fn(usize) -> Option<LogHash>| {
        let mut judging = Judging::begin(&objects[0].1, known(0).as_ref()).unwrap();
        let repository = judging.repository();
        for (at, (number, object)) in objects.iter().enumerate().skip(1) {
            let examined = Examined::new(object, &repository, known(at).as_ref());
            judging.judge(*number, examined);
        }
        judging.finish(&[])
    };
    let knowing = judged(&log.objects, &|at| Some(leaves[at]));
    assert_eq!(knowing.known, 9);
    assert_eq!((&knowing.leaves, knowing.problems.len()), (leaves, 0));
    assert_eq!(intact.known, 0);
    for at in 1..9 {
        let mut objects = log.objects.clone();
        *objects[at].1.last_mut().unwrap() ^= 1;
        let expected = read(&objects, &[]);
        for known in [None, Some(leaves[at])] {
            let found = judged(&objects, &|other| known.filter(|_| other == at));
            assert_eq!(found.problems, expected.problems, "{at}");
            assert_eq!(found.known, 0);
        }
        let leaf = leaf_hash(&objects[at].1);
        let deceived = judged(&objects, &|other| (other == at).then_some(leaf));
        assert!(deceived.entries.contains_key(&(at as u64)));
        assert_eq!(deceived.known, 1);
    }
}

/// What was examined for one repository is judged in no other.
///
/// Method: judge an entry of one log in another's.
#[test]
#[should_panic(expected = "the repository that it was examined for")]
fn an_examined_object_stays_in_its_repository() {
    let log = nine();
    let (mut authority, _) = Authority::begin(&log.objects[0].1).unwrap();
    let other = RepositoryId([7; 32]);
    let _ = authority.judge(1, Examined::new(&log.objects[1].1, &other, None));
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Remove,
    Flip(usize),
    Junk,
}

fn damage() -> impl Strategy<Value = BTreeMap<u64, Damage>> {
    let kind = prop_oneof![
        Just(Damage::Remove),
        any::<usize>().prop_map(Damage::Flip),
        Just(Damage::Junk),
    ];
    btree_map(1_u64..9, kind, 0..5)
}

fn damaged(log: &Log, damage: &BTreeMap<u64, Damage>) -> Objects {
    let mut objects = log.objects.clone();
    for (number, object) in &mut objects {
        match damage.get(number) {
            Some(Damage::Flip(at)) => {
                let at = at % (object.len() * 8);
                object[at / 8] ^= 1 << (at % 8);
            }
            Some(Damage::Junk) => *object = b"junk".to_vec(),
            Some(Damage::Remove) | None => {}
        }
    }
    objects.retain(|(number, _)| !matches!(damage.get(number), Some(Damage::Remove)));
    objects
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens to some entries, the others stay valid, and what
    /// happened below the last valid entry is reported.
    ///
    /// Method: remove, flip a bit of or replace some of nine entries.
    #[test]
    fn damage_is_reported_and_contained(damage in damage()) {
        let history = read(&damaged(&nine(), &damage), &[]);
        let valid: Vec<u64> = (0..9).filter(|number| !damage.contains_key(number)).collect();
        let found: Vec<u64> = history.entries.keys().copied().collect();
        prop_assert_eq!(&found, &valid);
        let last = *valid.last().unwrap();
        let reported = reported(&history.problems);
        for number in damage.keys().filter(|number| **number < last) {
            prop_assert!(reported.contains(number), "{}: {:?}", number, history.problems);
        }
        if damage.keys().all(|number| *number > last) && damage.len() < 9 {
            let removed = |problem: &LogProblem| matches!(problem, LogProblem::Removed { .. });
            prop_assert!(!history.problems.iter().any(removed));
        }
    }

    /// A client that remembers the log misses nothing, and sees no fork where
    /// there is none.
    ///
    /// Method: the same with all leaves remembered: what is absent at the end
    /// is behind, anything else damaged or removed.
    #[test]
    fn memory_misses_nothing(damage in damage()) {
        let log = nine();
        let remembered: Vec<LogHash> = (0..9).map(|number| log.leaf(number)).collect();
        let objects = damaged(&log, &damage);
        let history = read(&objects, &remembered);
        let shown = objects.last().unwrap().0 + 1;
        let continuity = if shown < 9 {
            Continuity::Behind { shown, remembered: 9 }
        } else {
            Continuity::Extends
        };
        prop_assert_eq!(history.continuity, continuity);
        let touched: BTreeSet<u64> = damage.keys().copied().filter(|number| *number < shown).collect();
        prop_assert_eq!(reported(&history.problems), touched);
        let mild = |problem: &LogProblem| {
            matches!(problem, LogProblem::Damaged { .. } | LogProblem::Removed { .. })
        };
        prop_assert!(history.problems.iter().all(mild), "{:?}", history.problems);
        prop_assert_eq!(history.leaves, remembered);
    }

    /// Two different histories of one repository are told apart from where
    /// they part, by the one that remembers and by the one that reads on.
    ///
    /// Method: two continuations of a common beginning; remember one and read
    /// the other, then exchange one entry.
    #[test]
    fn forks_are_found(common in 1_usize..6, more in 1_usize..4) {
        let mut log = Log::begin();
        for _ in 1..common {
            log.append(ADMIN, &attest());
        }
        let mut other = log.clone();
        for _ in 0..more {
            log.append(ADMIN, &attest());
            let mut frame = other.frame(ADMIN, &attest());
            frame.claimed_ms += 1;
            other.append_frame(ADMIN, &frame);
        }
        let remembered: Vec<LogHash> = (0..log.next()).map(|number| log.leaf(number)).collect();
        let history = read(&other.objects, &remembered);
        prop_assert_eq!(history.continuity, Continuity::Forked { at: common as u64 });
        let mut mixed = log.objects.clone();
        mixed[common] = other.objects[common].clone();
        let history = read(&mixed, &[]);
        let (first, last) = (common as u64 + 1, mixed.len() as u64 - 1);
        let expected: Vec<LogProblem> = if more > 1 {
            vec![LogProblem::OtherHistory { first, last }]
        } else {
            Vec::new()
        };
        prop_assert_eq!(history.problems, expected);
    }

    /// What is read is remembered: the same log again is no news, and a longer
    /// one extends it.
    ///
    /// Method: read a damaged log, and again with the leaves of the first time.
    #[test]
    fn reading_is_stable(damage in damage()) {
        let objects = damaged(&nine(), &damage);
        let first = read(&objects, &[]);
        let again = read(&objects, &first.leaves);
        prop_assert_eq!(again.continuity, Continuity::Extends);
        prop_assert_eq!(&again.leaves, &first.leaves);
        prop_assert_eq!(again.root(), first.root());
        prop_assert_eq!(first.root_at(first.size()), Some(first.root()));
        prop_assert_eq!(first.root_at(first.size() + 1), None);
    }
}

/// No single bit of an entry changes unnoticed, and none takes another entry
/// with it, save those whose signer it authorised.
///
/// Method: a log of six entries; flip every bit of the second, which authorises
/// the key of the fourth and fifth, and every bit of the fourth.
#[test]
fn every_flipped_bit_is_noticed() {
    let mut log = Log::begin();
    log.append(ADMIN, &authorize(3, Rights::VERIFY));
    log.append(ADMIN, &authorize(2, Rights::WRITE));
    log.append(2, &snapshot());
    log.append(2, &snapshot());
    log.append(3, &attest());
    for (number, left) in [(2_usize, &[0, 1, 5][..]), (4, &[0, 1, 2, 3, 5])] {
        for bit in 0..log.objects[number].1.len() * 8 {
            let mut objects = log.objects.clone();
            objects[number].1[bit / 8] ^= 1 << (bit % 8);
            let history = read(&objects, &[]);
            let reported = reported(&history.problems);
            assert!(reported.contains(&(number as u64)), "bit {bit} of {number}");
            let valid: Vec<u64> = history.entries.keys().copied().collect();
            assert_eq!(valid, left, "bit {bit} of {number}");
        }
    }
}

/// Junk behind the end, which anyone who may create objects can put there, moves
/// neither the end nor what a client remembers.
///
/// Method: remember a log with junk behind a hole, then let another client
/// append where the log ends, up to the junk and beyond.
#[test]
fn litter_moves_nothing() {
    let mut log = staffed();
    let litter = (log.next() + 3, b"junk".to_vec());
    let mut objects = log.objects.clone();
    objects.push(litter.clone());
    let mut remembered = read(&objects, &[]);
    assert_eq!((remembered.size(), remembered.next), (4, 4));
    for _ in 0..5 {
        if log.next() == litter.0 {
            log.push(litter.1.clone());
        } else {
            log.append(2, &snapshot());
        }
        let mut objects = log.objects.clone();
        if log.next() <= litter.0 {
            objects.push(litter.clone());
        }
        let history = read(&objects, &remembered.leaves);
        assert_eq!(history.continuity, Continuity::Extends);
        assert_eq!(reported(&history.problems), BTreeSet::from([litter.0]));
        let end = if log.next() == litter.0 {
            litter.0 + 1
        } else {
            log.next()
        };
        assert_eq!(history.next, end);
        remembered = history;
    }
}

/// The log ends before 1,024 successive absent numbers, and not earlier.
///
/// Method: a valid entry can't stand behind a hole, since it is signed with its
/// number; so look where junk is still a part of the log.
#[test]
fn the_log_ends_at_a_gap() {
    let log = staffed();
    for (gap, beyond) in [(1_023, false), (1_024, true), (u64::from(u32::MAX), true)] {
        let mut objects = log.objects.clone();
        objects.push((log.next() + gap, b"junk".to_vec()));
        let history = read(&objects, &[]);
        let found = history
            .problems
            .iter()
            .any(|problem| matches!(problem, LogProblem::Beyond { count: 1, .. }));
        assert_eq!(found, beyond, "{gap}");
    }
}

/// A log of nine entries, in which those of these numbers state another root,
/// and these another leaf before them.
fn contradicting(roots: &[u64], leaves: &[u64]) -> Log {
    let mut log = Log::begin();
    for number in 1..9 {
        let mut frame = log.frame(ADMIN, &attest());
        if roots.contains(&number) {
            frame.root.0[0] ^= 1;
        }
        if leaves.contains(&number) {
            frame.previous.0[0] ^= 1;
        }
        log.append_frame(ADMIN, &frame);
    }
    log
}

/// Entries that contradict the log are one other history where they follow each
/// other, and several where sound ones stand between.
///
/// Method: entries that state another root or another leaf, alone and in runs.
#[test]
fn other_histories_stand_apart() {
    let log = contradicting(&[2, 3, 7], &[5]);
    let other = |first, last| LogProblem::OtherHistory { first, last };
    let history = read(&log.objects, &[]);
    assert_eq!(history.problems, [other(2, 3), other(5, 5), other(7, 7)]);
}

/// Holes are one where they follow each other, and several where entries stand
/// between.
///
/// Method: remove entries alone and side by side.
#[test]
fn holes_stand_apart() {
    let mut objects = nine().objects;
    objects.retain(|(number, _)| ![1, 3, 5, 6].contains(number));
    let hole = |first, last| LogProblem::Removed { first, last };
    let expected = [hole(1, 1), hole(3, 3), hole(5, 6)];
    assert_eq!(read(&objects, &[]).problems, expected);
}

/// A removed entry explains no other history while its leaf is known: the entry
/// behind it, or memory, says what stood there.
///
/// Method: remove one entry, and let a later one state another root.
#[test]
fn a_known_leaf_explains_nothing() {
    let log = contradicting(&[6], &[]);
    let mut objects = log.objects.clone();
    objects.retain(|(number, _)| *number != 3);
    let expected = [
        LogProblem::Removed { first: 3, last: 3 },
        LogProblem::OtherHistory { first: 6, last: 6 },
    ];
    assert_eq!(read(&objects, &[]).problems, expected);
}

/// A removed entry whose leaf nobody knows explains every root beyond it: those
/// who signed were honest.
///
/// Method: remove an entry and damage the one behind it, which alone said what
/// stood there; then let memory tell.
#[test]
fn an_unknown_leaf_explains_roots() {
    let log = nine();
    let mut objects = damaged(
        &log,
        &BTreeMap::from([(3, Damage::Remove), (4, Damage::Junk)]),
    );
    let found = |objects: &Objects, remembered: &[LogHash]| {
        let problems = read(objects, remembered).problems;
        let other = problems
            .iter()
            .filter(|problem| matches!(problem, LogProblem::OtherHistory { .. }));
        (reported(&problems), other.count())
    };
    let touched = BTreeSet::from([3, 4]);
    assert_eq!(found(&objects, &[]), (touched.clone(), 0));
    let remembered: Vec<LogHash> = (0..9).map(|number| log.leaf(number)).collect();
    assert_eq!(found(&objects, &remembered), (touched, 0));

    // What states another root is found by whoever remembers.
    let lying = contradicting(&[7], &[]);
    objects = damaged(
        &lying,
        &BTreeMap::from([(3, Damage::Remove), (4, Damage::Junk)]),
    );
    let remembered: Vec<LogHash> = (0..9).map(|number| lying.leaf(number)).collect();
    let (reported, other) = found(&objects, &remembered);
    assert_eq!((reported, other), (BTreeSet::from([3, 4, 7]), 1));
}

/// A writer that knows of more entries than the store shows goes on where it
/// remembers the end, and never further on than readers look.
///
/// Method: nine entries shown, and sizes around 9 + 1,023, remembered and pinned.
#[test]
fn writers_go_on_where_readers_look() {
    let log = nine();
    let shown: Vec<LogHash> = (0..9).map(|number| log.leaf(number)).collect();
    for (size, expected) in [(3, 9), (9, 9), (100, 100), (1_032, 1_032), (1_033, 1_032)] {
        let mut remembered = shown.clone();
        remembered.resize(size, LogHash([7; 32]));
        let history = read(&log.objects, &remembered);
        assert_eq!(history.next, expected, "{size} remembered");
        assert_eq!(history.leaves.len(), size.max(9));

        let mut history = read(&log.objects, &[]);
        history.append_from(size as u64);
        assert_eq!(history.next, expected, "pinned at {size}");
        assert_eq!(history.size(), expected);
        assert_eq!(history.leaves[..9], shown);
    }
}

/// Where a writer leaves numbers out, junk that stands there gets its leaf.
///
/// Method: junk behind a hole, and a pin behind both.
#[test]
fn left_out_junk_has_its_leaf() {
    let log = nine();
    let mut objects = log.objects.clone();
    objects.extend([(10, b"junk".to_vec()), (11, b"more".to_vec())]);
    let mut history = read(&objects, &[]);
    assert_eq!(history.size(), 9);
    history.append_from(13);
    let expected = [b"".as_slice(), b"junk", b"more", b""].map(leaf_hash);
    assert_eq!(history.leaves[9..], expected);
}
