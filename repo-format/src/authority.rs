//! Who may sign what: the one judge of whether a log object is a valid entry
//! (SPEC 3.7, 3.8, 3.12).
//!
//! The judgement depends on the object's clear bytes and on the valid entries
//! before it, and on nothing else: no clock, no key, no other object. So every
//! reader, every writer and a keyless append-only server reach the same one.

use std::collections::BTreeMap;

use crate::entry::{Body, Entry, Header};
use crate::examined::{Examined, Signed};
use crate::genesis::{FORMAT_VERSION, Genesis, claimed_version};
use crate::grant::{Authorize, Revoke, SealedFacts};
use crate::ids::{CommitId, DomainId, LogHash, RepositoryId, SealingKey, SignerId};
use crate::limits::EPOCH_STEP_MAX;
use crate::merkle::leaf_hash;
use crate::planted::{Bug, planted};
use crate::rights::{Kind, Kinds, Rights};
use crate::seal::BadSignature;
use crate::slot::PassphraseSlot;
use crate::wire::LayoutError;

/// Why a log object is void.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Void {
    /// It is no entry.
    #[error("it is not a log entry")]
    Layout(#[from] LayoutError),
    /// It is an entry of another place.
    #[error("it says that it is entry {stated}")]
    Number {
        /// The number that it states.
        stated: u64,
    },
    /// A genesis with an epoch, or with hashes of entries before it.
    #[error("it is a genesis that states an epoch or entries before it")]
    GenesisHeader,
    /// Entry 0 alone is a genesis.
    #[error("it is a second genesis")]
    SecondGenesis,
    /// No entry before authorised its signer.
    #[error("no entry before it authorised its signer {}", .signer.short())]
    UnknownSigner {
        /// The stated signer.
        signer: SignerId,
    },
    /// An entry before revoked its signer.
    #[error("its signer {} was revoked by entry {by}", .signer.short())]
    Revoked {
        /// The stated signer.
        signer: SignerId,
        /// The revoking entry.
        by: u64,
    },
    /// The signer's grant does not allow the kind.
    #[error("its signer {} may not sign entries of kind {kind}", .signer.short())]
    NotAllowed {
        /// The stated signer.
        signer: SignerId,
        /// The stated kind.
        kind: Kind,
    },
    /// The claimed time lies behind the grant's expiry.
    #[error("the grant of its signer {} had expired at the time that it claims", .signer.short())]
    Expired {
        /// The stated signer.
        signer: SignerId,
    },
    /// The signature does not verify.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// A snapshot in another domain than its signer's.
    #[error("it is a snapshot in a domain that is not its signer's")]
    OtherDomain,
    /// An authorize that gives what its signer may not give.
    #[error("it authorises a key for more than its signer may give, or once more")]
    Overreach,
    /// A rekey by a key without every right, or one of an epoch that began before.
    #[error("it begins an epoch that its signer may not begin, or that began before")]
    BadRekey,
    /// A revoke of an unknown key, of the administrator by another, or of the
    /// future.
    #[error("it revokes a key that its signer may not revoke")]
    BadRevoke,
}

/// Why `log/0` begins no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// A newer release made the repository.
    #[error("the repository has format version {found}, and this release reads {FORMAT_VERSION}")]
    TooNew {
        /// The version that it states.
        found: u16,
    },
    /// It is no genesis entry.
    #[error("its first log entry is not a valid genesis entry")]
    Void(#[source] Void),
}

/// The end of a key's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The revoking entry.
    pub by: u64,
    /// From which entry on what the key signed is distrusted.
    pub distrust_from: u64,
}

/// A key that the log knows.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The entry that authorised it.
    pub entry: u64,
    /// The commit id of that entry, to which its sealed parts are bound.
    pub commit: CommitId,
    /// Who signed that entry.
    pub by: SignerId,
    /// The epoch that entry states: of what its sealed parts are sealed to, and of the
    /// secrets in the key's bundle.
    pub epoch: u32,
    /// The key's own sealing key.
    pub sealing_key: SealingKey,
    /// Its domain.
    pub domain: DomainId,
    /// What its bundle holds.
    pub rights: Rights,
    /// What it may sign.
    pub kinds: Kinds,
    /// The last moment at which it may sign, Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// Label and NAMEs. The administrator of genesis has none: he may all.
    pub facts: Option<SealedFacts>,
    /// Its bundle, if a passphrase opens it.
    pub slot: Option<PassphraseSlot>,
    /// Whether and how its rights ended.
    pub revoked: Option<Revocation>,
}

/// An entry that began an epoch.
#[derive(Debug, Clone, Copy)]
struct Begun {
    entry: u64,
    by: SignerId,
    epoch: u32,
}

/// The keys of a log, as of some entry.
#[derive(Debug, Clone)]
pub struct Authority {
    repository: RepositoryId,
    genesis: Genesis,
    administrator: SignerId,
    grants: BTreeMap<SignerId, Grant>,
    rekeys: Vec<Begun>,
    next: u64,
    stop: Option<(u64, Kind)>,
}

