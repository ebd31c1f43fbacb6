//! Looking into snapshots: `ls`, `cat`, `diff`, `find`.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{World, noise};

/// A dump as `pg_dump` writes one, with so many orders.
fn dump(orders: usize) -> String {
    let mut dump = "--\n-- PostgreSQL database dump\n--\n\n\
        SET standard_conforming_strings = on;\n\n\
        CREATE TABLE public.customers (\n    id integer NOT NULL\n);\n\n\
        CREATE TABLE public.orders (\n    id integer NOT NULL,\n    customer integer\n);\n\n\
        COPY public.customers (id) FROM stdin;\n1\n2\n\\.\n\n\
        COPY public.orders (id, customer) FROM stdin;\n"
        .to_owned();
    for number in 0..orders {
        let _ = writeln!(dump, "{number}\t{}", number % 2);
    }
    dump.push_str(
        "\\.\n\n\
        ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);\n\n\
        ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_customer_fkey \
        FOREIGN KEY (customer) REFERENCES public.customers(id);\n\n\
        --\n-- PostgreSQL database dump complete\n--\n\n",
    );
    dump
}

/// Two snapshots of a dump and some files, of which a few change.
fn two_nights() -> World {
    let world = World::new();
    world.file("dumps/app.sql", dump(30));
    world.file("dumps/notes.txt", "some notes");
    world.file("dumps/old/first", noise(1, 5_000));
    world.file("dumps/same", noise(2, 100_000));
    let snapshot = || world.indelible(["snapshot", "shop", "dumps"]).run();
    snapshot().exits(0);
    world.file("dumps/app.sql", dump(33));
    world.file("dumps/new", "new");
    fs::remove_file(world.path("dumps/old/first")).unwrap();
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(world.path("dumps/notes.txt"), private).unwrap();
    snapshot().exits(0);
    world
}

/// Entries are listed directory by directory, or all of them.
#[test]
fn entries_are_listed() {
    let world = two_nights();
    let ls = |args: &[&str]| world.indelible(["ls"]).args(args).run();
    let ran = ls(&["@1"]);
    ran.exits(0).prints("dumps/\n");
    assert!(!ran.stdout().contains("app.sql"));
    let ran = ls(&["@1", "dumps/"]);
    ran.exits(0).prints("dumps/app.sql").prints("dumps/old/\n");
    assert!(!ran.stdout().contains("first"));
    ls(&["@1", "--recursive"])
        .exits(0)
        .prints("dumps/old/first");
    ls(&["@1", "dumps/notes.txt"]).exits(0).prints("10 B");
    ls(&["shop", "dumps/notes.txt"])
        .exits(0)
        .prints("-rw-------");
    ls(&["@1", "dumps/absent"])
        .exits(2)
        .says("has no dumps/absent")
        .says("indelible ls @1")
        .prints_nothing();
    ls(&["@9"]).exits(2).says("there is no snapshot");
    let paths = |ran: crate::support::Ran| -> Vec<String> {
        let messages = ran.exits(0).messages();
        let path = |message: &serde_json::Value| message["path"].as_str().unwrap().to_owned();
        messages.iter().map(path).collect()
    };
    let listed = paths(ls(&["@1", "--json", "-R"]));
    let expected = [
        "dumps",
        "dumps/app.sql",
        "dumps/notes.txt",
        "dumps/old",
        "dumps/old/first",
        "dumps/same",
    ];
    assert_eq!(listed, expected);
}

