//! What is damaged harms all that leans on it, and nothing else; and a verification
//! says so exactly.

use std::collections::BTreeSet;

use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{Extent, Harm, ProblemKind, Report, Terms};
use indelible_format::attest::Level;
use indelible_format::pack::HEADER_BYTES;
use proptest::prelude::*;

use super::{generations, next};
use crate::support::deltas::{Kept, Line, plain_of};
use crate::support::{Fixture, noise, object, restore_stream, verify_on};

/// The snapshots that don't restore as they were taken.
pub(super) fn lost(
    repository: &Repository<'_, MemoryStore>,
    taken: &[(u64, Vec<Kept>)],
) -> BTreeSet<u64> {
    let lost = taken.iter().filter(|(number, chunks)| {
        let restored = restore_stream(repository, *number);
        if let Ok(restored) = &restored {
            assert!(restored == &plain_of(chunks), "never wrong bytes");
        }
        restored.is_err()
    });
    lost.map(|(number, _)| *number).collect()
}

/// The snapshots that a report calls harmed, and those that may be.
pub(super) fn harmed(report: &Report) -> [BTreeSet<u64>; 2] {
    let mut all = [BTreeSet::new(), BTreeSet::new()];
    for problem in &report.problems {
        match &problem.harm {
            Harm::Snapshots(numbers) | Harm::AtLeast(numbers) => all[0].extend(numbers),
            Harm::Within { surely, perhaps } => {
                all[0].extend(surely);
                all[1].extend(perhaps);
            }
        }
    }
    all
}

/// Generations that each lean on the one whose number has one bit less, as a writer
/// would have them: a tree of depth four.
fn skipping(line: &mut Line<'_>, count: usize, chunks: u64, len: usize) -> Vec<(u64, Vec<Kept>)> {
    let mut all: Vec<(u64, Vec<Kept>)> = Vec::new();
    for generation in 0..count {
        let taken = line.snapshot(|pack| {
            if generation == 0 {
                let seeds = 0..chunks;
                return seeds.map(|seed| pack.keep(noise(seed, len), &[])).collect();
            }
            let before = &all[generation & (generation - 1)].1;
            let each = before.iter().zip(0..);
            each.map(|(own, at)| pack.keep(next(&own.plain, generation as u64 * 100 + at), &[own]))
                .collect()
        });
        all.push(taken);
    }
    all
}

/// Whether a generation is, or leans on, another.
fn leans(mut generation: usize, on: usize) -> bool {
    while generation > on {
        generation &= generation - 1;
    }
    generation == on
}

/// A bit that rots in a base at any depth harms exactly what leans on it: one
/// problem names it, and the rest restores.
///
/// Method: sixteen generations in a tree; flip a bit of one chunk of each.
#[test]
fn a_rotten_base_harms_what_leans_on_it() {
    let fixture = Fixture::new(910);
    let taken = skipping(&mut Line::new(&fixture), 16, 3, 3_000);
    let sound = fixture.verify(Level::Data);
    assert!(sound.is_sound(), "{:?}", sound.problems);
    // Three chunks of content, a node, a page and the list's node.
    assert_eq!(sound.chunks, 16 * 6);
    for (generation, (_, chunks)) in taken.iter().enumerate() {
        let before = fixture.store.clone();
        let pack = ObjectKey::Pack(chunks[0].place.pack);
        fixture.store.flip(&pack, HEADER_BYTES + 9, 3);
        let harm: BTreeSet<u64> = (0..16)
            .filter(|&other| leans(other, generation))
            .map(|other| taken[other].0)
            .collect();
        assert_eq!(lost(&fixture.open(), &taken), harm);
        let report = fixture.verify(Level::Data);
        assert_eq!(harmed(&report), [harm.clone(), BTreeSet::new()]);
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        let problem = &report.problems[0];
        assert_eq!(problem.kind, ProblemKind::Chunk);
        assert_eq!((&problem.object, problem.chunk), (&pack.path(), Some(0)));
        // Which of its chunks were altered takes the restore right to tell.
        let [surely, perhaps] = harmed(&fixture.verify(Level::Tree));
        assert_eq!((surely.len(), perhaps), (0, harm));
        fixture.store.roll_back_to(&before);
    }
}

