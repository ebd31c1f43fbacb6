//! Where a restore writes: nothing outside, nothing half, nothing unasked.

mod left;
mod metadata;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use indelible_engine::target::{Made, NotApplied, Policy, TargetDir, TargetError};
use indelible_format::page::Metadata;
use indelible_format::path::{EntryPath, PathError};
use tempfile::{TempDir, tempdir};

const KEEP: Policy = Policy { overwrite: false };
const OVERWRITE: Policy = Policy { overwrite: true };

/// Metadata that every user may set on what is his own.
fn metadata(mode: u32, mtime_s: i64) -> Metadata {
    Metadata {
        mode,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime_s,
        mtime_ns: 123_456_789,
    }
}

fn entry(path: &[u8]) -> EntryPath {
    EntryPath::new(path).unwrap()
}

/// A target beside an outside that must stay as it is.
struct Scene {
    outer: TempDir,
}

impl Scene {
    fn new() -> Self {
        let outer = tempdir().unwrap();
        fs::create_dir(outer.path().join("target")).unwrap();
        fs::create_dir(outer.path().join("outside")).unwrap();
        fs::write(outer.path().join("outside/kept"), b"kept").unwrap();
        Self { outer }
    }

    fn open(&self, policy: Policy) -> TargetDir {
        TargetDir::open(&self.path(""), policy, false, [7; 32]).unwrap()
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.outer.path().join("target").join(below)
    }

    fn outside(&self, below: &str) -> std::path::PathBuf {
        self.outer.path().join("outside").join(below)
    }

    fn names(&self, below: &str) -> Vec<String> {
        names(&self.path(below))
    }

