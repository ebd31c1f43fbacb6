//! A repository, mounted: what is there is what was stored, nothing can be written,
//! damage stays where it is, and it ends cleanly.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::support::mounted::{Mounted, can_mount, is_mounted, until};
use crate::support::{World, noise};

/// Takes a snapshot of a path.
#[track_caller]
fn take(world: &World, path: &Path) {
    let run = world.indelible(["snapshot", "shop"]).arg(path);
    run.run().exits(0);
}

/// Everything below a directory, as far as a snapshot keeps it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Directory {
        mode: u32,
        mtime: (i64, i64),
    },
    File {
        mode: u32,
        mtime: (i64, i64),
        content: Vec<u8>,
    },
    Link {
        target: PathBuf,
    },
}

fn seen_below(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            let (mode, mtime) = (
                metadata.mode() & 0o7777,
                (metadata.mtime(), metadata.mtime_nsec()),
            );
            let found = if metadata.is_dir() {
                open.push(path.clone());
                Seen::Directory { mode, mtime }
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                Seen::Link { target }
            } else {
                let content = fs::read(&path).expect("it can be read");
                assert_eq!(content.len() as u64, metadata.len());
                Seen::File {
                    mode,
                    mtime,
                    content,
                }
            };
            let below = path.strip_prefix(root).expect("it is below").to_owned();
            seen.insert(below, found);
        }
    }
    seen
}

/// A tree with everything that a file system can hold and a snapshot keeps.
fn a_tree(world: &World) -> PathBuf {
    let sizes = [0, 1, 4_095, 65_535, 65_536, 1_000_000];
    for (n, size) in sizes.into_iter().enumerate() {
        world.file(format!("tree/file {n}\n{size}"), noise(n as u64, size));
    }
    for n in 0..300 {
        world.file(format!("tree/many/{n:03}"), format!("{n}"));
    }
    world.file("tree/deep/a/b/c/d", "deep");
    let root = world.path("tree");
    fs::write(root.join(OsStr::from_bytes(b"\xff\xfe")), "no text").unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    symlink("deep/a", root.join("link")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let chmod = |path: &str, mode| {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod("many/007", 0o4711);
    chmod("many/008", 0o000);
    let old = File::open(root.join("many/009")).unwrap();
    old.set_modified(UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789))
        .unwrap();
    chmod("empty", 0o1750);
    root
}

/// Whole trees are mounted as they were stored, by name and by number.
#[test]
fn trees_are_as_they_were_stored() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    let root = a_tree(&world);
    let expected = seen_below(&root);
    take(&world, &root);
    fs::remove_file(root.join("many/001")).unwrap();
    let second = seen_below(&root);
    take(&world, &root);
    let mounted = Mounted::new(&world, &[]);
    assert_eq!(seen_below(&mounted.path("by-number/1/tree")), expected);
    assert_eq!(seen_below(&mounted.path("by-number/2/tree")), second);
    assert_eq!(
        seen_below(&mounted.path("by-name/shop/latest/tree")),
        second
    );
    let times = fs::read_dir(mounted.path("by-name/shop")).unwrap().count();
    assert_eq!(times, 3, "two snapshots and the link");
    let absent = fs::symlink_metadata(mounted.path("by-number/3"));
    assert_eq!(
        absent.unwrap_err().raw_os_error(),
        Some(Errno::NOENT.raw_os_error())
    );
    mounted.unmount().exits(0);
}

