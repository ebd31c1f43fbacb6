//! What is done while calls fail, and what it says of itself.

use std::sync::{Arc, OnceLock};

use indelible_engine::keys::{Credential, InitError};
use indelible_engine::log::AppendError;
use indelible_engine::progress::Silent;
use indelible_engine::repository::{AddKeyError, Repository};
use indelible_engine::snapshot::SnapshotRunError;
use indelible_engine::state::State;
use indelible_engine::store::AppendStore;
use indelible_engine::verify::{self, Terms};
use indelible_format::attest::Level;
use indelible_format::rights::Rights;

use super::super::model::{Model, Owner, take, with_record};
use crate::support::{CHUNKER, Client, chain, key_file, key_request, noise, restore_stream};

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Init,
    /// Its entry has a commit record, and leans on a snapshot before.
    Snapshot,
    AddKey,
    Restore,
    Verify(Level),
}

impl Work {
    pub(super) const ALL: [Self; 7] = [
        Self::Init,
        Self::Snapshot,
        Self::AddKey,
        Self::Restore,
        Self::Verify(Level::Packs),
        Self::Verify(Level::Tree),
        Self::Verify(Level::Data),
    ];

    /// Whether it reads and never writes.
    pub(super) const fn only_reads(self) -> bool {
        matches!(self, Self::Restore | Self::Verify(_))
    }
}

/// What a run says of itself.
pub(super) enum Outcome {
    /// It is done.
    Done(Did),
    /// It may be done.
    Unclear,
    /// It is not done. The text says why.
    Failed(String),
}

/// What was done.
pub(super) enum Did {
    Init,
    Snapshot(u64),
    Key(Box<Credential>),
    /// What a restore gave.
    Restored(Vec<u8>),
    /// Whether a verification found nothing wrong, and how many chunks it decoded.
    Verified {
        is_sound: bool,
        chunks: u64,
    },
}

/// Rows of which a few in each chunk change from night to night.
fn night(night: u64) -> Vec<u8> {
    let row = |row: u64| format!("{row:06} {:04} {}\n", night * (row % 5), row * 7_919);
    (0..250).map(row).collect::<String>().into_bytes()
}

/// A repository that work is done on.
pub(super) struct Site {
    pub(super) owner: Owner,
    /// What the snapshots that are there hold: the later one leans on the earlier.
    pub(super) before: [Arc<[u8]>; 2],
    /// What the next one is to hold.
    pub(super) second: Arc<[u8]>,
    /// How many chunks a verification of what is there decodes.
    pub(super) chunks: OnceLock<u64>,
}

impl Site {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            owner: Owner::draw(seed, CHUNKER),
            before: [night(0).into(), night(1).into()],
            second: [night(2), noise(seed, 3_000)].concat().into(),
            chunks: OnceLock::new(),
        }
    }

    /// Brings about what a kind of work begins with, and gives what the host keeps
    /// that did.
    pub(super) fn prepare<S: AppendStore>(&self, work: Work, store: &S) -> Client {
        let host = Client::new();
        if work == Work::Init {
            return host;
        }
        self.owner.create(store).expect("the store is empty");
        for (bytes, number) in self.before.iter().zip(1..) {
            let state = Some(&host.state);
            let mut repository = self.owner.open(store, state, 1 + number).expect("it opens");
            let taken = take(&mut repository, &with_record("shop"), bytes, &Silent);
            let taken = taken.expect("nothing fails");
            assert_eq!(taken.number, number);
            assert_eq!(taken.accounting.delta_chunks > 0, number == 2);
        }
        let repository = self.owner.open(store, None, 4).expect("it opens");
        let report = verify::with_key(&repository, Level::Data, &Terms::default(), &Silent);
        let chunks = report.expect("nothing fails").chunks;
        assert_eq!(*self.chunks.get_or_init(|| chunks), chunks);
        host
    }

    /// What is known before the work.
    pub(super) fn model(&self, work: Work) -> Model {
        if work == Work::Init {
            return Model::default();
        }
        Model {
            created: true,
            acknowledged: (1..).zip(self.before.iter().map(Arc::clone)).collect(),
            ..Model::default()
        }
    }

    /// Does the work, over a store some of whose calls fail.
    pub(super) fn run<S: AppendStore>(
        &self,
        work: Work,
        store: &S,
        state: Option<&State>,
    ) -> Outcome {
        if work == Work::Init {
            return match self.owner.create(store) {
                Ok(()) => Outcome::Done(Did::Init),
                Err(InitError::Unknown(_)) => Outcome::Unclear,
                Err(error) => Outcome::Failed(chain(&error)),
            };
        }
        let mut repository = match self.owner.open(store, state, 4) {
            Ok(repository) => repository,
            Err(error) => return Outcome::Failed(chain(&error)),
        };
        match work {
            Work::Init => unreachable!("it was done above"),
            Work::Snapshot => self.snapshot(&mut repository),
            Work::AddKey => add_key(&mut repository),
            Work::Restore => match restore_stream(&repository, 2) {
                Ok(bytes) => Outcome::Done(Did::Restored(bytes)),
                Err(why) => Outcome::Failed(why),
            },
            Work::Verify(level) => verify_at(&repository, level),
        }
    }

    fn snapshot<S: AppendStore>(&self, repository: &mut Repository<'_, S>) -> Outcome {
        match take(repository, &with_record("shop"), &self.second, &Silent) {
            Ok(summary) => Outcome::Done(Did::Snapshot(summary.number)),
            Err(SnapshotRunError::Append(error))
                if matches!(*error, AppendError::Unknown { .. }) =>
            {
                Outcome::Unclear
            }
            Err(error) => Outcome::Failed(chain(&error)),
        }
    }
}

fn add_key<S: AppendStore>(repository: &mut Repository<'_, S>) -> Outcome {
    match repository.add_key(key_request(Rights::WRITE, &["*"])) {
        Ok(new) => {
            let key = key_file(repository, new.bundle());
            Outcome::Done(Did::Key(Box::new(key)))
        }
        Err(AddKeyError::Append(AppendError::Unknown { .. })) => Outcome::Unclear,
        Err(error) => Outcome::Failed(chain(&error)),
    }
}

fn verify_at<S: AppendStore>(repository: &Repository<'_, S>, level: Level) -> Outcome {
    let report = if level == Level::Packs {
        let (store, seen, env) = (repository.store(), repository.seen(), repository.env());
        verify::packs(store, seen, &Terms::default(), env, &Silent)
    } else {
        verify::with_key(repository, level, &Terms::default(), &Silent)
    };
    match report {
        Ok(report) => Outcome::Done(Did::Verified {
            is_sound: report.is_sound(),
            chunks: report.chunks,
        }),
        Err(error) => Outcome::Failed(chain(&error)),
    }
}
