//! The index of whole repositories, with a state and without.

use std::fs;
use std::path::PathBuf;

use indelible_engine::state::State;
use indelible_format::attest::Level;
use indelible_format::ids::PackId;

use crate::support::{
    Fixture, noise, object, packs, restore_stream, rows, snapshot_at, stream, take, take_stream,
};
use indelible_engine::store::ObjectKey;

/// The file that has the copy of a pack's directory.
fn copy_of(state: &tempfile::TempDir, fixture: &Fixture, pack: &PackId) -> PathBuf {
    let root = state.path().join(fixture.open().id().to_string());
    let name = pack.to_string();
    root.join("directories").join(&name[..2]).join(&name)
}

/// A copy of one pack's directory that is filed under another's name is none.
///
/// Method: two snapshots of noise whose packs are equally long; exchange the
/// copies of their directories in a state without segments; with that state take
/// the first one's content again under another path: the snapshot reaches the
/// first one's pack and not the second's.
#[test]
fn a_copy_is_bound_to_its_pack() {
    let fixture = Fixture::new(161);
    let contents = [noise(1, 200), noise(2, 200)];
    let numbers = contents
        .each_ref()
        .map(|bytes| fixture.snapshot_of("shop", bytes).number);
    let repository = fixture.open();
    let pack = |number| snapshot_at(&repository, number).body.packs[0].id;
    let (first, second) = (pack(numbers[0]), pack(numbers[1]));
    let lens = [first, second].map(|pack| object(&fixture.store, &ObjectKey::Pack(pack)).len());
    assert_eq!(lens[0], lens[1]);

    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    take_stream(&mut fixture.open_with(&state), "shop", b"keeps copies").unwrap();
    let files = [first, second].map(|pack| copy_of(&dir, &fixture, &pack));
    let copies = files.each_ref().map(|file| fs::read(file).unwrap());
    fs::write(&files[0], &copies[1]).unwrap();
    fs::write(&files[1], &copies[0]).unwrap();
    let root = dir.path().join(repository.id().to_string());
    fs::remove_dir_all(root.join("index")).unwrap();

    let items = vec![stream("again.sql", &contents[0])];
    let summary = take(&mut fixture.open_with(&state), "shop", items).unwrap();
    let repository = fixture.open();
    let snapshot = snapshot_at(&repository, summary.number);
    let (listings, _) = repository.listings();
    let reached = repository.reached_packs(&snapshot, &listings).unwrap();
    assert!(reached.contains(&first) && !reached.contains(&second));
    assert_eq!(files.each_ref().map(|file| fs::read(file).unwrap()), copies);
}

/// A state changes nothing that is stored, whatever is missing of it.
///
/// Method: the same five snapshots, each by a client with a state that keeps
/// everything, loses its segments, loses its copies, loses both, or is none: the
/// same chunks are new each time, and all restore.
#[test]
fn a_state_changes_nothing_that_is_stored() {
    let losses: [&[&str]; 4] = [&[], &["index"], &["directories"], &["index", "directories"]];
    let mut outcomes = Vec::new();
    for lost in [
        None,
        Some(losses[0]),
        Some(losses[1]),
        Some(losses[2]),
        Some(losses[3]),
    ] {
        let fixture = Fixture::new(162);
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let root = dir.path().join(fixture.open().id().to_string());
        let mut costs = Vec::new();
        for night in 0..5 {
            let bytes = [rows(night * 90..night * 90 + 400), noise(3, 9_000)].concat();
            let mut repository = match lost {
                None => fixture.open(),
                Some(_) => fixture.open_with(&state),
            };
            let summary = take_stream(&mut repository, "shop", &bytes).unwrap();
            assert!(restore_stream(&repository, summary.number).unwrap() == bytes);
            costs.push((summary.accounting.new_chunks, summary.accounting.new_bytes));
            for name in lost.unwrap_or_default() {
                let _ = fs::remove_dir_all(root.join(name));
            }
        }
        assert!(fixture.verify(Level::Data).is_sound());
        outcomes.push((costs, packs(&fixture.store).len()));
    }
    assert!(
        outcomes.iter().all(|outcome| *outcome == outcomes[0]),
        "{outcomes:?}"
    );
}

/// A covered pack that the store has lost is leaned on no more, and again when it
/// is back.
///
/// Method: one state, three snapshots of one content: the pack of the first is
/// taken away before the second and put back before the third.
#[test]
fn a_covered_pack_that_is_gone_is_not_leaned_on() {
    let fixture = Fixture::new(163);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let bytes = rows(0..500);
    let again = |path: &str| {
        let items = vec![stream(path, &bytes)];
        take(&mut fixture.open_with(&state), "shop", items).unwrap()
    };
    again("one.sql");
    again("two.sql");
    let lost = ObjectKey::Pack(snapshot_at(&fixture.open(), 1).body.packs[0].id);
    let kept = object(&fixture.store, &lost);
    fixture.store.forget(&lost);
    let stored = again("three.sql");
    assert!(stored.accounting.new_bytes == bytes.len() as u64);
    fixture.store.replace(&lost, &kept);
    assert_eq!(again("four.sql").accounting.new_chunks, 0);
    assert!(fixture.verify(Level::Data).is_sound());
}
