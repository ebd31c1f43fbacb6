//! Checkpoints: signed notes.

use data_encoding::BASE64;
use indelible_format::checkpoint::Checkpoint;
use indelible_format::ids::LogHash;

use super::Group;
use super::primitives::malleated;
use crate::fixture::{ADMIN, REPOSITORY, key, signer};
use crate::vector::{Vector, hex};

pub(super) fn make() -> Vec<Vector> {
    let mut group = Group::new("checkpoint", "3.15");
    let claim = |size| Checkpoint { repository: REPOSITORY, size, root: LogHash([0x77; 32]) };
    let note = claim(7).sign(&key(ADMIN));
    group.with("signer", signer(ADMIN)).with("seed", hex(&[ADMIN; 32]));
    group.accept("plain", "signed once", note.clone());
    group.accept("zero", "size 0", claim(0).sign(&key(ADMIN)));
    group.accept("largest", "the largest size", claim(u64::MAX).sign(&key(ADMIN)));
    group.without().with("signer", signer(ADMIN));
    let (text, signature) = note.split_once("\n\n").unwrap();
    let other = claim(7).sign(&key(2));
    let (_, cosignature) = other.split_once("\n\n").unwrap();
    let witness = "\u{2014} witness.example AAAAAAEC\n";
    let cosigned = format!("{text}\n\n{witness}{cosignature}{signature}");
    group.accept("cosigned", "among signatures of others", cosigned);
    refused_texts(&mut group, text, signature);
    refused_signatures(&mut group, text, signature);
    group.reject("not-signed", "signed by another key", "NotSignedBy", other.clone());
    group.vectors
}

fn refused_texts(group: &mut Group, text: &str, signature: &str) {
    let note = |text: &str| format!("{text}\n\n{signature}");
    let lines: Vec<&str> = text.split('\n').collect();
    let [origin, size, root] = lines[..] else {
        unreachable!("a checkpoint has three lines");
    };
    let with_size = |size: &str| note(&format!("{origin}\n{size}\n{root}"));
    let with_root = |root: &str| note(&format!("{origin}\n{size}\n{root}"));
    group.reject("empty", "no text", "Layout", "");
    group.reject("origin", "another origin", "Layout", note(&text.replace("indelible/", "rekor/")));
    group.reject("upper-case", "the id in capitals", "Layout", note(&text.replace('e', "E")));
    group.reject("size-zeros", "a leading zero", "Layout", with_size("07"));
    group.reject("size-plus", "a sign", "Layout", with_size("+7"));
    group.reject("size-empty", "no size", "Layout", with_size(""));
    group.reject("size-large", "over 64 bits", "Layout", with_size("18446744073709551616"));
    group.reject("root-short", "31 bytes", "Layout", with_root(&BASE64.encode(&[0x77; 31])));
    group.reject(
        "root-unpadded",
        "without padding",
        "Layout",
        with_root(root.trim_end_matches('=')),
    );
    let inner: String = (0..32).map(|_| BASE64.encode(&[0x77])).collect();
    group.reject("root-inner-padding", "padding between groups", "Layout", with_root(&inner));
    let bits = root[..42].to_owned() + "1=";
    assert_ne!(bits, root);
    group.reject("root-bits", "bits behind the last byte", "Layout", with_root(&bits));
    group.reject("extension", "an extension line", "Layout", note(&format!("{text}\nmore")));
    group.reject("no-root", "two lines", "Layout", note(&format!("{origin}\n{size}")));
    group.reject(
        "carriage-return",
        "lines of another system",
        "Layout",
        note(text).replace('\n', "\r\n"),
    );
    group.reject("size-altered", "another size", "BadSignature", with_size("8"));
    let other_root = BASE64.encode(&[0x78; 32]);
    group.reject("root-altered", "another root", "BadSignature", with_root(&other_root));
}

fn refused_signatures(group: &mut Group, text: &str, signature: &str) {
    let note = |signature: &str| format!("{text}\n\n{signature}");
    group.reject("no-signature", "no signature line", "Layout", format!("{text}\n"));
    group.reject("no-newline", "without the last newline", "Layout", note(signature.trim_end()));
    group.reject(
        "dash",
        "a hyphen for the dash",
        "Layout",
        note(&signature.replace('\u{2014}', "-")),
    );
    group.reject("no-name", "no key name", "Layout", note("\u{2014} AAAAAAEC\n"));
    group.reject("base64", "no base64", "Layout", note("\u{2014} witness.example AAAAAAE\n"));
    group.reject("blank", "an empty line behind", "Layout", note(signature) + "\n");
    let (head, base64) = signature.trim_end().rsplit_once(' ').unwrap();
    let bytes = BASE64.decode(base64.as_bytes()).unwrap();
    let with = |bytes: &[u8]| note(&format!("{head} {}\n", BASE64.encode(bytes)));
    let hash = [&[bytes[0] ^ 1], &bytes[1..]].concat();
    group.reject("key-hash", "another key's hash", "NotSignedBy", with(&hash));
    group.reject("short", "63 bytes of signature", "NotSignedBy", with(&bytes[..67]));
    let malleated = malleated(bytes[4..].try_into().unwrap());
    let malleated = [&bytes[..4], &malleated].concat();
    group.reject("scalar", "the scalar is not reduced", "BadSignature", with(&malleated));
    let inner = BASE64.encode(&bytes[..1]) + &BASE64.encode(&bytes[1..]);
    let inner = note(&format!("{head} {inner}\n"));
    group.reject("inner-padding", "padding between groups", "Layout", inner);
    let renamed = note(&signature.replacen("indelible/e0", "indelible/e1", 1));
    group.reject("renamed", "signed under another name", "NotSignedBy", renamed);
}
