//! What a restore leaves when it ends early, and what the next one makes of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use indelible_engine::target::{NotApplied, TargetDir, TargetError, TargetFile};
use indelible_format::page::Metadata;
use rustix::fs::{CWD, Mode, mkfifoat};

use super::{KEEP, OVERWRITE, Scene, entry, metadata, restore};

const CONTENT: &[u8] = b"rows, and more rows";

impl Scene {
    fn resume(&self) -> TargetDir {
        TargetDir::resume(&self.path(""), KEEP, [7; 32]).unwrap()
    }

    /// A file that a restore began and left, and its temporary name.
    fn left(&self, path: &[u8]) -> String {
        let before = self.names("");
        let mut file = self.open(KEEP).create_file(&entry(path)).unwrap();
        file.write_at(0, CONTENT).unwrap();
        file.leave();
        let mut names = self.names("");
        names.retain(|name| !before.contains(name));
        assert_eq!(names.len(), 1);
        names.remove(0)
    }
}

fn owned(mode: u32) -> Metadata {
    metadata(mode, 0)
}

fn holds(file: &TargetFile) -> bool {
    file.left()
        .holds(0, CONTENT.len(), &|bytes| bytes == CONTENT)
}

/// What a restore left is taken up by one that resumes, and written over by one
/// that does not.
///
/// Method: leave a file; go on with it and finish it longer; leave another, and
/// begin it anew, shorter. No temporary name is left either way. A file without
/// a byte is not left at all.
#[test]
fn what_was_left_is_taken_up_or_written_over() {
    let scene = Scene::new();
    let name = scene.left(b"app.sql");
    assert!(name.starts_with(".indelible-"), "{name}");
    let mut file = scene
        .resume()
        .resume_file(&entry(b"app.sql"), &owned(0o640))
        .unwrap();
    assert!(holds(&file));
    assert!(
        !file.left().holds(1, CONTENT.len(), &|_| true),
        "beyond its end"
    );
    file.write_at(CONTENT.len() as u64, b", whole").unwrap();
    file.finish(&owned(0o640)).unwrap();
    let whole = fs::read(scene.path("app.sql")).unwrap();
    assert_eq!(whole, b"rows, and more rows, whole");

    scene.left(b"other.sql");
    let mut file = scene.open(KEEP).create_file(&entry(b"other.sql")).unwrap();
    assert!(!holds(&file));
    file.write_at(0, b"new").unwrap();
    file.finish(&owned(0o640)).unwrap();
    assert_eq!(fs::read(scene.path("other.sql")).unwrap(), b"new");
    let empty = scene.open(KEEP).create_file(&entry(b"empty")).unwrap();
    empty.leave();
    assert_eq!(scene.names(""), ["app.sql", "other.sql"]);
}

/// A file that somebody planted under a temporary name, or still works on, is
/// neither trusted nor changed.
///
/// Method: put under the name of what was left: a link to the outside, a second
/// name of a file outside, a pipe, a directory, a file that others may write, one
/// of another user (where we are root), and one that another run has open. Each
/// stays as it is, and the file is written all the same.
#[test]
fn what_was_planted_is_passed_over() {
    type Plant = fn(&Scene, &std::path::Path);
    let write = |path: &std::path::Path| fs::write(path, CONTENT).unwrap();
    let plants: [Plant; 6] = [
        |scene, path| symlink(scene.outside("kept"), path).unwrap(),
        |scene, path| fs::hard_link(scene.outside("kept"), path).unwrap(),
        |_, path| mkfifoat(CWD, path, Mode::RWXU).unwrap(),
        |_, path| fs::create_dir(path).unwrap(),
        |_, path| fs::set_permissions(path, PermissionsExt::from_mode(0o622)).unwrap(),
        |_, path| chown(path, Some(12_345), None).unwrap(),
    ];
    for (number, plant) in plants.into_iter().enumerate() {
        if number == 5 && !rustix::process::geteuid().is_root() {
            continue;
        }
        for resumes in [false, true] {
            let scene = Scene::new();
            let name = scene.left(b"app.sql");
            let path = scene.path(&name);
            fs::remove_file(&path).unwrap();
            if number >= 4 {
                write(&path);
            }
            plant(&scene, &path);
            let planted = fs::symlink_metadata(&path).unwrap();
            let file = if resumes {
                let target = scene.resume();
                target.resume_file(&entry(b"app.sql"), &owned(0o600))
            } else {
                scene.open(KEEP).create_file(&entry(b"app.sql"))
            };
            let mut file = file.unwrap();
            assert!(!holds(&file), "plant {number}");
            file.write_at(0, b"restored").unwrap();
            file.finish(&owned(0o600)).unwrap();
            assert_eq!(fs::read(scene.path("app.sql")).unwrap(), b"restored");
            let still = fs::symlink_metadata(&path).unwrap();
            let seen = |it: &fs::Metadata| (it.ino(), it.mode(), it.uid(), it.len());
            assert_eq!(seen(&still), seen(&planted), "plant {number}");
            scene.assert_outside_untouched();
        }
    }
}

