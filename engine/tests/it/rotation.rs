//! Epochs: what a thief of old keys reads no more, what those who stay read all the
//! same, and who gets which part.

mod entries;

use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::keys::{Credential, Forbidden};
use indelible_engine::mirror::mirror;
use indelible_engine::pack::{PackError, SealedDirectory};
use indelible_engine::progress::{Note, Silent};
use indelible_engine::repository::{LeftOut, Repository, Rotated, SnapshotError};
use indelible_engine::serve::{Guard, ServeTerms};
use indelible_engine::snapshot::Input;
use indelible_engine::store::faulty::Fate;
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey, ReadStore};
use indelible_format::attest::Level;
use indelible_format::bundle::KeyBundle;
use indelible_format::entry::Body;
use indelible_format::ids::{PackId, SignerId};
use indelible_format::name::Pattern;
use indelible_format::pack::KeyClass;
use indelible_format::policy::Promise;
use indelible_format::rekey::{EpochBinding, Rekey};
use indelible_format::rights::Rights;

use crate::support::{
    Client, FINE, Fixture, Notes, listed, noise, object, packs, restore_stream, revoke, rows, run,
    snapshot_at, stream, take_stream, verify_with,
};

fn bundle_of(credential: &Credential) -> &KeyBundle {
    match credential {
        Credential::KeyFile(file) => &file.bundle,
        Credential::Passphrase(_) => panic!("a key file was made"),
    }
}

fn signer_of(credential: &Credential) -> SignerId {
    bundle_of(credential).signer()
}

fn rotate(fixture: &Fixture) -> Rotated {
    fixture.open().rotate().expect("the keys are rotated")
}

/// The rekey at this entry, and what its parts are bound to.
fn rekey_at<S: ReadStore>(repository: &Repository<'_, S>, number: u64) -> (Rekey, EpochBinding) {
    let entry = &repository.history().entries[&number];
    let Body::Rekey(rekey) = entry.body() else {
        panic!("entry {number} begins no epoch");
    };
    let binding = EpochBinding {
        repository: repository.id(),
        commit: entry.header().commit,
        epoch: rekey.epoch(),
    };
    (rekey.clone(), binding)
}

fn sealed(store: &MemoryStore, pack: PackId) -> SealedDirectory {
    SealedDirectory::of_bytes(&object(store, &ObjectKey::Pack(pack))).expect("a pack")
}

/// The packs that a snapshot lists itself.
fn new_packs(fixture: &Fixture, number: u64) -> Vec<PackId> {
    let snapshot = snapshot_at(&fixture.open(), number);
    snapshot.body.packs.iter().map(|pack| pack.id).collect()
}