impl Authority {
    /// Begins with the object `log/0`. Its leaf hash names the repository.
    pub fn begin(object: &[u8]) -> Result<(Self, Entry), GenesisError> {
        Self::begin_known(object, None)
    }

    /// The same; if the object's leaf is `known`, its signature is taken as the
    /// caller knows it (as [`Examined::new`] says).
    pub(crate) fn begin_known(
        object: &[u8],
        known: Option<&LogHash>,
    ) -> Result<(Self, Entry), GenesisError> {
        if let Some(found) = claimed_version(object).filter(|&version| version > FORMAT_VERSION) {
            return Err(GenesisError::TooNew { found });
        }
        let void = |error: Void| GenesisError::Void(error);
        let repository = RepositoryId(leaf_hash(object).0);
        let Signed { parsed, signature } = Examined::new(object, &repository, known)
            .found(&repository)
            .map_err(|error| void(error.into()))?;
        let header = parsed.header().clone();
        let Body::Genesis(genesis) = parsed.body().clone() else {
            let signer = header.signer;
            return Err(void(Void::NotAllowed {
                signer,
                kind: header.kind,
            }));
        };
        if header.number != 0 {
            return Err(void(Void::Number {
                stated: header.number,
            }));
        }
        if header.previous.0 != [0; 32] || header.root.0 != [0; 32] || header.epoch != 0 {
            return Err(void(Void::GenesisHeader));
        }
        signature.map_err(|error| void(error.into()))?;
        let entry = parsed.into_entry();
        let administrator = Grant {
            entry: 0,
            commit: header.commit,
            by: header.signer,
            epoch: 0,
            sealing_key: genesis.sealing_key,
            domain: header.domain,
            rights: Rights::ALL,
            kinds: Kinds::ALL,
            expires_ms: None,
            facts: None,
            slot: Some(genesis.slot.clone()),
            revoked: None,
        };
        let authority = Self {
            repository,
            genesis,
            administrator: header.signer,
            grants: BTreeMap::from([(header.signer, administrator)]),
            rekeys: Vec::new(),
            next: 1,
            stop: None,
        };
        Ok((authority, entry))
    }

    /// Judges the object `log/<number>`, and takes its effect if it is valid.
    ///
    /// Numbers must be given ascending; absent and void ones may be left out.
    pub fn admit(&mut self, number: u64, object: &[u8]) -> Result<Entry, Void> {
        self.judge(number, Examined::new(object, &self.repository, None))
    }

    /// The same, of an object that was examined before.
    ///
    /// # Panics
    ///
    /// If it was examined for another repository.
    pub fn judge(&mut self, number: u64, examined: Examined) -> Result<Entry, Void> {
        assert!(number >= self.next, "the log is judged in its order");
        self.next = number + 1;
        let Signed { parsed, signature } = examined.found(&self.repository)?;
        let header = parsed.header();
        if header.number != number {
            return Err(Void::Number {
                stated: header.number,
            });
        }
        if header.kind == Kind::Genesis {
            return Err(Void::SecondGenesis);
        }
        self.check_signer(header)?;
        self.check_body(header, parsed.body())?;
        signature?;
        let entry = parsed.into_entry();
        self.take_effect(&entry);
        Ok(entry)
    }

    fn check_signer(&self, header: &Header) -> Result<(), Void> {
        let signer = header.signer;
        let grant = self
            .grants
            .get(&signer)
            .ok_or(Void::UnknownSigner { signer })?;
        if let Some(revocation) = &grant.revoked
            && !planted(Bug::RevocationIgnored)
        {
            return Err(Void::Revoked {
                signer,
                by: revocation.by,
            });
        }
        if !grant.kinds.allows(header.kind) && !planted(Bug::RightUnchecked) {
            return Err(Void::NotAllowed {
                signer,
                kind: header.kind,
            });
        }
        if grant
            .expires_ms
            .is_some_and(|expiry| header.claimed_ms > expiry)
            && !planted(Bug::ExpiryIgnored)
        {
            return Err(Void::Expired { signer });
        }
        Ok(())
    }

    fn check_body(&self, header: &Header, body: &Body) -> Result<(), Void> {
        let signer = &self.grants[&header.signer];
        match body {
            Body::Snapshot(_) if header.domain != signer.domain => Err(Void::OtherDomain),
            Body::Authorize(grant) => {
                let new = !self.grants.contains_key(&grant.subject);
                let given = signer.kinds.contains(grant.kinds);
                let admin =
                    !grant.rights.contains(Rights::ADMIN) || signer.rights.contains(Rights::ADMIN);
                if new && (given && admin || planted(Bug::OverreachAllowed)) {
                    Ok(())
                } else {
                    Err(Void::Overreach)
                }
            }
            Body::Revoke(revoke) => {
                let known = self.grants.contains_key(&revoke.subject);
                let allowed =
                    revoke.subject != self.administrator || header.signer == self.administrator;
                let past = revoke.distrust_from <= header.number;
                if known && allowed && past {
                    Ok(())
                } else {
                    Err(Void::BadRevoke)
                }
            }
            Body::Rekey(rekey) => self.check_rekey(header, rekey.epoch()),
            _ => Ok(()),
        }
    }