/// Two restores at once never write to the same file.
///
/// Method: begin a file in one, then begin and resume it in another; finish the
/// first, whose bytes stand, while the second finds the name taken.
#[test]
fn two_runs_do_not_share_a_file() {
    let scene = Scene::new();
    let mut first = scene.open(KEEP).create_file(&entry(b"app.sql")).unwrap();
    first.write_at(0, b"first").unwrap();
    let mut second = scene.open(KEEP).create_file(&entry(b"app.sql")).unwrap();
    second.write_at(0, b"second").unwrap();
    let third = scene.resume();
    let mut third = third
        .resume_file(&entry(b"app.sql"), &owned(0o600))
        .unwrap();
    assert!(!third.left().holds(0, 5, &|_| true));
    third.write_at(0, b"third").unwrap();
    assert_eq!(scene.names("").len(), 3);
    first.finish(&owned(0o600)).unwrap();
    for late in [second, third] {
        let error = late.finish(&owned(0o600)).unwrap_err();
        assert!(matches!(error, TargetError::Exists { .. }), "{error:?}");
    }
    assert_eq!(fs::read(scene.path("app.sql")).unwrap(), b"first");
    assert_eq!(scene.names(""), ["app.sql"]);
}

/// An entry whose own name is that of an unfinished file is not lost to it.
///
/// Method: restore an entry under the temporary name of another one, and then
/// that other one, with every way to begin it.
#[test]
fn an_entry_named_like_an_unfinished_file_stays() {
    for resumes in [false, true] {
        let scene = Scene::new();
        let name = scene.left(b"b");
        fs::remove_file(scene.path(&name)).unwrap();
        let target = if resumes {
            scene.resume()
        } else {
            scene.open(OVERWRITE)
        };
        restore(&target, name.as_bytes(), b"an entry").unwrap();
        let mut file = if resumes {
            target.resume_file(&entry(b"b"), &owned(0o600)).unwrap()
        } else {
            target.create_file(&entry(b"b")).unwrap()
        };
        file.write_at(0, b"another").unwrap();
        file.finish(&owned(0o600)).unwrap();
        assert_eq!(fs::read(scene.path(&name)).unwrap(), b"an entry");
        assert_eq!(fs::read(scene.path("b")).unwrap(), b"another");
    }
}

/// A file with holes gets no name that a whole one could have, its holes are
/// zeros whatever stood there, and a run that resumes takes it up.
///
/// Method: make holes at the beginning, over what an earlier run left, and at the
/// end; look at name and bytes; then fill them.
#[test]
fn a_file_with_holes_gets_a_name_that_says_so() {
    let scene = Scene::new();
    scene.left(b"app.sql");
    let metadata = owned(0o640);
    let target = scene.resume();
    let mut file = target.resume_file(&entry(b"app.sql"), &metadata).unwrap();
    file.hole(0, 4).unwrap();
    file.hole(10, 100_000).unwrap();
    file.finish(&metadata).unwrap();
    assert_eq!(scene.names(""), ["app.sql.salvaged"]);
    let mut expected = CONTENT.to_vec();
    expected[..4].fill(0);
    expected[10..].fill(0);
    expected.resize(100_010, 0);
    let salvaged = scene.path("app.sql.salvaged");
    assert!(fs::read(&salvaged).unwrap() == expected);
    let seen = fs::metadata(&salvaged).unwrap();
    assert_eq!(seen.mode() & 0o7777, 0o640);
    assert!(seen.blocks() * 512 < 50_000, "the hole takes no space");

    let target = scene.resume();
    let mut file = target.resume_file(&entry(b"app.sql"), &metadata).unwrap();
    assert!(file.left().holds(0, 10, &|bytes| bytes == &expected[..10]));
    file.write_at(0, CONTENT).unwrap();
    file.set_len(CONTENT.len() as u64).unwrap();
    file.finish(&metadata).unwrap();
    assert_eq!(scene.names(""), ["app.sql"]);
    assert_eq!(fs::read(scene.path("app.sql")).unwrap(), CONTENT);
}

