//! The stores: the suite that each must pass, then what is particular to one.

mod faults;
mod immutable;
#[cfg(feature = "s3")]
mod s3;
mod scripted;
#[cfg(feature = "s3")]
mod seaweedfs;
mod simulated;
mod worm;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use indelible_engine::env::{Entropy, OsEntropy, SeededEntropy};
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::{
    AppendStore as _, Area, ErrorClass, ExpireStore, Listed, LocalStore, MemoryStore, ObjectKey,
    PutOutcome, ReadStore as _, StoreError,
};
use indelible_format::ids::PackId;

const PACK: ObjectKey = ObjectKey::Pack(PackId([0xAB; 32]));

struct LocalSubject {
    store: LocalStore,
    root: tempfile::TempDir,
}

impl LocalSubject {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let store = LocalStore::open(root.path(), Arc::new(OsEntropy)).expect("it exists");
        store.prepare().expect("it is writable");
        Self { store, root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn everything(&self) -> Vec<Listed> {
        let mut all = Vec::new();
        for area in Area::ALL {
            self.store
                .list(area, &mut |listed| all.push(listed))
                .expect("it can be listed");
        }
        all
    }
}

impl Subject for LocalSubject {
    fn store(&self) -> &dyn ExpireStore {
        &self.store
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        fs::write(self.path(path), bytes).expect("the area exists");
    }
}

struct MemorySubject(MemoryStore);

impl Subject for MemorySubject {
    fn store(&self) -> &dyn ExpireStore {
        &self.0
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        self.0.plant(path, bytes);
    }
}

/// The local store keeps every promise of a store.
///
/// Method: the common suite.
#[test]
fn local_store_conforms() {
    conformance::check(&|| Box::new(LocalSubject::new()));
}

/// The memory store keeps every promise of a store.
///
/// Method: the common suite.
#[test]
fn memory_store_conforms() {
    conformance::check(&|| Box::new(MemorySubject(MemoryStore::new())));
}

/// Of a log entry that was written again, the oldest version is read.
///
/// Method: put a version after and one before an object, and tamper with all.
#[test]
fn memory_store_keeps_versions_in_order() {
    let store = MemoryStore::new();
    let key = ObjectKey::Log(1);
    assert!(
        store
            .put_new(&key, b"entry")
            .expect("an answer")
            .is_stored()
    );
    store.push_newer(&key, b"overwritten");
    assert_eq!(store.read_oldest(&key, 100).expect("it is there"), b"entry");
    assert_eq!(store.read(&key, 100).expect("it is there"), b"overwritten");
    store.push_older(&key, b"faster");
    assert_eq!(
        store.read_oldest(&key, 100).expect("it is there"),
        b"faster"
    );
    let sizes: Vec<u64> = store
        .versions(&key)
        .expect("it is there")
        .iter()
        .map(|v| v.size_bytes)
        .collect();
    assert_eq!(sizes, [6, 5, 11]);

    let before = store.clone();
    store.flip(&key, 0, 1);
    assert_eq!(
        store.read_oldest(&key, 100).expect("it is there"),
        b"daster"
    );
    store.truncate(&key, 2);
    assert_eq!(store.read(&key, 100).expect("it is there"), b"mv");
    store.extend(&key, b"!");
    assert_eq!(store.read(&key, 100).expect("it is there"), b"mv!");
    let other = ObjectKey::Log(2);
    store.copy(&key, &other);
    store.replace(&key, b"mine");
    store.swap(&key, &other);
    assert_eq!(store.read(&key, 100).expect("it is there"), b"mv!");
    assert_eq!(store.read(&other, 100).expect("it is there"), b"mine");
    store.forget(&other);
    store.forget(&key);
    assert!(store.keys().is_empty());
    store.roll_back_to(&before);
    assert_eq!(
        store.read_oldest(&key, 100).expect("it is there"),
        b"faster"
    );
}

/// A place without a repository is told from one that can't be read, and
/// creating it makes every missing directory.
///
/// Method: open a missing path and a file; create below the missing path.
#[test]
fn local_root_must_be_a_directory() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let missing = scratch.path().join("not/here");
    let error = LocalStore::open(&missing, Arc::new(OsEntropy)).expect_err("nothing is there");
    assert!(matches!(error, StoreError::RootMissing { .. }), "{error:?}");
    let file = scratch.path().join("file");
    fs::write(&file, b"").expect("it is writable");
    let error = LocalStore::create(&file, Arc::new(OsEntropy)).expect_err("it is a file");
    assert!(
        matches!(error, StoreError::RootNotDirectory { .. }),
        "{error:?}"
    );
    assert_eq!(error.class(), ErrorClass::NoRepository);

