//! What a repository in S3 costs in requests.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use indelible_engine::env::{Env, SeededEntropy};
use indelible_engine::keys::Credential;
use indelible_engine::log::{self, Signed};
use indelible_engine::repository::{Repository, read_log};
use indelible_engine::state::State;
use indelible_engine::store::{ObjectKey, S3Store};
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::ids::LogHash;
use indelible_format::rights::Rights;
use tempfile::TempDir;

use super::{PATIENCE, PREFIX, Stage, open};
use crate::log_bundles::long;
use crate::support::{
    CHUNKER, key_file, key_request, new_repository, noise, object, recovery, restore_stream,
    take_stream, verify_with,
};

/// A repository in S3, a host's key for it, and what the host keeps.
struct Site {
    stage: Stage,
    env: Env,
    recovery: Credential,
    host: Credential,
    directory: TempDir,
}

impl Site {
    fn new(seed: u64) -> Self {
        let stage = Stage::prepared(None);
        stage.server.bucket().page_max = 1_000;
        let clock = Arc::clone(&stage.clock);
        let env = Env {
            clock: clock as _,
            entropy: Arc::new(SeededEntropy::new(seed)),
        };
        new_repository(&env, CHUNKER)
            .create(&stage.store)
            .expect("the store is empty");
        let recovery = recovery();
        let mut repository =
            Repository::open(&stage.store, None, &recovery, env.clone()).expect("it opens");
        let added = repository.add_key(key_request(Rights::WRITE, &["*"]));
        let host = key_file(&repository, added.expect("it is authorised").bundle());
        Self {
            stage,
            env,
            recovery,
            host,
            directory: TempDir::new().expect("a temporary directory"),
        }
    }

    fn requests(&self) -> usize {
        self.stage.server.requests().len()
    }

    /// A client of its own, as each run of a program is one.
    fn client(&self) -> S3Store {
        open(&self.stage.server, &self.stage.clock, None, PATIENCE)
    }

    fn state(&self) -> State {
        State::open(self.directory.path()).expect("it is writable")
    }

    /// The host takes a snapshot. Gives its number.
    fn take(&self, bytes: &[u8]) -> u64 {
        let (store, state) = (self.client(), self.state());
        let opened = Repository::open(&store, Some(&state), &self.host, self.env.clone());
        let taken = take_stream(&mut opened.expect("it opens"), "shop", bytes);
        taken.expect("it is committed").number
    }

    /// Reads the log as the host, and says what it holds.
    fn read_log(&self) -> (Vec<LogHash>, usize) {
        let read = read_log(&self.client(), Some(&self.state()), None);
        let history = read.expect("it can be read").history;
        (history.leaves, history.entries.len())
    }

    fn copies(&self) -> PathBuf {
        let mut below: Vec<PathBuf> = vec![self.directory.path().to_owned()];
        while let Some(path) = below.pop() {
            if path.ends_with("log-objects") {
                return path;
            }
            if path.is_dir() {
                let entries = fs::read_dir(&path).expect("it is readable");
                below.extend(entries.map(|entry| entry.expect("an entry").path()));
            }
        }
        panic!("copies of the log are kept");
    }
}

/// An unchanged snapshot takes at most twenty requests, however many packs it reaches and
/// however long the log is.
///
/// Method: a host with a write key and a state takes snapshots that each add packs; then
/// two that add nothing are counted, each with a client of its own, as a timer's are. They
/// must restore.
#[test]
fn an_unchanged_snapshot_takes_few_requests() {
    let site = Site::new(77);
    let mut bytes = Vec::new();
    for seed in 0..30 {
        bytes.extend(noise(seed, 20_000));
        site.take(&bytes);
    }
    for _ in 0..2 {
        let before = site.requests();
        let number = site.take(&bytes);
        let count = site.requests() - before;
        assert!((5..=20).contains(&count), "{count} requests");
        let admin = Repository::open(&site.stage.store, None, &site.recovery, site.env.clone());
        let restored = restore_stream(&admin.expect("it opens"), number);
        assert_eq!(restored.as_deref(), Ok(&bytes[..]));
    }
}