/// A pack that is gone harms exactly what leans on its chunks, at both levels.
///
/// Method: sixteen generations in a tree; take the pack of each away.
#[test]
fn a_lost_pack_harms_what_leans_on_it() {
    let fixture = Fixture::new(911);
    let taken = skipping(&mut Line::new(&fixture), 16, 3, 2_000);
    for (generation, (_, chunks)) in taken.iter().enumerate() {
        let before = fixture.store.clone();
        fixture.store.forget(&ObjectKey::Pack(chunks[0].place.pack));
        let harm: BTreeSet<u64> = (0..16)
            .filter(|&other| leans(other, generation))
            .map(|other| taken[other].0)
            .collect();
        assert_eq!(lost(&fixture.open(), &taken), harm);
        for level in [Level::Tree, Level::Data] {
            let report = fixture.verify(level);
            assert_eq!(harmed(&report), [harm.clone(), BTreeSet::new()]);
            assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
            assert_eq!(report.problems[0].kind, ProblemKind::PackMissing);
        }
        fixture.store.roll_back_to(&before);
    }
}

/// A snapshot that leans on a pack outside its reach is told of, at any depth.
///
/// Method: three generations; the last one's reach leaves out the first's pack.
#[test]
fn a_base_outside_the_reach_is_told() {
    let fixture = Fixture::new(912);
    let mut line = Line::new(&fixture);
    let all = generations(&mut line, 2, (3, 2_000), 1);
    let (number, _) = line.snapshot(|pack| {
        let before = all[1].1.iter();
        let chunks = before.map(|own| Kept {
            below: BTreeSet::from([own.place.pack]),
            ..pack.keep(next(&own.plain, 7), &[own])
        });
        chunks.collect()
    });
    for level in [Level::Tree, Level::Data] {
        let report = fixture.verify(level);
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        let problem = &report.problems[0];
        assert_eq!(problem.kind, ProblemKind::OutsideReach);
        let pack = ObjectKey::Pack(all[0].1[0].place.pack);
        assert_eq!(problem.object, pack.path());
        assert_eq!(harmed(&report)[0], BTreeSet::from([number]));
    }
}

/// A sample that has a delta finds what is wrong with its bases, though it has not
/// theirs.
///
/// Method: damage the first generation, and draw one pack of six at a time.
#[test]
fn a_sampled_delta_is_decoded_with_its_bases() {
    let fixture = Fixture::new(915);
    let mut line = Line::new(&fixture);
    let taken = generations(&mut line, 6, (2, 2_000), 1);
    let pack = ObjectKey::Pack(taken[0].1[0].place.pack);
    fixture.store.flip(&pack, HEADER_BYTES + 9, 3);
    let harm: BTreeSet<u64> = taken.iter().map(|(number, _)| *number).collect();
    let terms = Terms {
        extent: Extent::ALL.sampled(1),
        ..Terms::default()
    };
    for _ in 0..12 {
        let report = verify_on(&fixture.open(), Level::Data, &terms);
        assert_eq!(report.unread.packs, 5);
        let [problem] = &report.problems[..] else {
            panic!("{:?}", report.problems)
        };
        assert_eq!(problem.kind, ProblemKind::Chunk);
        assert_eq!((&problem.object, problem.chunk), (&pack.path(), Some(0)));
        assert_eq!(harmed(&report), [harm.clone(), BTreeSet::new()]);
    }
}

/// Bases in a pack that no readable entry lists are read and verified like others.
///
/// Method: remove the entry of the first generation; then damage its pack, too.
#[test]
fn bases_of_a_lost_entry_are_had() {
    let fixture = Fixture::new(916);
    let mut line = Line::new(&fixture);
    let mut taken = generations(&mut line, 4, (2, 2_000), 1);
    let (first, chunks) = taken.remove(0);
    fixture.store.forget(&ObjectKey::Log(first));
    assert_eq!(lost(&fixture.open(), &taken), BTreeSet::new());
    let later: BTreeSet<u64> = taken.iter().map(|(number, _)| *number).collect();
    for level in [Level::Tree, Level::Data] {
        let [surely, perhaps] = harmed(&fixture.verify(level));
        assert!(surely.is_disjoint(&later) && perhaps.is_disjoint(&later));
    }
    let pack = ObjectKey::Pack(chunks[0].place.pack);
    fixture.store.flip(&pack, HEADER_BYTES + 9, 3);
    assert_eq!(lost(&fixture.open(), &taken), later);
    let [surely, perhaps] = harmed(&fixture.verify(Level::Data));
    assert!(surely.is_superset(&later) && perhaps.is_empty());
    let [surely, perhaps] = harmed(&fixture.verify(Level::Tree));
    assert!(surely.is_disjoint(&later) && perhaps.is_superset(&later));
    fixture.store.forget(&pack);
    for level in [Level::Tree, Level::Data] {
        assert!(harmed(&fixture.verify(level))[0].is_superset(&later));
    }
}

