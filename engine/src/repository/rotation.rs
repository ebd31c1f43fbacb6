//! Beginning a new epoch: fresh keys for all that is written from now on (SPEC 3.16).
//!
//! The new secrets are drawn here and leave this process only sealed: each to one key
//! that stays, and the old ones under the new. Which keys stay is asked of the log in
//! front of the entry, each time that another writer is faster: a key that was revoked
//! while this was at work gets nothing.

use std::collections::BTreeMap;

use indelible_format::authority::Authority;
use indelible_format::entry::Body;
use indelible_format::history::History;
use indelible_format::ids::{CommitId, SignerId};
use indelible_format::limits::{EPOCHS_MAX, SHARES_MAX};
use indelible_format::rekey::{EpochBinding, EpochSecrets, Recipient, Rekey, SealedShare};
use indelible_format::rights::Rights;
use indelible_format::secret::{SecretKey, index_key};
use indelible_format::wire::LayoutError;

use super::Repository;
use crate::env::Env;
use crate::keys::Forbidden;
use crate::log::AppendError;
use crate::store::{AppendStore, ReadStore};

/// How often an epoch is handed out: should an entry rot, another one says the same.
const COPIES: usize = 2;

/// Why no epoch was begun, or not for all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// Only who holds all secrets can hand them on.
    #[error("a key with the rights {held} can't rotate the keys: it takes every right")]
    Lacking {
        /// What the key has.
        held: Rights,
    },
    /// The key has no part of the newest epoch, so it does not know all secrets.
    #[error("this key has no part of epoch {epoch}")]
    NoPart {
        /// The newest epoch.
        epoch: u32,
    },
    /// Another key began an epoch meanwhile.
    #[error("another key rotated the keys meanwhile: epoch {epoch} began")]
    Overtaken {
        /// That epoch.
        epoch: u32,
    },
    /// The log does not let the opened key do it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The parts do not fit an entry.
    #[error("the entry can't be made")]
    Layout(#[from] LayoutError),
    /// Its entry was not appended.
    #[error(transparent)]
    Append(Box<AppendError<Self>>),
    /// The epoch began, and not all entries that hand it out were appended.
    #[error("epoch {epoch} began, and not all of its entries were appended")]
    Partly {
        /// The epoch.
        epoch: u32,
        /// Why.
        source: Box<AppendError<Self>>,
    },
}

/// Why a key gets no part of a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOut {
    /// It was revoked.
    Revoked,
    /// It has expired.
    Expired,
    /// What it could open a share with is not known any more, as the entry that told it
    /// is lost.
    UnknownSecret,
    /// Nothing can be sealed to the key that the log states for it.
    UnusableKey,
}

/// What became of a rotation.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// The epoch that began.
    pub epoch: u32,
    /// The entries that say so, ascending.
    pub entries: Vec<u64>,
    /// The keys that have a part of it.
    pub given: Vec<SignerId>,
    /// Those that have none.
    pub left_out: Vec<(SignerId, LeftOut)>,
}

impl<S: ReadStore + ?Sized> Repository<'_, S> {
    /// The newest epoch of which the log gives a key its part.
    pub fn epoch_of(&self, signer: &SignerId) -> u32 {
        let history = self.history();
        let own = history
            .authority
            .grant(signer)
            .map_or(0, |grant| grant.epoch);
        let given = history
            .entries
            .values()
            .filter_map(|entry| match entry.body() {
                Body::Rekey(rekey) => rekey.share_of(signer).map(|_| rekey.epoch()),
                _ => None,
            });
        given.fold(own, u32::max)
    }

    /// The newest epoch, if the opened key has no part of it: then what it writes is
    /// sealed as before.
    pub fn behind(&self) -> Option<u32> {
        let newest = self.history().authority.epoch();
        (newest > self.key().epoch).then_some(newest)
    }

    /// By what a change of epochs is noticed.
    pub(super) fn epochs(&self) -> (usize, u32) {
        let authority = &self.seen.history.authority;
        (authority.rekeys(), authority.epoch())
    }

    /// Gathers the key's part of each epoch anew, if the log says more of them now.
    pub(super) fn gather(&mut self, before: (usize, u32)) {
        if self.epochs() != before {
            let history = &self.seen.history;
            self.ring = self
                .ring
                .again(&history.authority, history.entries.values());
        }
    }
}

impl<S: AppendStore + ?Sized> Repository<'_, S> {
    /// Begins an epoch: fresh meta and data keys, index master and repository secret, of
    /// which every key gets its part that is neither revoked nor expired. It takes
    /// every right.
    ///
    /// # Errors
    ///
    /// [`RotateError`]. After [`RotateError::Partly`], another rotation helps.
    pub fn rotate(&mut self) -> Result<Rotated, RotateError> {
        let plan = Plan::new(self)?;
        let mut rotated = Rotated {
            epoch: plan.epoch,
            entries: Vec::new(),
            given: Vec::new(),
            left_out: Vec::new(),
        };
        for copy in 0..COPIES {
            let mut waiting: Option<Vec<SignerId>> = None;
            while waiting.as_ref().is_none_or(|waiting| !waiting.is_empty()) {
                let first = rotated.entries.is_empty();
                let (number, part) = self.hand_out(&plan, first, waiting.as_deref())?;
                rotated.entries.push(number);
                if copy == 0 {
                    rotated.given.extend(part.given);
                    rotated.left_out.extend(part.left_out);
                }
                waiting = Some(part.waiting);
            }
        }
        Ok(rotated)
    }

    /// Appends one entry of a new epoch: for these keys, or for all.
    fn hand_out(
        &mut self,
        plan: &Plan,
        first: bool,
        of: Option<&[SignerId]>,
    ) -> Result<(u64, Part), RotateError> {
        let env = self.env.clone();
        let commit = CommitId(env.random());
        let mut made = None;
        let appended = self.append(commit, |history| {
            plan.check(history, first)?;
            let part = plan.part(&history.authority, of, commit, &env)?;
            let body = Body::Rekey(part.rekey.clone());
            made = Some(part);
            Ok(body)
        });
        let number = appended.map_err(|error| failed(error, first, plan.epoch))?;
        Ok((number, made.expect("an entry that was appended was made")))
    }
}

