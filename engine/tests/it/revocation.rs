//! Taking a key's rights away: from when on its entries are void, which of its
//! snapshots are refused, and what nobody leans on any more.

use indelible_engine::keys::{Credential, Forbidden};
use indelible_engine::repository::Refusal;
use indelible_engine::snapshot::SnapshotRunError;
use indelible_engine::store::ObjectKey;
use indelible_format::attest::Level;
use indelible_format::authority::Void;
use indelible_format::bundle::KeyBundle;
use indelible_format::commit::Reach;
use indelible_format::entry::Body;
use indelible_format::grant::Revoke;
use indelible_format::history::LogProblem;
use indelible_format::rights::Rights;

use crate::support::{
    Fixture, Forged, draft_at, forge_snapshot, listed, restore_stream, revoke, rows, share_domain,
    snapshot_at, take_stream,
};

fn bundle_of(credential: &Credential) -> &KeyBundle {
    match credential {
        Credential::KeyFile(file) => &file.bundle,
        Credential::Passphrase(_) => panic!("a key file was made"),
    }
}

/// A revoked key signs nothing more, whatever time it claims; what it signed
/// before stays, up to where it is distrusted.
///
/// Method: four snapshots of a key; revoke it, distrusted from the third on;
/// then its writer refuses, and a snapshot that a modified writer signs and
/// back-dates is void.
#[test]
fn a_revoked_key_signs_nothing_more() {
    let fixture = Fixture::new(81);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let signer = fixture.open_as(&writer).signer();
    for number in 2..=5_u8 {
        take_stream(&mut fixture.open_as(&writer), "shop", &[number]).unwrap();
    }
    let by = revoke(&mut fixture.open(), signer, 4);
    let repository = fixture.open();
    assert_eq!(listed(&repository), [2, 3]);
    for number in [4, 5] {
        let refused = snapshot_at(&repository, number).refused;
        assert_eq!(refused, Some(Refusal::Distrusted { by }));
    }
    for number in [2, 3] {
        let bytes = [u8::try_from(number).unwrap()];
        assert_eq!(restore_stream(&repository, number).unwrap(), bytes);
    }

    assert!(matches!(
        take_stream(&mut fixture.open_as(&writer), "shop", b"late"),
        Err(SnapshotRunError::Forbidden(Forbidden::Revoked { by: found })) if found == by
    ));
    let from = snapshot_at(&repository, 2);
    let reach = Reach::default();
    let forged = Forged {
        manifest: from.manifest.clone(),
        reach: &reach,
    };
    fixture.clock.set_unix_ms(0);
    let entry = forge_snapshot(&repository, &from, bundle_of(&writer), &forged);
    fixture.store.replace(&ObjectKey::Log(by + 1), &entry);
    let repository = fixture.open();
    assert!(matches!(
        repository.history().problems[..],
        [LogProblem::Void { reason: Void::Revoked { by: found, .. }, .. }] if found == by
    ));
    assert_eq!(listed(&repository), [2, 3]);
}

/// A writer leans on nothing that a distrusted key of its own domain stored.
///
/// Method: two keys share a domain; one stores rows, the other leans on them.
/// Once the first is distrusted from its entry on, the same rows are stored
/// anew, and still restore when all that the thief stored is gone.
#[test]
fn nothing_leans_on_distrusted_entries() {
    let fixture = Fixture::new(82);
    let (twin, signer) = share_domain(&mut fixture.open(), &fixture.env);
    let bytes = rows(0..500);
    let before = crate::support::packs(&fixture.store);
    let stolen = take_stream(&mut fixture.open_as(&twin), "shop", &bytes).unwrap();
    let poisoned: Vec<_> = crate::support::packs(&fixture.store)
        .into_iter()
        .filter(|pack| !before.contains(pack))
        .collect();
    assert_eq!(fixture.snapshot_of("shop", &bytes).packs, 0);
    revoke(&mut fixture.open(), signer, stolen.number);
    let anew = fixture.snapshot_of("shop", &bytes);
    assert_eq!(anew.accounting.new_bytes, bytes.len() as u64);
    for pack in poisoned {
        fixture.store.forget(&ObjectKey::Pack(pack));
    }
    assert!(restore_stream(&fixture.open(), anew.number).unwrap() == bytes);
}

/// Keys that a distrusted administrator authorised are distrusted from their
/// first entry on, and those that he authorised before are not.
///
/// Method: a second administrator authorises two write keys, each of which takes
/// a snapshot; he is distrusted from the second grant on.
#[test]
fn keys_of_a_distrusted_administrator_fall_with_him() {
    let fixture = Fixture::new(83);
    let second = fixture.add_key(Rights::ALL, &["*"]);
    let signer = fixture.open_as(&second).signer();
    let issue = || {
        let mut repository = fixture.open_as(&second);
        let request = crate::support::key_request(Rights::WRITE, &["*"]);
        let new = repository.add_key(request).unwrap();
        crate::support::key_file(&repository, new.bundle())
    };
    let early = issue();
    let good = take_stream(&mut fixture.open_as(&early), "shop", b"good").unwrap();
    let late = issue();
    let bad = take_stream(&mut fixture.open_as(&late), "shop", b"bad").unwrap();
    let by = revoke(&mut fixture.open(), signer, bad.number - 1);
    let repository = fixture.open();
    assert_eq!(listed(&repository), [good.number]);
    assert_eq!(
        snapshot_at(&repository, bad.number).refused,
        Some(Refusal::Distrusted { by })
    );
    assert!(take_stream(&mut fixture.open_as(&early), "shop", b"still good").is_ok());
    assert!(matches!(
        take_stream(&mut fixture.open_as(&late), "shop", b"bad"),
        Err(SnapshotRunError::Forbidden(Forbidden::Revoked { .. }))
    ));
    let request = crate::support::key_request(Rights::VERIFY, &[]);
    assert!(fixture.open_as(&second).add_key(request).is_err());
    assert!(fixture.verify(Level::Data).problems.is_empty());
}

/// Nobody but the administrator of genesis revokes him, and nobody revokes a
/// stranger.
///
/// Method: sign such revocations and create them; each is void, and changes
/// nothing.
#[test]
fn revocations_have_their_bounds() {
    let fixture = Fixture::new(84);
    let second = fixture.add_key(Rights::ALL, &["*"]);
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    let administrator = fixture.open().signer();
    let subject = fixture.open_as(&writer).signer();
    let stranger = indelible_format::ids::SignerId([9; 32]);
    let attempts = [
        (&second, administrator, 0),
        (&second, stranger, 0),
        (&second, subject, 1_000),
        (&writer, subject, 0),
    ];
    for (by, subject, distrust_from) in attempts {
        let repository = fixture.open_as(by);
        let body = Body::Revoke(Revoke {
            subject,
            distrust_from,
        });
        let number = repository.history().next;
        let entry = draft_at(&repository, number, body)
            .sign(&repository.id(), &repository.key().signing_seed)
            .unwrap();
        fixture.store.replace(&ObjectKey::Log(number), &entry);
        let repository = fixture.open();
        assert!(!repository.history().entries.contains_key(&number));
        assert!(
            repository
                .history()
                .authority
                .grants()
                .all(|(_, grant)| grant.revoked.is_none())
        );
    }
    fixture.snapshot_of("shop", b"content");
}
