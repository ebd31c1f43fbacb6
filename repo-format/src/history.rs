//! Reads a whole log: which objects are entries, what the leaves are, and what
//! is wrong (SPEC 3.4, 3.12, 3.13).
//!
//! Nothing found here stops a reader. Junk is void, a hole is reported, a
//! contradiction is reported, and every valid entry stays usable: the log must
//! survive whoever may create objects in the store.

use std::collections::BTreeMap;

use crate::authority::{Authority, GenesisError, Void};
use crate::entry::Entry;
use crate::examined::Examined;
use crate::ids::{LogHash, RepositoryId};
use crate::limits::LOG_GAP_END;
use crate::merkle::{Frontier, leaf_hash};
use crate::planted::{Bug, planted};

/// Something about the log that its operator must know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogProblem {
    /// An object that is no valid entry, and never was one.
    Void {
        /// Its number.
        number: u64,
        /// Its leaf hash, by which it can be acknowledged.
        leaf: LogHash,
        /// Why.
        reason: Void,
    },
    /// An object that is no valid entry, where another was committed.
    Damaged {
        /// Its number.
        number: u64,
        /// Why it is no valid entry now.
        reason: Void,
    },
    /// Numbers without an object, below a valid entry or below what is
    /// remembered.
    Removed {
        /// The first number.
        first: u64,
        /// The last number.
        last: u64,
    },
    /// An entry that states another leaf or root than the log shows, with
    /// nothing else to explain it.
    OtherHistory {
        /// The first such entry.
        first: u64,
        /// The last of those that follow each other.
        last: u64,
    },
    /// Objects beyond the end of the log.
    Beyond {
        /// The first number.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// How the log compares with what a client remembers of it (SPEC 3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// Nothing is remembered: freshness is unverified.
    Unpinned,
    /// The log extends what is remembered.
    Extends,
    /// The log is what is remembered, less its end: rolled back, or a mirror
    /// that is behind.
    Behind {
        /// Entries that the store shows.
        shown: u64,
        /// Entries that are remembered.
        remembered: u64,
    },
    /// A remembered leaf is another one now.
    Forked {
        /// The first number that differs.
        at: u64,
    },
}

/// A log, read and judged.
#[derive(Debug, Clone)]
pub struct History {
    /// The keys, as of the end.
    pub authority: Authority,
    /// The valid entries by number.
    pub entries: BTreeMap<u64, Entry>,
    /// The leaf of every number, as SPEC 3.4 has it, and those that are remembered
    /// beyond. Its length is the log's size.
    pub leaves: Vec<LogHash>,
    /// Where a writer appends (SPEC 9.3).
    pub next: u64,
    /// The highest number that readers of the objects shown would reach: an entry
    /// above it would be beyond the end of the log (SPEC 3.13).
    reach: u64,
    /// What is wrong, ascending by number.
    pub problems: Vec<LogProblem>,
    /// How it compares with what is remembered.
    pub continuity: Continuity,
    /// How many entries are valid as the caller knew their signatures, which
    /// were not checked again.
    pub known: u64,
    /// How many objects the caller had from bundles (SPEC 3.17) and did not read by
    /// themselves; 0 unless it says so.
    pub bundled: u64,
}

/// A log while its objects are judged, one after the other.
///
/// [`History::read`] is the short way for who has their bytes at hand. This is
/// for who examines them elsewhere, or knows some of their signatures.
pub struct Judging {
    authority: Authority,
    slots: Vec<Slot>,
    known: u64,
    /// The first object beyond the end, and how many there are.
    beyond: Option<(u64, u64)>,
}

impl Judging {
    /// Begins with the bytes of the object 0, or none. `known` is as
    /// [`Examined::new`] says.
    pub fn begin(genesis: &[u8], known: Option<&LogHash>) -> Result<Self, GenesisError> {
        let (authority, entry) = Authority::begin_known(genesis, known)?;
        Ok(Self {
            known: u64::from(known == Some(&entry.leaf())),
            authority,
            slots: vec![Slot::Valid(Box::new(entry))],
            beyond: None,
        })
    }

    /// The repository, for which the other objects are to be examined.
    pub fn repository(&self) -> RepositoryId {
        self.authority.repository()
    }

