//! Making a repository's secrets, opening them, and handing them on.
//!
//! `init` is one creation: the genesis entry holds the first slot, and it is
//! created only after the caller had the chance to show the recovery sheet. A
//! key that is handed on holds nothing that its issuer does not hold, and a
//! write key holds no private key at all: that is a matter of types
//! ([`KeyBundle`]), not of care.

use indelible_format::authority::Authority;
use indelible_format::bundle::{DomainKeys, KeyBundle, RestoreKeys, VerifyKeys};
use indelible_format::entry::{Body, Draft};
use indelible_format::genesis::{ChunkerParameters, Genesis};
use indelible_format::grant::{Authorize, GrantFacts, SealedFacts};
use indelible_format::ids::{CommitId, DomainId, LogHash, RepositoryId, SignerId};
use indelible_format::key_file::KeyFile;
use indelible_format::merkle::leaf_hash;
use indelible_format::name::Pattern;
use indelible_format::rights::{Kind, Rights};
use indelible_format::seal::{sealing_key_of, signer_of};
use indelible_format::secret::{self, SecretKey};
use indelible_format::slot::{Cost, PassphraseSlot, SlotError};
use indelible_format::wire::LayoutError;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::store::{AppendStore, ObjectKey, PutOutcome, StoreError};

/// Letters and digits that are hard to confuse, 32 of them: five bits each.
const PASSPHRASE_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567890";
const PASSPHRASE_GROUPS: usize = 5;
const PASSPHRASE_GROUP_LEN: usize = 4;

/// A random passphrase of 100 bits, in groups that a person can copy.
pub fn generate_passphrase(env: &Env) -> Zeroizing<String> {
    let random = Zeroizing::new(env.random::<{ PASSPHRASE_GROUPS * PASSPHRASE_GROUP_LEN }>());
    let mut passphrase = Zeroizing::new(String::with_capacity(32));
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % PASSPHRASE_GROUP_LEN == 0 {
            passphrase.push('-');
        }
        passphrase.push(char::from(PASSPHRASE_ALPHABET[usize::from(byte % 32)]));
    }
    passphrase
}

