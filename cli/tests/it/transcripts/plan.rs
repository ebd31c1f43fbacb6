//! What a restore would take.

#![allow(
    clippy::needless_raw_string_hashes,
    reason = "snapbox writes its expectations so"
)]

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{World, alter, noise};

/// Two snapshots of a dump that grows, and so two packs, of which the second
/// snapshot needs both.
fn grown() -> World {
    let (world, key) = World::with_write_key();
    let mut dump = noise(1, 2_000_000);
    for seed in [2, 3] {
        world.file("dumps/orders.dump", &dump);
        world.file("dumps/globals.sql", "create role app;\n");
        let run = world.indelible(["snapshot", "orders", "dumps"]);
        run.key(&key).run().exits(0);
        dump.extend(noise(seed, 1_000_000));
    }
    assert_eq!(world.objects("packs").len(), 2);
    world
}

/// A plan says all that a restore takes, and does nothing.
///
/// Method: compare all of it, with a key that may verify and not restore.
#[test]
fn whole() {
    let world = grown();
    let key = world.key("verify", &[]);
    let plan = ["restore", "orders", "--plan", "--target", "out"];
    let ran = world.indelible(plan).key(&key).run();
    ran.exits(0);
    assert_data_eq!(
        ran.stdout(),
        str![[r"
to restore @3 orders of [..] below out:
  writes 2 files, 1 directory and 0 links, 2.86 MiB
  takes 2.87 MiB of space; [..] are free there
  reads 2 packs, [..] MiB

"]]
    );
    assert!(!world.path("out").exists());
    let restore = ["restore", "orders", "--target", "out"];
    world.indelible(restore).key(&key).run().exits(12);
}

/// A pack that is missing is named before anything is written, for people and for
/// programs.
///
/// Method: remove the first snapshot's pack; plan the second one, whole and for
/// one file.
#[test]
fn missing_pack() {
    let world = grown();
    let all = world.objects("packs");
    let first = world.indelible(["--json", "restore", "@2", "--plan", "--target", "out"]);
    let needed = first.run().exits(0).message("needed_pack");
    let object = needed["object"].as_str().unwrap();
    let path = world.repository().join(object);
    assert!(all.contains(&path));
    assert_eq!(needed["bytes"], fs::metadata(&path).unwrap().len());
    fs::remove_file(&path).unwrap();

    let plan = ["restore", "@3", "--plan", "--target", "out"];
    let ran = world.indelible(plan).run();
    ran.exits(23)
        .prints(&format!("MISSING {object}\n"))
        .prints("  lacks 1 pack: ");
    let ran = world.indelible(["--json"]).args(plan).run();
    ran.exits(23);
    let packs = ran.messages();
    let packs = packs
        .iter()
        .filter(|it| it["message_type"] == "needed_pack");
    let present: Vec<_> = packs.map(|it| (&it["object"], &it["present"])).collect();
    assert_eq!(present.len(), 2);
    assert!(present.contains(&(&object.into(), &false.into())));
    let summary = ran.message("restore_plan");
    assert_eq!(
        (&summary["packs"], &summary["missing_packs"]),
        (&2.into(), &1.into())
    );
    assert_eq!(summary["fits"], true);
    let ran = world.indelible(plan).arg("dumps/globals.sql").run();
    ran.exits(23).prints("writes 1 file, 0 directories");
    assert!(!world.path("out").exists());
}

/// A tree that can't be read is told, and what stands in the way.
///
/// Method: plan over a restore, with each policy; then cut every pack short.
#[test]
fn in_the_way() {
    let world = grown();
    let restore = ["restore", "orders", "--target", "out"];
    world.indelible(restore).run().exits(0);
    let plan = |option: &[&str]| world.indelible(restore).arg("--plan").args(option).run();
    plan(&[])
        .exits(14)
        .prints("EXISTS dumps/orders.dump: would be refused")
        .prints("is refused for 2 entries");
    plan(&["--overwrite"])
        .exits(0)
        .prints("EXISTS dumps/globals.sql: would be replaced");
    plan(&["--resume"])
        .exits(0)
        .prints("EXISTS dumps/globals.sql: would be compared")
        .prints("takes 0 B of space");
    for pack in world.objects("packs") {
        alter(&pack, |bytes| bytes.truncate(2_000));
    }
    plan(&["--overwrite"]).exits(20).prints("LOST all entries");
}
