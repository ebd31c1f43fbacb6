//! What a snapshot reads: paths, files and streams; commands are below.

mod command;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use indelible_engine::source::{
    FileItem, Item, Listing, NamedPath, SourceError, SpecialKind, arrange, list, stream_path,
};
use indelible_format::page::Metadata;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};
use tempfile::tempdir;

fn named(path: impl Into<PathBuf>) -> NamedPath {
    NamedPath {
        path: path.into(),
        as_name: None,
    }
}

fn list_one(path: impl Into<PathBuf>) -> Result<Listing, SourceError> {
    list(&[named(path)])
}

fn paths(listing: &Listing) -> Vec<&[u8]> {
    paths_of(&listing.items)
}

fn paths_of(items: &[Item]) -> Vec<&[u8]> {
    items.iter().map(|item| item.path().as_bytes()).collect()
}

fn the_file(listing: Listing) -> FileItem {
    let files = listing.items.into_iter().filter_map(|item| match item {
        Item::File(file) => Some(file),
        _ => None,
    });
    files.last().expect("a file was listed")
}

fn make_fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The order in which the format wants paths, written down naively.
fn by_components(a: &[u8], b: &[u8]) -> Ordering {
    let components = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|byte| *byte == b'/')
            .map(<[u8]>::to_vec)
            .collect()
    };
    components(a).cmp(&components(b))
}

/// A file is stored under its last component and a directory with all below it.
///
/// Method: name a file and a directory, the latter with a slash at its end;
/// compare paths, kinds, modes and times with what was made.
#[test]
fn paths_are_stored_under_their_last_component() {
    let dir = tempdir().unwrap();
    let dumps = dir.path().join("dumps");
    fs::create_dir_all(dumps.join("deep/empty")).unwrap();
    fs::write(dumps.join("deep.sql"), b"12345").unwrap();
    fs::write(dumps.join("deep/one"), b"").unwrap();
    fs::write(dir.path().join("app.sql"), b"select 1").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_007, 123_456_789);
    let file = File::options().write(true).open(dir.path().join("app.sql"));
    file.unwrap().set_modified(time).unwrap();
    fs::set_permissions(dir.path().join("app.sql"), PermissionsExt::from_mode(0o640)).unwrap();

    let listing = list(&[
        named(format!("{}/", dumps.display())),
        named(dir.path().join("app.sql")),
    ]);
    let listing = listing.unwrap();
    let expected: [&[u8]; 6] = [
        b"app.sql",
        b"dumps",
        b"dumps/deep",
        b"dumps/deep/empty",
        b"dumps/deep/one",
        b"dumps/deep.sql",
    ];
    assert_eq!(paths(&listing), expected);
    assert!(listing.skipped.is_empty());
    let Item::File(app) = &listing.items[0] else {
        panic!("{:?}", listing.items[0])
    };
    assert_eq!(app.size_hint, 8);
    let Metadata {
        mode,
        mtime_s,
        mtime_ns,
        ..
    } = app.metadata;
    assert_eq!(
        (mode, mtime_s, mtime_ns),
        (0o640, 1_000_000_007, 123_456_789)
    );
    assert!(matches!(listing.items[3], Item::Directory { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any tree is listed in the order of the format, with nothing left out.
    ///
    /// Method: make files at random paths whose components use bytes next to
    /// the slash and bytes that are not UTF-8; compare with the set of paths
    /// made, sorted by lists of components.
    #[test]
    fn any_tree_is_listed_in_order(
        files in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(
                prop::sample::select(vec![b'a', b'-', b'.', b'0', b'!', 1, 0xff]), 1..4), 1..4),
            1..12),
    ) {
        let dir = tempdir().unwrap();
        let root = dir.path().join("r");
        fs::create_dir(&root).unwrap();
        let mut expected = BTreeSet::from([b"r".to_vec()]);
        for components in files {
            if components.iter().any(|name| matches!(name.as_slice(), b"." | b"..")) {
                continue;
            }
            let path: PathBuf = components.iter().map(|name| OsStr::from_bytes(name)).collect();
            // A shorter random path may have made a file where this needs a
            // directory, or the reverse.
            if fs::create_dir_all(root.join(&path).parent().unwrap()).is_err()
                || fs::write(root.join(&path), b"").is_err()
            {
                continue;
            }
            for ancestor in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
                expected.insert([b"r/", ancestor.as_os_str().as_bytes()].concat());
            }
        }
        // What a failed attempt left behind are directories on its way.
        let listing = list_one(&root).unwrap();
        let found = paths(&listing);
        let mut sorted = found.clone();
        sorted.sort_by(|a, b| by_components(a, b));
        prop_assert_eq!(&found, &sorted);
        prop_assert!(expected.iter().all(|path| found.contains(&path.as_slice())));
        for path in found {
            prop_assert!(dir.path().join(OsStr::from_bytes(path)).exists());
        }
    }
}

