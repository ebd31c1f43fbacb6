//! Owners, modes and times of what is restored.

use std::fs;
use std::os::unix::fs::MetadataExt;

use indelible_engine::target::{Made, NotApplied};
use indelible_format::page::Metadata;

use super::{KEEP, OVERWRITE, Scene, entry, metadata, restore};

/// A restore can be repeated over itself, read-only directories included.
///
/// Method: restore a directory of mode 0555 twice, the second time with
/// overwriting; the directory is found read-only then.
#[test]
fn a_restore_can_be_repeated() {
    let scene = Scene::new();
    for (policy, made) in [(KEEP, Made::Created), (OVERWRITE, Made::Reused)] {
        let target = scene.open(policy);
        assert_eq!(target.make_directory(&entry(b"ro")).unwrap(), made);
        restore(&target, b"ro/file", b"rows").unwrap();
        assert_eq!(
            target
                .finish_directory(&entry(b"ro"), &metadata(0o555, 9))
                .unwrap(),
            []
        );
        target.sync().unwrap();
        let seen = fs::metadata(scene.path("ro")).unwrap();
        assert_eq!((seen.mode() & 0o7777, seen.mtime()), (0o555, 9));
        assert_eq!(fs::read(scene.path("ro/file")).unwrap(), b"rows");
    }
}

/// Setuid and setgid are kept with their owner and dropped without.
///
/// Method: restore a file of mode 06755 as our own, and one of an owner that
/// no system can set.
#[test]
fn setuid_is_restored_only_with_its_owner() {
    let scene = Scene::new();
    let target = scene.open(KEEP);
    let mode = |name: &str| fs::metadata(scene.path(name)).unwrap().mode() & 0o7777;
    let file = target.create_file(&entry(b"ours")).unwrap();
    assert_eq!(file.finish(&metadata(0o6755, 0)).unwrap(), []);
    assert_eq!(mode("ours"), 0o6755);

    let nobody = Metadata {
        uid: u32::MAX,
        ..metadata(0o7755, 0)
    };
    let file = target.create_file(&entry(b"theirs")).unwrap();
    let gid = nobody.gid;
    let path = entry(b"theirs");
    let expected = [
        NotApplied::Owner {
            path: path.clone(),
            uid: u32::MAX,
            gid,
        },
        NotApplied::SetIdBits { path, mode: 0o7755 },
    ];
    assert_eq!(file.finish(&nobody).unwrap(), expected);
    assert_eq!(mode("theirs"), 0o1755);
}

/// The owner is restored by who may, and reported by who may not.
///
/// Method: restore a file, a link and a directory of another user. Root expects
/// the owner, anybody else the report and the rest of the metadata.
#[test]
fn the_owner_is_set_or_reported() {
    let scene = Scene::new();
    let target = scene.open(KEEP);
    let theirs = Metadata {
        uid: 12_345,
        gid: 54_321,
        ..metadata(0o640, 5)
    };
    target.make_directory(&entry(b"d")).unwrap();
    let reports = [
        (
            "file",
            target
                .create_file(&entry(b"file"))
                .unwrap()
                .finish(&theirs)
                .unwrap(),
        ),
        (
            "link",
            target.make_symlink(&entry(b"link"), b"x", &theirs).unwrap(),
        ),
        ("d", target.finish_directory(&entry(b"d"), &theirs).unwrap()),
    ];
    for (name, report) in reports {
        let seen = fs::symlink_metadata(scene.path(name)).unwrap();
        assert_eq!(seen.mtime(), 5);
        if report.is_empty() {
            assert_eq!((seen.uid(), seen.gid()), (12_345, 54_321));
        } else {
            let path = entry(name.as_bytes());
            assert_eq!(
                report,
                [NotApplied::Owner {
                    path,
                    uid: 12_345,
                    gid: 54_321
                }]
            );
            assert_ne!(seen.uid(), 12_345);
        }
    }
}
