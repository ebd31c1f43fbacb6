//! A repository, opened with a key.
//!
//! Opening reads and judges the log, compares it with what this client remembers
//! and with what its key file pins, and opens the key. A log that contradicts
//! what is remembered still opens: the caller sees it in [`continuity`], and
//! decides. A backup goes on and says so; a restore asks first.
//!
//! [`continuity`]: Repository::continuity

mod listings;
mod opened;
mod rotation;
mod seen;
mod snapshots;
mod trial;

use indelible_format::bundle::KeyBundle;
use indelible_format::commit::{CommitBody, SnapshotBody};
use indelible_format::entry::{Body, Draft, Entry};
use indelible_format::grant::{FactsError, GrantFacts, Revoke};
use indelible_format::history::{Continuity, History};
use indelible_format::ids::{CommitId, RecordId, RepositoryId, SignerId};
use indelible_format::key_ring::KeyRing;
use indelible_format::planted::{Bug, planted};
use indelible_format::rights::Kind;
use indelible_format::seal::{self, signer_of};
use indelible_format::wire::LayoutError;
use zeroize::Zeroizing;

use crate::env::Env;
pub use crate::keys::Forbidden;
use crate::keys::{Credential, IssueError, KeyRequest, NewKey, UnlockError, forbidden, unlock};
use crate::log::{self, AppendError, Kept, LogError, Signed};
use crate::state::{RepositoryState, State, StateError};
use crate::store::{AppendStore, ObjectKey, ReadStore, StoreError};

pub use listings::{ListedPack, Listings};
pub use rotation::{LeftOut, RotateError, Rotated};
pub use seen::{Against, Freshness, NotJunk, OtherRepository, SeenLog, read_log};
pub use snapshots::{BrokenSnapshot, Refusal, Snapshot, SnapshotError};
pub use trial::Trial;

/// Why a repository can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The credential gives no key.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// Another repository stands where one stood before.
    #[error("repository {} stood here when this machine last looked, and now {} does", .remembered.short(), .found.short())]
    Exchanged {
        /// The one that was seen before.
        remembered: RepositoryId,
        /// The one that is there.
        found: RepositoryId,
    },
    /// What this client remembers can't be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a commit record can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The store failed, or has no such record.
    #[error("the commit record could not be read")]
    Store(#[from] StoreError),
    /// Its bytes are not those that the entry names.
    #[error("commit record {} does not have the bytes that its entry names", .id.short())]
    Altered {
        /// The record.
        id: RecordId,
    },
    /// It is malformed, which its writer must have done.
    #[error("the commit record is malformed")]
    Layout(#[from] LayoutError),
}

/// Why a key was not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddKeyError {
    /// It can't be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Its entry was not appended.
    #[error(transparent)]
    Append(#[from] AppendError<IssueError>),
}

/// Why a key was not revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The log knows no such key.
    #[error("the log knows no key {}", .subject.short())]
    Unknown {
        /// The key.
        subject: SignerId,
    },
    /// Only the recovery passphrase may revoke itself.
    #[error("only the recovery passphrase may revoke the recovery passphrase")]
    Administrator,
    /// A revocation can't reach behind itself.
    #[error("the log has {size} entries, so none from {from} on can be distrusted")]
    Beyond {
        /// From which entry on it was to be distrusted.
        from: u64,
        /// Size of the log.
        size: u64,
    },
    /// The log does not let the opened key do it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Its entry was not appended.
    #[error(transparent)]
    Append(Box<AppendError<Self>>),
}

/// A repository, opened with a key.
pub struct Repository<'s, S: ReadStore + ?Sized> {
    store: &'s S,
    env: Env,
    seen: SeenLog,
    unremembered: Option<StateError>,
    /// Size of the log that the key file pins, or 0.
    pinned: u64,
    ring: KeyRing,
    signer: SignerId,
}

