//! What a key holds, and what follows for whom it lets in (SPEC 5, 3.14).

use std::collections::BTreeSet;

use indelible_format::bundle::KeyBundle;
use indelible_format::grant::GrantFacts;
use indelible_format::ids::{DomainId, LogHash};
use indelible_format::key_file::{KEY_FILE_BYTES_MAX, KeyFile};
use indelible_format::limits::BUNDLE_BYTES_MAX;
use indelible_format::name::Name;
use indelible_format::rights::Rights;
use indelible_format::secret::{self, SecretKey};
use indelible_format::wire::Cursor;

use crate::fixture::{self, DOMAIN, OTHER_DOMAIN, REPOSITORY, bundle, pattern};
use crate::sealed::armour;

/// Every set of rights, by its byte.
pub(crate) fn every_rights() -> impl Iterator<Item = Rights> {
    (0..16).filter_map(|byte| Rights::from_byte(byte).ok())
}

/// The secret records of an encoded bundle, by the table of SPEC 5.4: all but
/// the two public keys and the facts.
fn secret_records(bundle: &KeyBundle) -> BTreeSet<[u8; 32]> {
    let bytes = bundle.encode();
    let mut cursor = Cursor::new(&bytes);
    cursor.take(22, "version, rights, domain, epoch").unwrap();
    let mut secrets = BTreeSet::new();
    while cursor.remaining() > 0 {
        let tag = cursor.u8("tag").unwrap();
        let value = cursor.text16("value").unwrap();
        if !matches!(tag, 4 | 5 | 16) {
            secrets.insert(value.try_into().expect("a secret has 32 bytes"));
        }
    }
    secrets
}

/// A bundle names all of its secrets, and nothing public among them: what is
/// tried with them speaks for every right that the key has.
///
/// Method: the encoded records of a bundle for each set of rights, against what
/// it says of itself.
#[test]
fn bundles_name_every_secret() {
    let mut sets = 0;
    for rights in every_rights() {
        let bundle = bundle(2, rights);
        let named = bundle.secrets();
        let distinct: BTreeSet<[u8; 32]> = named.iter().map(|key| *key.expose()).collect();
        assert_eq!(distinct, secret_records(&bundle), "{rights}");
        assert_eq!(distinct.len(), named.len(), "{rights}: one stands twice");
        sets += 1;
    }
    assert_eq!(sets, 9);
}

/// The index, node-id and data-id key of a domain, as far as the bundle has them.
fn keys_of(bundle: &KeyBundle, domain: &DomainId) -> [Option<SecretKey>; 3] {
    [
        bundle.index_key(domain),
        bundle.node_id_key(domain),
        bundle.data_id_key(domain),
    ]
}

/// A write key knows the names of its own domain and of no other; the masters
/// of verify and restore give those of every domain (SPEC 5.1, 5.4).
///
/// Method: bundles for each set of rights are asked for the keys of their own
/// and of another domain, which are derived anew from the fixture's masters.
#[test]
fn keys_of_domains_follow_the_rights() {
    let masters = bundle(2, Rights::ALL);
    let verify = masters.verify.expect("every right");
    let restore = masters.restore.expect("every right");
    for rights in every_rights() {
        let bundle = bundle(2, rights);
        for domain in [DOMAIN, OTHER_DOMAIN] {
            let own = rights.contains(Rights::WRITE) && domain == DOMAIN;
            let walks = own || rights.contains(Rights::VERIFY);
            let reads = own || rights.contains(Rights::RESTORE);
            let expected = [
                walks.then(|| secret::index_key(&verify.index_master, &domain)),
                walks.then(|| secret::node_id_key(&verify.node_id_master, &domain)),
                reads.then(|| secret::data_id_key(&restore.data_id_master, &domain)),
            ];
            assert_eq!(keys_of(&bundle, &domain), expected, "{rights} in {domain}");
        }
    }
}

/// A NAME may be written if some pattern of the key matches it, and not
/// otherwise (SPEC 3.14).
///
/// Method: a key with two patterns and one with none, and NAMEs at their edges.
#[test]
fn some_pattern_must_match() {
    let name = |text: &str| Name::new(text.as_bytes()).unwrap();
    let two = fixture::facts();
    for (text, answer) in [
        ("orders", true),
        ("orders-eu", true),
        ("orders2", false),
        ("invoices", false),
    ] {
        assert_eq!(two.may_write(&name(text)), answer, "{text}");
    }
    let all = GrantFacts::new("any", vec![pattern("*")]).unwrap();
    assert!(all.may_write(&name("invoices")));
    let none = GrantFacts::new("reader", Vec::new()).unwrap();
    assert!(!none.may_write(&name("orders")));
}

/// A key file of any length is read again, also where its last line is full and where
/// its base64 ends with no, one or two signs of padding.
///
/// Method: labels that make every length of a line and every padding.
#[test]
fn key_files_end_anywhere() {
    let (mut lasts, mut paddings) = (BTreeSet::new(), BTreeSet::new());
    for len in 0..64 {
        let mut bundle = bundle(2, Rights::WRITE);
        bundle.facts = GrantFacts::new(&"x".repeat(len), Vec::new()).unwrap();
        let file = KeyFile {
            repository: REPOSITORY,
            size: 7,
            root: LogHash([7; 32]),
            bundle,
        };
        let text = file.encode();
        let last = text.lines().rev().nth(1).expect("a line of base64");
        lasts.insert(last.len());
        paddings.insert(last.bytes().filter(|byte| *byte == b'=').count());
        assert_eq!(KeyFile::decode(&text), Ok(file), "{len}");
    }
    assert!(lasts.into_iter().eq((4..=64).step_by(4)));
    assert!(paddings.into_iter().eq(0..=2));
}

/// Who reads a key file with the bound that the crate gives reads all of every
/// key file, and at most twice as much of what is none.
///
/// Method: the text around a bundle of 16 KiB, the longest of SPEC 11, laid out
/// by the table of SPEC 5.6.
#[test]
fn the_longest_key_file_is_within_its_bound() {
    let (magic, length, hash) = (8, 2, 32);
    let content = magic + REPOSITORY.0.len() + 8 + 32 + length + BUNDLE_BYTES_MAX;
    let text = armour(&vec![0xFF; content + hash]);
    assert!(text.len() <= KEY_FILE_BYTES_MAX, "{} bytes", text.len());
    assert!(
        KEY_FILE_BYTES_MAX <= 2 * text.len(),
        "{KEY_FILE_BYTES_MAX} bytes"
    );
}
