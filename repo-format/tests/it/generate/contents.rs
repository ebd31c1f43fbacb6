//! Tables of contents of SQL dumps.

use indelible_format::contents::{Contents, ContentsBuilder, Dialect, SectionKind};
use indelible_format::limits::CONTENTS_BYTES_MAX;
use indelible_format::path::EntryPath;
use indelible_format::wire::Builder;

use super::{Group, cut, longer};
use crate::vector::Vector;

pub(super) fn make() -> Vec<Vector> {
    let mut group = Group::new("contents", "8.6");
    accepted(&mut group);
    refused_sections(&mut group);
    refused_dumps(&mut group);
    refused_by_limits(&mut group);
    group.vectors
}

fn record(path: &str, contents: &Contents) -> Vec<u8> {
    let mut bytes = Vec::new();
    contents.encode_to(&EntryPath::new(path).unwrap(), &mut bytes);
    bytes
}

fn orders() -> Vec<u8> {
    let name = &[&b"public"[..], b"orders"];
    let mut builder = ContentsBuilder::new(Dialect::Postgres);
    builder.push(SectionKind::Preamble, &[], 500, 0).unwrap();
    builder.push(SectionKind::Table, name, 300, 0).unwrap();
    builder.push(SectionKind::Data, name, 70_000, 1_000).unwrap();
    builder.push(SectionKind::End, &[], 40, 0).unwrap();
    record("shop.sql", &builder.finish().unwrap().unwrap())
}

/// Sections laid out as they are: kind, parts of the name, length, rows.
type Raw<'a> = (u8, &'a [&'a [u8]], u64, u64);

fn dump(path: &str, dialect: u8, sections: &[Raw<'_>]) -> Vec<u8> {
    let mut out = Builder::new();
    out.text16(path.as_bytes()).u8(dialect).count32(sections.len());
    for (kind, name, len, rows) in sections {
        out.u8(*kind).u8(u8::try_from(name.len()).unwrap());
        for part in *name {
            out.text16(part);
        }
        out.u64(*len).u64(*rows);
    }
    out.finish()
}

fn accepted(group: &mut Group) {
    let plain = orders();
    group.accept("plain", "a table and its rows", plain.clone());
    let every: Vec<Raw<'_>> = (1..=17).map(|kind| (kind, &[][..], 1, 0)).collect();
    let every = longer(&dump("a", 2, &every), &dump("b", 3, &[(6, &[b"", b"\xFF", b"."], 1, 0)]));
    group.accept("every", "every kind and dialect, names of any bytes", every);
    let longest = dump("a", 1, &[(6, &[&[b'x'; 1_024]], u64::MAX, 0)]);
    group.accept("longest", "the longest name and dump", longest);
    group.reject("cut", "cut short", "Truncated: section", cut(&plain, 1));
    group.reject("trailing", "a byte behind", "Truncated: path of a dump", longer(&plain, &[0]));
}

fn refused_sections(group: &mut Group) {
    let mut reject = |name: &str, comment, expected, sections: &[Raw<'_>]| {
        group.reject(name, comment, expected, dump("a", 1, sections));
    };
    let kind = "Unknown: kind of a section";
    reject("kind-0", "kind 0", kind, &[(0, &[], 1, 0)]);
    reject("kind-18", "kind 18", kind, &[(18, &[], 1, 0)]);
    reject("empty", "no bytes", "OutOfBounds: length of a section", &[(1, &[], 0, 0)]);
    let rows = "OutOfBounds: rows of a section without data";
    reject("rows", "rows of a definition", rows, &[(6, &[b"t"], 9, 1)]);
    let joined = "NotCanonical: sections of a dump";
    reject("joined", "sections that could be one", joined, &[(7, &[b"t"], 9, 1), (7, &[b"t"], 9, 1)]);
    let over = "NotCanonical: length of a dump";
    reject("overflow", "over 64 bits", over, &[(1, &[], u64::MAX, 0), (2, &[], 1, 0)]);
    let parts = "OutOfBounds: parts of a section's name";
    reject("parts", "four parts", parts, &[(6, &[b"a", b"b", b"c", b"d"], 9, 0)]);
    reject("none", "no section", "OutOfBounds: sections of a dump", &[]);
}

fn refused_dumps(group: &mut Group) {
    let dialect = "Unknown: dialect of a dump";
    group.reject("dialect-0", "dialect 0", dialect, dump("a", 0, &[(1, &[], 1, 0)]));
    group.reject("dialect-4", "dialect 4", dialect, dump("a", 4, &[(1, &[], 1, 0)]));
    let path = "NotCanonical: path of a dump";
    group.reject("path", "a path that leads up", path, dump("../a", 1, &[(1, &[], 1, 0)]));
    let order = "NotAscending: paths of dumps";
    let of = |path| dump(path, 1, &[(1, &[], 1, 0)]);
    group.reject("order", "descending", order, longer(&of("b"), &of("a")));
    group.reject("twice", "a dump twice", order, longer(&of("a"), &of("a")));
    // Below a directory stands before what merely begins alike.
    group.reject("path-order", "in the order of bytes", order, longer(&of("a-b"), &of("a/b")));
    group.reject("no-dump", "no dump", "OutOfBounds: tables of contents", []);
}

fn refused_by_limits(group: &mut Group) {
    group.spec("11");
    let part = "OutOfBounds: length of a name's part";
    group.reject("part", "1,025 bytes", part, dump("a", 1, &[(6, &[&[b'x'; 1_025]], 9, 0)]));
    let mut many = Builder::new();
    many.text16(b"a").u8(1).u32((1 << 20) + 1);
    group.reject("sections", "1,048,577", "OutOfBounds: sections of a dump", many.finish());
    let long = vec![0; CONTENTS_BYTES_MAX + 1];
    group.reject("long", "over 64 MiB", "OutOfBounds: tables of contents", long);
}
