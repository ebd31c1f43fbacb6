//! Directories that keep files from change, behind a server that only adds.

use std::fs;
use std::path::PathBuf;

use indelible_engine::store::local::files::{Files as _, RealFiles};

use super::{Site, dump, files_below};
use crate::immutable::{Flagged, can_flag, chattr};
use crate::support::World;
use crate::support::mounted::can_mount;
use crate::support::worm::WormVolume;
use crate::worm::days_kept;

impl Site {
    /// Makes a repository on the machine that serves it, and a host that may write to it.
    fn made_there(world: World, immutable: &[&str]) -> Option<Self> {
        let init = ["init", "--derivation-memory", "1", "--retain", "35d"];
        let init = world.indelible(init).args(immutable);
        let init = init.env("INDELIBLE_REPO", world.path("served"));
        init.run().exits(0);
        let site = Self::serving(world, "")?;
        site.add_writer();
        Some(site)
    }

    /// Takes the snapshots of two nights, of which nothing is wrong.
    fn two_nights(&self) {
        for night in [2, 3] {
            let file = self.world.file("dump.sql", dump(night));
            let run = self.indelible(&["snapshot", "orders"]).arg(&file);
            let ran = run.key(&self.writer).run();
            ran.exits(0)
                .is_silent_about("lock")
                .is_silent_about("warning");
        }
    }

    /// Every object, as paths below the directory.
    fn objects(&self) -> Vec<String> {
        let below = |area: &str| files_below(&self.served().join(area));
        let areas = ["log", "packs", "commits"];
        let mut paths: Vec<PathBuf> = areas.into_iter().flat_map(below).collect();
        assert!(paths.len() >= 6, "{paths:?}");
        paths.push(self.served().join("repository"));
        let relative = paths.iter().map(|path| {
            let below = path.strip_prefix(self.served()).expect("it is below");
            below.to_str().expect("our own name").to_owned()
        });
        relative.collect()
    }
}

/// What hosts put through a server gets flags on its machine, is told to them as locked,
/// and works as ever; a flag that somebody cleared there is told, and set again through the
/// server.
///
/// Method: a repository with flags behind a real server of ssh; look at each file.
#[test]
fn flags_hold_below_a_server() {
    let world = World::empty();
    if !can_flag(&world) {
        return;
    }
    let _flagged = Flagged(world.path("served"));
    let Some(site) = Site::made_there(world, &["--immutable", "flags"]) else {
        return;
    };
    site.two_nights();
    let files = RealFiles::open(&site.served()).expect("it is there");
    for object in site.objects() {
        assert!(
            files.is_immutable(&object).expect("it is there"),
            "{object}"
        );
        fs::remove_file(site.served().join(&object)).expect_err("flags hold");
    }
    let shown = site.indelible(&["--json", "retain", "show"]).run();
    let shown = shown.exits(0).stdout();
    assert_eq!(shown.matches("\"locked_for_good\":true").count(), 2);
    site.indelible(&["verify"]).run().exits(0);
    assert!(site.content("@3") == dump(2) && site.content("@4") == dump(3));

    assert!(chattr("-i", &site.served().join("packs")));
    let verified = site.indelible(&["verify"]).run();
    verified.exits(22).prints("shorter than promised");
    site.indelible(&["retain", "extend"]).run().exits(0);
    site.indelible(&["verify"]).run().exits(0);
    for object in site.objects() {
        assert!(
            files.is_immutable(&object).expect("it is there"),
            "{object}"
        );
    }
}

/// What hosts put through a server is committed on its write-once volume, and its locks are
/// made longer through the server.
///
/// Method: as with flags, over a mount that keeps the rules of SnapLock; probe it too.
#[test]
fn a_write_once_volume_holds_below_a_server() {
    if !can_mount() {
        return;
    }
    let world = World::empty();
    for directory in ["behind", "served"] {
        fs::create_dir(world.path(directory)).expect("it is new");
    }
    let _volume = WormVolume::mount(&world.path("behind"), &world.path("served"));
    let immutable = ["--immutable", "posix-worm", "--confirm-compliance", "35d"];
    let Some(site) = Site::made_there(world, &immutable) else {
        return;
    };
    site.two_nights();
    let kept_for = |days: u64| {
        for object in site.objects() {
            let kept = days_kept(&site.served().join(&object));
            assert!(kept >= days, "{object}: {kept}");
        }
    };
    kept_for(34);
    site.indelible(&["verify"]).run().exits(0);
    assert!(site.content("@3") == dump(2) && site.content("@4") == dump(3));
    let promise = site.indelible(&["retain", "promise", "90d"]);
    promise.args(["--confirm-compliance", "90d"]).run().exits(0);
    site.indelible(&["retain", "extend"]).run().exits(0);
    kept_for(89);
    site.indelible(&["verify"]).run().exits(0);

    let probed = site
        .indelible(&["--json", "probe", "--over-lock", "800d"])
        .run();
    let attempts = probed.exits(0).message("probed")["attempts"].clone();
    let outcome = |code: &str| {
        let attempts = attempts.as_array().expect("a list");
        let attempt = attempts.iter().find(|it| it["attempt"] == code);
        attempt.expect("it was tried")["outcome"].clone()
    };
    assert_eq!(outcome("shorten"), "refused");
    assert_eq!(outcome("over-lock"), "refused");
    // So long the server allows every host to lock.
    let probed = site.indelible(&["probe", "--over-lock", "10d"]).run();
    probed
        .exits(24)
        .prints("lock it for longer than need be        DONE");
}

/// `probe` behind ssh says what the server refused, and touches nothing.
///
/// Method: as people and as programs see it, over a real server; where there is no
/// repository.
#[test]
fn a_probe_behind_ssh_says_what_was_refused() {
    let Some(site) = Site::new("") else { return };
    site.two_nights();
    let before = site.objects();
    let probed = site.indelible(&["probe"]).run();
    probed
        .exits(0)
        .prints("write over the first entry of the log  refused  another object stands there")
        .prints("put a pack under the name of another   refused")
        .prints("make a lock shorter                    -        the directory locks nothing")
        .prints("withstood all that was tried with these credentials");
    let probed = site.indelible(&["--json", "probe"]).run();
    let message = probed.exits(0).message("probed");
    assert_eq!(message["withstood"], true);
    let attempts = message["attempts"].as_array().expect("a list");
    let said: Vec<_> = attempts
        .iter()
        .map(|it| format!("{} {}", it["attempt"], it["outcome"]).replace('"', ""))
        .collect();
    let expected = [
        "delete refused",
        "truncate refused",
        "rename refused",
        "overwrite refused",
        "misname refused",
        "shorten unknown",
        "over-lock unknown",
    ];
    assert_eq!(said, expected);
    assert_eq!(site.objects(), before);
    site.indelible(&["verify"]).run().exits(0);

    let world = World::empty();
    fs::create_dir(world.path("served")).expect("it is new");
    let site = Site::serving(world, "").expect("there was one before");
    let nowhere = site.indelible(&["probe"]).run();
    nowhere.exits(10).says("there is no repository");
}
