//! Reads the log from a store, and appends to it.
//!
//! What the objects mean is judged in [`indelible_format::history`]; this module
//! fetches them, and creates the next one. Creating `log/<n>` exclusively is the
//! one and only commit. Why an append is safe (SPEC 9.3, 9.4):
//!
//! - a draft is signed for one number and one root, and never written elsewhere;
//! - a retry at a number sends identical bytes;
//! - "created" is believed only when the oldest version is our own bytes;
//! - the next number is tried only after another object was seen at this one,
//!   and the log was read again;
//! - an answer that stays unclear is an error of its own, never a success.
//!
//! Signatures are checked ahead of the judgement, on all cores, a bounded number
//! of objects at a time; the judgement itself keeps the log's order. A signature
//! that this client has seen to verify ([`Signed`]) is not checked again: it is
//! known by the leaf hash of its object, which covers every byte that it depends
//! on. Nothing else is left out for that.
//!
//! A long log is read from bundles of its objects where those can be believed, and
//! whoever appends makes them (`bundles`).
//!
//! This module never deletes and never fills a gap.

mod bundles;
mod kept;
mod objects;

use std::collections::BTreeSet;

use indelible_format::authority::GenesisError;
use indelible_format::entry::Entry;
use indelible_format::history::History;
use indelible_format::ids::LogHash;
use indelible_format::limits::LEAF_BYTES_MAX;
use indelible_format::planted::{Bug, planted};
use indelible_format::rights::Kind;

pub(crate) use bundles::{make_behind, make_missing};
pub(crate) use kept::Kept;
use objects::Objects;

use crate::store::{AppendStore, ObjectKey, PutOutcome, ReadStore, StoreError};

/// How often an unclear answer is asked again before it counts as unknown.
const UNCLEAR_TRIES: u32 = 4;
/// How many lost races one append endures. Each means that somebody else
/// committed, so a limit is reached only by a log under attack.
const RACES_MAX: u32 = 1_000;

/// Why a log can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no log there.
    #[error("there is no repository at {location}")]
    NoRepository {
        /// Where was looked.
        location: String,
    },
    /// There is a log without a genesis entry that this release can read.
    #[error("the repository at {location} can't be read")]
    Genesis {
        /// Where was looked.
        location: String,
        /// Why.
        source: GenesisError,
    },
    /// The store failed.
    #[error("the log could not be read")]
    Store(#[from] StoreError),
}

/// Why an entry was not appended, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError<E: std::error::Error + 'static> {
    /// The entry could not be made for the log as it stands now.
    #[error(transparent)]
    Draft(E),
    /// The log must not be appended to by this release.
    #[error(
        "entry {number} ({kind}) must be understood before anything is added, and this release does not know it"
    )]
    NewerRelease {
        /// The critical entry.
        number: u64,
        /// Its kind.
        kind: Kind,
    },
    /// The log could not be read again.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store refused: nothing was created.
    #[error("the log entry could not be created")]
    Store(#[source] StoreError),
    /// Other writers, or an attacker, took every number that was tried.
    #[error("{RACES_MAX} other entries came first")]
    Outrun,
    /// The entry stands in the log and is void: another entry, such as the
    /// revocation of its key, came between.
    #[error("log entry {number} was created and has no effect")]
    Void {
        /// Its number.
        number: u64,
    },
    /// The entry may or may not have been committed.
    #[error("it is unknown whether log entry {number} was created")]
    Unknown {
        /// Its number.
        number: u64,
        /// What made it unclear.
        source: Option<Box<StoreError>>,
    },
}

/// Leaves of a log whose signatures a client has seen to verify, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signed(Vec<Option<LogHash>>);

impl Signed {
    /// The valid entries of a log.
    pub fn of(history: &History) -> Self {
        let leaf = |number| history.entries.get(&number).map(Entry::leaf);
        Self((0..history.size()).map(leaf).collect())
    }

    /// The leaf that was seen at a number, if its signature verified.
    pub fn get(&self, number: u64) -> Option<&LogHash> {
        self.0.get(usize::try_from(number).ok()?)?.as_ref()
    }
}

impl FromIterator<Option<LogHash>> for Signed {
    fn from_iter<I: IntoIterator<Item = Option<LogHash>>>(leaves: I) -> Self {
        Self(leaves.into_iter().collect())
    }
}

/// Reads and judges the log. `remembered` is the leaves that this client saw
/// before, or empty; `signed` is those of them whose signatures need not be
/// checked again.
///
/// # Errors
///
/// [`LogError`]; whatever is wrong with single entries is in the result instead.
pub fn read<S: ReadStore + ?Sized>(
    store: &S,
    remembered: &[LogHash],
    signed: &Signed,
) -> Result<History, LogError> {
    bundles::read(&Objects::list(store, remembered, signed)?)
}