    /// The number behind the last object that was judged.
    pub fn end(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Whether an object of this number counts. If not, it is beyond the end of
    /// the log, and what it holds is all the same.
    pub fn reaches(&self, number: u64) -> bool {
        self.beyond.is_none() && number - self.end() < LOG_GAP_END
    }

    /// Judges the next object. Numbers are given ascending.
    ///
    /// # Panics
    ///
    /// If the log does not reach the number, or it is not above those before.
    pub fn judge(&mut self, number: u64, examined: Examined) {
        assert!(self.reaches(number), "it is no object of the log");
        let absent = number - self.end();
        self.slots.extend((0..absent).map(|_| Slot::Absent));
        let (leaf, known) = (examined.leaf(), examined.is_known());
        self.slots
            .push(match self.authority.judge(number, examined) {
                Ok(entry) => {
                    self.known += u64::from(known);
                    Slot::Valid(Box::new(entry))
                }
                Err(reason) => Slot::Void(reason, leaf),
            });
    }

    /// Counts an object that the log does not reach.
    pub fn pass_over(&mut self, number: u64) {
        let (_, count) = self.beyond.get_or_insert((number, 0));
        *count += 1;
    }

    /// The log. `remembered` is the leaves that a client saw before, or empty.
    pub fn finish(self, remembered: &[LogHash]) -> History {
        let (slots, mut problems) = (self.slots, Vec::new());
        problems.extend(
            self.beyond
                .map(|(first, count)| LogProblem::Beyond { first, count }),
        );
        let reach = slots.len() + GAP - 1;
        let next = next(&slots, remembered.len().min(reach));
        let leaves = leaves(&slots, remembered, next);
        judge(&slots, &leaves, &mut problems);
        let continuity = compare(&slots, &leaves, remembered, &mut problems);
        problems.sort_by_key(LogProblem::first);
        let entries = slots
            .into_iter()
            .zip(0..)
            .filter_map(|(slot, number)| match slot {
                Slot::Valid(entry) => Some((number, *entry)),
                Slot::Void(..) | Slot::Absent => None,
            })
            .collect();
        History {
            authority: self.authority,
            entries,
            leaves,
            next: next as u64,
            reach: reach as u64,
            problems,
            continuity,
            known: self.known,
            bundled: 0,
        }
    }
}

/// [`LOG_GAP_END`], for counting slots.
const GAP: usize = 1_024;
const _: () = assert!(GAP as u64 == LOG_GAP_END);

/// What stands at one number.
enum Slot {
    Valid(Box<Entry>),
    Void(Void, LogHash),
    Absent,
}

impl Slot {
    fn valid(&self) -> Option<&Entry> {
        match self {
            Self::Valid(entry) => Some(entry),
            Self::Void(..) | Self::Absent => None,
        }
    }
}

impl History {
    /// Reads the objects of a log, given ascending by number with their bytes
    /// (at most [`LEAF_BYTES_MAX`](crate::limits::LEAF_BYTES_MAX) of each).
    ///
    /// `remembered` is the leaves that a client saw before, or empty. Fails only
    /// if there is no genesis.
    pub fn read<B: AsRef<[u8]>>(
        objects: impl IntoIterator<Item = (u64, B)>,
        remembered: &[LogHash],
    ) -> Result<Self, GenesisError> {
        let mut objects = objects.into_iter().peekable();
        let genesis = objects.next_if(|(number, _)| *number == 0);
        let genesis = genesis
            .as_ref()
            .map_or(&[][..], |(_, bytes)| bytes.as_ref());
        let mut judging = Judging::begin(genesis, None)?;
        let repository = judging.repository();
        for (number, bytes) in objects {
            if judging.reaches(number) {
                let examined = Examined::new(bytes.as_ref(), &repository, None);
                judging.judge(number, examined);
            } else {
                judging.pass_over(number);
            }
        }
        Ok(judging.finish(remembered))
    }

