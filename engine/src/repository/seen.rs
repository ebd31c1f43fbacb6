//! A log as one client sees it: what the store shows, compared with everything
//! that says where it stood.
//!
//! Three things may say so: what this client remembers, what its key file states,
//! and a pin that somebody kept. Each is compared by itself and the worst answer
//! counts, so that a thief who can change one of them gains nothing while
//! another holds.

use std::borrow::Cow;

use indelible_format::checkpoint::Checkpoint;
use indelible_format::history::{Continuity, History, LogProblem};
use indelible_format::ids::{LogHash, RepositoryId};
use indelible_format::key_file::KeyFile;
use indelible_format::planted::{Bug, planted};
use indelible_format::rights::Kind;

use super::OpenError;
use crate::keys::UnlockError;
use crate::log::{self, Kept, LogError, Signed};
use crate::pin::{Accepted, Pin};
use crate::state::{RepositoryState, State};
use crate::store::ReadStore;

/// How a log compares with each thing that says where it stood;
/// [`Continuity::Unpinned`] where there is no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// With what this client remembers.
    pub memory: Continuity,
    /// With the size and root at which the key file was issued.
    pub key_file: Continuity,
    /// With a pin that was kept elsewhere.
    pub pin: Continuity,
}

impl Freshness {
    /// The worst of the three.
    pub fn worst(&self) -> Continuity {
        let [one, two, three] = [self.memory, self.key_file, self.pin];
        worse(worse(one, two), three)
    }

    /// Whether nothing says that the log was rolled back or forked.
    pub fn is_continuous(&self) -> bool {
        matches!(self.worst(), Continuity::Unpinned | Continuity::Extends)
    }
}

fn worse(one: Continuity, other: Continuity) -> Continuity {
    let rank = |continuity: &Continuity| match *continuity {
        Continuity::Unpinned => (0, 0),
        Continuity::Extends => (1, 0),
        // What remembers more shows the larger loss.
        Continuity::Behind { remembered, .. } => (2, remembered),
        Continuity::Forked { at } => (3, u64::MAX - at),
    };
    if rank(&other) > rank(&one) {
        other
    } else {
        one
    }
}

/// The pin is of another repository than the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pin is of repository {}, and repository {} stands here", .pinned.short(), .found.short())]
pub struct OtherRepository {
    /// The one that is pinned.
    pub pinned: RepositoryId,
    /// The one that is there.
    pub found: RepositoryId,
}

/// Why a log entry can't be accepted as known junk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotJunk {
    /// A valid entry stands there.
    #[error("log entry {number} is a valid {kind} entry")]
    Valid {
        /// The number.
        number: u64,
        /// Its kind.
        kind: Kind,
    },
    /// Another entry was committed there.
    #[error(
        "log entry {number} was damaged or exchanged: another one was committed in its place, which is a loss and no junk"
    )]
    Damaged {
        /// The number.
        number: u64,
    },
    /// An entry that was there is gone.
    #[error("log entry {number} was removed, which is a loss and no junk")]
    Removed {
        /// The number.
        number: u64,
    },
    /// The log ends before it.
    #[error("there is no log entry {number}")]
    Absent {
        /// The number.
        number: u64,
    },
    /// It is so far beyond the end that it has no leaf.
    #[error(
        "log entry {number} lies so far beyond the end of the log that it has no leaf hash to be known by"
    )]
    Beyond {
        /// The number.
        number: u64,
    },
    /// What was committed there may have been something else.
    #[error(
        "the log contradicts what is known of it, so what stands at log entry {number} may be a damaged entry and no junk"
    )]
    Contradicted {
        /// The number.
        number: u64,
    },
}

/// A log, and what this client knows of it.
#[derive(Debug, Clone)]
pub struct SeenLog {
    /// The log.
    pub history: History,
    /// How it compares with what the client knows.
    pub freshness: Freshness,
    /// Junk that somebody looked at on this client.
    pub accepted: Accepted,
    /// What the client keeps of the repository, if it keeps anything.
    pub state: Option<RepositoryState>,
    /// What the log was held against.
    pub held_against: Against,
}

/// What a client knew of a log when it read it.
#[derive(Debug, Clone, Default)]
pub struct Against {
    /// The leaves that it remembered.
    remembered: Vec<LogHash>,
    /// Size and root at which its key file was issued.
    issued: Option<(u64, LogHash)>,
}

impl Against {
    /// Reads the log, and compares it.
    fn read<S: ReadStore + ?Sized>(
        &self,
        store: &S,
        signed: &Signed,
        state: Option<&RepositoryState>,
    ) -> Result<(History, Freshness), LogError> {
        let store = &Kept::over(store, state, signed);
        let history = log::read(store, &self.remembered, signed)?;
        let freshness = self.compare(&history);
        Ok((history, freshness))
    }

    fn compare(&self, history: &History) -> Freshness {
        let issued = self
            .issued
            .map(|(size, root)| compare(history, size, &root));
        Freshness {
            memory: history.continuity,
            key_file: issued.unwrap_or(Continuity::Unpinned),
            pin: Continuity::Unpinned,
        }
    }
}

impl SeenLog {
    /// The repository.
    pub fn repository(&self) -> RepositoryId {
        self.history.authority.repository()
    }

    /// What is wrong with the log, without the junk that is known.
    pub fn unknown_problems(&self) -> impl Iterator<Item = &LogProblem> {
        self.history
            .problems
            .iter()
            .filter(|problem| !self.accepted.covers(problem))
    }