/// Every call that would change something answers EROFS.
#[test]
fn nothing_can_be_written() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    let root = world
        .file("tree/file", "content")
        .parent()
        .unwrap()
        .to_owned();
    take(&world, &root);
    let mounted = Mounted::new(&world, &[]);
    let dir = mounted.path("by-number/1/tree");
    let (file, new) = (dir.join("file"), dir.join("new"));
    let open = |path: &Path, flags| rustix::fs::open(path, flags, Mode::RUSR).map(drop);
    let now = Timestamps {
        last_access: Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        },
        last_modification: Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        },
    };
    let none = XattrFlags::empty();
    let make = |kind| rustix::fs::mknodat(CWD, &new, kind, Mode::RUSR, 0);
    let calls: Vec<(&str, Result<(), Errno>)> = vec![
        ("open to write", open(&file, OFlags::WRONLY)),
        ("open to read and write", open(&file, OFlags::RDWR)),
        (
            "open to append",
            open(&file, OFlags::WRONLY | OFlags::APPEND),
        ),
        (
            "open and truncate",
            open(&file, OFlags::WRONLY | OFlags::TRUNC),
        ),
        ("create", open(&new, OFlags::CREATE | OFlags::WRONLY)),
        (
            "create exclusively",
            open(&new, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY),
        ),
        (
            "create without a name",
            open(&dir, OFlags::TMPFILE | OFlags::WRONLY),
        ),
        ("truncate", rustix_truncate(&file)),
        ("mkdir", rustix::fs::mkdir(&new, Mode::RWXU)),
        ("mknod of a pipe", make(FileType::Fifo)),
        ("mknod of a file", make(FileType::RegularFile)),
        ("symlink", rustix::fs::symlink("target", &new)),
        ("link", rustix::fs::link(&file, &new)),
        ("rename", rustix::fs::rename(&file, &new)),
        ("unlink", rustix::fs::unlink(&file)),
        ("rmdir", rustix::fs::rmdir(&dir)),
        ("chmod", rustix::fs::chmod(&file, Mode::RWXU)),
        (
            "chown",
            rustix::fs::chown(&file, Some(Uid::from_raw(1)), Some(Gid::from_raw(1))),
        ),
        (
            "utimensat",
            rustix::fs::utimensat(CWD, &file, &now, AtFlags::empty()),
        ),
        (
            "setxattr",
            rustix::fs::setxattr(&file, "user.a", b"b", none),
        ),
        ("removexattr", rustix::fs::removexattr(&file, "user.a")),
        (
            "create at the top",
            open(&mounted.path("new"), OFlags::CREATE | OFlags::WRONLY),
        ),
        (
            "mkdir by name",
            rustix::fs::mkdir(mounted.path("by-name/new"), Mode::RWXU),
        ),
    ];
    for (call, answer) in calls {
        assert_eq!(answer, Err(Errno::ROFS), "{call}");
    }
    let reader = File::open(&file).unwrap();
    assert_eq!(rustix::io::write(&reader, b"x"), Err(Errno::BADF));
    assert_eq!(fs::read(&file).unwrap(), b"content");
}

fn rustix_truncate(path: &Path) -> Result<(), Errno> {
    // Through a shell: the library has no call that takes a path.
    let status = Command::new("truncate").arg("--size=0").arg(path).output();
    let said = String::from_utf8(status.unwrap().stderr).unwrap();
    if said.contains("Read-only file system") {
        Err(Errno::ROFS)
    } else {
        Ok(())
    }
}

/// Eight readers at once, from end to end and here and there, all get the right
/// bytes.
///
/// Method: a second version that leans on the first, so that deltas are decoded.
#[test]
fn many_read_at_once() {
    if !can_mount() {
        return;
    }
    let (world, mut bytes) = (World::new(), Vec::new());
    for row in 0..400_000_u32 {
        bytes.extend_from_slice(
            format!("{row}\t{:08x}\trow\n", row.wrapping_mul(2_654_435_761)).as_bytes(),
        );
    }
    let path = world.file("dump.sql", &bytes);
    take(&world, &path);
    for at in (1_000..bytes.len()).step_by(50_000) {
        bytes[at] = b'#';
    }
    world.file("dump.sql", &bytes);
    take(&world, &path);
    let mounted = Mounted::new(&world, &[]);
    let path = mounted.path("by-number/2/dump.sql");
    std::thread::scope(|scope| {
        for reader in 0..8_usize {
            let (path, bytes) = (&path, &bytes);
            scope.spawn(move || {
                let mut file = File::open(path).unwrap();
                if reader % 2 == 0 {
                    let mut all = Vec::new();
                    file.seek(SeekFrom::Start(reader as u64 * 1_000)).unwrap();
                    file.read_to_end(&mut all).unwrap();
                    assert!(all == bytes[reader * 1_000..], "reader {reader}");
                    return;
                }
                let mut at = reader * 999_983;
                let mut page = [0; 4_096];
                for _ in 0..500 {
                    at = (at * 31 + 7_919) % (bytes.len() - 4_096);
                    file.read_exact_at(&mut page, at as u64).unwrap();
                    assert!(page == bytes[at..][..4_096], "reader {reader} at {at}");
                }
            });
        }
    });
}

