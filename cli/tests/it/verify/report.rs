//! `--report`, and the lines that operators read.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::Watch;
use crate::support::{World, alter, noise};

const REPORT: [&str; 2] = ["--report", "verify.xml"];

/// A sound repository gives a green report; what was not looked at is skipped
/// with the reason.
///
/// Method: compare the whole report at the level tree with an empty sample.
#[test]
fn a_sound_report() {
    let watch = Watch::of(1);
    let options = [&REPORT[..], &["--sample", "0%"]].concat();
    watch.verify(&options).exits(0);
    assert_data_eq!(
        watch.read("verify.xml"),
        str![[r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="indelible verify" tests="10" skipped="3" failures="0" errors="0" timestamp="[..]" time="[..]">
    <testsuite name="repository" tests="9" skipped="3" errors="0" failures="0" timestamp="[..]" time="[..]">
        <testcase name="log" classname="repository"/>
        <testcase name="freshness" classname="repository">
            <system-out>the log extends what the key file states</system-out>
        </testcase>
        <testcase name="commit records" classname="repository"/>
        <testcase name="presence" classname="repository"/>
        <testcase name="pack contents" classname="repository">
            <skipped message="no pack was read: not read: 1 of 1 pack, [..] bytes"/>
            <system-out>not read: 1 of 1 pack, [..] bytes</system-out>
        </testcase>
        <testcase name="directories" classname="repository"/>
        <testcase name="trees" classname="repository"/>
        <testcase name="chunks" classname="repository">
            <skipped message="not looked at by level tree: it takes level data"/>
        </testcase>
        <testcase name="locks" classname="repository">
            <skipped message="nothing is promised, so no lock was asked for"/>
        </testcase>
    </testsuite>
    <testsuite name="snapshots" tests="1" skipped="0" errors="0" failures="0" timestamp="[..]">
        <testcase name="orders@3" classname="snapshots"/>
    </testsuite>
</testsuites>

"#]]
    );
    let options = [&REPORT[..], &["--level", "packs"]].concat();
    watch.verify(&options).exits(0);
    let report = watch.read("verify.xml");
    assert!(
        report.contains("level packs does not look into snapshots"),
        "{report}"
    );
    assert_eq!(report.matches("<skipped").count(), 5, "{report}");
}

/// Each problem fails its check and the snapshots that it harms, with its line.
///
/// Method: remove one of two packs and plant junk, and look into the report.
#[test]
fn a_red_report() {
    let watch = Watch::of(2);
    let packs = watch.world.objects("packs");
    fs::remove_file(&packs[0]).unwrap();
    fs::write(watch.log(5), "junk").unwrap();
    let ran = watch.verify(&REPORT);
    ran.exits(20);
    let report = watch.read("verify.xml");
    assert!(
        report.contains(r#"tests="11" skipped="2" failures="3" errors="0""#),
        "{report}"
    );
    let (_, of_log) = report.split_once(r#"<testcase name="log""#).unwrap();
    let (of_log, _) = of_log.split_once("</testcase>").unwrap();
    assert!(of_log.contains(r#"type="log-void-entry""#), "{report}");
    for line in ran
        .stdout()
        .lines()
        .filter(|line| line.starts_with("PROBLEM"))
    {
        let escaped = line.replace('\'', "&apos;");
        assert!(
            report.contains(line) || report.contains(&escaped),
            "{line}\n{report}"
        );
    }
    assert!(report.contains(r#"type="harmed""#), "{report}");
    alter(&packs[1], |bytes| bytes[100_000] ^= 1);
    watch.verify(&REPORT).exits(20);
    assert!(
        watch
            .read("verify.xml")
            .contains(r#"type="perhaps-harmed""#)
    );
}

/// A verification that can't be made is an error in its report, with the reason.
///
/// Method: no repository, a wrong passphrase, no pin, a share that is none.
#[test]
fn no_verification_is_a_red_report() {
    let watch = Watch::of(1);
    let said = |options: &[&str], code: i32, kind: &str, reason: &str| {
        let _ = fs::remove_file(watch.world.path("verify.xml"));
        let options = [&REPORT[..], options].concat();
        watch.verify(&options).exits(code);
        let report = watch.read("verify.xml");
        assert!(report.contains(r#"errors="1""#), "{report}");
        assert!(report.contains(&format!(r#"type="{kind}""#)), "{report}");
        assert!(report.contains(reason), "{report}");
    };
    said(
        &["--repo", "nowhere"],
        10,
        "no_repository",
        "there is no directory",
    );
    said(
        &["--pin", "p", "--require-pin"],
        24,
        "policy",
        "there is no pin file p",
    );
    said(&["--sample", "half"], 2, "usage", "is no share of a whole");
    said(&["--level", "data"], 12, "key", "takes the right restore");
    said(
        &["--key-file", "absent"],
        12,
        "key",
        "could not read the key file",
    );
}

/// A report that can't be written is a failure of its own, and hides no other.
///
/// Method: name one in a directory that is not there, of a sound and of a damaged
/// repository, and of none; and one over an earlier report.
#[test]
fn an_unwritable_report() {
    let watch = Watch::of(1);
    let nowhere = ["--report", "absent/verify.xml"];
    let said = "could not write the report absent/verify.xml";
    watch
        .verify(&nowhere)
        .exits(1)
        .says(said)
        .prints("no problem found");
    watch
        .verify(&[&nowhere[..], &["--repo", "nowhere"]].concat())
        .exits(10)
        .says(said)
        .says("there is no directory");
    alter(&watch.world.objects("packs")[0], |bytes| {
        bytes[100_000] ^= 1;
    });
    watch
        .verify(&nowhere)
        .exits(20)
        .says(&format!("warning: {said}"));
    watch.world.file("verify.xml", "an earlier report");
    watch.verify(&REPORT).exits(20);
    assert!(watch.read("verify.xml").starts_with("<?xml"));
    let staged = fs::read_dir(watch.world.path("")).unwrap();
    let staged = staged.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".indelible-")
    });
    assert_eq!(staged.count(), 0);
}

/// What an attacker calls an object neither breaks the report nor reaches the
/// terminal as it is.
///
/// Method: an object whose name has markup and a control character in it.
#[test]
fn hostile_names_break_no_report() {
    let watch = Watch::of(1);
    let name = "<&\"']]>\u{1b}[2J";
    fs::write(watch.world.repository().join("packs").join(name), "x").unwrap();
    let ran = watch.verify(&REPORT);
    ran.exits(0).prints("FOREIGN packs/<&");
    assert!(!ran.stdout().contains('\u{1b}'));
    assert!(!watch.read("verify.xml").contains('\u{1b}'));
}

/// Many damaged chunks of a pack are one line, and much junk is cut off and
/// counted, while programs read each.
///
/// Method: a pack of many chunks, overwritten in the middle; two hundred junk
/// objects.
#[test]
fn problems_do_not_flood() {
    let world = World::new();
    let key = world.key("write", &["--names", "*"]);
    world.file("orders.dump", noise(1, 4_000_000));
    let snapshot = ["snapshot", "orders", "orders.dump"];
    world.indelible(snapshot).key(&key).run().exits(0);
    let pack = &world.objects("packs")[0];
    alter(pack, |bytes| bytes[1_000_000..3_000_000].fill(0));
    let ran = world.indelible(["verify"]).run();
    ran.exits(20)
        .prints("in all): a chunk is damaged")
        .prints("1 problem found");
    let lines = ran.stdout();
    let line = lines.lines().next().unwrap();
    assert!(
        line.contains(" chunks ") && line.contains("harms @2;"),
        "{line}"
    );
    let ran = world.indelible(["verify", "--json"]).run();
    let told = ran.messages().into_iter();
    let told = told.filter(|message| message["message_type"] == "problem");
    assert!(told.count() > 3);
    for number in 3..203 {
        fs::write(world.repository().join(format!("log/{number:012}")), "junk").unwrap();
    }
    let ran = world.indelible(["verify", "--level", "packs"]).run();
    ran.exits(20)
        .prints("PROBLEM log-void-entry: 100 more; --json lists all")
        .prints("PROBLEM pack-altered")
        .prints("201 problems found");
    let junk = ran.stdout();
    let junk = junk
        .lines()
        .filter(|line| line.starts_with("PROBLEM log-void-entry log/"));
    assert_eq!(junk.count(), 100);
}
