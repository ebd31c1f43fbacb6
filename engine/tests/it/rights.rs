//! What a key may do: no more than it holds, and no more than the log lets it,
//! whatever a modified writer does.

use std::collections::{BTreeMap, BTreeSet};

use indelible_engine::cancel::Cancel;
use indelible_engine::keys::{Credential, Forbidden, IssueError, UnlockError, generate_passphrase};
use indelible_engine::progress::Silent;
use indelible_engine::read::ReadError;
use indelible_engine::repository::{AddKeyError, OpenError, Refusal, Repository, SnapshotError};
use indelible_engine::restore::{Restore, RestoreError};
use indelible_engine::snapshot::SnapshotRunError;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{self, Terms, VerifyError};
use indelible_format::attest::Level;
use indelible_format::authority::Void;
use indelible_format::bundle::KeyBundle;
use indelible_format::commit::Reach;
use indelible_format::history::LogProblem;
use indelible_format::name::{Name, Pattern};
use indelible_format::rights::{Kind, Rights};
use zeroize::Zeroizing;

use crate::support::{
    Fixture, Forged, START_UNIX_MS, forge_snapshot, key_request, listed, restore_stream,
    snapshot_at, take_stream, verify_with,
};

/// A passphrase that is made up has the hundred bits that it is said to have.
///
/// Method: a thousand of them: five groups of four letters and digits, each of 32
/// kinds and about as often as the others, and never one twice.
#[test]
fn passphrases_are_random() {
    let fixture = Fixture::new(79);
    let mut counts = BTreeMap::new();
    let mut made = BTreeSet::new();
    for _ in 0..1_000 {
        let passphrase = generate_passphrase(&fixture.env).to_string();
        let groups: Vec<&str> = passphrase.split('-').collect();
        assert_eq!(groups.len(), 5, "{passphrase}");
        assert!(groups.iter().all(|group| group.len() == 4), "{passphrase}");
        for letter in groups.concat().chars() {
            *counts.entry(letter).or_insert(0) += 1;
        }
        assert!(made.insert(passphrase));
    }
    assert_eq!(counts.len(), 32);
    // 625 each, less or more by six standard deviations.
    assert!(counts.values().all(|count| (475..=775).contains(count)));
}

fn bundle_of(credential: &Credential) -> &KeyBundle {
    match credential {
        Credential::KeyFile(file) => &file.bundle,
        Credential::Passphrase(_) => panic!("a key file was made"),
    }
}

/// Why a key can't restore the snapshot at 1, which an administrator sees.
fn restore_as(
    fixture: &Fixture,
    repository: &Repository<'_, MemoryStore>,
) -> Result<Vec<u8>, RestoreError> {
    let snapshot = snapshot_at(&fixture.open(), 1);
    let (listings, _) = repository.listings();
    let cancel = Cancel::new();
    let mut out = Vec::new();
    Restore::new(repository, &listings, &snapshot, &cancel, &Silent)?.to_writer(None, &mut out)?;
    Ok(out)
}

/// A write key adds snapshots and reads none, its own included.
///
/// Method: with a write key snapshot, list, restore and verify; every refusal
/// has its own type. Verifying packs takes no key.
#[test]
fn a_write_key_only_writes() {
    let fixture = Fixture::new(61);
    fixture.snapshot_of("shop", b"content");
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let mut repository = fixture.open_as(&writer);
    let own = take_stream(&mut repository, "shop", b"mine").unwrap();
    for snapshot in repository.snapshots() {
        let broken = snapshot.expect_err("a write key sees no manifest");
        assert!(matches!(broken.error, SnapshotError::NotAllowed));
    }
    assert!(matches!(
        restore_as(&fixture, &repository),
        Err(RestoreError::Read {
            source: ReadError::NotAllowed { needed: "restore" },
            ..
        })
    ));
    for level in [Level::Tree, Level::Data] {
        assert!(matches!(
            verify::with_key(&repository, level, &Terms::default(), &Silent),
            Err(VerifyError::NotAllowed(ReadError::NotAllowed {
                needed: "verify"
            }))
        ));
    }
    assert!(verify_with(&repository, Level::Packs).is_sound());
    assert_eq!(
        restore_stream(&fixture.open(), own.number).unwrap(),
        b"mine"
    );
}