/// Names that are not UTF-8 survive, and messages show them harmlessly.
///
/// Method: a file whose name holds an invalid byte and an escape sequence; list
/// it, remove it, and read the message of the error.
#[test]
fn names_are_bytes() {
    let dir = tempdir().unwrap();
    let name = b"\xff\x1b[2Jdump";
    let path = dir.path().join(OsStr::from_bytes(name));
    fs::write(&path, b"x").unwrap();
    let listing = list_one(&path).unwrap();
    assert_eq!(paths(&listing), [&name[..]]);
    fs::remove_file(&path).unwrap();
    let message = list_one(&path).unwrap_err().to_string();
    assert!(
        message.contains("\\xff\\u{1b}[2Jdump does not exist"),
        "{message}"
    );
    let overridden = list_one("no\u{202e}such").unwrap_err().to_string();
    assert!(overridden.starts_with("no\\u{202e}such"), "{overridden}");
}

/// A link inside a directory is kept as a link; one that the user names is
/// followed, under its own name.
///
/// Method: links to a directory, to a file and to nothing inside a directory
/// that is listed; then list a link to a directory and one to a file.
#[test]
fn links_are_followed_only_when_named() {
    let dir = tempdir().unwrap();
    let inside = dir.path().join("inside");
    fs::create_dir_all(inside.join("real")).unwrap();
    fs::write(inside.join("real/row"), b"x").unwrap();
    symlink("real", inside.join("to-dir")).unwrap();
    symlink("real/row", inside.join("to-file")).unwrap();
    symlink(OsStr::from_bytes(b"no\xfewhere"), inside.join("to-nothing")).unwrap();
    let listing = list_one(&inside).unwrap();
    let links: Vec<(&[u8], &[u8])> = listing
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Symlink { path, target, .. } => Some((path.as_bytes(), target.as_slice())),
            _ => None,
        })
        .collect();
    let expected: [(&[u8], &[u8]); 3] = [
        (b"inside/to-dir", b"real"),
        (b"inside/to-file", b"real/row"),
        (b"inside/to-nothing", b"no\xfewhere"),
    ];
    assert_eq!(links, expected);
    assert_eq!(listing.items.len(), 6);

    let listing = list_one(inside.join("to-dir")).unwrap();
    assert_eq!(paths(&listing), [&b"to-dir"[..], b"to-dir/row"]);
    let listing = list_one(inside.join("to-file")).unwrap();
    assert_eq!(paths(&listing), [&b"to-file"[..]]);
    let mut content = String::new();
    the_file(listing)
        .open()
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!(content, "x");
    let error = list_one(inside.join("to-nothing")).unwrap_err();
    assert!(matches!(error, SourceError::Missing { .. }), "{error:?}");
}