/// Why a repository was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Parameters outside of the format's limits.
    #[error("these parameters are not allowed")]
    Parameters(#[from] LayoutError),
    /// There is a repository already.
    #[error("there is a repository at {location} already")]
    Exists {
        /// Where.
        location: String,
    },
    /// The store failed before anything was created.
    #[error("the repository could not be created")]
    Store(#[from] StoreError),
    /// The genesis entry may or may not have been created.
    #[error("it is unknown whether the repository was created")]
    Unknown(#[source] Box<StoreError>),
}

/// A repository that is ready to be created, once its passphrase is safe.
pub struct NewRepository {
    object: Vec<u8>,
    bundle: KeyBundle,
}

impl NewRepository {
    /// Draws all secrets and seals them under the passphrase. Takes the time and
    /// memory that `cost` says; nothing is created.
    ///
    /// # Errors
    ///
    /// [`InitError::Parameters`].
    pub fn prepare(
        env: &Env,
        passphrase: &str,
        cost: Cost,
        chunker: ChunkerParameters,
    ) -> Result<Self, InitError> {
        chunker.check()?;
        let bundle = draw_bundle(env)?;
        let commit = CommitId(env.random());
        let signer = bundle.signer();
        let slot = PassphraseSlot::seal(&bundle, passphrase, cost, env.random(), &commit, &signer)?;
        let draft = Draft {
            number: 0,
            epoch: 0,
            claimed_ms: env.clock.now_unix_ms(),
            commit,
            domain: bundle.domain,
            previous: LogHash([0; 32]),
            root: LogHash([0; 32]),
            body: Body::Genesis(Genesis {
                chunker,
                sealing_key: sealing_key_of(&bundle.sealing_private),
                slot,
            }),
        };
        let object = draft
            .sign(&RepositoryId([0; 32]), &bundle.signing_seed)
            .expect("a genesis entry is small");
        Ok(Self { object, bundle })
    }

    /// The id that the repository will have.
    pub fn id(&self) -> RepositoryId {
        RepositoryId(leaf_hash(&self.object).0)
    }

    /// The key with every right.
    pub fn bundle(&self) -> &KeyBundle {
        &self.bundle
    }

    /// Creates the repository.
    ///
    /// # Errors
    ///
    /// [`InitError`].
    pub fn create<S: AppendStore + ?Sized>(&self, store: &S) -> Result<(), InitError> {
        store.prepare()?;
        match store.put_new(&ObjectKey::Log(0), &self.object)? {
            PutOutcome::Created | PutOutcome::AlreadySame => {}
            PutOutcome::Conflict => {
                return Err(InitError::Exists {
                    location: store.location(),
                });
            }
            PutOutcome::Indeterminate { cause } => return Err(InitError::Unknown(cause)),
        }
        // Only the oldest version counts. It exists by now, so a store that does
        // not give it leaves open whose it is.
        if store.capabilities().versions {
            let most = self.object.len() as u64 + 1;
            let oldest = store
                .read_oldest(&ObjectKey::Log(0), most)
                .map_err(|error| InitError::Unknown(Box::new(error)))?;
            if oldest != self.object {
                return Err(InitError::Exists {
                    location: store.location(),
                });
            }
        }
        // A copy under a telling name, for people; nothing depends on it.
        let _ = store.put_new(&ObjectKey::Repository, &self.object);
        Ok(())
    }
}

fn draw_bundle(env: &Env) -> Result<KeyBundle, LayoutError> {
    let key = || SecretKey::new(env.random());
    let domain = DomainId(env.random());
    let (data_id_master, node_id_master, gear_master, index_master) = (key(), key(), key(), key());
    let (meta_private, data_private) = (key(), key());
    Ok(KeyBundle {
        domain,
        epoch: 0,
        signing_seed: key(),
        sealing_private: key(),
        psk: key(),
        meta_public: sealing_key_of(&meta_private),
        data_public: sealing_key_of(&data_private),
        write: Some(DomainKeys {
            data_id: secret::data_id_key(&data_id_master, &domain),
            node_id: secret::node_id_key(&node_id_master, &domain),
            gear: secret::gear_key(&gear_master, &domain),
            index: secret::index_key(&index_master, &domain),
        }),
        verify: Some(VerifyKeys {
            node_id_master,
            index_master,
            meta_private,
        }),
        restore: Some(RestoreKeys {
            data_id_master,
            data_private,
        }),
        admin: true,
        gear_master: Some(gear_master),
        facts: GrantFacts::new("recovery", vec![Pattern::all()])?,
        strict: false,
    })
}

/// What opens a key.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A passphrase, tried on every slot.
    Passphrase(Zeroizing<String>),
    /// A key file's content.
    KeyFile(Box<KeyFile>),
}

/// Why a credential gives no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// No slot opens with the passphrase.
    #[error("the passphrase opens none of the repository's {slots} passphrase slots")]
    WrongPassphrase {
        /// How many were tried.
        slots: usize,
    },
    /// A slot opened and then was wrong.
    #[error("a passphrase slot is damaged")]
    Slot(#[source] SlotError),
    /// The key file belongs to another repository.
    #[error("the key file belongs to repository {}, and this one is {}", .stated.short(), .found.short())]
    OtherRepository {
        /// The repository that the key file names.
        stated: RepositoryId,
        /// The repository that is there.
        found: RepositoryId,
    },
}

/// Opens the key that a credential stands for.
///
/// # Errors
///
/// [`UnlockError`].
pub fn unlock(authority: &Authority, credential: &Credential) -> Result<KeyBundle, UnlockError> {
    match credential {
        Credential::KeyFile(file) if file.repository == authority.repository() => {
            Ok(file.bundle.clone())
        }
        Credential::KeyFile(file) => Err(UnlockError::OtherRepository {
            stated: file.repository,
            found: authority.repository(),
        }),
        Credential::Passphrase(passphrase) => unlock_slot(authority, passphrase),
    }
}

fn unlock_slot(authority: &Authority, passphrase: &str) -> Result<KeyBundle, UnlockError> {
    let mut grants: Vec<_> = authority
        .grants()
        .filter(|(_, grant)| grant.slot.is_some())
        .collect();
    grants.sort_by_key(|(_, grant)| grant.entry);
    let slots = grants.len();
    for (signer, grant) in grants {
        let Some(slot) = &grant.slot else { continue };
        match slot.open(passphrase, &grant.commit, signer) {
            Ok(bundle) if bundle.signer() == *signer => return Ok(bundle),
            Ok(_) => return Err(UnlockError::Slot(SlotError::Altered)),
            Err(SlotError::WrongPassphrase) => {}
            Err(error) => return Err(UnlockError::Slot(error)),
        }
    }
    Err(UnlockError::WrongPassphrase { slots })
}

/// Why a key may not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// The log does not know the key: the entry that authorised it is damaged or
    /// gone.
    #[error("the log has no entry that authorises this key")]
    Unknown,
    /// It was revoked.
    #[error("entry {by} revoked this key")]
    Revoked {
        /// The revoking entry.
        by: u64,
    },
    /// It may not sign this kind.
    #[error("this key may not sign entries of kind {kind}")]
    Kind {
        /// The kind.
        kind: Kind,
    },
    /// It has expired.
    #[error("this key has expired")]
    Expired {
        /// When, Unix milliseconds.
        expired_ms: u64,
    },
}

