//! A server of ssh for one test: on a port of the loopback, with keys of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::{Run, World};

const PROGRAM: &str = "/usr/sbin/sshd";

/// Runs as long as this lives.
pub(super) struct Sshd {
    process: Child,
    dir: PathBuf,
    port: u16,
}

impl Sshd {
    /// Serves a directory to the hosts `host` and `other`, each on its own account; none
    /// if this machine has no server and need not.
    pub(super) fn start(world: &World, served: &Path, terms: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            let required = std::env::var_os("INDELIBLE_REQUIRE_SERVERS");
            assert!(
                required.is_none_or(|set| set != "1"),
                "a server of ssh is required and not installed"
            );
            eprintln!("SKIPPED: no server of ssh is installed");
            return None;
        }
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("root may make it");
        }
        let dir = world.path("sshd");
        fs::create_dir(&dir).expect("it is new");
        for name in ["server", "host", "other", "none"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]);
            let made = keygen.arg(dir.join(name)).status();
            assert!(made.expect("ssh-keygen is installed").success());
        }
        let public = |name: &str| {
            let text = fs::read_to_string(dir.join(name).with_extension("pub"));
            text.expect("it was made").trim().to_owned()
        };
        let binary = env!("CARGO_BIN_EXE_indelible");
        let lines = ["host", "other"].map(|account| {
            format!(
                "restrict,command=\"{binary} serve --stdio --append-only {} --account {account} {terms}\" {}\n",
                served.display(),
                public(account)
            )
        });
        fs::write(dir.join("authorized_keys"), lines.concat()).expect("it is ours");
        // Free a moment ago; nobody else takes ports that were just given away.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = port.expect("a port is free").port();
        let known = format!("[127.0.0.1]:{port} {}\n", public("server"));
        fs::write(dir.join("known_hosts"), known).expect("it is ours");
        let shown = dir.display();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {shown}/server\nPidFile none\n\
             AuthorizedKeysFile {shown}/authorized_keys\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\n"
        );
        fs::write(dir.join("config"), config).expect("it is ours");
        let mut process = Command::new(PROGRAM)
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is installed");
        let mut says = BufReader::new(process.stderr.take().expect("it was piped")).lines();
        let listens = says.any(|line| line.is_ok_and(|line| line.contains("listening on")));
        assert!(listens, "the server of ssh does not listen");
        // Else it would wait for somebody to read what it says.
        thread::spawn(move || says.for_each(drop));
        Some(Self { process, dir, port })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the served repository.
    pub(super) fn place(&self) -> String {
        format!("ssh://127.0.0.1:{}/ignored", self.port)
    }

    /// The program of ssh with a host's key.
    pub(super) fn program(&self, host: &str) -> String {
        let dir = self.dir.display();
        format!(
            "ssh -F none -oBatchMode=yes -oIdentitiesOnly=yes -oUserKnownHostsFile={dir}/known_hosts -i {dir}/{host}"
        )
    }

    /// A run that reaches the repository as `host`.
    pub(super) fn reach(&self, run: Run) -> Run {
        self.reach_as("host", run)
    }

    /// The same, as another host.
    pub(super) fn reach_as(&self, host: &str, run: Run) -> Run {
        run.env("INDELIBLE_REPO", self.place())
            .env("INDELIBLE_SSH", self.program(host))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
