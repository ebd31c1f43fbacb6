//! What SPEC 3 says of a log, computed from what the attack did rather than from
//! the bytes: the oracle.
//!
//! It knows by construction which objects are entries, who signed them and over
//! which leaves, and parses, verifies and hashes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use indelible_engine::verify::ProblemKind;
use indelible_format::authority::Void;
use indelible_format::history::{Continuity, LogProblem};
use indelible_format::ids::LogHash;
use indelible_format::merkle::leaf_hash;

use super::sample::{Act, Fact, Role};

/// Why an object is void, without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Layout,
    Number,
    SecondGenesis,
    UnknownSigner,
    Revoked,
    NotAllowed,
    Expired,
    Signature,
    OtherDomain,
    Overreach,
    BadRevoke,
    BadRekey,
    /// One that no attack here leads to.
    Another,
}

impl Reason {
    pub(super) fn of(void: &Void) -> Self {
        match void {
            Void::Layout(_) => Self::Layout,
            Void::Number { .. } => Self::Number,
            Void::SecondGenesis => Self::SecondGenesis,
            Void::UnknownSigner { .. } => Self::UnknownSigner,
            Void::Revoked { .. } => Self::Revoked,
            Void::NotAllowed { .. } => Self::NotAllowed,
            Void::Expired { .. } => Self::Expired,
            Void::Signature(_) => Self::Signature,
            Void::OtherDomain => Self::OtherDomain,
            Void::Overreach => Self::Overreach,
            Void::BadRevoke => Self::BadRevoke,
            Void::BadRekey => Self::BadRekey,
            _ => Self::Another,
        }
    }
}

/// What is wrong with a log, without particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Problem {
    Void(u64, Reason),
    Damaged(u64),
    Removed(u64, u64),
    OtherHistory(u64, u64),
    Beyond(u64, u64),
}

impl Problem {
    pub(super) fn of(problem: &LogProblem) -> Self {
        match problem {
            LogProblem::Void { number, reason, .. } => Self::Void(*number, Reason::of(reason)),
            LogProblem::Damaged { number, .. } => Self::Damaged(*number),
            LogProblem::Removed { first, last } => Self::Removed(*first, *last),
            LogProblem::OtherHistory { first, last } => Self::OtherHistory(*first, *last),
            LogProblem::Beyond { first, count } => Self::Beyond(*first, *count),
            other => panic!("the model does not know {other:?}"),
        }
    }

    /// As a verification calls it.
    pub(super) fn kind(&self) -> ProblemKind {
        match self {
            Self::Void(..) => ProblemKind::VoidEntry,
            Self::Damaged(_) => ProblemKind::DamagedEntry,
            Self::Removed(..) => ProblemKind::RemovedEntry,
            Self::OtherHistory(..) => ProblemKind::OtherHistory,
            Self::Beyond(..) => ProblemKind::BeyondEnd,
        }
    }
}

/// What stands at a number.
#[derive(Debug, Clone)]
pub(super) enum Object {
    /// An entry that was rightly signed, over these leaves.
    Signed {
        leaf: LogHash,
        over: Rc<Vec<LogHash>>,
        fact: Fact,
        /// Whether its key may not write its NAME.
        refused: bool,
    },
    /// Bytes that are void wherever they stand.
    Void { leaf: LogHash, reason: Reason },
}

/// The objects of a log by number.
pub(super) type Objects = BTreeMap<u64, Object>;

/// A snapshot as it is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) content: Vec<u8>,
    pub(super) refused: bool,
}

/// What a reader must find.
#[derive(Debug, Clone)]
pub(super) struct Judgement {
    pub(super) problems: Vec<Problem>,
    pub(super) continuity: Continuity,
    pub(super) leaves: Vec<LogHash>,
    /// Where a writer appends.
    pub(super) next: u64,
    /// The valid snapshot entries.
    pub(super) snapshots: BTreeMap<u64, Shown>,
}

/// What stands at a number, given what stands before it.
enum Stand {
    Valid(LogHash, Rc<Vec<LogHash>>),
    Void(LogHash, Reason),
    Absent,
}

impl Stand {
    fn is_valid(&self) -> bool {
        matches!(self, Self::Valid(..))
    }
}

/// Judges the objects of a log, with what a client remembers of its leaves.
pub(super) fn judge(objects: &Objects, remembered: &[LogHash]) -> Judgement {
    let (stands, snapshots, beyond) = admit(objects);
    let last_valid = stands
        .iter()
        .rposition(Stand::is_valid)
        .expect("genesis is never attacked here");
    let mut next = remembered.len().max(last_valid + 1);
    while stands
        .get(next)
        .is_some_and(|stand| !matches!(stand, Stand::Absent))
    {
        next += 1;
    }
    let leaves: Vec<LogHash> = (0..next).map(|n| leaf(&stands, remembered, n)).collect();
    let mut problems = contradictions(&stands, &leaves, last_valid);
    let continuity = continuity(&stands, &leaves, remembered);
    if !matches!(continuity, Continuity::Forked { .. }) {
        let missing = |n: &usize| matches!(stands[*n], Stand::Absent);
        let tail = last_valid + 1..stands.len().min(remembered.len());
        add_runs(&mut problems, tail.filter(missing), Problem::Removed);
    }
    problems.extend(beyond);
    problems.sort_unstable();
    Judgement {
        problems,
        continuity,
        leaves,
        next: next as u64,
        snapshots,
    }
}

