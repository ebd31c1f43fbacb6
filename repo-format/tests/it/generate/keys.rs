//! Key bundles and key files.

use data_encoding::BASE64;
use indelible_format::ids::LogHash;
use indelible_format::key_file::KeyFile;
use indelible_format::rights::Rights;
use indelible_format::wire::Builder;

use super::{Group, cut, flip, longer, patch};
use crate::fixture::{REPOSITORY, bundle};
use crate::sealed::{armour, framed};
use crate::vector::Vector;

pub(super) fn make() -> Vec<Vector> {
    [bundles(), key_files()].concat()
}

/// Where the records begin, and how long one with a 32-byte key is.
const RECORDS: usize = 22;
const KEY_RECORD: usize = 35;

fn bundles() -> Vec<Vector> {
    let mut group = Group::new("key-bundle", "5.4");
    for (name, rights) in [
        ("write", Rights::WRITE),
        ("verify", Rights::VERIFY),
        ("restore", Rights::RESTORE),
        ("admin", Rights::ADMIN),
        ("write-verify", Rights::WRITE.union(Rights::VERIFY)),
        ("admin-restore", Rights::ADMIN.union(Rights::RESTORE)),
        ("all", Rights::ALL),
    ] {
        let bytes = bundle(2, rights).encode();
        group.accept(name, "what these rights hold", bytes.as_slice());
    }
    let mut strict = bundle(2, Rights::WRITE);
    strict.strict = true;
    group.accept("strict", "a strict write key", strict.encode().as_slice());
    let verify = bundle(2, Rights::VERIFY).encode();
    refused_bundles(&mut group, &verify);
    let all = bundle(2, Rights::ALL).encode();
    // Records 1 to 14 are keys; the meta private key is the twelfth.
    let private = |tag: usize| flip(&all, RECORDS + (tag - 1) * KEY_RECORD + 3 + 16);
    group.reject("meta-pair", "the meta keys are no pair", "KeyPair", private(12));
    group.reject("data-pair", "the data keys are no pair", "KeyPair", private(14));
    group.vectors
}

fn refused_bundles(group: &mut Group, verify: &[u8]) {
    let version = "OutOfBounds: version of the key bundle";
    group.reject("version-0", "version 0", version, patch(verify, 0, &[0]));
    group.reject("version-2", "version 2", version, patch(verify, 0, &[2]));
    group.reject("cut", "cut in a record", "Truncated: key bundle", cut(verify, 1));
    let missing = "Missing: a record that the key's rights call for";
    group.reject("missing", "restore without its keys", missing, patch(verify, 1, &[6]));
    let without_seed = [&verify[..RECORDS], &verify[RECORDS + KEY_RECORD..]].concat();
    group.reject("no-seed", "without record 1", missing, without_seed);
    let extra = bundle(2, Rights::RESTORE).encode();
    let tag = "Unknown: tag of a record of the key bundle";
    group.reject("extra", "verify with the restore keys", tag, patch(&extra, 1, &[2]));
    group.reject("unknown", "a record of tag 18", tag, longer(verify, &[18, 0, 0]));
    group.reject("strict-verify", "strict, and may not write", tag, longer(verify, &[17, 0, 0]));
    let every = bundle(2, Rights::ALL).encode();
    group.reject("strict-all", "strict, and may restore", tag, longer(&every, &[17, 0, 0]));
    let write = bundle(2, Rights::WRITE).encode();
    let mark = "NotCanonical: length of a mark";
    group.reject("strict-1", "a mark of one byte", mark, longer(&write, &[17, 1, 0, 0]));
    let order = "NotAscending: records of the key bundle";
    group.reject("order", "tag 0 behind tag 16", order, longer(verify, &[0, 0, 0]));
    group.reject("twice", "a record twice", order, longer(verify, &[16, 0, 0]));
    let mut short = Builder::new();
    short.bytes(&verify[..RECORDS]).u8(1).text16(&[1; 31]);
    short.bytes(&verify[RECORDS + KEY_RECORD..]);
    let length = "NotCanonical: length of a key";
    group.reject("key-31", "a key of 31 bytes", length, short.finish());
    group.spec("5.3");
    for (name, comment, expected, rights) in [
        ("rights-none", "no right", "NotCanonical: rights", 0),
        ("rights-16", "a reserved bit", "Reserved: rights", 18),
        ("rights-restore", "without verify", "NotCanonical: rights", 4),
        ("rights-admin", "without verify", "NotCanonical: rights", 8),
    ] {
        group.reject(name, comment, expected, patch(verify, 1, &[rights]));
    }
    group.spec("11");
    let over = longer(verify, &vec![0; 16_385 - verify.len()]);
    group.reject("too-long", "over 16 KiB", "OutOfBounds: key bundle", over);
    group.spec("5.4");
}

