//! What is recorded while something is done on a simulated disk: every operation
//! of the disk, what was acknowledged when, and what each host remembered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use indelible_engine::env::SeededEntropy;
use indelible_engine::keys::Credential;
use indelible_engine::progress::Silent;
use indelible_engine::snapshot::{Request, Summary};
use indelible_engine::state::State;
use indelible_engine::store::LocalStore;
use indelible_engine::store::local::files::Files;
use indelible_engine::store::local::simulated::{
    FaultyFiles, FileCall, FileCallKind, FileFate, Operation, SimulatedFiles, Survival,
};
use indelible_format::genesis::ChunkerParameters;
use indelible_format::rights::Rights;

use super::super::model::{Model, Owner, take, with_record};
use crate::support::{CHUNKER, FINE, key_file, key_request, noise, request, rows};

/// A store on a simulated disk, as a new process opens it.
pub(crate) fn local<F: Files>(files: F, turn: u64) -> LocalStore<F> {
    let entropy = Arc::new(SeededEntropy::new(turn));
    LocalStore::with_files(files, "a simulated disk".to_owned(), entropy)
}

/// The files of a state directory, by their paths in it.
pub(super) type Memory = BTreeMap<PathBuf, Vec<u8>>;

/// What was done, and between which operations.
pub(super) struct Deed {
    /// Operations of the disk when it began.
    pub(super) begun: usize,
    /// Operations of the disk when it was acknowledged.
    pub(super) acknowledged: usize,
    /// Which host did it.
    pub(super) host: usize,
    pub(super) what: What,
}

pub(super) enum What {
    Init,
    Snapshot {
        number: u64,
        bytes: Arc<[u8]>,
        /// Bytes of the packs that it added.
        added_bytes: u64,
    },
    Key(Box<Credential>),
}

/// Something done on a simulated disk, from which power can be cut.
pub(super) struct Recording {
    pub(super) name: String,
    pub(super) owner: Owner,
    /// What was acknowledged before.
    before: Model,
    pub(super) files: SimulatedFiles,
    pub(super) deeds: Vec<Deed>,
    /// What each host remembered after so many operations.
    memories: BTreeMap<usize, Vec<Memory>>,
    /// Whether to judge a disk takes long.
    pub(super) costly: bool,
}

impl Recording {
    /// What is known after so many operations.
    pub(super) fn model_at(&self, operations: usize) -> Model {
        let mut model = self.before.clone();
        let begun = self.deeds.iter().filter(|deed| deed.begun <= operations);
        for deed in begun {
            let acknowledged = deed.acknowledged <= operations;
            match &deed.what {
                What::Init => {
                    model.may_exist = true;
                    model.created |= acknowledged;
                }
                What::Snapshot { number, bytes, .. } if acknowledged => {
                    model.acknowledged.insert(*number, Arc::clone(bytes));
                }
                What::Snapshot { bytes, .. } => model.attempted.push(Arc::clone(bytes)),
                What::Key(key) if acknowledged => model.keys.push((**key).clone()),
                What::Key(_) => {}
            }
        }
        model
    }

    /// What each host remembers after so many operations.
    pub(super) fn memories_at(&self, operations: usize) -> &[Memory] {
        let mut known = self.memories.range(..=operations);
        known.next_back().map_or(&[], |(_, memories)| memories)
    }

    /// The last snapshot that a host had begun after so many operations.
    pub(super) fn last_of(&self, host: usize, operations: usize) -> Option<&Deed> {
        self.deeds.iter().rfind(|deed| {
            let snapshot = matches!(deed.what, What::Snapshot { .. });
            snapshot && deed.host == host && deed.begun <= operations
        })
    }
}

/// Writes what a host remembered into a directory.
pub(super) fn recall(memory: &Memory, directory: &Path) -> State {
    let state = State::open(directory).expect("a temporary directory");
    for (path, bytes) in memory {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("it is below")).expect("it is writable");
        fs::write(path, bytes).expect("it is writable");
    }
    state
}

fn read_below(directory: &Path, root: &Path, memory: &mut Memory) {
    for entry in fs::read_dir(directory).expect("it exists") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            read_below(&path, root, memory);
        } else {
            let bytes = fs::read(&path).expect("it can be read");
            let below = path.strip_prefix(root).expect("it is below").to_owned();
            memory.insert(below, bytes);
        }
    }
}