/// Why a key may not sign a kind of entry at this time, if it may not: the
/// conditions of SPEC 3.12 that can change while a run is under way.
pub(crate) fn forbidden(
    authority: &Authority,
    signer: &SignerId,
    kind: Kind,
    now_unix_ms: u64,
) -> Option<Forbidden> {
    let Some(grant) = authority.grant(signer) else {
        return Some(Forbidden::Unknown);
    };
    if let Some(revocation) = grant.revoked {
        return Some(Forbidden::Revoked { by: revocation.by });
    }
    if !grant.kinds.allows(kind) {
        return Some(Forbidden::Kind { kind });
    }
    let expired = grant.expires_ms.filter(|&expiry| now_unix_ms > expiry);
    expired.map(|expired_ms| Forbidden::Expired { expired_ms })
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// Its rights.
    pub rights: Rights,
    /// Its label and the NAMEs that it may write.
    pub facts: GrantFacts,
    /// The last moment at which it may sign, Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// Whether hosts with it keep nothing that reads its packs: write without restore
    /// only, and without effect for others.
    pub strict: bool,
}

/// Why a key can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The issuing key can't hand on what it does not hold.
    #[error("a key with the rights {held} can't make one with the rights {asked}")]
    Lacking {
        /// What the issuer has.
        held: Rights,
        /// What was asked for.
        asked: Rights,
    },
    /// A key can let others sign only what it may sign itself (SPEC 3.7).
    #[error("this key may not itself sign all that a key with the rights {asked} signs")]
    Overreach {
        /// What was asked for.
        asked: Rights,
    },
    /// Keys are made in the newest epoch.
    #[error("epoch {epoch} began, and the key that is to make one has no part of it")]
    NoPart {
        /// The newest epoch.
        epoch: u32,
    },
    /// The issuing key may sign nothing, or no grants.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The repository's own sealing key is unusable.
    #[error(transparent)]
    Seal(#[from] indelible_format::seal::UnusableKey),
}

/// A key that was drawn, and is not authorised yet.
pub struct NewKey {
    bundle: KeyBundle,
    request: KeyRequest,
}

impl NewKey {
    /// Draws a key, in a domain of its own, that holds what its rights call for.
    ///
    /// # Errors
    ///
    /// [`IssueError::Lacking`].
    pub fn draw(issuer: &KeyBundle, request: KeyRequest, env: &Env) -> Result<Self, IssueError> {
        let lacking = || IssueError::Lacking {
            held: issuer.rights(),
            asked: request.rights,
        };
        let domain = DomainId(env.random());
        let wants = |right| request.rights.contains(right);
        let hand_on_write = || {
            let gear_master = issuer.gear_master.as_ref()?;
            Some(DomainKeys {
                data_id: issuer.data_id_key(&domain)?,
                node_id: issuer.node_id_key(&domain)?,
                gear: secret::gear_key(gear_master, &domain),
                index: issuer.index_key(&domain)?,
            })
        };
        if !issuer.admin {
            return Err(lacking());
        }
        let bundle = KeyBundle {
            domain,
            epoch: issuer.epoch,
            signing_seed: SecretKey::new(env.random()),
            sealing_private: SecretKey::new(env.random()),
            psk: issuer.psk.clone(),
            meta_public: issuer.meta_public,
            data_public: issuer.data_public,
            write: if wants(Rights::WRITE) {
                Some(hand_on_write().ok_or_else(lacking)?)
            } else {
                None
            },
            verify: hand_on(wants(Rights::VERIFY), issuer.verify.as_ref())
                .map_err(|()| lacking())?,
            restore: hand_on(wants(Rights::RESTORE), issuer.restore.as_ref())
                .map_err(|()| lacking())?,
            admin: wants(Rights::ADMIN),
            gear_master: hand_on(request.rights == Rights::ALL, issuer.gear_master.as_ref())
                .map_err(|()| lacking())?,
            facts: request.facts.clone(),
            strict: request.strict && wants(Rights::WRITE) && !wants(Rights::RESTORE),
        };
        Ok(Self { bundle, request })
    }

    /// The key.
    pub fn bundle(&self) -> &KeyBundle {
        &self.bundle
    }

    /// The body of the entry that authorises it.
    ///
    /// # Errors
    ///
    /// [`IssueError::Seal`].
    pub fn authorize(
        &self,
        repository: &RepositoryId,
        commit: &CommitId,
        env: &Env,
    ) -> Result<Authorize, IssueError> {
        let subject = signer_of(&self.bundle.signing_seed);
        let facts = SealedFacts::seal(
            &self.request.facts,
            repository,
            commit,
            &subject,
            &self.bundle.meta_public,
            &self.bundle.psk,
            &SecretKey::new(env.random()),
            env.random(),
        )?;
        Ok(Authorize {
            subject,
            sealing_key: sealing_key_of(&self.bundle.sealing_private),
            domain: self.bundle.domain,
            rights: self.request.rights,
            kinds: self.request.rights.kinds(),
            expires_ms: self.request.expires_ms,
            facts,
            slot: None,
        })
    }
}

/// A copy of what the issuer holds, if it is wanted.
fn hand_on<T: Clone>(wanted: bool, held: Option<&T>) -> Result<Option<T>, ()> {
    match (wanted, held) {
        (false, _) => Ok(None),
        (true, Some(held)) => Ok(Some(held.clone())),
        (true, None) => Err(()),
    }
}
