//! Objects that are laid out as entries, or nearly, and what a reader must make
//! of each: the table of this campaign.

use indelible_engine::repository::{Repository, Snapshot};
use indelible_engine::store::MemoryStore;
use indelible_format::bundle::KeyBundle;
use indelible_format::commit::Reach;
use indelible_format::entry::{Body, Draft};
use indelible_format::grant::Revoke;
use indelible_format::ids::{CommitId, RepositoryId, SignerId};
use indelible_format::name::Name;
use indelible_format::rekey::Rekey;
use indelible_format::rights::{Kind, Kinds, Rights};
use indelible_format::secret::SecretKey;

use super::model::Reason;
use super::sample::{Act, EXPIRY_MS, Role, SIZE, Sample};
use crate::support::{
    Fixture, Forged, attest, authorize_body, draft_at, draft_snapshot, noise, snapshot_at,
    write_key_beside,
};

/// What a reader must make of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is void.
    Void(Reason),
    /// It is a valid snapshot of this key, and refused.
    Refused(Role),
    /// It is a valid snapshot of this key, and shown.
    Shown(Role),
}

/// One object, for any number at the head of the log.
pub(super) struct Forgery<'a> {
    pub(super) what: String,
    pub(super) verdict: Verdict,
    make: Box<dyn Fn(u64) -> Vec<u8> + 'a>,
}

impl Forgery<'_> {
    /// Its bytes for this number.
    pub(super) fn at(&self, number: u64) -> Vec<u8> {
        (self.make)(number)
    }
}

/// Makes an entry something else.
type Change = fn(&mut Vec<u8>);

/// A forgery that is void.
fn void<'a>(
    what: impl Into<String>,
    reason: Reason,
    make: impl Fn(u64) -> Vec<u8> + 'a,
) -> Forgery<'a> {
    Forgery {
        what: what.into(),
        verdict: Verdict::Void(reason),
        make: Box::new(make),
    }
}

/// Makes forgeries for one sample.
pub(super) struct Forger<'a> {
    sample: &'a Sample,
    repository: Repository<'a, MemoryStore>,
    stranger: KeyBundle,
    other: RepositoryId,
    rekey: Rekey,
}

/// The rekey that the administrator would append.
fn next_rekey(sample: &Sample) -> Rekey {
    let (store, fixture) = (sample.store().clone(), &sample.fixture);
    let opened = Repository::open(&store, None, &fixture.recovery, fixture.env.clone());
    let mut repository = opened.expect("the repository opens");
    let rotated = repository.rotate().expect("the keys are rotated");
    match repository.history().entries[&rotated.entries[0]].body() {
        Body::Rekey(rekey) => rekey.clone(),
        other => panic!("{other:?} begins no epoch"),
    }
}

impl<'a> Forger<'a> {
    pub(super) fn new(sample: &'a Sample) -> Self {
        let other = Fixture::new(999);
        Self {
            sample,
            repository: sample.fixture.open(),
            stranger: other.bundle.clone(),
            other: other.open().id(),
            rekey: next_rekey(sample),
        }
    }

