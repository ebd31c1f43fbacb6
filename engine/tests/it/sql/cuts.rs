//! Where a stream is cut changes nothing.

use indelible_engine::sql::Scanner;
use indelible_format::contents::Contents;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

/// Pieces of dumps that change how what follows is read, in part or whole.
const PIECES: [&str; 56] = [
    "\n",
    " ",
    ";",
    ";\n",
    "'",
    "''",
    "\"",
    "`",
    "\\",
    "\\.\n",
    "\\.",
    "\n\\.\n",
    "\r\n",
    "--",
    "-",
    "-- x\n",
    "#",
    "/*",
    "*/",
    "/*!40101 ",
    "/*M!",
    "*",
    "/",
    "$",
    "$$",
    "$a$",
    "(",
    ")",
    ",",
    "[",
    "]",
    "E'",
    "e",
    "1",
    "x",
    "\u{fc}",
    "SET a = 1;\n",
    "DELIMITER ;;\n",
    "DELIMITER ;\n",
    ";;\n",
    "CREATE TABLE public.t (a int);\n",
    "COPY public.t (a) FROM stdin;\n",
    "1\t\\N\n",
    "INSERT INTO t VALUES (1);\n",
    "INSERT INTO t VALUES ",
    "(1,'a;''b'),\n",
    "(-1,'\\'')",
    "CREATE FUNCTION f() BEGIN ATOMIC ",
    "CREATE TRIGGER x ON t BEGIN ",
    "CASE ",
    "END",
    "END;\n",
    "\\connect db\n",
    "UNLOCK TABLES;\n",
    "INSERT INTO sqlite_sequence VALUES('t',5);\n",
    "SET @saved_x = 1;\n",
];

const BEGINNINGS: [&str; 4] = [
    "--\n-- PostgreSQL database dump\n--\n",
    "\u{feff}-- MySQL dump 10.13\n",
    "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n",
    "PRAGMA foreign_keys=OFF;\n",
];

fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Contents> {
    let mut scanner = Scanner::new();
    for piece in pieces {
        scanner.feed(piece);
    }
    scanner.finish()
}

fn dump() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(prop::sample::select(PIECES.to_vec()), 0..25);
    (prop::sample::select(BEGINNINGS.to_vec()), pieces)
        .prop_map(|(begin, pieces)| format!("{begin}{}", pieces.concat()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    /// A stream has one table of contents, which covers it, however it is cut.
    ///
    /// Method: dumps put together of whatever changes how the rest is read; whole, byte
    /// by byte, and cut at random.
    #[test]
    fn cuts_change_nothing(dump in dump(), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let whole = scan([dump.as_slice()]);
        if let Some(contents) = &whole {
            prop_assert_eq!(contents.len(), dump.len() as u64);
        }
        prop_assert_eq!(&scan(dump.chunks(1)), &whole);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(dump.len() + 1)).collect();
        cuts.extend([0, dump.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &dump[cut[0]..cut[1]]);
        prop_assert_eq!(&scan(pieces), &whole);
    }
}

/// Enough of those dumps can be followed for the property to say something.
///
/// Method: count them in a run of the same strategy.
#[test]
fn many_are_followed() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut followed = 0;
    for _ in 0..500 {
        let dump = dump().new_tree(&mut runner).unwrap().current();
        followed += usize::from(scan([dump.as_slice()]).is_some());
    }
    assert!(followed > 25, "{followed} of 500");
}
