//! Manifests, commit bodies and reaches.

use indelible_format::commit::Reach;
use indelible_format::manifest::{Manifest, Source};
use indelible_format::wire::{Builder, Cursor};

use super::{Group, cut, flip, longer, patch};
use crate::fixture::{self, COMMIT, DOMAIN, REPOSITORY, binding, commit_body, manifest};
use crate::sealed::plain_reach;
use crate::vector::{Vector, hex};

pub(super) fn make() -> Vec<Vector> {
    [manifests(), bodies(), reaches()].concat()
}

/// Tag and value of each record.
fn records(manifest: &Manifest) -> Vec<(u16, Vec<u8>)> {
    let bytes = manifest.encode();
    let mut cursor = Cursor::new(&bytes);
    let mut records = Vec::new();
    while cursor.remaining() > 0 {
        let tag = cursor.u16("tag").unwrap();
        let value = cursor.text32(bytes.len(), "value").unwrap();
        records.push((tag, value.to_vec()));
    }
    records
}

fn laid_out(records: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Builder::new();
    for (tag, value) in records {
        out.u16(*tag).text32(value);
    }
    out.finish()
}

/// The manifest with another value of this tag, or without it.
fn with(tag: u16, value: Option<&[u8]>) -> Vec<u8> {
    let mut records = records(&manifest());
    let at = records.iter().position(|(known, _)| *known == tag).unwrap();
    match value {
        Some(value) => records[at].1 = value.to_vec(),
        None => {
            records.remove(at);
        }
    }
    laid_out(&records)
}

fn texts(texts: &[&[u8]]) -> Vec<u8> {
    let mut out = Builder::new();
    out.count16(texts.len());
    for text in texts {
        out.text16(text);
    }
    out.finish()
}

