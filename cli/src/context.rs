//! What every command begins with: which repository, with what key, and what
//! this machine remembers.
//!
//! Options beat the environment, and a key file beats a passphrase. Nothing is
//! taken from the current directory.

use std::env;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use indelible_engine::env::Env;
use indelible_engine::keys::Credential;
use indelible_engine::pace::Limits;
use indelible_engine::read::ReadError;
use indelible_engine::repository::{OpenError, Repository, SeenLog, read_log};
use indelible_engine::state::{State, StateError};
use indelible_format::history::Continuity;
use indelible_format::key_file::{KEY_FILE_BYTES_MAX, KeyFile};
use zeroize::Zeroizing;

use crate::args::Common;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::{Place, Store};

const FORGETFUL: &str = "this machine will remember nothing of the repository";

/// The options of every command, and the world that they stand for.
pub(crate) struct Context {
    pub(crate) common: Common,
    pub(crate) env: Env,
    /// How fast bytes go to stores and come from them.
    pub(crate) limits: Limits,
}

/// A repository opened by a command.
pub(crate) type Opened<'s> = Repository<'s, Store>;

impl Context {
    pub(crate) fn new(common: Common) -> Self {
        let env = Env::system();
        Self {
            limits: common.limited.limits(&env),
            common,
            env,
        }
    }