/// A write key's bundle holds nothing that opens anything but its own domain's
/// directories.
///
/// Method: look at the bundle's parts, and try each of its secrets as a private
/// key on every pack and manifest.
#[test]
fn a_write_key_holds_no_private_key() {
    let fixture = Fixture::new(62);
    fixture.snapshot_of("shop", b"content");
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let mut repository = fixture.open_as(&writer);
    take_stream(&mut repository, "shop", b"mine").unwrap();
    let bundle = bundle_of(&writer);
    assert_eq!(bundle.rights(), Rights::WRITE);
    assert!(bundle.verify.is_none() && bundle.restore.is_none() && bundle.gear_master.is_none());
    let other = &fixture.bundle.domain;
    assert!(bundle.index_key(other).is_none() && bundle.data_id_key(other).is_none());
    let trial = repository.trial(100);
    assert_eq!((trial.packs, trial.manifests), (2, 2));
    assert_eq!(
        (
            trial.contents_opened,
            trial.trees_opened,
            trial.manifests_opened
        ),
        (0, 0, 0)
    );
    // The same trial finds what a key with more rights holds.
    let trial = fixture.open().trial(100);
    assert_eq!(
        (
            trial.contents_opened,
            trial.trees_opened,
            trial.manifests_opened
        ),
        (2, 2, 2)
    );
}

/// A verify key walks trees of every domain, and reads no contents.
///
/// Method: with a verify key list, verify at each level, restore and snapshot.
#[test]
fn a_verify_key_reads_no_contents() {
    let fixture = Fixture::new(63);
    fixture.snapshot_of("shop", b"content");
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    take_stream(&mut fixture.open_as(&writer), "shop", b"other domain").unwrap();
    let verifier = fixture.add_key(Rights::VERIFY, &[]);
    let mut repository = fixture.open_as(&verifier);
    assert_eq!(listed(&repository), [1, 3]);
    assert!(verify_with(&repository, Level::Tree).is_sound());
    assert!(matches!(
        verify::with_key(&repository, Level::Data, &Terms::default(), &Silent),
        Err(VerifyError::NotAllowed(ReadError::NotAllowed {
            needed: "restore"
        }))
    ));
    assert!(matches!(
        restore_as(&fixture, &repository),
        Err(RestoreError::Read {
            source: ReadError::NotAllowed { needed: "restore" },
            ..
        })
    ));
    assert!(matches!(
        take_stream(&mut repository, "shop", b"content"),
        Err(SnapshotRunError::NoWrite { held }) if held == Rights::VERIFY
    ));
}

/// A restore key restores every domain and writes nothing.
///
/// Method: with a restore key restore, verify, snapshot and add a key.
#[test]
fn a_restore_key_restores() {
    let fixture = Fixture::new(64);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    take_stream(&mut fixture.open_as(&writer), "shop", b"content").unwrap();
    let restorer = fixture.add_key(Rights::RESTORE, &[]);
    let mut repository = fixture.open_as(&restorer);
    assert_eq!(restore_stream(&repository, 2).unwrap(), b"content");
    assert!(verify_with(&repository, Level::Data).is_sound());
    assert!(matches!(
        take_stream(&mut repository, "shop", b"content"),
        Err(SnapshotRunError::NoWrite { .. })
    ));
    assert!(matches!(
        repository.add_key(key_request(Rights::VERIFY, &[])),
        Err(AddKeyError::Issue(_))
    ));
}

