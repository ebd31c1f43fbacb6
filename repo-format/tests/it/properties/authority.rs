//! Who may sign what, over arbitrary logs (SPEC 3.7, 3.8, 3.12).

use std::collections::BTreeSet;

use indelible_format::authority::{Authority, GenesisError, Revocation, Void};
use indelible_format::entry::Body;
use indelible_format::genesis::claimed_version;
use indelible_format::grant::Authorize;
use indelible_format::history::{History, LogProblem};
use indelible_format::ids::CommitId;
use indelible_format::rights::{Kind, Kinds, Rights};
use proptest::collection::vec;
use proptest::prelude::*;

use super::log_script::{Judgement, judge, script, write};
use crate::fixture::{
    self, ADMIN, COMMIT, EPOCH_MS, Log, OTHER_DOMAIN, authorize, authorize_kinds, bundle, revoke,
    signer, snapshot, staffed,
};

/// The judgement of the crate, by the actions' places in the script.
fn judgement(log: &Log, numbers: &[u64]) -> Judgement {
    let history = History::read(log.objects(), &[]).unwrap();
    let place = |number: &u64| numbers.iter().position(|known| known == number);
    let entries = || history.entries.iter().filter(|(number, _)| **number > 0);
    let stop = history.authority.stop().map(|(number, _)| number);
    Judgement {
        valid: entries().filter_map(|(number, _)| place(number)).collect(),
        distrusted: entries()
            .filter(|(_, entry)| history.authority.is_distrusted(entry))
            .filter_map(|(number, _)| place(number))
            .collect(),
        stop: stop.and_then(|number| place(&number)),
        epoch: history.authority.epoch(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Which entries are valid, which are distrusted and whether a writer must
    /// stop is what the SPEC's words say.
    ///
    /// Method: arbitrary logs of arbitrary keys against a second judge, which
    /// computes each answer from the whole past.
    #[test]
    fn the_judgement_is_the_specs(actions in script()) {
        let (log, numbers) = write(&actions, &[]);
        prop_assert_eq!(judgement(&log, &numbers), judge(&actions));
    }

    /// Junk never changes what else is valid, and all of it is reported.
    ///
    /// Method: the same entries with junk objects between them, and void ones
    /// taken for other junk.
    #[test]
    fn junk_changes_nothing(actions in script(), junk in vec(0_u8..3, 14)) {
        let (mut log, numbers) = write(&actions, &junk);
        let expected = judge(&actions);
        prop_assert_eq!(&judgement(&log, &numbers), &expected);
        let history = History::read(log.objects(), &[]).unwrap();
        let void: BTreeSet<u64> = (1..log.next()).filter(|n| !history.entries.contains_key(n)).collect();
        let reported: BTreeSet<u64> = history.problems.iter().map(LogProblem::first).collect();
        prop_assert_eq!(&reported, &void);
        for number in void {
            log.objects[usize::try_from(number).unwrap()].1 = b"other junk".to_vec();
        }
        log.push(vec![0xFF; 70_000]);
        prop_assert_eq!(judgement(&log, &numbers), expected);
    }

    /// Judging needs no object that is void: a reader may leave it out.
    ///
    /// Method: give the valid objects alone.
    #[test]
    fn void_objects_may_be_left_out(actions in script()) {
        let (log, _) = write(&actions, &[]);
        let history = History::read(log.objects(), &[]).unwrap();
        let (mut authority, _) = Authority::begin(&log.objects[0].1).unwrap();
        for (number, object) in log.objects().skip(1) {
            if history.entries.contains_key(&number) {
                prop_assert!(authority.admit(number, object).is_ok());
            }
        }
    }

    /// A grant holds up to its expiry, and no moment longer.
    ///
    /// Method: arbitrary expiries and claimed times.
    #[test]
    fn grants_expire(expiry in 1_u64..1 << 48, claimed in prop_oneof![0_u64..1 << 48, Just(u64::MAX)], near in -1_i64..=1) {
        let mut log = Log::begin();
        let grant = Authorize {
            expires_ms: Some(expiry),
            ..fixture::grant(2, Rights::WRITE)
        };
        log.append(ADMIN, &Body::Authorize(grant));
        for claimed in [claimed, expiry.saturating_add_signed(near)] {
            let mut frame = log.frame(2, &snapshot());
            frame.claimed_ms = claimed;
            let mut log = log.clone();
            let number = log.append_frame(2, &frame);
            let history = History::read(log.objects(), &[]).unwrap();
            prop_assert_eq!(history.entries.contains_key(&number), claimed <= expiry);
        }
    }
}

/// Whom an administrator's key brought in goes with it, however far down.
///
/// Method: a chain of keys, each authorised by the one before; revoke the first
/// from each place on.
#[test]
fn distrust_goes_down_a_chain() {
    let mut log = Log::begin();
    let admin = Rights::ADMIN.union(Rights::WRITE);
    for seed in 2..8 {
        log.append(seed - 1, &authorize(seed, admin));
    }
    for seed in 2..8 {
        log.append(seed, &snapshot());
    }
    // Entry n authorises the key n + 1 and is signed by n; key n signs the
    // snapshot 5 + n. Key 2 authorised the others by entry 2.
    for (from, distrusted) in [(2, 6), (3, 1), (8, 0)] {
        let mut log = log.clone();
        log.append(ADMIN, &revoke(2, from));
        let after = log.append(7, &snapshot());
        let history = History::read(log.objects(), &[]).unwrap();
        let snapshots =
            (7..13).filter(|number| history.authority.is_distrusted(&history.entries[number]));
        assert_eq!(snapshots.count(), distrusted, "from {from}");
        assert_eq!(
            history.entries.contains_key(&after),
            from > 2,
            "from {from}"
        );
    }
}

/// Nobody but the administrator of genesis ends that key, and nobody brings a
/// second genesis.
///
/// Method: let an administrator with every right and kind try.
#[test]
fn the_administrator_stands() {
    let mut log = staffed();
    log.append(ADMIN, &authorize_kinds(9, Rights::ALL, u32::MAX));
    let attempts = [
        (revoke(ADMIN, 0), Void::BadRevoke),
        (Body::Genesis(fixture::genesis()), Void::SecondGenesis),
        (authorize(ADMIN, Rights::VERIFY), Void::Overreach),
    ];
    for (body, reason) in attempts {
        let mut log = log.clone();
        let number = log.append(9, &body);
        let history = History::read(log.objects(), &[]).unwrap();
        let problem = LogProblem::Void {
            number,
            leaf: log.leaf(number),
            reason,
        };
        assert_eq!(history.problems, [problem]);
    }
}

/// Only what an administrator signed can stop writers.
///
/// Method: the same critical entry of each unknown kind, by a key without and
/// with the admin right.
#[test]
fn only_administrators_stop_writers() {
    let mut log = Log::begin();
    log.append(ADMIN, &authorize_kinds(2, Rights::WRITE, u32::MAX));
    log.append(ADMIN, &authorize_kinds(3, Rights::ADMIN, u32::MAX));
    for kind in (11..32).map(|byte| Kind::from_byte(byte).unwrap()) {
        for (seed, critical, stops) in [(2, 1, false), (3, 1, true), (3, 0, false)] {
            let mut log = log.clone();
            let mut frame = log.frame(seed, &Body::Opaque(kind, b"?".to_vec()));
            frame.flags = critical;
            let number = log.append_frame(seed, &frame);
            let history = History::read(log.objects(), &[]).unwrap();
            let expected = stops.then_some((number, kind));
            assert_eq!(history.authority.stop(), expected, "{kind} by {seed}");
        }
    }
}

/// An epoch has a number above that of the one before, by at most 256; and its own
/// signer may go on with it. Every entry that did either counts (SPEC 3.16, 11).
///
/// Method: epochs at each edge of what may follow, behind none, one and two others.
#[test]
fn epochs_go_up_by_bounded_steps() {
    let mut log = Log::begin();
    log.append(ADMIN, &authorize_kinds(2, Rights::ALL, u32::MAX));
    let read = |log: &Log| History::read(log.objects(), &[]).unwrap();
    let mut last = 0;
    for (number, step) in (0..).zip([256, 1, 0, 100]) {
        let authority = read(&log).authority;
        assert_eq!((authority.last_epoch(), authority.rekeys()), (last, number));
        for (seed, epoch, valid) in [
            (ADMIN, last.wrapping_sub(1), false),
            (ADMIN, last, number > 0),
            (2, last, false),
            (2, last + 1, true),
            (ADMIN, last + 256, true),
            (ADMIN, last + 257, false),
            (ADMIN, u32::MAX, false),
        ] {
            if epoch == 0 {
                continue;
            }
            let mut log = log.clone();
            let entry = log.append(seed, &fixture::rekey_of(epoch));
            let valid_here = read(&log).entries.contains_key(&entry);
            assert_eq!(valid_here, valid, "{epoch} behind {last} by {seed}");
        }
        last += step;
        log.append(ADMIN, &fixture::rekey_of(last));
    }
    assert_eq!(read(&log).authority.rekeys(), 4);
}

/// The fixture signs what the crate signs.
///
/// Method: one entry of each kind through both.
#[test]
fn the_fixture_signs_alike() {
    let log = staffed();
    for body in [
        snapshot(),
        revoke(2, 1),
        authorize(9, Rights::ALL),
        fixture::attest(),
        fixture::rekey_of(1),
    ] {
        let ours = log
            .frame(ADMIN, &body)
            .sign(&log.repository, &fixture::key(ADMIN));
        let theirs = log.draft(body).sign(&log.repository, &fixture::key(ADMIN));
        assert_eq!(Some(ours), theirs);
    }
}

/// A newer format is told apart from garbage, whoever signed it.
///
/// Method: each version in the frame of a genesis entry.
#[test]
fn newer_versions_are_told() {
    let mut genesis = Log::begin().objects.remove(0).1;
    for version in [2_u16, 3, 256, u16::MAX] {
        genesis[162..164].copy_from_slice(&version.to_le_bytes());
        let found = Authority::begin(&genesis).err();
        assert_eq!(found, Some(GenesisError::TooNew { found: version }));
    }
    genesis[162..164].copy_from_slice(&0_u16.to_le_bytes());
    assert!(matches!(
        Authority::begin(&genesis),
        Err(GenesisError::Void(_))
    ));
}

/// Only what has the frame of a genesis entry can claim to be of a newer format
/// (SPEC 3.2): other objects are no genesis, whatever stands in their bodies.
///
/// Method: a newer genesis, with each of magic number, number and kind altered.
#[test]
fn only_a_genesis_claims_a_version() {
    let mut newer = Log::begin().objects.remove(0).1;
    newer[162..164].copy_from_slice(&2_u16.to_le_bytes());
    assert_eq!(claimed_version(&newer), Some(2));
    for at in [0, 7, 8, 15, 16] {
        let mut other = newer.clone();
        other[at] ^= 1;
        assert_eq!(claimed_version(&other), None, "byte {at}");
        let begun = Authority::begin(&other);
        assert!(matches!(begun, Err(GenesisError::Void(_))), "byte {at}");
    }
}

/// What the log says of a key is what its authorising entry states, and of a
/// key that no entry names it says nothing.
///
/// Method: a grant with a slot and an expiry, by another administrator than
/// that of genesis, before and after it is revoked.
#[test]
fn grants_are_what_the_log_states() {
    let mut log = staffed();
    let rights = Rights::WRITE.union(Rights::VERIFY);
    let stated = Authorize {
        domain: OTHER_DOMAIN,
        expires_ms: Some(EPOCH_MS + 86_400_000),
        slot: Some(fixture::slot(&bundle(9, rights), &COMMIT, &signer(9))),
        kinds: Kinds(0b1_0000),
        ..fixture::grant(9, rights)
    };
    let number = log.append(4, &Body::Authorize(stated.clone()));
    let authority = History::read(log.objects(), &[]).unwrap().authority;
    let grant = authority.grant(&signer(9)).expect("the key is authorised");
    assert_eq!((grant.entry, grant.by), (number, signer(4)));
    assert_eq!(grant.commit, CommitId([4; 16]));
    assert_eq!(grant.domain, stated.domain);
    assert_eq!((grant.rights, grant.kinds), (stated.rights, stated.kinds));
    assert_eq!(grant.expires_ms, stated.expires_ms);
    assert_eq!(grant.facts, Some(stated.facts));
    assert_eq!(grant.slot, stated.slot);
    assert_eq!(grant.revoked, None);
    assert!(authority.grant(&signer(10)).is_none());

    let by = log.append(ADMIN, &revoke(9, number));
    let authority = History::read(log.objects(), &[]).unwrap().authority;
    let grant = authority.grant(&signer(9)).expect("the key is still known");
    let distrust_from = number;
    assert_eq!(grant.revoked, Some(Revocation { by, distrust_from }));
}

/// A judge that was given an object does not take one at its number again: that
/// would be two entries at one place.
///
/// Method: junk at a number, and then the entry that belongs there.
#[test]
#[should_panic(expected = "the log is judged in its order")]
fn no_number_is_judged_twice() {
    let log = staffed();
    let (mut authority, _) = Authority::begin(&log.objects[0].1).unwrap();
    assert!(authority.admit(1, b"junk").is_err());
    let _ = authority.admit(1, &log.objects[1].1);
}

/// An entry has at most 65,536 bytes, and may have as many (SPEC 3.2).
///
/// Method: sign bodies at the bound, over it and far over it.
#[test]
fn entries_are_signed_up_to_their_bound() {
    let log = staffed();
    let signed = |len: usize| {
        let body = Body::Opaque(Kind::Policy, vec![7; len]);
        log.draft(body).sign(&log.repository, &fixture::key(ADMIN))
    };
    let longest = 65_536 - 162 - 64;
    let object = signed(longest).expect("it is not too long");
    assert_eq!(object.len(), 65_536);
    let mut log = log.clone();
    let number = log.push(object);
    let history = History::read(log.objects(), &[]).unwrap();
    assert!(history.entries.contains_key(&number));
    for len in [longest + 1, longest + 2, 1 << 20] {
        assert_eq!(signed(len), None, "{len}");
    }
}
