//! What goes into a repository comes out of it: streams, and parts of
//! snapshots.

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::restore::{Restore, RestoreError};
use indelible_engine::snapshot::SnapshotRunError;
use indelible_format::attest::Level;
use indelible_format::node::Root;
use indelible_format::page::{Content, EntryKind};

use crate::support::{
    Fixture, noise, path, request, restore, restore_stream, rows, snapshot_at, stream, take,
};

/// A stream of any size and texture comes back.
///
/// Method: sizes around the chunker's bounds, then data that never meets a cut
/// (zeros, a period), that compresses, and that does not; each restored, and
/// the whole repository verified.
#[test]
fn streams_come_back() {
    let fixture = Fixture::new(1);
    let mut inputs: Vec<Vec<u8>> = [1, 255, 256, 257, 1_024, 4_095, 4_096, 4_097, 8_192, 8_193]
        .map(|len| noise(len as u64, len))
        .into();
    inputs.push(vec![0; 300_000]);
    inputs.push(b"abcdefg".repeat(30_000));
    inputs.push(rows(0..2_000));
    inputs.push(noise(7, 150_000));
    let numbers: Vec<u64> = inputs
        .iter()
        .map(|bytes| fixture.snapshot_of("shop", bytes).number)
        .collect();
    let repository = fixture.open();
    for (number, bytes) in numbers.into_iter().zip(&inputs) {
        let restored = restore_stream(&repository, number).unwrap();
        assert!(restored == *bytes, "a stream of {} bytes", bytes.len());
    }
    let report = fixture.verify(Level::Data);
    assert!(report.is_sound(), "{:?}", report.problems);
}

/// A stream that needs several packs, several node levels and several batches
/// comes back.
///
/// Method: 17 MiB of noise in chunks of a kilobyte: more than 8,192 chunks a
/// pack, 1,024 items a node and 16 MiB a batch allow.
#[test]
fn a_stream_of_several_packs_comes_back() {
    let fixture = Fixture::new(2);
    let bytes = noise(1, 17 << 20);
    let summary = fixture.snapshot_of("shop", &bytes);
    assert!(summary.packs >= 2, "{} packs", summary.packs);
    assert_eq!(summary.content_bytes, bytes.len() as u64);
    let repository = fixture.open();
    let snapshot = snapshot_at(&repository, summary.number);
    let (listings, _) = repository.listings();
    let reader =
        indelible_engine::read::Reader::new(&repository, &listings, snapshot.binding.domain)
            .unwrap();
    let mut entries = reader.entries(&snapshot.manifest.list).unwrap();
    let (entry, _) = entries.next().unwrap().unwrap();
    let EntryKind::Stream {
        content: Content::Own(Root { level, .. }),
    } = entry.kind
    else {
        panic!("a stream was stored");
    };
    assert!(level >= 1, "one node can't list so many chunks");
    assert!(restore_stream(&repository, summary.number).unwrap() == bytes);
    assert!(fixture.verify(Level::Tree).is_sound());
}

/// A read at any offset gives the bytes at that offset.
///
/// Method: read from both sides of every chunk-sized step of a small file's
/// stream, and up to and over its end.
#[test]
fn reads_at_offsets_agree_with_the_whole() {
    let fixture = Fixture::new(3);
    let bytes = noise(1, 100_000);
    let summary = fixture.snapshot_of("shop", &bytes);
    let repository = fixture.open();
    let snapshot = snapshot_at(&repository, summary.number);
    let (listings, _) = repository.listings();
    let reader =
        indelible_engine::read::Reader::new(&repository, &listings, snapshot.binding.domain)
            .unwrap();
    let (entry, place) = reader
        .entries(&snapshot.manifest.list)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let root = indelible_format::node::PlacedRoot {
        root: entry.own_root().unwrap(),
        place: place.unwrap(),
    };
    let read = |offset: u64, len: u64| {
        let parts: Vec<_> = reader.walk(&root, offset, len).collect();
        let together: u64 = parts.iter().map(|part| part.len).sum();
        assert_eq!(together, len);
        let decoded = reader.decode(reader.fetch(parts));
        let bytes: Result<Vec<_>, _> = decoded.parts().map(|(_, bytes)| bytes).collect();
        bytes.ok().map(|parts| parts.concat())
    };
    for offset in (0..bytes.len()).step_by(997) {
        for len in [0, 1, 700, 9_000] {
            let expected = bytes.get(offset..offset + len);
            let read = read(offset as u64, len as u64);
            assert_eq!(read.as_deref(), expected, "{len} bytes from {offset}");
        }
    }
    assert!(read(99_999, 2).is_none());
    assert!(read(u64::MAX - 2, 2).is_none());
}

