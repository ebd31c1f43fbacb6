//! What the builder of tables of contents makes of the sections that it is told
//! (SPEC 8.6).

use indelible_format::contents::{
    Contents, ContentsBuilder, ContentsFull, Dialect, DumpTables, SectionKind,
};
use indelible_format::limits::{CONTENTS_BYTES_MAX, CONTENTS_SECTIONS_MAX};
use indelible_format::path::EntryPath;
use proptest::collection::vec;
use proptest::prelude::*;

/// A dump without a byte has no table, and one with a byte has one that is not empty.
///
/// Method: no section, sections of no byte, and a section of one.
#[test]
fn only_dumps_without_a_byte_have_no_table() {
    let empty = || ContentsBuilder::new(Dialect::Sqlite);
    assert_eq!(empty().finish(), Ok(None));
    let mut builder = empty();
    builder.push(SectionKind::Preamble, &[], 0, 0).unwrap();
    builder.push(SectionKind::Table, &[b"t"], 0, 0).unwrap();
    assert_eq!(builder.finish(), Ok(None));
    let mut builder = empty();
    builder.push(SectionKind::Table, &[b"t"], 1, 0).unwrap();
    let contents = builder.finish().unwrap().expect("there is a byte");
    assert!(!contents.is_empty());
    assert_eq!((contents.len(), contents.sections().count()), (1, 1));
}

/// A name has at most three parts of at most 1,024 bytes (SPEC 11), and a longer one is
/// told rather than cut.
///
/// Method: names at each bound and beyond, alone and both at once.
#[test]
fn names_are_bounded() {
    let (longest, longer) = (&[b'x'; 1_024][..], &[b'x'; 1_025][..]);
    let short = &b"x"[..];
    for (name, fits) in [
        (&[longest; 3][..], true),
        (&[longest, longest, longer], false),
        (&[longer], false),
        (&[short; 4], false),
        (&[longest; 4], false),
        (&[longer; 4], false),
    ] {
        let mut builder = ContentsBuilder::new(Dialect::Postgres);
        let pushed = builder.push(SectionKind::Table, name, 1, 0);
        assert_eq!(pushed, if fits { Ok(()) } else { Err(ContentsFull) });
    }
}

/// A table of these sections, or whether they are too many.
fn table<'a>(
    sections: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Contents>, ContentsFull> {
    let mut builder = ContentsBuilder::new(Dialect::Mariadb);
    for name in sections {
        builder.push(SectionKind::Table, &[name], 1, 0)?;
    }
    builder.finish()
}

/// A table holds 1,048,576 sections, and 64 MiB of them, and no more of either
/// (SPEC 11).
///
/// Method: short sections at the bound of their number, and sections of 1 KiB at the
/// bound of their bytes; then one section, or one byte of a name, more. A section with
/// a name of one part takes 20 bytes and the name.
#[test]
fn tables_are_bounded() {
    let names = |len: usize| [vec![b'a'; len], vec![b'b'; len]];
    let short = names(1);
    let many = |count| table((0..count).map(|n| &short[n % 2][..]));
    let most = many(CONTENTS_SECTIONS_MAX).unwrap().unwrap();
    assert_eq!(most.sections().count(), CONTENTS_SECTIONS_MAX);
    assert_eq!(many(CONTENTS_SECTIONS_MAX + 1), Err(ContentsFull));

    let (long, longer) = (names(1_004), names(1_005));
    let count = CONTENTS_BYTES_MAX / 1_024;
    let all = || (0..count).map(|n| &long[n % 2][..]);
    let fullest = table(all()).unwrap().unwrap();
    assert_eq!(fullest.len(), count as u64);
    let over = all().take(count - 1).chain([&longer[1][..]]);
    assert_eq!(table(over), Err(ContentsFull));
    assert_eq!(table(all().chain([&short[0][..]])), Err(ContentsFull));
}

/// Whatever a builder is told, the table that it gives is one that readers take, with
/// the bytes and rows of data that it was told of.
///
/// Method: random calls of few kinds and names, of no byte too; encode, decode, compare.
#[test]
fn what_is_built_is_read() {
    let kinds = [SectionKind::Preamble, SectionKind::Data, SectionKind::Index];
    let call = (0..3_usize, 0..2_usize, 0..3_u64, 0..3_u64, any::<bool>());
    proptest!(|(calls in vec(call, 0..40))| {
        let mut builder = ContentsBuilder::new(Dialect::Postgres);
        let (mut last, mut bytes, mut rows) = (None, 0, 0);
        for (kind, name, len, more_rows, extends) in calls {
            if extends && last.is_some() {
                builder.extend(len, more_rows).unwrap();
            } else {
                builder.push(kinds[kind], &[&b"ab"[name..]], len, more_rows).unwrap();
                if len == 0 {
                    continue;
                }
                last = Some(kinds[kind]);
            }
            bytes += len;
            if last == Some(SectionKind::Data) {
                rows += more_rows;
            }
        }
        let Some(contents) = builder.finish().unwrap() else {
            prop_assert_eq!(bytes, 0);
            return Ok(());
        };
        let path = EntryPath::new(b"dump.sql").unwrap();
        let mut encoded = Vec::new();
        contents.encode_to(&path, &mut encoded);
        let decoded: Vec<_> = DumpTables::new(&encoded).unwrap().collect();
        prop_assert_eq!(decoded, vec![Ok((path, contents.clone()))]);
        let sections = || contents.sections();
        prop_assert_eq!(contents.len(), bytes);
        prop_assert_eq!(sections().map(|section| section.len).sum::<u64>(), bytes);
        prop_assert_eq!(sections().map(|section| section.rows).sum::<u64>(), rows);
    });
}
