//! Locks of a copy.

use std::sync::Arc;

use indelible_engine::cancel::Cancel;
use indelible_engine::mirror::{ShortLock, mirror};
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey, ReadStore as _};
use indelible_format::attest::Level;

use super::{DAY_MS, Vault};
use crate::support::{START_UNIX_MS, rows, take_stream, verify_with};

/// A mirror locks what the original's store locks, for as long and no longer than it was
/// allowed; what lies over an object of the original changes nothing.
///
/// Method: mirror a vault into a store that locks for an hour by itself; compare the end of
/// each lock; do it again with all locks there; and
/// with too early an end.
#[test]
fn a_mirror_carries_locks() {
    let vault = Vault::new(731, &[("*", 35)]);
    let dump = rows(0..300);
    take_stream(&mut vault.open(), "shop", &dump).expect("it is committed");
    let keys: Vec<ObjectKey> = vault.store.keys();
    vault.store.push_newer(&keys[0], b"forged");
    let clock = Arc::clone(&vault.clock);
    let copy = MemoryStore::locking(clock as _, DAY_MS / 24);
    let run = |copy: &MemoryStore, latest_ms| {
        let cancel = Cancel::new();
        mirror(&vault.store, copy, latest_ms, &cancel, &Silent)
            .expect("it is copied")
            .locks
    };
    let end = |store: &MemoryStore, key| {
        let version = store.version_that_counts(key).expect("it is there").id;
        store.locked_until(key, &version).expect("it is there")
    };
    let early = run(&copy, START_UNIX_MS + 2 * DAY_MS);
    let (_, error) = early.short.expect("locks end later than that");
    assert!(matches!(error, ShortLock::BeyondAllowed), "{error:?}");
    let carried = run(&copy, u64::MAX);
    assert!(carried.longer > 0 && carried.short.is_none());
    for key in keys.iter().filter(|key| **key != ObjectKey::Repository) {
        assert_eq!(end(&copy, key), end(&vault.store, key), "{key}");
    }
    assert_eq!(run(&copy, u64::MAX).longer, 0);
    let there = Repository::open(&copy, None, &vault.recovery, vault.env.clone());
    let there = there.expect("a copy is a repository");
    let report = verify_with(&there, Level::Tree);
    assert!(report.is_sound(), "{:?}", report.problems);
}