    /// Lets a writer append at `size` or above, because it knows from elsewhere,
    /// as from its key file, that the log had this size (SPEC 5.6, 9.3).
    ///
    /// What stood at the numbers between is not known, so their leaves are those
    /// of what stands there now (SPEC 3.4). Where that is so far on that readers
    /// would take the entry for one beyond the log's end, it is appended at the
    /// last number that they reach.
    pub fn append_from(&mut self, size: u64) {
        let size = size.min(self.reach);
        for number in self.size()..size {
            let junk = self.problems.iter().find_map(|problem| match problem {
                LogProblem::Void {
                    number: at, leaf, ..
                } if *at == number => Some(*leaf),
                _ => None,
            });
            self.leaves.push(junk.unwrap_or_else(|| leaf_hash(b"")));
        }
        self.next = self.next.max(size);
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Root over all leaves.
    pub fn root(&self) -> LogHash {
        self.root_at(self.size()).expect("the log has its own size")
    }

    /// Root over the first `size` leaves, if there are so many.
    pub fn root_at(&self, size: u64) -> Option<LogHash> {
        let leaves = self.leaves.get(..usize::try_from(size).ok()?)?;
        let mut frontier = Frontier::new();
        frontier.extend(leaves.iter().copied());
        Some(frontier.root())
    }
}

impl LogProblem {
    /// The first number that it is about.
    pub fn first(&self) -> u64 {
        match self {
            Self::Void { number, .. } | Self::Damaged { number, .. } => *number,
            Self::Removed { first, .. }
            | Self::OtherHistory { first, .. }
            | Self::Beyond { first, .. } => *first,
        }
    }
}

/// The leaves of SPEC 3.4, up to where a writer appends.
///
/// Junk behind a hole has no leaf yet. If it had, whoever may create objects
/// could make clients remember leaves of numbers at which others will append.
fn leaves(slots: &[Slot], remembered: &[LogHash], next: usize) -> Vec<LogHash> {
    let stated = |n: usize| {
        slots
            .get(n + 1)
            .and_then(Slot::valid)
            .map(|next| next.header().previous)
    };
    let leaf = |n: usize| match (&slots[n], stated(n)) {
        (Slot::Valid(entry), _) => entry.leaf(),
        (_, Some(committed)) => committed,
        (slot, None) => match (remembered.get(n), slot) {
            (Some(known), _) => *known,
            (None, Slot::Void(_, observed)) => *observed,
            (None, _) => leaf_hash(b""),
        },
    };
    // A client that remembers more than the store shows goes on from there.
    let beyond = remembered.get(slots.len()..).unwrap_or_default();
    (0..slots.len().min(next))
        .map(leaf)
        .chain(beyond.iter().copied())
        .collect()
}

/// The first absent number above every valid entry and not below `least`. The
/// last valid entry stands where the search begins, and is not absent.
fn next(slots: &[Slot], least: usize) -> usize {
    let last_valid = slots
        .iter()
        .rposition(|slot| slot.valid().is_some())
        .unwrap_or(0);
    let from = least.max(last_valid);
    let absent = |n: &usize| {
        slots
            .get(*n)
            .is_none_or(|slot| matches!(slot, Slot::Absent))
    };
    (from..=from.max(slots.len()))
        .find(absent)
        .expect("a log has fewer objects than numbers")
}

/// Finds void, damaged and removed entries, and other histories.
fn judge(slots: &[Slot], leaves: &[LogHash], problems: &mut Vec<LogProblem>) {
    let mut frontier = Frontier::new();
    let last_valid = slots
        .iter()
        .rposition(|slot| slot.valid().is_some())
        .unwrap_or(0);
    let mut explained = false;
    for (n, slot) in slots.iter().enumerate() {
        let number = n as u64;
        match slot {
            Slot::Void(reason, observed) if leaves.get(n).is_none_or(|leaf| leaf == observed) => {
                problems.push(LogProblem::Void {
                    number,
                    leaf: *observed,
                    reason: reason.clone(),
                });
            }
            Slot::Void(reason, _) => problems.push(LogProblem::Damaged {
                number,
                reason: reason.clone(),
            }),
            Slot::Absent if n < last_valid => {
                removed(problems, number);
                // Where neither the next entry nor memory says what stood
                // there, what was signed beyond can't be checked against it.
                explained |= leaves[n] == leaf_hash(b"");
            }
            Slot::Valid(entry) if n > 0 => {
                let header = entry.header();
                let other = header.previous != leaves[n - 1]
                    || (header.root != frontier.root() && !explained);
                if other {
                    other_history(problems, number);
                }
            }
            // Genesis states nothing of others; a hole behind the last valid
            // entry is where the log ends.
            Slot::Valid(_) | Slot::Absent => {}
        }
        frontier.extend(leaves.get(n).copied());
    }
}

/// Adds a number to the last hole, or begins one.
fn removed(problems: &mut Vec<LogProblem>, number: u64) {
    match problems.last_mut() {
        Some(LogProblem::Removed { last, .. }) if *last + 1 == number => *last = number,
        _ => problems.push(LogProblem::Removed {
            first: number,
            last: number,
        }),
    }
}

fn other_history(problems: &mut Vec<LogProblem>, number: u64) {
    match problems.last_mut() {
        Some(LogProblem::OtherHistory { last, .. }) if *last + 1 == number => *last = number,
        _ => problems.push(LogProblem::OtherHistory {
            first: number,
            last: number,
        }),
    }
}

fn compare(
    slots: &[Slot],
    leaves: &[LogHash],
    remembered: &[LogHash],
    problems: &mut Vec<LogProblem>,
) -> Continuity {
    if remembered.is_empty() || planted(Bug::MemoryIgnored) {
        return Continuity::Unpinned;
    }
    let differs = |n: &usize| slots.get(*n).is_some_and(|_| leaves[*n] != remembered[*n]);
    if let Some(at) = (0..remembered.len()).find(differs) {
        return Continuity::Forked { at: at as u64 };
    }
    let shown = slots
        .iter()
        .rposition(|slot| !matches!(slot, Slot::Absent))
        .map_or(0, |n| n + 1);
    let last_valid = slots
        .iter()
        .rposition(|slot| slot.valid().is_some())
        .unwrap_or(0);
    let tail = slots
        .iter()
        .enumerate()
        .take(shown.min(remembered.len()))
        .skip(last_valid);
    for (n, _) in tail.filter(|(_, slot)| matches!(slot, Slot::Absent)) {
        removed(problems, n as u64);
    }
    if shown < remembered.len() {
        return Continuity::Behind {
            shown: shown as u64,
            remembered: remembered.len() as u64,
        };
    }
    Continuity::Extends
}
