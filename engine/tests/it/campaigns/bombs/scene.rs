//! The repository that bombs are planted in, and the readers that meet them.

use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::keys::Credential;
use indelible_engine::progress::{Phase, Progress};
use indelible_engine::repository::Repository;
use indelible_engine::restore::{Restore, RestoreError};
use indelible_engine::store::MemoryStore;
use indelible_engine::target::Policy;
use indelible_engine::verify::{Problem, Report};
use indelible_format::attest::Level;

use crate::campaigns::oracle::surely;
use crate::support::tree::Insider;
use crate::support::{Fixture, chain, key_file, restore_stream, rows, take_stream, verify_with};

/// A restore is interrupted once it wrote so many bytes.
const RESTORED_BYTES_MAX: u64 = 256 << 10;

/// What readers must make of a bomb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Its entry is void.
    Void,
    /// Its entry is valid, a verification names the snapshot as harmed, and it
    /// does not restore.
    Unreadable,
    /// It is what it says, however long that takes: it restores until it is
    /// interrupted.
    Endless,
    /// It is what it says, and restores.
    Harmless,
}

/// A repository with a snapshot, and somebody with a write key.
pub(super) struct Scene<'f> {
    pub(super) fixture: &'f Fixture,
    pub(super) insider: Insider<'f>,
    legal: u64,
}

impl<'f> Scene<'f> {
    pub(super) fn new(fixture: &'f Fixture) -> Self {
        Self {
            fixture,
            legal: fixture.snapshot_of("shop", &rows(0..100)).number,
            insider: Insider::new(fixture),
        }
    }

    /// Opens the repository, verifies it, restores the snapshot of the bomb and
    /// one beside it, and takes snapshots with two keys.
    pub(super) fn meet(&self, number: u64, expected: Expected) -> Result<(), String> {
        let repository = self.open(&self.fixture.recovery)?;
        let valid = repository.history().entries.contains_key(&number);
        verify_with(&repository, Level::Packs);
        let report = verify_with(&repository, Level::Data);
        let harmed = harms(&report, number);
        let restored = if valid {
            restore_some(&repository, number)
        } else {
            Restored::Failed("it is void".to_owned())
        };
        let good = match expected {
            Expected::Void => !valid,
            Expected::Unreadable => valid && harmed && matches!(restored, Restored::Failed(_)),
            Expected::Endless => valid && !harmed && restored == Restored::Interrupted,
            Expected::Harmless => valid && !harmed && restored == Restored::Whole,
        };
        if !good {
            let problems = report.problems;
            return Err(format!(
                "valid: {valid}, {restored:?}, harmed: {harmed}, {problems:?}, not {expected:?}"
            ));
        }
        if restore_stream(&repository, self.legal) != Ok(rows(0..100)) {
            return Err("the snapshot beside it does not restore".to_owned());
        }
        drop(repository);
        let insider = key_file(&self.insider.repository, self.insider.key());
        for credential in [&self.fixture.recovery, &insider] {
            let mut repository = self.open(credential)?;
            take_stream(&mut repository, "shop", &rows(0..120)).map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    /// Whether a verification names the snapshot as harmed.
    pub(super) fn harmed(&self, number: u64) -> Result<bool, String> {
        let repository = self.open(&self.fixture.recovery)?;
        Ok(harms(&verify_with(&repository, Level::Data), number))
    }

    /// Opens the repository.
    pub(super) fn open(
        &self,
        credential: &Credential,
    ) -> Result<Repository<'f, MemoryStore>, String> {
        let env = self.fixture.env.clone();
        Repository::open(&self.fixture.store, None, credential, env).map_err(|error| chain(&error))
    }
}

/// Whether a report names a snapshot as harmed.
fn harms(report: &Report, number: u64) -> bool {
    let harms = |problem: &Problem| surely(&problem.harm).contains(&number);
    report.problems.iter().any(harms)
}

/// How far a restore came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Restored {
    Whole,
    Interrupted,
    Failed(String),
}

/// Restores a snapshot into a directory, and interrupts it in time.
pub(super) fn restore_some(repository: &Repository<'_, MemoryStore>, number: u64) -> Restored {
    let entry = &repository.history().entries[&number];
    let snapshot = match repository.snapshot(entry) {
        Ok(snapshot) => snapshot,
        Err(error) => return Restored::Failed(chain(&error)),
    };
    let (listings, _) = repository.listings();
    let target = tempfile::tempdir().expect("a temporary directory");
    let cancel = Cancel::new();
    let meter = Meter {
        left: AtomicU64::new(RESTORED_BYTES_MAX),
        cancel: &cancel,
    };
    let policy = Policy { overwrite: false };
    let restored = Restore::new(repository, &listings, &snapshot, &cancel, &meter)
        .and_then(|restore| restore.to_directory(target.path(), &[], policy));
    match restored {
        Ok(_) => Restored::Whole,
        Err(RestoreError::Interrupted) => Restored::Interrupted,
        Err(error) => Restored::Failed(chain(&error)),
    }
}

/// Interrupts a restore that wrote enough.
struct Meter<'c> {
    left: AtomicU64,
    cancel: &'c Cancel,
}

impl Progress for Meter<'_> {
    fn advance(&self, _: Phase, amount: u64) {
        let left = self.left.load(Ordering::SeqCst).saturating_sub(amount);
        self.left.store(left, Ordering::SeqCst);
        if left == 0 {
            self.cancel.request();
        }
    }
}