    /// Who begins an epoch chooses what opens all that is written in it, so it takes
    /// every right.
    fn check_rekey(&self, header: &Header, epoch: u32) -> Result<(), Void> {
        let all = self.grants[&header.signer].rights == Rights::ALL;
        let last = self.last_epoch();
        // Entries may be lost, so numbers may be left out. Not so many that none are left.
        let begins = epoch > last && epoch - last <= EPOCH_STEP_MAX;
        let own = |begun: &Begun| begun.epoch == epoch && begun.by == header.signer;
        let goes_on = self.rekeys.last().is_some_and(own);
        if all && (begins || goes_on) || planted(Bug::OverreachAllowed) {
            Ok(())
        } else {
            Err(Void::BadRekey)
        }
    }

    fn take_effect(&mut self, entry: &Entry) {
        let header = entry.header();
        match entry.body() {
            Body::Authorize(body) => self.authorize(header, body),
            Body::Revoke(body) => self.revoke(header.number, body),
            Body::Rekey(body) => self.rekeys.push(Begun {
                entry: header.number,
                by: header.signer,
                epoch: body.epoch(),
            }),
            Body::Opaque(kind, _) if header.critical => {
                let admin = self.grants[&header.signer].rights.contains(Rights::ADMIN);
                if admin {
                    self.stop.get_or_insert((header.number, *kind));
                }
            }
            _ => {}
        }
    }

    fn authorize(&mut self, header: &Header, body: &Authorize) {
        let grant = Grant {
            entry: header.number,
            commit: header.commit,
            by: header.signer,
            epoch: header.epoch,
            sealing_key: body.sealing_key,
            domain: body.domain,
            rights: body.rights,
            kinds: body.kinds,
            expires_ms: body.expires_ms,
            facts: Some(body.facts.clone()),
            slot: body.slot.clone(),
            revoked: None,
        };
        self.grants.insert(body.subject, grant);
    }

    /// Ends a key's rights, and those of the keys that it authorised while it
    /// was already distrusted, and so on.
    fn revoke(&mut self, by: u64, body: &Revoke) {
        let mut pending = vec![(body.subject, body.distrust_from)];
        while let Some((subject, distrust_from)) = pending.pop() {
            let Some(grant) = self.grants.get_mut(&subject) else {
                continue;
            };
            let earlier = grant.revoked.map_or(distrust_from, |known| {
                known.distrust_from.min(distrust_from)
            });
            grant.revoked = Some(Revocation {
                by: grant.revoked.map_or(by, |known| known.by),
                distrust_from: earlier,
            });
            // A child that was revoked by itself may have been trusted until
            // later; now it is distrusted from its first entry on.
            let children = self.grants.iter().filter(|(id, child)| {
                **id != subject
                    && child.by == subject
                    && child.entry >= distrust_from
                    && child
                        .revoked
                        .is_none_or(|known| known.distrust_from > child.entry)
            });
            pending.extend(
                children
                    .map(|(id, child)| (*id, child.entry))
                    .collect::<Vec<_>>(),
            );
        }
    }

    /// The repository.
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// The parameters that hold for ever.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The key that signed genesis.
    pub fn administrator(&self) -> SignerId {
        self.administrator
    }

    /// What the log says of a key.
    pub fn grant(&self, signer: &SignerId) -> Option<&Grant> {
        self.grants.get(signer)
    }

    /// All keys.
    pub fn grants(&self) -> impl Iterator<Item = (&SignerId, &Grant)> {
        self.grants.iter()
    }

    /// The first critical entry of a kind that this version does not know, if
    /// there is one: then nothing may be appended.
    pub fn stop(&self) -> Option<(u64, Kind)> {
        self.stop
    }

    /// Whether an entry was signed by a key from when on it is distrusted.
    pub fn is_distrusted(&self, entry: &Entry) -> bool {
        let header = entry.header();
        self.distrusts(&header.signer, header.number)
    }

    fn distrusts(&self, signer: &SignerId, entry: u64) -> bool {
        let revoked = self.grants.get(signer).and_then(|grant| grant.revoked);
        revoked.is_some_and(|revocation| entry >= revocation.distrust_from)
            && !planted(Bug::DistrustIgnored)
    }

    /// The epoch in which keys write: the newest that no distrusted entry began.
    pub fn epoch(&self) -> u32 {
        let trusted = self
            .rekeys
            .iter()
            .filter(|begun| !self.distrusts(&begun.by, begun.entry));
        trusted.map(|begun| begun.epoch).max().unwrap_or(0)
    }

    /// How many entries began an epoch, or went on with one.
    pub fn rekeys(&self) -> usize {
        self.rekeys.len()
    }

    /// The last epoch that began, whoever began it.
    pub fn last_epoch(&self) -> u32 {
        self.rekeys.last().map_or(0, |begun| begun.epoch)
    }
}