    /// Where the repository is.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        let place = self
            .common
            .repo
            .as_deref()
            .filter(|place| !place.is_empty())
            .ok_or_else(|| {
                Failure::usage("no repository was named")
                    .hint("name it with --repo PLACE or INDELIBLE_REPO")
            })?;
        Place::parse(place)
    }

    /// The store of an existing repository.
    pub(crate) fn store(&self) -> Result<Arc<Store>, Failure> {
        let place = self.place()?;
        self.note_limits(&[&place]);
        place.open(&self.env, &self.limits)
    }

    /// Says so where limits were given, and all that a command deals with are directories:
    /// for a host's limits stand in its environment, and hold wherever they can.
    pub(crate) fn note_limits(&self, places: &[&Place]) {
        let is_directory = |place: &&Place| matches!(place, Place::Directory(_));
        if !self.limits.is_none() && places.iter().all(is_directory) {
            output::note(
                self,
                "limits of upload and download hold for S3 and ssh, and not for a directory",
            );
        }
    }

    /// What this machine remembers. Without it much still works, so a directory
    /// that can't be used is a warning.
    pub(crate) fn state(&self) -> Option<State> {
        let opened = match self.state_dir() {
            Some(dir) => State::open(dir).map_err(Failure::from),
            None => Err(
                Failure::new(Exit::Failed, "there is no home directory to keep state in")
                    .hint("name a directory with --state-dir (or INDELIBLE_STATE_DIR)"),
            ),
        };
        match opened {
            Ok(state) => Some(state),
            Err(failure) => {
                output::warn_failure(self, &failure.context(FORGETFUL));
                None
            }
        }
    }

    fn state_dir(&self) -> Option<PathBuf> {
        if let Some(dir) = &self.common.state_dir {
            return Some(dir.clone());
        }
        let base = env::var_os("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute());
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".local/state"));
        Some(base.or_else(home)?.join("indelible"))
    }

    /// Opens the repository, and warns of what its log shows.
    pub(crate) fn open<'s>(&self, store: &'s Arc<Store>) -> Result<Opened<'s>, Failure> {
        let repository = self.open_unwarned(store)?;
        self.warn_of_log(&repository);
        Ok(repository)
    }

    /// Opens the repository for a command that itself tells what its log shows.
    pub(crate) fn open_unwarned<'s>(&self, store: &'s Arc<Store>) -> Result<Opened<'s>, Failure> {
        let credential = self.credential()?;
        let repository = self
            .with_state(|state| Repository::open(&**store, state, &credential, self.env.clone()))?;
        if let Some(error) = repository.unremembered() {
            self.warn_of_state(error);
        }
        Ok(repository)
    }

    /// Reads the log without opening a key. A key file, if one was named, says
    /// where the log stood.
    pub(crate) fn read_log(&self, store: &Arc<Store>) -> Result<SeenLog, Failure> {
        let file = self.common.key_file.as_deref();
        let file = file.map(|path| self.read_key_file(path)).transpose()?;
        self.with_state(|state| read_log(&**store, state, file.as_ref()))
    }

    /// Opens something with what this machine remembers, or without if that can't
    /// be read: a full or unwritable disk of this machine is no reason to go
    /// without a backup tonight.
    fn with_state<T>(
        &self,
        open: impl Fn(Option<&State>) -> Result<T, OpenError>,
    ) -> Result<T, Failure> {
        match open(self.state().as_ref()) {
            Err(OpenError::State(error @ StateError::Io { .. })) => {
                self.warn_of_state(&error);
                Ok(open(None)?)
            }
            opened => Ok(opened?),
        }
    }

    /// Says that this machine will remember nothing.
    pub(crate) fn warn_of_state(&self, error: &StateError) {
        output::warn_failure(self, &Failure::from(error).context(FORGETFUL));
    }

    fn warn_of_log(&self, repository: &Opened<'_>) {
        let problems = repository.seen().unknown_problems().count();
        if problems > 0 {
            let objects = if problems == 1 {
                "1 problem"
            } else {
                &format!("{problems} problems")
            };
            output::warn(
                self,
                &format!("the log has {objects}: run `indelible verify`"),
            );
        }
        match repository.continuity() {
            Continuity::Extends => {}
            Continuity::Unpinned => output::note(
                self,
                "this machine sees the repository for the first time: freshness unverified",
            ),
            Continuity::Behind { shown, remembered } => output::warn(
                self,
                &format!(
                    "the log has {shown} entries, and this machine saw {remembered}: rolled back, or a mirror that is behind"
                ),
            ),
            Continuity::Forked { at } => output::warn(
                self,
                &format!(
                    "the log is not the one that was seen before, at entry {at} or earlier: it was forked"
                ),
            ),
        }
    }

    /// Whether any credential was given, without asking for one.
    pub(crate) fn has_credential(&self) -> bool {
        let common = &self.common;
        common.key_file.is_some()
            || common.passphrase_file.is_some()
            || common.passphrase_command.is_some()
            || env::var_os("INDELIBLE_PASSPHRASE").is_some()
    }

    /// The credential that was given, or asked for on a terminal.
    pub(crate) fn credential(&self) -> Result<Credential, Failure> {
        if let Some(path) = &self.common.key_file {
            return Ok(Credential::KeyFile(Box::new(self.read_key_file(path)?)));
        }
        if let Some(passphrase) = self.given_passphrase()? {
            return Ok(Credential::Passphrase(passphrase));
        }
        if io::stdin().is_terminal() {
            return Ok(Credential::Passphrase(ask("Passphrase: ")?));
        }
        Err(Failure::new(Exit::Key, "no key was given").hint(
            "use --key-file (INDELIBLE_KEY_FILE), INDELIBLE_PASSPHRASE, --passphrase-file or --passphrase-command",
        ))
    }

    /// A passphrase from an option or the environment.
    pub(crate) fn given_passphrase(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        if let Some(path) = &self.common.passphrase_file {
            let text = fs::read_to_string(path)
                .map(Zeroizing::new)
                .map_err(|error| {
                    Failure::io(
                        format!("read the passphrase from {}", path.display()),
                        &error,
                    )
                })?;
            return first_line(&text, &path.display().to_string()).map(Some);
        }
        if let Some(command) = &self.common.passphrase_command {
            let output = Command::new("/bin/sh")
                .args(["-c", command])
                .stdin(Stdio::inherit())
                .stderr(Stdio::inherit())
                .output()
                .map_err(|error| Failure::io("run the passphrase command", &error))?;
            let text = Zeroizing::new(String::from_utf8_lossy(&output.stdout).into_owned());
            if !output.status.success() {
                return Err(Failure::new(
                    Exit::Key,
                    format!("the passphrase command failed: {}", output.status),
                ));
            }
            return first_line(&text, "the passphrase command").map(Some);
        }
        match env::var("INDELIBLE_PASSPHRASE") {
            Ok(passphrase) => {
                first_line(&Zeroizing::new(passphrase), "INDELIBLE_PASSPHRASE").map(Some)
            }
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => {
                Err(Failure::new(Exit::Key, "INDELIBLE_PASSPHRASE is not UTF-8"))
            }
        }
    }

    /// Reads a key file, and refuses one that others may write.
    pub(crate) fn read_key_file(&self, path: &Path) -> Result<KeyFile, Failure> {
        let failed = |error: io::Error| {
            let mut failure = Failure::io(format!("read the key file {}", path.display()), &error);
            failure.exit = Exit::Key;
            failure
        };
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode();
        if mode & 0o022 != 0 {
            return Err(Failure::new(
                Exit::Key,
                format!(
                    "others may write the key file {} (mode {:04o})",
                    path.display(),
                    mode & 0o7777
                ),
            )
            .hint(format!("make it yours alone: chmod 600 {}", path.display())));
        }
        if mode & 0o044 != 0 {
            output::warn(
                self,
                &format!(
                    "others may read the key file {}: chmod 600 it",
                    path.display()
                ),
            );
        }
        let mut text = Zeroizing::new(String::new());
        file.take(KEY_FILE_BYTES_MAX as u64)
            .read_to_string(&mut text)
            .map_err(failed)?;
        KeyFile::decode(&text).map_err(|error| {
            Failure::new(
                Exit::Key,
                format!("{} is not a usable key file", path.display()),
            )
            .hint(error.to_string())
        })
    }
}

/// Refuses a key that may not look into snapshots.
pub(crate) fn needs_verify(repository: &Opened<'_>) -> Result<(), Failure> {
    if repository.key().verify.is_some() {
        Ok(())
    } else {
        Err(ReadError::NotAllowed { needed: "verify" }.into())
    }
}

fn first_line(text: &str, from: &str) -> Result<Zeroizing<String>, Failure> {
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(Failure::new(
            Exit::Key,
            format!("{from} holds no passphrase"),
        )),
    }
}

/// Asks on the terminal, without echo.
pub(crate) fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| Failure::io("read the passphrase from the terminal", &error))
}
