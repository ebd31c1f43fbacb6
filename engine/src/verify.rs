//! Proves what can be proven of a repository with the rights at hand, and
//! reports every problem with the snapshots that it harms.
//!
//! Three levels, each including the one before:
//!
//! | level | needs | checks |
//! |---|---|---|
//! | packs | no key | the log; commit records; every listed pack's length, name and SHA-256 against its bytes, or the last against the store's word |
//! | tree | verify | every snapshot's manifest, reach and nodes; that each chunk they name stands in an authentic directory of a pack in reach |
//! | data | restore | every stored chunk, decoded, against its id |
//!
//! An [`Extent`] may leave packs out of being read whole: of those, presence,
//! length and directory are checked, and what the tree needs. The report says
//! what was not read, and what was read and not decoded, so that "no problem" never covers what was not looked at.
//!
//! A problem is attributed by what snapshots need, not by what they mention: a
//! damaged chunk that has an intact copy harms nobody. Where a level can't tell,
//! the report says whom a problem harms at least, or perhaps.
//!
//! This module never repairs and never writes to the store. It takes nothing on
//! the word of what the client keeps: signatures that it knew are checked again,
//! and manifests are opened.

mod extent;
mod leaning;
mod locks;
mod log;
mod metered;
mod problem;
mod report;
mod stock;
mod tree;
mod visit;
mod word;

use std::collections::{BTreeMap, BTreeSet};

use indelible_format::attest::Level;
use indelible_format::ids::{PackId, RecordId};

use crate::env::Env;
use crate::log::LogError;
use crate::pin::{Accepted, Pin};
use crate::progress::{Phase, Progress};
use crate::read::ReadError;
use crate::repository::{OtherRepository, Repository, SeenLog};
use crate::store::{Area, Listed, ObjectKey, ReadStore, StoreError};
pub use extent::{Amount, Extent};
pub use problem::{Cause, Check, Harm, Problem, ProblemKind};
pub use report::{Junk, Report, Verdict};
use stock::{Round, Stock};

/// Why a verification could not be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store can't be listed, so nothing can be said of what is missing.
    #[error("the repository could not be listed")]
    List(#[source] StoreError),
    /// The key has not the right that the level takes.
    #[error(transparent)]
    NotAllowed(#[from] ReadError),
    /// The pin is another repository's.
    #[error(transparent)]
    OtherRepository(#[from] OtherRepository),
    /// The log can't be read again.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What a verification is asked for, beside its level.
#[derive(Debug, Clone)]
pub struct Terms<'a> {
    /// How much is read of the packs.
    pub extent: Extent,
    /// What somebody keeps of the log outside this client. Junk that it knows is
    /// no problem.
    pub pin: Option<&'a Pin>,
    /// More junk that is no problem, besides what this client knows.
    pub accepted: Accepted,
    /// Whether the level packs leaves out packs whose recorded SHA-256 the store says that
    /// it keeps ([`ReadStore::stored_sum`]): the report counts them. Deeper levels read
    /// every pack.
    pub takes_word: bool,
}

impl Default for Terms<'_> {
    /// Everything is read, and compared with what this client knows.
    fn default() -> Self {
        Self {
            extent: Extent::ALL,
            pin: None,
            accepted: Accepted::default(),
            takes_word: false,
        }
    }
}

/// What the store lists.
#[derive(Default)]
struct Inventory {
    packs: BTreeMap<PackId, u64>,
    records: BTreeSet<RecordId>,
    bundles: BTreeSet<u64>,
    foreign: Vec<String>,
    covered: Vec<Covered>,
}

/// What lies over an object.
#[derive(Debug, Clone, thiserror::Error)]
#[error("versions beside the one that counts: {others}; markers that hide it: {markers}")]
struct Covered {
    key: ObjectKey,
    others: u32,
    markers: u32,
}

fn take_inventory<S: ReadStore + ?Sized>(store: &S) -> Result<Inventory, VerifyError> {
    let mut inventory = Inventory::default();
    for area in Area::ALL {
        let each = &mut |listed| match listed {
            Listed::Object {
                key: ObjectKey::Pack(id),
                size_bytes,
            } => {
                inventory.packs.insert(id, size_bytes);
            }
            Listed::Object {
                key: ObjectKey::Record(id),
                ..
            } => {
                inventory.records.insert(id);
            }
            Listed::Object {
                key: ObjectKey::Bundle(number),
                ..
            } => {
                inventory.bundles.insert(number);
            }
            Listed::Object { .. } => {}
            Listed::Covered {
                key,
                others,
                markers,
            } => inventory.covered.push(Covered {
                key,
                others,
                markers,
            }),
            Listed::Foreign { path } => inventory.foreign.push(path),
        };
        store.list(area, each).map_err(VerifyError::List)?;
    }
    Ok(inventory)
}

/// Verifies at the level packs, with no key. `env` draws samples and tells the
/// time.
///
/// # Errors
///
/// [`VerifyError::List`], [`VerifyError::OtherRepository`], [`VerifyError::Log`].
pub fn packs<S: ReadStore + ?Sized>(
    store: &S,
    seen: &SeenLog,
    terms: &Terms<'_>,
    env: &Env,
    progress: &dyn Progress,
) -> Result<Report, VerifyError> {
    let seen = &*seen.rechecked(store)?;
    let round = Round {
        takes_word: terms.takes_word,
        ..Round::begin(terms, env, progress)
    };
    let freshness = seen.against(terms.pin)?;
    let inventory = take_inventory(store)?;
    let (mut report, listings) = log::begin(store, seen, terms, freshness, &inventory);
    let mut stock = Stock::new(&inventory.packs);
    // Without keys reaches are sealed: only the listing entry is known to be
    // harmed.
    for wrong in stock.check_bytes(store, &listings, &round) {
        let at = report.problems.len();
        report.problems.push(wrong.problem);
        let harmed = report
            .snapshots
            .iter_mut()
            .filter(|verdict| wrong.harmed == Some(verdict.number));
        for verdict in harmed {
            verdict.problems.insert(at);
        }
    }
    stock.report_into(&mut report);
    report.attribute(false);
    Ok(report)
}

/// Verifies at the level tree or data.
///
/// # Errors
///
/// [`VerifyError`].
///
/// # Panics
///
/// If asked for a level that this function does not serve.
pub fn with_key<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    level: Level,
    terms: &Terms<'_>,
    progress: &dyn Progress,
) -> Result<Report, VerifyError> {
    assert!(
        matches!(level, Level::Tree | Level::Data),
        "packs need no key, and drills are not verifications"
    );
    let key = repository.key();
    if key.verify.is_none() {
        return Err(ReadError::NotAllowed { needed: "verify" }.into());
    }
    if level == Level::Data && key.restore.is_none() {
        return Err(ReadError::NotAllowed { needed: "restore" }.into());
    }
    let repository = &repository.rechecked()?;
    let round = Round::begin(terms, repository.env(), progress);
    let (store, seen) = (repository.store(), repository.seen());
    let freshness = seen.against(terms.pin)?;
    let inventory = take_inventory(store)?;
    let (mut report, listings) = log::begin(store, seen, terms, freshness, &inventory);
    report.level = level;
    let mut stock = Stock::new(&inventory.packs);
    stock.open_packs(repository, &listings, level == Level::Data, &round)?;
    progress.begin(Phase::WalkingTree, None);
    let snapshots = tree::walk_all(repository, &listings, &mut stock, &mut report, progress);
    progress.end(Phase::WalkingTree);
    stock.report_into(&mut report);
    locks::check(repository, &snapshots, &listings, &mut report, progress);
    report.attribute(true);
    Ok(report)
}
