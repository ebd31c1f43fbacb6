//! A repository in a directory of its own, used through the engine's API, and what can
//! be said of what lies in it.
//!
//! Snapshots are taken with a key that may only write, as hosts have it, and everything
//! else is done with the recovery passphrase. Each operation opens the repository anew,
//! as a run of the program does. Keys are drawn from a seed, so that the same dumps are
//! cut alike in each run: they protect nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use indelible_engine::cancel::Cancel;
use indelible_engine::env::{Clock as _, Env, SeededEntropy, SystemClock};
use indelible_engine::keys::{Credential, KeyRequest, NewRepository};
use indelible_engine::pack::SealedDirectory;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::restore::Restore;
use indelible_engine::snapshot::{self, Input, Request};
use indelible_engine::source::{self, NamedPath};
use indelible_engine::state::State;
use indelible_engine::store::LocalStore;
use indelible_engine::target::Policy;
use indelible_format::coding::Class;
use indelible_format::genesis::ChunkerParameters;
use indelible_format::grant::GrantFacts;
use indelible_format::key_file::KeyFile;
use indelible_format::manifest::Source;
use indelible_format::name::{Name, Pattern};
use indelible_format::rights::Rights;
use indelible_format::slot::Cost;

use crate::measure::{cpu_ms, tree_bytes};

/// It protects what is made up.
const PASSPHRASE: &str = "correct horse battery staple";

/// What every snapshot is called.
const SERIES: &[u8] = b"nights";

/// A repository and what opens it.
pub struct Lab {
    dir: PathBuf,
    store: LocalStore,
    state: State,
    host: Credential,
    recovery: Credential,
    env: Env,
    clock: SystemClock,
}

/// What a snapshot took.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Its number in the log.
    pub number: u64,
    /// How much longer the repository's files became, bytes.
    pub added: u64,
    /// From opening the repository to the end, seconds.
    pub wall: f64,
    /// User and system time of this process meanwhile, seconds.
    pub cpu: f64,
}

/// Chunks of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// How many.
    pub count: u64,
    /// What they take in their packs, bytes.
    pub stored: u64,
    /// What they are, bytes.
    pub plain: u64,
}

impl Chunks {
    fn add(&mut self, stored_len: u32, plain_len: u32) {
        self.count += 1;
        self.stored += u64::from(stored_len);
        self.plain += u64::from(plain_len);
    }
}

/// What lies in the packs that a snapshot added.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contents {
    /// Data coded by itself.
    pub alone: Chunks,
    /// Data coded as deltas.
    pub deltas: Chunks,
    /// Pages and nodes.
    pub tree: Chunks,
    /// The largest count of deltas that decode behind one another.
    pub depth: u8,
}

/// What a restore took.
#[derive(Clone, Copy, Debug)]
pub struct Restored {
    /// Seconds.
    pub wall: f64,
    /// User and system time of this process meanwhile, seconds.
    pub cpu: f64,
    /// BLAKE3 of the file that came back.
    pub hash: blake3::Hash,
}

