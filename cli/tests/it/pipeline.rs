//! Bytes in, the same bytes out, by every way in and out.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{World, noise};

/// What a restore must bring back of one name.
#[derive(Debug, PartialEq, Eq)]
enum Node {
    Directory {
        mode: u32,
        mtime: i64,
    },
    File {
        mode: u32,
        mtime: i64,
        content: Vec<u8>,
    },
    Symlink {
        target: PathBuf,
    },
}

/// All that lies below a directory, by path.
fn tree(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(root.join(&dir)).unwrap() {
            let path = dir.join(entry.unwrap().file_name());
            let place = root.join(&path);
            let metadata = fs::symlink_metadata(&place).unwrap();
            let (mode, mtime) = (metadata.mode(), metadata.mtime());
            let node = if metadata.is_symlink() {
                let target = fs::read_link(&place).unwrap();
                Node::Symlink { target }
            } else if metadata.is_dir() {
                open.push(path.clone());
                Node::Directory { mode, mtime }
            } else {
                let content = fs::read(&place).unwrap();
                Node::File {
                    mode,
                    mtime,
                    content,
                }
            };
            nodes.insert(path, node);
        }
    }
    nodes
}

/// A file and a directory with all that may lie in one come back as they were.
///
/// Method: empty, small and large files, an empty directory, links that lead
/// somewhere and nowhere, odd modes, and names that are no UTF-8 or look like
/// options; restore everything, then one file and one subtree.
#[test]
fn files_and_directories() {
    let (world, key) = World::with_write_key();
    let odd = OsStr::from_bytes(b"dumps/caf\xe9\xff\n.sql");
    world.file("orders.sql", "select 1;\n");
    world.file("dumps/empty.sql", "");
    world.file("dumps/large.dump", noise(1, 3_000_000));
    world.file("dumps/night/--help", "not an option");
    world.file(odd, "odd");
    fs::create_dir(world.path("dumps/nothing")).unwrap();
    symlink("large.dump", world.path("dumps/latest")).unwrap();
    symlink("/nowhere", world.path("dumps/dangling")).unwrap();
    let mode = |name: &str, mode| {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("dumps/empty.sql", 0o400);
    mode("dumps/night/--help", 0o751);
    mode("dumps/nothing", 0o700);
    let aged = Command::new("touch")
        .args(["--date", "2001-02-03T04:05:06Z"])
        .args([world.path("dumps/large.dump"), world.path("dumps/night")])
        .status();
    assert!(aged.unwrap().success());

    let run = world.indelible(["snapshot", "all", "orders.sql", "dumps"]);
    run.key(&key).run().exits(0).prints("10 entries");
    let restore = |target: &str| world.indelible(["restore", "all", "--target", target]);
    restore("out").run().exits(0).prints("10 entries");
    assert_eq!(tree(&world.path("out/dumps")), tree(&world.path("dumps")));
    let file = fs::read(world.path("out/orders.sql")).unwrap();
    assert_eq!(file, b"select 1;\n");

    let part = restore("part")
        .args([odd, OsStr::new("dumps/night/")])
        .run();
    part.exits(0);
    assert_eq!(fs::read(world.path("part").join(odd)).unwrap(), b"odd");
    assert_eq!(
        tree(&world.path("part/dumps/night")),
        tree(&world.path("dumps/night"))
    );
    assert_eq!(tree(&world.path("part")).len(), 4);
}

/// A stream restores byte for byte, under its name or the one that was given.
///
/// Method: feed more than a batch through standard input, and compare what comes
/// out of a pipe with `cmp`.
#[test]
fn stdin_to_stdout() {
    let (world, key) = World::with_write_key();
    let dump = noise(7, 20_000_000);
    let given = world.file("given", &dump);
    let run = world.indelible(["snapshot", "orders", "--stdin"]);
    run.key(&key).feed(&dump).exits(0);

    let mut restoring = world.indelible(["restore", "orders", "--stdout"]).start();
    let compared = Command::new("cmp")
        .arg("-")
        .arg(&given)
        .stdin(Stdio::from(restoring.stdout.take().unwrap()))
        .status();
    assert!(compared.unwrap().success(), "the streams differ");
    assert!(restoring.wait().unwrap().success());

    let run = world.indelible(["snapshot", "shop", "--stdin", "--filename", "shop.sql"]);
    run.key(&key).feed(b"rows").exits(0);
    let run = world.indelible(["restore", "shop", "shop.sql", "--stdout"]);
    assert_eq!(run.run().exits(0).bytes(), b"rows");
}

/// What commands print is stored under the names that they were given.
///
/// Method: one command without a shell, then several with one, and restore all.
#[test]
fn commands() {
    let (world, key) = World::with_write_key();
    let run = world.indelible(["snapshot", "argv", "--", "printf", "%s|", "a b", "$HOME"]);
    run.key(&key).run().exits(0);
    let run = world.indelible(["restore", "argv", "--stdout"]).run();
    assert_eq!(run.exits(0).bytes(), b"a b|$HOME|");

    let run = world.indelible([
        "snapshot",
        "shell",
        "--cmd",
        "orders.sql=seq 1 200000 | tac",
        "--cmd",
        "globals.sql=printf %s \"$GREETING\"",
    ]);
    run.env("GREETING", "hello")
        .key(&key)
        .run()
        .exits(0)
        .prints("2 entries");
    let run = world.indelible(["restore", "shell", "--target", "out"]);
    run.run().exits(0);
    let globals = fs::read(world.path("out/globals.sql")).unwrap();
    assert_eq!(globals, b"hello");
    let mut expected = String::new();
    for number in (1..=200_000).rev() {
        expected.push_str(&number.to_string());
        expected.push('\n');
    }
    let orders = fs::read_to_string(world.path("out/orders.sql")).unwrap();
    assert!(orders == expected, "{} bytes came back", orders.len());
    let run = world.indelible(["restore", "shell", "--stdout"]).run();
    run.exits(2).says("globals.sql, orders.sql");
}

/// A snapshot of what is stored already costs its entry in the log, and a changed
/// file what changed.
///
/// Method: snapshot a file twice, then with a row in the middle, and read what
/// was added.
#[test]
fn unchanged_costs_nothing() {
    let (world, key) = World::with_write_key();
    let mut dump = noise(3, 8_000_000);
    let night = || {
        let run = world.indelible(["--json", "snapshot", "orders", "orders.dump"]);
        let summary = run.key(&key).run().exits(0).message("summary");
        summary["added_bytes"].as_u64().unwrap()
    };
    world.file("orders.dump", &dump);
    assert!(night() >= 8_000_000);
    assert_eq!(night(), 0);
    dump.splice(4_000_000..4_000_000, *b"one more row");
    world.file("orders.dump", &dump);
    let added = night();
    assert!(added > 0 && added < 3_000_000, "{added} bytes were added");
    let run = world.indelible(["restore", "orders", "--stdout"]).run();
    assert!(run.exits(0).bytes() == dump);
}

/// A moment names the newest snapshot at or before it.
///
/// Method: snapshot until the clock shows another second than at the first, and
/// ask for the first second, for the day, and for long ago.
#[test]
fn snapshots_by_time() {
    let (world, key) = World::with_write_key();
    let mut times: Vec<String> = Vec::new();
    let second = |time: &str| time[..19].to_owned();
    while times.len() < 2 || second(&times[0]) == second(times.last().unwrap()) {
        world.file("orders.sql", format!("night {}", times.len()));
        let run = world.indelible(["snapshot", "orders", "orders.sql"]);
        run.key(&key).run().exits(0);
        let listed = world.indelible(["--json", "list"]).run().messages();
        let newest = listed.last().unwrap();
        times.push(newest["time"].as_str().unwrap().to_owned());
    }
    let restored = |moment: &str| {
        let run = world.indelible(["restore", &format!("orders@{moment}"), "--stdout"]);
        let ran = run.run();
        ran.exits(0).says("restoring @");
        String::from_utf8(ran.bytes().to_vec()).unwrap()
    };
    let newest = times.len() - 1;
    // All but the newest were made in the first second.
    assert_eq!(
        restored(&second(&times[0])),
        format!("night {}", newest - 1)
    );
    assert_eq!(restored(&times[newest][..10]), format!("night {newest}"));
    let run = world.indelible(["restore", "orders@2001-01-01T00:00", "--stdout"]);
    run.run().exits(2).prints_nothing();
}
