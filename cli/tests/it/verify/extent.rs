//! `--sample` and `--max-time`.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::Watch;
use crate::support::alter;

/// What was not read is said, and "no problem" is said of the rest only.
///
/// Method: compare all that a sample of two packs in four and an empty one print,
/// at each level. Packs differ by a few bytes, so half of them may be two or three;
/// two fifths are always two.
#[test]
fn a_sample_says_what_it_did_not_read() {
    let watch = Watch::of(4);
    let half = watch.verify(&["--sample", "40%"]);
    half.exits(0);
    assert_data_eq!(
        half.stdout(),
        str![[r"
verified at level tree: 7 log entries, 4 snapshots, 4 packs, [..] KiB read, 0 chunks decoded, 12 nodes walked
read: every byte of the packs that were drawn; every page and node decoded, contents not
not read: 2 of 4 packs, [..] KiB; checked of them: presence, length and directory
the log extends what the key file states
no problem found in what was read

"]]
    );
    let none = watch.verify(&["--sample", "0", "--level", "packs"]);
    none.exits(0)
        .prints("0 B read")
        .prints("nothing was decrypted")
        .prints("not read: 4 of 4 packs")
        .prints("checked of them: presence and length")
        .prints("no problem found in what was read");
    let sampled = ["--level", "data", "--sample", "0.01%"];
    let data = watch.world.indelible(["verify"]).args(sampled).run();
    data.exits(0)
        .prints("their chunks and every page and node decoded")
        .prints("not read: 3 of 4 packs");
    let whole = watch.verify(&["--sample", "100%"]);
    whole.exits(0).prints("read: every byte of every pack");
    assert!(!whole.stdout().contains("not read"));
}

/// No pack is begun when there is no time, and all are when there is enough.
///
/// Method: no time at all, and an hour.
#[test]
fn time_is_up() {
    let watch = Watch::of(2);
    watch
        .verify(&["--max-time", "0s"])
        .exits(0)
        .prints("not read: 2 of 2 packs")
        .prints("no problem found in what was read");
    let hour = watch.verify(&["--max-time", "1h", "--json"]);
    let verified = hour.exits(0).message("verified");
    assert_eq!(verified["packs_not_read"], 0);
    assert_eq!(verified["time_max_ms"], 3_600_000);
    assert_eq!(verified["sample_percent"], 100.0);
}

/// What is not read whole is looked at all the same.
///
/// Method: with an empty sample, flip a bit in contents, which goes unnoticed,
/// and remove a pack, which does not; programs read how much was not read.
#[test]
fn an_empty_sample_notices_a_lost_pack() {
    let watch = Watch::of(2);
    let packs = watch.world.objects("packs");
    alter(&packs[0], |bytes| bytes[100_000] ^= 1);
    let ran = watch.verify(&["--sample", "0%", "--json"]);
    let verified = ran.exits(0).message("verified");
    assert_eq!(verified["packs_not_read"], 2);
    let sizes = packs.iter().map(|pack| fs::metadata(pack).unwrap().len());
    assert_eq!(verified["bytes_not_read"], sizes.sum::<u64>());
    assert_eq!(verified["sample_percent"], 0.0);
    watch
        .verify(&[])
        .exits(20)
        .prints("PROBLEM pack-altered")
        .prints("perhaps harms @")
        .prints("a key with the restore right can tell");
    fs::remove_file(&packs[1]).unwrap();
    watch
        .verify(&["--sample", "0%"])
        .exits(20)
        .prints("PROBLEM pack-missing")
        .prints("not read: 1 of 2 packs");
}

/// Nonsense is a matter of usage.
///
/// Method: shares and spans that are none.
#[test]
fn nonsense_is_usage() {
    let watch = Watch::new();
    for share in ["101%", "some", "0.00001%", ""] {
        let ran = watch.verify(&["--sample", share]);
        ran.exits(2).says("is no share").says("10% or 0.5%");
    }
    for span in ["soon", "30", "-5m"] {
        let ran = watch.verify(&[&format!("--max-time={span}")]);
        ran.exits(2).says("is no span").says("30m or 2h");
    }
}
