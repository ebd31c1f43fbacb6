//! What a key holds of each epoch (SPEC 5.7).

use std::collections::{BTreeMap, BTreeSet};

use indelible_format::bundle::{DomainKeys, KeyBundle, RestoreKeys, VerifyKeys};
use indelible_format::entry::Body;
use indelible_format::history::History;
use indelible_format::ids::CommitId;
use indelible_format::key_ring::KeyRing;
use indelible_format::rekey::{EpochBinding, EpochSecrets, Recipient, Rekey, SealedShare};
use indelible_format::rights::Rights;
use indelible_format::seal::sealing_key_of;
use indelible_format::secret::{SecretKey, index_key};

use crate::fixture::{ADMIN, Log, authorize_kinds, bundle, key, rekey_of, revoke, secrets, signer};
use crate::keys::every_rights;

/// The key as it stands in another epoch: what the table of SPEC 5.2 says belongs to an
/// epoch is that epoch's, and all else is the key's.
fn in_epoch(key: &KeyBundle, epoch: u32) -> KeyBundle {
    let of = secrets(epoch);
    let key = key.clone();
    KeyBundle {
        epoch,
        psk: of.psk,
        meta_public: sealing_key_of(&of.meta_private),
        data_public: sealing_key_of(&of.data_private),
        write: key.write.map(|keys| DomainKeys {
            index: index_key(&of.index_master, &key.domain),
            ..keys
        }),
        verify: key.verify.map(|keys| VerifyKeys {
            index_master: of.index_master,
            meta_private: of.meta_private,
            ..keys
        }),
        restore: key.restore.map(|keys| RestoreKeys {
            data_private: of.data_private,
            ..keys
        }),
        ..key
    }
}

fn administrator() -> KeyBundle {
    bundle(ADMIN, Rights::ALL)
}

/// A rekey that begins an epoch, for these keys.
struct Begin<'a> {
    by: u8,
    epoch: u32,
    /// What its shares are of.
    of: &'a EpochSecrets,
    past: &'a BTreeMap<u32, EpochSecrets>,
    to: &'a [&'a KeyBundle],
}

impl Begin<'_> {
    /// Appends it; the administrator gets a share as well.
    fn append(&self, log: &mut Log) -> u64 {
        let binding = EpochBinding {
            repository: log.repository,
            commit: CommitId([log.next().to_le_bytes()[0]; 16]),
            epoch: self.epoch,
        };
        let admin = administrator();
        let shares = self.to.iter().copied().chain([&admin]).map(|bundle| {
            let index = |master: &SecretKey| index_key(master, &bundle.domain);
            let to = Recipient {
                subject: bundle.signer(),
                sealing_key: sealing_key_of(&bundle.sealing_private),
                psk: bundle.psk.clone(),
            };
            let share = self.of.share(bundle.rights(), index);
            SealedShare::seal(&share, &to, &binding, &key(0x71), [0x72; 32]).unwrap()
        });
        let rekey = Rekey::seal(&binding, self.of, self.past, [0x5A; 32], shares.collect());
        log.append(self.by, &Body::Rekey(rekey.unwrap()))
    }
}

/// The administrator begins an epoch with its own secrets.
fn begin(log: &mut Log, epoch: u32, past: &[u32], to: &[&KeyBundle]) -> u64 {
    let past = past.iter().map(|epoch| (*epoch, secrets(*epoch)));
    Begin {
        by: ADMIN,
        epoch,
        of: &secrets(epoch),
        past: &past.collect(),
        to,
    }
    .append(log)
}

fn gather(key: &KeyBundle, log: &Log) -> KeyRing {
    let history = History::read(log.objects(), &[]).unwrap();
    assert_eq!(history.problems, []);
    KeyRing::gather(key.clone(), &history.authority, history.entries.values())
}

