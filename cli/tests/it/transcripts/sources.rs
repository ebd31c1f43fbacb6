//! Sources and dump commands that fail, each of which leaves no snapshot.

use std::fs;

use crate::support::{Ran, World};

fn assert_nothing_committed(world: &World, ran: &Ran) {
    ran.exits(4).says("nothing was committed").prints_nothing();
    assert_eq!(world.objects("log").len(), 2, "genesis and the key");
    world
        .indelible(["list"])
        .run()
        .exits(0)
        .says("there are no snapshots");
}

/// A file that is not there ends the run before anything else.
///
/// Method: snapshot an absent file beside an existing one, with a passphrase
/// that opens nothing: the file is what is complained about.
#[test]
fn missing_file() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    let args = ["snapshot", "orders", "orders.sql", "missing.sql"];
    let ran = world.indelible(args).key(&key).run();
    ran.says("missing.sql does not exist");
    assert_nothing_committed(&world, &ran);
    world
        .indelible(args)
        .env("INDELIBLE_PASSPHRASE", "another one")
        .run()
        .exits(4);
}

/// A dump command counts only if it succeeds and printed something.
///
/// Method: fail, be killed, print nothing, and don't exist, after rows were
/// printed where that is possible.
#[test]
fn failing_commands() {
    let (world, key) = World::with_write_key();
    for (command, phrase) in [
        (
            &["sh", "-c", "echo rows; exit 3"][..],
            "the command exited with status 3",
        ),
        (
            &["sh", "-c", "echo rows; kill -9 $$"],
            "the command died of signal 9",
        ),
        (&["true"], "the command printed nothing"),
        (
            &["no-such-dump-tool", "--password=hunter2"],
            "the program no-such-dump-tool was not found",
        ),
    ] {
        let run = world.indelible(["snapshot", "orders", "--"]).args(command);
        let ran = run.key(&key).run();
        ran.says("the command for orders failed")
            .says(phrase)
            .is_silent_about("hunter2");
        assert_nothing_committed(&world, &ran);
    }
}

/// One of several commands that fails takes all of them down, also in front of
/// a pipe.
///
/// Method: fail the first, the last, and the left side of a pipe.
#[test]
fn failing_command_among_several() {
    let (world, key) = World::with_write_key();
    for [first, second] in [
        ["a.sql=false", "b.sql=echo rows"],
        ["a.sql=echo rows", "b.sql=echo rows; false"],
    ] {
        let args = ["snapshot", "orders", "--cmd", first, "--cmd", second];
        let ran = world.indelible(args).key(&key).run();
        ran.says("the command exited with status 1");
        assert_nothing_committed(&world, &ran);
    }
    let pipe = "a.sql=(echo rows; exit 7) | cat";
    let ran = world.indelible(["snapshot", "orders", "--cmd", pipe]);
    let ran = ran.key(&key).run();
    ran.says("the command exited with status 7");
    assert_nothing_committed(&world, &ran);
}

/// An empty standard input is no dump.
///
/// Method: snapshot an input that ends at once.
#[test]
fn empty_stdin() {
    let (world, key) = World::with_write_key();
    let ran = world.indelible(["snapshot", "orders", "--stdin"]);
    let ran = ran.key(&key).run();
    ran.says("standard input ended at once")
        .says("an empty dump is no backup");
    assert_nothing_committed(&world, &ran);
}

/// What makes no sense is said before anything is done.
///
/// Method: bad NAMEs, paths and commands that would be stored alike, nothing to
/// store, and two kinds of source at once.
#[test]
fn senseless_requests() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    world.file("old/orders.sql", "select 0;\n");
    let refused = |args: &[&str], phrase: &str| {
        let run = world.indelible(["snapshot"]).args(args);
        run.key(&key).run().exits(2).says(phrase).prints_nothing();
    };
    for name in ["123", "a/b", ".hidden", "", "a b"] {
        refused(&[name, "orders.sql"], "is no NAME");
    }
    refused(
        &["orders", "orders.sql", "old/orders.sql"],
        "rename one with --as",
    );
    refused(
        &["orders", "--cmd", "a=echo 1", "--cmd", "a=echo 2"],
        "two commands would be stored as a",
    );
    refused(&["orders", "--cmd", "echo 1"], "has no name in front");
    refused(&["orders"], "there is nothing to store");
    refused(&["orders", "--stdin", "orders.sql"], "cannot be used with");
    assert_eq!(world.objects("log").len(), 2);
    let as_old = ["orders", "orders.sql", "--as", "old.sql=old/orders.sql"];
    let run = world.indelible(["snapshot"]).args(as_old);
    run.key(&key).run().exits(0);
}

/// A host keeps copies of packs if it is told how many bytes of them, and drops them if
/// it is told none.
///
/// Method: a snapshot without the option, with it, with it in the environment, and with
/// none; look for the packs in the state. A size that is none is refused.
#[test]
fn copies_of_packs() {
    let (world, key) = World::with_write_key();
    let copies = || {
        let repositories = fs::read_dir(world.state()).expect("a state").flatten();
        let packs = repositories.flat_map(|at| fs::read_dir(at.path().join("packs")));
        let names = packs.flatten().flatten().map(|file| file.file_name());
        names.filter(|name| name.len() == 64).count()
    };
    let take = |night: &str, options: &[&str]| {
        world.file("orders.sql", format!("select {night};\n"));
        let args = ["snapshot", "orders", "orders.sql"];
        world.indelible(args).args(options).key(&key)
    };
    take("1", &[]).run().exits(0);
    assert_eq!(copies(), 0);
    take("2", &["--keep-packs", "2GiB"]).run().exits(0);
    assert_eq!(copies(), 2, "the first is fetched, to lean on");
    take("3", &[])
        .env("INDELIBLE_KEEP_PACKS", "1.5 MB")
        .run()
        .exits(0);
    assert_eq!(copies(), 3);
    take("4", &[]).run().exits(0);
    assert_eq!(copies(), 3);
    take("5", &["--keep-packs", "0"]).run().exits(0);
    assert_eq!(copies(), 0);
    for size in ["much", "-1", "2 parsecs"] {
        let size = format!("--keep-packs={size}");
        take("6", &[&size]).run().exits(2).says("--keep-packs");
    }
}
