//! Seals, wrapped keys, signatures, derived keys, ids, the Merkle tree.

use indelible_format::seal::{self, LOG_ENTRY, MANIFEST, MANIFEST_KEY, sealing_key_of};
use indelible_format::secret::SecretKey;

use super::{Group, cut, flip, patch};
use crate::fixture::{ADMIN, key, psk, signer};
use crate::vector::{Vector, hex};

pub(super) fn make() -> Vec<Vector> {
    [derived(), seals(), wraps(), signatures(), chunk_ids(), leaves()].concat()
}

fn derived() -> Vec<Vector> {
    let mut group = Group::new("derive", "2.3");
    for (name, context, rest) in [
        ("data-id", "domain data-id key", 16),
        ("node-id", "domain node-id key", 16),
        ("gear", "domain gear key", 16),
        ("index", "domain index key", 16),
        ("directory", "directory key", 32),
        ("reach", "reach key", 32),
    ] {
        group.with("context", format!("indelible v1 {context}"));
        let material = [vec![0x13; 32], vec![0xD0; rest]].concat();
        group.accept(name, "a derived key", material);
    }
    let mut table = Group::new("gear-table", "2.3");
    table.accept("plain", "the chunker's secret table", [0x17; 32]);
    [group.vectors, table.vectors].concat()
}

fn seals() -> Vec<Vector> {
    let mut group = Group::new("seal", "2.4");
    let sealed = seal::seal(&key(1), MANIFEST, b"here", b"plain");
    group
        .with("key", hex(&[1; 32]))
        .with("label", "indelible v1 manifest")
        .with("bound", hex(b"here"));
    group.accept("plain", "commitment, ciphertext, tag", sealed.clone());
    let empty = seal::seal(&key(1), MANIFEST, b"here", b"");
    group.accept("empty", "an empty plaintext", empty.clone());
    group.reject("short", "47 bytes", "TooShort", cut(&empty, 1));
    group.reject("nothing", "no bytes", "TooShort", []);
    group.reject("commitment", "another commitment", "OtherKey", flip(&sealed, 31));
    group.reject("ciphertext", "altered", "Altered", flip(&sealed, 32));
    group.reject("tag", "altered", "Altered", flip(&sealed, sealed.len() - 1));
    group.reject("cut", "cut short", "Altered", cut(&sealed, 1));
    group.with("bound", hex(b"there"));
    group.reject("bound", "moved from another place", "Altered", sealed.clone());
    group.with("bound", hex(b"here")).with("label", "indelible v1 reach");
    group.reject("label", "for another purpose", "OtherKey", sealed.clone());
    group.with("label", "indelible v1 manifest").with("key", hex(&[2; 32]));
    group.reject("key", "under another key", "OtherKey", sealed);
    group.vectors
}

fn wraps() -> Vec<Vector> {
    let mut group = Group::new("wrap", "2.5");
    let public = sealing_key_of(&key(3));
    let wrapped = seal::wrap(&public, &key(4), MANIFEST_KEY, b"here", &key(5), [6; 32]).unwrap();
    group
        .with("private", hex(&[3; 32]))
        .with("psk", hex(&[4; 32]))
        .with("label", "indelible v1 manifest key")
        .with("bound", hex(b"here"));
    group.reject("encapsulated", "another encapsulated key", "Altered", flip(&wrapped, 0));
    group.reject("zero", "a point of small order", "Altered", patch(&wrapped, 0, &[0; 32]));
    group.reject("ciphertext", "altered", "Altered", flip(&wrapped, 32));
    group.reject("tag", "altered", "Altered", flip(&wrapped, 79));
    group.with("psk", hex(psk().expose()));
    group.reject("secret", "another repository secret", "Altered", wrapped);
    group.with("psk", hex(&[4; 32])).with("private", hex(&[7; 32]));
    group.reject("private", "another private key", "Altered", wrapped);
    group.with("private", hex(&[3; 32])).with("bound", hex(b"there"));
    group.reject("bound", "moved from another place", "Altered", wrapped);
    group.with("bound", hex(b"here")).with("label", "indelible v1 pack node key");
    group.reject("label", "for another purpose", "Altered", wrapped);
    group.with("label", "indelible v1 manifest key").with("drawn", hex(&[6; 32]));
    group.accept("plain", "encapsulated key and ciphertext", wrapped);
    group.vectors
}

/// The order of the group, little-endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with its scalar increased by the order: valid to whoever
/// does not check the scalar's range.
pub(super) fn malleated(signature: &[u8; 64]) -> [u8; 64] {
    let mut out = *signature;
    let mut carry = 0_u16;
    for (byte, order) in out[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    out
}

fn signatures() -> Vec<Vector> {
    let mut group = Group::new("sign", "2.6");
    let signature = seal::sign(&key(ADMIN), LOG_ENTRY, b"message");
    group
        .with("label", "indelible v1 log entry")
        .with("message", hex(b"message"))
        .with("signer", signer(ADMIN));
    group.reject("altered", "altered", "BadSignature", flip(&signature, 0));
    let malleated = malleated(&signature);
    group.reject("scalar", "the scalar is not reduced", "BadSignature", malleated);
    group.with("label", "indelible v1 reach");
    group.reject("label", "signed for another purpose", "BadSignature", signature);
    group.with("label", "indelible v1 log entry").with("message", hex(b"massage"));
    group.reject("message", "another message", "BadSignature", signature);
    group.with("message", hex(b"message")).with("signer", signer(2));
    group.reject("signer", "another signer", "BadSignature", signature);
    // The identity as key and as commitment, with the scalar 0, satisfies the
    // verification equation of every message.
    let identity = patch(&[0; 32], 0, &[1]);
    group.with("signer", hex(&identity));
    let universal = [identity, vec![0; 32]].concat();
    group.reject("small-order", "a key of small order", "BadSignature", universal);
    let seed = SecretKey::new([ADMIN; 32]);
    group.with("signer", signer(ADMIN)).with("seed", hex(seed.expose()));
    group.accept("plain", "a signature", signature);
    group.vectors
}

fn chunk_ids() -> Vec<Vector> {
    let mut group = Group::new("chunk-id", "6.3");
    group.with("id-key", hex(&[0x21; 32]));
    for (class, name) in [(0, "data"), (1, "page"), (2, "node")] {
        group.with("class", class);
        group.accept(name, "the class is part of what is hashed", "identity bytes");
    }
    group.with("class", 3);
    let unknown = "Unknown: class of the chunk";
    group.reject("unknown-class", "an unknown class", unknown, "identity bytes");
    group.vectors
}

fn leaves() -> Vec<Vector> {
    let mut group = Group::new("leaf", "3.4");
    group.accept("empty", "of an absent object", []);
    group.accept("longest", "of the first 65,537 bytes", vec![0; 65_537]);
    group.accept("cut", "and of no more", vec![0; 65_538]);
    let mut tree = Group::new("merkle", "3.4");
    for size in [0_u8, 1, 2, 3, 7] {
        let leaves: Vec<u8> = (0..size).flat_map(|n| [n; 32]).collect();
        tree.accept(&format!("{size}"), "the root over so many leaves", leaves);
    }
    [group.vectors, tree.vectors].concat()
}