impl<'s, S: ReadStore + ?Sized> Repository<'s, S> {
    /// Opens a repository. Without a state, freshness is unverified unless a key
    /// file pins the log.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(
        store: &'s S,
        state: Option<&State>,
        credential: &Credential,
        env: Env,
    ) -> Result<Self, OpenError> {
        let key_file = match credential {
            Credential::KeyFile(file) => Some(&**file),
            Credential::Passphrase(_) => None,
        };
        let mut seen = read_log(store, state, key_file)?;
        let key = unlock(&seen.history.authority, credential)?;
        let unremembered = match state.map(|state| remember(store, state, &seen)) {
            None | Some(Ok(())) => None,
            // What was remembered was compared. From now on this client does as if
            // it had no memory, since it can't keep any.
            Some(Err(error @ StateError::Io { .. })) => {
                seen.state = None;
                Some(error)
            }
            Some(Err(damaged)) => return Err(damaged.into()),
        };
        let signer = signer_of(&key.signing_seed);
        let history = &seen.history;
        let ring = KeyRing::gather(key, &history.authority, history.entries.values());
        Ok(Self {
            store,
            env,
            seen,
            unremembered,
            pinned: key_file.map_or(0, |file| file.size),
            ring,
            signer,
        })
    }

    /// The repository for a verifier: every signature of its log was checked, as
    /// [`SeenLog::rechecked`] says, and nothing is taken from a state.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    pub fn rechecked(&self) -> Result<Self, LogError> {
        let mut seen = self.seen.rechecked(self.store)?.into_owned();
        seen.state = None;
        Ok(Self {
            store: self.store,
            env: self.env.clone(),
            seen,
            unremembered: None,
            pinned: self.pinned,
            ring: self.ring.clone(),
            signer: self.signer,
        })
    }

    /// Reads the log again if it has grown, and says whether it had.
    ///
    /// # Errors
    ///
    /// [`LogError`]. What was read before stands.
    pub fn reread(&mut self) -> Result<bool, LogError> {
        let next = ObjectKey::Log(self.seen.history.next);
        match self.store.size(&next) {
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let before = self.epochs();
        self.seen = self.seen.reread(self.store)?;
        self.gather(before);
        Ok(true)
    }

    /// The repository's id.
    pub fn id(&self) -> RepositoryId {
        self.seen.repository()
    }

    /// Where its objects are.
    pub fn store(&self) -> &'s S {
        self.store
    }

    /// Its log.
    pub fn history(&self) -> &History {
        &self.seen.history
    }

    /// Its log, with what this client knows of it.
    pub fn seen(&self) -> &SeenLog {
        &self.seen
    }

    /// How its log compares with what is remembered and pinned.
    pub fn continuity(&self) -> Continuity {
        self.seen.freshness.worst()
    }

    /// The opened key, as it stands in the epoch in which it writes.
    pub fn key(&self) -> &KeyBundle {
        self.ring.newest()
    }

    /// The opened key in each epoch of which it has a part.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The name of the opened key.
    pub fn signer(&self) -> SignerId {
        self.signer
    }

    /// The clock and randomness that it was opened with.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// What this client keeps of it.
    pub fn state(&self) -> Option<&RepositoryState> {
        self.seen.state.as_ref()
    }

    /// Why this client can't remember what it saw, if it has a state that it
    /// can't write to.
    pub fn unremembered(&self) -> Option<&StateError> {
        self.unremembered.as_ref()
    }

    /// The commit body of a snapshot entry: its own, or from its record.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub fn commit_body(&self, entry: &Entry) -> Result<Option<CommitBody>, RecordError> {
        read_commit_body(self.store, entry)
    }

    /// Label and NAMEs of a key, for those who may know; the administrator of
    /// genesis has none.
    ///
    /// # Errors
    ///
    /// [`FactsError`].
    pub fn facts(&self, signer: &SignerId) -> Result<Option<GrantFacts>, FactsError> {
        let plain = self.unseal_facts(signer)?;
        Ok(plain.map(|plain| GrantFacts::decode(&plain)).transpose()?)
    }

    fn unseal_facts(
        &self,
        signer: &SignerId,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, seal::OpenError> {
        let grant = self.seen.history.authority.grant(signer);
        let facts = grant.and_then(|grant| grant.facts.as_ref().map(|facts| (grant, facts)));
        let (Some((grant, facts)), true) = (facts, self.key().verify.is_some()) else {
            return Ok(None);
        };
        let key = self.ring.at(grant.epoch);
        let verify = key.and_then(|key| Some((key, key.verify.as_ref()?)));
        let (key, verify) = verify.ok_or(seal::OpenError::OtherKey)?;
        let (private, psk) = (&verify.meta_private, &key.psk);
        facts
            .unseal(&self.id(), &grant.commit, signer, private, psk)
            .map(Some)
    }

    /// Why the opened key may not sign a kind of entry now, if it may not.
    pub fn forbids(&self, kind: Kind) -> Option<Forbidden> {
        let now_ms = self.env.clock.now_unix_ms();
        forbidden(&self.seen.history.authority, &self.signer, kind, now_ms)
    }
}

