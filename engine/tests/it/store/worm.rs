//! Directories on a filesystem that is write-once.

mod files;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use indelible_engine::env::{Clock as _, ManualClock, OsEntropy};
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::local::files::Attack;
use indelible_engine::store::probe::{Attempt, Outcome, ProbeTerms, withstood};
use indelible_engine::store::{
    AppendStore as _, ErrorClass, ExpireStore, Immutable, LocalStore, ObjectKey, PutOutcome,
    ReadStore as _, StoreError, Unfit, VersionId,
};
use indelible_format::ids::PackId;
use indelible_format::policy::LockMode;
use tempfile::TempDir;

use self::files::{Ways, WormFiles};

const PACK: ObjectKey = ObjectKey::Pack(PackId([7; 32]));
const DAY_MS: u64 = 86_400_000;
/// Later than the time of this machine, which would else move access times that have passed.
const NOW_MS: u64 = 2_100_000_000_000;

/// A store on such a filesystem.
struct Place {
    store: LocalStore<WormFiles>,
    clock: Arc<ManualClock>,
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self::with(Ways::default());
        let made = place.store.make_immutable(Immutable::PosixWorm);
        made.expect("the filesystem keeps what is committed");
        place
    }

    /// On one with ways of its own, and nothing made.
    fn with(ways: Ways) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let files = WormFiles::new(root.path(), clock.clone(), ways);
        let store = LocalStore::with_files(files, "worm".to_owned(), Arc::new(OsEntropy));
        Self {
            store: store.with_clock(clock.clone()),
            clock,
            root,
        }
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.path().join(key.path())
    }

    #[track_caller]
    fn put(&self) {
        let put = self.store.put_new(&PACK, b"bytes");
        assert!(matches!(put, Ok(PutOutcome::Created)), "{put:?}");
    }

    fn is_writable(&self, key: &ObjectKey) -> bool {
        let metadata = fs::metadata(self.path(key)).expect("it is there");
        metadata.mode() & 0o222 != 0
    }

    fn locked_until(&self, key: &ObjectKey) -> Option<u64> {
        let locked = self.store.locked_until(key, &VersionId::only());
        locked.expect("it is there")
    }

    /// Until when a file is kept, seen by another look.
    fn kept_until(&self, path: &str) -> Option<u64> {
        let metadata = fs::metadata(self.root.path().join(path)).expect("it is there");
        let until_s = u64::try_from(metadata.atime()).expect("after 1970");
        (metadata.mode() & 0o222 == 0).then_some(until_s * 1_000)
    }

    fn extend(&self, until_ms: u64) -> Result<(), StoreError> {
        self.store.extend_lock(&PACK, &VersionId::only(), until_ms)
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

/// A store on a write-once filesystem keeps every promise of a store.
///
/// Method: the common suite.
#[test]
fn worm_store_conforms() {
    conformance::check(&|| Box::new(Place::new()));
}

/// What is put is committed at once, for as long as is said, and what names the way with
/// it. It can be removed once its lock has ended.
///
/// Method: put before and after a span is named; let the time pass.
#[test]
fn what_is_put_is_committed() {
    let place = Place::new();
    assert!(place.store.capabilities().locks && place.store.capabilities().final_locks);
    place.put();
    assert!(!place.is_writable(&PACK));
    assert_eq!(place.locked_until(&PACK), Some(NOW_MS + DAY_MS));
    place.store.lock_new(LockMode::Compliance, 7 * DAY_MS);
    let record = ObjectKey::Pack(PackId([8; 32]));
    let put = place.store.put_new(&record, b"more").expect("an answer");
    assert!(put.is_stored());
    assert_eq!(place.locked_until(&record), Some(NOW_MS + 7 * DAY_MS));

    let removed = place.store.remove(&PACK).expect_err("it is locked");
    assert!(
        matches!(removed, StoreError::Locked { until_ms, .. } if until_ms == NOW_MS + DAY_MS),
        "{removed:?}"
    );
    place.extend(NOW_MS + 3 * DAY_MS).expect("it is later");
    // Dates are kept in seconds, and no lock is short for that.
    place
        .extend(NOW_MS + 3 * DAY_MS + 1)
        .expect("it is a little later");
    assert_eq!(place.locked_until(&PACK), Some(NOW_MS + 3 * DAY_MS + 1_000));
    let shorter = place.extend(NOW_MS + DAY_MS).expect_err("it is shorter");
    assert!(matches!(shorter, StoreError::WouldShorten { .. }));
    place.clock.advance(4 * DAY_MS);
    place.store.remove(&PACK).expect("its lock has ended");
}

/// What names the way is locked as long as the longest lock.
///
/// Method: extend an object's lock; ask for that of the file.
#[test]
fn what_names_the_way_is_kept_as_long() {
    let place = Place::new();
    place.put();
    place.extend(NOW_MS + 90 * DAY_MS).expect("it is later");
    let held = place.kept_until("immutable");
    assert_eq!(held, Some(NOW_MS + 90 * DAY_MS));
    let said = fs::read(place.root.path().join("immutable")).expect("it is there");
    assert_eq!(said, b"posix-worm\n");
}

/// What a crash left uncommitted is not locked, and is committed by whoever puts it again or
/// extends its lock.
///
/// Method: objects that were linked and no more.
#[test]
fn what_a_crash_left_is_not_locked() {
    let place = Place::new();
    for extends in [false, true] {
        let key = ObjectKey::Pack(PackId([u8::from(extends); 32]));
        place.plant(&key.path(), b"bytes");
        assert_eq!(place.locked_until(&key), None);
        let until_ms = if extends {
            let until_ms = NOW_MS + 35 * DAY_MS;
            let extended = place.store.extend_lock(&key, &VersionId::only(), until_ms);
            extended.expect("it can be committed");
            until_ms
        } else {
            let put = place.store.put_new(&key, b"bytes").expect("an answer");
            assert!(matches!(put, PutOutcome::AlreadySame), "{put:?}");
            NOW_MS + DAY_MS
        };
        assert_eq!(place.locked_until(&key), Some(until_ms));
        assert!(!place.is_writable(&key));
    }
}

/// A filesystem that keeps another date than it was told is not believed.
///
/// Method: one that keeps nothing for longer than ten days, and one that keeps all for at
/// least a hundred.
#[test]
fn other_dates_are_told() {
    let place = Place::with(Ways {
        latest_s: (NOW_MS + 10 * DAY_MS) / 1_000,
        ..Ways::default()
    });
    let made = place.store.make_immutable(Immutable::PosixWorm);
    made.expect("canaries are kept for minutes");
    place.put();
    let error = place
        .extend(NOW_MS + 35 * DAY_MS)
        .expect_err("it is not kept");
    let source = std::error::Error::source(&error).expect("a source");
    let kept = format!("until {}", NOW_MS + 10 * DAY_MS);
    assert!(source.to_string().contains(&kept), "{source}");
    assert_eq!(place.locked_until(&PACK), Some(NOW_MS + 10 * DAY_MS));

    let place = Place::with(Ways {
        earliest_s: (NOW_MS + 100 * DAY_MS) / 1_000,
        ..Ways::default()
    });
    let made = place.store.make_immutable(Immutable::PosixWorm);
    made.expect("it keeps canaries all the more");
    place.put();
    let longer = place
        .extend(NOW_MS + 35 * DAY_MS)
        .expect_err("it is longer");
    assert!(
        matches!(longer, StoreError::WouldShorten { locked_until_ms, .. } if locked_until_ms == NOW_MS + 100 * DAY_MS),
        "{longer:?}"
    );
    let never = place.extend(u64::MAX).expect_err("no date is so late");
    assert_eq!(never.class(), ErrorClass::Unsupported);
}

/// A filesystem that lets one thing be done to what was committed is refused, and nothing
/// is made on it; also one that says no and does it.
///
/// Method: for each attack one that lets it through, and one that lies about it.
#[test]
fn filesystems_that_let_anything_through_are_refused() {
    let attacks = [
        Attack::Remove,
        Attack::Write,
        Attack::Truncate,
        Attack::Rename,
        Attack::Replace,
        Attack::MakeWritable,
        Attack::Shorten,
    ];
    for lets in attacks {
        for lies in [false, true] {
            let place = Place::with(Ways {
                lets: Some(lets),
                lies,
                ..Ways::default()
            });
            let made = place.store.make_immutable(Immutable::PosixWorm);
            assert!(
                matches!(
                    made,
                    Err(StoreError::Unfit {
                        lacks: Unfit::NotWriteOnce { .. },
                        ..
                    })
                ),
                "{lets:?} {lies}: {made:?}"
            );
            assert!(!place.root.path().join("immutable").exists());
        }
    }
}

/// Any other filesystem takes all the calls and keeps nothing: there nothing is made, and
/// nothing left.
///
/// Method: a directory as it is, with real calls.
#[test]
fn plain_directories_are_refused() {
    let root = TempDir::new().expect("a temporary directory");
    let store = LocalStore::open(root.path(), Arc::new(OsEntropy)).expect("it is there");
    let refused = store.make_immutable(Immutable::PosixWorm);
    let error = refused.expect_err("it is not write-once");
    assert_eq!(error.class(), ErrorClass::Unsupported);
    assert!(error.to_string().contains("not write-once"), "{error}");
    assert_eq!(fs::read_dir(root.path()).expect("it is there").count(), 0);
}

/// A way that was chosen stays.
///
/// Method: ask for another in a directory that has one.
#[test]
fn a_way_stays() {
    let place = Place::new();
    let refused = place.store.make_immutable(Immutable::Flags);
    assert!(
        matches!(
            refused,
            Err(StoreError::Unfit {
                lacks: Unfit::OtherMode,
                ..
            })
        ),
        "{refused:?}"
    );
    let again = place.store.make_immutable(Immutable::PosixWorm);
    again.expect("it is as it was");
}

/// A probe tries what is particular to such filesystems too, and finds that it was moved
/// to one that keeps nothing. What it leaves is removed by a later one.
///
/// Method: probe; copy the file that names the way elsewhere and probe there; let time pass.
#[test]
fn probing_finds_whether_it_is_write_once() {
    let terms = ProbeTerms {
        mode: LockMode::Compliance,
        over_lock_ms: None,
    };
    let place = Place::new();
    let attempts = place.store.probe(&terms).expect("canaries can be put");
    assert!(attempts.iter().all(|it| it.outcome == Outcome::Refused));
    let codes: Vec<&str> = attempts.iter().map(|it: &Attempt| it.code).collect();
    let expected = [
        "delete",
        "overwrite",
        "truncate",
        "rename",
        "replace",
        "make-writable",
        "shorten",
        "rename-parent",
    ];
    assert_eq!(codes, expected);
    let canaries = || fs::read_dir(place.root.path().join("canary")).expect("it is there");
    // Those from before the directory was trusted, and these.
    assert_eq!(canaries().count(), 2);
    place.clock.advance(DAY_MS);
    assert!(place.clock.now_unix_ms() > NOW_MS);
    place.store.probe(&terms).expect("canaries can be put");
    assert_eq!(canaries().count(), 1);

    let moved = TempDir::new().expect("a temporary directory");
    fs::write(moved.path().join("immutable"), "posix-worm\n").expect("it is ours");
    let store = LocalStore::open(moved.path(), Arc::new(OsEntropy)).expect("it is there");
    let attempts = store.probe(&terms).expect("canaries can be put");
    assert!(!withstood(&attempts));
    let shorten = attempts.iter().find(|it| it.code == "shorten");
    assert_eq!(shorten.map(|it| it.outcome), Some(Outcome::Done));
}
