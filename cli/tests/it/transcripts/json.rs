//! What programs read.

use crate::support::{World, alter, noise};

/// Every command prints messages that say what they are.
///
/// Method: run each, parse every line, and look for the message that it is for.
#[test]
fn every_command() {
    let world = World::empty();
    let init = ["--json", "init", "--derivation-memory", "1"];
    let made = world.indelible(init).run();
    let id = made.exits(0).message("init")["repository_id"].clone();
    let run = |args: &[&str], message_type: &str| {
        let ran = world.indelible(["--json"]).args(args).run();
        ran.exits(0);
        ran.error_messages();
        ran.message(message_type)
    };
    run(
        &[
            "key", "add", "--rights", "write", "--names", "*", "--out", "w.key",
        ],
        "key_added",
    );
    let checked = run(&["key", "check", "w.key"], "key_check");
    assert_eq!(checked["repository_id"], id);
    assert_eq!(checked["trial"]["contents_opened"], 0);
    world.file("orders.dump", noise(1, 100_000));
    let summary = run(&["snapshot", "orders", "orders.dump"], "summary");
    assert_eq!(summary["number"], 2);
    assert_eq!(summary["content_bytes"], 100_000);
    assert_eq!(summary["new_bytes"], 100_000);
    let listed = run(&["list"], "snapshot");
    assert_eq!(listed["id"], summary["id"]);
    assert_eq!(listed["added_bytes"], summary["added_bytes"]);
    let restored = run(&["restore", "orders", "--target", "out"], "restored");
    assert_eq!(restored["bytes"], 100_000);
    let verified = run(&["verify"], "verified");
    assert_eq!(verified["sound"], true);
    assert_eq!(verified["freshness"], "extends");
    let checkpoint = run(&["checkpoint"], "checkpoint");
    assert_eq!(checkpoint["size"], 3);
    assert_eq!(checkpoint["root"], verified["log_root"]);
    run(&["version"], "version");
    let keys = world.indelible(["--json", "key", "list"]).run();
    assert_eq!(keys.exits(0).messages().len(), 2);
}

/// A failure is one message on standard error, with its word and number.
///
/// Method: fail in several ways, and read the message.
#[test]
fn failures() {
    let (world, key) = World::with_write_key();
    world.file("orders.dump", noise(1, 100_000));
    let snapshot = ["snapshot", "orders", "orders.dump"];
    world.indelible(snapshot).key(&key).run().exits(0);
    let fails = |args: &[&str], code: i32, word: &str| {
        let ran = world.indelible(["--json"]).args(args).run();
        ran.exits(code).prints_nothing();
        let messages = ran.error_messages();
        let error = messages.last().expect("an error is told");
        assert_eq!(error["message_type"], "error");
        assert_eq!(error["code"], word);
        assert_eq!(error["exit_code"], code);
        assert!(error["message"].is_string() && error["causes"].is_array());
        let earlier = &messages[..messages.len() - 1];
        assert!(earlier.iter().all(|said| said["message_type"] == "warning"));
    };
    fails(&["list", "--repo", "nowhere"], 10, "no_repository");
    fails(&["list", "--repo", "image:disc"], 2, "usage");
    fails(&["list", "--passphrase-command", "echo no"], 12, "key");
    fails(&["init"], 14, "exists");
    fails(&["snapshot", "orders", "--", "false"], 4, "source_failed");
    fails(&["snapshot", "orders", "absent"], 4, "source_failed");
    fails(&["restore", "nope", "--target", "out"], 2, "usage");
    alter(&world.objects("packs")[0], |bytes| bytes[50_000] ^= 1);
    fails(&["restore", "orders", "--target", "out"], 20, "integrity");
}

/// Damage is a message of its own, and the last one sums up.
///
/// Method: flip a byte of the only pack, verify, and read the messages.
#[test]
fn damage() {
    let (world, key) = World::with_write_key();
    world.file("orders.dump", noise(1, 100_000));
    let snapshot = ["snapshot", "orders", "orders.dump"];
    world.indelible(snapshot).key(&key).run().exits(0);
    alter(&world.objects("packs")[0], |bytes| bytes[50_000] ^= 1);
    let ran = world.indelible(["--json", "verify"]).run();
    ran.exits(20);
    let problem = ran.message("problem");
    assert_eq!(problem["kind"], "chunk-damaged");
    assert_eq!(problem["harmed_snapshots"], serde_json::json!([2]));
    assert_eq!(ran.message("snapshot_verdict")["sound"], false);
    let verified = ran.message("verified");
    assert_eq!(verified["sound"], false);
    assert_eq!(verified["problems"], 1);
    assert_eq!(ran.messages().last(), Some(&verified));
}