impl<S: AppendStore + ?Sized> Repository<'_, S> {
    /// Appends an entry with the body that `body` makes for the log as it stands,
    /// and gives its number. `body` is called again after a lost race.
    ///
    /// Whether the key may sign the entry is asked of the log in front of it,
    /// each time: a run can outlive its key, and an entry that is void from the
    /// start must not count as committed.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; [`Forbidden`] as its [`AppendError::Draft`].
    ///
    /// # Panics
    ///
    /// If a body is longer than an entry has room for: makers bound theirs.
    pub fn append<E: std::error::Error + From<Forbidden> + 'static>(
        &mut self,
        commit: CommitId,
        mut body: impl FnMut(&History) -> Result<Body, E>,
    ) -> Result<u64, AppendError<E>> {
        // A store that was rolled back behind the key file's pin is not continued
        // as if nothing had been there: the hole shows to everyone.
        self.seen.history.append_from(self.pinned);
        let repository = self.id();
        let before = self.epochs();
        let (key, signer, env) = (self.ring.newest(), self.signer, &self.env);
        let known = Signed::of(&self.seen.history);
        let store = Kept::over(self.store, self.seen.state.as_ref(), &known);
        let appended = log::append(
            &store,
            &self.seen.history,
            |history: &History, previous, root| {
                let body = body(history)?;
                let claimed_ms = env.clock.now_unix_ms();
                if let Some(forbidden) =
                    forbidden(&history.authority, &signer, body.kind(), claimed_ms)
                {
                    return Err(forbidden.into());
                }
                let draft = Draft {
                    number: history.next,
                    epoch: key.epoch,
                    claimed_ms,
                    commit,
                    domain: key.domain,
                    previous,
                    root,
                    body,
                };
                Ok(draft
                    .sign(&repository, &key.signing_seed)
                    .expect("makers of bodies bound them"))
            },
        )?;
        drop(store);
        self.seen.history = appended.history;
        self.gather(before);
        // The entry is committed. A state that can't be written forgets it,
        // which is no reason to call the commit a failure.
        if let Some(state) = &self.seen.state {
            let _ = state.remember(&self.seen.history.leaves);
            if self.seen.freshness.is_continuous() {
                state.keep_signed(&self.seen.history);
            }
        }
        // The next to open a long log has less to read. Nothing depends on it.
        let known = Signed::of(&self.seen.history);
        let store = Kept::over(self.store, self.seen.state.as_ref(), &known);
        log::make_behind(&store, &self.seen.history, appended.number);
        Ok(appended.number)
    }

    /// Draws and authorises a key.
    ///
    /// # Errors
    ///
    /// [`AddKeyError`].
    pub fn add_key(&mut self, request: KeyRequest) -> Result<NewKey, AddKeyError> {
        let asked = request.rights;
        let own = self.seen.history.authority.grant(&self.signer);
        if own.is_some_and(|own| !own.kinds.contains(asked.kinds())) {
            return Err(IssueError::Overreach { asked }.into());
        }
        let new = NewKey::draw(self.key(), request, &self.env)?;
        let (commit, repository, env) = (CommitId(self.env.random()), self.id(), self.env.clone());
        self.append(commit, |history| {
            // A key of an epoch that is past would have no part of the new one.
            let epoch = history.authority.epoch();
            if epoch > new.bundle().epoch {
                return Err(IssueError::NoPart { epoch });
            }
            Ok(Body::Authorize(new.authorize(
                &repository,
                &commit,
                &env,
            )?))
        })?;
        Ok(new)
    }
}

impl<S: AppendStore + ?Sized> Repository<'_, S> {
    /// Revokes a key from the next entry on, and gives the number of that. What the
    /// key signed from the entry `distrust_from` on is distrusted (SPEC 3.8); without
    /// one, nothing is.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke(
        &mut self,
        subject: SignerId,
        distrust_from: Option<u64>,
    ) -> Result<u64, RevokeError> {
        let authority = &self.seen.history.authority;
        if authority.grant(&subject).is_none() {
            return Err(RevokeError::Unknown { subject });
        }
        if subject == authority.administrator() && self.signer != subject {
            return Err(RevokeError::Administrator);
        }
        let commit = CommitId(self.env.random());
        let appended = self.append(commit, |history| {
            let (size, from) = (history.next, distrust_from.unwrap_or(history.next));
            if from > size {
                return Err(RevokeError::Beyond { from, size });
            }
            Ok(Body::Revoke(Revoke {
                subject,
                distrust_from: from,
            }))
        });
        appended.map_err(|error| match error {
            AppendError::Draft(error) => error,
            error => RevokeError::Append(Box::new(error)),
        })
    }
}

/// Remembers a log that contradicts nothing, and where it is.
fn remember<S: ReadStore + ?Sized>(
    store: &S,
    state: &State,
    seen: &SeenLog,
) -> Result<(), StateError> {
    let (Some(kept), true) = (&seen.state, seen.freshness.is_continuous()) else {
        return Ok(());
    };
    kept.remember(&seen.history.leaves)?;
    kept.keep_signed(&seen.history);
    state.remember_location(&store.location(), &seen.repository())
}

/// The commit body of a snapshot entry: its own, or from its record. `None` for
/// entries of other kinds.
///
/// # Errors
///
/// [`RecordError`].
pub fn read_commit_body<S: ReadStore + ?Sized>(
    store: &S,
    entry: &Entry,
) -> Result<Option<CommitBody>, RecordError> {
    match entry.body() {
        Body::Snapshot(SnapshotBody::Inline(body)) => Ok(Some(body.clone())),
        Body::Snapshot(SnapshotBody::Record { id, len }) => {
            let bytes = store.read(&ObjectKey::Record(*id), (*len).into())?;
            let same = bytes.len() as u64 == u64::from(*len) && RecordId::of(&bytes) == *id;
            if !same && !planted(Bug::RecordIdUnchecked) {
                return Err(RecordError::Altered { id: *id });
            }
            Ok(Some(CommitBody::decode(&bytes)?))
        }
        _ => Ok(None),
    }
}
