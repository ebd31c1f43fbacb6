//! What a client remembers: rollbacks, forks and exchanged repositories are
//! noticed, and none of them stops a backup.

use std::fs;
use std::path::{Path, PathBuf};

use indelible_engine::keys::Credential;
use indelible_engine::repository::{OpenError, Repository};
use indelible_engine::state::StateError;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::history::{Continuity, LogProblem};
use indelible_format::ids::LogHash;
use indelible_format::key_file::KeyFile;
use indelible_format::rights::Rights;

use crate::support::{
    Client, Fixture, key_file, listed, object, restore_stream, rows, take_stream, verify_with,
};

impl Client {
    /// Its files with this name, at any depth.
    fn files(&self, name: &str) -> Vec<PathBuf> {
        fn walk(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    walk(&path, name, found);
                } else if path.file_name().is_some_and(|found| found == name) {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), name, &mut found);
        found
    }
}

/// A client that has seen a log says whether the next one extends it.
///
/// Method: without a memory, with a new one, and with one that is extended by
/// itself and by another writer.
#[test]
fn an_extended_log_is_said_to_be_one() {
    let fixture = Fixture::new(111);
    let client = Client::new();
    assert_eq!(fixture.open().continuity(), Continuity::Unpinned);
    let mut repository = fixture.open_with(&client.state);
    assert_eq!(repository.continuity(), Continuity::Unpinned);
    take_stream(&mut repository, "shop", b"own").unwrap();
    assert_eq!(
        fixture.open_with(&client.state).continuity(),
        Continuity::Extends
    );
    fixture.snapshot_of("shop", b"another's");
    assert_eq!(
        fixture.open_with(&client.state).continuity(),
        Continuity::Extends
    );
    let known = fixture.open_with(&client.state);
    assert_eq!(known.state().unwrap().leaves().unwrap().len(), 3);
}

/// A rollback is noticed; the next snapshot is committed all the same, and not
/// below the pin, so that what was rolled back can still be brought back.
///
/// Method: remember three snapshots, roll the store back by two, snapshot; then
/// put the lost objects back.
#[test]
fn a_rollback_is_noticed_and_stops_nothing() {
    let fixture = Fixture::new(112);
    let client = Client::new();
    fixture.snapshot_of("shop", b"1");
    let early = fixture.store.clone();
    fixture.snapshot_of("shop", b"2");
    fixture.snapshot_of("shop", b"3");
    fixture.open_with(&client.state);
    let late = fixture.store.clone();
    fixture.store.roll_back_to(&early);

    let mut repository = fixture.open_with(&client.state);
    let behind = Continuity::Behind {
        shown: 2,
        remembered: 4,
    };
    assert_eq!(repository.continuity(), behind);
    let report = verify_with(&repository, Level::Data);
    let kinds: Vec<ProblemKind> = report.problems.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [ProblemKind::RolledBack]);
    let summary = take_stream(&mut repository, "shop", b"4").unwrap();
    assert_eq!(summary.number, 4);
    assert_eq!(restore_stream(&fixture.open(), 4).unwrap(), b"4");
    // From now on everybody sees the hole.
    assert_eq!(
        fixture.open().history().problems,
        [LogProblem::Removed { first: 2, last: 3 }]
    );
    for key in late.keys() {
        if !fixture.store.keys().contains(&key) {
            fixture.store.replace(&key, &object(&late, &key));
        }
    }
    let repository = fixture.open_with(&client.state);
    assert_eq!(repository.continuity(), Continuity::Extends);
    assert!(verify_with(&repository, Level::Data).is_sound());
    assert_eq!(listed(&repository), [1, 2, 3, 4]);
}

/// A fork is noticed, every time, and stops no backup.
///
/// Method: two histories from one beginning; show the other one to a client that
/// remembers the first, snapshot, and look again.
#[test]
fn a_fork_is_noticed_every_time() {
    let fixture = Fixture::new(113);
    let client = Client::new();
    fixture.snapshot_of("shop", b"common");
    let early = fixture.store.clone();
    fixture.snapshot_of("shop", b"seen");
    fixture.open_with(&client.state);
    fixture.store.roll_back_to(&early);
    fixture.snapshot_of("shop", b"shown");
    fixture.snapshot_of("shop", b"shown too");
    for round in 0..2 {
        let mut repository = fixture.open_with(&client.state);
        assert_eq!(repository.continuity(), Continuity::Forked { at: 2 });
        let report = verify_with(&repository, Level::Packs);
        assert_eq!(report.problems[0].kind, ProblemKind::Forked);
        let summary = take_stream(&mut repository, "shop", b"goes on").unwrap();
        assert_eq!(summary.number, 4 + round);
        assert_eq!(
            restore_stream(&repository, summary.number).unwrap(),
            b"goes on"
        );
    }
}

