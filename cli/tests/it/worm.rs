//! A repository on a write-once volume, as its users meet it: a mount that keeps the rules
//! of SnapLock.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use indelible_engine::env::{Clock as _, SystemClock};

use crate::support::mounted::can_mount;
use crate::support::worm::WormVolume;
use crate::support::{World, noise};

const DAY_S: u64 = 86_400;

/// A world whose repository is to lie on such a volume; none where nothing can be mounted.
fn world_with_volume() -> Option<(WormVolume, World)> {
    if !can_mount() {
        return None;
    }
    let world = World::empty();
    for directory in [world.path("behind"), world.repository()] {
        fs::create_dir(directory).expect("it is new");
    }
    let volume = WormVolume::mount(&world.path("behind"), &world.repository());
    Some((volume, world))
}

const INIT: [&str; 7] = [
    "init",
    "--derivation-memory",
    "8",
    "--immutable",
    "posix-worm",
    "--retain",
    "35d",
];

/// Every object of a repository.
fn objects(world: &World) -> Vec<PathBuf> {
    let areas = ["log", "packs", "commits"];
    let mut objects: Vec<PathBuf> = areas.iter().flat_map(|area| world.objects(area)).collect();
    objects.push(world.repository().join("repository"));
    objects
}

/// The day from now on until which a file is committed.
#[track_caller]
pub(crate) fn days_kept(path: &Path) -> u64 {
    let metadata = fs::metadata(path).expect("it is there");
    assert_eq!(metadata.mode() & 0o222, 0, "{}", path.display());
    let until_s = u64::try_from(metadata.atime()).expect("after 1970");
    until_s.saturating_sub(SystemClock::new().now_unix_ms() / 1_000) / DAY_S
}

/// What root would do to a file that nobody should touch, by name.
fn attacks(path: &Path) -> Vec<(&'static str, io::Result<()>)> {
    let elsewhere = path.with_extension("elsewhere");
    let other = path.with_extension("other");
    fs::write(&other, "other").expect("the directory takes files");
    let touched = Command::new("touch")
        .args(["--time=access", "--date=2020-01-01"])
        .arg(path)
        .output();
    let touched = touched.expect("touch is installed").status.success();
    let tried = vec![
        ("write", OpenOptions::new().write(true).open(path).map(drop)),
        ("truncate", fs::File::create(path).map(drop)),
        ("rename", fs::rename(path, &elsewhere)),
        ("replace", fs::rename(&other, path)),
        (
            "make writable",
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)),
        ),
        (
            "shorten",
            if touched {
                Ok(())
            } else {
                Err(io::ErrorKind::PermissionDenied.into())
            },
        ),
        ("link", fs::hard_link(path, &elsewhere)),
        ("remove", fs::remove_file(path)),
    ];
    fs::remove_file(&other).expect("it was never committed");
    tried
}

/// Nothing that root would do to a file has an effect.
#[track_caller]
fn withstands(object: &Path) {
    let (days, bytes) = (days_kept(object), fs::read(object).expect("it is there"));
    for (what, tried) in attacks(object) {
        tried.expect_err(&format!("{what} {}", object.display()));
    }
    assert_eq!(days_kept(object), days);
    assert!(fs::read(object).expect("it is there") == bytes);
}

/// A repository on a write-once volume works as any other. All that snapshots need is
/// committed for as long as was promised, and not even root changes it or has it kept for
/// a shorter time.
///
/// Method: promise, back up twice, verify and look; attack every object through the mount;
/// promise more, and extend.
#[test]
fn a_write_once_volume_keeps_its_promise() {
    let Some((_volume, world)) = world_with_volume() else {
        return;
    };
    let init = world.indelible(INIT);
    init.args(["--confirm-compliance", "35d"]).run().exits(0);
    for night in [1, 2] {
        let mut dump = noise(1, 300_000);
        dump.extend(noise(night + 1, 100_000));
        let dump = world.file("dump.sql", dump);
        let snapshot = world.indelible(["snapshot", "orders"]).arg(&dump);
        snapshot.run().exits(0).is_silent_about("could not lock");
    }
    let before = fs::read(world.path("dump.sql")).expect("it was just written");
    world.indelible(["verify"]).run().exits(0);
    let objects = objects(&world);
    assert!(objects.len() >= 7, "{objects:?}");
    for object in &objects {
        // The copy of the first entry is for people, and its lock begins with the promise.
        assert!(days_kept(object) >= 34, "{}", object.display());
    }
    let mode = world.repository().join("immutable");
    assert!(days_kept(&mode) >= 34);
    let shown = world.indelible(["--json", "retain", "show"]).run();
    let shown = shown.exits(0).stdout();
    assert_eq!(shown.matches("\"locked_for_good\":false").count(), 2);
    assert!(!shown.contains("\"locked_until\":null"), "{shown}");
    let listed = world.indelible(["--json", "list"]).run();
    assert_eq!(
        listed
            .exits(0)
            .stdout()
            .matches("\"promised_until\":\"2")
            .count(),
        2
    );

    for object in objects.iter().chain([&mode]) {
        withstands(object);
    }
    fs::rename(
        world.repository().join("packs"),
        world.repository().join("x"),
    )
    .expect_err("it is not empty");
    let restored = world.indelible(["restore", "orders", "--stdout"]).run();
    assert!(restored.exits(0).bytes() == before);

    let promise = world.indelible(["retain", "promise", "90d"]);
    promise.args(["--confirm-compliance", "90d"]).run().exits(0);
    world.indelible(["verify"]).run().exits(22);
    world.indelible(["retain", "extend"]).run().exits(0);
    world.indelible(["verify"]).run().exits(0);
    for object in &objects {
        assert!(days_kept(object) >= 89, "{}", object.display());
    }
}

