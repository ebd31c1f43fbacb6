//! A whole repository in a real bucket with Object Lock, and a thief of a host's
//! credentials in it.

use indelible_engine::env::Env;
use indelible_engine::keys::Credential;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::store::s3::S3Store;
use indelible_engine::store::{AppendStore, ObjectKey, ReadStore};
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::name::Pattern;
use indelible_format::policy::{LockMode, Promise};
use indelible_format::rights::Rights;
use rusty_s3::Method;
use zeroize::Zeroizing;

use super::{ADMIN, LOCKING, WRITER, Weed};
use crate::support::{
    CHUNKER, key_file, key_request, new_repository, noise, restore_stream, rows, take_stream,
    verify_with,
};

const DAY_MS: u64 = 86_400_000;

/// A thief with a host's key and credentials, and an administrator of the bucket by S3's
/// protocol, take nothing away: every snapshot from before restores, the next backup commits, and `verify` tells what
/// the thief left.
///
/// Method: two snapshots under a promise of 35 days; with either's credentials delete
/// every version of every object, hide it, and write over it; put junk at the log's head.
/// Then restore, take another snapshot, and verify.
#[test]
fn a_thief_takes_nothing_from_a_bucket() {
    let Some(weed) = Weed::start() else { return };
    let env = Env::system();
    let admin = weed.store_at(LOCKING, "drill", ADMIN, None);
    admin.lock_new(LockMode::Compliance, DAY_MS);
    let new = new_repository(&env, CHUNKER);
    new.create(&admin).expect("the bucket is fit");
    let recovery = "correct horse battery staple".to_owned();
    let recovery = Credential::Passphrase(Zeroizing::new(recovery));
    let open = |store, key: &Credential| -> Repository<'_, S3Store> {
        Repository::open(store, None, key, env.clone()).expect("it opens")
    };
    let mut repository = open(&admin, &recovery);
    let promise = Promise {
        pattern: Pattern::all(),
        retain_ms: 35 * DAY_MS,
    };
    let stated = repository.promise(Some(LockMode::Compliance), &[promise]);
    assert!(stated.expect("it is stated").short.is_none());
    let added = repository.add_key(key_request(Rights::WRITE, &["*"]));
    let host = key_file(&repository, added.expect("it is authorised").bundle());

    let writer = weed.store_at(LOCKING, "drill", WRITER, None);
    let mut snapshots = Vec::new();
    for first in [0, 40] {
        let dump = rows(first..first + 300);
        let taken = take_stream(&mut open(&writer, &host), "shop", &dump);
        let taken = taken.expect("it is committed");
        assert!(taken.locked.short.is_none(), "{:?}", taken.locked.short);
        snapshots.push((taken.number, dump));
    }
    let sound = verify_with(&open(&admin, &recovery), Level::Data);
    assert!(sound.is_sound() && sound.locks > 5, "{:?}", sound.problems);

    let keys = objects(&admin);
    for who in [WRITER, ADMIN] {
        attack(&weed, &admin, who, &keys);
    }
    let head = ObjectKey::Log(open(&admin, &recovery).history().next);
    let path = format!("drill/{}", head.path());
    let status = weed.as_whom(WRITER, Method::Put, LOCKING, &path, &[], &[], b"junk");
    assert_eq!(status, 200);

    let repository = open(&admin, &recovery);
    for (number, dump) in &snapshots {
        assert_eq!(
            restore_stream(&repository, *number).as_deref(),
            Ok(&dump[..])
        );
    }
    let taken = take_stream(&mut open(&writer, &host), "shop", &rows(80..380));
    let taken = taken.expect("the next backup is committed");
    assert!(taken.locked.short.is_none(), "{:?}", taken.locked.short);
    let repository = open(&admin, &recovery);
    restore_stream(&repository, taken.number).expect("it restores");
    let report = verify_with(&repository, Level::Data);
    let told: Vec<&str> = report.problems.iter().map(|it| it.kind.code()).collect();
    for code in ["log-void-entry", "object-covered"] {
        assert!(told.contains(&code), "{told:?}");
    }
    let covered = told.iter().filter(|code| **code == "object-covered");
    assert!(covered.count() >= keys.len(), "{told:?}");
    let harmed = report.snapshots.iter().any(|it| !it.problems.is_empty());
    assert!(!harmed, "{:?}", report.problems);
    assert!(repository.extend_locks(&Silent).short.is_empty());
}

/// Who runs the server's machines deletes what is locked, past the protocol. It can't be
/// prevented, and a verification names the snapshots that it harms, and no others.
///
/// Method: two snapshots of different content under a compliance promise; delete the packs
/// of the second by the port of the server's own files.
#[test]
fn who_runs_the_server_is_found_out() {
    let Some(weed) = Weed::start() else { return };
    let env = Env::system();
    let store = weed.store_at(LOCKING, "drill", ADMIN, None);
    store.lock_new(LockMode::Compliance, DAY_MS);
    new_repository(&env, CHUNKER)
        .create(&store)
        .expect("the bucket is fit");
    let recovery = "correct horse battery staple".to_owned();
    let recovery = Credential::Passphrase(Zeroizing::new(recovery));
    let open = || Repository::open(&store, None, &recovery, env.clone()).expect("it opens");
    let promise = Promise {
        pattern: Pattern::all(),
        retain_ms: 35 * DAY_MS,
    };
    let stated = open().promise(Some(LockMode::Compliance), &[promise]);
    assert!(stated.expect("it is stated").short.is_none());
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
    let repository = Repository::open(&store, None, &recovery, env.clone()).expect("it opens");
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

/// All objects that a repository needs.
fn objects(store: &S3Store) -> Vec<ObjectKey> {
    let mut keys = Vec::new();
    for area in indelible_engine::store::Area::ALL {
        let each = &mut |listed| {
            if let indelible_engine::store::Listed::Object { key, .. } = listed {
                keys.push(key);
            }
        };
        store.list(area, each).expect("it can be listed");
    }
    assert!(keys.len() >= 4, "{keys:?}");
    keys
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
