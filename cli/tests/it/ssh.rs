//! Repositories behind ssh, with a real server of ssh: everything works over it, and
//! who has a host's credentials and speaks the protocol himself changes nothing.

mod immutable;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use indelible_engine::store::{
    AppendStore as _, Area, ErrorClass, Listed, ObjectKey, PutOutcome, ReadStore as _, RemoteStore,
};
use indelible_format::ids::PackId;

use crate::support::mounted::{Mounted, can_mount};
use crate::support::{Run, World, noise};
use server::Sshd;

/// A served repository, and a host that may write to it.
struct Site {
    world: World,
    sshd: Sshd,
    writer: PathBuf,
}

impl Site {
    /// With a repository made over ssh; none if this machine has no server.
    fn new(terms: &str) -> Option<Self> {
        let world = World::empty();
        fs::create_dir(world.path("served")).expect("it is new");
        let site = Self::serving(world, terms)?;
        site.indelible(&["init", "--derivation-memory", "1"])
            .run()
            .exits(0);
        site.add_writer();
        Some(site)
    }

    /// One that serves the directory `served` of a world.
    fn serving(world: World, terms: &str) -> Option<Self> {
        let sshd = Sshd::start(&world, &world.path("served"), terms)?;
        Some(Self {
            writer: world.path("host.key"),
            world,
            sshd,
        })
    }

    fn add_writer(&self) {
        self.indelible(&["key", "add", "--rights", "write", "--names", "*", "--out"])
            .arg(&self.writer)
            .run()
            .exits(0);
    }

    fn indelible(&self, args: &[&str]) -> Run {
        self.sshd.reach(self.world.indelible(args))
    }

    fn snapshot(&self, file: &Path) {
        let run = self.indelible(&["snapshot", "orders"]).arg(file);
        run.key(&self.writer).run().exits(0);
    }

    /// What a snapshot holds.
    fn content(&self, snap: &str) -> Vec<u8> {
        let run = self
            .indelible(&["restore", snap, "dump.sql", "--stdout"])
            .run();
        run.exits(0);
        run.bytes().to_vec()
    }

    fn served(&self) -> PathBuf {
        self.world.path("served")
    }
}

/// A dump that shares most of its bytes with that of the night before.
fn dump(night: u64) -> Vec<u8> {
    let mut bytes = noise(1, 3_000_000);
    bytes.extend(noise(night, 200_000));
    bytes
}

/// All that a directory can do, a place behind ssh can.
///
/// Method: init, a key, snapshots, lists, a verification, a restore, a mount, a copy of
/// the repository in both directions, over a real server.
#[test]
fn all_works_over_ssh() {
    let Some(site) = Site::new("") else { return };
    for night in [2, 3] {
        let file = site.world.file("dump.sql", dump(night));
        site.snapshot(&file);
    }
    let listed = site.indelible(&["list"]).run();
    assert_eq!(listed.exits(0).stdout().matches("orders").count(), 2);
    site.indelible(&["verify"]).run().exits(0);
    assert!(site.content("@2") == dump(2) && site.content("@3") == dump(3));
    let again = site.indelible(&["init", "--derivation-memory", "1"]).run();
    again.exits(14);
    let copy = site.world.path("copy");
    site.indelible(&["mirror"]).arg(&copy).run().exits(0);
    site.world
        .indelible(["verify", "--repo"])
        .arg(&copy)
        .run()
        .exits(0);
    if can_mount() {
        let mounted = Mounted::of(&site.world, site.indelible(&["--json", "mount"]));
        let shown = fs::read(mounted.path("by-number/3/dump.sql")).expect("it is shown");
        assert!(shown == dump(3));
        mounted.unmount().exits(0);
    }
}

/// What is not there, not reachable, or not allowed ends with its exit code.
///
/// Method: a server that refuses the key, a directory that is missing at the other
/// side, an address that would be an option, and a quota that is used up.
#[test]
fn failures_have_their_exit_codes() {
    let Some(site) = Site::new("--max-bytes 1MiB") else {
        return;
    };
    let place = site.sshd.place();
    let stranger = site.world.indelible(["list", "--repo"]).arg(&place);
    stranger
        .env("INDELIBLE_SSH", site.sshd.program("none"))
        .run()
        .exits(13);
    let option = "ssh://-oProxyCommand=id/srv";
    site.world
        .indelible(["list", "--repo", option])
        .run()
        .exits(2);
    let file = site.world.file("dump.sql", dump(2));
    let full = site.indelible(&["snapshot", "orders"]).arg(&file);
    let full = full.key(&site.writer).run();
    full.exits(1).says("used up");
    assert!(
        site.indelible(&["list"])
            .run()
            .exits(0)
            .stdout()
            .matches("orders")
            .count()
            == 0
    );
    fs::rename(site.served(), site.world.path("moved")).expect("it is there");
    let gone = site.indelible(&["list"]).run();
    gone.exits(13).says("there is no directory");
}