/// It ends cleanly however it is asked to, also while somebody uses it.
#[test]
fn it_ends_cleanly() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    let path = world.file("dump.sql", noise(1, 100_000));
    take(&world, &path);
    let dir = world.path("mnt");
    for signal in [Signal::INT, Signal::TERM] {
        let mounted = Mounted::new(&world, &[]);
        assert_eq!(
            fs::read(mounted.path("by-number/1/dump.sql"))
                .unwrap()
                .len(),
            100_000
        );
        mounted.end(signal).exits(0);
        assert!(!is_mounted(&dir));
    }
    Mounted::new(&world, &[]).unmount().exits(0);
    let mounted = Mounted::new(&world, &[]);
    let open = File::open(mounted.path("by-number/1/dump.sql")).unwrap();
    mounted.end(Signal::TERM).exits(0).says("still in use");
    assert!(!is_mounted(&dir));
    drop(open);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

/// New snapshots appear without a new mount.
#[test]
fn new_snapshots_appear() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    let path = world.file("dump.sql", "one");
    let snapshot = |name| world.indelible(["snapshot", name]).arg(&path).run();
    snapshot("shop").exits(0);
    let mounted = Mounted::new(&world, &[]);
    let latest = mounted.path("by-name/shop/latest/dump.sql");
    assert_eq!(fs::read(&latest).unwrap(), b"one");
    world.file("dump.sql", "another");
    snapshot("shop").exits(0);
    snapshot("other").exits(0);
    until("the new snapshot", || {
        fs::read(&latest).is_ok_and(|read| read == b"another")
    });
    until("the new NAME", || {
        mounted.path("by-name/other/latest/dump.sql").exists()
    });
    assert_eq!(
        fs::read(mounted.path("by-number/1/dump.sql")).unwrap(),
        b"one"
    );
}

/// A damaged chunk is an input/output error, told once with its place; the rest can
/// be read.
#[test]
fn damage_is_told_and_stays_where_it_is() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    let bytes = noise(3, 3_000_000);
    let path = world.file("dump.sql", &bytes);
    take(&world, &path);
    let packs = world.objects("packs").into_iter();
    let pack = packs
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pack)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1_500_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 1_500_000).unwrap();
    let mounted = Mounted::new(&world, &[]);
    let dump = File::open(mounted.path("by-number/1/dump.sql")).unwrap();
    let (mut failed, mut page) = (0, vec![0; 50_000]);
    for _ in 0..2 {
        for at in (0..bytes.len()).step_by(page.len()) {
            match dump.read_exact_at(&mut page, at as u64) {
                Ok(()) => assert!(page == bytes[at..][..page.len()]),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
                    failed += 1;
                }
            }
        }
    }
    assert!((2..=44).contains(&failed), "{failed} of 120 reads failed");
    drop(dump);
    let ran = mounted.end(Signal::TERM);
    ran.exits(0)
        .says("@1 shop")
        .says("dump.sql: the ")
        .says("bytes were altered");
    let told: Vec<String> = ran.stderr().lines().map(str::to_owned).collect();
    let mut once = told.clone();
    once.sort();
    once.dedup();
    assert_eq!(told.len(), once.len(), "each place is told once: {told:#?}");
}

/// A mount in the background is there when the command ends, and ends with umount.
#[test]
fn it_goes_to_the_background() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    let path = world.file("dump.sql", "content");
    take(&world, &path);
    let dir = world.path("mnt");
    fs::create_dir(&dir).unwrap();
    let run = world
        .indelible(["--json", "mount", "--background", "mnt"])
        .run();
    let message = run.exits(0).message("mounted");
    let process = message["process"].as_u64().expect("its number");
    assert_eq!(
        fs::read(dir.join("by-name/shop/latest/dump.sql")).unwrap(),
        b"content"
    );
    let unmounted = Command::new("umount").arg(&dir).status().unwrap();
    assert!(unmounted.success());
    let gone = || !Path::new(&format!("/proc/{process}/exe")).exists();
    until("the process ends", gone);
    // What goes wrong before is seen, with its exit code.
    let run = world.indelible(["mount", "--background", "mnt"]);
    let run = run.env("INDELIBLE_PASSPHRASE", "wrong").run();
    run.exits(12);
    assert!(!is_mounted(&dir));
}

/// What can't be mounted is said before anything is.
#[test]
fn what_cannot_be_mounted() {
    let world = World::new();
    let path = world.file("dump.sql", "content");
    take(&world, &path);
    world
        .indelible(["mount", "absent"])
        .run()
        .exits(1)
        .says("directory that exists");
    world
        .indelible(["mount", "dump.sql"])
        .run()
        .exits(2)
        .says("no directory");
    fs::create_dir(world.path("mnt")).unwrap();
    let key = world.key("verify", &[]);
    let run = world.indelible(["mount", "mnt"]).key(&key).run();
    run.exits(12).says("restore");
}