/// A store that was rolled back further than readers look beyond its end takes
/// snapshots, and everyone sees them.
///
/// Method: a memory, and a key file, of 2,500 entries on a store that shows two;
/// four snapshots by each, looked for without either.
#[test]
fn a_far_rollback_stops_no_snapshot() {
    const REMEMBERED: u16 = 2_500;
    let fixture = Fixture::new(118);
    fixture.snapshot_of("shop", b"left");
    let early = fixture.store.clone();
    let id = fixture.open().id();

    let client = Client::new();
    let mut leaves = fixture.open_with(&client.state).history().leaves.clone();
    leaves.resize(REMEMBERED.into(), LogHash([7; 32]));
    client.state.repository(&id).remember(&leaves).unwrap();
    let pinned = Credential::KeyFile(Box::new(KeyFile {
        repository: id,
        size: REMEMBERED.into(),
        root: LogHash([7; 32]),
        bundle: fixture.bundle.clone(),
    }));
    let with_memory = || fixture.open_with(&client.state);
    let with_pin = || fixture.open_as(&pinned);
    let behind = Continuity::Behind {
        shown: 2,
        remembered: REMEMBERED.into(),
    };

    for open in [&with_memory as &dyn Fn() -> _, &with_pin] {
        fixture.store.roll_back_to(&early);
        assert_eq!(open().continuity(), behind);
        // Twice as far as readers look, then where it remembers the log to end.
        for expected in [1_025, 2_049, 2_500, 2_501] {
            let summary = take_stream(&mut open(), "shop", b"goes on").unwrap();
            assert_eq!(summary.number, expected);
            let restored = restore_stream(&fixture.open(), expected);
            assert_eq!(restored.unwrap(), b"goes on");
        }
        assert!(matches!(open().continuity(), Continuity::Forked { .. }));
    }
}

/// Another repository where one stood before is refused.
///
/// Method: exchange every object for those of another repository.
#[test]
fn an_exchanged_repository_is_refused() {
    let (fixture, other) = (Fixture::new(114), Fixture::new(115));
    let client = Client::new();
    fixture.open_with(&client.state);
    let id = fixture.open().id();
    fixture.store.roll_back_to(&other.store);
    let opened = Repository::open(
        &fixture.store,
        Some(&client.state),
        &other.recovery,
        fixture.env.clone(),
    );
    assert!(matches!(
        opened.map(|_| ()),
        Err(OpenError::Exchanged { remembered, found })
            if remembered == id && found == other.open().id()
    ));
}

/// A key file pins the log at which it was issued.
///
/// Method: roll the store back to before it; replace the tail before its pin by
/// another history; and extend it.
#[test]
fn a_key_file_pins_the_log() {
    let fixture = Fixture::new(116);
    let early = fixture.store.clone();
    fixture.snapshot_of("shop", b"1");
    let file = key_file(&fixture.open(), &fixture.bundle);
    let opened = |credential: &Credential| fixture.open_as(credential).continuity();
    assert_eq!(opened(&file), Continuity::Extends);
    fixture.snapshot_of("shop", b"2");
    assert_eq!(opened(&file), Continuity::Extends);
    fixture.store.roll_back_to(&early);
    assert!(matches!(
        opened(&file),
        Continuity::Behind {
            shown: 1,
            remembered: 2
        }
    ));
    fixture.snapshot_of("shop", b"another 1");
    assert!(matches!(opened(&file), Continuity::Forked { .. }));
}

/// Junk and holes at the end of the log are not pinned, so a thief of storage
/// credentials can't make an honest writer's entry look like a fork.
///
/// Method: junk behind a gap; a client looks; another writer fills the gap; the
/// client looks again.
#[test]
fn junk_makes_no_fork() {
    let fixture = Fixture::new(117);
    let client = Client::new();
    fixture.store.replace(&ObjectKey::Log(3), b"junk");
    fixture.open_with(&client.state);
    assert_eq!(fixture.snapshot_of("shop", b"content").number, 1);
    let mut repository = fixture.open_with(&client.state);
    assert_eq!(repository.continuity(), Continuity::Extends);
    for expected in [2, 4] {
        let number = take_stream(&mut repository, "shop", b"content")
            .unwrap()
            .number;
        assert_eq!(number, expected);
    }
    let repository = fixture.open_with(&client.state);
    assert_eq!(repository.continuity(), Continuity::Extends);
}

