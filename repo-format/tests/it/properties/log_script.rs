//! Arbitrary logs, and who may sign what in them by the words of SPEC 3.7, 3.8
//! and 3.12: a second judge, which looks at the whole past for each entry.

use std::collections::BTreeSet;

use indelible_format::entry::Body;
use indelible_format::grant::Authorize;
use indelible_format::rights::{Kind, Kinds, Rights};
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategies;
use crate::fixture::{self, ADMIN, DOMAIN, EPOCH_MS, Log, OTHER_DOMAIN};

/// Who acts: seeds from the administrator's on.
const ACTORS: u8 = 5;
/// What ends some grants, and what some entries claim.
const EXPIRY_MS: u64 = EPOCH_MS + 500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Authorize {
        subject: u8,
        rights: Rights,
        kinds: u32,
        expires: bool,
    },
    /// `from` counts actions; what that is in the log depends on the junk
    /// between.
    Revoke {
        subject: u8,
        from: usize,
    },
    Snapshot {
        other_domain: bool,
    },
    Opaque {
        kind: u8,
        critical: bool,
    },
    Rekey {
        epoch: u32,
    },
    /// A well-formed entry whose signature does not verify.
    Forged,
}

#[derive(Debug, Clone)]
pub(super) struct Action {
    pub(super) signer: u8,
    pub(super) late: bool,
    pub(super) what: What,
}

fn what() -> impl Strategy<Value = What> {
    let actor = || ADMIN..ADMIN + ACTORS;
    let mask = prop_oneof![
        Just(u32::MAX),
        Just(0b11_1111),
        Just(0b1_0010),
        any::<u32>()
    ];
    prop_oneof![
        5 => (actor(), strategies::rights(), mask, prop::bool::weighted(0.2)).prop_map(
            |(subject, rights, kinds, expires)| What::Authorize { subject, rights, kinds, expires }
        ),
        2 => (actor(), 0_usize..14).prop_map(|(subject, from)| What::Revoke { subject, from }),
        3 => prop::bool::weighted(0.1).prop_map(|other_domain| What::Snapshot { other_domain }),
        1 => (prop::sample::select(vec![6_u8, 9, 11, 31]), any::<bool>()).prop_map(
            |(kind, critical)| What::Opaque { kind, critical }
        ),
        2 => prop_oneof![4 => 1_u32..5, 1 => 255_u32..262].prop_map(|epoch| What::Rekey { epoch }),
        1 => Just(What::Forged),
    ]
}

/// Up to 14 actions, at first mostly the administrator's.
pub(super) fn script() -> impl Strategy<Value = Vec<Action>> {
    let signer = prop_oneof![2 => Just(ADMIN), 3 => ADMIN..ADMIN + ACTORS];
    let action = (signer, prop::bool::weighted(0.2), what());
    vec(
        action.prop_map(|(signer, late, what)| Action { signer, late, what }),
        1..14,
    )
}

/// Writes the actions, with so many junk objects before each, and gives the
/// number of each action's entry.
pub(super) fn write(actions: &[Action], junk: &[u8]) -> (Log, Vec<u64>) {
    let mut log = Log::begin();
    let mut numbers: Vec<u64> = Vec::new();
    for (at, action) in actions.iter().enumerate() {
        for n in 0..junk.get(at).copied().unwrap_or(0) {
            log.push(vec![n; 200]);
        }
        // The number of the action, or one that lies in the future.
        let number_of = |at: usize| {
            numbers
                .get(at)
                .copied()
                .unwrap_or_else(|| log.next() + (at - numbers.len()) as u64)
        };
        let (body, domain, critical) = body(&action.what, number_of);
        let mut frame = log.frame(action.signer, &body);
        frame.domain = domain;
        frame.flags = critical.unwrap_or(frame.flags);
        frame.claimed_ms = if action.late {
            EXPIRY_MS + 1
        } else {
            EXPIRY_MS
        };
        let seed = if action.what == What::Forged {
            action.signer + 1
        } else {
            action.signer
        };
        numbers.push(log.append_frame(seed, &frame));
    }
    (log, numbers)
}

fn body(
    what: &What,
    number_of: impl Fn(usize) -> u64,
) -> (Body, indelible_format::ids::DomainId, Option<u8>) {
    match what {
        What::Authorize {
            subject,
            rights,
            kinds,
            expires,
        } => {
            let grant = Authorize {
                kinds: Kinds(*kinds),
                expires_ms: expires.then_some(EXPIRY_MS),
                ..fixture::grant(*subject, *rights)
            };
            (Body::Authorize(grant), DOMAIN, None)
        }
        What::Revoke { subject, from } => {
            (fixture::revoke(*subject, number_of(*from)), DOMAIN, None)
        }
        What::Snapshot { other_domain: true } => (fixture::snapshot(), OTHER_DOMAIN, None),
        What::Snapshot { .. } | What::Forged => (fixture::snapshot(), DOMAIN, None),
        What::Rekey { epoch } => (fixture::rekey_of(*epoch), DOMAIN, None),
        What::Opaque { kind, critical } => {
            let kind = Kind::from_byte(*kind).unwrap();
            let critical = kind.criticality().unwrap_or(*critical);
            (
                Body::Opaque(kind, Vec::new()),
                DOMAIN,
                Some(critical.into()),
            )
        }
    }
}

