//! Pack headers, directories, trailers, codings, and a whole pack.

use indelible_format::coding::{Class, Coding};
use indelible_format::directory::{DIRECTORY_BYTES_MAX, Directory, Record};
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::pack::{chunk_id, encode_trailer};
use indelible_format::page::{Content, EntryKind, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::wire::Builder;

use super::{Group, cut, flip, longer, patch};
use crate::fixture::{self, DOMAIN};
use crate::sealed::{pack_header, some_header};
use crate::vector::{Vector, hex};

pub(super) fn make() -> Vec<Vector> {
    [headers(), directories(), trailers(), codings(), deltas(), packs()].concat()
}

fn headers() -> Vec<Vector> {
    let mut group = Group::new("pack-header", "6.2");
    let header = some_header().encode();
    group.reject("magic", "another magic number", "Magic: pack header", patch(&header, 7, b"Q"));
    group.reject("version-0", "version 0", "Unknown: pack version", patch(&header, 8, &[0]));
    group.reject("version-2", "a later version", "TooNew", patch(&header, 8, &[2]));
    group.reject("reserved", "a reserved bit", "Reserved: pack header", patch(&header, 11, &[1]));
    group
        .with("psk", hex(fixture::psk().expose()))
        .with("data-private", hex(fixture::data_private().expose()))
        .with("meta-private", hex(fixture::meta_private().expose()));
    group.accept("opened", "both keys open", header);
    group.reject("data-key", "the data key is altered", "Altered", flip(&header, 64));
    group.reject("data-commitment", "commits to another key", "OtherKey", flip(&header, 144));
    group.reject("node-key", "the node key is altered", "Altered", flip(&header, 176 + 79));
    group.reject("node-commitment", "commits to another key", "OtherKey", flip(&header, 287));
    group.spec("2.7");
    group.reject("repository", "of another repository", "Altered", flip(&header, 12));
    group.reject("domain", "of another domain", "Altered", flip(&header, 44));
    group.reject("epoch", "of another epoch", "Altered", flip(&header, 60));
    let swapped = [&header[..64], &header[176..288], &header[64..176], &header[288..]].concat();
    group.reject("swapped", "the two keys are exchanged", "Altered", swapped);
    group.vectors
}

fn trailers() -> Vec<Vector> {
    let mut group = Group::new("trailer", "6.5");
    let trailer = encode_trailer(DIRECTORY_BYTES_MAX);
    group.accept("longest", "the longest directory that a pack has room for", trailer);
    group.reject("magic", "another magic number", "Magic: pack trailer", flip(&trailer, 11));
    let over = encode_trailer(DIRECTORY_BYTES_MAX + 1);
    group.reject("length", "longer than that", "OutOfBounds: length of the directory", over);
    group.vectors
}

fn record(coding: u8, depth: u8, bases: &[(u16, u16)]) -> Vec<u8> {
    laid_out_record(0, coding, 116, 100, depth, bases)
}

fn laid_out_record(
    class: u8,
    coding: u8,
    stored: u32,
    plain: u32,
    depth: u8,
    bases: &[(u16, u16)],
) -> Vec<u8> {
    let mut out = Builder::new();
    out.bytes(&[0xC7; 32]).u8(class).u8(coding);
    out.u32(stored).u32(plain).u8(depth);
    out.u8(u8::try_from(bases.len()).unwrap());
    for (slot, number) in bases {
        out.u16(*slot).u16(*number);
    }
    out.finish()
}

fn laid_out(packs: &[[u8; 32]], records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Builder::new();
    out.count16(packs.len()).bytes(&packs.concat());
    out.count32(records.len()).bytes(&records.concat());
    out.finish()
}

fn directories() -> Vec<Vector> {
    let mut group = Group::new("directory", "6.4");
    group.with("chunks-length", 0);
    group.accept("empty", "no chunk", laid_out(&[], &[]));
    group.with("chunks-length", 348);
    let plain = laid_out(&[], &[record(0, 0, &[]), record(1, 0, &[]), record(0, 0, &[])]);
    group.accept("plain", "chunks that are raw and zstd", plain.clone());
    group.reject("cut", "cut short", "Truncated: pack directory", cut(&plain, 1));
    group.reject("trailing", "a byte behind", "Trailing: pack directory", longer(&plain, &[0]));
    let sum = "NotCanonical: sum of the stored lengths";
    group.with("chunks-length", 349);
    group.reject("sum", "the stored lengths add up to less", sum, plain);
    group.with("chunks-length", 232);
    let delta = [record(0, 0, &[]), record(2, 16, &[(0, 0), (1, 8_191), (1, 0), (0, 0)])];
    group.accept("delta", "the deepest chunk, with the most bases", laid_out(&[[7; 32]], &delta));
    group.with("chunks-length", 116);
    refused_records(&mut group);
    group.spec("6.3");
    let unknown = laid_out_record(3, 0, 116, 4 << 20, 0, &[]);
    group.accept("unknown-class", "one chunk of an unknown class", laid_out(&[], &[unknown]));
    group.spec("6.6");
    let unknown = laid_out(&[], &[record(3, 0, &[])]);
    group.accept("unknown-coding", "one chunk of an unknown coding", unknown);
    group.spec("11");
    let (packs, chunks) = (4_097_u16.to_le_bytes(), 8_193_u32.to_le_bytes());
    let field = "OutOfBounds: packs of the directory";
    group.reject("packs", "4,097 other packs", field, packs);
    let field = "OutOfBounds: chunks of the directory";
    group.reject("chunks", "8,193 chunks", field, longer(&[0, 0], &chunks));
    group.vectors
}

fn refused_records(group: &mut Group) {
    let one = |record: Vec<u8>| laid_out(&[], &[record]);
    let (depth, bases) = ("OutOfBounds: depth of the chunk", "OutOfBounds: bases of the chunk");
    for (name, comment, expected, bytes) in [
        ("raw-depth", "raw of depth 1", depth, one(record(0, 1, &[]))),
        ("raw-bases", "raw with a base", bases, one(record(0, 0, &[(0, 0)]))),
        ("zstd-depth", "zstd of depth 1", depth, one(record(1, 1, &[]))),
        ("zstd-bases", "zstd with a base", bases, one(record(1, 0, &[(0, 0)]))),
        ("delta-depth-0", "delta of depth 0", depth, one(record(2, 0, &[(0, 0)]))),
        ("delta-depth-17", "delta of depth 17", depth, one(record(2, 17, &[(0, 0)]))),
        ("delta-no-base", "delta without a base", bases, one(record(2, 1, &[]))),
        ("delta-5-bases", "delta with five bases", bases, one(record(2, 1, &[(0, 0); 5]))),
        ("unknown-depth", "an unknown coding of depth 1", depth, one(record(3, 1, &[]))),
        ("unknown-bases", "an unknown coding with a base", bases, one(record(3, 0, &[(0, 0)]))),
    ] {
        group.reject(name, comment, expected, bytes);
    }
    let slot = one(record(2, 1, &[(1, 0)]));
    group.reject("base-slot", "a slot beyond the table", "OutOfBounds: slot of a base", slot);
    let number = "OutOfBounds: chunk number of a base";
    let other = laid_out(&[[7; 32]], &[record(2, 1, &[(1, 8_192)])]);
    group.reject("base-number", "chunk 8,192 of another pack", number, other);
    let own = one(record(2, 1, &[(0, 1)]));
    group.reject("base-own", "chunk 1 of a pack of one", number, own);
    let node = laid_out_record(2, 2, 116, 100, 1, &[(0, 0)]);
    let class = "NotCanonical: class of a delta chunk";
    group.reject("delta-node", "a node that is a delta", class, one(node));
    let unused = laid_out(&[[7; 32]], &[record(0, 0, &[])]);
    group.reject(
        "packs-unused",
        "other packs and no base",
        "NotCanonical: packs of the directory",
        unused,
    );
    let stored = "OutOfBounds: stored length of the chunk";
    let plain = "OutOfBounds: plaintext length of the chunk";
    let lengths = |class, stored, plain| one(laid_out_record(class, 0, stored, plain, 0, &[]));
    group.reject("stored-15", "shorter than its tag", stored, lengths(0, 15, 1));
    group.reject("stored-large", "longer than a pack", stored, lengths(0, (32 << 20) + 1, 1));
    group.reject("plain-0", "an empty chunk", plain, lengths(0, 116, 0));
    group.reject("plain-data", "data over 1 MiB", plain, lengths(0, 116, (1 << 20) + 1));
    group.reject("plain-page", "a page over 4 MiB", plain, lengths(1, 116, (4 << 20) + 1));
}

/// A zstd frame of raw blocks (RFC 8878, section 3.1.1): the descriptor, what
/// stands between it and the blocks, and the content.
fn frame(descriptor: u8, fields: &[u8], content: &[u8]) -> Vec<u8> {
    let size = u8::try_from(content.len()).unwrap();
    let block = [size << 3 | 1, size >> 5, 0];
    [&[0x28, 0xB5, 0x2F, 0xFD, descriptor], fields, &block, content].concat()
}

/// What `zstd -19` makes of 100 times `indelible `, content size included.
const COMPRESSED: &str = "28b52ffd60e8028d000050696e64656c69626c65200100db5b1524";

fn codings() -> Vec<Vector> {
    let mut group = Group::new("coding", "6.6");
    group.with("coding", 0).with("plain-length", 5);
    group.accept("raw", "the plaintext", "plain");
    group.reject("raw-short", "shorter than stated", "Length", "plai");
    group.reject("raw-long", "longer than stated", "Length", "plain!");
    group.with("coding", 1);
    let plain = frame(0x20, &[5], b"plain");
    group.accept("zstd", "one frame with its content size", plain.clone());
    group.reject("two-frames", "a frame behind", "Frame", plain.repeat(2));
    group.reject("trailing", "a byte behind", "Frame", longer(&plain, &[0]));
    group.reject("cut", "cut short", "Frame", cut(&plain, 1));
    group.reject("magic", "no zstd frame", "Frame", flip(&plain, 0));
    group.reject("nothing", "no bytes", "Frame", []);
    group.reject("no-size", "without content size", "Length", frame(0, &[0], b"plain"));
    group.reject("short", "fewer bytes than it states", "Frame", frame(0x20, &[5], b"plai"));
    group.reject("long", "more bytes than it states", "Frame", frame(0x20, &[5], b"plain!"));
    group.reject("dictionary", "names a dictionary", "Frame", frame(0x21, &[9, 5], b"plain"));
    group.reject("reserved", "a reserved bit", "Frame", frame(0x28, &[5], b"plain"));
    let checked = frame(0x24, &[5], b"plain");
    group.reject("checksum", "a wrong checksum", "Frame", longer(&checked, &[0; 4]));
    let skippable = [0x50, 0x2A, 0x4D, 0x18, 5, 0, 0, 0, b'p', b'l', b'a', b'i', b'n'];
    group.reject("skippable", "a frame without content", "Length", skippable);
    let hidden = [&skippable[..], &plain].concat();
    group.reject("skippable-first", "a frame behind one", "Frame", hidden);
    group.with("plain-length", 4);
    group.reject("directory-short", "longer than the directory states", "Length", plain.clone());
    group.with("plain-length", 6);
    group.reject("directory-long", "shorter than the directory states", "Length", plain);
    group.with("plain-length", 1_000);
    group.accept("compressed", "a block with a match", crate::vector::unhex(COMPRESSED));
    group.with("plain-length", 5);
    for coding in [3, 255] {
        group.with("coding", coding);
        let name = format!("unsupported-{coding}");
        group.reject(&name, "not known to this version", "Unsupported", "plain");
    }
    group.vectors
}

/// Twelve rows of an invented table. In the plaintext one of them has changed.
fn rows(changed: bool) -> String {
    let row = |number: u32| {
        let state = if changed && number == 5 { "shut" } else { "open" };
        let code = number * 7_919 % 10_007;
        format!("INSERT INTO orders VALUES ({number}, '{code:05}', '{state}');\n")
    };
    (0..12).map(row).collect()
}

/// What `zstd --patch-from` of the unchanged rows makes of the changed ones.
const PATCH: &str = "28b52ffd6042018d0000207368757403002340257d11a1a00c0310";

fn deltas() -> Vec<Vector> {
    let mut group = Group::new("delta", "6.6");
    let (base, plain) = (rows(false).into_bytes(), rows(true));
    let patch = crate::vector::unhex(PATCH);
    group.with("plain-length", plain.len());
    group.reject("no-base", "no base", "NoBases", patch.clone());
    group.with("base-0", hex(&base));
    group.accept("one-base", "one base", patch.clone());
    group.reject("two-frames", "a frame behind", "Frame", patch.repeat(2));
    group.reject("trailing", "a byte behind", "Frame", longer(&patch, &[0]));
    group.reject("cut", "cut short", "Frame", cut(&patch, 1));
    group.reject("nothing", "no bytes", "Frame", []);
    group.with("plain-length", plain.len() - 1);
    group.reject("length", "another length than the directory states", "Length", patch.clone());
    group.with("plain-length", plain.len());
    group.with("base-0", hex(&base[..100]));
    group.reject("short-base", "refers to bytes that its base lacks", "Frame", patch.clone());
    group.with("base-0", hex(&base[..300])).with("base-1", hex(&base[300..]));
    group.accept("two-bases", "two bases, one behind the other", patch.clone());
    group.without().with("plain-length", plain.len());
    for number in 0..5 {
        group.with(&format!("base-{number}"), hex(&base));
    }
    group.reject("five-bases", "five bases", "Bases", patch);
    group.vectors
}

/// Class, coding, identity bytes and plaintext of the chunks of the pack below.
fn chunks() -> Vec<(Class, Coding, Vec<u8>, Vec<u8>)> {
    let node_items = [indelible_format::node::Item { id: ChunkId([0xC7; 32]), len: 11 }];
    let identity = indelible_format::node::identity(0, &node_items);
    let node = longer(&identity, &[0, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
    let entry = TreeEntry {
        path: EntryPath::new(&b"empty"[..]).unwrap(),
        kind: EntryKind::Stream { content: Content::Empty },
    };
    let own = PackId([0; 32]);
    let page = indelible_format::page::encode(&entry.encode(), &[], &own);
    let data = b"INSERT INTO".to_vec();
    let zstd = frame(0x20, &[5], b"plain");
    vec![
        (Class::Data, Coding::Raw, data.clone(), data),
        (Class::Data, Coding::Zstd, b"plain".to_vec(), zstd),
        (Class::Page, Coding::Raw, entry.encode(), page),
        (Class::Node, Coding::Raw, identity, node),
    ]
}

/// A pack of one chunk of each class and coding, and where its chunks end.
fn whole() -> (Vec<u8>, usize) {
    let (header, keys) = pack_header();
    let mut bytes = header.encode().to_vec();
    let mut directory = Directory::default();
    for (number, (class, coding, identity, coded)) in (0..).zip(chunks()) {
        let plain_len = if coding == Coding::Zstd { identity.len() } else { coded.len() };
        let mut stored = coded;
        keys.of(class).encrypt(class, number, &mut stored);
        let id_key = match class {
            Class::Data => fixture::data_id_key(),
            Class::Page | Class::Node => fixture::node_id_key(),
        };
        directory.records.push(Record {
            id: chunk_id(&id_key, class, &identity),
            class: class.to_byte(),
            coding,
            stored_len: u32::try_from(stored.len()).unwrap(),
            plain_len: u32::try_from(plain_len).unwrap(),
            depth: 0,
            bases: Vec::new(),
        });
        bytes.extend_from_slice(&stored);
    }
    let chunks_end = bytes.len();
    let sealed = directory.seal(&header, &fixture::index_key());
    bytes.extend_from_slice(&sealed);
    bytes.extend_from_slice(&encode_trailer(sealed.len()));
    (bytes, chunks_end)
}

fn packs() -> Vec<Vector> {
    let mut group = Group::new("pack", "6.1");
    let (bytes, chunks_end) = whole();
    group
        .with("index-key", hex(fixture::index_key().expose()))
        .with("data-id-key", hex(fixture::data_id_key().expose()))
        .with("node-id-key", hex(fixture::node_id_key().expose()))
        .with("psk", hex(fixture::psk().expose()))
        .with("data-private", hex(fixture::data_private().expose()))
        .with("meta-private", hex(fixture::meta_private().expose()))
        .with("pack", PackId::of(&bytes));
    group.accept("plain", "a chunk of each class, raw and zstd", bytes.clone());
    group.reject("name", "other bytes than its name says", "OtherName", flip(&bytes, 400));
    let named = |group: &mut Group, name, comment, expected, bytes: Vec<u8>| {
        group.with("pack", PackId::of(&bytes));
        group.reject(name, comment, expected, bytes);
    };
    group.spec("6.3");
    named(&mut group, "chunk", "a chunk is altered", "Altered", flip(&bytes, 320));
    group.spec("6.4");
    let altered = flip(&bytes, chunks_end + 40);
    named(&mut group, "directory", "the directory is altered", "Altered", altered);
    let altered = flip(&bytes, chunks_end);
    named(&mut group, "commitment", "sealed by another domain", "OtherKey", altered);
    named(&mut group, "salt", "another salt", "OtherKey", flip(&bytes, 288));
    let spare = [&bytes[..chunks_end], &[0], &bytes[chunks_end..]].concat();
    let sum = "NotCanonical: sum of the stored lengths";
    named(&mut group, "spare", "a byte between chunks and directory", sum, spare);
    group.spec("6.5");
    let long = patch(&bytes, bytes.len() - 12, &[0xFF, 0xFF]);
    named(&mut group, "trailer", "a directory longer than the pack", "Truncated: pack", long);
    group.spec("6.3");
    group.with("pack", PackId::of(&bytes)).with("data-id-key", hex(&[0; 32]));
    group.reject("chunk-id", "a chunk of another id", "OtherChunk", bytes);
    group.vectors
}

/// The domain whose keys the vectors give is the fixture's.
#[test]
fn packs_belong_to_the_domain() {
    assert_eq!(some_header().domain, DOMAIN);
}