/// A damaged last entry, which nothing in the log contradicts, is noticed by who
/// remembers it.
///
/// Method: flip a bit in it, and look with and without a memory.
#[test]
fn a_damaged_last_entry_is_noticed_by_who_remembers() {
    let fixture = Fixture::new(118);
    let client = Client::new();
    fixture.snapshot_of("shop", b"content");
    fixture.open_with(&client.state);
    fixture.store.flip(&ObjectKey::Log(1), 100, 0);
    let kind = |repository: &Repository<'_, MemoryStore>| {
        verify_with(repository, Level::Tree).problems[0].kind
    };
    assert_eq!(kind(&fixture.open()), ProblemKind::VoidEntry);
    assert_eq!(
        kind(&fixture.open_with(&client.state)),
        ProblemKind::DamagedEntry
    );
}

/// A client that lost its memory, or whose copies of directories are damaged,
/// works on.
///
/// Method: remove the state; then fill every kept directory with junk; snapshot
/// an unchanged stream each time, which costs no pack.
#[test]
fn a_lost_memory_costs_nothing() {
    let fixture = Fixture::new(119);
    let client = Client::new();
    let bytes = rows(0..300);
    take_stream(&mut fixture.open_with(&client.state), "shop", &bytes).unwrap();
    let fresh = Client::new();
    let again = take_stream(&mut fixture.open_with(&fresh.state), "shop", &bytes).unwrap();
    assert_eq!(again.packs, 0);
    for client in [&client, &fresh] {
        let pack = crate::support::packs(&fixture.store)[0].to_string();
        let copies = client.files(&pack);
        assert_eq!(copies.len(), 1, "a directory was kept");
        fs::write(&copies[0], b"junk").unwrap();
        let again = take_stream(&mut fixture.open_with(&client.state), "shop", &bytes).unwrap();
        assert_eq!(again.packs, 0);
    }
}

/// A damaged memory is an error that names the file, and not an alarm.
///
/// Method: cut, flip and extend the pinned log; fill the location with junk.
#[test]
fn a_damaged_memory_is_an_error_of_its_own() {
    let fixture = Fixture::new(120);
    let client = Client::new();
    fixture.snapshot_of("shop", b"content");
    fixture.open_with(&client.state);
    let [log] = &client.files("log")[..] else {
        panic!("one repository is remembered")
    };
    let intact = fs::read(log).unwrap();
    let damaged = || {
        let opened = Repository::open(
            &fixture.store,
            Some(&client.state),
            &fixture.recovery,
            fixture.env.clone(),
        );
        match opened.map(|_| ()) {
            Err(OpenError::State(StateError::Damaged { path })) => path,
            other => panic!("{other:?}"),
        }
    };
    let mut flipped = intact.clone();
    flipped[50] ^= 1;
    let longer = [&intact[..], b"x"].concat();
    for bytes in [
        &intact[..20],
        &[],
        &intact[..intact.len() - 1],
        &flipped,
        &longer,
    ] {
        fs::write(log, bytes).unwrap();
        assert_eq!(damaged(), *log);
    }
    fs::write(log, &intact).unwrap();
    assert_eq!(
        fixture.open_with(&client.state).continuity(),
        Continuity::Extends
    );
    let locations = fs::read_dir(client.dir.path().join("locations")).unwrap();
    let location = locations.last().unwrap().unwrap().path();
    fs::write(&location, b"junk").unwrap();
    assert_eq!(damaged(), location);
}

/// Several writers at once all commit, whether they share a memory or not.
///
/// Method: six threads, two snapshots each, of different content and of the
/// same; first with a memory each, then with one for all; and two keys.
#[test]
fn writers_at_once_all_commit() {
    for shared in [false, true] {
        let fixture = Fixture::new(121);
        let writer = fixture.add_key(Rights::WRITE, &["*"]);
        let clients: Vec<Client> = (0..6).map(|_| Client::new()).collect();
        std::thread::scope(|scope| {
            for number in 0..6_usize {
                let client = &clients[if shared { 0 } else { number }];
                let key = [&fixture.recovery, &writer][number % 2];
                let fixture = &fixture;
                scope.spawn(move || {
                    let own = number as u64 * 100;
                    for bytes in [rows(0..100), rows(own..own + 100)] {
                        let (store, state) = (&fixture.store, Some(&client.state));
                        let mut repository =
                            Repository::open(store, state, key, fixture.env.clone()).unwrap();
                        take_stream(&mut repository, "shop", &bytes).unwrap();
                    }
                });
            }
        });
        let repository = fixture.open();
        assert_eq!(listed(&repository), (2..14).collect::<Vec<u64>>());
        let report = verify_with(&repository, Level::Data);
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!(
            fixture.open_with(&clients[0].state).continuity(),
            Continuity::Extends
        );
    }
}