    fn assert_outside_untouched(&self) {
        assert_eq!(names(&self.outside("")), ["kept"]);
        assert_eq!(fs::read(self.outside("kept")).unwrap(), b"kept");
        assert_eq!(names(self.outer.path()), ["outside", "target"]);
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn restore(
    target: &TargetDir,
    path: &[u8],
    content: &[u8],
) -> Result<Vec<NotApplied>, TargetError> {
    let mut file = target.create_file(&entry(path))?;
    file.write_at(0, content)?;
    file.finish(&metadata(0o640, 1_000_000_000))
}

/// A tree comes back with contents, modes and times.
///
/// Method: restore directories, files written in order and out of order, a link
/// and a name that isn't UTF-8, deepest finished first; compare what the file
/// system shows. A read-only directory is filled before it gets its mode.
#[test]
fn a_tree_is_restored() {
    let scene = Scene::new();
    let target = scene.open(KEEP);
    assert_eq!(target.make_directory(&entry(b"d")).unwrap(), Made::Created);
    assert_eq!(
        target.make_directory(&entry(b"d/ro")).unwrap(),
        Made::Created
    );
    assert_eq!(
        fs::metadata(scene.path("d/ro")).unwrap().mode() & 0o7777,
        0o700
    );
    assert_eq!(restore(&target, b"d/ro/\xff.sql", b"rows").unwrap(), []);
    let mut file = target.create_file(&entry(b"d/sparse")).unwrap();
    file.write_at(6, b"end").unwrap();
    file.write_at(0, b"be").unwrap();
    assert_eq!(file.finish(&metadata(0o400, -5)).unwrap(), []);
    let link = target.make_symlink(
        &entry(b"d/link"),
        b"../../outside/kept",
        &metadata(0o777, 77),
    );
    assert_eq!(link.unwrap(), []);
    assert_eq!(
        target
            .finish_directory(&entry(b"d/ro"), &metadata(0o555, 2_000))
            .unwrap(),
        []
    );
    assert_eq!(
        target
            .finish_directory(&entry(b"d"), &metadata(0o750, 1_000))
            .unwrap(),
        []
    );
    target.sync().unwrap();

    let seen = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap();
        (
            metadata.mode() & 0o7777,
            metadata.mtime(),
            metadata.mtime_nsec(),
        )
    };
    assert_eq!(seen(&scene.path("d")), (0o750, 1_000, 123_456_789));
    assert_eq!(seen(&scene.path("d/ro")), (0o555, 2_000, 123_456_789));
    assert_eq!(seen(&scene.path("d/sparse")), (0o400, -5, 123_456_789));
    assert_eq!(seen(&scene.path("d/link")), (0o777, 77, 123_456_789));
    let named = scene.path("d/ro").join(OsStr::from_bytes(b"\xff.sql"));
    assert_eq!(seen(&named), (0o640, 1_000_000_000, 123_456_789));
    assert_eq!(fs::read(named).unwrap(), b"rows");
    assert_eq!(
        fs::read_link(scene.path("d/link")).unwrap(),
        Path::new("../../outside/kept")
    );
    // Root may read what nobody may.
    fs::set_permissions(scene.path("d/sparse"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(fs::read(scene.path("d/sparse")).unwrap(), b"be\0\0\0\0end");
    assert_eq!(scene.names("d"), ["link", "ro", "sparse"]);
    scene.assert_outside_untouched();
}

/// No path that leads out of the target, or to nothing, can be given to it.
///
/// Method: hostile paths; none becomes an [`EntryPath`], and every operation of
/// the target takes one.
#[test]
fn hostile_paths_are_refused() {
    let long_name = vec![b'a'; 256];
    let long_path = [b"d/".repeat(2048), b"x".to_vec()].concat();
    let hostile: [(&[u8], PathError); 14] = [
        (b"", PathError::Length(0)),
        (b".", PathError::Relative),
        (b"..", PathError::Relative),
        (b"../outside/x", PathError::Relative),
        (b"/x", PathError::Relative),
        (b"//x", PathError::Relative),
        (b"d/../../outside/x", PathError::Relative),
        (b"d/..", PathError::Relative),
        (b"d/./x", PathError::Relative),
        (b"d//x", PathError::Relative),
        (b"d/", PathError::Relative),
        (b"d\0/x", PathError::Zero),
        (&long_name, PathError::Component(256)),
        (&long_path, PathError::Length(4097)),
    ];
    for (path, expected) in hostile {
        assert_eq!(EntryPath::new(path), Err(expected), "{path:?}");
    }
}

/// A link in the target is never followed, whoever put it there.
///
/// Method: plant links to a directory and to a file outside, one of them deep,
/// and restore through and onto them with either policy.
#[test]
fn planted_links_are_not_followed() {
    for policy in [KEEP, OVERWRITE] {
        let scene = Scene::new();
        fs::create_dir(scene.path("d")).unwrap();
        symlink(scene.outside(""), scene.path("out")).unwrap();
        symlink("../../outside", scene.path("d/out")).unwrap();
        symlink(scene.outside("kept"), scene.path("file")).unwrap();
        symlink(scene.outside("new"), scene.path("dangling")).unwrap();
        let target = scene.open(policy);
        for path in [&b"out/x"[..], b"d/out/x", b"out/kept"] {
            let error = restore(&target, path, b"x").unwrap_err();
            assert!(
                matches!(error, TargetError::NotADirectory { .. }),
                "{error:?}"
            );
            let error = target.make_directory(&entry(path)).unwrap_err();
            assert!(
                matches!(error, TargetError::NotADirectory { .. }),
                "{error:?}"
            );
            let error = target
                .make_symlink(&entry(path), b"x", &metadata(0o777, 0))
                .unwrap_err();
            assert!(
                matches!(error, TargetError::NotADirectory { .. }),
                "{error:?}"
            );
        }
        for path in [&b"out"[..], b"d/out"] {
            let error = target.make_directory(&entry(path)).unwrap_err();
            assert!(matches!(error, TargetError::InTheWay { .. }), "{error:?}");
            let error = target
                .finish_directory(&entry(path), &metadata(0o000, 0))
                .unwrap_err();
            assert!(
                matches!(error, TargetError::NotADirectory { .. }),
                "{error:?}"
            );
        }
        for (name, path) in [("file", b"file".as_slice()), ("dangling", b"dangling")] {
            match restore(&target, path, b"restored") {
                Ok(_) => {
                    assert_eq!(policy, OVERWRITE);
                    assert!(fs::symlink_metadata(scene.path(name)).unwrap().is_file());
                    assert_eq!(fs::read(scene.path(name)).unwrap(), b"restored");
                }
                Err(error) => {
                    assert_eq!(policy, KEEP);
                    assert!(matches!(error, TargetError::Exists { .. }), "{error:?}");
                }
            }
        }
        assert_ne!(fs::metadata(scene.outside("")).unwrap().mode() & 0o777, 0);
        scene.assert_outside_untouched();
    }
}

/// Swapping a directory for a link in the middle of a restore leads nowhere.
///
/// Method: with a file half written, move its directory away and put a link to
/// the outside in its place. The file ends up in the directory that was moved;
/// everything after that fails.
#[test]
fn a_directory_swapped_midway_leads_nowhere() {
    let scene = Scene::new();
    let target = scene.open(OVERWRITE);
    target.make_directory(&entry(b"d")).unwrap();
    let mut file = target.create_file(&entry(b"d/kept")).unwrap();
    file.write_at(0, b"half").unwrap();
    fs::rename(scene.path("d"), scene.path("moved")).unwrap();
    symlink(scene.outside(""), scene.path("d")).unwrap();
    file.write_at(4, b"whole").unwrap();
    file.finish(&metadata(0o600, 0)).unwrap();
    assert_eq!(fs::read(scene.path("moved/kept")).unwrap(), b"halfwhole");

    for error in [
        restore(&target, b"d/kept", b"x").unwrap_err(),
        target
            .finish_directory(&entry(b"d"), &metadata(0o000, 0))
            .unwrap_err(),
        target.sync().unwrap_err(),
    ] {
        assert!(
            matches!(error, TargetError::NotADirectory { .. }),
            "{error:?}"
        );
    }
    scene.assert_outside_untouched();
}

/// Without overwriting, what is there stays as it is, to the last bit.
///
/// Method: a file, a link and a directory that are there already; one more that
/// appears while the file is being written.
#[test]
fn nothing_is_replaced_unasked() {
    let scene = Scene::new();
    fs::write(scene.path("file"), b"old").unwrap();
    symlink("nowhere", scene.path("link")).unwrap();
    fs::create_dir(scene.path("d")).unwrap();
    fs::set_permissions(scene.path("d"), PermissionsExt::from_mode(0o711)).unwrap();
    let target = scene.open(KEEP);
    for path in [&b"file"[..], b"link"] {
        let error = restore(&target, path, b"new").unwrap_err();
        assert!(matches!(error, TargetError::Exists { .. }), "{error:?}");
        let error = target
            .make_symlink(&entry(path), b"new", &metadata(0o777, 0))
            .unwrap_err();
        assert!(matches!(error, TargetError::Exists { .. }), "{error:?}");
        let error = target.make_directory(&entry(path)).unwrap_err();
        assert!(matches!(error, TargetError::InTheWay { .. }), "{error:?}");
    }
    assert_eq!(target.make_directory(&entry(b"d")).unwrap(), Made::Reused);
    assert_eq!(restore(&target, b"d/new", b"new").unwrap(), []);
    let not_applied = target
        .finish_directory(&entry(b"d"), &metadata(0o700, 0))
        .unwrap();
    assert_eq!(
        not_applied,
        [NotApplied::DirectoryKept { path: entry(b"d") }]
    );
    assert_eq!(
        fs::metadata(scene.path("d")).unwrap().mode() & 0o7777,
        0o711
    );

    let mut file = target.create_file(&entry(b"late")).unwrap();
    file.write_at(0, b"new").unwrap();
    fs::write(scene.path("late"), b"theirs").unwrap();
    let error = file.finish(&metadata(0o600, 0)).unwrap_err();
    assert!(matches!(error, TargetError::Exists { .. }), "{error:?}");
    assert_eq!(fs::read(scene.path("late")).unwrap(), b"theirs");
    assert_eq!(fs::read(scene.path("file")).unwrap(), b"old");
    assert_eq!(scene.names(""), ["d", "file", "late", "link"]);
}

/// Overwriting replaces files and links, and nothing else.
///
/// Method: restore onto a file, a link, a directory and a FIFO, and a directory
/// onto a file. A name that is open elsewhere keeps its old bytes.
#[test]
fn overwriting_replaces_files_and_links_only() {
    let scene = Scene::new();
    fs::write(scene.path("file"), b"old").unwrap();
    fs::hard_link(scene.path("file"), scene.path("other")).unwrap();
    symlink("file", scene.path("link")).unwrap();
    fs::create_dir(scene.path("d")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, scene.path("fifo"), fifo, 0o600.into(), 0).unwrap();
    let target = scene.open(OVERWRITE);
    restore(&target, b"file", b"new").unwrap();
    restore(&target, b"link", b"new").unwrap();
    assert_eq!(fs::read(scene.path("file")).unwrap(), b"new");
    assert_eq!(fs::read(scene.path("other")).unwrap(), b"old");
    assert!(fs::symlink_metadata(scene.path("link")).unwrap().is_file());
    target
        .make_symlink(&entry(b"link"), b"file", &metadata(0o777, 0))
        .unwrap();
    assert_eq!(
        fs::read_link(scene.path("link")).unwrap(),
        Path::new("file")
    );
    for path in [&b"d"[..], b"fifo"] {
        let error = restore(&target, path, b"new").unwrap_err();
        assert!(matches!(error, TargetError::InTheWay { .. }), "{error:?}");
        let error = target
            .make_symlink(&entry(path), b"new", &metadata(0o777, 0))
            .unwrap_err();
        assert!(matches!(error, TargetError::InTheWay { .. }), "{error:?}");
    }
    let error = target.make_directory(&entry(b"file")).unwrap_err();
    assert!(matches!(error, TargetError::InTheWay { .. }), "{error:?}");
    assert_eq!(scene.names(""), ["d", "fifo", "file", "link", "other"]);
}

/// An unfinished file leaves nothing, and is hidden and closed until then.
///
/// Method: write a part, look at the directory, drop the file; then fail in the
/// finish itself.
#[test]
fn an_unfinished_file_leaves_nothing() {
    let scene = Scene::new();
    let target = scene.open(KEEP);
    let mut file = target.create_file(&entry(b"app.sql")).unwrap();
    file.write_at(0, b"half a dump").unwrap();
    let staged = scene.names("");
    assert_eq!(staged.len(), 1);
    assert!(staged[0].starts_with(".indelible-"), "{staged:?}");
    assert_eq!(
        fs::metadata(scene.path(&staged[0])).unwrap().mode() & 0o7777,
        0o600
    );
    drop(file);
    assert!(scene.names("").is_empty());

    let file = target.create_file(&entry(b"app.sql")).unwrap();
    let bad_time = Metadata {
        mtime_ns: 1_000_000_000,
        ..metadata(0o600, 0)
    };
    let error = file.finish(&bad_time).unwrap_err();
    assert!(
        matches!(
            error,
            TargetError::BadTime {
                mtime_ns: 1_000_000_000,
                ..
            }
        ),
        "{error:?}"
    );
    let error = target
        .make_symlink(&entry(b"link"), b"x", &bad_time)
        .unwrap_err();
    assert!(matches!(error, TargetError::BadTime { .. }), "{error:?}");
    for link_target in [&b""[..], b"a\0b", &[b'a'; 4096]] {
        let error = target
            .make_symlink(&entry(b"link"), link_target, &metadata(0o777, 0))
            .unwrap_err();
        assert!(
            matches!(error, TargetError::BadLinkTarget { .. }),
            "{error:?}"
        );
    }
    assert!(scene.names("").is_empty());
}

/// Somebody who foresees temporary names can't have a file written elsewhere.
///
/// Method: a first target shows the names, which follow from those of the files;
/// links to the outside are planted under them before a second one is opened.
#[test]
fn foreseen_temporary_names_are_passed_over() {
    let scene = Scene::new();
    let target = scene.open(KEEP);
    let files = [
        target.create_file(&entry(b"a")).unwrap(),
        target.create_file(&entry(b"b")).unwrap(),
    ];
    let foreseen = scene.names("");
    drop(files);
    for name in &foreseen {
        symlink(scene.outside("new"), scene.path(name)).unwrap();
    }
    let target = scene.open(KEEP);
    restore(&target, b"a", b"rows").unwrap();
    assert_eq!(fs::read(scene.path("a")).unwrap(), b"rows");
    scene.assert_outside_untouched();
}

/// A target is made when asked for, closed to others, and else must exist.
///
/// Method: open a path with missing parents with and without `create`; a file
/// as target; a link to a directory, which the user may name.
#[test]
fn the_target_itself() {
    let scene = Scene::new();
    let open = |below: &str, create| TargetDir::open(&scene.path(below), KEEP, create, [1; 32]);
    let error = open("new/deep", false).unwrap_err();
    assert!(matches!(error, TargetError::NoTarget { .. }), "{error:?}");
    let target = open("new/deep", true).unwrap();
    restore(&target, b"file", b"rows").unwrap();
    target.sync().unwrap();
    assert_eq!(
        fs::metadata(scene.path("new")).unwrap().mode() & 0o7777,
        0o700
    );
    open("new/deep", true).unwrap();
    for create in [false, true] {
        let error = open("new/deep/file", create).unwrap_err();
        assert!(matches!(error, TargetError::Unusable { .. }), "{error:?}");
    }
    symlink("new/deep", scene.path("link")).unwrap();
    restore(&open("link", false).unwrap(), b"second", b"rows").unwrap();
    assert_eq!(scene.names("new/deep"), ["file", "second"]);
}

/// A missing directory is named rather than made with a guessed mode.
///
/// Method: restore into a directory that nobody made.
#[test]
fn a_missing_directory_is_an_error() {
    let scene = Scene::new();
    let target = scene.open(KEEP);
    let error = restore(&target, b"d/e/file", b"x").unwrap_err();
    let TargetError::NoDirectory { path } = error else {
        panic!("{error:?}")
    };
    assert_eq!(path, entry(b"d/e"));
    assert!(scene.names("").is_empty());
}