/// One file of several goes to a writer, if it is named.
///
/// Method: name one, none, one that is absent, and the only one.
#[test]
fn one_file_goes_to_a_writer() {
    let fixture = Fixture::new(4);
    let both = || vec![stream("a.sql", b"first"), stream("b.sql", b"second")];
    let two = fixture.snapshot("shop", both()).number;
    let one = fixture.snapshot("shop", vec![stream("only.sql", b"alone")]);
    let repository = fixture.open();
    let (listings, _) = repository.listings();
    let (two, one) = (
        snapshot_at(&repository, two),
        snapshot_at(&repository, one.number),
    );
    let cancel = Cancel::new();
    let write = |snapshot, name: Option<&[u8]>| {
        let restore = Restore::new(&repository, &listings, snapshot, &cancel, &Silent).unwrap();
        let mut out = Vec::new();
        let name = name.map(path);
        restore.to_writer(name.as_ref(), &mut out).map(|_| out)
    };
    assert_eq!(write(&two, Some(b"b.sql")).unwrap(), b"second");
    assert_eq!(write(&one, None).unwrap(), b"alone");
    assert!(matches!(
        write(&two, None),
        Err(RestoreError::Several { paths }) if paths == [path(b"a.sql"), path(b"b.sql")]
    ));
    assert!(matches!(
        write(&two, Some(b"c.sql")),
        Err(RestoreError::NoSuchPath { .. })
    ));
}

/// Input that makes no snapshot is refused, and the log stays as it is.
///
/// Method: no entries; an empty stream; a reader that fails half-way; entries
/// that stand twice, out of order, or below what is no directory.
#[test]
fn input_without_a_snapshot_is_refused() {
    struct Failing(usize);
    impl std::io::Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(1)
                .ok_or_else(|| std::io::Error::other("the disk is on fire"))?;
            buffer.fill(1);
            Ok(buffer.len())
        }
    }
    let fixture = Fixture::new(5);
    let before = fixture.open().history().size();
    let refused = |items| take(&mut fixture.open(), "shop", items).unwrap_err();
    assert!(matches!(refused(Vec::new()), SnapshotRunError::NoEntries));
    assert!(matches!(
        refused(vec![stream("a", b"")]),
        SnapshotRunError::EmptyStream { .. }
    ));
    let failing = indelible_engine::source::Item::Stream {
        path: path(b"a"),
        reader: Box::new(Failing(3)),
    };
    assert!(matches!(
        refused(vec![failing]),
        SnapshotRunError::Stream { .. }
    ));
    for (first, second) in [("a", "a"), ("b", "a"), ("a-b", "a/b"), ("a", "a/b")] {
        let items = vec![stream(first, b"1"), stream(second, b"2")];
        assert!(
            matches!(refused(items), SnapshotRunError::Order { .. }),
            "{first} before {second}"
        );
    }
    assert_eq!(fixture.open().history().size(), before);
}

/// What a request notes is shown as it was asked for, and what a manifest has no
/// room for is refused before anything is read.
///
/// Method: labels in disorder and twice; then one label too many, one that is
/// too long, and labels that are too large together.
#[test]
fn requests_are_noted_within_their_bounds() {
    use indelible_engine::snapshot::{Input, run};

    let fixture = Fixture::new(6);
    let attempt = |labels: Vec<String>| {
        let mut request = request("shop");
        request.labels = labels;
        let input = Input::Items(vec![stream("dump.sql", b"content")]);
        let mut repository = fixture.open();
        run(&mut repository, &request, input, &Cancel::new(), &Silent)
    };
    let summary = attempt(["b", "a", "b"].map(str::to_owned).to_vec()).unwrap();
    let repository = fixture.open();
    let manifest = snapshot_at(&repository, summary.number).manifest;
    assert_eq!(manifest.labels, ["a", "b"]);
    assert_eq!(manifest.host.as_deref(), Some("db1"));
    assert_eq!((manifest.entries, manifest.content_bytes), (1, 7));
    let too_many: Vec<String> = (0..1_025).map(|n| format!("label {n:04}")).collect();
    let too_long = vec!["x".repeat(65_536)];
    let too_large = (0..40).map(|n| format!("{n:030000}")).collect();
    let most: Vec<String> = too_many[1..].to_vec();
    for labels in [too_many, too_long, too_large] {
        let error = attempt(labels).unwrap_err();
        assert!(matches!(error, SnapshotRunError::Notes), "{error}");
    }
    let most = attempt(most).unwrap();
    assert_eq!(
        restore(&fixture.open(), most.number).unwrap()[&b"dump.sql"[..]],
        b"content"
    );
}
