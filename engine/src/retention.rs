//! For how long what is stored is kept from being removed (SPEC 17).
//!
//! A signed policy promises; locks of the store keep the promise. Why that is safe:
//! locks are only ever made longer here, by calls that can't shorten one. How long, the
//! administrator says in the log and no writer can: a claimed time counts only as far as
//! it has passed, so a stolen key makes nobody lock anything for longer than the policy
//! has it. And what locks there are is asked of the store whenever a repository is
//! verified. What this client remembers of them only saves it from asking each night.

mod asked;
mod extend;
mod grid;
mod keeper;
mod needed;

use indelible_format::entry::Body;
use indelible_format::history::History;
use indelible_format::ids::CommitId;
use indelible_format::key_ring::KeyRing;
use indelible_format::name::Name;
use indelible_format::policy::{Hold, LockMode, Policy, Promise};
use indelible_format::rights::Kind;
use indelible_format::wire::LayoutError;

use crate::keys::Forbidden;
use crate::log::AppendError;
use crate::repository::{Repository, Snapshot};
use crate::store::{AppendStore, ReadStore};

pub use asked::{Lock, Locks};
pub use extend::Extended;
pub use grid::Term;
pub use keeper::{Keeper, LockError};
pub use needed::Needed;

/// A day, in milliseconds.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// For how long a store locks what is put before an entry names it.
const NEW_LOCK_MS: u64 = 7 * DAY_MS;

/// The policy that counts.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Its entry.
    pub entry: u64,
    /// What it says.
    pub policy: Policy,
}

impl InForce {
    /// The newest policy of a log that opens.
    fn of(history: &History, ring: &KeyRing) -> Option<Self> {
        let authority = &history.authority;
        let mut entries = history.entries.iter().rev();
        entries.find_map(|(number, entry)| {
            let Body::Opaque(Kind::Policy, body) = entry.body() else {
                return None;
            };
            if authority.is_distrusted(entry) {
                return None;
            }
            let (commit, psk) = (entry.header().commit, ring.psk(entry.header().epoch)?);
            let policy = Policy::open(body, &authority.repository(), &commit, psk).ok()?;
            Some(Self {
                entry: *number,
                policy,
            })
        })
    }

    /// Until when a snapshot is promised to stay, Unix milliseconds; `None` where nothing
    /// is promised (SPEC 17.2).
    pub fn promised_until_ms(&self, snapshot: &Snapshot, now_ms: u64) -> Option<u64> {
        if snapshot.refused.is_some() {
            return None;
        }
        let since_ms = snapshot.claimed_ms.min(now_ms);
        let named = self.policy.retain_ms(&snapshot.manifest.name);
        let named = named.map(|retain_ms| since_ms.saturating_add(retain_ms));
        named.max(self.policy.held_until_ms(snapshot.number))
    }

    /// The period of the grid on which locks of a NAME's objects end.
    fn period_ms(&self, name: &Name) -> u64 {
        grid::period_ms(self.policy.retain_ms(name).unwrap_or(DAY_MS))
    }

    /// What locks a snapshot's objects need.
    pub fn term(&self, snapshot: &Snapshot, now_ms: u64) -> Option<Term> {
        let until_ms = self.promised_until_ms(snapshot, now_ms)?;
        let period_ms = self.period_ms(&snapshot.manifest.name);
        Some(Term {
            until_ms,
            period_ms,
        })
    }

    /// What locks a snapshot's objects need that is committed now, if its NAME is
    /// promised anything.
    pub(crate) fn term_now(&self, name: &Name, now_ms: u64) -> Option<Term> {
        let retain_ms = self.policy.retain_ms(name)?;
        Some(Term {
            until_ms: now_ms.saturating_add(retain_ms),
            period_ms: self.period_ms(name),
        })
    }

    /// Makes the store lock what is put from now on, for a short while.
    pub fn begin<S: AppendStore + ?Sized>(&self, store: &S) {
        begin_locking(store, &self.policy);
    }
}

/// As [`InForce::begin`], of a policy that is not in the log yet.
fn begin_locking<S: AppendStore + ?Sized>(store: &S, policy: &Policy) {
    store.lock_new(policy.mode(), policy.longest_ms().min(NEW_LOCK_MS));
}

/// A policy that was made.
#[derive(Debug)]
pub struct Stated {
    /// Its entry.
    pub entry: u64,
    /// Why the log could not be locked accordingly, if it could not.
    pub short: Option<LockError>,
}

