//! A run that died leaves finished packs: the next one goes on from there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::progress::{Note, Silent};
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{Input, SnapshotRunError, Summary};
use indelible_engine::state::State;
use indelible_engine::store::faulty::Fate;
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey};
use indelible_format::attest::Level;

use crate::support::{FINE, Fixture, Notes, noise, object, packs, restore_stream, run, stream};

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

/// A run with this state whose store goes down at the second pack.
fn die(fixture: &Fixture, state: &State, bytes: &[u8]) {
    let met = AtomicU32::new(0);
    let store = FaultyStore::new(&fixture.store, |call| {
        if call.put().is_some() && met.fetch_add(1, Ordering::SeqCst) == 1 {
            Fate::DownBefore
        } else {
            Fate::Done
        }
    });
    let mut repository =
        Repository::open(&store, Some(state), &fixture.recovery, fixture.env.clone()).unwrap();
    let input = Input::Items(vec![stream("dump.sql", bytes)]);
    let error = run(&mut repository, "shop", input, &Silent).unwrap_err();
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