/// Two sources of one name are refused until one of them is renamed.
///
/// Method: two files `app.sql` in two directories; once plainly, then with a
/// name given, then with names that are none.
#[test]
fn sources_of_one_name_are_refused() {
    let dir = tempdir().unwrap();
    let (a, b) = (dir.path().join("a/app.sql"), dir.path().join("b/app.sql"));
    for path in [&a, &b] {
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
    let error = list(&[named(&a), named(&b)]).unwrap_err();
    assert!(error.to_string().contains("--as"), "{error}");
    let SourceError::SameName {
        name,
        first,
        second,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (name.as_bytes(), first, second),
        (&b"app.sql"[..], a.clone(), b.clone())
    );

    let renamed = |name: &[u8]| NamedPath {
        path: b.clone(),
        as_name: Some(name.to_vec()),
    };
    let listing = list(&[named(&a), renamed(b"app-b.sql")]).unwrap();
    assert_eq!(paths(&listing), [&b"app-b.sql"[..], b"app.sql"]);
    let error = list(&[renamed(b"b/app.sql")]).unwrap_err();
    assert!(
        matches!(error, SourceError::NameWithSlash { .. }),
        "{error:?}"
    );
    for bad in [&b""[..], b"..", b"/x", b"a\0b", &[b'a'; 256]] {
        let error = list(&[renamed(bad)]).unwrap_err();
        assert!(matches!(error, SourceError::EntryPath { .. }), "{error:?}");
    }
}

/// A path without a last component is stored under the name of its directory.
///
/// Method: a path that ends in `..` and the root directory.
#[test]
fn a_path_without_a_name_gets_that_of_its_directory() {
    let dir = tempdir().unwrap();
    fs::create_dir_all(dir.path().join("dumps/sub")).unwrap();
    let listing = list_one(dir.path().join("dumps/sub/..")).unwrap();
    assert_eq!(paths(&listing), [&b"dumps"[..], b"dumps/sub"]);
    let error = list_one("/").unwrap_err();
    assert!(matches!(error, SourceError::NoName { .. }), "{error:?}");
}

/// What has no content is reported inside a directory and refused when named.
///
/// Method: a FIFO, a socket and a file in a directory; list the directory, then
/// the FIFO itself. Listing must not open the FIFO, which would block.
#[test]
fn special_files_are_reported() {
    let dir = tempdir().unwrap();
    let dumps = dir.path().join("dumps");
    fs::create_dir(&dumps).unwrap();
    make_fifo(&dumps.join("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(dumps.join("socket")).unwrap();
    fs::write(dumps.join("file"), b"").unwrap();
    let listing = list_one(&dumps).unwrap();
    assert_eq!(paths(&listing), [&b"dumps"[..], b"dumps/file"]);
    let mut skipped: Vec<_> = listing
        .skipped
        .into_iter()
        .map(|skipped| (skipped.path, skipped.kind))
        .collect();
    skipped.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        (dumps.join("fifo"), SpecialKind::Fifo),
        (dumps.join("socket"), SpecialKind::Socket),
    ];
    assert_eq!(skipped, expected);
    let error = list_one(dumps.join("fifo")).unwrap_err();
    assert!(
        matches!(
            error,
            SourceError::NamedSpecial {
                kind: SpecialKind::Fifo,
                ..
            }
        ),
        "{error:?}"
    );
}

/// A path that isn't there is an error that names it.
///
/// Method: name a file that was never made, and one below a file.
#[test]
fn a_missing_path_is_an_error() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    for name in ["absent.sql", "file/absent.sql"] {
        let error = list_one(dir.path().join(name)).unwrap_err();
        assert!(error.to_string().contains("absent.sql"), "{error}");
        let SourceError::Missing { path } = error else {
            panic!("{error:?}")
        };
        assert_eq!(path, dir.path().join(name));
    }
}

/// What may not be read stops the snapshot instead of being left out.
///
/// Method: a directory and a file without permissions. Root may read both, so
/// as root there is nothing to observe.
#[test]
fn unreadable_sources_are_errors() {
    if is_root() {
        return;
    }
    let dir = tempdir().unwrap();
    let (closed, file) = (dir.path().join("closed"), dir.path().join("file"));
    fs::create_dir(&closed).unwrap();
    fs::write(&file, b"secret").unwrap();
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o000)).unwrap();
    let error = list_one(&closed).unwrap_err();
    assert!(matches!(error, SourceError::Unreadable { .. }), "{error:?}");
    let error = the_file(list_one(&file).unwrap()).open().unwrap_err();
    assert!(matches!(error, SourceError::Unreadable { .. }), "{error:?}");
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
}

/// Puts something else where the first path leads; the second holds a secret.
type Swap = fn(&Path, &Path);