/// Why a policy was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyRefused {
    /// It promises less than the one before.
    #[error(
        "{pattern} is promised {retain_days} days already, and a promise is never made shorter"
    )]
    Shortens {
        /// Of which NAMEs.
        pattern: String,
        /// What is promised.
        retain_days: u64,
    },
    /// The snapshot is held for longer already.
    #[error("the snapshot is held for longer already")]
    ShortensHold,
    /// There is no promise that a hold could be made longer than.
    #[error("the repository promises nothing yet, so it knows no kind of lock to hold with")]
    NoPolicy,
    /// It is no policy.
    #[error("that can't be promised")]
    Layout(#[from] LayoutError),
    /// The log does not let the opened key do it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Its entry was not appended.
    #[error(transparent)]
    Append(Box<AppendError<Self>>),
}

impl<S: ReadStore + ?Sized> Repository<'_, S> {
    /// The policy that counts, if there is one (SPEC 17.1).
    pub fn policy(&self) -> Option<InForce> {
        InForce::of(self.history(), self.ring())
    }
}

impl<S: AppendStore + ?Sized> Repository<'_, S> {
    /// Promises for how long snapshots of some NAMEs are kept, beside what is promised
    /// to others. `mode` stays as it is where it is not given, and is governance in the
    /// first policy. The log as it then is gets locked for as long as the longest promise
    /// has it.
    ///
    /// # Errors
    ///
    /// [`PolicyRefused`].
    pub fn promise(
        &mut self,
        mode: Option<LockMode>,
        promises: &[Promise],
    ) -> Result<Stated, PolicyRefused> {
        self.append_policy(|before| {
            let mode = mode.or(before.map(Policy::mode));
            let mut all = before.map_or_else(Vec::new, |policy| policy.promises().to_vec());
            for promise in promises {
                let known = all
                    .iter()
                    .position(|known| known.pattern == promise.pattern);
                match known.map(|at| &mut all[at]) {
                    Some(known) if known.retain_ms > promise.retain_ms => {
                        return Err(PolicyRefused::Shortens {
                            pattern: promise.pattern.to_string(),
                            retain_days: known.retain_ms / DAY_MS,
                        });
                    }
                    Some(known) => known.retain_ms = promise.retain_ms,
                    None => all.push(promise.clone()),
                }
            }
            let holds = before.map_or_else(Vec::new, |policy| policy.holds().to_vec());
            Ok(Policy::new(
                mode.unwrap_or(LockMode::Governance),
                all,
                holds,
            )?)
        })
    }

    /// Holds a snapshot until a time, Unix milliseconds.
    ///
    /// # Errors
    ///
    /// [`PolicyRefused`].
    pub fn hold(&mut self, entry: u64, until_ms: u64) -> Result<Stated, PolicyRefused> {
        let now_ms = self.env().clock.now_unix_ms();
        self.append_policy(|before| {
            let before = before.ok_or(PolicyRefused::NoPolicy)?;
            if before
                .held_until_ms(entry)
                .is_some_and(|held| held > until_ms)
            {
                return Err(PolicyRefused::ShortensHold);
            }
            let mut holds = before.holds().to_vec();
            // What has ended makes room.
            holds.retain(|hold| hold.entry != entry && hold.until_ms > now_ms);
            holds.push(Hold { entry, until_ms });
            Ok(Policy::new(
                before.mode(),
                before.promises().to_vec(),
                holds,
            )?)
        })
    }

    /// Appends the policy that `make` makes of the one before, also if another writer
    /// states one in between.
    fn append_policy(
        &mut self,
        make: impl Fn(Option<&Policy>) -> Result<Policy, PolicyRefused>,
    ) -> Result<Stated, PolicyRefused> {
        let (repository, env) = (self.id(), self.env().clone());
        let (store, ring) = (self.store(), self.ring().clone());
        let commit = CommitId(env.random());
        let appended = self.append(commit, |history: &History| -> Result<_, PolicyRefused> {
            let before = InForce::of(history, &ring);
            let policy = make(before.as_ref().map(|before| &before.policy))?;
            begin_locking(store, &policy);
            let body = policy.seal(&repository, &commit, &ring.newest().psk, env.random());
            Ok(Body::Opaque(Kind::Policy, body))
        });
        let entry = appended.map_err(|error| match error {
            AppendError::Draft(error) => error,
            error => PolicyRefused::Append(Box::new(error)),
        })?;
        let short = self.lock_log().err();
        Ok(Stated { entry, short })
    }
}