/// What a verification says does not depend on the number of threads.
///
/// Method: two damaged generations of a tree; 1, 2 and 5 threads.
#[test]
fn threads_change_nothing_of_a_report() {
    let fixture = Fixture::new(917);
    let taken = skipping(&mut Line::new(&fixture), 16, 8, 3_000);
    for generation in [3, 8] {
        let pack = ObjectKey::Pack(taken[generation].1[0].place.pack);
        fixture.store.flip(&pack, HEADER_BYTES + 9, 3);
    }
    let reports = [1, 2, 5].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let verify = || fixture.verify(Level::Data);
        let report = pool.expect("threads").install(verify);
        format!("{:?} {}", report.problems, report.chunks)
    });
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
}

/// A verification of many generations decodes little more than once what they have.
///
/// Method: thirty generations in a tree and seventeen in a chain, of more plaintext
/// than is kept.
#[test]
fn a_verification_decodes_each_chunk_about_once() {
    for chain in [false, true] {
        let fixture = Fixture::new(913);
        let mut line = Line::new(&fixture);
        if chain {
            generations(&mut line, 17, (64, 48 << 10), 2);
        } else {
            skipping(&mut line, 30, 64, 48 << 10);
        }
        let report = fixture.verify(Level::Data);
        assert!(report.is_sound(), "{:?}", report.problems);
        let stored = (64 + 3) * if chain { 17 } else { 30 };
        assert_eq!(report.chunks, stored);
        assert!(
            report.decodes * 10 <= stored * 22,
            "{} decodings of {stored} chunks",
            report.decodes
        );
    }
}

/// A chunk of a random snapshot: which earlier ones it leans on, and its length.
type Drawn = (Vec<prop::sample::Index>, usize);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever leans on whatever, all of it restores and verifies; and when a bit
    /// rots, a verification names the snapshots that are lost.
    ///
    /// Method: random snapshots of chunks that lean on up to four others, of this
    /// pack or earlier ones; then flip any one bit between header and directory.
    #[test]
    fn random_chains_restore_and_verify(
        drawn in prop::collection::vec(
            prop::collection::vec(
                (prop::collection::vec(any::<prop::sample::Index>(), 0..=4), 1_usize..6_000),
                1..8,
            ),
            1..6,
        ),
        seed in any::<u64>(),
        rotten in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let fixture = Fixture::new(914);
        let mut line = Line::new(&fixture);
        let mut all: Vec<Kept> = Vec::new();
        let mut taken: Vec<(u64, Vec<Kept>)> = Vec::new();
        for (at, snapshot) in drawn.iter().enumerate() {
            let new = line.snapshot(|pack| {
                let mut chunks: Vec<Kept> = Vec::new();
                for (number, (indices, len)) in snapshot.iter().enumerate() {
                    let drawn: &Drawn = &(indices.clone(), *len);
                    let (plain, bases) = draw(drawn, &all, &chunks, seed ^ (at * 8 + number) as u64);
                    let bases: Vec<&Kept> = bases.iter().collect();
                    chunks.push(pack.keep(plain, &bases));
                }
                chunks
            });
            all.extend(new.1.iter().cloned());
            taken.push(new);
        }
        let repository = fixture.open();
        prop_assert_eq!(lost(&repository, &taken), BTreeSet::new());
        let report = fixture.verify(Level::Data);
        prop_assert!(report.is_sound(), "{:?}", report.problems);

        let key = ObjectKey::Pack(taken[rotten.index(taken.len())].1[0].place.pack);
        let bits = (object(&fixture.store, &key).len() - HEADER_BYTES) * 8;
        let bit = bit.index(bits);
        let bit_of_byte = u32::try_from(bit % 8).expect("below 8");
        fixture.store.flip(&key, HEADER_BYTES + bit / 8, bit_of_byte);
        let lost = lost(&repository, &taken);
        let report = fixture.verify(Level::Data);
        prop_assert_eq!(harmed(&report), [lost.clone(), BTreeSet::new()], "{:?}", report.problems);
        let [surely, perhaps] = harmed(&fixture.verify(Level::Tree));
        prop_assert!(surely.is_subset(&lost));
        prop_assert!(lost.is_subset(&surely.union(&perhaps).copied().collect()));
    }
}

/// Draws a chunk: made of what it leans on and of a little more.
fn draw((indices, len): &Drawn, earlier: &[Kept], own: &[Kept], seed: u64) -> (Vec<u8>, Vec<Kept>) {
    let deep = earlier.iter().chain(own).filter(|kept| kept.depth < 16);
    let room: Vec<&Kept> = deep.collect();
    let mut bases = Vec::new();
    if !room.is_empty() {
        bases.extend(indices.iter().map(|index| (*index.get(&room)).clone()));
    }
    let mut plain = noise(seed, *len);
    for base in &bases {
        let half = base.plain.len().min(2_000) / 2;
        plain.extend_from_slice(&base.plain[half..]);
    }
    plain.truncate(60_000);
    (plain, bases)
}