/// Records.
struct Recorder<'a> {
    owner: &'a Owner,
    files: &'a SimulatedFiles,
    hosts: Vec<(tempfile::TempDir, State)>,
    deeds: Mutex<Vec<Deed>>,
    memories: Mutex<BTreeMap<usize, Vec<Memory>>>,
}

impl<'a> Recorder<'a> {
    fn new(owner: &'a Owner, files: &'a SimulatedFiles, hosts: usize) -> Self {
        let host = |_| {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let state = State::open(directory.path()).expect("it is writable");
            (directory, state)
        };
        Self {
            owner,
            files,
            hosts: (0..hosts).map(host).collect(),
            deeds: Mutex::default(),
            memories: Mutex::default(),
        }
    }

    /// Notes what the hosts remember now.
    fn remember(&self) {
        let read = |(directory, _): &(tempfile::TempDir, State)| {
            let mut memory = Memory::new();
            read_below(directory.path(), directory.path(), &mut memory);
            memory
        };
        let memories = self.hosts.iter().map(read).collect();
        let mut known = self.memories.lock().expect("no panic before");
        known.insert(self.files.operations(), memories);
    }

    /// The disk, with `before` called before each call that changes or syncs
    /// something, which is told how many of those this process made.
    fn watched<'w>(
        &'w self,
        before: impl Fn(u64, &FileCall<'_>) + Send + Sync + 'w,
    ) -> FaultyFiles<'w> {
        let done = AtomicU64::new(0);
        FaultyFiles::new(self.files, move |call| {
            if call.kind.changes() {
                before(done.fetch_add(1, Ordering::SeqCst), call);
                self.remember();
            }
            FileFate::Done
        })
    }

    fn note(&self, host: usize, begun: usize, what: What) {
        self.remember();
        let deed = Deed {
            begun,
            acknowledged: self.files.operations(),
            host,
            what,
        };
        self.deeds.lock().expect("no panic before").push(deed);
    }

    fn init(&self) {
        let begun = self.files.operations();
        let files = self.watched(|_, _| {});
        self.owner
            .create(&local(&files, 1))
            .expect("the disk is empty");
        self.note(0, begun, What::Init);
    }

    /// Takes a snapshot as a host. `before` as in [`Recorder::watched`].
    fn snapshot(
        &self,
        host: usize,
        request: &Request,
        bytes: &[u8],
        before: impl Fn(u64, &FileCall<'_>) + Send + Sync,
    ) -> Summary {
        let begun = self.files.operations();
        let files = self.watched(before);
        let turn = 10 + host as u64 + begun as u64 * 10;
        let store = local(&files, turn);
        let state = Some(&self.hosts[host].1);
        let mut repository = self.owner.open(&store, state, turn).expect("it opens");
        let summary = take(&mut repository, request, bytes, &Silent).expect("nothing fails");
        let what = What::Snapshot {
            number: summary.number,
            bytes: bytes.into(),
            added_bytes: summary.accounting.added_bytes,
        };
        self.note(host, begun, what);
        summary
    }

    fn add_key(&self, patterns: &[&str]) {
        let begun = self.files.operations();
        let files = self.watched(|_, _| {});
        let turn = 5 + begun as u64 * 10;
        let store = local(&files, turn);
        let mut repository = self.owner.open(&store, None, turn).expect("it opens");
        let request = key_request(Rights::WRITE, patterns);
        let new = repository.add_key(request).expect("nothing fails");
        let key = key_file(&repository, new.bundle());
        self.note(0, begun, What::Key(Box::new(key)));
    }

    fn finish(self) -> (Vec<Deed>, BTreeMap<usize, Vec<Memory>>) {
        let whole = "no panic before";
        (
            self.deeds.into_inner().expect(whole),
            self.memories.into_inner().expect(whole),
        )
    }
}

/// A disk on which a repository was created, long enough ago that all is durable.
fn created(owner: &Owner) -> SimulatedFiles {
    let files = SimulatedFiles::new();
    owner.create(&local(&files, 1)).expect("the disk is empty");
    files
        .power_cut(files.operations())
        .image(Survival::Everything)
}

