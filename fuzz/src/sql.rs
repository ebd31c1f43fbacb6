//! Dumps: whatever they hold, and however they are cut.

use std::convert::Infallible;

use indelible_engine::sql::extract::{self, Part, Piece};
use indelible_engine::sql::{Scanner, tables};
use indelible_format::contents::{Contents, DumpTables};
use indelible_format::path::EntryPath;

/// How many tables are taken out of one dump.
const TABLES_MAX: usize = 4;

fn scan<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Contents> {
    let mut scanner = Scanner::new();
    for piece in pieces {
        scanner.feed(piece);
    }
    scanner.finish()
}

/// Scans a dump whole and in pieces, whose length the first byte says, and takes tables
/// out of it. Panics if cuts matter, if the table of contents does not cover the dump
/// or has no encoding, or if a plan leads out of it.
pub fn sql_dump(data: &[u8]) {
    let Some((&cut, dump)) = data.split_first() else {
        return;
    };
    let whole = scan(std::iter::once(dump));
    let pieces = scan(dump.chunks(1 + usize::from(cut)));
    assert!(whole == pieces, "cuts matter");
    let Some(contents) = whole else { return };
    assert_eq!(contents.len(), dump.len() as u64);
    let path = EntryPath::new(&b"a"[..]).expect("it is a path");
    let mut encoded = Vec::new();
    contents.encode_to(&path, &mut encoded);
    let mut decoded = DumpTables::new(&encoded).expect("it is within the limits");
    assert!(decoded.next() == Some(Ok((path, contents.clone()))));
    for table in tables(&contents).into_iter().take(TABLES_MAX) {
        let mut read = |offset: u64, len: usize| {
            let offset = usize::try_from(offset).expect("it is within the dump");
            Ok::<_, Infallible>(dump[offset..offset + len].to_vec())
        };
        // A section may begin where only its neighbours make sense of it.
        let Ok(plan) = extract::plan(&contents, table, Part::Whole, &mut read) else {
            continue;
        };
        for piece in plan.pieces {
            if let Piece::Range { offset, len } = piece {
                assert!(len > 0 && offset + len <= contents.len());
            }
        }
    }
}
