//! The store in S3 on a real server: SeaweedFS, which enforces what Object Lock
//! promises. It runs on this machine, for the time of a test.
//!
//! The program is looked for in `INDELIBLE_WEED`, then as `weed` in PATH. Without it
//! the tests are skipped, and say so; with `INDELIBLE_REQUIRE_SERVERS=1` they fail.

mod drill;
mod probe;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::repository::Repository;
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::s3::{LockMode, ObjectLock};
use indelible_engine::store::{
    AppendStore as _, Area, ErrorClass, ExpireStore, Listed, ObjectKey, PutOutcome, ReadStore as _,
    S3Store, StoreError,
};
use indelible_engine::verify::Terms;
use indelible_format::attest::Level;
use indelible_format::ids::PackId;
use jiff::Timestamp;
use rusty_s3::Method;

use self::server::Weed;
use crate::support::{Fixture, noise, object, verify_on};

/// Who may do everything that the protocol offers.
const ADMIN: (&str, &str) = ("AKADMIN", "an administrator's secret");
/// Who may do what a host needs that writes backups, in the bucket that locks.
const WRITER: (&str, &str) = ("AKWRITER", "a writer's secret");
/// A bucket that locks, and one that only keeps versions.
const LOCKING: &str = "locking";
const PLAIN: &str = "plain";
const PREFIX: &str = "back/ups";

const LOCK: ObjectLock = ObjectLock {
    mode: LockMode::Compliance,
    span_ms: 86_400_000,
};
const PACK: ObjectKey = ObjectKey::Pack(PackId([0xAB; 32]));

/// One place in a bucket, empty.
struct Place {
    weed: Arc<Weed>,
    bucket: &'static str,
    prefix: String,
    store: S3Store,
}

impl Place {
    fn new(weed: &Arc<Weed>, bucket: &'static str, lock: Option<ObjectLock>) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("place-{}", MADE.fetch_add(1, Ordering::SeqCst));
        let store = weed.store_at(bucket, &prefix, ADMIN, lock);
        store.prepare().expect("the bucket is fit");
        Self {
            weed: Arc::clone(weed),
            bucket,
            prefix,
            store,
        }
    }
}

impl Subject for Place {
    fn store(&self) -> &dyn ExpireStore {
        &self.store
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        let object = format!("{}/{path}", self.prefix);
        let put = self
            .weed
            .admin(Method::Put, self.bucket, &object, &[], &[], bytes);
        assert_eq!(put, 200);
    }
}

fn create(store: &S3Store, key: &ObjectKey, bytes: &[u8]) {
    let outcome = store.put_new(key, bytes).expect("an answer");
    assert!(matches!(outcome, PutOutcome::Created), "{outcome:?}");
}

/// On a real server the store keeps every promise of a store, racing creators
/// included.
///
/// Method: the common suite, in a bucket that keeps versions and does not lock.
#[test]
fn s3_store_conforms_on_seaweedfs() {
    conforms(PLAIN, None);
}

/// So it does where everything is locked.
///
/// Method: the common suite, in a bucket that locks. It is a test of its own because
/// the server lets racing creators wait for each other.
#[test]
fn locking_s3_store_conforms_on_seaweedfs() {
    conforms(LOCKING, Some(LOCK));
}

fn conforms(bucket: &'static str, lock: Option<ObjectLock>) {
    let Some(weed) = Weed::start() else { return };
    let weed = Arc::new(weed);
    conformance::check(&move || Box::new(Place::new(&weed, bucket, lock)));
}

/// A real server keeps the checksum of what is put, so that packs are verified without
/// reading them.
///
/// Method: a repository is put there object by object and verified on its word.
#[test]
fn checksums_are_kept_on_seaweedfs() {
    let Some(weed) = Weed::start() else { return };
    let place = Place::new(&Arc::new(weed), PLAIN, None);
    let fixture = Fixture::new(910);
    for number in 0..3 {
        fixture.snapshot_of("shop", &noise(number, 5_000));
    }
    for key in fixture.store.keys() {
        create(&place.store, &key, &object(&fixture.store, &key));
    }
    let opened = Repository::open(&place.store, None, &fixture.recovery, fixture.env.clone());
    let terms = Terms {
        takes_word: true,
        ..Terms::default()
    };
    let report = verify_on(&opened.expect("it opens"), Level::Packs, &terms);
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!((report.vouched.packs, report.bytes), (3, 0));
}

/// What the store locks, its own administrator can't remove or unlock; the writer
/// can lock it for longer, also after the server was killed.
///
/// Method: put an object as a writer, then try everything as an administrator;
/// kill the server and try again.
#[test]
fn locks_hold_on_seaweedfs() {
    let Some(mut weed) = Weed::start() else {
        return;
    };
    let admin = weed.store(LOCKING, ADMIN, Some(LOCK));
    admin.prepare().expect("the bucket is fit");
    let writer = weed.store(LOCKING, WRITER, Some(LOCK));
    create(&writer, &PACK, b"pack");
    let version = writer.versions(&PACK).expect("it is there").remove(0).id;
    let until = |store: &S3Store| {
        let until = store.locked_until(&PACK, &version).expect("an answer");
        until.expect("it is locked")
    };
    let first = until(&writer);
    writer
        .extend_lock(&PACK, &version, first + 60_000)
        .expect("a lock can be extended");
    match writer.extend_lock(&PACK, &version, first) {
        Err(StoreError::WouldShorten { .. }) => {}
        other => panic!("{other:?}"),
    }
    for _ in 0..2 {
        attack(&weed, &version.0, first);
        let store = weed.store(LOCKING, WRITER, Some(LOCK));
        assert_eq!(until(&store), first + 60_000);
        assert_eq!(store.read(&PACK, 100).expect("it is there"), b"pack");
        let error = weed
            .store(LOCKING, ADMIN, Some(LOCK))
            .remove(&PACK)
            .expect_err("it is locked");
        assert_eq!(error.class(), ErrorClass::PermissionDenied, "{error:?}");
        weed.kill_and_restart();
    }
}