/// Panics unless the ring has the key's part of these epochs and of no others, and
/// writes in the one that is the newest.
fn assert_holds(ring: &KeyRing, key: &KeyBundle, epochs: &[u32], newest: u32) {
    let expected: Vec<KeyBundle> = epochs.iter().map(|epoch| in_epoch(key, *epoch)).collect();
    assert!(ring.all().eq(&expected), "{}: {epochs:?}", key.rights());
    for epoch in 0..8 {
        let at = expected.iter().find(|bundle| bundle.epoch == epoch);
        assert_eq!(ring.at(epoch), at, "{} in {epoch}", key.rights());
    }
    assert_eq!(ring.newest(), &in_epoch(key, newest), "{}", key.rights());
}

/// A ring names all of its secrets once.
fn assert_names_secrets(ring: &KeyRing) {
    let all = ring.all().flat_map(KeyBundle::secrets).chain(ring.psks());
    let held: BTreeSet<[u8; 32]> = all.map(|secret| *secret.expose()).collect();
    let named: Vec<[u8; 32]> = ring.secrets().iter().map(|key| *key.expose()).collect();
    assert_eq!(named.len(), held.len());
    assert_eq!(BTreeSet::from_iter(named), held);
}

/// Each rekey that has a share for a key gives it what its rights call for in that
/// epoch, and it writes in the newest of them.
///
/// Method: a key for each set of rights, and rekeys that begin two epochs and tell
/// nothing of the past; the ring before the second of them, and again after it.
#[test]
fn shares_make_the_key_of_an_epoch() {
    for rights in every_rights() {
        let key = bundle(2, rights);
        let mut log = Log::begin();
        assert_holds(&gather(&key, &log), &key, &[0], 0);
        begin(&mut log, 1, &[], &[&key]);
        let before = gather(&key, &log);
        assert_holds(&before, &key, &[0, 1], 1);
        begin(&mut log, 3, &[], &[&key]);
        let history = History::read(log.objects(), &[]).unwrap();
        let again = before.again(&history.authority, history.entries.values());
        for ring in [again, gather(&key, &log)] {
            assert_holds(&ring, &key, &[0, 1, 3], 3);
            let psks = [0, 1, 3].map(|epoch| secrets(epoch).psk);
            assert!(ring.psks().eq(&psks));
            for epoch in 0..5 {
                let known = matches!(epoch, 0 | 1 | 3).then(|| secrets(epoch).psk);
                assert_eq!(ring.psk(epoch), known.as_ref());
            }
            assert_names_secrets(&ring);
        }
        // A rekey for others gives nothing.
        begin(&mut log, 4, &[], &[]);
        assert_holds(&gather(&key, &log), &key, &[0, 1, 3], 3);
    }
}

/// A key that was made in a later epoch learns of those before it from rekeys that have
/// no share for it: with the verify right what its rights call for, and else the
/// repository secret alone.
///
/// Method: a key for each set of rights, made in epoch 4. Each rekey tells of the one
/// epoch before it, so that what one tells opens the next.
#[test]
fn rekeys_tell_of_the_past() {
    let mut log = Log::begin();
    for (epoch, past) in [(1, 0), (2, 1), (4, 2)] {
        begin(&mut log, epoch, &[past], &[]);
    }
    for rights in every_rights() {
        let key = in_epoch(&bundle(2, rights), 4);
        let ring = gather(&key, &log);
        let (parts, psks) = if rights.contains(Rights::VERIFY) {
            (&[0, 1, 2, 4][..], &[0, 1, 2, 4][..])
        } else {
            (&[4][..], &[2, 4][..])
        };
        assert_holds(&ring, &key, parts, 4);
        let psks: Vec<SecretKey> = psks.iter().map(|epoch| secrets(*epoch).psk).collect();
        assert!(ring.psks().eq(&psks), "{rights}");
        assert_names_secrets(&ring);
    }
}