/// SPEC 3.4.
fn leaf(stands: &[Stand], remembered: &[LogHash], n: usize) -> LogHash {
    match (stands.get(n), stands.get(n + 1), remembered.get(n)) {
        (Some(Stand::Valid(leaf, _)), _, _) => *leaf,
        (_, Some(Stand::Valid(_, over)), _) => over[n],
        (_, _, Some(known)) => *known,
        (Some(Stand::Void(leaf, _)), _, _) => *leaf,
        _ => leaf_hash(b""),
    }
}

/// SPEC 3.12: which objects count, as far as that depends on those before.
fn admit(objects: &Objects) -> (Vec<Stand>, BTreeMap<u64, Shown>, Option<Problem>) {
    let mut known = BTreeMap::from([(Role::Admin, (Role::Admin, 0))]);
    let mut revoked: BTreeMap<Role, u64> = BTreeMap::new();
    let mut snapshots = BTreeMap::new();
    let mut signers = BTreeMap::new();
    let mut stands = Vec::new();
    let mut beyond = None;
    for (&number, object) in objects {
        let absent = number - stands.len() as u64;
        if absent >= 1_024 {
            beyond = Some(Problem::Beyond(
                number,
                objects.range(number..).count() as u64,
            ));
            break;
        }
        stands.extend((0..absent).map(|_| Stand::Absent));
        let (leaf, over, fact, refused) = match object {
            Object::Void { leaf, reason } => {
                stands.push(Stand::Void(*leaf, *reason));
                continue;
            }
            Object::Signed {
                leaf,
                over,
                fact,
                refused,
            } => (leaf, over, fact, refused),
        };
        let void = match &fact.act {
            _ if !known.contains_key(&fact.signer) => Some(Reason::UnknownSigner),
            _ if revoked.contains_key(&fact.signer) => Some(Reason::Revoked),
            Act::Revoke(subject, _) if !known.contains_key(subject) => Some(Reason::BadRevoke),
            _ => None,
        };
        if let Some(reason) = void {
            stands.push(Stand::Void(*leaf, reason));
            continue;
        }
        match &fact.act {
            Act::Nothing => {}
            Act::Authorize(subject) => {
                known.insert(*subject, (fact.signer, number));
            }
            Act::Revoke(subject, from) => distrust(&mut revoked, &known, *subject, *from),
            Act::Snapshot(content) => {
                signers.insert(number, fact.signer);
                let (content, refused) = (content.clone(), *refused);
                snapshots.insert(number, Shown { content, refused });
            }
        }
        stands.push(Stand::Valid(*leaf, Rc::clone(over)));
    }
    for (number, shown) in &mut snapshots {
        let from = revoked.get(&signers[number]);
        shown.refused |= from.is_some_and(|from| number >= from);
    }
    (stands, snapshots, beyond)
}

/// SPEC 3.8: a key, and those that it authorised since it is distrusted.
fn distrust(
    revoked: &mut BTreeMap<Role, u64>,
    known: &BTreeMap<Role, (Role, u64)>,
    subject: Role,
    from: u64,
) {
    revoked.insert(subject, from);
    for (child, (by, entry)) in known {
        if *by == subject && *entry >= from && *child != subject {
            revoked.insert(*child, *entry);
        }
    }
}

/// SPEC 3.13, but for what is remembered.
fn contradictions(stands: &[Stand], leaves: &[LogHash], last_valid: usize) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut others = BTreeSet::new();
    let mut removed = BTreeSet::new();
    let mut explained = false;
    for (n, stand) in stands.iter().enumerate() {
        match stand {
            Stand::Void(leaf, reason) if leaves.get(n).is_none_or(|known| known == leaf) => {
                problems.push(Problem::Void(n as u64, *reason));
            }
            Stand::Void(..) => problems.push(Problem::Damaged(n as u64)),
            Stand::Absent if n < last_valid => {
                removed.insert(n);
                explained |= leaves[n] == leaf_hash(b"");
            }
            Stand::Valid(_, over) => {
                let before = n == 0 || over[n - 1] == leaves[n - 1];
                if !before || (over[..n] != leaves[..n] && !explained) {
                    others.insert(n);
                }
            }
            Stand::Absent => {}
        }
    }
    add_runs(&mut problems, removed, Problem::Removed);
    add_runs(&mut problems, others, Problem::OtherHistory);
    problems
}

/// Adds numbers as runs of those that follow each other.
fn add_runs(
    problems: &mut Vec<Problem>,
    numbers: impl IntoIterator<Item = usize>,
    make: fn(u64, u64) -> Problem,
) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers.into_iter().map(|n| n as u64) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    problems.extend(runs.into_iter().map(|(first, last)| make(first, last)));
}

fn continuity(stands: &[Stand], leaves: &[LogHash], remembered: &[LogHash]) -> Continuity {
    if remembered.is_empty() {
        return Continuity::Unpinned;
    }
    let differs = |n: &usize| *n < stands.len() && leaves[*n] != remembered[*n];
    if let Some(at) = (0..remembered.len()).find(differs) {
        return Continuity::Forked { at: at as u64 };
    }
    let shown = stands
        .iter()
        .rposition(|stand| !matches!(stand, Stand::Absent))
        .map_or(0, |n| n + 1);
    if shown < remembered.len() {
        return Continuity::Behind {
            shown: shown as u64,
            remembered: remembered.len() as u64,
        };
    }
    Continuity::Extends
}
