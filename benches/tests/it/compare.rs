//! What can be said of `compare` without the tools that it compares.

use std::process::Command;

use indelible_benches::databases::Workload;

fn compare() -> Command {
    Command::new(env!("CARGO_BIN_EXE_compare"))
}

/// Whoever lacks a tool reads how it is had.
///
/// Method: each tool's own word for installing it is in the help.
#[test]
fn help_says_how_tools_are_installed() {
    let output = compare().arg("--help").output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout);
    for word in [
        "restic",
        "rustic-rs",
        "borgbackup",
        "bupstash",
        "postgresql",
    ] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

/// A tool that nobody knows is an error that names those that are known.
///
/// Method: a misspelt name, and a directory for what would be made.
#[test]
fn unknown_tools_are_refused() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let output = compare()
        .args(["--only", "resitc", "--work-dir"])
        .arg(dir.path())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("resitc") && message.contains("bupstash"),
        "{message}"
    );
    let left = dir.path().read_dir().expect("it is there").count();
    assert_eq!(left, 0, "what was made is gone");
}

/// Whoever lacks a database reads how it is had, and which there are.
///
/// Method: each workload, and the package that it takes, is in the help.
#[test]
fn help_says_how_databases_are_installed() {
    let output = compare().arg("--help").output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout);
    let names = Workload::ALL.into_iter().map(Workload::name);
    for word in names.chain(["postgresql", "mariadb-server", "sqlite3"]) {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}
