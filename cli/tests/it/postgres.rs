//! A real PostgreSQL server, dumped, restored and loaded again.

mod server;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::support::World;
use crate::support::mounted::{Mounted, can_mount};
use server::{Server, Succeeds as _};

/// In thousands of accounts, 100: about 100 MB of dump.
const SCALE: &str = "10";

/// The server, or `None` if this machine has none and need not.
fn server() -> Option<Server> {
    let server = Server::start();
    if server.is_none() {
        let required = std::env::var_os("INDELIBLE_REQUIRE_SERVERS").is_some_and(|set| set == "1");
        assert!(!required, "PostgreSQL is required and not installed");
        eprintln!("SKIPPED: PostgreSQL is not installed");
    }
    server
}

/// How many rows each table of a database has.
fn row_counts(server: &Server, database: &str) -> BTreeMap<String, u64> {
    let names = server.query(
        database,
        "select schemaname || '.' || tablename from pg_tables \
         where schemaname not in ('pg_catalog', 'information_schema')",
    );
    let count = |name: &str| {
        let count = server.query(database, &format!("select count(*) from {name}"));
        (name.to_owned(), count.trim().parse().expect("a number"))
    };
    names.lines().map(count).collect()
}

/// Two nights of a database that changes in between restore byte for byte, and
/// what was restored loads into an empty database with all its rows.
///
/// Method: pgbench makes the data and the changes. Nothing writes while a night's
/// dump is taken twice, once into a snapshot and once into a file. The write key
/// that takes the snapshots can't restore them; the passphrase does.
#[test]
fn two_nights_of_pgbench() {
    let Some(server) = server() else { return };
    let (world, key) = World::with_write_key();
    server.client("createdb").arg("bench").succeeds();
    let mut made = server.client("pgbench");
    made.args(["--initialize", "--quiet", "--scale", SCALE, "bench"])
        .succeeds();

    let mut added = Vec::new();
    for night in ["first", "second"] {
        let dump = server.dump_command("bench");
        let run = world.indelible(["--json", "snapshot", "bench", "--"]);
        let ran = run.args(&dump).key(&key).run();
        let summary = ran.exits(0).message("summary");
        added.push(summary["added_bytes"].as_u64().unwrap());
        let file = File::create(world.path(night)).unwrap();
        let mut twin = server.command(&dump[0]);
        twin.args(&dump[1..]).stdout(Stdio::from(file)).succeeds();
        let mut changed = server.client("pgbench");
        changed
            .args(["--transactions", "500", "--no-vacuum", "bench"])
            .succeeds();
    }
    assert!(added[1] < added[0], "{added:?}");

    for (snapshot, night) in [("@2", "first"), ("@3", "second")] {
        let out = format!("out-{night}");
        let run = world.indelible(["restore", snapshot, "--target", &out]);
        run.run().exits(0);
        assert_same(&world.path(&out).join("bench"), &world.path(night));
    }
    let before = server.query("bench", "select count(*) from pgbench_history");
    assert_eq!(before.trim(), "1000");

    server.client("createdb").arg("again").succeeds();
    let restored = File::open(world.path("out-second/bench")).unwrap();
    let mut load = server.client("psql");
    load.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
        .args(["--single-transaction", "--dbname", "again"])
        .stdin(Stdio::from(restored))
        .stdout(Stdio::null())
        .succeeds();
    let mut expected = row_counts(&server, "bench");
    // The second night was dumped before the last 500 transactions.
    expected.insert("public.pgbench_history".to_owned(), 500);
    assert_eq!(row_counts(&server, "again"), expected);
    assert_eq!(expected["public.pgbench_accounts"], 1_000_000);
    let run = world.indelible(["verify"]).run();
    run.exits(0).prints("no problem found");
}

/// `pg_restore` loads a dump in parallel straight from a mount, and a table of a plain
/// dump loads alone.
///
/// Method: pgbench, dumped in both formats; what was loaded is compared by its rows.
#[test]
fn loaded_from_a_mount() {
    let Some(server) = server() else { return };
    if !can_mount() {
        return;
    }
    let world = World::new();
    server.client("createdb").arg("bench").succeeds();
    let mut made = server.client("pgbench");
    made.args(["--initialize", "--quiet", "--scale", "2", "bench"])
        .succeeds();
    for (file, format) in [("bench.dump", &["-Fc", "-Z0"][..]), ("bench.sql", &["-Fp"])] {
        let mut dump = server.client("pg_dump");
        let path = world.path(file);
        dump.args(format)
            .arg("--file")
            .arg(&path)
            .arg("bench")
            .succeeds();
    }
    let run = world.indelible(["snapshot", "bench", "bench.dump", "bench.sql"]);
    run.run().exits(0);
    let mounted = Mounted::new(&world, &[]);
    let latest = mounted.path("by-name/bench/latest");
    server.client("createdb").arg("again").succeeds();
    let mut restore = server.client("pg_restore");
    restore
        .args(["--jobs", "2", "--dbname", "again"])
        .arg(latest.join("bench.dump"))
        .succeeds();
    assert_eq!(row_counts(&server, "again"), row_counts(&server, "bench"));

    let rows = latest.join("bench.sql.tables/public.pgbench_accounts.data.sql");
    let rows = fs::read(rows).unwrap();
    let plain = fs::read(world.path("bench.sql")).unwrap();
    let within = plain.windows(rows.len().min(1_000));
    assert!(within.into_iter().any(|window| rows.starts_with(window)));
    server.client("createdb").arg("one").succeeds();
    let table = world.indelible(["cat", "bench", "--table", "pgbench_accounts"]);
    let one = world.file("one.sql", table.run().exits(0).bytes());
    let mut load = server.client("psql");
    load.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
        .args(["--single-transaction", "--dbname", "one"])
        .stdin(Stdio::from(File::open(one).unwrap()))
        .stdout(Stdio::null())
        .succeeds();
    let expected = [("public.pgbench_accounts".to_owned(), 200_000)];
    assert_eq!(row_counts(&server, "one"), BTreeMap::from(expected));
    mounted.unmount().exits(0);
}

/// A dump that the server breaks off leaves no snapshot.
///
/// Method: dump a database that does not exist, and one with a table that the
/// dump's user may not read.
#[test]
fn failing_dump() {
    let Some(server) = server() else { return };
    let (world, key) = World::with_write_key();
    let snapshot = |dump: &[std::ffi::OsString]| {
        let run = world.indelible(["snapshot", "bench", "--"]).args(dump);
        run.key(&key).run()
    };
    snapshot(&server.dump_command("absent"))
        .exits(4)
        .says("the command exited with status 1")
        .says("nothing was committed");
    server.client("createdb").arg("bench").succeeds();
    server.query(
        "bench",
        "create table secret (id int); create role reader login",
    );
    let mut dump = server.dump_command("bench");
    dump.push("--username=reader".into());
    snapshot(&dump).exits(4).says("permission denied");
    let run = world.indelible(["list"]).run();
    run.exits(0).says("there are no snapshots");
}

fn assert_same(left: &Path, right: &Path) {
    let (left_bytes, right_bytes) = (fs::read(left).unwrap(), fs::read(right).unwrap());
    assert!(
        left_bytes == right_bytes,
        "{} ({} bytes) and {} ({} bytes) differ",
        left.display(),
        left_bytes.len(),
        right.display(),
        right_bytes.len()
    );
}