/// A file is read only while its name leads to the inode that was listed.
///
/// Method: after listing, remove the file, or put another file, a link to a
/// secret, or a FIFO under its name, or swap its directory for a link. A FIFO
/// must not block the open.
#[test]
fn a_replaced_file_is_not_read() {
    let dir = tempdir().unwrap();
    let (dumps, secret) = (dir.path().join("dumps"), dir.path().join("secret"));
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("app.sql"), b"secret").unwrap();
    let swaps: [(&str, Swap); 5] = [
        ("removed", |_, _| {}),
        ("another file", |file, _| fs::write(file, b"other").unwrap()),
        ("a link", |file, secret| {
            symlink(secret.join("app.sql"), file).unwrap();
        }),
        ("a FIFO", |file, _| make_fifo(file)),
        ("a linked directory", |file, secret| {
            fs::remove_dir(file.parent().unwrap()).unwrap();
            symlink(secret, file.parent().unwrap()).unwrap();
        }),
    ];
    for (what, swap) in swaps {
        fs::create_dir(&dumps).unwrap();
        fs::write(dumps.join("app.sql"), b"dump").unwrap();
        // A second name keeps the inode's number from being used again.
        fs::hard_link(dumps.join("app.sql"), dir.path().join("kept")).unwrap();
        let file = the_file(list_one(&dumps).unwrap());
        fs::remove_file(dumps.join("app.sql")).unwrap();
        swap(&dumps.join("app.sql"), &secret);
        let error = file.open().unwrap_err();
        if what == "removed" {
            assert!(
                matches!(error, SourceError::Vanished { .. }),
                "{what}: {error:?}"
            );
        } else {
            assert!(
                matches!(error, SourceError::Replaced { .. }),
                "{what}: {error:?}"
            );
        }
        fs::remove_file(dir.path().join("kept")).unwrap();
        fs::remove_dir_all(&dumps)
            .or_else(|_| fs::remove_file(&dumps))
            .unwrap();
    }
}

/// Changes an open file, at a time that is later than now.
type Edit = fn(&mut File, SystemTime);

/// A file that changes while it is read says so, and its size is what was read.
///
/// Method: read half of a file, then append to it, cut it, rewrite it in place
/// with a new time, or leave it alone; read on and finish.
#[test]
fn a_change_while_reading_is_noted() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("app.sql");
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let changes: [(&str, u64, Edit); 4] = [
        ("left alone", 8, |_, _| {}),
        ("appended to", 11, |file, _| file.write_all(b"999").unwrap()),
        ("cut", 4, |file, _| file.set_len(4).unwrap()),
        ("rewritten", 8, |file, later| {
            file.set_modified(later).unwrap();
        }),
    ];
    for (what, size_bytes, change) in changes {
        fs::write(&path, b"12345678").unwrap();
        let mut reader = the_file(list_one(&path).unwrap()).open().unwrap();
        let mut content = vec![0; 4];
        reader.read_exact(&mut content).unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        change(&mut file, later);
        reader.read_to_end(&mut content).unwrap();
        let done = reader.finish().unwrap();
        assert_eq!(done.size_bytes, size_bytes, "{what}");
        assert_eq!(done.size_bytes, content.len() as u64, "{what}");
        let Some(noted) = done.change else {
            assert_eq!(what, "left alone");
            continue;
        };
        assert_ne!(what, "left alone");
        assert_eq!(
            (noted.size_before_bytes, noted.size_after_bytes),
            (8, size_bytes),
            "{what}"
        );
        assert!(noted.mtime_changed || what != "rewritten");
        assert_ne!(done.metadata.mtime_s, 2_000_000_000, "{what}");
    }
}

/// Streams stand among other items in order, and not twice under one path.
///
/// Method: arrange a stream and a file; then two streams of one path, and a
/// stream whose path climbs.
#[test]
fn streams_are_arranged_with_files() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("b"), b"x").unwrap();
    let stream = |path: &[u8]| Item::Stream {
        path: stream_path(path.to_vec()).unwrap(),
        reader: Box::new(std::io::empty()),
    };
    let mut items = list_one(dir.path().join("b")).unwrap().items;
    items.insert(0, stream(b"c"));
    items.insert(0, stream(b"a.sql"));
    let items = arrange(items).unwrap();
    assert_eq!(paths_of(&items), [&b"a.sql"[..], b"b", b"c"]);
    let error = arrange(vec![stream(b"a"), stream(b"a")]).unwrap_err();
    assert!(
        matches!(error, SourceError::DuplicatePath { .. }),
        "{error:?}"
    );
    let error = stream_path(b"../a".to_vec()).unwrap_err();
    let SourceError::StreamPath { path, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(path, b"../a");
}