    /// The log with every object read by itself and every signature checked: as it is,
    /// if this client knew no signature and used no bundle, and else read and judged
    /// anew. What it knew is then set right, in case that it was wrong.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    pub fn rechecked<S: ReadStore + ?Sized>(&self, store: &S) -> Result<Cow<'_, Self>, LogError> {
        let is_checked = self.history.known == 0 || planted(Bug::KnownBelieved);
        if is_checked && self.history.bundled == 0 {
            return Ok(Cow::Borrowed(self));
        }
        let remembered = &self.held_against.remembered;
        let history = log::read_each(store, remembered, &Signed::default())?;
        let freshness = self.held_against.compare(&history);
        if let Some(state) = &self.state {
            state.keep_signed(&history);
        }
        Ok(Cow::Owned(Self {
            history,
            freshness,
            ..self.clone()
        }))
    }

    /// The log as it stands now, held against all that it was held against, and
    /// against how it stood.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    pub fn reread<S: ReadStore + ?Sized>(&self, store: &S) -> Result<Self, LogError> {
        let held_against = Against {
            remembered: self.history.leaves.clone(),
            issued: self.held_against.issued,
        };
        let (history, freshness) =
            held_against.read(store, &Signed::of(&self.history), self.state.as_ref())?;
        Ok(Self {
            history,
            freshness,
            held_against,
            ..self.clone()
        })
    }

    /// How the log compares when it is held against a pin too.
    ///
    /// # Errors
    ///
    /// [`OtherRepository`].
    pub fn against(&self, pin: Option<&Pin>) -> Result<Freshness, OtherRepository> {
        let mut freshness = self.freshness;
        if let Some(pin) = pin {
            let pinned = pin.checkpoint.repository;
            let found = self.repository();
            if pinned != found {
                return Err(OtherRepository { pinned, found });
            }
            let Checkpoint { size, root, .. } = pin.checkpoint;
            freshness.pin = compare(&self.history, size, &root);
        }
        Ok(freshness)
    }

    /// The leaf hash by which the junk at a number is known from now on.
    /// `freshness` is how the log compares.
    ///
    /// # Errors
    ///
    /// [`NotJunk`]: what stands there is no junk, or may be none.
    pub fn junk_at(&self, number: u64, freshness: &Freshness) -> Result<LogHash, NotJunk> {
        if let Some(entry) = self.history.entries.get(&number) {
            let kind = entry.header().kind;
            return Err(NotJunk::Valid { number, kind });
        }
        for problem in &self.history.problems {
            match problem {
                LogProblem::Void {
                    number: void, leaf, ..
                } if *void == number => {
                    // It is void by its own bytes, but nobody can tell any more
                    // what was committed there.
                    return if freshness.is_continuous() {
                        Ok(*leaf)
                    } else {
                        Err(NotJunk::Contradicted { number })
                    };
                }
                LogProblem::Damaged { number: at, .. } if *at == number => {
                    return Err(NotJunk::Damaged { number });
                }
                LogProblem::Removed { first, last } if (*first..=*last).contains(&number) => {
                    return Err(NotJunk::Removed { number });
                }
                LogProblem::Beyond { first, .. } if *first <= number => {
                    return Err(NotJunk::Beyond { number });
                }
                _ => {}
            }
        }
        Err(NotJunk::Absent { number })
    }
}

/// The log of a repository, read without a key. A key file says where it stood
/// when the key was issued, and is not opened.
///
/// # Errors
///
/// [`OpenError`]; [`OpenError::Unlock`] only for a key file of another
/// repository.
pub fn read_log<S: ReadStore + ?Sized>(
    store: &S,
    state: Option<&State>,
    key_file: Option<&KeyFile>,
) -> Result<SeenLog, OpenError> {
    let location = store.location();
    let known = state
        .map(|state| state.repository_at(&location))
        .transpose()?
        .flatten();
    let stated = key_file.map(|file| file.repository);
    let expected = stated.or(known);
    let (mut remembered, mut signed) = (Vec::new(), Signed::default());
    if let (Some(state), Some(id)) = (state, expected) {
        let state = state.repository(&id);
        remembered = state.leaves()?;
        signed = state.signed(&remembered);
    }
    let held_against = Against {
        remembered,
        issued: key_file.map(|file| (file.size, file.root)),
    };
    let known = expected.and_then(|id| Some(state?.repository(&id)));
    let (history, freshness) = held_against.read(store, &signed, known.as_ref())?;
    let found = history.authority.repository();
    if let Some(stated) = stated.filter(|&id| id != found) {
        return Err(UnlockError::OtherRepository { stated, found }.into());
    }
    if let Some(remembered) = expected.filter(|&id| id != found) {
        return Err(OpenError::Exchanged { remembered, found });
    }
    let state = state.map(|state| state.repository(&found));
    Ok(SeenLog {
        freshness,
        accepted: state
            .as_ref()
            .map(RepositoryState::accepted)
            .unwrap_or_default(),
        history,
        state,
        held_against,
    })
}

/// Compares a log with a size and root at which it once stood.
fn compare(history: &History, size: u64, root: &LogHash) -> Continuity {
    match history.root_at(size) {
        None => Continuity::Behind {
            shown: history.size(),
            remembered: size,
        },
        Some(found) if found == *root => Continuity::Extends,
        Some(_) => Continuity::Forked {
            at: size.saturating_sub(1),
        },
    }
}
