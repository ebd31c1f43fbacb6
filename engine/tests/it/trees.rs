//! Files, directories and links go into a repository and come out of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::restore::{Restore, RestoreError, Restored};
use indelible_engine::source::{self, Item, NamedPath};
use indelible_engine::target::Policy;
use indelible_format::attest::Level;
use indelible_format::page::Content;
use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use tempfile::TempDir;

use crate::support::{Fixture, noise, path, snapshot_at};

const KEEP: Policy = Policy { overwrite: false };

fn items_of(root: &Path) -> Vec<Item> {
    let named = NamedPath {
        path: root.to_owned(),
        as_name: Some(b"tree".to_vec()),
    };
    source::list(&[named]).expect("the tree can be read").items
}

fn restore_to(
    fixture: &Fixture,
    number: u64,
    paths: &[&[u8]],
) -> Result<(TempDir, Restored), RestoreError> {
    let repository = fixture.open();
    let snapshot = snapshot_at(&repository, number);
    let (listings, _) = repository.listings();
    let target = tempfile::tempdir().expect("a temporary directory");
    let paths: Vec<_> = paths.iter().map(|bytes| path(bytes)).collect();
    let cancel = Cancel::new();
    let restore = Restore::new(&repository, &listings, &snapshot, &cancel, &Silent)?;
    let restored = restore.to_directory(target.path(), &paths, KEEP)?;
    Ok((target, restored))
}

/// One name below a directory, as far as a snapshot keeps it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    path: Vec<u8>,
    mode: u32,
    mtime: (i64, u64),
    content: Vec<u8>,
}

/// Everything below a directory, itself left out.
fn seen_below(root: &Path) -> Vec<Seen> {
    fn walk(root: &Path, dir: &Path, seen: &mut Vec<Seen>) {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let stat = rustix::fs::lstat(&path).expect("it is there");
            let link = fs::read_link(&path).map(|to| to.as_os_str().as_bytes().to_vec());
            let content = link.or_else(|_| fs::read(&path)).unwrap_or_default();
            let below = path.strip_prefix(root).expect("it is below");
            seen.push(Seen {
                path: below.as_os_str().as_bytes().to_vec(),
                mode: stat.st_mode,
                mtime: (stat.st_mtime, stat.st_mtime_nsec),
                content,
            });
            if stat.st_mode & 0o170_000 == 0o040_000 {
                walk(root, &path, seen);
            }
        }
    }
    let mut seen = Vec::new();
    walk(root, root, &mut seen);
    seen.sort();
    seen
}

pub(crate) fn set_mtime(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 123_456_789,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("it is ours");
}