impl Lab {
    /// Makes a repository below a directory that must not exist. Snapshots are taken
    /// with a key of these rights, the write right among them. The seed decides where
    /// chunks are cut.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn new(
        dir: &Path,
        chunker: ChunkerParameters,
        rights: Rights,
        seed: u64,
    ) -> anyhow::Result<Self> {
        fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let env = Env {
            entropy: Arc::new(SeededEntropy::new(seed)),
            ..Env::system()
        };
        let new = NewRepository::prepare(&env, PASSPHRASE, Cost::CHEAPEST, chunker)?;
        let store = LocalStore::create(&dir.join("repository"), env.entropy.clone())?;
        new.create(&store)?;
        let state = State::open(dir.join("state"))?;
        let recovery = Credential::Passphrase(PASSPHRASE.to_owned().into());
        let host = {
            let mut repository = Repository::open(&store, Some(&state), &recovery, env.clone())?;
            let every_name = Pattern::new(b"*").expect("it is a pattern");
            let new = repository.add_key(KeyRequest {
                rights,
                facts: GrantFacts::new("host", vec![every_name]).expect("it is short"),
                expires_ms: None,
                strict: false,
            })?;
            let history = repository.history();
            Credential::KeyFile(Box::new(KeyFile {
                repository: repository.id(),
                size: history.size(),
                root: history.root(),
                bundle: new.bundle().clone(),
            }))
        };
        Ok(Self {
            dir,
            store,
            state,
            host,
            recovery,
            env,
            clock: SystemClock::new(),
        })
    }

    /// Takes a snapshot of a file, each time the next of the same series.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn snapshot(&self, file: &Path, level: i32, delta: bool) -> anyhow::Result<Stored> {
        let repository_dir = self.dir.join("repository");
        let before = tree_bytes(&repository_dir)?;
        let (began, cpu) = self.times();
        let mut repository = self.open(&self.host)?;
        let items = source::list(&[NamedPath {
            path: file.to_owned(),
            as_name: None,
        }])?
        .items;
        let request = Request {
            name: Name::new(SERIES).expect("it is a NAME"),
            host: None,
            labels: Vec::new(),
            source: Source::Paths(vec![file.to_string_lossy().into_owned()]),
            program: None,
            level,
            delta,
            keep_packs: None,
            lock: true,
        };
        let input = Input::Items(items);
        let summary = snapshot::run(&mut repository, &request, input, &Cancel::new(), &Silent)?;
        let (ended, cpu_then) = self.times();
        Ok(Stored {
            number: summary.number,
            added: tree_bytes(&repository_dir)?.saturating_sub(before),
            wall: ended - began,
            cpu: cpu_then - cpu,
        })
    }

    /// What lies in the packs that a snapshot's entry lists, by their directories.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn contents(&self, number: u64) -> anyhow::Result<Contents> {
        // The packs are those of this key's domain.
        let repository = self.open(&self.host)?;
        let write = repository.key().write.as_ref();
        let index_key = &write.context("the host's key may not write")?.index;
        let mut contents = Contents::default();
        let (listings, _) = repository.listings();
        for listed in listings.packs().filter(|listed| listed.entry == number) {
            let sealed = SealedDirectory::fetch(&self.store, &listed.pack.id, listed.pack.len)?;
            for record in sealed.open(index_key)?.directory.records {
                let chunks = match (record.known_class(), record.depth) {
                    (Some(Class::Data), 0) => &mut contents.alone,
                    (Some(Class::Data), _) => &mut contents.deltas,
                    _ => &mut contents.tree,
                };
                chunks.add(record.stored_len, record.plain_len);
                contents.depth = contents.depth.max(record.depth);
            }
        }
        Ok(contents)
    }

    /// Restores a snapshot's only file to the disk, and hashes it there.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn restore(&self, number: u64) -> anyhow::Result<Restored> {
        let target = self.dir.join("restored");
        let (began, cpu) = self.times();
        let repository = self.open(&self.recovery)?;
        let mut snapshots = repository.snapshots().into_iter().flatten();
        let snapshot = snapshots.find(|snapshot| snapshot.number == number);
        let snapshot = snapshot.with_context(|| format!("snapshot {number} is not listed"))?;
        let (listings, _) = repository.listings();
        let cancel = Cancel::new();
        let restore = Restore::new(&repository, &listings, &snapshot, &cancel, &Silent)?;
        restore.to_directory(&target, &[], Policy { overwrite: false })?;
        let (ended, cpu_then) = self.times();
        let files = crate::measure::files_below(&target)?;
        anyhow::ensure!(files.len() == 1, "{} files were restored", files.len());
        let hash = hash_file(&files[0])?;
        fs::remove_dir_all(&target)?;
        Ok(Restored {
            wall: ended - began,
            cpu: cpu_then - cpu,
            hash,
        })
    }

    fn open(&self, credential: &Credential) -> anyhow::Result<Repository<'_, LocalStore>> {
        let (state, env) = (Some(&self.state), self.env.clone());
        Ok(Repository::open(&self.store, state, credential, env)?)
    }

    /// What the clock on the wall and the processors say, seconds.
    fn times(&self) -> (f64, f64) {
        (seconds(self.clock.monotonic_ms()), seconds(cpu_ms()))
    }
}

/// BLAKE3 of a file.
///
/// # Errors
///
/// If it can't be read.
pub fn hash_file(path: &Path) -> anyhow::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    hasher.update_reader(file)?;
    Ok(hasher.finalize())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "runs are far shorter than 2^53 ms"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
