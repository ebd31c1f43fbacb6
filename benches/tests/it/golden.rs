//! The bytes and the sizes of dumps.

use indelible_benches::{Dump, Edit};
use std::io::{self, Write};

/// The bytes of a dump never change between releases or machines.
///
/// Method: BLAKE3 of small dumps, one for each edit after a few nights.
#[test]
fn bytes_are_pinned() {
    let cases = [
        (
            Edit::Nothing,
            "9856991451283aef049d54c58b7e2b45ebfe0a5b18a8e02561ac6202cffccb6c",
        ),
        (
            Edit::Scattered { permille: 10 },
            "955584c00014c54c9b0f7550731810449ecf73602584bed2cd1deef251eeb8d4",
        ),
        (
            Edit::Clustered { permille: 10 },
            "bb8e6f1e74cae3fb255513d2a4dc4544d5225b8bc3f2803e9105359803421a4d",
        ),
        (
            Edit::MovedToEnd { permille: 10 },
            "0e67139fb96678ed4a2b32cd8614abd075afbb1ba54d37f58b981e52de926efc",
        ),
        (
            Edit::Appended { permille: 10 },
            "9dadcebe596b6b0a464c7cc793d39da82dcfc524b5acb5619eadca7a3cb9a5d4",
        ),
    ];
    for (edit, expected) in cases {
        let dump = Dump {
            seed: 7,
            size_bytes: 1_000_000,
            edit,
            night: 3,
        };
        let mut hasher = blake3::Hasher::new();
        dump.write_to(&mut hasher).expect("a hasher takes all");
        assert_eq!(hasher.finalize().to_hex().as_str(), expected, "{edit}");
    }
}

/// Other seeds give other databases, of the size that was asked for.
///
/// Method: several sizes and seeds, counted as they are written.
#[test]
fn sizes_are_met() {
    for size_bytes in [1_000_000, 2_500_000, 10_000_000] {
        let mut databases = Vec::new();
        for seed in [0, 1, u64::MAX] {
            let mut hasher = blake3::Hasher::new();
            let dump = first_night(seed, size_bytes);
            let summary = dump.write_to(&mut hasher).expect("a hasher takes all");
            assert_eq!(summary.bytes, hasher.count());
            let off = summary.bytes.abs_diff(size_bytes);
            assert!(off * 50 <= size_bytes, "{} for {size_bytes}", summary.bytes);
            databases.push(hasher.finalize());
        }
        assert!(databases[0] != databases[1] && databases[1] != databases[2]);
    }
}

/// Even a dump too small for anything is a whole one.
///
/// Method: a size of 0 still gives each table a row, and the closing comment.
#[test]
fn smallest_dump_is_whole() {
    let mut bytes = Vec::new();
    let dump = Dump {
        edit: Edit::MovedToEnd { permille: 10 },
        night: 2,
        ..first_night(7, 0)
    };
    let summary = dump.write_to(&mut bytes).expect("a vector takes all");
    assert!(summary.tables.iter().all(|table| table.rows > 0));
    assert!(bytes.ends_with(b"--\n-- PostgreSQL database dump complete\n--\n\n"));
}

/// A writer's error comes back as it is.
///
/// Method: a writer that is full before the first table ends.
#[test]
fn errors_of_the_writer_are_returned() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let left = self.0.checked_sub(bytes.len());
            self.0 = left.ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = first_night(7, 1_000_000).write_to(&mut Full(100_000));
    assert_eq!(
        error.map_err(|error| error.kind()),
        Err(io::ErrorKind::StorageFull)
    );
}

fn first_night(seed: u64, size_bytes: u64) -> Dump {
    Dump {
        seed,
        size_bytes,
        edit: Edit::Nothing,
        night: 0,
    }
}
