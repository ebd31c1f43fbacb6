//! What the tests of whole repositories share: a repository in memory that is
//! cheap to open, sources made of nothing, and restores into memory.

mod forge;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use indelible_engine::cancel::Cancel;
use indelible_engine::env::{Env, ManualClock, SeededEntropy};
use indelible_engine::keys::{Credential, KeyRequest, NewRepository};
use indelible_engine::progress::{Note, Progress, Silent};
use indelible_engine::read::Reader;
use indelible_engine::repository::{Repository, Snapshot};
use indelible_engine::restore::Restore;
use indelible_engine::snapshot::{
    self, COMPRESSION_LEVEL, Input, Request, SnapshotRunError, Summary,
};
use indelible_engine::source::{Item, stream_path};
use indelible_engine::state::State;
use indelible_engine::store::{AppendStore, MemoryStore, ObjectKey, ReadStore};
use indelible_engine::verify::{self, Report, Terms};
use indelible_format::attest::Level;
use indelible_format::bundle::KeyBundle;
use indelible_format::genesis::ChunkerParameters;
use indelible_format::grant::GrantFacts;
use indelible_format::ids::PackId;
use indelible_format::key_file::KeyFile;
use indelible_format::manifest::Source;
use indelible_format::name::{Name, Pattern};
use indelible_format::path::EntryPath;
use indelible_format::rights::Rights;
use indelible_format::slot::Cost;
use std::sync::Mutex;
use zeroize::Zeroizing;

pub(crate) use forge::{
    Forged, attest, authorize, authorize_body, deltas, draft_at, draft_snapshot, forge_snapshot,
    revoke, share_domain, tree, write_key_beside,
};

/// Chunks of about a kilobyte, so that a repository of many is small.
pub(crate) const CHUNKER: ChunkerParameters = ChunkerParameters {
    min: 256,
    average: 1_024,
    max: 4_096,
    normalization: 1,
};

/// The smallest chunks that the format allows, so that packs fill up (8,192
/// chunks) with little.
pub(crate) const FINE: ChunkerParameters = ChunkerParameters {
    min: 64,
    average: 256,
    max: 512,
    normalization: 1,
};

const PASSPHRASE: &str = "correct horse battery staple";

/// 2026-11-22T03:00:00Z.
pub(crate) const START_UNIX_MS: u64 = 1_795_316_400_000;

/// A repository in memory, and what opens it.
pub(crate) struct Fixture {
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) env: Env,
    /// The key with every right.
    pub(crate) recovery: Credential,
    /// What that key holds.
    pub(crate) bundle: KeyBundle,
}

impl Fixture {
    /// A repository whose secrets follow from the seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_chunker(seed, CHUNKER)
    }

    /// The same, with these chunk sizes.
    pub(crate) fn with_chunker(seed: u64, chunker: ChunkerParameters) -> Self {
        let clock = Arc::new(ManualClock::new(START_UNIX_MS));
        let env = Env {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(SeededEntropy::new(seed)),
        };
        let store = MemoryStore::new();
        let new = new_repository(&env, chunker);
        new.create(&store).expect("the store is empty");
        Self {
            store,
            clock,
            env,
            recovery: recovery(),
            bundle: new.bundle().clone(),
        }
    }

    /// Opened with every right, and without a memory.
    pub(crate) fn open(&self) -> Repository<'_, MemoryStore> {
        self.open_as(&self.recovery)
    }

    /// Opened with some key, and without a memory.
    pub(crate) fn open_as(&self, credential: &Credential) -> Repository<'_, MemoryStore> {
        Repository::open(&self.store, None, credential, self.env.clone())
            .expect("the repository opens")
    }

    /// Opened with every right, by a client that remembers.
    pub(crate) fn open_with(&self, state: &State) -> Repository<'_, MemoryStore> {
        Repository::open(&self.store, Some(state), &self.recovery, self.env.clone())
            .expect("the repository opens")
    }

    /// Authorises a key, and gives its key file.
    pub(crate) fn add_key(&self, rights: Rights, patterns: &[&str]) -> Credential {
        self.add_expiring_key(rights, patterns, None)
    }

    /// Authorises a key that ends.
    pub(crate) fn add_expiring_key(
        &self,
        rights: Rights,
        patterns: &[&str],
        expires_ms: Option<u64>,
    ) -> Credential {
        let mut repository = self.open();
        let request = KeyRequest {
            expires_ms,
            ..key_request(rights, patterns)
        };
        let new = repository.add_key(request).expect("the key is authorised");
        key_file(&repository, new.bundle())
    }

    /// Takes a snapshot with every right.
    pub(crate) fn snapshot(&self, name: &str, items: Vec<Item>) -> Summary {
        take(&mut self.open(), name, items).expect("the snapshot is committed")
    }

    /// Takes a snapshot of one stream, with every right.
    pub(crate) fn snapshot_of(&self, name: &str, bytes: &[u8]) -> Summary {
        self.snapshot(name, vec![stream("dump.sql", bytes)])
    }

    /// Verifies with every right.
    pub(crate) fn verify(&self, level: Level) -> Report {
        verify_with(&self.open(), level)
    }
}

