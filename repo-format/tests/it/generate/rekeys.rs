//! Rekeys, and what single keys get of an epoch.

use indelible_format::limits::SHARE_BYTES_MAX;
use indelible_format::rekey::{Rekey, SealedShare};
use indelible_format::rights::Rights;
use indelible_format::seal;
use indelible_format::wire::Builder;

use super::{Group, cut, flip, longer, patch};
use crate::fixture::{self, ADMIN, COMMIT, REPOSITORY, key, psk, signer};
use crate::vector::{Vector, hex};

pub(super) fn make() -> Vec<Vector> {
    [shares(), bodies(), opened()].concat()
}

fn shares() -> Vec<Vector> {
    let mut group = Group::new("epoch-share", "3.16");
    let rights = [
        ("write", Rights::WRITE),
        ("verify", Rights::VERIFY),
        ("restore", Rights::RESTORE),
        ("admin-write", Rights::ADMIN.union(Rights::WRITE)),
        ("all", Rights::ALL),
    ];
    for (name, rights) in rights {
        group.accept(name, "what such a key gets", fixture::share(rights).encode().to_vec());
    }
    let all = fixture::share(Rights::ALL).encode().to_vec();
    group.reject("cut", "cut short", "Truncated: share of an epoch", cut(&all, 1));
    group.reject("trailing", "a byte behind", "Trailing: share of an epoch", longer(&all, &[0]));
    group.reject("rights", "a right without what it implies", "NotCanonical: rights", patch(&all, 0, &[4]));
    group.reject("less", "the keys of every right, and the write right alone", "Trailing: share of an epoch", patch(&all, 0, &[1]));
    group.reject("meta", "another meta public key", "KeyPair", flip(&all, 33));
    group.reject("data", "another data public key", "KeyPair", flip(&all, 65));
    group.vectors
}

/// The body without its shares: two past epochs.
const HEAD: usize = 36 + (2 + 48 + 2 + 2 * 36) * 2 + (2 + 48 + 2 + 2 * 100);

fn bodies() -> Vec<Vector> {
    let mut group = Group::new("rekey-body", "3.16");
    let body = fixture::rekey().encode();
    group.accept("plain", "three keys, and two epochs before", body.clone());
    group.reject("epoch-0", "epoch 0", "OutOfBounds: epoch that begins", patch(&body, 0, &[0]));
    let count = "OutOfBounds: number of shares";
    group.reject("none", "for nobody", count, patch(&body[..HEAD + 2], HEAD, &[0, 0]));
    group.reject("too-many", "1,025 shares", count, patch(&body, HEAD, &1_025_u16.to_le_bytes()));
    let one = 32 + 80 + 2 + usize::from(u16::from_le_bytes([body[HEAD + 2 + 112], body[HEAD + 2 + 113]]));
    let first = body[HEAD + 2..HEAD + 2 + one].to_vec();
    let twice = [&body[..HEAD], &[2, 0], &first, &first].concat();
    let order = "NotAscending: shares of an epoch";
    group.reject("twice", "one key twice", order, twice);
    let mut late = first.clone();
    late[0] = first[0].wrapping_sub(1);
    let wrong = [&body[..HEAD], &[2, 0], &first, &late].concat();
    group.reject("order", "descending", order, wrong);
    let long = Builder::new().bytes(&first[..112]).text16(&[7; SHARE_BYTES_MAX + 1]).finish();
    let long = [&body[..HEAD], &[1, 0], &long].concat();
    group.reject("share-too-long", "1,025 bytes", "OutOfBounds: share of an epoch", long);
    group.reject("cut", "cut short", "Truncated: rekey body", cut(&body, 1));
    group.reject("trailing", "a byte behind", "Trailing: rekey body", longer(&body, &[0]));
    group.vectors
}

fn opened() -> Vec<Vector> {
    let mut group = Group::new("rekey-body", "5.7");
    let body = fixture::rekey().encode();
    group
        .with("repository", REPOSITORY)
        .with("commit", COMMIT)
        .with("psk", hex(psk().expose()));
    let rights = [(ADMIN, Rights::ALL), (2, Rights::WRITE), (3, Rights::VERIFY)];
    for (seed, rights) in rights {
        group
            .with("subject", signer(seed))
            .with("sealing-private", hex(key(seed + 0x40).expose()));
        let name = format!("opened-{}", rights.to_string().replace('+', "-"));
        group.accept(&name, "what a key opens of it", body.clone());
    }
    group.spec("2.7");
    group.with("sealing-private", hex(key(0x41).expose()));
    group.reject("other-key", "with another sealing key", "Altered", body.clone());
    group.with("sealing-private", hex(key(0x43).expose())).with("psk", hex(&[0; 32]));
    group.reject("secret", "with another epoch's secret", "Altered", body.clone());
    group.with("psk", hex(psk().expose())).with("commit", hex(&[0xC1; 16]));
    group.reject("moved", "of another entry", "Altered", body.clone());
    group.with("commit", COMMIT);
    group.reject("epoch", "of another epoch", "Altered", patch(&body, 0, &[4]));
    let at = body.len() - 1;
    let last = fixture::rekey().shares().last().unwrap().subject();
    let last = [ADMIN, 2, 3].into_iter().find(|seed| signer(*seed) == last).unwrap();
    group.with("subject", signer(last)).with("sealing-private", hex(key(last + 0x40).expose()));
    group.reject("altered", "its last byte is changed", "Altered", flip(&body, at));
    group.with("subject", signer(3)).with("sealing-private", hex(key(0x43).expose()));
    // A share of another layout, rightly sealed.
    let binding = fixture::epoch_binding();
    let bound = [&REPOSITORY.0[..], &COMMIT.0, &3_u32.to_le_bytes(), &signer(3).0].concat();
    let to = fixture::recipient(3);
    let sealed = SealedShare::seal(&fixture::share(Rights::VERIFY), &to, &binding, &key(0x71), [0x72; 32]);
    let sealed = sealed.unwrap();
    let good = Rekey::seal(&binding, &fixture::secrets(3), &fixture::past(), [0x5B; 32], vec![sealed]).unwrap();
    let good = good.encode();
    let plain = longer(&fixture::share(Rights::VERIFY).encode(), &[0]);
    let wrong = seal::seal(&key(0x71), seal::EPOCH_SHARE, &bound, &plain);
    let wrong = Builder::new().bytes(&good[..HEAD + 2 + 112]).text16(&wrong).finish();
    group.accept("sealed", "one key", good);
    group.reject("layout", "a share that is too long", "Trailing: share of an epoch", wrong);
    group.vectors
}