    for _ in 0..2 {
        let store = LocalStore::create(&missing, Arc::new(OsEntropy)).expect("it is writable");
        store.prepare().expect("it is writable");
    }
    for directory in ["packs", "commits", "log", "tmp"] {
        assert!(missing.join(directory).is_dir(), "{directory}");
    }
}

/// Objects are writable for nobody, and nothing else is left behind.
///
/// Method: put one, look at its mode and at the staging directory.
#[test]
fn local_objects_are_read_only() {
    let subject = LocalSubject::new();
    assert!(
        subject
            .store
            .put_new(&PACK, b"pack")
            .expect("an answer")
            .is_stored()
    );
    let mode = fs::metadata(subject.path(&PACK.path()))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o333, 0, "{mode:o}");
    assert_eq!(mode & 0o400, 0o400, "{mode:o}");
    assert_eq!(
        fs::read_dir(subject.path("tmp"))
            .expect("it is there")
            .count(),
        0
    );
}

/// What a killed run staged is neither listed nor removed, and is in nobody's
/// way, not even if it has the name that comes next.
///
/// Method: stage under the first name that a seed gives, then replay the seed.
#[test]
fn local_ignores_stale_staged_files() {
    let subject = LocalSubject::new();
    let mut name = [0; 16];
    SeededEntropy::new(1).fill(&mut name);
    let stale = subject.path(&format!("tmp/{:032x}", u128::from_be_bytes(name)));
    fs::write(&stale, b"half a pa").expect("it is writable");
    let store =
        LocalStore::open(subject.root.path(), Arc::new(SeededEntropy::new(1))).expect("it exists");
    assert!(
        store
            .put_new(&PACK, b"pack")
            .expect("an answer")
            .is_stored()
    );
    assert_eq!(
        subject.everything(),
        [Listed::Object {
            key: PACK,
            size_bytes: 4
        }]
    );
    assert_eq!(fs::read(&stale).expect("it is there"), b"half a pa");
}

/// Nothing but a regular file is an object, and no link leads out of the root.
///
/// Method: put links, a directory and a pipe where objects should be.
#[test]
fn local_follows_no_links() {
    let subject = LocalSubject::new();
    let outside = tempfile::tempdir().expect("a temporary directory");
    fs::write(outside.path().join("secret"), b"secret").expect("it is writable");
    let keys = [0, 1, 2].map(ObjectKey::Log);
    symlink(outside.path().join("secret"), subject.path(&keys[0].path())).expect("a link");
    fs::create_dir(subject.path(&keys[1].path())).expect("a directory");
    let pipe = subject.path(&keys[2].path());
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).expect("a pipe");
    for key in &keys {
        let error = subject.store.read(key, 100).expect_err("it is no object");
        assert!(matches!(error, StoreError::NotRegular { .. }), "{error:?}");
        let outcome = subject.store.put_new(key, b"secret").expect("an answer");
        assert!(matches!(outcome, PutOutcome::Conflict), "{outcome:?}");
    }
    let foreign = keys.map(|key| Listed::Foreign { path: key.path() });
    let mut met = subject.everything();
    met.sort();
    assert_eq!(met, foreign);

    symlink(outside.path(), subject.path("packs/ab")).expect("a link");
    assert_eq!(
        subject
            .store
            .put_new(&PACK, b"")
            .expect_err("refused")
            .class(),
        ErrorClass::Other
    );
    assert!(subject.store.size(&PACK).is_err());
    assert_eq!(
        fs::read_dir(outside.path()).expect("it is there").count(),
        1
    );
}