/// Who took keys and was found out reads nothing that is written after, whatever he
/// tries with all that he has. Who stays reads all of it with the key file that he has.
///
/// Method: keys of each kind; one of each kind is revoked, and the keys rotated; then
/// try every secret of the revoked keys on packs, directories, manifests, reaches and
/// on every part of the entry that began the epoch.
#[test]
fn revoked_keys_read_nothing_new() {
    let fixture = Fixture::new(501);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let reader = fixture.add_key(Rights::RESTORE, &[]);
    let stolen = [Rights::RESTORE, Rights::VERIFY, Rights::WRITE, Rights::ALL];
    let stolen = stolen.map(|rights| fixture.add_key(rights, &["*"]));
    let before = take_stream(&mut fixture.open_as(&writer), "shop", &rows(0..400)).unwrap();
    for key in &stolen {
        let mut repository = fixture.open();
        let next = repository.history().next;
        revoke(&mut repository, signer_of(key), next);
    }
    let rotated = rotate(&fixture);
    assert_eq!((rotated.epoch, rotated.given.len()), (1, 3));
    let revoked = stolen
        .each_ref()
        .map(|key| (signer_of(key), LeftOut::Revoked));
    assert!(revoked.iter().all(|left| rotated.left_out.contains(left)));
    assert_eq!(rotated.left_out.len(), 4);

    let mut host = fixture.open_as(&writer);
    assert_eq!((host.key().epoch, host.behind()), (1, None));
    let after = take_stream(&mut host, "shop", &rows(300..900)).unwrap();
    assert_eq!(snapshot_at(&fixture.open(), after.number).binding.epoch, 1);
    let repository = fixture.open_as(&reader);
    assert!(restore_stream(&repository, before.number).unwrap() == rows(0..400));
    assert!(restore_stream(&repository, after.number).unwrap() == rows(300..900));
    assert!(verify_with(&repository, Level::Data).is_sound());

    let (rekey, binding) = rekey_at(&repository, rotated.entries[0]);
    let snapshot = snapshot_at(&repository, after.number);
    for key in &stolen {
        let (bundle, thief) = (bundle_of(key), fixture.open_as(key));
        assert_eq!((thief.key().epoch, thief.behind()), (0, Some(1)));
        assert!(thief.ring().at(1).is_none() && thief.ring().psk(1).is_none());
        let (body, own) = (&snapshot.body, snapshot.binding);
        for secret in bundle.secrets() {
            for psk in bundle.secrets() {
                assert!(body.open_manifest(&own, secret, psk).is_err());
                for share in rekey.shares() {
                    assert!(share.open(secret, psk, &binding).is_err());
                }
            }
            assert!(body.open_reach(&own, snapshot.number, secret).is_err());
            assert!(rekey.past_secrets(secret, &binding).is_err());
            assert!(rekey.past_metas(secret, &binding).is_err());
            assert!(rekey.past_datas(secret, &binding).is_err());
        }
        for pack in new_packs(&fixture, after.number) {
            let sealed = sealed(&fixture.store, pack);
            assert_eq!(sealed.header().epoch, 1);
            for secret in bundle.secrets() {
                assert!(sealed.clone().open(secret).is_err());
                for psk in bundle.secrets() {
                    for class in [KeyClass::Data, KeyClass::Node] {
                        assert!(sealed.header().open_key(class, secret, psk).is_err());
                    }
                }
            }
        }
    }
    // What they could read, they still can.
    let thief = fixture.open_as(&stolen[0]);
    assert!(restore_stream(&thief, before.number).unwrap() == rows(0..400));
    let shown = thief.snapshots();
    assert!(shown[0].is_ok());
    let hidden = shown[1].as_ref().expect_err("it is of another epoch");
    assert!(matches!(hidden.error, SnapshotError::NoPart { epoch: 1 }));
    assert!(restore_stream(&thief, after.number).is_err());
    // The same secrets in the right hands do open them: the trial above proves something.
    let key = repository.key();
    let opens = |pack| {
        let sealed = sealed(&fixture.store, pack);
        let restore = key.restore.as_ref().expect("a restore key");
        sealed
            .header()
            .open_key(KeyClass::Data, &restore.data_private, &key.psk)
            .is_ok()
    };
    assert!(new_packs(&fixture, after.number).into_iter().all(opens));
}

