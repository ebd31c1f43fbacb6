//! A directory whose files get the immutable flag, as its users meet it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{World, noise};

/// Clears the flags in the end, so that the directory can be removed.
pub(crate) struct Flagged(pub(crate) PathBuf);

impl Drop for Flagged {
    fn drop(&mut self) {
        chattr("-i", &self.0);
    }
}

pub(crate) fn chattr(change: &str, path: &Path) -> bool {
    let ran = Command::new("chattr")
        .args(["-R", change])
        .arg(path)
        .output();
    ran.is_ok_and(|ran| ran.status.success())
}

/// Whether this machine and this user can set flags where tests write.
pub(crate) fn can_flag(world: &World) -> bool {
    let file = world.file("canary", "x");
    let can = chattr("+i", &file) && chattr("-i", &file);
    if !can {
        eprintln!("SKIPPED: no immutable flag can be set here");
    }
    can
}

/// A repository in a directory with flags works as any other; not even root removes a file
/// of it by accident, and a flag that somebody cleared is told, and set again by whoever
/// extends locks.
///
/// Method: promise, back up, verify and look; try to remove the repository; clear the
/// flags of packs.
#[test]
fn a_directory_with_flags_keeps_its_promise() {
    let world = World::empty();
    if !can_flag(&world) {
        return;
    }
    let flagged = Flagged(world.repository());
    let init = world.indelible(["init", "--derivation-memory", "8", "--immutable", "flags"]);
    init.args(["--retain", "35d"]).run().exits(0);
    let dump = world.file("dump.sql", noise(1, 300_000));
    let snapshot = || world.indelible(["snapshot", "orders"]).arg(&dump).run();
    snapshot().exits(0);
    world.indelible(["verify"]).run().exits(0);
    let shown = world.indelible(["retain", "show"]).run();
    shown.exits(0).prints("until it is unlocked");
    let shown = world.indelible(["--json", "retain", "show"]).run();
    let one = &shown.messages()[0];
    assert!(shown.stdout().contains("\"locked_for_good\":true"), "{one}");

    let before: Vec<PathBuf> = ["log", "packs"]
        .iter()
        .flat_map(|area| world.objects(area))
        .collect();
    assert!(before.len() >= 4);
    fs::remove_dir_all(world.repository()).expect_err("flags hold");
    for object in &before {
        fs::remove_file(object).expect_err("flags hold");
    }
    assert!(chattr("-i", &world.repository().join("packs")));
    world
        .indelible(["verify"])
        .run()
        .exits(22)
        .prints("shorter than promised");
    world.indelible(["retain", "extend"]).run().exits(0);
    world.indelible(["verify"]).run().exits(0);
    let restored = world.indelible(["restore", "orders", "--stdout"]).run();
    assert_eq!(restored.exits(0).bytes(), noise(1, 300_000));
    drop(flagged);
}

/// `probe` says what was tried and what became of it, and its exit code whether anything
/// succeeded.
///
/// Method: a directory, as people and as programs see it; one that is not there.
#[test]
fn a_probe_says_what_succeeded() {
    let world = World::new();
    let probed = world.indelible(["probe"]).run();
    probed
        .exits(24)
        .prints("put another file in its place    DONE");
    probed.prints("is not immutable for these credentials: 6 attempts succeeded");
    let probed = world.indelible(["--json", "probe"]).run();
    let message = probed.exits(24).message("probed");
    assert_eq!(message["withstood"], false);
    assert_eq!(message["attempts"][0]["attempt"], "delete");
    assert_eq!(message["attempts"][0]["outcome"], "done");
    world.indelible(["verify"]).run().exits(0);
    let nowhere = world
        .indelible(["probe"])
        .env("INDELIBLE_REPO", world.path("nowhere"));
    nowhere.run().exits(10);
}

/// Where flags can't be set, `init` says why before it makes or asks for anything; and
/// where they make no sense.
///
/// Method: without the capability; without a promise; behind ssh.
#[test]
fn flags_that_cannot_be_set_are_refused() {
    let world = World::empty();
    let init = ["init", "--immutable", "flags", "--retain", "35d"];
    if can_flag(&world) {
        let wrapper = [
            "setpriv",
            "--bounding-set=-linux_immutable",
            "--inh-caps=-linux_immutable",
        ];
        let refused = world.through(&wrapper, init).run();
        refused
            .exits(1)
            .says("takes CAP_LINUX_IMMUTABLE")
            .prints_nothing();
        assert!(!world.repository().join("log").exists());
    }
    world
        .indelible(["init", "--immutable", "flags"])
        .run()
        .exits(2)
        .says("--retain");
    let elsewhere = world
        .indelible(init)
        .env("INDELIBLE_REPO", "ssh://nobody@127.0.0.1/srv");
    elsewhere
        .run()
        .exits(2)
        .says("--immutable is for directories");
}
