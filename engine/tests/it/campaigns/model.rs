//! What must be so after any fault: the oracle of the campaigns that break
//! stores while something is under way.
//!
//! The model is small. It knows what was acknowledged, with its bytes, and what
//! may have been done since nobody could tell. All that was acknowledged is
//! listed and restores byte for byte; all else that is shown is one of the things
//! that may have been done, whole; a verification finds nothing; and the next
//! snapshot is committed and restores, with no repair by hand.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use indelible_engine::cancel::Cancel;
use indelible_engine::env::Env;
use indelible_engine::keys::{Credential, InitError, NewRepository};
use indelible_engine::log::LogError;
use indelible_engine::progress::{Progress, Silent};
use indelible_engine::repository::{OpenError, Repository};
use indelible_engine::snapshot::{self, Input, Request, SnapshotRunError, Summary};
use indelible_engine::state::State;
use indelible_engine::store::{AppendStore, ReadStore};
use indelible_engine::verify::{self, ProblemKind, Terms};
use indelible_format::attest::Level;
use indelible_format::genesis::ChunkerParameters;
use indelible_format::history::Continuity;
use indelible_format::ids::LogHash;
use indelible_format::key_file::KeyFile;
use indelible_format::rights::Kind;
use indelible_format::slot::Cost;

use super::{Coverage, Finding};
use crate::support::{Notes, START_UNIX_MS, chain, request, restore_stream, stream};

/// The secrets of a repository, before and after it exists.
pub(crate) struct Owner {
    new: NewRepository,
    /// The key with every right, as a file: nothing is derived to open it.
    pub(crate) key: Credential,
    seed: u64,
}

impl Owner {
    pub(crate) fn draw(seed: u64, chunker: ChunkerParameters) -> Self {
        let env = Env::replayable(seed, START_UNIX_MS);
        let new = NewRepository::prepare(&env, "correct horse", Cost::CHEAPEST, chunker)
            .expect("the parameters are within the format's limits");
        let key = Credential::KeyFile(Box::new(KeyFile {
            repository: new.id(),
            size: 1,
            // The root over one leaf is the leaf.
            root: LogHash(new.id().0),
            bundle: new.bundle().clone(),
        }));
        Self { new, key, seed }
    }

    /// Whoever would create a repository here if this one had never been.
    fn successor(&self) -> Self {
        Self::draw(self.seed + 1_000, crate::support::CHUNKER)
    }

    pub(crate) fn create<S: AppendStore>(&self, store: &S) -> Result<(), InitError> {
        self.new.create(store)
    }

    /// Opens the repository. What `turn` is has no effect but that two processes
    /// of one host draw other secrets.
    pub(crate) fn open<'s, S: ReadStore>(
        &self,
        store: &'s S,
        state: Option<&State>,
        turn: u64,
    ) -> Result<Repository<'s, S>, OpenError> {
        let env = Env::replayable(self.seed.wrapping_mul(31) + turn, START_UNIX_MS);
        Repository::open(store, state, &self.key, env)
    }
}

/// A request that needs a commit record, so that there is one more object.
pub(crate) fn with_record(name: &str) -> Request {
    let mut request = request(name);
    request.labels = (0..33).map(|n| format!("{n:02000}")).collect();
    request
}

/// Takes a snapshot of one stream.
pub(crate) fn take<S: AppendStore>(
    repository: &mut Repository<'_, S>,
    request: &Request,
    bytes: &[u8],
    progress: &dyn Progress,
) -> Result<Summary, SnapshotRunError> {
    let input = Input::Items(vec![stream("dump.sql", bytes)]);
    snapshot::run(repository, request, input, &Cancel::new(), progress)
}

/// Does what no fault stands in the way of. A panic is a finding.
pub(crate) fn undisturbed<T>(coverage: &mut Coverage, act: impl FnOnce() -> T) -> Option<T> {
    let done = panic::catch_unwind(AssertUnwindSafe(act)).ok();
    coverage.expect(done.is_some(), Finding::Broken, || {
        "it does not even work where nothing fails".to_owned()
    });
    done
}

