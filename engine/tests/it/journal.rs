//! A run that died leaves finished packs: the next one goes on from there.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::progress::{Note, Silent};
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{Input, SnapshotRunError, Summary};
use indelible_engine::state::State;
use indelible_engine::store::faulty::Fate;
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey};
use indelible_format::attest::Level;
use indelible_format::rights::Rights;

use crate::support::{
    FINE, Fixture, Notes, noise, object, packs, restore_stream, run, stream, take_stream,
};

/// More than a pack's worth: that has at most 8,192 chunks.
fn big() -> Vec<u8> {
    noise(1, 4 << 20)
}

fn stored_bytes(store: &MemoryStore) -> usize {
    let packs = packs(store).into_iter();
    packs
        .map(|pack| object(store, &ObjectKey::Pack(pack)).len())
        .sum()
}

/// A run with this state, of whose puts the one with this number, from 0 on,
/// meets its fate; and whether there was one.
fn meet(
    fixture: &Fixture,
    state: &State,
    bytes: &[u8],
    (number, fate): (u32, Fate),
) -> (Result<Summary, SnapshotRunError>, bool) {
    let met = AtomicU32::new(0);
    let store = FaultyStore::new(&fixture.store, |call| {
        if call.put().is_some() && met.fetch_add(1, Ordering::SeqCst) == number {
            fate
        } else {
            Fate::Done
        }
    });
    let mut repository =
        Repository::open(&store, Some(state), &fixture.recovery, fixture.env.clone()).unwrap();
    let input = Input::Items(vec![stream("dump.sql", bytes)]);
    let summary = run(&mut repository, "shop", input, &Silent);
    (summary, met.load(Ordering::SeqCst) > number)
}

/// A run with this state whose store goes down at the second pack.
fn die(fixture: &Fixture, state: &State, bytes: &[u8]) {
    let (summary, _) = meet(fixture, state, bytes, (1, Fate::DownBefore));
    let error = summary.unwrap_err();
    assert!(matches!(error, SnapshotRunError::Publish(_)), "{error:?}");
    assert_eq!(packs(&fixture.store).len(), 1);
    assert_eq!(fixture.open().history().size(), 1);
}

/// A run with this state, with the notes that it made.
fn go_on(
    fixture: &Fixture,
    state: &State,
    bytes: &[u8],
) -> (Result<Summary, SnapshotRunError>, Vec<Note>) {
    let notes = Notes::default();
    let mut repository = fixture.open_with(state);
    let input = Input::Items(vec![stream("dump.sql", bytes)]);
    let summary = run(&mut repository, "shop", input, &notes);
    (summary, notes.taken())
}

/// The packs of a run that died are adopted, so that nothing is stored twice;
/// and the run after that has nothing to adopt.
///
/// Method: let the store go down at the second pack; run again with the same
/// state; compare the bytes of all packs with those of a run that did not die.
#[test]
fn a_dead_run_is_gone_on_with() {
    let bytes = big();
    let undisturbed = Fixture::with_chunker(131, FINE);
    undisturbed.snapshot_of("shop", &bytes);

    let fixture = Fixture::with_chunker(131, FINE);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    die(&fixture, &state, &bytes);
    let left = stored_bytes(&fixture.store) as u64;
    let (summary, notes) = go_on(&fixture, &state, &bytes);
    let summary = summary.unwrap();
    let adopted = Note::PacksAdopted {
        count: 1,
        size_bytes: left,
    };
    assert_eq!(notes, [adopted]);
    assert_eq!(summary.packs, packs(&fixture.store).len());
    let (once, resumed) = (
        stored_bytes(&undisturbed.store),
        stored_bytes(&fixture.store),
    );
    assert!(resumed <= once + 4_096, "{resumed} after {once}");
    assert!(restore_stream(&fixture.open(), summary.number).unwrap() == bytes);
    let report = fixture.verify(Level::Tree);
    assert!(report.is_sound() && report.unreferenced.is_empty());
    let (again, notes) = go_on(&fixture, &state, &bytes);
    assert_eq!((again.unwrap().packs, notes), (0, Vec::new()));
}

/// Bytes by which what is stored over several runs may exceed what one stores, for
/// each pack: its frame, and nodes that list the same chunks otherwise placed.
const PACK_OVERHEAD_BYTES: usize = 8 << 10;