    /// All of them.
    pub(super) fn all(&'a self) -> Vec<Forgery<'a>> {
        let mut all = self.layouts();
        all.extend(self.signatures());
        all.extend(self.ended_keys());
        all.extend(self.rights());
        all.extend(self.bodies());
        all.extend(self.snapshots());
        all
    }

    /// What is no entry.
    fn layouts(&'a self) -> Vec<Forgery<'a>> {
        let mut all: Vec<_> = [0, 1, 161, 225, 226, 65_536, 65_537, 1 << 20]
            .into_iter()
            .map(|len| {
                let bytes = noise(len as u64, len);
                void(format!("{len} bytes of noise"), Reason::Layout, move |_| {
                    bytes.clone()
                })
            })
            .collect();
        let changes: [(&str, Change); 9] = [
            ("a magic number off by a bit", |entry| entry[0] ^= 1),
            ("a kind of 32", |entry| entry[16] = 32),
            ("a kind of 255", |entry| entry[16] = 255),
            ("an unused flag", |entry| entry[17] = 2),
            ("the critical flag of an attest", |entry| entry[17] = 1),
            ("a body of 4 GiB", |entry| entry[158..162].fill(255)),
            ("a byte behind", |entry| entry.push(0)),
            ("65,537 bytes", |entry| entry.resize(65_537, 0)),
            ("1 MiB", |entry| entry.resize(1 << 20, 0)),
        ];
        all.extend(changes.into_iter().map(|(what, change)| {
            void(format!("an entry with {what}"), Reason::Layout, move |at| {
                let mut entry = self.sign(&self.draft(at, attest()), Role::Admin);
                change(&mut entry);
                entry
            })
        }));
        all
    }

    /// Entries that nobody signed who could.
    fn signatures(&'a self) -> Vec<Forgery<'a>> {
        let admin = self.sample.keys[&Role::Admin].signer();
        let mut all: Vec<_> = self
            .bodies_by(Role::Admin)
            .into_iter()
            .map(|(kind, body)| {
                let what = format!("{kind} by a key of another repository");
                void(what, Reason::UnknownSigner, move |at| {
                    self.sign_with(&self.draft(at, body.clone()), &self.stranger)
                })
            })
            .collect();
        let patches: [(&str, usize); 6] = [
            ("epoch", 18),
            ("time", 22),
            ("commit id", 30),
            ("leaf before", 94),
            ("root", 126),
            ("signature", 250),
        ];
        all.extend(patches.into_iter().map(|(what, offset)| {
            let what = format!("a changed {what}");
            void(what, Reason::Signature, move |at| {
                let mut entry = self.sign(&self.draft(at, attest()), Role::Admin);
                entry[offset] ^= 1;
                entry
            })
        }));
        all.push(void(
            "another's name over the signer",
            Reason::Signature,
            move |at| {
                let mut entry = self.sign(&self.draft(at, attest()), Role::Verifier);
                entry[62..94].copy_from_slice(&admin.0);
                entry
            },
        ));
        all.push(void(
            "an entry of another repository",
            Reason::Signature,
            |at| {
                let draft = self.draft(at, attest());
                let seed = &self.sample.keys[&Role::Admin].signing_seed;
                draft.sign(&self.other, seed).expect("the entry is small")
            },
        ));
        all.extend([-1_i64, 1, i64::MAX].into_iter().map(|off| {
            let what = format!("an entry of the number {off} away");
            void(what, Reason::Number, move |at| {
                let number = at.saturating_add_signed(off);
                let draft = Draft {
                    number,
                    ..self.draft(at, attest())
                };
                self.sign(&draft, Role::Admin)
            })
        }));
        all
    }

    /// Entries by keys whose rights ended.
    fn ended_keys(&'a self) -> Vec<Forgery<'a>> {
        let mut all = Vec::new();
        for role in [Role::Stolen, Role::Second, Role::Child] {
            for claimed_ms in [0, self.repository.env().clock.now_unix_ms()] {
                all.extend(self.bodies_by(role).into_iter().map(|(kind, body)| {
                    let what = format!("{kind} by the revoked {role:?}, dated {claimed_ms}");
                    void(what, Reason::Revoked, move |at| {
                        let draft = Draft {
                            claimed_ms,
                            domain: self.sample.keys[&role].domain,
                            ..self.draft(at, body.clone())
                        };
                        self.sign(&draft, role)
                    })
                }));
            }
        }
        for claimed_ms in [EXPIRY_MS + 1, u64::MAX] {
            let what = format!("a snapshot by an expired key, dated {claimed_ms}");
            all.push(void(what, Reason::Expired, move |at| {
                let draft = self.snapshot(Role::Temp, "temp", at);
                self.sign(
                    &Draft {
                        claimed_ms,
                        ..draft
                    },
                    Role::Temp,
                )
            }));
        }
        all
    }

    /// Every kind by every key that may not sign it (SPEC 3.5, 5.3).
    fn rights(&'a self) -> Vec<Forgery<'a>> {
        const ALLOWED: [(Role, &[u8]); 5] = [
            (Role::Shop, &[4, 7]),
            (Role::Verifier, &[5]),
            (Role::Restorer, &[5]),
            (Role::Bounded, &[1, 2, 3, 5, 6, 8, 9, 10]),
            (Role::Delegate, &[1, 4, 7]),
        ];
        let mut all = Vec::new();
        for (role, allowed) in ALLOWED {
            for (kind, body) in self.bodies_by(role) {
                if allowed.contains(&kind.to_byte()) {
                    continue;
                }
                let what = format!("{kind} by {role:?}");
                all.push(void(what, Reason::NotAllowed, move |at| {
                    self.sign(&self.draft(at, body.clone()), role)
                }));
            }
        }
        all
    }

    /// Bodies that say what their signer may not say (SPEC 3.6 to 3.8).
    fn bodies(&'a self) -> Vec<Forgery<'a>> {
        let grants: [(&str, Role, Rights, Kinds); 4] = [
            (
                "a write key",
                Role::Bounded,
                Rights::WRITE,
                Rights::WRITE.kinds(),
            ),
            ("all kinds", Role::Bounded, Rights::VERIFY, Kinds::ALL),
            (
                "an administrator",
                Role::Delegate,
                Rights::ALL,
                Rights::WRITE.kinds(),
            ),
            (
                "more kinds",
                Role::Delegate,
                Rights::WRITE,
                Rights::ALL.kinds(),
            ),
        ];
        let mut all: Vec<_> = grants
            .into_iter()
            .map(|(what, by, rights, kinds)| {
                let body = self.grant(&write_key_beside(&self.repository), rights, kinds);
                void(
                    format!("{by:?} authorises {what}"),
                    Reason::Overreach,
                    move |at| self.sign(&self.draft(at, body.clone()), by),
                )
            })
            .collect();
        for role in [Role::Shop, Role::Stolen, Role::Admin] {
            let body = self.grant(
                &self.sample.keys[&role],
                Rights::WRITE,
                Rights::WRITE.kinds(),
            );
            let what = format!("{role:?} is authorised once more");
            all.push(void(what, Reason::Overreach, move |at| {
                self.sign(&self.draft(at, body.clone()), Role::Admin)
            }));
        }
        all.extend(self.other_bodies());
        all
    }

    /// Revocations, a genesis and a snapshot that their signers may not make.
    fn other_bodies(&'a self) -> Vec<Forgery<'a>> {
        let mut all = Vec::new();
        let (admin, shop) = (self.signer(Role::Admin), self.signer(Role::Shop));
        let revocations = [
            ("a stranger", Role::Admin, SignerId([9; 32]), 0),
            ("the first administrator", Role::Bounded, admin, 0),
            ("from the future on", Role::Bounded, shop, u64::MAX),
        ];
        for (what, by, subject, distrust_from) in revocations {
            let body = Body::Revoke(Revoke {
                subject,
                distrust_from,
            });
            all.push(void(
                format!("{by:?} revokes {what}"),
                Reason::BadRevoke,
                move |at| self.sign(&self.draft(at, body.clone()), by),
            ));
        }
        let rekeys = [
            ("an epoch without every right", Role::Bounded, 1),
            ("an epoch far ahead", Role::Admin, 257),
            ("the last of all epochs", Role::Admin, u32::MAX),
        ];
        for (what, by, epoch) in rekeys {
            let body = self.rekey_of(epoch);
            all.push(void(
                format!("{by:?} begins {what}"),
                Reason::BadRekey,
                move |at| self.sign(&self.draft(at, body.clone()), by),
            ));
        }
        let genesis = Body::Genesis(self.repository.history().authority.genesis().clone());
        all.push(void("a second genesis", Reason::SecondGenesis, move |at| {
            self.sign(&self.draft(at, genesis.clone()), Role::Admin)
        }));
        all.push(void(
            "a snapshot in another domain",
            Reason::OtherDomain,
            |at| {
                let domain = self.sample.keys[&Role::Mail].domain;
                let draft = self.snapshot(Role::Shop, "shop", at);
                self.sign(&Draft { domain, ..draft }, Role::Shop)
            },
        ));
        all
    }

    /// Valid snapshots: those of other NAMEs are refused, and one that its key
    /// back-dated before its expiry can't be told from an early one.
    fn snapshots(&'a self) -> Vec<Forgery<'a>> {
        let snapshots = [
            (Role::Shop, "mail", Verdict::Refused(Role::Shop)),
            (Role::Shop, "shop-2", Verdict::Refused(Role::Shop)),
            (Role::Shop, "SHOP", Verdict::Refused(Role::Shop)),
            (Role::Mail, "mailbox", Verdict::Refused(Role::Mail)),
            (Role::Mail, "shop", Verdict::Refused(Role::Mail)),
            (Role::Mail, "mail-", Verdict::Shown(Role::Mail)),
            (Role::Temp, "temp", Verdict::Shown(Role::Temp)),
        ];
        let snapshots = snapshots.into_iter().map(|(role, name, verdict)| Forgery {
            what: format!("a snapshot of {name} by {role:?}"),
            verdict,
            make: Box::new(move |at| {
                let claimed_ms = EXPIRY_MS;
                let draft = self.snapshot(role, name, at);
                self.sign(
                    &Draft {
                        claimed_ms,
                        ..draft
                    },
                    role,
                )
            }),
        });
        snapshots.collect()
    }

    /// A body of each kind, as far as this key can make one.
    fn bodies_by(&self, role: Role) -> Vec<(Kind, Body)> {
        let mut bodies = vec![
            self.grant(
                &write_key_beside(&self.repository),
                Rights::VERIFY,
                Rights::VERIFY.kinds(),
            ),
            Body::Revoke(Revoke {
                subject: self.signer(Role::Mail),
                distrust_from: 1,
            }),
            attest(),
        ];
        // Who never sealed a commit signs one that another key sealed.
        let from = match role {
            Role::Verifier | Role::Restorer | Role::Bounded | Role::Delegate => Role::Shop,
            writer => writer,
        };
        bodies.push(self.snapshot(from, "shop", SIZE).body);
        bodies.push(self.rekey_of(1));
        let known = [6, 7, 8, 9, 10].into_iter().chain(11..32);
        bodies.extend(known.map(|byte| {
            let kind = Kind::from_byte(byte).expect("kinds end at 31");
            Body::Opaque(kind, b"of tomorrow".to_vec())
        }));
        bodies.into_iter().map(|body| (body.kind(), body)).collect()
    }

    /// A rekey as the administrator would make it, of this epoch.
    fn rekey_of(&self, epoch: u32) -> Body {
        let body = [&epoch.to_le_bytes(), &self.rekey.encode()[4..]].concat();
        Body::Rekey(Rekey::decode(&body).expect("an epoch is any number but 0"))
    }

    fn grant(&self, bundle: &KeyBundle, rights: Rights, kinds: Kinds) -> Body {
        let commit = CommitId(self.repository.env().random());
        Body::Authorize(authorize_body(
            &self.repository,
            &commit,
            bundle,
            rights,
            kinds,
        ))
    }

    fn signer(&self, role: Role) -> SignerId {
        self.sample.keys[&role].signer()
    }

    /// An entry for a number from the head on.
    fn draft(&self, number: u64, body: Body) -> Draft {
        Draft {
            number,
            ..draft_at(&self.repository, SIZE, body)
        }
    }

    /// The first snapshot of a key, sealed once more under a NAME.
    fn snapshot(&self, role: Role, name: &str, number: u64) -> Draft {
        let from = self.first_of(role);
        let mut manifest = from.manifest.clone();
        manifest.name = Name::new(name.as_bytes()).expect("a NAME");
        let reach = Reach::default();
        let forged = Forged {
            manifest,
            reach: &reach,
        };
        let key = &self.sample.keys[&role];
        Draft {
            number,
            ..draft_snapshot(&self.repository, from.body.packs.clone(), key, &forged)
        }
    }

    fn first_of(&self, role: Role) -> Snapshot {
        snapshot_at(&self.repository, self.first_number_of(role))
    }

    /// Another entry of the administrator's key for a number of the log.
    pub(super) fn rewritten(&self, number: u64) -> Vec<u8> {
        self.sign(&draft_at(&self.repository, number, attest()), Role::Admin)
    }

    /// The number of a key's first snapshot.
    pub(super) fn first_number_of(&self, role: Role) -> u64 {
        let is_it = |number: &u64| {
            let fact = &self.sample.facts[usize::try_from(*number).expect("a small number")];
            fact.signer == role && matches!(fact.act, Act::Snapshot(_))
        };
        (0..SIZE).find(is_it).expect("it took one")
    }

    fn sign(&self, draft: &Draft, role: Role) -> Vec<u8> {
        self.sign_with(draft, &self.sample.keys[&role])
    }

    fn sign_with(&self, draft: &Draft, key: &KeyBundle) -> Vec<u8> {
        let seed: &SecretKey = &key.signing_seed;
        draft
            .sign(&self.repository.id(), seed)
            .expect("the entry is small")
    }
}
