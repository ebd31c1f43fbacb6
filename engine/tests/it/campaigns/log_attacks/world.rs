//! One attacked repository, and the clients that meet it.

use std::collections::BTreeSet;
use std::rc::Rc;

use indelible_engine::keys::Credential;
use indelible_engine::repository::Repository;
use indelible_engine::state::State;
use indelible_engine::store::{MemoryStore, ObjectKey, ReadStore as _};
use indelible_engine::verify::{self, ProblemKind};
use indelible_format::attest::Level;
use indelible_format::history::Continuity;
use indelible_format::ids::LogHash;
use indelible_format::merkle::leaf_hash;
use tempfile::TempDir;

use super::model::{Judgement, Object, Objects, Problem, Reason, judge};
use super::sample::{Act, Fact, Role, SIZE, Sample};
use crate::campaigns::{Coverage, Finding};
use crate::support::{chain, object, restore_stream, rows, take_stream, verify_with};

/// What a client knows of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// Nothing.
    Fresh,
    /// All 50 leaves.
    Remembering,
    /// All 50 leaves, and that their entries are rightly signed.
    Knowing,
    /// What a key file pins: a size and its root.
    Pinned(u64),
}

impl Client {
    pub(super) const ALL: [Self; 5] = [
        Self::Fresh,
        Self::Remembering,
        Self::Knowing,
        Self::Pinned(20),
        Self::Pinned(SIZE),
    ];
}

/// A store that somebody attacked, and what stands in its log.
#[derive(Clone)]
pub(super) struct World<'a> {
    pub(super) sample: &'a Sample,
    pub(super) store: MemoryStore,
    pub(super) objects: Objects,
    /// Whether a valid entry stands where another was committed.
    exchanged: bool,
}

impl<'a> World<'a> {
    /// Untouched.
    pub(super) fn new(sample: &'a Sample) -> Self {
        let over = Rc::new(sample.leaves.clone());
        let signed = |(fact, leaf): (&Fact, &LogHash)| Object::Signed {
            leaf: *leaf,
            over: Rc::clone(&over),
            fact: fact.clone(),
            refused: false,
        };
        let objects = sample.facts.iter().zip(&sample.leaves).map(signed);
        Self {
            sample,
            store: sample.store().clone(),
            objects: (0..).zip(objects).collect(),
            exchanged: false,
        }
    }

    /// As the store was when the log had this many entries.
    pub(super) fn rolled_back(sample: &'a Sample, size: u64) -> Self {
        let mut world = Self::new(sample);
        world.store = sample.stores[usize::try_from(size).expect("a small number")].clone();
        world.objects.retain(|number, _| *number < size);
        world
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.store.forget(&ObjectKey::Log(number));
        self.objects.remove(&number);
    }

    /// Puts an object that is void, in the place of any other.
    pub(super) fn put_void(&mut self, number: u64, bytes: &[u8], reason: Reason) {
        self.store.replace(&ObjectKey::Log(number), bytes);
        let leaf = leaf_hash(bytes);
        self.objects.insert(number, Object::Void { leaf, reason });
    }

    /// Puts an entry that is signed over these leaves.
    pub(super) fn put_signed(
        &mut self,
        number: u64,
        bytes: &[u8],
        over: &[LogHash],
        fact: Fact,
        refused: bool,
    ) {
        self.store.replace(&ObjectKey::Log(number), bytes);
        self.exchanged |= self.objects.contains_key(&number);
        let leaf = leaf_hash(bytes);
        let over = Rc::new(over.to_vec());
        let signed = Object::Signed {
            leaf,
            over,
            fact,
            refused,
        };
        self.objects.insert(number, signed);
    }

    /// Another writer, who knows nothing, goes on where the log seems to end.
    pub(super) fn continue_by_other(&mut self, seed: u64) {
        let bytes = rows(seed..seed + 30);
        let env = self.sample.fixture.env.clone();
        let before = judge(&self.objects, &[]);
        let recovery = &self.sample.fixture.recovery;
        let mut repository =
            Repository::open(&self.store, None, recovery, env).expect("the repository opens");
        let taken = take_stream(&mut repository, "all", &bytes).expect("it is committed");
        drop(repository);
        self.note_commit(taken.number, &before.leaves, bytes);
    }

    /// Notes a snapshot that the administrator's key took.
    fn note_commit(&mut self, number: u64, over: &[LogHash], content: Vec<u8>) {
        let bytes = object(&self.store, &ObjectKey::Log(number));
        let fact = Fact {
            signer: Role::Admin,
            act: Act::Snapshot(content),
        };
        self.put_signed(number, &bytes, over, fact, false);
    }
}