/// Records what is done on a disk where a repository was created.
fn record(
    name: String,
    seed: u64,
    (chunker, hosts): (ChunkerParameters, usize),
    act: impl FnOnce(&Recorder<'_>),
) -> Recording {
    let owner = Owner::draw(seed, chunker);
    let files = created(&owner);
    let recorder = Recorder::new(&owner, &files, hosts);
    act(&recorder);
    let (deeds, memories) = recorder.finish();
    let before = Model {
        created: true,
        ..Model::default()
    };
    Recording {
        name,
        owner,
        before,
        files,
        deeds,
        memories,
        costly: false,
    }
}

/// The creation of a repository.
pub(super) fn init(seed: u64) -> Recording {
    let owner = Owner::draw(seed, CHUNKER);
    let files = SimulatedFiles::new();
    let recorder = Recorder::new(&owner, &files, 0);
    recorder.init();
    let (deeds, memories) = recorder.finish();
    Recording {
        name: "init".to_owned(),
        owner,
        before: Model::default(),
        files,
        deeds,
        memories,
        costly: false,
    }
}

/// Snapshots that stand in their log entries: one, one that leans on it, and one
/// that finds nothing new.
pub(super) fn inline(seed: u64) -> Recording {
    record("snapshots".to_owned(), seed, (CHUNKER, 1), |recorder| {
        let later = [rows(0..100), noise(seed, 3_000)].concat();
        for bytes in [&rows(0..150), &later, &later] {
            recorder.snapshot(0, &request("shop"), bytes, |_, _| {});
        }
    })
}

/// Nights that change a few rows of every chunk, so that each leans on those before,
/// by a host that may only write.
pub(super) fn deltas(seed: u64) -> Recording {
    let night = |night: u64| {
        let row = |row: u64| format!("{row:06} {:04} {}\n", night * (row % 5), row * 7_919);
        (0..300).map(row).collect::<String>().into_bytes()
    };
    record("deltas".to_owned(), seed, (CHUNKER, 1), |recorder| {
        for number in 0..4 {
            let summary = recorder.snapshot(0, &request("shop"), &night(number), |_, _| {});
            let deltas = summary.accounting.delta_chunks;
            assert_eq!(deltas > 0, number > 0, "{summary:?}");
        }
    })
}

/// A snapshot with a commit record.
pub(super) fn with_commit_record(seed: u64) -> Recording {
    record("commit record".to_owned(), seed, (CHUNKER, 1), |recorder| {
        recorder.snapshot(0, &with_record("shop"), &rows(0..150), |_, _| {});
    })
}

/// A snapshot of several packs, of which each has at most 8,192 chunks.
pub(super) fn several_packs(seed: u64) -> Recording {
    let recording = record("several packs".to_owned(), seed, (FINE, 1), |recorder| {
        recorder.snapshot(0, &request("shop"), &noise(seed, 3 << 20), |_, _| {});
    });
    let of_pack = |at| match recording.files.operation(at) {
        Operation::Link { to, .. } => to.starts_with("packs/"),
        _ => false,
    };
    let packs = (0..recording.files.operations()).filter(|&at| of_pack(at));
    assert!(packs.count() >= 2, "the content is too small");
    Recording {
        costly: true,
        ..recording
    }
}

/// A key, and then another.
pub(super) fn keys(seed: u64) -> Recording {
    record("keys".to_owned(), seed, (CHUNKER, 0), |recorder| {
        recorder.add_key(&["shop"]);
        recorder.add_key(&["*"]);
    })
}

/// Where a writer is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldUp {
    /// Before this one of the calls that change or sync something.
    Before(u64),
    /// When its log entry is linked and not yet synced.
    EntryLinked,
}

/// Two writers at once: the second takes its whole snapshot while the first is
/// held up. `None` if that never was.
pub(super) fn two_writers(seed: u64, held_up: HeldUp) -> Option<Recording> {
    let name = format!("two writers, one held up {held_up:?}");
    let linked = AtomicBool::new(false);
    let recording = record(name, seed, (CHUNKER, 2), |recorder| {
        let (own, common) = (noise(seed, 2_000), rows(0..100));
        let (first, second) = ([&own[..], &common].concat(), [&common[..], &own].concat());
        recorder.snapshot(0, &request("shop"), &first, |done, call| {
            let now = match held_up {
                HeldUp::Before(at) => done == at,
                HeldUp::EntryLinked => linked.swap(false, Ordering::SeqCst),
            };
            if now {
                recorder.snapshot(1, &with_record("other"), &second, |_, _| {});
            }
            let links = call.kind == FileCallKind::Link && call.path.starts_with("log/");
            linked.fetch_or(links, Ordering::SeqCst);
        });
    });
    (recording.deeds.len() == 2).then_some(recording)
}