/// The runs after one that died store nothing that it finished, wherever it died.
///
/// Method: the store goes down before and behind every put of a first snapshot of
/// four packs or more; the next run with the same state restores, and both
/// together stored what an undisturbed run does and, where the answer was lost,
/// one pack more.
#[test]
fn wherever_a_run_dies_nothing_finished_is_stored_twice() {
    let bytes = noise(2, 7 << 20);
    let fixture = Fixture::with_chunker(134, FINE);
    let empty = fixture.store.clone();
    fixture.snapshot_of("shop", &bytes);
    let once = stored_bytes(&fixture.store);
    let largest = packs(&fixture.store).into_iter();
    let largest = largest.map(|pack| object(&fixture.store, &ObjectKey::Pack(pack)).len());
    let largest = largest.max().unwrap();
    assert!(packs(&fixture.store).len() >= 4);
    for (fate, again) in [(Fate::DownBefore, 0), (Fate::DownAfter, largest)] {
        for number in 0.. {
            fixture.store.roll_back_to(&empty);
            let dir = tempfile::tempdir().unwrap();
            let state = State::open(dir.path()).unwrap();
            let (died, met) = meet(&fixture, &state, &bytes, (number, fate));
            if !met {
                assert!(number >= 5, "the packs, and the log entry");
                break;
            }
            died.unwrap_err();
            let left = packs(&fixture.store).len();
            let (summary, _) = go_on(&fixture, &state, &bytes);
            let number = summary.unwrap().number;
            let stored = stored_bytes(&fixture.store);
            let overhead = (left + 1) * PACK_OVERHEAD_BYTES;
            assert!(stored <= once + again + overhead, "{stored} after {once}");
            assert!(restore_stream(&fixture.open(), number).unwrap() == bytes);
        }
    }
}

/// However often runs die, each goes on from what all before it have finished.
///
/// Method: every run's store goes down at its second put, until one commits: each
/// leaves one pack more; together they stored little more than one run does.
#[test]
fn runs_that_die_one_after_the_other_come_to_an_end() {
    let bytes = noise(3, 7 << 20);
    let undisturbed = Fixture::with_chunker(135, FINE);
    undisturbed.snapshot_of("shop", &bytes);
    let once = stored_bytes(&undisturbed.store);

    let fixture = Fixture::with_chunker(135, FINE);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let mut runs = 0;
    let number = loop {
        let (summary, _) = meet(&fixture, &state, &bytes, (1, Fate::DownBefore));
        if let Ok(summary) = summary {
            break summary.number;
        }
        runs += 1;
        assert_eq!(packs(&fixture.store).len(), runs);
    };
    assert!(runs >= 4, "{runs}");
    let stored = stored_bytes(&fixture.store);
    assert!(
        stored <= once + runs * PACK_OVERHEAD_BYTES,
        "{stored} after {once}"
    );
    assert!(restore_stream(&fixture.open(), number).unwrap() == bytes);
    let report = fixture.verify(Level::Data);
    assert!(report.is_sound() && report.unreferenced.is_empty());
}

/// Of a dead run's packs only those are adopted that are whole.
///
/// Method: flip a bit of the pack that was left, remove it, and exchange it for
/// another; then tear the journal's line and fill it with junk. Each time the
/// next run adopts nothing and restores.
#[test]
fn damaged_leftovers_are_not_adopted() {
    let bytes = big();
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let fixture = Fixture::with_chunker(132, FINE);
    die(&fixture, &state, &bytes);
    let left = ObjectKey::Pack(packs(&fixture.store)[0]);
    let journal = || {
        let repository = dir.path().join(fixture.open().id().to_string());
        let mut journals = std::fs::read_dir(repository.join("journal")).unwrap();
        journals.next().expect("a run died").unwrap().path()
    };
    let (line, store) = (std::fs::read(journal()).unwrap(), fixture.store.clone());
    let name = journal();
    let harms: [&dyn Fn(); 5] = [
        &|| fixture.store.flip(&left, 100_000, 0),
        &|| fixture.store.forget(&left),
        &|| fixture.store.replace(&left, b"another"),
        &|| std::fs::write(&name, &line[..line.len() - 1]).unwrap(),
        &|| std::fs::write(&name, b"\xff junk 7\n\n").unwrap(),
    ];
    // Little suffices to see whether anything is adopted.
    let few = rows_of(&bytes);
    for harm in harms {
        fixture.store.roll_back_to(&store);
        std::fs::write(&name, &line).unwrap();
        harm();
        let (summary, notes) = go_on(&fixture, &forgetful(dir.path(), &fixture), &few);
        assert_eq!(notes, []);
        let number = summary.unwrap().number;
        assert!(restore_stream(&fixture.open(), number).unwrap() == few);
    }
}