/// Copies of the log that a client keeps change nothing but how much is read, damaged or
/// not, and are made good.
///
/// Method: flip bits in them, cut, extend, exchange and remove them; the log reads as it
/// does without, and the next time few objects of it are asked for.
#[test]
fn copies_of_the_log_change_nothing() {
    let site = Site::new(78);
    for number in 0..6 {
        site.take(&noise(number, 3_000));
    }
    let expected = log::read(&site.client(), &[], &Signed::default()).expect("it can be read");
    let expected = (expected.leaves, expected.entries.len());
    let path = site.copies();
    let sound = fs::read(&path).expect("it is readable");
    let few = || {
        let before = site.requests();
        assert_eq!(site.read_log(), expected);
        site.requests() - before
    };
    assert_eq!(few(), 1, "one list");
    let mut harms: Vec<Vec<u8>> = vec![Vec::new(), noise(9, 5_000), sound.repeat(2)];
    harms.extend((0..sound.len()).step_by(97).map(|at| sound[..at].to_vec()));
    harms.extend((0..sound.len()).step_by(61).map(|at| {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        flipped
    }));
    for harm in harms {
        fs::write(&path, harm).expect("it is writable");
        assert_eq!(site.read_log(), expected);
        assert_eq!(site.read_log(), expected);
        assert_eq!(few(), 1, "it was made good");
    }
    fs::remove_file(&path).expect("it is there");
    assert_eq!(site.read_log(), expected);
    assert_eq!(few(), 1);
}

/// A long log that is opened by its bundles is kept, and read from the copies then, bundles
/// or none; bundles that are wrong keep nothing wrong.
///
/// Method: 520 entries; a client with a state opens them four times: by their bundles, of
/// which one may hold another object; then it knows the log and fetches what it has no
/// copy of; in the end it only lists.
#[test]
fn a_long_log_is_kept() {
    for is_wrong in [false, true] {
        let (fixture, _) = long(741, 520);
        let stage = Stage::new(None);
        stage.server.bucket().page_max = 1_000;
        for key in fixture.store.keys() {
            let mut bytes = object(&fixture.store, &key);
            if is_wrong && key == ObjectKey::Bundle(2) {
                *bytes.last_mut().expect("it has some") ^= 1;
            }
            let path = format!("{PREFIX}/{}", key.path());
            stage.server.bucket().push(&path, Some(&bytes));
        }
        let directory = TempDir::new().expect("a temporary directory");
        let mut counts = Vec::new();
        for _ in 0..4 {
            let before = stage.server.requests().len();
            let memory = State::open(directory.path()).expect("it is writable");
            let store = open(&stage.server, &stage.clock, None, PATIENCE);
            let opened = Repository::open(
                &store,
                Some(&memory),
                &fixture.recovery,
                fixture.env.clone(),
            );
            assert_eq!(opened.expect("it opens").history().entries.len(), 520);
            counts.push(stage.server.requests().len() - before);
        }
        // Without the wrong bundle all else is read once more, at first.
        let again = if is_wrong { 2 * (1 + 256 + 8) } else { 0 };
        assert!(counts[0] <= 2 + 2 * (1 + 2 + 8) + again, "{counts:?}");
        assert!(counts[1] <= 2 + 2 * (2 + 2 + 8) + 4, "{counts:?}");
        assert!(counts[2] < counts[1] || counts[2] == 2, "{counts:?}");
        assert!(counts[3] <= 2, "{counts:?}");
    }
}

/// What was altered behind a client's back it is told by a verification.
///
/// Method: alter an entry in the bucket that the host has a copy of; its snapshots commit,
/// and verifying with its state finds the damage.
#[test]
fn copies_of_the_log_hide_nothing_from_a_verification() {
    let site = Site::new(79);
    site.take(b"first");
    site.take(b"second");
    let altered = ObjectKey::Log(3);
    let path = format!("{PREFIX}/{}", altered.path());
    site.stage.server.bucket().alter(&path);
    let number = site.take(b"third");
    let (store, state) = (site.client(), site.state());
    let opened = Repository::open(&store, Some(&state), &site.recovery, site.env.clone());
    let opened = opened.expect("it opens");
    let report = verify_with(&opened, Level::Data);
    let told: Vec<_> = report
        .problems
        .iter()
        .map(|it| (it.kind, it.object.as_str()))
        .collect();
    assert_eq!(told, [(ProblemKind::DamagedEntry, &*altered.path())]);
    assert_eq!(
        restore_stream(&opened, number).as_deref(),
        Ok(&b"third"[..])
    );
}
