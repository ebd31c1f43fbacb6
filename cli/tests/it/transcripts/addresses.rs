//! Which snapshot is meant, and where it may be restored to.

use std::fs;

use crate::support::World;

fn with_snapshots(names: &[&str]) -> World {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    for name in names {
        let snapshot = ["snapshot", name, "orders.sql"];
        world.indelible(snapshot).key(&key).run().exits(0);
    }
    world
}

/// What names no snapshot is a usage error that lists what there is.
///
/// Method: an absent NAME, number, id and day, and forms that are none.
#[test]
fn unknown_snapshots() {
    let world = with_snapshots(&["orders", "shop"]);
    for (snap, phrase) in [
        ("nope", "there are snapshots of orders, shop"),
        ("@99", "there is no snapshot \"@99\""),
        ("@1", "there is no snapshot \"@1\""),
        ("orders@2001-01-01", "there is no snapshot"),
        ("orders@noon", "that is no date"),
        ("id:", "an id is hexadecimal digits"),
        ("id:xyz", "an id is hexadecimal digits"),
        ("", "names no snapshot"),
        ("12", "names no snapshot"),
    ] {
        world
            .indelible(["restore", snap, "--target", "out"])
            .run()
            .exits(2)
            .says(phrase);
    }
    assert!(!world.path("out").exists());
}

/// A bare `latest` is enough where there is one NAME, and else names them.
///
/// Method: restore it with one NAME, then with two.
#[test]
fn latest_of_several() {
    let world = with_snapshots(&["orders", "orders"]);
    let latest = ["restore", "latest", "--target"];
    let run = world.indelible(latest).arg("one").run();
    run.exits(0).prints("@3 orders");
    let key = world.key("write", &["--names", "*"]);
    let snapshot = ["snapshot", "shop", "orders.sql"];
    world.indelible(snapshot).key(&key).run().exits(0);
    let run = world.indelible(latest).arg("two").run();
    run.exits(2)
        .says("\"latest\" of which NAME? There are orders, shop")
        .says("orders@latest");
}

/// An ambiguous id lists its matches.
///
/// Method: among 17 snapshots two ids begin with the same digit.
#[test]
fn ambiguous_id() {
    let world = with_snapshots(&["orders"; 17]);
    let listed = world.indelible(["--json", "list"]).run();
    let ids: Vec<String> = listed
        .messages()
        .iter()
        .map(|snapshot| snapshot["id"].as_str().unwrap().to_owned())
        .collect();
    let alike = |digit: &char| ids.iter().filter(|id| id.starts_with(*digit)).count() > 1;
    let digit = "0123456789abcdef".chars().find(alike).unwrap();
    let ran = world
        .indelible(["restore", &format!("id:{digit}"), "--target", "out"])
        .run();
    ran.exits(2).says("is ambiguous");
    for id in ids.iter().filter(|id| id.starts_with(digit)) {
        ran.says(id);
    }
    let whole = format!("id:{}", ids[4]);
    let run = world.indelible(["restore", &whole, "--target", "out"]);
    run.run().exits(0).prints("@6 orders");
}

/// A restore replaces nothing unless it is told to.
///
/// Method: restore onto a file that differs, without and with --overwrite.
#[test]
fn existing_file() {
    let world = with_snapshots(&["orders"]);
    let mine = world.file("out/orders.sql", "mine");
    let restore = ["restore", "orders", "--target", "out"];
    let run = world.indelible(restore).run();
    run.exits(14)
        .says("orders.sql exists already")
        .says("--overwrite");
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
    let run = world.indelible(restore).arg("--overwrite").run();
    run.exits(0).prints("1 entry");
    assert_eq!(fs::read(&mine).unwrap(), b"select 1;\n");
}

/// A path that the snapshot has not is a usage error.
///
/// Method: restore an absent path, an absolute one, and a directory to standard
/// output.
#[test]
fn absent_paths() {
    let world = with_snapshots(&["orders"]);
    let restore = |path: &str| {
        let run = world.indelible(["restore", "orders", path, "--target", "out"]);
        run.run()
    };
    restore("absent.sql").exits(2).says("has no absent.sql");
    restore("/orders.sql").exits(2).says("paths are relative");
    restore("../orders.sql")
        .exits(2)
        .says("no path in a snapshot");
}
