//! Authorize bodies, grant facts, NAMEs and patterns.

use indelible_format::grant::{Authorize, GrantFacts};
use indelible_format::ids::SealingKey;
use indelible_format::name::Pattern;
use indelible_format::rights::Rights;
use indelible_format::wire::Builder;

use super::{Group, cut, flip, longer, patch};
use crate::fixture::{self, COMMIT, EPOCH_MS, REPOSITORY, bundle, pattern, signer, slot};
use crate::vector::{Vector, hex};

pub(super) fn make() -> Vec<Vector> {
    [authorizes(), facts(), names(), patterns()].concat()
}

/// A grant for the key of seed 2, sealed to this commit.
fn grant() -> Authorize {
    Authorize {
        facts: fixture::sealed_facts(&REPOSITORY, &COMMIT, &signer(2)),
        ..fixture::grant(2, Rights::WRITE)
    }
}

fn authorizes() -> Vec<Vector> {
    let mut group = Group::new("authorize-body", "3.7");
    let body = grant().encode();
    group.accept("plain", "held in a file, without expiry", body.clone());
    let slotted = Authorize {
        expires_ms: Some(EPOCH_MS),
        slot: Some(slot(&bundle(2, Rights::WRITE), &COMMIT, &signer(2))),
        ..grant()
    };
    let slotted = slotted.encode();
    group.accept("slot", "with a passphrase slot and an expiry", slotted.clone());
    refused_bodies(&mut group, &body, &slotted);

    group
        .with("repository", REPOSITORY)
        .with("commit", COMMIT)
        .with("psk", hex(fixture::psk().expose()))
        .with("meta-private", hex(fixture::meta_private().expose()));
    group.accept("opened", "label and NAMEs, with the verify right", body.clone());
    group.spec("2.7");
    group.reject("subject", "facts of another key", "Altered", flip(&body, 0));
    group.reject("wrapped", "the wrapped key is altered", "Altered", flip(&body, 93));
    group.reject("commitment", "another key's commitment", "OtherKey", flip(&body, 175));
    group.reject("sealed", "the sealed facts are altered", "Altered", flip(&body, 175 + 32));
    group.with("commit", hex(&[0xC1; 16]));
    group.reject("moved", "facts of another commit", "Altered", body.clone());
    group.with("commit", COMMIT).with("psk", hex(&[0; 32]));
    group.reject("secret", "another repository's secret", "Altered", body);
    group.vectors
}

fn refused_bodies(group: &mut Group, body: &[u8], slotted: &[u8]) {
    group.reject("cut", "cut short", "Truncated: authorize body", cut(body, 1));
    group.reject("trailing", "a byte behind", "Trailing: authorize body", longer(body, &[0]));
    let slot_cut = patch(slotted, body.len() - 2, &[46, 0]);
    let slot_cut = &slot_cut[..body.len() + 46];
    group.reject("slot-cut", "the slot is cut short", "Truncated: passphrase slot", slot_cut);
    group.spec("5.3");
    let rights = |byte: u8| patch(body, 80, &[byte]);
    group.reject("rights-none", "no right", "NotCanonical: rights", rights(0));
    group.reject("rights-16", "a reserved bit", "Reserved: rights", rights(17));
    group.reject("rights-restore", "without verify", "NotCanonical: rights", rights(4));
    group.reject("rights-admin", "without verify", "NotCanonical: rights", rights(9));
    group.spec("1.2");
    let mut long = Builder::new();
    long.bytes(&body[..173]).u16(16_385).bytes(&vec![0; 16_385]).u16(0);
    let field = "OutOfBounds: sealed grant facts";
    group.reject("facts-too-long", "16,385 bytes", field, long.finish());
    let beyond = patch(body, 173, &[0xFF, 0x0F]);
    group.reject("facts-beyond", "longer than the body", "Truncated: authorize body", beyond);
}

/// Grant facts, laid out by hand.
fn laid_out(label: &[u8], patterns: &[&[u8]]) -> Vec<u8> {
    let mut out = Builder::new();
    out.text8(label).count16(patterns.len());
    for pattern in patterns {
        out.text8(pattern);
    }
    out.finish()
}