/// Everything that a snapshot keeps of a tree comes back.
///
/// Method: sizes around the bound of small files, an empty file and directory,
/// links that lead nowhere, a name that is not UTF-8, names that sort around the
/// slash, odd modes and times; compare every name, mode, time and content.
#[test]
fn a_tree_comes_back() {
    let source = tempfile::tempdir().unwrap();
    let root = source.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    let odd = root.join(OsStr::from_bytes(b"caf\xe9\n"));
    for (name, bytes) in [
        ("a/b/empty", vec![]),
        ("a/b/small", noise(1, 10)),
        ("a/65535", noise(2, 65_535)),
        ("a/65536", noise(3, 65_536)),
        ("a/65537", noise(4, 65_537)),
        ("a-b", noise(5, 3)),
        ("a.b", noise(6, 70_000)),
    ] {
        fs::write(root.join(name), bytes).unwrap();
    }
    fs::write(&odd, b"odd").unwrap();
    symlink("../nowhere", root.join("a/link")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(root.join("a-b"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o1770)).unwrap();
    set_mtime(&odd, -5);
    set_mtime(&root.join("a/link"), 1_000_000_000);
    set_mtime(&root.join("empty"), 4_000_000_000);
    set_mtime(&root.join("a"), 7);

    let fixture = Fixture::new(11);
    let number = fixture.snapshot("files", items_of(root)).number;
    let (target, restored) = restore_to(&fixture, number, &[]).unwrap();
    assert_eq!(seen_below(&target.path().join("tree")), seen_below(root));
    assert!(
        restored.not_applied.is_empty(),
        "{:?}",
        restored.not_applied
    );
    assert_eq!(restored.entries, 14);
    assert!(fixture.verify(Level::Data).is_sound());
}

/// Files below 64 KiB share a stream, and others have one of their own.
///
/// Method: look at the entries of files around the bound.
#[test]
fn small_files_share_a_stream() {
    let source = tempfile::tempdir().unwrap();
    for len in [0, 1, 65_535, 65_536] {
        fs::write(source.path().join(format!("{len:05}")), noise(1, len)).unwrap();
    }
    let fixture = Fixture::new(12);
    let number = fixture.snapshot("files", items_of(source.path())).number;
    let repository = fixture.open();
    let snapshot = snapshot_at(&repository, number);
    let (listings, _) = repository.listings();
    let reader =
        indelible_engine::read::Reader::new(&repository, &listings, snapshot.binding.domain)
            .unwrap();
    let contents: Vec<Content> = reader
        .entries(&snapshot.manifest.list)
        .unwrap()
        .filter_map(|entry| entry.unwrap().0.content().copied())
        .collect();
    assert!(matches!(
        contents[..],
        [
            Content::Empty,
            Content::Small { offset: 0, len: 1 },
            Content::Small {
                offset: 1,
                len: 65_535
            },
            Content::Own(_),
        ]
    ));
    let small = snapshot.manifest.small.expect("there are small files");
    assert_eq!(small.root.len, 65_536);
}

/// A list of several pages comes back, and a part of it.
///
/// Method: 1,200 small files in 12 directories; restore all, one directory, one
/// file, and a path that is not there.
#[test]
fn many_files_come_back_and_any_part_of_them() {
    let source = tempfile::tempdir().unwrap();
    for dir in 0..12 {
        let dir = source.path().join(format!("table-{dir:02}"));
        fs::create_dir(&dir).unwrap();
        for file in 0..100_u64 {
            fs::write(dir.join(format!("{file:03}.csv")), file.to_le_bytes()).unwrap();
        }
    }
    let fixture = Fixture::new(13);
    let summary = fixture.snapshot("files", items_of(source.path()));
    assert_eq!(summary.entries, 1_213);
    let (target, _) = restore_to(&fixture, summary.number, &[]).unwrap();
    assert!(seen_below(&target.path().join("tree")) == seen_below(source.path()));

    let parts: [&[u8]; 2] = [b"tree/table-07", b"tree/table-11/042.csv"];
    let (target, restored) = restore_to(&fixture, summary.number, &parts).unwrap();
    assert_eq!((restored.entries, restored.bytes), (102, 808));
    let below = target.path().join("tree");
    assert_eq!(
        seen_below(&below.join("table-07")),
        seen_below(&source.path().join("table-07"))
    );
    assert_eq!(fs::read_dir(below.join("table-11")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(below).unwrap().count(), 2);
    let absent = restore_to(&fixture, summary.number, &[b"tree/table-7"]);
    assert!(matches!(absent, Err(RestoreError::NoSuchPath { .. })));
}

/// Names and contents of files below a directory.
fn trees() -> impl Strategy<Value = Vec<(Vec<String>, Vec<u8>)>> {
    let name = proptest::sample::select(vec!["a", "a-", "a.b", "B", "~", "\u{e9}", "0"]);
    let dirs = proptest::collection::vec(name, 0..4);
    let len = prop_oneof![Just(0), 1_usize..300, 65_530_usize..65_540];
    let file = (dirs, any::<u64>(), len).prop_map(|(dirs, seed, len)| {
        let dirs = dirs.into_iter().map(str::to_owned).collect();
        (dirs, noise(seed % 3, len))
    });
    proptest::collection::vec(file, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Any tree of files comes back, and a second snapshot of it is one object.
    ///
    /// Method: make random directories of random files, whose contents repeat;
    /// snapshot twice, restore the second, compare.
    #[test]
    fn any_tree_comes_back(files in trees()) {
        let source = tempfile::tempdir().unwrap();
        for ((dirs, bytes), number) in files.iter().zip(0..) {
            let dir = dirs.iter().fold(source.path().to_owned(), |dir, name| dir.join(name));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(format!("file {number}")), bytes).unwrap();
        }
        let fixture = Fixture::new(14);
        fixture.snapshot("files", items_of(source.path()));
        let objects = fixture.store.keys().len();
        let second = fixture.snapshot("files", items_of(source.path()));
        prop_assert_eq!(fixture.store.keys().len(), objects + 1);
        let (target, _) = restore_to(&fixture, second.number, &[]).unwrap();
        prop_assert_eq!(seen_below(&target.path().join("tree")), seen_below(source.path()));
    }
}