/// `probe` attacks canaries on such a volume, and says what was refused.
///
/// Method: as people and as programs see it, twice; what it leaves harms nothing.
#[test]
fn a_probe_of_a_write_once_volume_finds_nothing() {
    let Some((_volume, world)) = world_with_volume() else {
        return;
    };
    let init = world.indelible(INIT);
    init.args(["--confirm-compliance", "35d"]).run().exits(0);
    let probed = world.indelible(["probe"]).run();
    probed
        .exits(0)
        .prints("make it writable again           refused")
        .prints("have it kept for a shorter time  refused")
        .prints("withstood all that was tried");
    let probed = world.indelible(["--json", "probe"]).run();
    let message = probed.exits(0).message("probed");
    assert_eq!(message["withstood"], true);
    let attempts = message["attempts"].as_array().expect("a list");
    assert_eq!(attempts.len(), 8);
    for attempt in attempts {
        assert_eq!(attempt["outcome"], "refused", "{attempt}");
    }
    world.indelible(["verify"]).run().exits(0);
}

/// On a filesystem that is not write-once `init` says so and leaves nothing, whoever runs
/// it; nor does it go on without a confirmation, or where it makes no sense.
///
/// Method: a directory of this machine, as root and without its capabilities, new and
/// there; without the span, with it and flags, in a place behind ssh.
#[test]
fn what_is_not_write_once_is_refused() {
    let world = World::empty();
    let confirmed = ["--confirm-compliance", "35d"];
    for run in [
        world.indelible(INIT),
        world.bound_by_permissions(INIT),
        world
            .indelible(INIT)
            .env("INDELIBLE_REPO", world.path("new/deep")),
    ] {
        run.args(confirmed)
            .run()
            .exits(24)
            .says("not write-once")
            .says("WORM volume")
            .prints_nothing();
        assert!(!world.repository().exists());
        assert!(!world.path("new").exists());
    }
    fs::create_dir(world.repository()).expect("it is not there");
    world.indelible(INIT).args(confirmed).run().exits(24);
    let left = fs::read_dir(world.repository()).expect("it stays");
    assert_eq!(left.count(), 0);

    let unconfirmed = world.indelible(INIT).run();
    unconfirmed.exits(24).says("--confirm-compliance 35d");
    let flags = world.indelible(["init", "--immutable", "flags", "--retain", "35d"]);
    flags
        .args(confirmed)
        .run()
        .exits(2)
        .says("root clears them");
    let elsewhere = world.indelible(INIT).args(confirmed);
    let elsewhere = elsewhere.env("INDELIBLE_REPO", "ssh://nobody@127.0.0.1/srv");
    elsewhere.run().exits(2).says("is for directories");
}

/// A copy on such a volume is locked for no longer than somebody who can't take it back
/// allowed.
///
/// Method: mirror what is promised 35 days to a volume without a word, as governance, and
/// confirmed.
#[test]
fn a_copy_on_a_write_once_volume_is_locked_as_allowed() {
    let Some((_volume, world)) = world_with_volume() else {
        return;
    };
    let init = world.indelible(INIT);
    init.args(["--confirm-compliance", "35d"]).run().exits(0);
    let copy = world.path("copy");
    for directory in [world.path("behind-copy"), copy.clone()] {
        fs::create_dir(directory).expect("it is new");
    }
    let _other = WormVolume::mount(&world.path("behind-copy"), &copy);
    fs::write(copy.join("immutable"), "posix-worm\n").expect("nothing is committed");
    let mirror = || world.indelible(["mirror"]).arg(&copy);
    mirror().run().exits(22).says("--confirm-compliance");
    let first = copy.join("log/000000000000");
    assert!(days_kept(&first) <= 1);
    let governance = mirror().args(["--lock", "governance"]).run();
    governance.exits(2).says("hold against everybody");
    let allowed = mirror().args(["--lock", "compliance", "--confirm-compliance", "80d"]);
    allowed.run().exits(0);
    assert!(days_kept(&first) >= 34);
}