/// Tries to get at a locked version, with every right that the protocol knows.
fn attack(weed: &Weed, version: &str, first_ms: u64) {
    let object = format!("{PREFIX}/{}", PACK.path());
    let of_version = [("versionId", version)];
    let bypass = [("x-amz-bypass-governance-retention", "true")];
    let removed = weed.admin(Method::Delete, LOCKING, &object, &of_version, &bypass, b"");
    assert_eq!(removed, 403, "removal");
    let first = i64::try_from(first_ms / 1_000).expect("a time");
    let first = Timestamp::from_second(first).expect("a time");
    for (mode, until) in [
        ("COMPLIANCE", first.to_string()),
        ("GOVERNANCE", "2099-01-01T00:00:00Z".to_owned()),
    ] {
        let body = format!(
            "<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
        );
        let query = [("retention", ""), ("versionId", version)];
        let weakened = weed.admin(
            Method::Put,
            LOCKING,
            &object,
            &query,
            &bypass,
            body.as_bytes(),
        );
        assert_eq!(weakened, 403, "{mode} until {until}");
    }
    let off = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let suspended = weed.admin(Method::Put, LOCKING, "", &[("versioning", "")], &[], off);
    assert_eq!(suspended, 409, "suspension");
}

/// Neither newer versions nor markers hide an object, and the oldest counts.
///
/// Method: put an entry, then others over it and markers as an administrator, more
/// than come in one answer.
#[test]
fn nothing_hides_on_seaweedfs() {
    let Some(weed) = Weed::start() else { return };
    let entry = ObjectKey::Log(7);
    let object = format!("{PREFIX}/{}", entry.path());
    let writer = weed.store(LOCKING, WRITER, Some(LOCK));
    create(&writer, &entry, b"entry");
    for forged in 0..1_010_usize {
        let body = vec![b'x'; 10 + forged];
        assert_eq!(
            weed.admin(Method::Put, LOCKING, &object, &[], &[], &body),
            200
        );
    }
    for _ in 0..3 {
        let hidden = weed.admin(Method::Delete, LOCKING, &object, &[], &[], b"");
        assert_eq!(hidden, 204);
    }
    assert_eq!(
        writer.read_oldest(&entry, 100).expect("it is there"),
        b"entry"
    );
    assert_eq!(writer.size(&entry).expect("it is there"), 10 + 1_009);
    let sizes = writer.versions(&entry).expect("it is there");
    let sizes = sizes.iter().map(|version| version.size_bytes);
    let expected = std::iter::once(5).chain((10..).take(999));
    assert!(sizes.eq(expected), "the oldest are told, in their order");
    let same = writer.put_new(&entry, b"entry").expect("an answer");
    assert!(matches!(same, PutOutcome::AlreadySame), "{same:?}");
    let other = writer.put_new(&entry, b"other").expect("an answer");
    assert!(matches!(other, PutOutcome::Conflict), "{other:?}");
    let mut listed = Vec::new();
    writer
        .list(Area::Log, &mut |met| listed.push(met))
        .expect("it can be listed");
    let [object, covered] = &listed[..] else {
        panic!("{listed:?}")
    };
    let counts = Listed::Object {
        key: entry,
        size_bytes: 5,
    };
    assert_eq!(*object, counts);
    match covered {
        Listed::Covered {
            // The last of them is the writer's own, which the markers let through.
            others: 1_011,
            markers: 3,
            ..
        } => {}
        other => panic!("{other:?}"),
    }
}

/// Buckets that can't hold a repository are refused.
///
/// Method: a bucket without versions, one without locks where locks are wanted,
/// one that does not exist, and a key that is not known.
#[test]
fn unfit_buckets_are_refused_on_seaweedfs() {
    let Some(weed) = Weed::start() else { return };
    let bare = "bare";
    assert_eq!(weed.admin(Method::Put, bare, "", &[], &[], b""), 200);
    let prepare = |bucket, who, lock| {
        let store = weed.store(bucket, who, lock);
        store.prepare().expect_err("it is unfit").class()
    };
    assert_eq!(prepare(bare, ADMIN, None), ErrorClass::Unsupported);
    assert_eq!(prepare(PLAIN, ADMIN, Some(LOCK)), ErrorClass::Unsupported);
    assert_eq!(prepare("nothing", ADMIN, None), ErrorClass::NoRepository);
    let stranger = ("AKNOBODY", "no secret");
    assert_eq!(prepare(PLAIN, stranger, None), ErrorClass::PermissionDenied);
}
