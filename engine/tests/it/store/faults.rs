//! The order of a local store's system calls, and what it answers when some
//! of them fail.

use std::io;

use indelible_engine::store::{
    Action, AppendStore as _, Area, ErrorClass, Listed, ObjectKey, PutOutcome, ReadStore as _,
    StoreError,
};
use indelible_format::ids::PackId;

use super::PACK;
use super::scripted::{Fault, Stage};

/// `Created` is answered after every sync that it stands for, in order.
///
/// Method: record the calls of a first and a second put into one directory,
/// with short writes and interruptions.
#[test]
fn created_follows_every_sync() {
    let stage = Stage::new();
    let store = stage.open();
    let created = store.put_new(&PACK, b"seven b").expect("an answer");
    assert!(matches!(created, PutOutcome::Created), "{created:?}");
    let pack = PACK.path();
    let link = format!("link tmp/* {pack}");
    let expected = [
        "mkdir packs",
        "fsync_dir ",
        "mkdir packs/ab",
        "fsync_dir packs",
        "mkdir tmp",
        "create tmp/*",
        "write tmp/*",
        "write tmp/*",
        "write tmp/*",
        "fsync tmp/*",
        &link,
        "fsync_dir packs/ab",
        "unlink tmp/*",
    ];
    assert_eq!(stage.scripted.taken(), expected);
    assert_eq!(store.read(&PACK, 7).expect("it is there"), b"seven b");
    stage.scripted.taken();

    let mut id = [0; 32];
    id[0] = 0xAB;
    let second = ObjectKey::Pack(PackId(id));
    assert!(store.put_new(&second, b"").expect("an answer").is_stored());
    let link = format!("link tmp/* {}", second.path());
    let expected = [
        "mkdir tmp",
        "create tmp/*",
        "fsync tmp/*",
        &link,
        "fsync_dir packs/ab",
        "unlink tmp/*",
    ];
    assert_eq!(
        stage.scripted.taken(),
        expected,
        "the directory is known to be durable"
    );
}

/// `AlreadySame` is answered only after the other writer's work was synced: it
/// may have died between linking and syncing.
///
/// Method: record the calls of a new process that puts what is there already.
#[test]
fn already_same_follows_every_sync() {
    let stage = Stage::new();
    assert!(
        stage
            .open()
            .put_new(&PACK, b"pack")
            .expect("an answer")
            .is_stored()
    );
    stage.scripted.taken();
    let outcome = stage.open().put_new(&PACK, b"pack").expect("an answer");
    assert!(matches!(outcome, PutOutcome::AlreadySame), "{outcome:?}");
    let calls = stage.scripted.taken();
    let position = |call: &str| {
        calls
            .iter()
            .position(|made| made == call)
            .unwrap_or_else(|| panic!("{call}: {calls:?}"))
    };
    assert!(position("fsync_dir ") < position("fsync_dir packs"));
    assert!(
        position(&format!("open {}", PACK.path())) < position(&format!("fsync {}", PACK.path()))
    );
    assert!(position(&format!("fsync {}", PACK.path())) < position("fsync_dir packs/ab"));
}

/// After a file's sync failed, the object is written anew and not synced again.
///
/// Method: fail it once, and see two files; fail it for good, and see an error,
/// a bounded number of files and no link.
#[test]
fn failed_file_sync_is_never_repeated() {
    for (failures, files) in [(1, 2), (u32::MAX, 3)] {
        let stage = Stage::new();
        stage
            .scripted
            .fail("fsync tmp/", Fault::Refused(io::ErrorKind::Other), failures);
        let answer = stage.open().put_new(&PACK, b"pack");
        let calls = stage.scripted.taken();
        let count = |begin| calls.iter().filter(|call| call.starts_with(begin)).count();
        assert_eq!(count("create"), files, "{calls:?}");
        assert_eq!(count("fsync tmp/"), files, "{calls:?}");
        assert_eq!(count("unlink"), files, "{calls:?}");
        assert_eq!(stage.staged(), 0);
        if failures == 1 {
            assert!(matches!(answer, Ok(PutOutcome::Created)), "{answer:?}");
        } else {
            assert!(matches!(answer, Err(StoreError::Io { .. })), "{answer:?}");
            assert_eq!(count("link"), 0, "{calls:?}");
        }
    }
}

/// A write that fails, as on a full disk, ends the put with nothing created.
///
/// Method: refuse the second write.
#[test]
fn failed_write_creates_nothing() {
    let stage = Stage::new();
    stage
        .scripted
        .fail("write", Fault::Refused(io::ErrorKind::StorageFull), 1);
    let error = stage
        .open()
        .put_new(&PACK, b"pack")
        .expect_err("the disk is full");
    assert_eq!(error.class(), ErrorClass::NoSpace);
    assert_eq!(stage.staged(), 0);
    assert!(!stage.exists(&PACK.path()));
}

