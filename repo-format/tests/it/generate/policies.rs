//! Policies, in clear and sealed.

use indelible_format::limits::{HOLDS_MAX, RETAIN_MS_MAX};
use indelible_format::policy::{Hold, LockMode, Policy, Promise};
use indelible_format::wire::Builder;

use super::{Group, cut, flip, longer, patch};
use crate::fixture::{self, COMMIT, EPOCH_MS, REPOSITORY, pattern};
use crate::vector::{Vector, hex};

const DAY_MS: u64 = 86_400_000;

pub(super) fn make() -> Vec<Vector> {
    [plain(), sealed()].concat()
}

fn promise(text: &str, days: u64) -> Promise {
    Promise {
        pattern: pattern(text),
        retain_ms: days * DAY_MS,
    }
}

fn policy() -> Policy {
    let promises = vec![promise("orders*", 400), promise("*", 35)];
    let hold = Hold {
        entry: 7,
        until_ms: EPOCH_MS + 1_000 * DAY_MS,
    };
    Policy::new(LockMode::Compliance, promises, vec![hold]).unwrap()
}

/// A policy, laid out by hand.
fn laid_out(mode: u8, promises: &[(&str, u64)], holds: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Builder::new();
    out.u8(mode).count16(promises.len());
    for (text, retain_ms) in promises {
        out.text8(text.as_bytes()).u64(*retain_ms);
    }
    out.count16(holds.len());
    for (entry, until_ms) in holds {
        out.u64(*entry).u64(*until_ms);
    }
    out.finish()
}

fn plain() -> Vec<Vector> {
    let mut group = Group::new("policy", "17.1");
    let body = policy().encode();
    group.accept("plain", "two promises and a hold", body.clone());
    group.accept("least", "a millisecond", laid_out(1, &[("*", 1)], &[]));
    group.accept(
        "most",
        "a century",
        laid_out(1, &[("*", RETAIN_MS_MAX)], &[(u64::MAX, u64::MAX)]),
    );
    let mode = "Reserved: lock mode";
    group.reject("mode-0", "no mode", mode, laid_out(0, &[("*", 1)], &[]));
    group.reject("mode-3", "mode 3", mode, laid_out(3, &[("*", 1)], &[]));
    group.reject(
        "none",
        "no promise",
        "OutOfBounds: number of promises",
        laid_out(1, &[], &[]),
    );
    let time = "OutOfBounds: time to keep";
    group.reject(
        "no-time",
        "0 milliseconds",
        time,
        laid_out(1, &[("*", 0)], &[]),
    );
    group.reject(
        "too-long",
        "more than a century",
        time,
        laid_out(1, &[("*", RETAIN_MS_MAX + 1)], &[]),
    );
    let order = "NotAscending: promises";
    group.reject(
        "order",
        "descending",
        order,
        laid_out(1, &[("b", 1), ("a", 1)], &[]),
    );
    group.reject(
        "twice",
        "one pattern twice",
        order,
        laid_out(1, &[("a", 1), ("a", 2)], &[]),
    );
    let bad = "NotCanonical: NAME pattern";
    group.reject("pattern", "two stars", bad, laid_out(1, &[("a**", 1)], &[]));
    let holds = "NotAscending: holds";
    group.reject(
        "held-twice",
        "one entry twice",
        holds,
        laid_out(1, &[("*", 1)], &[(7, 1), (7, 2)]),
    );
    let end = "OutOfBounds: end of a hold";
    group.reject(
        "held-never",
        "until 1970",
        end,
        laid_out(1, &[("*", 1)], &[(7, 0)]),
    );
    group.reject("cut", "cut short", "Truncated: policy", cut(&body, 1));
    group.reject(
        "trailing",
        "a byte behind",
        "Trailing: policy",
        longer(&body, &[0]),
    );
    group.spec("11");
    let texts: Vec<String> = (0..65).map(|n| format!("db{n:02}")).collect();
    let many: Vec<(&str, u64)> = texts.iter().map(|text| (text.as_str(), 1)).collect();
    group.accept("full", "64 promises", laid_out(1, &many[..64], &[]));
    group.reject(
        "too-many",
        "65 promises",
        "OutOfBounds: number of promises",
        laid_out(1, &many, &[]),
    );
    let held: Vec<(u64, u64)> = (0..=HOLDS_MAX as u64).map(|entry| (entry, 1)).collect();
    let count = "OutOfBounds: number of holds";
    group.reject(
        "held-many",
        "1,025 holds",
        count,
        laid_out(1, &[("*", 1)], &held),
    );
    group.vectors
}

fn sealed() -> Vec<Vector> {
    let mut group = Group::new("policy-body", "17.1");
    let body = policy().seal(&REPOSITORY, &COMMIT, &fixture::psk(), [0x5A; 32]);
    group
        .with("repository", REPOSITORY)
        .with("commit", COMMIT)
        .with("psk", hex(fixture::psk().expose()));
    group.accept("plain", "two promises and a hold", body.clone());
    group.spec("2.7");
    group.reject("salt", "another salt", "OtherKey", flip(&body, 0));
    group.reject(
        "commitment",
        "another key's commitment",
        "OtherKey",
        flip(&body, 32),
    );
    group.reject("sealed", "altered", "Altered", flip(&body, 64));
    let layout = "Reserved: lock mode";
    let key = indelible_format::secret::policy_key(&fixture::psk(), &[0x5A; 32]);
    let bound = [&REPOSITORY.0[..], &COMMIT.0].concat();
    let label = indelible_format::seal::POLICY;
    let wrong =
        indelible_format::seal::seal(&key, label, &bound, &patch(&policy().encode(), 0, &[9]));
    group.reject(
        "layout",
        "mode 9",
        layout,
        [&[0x5A; 32][..], &wrong].concat(),
    );
    group.with("commit", hex(&[0xC1; 16]));
    group.reject("moved", "of another commit", "Altered", body.clone());
    group.with("commit", COMMIT).with("psk", hex(&[0; 32]));
    group.reject("secret", "another repository's secret", "OtherKey", body);
    group.vectors
}
