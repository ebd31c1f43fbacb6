//! `--pin`, `--require-pin` and `--update-pin`.

use std::fs;

use super::Watch;
use crate::support::{World, alter, chmod, copy_dir};

const PIN: [&str; 2] = ["--pin", "repository.pin"];
const UPDATE: [&str; 3] = ["--pin", "repository.pin", "--update-pin"];
const REQUIRE: [&str; 3] = ["--pin", "repository.pin", "--require-pin"];

/// A pin is made, moved on, and compared; a machine without any memory then
/// notices a rollback, and the sentence about freshness says with what the log
/// was compared.
///
/// Method: verify, snapshot, verify, roll the store back, verify at each level.
#[test]
fn a_pin_notices_a_rollback() {
    let watch = Watch::of(1);
    watch
        .verify(&UPDATE)
        .exits(0)
        .says("there is no pin file repository.pin yet")
        .prints("the log extends what the key file states\n");
    let first = watch.read("repository.pin");
    assert_eq!(first.lines().count(), 3);
    assert_eq!(first.lines().nth(1), Some("4"));
    let early = watch.world.path("early");
    copy_dir(&watch.world.repository(), &early);
    watch.snapshot(2);
    watch
        .verify(&UPDATE)
        .exits(0)
        .prints("the log extends what the key file states and the pin\n");
    let second = watch.read("repository.pin");
    assert_eq!(second.lines().nth(1), Some("5"));
    fs::remove_dir_all(watch.world.repository()).unwrap();
    copy_dir(&early, &watch.world.repository());
    for level in ["packs", "tree"] {
        let options = [&REQUIRE[..], &["--update-pin", "--level", level]].concat();
        watch
            .verify(&options)
            .exits(21)
            .prints("PROBLEM log-rolled-back log/000000000004: the log is shorter than it was: the store shows 4 entries, and there were 5;")
            .prints("the log contradicts the pin; it extends what the key file states");
        assert_eq!(watch.read("repository.pin"), second);
    }
    watch.verify(&["--level", "packs"]).exits(0);
}

/// A pin of another history is a fork, and worse than what is only behind.
///
/// Method: roll back, let another history grow past the pin, verify for people and
/// for programs.
#[test]
fn a_pin_notices_a_fork() {
    let watch = Watch::of(1);
    let early = watch.world.path("early");
    copy_dir(&watch.world.repository(), &early);
    watch.snapshot(2);
    watch.verify(&UPDATE).exits(0);
    fs::remove_dir_all(watch.world.repository()).unwrap();
    copy_dir(&early, &watch.world.repository());
    fs::remove_dir_all(watch.world.state()).unwrap();
    watch.snapshot(3);
    watch.snapshot(4);
    watch
        .verify(&PIN)
        .exits(21)
        .prints("PROBLEM log-forked log/000000000004")
        .prints("it differs at entry 4 or before");
    let ran = watch.verify(&[&PIN[..], &["--json"]].concat());
    let verified = ran.exits(21).message("verified");
    assert_eq!(verified["freshness"], "forked");
    assert_eq!(verified["compared"]["pin"], "forked");
    assert_eq!(verified["compared"]["key_file"], "extends");
    assert!(verified["compared"]["memory"].is_null());
}

/// What `indelible checkpoint` prints is a pin.
///
/// Method: keep its note, verify with it, and write it anew.
#[test]
fn a_checkpoint_is_a_pin() {
    let watch = Watch::of(1);
    let note = watch.world.indelible(["checkpoint"]).run();
    note.exits(0);
    watch.world.file("repository.pin", note.bytes());
    watch.snapshot(2);
    let options = [&REQUIRE[..], &["--update-pin"]].concat();
    watch.verify(&options).exits(0).prints("and the pin");
    let pin = watch.read("repository.pin");
    assert_eq!(pin.lines().nth(1), Some("5"));
    assert_eq!(pin.lines().next(), note.stdout().lines().next());
}

/// A pin that is required and absent fails before anything is compared; one that
/// is merely absent is told.
///
/// Method: require one, also together with --update-pin; name one without either.
#[test]
fn an_absent_pin() {
    let watch = Watch::of(1);
    for options in [&REQUIRE[..], &[&REQUIRE[..], &["--update-pin"]].concat()] {
        watch
            .verify(options)
            .exits(24)
            .says("there is no pin file repository.pin")
            .says("--update-pin")
            .prints_nothing();
    }
    let ran = watch.verify(&[&REQUIRE[..], &["--json"]].concat());
    let error = &ran.exits(24).error_messages()[0];
    assert_eq!(
        (&error["code"], &error["exit_code"]),
        (&"policy".into(), &24.into())
    );
    watch
        .verify(&PIN)
        .exits(0)
        .says("warning: there is no pin file repository.pin, so nothing was compared with it");
    assert!(!watch.world.path("repository.pin").exists());
    for lonely in ["--require-pin", "--update-pin"] {
        watch.verify(&[lonely]).exits(2).says("--pin");
    }
}

