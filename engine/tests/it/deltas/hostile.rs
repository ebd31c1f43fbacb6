//! Deltas that somebody made who does not keep the rules: each is refused, says why,
//! and harms its own snapshot alone.

use std::collections::BTreeSet;

use indelible_engine::pack::Basis;
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::coding::{Class, Coding};
use indelible_format::places::Place;

use super::damage::{harmed, lost};
use super::{generations, next};
use crate::support::deltas::{Kept, Line, delta};
use crate::support::tree::{ForgedPack, OWN};
use crate::support::{Fixture, chain, noise, restore_stream};

/// What a hostile snapshot is like.
struct Case {
    what: &'static str,
    /// What a restore says of it.
    refused: &'static str,
    kind: ProblemKind,
    /// Its directories alone tell.
    by_tree: bool,
    /// Chunks, given some that are sound and were stored before.
    fill: fn(&mut ForgedPack<'_>, &[Kept]) -> Vec<Kept>,
}

/// A chunk that says that it leans on what lies at another place.
fn at(base: &Kept, place: Place) -> Kept {
    Kept {
        place,
        ..base.clone()
    }
}

/// A delta of a base as it is, which says something else of itself.
fn lying(pack: &mut ForgedPack<'_>, base: &Kept, depth: u8, said: &Kept) -> Kept {
    let plain = next(&base.plain, 5);
    let coded = delta(&base.plain, &plain);
    pack.keep_as(plain, depth, &[said], coded)
}

const CASES: [Case; 8] = [
    Case {
        what: "a base of the same depth",
        refused: "has depth 1, and it itself 1",
        kind: ProblemKind::Basis,
        by_tree: true,
        fill: |pack, sound| vec![lying(pack, &sound[0], 1, &sound[0])],
    },
    Case {
        what: "a chunk that leans on itself",
        refused: "has depth 3, and it itself 3",
        kind: ProblemKind::Basis,
        by_tree: true,
        fill: |pack, sound| {
            let number = 0;
            let own = at(&sound[0], Place { pack: OWN, number });
            vec![lying(pack, &sound[0], 3, &own)]
        },
    },
    Case {
        what: "two that lean on each other",
        refused: "has depth 2, and it itself 1",
        kind: ProblemKind::Basis,
        by_tree: true,
        fill: |pack, sound| {
            let own = |number| at(&sound[0], Place { pack: OWN, number });
            let first = lying(pack, &sound[0], 1, &own(1));
            let second = lying(pack, &sound[1], 2, &own(0));
            vec![second, first]
        },
    },
    Case {
        what: "a node as a base",
        refused: "is none of class data",
        kind: ProblemKind::Basis,
        by_tree: true,
        fill: |pack, sound| {
            let place = Place {
                number: 3,
                ..sound[0].place
            };
            vec![lying(pack, &sound[0], 2, &at(&sound[0], place))]
        },
    },
    Case {
        what: "a number beyond the directory",
        refused: "has no chunk 6, which is to be its base",
        kind: ProblemKind::Basis,
        by_tree: true,
        fill: |pack, sound| {
            let place = Place {
                number: 6,
                ..sound[0].place
            };
            vec![lying(pack, &sound[0], 2, &at(&sound[0], place))]
        },
    },
    Case {
        what: "another base than it was made from",
        refused: "",
        kind: ProblemKind::Chunk,
        by_tree: false,
        fill: |pack, sound| vec![lying(pack, &sound[0], 2, &sound[1])],
    },
    Case {
        what: "a base that is not what its id says",
        refused: "chunk 0 of pack",
        kind: ProblemKind::Chunk,
        by_tree: false,
        fill: |pack, sound| {
            let (said, is) = (sound[2].plain.to_vec(), noise(77, sound[2].plain.len()));
            let coded = (Coding::Raw, is.clone(), is.len());
            let stored = pack.chunk_on(Class::Data, &said, coded, Basis::default());
            let base = Kept {
                place: stored.place(),
                depth: 0,
                ..sound[2].clone()
            };
            vec![pack.keep(next(&said, 9), &[&base])]
        },
    },
    Case {
        what: "a delta that is no frame",
        refused: "it is not one complete zstd frame",
        kind: ProblemKind::Chunk,
        by_tree: false,
        fill: |pack, sound| vec![pack.keep_as(noise(3, 900), 2, &[&sound[0]], noise(4, 300))],
    },
];

/// Every hostile delta is refused with its reason, and verification finds it at the
/// level that can, with the one snapshot that it harms.
///
/// Method: each case in a snapshot of its own, beside two that are sound.
#[test]
fn each_is_refused_and_told() {
    for case in &CASES {
        let what = case.what;
        let fixture = Fixture::new(920);
        let mut line = Line::new(&fixture);
        let mut taken = generations(&mut line, 2, (3, 2_000), 1);
        let sound = taken[1].1.clone();
        taken.push(line.snapshot(|pack| (case.fill)(pack, &sound)));
        let number = taken[2].0;
        let repository = fixture.open();
        let error = restore_stream(&repository, number).expect_err(what);
        assert!(error.contains(case.refused), "{what}: {error}");
        assert_eq!(
            lost(&repository, &taken),
            BTreeSet::from([number]),
            "{what}"
        );
        for (level, finds) in [(Level::Tree, case.by_tree), (Level::Data, true)] {
            let report = fixture.verify(level);
            let harm: BTreeSet<u64> = finds.then_some(number).into_iter().collect();
            assert_eq!(harmed(&report)[0], harm, "{what}: {:?}", report.problems);
            if finds {
                let kinds: Vec<_> = report.problems.iter().map(|it| it.kind).collect();
                assert_eq!(kinds, [case.kind], "{what}: {:?}", report.problems);
                let cause = report.problems[0].cause.as_deref().expect("a cause");
                assert!(!chain(cause).is_empty(), "{what}");
            }
        }
    }
}

/// What a chunk leans on at all depths is bounded, so that no record makes a reader
/// hold or decode without end.
///
/// Method: a ladder in which each chunk leans on four of the level below, four
/// megabytes a level and more levels than fit, and one with more chunks than are
/// taken.
#[test]
fn what_takes_too_much_is_refused() {
    let fixture = Fixture::new(921);
    let mut line = Line::new(&fixture);
    let (number, _) = line.snapshot(|pack| {
        let mut below: Vec<Kept> = (0..4_100)
            .map(|seed| pack.keep(noise(seed, 40), &[]))
            .collect();
        while below.len() > 1 {
            let above = below.chunks(4).map(|four| {
                let four: Vec<&Kept> = four.iter().collect();
                pack.keep(next(&four[0].plain, below.len() as u64), &four)
            });
            below = above.collect();
        }
        below
    });
    let error = restore_stream(&fixture.open(), number).expect_err("it is too much");
    assert!(error.contains("more than a reader holds"), "{error}");
    let report = fixture.verify(Level::Data);
    assert_eq!(harmed(&report)[0], BTreeSet::from([number]));
}
