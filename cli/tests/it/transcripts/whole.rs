//! Transcripts word for word, of what users see first and most.

#![allow(
    clippy::needless_raw_string_hashes,
    reason = "snapbox writes its expectations so"
)]

use snapbox::{assert_data_eq, str};

use crate::support::{World, alter, noise};

/// The first page says what there is, and every exit code.
///
/// Method: compare the whole page.
#[test]
fn help() {
    let world = World::empty();
    // The page shows the environment, and no temporary directory may break lines.
    let run = world.indelible(["-h"]).env("COLUMNS", "100");
    let run = run.env("INDELIBLE_REPO", "").env("INDELIBLE_STATE_DIR", "");
    let ran = run.run();
    ran.exits(0);
    assert_data_eq!(
        ran.stdout(),
        str![[r"
Immutable, deduplicating, encrypted backups of SQL database dumps

Usage: indelible [OPTIONS] <COMMAND>

Commands:
  init         Make a repository and print its recovery sheet
  key          Make, list and check keys
  snapshot     Store files, a stream, or what a dump command prints [alias: backup]
  list         List snapshots [alias: snapshots]
  ls           List what a snapshot holds
  cat          Print a file of a snapshot, a part of one, or one table of a dump
  diff         Say what differs between two snapshots: which entries, and which tables in a dump
  find         Say in which snapshots a table stands, with its rows and size in each
  restore      Write a snapshot back, in whole or in part
  mount        Show the snapshots as a file system that nobody can write to
  verify       Prove that the repository is whole
  log          Look at the log
  retain       Promise for how long snapshots stay, and have the store lock them
  mirror       Copy what another place lacks of the repository. Takes no key
  probe        Try what a thief of these credentials could do to the storage
  checkpoint   Print the signed size and root of the log, to be kept elsewhere
  serve        Serve a repository to a host that may add to it, and nothing else
  demo         See it work on a sample database, from init to restore
  completions  Print a completion script for a shell
  version      Print the version
  help         Print this message or the help of the given subcommand(s)

Options:
  -h, --help     Print help (see more with '--help')
  -V, --version  Print version

Common options:
  -r, --repo <PLACE>                  Where the repository is: a directory, `ssh://USER@HOST/PATH`,
                                      or `s3://bucket/prefix` [env: INDELIBLE_REPO=]
  -k, --key-file <FILE>               Open the repository with this key file. It beats a passphrase
                                      [env: INDELIBLE_KEY_FILE=]
      --passphrase-file <FILE>        Read the passphrase from the first line of this file [env:
                                      INDELIBLE_PASSPHRASE_FILE=]
      --passphrase-command <COMMAND>  Read the passphrase from the first line that this shell
                                      command prints [env: INDELIBLE_PASSPHRASE_COMMAND]
      --state-dir <DIR>               Where this machine keeps what it knows of repositories
                                      [default: indelible in the XDG state directory] [env:
                                      INDELIBLE_STATE_DIR=]
      --limit-upload <RATE>           Send no more than so much a second to repositories in S3 and
                                      behind ssh, such as 20MiB; all threads together. A directory
                                      has no limit, also on a network's disk [env:
                                      INDELIBLE_LIMIT_UPLOAD=]
      --limit-download <RATE>         Receive no more than so much a second from them [env:
                                      INDELIBLE_LIMIT_DOWNLOAD=]
      --json                          Print one JSON object a line for programs to read
  -q, --quiet                         Print results and errors only
      --no-progress                   Show no progress, also on a terminal

Begin with `indelible demo`, or with `indelible init`.
Exit codes: 0 done, 1 failed, 2 usage, 4 source failed and nothing committed, 10 no repository,
12 wrong key or right missing, 13 store unreachable, 14 already there, 20 integrity failure,
21 rollback or fork, 22 locked shorter than promised, 23 object missing, 24 policy unmet, 25 outcome
unknown, 130 interrupted.

"]]
    );
}

/// The recovery sheet holds all that recovering takes, and a drawn passphrase
/// opens the repository.
///
/// Method: compare the whole sheet, and list with the passphrase on it.
#[test]
fn recovery_sheet() {
    let world = World::empty();
    let ran = world
        .indelible(["init", "--derivation-memory", "1"])
        .without_key()
        .run();
    ran.exits(0).says("made the repository");
    assert_data_eq!(
        ran.stdout(),
        str![[r"
Recovery sheet of an Indelible repository

  Repository  [..]/repository
  Id          [..]
  Passphrase  [..]-[..]-[..]-[..]-[..]

The passphrase opens everything. Nobody can replace it if it is lost.
Print this sheet and keep it away from the hosts that are backed up.

To restore on any machine:
  indelible --repo [..]/repository list
  indelible --repo [..]/repository restore NAME --target DIR


"]]
    );
    let sheet = ran.stdout();
    let passphrase = sheet
        .lines()
        .find_map(|line| line.trim().strip_prefix("Passphrase  "))
        .expect("the sheet shows the passphrase");
    world
        .indelible(["list"])
        .env("INDELIBLE_PASSPHRASE", passphrase)
        .run()
        .exits(0)
        .says("there are no snapshots");
}

/// The table of snapshots says which, when, whence and how much.
///
/// Method: compare the whole table over two NAMEs, of which one has a label.
#[test]
fn list() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    for (name, label) in [("orders", "before the upgrade"), ("shop.main", "")] {
        let mut run = world.indelible(["snapshot", name, "orders.sql", "--host", "db1"]);
        if !label.is_empty() {
            run = run.args(["--label", label]);
        }
        run.key(&key).run().exits(0);
    }
    let ran = world.indelible(["list"]).run();
    ran.exits(0);
    assert_data_eq!(
        ran.stdout(),
        str![[r"
ENTRY  NAME       TIME                 HOST  FILES  SIZE   NEW  ADDED  ID
   @2  orders     [..]  db1       1  10 B  10 B  [..] B  [..]  before the upgrade
   @3  shop.main  [..]  db1       1  10 B   0 B    0 B  [..]

"]]
    );
}

/// A sound repository is called sound, with what was read to know it.
///
/// Method: compare all of it.
#[test]
fn verify_sound() {
    let (world, key) = World::with_write_key();
    world.file("orders.sql", "select 1;\n");
    let snapshot = ["snapshot", "orders", "orders.sql"];
    world.indelible(snapshot).key(&key).run().exits(0);
    let ran = world.indelible(["verify"]).run();
    ran.exits(0);
    assert_data_eq!(
        ran.stdout(),
        str![[r"
verified at level data: 3 log entries, 1 snapshot, 1 pack, [..] B read, 4 chunks decoded, 3 nodes walked
read: every byte of every pack; every chunk decoded
the log extends what this machine remembered
no problem found

"]]
    );
}

/// A damaged pack is named, with whom it harms and what to do.
///
/// Method: flip a byte of the only pack, and compare all of it.
#[test]
fn verify_damaged() {
    let (world, key) = World::with_write_key();
    world.file("orders.dump", noise(1, 100_000));
    let snapshot = ["snapshot", "orders", "orders.dump"];
    world.indelible(snapshot).key(&key).run().exits(0);
    alter(&world.objects("packs")[0], |bytes| bytes[50_000] ^= 1);
    let ran = world.indelible(["verify"]).run();
    ran.exits(20);
    assert_data_eq!(
        ran.stdout(),
        str![[r"
PROBLEM chunk-damaged packs/[..]/[..] chunk 0: a chunk is damaged: its bytes were altered; harms @2; bring the object back from another copy of the store, or take a new snapshot of what it held
verified at level data: 3 log entries, 1 snapshot, 1 pack, 98.[..] KiB read, 3 chunks decoded, 3 nodes walked
read: every byte of every pack; every chunk decoded
the log extends what this machine remembered
1 problem found; 1 harmed of 1 snapshot

"]]
    );
}