/// A pin of another repository, and a file that is none, are told apart.
///
/// Method: the pin of a second repository; text that is no pin, a pin whose last
/// line is cut, and a directory.
#[test]
fn a_wrong_pin() {
    let watch = Watch::of(1);
    watch.verify(&UPDATE).exits(0);
    let own = watch.read("repository.pin");
    let other = Watch::of(1);
    other.verify(&UPDATE).exits(0);
    watch
        .world
        .file("repository.pin", other.read("repository.pin"));
    for options in [&PIN[..], &[&UPDATE[..], &["--level", "packs"]].concat()] {
        watch
            .verify(options)
            .exits(21)
            .says("the pin is of repository")
            .says("do not trust this store");
    }
    assert_ne!(watch.read("repository.pin"), own);
    let (cut, line) = (
        &own[..own.len() - 9],
        "line 3 is not the root over a log in base64",
    );
    let noted = format!("{own}# looked at\n");
    for (text, said) in [
        ("no pin", "line 1 is not `indelible/`"),
        (cut, line),
        (&noted, "line 4 is not `void`"),
    ] {
        watch.world.file("repository.pin", text);
        watch
            .verify(&UPDATE)
            .exits(1)
            .says("repository.pin is no pin")
            .says(said);
        assert_eq!(watch.read("repository.pin"), text, "it is left alone");
    }
    watch
        .verify(&["--pin", "."])
        .exits(1)
        .says("could not read the pin .");
}

/// A store that shows another repository is told from a key that does not fit.
///
/// Method: exchange the repository for one with another key, and verify with the
/// key file and the pin of the first, then with its key file alone.
#[test]
fn an_exchanged_repository() {
    let watch = Watch::of(1);
    watch.verify(&UPDATE).exits(0);
    fs::rename(watch.world.repository(), watch.world.path("mine")).unwrap();
    watch.world.init(&watch.world.repository());
    for level in ["packs", "tree"] {
        let options = [&REQUIRE[..], &["--level", level]].concat();
        watch
            .verify(&options)
            .exits(21)
            .says("the pin is of repository")
            .says("do not trust this store");
    }
    let alone = watch.verify(&[]);
    alone.exits(12).says("the key file belongs to repository");
}

/// Nothing that is wrong is pinned, and a pin that can't be written is told.
///
/// Method: damage a pack and ask for a pin at each level; repair it, and ask for
/// one in a directory that may not be written.
#[test]
fn only_what_is_right_is_pinned() {
    let watch = Watch::of(1);
    let pack = &watch.world.objects("packs")[0];
    alter(pack, |bytes| bytes[100_000] ^= 1);
    for level in ["packs", "tree"] {
        let options = [&UPDATE[..], &["--level", level]].concat();
        watch.verify(&options).exits(20);
        assert!(!watch.world.path("repository.pin").exists());
    }
    alter(pack, |bytes| bytes[100_000] ^= 1);
    let options = ["--pin", "absent/repository.pin", "--update-pin"];
    watch
        .verify(&options)
        .exits(1)
        .prints("no problem found")
        .says("could not write the pin absent/repository.pin")
        .says("nothing is wrong with the repository");
}

/// A state that can't be written is a warning, with a key and without, and what
/// it remembers is compared all the same.
///
/// Method: take the write permission off a state that knows the log, and verify a
/// longer log, then one that was rolled back; the same for a state that can't be
/// made.
#[test]
fn an_unwritable_state_is_a_warning() {
    let watch = Watch::of(1);
    let (world, state) = (&watch.world, watch.world.state());
    let early = world.path("early");
    copy_dir(&world.repository(), &early);
    world.indelible(["list"]).run().exits(0);
    watch.snapshot(2);
    let verify = |options: &[&str]| {
        chmod("a-w", &state);
        let ran = world
            .bound_by_permissions(["verify"])
            .args(options)
            .key(&watch.verifier)
            .run();
        chmod("u+w", &state);
        ran
    };
    // One more entry than the state knows, so that there is something to write.
    let fresh = world.path("fresh-writer");
    let source = world.file("orders.dump", "more");
    let run = world.indelible(["snapshot", "orders"]).arg(source);
    let run = run.key(&watch.writer).env("INDELIBLE_STATE_DIR", fresh);
    run.run().exits(0);
    verify(&[])
        .exits(0)
        .says("warning: this machine will remember nothing")
        .prints("what this machine remembered");
    verify(&["--level", "packs"])
        .exits(0)
        .prints("what this machine remembered");
    fs::remove_dir_all(world.repository()).unwrap();
    copy_dir(&early, &world.repository());
    verify(&[]).exits(21).prints("PROBLEM log-rolled-back");
    verify(&["--level", "packs"])
        .exits(21)
        .prints("PROBLEM log-rolled-back");
    nowhere_to_remember(&watch);
}

/// A state directory that can't be made, with a pin.
fn nowhere_to_remember(watch: &Watch) {
    let world: &World = &watch.world;
    world.file("plain", "a file");
    let nowhere = world.path("plain").join("state");
    for level in ["packs", "tree"] {
        let options = [&UPDATE[..], &["--level", level]].concat();
        let ran = watch
            .run(&options)
            .env("INDELIBLE_STATE_DIR", &nowhere)
            .run();
        ran.exits(0)
            .says("warning: this machine will remember nothing")
            .prints("no problem found");
    }
    // One that exists, may not be written, and knows nothing yet.
    let fresh = world.path("fresh");
    fs::create_dir_all(fresh.join("locations")).unwrap();
    chmod("a-w", &fresh);
    for level in ["packs", "tree"] {
        let ran = world
            .bound_by_permissions(["verify", "--level", level])
            .args(PIN)
            .key(&watch.verifier)
            .env("INDELIBLE_STATE_DIR", &fresh)
            .run();
        ran.exits(0).prints("and the pin");
    }
    chmod("u+w", &fresh);
}
