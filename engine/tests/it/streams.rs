//! Streams that are longer than the buffers they flow through: wherever one is
//! interrupted, the run ends, says why, and commits nothing.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::{Phase, Progress, Silent};
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{self, Input, SnapshotRunError, Summary};
use indelible_engine::source::{Item, stream_path};
use indelible_engine::store::faulty::{Call, Fate, Fault};
use indelible_engine::store::{AppendStore, FaultyStore, ObjectKey};

use crate::support::{FINE, Fixture, noise, request, restore_stream};

const LEN: usize = 60 << 20;

/// Gives noise, some at a time, counts what it gave, and fails at some offset.
struct Source {
    piece: Vec<u8>,
    given: Arc<AtomicUsize>,
    fails_at: usize,
}

impl Source {
    fn new(fails_at: usize) -> (Self, Arc<AtomicUsize>) {
        let given = Arc::new(AtomicUsize::new(0));
        let source = Self {
            piece: noise(1, 1 << 20),
            given: Arc::clone(&given),
            fails_at,
        };
        (source, given)
    }

    /// The byte at an offset of its stream.
    fn all() -> Vec<u8> {
        let piece = noise(1, 1 << 20);
        (0..LEN)
            .map(|at| piece[at % piece.len()].wrapping_add(megabyte(at)))
            .collect()
    }
}

/// Each megabyte differs from those before.
fn megabyte(at: usize) -> u8 {
    u8::try_from(at >> 20).expect("the stream is short")
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.given.load(Ordering::SeqCst);
        if at >= self.fails_at {
            return Err(io::Error::other("the cable was pulled"));
        }
        let within = at % self.piece.len();
        let len = buffer.len().min(self.piece.len() - within).min(LEN - at);
        for (to, from) in buffer.iter_mut().zip(&self.piece[within..within + len]) {
            *to = from.wrapping_add(megabyte(at));
        }
        self.given.fetch_add(len, Ordering::SeqCst);
        Ok(len)
    }
}

fn take<S: AppendStore>(
    repository: &mut Repository<'_, S>,
    source: Source,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<Summary, SnapshotRunError> {
    let item = Item::Stream {
        path: stream_path(b"dump.sql".to_vec()).expect("a path"),
        reader: Box::new(source),
    };
    snapshot::run(
        repository,
        &request("shop"),
        Input::Items(vec![item]),
        cancel,
        progress,
    )
}

/// A stream of many buffers comes back.
///
/// Method: sixty megabytes that come in pieces, in small packs.
#[test]
fn a_long_stream_comes_back() {
    let fixture = Fixture::with_chunker(311, FINE);
    let mut repository = fixture.open();
    let (source, given) = Source::new(usize::MAX);
    let summary = take(&mut repository, source, &Cancel::new(), &Silent).expect("a snapshot");
    assert_eq!(given.load(Ordering::SeqCst), LEN);
    assert!(summary.packs > 10);
    assert_eq!(
        restore_stream(&repository, summary.number),
        Ok(Source::all())
    );
}

/// A store that takes no more packs ends the run long before the source ends.
///
/// Method: every pack fails, or the fourth and all behind it; count what was read.
#[test]
fn a_store_that_fails_ends_the_reading() {
    for good in [0, 3] {
        let fixture = Fixture::with_chunker(312, FINE);
        let packs = AtomicUsize::new(0);
        let store = FaultyStore::new(&fixture.store, |call: &Call| match call.put() {
            Some(ObjectKey::Pack(_)) if packs.fetch_add(1, Ordering::SeqCst) >= good => {
                Fate::Fails(Fault::Unreachable)
            }
            _ => Fate::Done,
        });
        let mut repository = Repository::open(&store, None, &fixture.recovery, fixture.env.clone())
            .expect("it opens");
        let (source, given) = Source::new(usize::MAX);
        let failed = take(&mut repository, source, &Cancel::new(), &Silent);
        assert!(
            matches!(failed, Err(SnapshotRunError::Publish(_))),
            "{failed:?}"
        );
        assert!(
            given.load(Ordering::SeqCst) < LEN,
            "{good} packs were stored"
        );
        assert_eq!(fixture.open().snapshot_entries().count(), 0);
    }
}

/// A source that fails ends the run with what it said.
///
/// Method: fail at the first byte, within the first buffer, and far behind it.
#[test]
fn a_source_that_fails_ends_the_run() {
    for fails_at in [0, 5 << 20, 40 << 20] {
        let fixture = Fixture::with_chunker(313, FINE);
        let mut repository = fixture.open();
        let (source, _) = Source::new(fails_at);
        let failed = take(&mut repository, source, &Cancel::new(), &Silent);
        let Err(SnapshotRunError::Stream { path, source }) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(
            (path.as_str(), source.to_string().as_str()),
            ("dump.sql", "the cable was pulled")
        );
        assert_eq!(fixture.open().snapshot_entries().count(), 0);
    }
}

/// Asks to stop once so many bytes were read.
struct Impatient<'c> {
    cancel: &'c Cancel,
    read: AtomicUsize,
    patience: usize,
}

impl Progress for Impatient<'_> {
    fn advance(&self, phase: Phase, amount: u64) {
        if phase == Phase::Reading {
            let amount = usize::try_from(amount).expect("a buffer is short");
            if self.read.fetch_add(amount, Ordering::SeqCst) + amount >= self.patience {
                self.cancel.request();
            }
        }
    }
}

/// A run that is interrupted ends soon, whatever it was doing.
///
/// Method: interrupt behind the first buffer, and far behind it.
#[test]
fn an_interrupted_stream_ends() {
    for patience in [1, 30 << 20] {
        let fixture = Fixture::with_chunker(314, FINE);
        let mut repository = fixture.open();
        let cancel = Cancel::new();
        let progress = Impatient {
            cancel: &cancel,
            read: AtomicUsize::new(0),
            patience,
        };
        let (source, given) = Source::new(usize::MAX);
        let failed = take(&mut repository, source, &cancel, &progress);
        assert!(
            matches!(failed, Err(SnapshotRunError::Interrupted)),
            "{failed:?}"
        );
        assert!(given.load(Ordering::SeqCst) < LEN);
        assert_eq!(fixture.open().snapshot_entries().count(), 0);
    }
}
