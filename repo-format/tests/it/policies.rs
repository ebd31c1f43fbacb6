//! For how long a policy has snapshots kept (SPEC 17).

use indelible_format::ids::{CommitId, RepositoryId};
use indelible_format::name::Name;
use indelible_format::policy::{Hold, LockMode, Policy, PolicyError, Promise};
use indelible_format::seal::OpenError;

use crate::fixture::{self, COMMIT, REPOSITORY, pattern};

fn policy(promises: &[(&str, u64)], holds: &[(u64, u64)]) -> Policy {
    let promise = |(text, retain_ms): &(&str, u64)| Promise {
        pattern: pattern(text),
        retain_ms: *retain_ms,
    };
    let hold = |(entry, until_ms): &(u64, u64)| Hold {
        entry: *entry,
        until_ms: *until_ms,
    };
    Policy::new(
        LockMode::Governance,
        promises.iter().map(promise).collect(),
        holds.iter().map(hold).collect(),
    )
    .unwrap()
}

/// Of all promises that match a NAME the longest counts, whichever stands first; a NAME
/// that none matches is not kept at all.
///
/// Method: promises that overlap, for NAMEs that match none, one and several.
#[test]
fn the_longest_promise_counts() {
    let promises = [("orders-eu", 10), ("orders*", 400), ("*-eu", 35)];
    let policy = policy(&promises, &[]);
    for (text, kept_ms) in [
        ("orders", Some(400)),
        ("orders-us", Some(400)),
        ("orders-eu", Some(400)),
        ("invoices-eu", Some(35)),
        ("invoices", None),
    ] {
        let name = Name::new(text.as_bytes()).unwrap();
        assert_eq!(policy.retain_ms(&name), kept_ms, "{text}");
    }
    assert_eq!(policy.longest_ms(), 400);
}

/// A sealed policy opens with the repository secret, in the entry that it was sealed
/// for, and nowhere else (SPEC 17.1, 2.7).
///
/// Method: open it there, and then with each of repository, commit and secret exchanged.
#[test]
fn a_policy_opens_in_its_entry() {
    let policy = policy(&[("*", 35)], &[(7, 9_000)]);
    let (psk, other) = (fixture::psk(), fixture::key(0x77));
    let body = policy.seal(&REPOSITORY, &COMMIT, &psk, [0x5A; 32]);
    assert_eq!(Policy::open(&body, &REPOSITORY, &COMMIT, &psk), Ok(policy));
    let refused = |error| Err(PolicyError::Open(error));
    let moved = Policy::open(&body, &RepositoryId([7; 32]), &COMMIT, &psk);
    assert_eq!(moved, refused(OpenError::Altered));
    let moved = Policy::open(&body, &REPOSITORY, &CommitId([7; 16]), &psk);
    assert_eq!(moved, refused(OpenError::Altered));
    let opened = Policy::open(&body, &REPOSITORY, &COMMIT, &other);
    assert_eq!(opened, refused(OpenError::OtherKey));
}

/// A hold is of its entry and of no other.
///
/// Method: two holds, and the entries at and beside them.
#[test]
fn holds_are_of_their_entries() {
    let policy = policy(&[("*", 35)], &[(9, 5_000), (7, 9_000)]);
    let held = (6..=10).map(|entry| policy.held_until_ms(entry));
    let expected = [None, Some(9_000), None, Some(5_000), None];
    assert!(held.eq(expected));
}