/// What the second judge says of a script, by the actions' places in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) valid: BTreeSet<usize>,
    pub(super) distrusted: BTreeSet<usize>,
    pub(super) stop: Option<usize>,
    pub(super) epoch: u32,
}

struct Judge<'a> {
    actions: &'a [Action],
    valid: BTreeSet<usize>,
}

/// A key that is revoked by the action `by`, and distrusted from `from` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Revocation {
    subject: u8,
    from: usize,
    by: usize,
}

impl Judge<'_> {
    /// The valid authorize of a key before `at`.
    fn grant(&self, key: u8, at: usize) -> Option<(Rights, u32, bool)> {
        if key == ADMIN {
            return Some((Rights::ALL, u32::MAX, false));
        }
        self.valid
            .range(..at)
            .find_map(|&n| match self.actions[n].what {
                What::Authorize {
                    subject,
                    rights,
                    kinds,
                    expires,
                } if subject == key => Some((rights, kinds, expires)),
                _ => None,
            })
    }

    /// All that the valid entries before `at` revoke, directly or by what the
    /// revoked keys had signed.
    fn revocations(&self, at: usize) -> BTreeSet<Revocation> {
        let mut all: BTreeSet<Revocation> = BTreeSet::new();
        for &by in self.valid.range(..at) {
            if let What::Revoke { subject, from } = self.actions[by].what {
                all.insert(Revocation { subject, from, by });
            }
        }
        loop {
            let mut more = all.clone();
            for revocation in &all {
                let theirs = self
                    .valid
                    .range(revocation.from.min(revocation.by)..revocation.by);
                for &n in theirs.filter(|&&n| self.actions[n].signer == revocation.subject) {
                    if let What::Authorize { subject, .. } = self.actions[n].what {
                        more.insert(Revocation {
                            subject,
                            from: 0,
                            by: revocation.by,
                        });
                    }
                }
            }
            if more == all {
                return all;
            }
            all = more;
        }
    }

    /// The epochs that valid actions before `at` began, and which did.
    fn epochs(&self, at: usize) -> impl Iterator<Item = (u32, usize)> {
        let valid = self.valid.range(..at);
        valid.filter_map(|&n| match self.actions[n].what {
            What::Rekey { epoch } => Some((epoch, n)),
            _ => None,
        })
    }

    fn is_valid(&self, at: usize) -> bool {
        let action = &self.actions[at];
        let Some((rights, kinds, expires)) = self.grant(action.signer, at) else {
            return false;
        };
        let revoked = self.revocations(at);
        if revoked.iter().any(|known| known.subject == action.signer) || (expires && action.late) {
            return false;
        }
        let allows = |kind: u8| kinds >> kind & 1 == 1;
        match &action.what {
            What::Forged => false,
            What::Snapshot { other_domain } => allows(4) && !other_domain,
            What::Opaque { kind, .. } => allows(*kind),
            What::Authorize {
                subject,
                rights: given,
                kinds: mask,
                ..
            } => {
                let admin = !given.contains(Rights::ADMIN) || rights.contains(Rights::ADMIN);
                allows(1) && self.grant(*subject, at).is_none() && kinds & mask == *mask && admin
            }
            What::Rekey { epoch } => {
                let last = self.epochs(at).max().unwrap_or((0, at));
                let more = *epoch == last.0 && self.actions[last.1].signer == action.signer;
                let next = *epoch > last.0 && *epoch <= last.0 + 256;
                allows(3) && rights == Rights::ALL && (more || next)
            }
            What::Revoke { subject, from } => {
                let own = *subject != ADMIN || action.signer == ADMIN;
                allows(2) && self.grant(*subject, at).is_some() && own && *from <= at
            }
        }
    }
}

/// Judges a script.
pub(super) fn judge(actions: &[Action]) -> Judgement {
    let mut judge = Judge {
        actions,
        valid: BTreeSet::new(),
    };
    let mut stop = None;
    for (at, action) in actions.iter().enumerate() {
        if !judge.is_valid(at) {
            continue;
        }
        judge.valid.insert(at);
        let admin = judge
            .grant(action.signer, at)
            .is_some_and(|(rights, ..)| rights.contains(Rights::ADMIN));
        let critical = match action.what {
            What::Opaque { kind, critical } => Kind::from_byte(kind)
                .unwrap()
                .criticality()
                .unwrap_or(critical),
            _ => false,
        };
        if admin && critical {
            stop = stop.or(Some(at));
        }
    }
    let revocations = judge.revocations(actions.len());
    let is_distrusted = |at: &&usize| {
        let signer = actions[**at].signer;
        revocations
            .iter()
            .any(|known| known.subject == signer && known.from <= **at)
    };
    let trusted = judge
        .epochs(actions.len())
        .filter(|(_, at)| !is_distrusted(&at));
    Judgement {
        epoch: trusted.map(|(epoch, _)| epoch).max().unwrap_or(0),
        distrusted: judge.valid.iter().filter(is_distrusted).copied().collect(),
        valid: judge.valid,
        stop,
    }
}
