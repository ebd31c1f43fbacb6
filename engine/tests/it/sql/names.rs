//! Names of tables: typed, shown, and as files.

use std::collections::HashSet;

use indelible_engine::sql::{NameError, file_name, find_table, show_name, tables};
use indelible_format::contents::{Contents, ContentsBuilder, Dialect, SectionKind};
use proptest::collection::vec;
use proptest::prelude::*;

fn contents(dialect: Dialect, names: &[&[&[u8]]]) -> Contents {
    let mut builder = ContentsBuilder::new(dialect);
    for name in names {
        builder.push(SectionKind::Table, name, 1, 0).unwrap();
        builder.push(SectionKind::Data, name, 1, 0).unwrap();
    }
    builder.finish().unwrap().unwrap()
}

/// A table is found by what a person would type, and never by what may be two.
///
/// Method: tables of one name in two schemas, with dots, quotes and upper case; the
/// ways to type each.
#[test]
fn typed_names() {
    let names: [&[&[u8]]; 5] = [
        &[b"public", b"orders"],
        &[b"app", b"orders"],
        &[b"public", b"Upper"],
        &[b"we.ird", b"a \"b\".c"],
        &[b"public", b"app.orders"],
    ];
    let all = contents(Dialect::Postgres, &names);
    for (typed, expected) in [
        ("public.orders", 0),
        ("PUBLIC.Orders", 0),
        ("app.orders", 1),
        ("\"app\".orders", 1),
        ("\"app.orders\"", 4),
        ("Upper", 2),
        ("\"Upper\"", 2),
        ("\"we.ird\".\"a \"\"b\"\".c\"", 3),
        ("a \"b\".c", 3),
    ] {
        let found = find_table(&all, typed).unwrap();
        let expected: &[&[u8]] = names[expected];
        assert!(found.parts().eq(expected.iter().copied()), "{typed}");
    }
    let Err(NameError::Ambiguous { tables, .. }) = find_table(&all, "orders") else {
        panic!("it may be two tables");
    };
    assert_eq!(tables, ["public.orders", "app.orders"]);
    let Err(NameError::Unknown { tables, .. }) = find_table(&all, "order\u{1b}[2J") else {
        panic!("there is no such table");
    };
    assert_eq!(tables.len(), 5);
    assert!(find_table(&all, "").is_err());
}

/// A view is no table, though there is a table of its name for a while.
///
/// Method: sections of both kinds and one name.
#[test]
fn views_are_no_tables() {
    let mut builder = ContentsBuilder::new(Dialect::Mariadb);
    builder.push(SectionKind::Table, &[b"v"], 1, 0).unwrap();
    builder.push(SectionKind::View, &[b"v"], 1, 0).unwrap();
    builder.push(SectionKind::Table, &[b"t"], 1, 0).unwrap();
    let all = builder.finish().unwrap().unwrap();
    let shown: Vec<String> = tables(&all)
        .into_iter()
        .map(|name| show_name(Dialect::Mariadb, name))
        .collect();
    assert_eq!(shown, ["t"]);
}

/// A file of a plain name is called like it, and of an odd one safely.
///
/// Method: names with what a path, a terminal or another name would take up.
#[test]
fn files_of_names() {
    for (name, file) in [
        (&[&b"public"[..], b"orders"][..], "public.orders.data.sql"),
        (&[b"t"], "t.data.sql"),
        (&[b"a.b", b"c"], "a%2Eb.c.data.sql"),
        (&[b"..", b"/x"], "%2E%2E.%2Fx.data.sql"),
        (&[b"50%", b"\0\n\xFF"], "50%25.%00%0A%FF.data.sql"),
        (&["\u{fc} x".as_bytes()], "\u{fc} x.data.sql"),
    ] {
        let contents = contents(Dialect::Postgres, &[name]);
        assert_eq!(file_name(tables(&contents)[0]).as_deref(), Some(file));
    }
    for (len, fits) in [(246, true), (247, false)] {
        let name = vec![b'x'; len];
        let contents = contents(Dialect::Postgres, &[&[&name]]);
        assert_eq!(file_name(tables(&contents)[0]).is_some(), fits);
    }
}

proptest! {
    /// Different tables have different files, which are single components.
    ///
    /// Method: many names of few letters, among them those that escapes are made of.
    #[test]
    fn files_differ(names in vec(vec(vec(prop::sample::select(b".%/2E\xC3\xBC\n".to_vec()), 0..4), 1..=3), 1..30)) {
        let mut builder = ContentsBuilder::new(Dialect::Postgres);
        for name in &names {
            let name: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
            builder.push(SectionKind::Table, &name, 1, 0).unwrap();
        }
        let contents = builder.finish().unwrap().unwrap();
        let mut files = HashSet::new();
        for name in tables(&contents) {
            let file = file_name(name).unwrap();
            prop_assert!(!file.contains('/') && !file.contains('\0') && file != "..");
            prop_assert!(files.insert(file));
        }
    }

    /// What is shown of a table can be typed again.
    ///
    /// Method: names of odd but printable letters, in each dialect.
    #[test]
    fn shown_names_are_found(schema in "[a-c.\"` ;\\\\$'A-]{1,5}", name in "[a-c.\"` ;\\\\$'A-]{1,5}") {
        for dialect in Dialect::ALL {
            let parts: [&[u8]; 2] = [schema.as_bytes(), name.as_bytes()];
            let contents = contents(dialect, &[&parts]);
            let shown = show_name(dialect, tables(&contents)[0]);
            let found = find_table(&contents, &shown).unwrap();
            prop_assert!(found.parts().eq(parts), "{}", shown);
        }
    }
}
