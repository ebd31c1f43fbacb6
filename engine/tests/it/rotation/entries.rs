//! The entries that begin an epoch: who may sign them, whom they give its part, and what
//! their loss costs.

use indelible_engine::keys::IssueError;
use indelible_engine::log::AppendError;
use indelible_engine::repository::{AddKeyError, LeftOut, RotateError};
use indelible_engine::store::ObjectKey;
use indelible_format::attest::Level;
use indelible_format::authority::Void;
use indelible_format::bundle::KeyBundle;
use indelible_format::entry::Body;
use indelible_format::history::LogProblem;
use indelible_format::key_ring::KeyRing;
use indelible_format::rekey::Rekey;
use indelible_format::rights::Rights;

use super::{bundle_of, rekey_at, rotate, signer_of};
use crate::support::{
    Fixture, START_UNIX_MS, draft_at, key_file, key_request, listed, object, restore_stream,
    revoke, snapshot_at, take_stream, verify_with,
};

/// Only who holds every secret rotates; who has it, and lost a race, is told.
///
/// Method: rotate with keys of fewer rights; with a view of the log from before another
/// rotation; make a key and take a snapshot with such views.
#[test]
fn rotations_and_what_runs_beside_them() {
    let fixture = Fixture::new(505);
    for rights in [Rights::WRITE, Rights::RESTORE, Rights::ADMIN] {
        let names: &[&str] = if rights == Rights::WRITE { &["*"] } else { &[] };
        let key = fixture.add_key(rights, names);
        let refused = fixture.open_as(&key).rotate();
        assert!(matches!(refused, Err(RotateError::Lacking { held }) if held == rights));
    }
    let second = fixture.add_key(Rights::ALL, &["*"]);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let mut late = fixture.open_as(&second);
    let mut maker = fixture.open_as(&second);
    let mut host = fixture.open_as(&writer);
    assert_eq!(rotate(&fixture).epoch, 1);
    assert!(matches!(
        late.rotate(),
        Err(RotateError::Overtaken { epoch: 1 })
    ));
    let refused = maker.add_key(key_request(Rights::VERIFY, &[]));
    assert!(matches!(
        refused.map(|_| ()),
        Err(AddKeyError::Append(AppendError::Draft(
            IssueError::NoPart { epoch: 1 }
        )))
    ));
    let begun = take_stream(&mut host, "shop", b"begun before").unwrap();
    let repository = fixture.open();
    assert_eq!(snapshot_at(&repository, begun.number).binding.epoch, 0);
    assert_eq!(
        restore_stream(&repository, begun.number).unwrap(),
        b"begun before"
    );
    // The same process goes on in the new epoch.
    assert_eq!(host.key().epoch, 1);
    let next = take_stream(&mut host, "shop", b"and after").unwrap();
    assert_eq!(snapshot_at(&fixture.open(), next.number).binding.epoch, 1);
    assert!(late.reread().expect("it is read"));
    assert_eq!(late.rotate().unwrap().epoch, 2);
    assert!(fixture.verify(Level::Data).is_sound());
}

/// A key that was revoked while a rotation was at work gets nothing, and one that was
/// made meanwhile gets its part.
///
/// Method: the rotation's view of the log is older than both entries.
#[test]
fn who_stays_is_asked_of_the_log_in_front() {
    let fixture = Fixture::new(506);
    let stolen = fixture.add_key(Rights::RESTORE, &[]);
    let mut rotating = fixture.open();
    let mut repository = fixture.open();
    let next = repository.history().next;
    revoke(&mut repository, signer_of(&stolen), next);
    let made = fixture.add_key(Rights::RESTORE, &[]);
    let rotated = rotating.rotate().unwrap();
    assert!(rotated.given.contains(&signer_of(&made)));
    assert_eq!(rotated.left_out, [(signer_of(&stolen), LeftOut::Revoked)]);
    fixture.snapshot_of("shop", b"after");
    assert_eq!(listed(&fixture.open_as(&made)).len(), 1);
    assert_eq!(listed(&fixture.open_as(&stolen)).len(), 0);
}

/// Keys that have expired get nothing.
#[test]
fn expired_keys_are_left_out() {
    let fixture = Fixture::new(507);
    let end = START_UNIX_MS + 1_000;
    let expiring = fixture.add_expiring_key(Rights::RESTORE, &[], Some(end));
    fixture.clock.set_unix_ms(end);
    assert_eq!(rotate(&fixture).left_out, []);
    fixture.clock.set_unix_ms(end + 1);
    let left_out = rotate(&fixture).left_out;
    assert_eq!(left_out, [(signer_of(&expiring), LeftOut::Expired)]);
    assert_eq!(fixture.open_as(&expiring).behind(), Some(2));
}

