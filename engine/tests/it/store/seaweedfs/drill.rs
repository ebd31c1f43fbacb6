//! A whole repository in a real bucket with Object Lock, and a thief of a host's
//! credentials in it.

use indelible_engine::cancel::Cancel;
use indelible_engine::env::Env;
use indelible_engine::keys::Credential;
use indelible_engine::mirror::mirror;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::store::s3::S3Store;
use indelible_engine::store::{AppendStore, ObjectKey, ReadStore};
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::name::Pattern;
use indelible_format::policy::{LockMode, Promise};
use rusty_s3::Method;

use super::{ADMIN, LOCKING, WRITER, Weed};
use crate::drill::{Site, Who, objects, run};
use crate::support::{
    CHUNKER, new_repository, noise, recovery, restore_stream, rows, take_stream, verify_with,
};

const DAY_MS: u64 = 86_400_000;

/// A bucket with Object Lock.
struct Bucket<'w>(&'w Weed);

impl Site for Bucket<'_> {
    type Store = S3Store;

    const HAS_QUOTA: bool = false;
    const JUDGES: bool = false;

    fn store(&self, who: Who) -> S3Store {
        let credentials = if who == Who::Admin { ADMIN } else { WRITER };
        self.0.store_at(LOCKING, "drill", credentials, None)
    }

    fn put(&self, key: &ObjectKey, bytes: &[u8]) {
        let path = format!("drill/{}", key.path());
        let status = self
            .0
            .as_whom(WRITER, Method::Put, LOCKING, &path, &[], &[], bytes);
        assert_eq!(status, 200, "{path}");
    }

    fn attack(&self, keys: &[ObjectKey]) {
        for who in [WRITER, ADMIN] {
            attack(self.0, &self.store(Who::Admin), who, keys);
        }
    }
}

/// A repository under a promise of 35 days, in compliance mode.
struct Vault {
    recovery: Credential,
}

impl Vault {
    fn new(store: &S3Store) -> Self {
        store.lock_new(LockMode::Compliance, DAY_MS);
        let new = new_repository(&Env::system(), CHUNKER);
        new.create(store).expect("the bucket is fit");
        let vault = Self {
            recovery: recovery(),
        };
        let promise = Promise {
            pattern: Pattern::all(),
            retain_ms: 35 * DAY_MS,
        };
        let stated = vault
            .open(store)
            .promise(Some(LockMode::Compliance), &[promise]);
        assert!(stated.expect("it is stated").short.is_none());
        vault
    }

    fn open<'s>(&self, store: &'s S3Store) -> Repository<'s, S3Store> {
        Repository::open(store, None, &self.recovery, Env::system()).expect("it opens")
    }
}

/// A thief of a host's credentials, and an administrator of the bucket by S3's protocol,
/// take nothing away from what is locked.
///
/// Method: the drill, under a promise of 35 days; with either's credentials delete every
/// version of every object, unlock it, hide it, and write over it.
#[test]
fn a_thief_takes_nothing_from_a_bucket() {
    let Some(weed) = Weed::start() else { return };
    let site = Bucket(&weed);
    let report = run(&site);
    let told: Vec<&str> = report.problems.iter().map(|it| it.kind.code()).collect();
    for code in [
        "log-void-entry",
        "log-beyond-end",
        "object-covered",
        "chunk-damaged",
    ] {
        assert!(told.contains(&code), "{told:?}");
    }
    let covered = told.iter().filter(|code| **code == "object-covered");
    assert!(covered.count() >= 12, "{told:?}");
    assert!(report.locks > 12, "{report:?}");
}