/// A client in front of a store.
pub(super) struct Meeting<'a> {
    world: World<'a>,
    client: Client,
    credential: Credential,
    /// What it keeps, until the end.
    state: Option<(State, TempDir)>,
    remembered: Vec<LogHash>,
    what: String,
    /// Of so many snapshots one is restored.
    restore_every: u64,
}

impl<'a> Meeting<'a> {
    pub(super) fn new(world: World<'a>, client: Client, what: &str, restore_every: u64) -> Self {
        let sample = world.sample;
        let credential = match client {
            Client::Fresh | Client::Remembering | Client::Knowing => {
                sample.fixture.recovery.clone()
            }
            Client::Pinned(size) => sample.pinned(size),
        };
        let remembers = matches!(client, Client::Remembering | Client::Knowing);
        Self {
            state: remembers.then(|| remembering(sample, client)),
            remembered: if remembers {
                sample.leaves.clone()
            } else {
                Vec::new()
            },
            world,
            client,
            credential,
            what: format!("{what}, {client:?}"),
            restore_every,
        }
    }

    /// The client looks, takes the next snapshot, and looks again.
    pub(super) fn run(mut self, coverage: &mut Coverage) {
        let expected = self.expected();
        let committed = match self.open() {
            Ok(mut repository) => {
                self.compare(&repository, &expected, coverage);
                let bytes = rows(90_000..90_030);
                let taken = take_stream(&mut repository, "all", &bytes);
                taken.map(|taken| (taken.number, bytes)).map_err(|error| {
                    let error = chain(&error);
                    format!("the next snapshot fails: {error}")
                })
            }
            Err(error) => Err(error),
        };
        let (number, bytes) = match committed {
            Ok(committed) => committed,
            Err(error) => return coverage.find(Finding::Broken, format!("{}: {error}", self.what)),
        };
        coverage.expect(number == expected.next, Finding::Broken, || {
            let next = expected.next;
            format!(
                "{}: the next snapshot is entry {number}, not {next}",
                self.what
            )
        });
        self.world.note_commit(number, &expected.leaves, bytes);
        // What contradicts the memory is told until somebody removes it.
        if self.state.is_some() && !matches!(expected.continuity, Continuity::Forked { .. }) {
            self.remembered = judge(&self.world.objects, &self.remembered).leaves;
        }
        self.what.push_str(", after the next snapshot");
        match self.open() {
            Ok(repository) => {
                let expected = self.expected();
                self.compare(&repository, &expected, coverage);
                self.compare_codes(&repository, &expected, coverage);
                self.restore_snapshots(&repository, &expected, coverage);
            }
            Err(error) => coverage.find(Finding::Broken, format!("{}: {error}", self.what)),
        }
    }