/// More keys than one entry has room for get their parts in several.
///
/// Method: 400 write keys; each holds the epoch, and the last one writes in it.
#[test]
fn many_keys_take_several_entries() {
    let fixture = Fixture::new(508);
    let mut repository = fixture.open();
    let keys: Vec<KeyBundle> = (0..400)
        .map(|_| {
            let new = repository.add_key(key_request(Rights::WRITE, &["*"]));
            new.expect("it is authorised").bundle().clone()
        })
        .collect();
    let rotated = repository.rotate().unwrap();
    assert_eq!(rotated.entries.len(), 2 * 2);
    assert_eq!((rotated.given.len(), rotated.left_out.len()), (401, 0));
    let (authority, history) = (&repository.history().authority, repository.history());
    for key in &keys {
        let ring = KeyRing::gather(key.clone(), authority, history.entries.values());
        assert_eq!(ring.newest().epoch, 1);
        assert_eq!(ring.newest().psk, repository.key().psk);
    }
    let last = key_file(&repository, keys.last().unwrap());
    let taken = take_stream(&mut fixture.open_as(&last), "shop", b"many").unwrap();
    assert_eq!(
        restore_stream(&fixture.open(), taken.number).unwrap(),
        b"many"
    );
}

/// A rekey entry that rots costs nothing, since another says the same; and when all of
/// an epoch are lost, it is for as long as no later one tells of it.
///
/// Method: damage each of the rekey entries, and both, before and after a second
/// rotation; keys from before it and after it.
#[test]
fn a_lost_rekey_is_told_of_by_another() {
    let fixture = Fixture::new(509);
    let early = fixture.add_key(Rights::RESTORE, &[]);
    let zero = fixture.snapshot_of("shop", b"zero").number;
    let begun = rotate(&fixture).entries;
    assert_eq!(begun.len(), 2);
    let one = fixture.snapshot_of("shop", b"one").number;
    let whole = |number: &u64| object(&fixture.store, &ObjectKey::Log(*number));
    let wholes: Vec<Vec<u8>> = begun.iter().map(whole).collect();
    let damage = |numbers: &[u64]| {
        for (number, whole) in begun.iter().zip(&wholes) {
            let mut bytes = whole.clone();
            bytes[300] ^= u8::from(numbers.contains(number));
            fixture.store.replace(&ObjectKey::Log(*number), &bytes);
        }
    };
    for number in &begun {
        damage(&[*number]);
        let repository = fixture.open_as(&early);
        assert_eq!(listed(&repository), [zero, one]);
        assert!(matches!(
            repository.history().problems[..],
            [LogProblem::Damaged { number: found, .. }] if found == *number
        ));
        assert_eq!(restore_stream(&repository, one).unwrap(), b"one");
    }
    damage(&begun);
    assert_eq!(listed(&fixture.open_as(&early)), [zero]);
    damage(&[]);
    assert_eq!(rotate(&fixture).epoch, 2);
    let two = fixture.snapshot_of("shop", b"two").number;
    let late = fixture.add_key(Rights::RESTORE, &[]);
    damage(&begun);
    for key in [&early, &late, &fixture.recovery] {
        let repository = fixture.open_as(key);
        assert_eq!(listed(&repository), [zero, one, two]);
        for (number, bytes) in [(zero, &b"zero"[..]), (one, b"one"), (two, b"two")] {
            assert_eq!(restore_stream(&repository, number).unwrap(), bytes);
        }
    }
    assert_eq!(rotate(&fixture).epoch, 3);
}

/// An epoch that a thief of every right began is not written in once he is distrusted,
/// and what others wrote in it stays readable.
#[test]
fn nobody_writes_in_the_epoch_of_a_distrusted_key() {
    let fixture = Fixture::new(510);
    let second = fixture.add_key(Rights::ALL, &["*"]);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let begun = fixture.open_as(&second).rotate().unwrap().entries[0];
    let within = take_stream(&mut fixture.open_as(&writer), "shop", b"within").unwrap();
    revoke(&mut fixture.open(), signer_of(&second), begun);
    let mut host = fixture.open_as(&writer);
    assert_eq!((host.key().epoch, host.behind()), (0, None));
    let after = take_stream(&mut host, "shop", b"after").unwrap();
    assert_eq!(snapshot_at(&fixture.open(), after.number).binding.epoch, 0);
    assert_eq!(rotate(&fixture).epoch, 2);
    assert_eq!(fixture.open_as(&writer).key().epoch, 2);
    let repository = fixture.open();
    assert_eq!(
        restore_stream(&repository, within.number).unwrap(),
        b"within"
    );
    assert_eq!(restore_stream(&repository, after.number).unwrap(), b"after");
    assert!(fixture.verify(Level::Data).is_sound());
}

