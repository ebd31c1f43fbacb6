//! Losing power at any write: what was acknowledged restores, nothing half-done
//! is listed, and the next run works.

use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{self, Input, Request, SnapshotRunError, Summary};
use indelible_engine::state::State;
use indelible_engine::store::{AppendStore, MemoryStore};
use indelible_format::attest::Level;

use crate::support::{
    Fate, Faulty, Fixture, listed, noise, request, restore_stream, rows, stream, take_stream,
};

/// A request that needs a commit record, so that there is one more write.
fn with_record() -> Request {
    let mut request = request("shop");
    request.labels = (0..33).map(|n| format!("{n:02000}")).collect();
    request
}

/// The first snapshot has a commit record, and the second leans on its packs.
fn workload<S: AppendStore>(
    repository: &mut Repository<'_, S>,
    at: usize,
) -> Result<Summary, SnapshotRunError> {
    let bytes = &contents()[at];
    if at > 0 {
        return take_stream(repository, "shop", bytes);
    }
    let input = Input::Items(vec![stream("dump.sql", bytes)]);
    snapshot::run(repository, &with_record(), input, &Cancel::new(), &Silent)
}

/// Two snapshots, with the store's faults.
/// Gives the numbers that were acknowledged.
fn attempt(fixture: &Fixture, store: &Faulty<'_>, state: Option<&State>) -> Vec<u64> {
    let env = fixture.env.clone();
    let mut acknowledged = Vec::new();
    for at in 0..2 {
        // A store that is down opens no repository.
        let opened = Repository::open(store, state, &fixture.recovery, env.clone());
        let Ok(mut repository) = opened else { continue };
        acknowledged.extend(workload(&mut repository, at).map(|summary| summary.number));
    }
    acknowledged
}

fn contents() -> [Vec<u8>; 2] {
    [rows(0..150), [rows(0..100), noise(1, 3_000)].concat()]
}

/// What a reader finds after the power is back.
fn check_after(fixture: &Fixture, acknowledged: &[u64], what: &str) {
    let repository = fixture.open();
    let shown = listed(&repository);
    for number in acknowledged {
        assert!(shown.contains(number), "{what}: {number} was acknowledged");
    }
    // A store that is down kept the answer from us, and may have the entry.
    assert!(shown.len() <= acknowledged.len() + 1, "{what}: {shown:?}");
    for number in &shown {
        let restored = restore_stream(&repository, *number);
        let restored = restored.unwrap_or_else(|error| panic!("{what}: {number}: {error}"));
        assert!(contents().contains(&restored), "{what}: {number}");
    }
    let report = fixture.verify(Level::Data);
    assert!(report.is_sound(), "{what}: {:?}", report.problems);
}

/// A crash at any write keeps every acknowledged snapshot restorable, lists
/// nothing that does not restore, and leaves a repository that works.
///
/// Method: count the writes of two snapshots, each of a pack and an entry, one
/// with a commit record; then repeat them once for each write and each way to lose power
/// there (before it, after it, with the answer given), with and without a state;
/// look; and run again.
#[test]
fn a_crash_at_every_write_loses_nothing() {
    let writes = AtomicU32::new(0);
    let fixture = Fixture::new(141);
    let count = Faulty::new(&fixture.store, |_, _| {
        writes.fetch_add(1, Ordering::SeqCst);
        Fate::Done
    });
    assert_eq!(attempt(&fixture, &count, None), [1, 2]);
    let writes = writes.load(Ordering::SeqCst);
    assert_eq!(writes, 5, "two packs, a record, two entries");
    for at in 0..writes {
        for fate in [Fate::DownBefore, Fate::DownAfter, Fate::LastWord] {
            for remembers in [false, true] {
                let what = format!("write {at}, {fate:?}, state: {remembers}");
                crash_at(at, fate, remembers, &what);
            }
        }
    }
}

fn crash_at(at: u32, fate: Fate, remembers: bool, what: &str) {
    let fixture = Fixture::new(141);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let state = remembers.then_some(&state);
    let met = AtomicU32::new(0);
    let store = Faulty::new(&fixture.store, move |_, _| {
        if met.fetch_add(1, Ordering::SeqCst) == at {
            fate
        } else {
            Fate::Done
        }
    });
    let acknowledged = attempt(&fixture, &store, state);
    check_after(&fixture, &acknowledged, what);

    // The power is back, and the same host tries again.
    let bytes = &contents()[1];
    let (store, env): (&MemoryStore, _) = (&fixture.store, fixture.env.clone());
    let mut repository = Repository::open(store, state, &fixture.recovery, env).unwrap();
    let next = take_stream(&mut repository, "shop", bytes).unwrap();
    assert!(
        restore_stream(&repository, next.number).unwrap() == *bytes,
        "{what}"
    );
    assert!(fixture.verify(Level::Data).is_sound(), "{what}");
}

/// A write that is refused ends the run, and nothing of it is listed.
///
/// Method: refuse each write in turn, once; the run behind it works.
#[test]
fn a_refused_write_ends_the_run() {
    for at in 0..3 {
        let fixture = Fixture::new(142);
        let met = AtomicU32::new(0);
        let store = Faulty::new(&fixture.store, |_, _| {
            if met.fetch_add(1, Ordering::SeqCst) == at {
                Fate::Refused
            } else {
                Fate::Done
            }
        });
        assert_eq!(attempt(&fixture, &store, None), [1], "write {at}");
        let restored = restore_stream(&fixture.open(), 1).unwrap();
        assert!(restored == contents()[1]);
        assert!(fixture.verify(Level::Data).is_sound());
    }
}
