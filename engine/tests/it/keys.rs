//! Keys by themselves: making a repository, opening a key, and until when it
//! signs.

use std::sync::atomic::{AtomicU32, Ordering};

use indelible_engine::keys::{
    Credential, Forbidden, InitError, KeyRequest, NewRepository, UnlockError, unlock,
};
use indelible_engine::store::faulty::{Fate, Request};
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey};
use indelible_format::entry::Body;
use indelible_format::ids::CommitId;
use indelible_format::rights::{Kind, Rights};
use indelible_format::slot::{Cost, PassphraseSlot, SlotError};
use zeroize::Zeroizing;

use crate::support::{
    CHUNKER, Fixture, START_UNIX_MS, authorize_body, key_request, object, write_key_beside,
};

/// A repository is ours only if the oldest version of its genesis entry is ours,
/// to the last byte.
///
/// Method: right after the entry is created, another one comes in front: ours
/// with a byte more, ours with a byte less, and a stranger's.
#[test]
fn an_older_genesis_is_another_repository() {
    let fixture = Fixture::new(111);
    let ours = NewRepository::prepare(&fixture.env, "a passphrase", Cost::CHEAPEST, CHUNKER)
        .expect("the parameters are within the format's limits");
    let alone = MemoryStore::new();
    ours.create(&alone).expect("the store is empty");
    let entry = object(&alone, &ObjectKey::Log(0));
    let others = [
        [&entry[..], b"\0"].concat(),
        entry[..entry.len() - 1].to_vec(),
        object(&fixture.store, &ObjectKey::Log(0)),
    ];
    for other in others {
        let memory = MemoryStore::new();
        let looks = AtomicU32::new(0);
        let store = FaultyStore::new(&memory, |call| {
            let look = matches!(call.request, Request::Inspect(_) | Request::Read(_));
            if look && looks.fetch_add(1, Ordering::SeqCst) == 0 {
                memory.push_older(&ObjectKey::Log(0), &other);
            }
            Fate::Done
        });
        assert!(matches!(ours.create(&store), Err(InitError::Exists { .. })));
        assert_eq!(memory.keys(), [ObjectKey::Log(0)]);
    }
}

/// A key file opens the repository that it names, and no other.
///
/// Method: the same file, held against the keys of two repositories.
#[test]
fn a_key_file_opens_what_it_names() {
    let (fixture, other) = (Fixture::new(112), Fixture::new(113));
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let Credential::KeyFile(file) = &writer else {
        panic!("a key file was made")
    };
    let (repository, elsewhere) = (fixture.open(), other.open());
    let opened = unlock(&repository.history().authority, &writer).unwrap();
    assert_eq!(opened.signer(), file.bundle.signer());
    assert!(matches!(
        unlock(&elsewhere.history().authority, &writer),
        Err(UnlockError::OtherRepository { stated, found })
            if stated == repository.id() && found == elsewhere.id()
    ));
}

/// A passphrase opens the key of the grant that its slot stands in, and none that
/// somebody put there instead.
///
/// Method: an administrator authorises a key whose slot holds it, and one whose
/// slot holds another.
#[test]
fn a_slot_holds_the_key_of_its_grant() {
    let fixture = Fixture::new(114);
    let mut repository = fixture.open();
    let [own, granted, held] = [(); 3].map(|()| write_key_beside(&repository));
    let mut add = |granted, held, passphrase: &str| {
        let commit = CommitId(fixture.env.random());
        let mut body = authorize_body(
            &repository,
            &commit,
            granted,
            Rights::WRITE,
            Rights::WRITE.kinds(),
        );
        let salt = fixture.env.random();
        let slot = PassphraseSlot::seal(
            held,
            passphrase,
            Cost::CHEAPEST,
            salt,
            &commit,
            &body.subject,
        );
        body.slot = Some(slot.unwrap());
        repository
            .append(commit, |_| {
                Ok::<_, Forbidden>(Body::Authorize(body.clone()))
            })
            .expect("the grant is appended");
    };
    add(&own, &own, "its own");
    add(&granted, &held, "another's");
    let repository = fixture.open();
    let open = |passphrase: &str| {
        let credential = Credential::Passphrase(Zeroizing::new(passphrase.to_owned()));
        unlock(&repository.history().authority, &credential)
    };
    assert_eq!(open("its own").unwrap().signer(), own.signer());
    assert!(matches!(
        open("another's"),
        Err(UnlockError::Slot(SlotError::Altered))
    ));
    assert!(matches!(
        open("nobody's"),
        Err(UnlockError::WrongPassphrase { slots: 3 })
    ));
}

/// A key signs up to the very moment of its expiry.
///
/// Method: the clock a millisecond before, at and behind it.
#[test]
fn a_key_signs_until_it_expires() {
    let fixture = Fixture::new(115);
    let expired_ms = START_UNIX_MS + 1_000;
    let writer = fixture.add_expiring_key(Rights::WRITE, &["*"], Some(expired_ms));
    let repository = fixture.open_as(&writer);
    for (now_unix_ms, forbidden) in [
        (expired_ms - 1, None),
        (expired_ms, None),
        (expired_ms + 1, Some(Forbidden::Expired { expired_ms })),
    ] {
        fixture.clock.set_unix_ms(now_unix_ms);
        assert_eq!(repository.forbids(Kind::Snapshot), forbidden);
    }
}

/// Strict is a key that writes and does not read what it wrote, and no other.
///
/// Method: ask for strict keys of several rights.
#[test]
fn only_keys_that_write_and_do_not_restore_are_strict() {
    let fixture = Fixture::new(116);
    let mut repository = fixture.open();
    for (rights, strict) in [
        (Rights::WRITE, true),
        (Rights::WRITE.union(Rights::VERIFY), true),
        (Rights::WRITE.union(Rights::RESTORE), false),
        (Rights::RESTORE, false),
        (Rights::VERIFY, false),
    ] {
        for asked in [true, false] {
            let request = KeyRequest {
                strict: asked,
                ..key_request(rights, &["*"])
            };
            let new = repository.add_key(request).expect("it is authorised");
            assert_eq!(new.bundle().strict, asked && strict, "{rights:?}");
        }
    }
}