/// The fixtures' passphrase.
pub(crate) fn recovery() -> Credential {
    Credential::Passphrase(Zeroizing::new(PASSPHRASE.to_owned()))
}

/// A repository that is not created yet, which the fixtures' passphrase opens.
pub(crate) fn new_repository(env: &Env, chunker: ChunkerParameters) -> NewRepository {
    NewRepository::prepare(env, PASSPHRASE, Cost::CHEAPEST, chunker)
        .expect("the parameters are within the format's limits")
}

/// Verifies at any level, everything that it has.
pub(crate) fn verify_with<S: ReadStore>(repository: &Repository<'_, S>, level: Level) -> Report {
    verify_on(repository, level, &Terms::default())
}

/// Verifies at any level, on these terms.
pub(crate) fn verify_on<S: ReadStore>(
    repository: &Repository<'_, S>,
    level: Level,
    terms: &Terms<'_>,
) -> Report {
    let report = if level == Level::Packs {
        let (store, seen, env) = (repository.store(), repository.seen(), repository.env());
        verify::packs(store, seen, terms, env, &Silent)
    } else {
        verify::with_key(repository, level, terms, &Silent)
    };
    report.expect("the store can be listed")
}

/// A request for a key that may write these NAMEs.
pub(crate) fn key_request(rights: Rights, patterns: &[&str]) -> KeyRequest {
    let pattern = |text: &&str| Pattern::new(text.as_bytes()).expect("a pattern");
    KeyRequest {
        rights,
        facts: GrantFacts::new("test", patterns.iter().map(pattern).collect()).expect("facts"),
        expires_ms: None,
        strict: false,
    }
}

/// A key file that is issued at the log's present end.
pub(crate) fn key_file<S: ReadStore>(
    repository: &Repository<'_, S>,
    bundle: &KeyBundle,
) -> Credential {
    Credential::KeyFile(Box::new(KeyFile {
        repository: repository.id(),
        size: repository.history().size(),
        root: repository.history().root(),
        bundle: bundle.clone(),
    }))
}

/// A host that backs up, with what it keeps.
pub(crate) struct Client {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) state: State,
}

impl Client {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(dir.path()).expect("it is writable");
        Self { dir, state }
    }

    /// Another host that keeps the same.
    pub(crate) fn again(&self) -> Self {
        fn copy(from: &std::path::Path, to: &std::path::Path) {
            std::fs::create_dir_all(to).expect("it is writable");
            for entry in std::fs::read_dir(from).expect("a directory") {
                let entry = entry.expect("an entry");
                let to = to.join(entry.file_name());
                if entry.path().is_dir() {
                    copy(&entry.path(), &to);
                } else {
                    std::fs::copy(entry.path(), to).expect("it can be copied");
                }
            }
        }
        let other = Self::new();
        copy(self.dir.path(), other.dir.path());
        other
    }

    /// The files of all chunk lists.
    pub(crate) fn lists(&self) -> Vec<PathBuf> {
        let below = |dir: PathBuf| {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.path())
        };
        let repositories = below(self.dir.path().to_path_buf());
        let series = repositories.flat_map(|dir| below(dir.join("chunks")));
        let mut files: Vec<PathBuf> = series.flat_map(below).collect();
        files.sort();
        files
    }
}

/// A stream as an item.
pub(crate) fn stream(path: &str, bytes: &[u8]) -> Item {
    Item::Stream {
        path: stream_path(path.as_bytes().to_vec()).expect("a path"),
        reader: Box::new(Cursor::new(bytes.to_vec())),
    }
}

/// What a snapshot of this NAME is asked for with.
pub(crate) fn request(name: &str) -> Request {
    Request {
        name: Name::new(name.as_bytes()).expect("a NAME"),
        host: Some("db1".to_owned()),
        labels: Vec::new(),
        source: Source::Stdin,
        program: None,
        level: COMPRESSION_LEVEL,
        delta: true,
        keep_packs: None,
        lock: true,
    }
}

/// Takes a snapshot.
pub(crate) fn take<S: AppendStore>(
    repository: &mut Repository<'_, S>,
    name: &str,
    items: Vec<Item>,
) -> Result<Summary, SnapshotRunError> {
    run(repository, name, Input::Items(items), &Silent)
}