/// The tables of a dump are listed with their rows.
#[test]
fn tables_are_listed() {
    let world = two_nights();
    let ls = |args: &[&str]| world.indelible(["ls", "--tables"]).args(args).run();
    let ran = ls(&["@2", "--json"]);
    let tables: Vec<(String, u64)> = ran
        .exits(0)
        .messages()
        .iter()
        .map(|it| {
            (
                it["table"].as_str().unwrap().to_owned(),
                it["rows"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [("public.customers", 2), ("public.orders", 33)];
    assert_eq!(tables, expected.map(|(name, rows)| (name.to_owned(), rows)));
    ls(&["@1", "dumps/app.sql"])
        .exits(0)
        .prints("public.orders")
        .prints("30");
    ls(&["@1", "dumps/same"])
        .exits(2)
        .says("dumps/same has no table of contents")
        .says("pg_dump");
}

/// Files are printed whole, by ranges, and by tables.
#[test]
fn files_are_printed() {
    let world = two_nights();
    let cat = |args: &[&str]| world.indelible(["cat"]).args(args).run();
    let same = noise(2, 100_000);
    let bytes = |args: &[&str]| cat(args).exits(0).bytes().to_vec();
    assert!(bytes(&["@1", "dumps/same"]) == same);
    assert!(bytes(&["@1", "dumps/same", "--range", "0-99"]) == same[..100]);
    assert!(bytes(&["@1", "dumps/same", "--range", "99990-"]) == same[99_990..]);
    assert!(bytes(&["@1", "dumps/same", "--range", "-7"]) == same[99_993..]);
    assert!(bytes(&["@1", "dumps/same", "--range", "99990-200000"]) == same[99_990..]);
    assert!(bytes(&["@1", "dumps/same", "--range", "100000-"]).is_empty());
    assert_eq!(bytes(&["@2", "dumps/new"]), b"new");
    cat(&["@1", "dumps/same", "--range", "9-3"])
        .exits(2)
        .says("0-99");
    cat(&["@1", "dumps"]).exits(2).says("dumps is not a file");
    cat(&["@1"]).exits(2);
}

/// A table is printed so that it loads alone, or its rows alone.
#[test]
fn tables_are_printed() {
    let world = two_nights();
    let cat = |args: &[&str]| world.indelible(["cat", "@2", "--table"]).args(args).run();
    let ran = cat(&["public.orders", "dumps/app.sql"]);
    ran.exits(0)
        .prints("SET standard_conforming_strings")
        .prints("CREATE TABLE public.orders")
        .prints("32\t0\n\\.\n")
        .prints("orders_pkey")
        .says("foreign key");
    assert!(!ran.stdout().contains("customers"), "{ran:?}");
    let rows = cat(&["orders", "--data-only"]);
    assert!(rows.exits(0).stdout().contains("COPY public.orders"));
    assert!(!rows.stdout().contains("CREATE TABLE"));
    cat(&["absent"])
        .exits(2)
        .says("no table absent")
        .says("public.orders")
        .prints_nothing();
}

/// What differs is told, entry by entry and table by table.
#[test]
fn differences_are_told() {
    let world = two_nights();
    let diff = |args: &[&str]| world.indelible(["diff"]).args(args).run();
    let ran = diff(&["@1", "shop", "--json"]);
    let told: Vec<(String, String)> = ran
        .exits(0)
        .messages()
        .iter()
        .map(|it| {
            ["path", "change"]
                .map(|key| it[key].as_str().unwrap().to_owned())
                .into()
        })
        .collect();
    let expected = [
        ("dumps/app.sql", "changed"),
        ("dumps/new", "added"),
        ("dumps/notes.txt", "metadata"),
        ("dumps/old/first", "removed"),
    ];
    let expected = expected.map(|(path, change)| (path.to_owned(), change.to_owned()));
    let told: Vec<_> = told
        .into_iter()
        // Of a directory, the time has changed.
        .filter(|(path, _)| path != "dumps" && path != "dumps/old")
        .collect();
    assert_eq!(told, expected);
    let messages = ran.messages();
    let dump = messages
        .iter()
        .find(|it| it["path"] == "dumps/app.sql")
        .unwrap();
    assert_eq!(dump["tables"].as_array().unwrap().len(), 1);
    let table = &dump["tables"][0];
    assert_eq!(table["table"], "public.orders");
    assert_eq!(
        (&table["before_rows"], &table["after_rows"]),
        (&30.into(), &33.into())
    );
    diff(&["@1", "@2"])
        .exits(0)
        .prints("M public.orders")
        .prints("33 (+3)")
        .prints("-  dumps/old/first");
    diff(&["@2", "@2"])
        .exits(0)
        .prints_nothing()
        .says("has what");
}

/// A table is found in the snapshots that have it.
#[test]
fn tables_are_found() {
    let world = two_nights();
    world.file("other.sql", dump(5));
    world
        .indelible(["snapshot", "other", "other.sql"])
        .run()
        .exits(0);
    let find = |args: &[&str]| world.indelible(["find"]).args(args).run();
    let found: Vec<(u64, String, u64)> = find(&["orders", "--json"])
        .exits(0)
        .messages()
        .iter()
        .map(|it| {
            let name = it["name"].as_str().unwrap().to_owned();
            (
                it["number"].as_u64().unwrap(),
                name,
                it["rows"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [(1, "shop", 30), (2, "shop", 33), (3, "other", 5)];
    assert_eq!(
        found,
        expected.map(|(number, name, rows)| (number, name.to_owned(), rows))
    );
    find(&["public.orders", "--name", "oth*"])
        .exits(0)
        .prints("@3")
        .prints("public.orders");
    find(&["other.orders"])
        .exits(0)
        .prints_nothing()
        .says("no snapshot has");
}

/// A key that may verify sees names and sizes, and no contents.
#[test]
fn a_verify_key_sees_names() {
    let world = two_nights();
    let key = world.key("verify", &[]);
    let with_key = |args: &[&str]| world.indelible(args).key(&key).run();
    with_key(&["ls", "@1", "-R"])
        .exits(0)
        .prints("dumps/app.sql");
    for args in [
        &["cat", "@1", "dumps/app.sql"][..],
        &["ls", "@1", "--tables"],
        &["diff", "@1", "@2"],
        &["find", "orders"],
    ] {
        with_key(args).exits(12).says("restore").prints_nothing();
    }
}