/// The same, with each object read by itself, as who verifies a log does.
///
/// # Errors
///
/// As [`read`].
pub fn read_each<S: ReadStore + ?Sized>(
    store: &S,
    remembered: &[LogHash],
    signed: &Signed,
) -> Result<History, LogError> {
    let objects = Objects::list(store, remembered, signed)?;
    Ok(objects.judge(&mut BTreeSet::new())?.0)
}

/// What an append came to.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The number of the new entry.
    pub number: u64,
    /// The log with it.
    pub history: History,
}

/// Appends one entry.
///
/// `draft` makes its bytes for `history.next`, given the leaf before it and the
/// root over all before it. It is called again, with the log read anew, whenever
/// another writer took the number.
///
/// # Errors
///
/// [`AppendError`]. Only [`AppendError::Unknown`] leaves open whether the entry
/// was committed.
pub fn append<S, E>(
    store: &S,
    history: &History,
    mut draft: impl FnMut(&History, LogHash, LogHash) -> Result<Vec<u8>, E>,
) -> Result<Appended, AppendError<E>>
where
    S: AppendStore + ?Sized,
    E: std::error::Error + 'static,
{
    let mut history = history.clone();
    for _ in 0..RACES_MAX {
        if let Some((number, kind)) = history.authority.stop() {
            return Err(AppendError::NewerRelease { number, kind });
        }
        let number = history.next;
        let root = history
            .root_at(number)
            .expect("the log has the leaves below its next number");
        let previous = leaf_before(&history, number);
        let bytes = draft(&history, previous, root).map_err(AppendError::Draft)?;
        let below = remembered_below(&history.leaves, number);
        let signed = Signed::of(&history);
        if !create(store, number, &bytes)? {
            history = read(store, &below, &signed)?;
            continue;
        }
        // It is committed, whatever the store answers from now on.
        let history = match read(store, &below, &signed) {
            Ok(seen) if !seen.entries.contains_key(&number) => {
                return Err(AppendError::Void { number });
            }
            Ok(seen) => seen,
            Err(_) => with_entry(history, number, &bytes),
        };
        return Ok(Appended { number, history });
    }
    Err(AppendError::Outrun)
}

/// The log with an entry that was committed, as far as it is known without
/// reading it again. With junk ahead, which was judged already, or with leaves
/// that are remembered ahead, it stays as it was: the next append then meets its
/// own entry, and reads the log.
pub(crate) fn with_entry(mut history: History, number: u64, bytes: &[u8]) -> History {
    let ahead = history.size() > number || history.problems.iter().any(|it| it.first() >= number);
    if !ahead && let Ok(entry) = history.authority.admit(number, bytes) {
        history.leaves.push(entry.leaf());
        history.entries.insert(number, entry);
        history.next = number + 1;
    }
    history
}

pub(crate) fn leaf_before(history: &History, number: u64) -> LogHash {
    let before = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
    before
        .and_then(|n| history.leaves.get(n).copied())
        .expect("genesis stands before every other entry")
}

/// What is known of the leaves below a number that was just tried. What stands
/// at it and behind it is to be seen afresh.
fn remembered_below(leaves: &[LogHash], number: u64) -> Vec<LogHash> {
    let end = usize::try_from(number)
        .unwrap_or(usize::MAX)
        .min(leaves.len());
    leaves[..end].to_vec()
}

/// Creates `log/<number>`. True: committed. False: another object stands there.
fn create<S, E>(store: &S, number: u64, bytes: &[u8]) -> Result<bool, AppendError<E>>
where
    S: AppendStore + ?Sized,
    E: std::error::Error + 'static,
{
    let key = ObjectKey::Log(number);
    let mut cause = None;
    for tried in 0..UNCLEAR_TRIES {
        let stored = match store.put_new(&key, bytes) {
            Ok(outcome) if outcome.is_stored() => true,
            Ok(PutOutcome::Indeterminate { cause: unclear }) => {
                cause = Some(unclear);
                planted(Bug::UnclearIsCommitted)
            }
            Ok(_) => return Ok(false),
            // The first try created nothing, so nothing is unclear.
            Err(error) if tried == 0 => return Err(AppendError::Store(error)),
            Err(error) => {
                cause = Some(Box::new(error));
                false
            }
        };
        if stored && !store.capabilities().versions {
            return Ok(true);
        }
        // Only the oldest version commits.
        match store.read_oldest(&key, LEAF_BYTES_MAX as u64) {
            Ok(oldest) if oldest != bytes => return Ok(false),
            Ok(_) if stored => return Ok(true),
            Ok(_) => {}
            Err(error) => cause = Some(Box::new(error)),
        }
    }
    Err(AppendError::Unknown {
        number,
        source: cause,
    })
}