/// A writer refuses a NAME that its key may not write; and if a modified writer
/// does not, every reader does.
///
/// Method: ask for the wrong NAME; then sign a snapshot under it with the key
/// itself, and look at it with two keys. It is shown as refused, its neighbour
/// is not, and it does not make the repository unsound.
#[test]
fn a_key_writes_its_names_only() {
    let fixture = Fixture::new(65);
    let writer = fixture.add_key(Rights::WRITE, &["shop-*"]);
    let mut repository = fixture.open_as(&writer);
    let good = take_stream(&mut repository, "shop-eu", b"content").unwrap();
    assert!(matches!(
        take_stream(&mut repository, "payroll", b"content"),
        Err(SnapshotRunError::NotThisName { allowed, .. }) if allowed == ["shop-*"]
    ));

    let admin = fixture.open();
    let from = snapshot_at(&admin, good.number);
    let mut manifest = from.manifest.clone();
    manifest.name = Name::new(b"payroll").unwrap();
    let reach = Reach::default();
    let forged = Forged {
        manifest,
        reach: &reach,
    };
    let entry = forge_snapshot(&admin, &from, bundle_of(&writer), &forged);
    let number = admin.history().next;
    fixture.store.replace(&ObjectKey::Log(number), &entry);

    let verifier = fixture.add_key(Rights::VERIFY, &[]);
    for credential in [&fixture.recovery, &verifier] {
        let repository = fixture.open_as(credential);
        assert!(repository.history().problems.is_empty());
        let refused = snapshot_at(&repository, number).refused;
        assert_eq!(refused, Some(Refusal::Name));
        assert_eq!(listed(&repository), [good.number]);
    }
    let report = fixture.verify(Level::Data);
    let verdict = report
        .snapshots
        .iter()
        .find(|verdict| verdict.number == number);
    assert_eq!(verdict.unwrap().refused, Some(Refusal::Name));
}

/// A modified writer that widens the NAMEs in its own bundle convinces itself
/// and nobody else.
///
/// Method: edit the facts in the key file, snapshot with it, and read.
#[test]
fn facts_in_a_bundle_convince_no_reader() {
    let fixture = Fixture::new(66);
    let mut writer = fixture.add_key(Rights::WRITE, &["shop"]);
    let Credential::KeyFile(file) = &mut writer else {
        panic!("a key file was made")
    };
    file.bundle.facts =
        indelible_format::grant::GrantFacts::new("test", vec![Pattern::all()]).unwrap();
    let mut repository = fixture.open_as(&writer);
    let number = take_stream(&mut repository, "payroll", b"content")
        .unwrap()
        .number;
    let refused = snapshot_at(&fixture.open(), number).refused;
    assert_eq!(refused, Some(Refusal::Name));
}

/// A key ends when its grant says so: its writer stops, and an entry that claims
/// a later time is void.
///
/// Method: let the clock pass the expiry before a run and in the middle of one;
/// then sign an entry with the key, once with a time before the expiry and once
/// with one behind it.
#[test]
fn an_expired_key_signs_nothing() {
    let fixture = Fixture::new(67);
    let expiry = START_UNIX_MS + 1_000;
    let writer = fixture.add_expiring_key(Rights::WRITE, &["*"], Some(expiry));
    let mut repository = fixture.open_as(&writer);
    let good = take_stream(&mut repository, "shop", b"content").unwrap();

    let admin = fixture.open();
    let from = snapshot_at(&admin, good.number);
    let reach = Reach::default();
    let forged = Forged {
        manifest: from.manifest.clone(),
        reach: &reach,
    };
    fixture.clock.set_unix_ms(expiry);
    let at_expiry = forge_snapshot(&admin, &from, bundle_of(&writer), &forged);
    fixture.clock.set_unix_ms(expiry + 1);
    let late = forge_snapshot(&admin, &from, bundle_of(&writer), &forged);

    let error = take_stream(&mut repository, "shop", b"content").unwrap_err();
    assert!(matches!(
        error,
        SnapshotRunError::Forbidden(Forbidden::Expired { expired_ms }) if expired_ms == expiry
    ));
    let next = ObjectKey::Log(good.number + 1);
    fixture.store.replace(&next, &late);
    let repository = fixture.open();
    assert!(matches!(
        repository.history().problems[..],
        [LogProblem::Void {
            reason: Void::Expired { .. },
            ..
        }]
    ));
    assert_eq!(listed(&repository), [good.number]);
    fixture.store.replace(&next, &at_expiry);
    assert_eq!(listed(&fixture.open()), [good.number, good.number + 1]);
}

