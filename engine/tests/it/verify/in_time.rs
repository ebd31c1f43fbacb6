//! Deltas are decoded while there is time, and what is not decoded is said.

use std::collections::{BTreeMap, BTreeSet};

use indelible_engine::verify::{Amount, Extent, ProblemKind, Report};
use indelible_format::attest::Level;
use indelible_format::ids::PackId;

use super::extent::{Watched, verified};
use super::harmed;
use crate::support::deltas::{Kept, Line};
use crate::support::{Fixture, noise, object, packs};
use indelible_engine::store::ObjectKey;

/// Chunks of a snapshot.
const CHUNKS: u64 = 200;

/// Two times a snapshot of chunks that lean on nothing, 9 MiB of them, and one of as many
/// that lean on those. Gives the numbers of the snapshots.
fn sample(fixture: &Fixture) -> Vec<u64> {
    let mut line = Line::new(fixture);
    let mut numbers = Vec::new();
    for from in [0, CHUNKS] {
        let (number, first) = line.snapshot(|pack| {
            let chunks = (from..from + CHUNKS).map(|seed| noise(seed, 48 << 10));
            chunks.map(|plain| pack.keep(plain, &[])).collect()
        });
        let (leaning, _) = line.snapshot(|pack| {
            let changed = |base: &Kept| {
                let mut plain = base.plain.to_vec();
                plain[100] ^= 1;
                plain
            };
            let chunks = first.iter().map(|base| (changed(base), base));
            chunks
                .map(|(plain, base)| pack.keep(plain, &[base]))
                .collect()
        });
        numbers.extend([number, leaning]);
    }
    numbers
}

/// Bytes of all packs.
fn stored_bytes(fixture: &Fixture) -> u64 {
    let packs = packs(&fixture.store).into_iter();
    let len = |pack| object(&fixture.store, &ObjectKey::Pack(pack)).len() as u64;
    packs.map(len).sum()
}

fn data(fixture: &Fixture, store: &Watched<'_>, extent: Extent) -> Report {
    verified(fixture, store, Level::Data, extent)
}

/// No further deltas are begun when the time is up, and the report says how many were
/// not decoded; what is known to be wrong harms what leans on it all the same.
///
/// Method: reading a pack whole costs ten seconds of a clock that stands still
/// otherwise, and so does any other read once all were; there are four packs, and the
/// deltas are of two batches. Allow no time for them, some, and plenty; then with a bit
/// flipped in a chunk that is leaned on.
#[test]
fn deltas_are_decoded_while_there_is_time() {
    let fixture = Fixture::new(137);
    let numbers = sample(&fixture);
    let store = Watched::new(&fixture, 10_000).with_cost_of_parts_behind(4);
    let whole = data(&fixture, &store, Extent::ALL);
    assert_eq!((whole.undecoded, whole.unread), (0, Amount::default()));
    for (time_ms, least, most) in [
        (40_000, 2 * CHUNKS, 2 * CHUNKS),
        (40_001, 1, CHUNKS),
        (10_000_000, 0, 0),
    ] {
        let report = data(&fixture, &store, Extent::ALL.within(time_ms));
        assert!(report.is_sound() && report.unread == Amount::default());
        let undecoded = report.undecoded;
        assert!(
            (least..=most).contains(&undecoded),
            "{undecoded}: {time_ms} ms"
        );
        assert_eq!(report.chunks + undecoded, whole.chunks);
    }
    let largest = packs(&fixture.store)
        .into_iter()
        .map(ObjectKey::Pack)
        .max_by_key(|key| object(&fixture.store, key).len())
        .expect("there are packs");
    fixture.store.flip(&largest, 5_000, 0);
    for time_ms in [40_000, 10_000_000] {
        let report = data(&fixture, &store, Extent::ALL.within(time_ms));
        let [problem] = &report.problems[..] else {
            panic!("{:?}", report.problems)
        };
        assert_eq!(problem.kind, ProblemKind::Chunk);
        let pair = harmed(&report);
        assert!(
            pair == numbers[..2].iter().copied().collect()
                || pair == numbers[2..].iter().copied().collect(),
            "{pair:?}"
        );
    }
}

/// What is read to decode deltas counts as read.
///
/// Method: a store that tells every read is the oracle. What the walk of the trees
/// reads does not count, and is what is read and not counted if there is no time to
/// decode deltas.
#[test]
fn what_deltas_take_is_counted() {
    let fixture = Fixture::new(138);
    sample(&fixture);
    let store = Watched::new(&fixture, 10_000);
    let read = |extent: Extent| {
        store.ranges();
        let report = data(&fixture, &store, extent);
        let read: u64 = store.ranges().iter().map(|(_, _, len)| len).sum();
        (report.bytes, read)
    };
    let (counted, all) = read(Extent::ALL.within(40_000));
    assert_eq!(counted, stored_bytes(&fixture));
    let walked = all - counted;
    let (counted, all) = read(Extent::ALL);
    assert_eq!(counted, all - walked);
    let again = counted - stored_bytes(&fixture);
    assert!(
        again > 2 * CHUNKS * (48 << 10),
        "{again} bytes of bases and deltas"
    );
}

/// Which deltas are decoded first is drawn anew each time, so that each has its turn.
///
/// Method: time for one batch, which holds the deltas of one pack and some of the other:
/// look at which pack more was read of, until it was either.
#[test]
fn every_delta_has_its_turn() {
    let fixture = Fixture::new(139);
    sample(&fixture);
    let store = Watched::new(&fixture, 10_000).with_cost_of_parts_behind(4);
    let mut first = BTreeSet::new();
    for _ in 0..40 {
        store.ranges();
        data(&fixture, &store, Extent::ALL.within(40_001));
        let mut read: BTreeMap<PackId, u64> = BTreeMap::new();
        for (pack, offset, len) in store.ranges() {
            if offset > 0 {
                *read.entry(pack).or_default() += len;
            }
        }
        first.extend(
            read.into_iter()
                .max_by_key(|(_, bytes)| *bytes)
                .map(|it| it.0),
        );
        if first.len() == 2 {
            return;
        }
    }
    panic!("one pack's deltas came first forty times");
}