fn manifests() -> Vec<Vector> {
    let mut group = Group::new("manifest", "7.4");
    group.accept("full", "every record", manifest().encode());
    let mut leaning = manifest();
    leaning.accounting.delta_chunks = 3;
    group.accept("deltas", "with new chunks that are deltas", leaning.encode());
    let listed = Manifest { contents: manifest().small, ..manifest() };
    group.accept("contents", "with tables of contents", listed.encode());
    let mut long = listed;
    long.contents.as_mut().unwrap().root.len = (64 << 20) + 1;
    let over = "OutOfBounds: tables of contents";
    group.reject("contents-long", "tables of contents over 64 MiB", over, long.encode());
    let none = longer(&manifest().encode(), &[11, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    group.reject("deltas-none", "no delta", "OutOfBounds: deltas of the manifest", none);
    let bare = Manifest {
        host: None,
        labels: Vec::new(),
        small: None,
        program: None,
        source: Source::Stdin,
        ..manifest()
    };
    group.accept("bare", "what is required", bare.encode());
    let paths =
        Manifest { source: Source::Paths(vec!["/etc".to_owned(), "/srv".to_owned()]), ..bare };
    group.accept("paths", "files and directories", paths.encode());
    for (tag, what) in [
        (1, "NAME"),
        (4, "entry list"),
        (6, "totals"),
        (7, "source"),
        (8, "accounting"),
        (9, "times"),
    ] {
        let expected = format!("Missing: {what} of the manifest");
        group.reject(&format!("without-{tag}"), "a required record", &expected, with(tag, None));
    }
    refused_manifests(&mut group);
    group.with("unknown-record", "yes");
    let unknown = longer(&manifest().encode(), &[0xFF, 0xFF, 1, 0, 0, 0, 7]);
    group.accept("unknown", "a record of a later version is passed over", unknown);
    group.vectors
}

fn refused_manifests(group: &mut Group) {
    let plain = manifest().encode();
    let order = "NotAscending: records of the manifest";
    let mut swapped = records(&manifest());
    swapped.swap(0, 1);
    group.reject("order", "records exchanged", order, laid_out(&swapped));
    let (tag, value) = records(&manifest()).pop().unwrap();
    let twice = longer(&plain, &laid_out(&[(tag, value)]));
    group.reject("twice", "a record twice", order, twice);
    let cut_short = "Truncated: manifest";
    group.reject("cut", "cut in a record", cut_short, cut(&plain, 1));
    group.reject("cut-tag", "cut in a tag", cut_short, longer(&plain, &[11]));
    refused_labels(group);
    refused_values(group);
    refused_roots(group);
}

fn refused_labels(group: &mut Group) {
    let mut reject = |name: &str, comment, expected, value: Vec<u8>| {
        group.reject(name, comment, expected, with(3, Some(&value)));
    };
    let order = "NotAscending: labels";
    reject("labels-order", "descending", order, texts(&[b"b", b"a"]));
    reject("labels-twice", "a label twice", order, texts(&[b"a", b"a"]));
    let count = "OutOfBounds: labels";
    reject("labels-none", "no label", count, texts(&[]));
    let many = (0..1_025_u16).map(|n| n.to_be_bytes().map(|byte| byte & 0x7F));
    let many: Vec<[u8; 2]> = many.collect();
    let many: Vec<&[u8]> = many.iter().map(<[u8; 2]>::as_slice).collect();
    reject("labels-many", "1,025 labels", count, texts(&many));
    reject("labels-utf-8", "not UTF-8", "NotCanonical: labels", texts(&[b"\xFF"]));
    let trailing = longer(&texts(&[b"a"]), &[0]);
    reject("labels-trailing", "a byte behind", "Trailing: manifest", trailing);
}

fn refused_values(group: &mut Group) {
    let mut reject = |name: &str, comment, expected, tag, value: Vec<u8>| {
        group.reject(name, comment, expected, with(tag, Some(&value)));
    };
    reject("name", "no NAME", "NotCanonical: NAME of the manifest", 1, b"a/b".to_vec());
    reject("host", "not UTF-8", "NotCanonical: host of the manifest", 2, vec![0xFF]);
    reject("program", "not UTF-8", "NotCanonical: program of the manifest", 10, vec![0xC3]);
    reject("source-kind", "kind 0", "Unknown: source of the manifest", 7, vec![0, 0, 0]);
    let stdin = longer(&[2], &texts(&[b"x"]));
    let source = "NotCanonical: source of the manifest";
    reject("source-stdin", "standard input with a path", source, 7, stdin);
    reject("totals-cut", "cut short", "Truncated: manifest", 6, vec![0; 15]);
    reject("totals-trailing", "a byte behind", "Trailing: manifest", 6, vec![0; 17]);
    reject("accounting-cut", "cut short", "Truncated: manifest", 8, vec![0; 23]);
    reject("times-trailing", "a byte behind", "Trailing: manifest", 9, vec![0; 17]);
}

fn refused_roots(group: &mut Group) {
    let root = records(&manifest()).remove(3).1;
    group.spec("8.1");
    let mut reject = |name: &str, comment, expected, value: Vec<u8>| {
        group.reject(name, comment, expected, with(4, Some(&value)));
    };
    let length = "OutOfBounds: length of a stream";
    reject("root-empty", "an empty stream", length, patch(&root, 0, &[0; 8]));
    reject("root-level", "level 8", "OutOfBounds: level of a root", patch(&root, 8, &[8]));
    let number = "OutOfBounds: place of a root";
    reject("root-number", "chunk 8,192", number, patch(&root, 73, &[0, 32]));
    reject("root-cut", "cut short", "Truncated: place of a root", cut(&root, 1));
    reject("root-trailing", "a byte behind", "Trailing: manifest", longer(&root, &[0]));
    group.spec("7.4");
}

fn bodies() -> Vec<Vector> {
    let mut group = Group::new("commit-body", "7.1");
    let body = commit_body(&binding(), &Reach::collect([(1, 0), (1, 1), (3, 7)])).encode();
    refused_bodies(&mut group, &body);
    let reach_at = 8 + 4 + 2 * 68 + 32 + 4;
    let reach_len = 4 + 2 * 16 + 48;
    group
        .with("repository", REPOSITORY)
        .with("commit", COMMIT)
        .with("domain", DOMAIN)
        .with("before", 5)
        .with("index-key", hex(fixture::index_key().expose()))
        .with("meta-private", hex(fixture::meta_private().expose()))
        .with("psk", hex(fixture::psk().expose()));
    group.accept("opened", "reach and manifest, with the verify right", body.clone());
    group.spec("2.7");
    group.reject("salt", "another salt", "OtherKey", flip(&body, reach_at - 36));
    group.reject("reach", "the reach is altered", "Altered", flip(&body, reach_at + 32));
    let key_at = reach_at + reach_len;
    group.reject("manifest-key", "the key is altered", "Altered", flip(&body, key_at));
    let manifest_at = key_at + 80 + 4;
    group.reject("manifest-commitment", "another key's", "OtherKey", flip(&body, manifest_at));
    group.reject("manifest", "the manifest is altered", "Altered", flip(&body, manifest_at + 32));
    for (key, value) in
        [("repository", hex(&[0; 32])), ("commit", hex(&[0; 16])), ("domain", hex(&[0; 16]))]
    {
        group.with(key, value);
        let name = format!("other-{key}");
        group.reject(&name, "moved from another place", "Altered", body.clone());
        group.with("repository", REPOSITORY).with("commit", COMMIT).with("domain", DOMAIN);
    }
    group.spec("7.3").with("before", 3);
    let own = "NotCanonical: entry of the reach";
    group.reject("own-reach", "reaches its own entry", own, body);
    group.vectors
}

fn refused_bodies(group: &mut Group, body: &[u8]) {
    let mut empty = Builder::new();
    empty.u64(0).u32(0).bytes(&[0; 32]).text32(&[]);
    empty.bytes(&[0; 80]).text32(&[]);
    let empty = empty.finish();
    group.accept("bare", "no pack, no retention", empty.clone());
    group.reject("cut", "cut in the manifest", "Truncated: sealed manifest", cut(body, 1));
    group.reject("cut-packs", "cut in the packs", "Truncated: commit body", &body[..100]);
    group.reject("trailing", "a byte behind", "Trailing: commit body", longer(body, &[0]));
    let twice = patch(body, 12 + 68, &body[12..12 + 32]);
    group.reject("pack-twice", "a pack twice", "NotCanonical: new packs of the commit", twice);
    group.spec("11");
    let length = "OutOfBounds: length of a new pack";
    let pack = |len: u32| patch(body, 12 + 32, &len.to_le_bytes());
    group.reject("pack-empty", "a pack of no bytes", length, pack(0));
    group.reject("pack-long", "a pack over 32 MiB", length, pack((32 << 20) + 1));
    let count = patch(body, 8, &917_505_u32.to_le_bytes());
    group.reject("packs", "917,505 packs", "OutOfBounds: new packs of the commit", count);
    let reach = patch(&empty, 44, &((16_u32 << 20) + 1).to_le_bytes());
    group.reject("reach-long", "a reach over 16 MiB", "OutOfBounds: sealed reach", reach);
    let manifest = patch(&empty, 128, &((1_u32 << 20) + 1).to_le_bytes());
    group.reject("manifest-long", "over 1 MiB", "OutOfBounds: sealed manifest", manifest);
    let long = vec![0; (64 << 20) + 1];
    group.reject("too-long", "over 64 MiB", "OutOfBounds: length of the commit body", long);
    group.spec("7.1");
}

fn reach(ranges: &[(u64, u32, u32)]) -> Vec<u8> {
    let mut out = Builder::new();
    out.count32(ranges.len());
    for (entry, first, count) in ranges {
        out.u64(*entry).u32(*first).u32(*count);
    }
    out.finish()
}

fn reaches() -> Vec<Vector> {
    let mut group = Group::new("reach", "7.3");
    group.with("before", 9);
    group.accept("empty", "nothing of earlier entries", reach(&[]));
    let places = [(8, 4), (8, 6), (1, 0), (8, 3), (1, 1)];
    let plain = plain_reach(&Reach::collect(places));
    assert_eq!(plain, reach(&[(1, 0, 2), (8, 3, 2), (8, 6, 1)]));
    group.accept("plain", "three ranges of two entries", plain.clone());
    group.reject("cut", "cut short", "Truncated: reach", cut(&plain, 1));
    group.reject("trailing", "a byte behind", "Trailing: reach", longer(&plain, &[0]));
    let (order, most) = ("NotAscending: reach", 917_504);
    let (count, first) = ("OutOfBounds: packs of a range", "OutOfBounds: first pack of a range");
    for (name, comment, expected, bytes) in [
        ("entries", "entries descend", order, reach(&[(2, 0, 1), (1, 0, 1)])),
        ("order", "ranges descend", order, reach(&[(1, 5, 1), (1, 0, 1)])),
        ("twice", "a range twice", order, reach(&[(1, 0, 1), (1, 0, 1)])),
        ("overlap", "ranges overlap", order, reach(&[(1, 0, 3), (1, 2, 3)])),
        ("touch", "ranges that could be one", order, reach(&[(1, 0, 2), (1, 2, 1)])),
        ("none", "an empty range", count, reach(&[(1, 0, 0)])),
        ("count", "more packs than a commit has", count, reach(&[(1, 0, most + 1)])),
        ("first", "beyond them", first, reach(&[(1, most + 1, 1)])),
        ("own", "its own entry", "NotCanonical: entry of the reach", reach(&[(9, 0, 1)])),
        ("later", "a later entry", "NotCanonical: entry of the reach", reach(&[(u64::MAX, 0, 1)])),
    ] {
        group.reject(name, comment, expected, bytes);
    }
    let over = ((1_u32 << 20) + 1).to_le_bytes();
    group.spec("11");
    group.reject("too-many", "over 16 MiB", "OutOfBounds: ranges of the reach", over);
    group.vectors
}