/// Takes a snapshot of one stream.
pub(crate) fn take_stream<S: AppendStore>(
    repository: &mut Repository<'_, S>,
    name: &str,
    bytes: &[u8],
) -> Result<Summary, SnapshotRunError> {
    take(repository, name, vec![stream("dump.sql", bytes)])
}

/// Takes a snapshot of any input, and reports.
pub(crate) fn run<S: AppendStore>(
    repository: &mut Repository<'_, S>,
    name: &str,
    input: Input,
    progress: &dyn Progress,
) -> Result<Summary, SnapshotRunError> {
    snapshot::run(repository, &request(name), input, &Cancel::new(), progress)
}

/// The snapshot with this number.
pub(crate) fn snapshot_at<S: ReadStore>(repository: &Repository<'_, S>, number: u64) -> Snapshot {
    let entry = &repository.history().entries[&number];
    repository.snapshot(entry).expect("the snapshot is shown")
}

/// The numbers of the snapshots that are shown and not refused.
pub(crate) fn listed<S: ReadStore>(repository: &Repository<'_, S>) -> Vec<u64> {
    let snapshots = repository.snapshots().into_iter().flatten();
    snapshots
        .filter(|snapshot| snapshot.refused.is_none())
        .map(|snapshot| snapshot.number)
        .collect()
}

/// Contents by path.
pub(crate) type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// Everything that has content in a snapshot, restored; or why not.
pub(crate) fn restore<S: ReadStore>(
    repository: &Repository<'_, S>,
    number: u64,
) -> Result<Contents, String> {
    let entry = repository.history().entries.get(&number);
    let entry = entry.ok_or("the log has no such entry")?;
    let snapshot = repository.snapshot(entry).map_err(|error| chain(&error))?;
    let (listings, _) = repository.listings();
    let reader = Reader::new(repository, &listings, snapshot.binding.domain)
        .map_err(|error| chain(&error))?;
    let cancel = Cancel::new();
    let restore = Restore::new(repository, &listings, &snapshot, &cancel, &Silent)
        .map_err(|error| chain(&error))?;
    let mut contents = Contents::new();
    let entries = reader.entries(&snapshot.manifest.list);
    for entry in entries.map_err(|error| chain(&error))? {
        let (entry, _) = entry.map_err(|error| chain(&error))?;
        if entry.content().is_some() {
            let mut bytes = Vec::new();
            restore
                .to_writer(Some(&entry.path), &mut bytes)
                .map_err(|error| chain(&error))?;
            contents.insert(entry.path.as_bytes().to_vec(), bytes);
        }
    }
    Ok(contents)
}

/// The one stream of a snapshot that [`Fixture::snapshot_of`] took.
pub(crate) fn restore_stream<S: ReadStore>(
    repository: &Repository<'_, S>,
    number: u64,
) -> Result<Vec<u8>, String> {
    let mut contents = restore(repository, number)?;
    contents
        .remove(&b"dump.sql"[..])
        .ok_or_else(|| "the snapshot has no dump.sql".to_owned())
}

/// An error with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Bytes without any pattern, that follow from the seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Rows as a dump tool prints them: about 60 bytes each, compressible.
pub(crate) fn rows(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let row = |number: u64| {
        let hash = blake3::hash(&number.to_le_bytes()).to_hex();
        format!(
            "INSERT INTO orders VALUES ({number}, '{}', 'open');\n",
            &hash[..16]
        )
    };
    numbers
        .into_iter()
        .map(row)
        .collect::<String>()
        .into_bytes()
}

/// The packs in a store.
pub(crate) fn packs(store: &MemoryStore) -> Vec<PackId> {
    let keys = store.keys().into_iter();
    keys.filter_map(|key| match key {
        ObjectKey::Pack(id) => Some(id),
        _ => None,
    })
    .collect()
}

/// The bytes of an object.
pub(crate) fn object(store: &MemoryStore, key: &ObjectKey) -> Vec<u8> {
    store.read(key, u64::MAX).expect("the object exists")
}

/// A path in a snapshot.
pub(crate) fn path(bytes: &[u8]) -> EntryPath {
    EntryPath::new(bytes).expect("a path")
}

/// Keeps every note.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<Note>>);

impl Notes {
    pub(crate) fn taken(&self) -> Vec<Note> {
        std::mem::take(&mut self.0.lock().expect("no panic before"))
    }
}

impl Progress for Notes {
    fn note(&self, note: Note) {
        self.0.lock().expect("no panic before").push(note);
    }
}
