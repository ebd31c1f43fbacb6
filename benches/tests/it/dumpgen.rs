//! The program is the library behind arguments.

use indelible_benches::{Dump, Edit};
use std::process::{Command, Output};

fn dumpgen(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dumpgen"));
    command.args(arguments).output().expect("dumpgen runs")
}

/// Arguments mean what they say.
///
/// Method: the same dump from the program and from the library.
#[test]
fn writes_the_dump_to_standard_output() {
    let arguments = "--size 300k --seed 9 --edit moved2.5 --night 2";
    let output = dumpgen(&arguments.split(' ').collect::<Vec<_>>());
    assert!(output.status.success());
    let mut expected = Vec::new();
    let dump = Dump {
        seed: 9,
        size_bytes: 300_000,
        edit: Edit::MovedToEnd { permille: 25 },
        night: 2,
    };
    dump.write_to(&mut expected).expect("a vector takes all");
    assert!(output.stdout == expected);
}

/// Mistakes are named, and nothing is written.
///
/// Method: one of each kind, with a word that its message must hold.
#[test]
fn mistakes_are_named() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "--size"),
        (&["--size", "1X"], "500M"),
        (&["--size", "99999999TB"], "largest"),
        (&["--size", "1M", "--edit", "shuffled1"], "scattered"),
        (&["--size", "1M", "--edit", "moved90"], "between 0.1 and 50"),
        (&["--size", "1M", "--night", "10001"], "10000"),
    ];
    for (arguments, word) in cases {
        let output = dumpgen(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains(word), "{message}");
    }
}

/// A file that can't be made is a failure that names the file.
///
/// Method: a path below a file that is no directory.
#[test]
fn unwritable_files_are_named() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/dump.sql");
    let output = dumpgen(&["--size", "1M", "--out", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(path));
}
