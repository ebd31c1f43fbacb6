//! How much a rekey has room for, and what it may tell (SPEC 3.16).

use std::collections::BTreeMap;

use indelible_format::rekey::{EpochSecrets, Rekey, RekeyError, SealedShare};
use indelible_format::rights::Rights;
use indelible_format::wire::LayoutError;

use crate::fixture::{self, ADMIN, bundle, epoch_binding, key, recipient, secrets};
use crate::keys::every_rights;

/// A share of epoch 3 for the key with this seed.
fn share(seed: u8, rights: Rights) -> SealedShare {
    let (share, to) = (fixture::share(rights), recipient(seed));
    SealedShare::seal(&share, &to, &epoch_binding(), &key(0x71), [0x72; 32]).unwrap()
}

fn rekey(past: &BTreeMap<u32, EpochSecrets>, shares: Vec<SealedShare>) -> Rekey {
    Rekey::seal(&epoch_binding(), &secrets(3), past, [0x5A; 32], shares).unwrap()
}

/// A share takes the bytes that it says, and a rekey has room for shares of as many bytes
/// as it says: with them, its entry has exactly the 65,536 that it may have (SPEC 3.2).
///
/// Method: rekeys with shares for different rights, beside none, some and 256 epochs of
/// the past, whose secrets are all the same.
#[test]
fn room_is_what_is_left_of_an_entry() {
    let one = share(2, Rights::ALL);
    for count in [0, 1, 2, 100, 256] {
        let past = (0..count).map(|epoch| (epoch, secrets(0))).collect();
        let alone = rekey(&past, vec![one.clone()]).encode().len();
        for rights in every_rights() {
            let another = share(5, rights);
            let both = rekey(&past, vec![one.clone(), another.clone()])
                .encode()
                .len();
            assert_eq!(both - alone, another.len_bytes(), "{rights}");
        }
        let room = Rekey::room_bytes(past.len());
        let entry = 162 + alone - one.len_bytes() + room + 64;
        assert_eq!(entry, 65_536, "{count} epochs before");
    }
    assert_eq!(
        Rekey::room_bytes(1_000),
        0,
        "what is far too much leaves nothing"
    );
}

/// All secrets of an epoch come from a key that has all of them, which takes the restore
/// right, and from no other.
///
/// Method: bundles for each set of rights.
#[test]
fn who_restores_has_all_secrets() {
    for rights in every_rights() {
        let found = EpochSecrets::of(&bundle(ADMIN, rights));
        let has = rights.contains(Rights::RESTORE);
        assert_eq!(found, has.then(|| secrets(0)), "{rights}");
    }
}

/// A rekey tells of epochs before its own: one that tells of its own or of a later one
/// is refused by whoever opens that part of it.
///
/// Method: a rekey that begins epoch 3 and tells of one epoch, from 0 to 5.
#[test]
fn only_the_past_is_told() {
    let new = secrets(3);
    for epoch in 0..6 {
        let of = secrets(1);
        let told = rekey(&[(epoch, of.clone())].into(), vec![share(2, Rights::ALL)]);
        let (found, least, most) = (epoch.into(), 0, 2);
        let refused = RekeyError::Layout(LayoutError::OutOfBounds {
            field: "past epochs",
            found,
            least,
            most,
        });
        let binding = epoch_binding();
        let psks = told.past_secrets(&new.psk, &binding);
        let metas = told.past_metas(&new.meta_private, &binding);
        let datas = told.past_datas(&new.data_private, &binding);
        if epoch < 3 {
            assert_eq!(psks, Ok([(epoch, of.psk)].into()));
            let metas = metas.unwrap();
            assert_eq!(metas.len(), 1);
            assert_eq!(metas[&epoch].index_master, of.index_master);
            assert_eq!(metas[&epoch].meta_private, of.meta_private);
            assert_eq!(datas, Ok([(epoch, of.data_private)].into()));
        } else {
            assert_eq!(psks, Err(refused.clone()));
            assert_eq!(metas, Err(refused.clone()));
            assert_eq!(datas, Err(refused));
        }
    }
}