/// A run that outlives its key commits nothing.
///
/// Method: a stream whose reader lets the key expire.
#[test]
fn a_run_that_outlives_its_key_commits_nothing() {
    struct Slow(std::sync::Arc<indelible_engine::env::ManualClock>, bool);
    impl std::io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.advance(10_000);
            buffer[0] = 1;
            Ok(usize::from(!std::mem::replace(&mut self.1, true)))
        }
    }
    let fixture = Fixture::new(68);
    let writer = fixture.add_expiring_key(Rights::WRITE, &["*"], Some(START_UNIX_MS + 1_000));
    let item = indelible_engine::source::Item::Stream {
        path: crate::support::path(b"dump.sql"),
        reader: Box::new(Slow(std::sync::Arc::clone(&fixture.clock), false)),
    };
    let mut repository = fixture.open_as(&writer);
    let error = crate::support::take(&mut repository, "shop", vec![item]).unwrap_err();
    assert!(matches!(
        error,
        SnapshotRunError::Forbidden(Forbidden::Expired { .. })
    ));
    assert_eq!(fixture.open().history().size(), 2);
}

/// A key hands on no more than it holds and may sign.
///
/// Method: an administrator without data keys asks for each right; one with all
/// of them but the kind `snapshot` asks for write; and a key without admin asks.
#[test]
fn a_key_hands_on_what_it_holds() {
    let fixture = Fixture::new(69);
    let ask = |issuer: &Credential, rights| {
        let mut repository = fixture.open_as(issuer);
        let size = repository.history().size();
        let added = repository.add_key(key_request(rights, &[])).map(|_| ());
        let grown = fixture.open().history().size() - size;
        assert_eq!(grown, u64::from(added.is_ok()), "{rights}");
        added
    };
    let lacking = |added| {
        matches!(
            added,
            Err(AddKeyError::Issue(
                IssueError::Lacking { .. } | IssueError::Overreach { .. }
            ))
        )
    };
    let admin = fixture.add_key(Rights::ADMIN, &[]);
    assert!(ask(&admin, Rights::VERIFY).is_ok());
    assert!(ask(&admin, Rights::ADMIN).is_ok());
    assert!(lacking(ask(&admin, Rights::RESTORE)));
    assert!(lacking(ask(&admin, Rights::WRITE)));
    let restoring = fixture.add_key(Rights::ADMIN.union(Rights::RESTORE), &[]);
    assert!(ask(&restoring, Rights::RESTORE).is_ok());
    // It holds what a write key needs, and may not sign what one signs.
    assert!(lacking(ask(&restoring, Rights::WRITE)));
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    assert!(lacking(ask(&writer, Rights::WRITE)));
    // With every right, a second administrator is as good as the first.
    let second = fixture.add_key(Rights::ALL, &["*"]);
    assert!(ask(&second, Rights::WRITE).is_ok());
    assert!(fixture.open().history().problems.is_empty());
}

/// A key opens its own repository only, and a passphrase its own slot.
///
/// Method: a key file at another repository; a wrong passphrase; a key file
/// whose grant the log does not have.
#[test]
fn a_key_opens_its_own_repository_only() {
    let (fixture, other) = (Fixture::new(70), Fixture::new(71));
    let before = fixture.store.clone();
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let open = |fixture: &Fixture, credential: &Credential| {
        Repository::open(&fixture.store, None, credential, fixture.env.clone()).map(|_| ())
    };
    assert!(matches!(
        open(&other, &writer),
        Err(OpenError::Unlock(UnlockError::OtherRepository { .. }))
    ));
    let wrong = Credential::Passphrase(Zeroizing::new("not this one".to_owned()));
    assert!(matches!(
        open(&fixture, &wrong),
        Err(OpenError::Unlock(UnlockError::WrongPassphrase { slots: 1 }))
    ));
    fixture.store.roll_back_to(&before);
    let mut repository = fixture.open_as(&writer);
    assert_eq!(repository.forbids(Kind::Snapshot), Some(Forbidden::Unknown));
    assert!(matches!(
        take_stream(&mut repository, "shop", b"content"),
        Err(SnapshotRunError::Forbidden(Forbidden::Unknown))
    ));
}