/// A write key has no private key in any epoch, and of the past nothing but the
/// repository secret.
#[test]
fn a_share_holds_what_the_rights_call_for() {
    let fixture = Fixture::new(502);
    let early = Rights::WRITE;
    let early = [early, Rights::VERIFY, Rights::RESTORE].map(|rights| {
        let names: &[&str] = if rights == Rights::WRITE { &["*"] } else { &[] };
        fixture.add_key(rights, names)
    });
    take_stream(&mut fixture.open_as(&early[0]), "shop", b"one").unwrap();
    rotate(&fixture);
    take_stream(&mut fixture.open_as(&early[0]), "shop", b"two").unwrap();
    rotate(&fixture);
    take_stream(&mut fixture.open_as(&early[0]), "shop", b"three").unwrap();
    let late = [Rights::WRITE, Rights::VERIFY, Rights::RESTORE].map(|rights| {
        let names: &[&str] = if rights == Rights::WRITE { &["*"] } else { &[] };
        fixture.add_key(rights, names)
    });
    let opened = |key: &Credential| {
        let trial = fixture.open_as(key).trial(100);
        assert_eq!((trial.packs, trial.manifests), (3, 3));
        (
            trial.contents_opened,
            trial.trees_opened,
            trial.manifests_opened,
        )
    };
    for keys in [&early, &late] {
        assert_eq!(opened(&keys[0]), (0, 0, 0));
        assert_eq!(opened(&keys[1]), (0, 3, 3));
        assert_eq!(opened(&keys[2]), (3, 3, 3));
    }
    let epochs = |key: &Credential| -> (Vec<u32>, usize) {
        let repository = fixture.open_as(key);
        let ring = repository.ring();
        (
            ring.all().map(|key| key.epoch).collect(),
            ring.psks().count(),
        )
    };
    assert_eq!(epochs(&early[0]), (vec![0, 1, 2], 3));
    assert_eq!(epochs(&late[0]), (vec![2], 3));
    assert_eq!(epochs(&late[1]), (vec![0, 1, 2], 3));
    assert_eq!(epochs(&late[2]), (vec![0, 1, 2], 3));
    for key in [&early[2], &late[2], &fixture.recovery] {
        let repository = fixture.open_as(key);
        let read = listed(&repository).into_iter();
        let read: Vec<_> = read
            .map(|number| restore_stream(&repository, number).unwrap())
            .collect();
        assert_eq!(read, [&b"one"[..], b"two", b"three"]);
        assert!(verify_with(&repository, Level::Data).is_sound());
    }
}

/// What is stored is stored once, in whatever epoch; and deltas lean on packs of the
/// epoch before. What changed opens with the new keys alone.
///
/// Method: a host that may only write, with its state, stores two nights with a rotation
/// between; then the same again without a state.
#[test]
fn nights_lean_on_the_epoch_before() {
    let fixture = Fixture::new(503);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let client = Client::new();
    let open = |state| {
        Repository::open(&fixture.store, state, &writer, fixture.env.clone()).expect("it opens")
    };
    let (old, changed) = (noise(7, 300_000), {
        let mut changed = noise(7, 300_000);
        changed[150_000..150_010].copy_from_slice(b"0123456789");
        changed
    });
    take_stream(&mut open(Some(&client.state)), "shop", &old).unwrap();
    rotate(&fixture);
    let night = take_stream(&mut open(Some(&client.state)), "shop", &changed).unwrap();
    assert!(night.accounting.delta_chunks >= 1, "{:?}", night.accounting);
    assert!(
        night.accounting.new_bytes < 20_000,
        "{:?}",
        night.accounting
    );
    let unremembered = take_stream(&mut open(None), "shop", &changed).unwrap();
    assert_eq!(unremembered.accounting.new_chunks, 0);
    let again = take_stream(&mut fixture.open_as(&writer), "shop", &old).unwrap();
    assert_eq!(again.accounting.new_bytes, 0);
    let repository = fixture.open();
    assert!(restore_stream(&repository, night.number).unwrap() == changed);
    assert!(restore_stream(&repository, again.number).unwrap() == old);
    assert!(verify_with(&repository, Level::Data).is_sound());
    let old_key = &bundle_of(&writer).write.as_ref().unwrap().index;
    for pack in new_packs(&fixture, night.number) {
        assert!(matches!(
            sealed(&fixture.store, pack).open(old_key),
            Err(PackError::Directory(_))
        ));
    }
}