/// A copy in another bucket is locked there as long as the original, and against the same
/// attacks.
///
/// Method: a snapshot under a promise of 35 days; mirror it into a second bucket that
/// locks; compare the end of each lock, and delete every version of the copy.
#[test]
fn a_mirror_carries_locks_between_buckets() {
    let Some(weed) = Weed::start() else { return };
    let lock = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(weed.admin(Method::Put, "copies", "", &[], &lock, b""), 200);
    let original = weed.store_at(LOCKING, "drill", ADMIN, None);
    let vault = Vault::new(&original);
    let dump = rows(0..300);
    let taken = take_stream(&mut vault.open(&original), "shop", &dump);
    let taken = taken.expect("it is committed");

    let copy = weed.store_at("copies", "there", ADMIN, None);
    copy.lock_new(LockMode::Compliance, DAY_MS);
    let mirrored = mirror(&original, &copy, u64::MAX, &Cancel::new(), &Silent);
    let mirrored = mirrored.expect("it is copied");
    assert!(mirrored.locks.short.is_none(), "{:?}", mirrored.locks.short);
    let keys = objects(&original);
    assert_eq!(keys, objects(&copy));
    assert!(mirrored.locks.longer >= 4, "{:?}", mirrored.locks);
    for key in &keys {
        let version = copy.version_that_counts(key).expect("it is there").id;
        let until_ms = copy.locked_until(key, &version).expect("it is there");
        let theirs = original.version_that_counts(key).expect("it is there").id;
        let theirs = original.locked_until(key, &theirs).expect("it is there");
        assert!(until_ms >= theirs && theirs.is_some(), "{key}");
        let path = format!("there/{}", key.path());
        let query = [("versionId", version.0.as_str())];
        let bypass = [("x-amz-bypass-governance-retention", "true")];
        let gone = weed.admin(Method::Delete, "copies", &path, &query, &bypass, &[]);
        assert_eq!(gone, 403, "{key}");
    }
    let copied = vault.open(&copy);
    assert_eq!(
        restore_stream(&copied, taken.number).as_deref(),
        Ok(&dump[..])
    );
    let report = verify_with(&copied, Level::Data);
    assert!(
        report.is_sound() && report.locks >= 4,
        "{:?}",
        report.problems
    );
}

/// Who runs the server's machines deletes what is locked, past the protocol. It can't be
/// prevented, and a verification names the snapshots that it harms, and no others.
///
/// Method: two snapshots of different content under a compliance promise; delete the packs
/// of the second by the port of the server's own files.
#[test]
fn who_runs_the_server_is_found_out() {
    let Some(weed) = Weed::start() else { return };
    let store = weed.store_at(LOCKING, "drill", ADMIN, None);
    let vault = Vault::new(&store);
    let open = || vault.open(&store);
    let dump = rows(0..300);
    let first = take_stream(&mut open(), "shop", &dump).expect("it is committed");
    let before = objects(&store);
    let second = take_stream(&mut open(), "other", &noise(1, 100_000));
    let second = second.expect("it is committed");
    let after = objects(&store);
    let packs = after.iter().filter(|key| matches!(key, ObjectKey::Pack(_)));
    let packs: Vec<&ObjectKey> = packs.filter(|key| !before.contains(key)).collect();
    assert!(!packs.is_empty());
    for pack in &packs {
        assert!((200..300).contains(&weed.destroy(&format!("drill/{}", pack.path()))));
    }
    // A client of its own, as whoever verifies has.
    let store = weed.store_at(LOCKING, "drill", ADMIN, None);
    let repository = vault.open(&store);
    let report = verify_with(&repository, Level::Data);
    let missing = report
        .problems
        .iter()
        .filter(|it| it.kind == ProblemKind::PackMissing);
    assert_eq!(missing.count(), packs.len(), "{:?}", report.problems);
    let harmed = report.snapshots.iter().filter(|it| !it.problems.is_empty());
    let harmed: Vec<u64> = harmed.map(|it| it.number).collect();
    assert_eq!(harmed, [second.number]);
    let restored = restore_stream(&repository, first.number);
    assert_eq!(restored.as_deref(), Ok(&dump[..]));
    restore_stream(&repository, second.number).expect_err("it is gone");
}

/// Does what S3's protocol offers against each object.
fn attack(weed: &Weed, store: &S3Store, who: (&str, &str), keys: &[ObjectKey]) {
    for key in keys {
        let path = format!("drill/{}", key.path());
        let past = "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>GOVERNANCE</Mode><RetainUntilDate>2026-01-01T00:00:00Z</RetainUntilDate></Retention>";
        for version in store.versions(key).expect("it is there") {
            let query = [("versionId", version.id.0.as_str())];
            let bypass = [("x-amz-bypass-governance-retention", "true")];
            let gone = weed.as_whom(who, Method::Delete, LOCKING, &path, &query, &bypass, &[]);
            assert!(
                gone >= 400 || version.size_bytes == 6,
                "{path} was deleted: {gone}"
            );
            let query = [("retention", ""), ("versionId", version.id.0.as_str())];
            let short = weed.as_whom(
                who,
                Method::Put,
                LOCKING,
                &path,
                &query,
                &bypass,
                past.as_bytes(),
            );
            assert!(
                short >= 400 || version.size_bytes == 6,
                "{path} was unlocked: {short}"
            );
        }
        // Allowed, and in vain: it hides the object, and another stands over it.
        weed.as_whom(who, Method::Delete, LOCKING, &path, &[], &[], &[]);
        weed.as_whom(who, Method::Put, LOCKING, &path, &[], &[], b"forged");
    }
}