/// Entries that begin an epoch count only from who may, once, and with a new number.
///
/// Method: sign a rekey that was made by every right with a key of fewer rights, whose
/// mask allows the kind; copy a rekey to the end of the log; sign an old one again.
#[test]
fn forged_rekeys_are_void() {
    let fixture = Fixture::new(511);
    let admin = fixture.add_key(Rights::ADMIN.union(Rights::WRITE), &["*"]);
    let first = rotate(&fixture).entries[0];
    let (rekey, _) = rekey_at(&fixture.open(), first);
    let place = |object: &[u8]| {
        let next = fixture.open().history().next;
        fixture.store.replace(&ObjectKey::Log(next), object);
        let repository = fixture.open();
        assert_eq!(repository.key().epoch, 1);
        let reason = match &repository.history().problems[..] {
            [LogProblem::Void { reason, .. }] => reason.clone(),
            other => panic!("{other:?}"),
        };
        fixture.store.forget(&ObjectKey::Log(next));
        reason
    };
    let copied = object(&fixture.store, &ObjectKey::Log(first));
    assert!(matches!(place(&copied), Void::Number { .. }));
    let other = fixture.add_key(Rights::ALL, &["*"]);
    let repository = fixture.open();
    let next = repository.history().next;
    let signed = |key: &KeyBundle, rekey: &Rekey| {
        let draft = draft_at(&repository, next, Body::Rekey(rekey.clone()));
        draft.sign(&repository.id(), &key.signing_seed).unwrap()
    };
    let by_admin = signed(bundle_of(&admin), &rekey);
    assert_eq!(place(&by_admin), Void::BadRekey);
    let by_other = signed(bundle_of(&other), &rekey);
    assert_eq!(place(&by_other), Void::BadRekey);
    // Its own maker may say it again, which changes nothing: its parts are bound to
    // another entry, and open nowhere else.
    let draft = draft_at(&repository, next, Body::Rekey(rekey));
    let again = draft.sign(&repository.id(), &fixture.bundle.signing_seed);
    fixture
        .store
        .replace(&ObjectKey::Log(next), &again.unwrap());
    let repository = fixture.open();
    assert!(repository.history().problems.is_empty());
    assert_eq!(repository.key().epoch, 1);
    let (moved, binding) = rekey_at(&repository, next);
    let key = &fixture.bundle;
    let share = moved.share_of(&key.signer()).expect("its maker has one");
    assert!(
        share
            .open(&key.sealing_private, &key.psk, &binding)
            .is_err()
    );
    fixture.snapshot_of("shop", b"goes on");
    assert!(fixture.verify(Level::Data).is_sound());
}

/// A recovery passphrase that was stolen can be done without.
///
/// Method: a key of every right is made; the passphrase revokes itself; that key rotates.
#[test]
fn a_stolen_passphrase_opens_nothing_new() {
    let fixture = Fixture::new(514);
    let second = fixture.add_key(Rights::ALL, &["*"]);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let before = take_stream(&mut fixture.open_as(&writer), "shop", b"before").unwrap();
    let mut repository = fixture.open();
    let (administrator, next) = (repository.signer(), repository.history().next);
    revoke(&mut repository, administrator, next);
    let rotated = fixture.open_as(&second).rotate().unwrap();
    assert_eq!(rotated.left_out, [(administrator, LeftOut::Revoked)]);
    let after = take_stream(&mut fixture.open_as(&writer), "shop", b"after").unwrap();
    let stolen = fixture.open();
    assert_eq!(restore_stream(&stolen, before.number).unwrap(), b"before");
    assert!(restore_stream(&stolen, after.number).is_err());
    assert!(fixture.open().rotate().is_err());
    let repository = fixture.open_as(&second);
    assert_eq!(
        restore_stream(&repository, before.number).unwrap(),
        b"before"
    );
    assert_eq!(restore_stream(&repository, after.number).unwrap(), b"after");
    assert!(verify_with(&repository, Level::Data).is_sound());
}