/// What was salvaged is not replaced unasked, and a long name is cut.
///
/// Method: salvage twice with either policy; and a name of 255 bytes.
#[test]
fn salvaged_names() {
    let scene = Scene::new();
    let salvage = |target: &TargetDir, path: &[u8], len| {
        let mut file = target.create_file(&entry(path)).unwrap();
        file.write_at(0, b"x").unwrap();
        file.hole(1, len)?;
        file.finish(&owned(0o600))
    };
    salvage(&scene.open(KEEP), b"app.sql", 1).unwrap();
    let error = salvage(&scene.open(KEEP), b"app.sql", 2).unwrap_err();
    assert!(matches!(error, TargetError::Exists { .. }), "{error:?}");
    let len = || fs::metadata(scene.path("app.sql.salvaged")).unwrap().len();
    assert_eq!(len(), 2);
    salvage(&scene.open(OVERWRITE), b"app.sql", 2).unwrap();
    assert_eq!(len(), 3);
    let long = "n".repeat(255);
    salvage(&scene.open(KEEP), long.as_bytes(), 1).unwrap();
    let cut = format!("{}.salvaged", &long[..246]);
    assert_eq!(scene.names(""), ["app.sql.salvaged", &cut]);
}

/// A hole that no file can have is a plain error, and takes nothing.
///
/// Method: holes whose ends no file reaches or no number counts.
#[test]
fn no_hole_beyond_what_a_file_can_have() {
    let scene = Scene::new();
    for (offset, len) in [(0, u64::MAX), (1 << 63, 1), (u64::MAX - 1, 1), (9, 1 << 63)] {
        let mut file = scene.open(KEEP).create_file(&entry(b"huge")).unwrap();
        file.write_at(0, b"x").unwrap();
        let error = file.hole(offset, len).unwrap_err();
        assert!(matches!(error, TargetError::TooLong { .. }), "{error:?}");
    }
    assert!(scene.names("").is_empty());
}

/// Only a file that nobody else can change or has elsewhere counts as finished
/// by an earlier run.
///
/// Method: a file of our own; then with another length, with a second name, open
/// to others, as a link, and of another user, whom the snapshot names or not.
#[test]
fn only_our_own_files_count_as_finished() {
    let scene = Scene::new();
    let path = scene.path("app.sql");
    let stands = |size_bytes, metadata: &Metadata| {
        let file = scene
            .resume()
            .standing_file(&entry(b"app.sql"), size_bytes, metadata);
        file.unwrap()
    };
    let len = CONTENT.len() as u64;
    assert!(stands(len, &owned(0o600)).is_none(), "nothing is there");
    fs::write(&path, CONTENT).unwrap();
    let file = stands(len, &owned(0o640)).unwrap();
    assert!(file.left().holds(5, 3, &|bytes| bytes == &CONTENT[5..8]));
    let not_applied: Vec<NotApplied> = file.finish(&metadata(0o640, 77)).unwrap();
    assert_eq!(not_applied, []);
    let seen = fs::metadata(&path).unwrap();
    assert_eq!((seen.mode() & 0o7777, seen.mtime()), (0o640, 77));

    assert!(stands(len + 1, &owned(0o640)).is_none());
    fs::hard_link(&path, scene.outside("second")).unwrap();
    assert!(stands(len, &owned(0o640)).is_none());
    fs::remove_file(scene.outside("second")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    assert!(stands(len, &owned(0o640)).is_none());
    assert!(stands(len, &owned(0o666)).is_some());
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&path, Some(12_345), None).unwrap();
        let theirs = Metadata {
            uid: 12_345,
            ..owned(0o640)
        };
        assert!(stands(len, &owned(0o640)).is_none());
        assert!(stands(len, &theirs).is_some());
    }
    fs::rename(&path, scene.outside("moved")).unwrap();
    symlink(scene.outside("moved"), &path).unwrap();
    assert!(stands(len, &owned(0o640)).is_none());
}
