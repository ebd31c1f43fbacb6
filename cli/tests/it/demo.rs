//! The demonstration that the first page offers.

use std::fs;

use crate::support::World;

/// The demo shows the whole round and leaves nothing behind.
///
/// Method: run it with a temporary directory of its own and look into that one,
/// the home and the working directory afterwards.
#[test]
fn leaves_nothing() {
    let world = World::empty();
    let temporary = world.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let names = || {
        let entries = fs::read_dir(world.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let run = world.indelible(["demo"]).without_key();
    run.env("TMPDIR", &temporary)
        .run()
        .exits(0)
        .prints("night 3")
        .prints("no problem")
        .prints("byte for byte");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.path("home")).unwrap().count(), 0);
    assert_eq!(names(), before);
}

/// What the demo keeps opens as it says.
///
/// Method: take the environment from its words, and list, verify and restore with
/// that.
#[test]
fn kept_repository_opens() {
    let world = World::empty();
    let ran = world.indelible(["demo", "--keep", "kept"]).run();
    ran.exits(0);
    let printed = ran.stdout();
    let exported: Vec<(&str, &str)> = printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='))
        .collect();
    assert_eq!(exported.len(), 3, "{printed}");
    let with_exported = |args: &[&str]| {
        let run = world.indelible(args);
        let set = exported.iter();
        set.fold(run, |run, (name, value)| run.env(name, value))
            .run()
    };
    with_exported(&["list"]).exits(0).prints("@4");
    with_exported(&["verify"])
        .exits(0)
        .prints("no problem found");
    let restored = with_exported(&["restore", "shop", "--stdout"]);
    restored.exits(0);
    let taken = fs::read(world.path("kept/night3/shop.db")).unwrap();
    assert!(restored.bytes() == taken);
}

/// The demo writes into no directory that holds anything.
///
/// Method: let it keep its work where a file is.
#[test]
fn refuses_what_is_there() {
    let world = World::empty();
    world.file("kept/mine", "mine");
    let run = world.indelible(["demo", "--keep", "kept"]);
    run.run().exits(14).says("is not empty");
    assert_eq!(fs::read_dir(world.path("kept")).unwrap().count(), 1);
}

/// The demo prints messages for programs.
///
/// Method: parse them.
#[test]
fn json() {
    let world = World::empty();
    let ran = world.indelible(["--json", "demo"]).run();
    let shown = ran.exits(0).message("demo");
    assert_eq!(shown["restored_equals_taken"], true);
    let messages = ran.messages();
    let nights = messages
        .iter()
        .filter(|message| message["message_type"] == "night");
    assert_eq!(nights.count(), 3);
}
