//! Repositories that earlier versions wrote, in the hands of the binary.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{World, chmod, copy_dir};

/// The directories of all golden repositories.
fn golden() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden");
    let versions = fs::read_dir(all).unwrap();
    versions.map(|version| version.unwrap().path()).collect()
}

/// Every golden repository lists, verifies and restores by the command line.
///
/// Method: copy each with its keys, and compare what is listed with what its
/// writer noted; a whole verification with the restore key, one with the verify
/// key, and one restore by the passphrase.
#[test]
fn golden_repositories_are_read() {
    let all = golden();
    assert!(!all.is_empty());
    for golden in all {
        let world = World::empty();
        copy_dir(&golden.join("repository"), &world.repository());
        copy_dir(&golden.join("keys"), &world.path("keys"));
        chmod("go-rwx", &world.path("keys"));
        let contents = fs::read_to_string(golden.join("contents.txt")).unwrap();
        let key = |name: &str| world.path("keys").join(name);

        let listed = world.indelible(["--json", "list"]).key(&key("restore.key"));
        let listed = listed.run();
        let numbers: Vec<String> = (listed.exits(0).messages().iter())
            .map(|message| format!("@{}", message["number"]))
            .collect();
        let noted = contents.lines().filter(|line| line.starts_with('@'));
        let noted: Vec<&str> = noted.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(numbers, noted);
        for (file, level) in [("restore.key", "data"), ("verify.key", "tree")] {
            let run = world.indelible(["verify", "--level", level]);
            run.key(&key(file))
                .run()
                .exits(0)
                .prints("no problem found");
        }
        let passphrase = fs::read_to_string(key("recovery.txt")).unwrap();
        let run = world.indelible(["restore", "web-1", "--stdout"]);
        let restored = run.env("INDELIBLE_PASSPHRASE", passphrase).run();
        let noted = contents
            .lines()
            .skip_while(|line| !line.ends_with(" web-1"));
        let noted = noted
            .skip(1)
            .find(|line| line.contains("dump.sql "))
            .unwrap();
        let len = restored.exits(0).bytes().len();
        assert!(noted.contains(&format!(" {len} ")), "{len}: {noted}");
    }
}
