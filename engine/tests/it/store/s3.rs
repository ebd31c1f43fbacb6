//! The store in S3, on a server in this process that does what it is told.

mod bucket;
mod cost;
mod hidden;
mod limits;
mod long_log;
mod server;
mod settings;
mod truthful;
mod word;

use std::sync::Arc;

use indelible_engine::env::{ManualClock, SeededEntropy};
use indelible_engine::pace::Limits;
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::s3::{LockMode, ObjectLock, Patience, S3Options, S3Settings};
use indelible_engine::store::{AppendStore as _, ErrorClass, ExpireStore, S3Store, StoreError};
use zeroize::Zeroizing;

use self::server::{BUCKET, Fate, Server};
use crate::support::START_UNIX_MS;

/// Never to be seen anywhere.
const SECRET: &str = "wJalrXUtnFEMIHunter2";
const PREFIX: &str = "back/ups";

const LOCK: ObjectLock = ObjectLock {
    mode: LockMode::Compliance,
    span_ms: 86_400_000,
};

/// Pauses take no time here. A server that says nothing does.
const PATIENCE: Patience = Patience {
    connect_ms: 60_000,
    idle_ms: 60_000,
    tries_max: 4,
    total_ms_max: 300_000,
    pause_ms: 250,
    pause_ms_max: 20_000,
};

/// A server, and a store there.
struct Stage {
    server: Server,
    clock: Arc<ManualClock>,
    store: S3Store,
}

impl Stage {
    /// Nothing was asked yet.
    fn new(lock: Option<ObjectLock>) -> Self {
        let clock = Arc::new(ManualClock::new(START_UNIX_MS));
        let server = Server::new(&clock);
        let store = open(&server, &clock, lock, PATIENCE);
        Self {
            server,
            clock,
            store,
        }
    }

    fn prepared(lock: Option<ObjectLock>) -> Self {
        let stage = Self::new(lock);
        stage.store.prepare().expect("the bucket is fit");
        stage
    }
}

/// A client. Its clock stands still but for its own pauses.
fn open(
    server: &Server,
    clock: &Arc<ManualClock>,
    lock: Option<ObjectLock>,
    patience: Patience,
) -> S3Store {
    open_limited(server, clock, lock, patience, Limits::default())
}

/// The same, with limits of how fast bytes go and come.
fn open_limited(
    server: &Server,
    clock: &Arc<ManualClock>,
    lock: Option<ObjectLock>,
    patience: Patience,
    limits: Limits,
) -> S3Store {
    let address = format!(
        "s3://{BUCKET}/{PREFIX}?endpoint={}&region=us-east-1",
        server.endpoint()
    );
    let settings = S3Settings {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: Zeroizing::new(SECRET.to_owned()),
        session_token: Some(Zeroizing::new(SECRET.to_owned())),
        region: None,
        endpoint: None,
        authorities: None,
    };
    let address = address.parse().expect("an address");
    let options = S3Options {
        limits,
        ..options(clock, lock, patience)
    };
    S3Store::open(&address, &settings, options).expect("the settings are sound")
}

fn options(clock: &Arc<ManualClock>, lock: Option<ObjectLock>, patience: Patience) -> S3Options {
    S3Options {
        lock,
        patience,
        clock: Arc::clone(clock) as _,
        entropy: Arc::new(SeededEntropy::new(7)),
        pause: Arc::clone(clock) as _,
        limits: Limits::default(),
    }
}

impl Subject for Stage {
    fn store(&self) -> &dyn ExpireStore {
        &self.store
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        let mut bucket = self.server.bucket();
        bucket.push(&format!("{PREFIX}/{path}"), Some(bytes));
    }
}

/// The store in S3 keeps every promise of a store, with and without locks.
///
/// Method: the common suite, against a server whose lists come in small parts.
#[test]
fn s3_store_conforms() {
    conformance::check(&|| Box::new(Stage::prepared(None)));
    conformance::check(&|| Box::new(Stage::prepared(Some(LOCK))));
}

/// A server that answers ranges with everything is understood.
///
/// Method: the common suite.
#[test]
fn s3_store_conforms_without_ranges() {
    conformance::check(&|| {
        let stage = Stage::prepared(None);
        stage.server.bucket().ranges = false;
        Box::new(stage)
    });
}

/// A bucket that can't hold a repository is refused, and what it lacks is said.
///
/// Method: take away one thing after the other, the last being a condition that
/// the server takes and ignores.
#[test]
fn unfit_buckets_are_refused() {
    let lacks = |stage: &Stage| {
        let error = stage.store.prepare().expect_err("it is unfit");
        assert_eq!(error.class(), ErrorClass::Unsupported, "{error:?}");
        error.to_string()
    };
    let stage = Stage::new(None);
    stage.server.bucket().versioning = false;
    assert!(lacks(&stage).contains("versioning is not switched on"));

    let stage = Stage::new(Some(LOCK));
    stage.server.bucket().locking = false;
    assert!(lacks(&stage).contains("Object Lock is not switched on"));

    let stage = Stage::new(None);
    stage.server.bucket().conditional = false;
    assert!(lacks(&stage).contains("If-None-Match"));
    assert!(!stage.store().capabilities().conditional_create);

    let stage = Stage::prepared(None);
    assert!(stage.store().capabilities().conditional_create);
    let canaries = stage.server.bucket().keys().cloned().collect::<Vec<_>>();
    assert_eq!(canaries.len(), 1);
    assert!(canaries[0].starts_with(&format!("{PREFIX}/canary/")));

    let stage = Stage::new(None);
    stage
        .server
        .decide(|_, _| Fate::Refused(404, "NoSuchBucket"));
    let error = stage.store.prepare().expect_err("there is no bucket");
    assert!(
        matches!(error, StoreError::BucketMissing { .. }),
        "{error:?}"
    );
}