/// Where rekeys tell different things of the past, the newest counts; and what a key
/// has a share of, it believes no other.
///
/// Method: a key made in epoch 1 with a share of epoch 2. Both rekeys tell of epoch 0,
/// and the second of epoch 1 as well, with other secrets than it has.
#[test]
fn the_newest_tells() {
    let key = in_epoch(&bundle(2, Rights::RESTORE), 1);
    let mut log = Log::begin();
    let one = BTreeMap::from([(0, secrets(5))]);
    let two = BTreeMap::from([(0, secrets(0)), (1, secrets(6))]);
    for (epoch, past, to) in [(1, &one, &[][..]), (2, &two, &[&key])] {
        let (by, of) = (ADMIN, &secrets(epoch));
        let begin = Begin {
            by,
            epoch,
            of,
            past,
            to,
        };
        begin.append(&mut log);
    }
    let ring = gather(&key, &log);
    assert_holds(&ring, &key, &[0, 1, 2], 2);
    assert!(ring.psks().eq(&[0, 1, 2].map(|epoch| secrets(epoch).psk)));
}

/// The same of epochs with high numbers, of which one follows the other.
///
/// Method: 255 epochs, each as far from the one before as may be, and then two that tell
/// a key of epoch 1 different things of epoch 0.
#[test]
fn the_newest_of_many_tells() {
    let key = in_epoch(&bundle(2, Rights::VERIFY), 1);
    let mut log = Log::begin();
    for number in 1..256 {
        log.append(ADMIN, &rekey_of(number * 256));
    }
    for (epoch, told) in [(65_536, 5), (65_537, 0)] {
        Begin {
            by: ADMIN,
            epoch,
            of: &secrets(2),
            past: &BTreeMap::from([(0, secrets(told))]),
            to: &[&key],
        }
        .append(&mut log);
    }
    let ring = gather(&key, &log);
    assert_eq!(ring.newest().epoch, 65_537);
    assert_eq!(ring.psk(0), Some(&secrets(0).psk));
}

/// A key does not write in an epoch that a distrusted key began, though it reads what
/// others wrote in it; and such a rekey is the last to be believed on the past.
///
/// Method: another administrator begins an epoch and tells of the past otherwise; then
/// it is revoked from there on, and at last the first one begins another epoch.
#[test]
fn distrusted_epochs_are_read_and_not_written() {
    let key = in_epoch(&bundle(2, Rights::RESTORE), 1);
    let mut log = Log::begin();
    log.append(ADMIN, &authorize_kinds(4, Rights::ALL, u32::MAX));
    begin(&mut log, 1, &[0], &[]);
    let theirs = Begin {
        by: 4,
        epoch: 2,
        of: &secrets(2),
        past: &BTreeMap::from([(0, secrets(5))]),
        to: &[&key],
    };
    let from = theirs.append(&mut log);
    assert_eq!(gather(&key, &log).newest(), &in_epoch(&key, 2));
    log.append(ADMIN, &revoke(4, from));
    assert_holds(&gather(&key, &log), &key, &[0, 1, 2], 1);
    begin(&mut log, 3, &[], &[&key]);
    assert_holds(&gather(&key, &log), &key, &[0, 1, 2, 3], 3);
}

/// Of one epoch the first share counts that opens and was made for the key's rights;
/// one that does not is none, and the key goes on with what it has.
///
/// Method: shares for more and for fewer rights and under another secret; then two that
/// are right, with different secrets.
#[test]
fn the_first_right_share_counts() {
    let key = bundle(2, Rights::VERIFY);
    let mut log = Log::begin();
    let mut give = |of: &EpochSecrets, to: &KeyBundle| {
        let begin = Begin {
            by: ADMIN,
            epoch: 1,
            of,
            past: &BTreeMap::new(),
            to: &[to],
        };
        begin.append(&mut log);
        gather(&key, &log)
    };
    let (more, fewer) = (bundle(2, Rights::RESTORE), bundle(2, Rights::WRITE));
    let mut other_secret = key.clone();
    other_secret.psk = secrets(5).psk;
    assert_eq!(key.signer(), signer(2));
    for wrong in [&more, &fewer, &other_secret] {
        assert_holds(&give(&secrets(1), wrong), &key, &[0], 0);
    }
    for of in [1, 5] {
        assert_holds(&give(&secrets(of), &key), &key, &[0, 1], 1);
    }
}
