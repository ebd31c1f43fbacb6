//! What a store refuses, found out by trying.
//!
//! A store says of itself what it keeps from change; only the attempt shows it. So canaries
//! are put beside the objects (SPEC 9.1), and whatever a thief of the credentials at hand
//! would do to objects is done to them.
//!
//! Why it is safe: nothing but canaries is touched, each put for one attempt and named by
//! chance. What concerns a whole bucket is put back at once where it was let through. Locks
//! that canaries get are short, so what is left of them can be removed soon.

use indelible_format::ids::PackId;
use indelible_format::policy::LockMode;

use super::{AppendStore, ObjectKey, PutOutcome, StoreError, VersionId};

/// How to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTerms {
    /// How canaries are locked, where the store locks.
    pub mode: LockMode,
    /// For how long a canary is tried to be locked beyond what should be allowed, in
    /// milliseconds. It may stay for so long.
    pub over_lock_ms: Option<u64>,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was refused.
    Refused,
    /// It was let through, and changed nothing that readers rely on.
    InVain,
    /// It was let through.
    Done,
    /// It was not tried, or nobody knows what became of it.
    Unknown,
}

impl Outcome {
    /// A stable word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::InVain => "in-vain",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// What was tried with a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// A stable word for programs.
    pub code: &'static str,
    /// What was tried, for people.
    pub tried: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// What the store said, or why it was not tried.
    pub answer: String,
}

impl Attempt {
    pub(super) fn new(
        (code, tried): (&'static str, &'static str),
        outcome: Outcome,
        answer: impl Into<String>,
    ) -> Self {
        Self {
            code,
            tried,
            outcome,
            answer: answer.into(),
        }
    }
}

/// What a server that only adds refuses (SPEC 16). Its protocol has no request for most
/// of what a thief would do; what it has is tried on the first entry of the log, which
/// whoever heeds the attempt would keep as it is, and on a pack that is none.
pub(super) fn of_served<S: AppendStore + ?Sized>(
    store: &S,
    terms: &ProbeTerms,
) -> Result<Vec<Attempt>, StoreError> {
    const NONE: &str = "the protocol has no such request";
    let (first, only) = (ObjectKey::Log(0), VersionId::only());
    store.size(&first)?;
    let put = |key: &ObjectKey| match store.put_new(key, b"forged") {
        Ok(PutOutcome::Created | PutOutcome::AlreadySame) => (Outcome::Done, "it was taken".into()),
        Ok(PutOutcome::Conflict) => (Outcome::Refused, "another object stands there".into()),
        Ok(PutOutcome::Indeterminate { cause }) => (Outcome::Unknown, cause.to_string()),
        Err(error) => refused(&error),
    };
    let lock = |until_ms: u64| match store.extend_lock(&first, &only, until_ms) {
        Ok(()) => (Outcome::Done, "it was done".into()),
        Err(StoreError::WouldShorten { .. }) => (Outcome::Refused, "it is locked longer".into()),
        Err(error) => refused(&error),
    };
    let none = || (Outcome::Refused, NONE.to_owned());
    let locked_until_ms = store.locked_until(&first, &only)?;
    let untried = |why: &str| (Outcome::Unknown, why.to_owned());
    let attempts = [
        (("delete", "remove an object"), none()),
        (("truncate", "cut an object"), none()),
        (("rename", "give an object another name"), none()),
        (
            ("overwrite", "write over the first entry of the log"),
            put(&first),
        ),
        (
            ("misname", "put a pack under the name of another"),
            put(&ObjectKey::Pack(PackId([0xFF; 32]))),
        ),
        (
            ("shorten", "make a lock shorter"),
            match locked_until_ms {
                Some(until_ms) if until_ms > 1_000 => {
                    seen_shorter(store, until_ms, lock(until_ms - 1_000))
                }
                _ => untried("the directory locks nothing"),
            },
        ),
        (
            ("over-lock", "lock it for longer than need be"),
            match (locked_until_ms, terms.over_lock_ms) {
                (None, _) => untried("the directory locks nothing"),
                (_, None) => untried("it was not asked for"),
                (Some(u64::MAX), _) => untried("it is locked for good"),
                (Some(until_ms), Some(span_ms)) => lock(until_ms.saturating_add(span_ms)),
            },
        ),
    ];
    let attempt = |(what, (outcome, answer))| Attempt::new(what, outcome, answer);
    Ok(attempts.into_iter().map(attempt).collect())
}

/// What became of the first entry's lock, of which something is said: what a store answers
/// is one thing, and how long it locks another.
fn seen_shorter<S: AppendStore + ?Sized>(
    store: &S,
    before_ms: u64,
    (outcome, answer): (Outcome, String),
) -> (Outcome, String) {
    match (
        outcome,
        store.locked_until(&ObjectKey::Log(0), &VersionId::only()),
    ) {
        (_, Ok(now_ms)) if now_ms < Some(before_ms) => (Outcome::Done, "it was done".to_owned()),
        (Outcome::Done, Ok(_)) => (Outcome::InVain, "it is locked as long as before".to_owned()),
        _ => (outcome, answer),
    }
}

fn refused(error: &StoreError) -> (Outcome, String) {
    let answer = error.to_string();
    if error.is_transient() {
        (Outcome::Unknown, answer)
    } else {
        (Outcome::Refused, answer)
    }
}

/// Whether everything that was tried was refused or in vain, and something was.
pub fn withstood(attempts: &[Attempt]) -> bool {
    let is_done = |attempt: &Attempt| attempt.outcome == Outcome::Done;
    let is_clear = |attempt: &Attempt| attempt.outcome != Outcome::Unknown;
    attempts.iter().any(is_clear) && !attempts.iter().any(is_done)
}