/// Packs of a run that died before the rotation are taken over after it.
///
/// Method: the store goes down at the second pack; rotate; run again on that host.
#[test]
fn what_a_dead_run_stored_serves_in_the_next_epoch() {
    let fixture = Fixture::with_chunker(504, FINE);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let (client, bytes) = (Client::new(), noise(1, 4 << 20));
    let puts = AtomicU32::new(0);
    let store = FaultyStore::new(&fixture.store, |call| {
        if call.put().is_some() && puts.fetch_add(1, Ordering::SeqCst) == 1 {
            Fate::DownBefore
        } else {
            Fate::Done
        }
    });
    let dying = Repository::open(&store, Some(&client.state), &writer, fixture.env.clone());
    assert!(take_stream(&mut dying.expect("it opens"), "shop", &bytes).is_err());
    let [left] = packs(&fixture.store)[..] else {
        panic!("one pack is left")
    };
    rotate(&fixture);
    let (store, env, notes) = (&fixture.store, fixture.env.clone(), Notes::default());
    let again = Repository::open(store, Some(&client.state), &writer, env);
    let input = Input::Items(vec![stream("dump.sql", &bytes)]);
    let taken = run(&mut again.expect("it opens"), "shop", input, &notes).unwrap();
    assert!(matches!(
        notes.taken()[..],
        [Note::PacksAdopted { count: 1, .. }]
    ));
    let snapshot = snapshot_at(&fixture.open(), taken.number);
    assert_eq!(
        (snapshot.binding.epoch, sealed(store, left).header().epoch),
        (1, 0)
    );
    assert!(snapshot.body.packs.iter().any(|pack| pack.id == left));
    assert!(restore_stream(&fixture.open(), taken.number).unwrap() == bytes);
    assert!(fixture.verify(Level::Data).is_sound());
}

/// A promise is read in every epoch by who stays, and a new one by nobody who left.
#[test]
fn promises_cross_epochs() {
    let fixture = Fixture::new(512);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let stolen = fixture.add_key(Rights::WRITE, &["*"]);
    let promise = |text: &str, days: u64| Promise {
        pattern: Pattern::new(text.as_bytes()).unwrap(),
        retain_ms: days * 86_400_000,
    };
    let first = fixture.open().promise(None, &[promise("shop", 30)]);
    let mut repository = fixture.open();
    let next = repository.history().next;
    revoke(&mut repository, signer_of(&stolen), next);
    rotate(&fixture);
    let late = fixture.add_key(Rights::WRITE, &["*"]);
    let entry = |key: &Credential| fixture.open_as(key).policy().map(|policy| policy.entry);
    let first = first.unwrap().entry;
    for key in [&writer, &late, &stolen, &fixture.recovery] {
        assert_eq!(entry(key), Some(first));
    }
    let second = fixture.open().promise(None, &[promise("bank", 90)]);
    let second = second.unwrap().entry;
    for key in [&writer, &late, &fixture.recovery] {
        assert_eq!(entry(key), Some(second));
    }
    assert_eq!(entry(&stolen), Some(first));
    let policy = fixture.open_as(&late).policy().unwrap().policy;
    assert_eq!(
        policy.promises(),
        [promise("bank", 90), promise("shop", 30)]
    );
}

/// A server takes the entry, a copy has it, and both serve who stays.
#[test]
fn servers_and_copies_know_epochs() {
    let fixture = Fixture::new(513);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let guard = Guard::new(&fixture.store, ServeTerms::default());
    let open = |key: &Credential| {
        Repository::open(&guard, None, key, fixture.env.clone()).expect("it opens")
    };
    take_stream(&mut open(&writer), "shop", b"before").unwrap();
    assert_eq!(open(&fixture.recovery).rotate().unwrap().epoch, 1);
    take_stream(&mut open(&writer), "shop", b"after").unwrap();
    let admin = fixture.add_key(Rights::ADMIN, &[]);
    let mut served = open(&admin);
    let (rekey, _) = rekey_at(&served, 3);
    let commit = indelible_format::ids::CommitId(fixture.env.random());
    let refused = served.append(commit, |_| Ok::<_, Forbidden>(Body::Rekey(rekey.clone())));
    assert!(refused.is_err(), "the server refuses what would be void");
    let copy = MemoryStore::new();
    let cancel = indelible_engine::cancel::Cancel::new();
    mirror(&fixture.store, &copy, u64::MAX, &cancel, &Silent).expect("it is copied");
    assert_eq!(packs(&copy).len(), packs(&fixture.store).len());
    let repository = Repository::open(&copy, None, &fixture.recovery, fixture.env.clone());
    let repository = repository.expect("it opens");
    let all = listed(&repository).into_iter();
    let all: Vec<_> = all
        .map(|number| restore_stream(&repository, number).unwrap())
        .collect();
    assert_eq!(all, [&b"before"[..], b"after"]);
    assert!(verify_with(&repository, Level::Data).is_sound());
}