fn failed(error: AppendError<RotateError>, first: bool, epoch: u32) -> RotateError {
    match error {
        AppendError::Draft(error) if first => error,
        error if first => RotateError::Append(Box::new(error)),
        error => RotateError::Partly {
            epoch,
            source: Box::new(error),
        },
    }
}

/// A new epoch, while it is handed out.
struct Plan {
    epoch: u32,
    new: EpochSecrets,
    past: BTreeMap<u32, EpochSecrets>,
    /// Repository secrets by epoch, to which shares are sealed too.
    psks: BTreeMap<u32, SecretKey>,
    /// Its maker, who gets the first share.
    own: SignerId,
}

/// One entry of it.
struct Part {
    rekey: Rekey,
    given: Vec<SignerId>,
    left_out: Vec<(SignerId, LeftOut)>,
    /// Keys for which it has no room.
    waiting: Vec<SignerId>,
}

impl Plan {
    fn new<S: ReadStore + ?Sized>(repository: &Repository<'_, S>) -> Result<Self, RotateError> {
        let (env, held) = (repository.env(), repository.key().rights());
        if held != Rights::ALL {
            return Err(RotateError::Lacking { held });
        }
        if let Some(epoch) = repository.behind() {
            return Err(RotateError::NoPart { epoch });
        }
        let ring = repository.ring();
        let known = ring.all().filter_map(|key| {
            let secrets = EpochSecrets::of(key)?;
            Some((key.epoch, secrets))
        });
        let mut past: BTreeMap<u32, EpochSecrets> = known.collect();
        let psks = past
            .iter()
            .map(|(epoch, secrets)| (*epoch, secrets.psk.clone()))
            .collect();
        // What is older stands in the entries of those that are told of.
        while past.len() > EPOCHS_MAX {
            past.pop_first();
        }
        let key = || SecretKey::new(env.random());
        Ok(Self {
            epoch: repository.history().authority.last_epoch() + 1,
            new: EpochSecrets {
                psk: key(),
                index_master: key(),
                meta_private: key(),
                data_private: key(),
            },
            past,
            psks,
            own: repository.signer(),
        })
    }

    /// Checks that the epoch is still to begin, or still the last.
    fn check(&self, history: &History, first: bool) -> Result<(), RotateError> {
        let last = history.authority.last_epoch();
        let expected = if first { self.epoch - 1 } else { self.epoch };
        if last == expected {
            Ok(())
        } else {
            Err(RotateError::Overtaken { epoch: last })
        }
    }

    /// An entry with as many shares as it has room for: of these keys, or of all.
    fn part(
        &self,
        authority: &Authority,
        of: Option<&[SignerId]>,
        commit: CommitId,
        env: &Env,
    ) -> Result<Part, RotateError> {
        let binding = EpochBinding {
            repository: authority.repository(),
            commit,
            epoch: self.epoch,
        };
        let mut subjects: Vec<SignerId> = if let Some(of) = of {
            of.to_vec()
        } else {
            // Whoever was authorised in the epoch itself has it.
            let before = authority.grants().filter(|(_, it)| it.epoch < self.epoch);
            before.map(|(signer, _)| *signer).collect()
        };
        // Stable: who makes the epoch is in its first entry.
        subjects.sort_by_key(|signer| *signer != self.own);
        let mut room = Rekey::room_bytes(self.past.len());
        let (mut shares, mut given) = (Vec::new(), Vec::new());
        let (mut left_out, mut waiting) = (Vec::new(), Vec::new());
        for subject in subjects {
            match self.share(authority, &subject, &binding, env) {
                Err(reason) => left_out.push((subject, reason)),
                Ok(share) if share.len_bytes() <= room && shares.len() < SHARES_MAX => {
                    room -= share.len_bytes();
                    shares.push(share);
                    given.push(subject);
                }
                Ok(_) => {
                    room = 0;
                    waiting.push(subject);
                }
            }
        }
        let rekey = Rekey::seal(&binding, &self.new, &self.past, env.random(), shares)?;
        Ok(Part {
            rekey,
            given,
            left_out,
            waiting,
        })
    }

    fn share(
        &self,
        authority: &Authority,
        subject: &SignerId,
        binding: &EpochBinding,
        env: &Env,
    ) -> Result<SealedShare, LeftOut> {
        let grant = authority.grant(subject).ok_or(LeftOut::UnknownSecret)?;
        if grant.revoked.is_some() {
            return Err(LeftOut::Revoked);
        }
        let now_ms = env.clock.now_unix_ms();
        if grant.expires_ms.is_some_and(|expiry| now_ms > expiry) {
            return Err(LeftOut::Expired);
        }
        let psk = self.psks.get(&grant.epoch).ok_or(LeftOut::UnknownSecret)?;
        let to = Recipient {
            subject: *subject,
            sealing_key: grant.sealing_key,
            psk: psk.clone(),
        };
        let index = |master: &SecretKey| index_key(master, &grant.domain);
        let share = self.new.share(grant.rights, index);
        let key = SecretKey::new(env.random());
        SealedShare::seal(&share, &to, binding, &key, env.random())
            .map_err(|_| LeftOut::UnusableKey)
    }
}