/// What is known of a repository.
#[derive(Clone, Default)]
pub(crate) struct Model {
    /// Whether its creation was acknowledged.
    pub(crate) created: bool,
    /// Whether it may exist.
    pub(crate) may_exist: bool,
    /// The snapshots that were acknowledged, by number.
    pub(crate) acknowledged: BTreeMap<u64, Arc<[u8]>>,
    /// What may have become a snapshot.
    pub(crate) attempted: Vec<Arc<[u8]>>,
    /// The keys that were acknowledged.
    pub(crate) keys: Vec<Credential>,
}

/// What a judgement is about, and where it is noted.
pub(crate) struct Judge<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) model: &'a Model,
    /// Whether the client saw entries that were never acknowledged, and are gone.
    /// It must say that the log is shorter than it was (SPEC 10), and go on.
    pub(crate) saw_more: bool,
    /// What a finding begins with.
    pub(crate) what: String,
    pub(crate) coverage: &'a mut Coverage,
}

/// What the snapshot behind the fault came to.
pub(crate) struct Next {
    pub(crate) number: u64,
    pub(crate) notes: Notes,
    /// What opens the repository, which may be another one by now.
    key: Credential,
}

impl Judge<'_> {
    fn find(&mut self, finding: Finding, what: impl AsRef<str>) {
        let what = format!("{}: {}", self.what, what.as_ref());
        self.coverage.find(finding, what);
    }

    /// Judges a store as it is found afterwards, then takes the snapshot of
    /// `source` in it. `None` if that failed, which is noted.
    pub(crate) fn judge<S: AppendStore>(
        &mut self,
        store: &S,
        state: Option<&State>,
        source: &[u8],
    ) -> Option<Next> {
        let judged = panic::catch_unwind(AssertUnwindSafe(|| self.walk(store, state, source)));
        judged.unwrap_or_else(|_| {
            self.find(Finding::Broken, "a panic");
            None
        })
    }

    fn walk<S: AppendStore>(
        &mut self,
        store: &S,
        state: Option<&State>,
        source: &[u8],
    ) -> Option<Next> {
        let mut repository = match self.owner.open(store, state, 1) {
            Ok(repository) => repository,
            Err(OpenError::Log(LogError::NoRepository { .. })) if !self.model.created => {
                return self.begin_again(store, source);
            }
            Err(error) => {
                let finding = if self.model.created {
                    Finding::Lost
                } else {
                    Finding::Broken
                };
                self.find(finding, format!("it does not open: {}", chain(&error)));
                return None;
            }
        };
        if !self.model.created && !self.model.may_exist {
            self.find(Finding::Wrong, "it was not created, and is there");
        }
        let continuity = repository.continuity();
        let expected = match continuity {
            Continuity::Unpinned | Continuity::Extends => !self.saw_more,
            Continuity::Behind { .. } => self.saw_more,
            Continuity::Forked { .. } => false,
        };
        if !expected {
            self.find(Finding::Broken, format!("the log is {continuity:?}"));
        }
        self.judge_snapshots(&repository);
        self.judge_keys(store);
        self.judge_report(&repository);
        self.next(&mut repository, self.owner.key.clone(), source)
    }

    /// There is no repository, and none is owed: creating one must work.
    fn begin_again<S: AppendStore>(&mut self, store: &S, source: &[u8]) -> Option<Next> {
        let owner = self.owner.successor();
        if let Err(error) = owner.create(store) {
            self.find(
                Finding::Broken,
                format!("it can't be created again: {}", chain(&error)),
            );
            return None;
        }
        match owner.open(store, None, 1) {
            Ok(mut repository) => {
                self.judge_report(&repository);
                self.next(&mut repository, owner.key, source)
            }
            Err(error) => {
                self.find(
                    Finding::Lost,
                    format!("what was created again does not open: {}", chain(&error)),
                );
                None
            }
        }
    }

    fn judge_snapshots<S: ReadStore>(&mut self, repository: &Repository<'_, S>) {
        let model = self.model;
        let mut left = model.attempted.clone();
        let mut shown = Vec::new();
        for snapshot in repository.snapshots() {
            let (number, why) = match snapshot {
                Ok(snapshot) => (snapshot.number, snapshot.refused.map(|it| chain(&it))),
                Err(broken) => (broken.number, Some(chain(&broken.error))),
            };
            shown.push(number);
            let restored = match why {
                Some(why) => Err(why),
                None => restore_stream(repository, number),
            };
            match (model.acknowledged.get(&number), restored) {
                (Some(bytes), Ok(restored)) if restored == **bytes => {}
                (Some(_), Ok(_)) => self.find(Finding::Wrong, format!("{number} has other bytes")),
                (Some(_), Err(why)) => self.find(Finding::Lost, format!("{number}: {why}")),
                (None, Err(why)) => {
                    self.find(Finding::Wrong, format!("{number} is shown, and {why}"));
                }
                (None, Ok(restored)) => match left.iter().position(|it| **it == *restored) {
                    Some(at) => drop(left.remove(at)),
                    None => self.find(Finding::Wrong, format!("{number} was never taken")),
                },
            }
        }
        for number in model.acknowledged.keys() {
            if !shown.contains(number) {
                self.find(Finding::Lost, format!("{number} is not listed"));
            }
        }
    }

    fn judge_keys<S: ReadStore>(&mut self, store: &S) {
        for key in &self.model.keys {
            let env = Env::replayable(self.owner.seed, START_UNIX_MS);
            let why = match Repository::open(store, None, key, env) {
                Ok(repository) => repository.forbids(Kind::Snapshot).map(|why| chain(&why)),
                Err(error) => Some(chain(&error)),
            };
            if let Some(why) = why {
                self.find(Finding::Lost, format!("an acknowledged key: {why}"));
            }
        }
    }

    fn judge_report<S: ReadStore>(&mut self, repository: &Repository<'_, S>) {
        match verify::with_key(repository, Level::Data, &Terms::default(), &Silent) {
            Ok(report) => {
                let mut problems: Vec<_> = report
                    .problems
                    .iter()
                    .map(|problem| (problem.kind, &problem.object))
                    .collect();
                if self.saw_more {
                    problems.retain(|(kind, _)| *kind != ProblemKind::RolledBack);
                }
                if !problems.is_empty() {
                    self.find(Finding::Broken, format!("it does not verify: {problems:?}"));
                }
            }
            Err(error) => self.find(
                Finding::Broken,
                format!("it can't be verified: {}", chain(&error)),
            ),
        }
    }

    fn next<S: AppendStore>(
        &mut self,
        repository: &mut Repository<'_, S>,
        key: Credential,
        source: &[u8],
    ) -> Option<Next> {
        let notes = Notes::default();
        let summary = match take(repository, &request("shop"), source, &notes) {
            Ok(summary) => summary,
            Err(error) => {
                self.find(
                    Finding::Broken,
                    format!("the next snapshot: {}", chain(&error)),
                );
                return None;
            }
        };
        match restore_stream(repository, summary.number) {
            Ok(restored) if restored == source => {}
            Ok(_) => self.find(Finding::Wrong, "the next snapshot has other bytes"),
            Err(why) => self.find(Finding::Lost, format!("the next snapshot: {why}")),
        }
        Some(Next {
            number: summary.number,
            notes,
            key,
        })
    }

    /// Judges whether the snapshot behind the fault is still there, in a store
    /// that has lost all that it could lose since.
    pub(crate) fn judge_next<S: ReadStore>(&mut self, store: &S, next: &Next, source: &[u8]) {
        let env = Env::replayable(self.owner.seed, START_UNIX_MS);
        let restored = Repository::open(store, None, &next.key, env)
            .map_err(|error| chain(&error))
            .and_then(|repository| restore_stream(&repository, next.number));
        match restored {
            Ok(restored) if restored == source => {}
            Ok(_) => self.find(
                Finding::Wrong,
                "the next snapshot came back with other bytes",
            ),
            Err(why) => self.find(
                Finding::Lost,
                format!("the next snapshot was acknowledged and not durable: {why}"),
            ),
        }
    }
}