/// A journal that names what is not this domain's, or is listed already, makes
/// nothing count.
///
/// Method: to the journal of a run that died, add a pack of another domain's write
/// key, one that the log lists, and the left one twice more, once with another
/// length: the left one is adopted, once.
#[test]
fn a_journal_that_lies_is_not_believed() {
    let bytes = big();
    let fixture = Fixture::with_chunker(136, FINE);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    die(&fixture, &state, &bytes);
    let left = packs(&fixture.store)[0];
    let size_bytes = stored_bytes(&fixture.store) as u64;
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    take_stream(&mut fixture.open_as(&writer), "shop", &noise(4, 9_000)).unwrap();
    take_stream(&mut fixture.open(), "shop", &noise(5, 9_000)).unwrap();
    let repository = dir.path().join(fixture.open().id().to_string());
    let mut journals = std::fs::read_dir(repository.join("journal")).unwrap();
    let journal = journals.next().expect("a run died").unwrap().path();
    let mut lies = std::fs::OpenOptions::new()
        .append(true)
        .open(journal)
        .unwrap();
    for pack in packs(&fixture.store) {
        let len = object(&fixture.store, &ObjectKey::Pack(pack)).len();
        writeln!(lies, "{pack} {len}").unwrap();
    }
    writeln!(lies, "{left} 7").unwrap();
    let (summary, notes) = go_on(&fixture, &state, &bytes);
    let adopted = Note::PacksAdopted {
        count: 1,
        size_bytes,
    };
    // The snapshot of this NAME in between was another host's.
    assert_eq!(notes, [adopted, Note::NothingToLeanOn]);
    let number = summary.unwrap().number;
    assert!(restore_stream(&fixture.open(), number).unwrap() == bytes);
    assert!(fixture.verify(Level::Data).is_sound());
}

fn rows_of(bytes: &[u8]) -> Vec<u8> {
    bytes[..50_000].to_vec()
}

/// The state with its journals, less what it remembers of the log.
fn forgetful(dir: &std::path::Path, fixture: &Fixture) -> State {
    let _ = std::fs::remove_file(dir.join(fixture.open().id().to_string()).join("log"));
    State::open(dir).unwrap()
}

/// A run that lives keeps its journal, and the packs in it.
///
/// Method: at the second pack of a run, another run with the same state takes a
/// snapshot: it adopts nothing, and both commit.
#[test]
fn a_living_runs_journal_is_not_taken() {
    let bytes = big();
    let fixture = Fixture::with_chunker(133, FINE);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let met = AtomicU32::new(0);
    let other: Mutex<Option<Vec<Note>>> = Mutex::new(None);
    let store = FaultyStore::new(&fixture.store, |call| {
        if call.put().is_some() && met.fetch_add(1, Ordering::SeqCst) == 1 {
            let (summary, notes) = go_on(&fixture, &state, b"meanwhile");
            assert_eq!(summary.unwrap().number, 1);
            *other.lock().unwrap() = Some(notes);
        }
        Fate::Done
    });
    let mut repository =
        Repository::open(&store, Some(&state), &fixture.recovery, fixture.env.clone()).unwrap();
    let input = Input::Items(vec![stream("dump.sql", &bytes)]);
    let summary = run(&mut repository, "shop", input, &Silent).unwrap();
    assert_eq!(summary.number, 2);
    assert_eq!(*other.lock().unwrap(), Some(Vec::new()));
    assert!(restore_stream(&fixture.open(), 2).unwrap() == bytes);
    assert_eq!(restore_stream(&fixture.open(), 1).unwrap(), b"meanwhile");
}
