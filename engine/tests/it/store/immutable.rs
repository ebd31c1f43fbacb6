//! Directories whose files get the immutable flag.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_engine::env::{Env, OsEntropy};
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::local::files::{Files as _, RealFiles};
use indelible_engine::store::probe::{Outcome, ProbeTerms};
use indelible_engine::store::{
    Action, AppendStore as _, ErrorClass, ExpireStore, Immutable, LocalStore, ObjectKey,
    ReadStore as _, StoreError,
};
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::ids::PackId;
use indelible_format::name::Pattern;
use indelible_format::policy::{LockMode, Promise};
use tempfile::TempDir;

use crate::support::{
    CHUNKER, new_repository, recovery, restore_stream, rows, take_stream, verify_with,
};

/// A store in a directory of its own, whose flags are cleared in the end.
struct Place {
    store: LocalStore,
    root: TempDir,
}

impl Place {
    /// `None`, and why, where this machine or this user has no flags.
    fn new() -> Option<Self> {
        let root = TempDir::new().expect("a temporary directory");
        let store = open(root.path());
        match store.make_immutable(Immutable::Flags) {
            Ok(()) => Some(Self { store, root }),
            Err(StoreError::Io {
                action: Action::Lock,
                source,
                ..
            }) if matches!(
                source.kind(),
                ErrorKind::PermissionDenied | ErrorKind::Unsupported
            ) =>
            {
                eprintln!("SKIPPED: {source}");
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.path().join(key.path())
    }

    fn set_flag(&self, key: &ObjectKey, on: bool) {
        let files = RealFiles::open(self.root.path()).expect("it is there");
        files
            .set_immutable(&key.path(), on)
            .expect("root may do so");
    }
}

fn open(root: &Path) -> LocalStore {
    LocalStore::open(root, Arc::new(OsEntropy)).expect("it is a directory")
}

impl Drop for Place {
    fn drop(&mut self) {
        let files = RealFiles::open(self.root.path()).expect("it is there");
        let mut below = vec![String::new()];
        while let Some(directory) = below.pop() {
            let entries = fs::read_dir(self.root.path().join(&directory)).expect("it is ours");
            for entry in entries {
                let entry = entry.expect("an entry");
                let name = entry.file_name().into_string().expect("our own name");
                let path = format!("{directory}/{name}");
                let path = path.trim_start_matches('/').to_owned();
                if entry.file_type().expect("a type").is_dir() {
                    below.push(path);
                } else {
                    files.set_immutable(&path, false).expect("root may do so");
                }
            }
        }
    }
}

impl Subject for Place {
    fn store(&self) -> &dyn ExpireStore {
        &self.store
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().expect("it lies below")).expect("it is ours");
        fs::write(path, bytes).expect("it is ours");
    }
}

/// A store with flags keeps every promise of a store.
///
/// Method: the common suite.
#[test]
fn immutable_store_conforms() {
    if Place::new().is_some() {
        conformance::check(&|| Box::new(Place::new().expect("it could be made before")));
    }
}

/// What was put can't be removed, written, cut, renamed or linked, by root either; nor can
/// what makes the directory set flags. Whoever opens it sets them.
///
/// Method: put an object through a store that was opened afresh; try each call.
#[test]
fn flags_keep_files_from_change() {
    let Some(place) = Place::new() else { return };
    let key = ObjectKey::Pack(PackId([7; 32]));
    let store = open(place.root.path());
    assert!(
        store
            .put_new(&key, b"bytes")
            .expect("an answer")
            .is_stored()
    );
    for path in [place.path(&key), place.root.path().join("immutable")] {
        let elsewhere = place.root.path().join("elsewhere");
        let write = OpenOptions::new().write(true).open(&path);
        let refused = [
            fs::remove_file(&path),
            write.map(drop),
            fs::File::create(&path).map(drop),
            fs::rename(&path, &elsewhere),
            fs::rename(place.root.path().join("tmp"), &path),
            fs::hard_link(&path, &elsewhere),
        ];
        for (number, refused) in refused.into_iter().enumerate() {
            refused.expect_err(&format!("{number} of {}", path.display()));
        }
    }
    assert_eq!(store.read(&key, 10).expect("it is there"), b"bytes");
    let removed = store.remove(&key).expect_err("it is locked");
    assert_eq!(removed.class(), ErrorClass::Refused);
    place.set_flag(&key, false);
    store.remove(&key).expect("nothing holds it");
}

/// Probing finds that flags stop everything but their being cleared, and that nothing
/// stops who may write to a directory without them; it leaves nothing behind.
///
/// Method: probe both, as root.
#[test]
fn probing_tells_flags_from_none() {
    let terms = ProbeTerms {
        mode: LockMode::Governance,
        over_lock_ms: None,
    };
    let done = |store: &LocalStore| -> Vec<&str> {
        let attempts = store.probe(&terms).expect("canaries can be put");
        let done = attempts
            .into_iter()
            .filter(|it| it.outcome == Outcome::Done);
        done.map(|it| it.code).collect()
    };
    let root = TempDir::new().expect("a temporary directory");
    let all = [
        "delete",
        "overwrite",
        "truncate",
        "rename",
        "replace",
        "rename-parent",
    ];
    if rustix::process::geteuid().is_root() {
        assert_eq!(done(&open(root.path())), all);
        let left = fs::read_dir(root.path().join("canary")).expect("it is there");
        assert_eq!(left.count(), 0);
    }
    let Some(place) = Place::new() else { return };
    assert_eq!(done(&place.store), ["unflag", "rename-parent"]);
    let left = fs::read_dir(place.root.path().join("canary")).expect("it is there");
    assert_eq!(left.count(), 0);
}

/// A directory that says it keeps objects from change in an unknown way is refused.
///
/// Method: another word in its file, the right one and more, and nothing.
#[test]
fn unknown_ways_are_refused() {
    for mode in ["", "flags", "flags\n\n", "posix-worm", "worm\n"] {
        let root = TempDir::new().expect("a temporary directory");
        fs::write(root.path().join("immutable"), mode).expect("it is ours");
        let opened = LocalStore::open(root.path(), Arc::new(OsEntropy));
        let error = opened.expect_err("it is unknown");
        assert_eq!(error.class(), ErrorClass::Unsupported, "{mode:?}");
    }
}

/// What lost its flag, or never got one before a crash, is told by a verification, and the
/// next snapshot that needs it sets it.
///
/// Method: a repository that promises 35 days; clear the flag of a pack and of a log entry.
#[test]
fn missing_flags_are_told_and_set() {
    let Some(place) = Place::new() else { return };
    let env = Env::system();
    let new = new_repository(&env, CHUNKER);
    new.create(&place.store).expect("it is empty");
    let recovery = recovery();
    let opened = || Repository::open(&place.store, None, &recovery, env.clone()).expect("it opens");
    let promise = Promise {
        pattern: Pattern::all(),
        retain_ms: 35 * 86_400_000,
    };
    let stated = opened().promise(Some(LockMode::Governance), &[promise]);
    assert!(stated.expect("it is stated").short.is_none());
    let dump = rows(0..300);
    let first = take_stream(&mut opened(), "shop", &dump).expect("it is committed");
    assert!(first.locked.short.is_none());
    let report = verify_with(&opened(), Level::Data);
    assert!(report.is_sound(), "{:?}", report.problems);

    let (listings, _) = opened().listings();
    let pack = listings.packs().next().expect("there is one").pack.id;
    let lost = [ObjectKey::Pack(pack), ObjectKey::Log(1)];
    for key in &lost {
        place.set_flag(key, false);
    }
    let report = verify_with(&opened(), Level::Data);
    assert!(!report.problems.is_empty());
    for problem in &report.problems {
        assert_eq!(problem.kind, ProblemKind::ShortLock, "{problem:?}");
    }
    let second = take_stream(&mut opened(), "shop", &dump).expect("it is committed");
    assert!(second.locked.short.is_none());
    let report = verify_with(&opened(), Level::Data);
    assert!(report.is_sound(), "{:?}", report.problems);
    place.set_flag(&lost[0], false);
    assert!(opened().extend_locks(&Silent).short.is_empty());
    assert!(verify_with(&opened(), Level::Tree).is_sound());
    let restored = restore_stream(&opened(), first.number);
    assert_eq!(restored.as_deref(), Ok(&dump[..]));
}