/// Speaks to the server with the key of the host, by its own program.
fn enemy(site: &Site) -> (RemoteStore, Child) {
    let words = site.sshd.program("host");
    let mut words = words.split(' ');
    let mut ssh = Command::new(words.next().expect("a program"));
    ssh.args(words)
        .args(["-p", &site.sshd.port().to_string(), "127.0.0.1"]);
    // What it asks for is ignored for the forced command.
    ssh.arg("rm -rf /nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = ssh.spawn().expect("ssh is installed");
    let input = child.stdout.take().expect("it was piped");
    let output = child.stdin.take().expect("it was piped");
    let connected = RemoteStore::connect(input, output, "the server".to_owned());
    (connected.expect("it is welcome"), child)
}

/// Whoever has all that a host has can take nothing away: every snapshot from before
/// restores byte for byte, and another host goes on.
///
/// Method: over a real server, with the host's key of ssh: other bytes under the name of
/// every object, junk and replayed entries at the head and beyond, misnamed packs, until
/// the account's quota is used up. Files are compared before and after.
#[test]
fn an_enemy_with_a_hosts_credentials_takes_nothing_away() {
    let Some(site) = Site::new("--max-bytes 20MB") else {
        return;
    };
    for night in [2, 3] {
        let file = site.world.file("dump.sql", dump(night));
        site.snapshot(&file);
    }
    let objects = |areas: &[&str]| -> Vec<(PathBuf, Vec<u8>)> {
        let mut found: Vec<_> = areas
            .iter()
            .flat_map(|area| files_below(&site.served().join(area)))
            .map(|path| (path.clone(), fs::read(path).expect("it can be read")))
            .collect();
        found.push((
            site.served().join("repository"),
            fs::read(site.served().join("repository")).expect("it is there"),
        ));
        found
    };
    let before = objects(&["log", "packs", "commits"]);
    let (remote, mut ssh) = enemy(&site);
    let mut keys = vec![ObjectKey::Repository];
    for area in Area::ALL {
        let listed = remote.list(area, &mut |listed| match listed {
            Listed::Object { key, .. } => keys.push(key),
            other => panic!("{other:?}"),
        });
        listed.expect("it can be listed");
    }
    for key in &keys {
        let outcome = remote.put_new(key, b"other bytes").expect("an outcome");
        assert!(matches!(outcome, PutOutcome::Conflict), "{key}");
    }
    let replayed = remote
        .read(&ObjectKey::Log(2), 100_000)
        .expect("it is there");
    for number in [4, 5, 100, 2_000] {
        for bytes in [&b"junk"[..], &replayed] {
            let refused = remote.put_new(&ObjectKey::Log(number), bytes);
            let class = refused.expect_err("it is junk").class();
            assert_eq!(class, ErrorClass::Refused);
        }
    }
    let misnamed = remote.put_new(&ObjectKey::Pack(PackId([7; 32])), b"bytes");
    assert_eq!(
        misnamed.expect_err("it is misnamed").class(),
        ErrorClass::Refused
    );
    let full = (0..100).find_map(|seed| {
        let bytes = noise(seed + 50, 1_000_000);
        remote
            .put_new(&ObjectKey::Pack(PackId::of(&bytes)), &bytes)
            .err()
    });
    assert_eq!(full.expect("it ends").class(), ErrorClass::NoSpace);
    drop(remote);
    assert!(ssh.wait().expect("it ends").success());

    for (path, bytes) in &before {
        assert!(
            fs::read(path).expect("it is there") == *bytes,
            "{}",
            path.display()
        );
    }
    assert_eq!(files_below(&site.served().join("log")).len(), 4);
    assert!(site.content("@2") == dump(2) && site.content("@3") == dump(3));
    site.indelible(&["verify"]).run().exits(0);
    // Another host has an account of its own.
    let other = site.world.file("dump.sql", dump(4));
    let run = site.world.indelible(["snapshot", "orders"]).arg(&other);
    let other_host = site.sshd.reach_as("other", run).key(&site.writer).run();
    other_host.exits(0);
    assert!(site.content("@4") == dump(4));
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
