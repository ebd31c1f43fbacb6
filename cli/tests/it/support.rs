//! A world of its own for each test: a repository, a home and a state below one
//! temporary directory, and the built binary run in a clean environment.

pub(crate) mod mounted;
mod ran;
pub(crate) mod worm;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

pub(crate) use ran::Ran;

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// Where Debian keeps programs, and nothing of the user's own: a directory that
/// may not be searched would change how an absent program is told.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a test happens.
pub(crate) struct World {
    dir: TempDir,
}

impl World {
    /// A place without a repository.
    pub(crate) fn empty() -> Self {
        let dir = TempDir::new().expect("a temporary directory can be made");
        fs::create_dir(dir.path().join("home")).expect("the directory is empty");
        Self { dir }
    }

    /// A place with a repository that has no snapshots.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.init(&world.repository());
        world
    }

    /// A place with a repository, and a write key for every NAME.
    pub(crate) fn with_write_key() -> (Self, PathBuf) {
        let world = Self::new();
        let key = world.key("write", &["--names", "*"]);
        (world, key)
    }

    /// Makes a repository that opens with [`PASSPHRASE`].
    pub(crate) fn init(&self, place: &Path) {
        self.indelible(["init", "--derivation-memory", "1", "--repo"])
            .arg(place)
            .run()
            .exits(0);
    }

    /// A path below the temporary directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("the directory can be made");
        }
        fs::write(&path, bytes).expect("the file can be written");
        path
    }

    /// A new key file with these rights.
    pub(crate) fn key(&self, rights: &str, options: &[&str]) -> PathBuf {
        let taken = fs::read_dir(self.dir.path()).map_or(0, Iterator::count);
        let out = self.path(format!("{rights}-{taken}.key"));
        self.indelible(["key", "add", "--rights", rights, "--out"])
            .arg(&out)
            .args(options)
            .run()
            .exits(0);
        out
    }

    /// The binary with its arguments, the passphrase that has every right, and
    /// nothing of the environment that the tests run in.
    pub(crate) fn indelible<I>(&self, args: I) -> Run
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        self.through(&[], args)
    }

    /// The same, started by another program that takes a command line.
    pub(crate) fn through<I>(&self, wrapper: &[&str], args: I) -> Run
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let mut words = wrapper.iter().map(OsString::from).collect::<Vec<_>>();
        words.push(env!("CARGO_BIN_EXE_indelible").into());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(args)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.path("home"))
            .env("TZ", "UTC")
            .env("INDELIBLE_STATE_DIR", self.state())
            .env("INDELIBLE_REPO", self.repository())
            .env("INDELIBLE_PASSPHRASE", PASSPHRASE)
            .current_dir(self.dir.path());
        Run { command }
    }

    /// The binary in the hands of a user whom the permissions of files bind:
    /// root is stripped of the capability to ignore them.
    pub(crate) fn bound_by_permissions<I>(&self, args: I) -> Run
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        if rustix::process::geteuid().is_root() {
            self.through(&["setpriv", "--bounding-set=-all"], args)
        } else {
            self.indelible(args)
        }
    }

    /// The objects in a part of the repository, sorted by name.
    pub(crate) fn objects(&self, area: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.repository().join(area)];
        while let Some(dir) = open.pop() {
            let Ok(entries) = fs::read_dir(&dir) else {
                continue;
            };
            for entry in entries {
                let path = entry.expect("the directory can be read").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

/// The binary, about to be run.
pub(crate) struct Run {
    command: Command,
}

impl Run {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        self.command.args(args);
        self
    }

    /// With this key file, and no passphrase.
    pub(crate) fn key(self, file: &Path) -> Self {
        self.without_key().env("INDELIBLE_KEY_FILE", file)
    }

    pub(crate) fn without_key(mut self) -> Self {
        self.command.env_remove("INDELIBLE_PASSPHRASE");
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it, with pipes to all three streams.
    pub(crate) fn start(mut self) -> Child {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} did not start: {error}", self.command))
    }

    /// Runs it to its end, without input.
    pub(crate) fn run(self) -> Ran {
        self.feed(&[])
    }

    /// Runs it to its end, with this input.
    pub(crate) fn feed(self, input: &[u8]) -> Ran {
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let mut child = self.start();
        let mut stdin = child.stdin.take().expect("it was piped");
        let output = thread::scope(|scope| {
            // Whoever fails early does not take all of it.
            scope.spawn(move || {
                let _ = stdin.write_all(input);
            });
            child.wait_with_output()
        });
        Ran::new(shown, output.expect("its end can be awaited"))
    }
}

/// Waits for the end of something that was started, and reads what it printed.
pub(crate) fn end_of(child: Child) -> Ran {
    let output: Output = child.wait_with_output().expect("its end can be awaited");
    Ran::new("started".to_owned(), output)
}

/// Bytes that nothing compresses and that one seed repeats.
pub(crate) fn noise(seed: u64, len_bytes: usize) -> Vec<u8> {
    // xorshift64* (Vigna 2016). Its state must not be zero.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len_bytes + 8);
    while bytes.len() < len_bytes {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(len_bytes);
    bytes
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("--archive")
        .args([from, to])
        .status();
    assert!(copied.expect("cp can be started").success());
}

/// Gives everything below a path, and itself, the permissions that `chmod` reads.
pub(crate) fn chmod(mode: &str, path: &Path) {
    let changed = Command::new("chmod")
        .args(["--recursive", mode])
        .arg(path)
        .status();
    assert!(changed.expect("chmod can be started").success());
}

/// Changes an object in place, which no operation of the program does.
pub(crate) fn alter(object: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(object).expect("the object can be read");
    change(&mut bytes);
    let open = fs::Permissions::from_mode(0o600);
    fs::set_permissions(object, open).expect("the object is ours");
    fs::write(object, bytes).expect("the object can be written");
}
