//! Pages.

use indelible_format::ids::ChunkId;
use indelible_format::node::Root;
use indelible_format::page::{self, Content, EntryKind, Metadata, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;
use indelible_format::wire::Builder;

use super::trees::{OWN, place};
use super::{Group, cut, longer, patch};
use crate::vector::{Vector, hex};

const METADATA: Metadata =
    Metadata { mode: 0o7777, uid: 1_000, gid: u32::MAX, mtime_s: -1, mtime_ns: 999_999_999 };
const ROOT: Root = Root { len: 70_000, level: 0, id: ChunkId([0xC7; 32]) };

fn entry(path: &[u8], kind: EntryKind) -> Vec<u8> {
    let path = EntryPath::new(path).unwrap();
    TreeEntry { path, kind }.encode()
}

fn directory(path: &str) -> Vec<u8> {
    let metadata = METADATA;
    entry(path.as_bytes(), EntryKind::Directory { metadata })
}

fn file(path: &str, content: Content) -> Vec<u8> {
    let metadata = METADATA;
    entry(path.as_bytes(), EntryKind::File { metadata, content })
}

fn stream(path: &str, content: Content) -> Vec<u8> {
    entry(path.as_bytes(), EntryKind::Stream { content })
}

fn symlink(target: &[u8]) -> Vec<u8> {
    let kind = EntryKind::Symlink { metadata: METADATA, target: target.to_vec() };
    entry(b"link", kind)
}

fn page(records: &[Vec<u8>], places: &[Place]) -> Vec<u8> {
    page::encode(&records.concat(), places, &OWN)
}

pub(super) fn make() -> Vec<Vector> {
    let mut group = Group::new("page", "8.3");
    group.with("own-pack", hex(&OWN.0));
    let small = Content::Small { offset: u64::MAX - 5, len: 5 };
    let records = [
        directory("etc"),
        file("etc/hosts", small),
        file("etc-1", Content::Empty),
        symlink(b"../etc"),
        file("own", Content::Own(ROOT)),
        stream("stdin", Content::Own(ROOT)),
        stream("zero", Content::Empty),
    ];
    let plain = page(&records, &[place(9, 3), place(0, 8_191)]);
    group.accept("plain", "an entry of each kind and content", plain.clone());
    group.reject("cut", "cut short", "Truncated: places", cut(&plain, 1));
    group.reject("trailing", "a byte behind", "Trailing: places", longer(&plain, &[0]));
    let none = page(&[], &[]);
    group.reject("no-records", "no record", "OutOfBounds: records of the page", none);
    let beyond = patch(&plain, 0, &[0, 16, 0, 0]);
    group.reject(
        "records-beyond",
        "longer than the page",
        "Truncated: records of the page",
        beyond,
    );
    let few = page(&records, &[place(9, 3)]);
    group.reject("few-places", "a place for two streams", "NotCanonical: places", few);
    let many = page(&records[..1], &[place(9, 3)]);
    group.reject(
        "many-places",
        "a place for a directory",
        "OutOfBounds: packs of the places",
        many,
    );
    refused_records(&mut group);
    refused_contents(&mut group);
    refused_orders(&mut group);
    group.spec("11");
    let over = ((1_u32 << 20) + 1).to_le_bytes();
    group.reject("too-long", "over 1 MiB", "OutOfBounds: records of the page", over);
    group.vectors
}

fn refused_records(group: &mut Group) {
    let one = |record: Vec<u8>| page(&[record], &[]);
    let plain = directory("etc");
    let kind = "Unknown: kind of an entry";
    group.reject("kind-0", "kind 0", kind, one(patch(&plain, 5, &[0])));
    group.reject("kind-5", "kind 5", kind, one(patch(&plain, 5, &[5])));
    let mode = one(patch(&plain, 6, &0o10_000_u32.to_le_bytes()));
    group.reject("mode", "a bit above the permissions", "OutOfBounds: permission bits", mode);
    let nanoseconds = one(patch(&plain, 26, &1_000_000_000_u32.to_le_bytes()));
    group.reject("nanoseconds", "a whole second", "OutOfBounds: nanoseconds", nanoseconds);
    let path = "NotCanonical: path of an entry";
    group.reject("path-empty", "no path", path, one(longer(&[0, 0], &plain[5..])));
    group.reject("path-parent", "leads out", path, one(patch(&plain, 2, b"/..")));
    group.reject("record-cut", "a record is cut short", "Truncated: page", one(cut(&plain, 1)));
    let target = "target of a symbolic link";
    let over = format!("OutOfBounds: {target}");
    group.accept("target-longest", "4,095 bytes", one(symlink(&[b'a'; 4_095])));
    group.reject("target-long", "4,096 bytes", &over, one(symlink(&[b'a'; 4_096])));
    group.reject("target-empty", "no target", &over, one(symlink(b"")));
    let zero = format!("NotCanonical: {target}");
    group.reject("target-zero", "a zero byte", &zero, one(symlink(b"a\0")));
}

/// A stream record of this size and content.
fn sized(size: u64, content: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = Builder::new();
    out.text16(b"s").u8(4).u64(size).u8(content).bytes(rest);
    page(&[out.finish()], &[])
}

fn refused_contents(group: &mut Group) {
    let size = "NotCanonical: size of an entry";
    let mut root = Builder::new();
    let root = root.u64(70_000).u8(0).bytes(&[0xC7; 32]).finish();
    group.reject("content-3", "content 3", "Unknown: content of an entry", sized(0, 3, &[]));
    group.reject("none-size", "no content and a size", size, sized(1, 0, &[]));
    group.reject("root-size", "not the length of its root", size, sized(70_001, 1, &root));
    let small = "OutOfBounds: size of a small file";
    group.reject("slice-empty", "an empty slice", small, sized(0, 2, &[0; 8]));
    let offset = "OutOfBounds: offset of a small file";
    group.reject("slice-beyond", "ends beyond 64 bits", offset, sized(1, 2, &[0xFF; 8]));
    group.spec("8.1");
    let empty = sized(0, 1, &patch(&root, 0, &[0; 8]));
    group.reject("root-empty", "an empty stream", "OutOfBounds: length of a stream", empty);
    let level = sized(70_000, 1, &patch(&root, 8, &[8]));
    group.reject("root-level", "level 8", "OutOfBounds: level of a root", level);
    group.spec("8.3");
}

fn refused_orders(group: &mut Group) {
    let order = "NotAscending: paths of the page";
    let empty = |path| file(path, Content::Empty);
    group.reject("order", "descending", order, page(&[empty("b"), empty("a")], &[]));
    group.reject("twice", "a path twice", order, page(&[empty("a"), empty("a")], &[]));
    group.spec("8.4");
    let slash = page(&[directory("a"), empty("a-b"), empty("a/b")], &[]);
    group.reject("slash", "a subtree does not stand together", order, slash);
    let below = "NotCanonical: path of an entry";
    group.reject("below-file", "below a file", below, page(&[empty("a"), empty("a/b")], &[]));
    let below_link = page(&[symlink(b"x"), empty("link/a/b")], &[]);
    group.reject("below-link", "below a symbolic link", below, below_link);
    let stream = stream("a", Content::Empty);
    group.reject("below-stream", "below a stream", below, page(&[stream, empty("a/b")], &[]));
    group.accept(
        "no-parent",
        "below a directory that is not listed",
        page(&[empty("a/b"), empty("ab")], &[]),
    );
    group.spec("8.3");
}