const BEGIN: &str = "-----BEGIN INDELIBLE KEY FILE-----";
const END: &str = "-----END INDELIBLE KEY FILE-----";

/// A key file of these bytes, their hash not included.
fn hashed(content: &[u8]) -> String {
    armour(&longer(content, blake3::hash(content).as_bytes()))
}

fn key_files() -> Vec<Vector> {
    let mut group = Group::new("key-file", "5.6");
    let bundle = bundle(2, Rights::WRITE);
    let file = KeyFile {
        repository: REPOSITORY,
        size: 2,
        root: LogHash([0x77; 32]),
        bundle: bundle.clone(),
    };
    let text = file.encode();
    group.accept("write", "a write key", text.as_bytes());
    let mut content = Builder::new();
    content.bytes(b"INDLKEY1").bytes(&REPOSITORY.0).u64(2);
    content.bytes(&[0x77; 32]).text16(&bundle.encode());
    let content = content.finish();
    assert_eq!(hashed(&content), *text);

    refused_texts(&mut group, &text, &content);
    group.reject(
        "magic",
        "another magic number",
        "Magic: key file",
        hashed(&patch(&content, 7, b"2")),
    );
    let size = "OutOfBounds: size of the log in the key file";
    group.reject("size", "an empty log", size, hashed(&patch(&content, 40, &[0])));
    group.reject(
        "trailing",
        "a byte behind",
        "Trailing: key file",
        hashed(&longer(&content, &[0])),
    );
    group.reject("cut", "cut in the bundle", "Truncated: key file", hashed(&cut(&content, 1)));
    let bundle = hashed(&patch(&content, 82, &[2]));
    group.reject("bundle", "a malformed bundle", "OutOfBounds: version of the key bundle", bundle);
    group.vectors
}

fn refused_texts(group: &mut Group, text: &str, content: &[u8]) {
    let mut altered = longer(content, blake3::hash(content).as_bytes());
    altered[45] ^= 1;
    let altered = armour(&altered);
    group.reject("hash", "a byte is altered", "Hash", altered);
    group.reject("empty", "no text", "Armour", "");
    group.reject("no-begin", "without the first line", "Armour", &text[BEGIN.len() + 1..]);
    group.reject("no-end", "without the last line", "Armour", &text[..text.len() - END.len() - 1]);
    group.reject("no-newline", "without the last newline", "Armour", &text[..text.len() - 1]);
    group.reject("behind", "text behind", "Armour", text.to_owned() + "\n");
    group.reject(
        "carriage-return",
        "lines of another system",
        "Armour",
        text.replace('\n', "\r\n"),
    );
    let second = BEGIN.len() + 1 + 64;
    let joined = text[..second].to_owned() + &text[second + 1..];
    group.reject("line-128", "a line of 128 characters", "Armour", joined);
    let split = text[..second - 1].to_owned() + "\n" + &text[second - 1..];
    group.reject("line-63", "a line of 63 characters", "Armour", split);
    let last = text.trim_end().rfind('\n').unwrap();
    let last = text[..last].rfind('\n').unwrap();
    let joined = text[..last].to_owned() + &text[last + 1..];
    group.reject("last-line", "a last line of over 64 characters", "Armour", joined);
    let blank = text.replace(END, &format!("\n{END}"));
    group.reject("blank", "an empty line", "Armour", blank);
    let short = armour(&[0; 31]);
    group.reject("short", "shorter than its hash", "Armour", short);
    padding(group, content);
}

/// Other base64 texts of the same bytes: the armour has one form.
fn padding(group: &mut Group, content: &[u8]) {
    let all = longer(content, blake3::hash(content).as_bytes());
    let (head, tail) = all.split_at(1);
    let inner = BASE64.encode(head) + &BASE64.encode(tail);
    group.reject("inner-padding", "padding between groups", "Armour", framed(&inner));
    let (head, tail) = all.split_at(all.len() - all.len() % 3 - 1);
    let late = BASE64.encode(head) + &BASE64.encode(tail);
    group.reject("late-padding", "padding before the last group", "Armour", framed(&late));
    let plain = BASE64.encode(&all);
    assert!(plain.ends_with('='), "the file's length is no multiple of three");
    let unpadded = plain.trim_end_matches('=');
    group.reject("unpadded", "without padding", "Armour", framed(unpadded));
    let last = unpadded.len() - 1;
    let bits = unpadded[..last].to_owned() + "B" + &plain[last + 1..];
    assert_ne!(bits, plain);
    group.reject("trailing-bits", "bits behind the last byte", "Armour", framed(&bits));
}