    fn open(&self) -> Result<Repository<'_, MemoryStore>, String> {
        let state = self.state.as_ref().map(|(state, _)| state);
        let env = self.world.sample.fixture.env.clone();
        Repository::open(&self.world.store, state, &self.credential, env)
            .map_err(|error| format!("does not open: {}", chain(&error)))
    }

    /// What this client must find.
    fn expected(&self) -> Judgement {
        let mut expected = judge(&self.world.objects, &self.remembered);
        let Client::Pinned(size) = self.client else {
            return expected;
        };
        let pinned = usize::try_from(size).expect("a small number");
        let shown = expected.leaves.len();
        expected.continuity = match expected.leaves.get(..pinned) {
            None => Continuity::Behind {
                shown: shown as u64,
                remembered: size,
            },
            Some(leaves) if leaves == &self.world.sample.leaves[..pinned] => Continuity::Extends,
            Some(_) => Continuity::Forked { at: size - 1 },
        };
        // It appends no lower than at its pin, over leaves that it can't know.
        expected
            .leaves
            .extend((shown..pinned).map(|_| leaf_hash(b"")));
        expected.next = expected.next.max(size);
        expected
    }

    fn compare(
        &self,
        repository: &Repository<'_, MemoryStore>,
        expected: &Judgement,
        coverage: &mut Coverage,
    ) {
        let what = &self.what;
        let history = repository.history();
        let found: BTreeSet<Problem> = history.problems.iter().map(Problem::of).collect();
        let wanted: BTreeSet<Problem> = expected.problems.iter().copied().collect();
        let missing: Vec<_> = wanted.difference(&found).collect();
        coverage.expect(missing.is_empty(), Finding::Unnoticed, || {
            format!("{what}: {missing:?} are not reported")
        });
        let more: Vec<_> = found.difference(&wanted).collect();
        coverage.expect(more.is_empty(), Finding::Wrong, || {
            format!("{what}: {more:?} are reported")
        });
        let continuity = repository.continuity();
        coverage.expect(
            continuity == expected.continuity,
            Finding::Unnoticed,
            || format!("{what}: {continuity:?}, not {:?}", expected.continuity),
        );
        self.compare_snapshots(repository, expected, coverage);
    }

    /// A verification's codes are those of the problems, the rollback's or the
    /// fork's, and one for each object that has several versions.
    fn compare_codes(
        &self,
        repository: &Repository<'_, MemoryStore>,
        expected: &Judgement,
        coverage: &mut Coverage,
    ) {
        let mut kinds: Vec<ProblemKind> = expected.problems.iter().map(Problem::kind).collect();
        kinds.extend(match expected.continuity {
            Continuity::Behind { .. } => Some(ProblemKind::RolledBack),
            Continuity::Forked { .. } => Some(ProblemKind::Forked),
            Continuity::Unpinned | Continuity::Extends => None,
        });
        let store = repository.store();
        let several = |key: &ObjectKey| store.versions(key).is_ok_and(|all| all.len() > 1);
        let covered = store.keys().into_iter().filter(several);
        kinds.extend(covered.map(|_| ProblemKind::Covered));
        kinds.sort_unstable();
        let report = verify_with(repository, Level::Tree);
        let of_the_log = |problem: &&verify::Problem| problem.kind.is_of_the_log();
        let mut found: Vec<ProblemKind> = report
            .problems
            .iter()
            .filter(of_the_log)
            .map(|problem| problem.kind)
            .collect();
        found.sort_unstable();
        coverage.expect(found == kinds, Finding::Unnoticed, || {
            format!("{}: verified as {found:?}, not {kinds:?}", self.what)
        });
        // A reach that names places which an exchanged entry does not have is
        // told as the contradiction that it is.
        let others = report.problems.iter().filter(|problem| {
            let reach = problem.kind == ProblemKind::Snapshot && self.world.exchanged;
            !problem.kind.is_of_the_log() && !reach
        });
        let others = others.count();
        coverage.expect(others == 0, Finding::Wrong, || {
            format!("{}: {others} packs or trees are called damaged", self.what)
        });
    }

    /// Every valid snapshot is shown, and refused where it must be.
    fn compare_snapshots(
        &self,
        repository: &Repository<'_, MemoryStore>,
        expected: &Judgement,
        coverage: &mut Coverage,
    ) {
        let what = &self.what;
        let mut left = expected.snapshots.clone();
        for snapshot in repository.snapshots() {
            let snapshot = match snapshot {
                Ok(snapshot) => snapshot,
                Err(broken) => {
                    let error = chain(&broken.error);
                    let text = format!("{what}: snapshot {} is not shown: {error}", broken.number);
                    coverage.find(Finding::Lost, text);
                    continue;
                }
            };
            let number = snapshot.number;
            let refused = snapshot.refused;
            let Some(shown) = left.remove(&number) else {
                coverage.find(
                    Finding::Wrong,
                    format!("{what}: there is a snapshot {number}"),
                );
                continue;
            };
            coverage.expect(refused.is_some() == shown.refused, Finding::Wrong, || {
                format!("{what}: snapshot {number} is refused for {refused:?}")
            });
        }
        for number in left.keys() {
            coverage.find(Finding::Lost, format!("{what}: snapshot {number} is gone"));
        }
    }

    /// What is intact restores byte for byte, the newest among it.
    fn restore_snapshots(
        &self,
        repository: &Repository<'_, MemoryStore>,
        expected: &Judgement,
        coverage: &mut Coverage,
    ) {
        let what = &self.what;
        for ((number, shown), at) in expected.snapshots.iter().rev().zip(0_u64..) {
            if !at.is_multiple_of(self.restore_every) {
                continue;
            }
            match restore_stream(repository, *number) {
                Ok(bytes) if bytes == shown.content => coverage.add("snapshots restored", 1),
                Ok(_) => coverage.find(Finding::Wrong, format!("{what}: {number} differs")),
                Err(error) => coverage.find(Finding::Lost, format!("{what}: {number}: {error}")),
            }
        }
    }
}

/// The state of a client that saw the whole log.
fn remembering(sample: &Sample, client: Client) -> (State, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let state = State::open(directory.path()).expect("the directory is ours");
    let id = sample.fixture.open().id();
    state
        .repository(&id)
        .remember(&sample.leaves)
        .and_then(|()| state.remember_location(&sample.store().location(), &id))
        .expect("the directory is ours");
    if client == Client::Knowing {
        let repository = sample.fixture.open();
        state.repository(&id).keep_signed(repository.history());
    }
    (state, directory)
}