/// After a directory's sync failed once, nothing in it is vouched for again,
/// though the system claims success from then on.
///
/// Method: fail the sync after the link; put the same object, and another.
#[test]
fn failed_directory_sync_is_never_repeated() {
    let stage = Stage::new();
    let store = stage.open();
    let (entry, next) = (ObjectKey::Log(0), ObjectKey::Log(1));
    stage
        .scripted
        .fail("fsync_dir log", Fault::Refused(io::ErrorKind::Other), 1);
    for class in [
        ErrorClass::Other,
        ErrorClass::Doubtful,
        ErrorClass::Doubtful,
    ] {
        match store.put_new(&entry, b"entry").expect("an answer") {
            PutOutcome::Indeterminate { cause } => assert_eq!(cause.class(), class),
            other => panic!("{other:?}"),
        }
    }
    let error = store
        .put_new(&next, b"next")
        .expect_err("nothing is created");
    assert_eq!(error.class(), ErrorClass::Doubtful);
    assert!(!stage.exists(&next.path()));
    let calls = stage.scripted.taken();
    assert_eq!(
        calls.iter().filter(|call| *call == "fsync_dir log").count(),
        1,
        "{calls:?}"
    );
    assert!(
        store
            .put_new(&PACK, b"pack")
            .expect("an answer")
            .is_stored(),
        "elsewhere"
    );
    assert!(
        stage
            .open()
            .put_new(&entry, b"entry")
            .expect("an answer")
            .is_stored(),
        "a new process"
    );
}

/// An object is not linked into a directory that may vanish.
///
/// Method: fail the sync of the parent of a new directory, twice put into it.
#[test]
fn directory_is_durable_before_its_first_object() {
    let stage = Stage::new();
    let store = stage.open();
    stage
        .scripted
        .fail("fsync_dir packs", Fault::Refused(io::ErrorKind::Other), 1);
    for class in [ErrorClass::Other, ErrorClass::Doubtful] {
        assert_eq!(
            store.put_new(&PACK, b"pack").expect_err("refused").class(),
            class
        );
    }
    let calls = stage.scripted.taken();
    assert!(
        !calls.iter().any(|call| call.starts_with("link")),
        "{calls:?}"
    );
}

/// A link whose answer was lost is found out, and synced before it is vouched
/// for; one that may still come to be is unclear; one that is refused failed.
///
/// Method: let the link fail with and without effect.
#[test]
fn unclear_link_is_settled_or_admitted() {
    let lost = [
        io::ErrorKind::TimedOut,
        io::ErrorKind::AlreadyExists,
        io::ErrorKind::Interrupted,
    ];
    for kind in lost {
        let stage = Stage::new();
        stage.scripted.fail("link", Fault::AnswerLost(kind), 1);
        let outcome = stage.open().put_new(&PACK, b"pack").expect("an answer");
        assert!(
            matches!(outcome, PutOutcome::AlreadySame),
            "{kind:?}: {outcome:?}"
        );
        let calls = stage.scripted.taken();
        let ends = &calls[calls.len() - 3..];
        assert_eq!(
            ends,
            [
                &format!("fsync {}", PACK.path()),
                "fsync_dir packs/ab",
                "unlink tmp/*"
            ]
        );

        let stage = Stage::new();
        stage.scripted.fail("link", Fault::Refused(kind), 1);
        let outcome = stage.open().put_new(&PACK, b"pack").expect("an answer");
        assert!(
            matches!(outcome, PutOutcome::Indeterminate { .. }),
            "{kind:?}: {outcome:?}"
        );
        assert_eq!(stage.staged(), 0);
    }
    for kind in [
        io::ErrorKind::StorageFull,
        io::ErrorKind::ReadOnlyFilesystem,
    ] {
        let stage = Stage::new();
        stage.scripted.fail("link", Fault::Refused(kind), 1);
        assert!(stage.open().put_new(&PACK, b"pack").is_err(), "{kind:?}");
        assert_eq!(stage.staged(), 0);
    }
}

/// What can't be compared or synced is not vouched for.
///
/// Method: with the object there, fail opening it, then syncing it.
#[test]
fn unreadable_rival_is_unclear() {
    for call in ["open packs", "fsync packs"] {
        let stage = Stage::new();
        assert!(
            stage
                .open()
                .put_new(&PACK, b"pack")
                .expect("an answer")
                .is_stored()
        );
        stage
            .scripted
            .fail(call, Fault::Refused(io::ErrorKind::Other), 1);
        let outcome = stage.open().put_new(&PACK, b"pack").expect("an answer");
        assert!(
            matches!(outcome, PutOutcome::Indeterminate { .. }),
            "{call}: {outcome:?}"
        );
    }
}

/// A directory that can't be read hides only itself.
///
/// Method: put packs into three directories, and let one fail.
#[test]
fn listing_goes_on_after_an_error() {
    let stage = Stage::new();
    let store = stage.open();
    let keys = [0x0A, 0xAB, 0xCD].map(|byte| ObjectKey::Pack(PackId([byte; 32])));
    for key in &keys {
        assert!(store.put_new(key, b"pack").expect("an answer").is_stored());
    }
    stage
        .scripted
        .fail("list packs/ab", Fault::Refused(io::ErrorKind::Other), 1);
    let mut met = Vec::new();
    let error = store
        .list(Area::Packs, &mut |listed| met.push(listed))
        .expect_err("a fault");
    assert!(
        matches!(
            error,
            StoreError::Io {
                action: Action::List,
                ..
            }
        ),
        "{error:?}"
    );
    met.sort();
    assert_eq!(
        met,
        [keys[0], keys[2]].map(|key| Listed::Object { key, size_bytes: 4 })
    );
}