fn facts() -> Vec<Vector> {
    let mut group = Group::new("grant-facts", "3.7");
    let body = fixture::facts().encode();
    group.accept("plain", "a label and two patterns", body.clone());
    let bare = GrantFacts::new("", Vec::new()).unwrap();
    group.accept("bare", "no label, no pattern", bare.encode());
    let numbered = |count: u8| -> Vec<Pattern> {
        (0..count).map(|n| pattern(&format!("db{n:02}-*"))).collect()
    };
    group.spec("11");
    let full = GrantFacts::new(&"x".repeat(255), numbered(64)).unwrap();
    group.accept("full", "255 bytes of label, 64 patterns", full.encode());
    let texts: Vec<String> = numbered(65).iter().map(ToString::to_string).collect();
    let texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let count = "OutOfBounds: number of NAME patterns";
    group.reject("too-many", "65 patterns", count, laid_out(b"", &texts));
    group.spec("3.7");
    let label = "NotCanonical: key's label";
    group.reject("label-utf-8", "not UTF-8", label, laid_out(b"\xFF", &[]));
    group.reject("label-control", "a control character", label, laid_out(b"a\x1B[2J", &[]));
    let order = "NotAscending: NAME patterns";
    group.reject("order", "descending", order, laid_out(b"", &[b"b", b"a"]));
    group.reject("twice", "one pattern twice", order, laid_out(b"", &[b"a", b"a"]));
    let bad = "NotCanonical: NAME pattern";
    group.reject("pattern-empty", "an empty pattern", bad, laid_out(b"", &[b""]));
    group.reject("pattern-stars", "two stars", bad, laid_out(b"", &[b"a**"]));
    group.reject("pattern-byte", "a space", bad, laid_out(b"", &[b"a b"]));
    group.reject("cut", "cut short", "Truncated: grant facts", cut(&body, 1));
    group.reject("trailing", "a byte behind", "Trailing: grant facts", longer(&body, &[0]));
    group.vectors
}

fn names() -> Vec<Vector> {
    let mut group = Group::new("name", "4");
    group.accept("plain", "every kind of byte", "Orders-2026.v_1");
    group.accept("shortest", "one letter", "a");
    group.accept("longest", "128 bytes", "a".repeat(128));
    group.accept("digit-first", "digits and more", "42a");
    group.reject("empty", "no bytes", "Length", "");
    group.reject("too-long", "129 bytes", "Length", "a".repeat(129));
    group.reject("slash", "a path", "Byte", "a/b");
    group.reject("star", "a pattern", "Byte", "a*");
    group.reject("space", "a space", "Byte", "a b");
    group.reject("high", "a letter outside of ASCII", "Byte", "\u{e4}");
    group.reject("zero", "a zero byte", "Byte", "a\0");
    group.reject("dash", "reads as an option", "Start", "-a");
    group.reject("dot", "reads as a hidden file", "Start", ".a");
    group.reject("digits", "reads as a number", "AllDigits", "42");
    group.vectors
}

fn patterns() -> Vec<Vector> {
    let mut group = Group::new("pattern", "4");
    let table = [
        ("literal", "orders", "orders", "orders2 order Orders"),
        ("prefix", "orders-*", "orders- orders-eu", "orders xorders-eu"),
        ("suffix", "*-eu", "orders-eu a-eu-eu", "orders-eu1 eu"),
        ("middle", "a*b*c", "abc abbc a1b2c abcbc", "acb ab xabc"),
        ("overlap", "aba*aba", "abaaba aba-aba", "ababa aba"),
        ("any", "*", "a orders", ""),
        ("odd-start", ".*", "", "a orders"),
    ];
    for (name, pattern, matching, differing) in table {
        group.with("matching", matching).with("differing", differing);
        group.accept(name, "which NAMEs match", pattern);
    }
    group.without();
    group.reject("empty", "no bytes", "Length", "");
    group.reject("too-long", "129 bytes", "Length", "*".to_owned() + &"a".repeat(128));
    group.reject("stars", "two stars", "DoubleStar", "a**b");
    group.reject("question", "another wildcard", "Byte", "a?");
    group.reject("slash", "a path", "Byte", "a/*");
    group.vectors
}

/// Sealing keys are any 32 bytes: a point is checked when it is sealed to.
#[test]
fn any_sealing_key_is_laid_out() {
    let body = Authorize { sealing_key: SealingKey([0xFF; 32]), ..grant() };
    assert_eq!(Authorize::decode(&body.encode()), Ok(body));
}
