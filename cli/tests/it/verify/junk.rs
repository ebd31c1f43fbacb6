//! `--accept-void`.

use std::fs;

use super::Watch;
use crate::support::alter;

/// Junk that was accepted on a machine is listed and no problem there, for people
/// and for programs; the next junk is one, and the same that changed.
///
/// Method: plant junk, accept it, let entries follow, plant more, change the
/// first.
#[test]
fn accepted_junk_is_known_on_its_machine() {
    let watch = Watch::of(1);
    let verify = |options: &[&str]| watch.world.indelible(["verify"]).args(options).run();
    fs::write(watch.log(4), "junk").unwrap();
    verify(&[])
        .exits(20)
        .prints("PROBLEM log-void-entry log/000000000004")
        .prints("accept what you looked at with --accept-void");
    let list = watch.world.indelible(["list"]).run();
    list.says("the log has 1 problem");
    verify(&["--accept-void", "4"])
        .exits(0)
        .prints("ACCEPTED log/000000000004: an object that is no valid log entry: ")
        .prints("no problem found");
    for options in [&[][..], &["--level", "packs"]] {
        verify(options).exits(0).prints("ACCEPTED log/000000000004");
    }
    let list = watch.world.indelible(["list"]).run();
    list.exits(0).is_silent_about("problem");
    let ran = verify(&["--json"]);
    let accepted = ran.exits(0).message("accepted");
    assert_eq!(accepted["number"], 4);
    assert_eq!(accepted["leaf"].as_str().map(str::len), Some(64));
    assert_eq!(ran.message("verified")["accepted"], 1);
    // Another machine knows nothing of it.
    watch.verify(&[]).exits(20).prints("PROBLEM log-void-entry");
    watch.snapshot(2);
    verify(&[]).exits(0).prints("ACCEPTED");
    fs::write(watch.log(6), "junk").unwrap();
    fs::write(watch.log(7), "junk").unwrap();
    verify(&[])
        .exits(20)
        .prints("PROBLEM log-void-entry log/000000000006")
        .prints("ACCEPTED log/000000000004");
    verify(&["--accept-void", "6,7"]).exits(0);
    alter(&watch.log(4), |bytes| bytes[0] = b'J');
    verify(&[])
        .exits(20)
        .prints("PROBLEM log-damaged-entry log/000000000004");
}

/// Junk that was accepted with a pin is known wherever the pin is.
///
/// Method: accept with --update-pin on one machine, and verify on another; change
/// the junk; accept without anywhere to keep that.
#[test]
fn accepted_junk_is_kept_in_the_pin() {
    let watch = Watch::of(1);
    let pin = ["--pin", "repository.pin"];
    let update = ["--pin", "repository.pin", "--update-pin"];
    watch.verify(&update).exits(0);
    fs::write(watch.log(4), "junk").unwrap();
    let accept = [&update[..], &["--accept-void", "4"]].concat();
    watch.verify(&accept).exits(0);
    let text = watch.read("repository.pin");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "5");
    assert!(lines[3].starts_with("void 4 "), "{text}");
    watch.verify(&pin).exits(0).prints("ACCEPTED");
    watch.snapshot(2);
    watch.verify(&update).exits(0).prints("ACCEPTED");
    assert!(
        watch
            .read("repository.pin")
            .ends_with(&format!("{}\n", lines[3]))
    );
    let beyond = watch.log(600);
    fs::write(&beyond, "junk behind a gap").unwrap();
    watch.verify(&pin).exits(20);
    let accept = [&update[..], &["--accept-void", "600"]].concat();
    watch.verify(&accept).exits(0);
    assert!(watch.read("repository.pin").contains("\nvoid 600 "));
    watch.verify(&pin).exits(0);
    fs::write(&beyond, "other junk behind a gap").unwrap();
    watch
        .verify(&pin)
        .exits(20)
        .prints("PROBLEM log-void-entry log/000000000600");
    let plain = watch.world.file("plain", "a file").join("state");
    let run = watch.run(&[&pin[..], &["--accept-void", "600"]].concat());
    run.env("INDELIBLE_STATE_DIR", plain)
        .run()
        .exits(0)
        .says("holds for this run only");
    watch.verify(&pin).exits(20);
}

/// Only junk is accepted, and what stands there instead is said.
///
/// Method: ask for a valid entry, none, a removed and a damaged one, one too far
/// beyond the end, one that the pin says was another entry, and for no number.
#[test]
fn only_junk_is_accepted() {
    let watch = Watch::of(4);
    let accept = |number: &str| watch.verify(&["--accept-void", number]);
    let refused = |number: &str, said: &str| {
        accept(number).exits(2).says(said).prints_nothing();
    };
    refused("3", "log entry 3 is a valid snapshot entry");
    refused("99", "there is no log entry 99");
    refused("x", "invalid value");
    fs::write(watch.log(9_000), "junk").unwrap();
    refused("9000", "so far beyond the end of the log");
    watch.verify(&[]).exits(20).prints("PROBLEM log-beyond-end");
    fs::remove_file(watch.log(9_000)).unwrap();
    watch.verify(&["--pin", "p", "--update-pin"]).exits(0);
    // The last entry is damaged, which nothing but the pin can tell from junk.
    let last = fs::read(watch.log(6)).unwrap();
    alter(&watch.log(6), |bytes| bytes[100] ^= 1);
    watch
        .verify(&["--pin", "p", "--accept-void", "6"])
        .exits(2)
        .says("may be a damaged entry and no junk");
    fs::write(watch.log(6), last).unwrap();
    alter(&watch.log(4), |bytes| bytes[100] ^= 1);
    refused("4", "log entry 4 was damaged or exchanged");
    fs::remove_file(watch.log(4)).unwrap();
    refused("4", "log entry 4 was removed");
}
