//! Files of several windows, which are fetched, decoded and written at once: what
//! comes of it depends neither on the number of threads nor on which stage fails.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::restore::{Hole, Restore, RestoreError, Restored};
use indelible_engine::store::faulty::{Fate, Request};
use indelible_engine::store::{FaultyStore, ObjectKey, ReadStore};
use indelible_format::genesis::ChunkerParameters;

use super::resume::Interrupting;
use super::{How, scratch};
use crate::support::{Fixture, noise, object, packs, snapshot_at};

/// More than three windows.
const LEN: usize = 50 << 20;
const THREADS: [usize; 3] = [1, 2, 5];
const CHUNKER: ChunkerParameters = ChunkerParameters {
    min: 16 << 10,
    average: 64 << 10,
    max: 256 << 10,
    normalization: 1,
};

fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("threads can be started").install(work)
}

/// A repository with a snapshot of one stream, and the stream.
fn scene(seed: u64) -> (Fixture, u64, Vec<u8>) {
    let bytes = noise(seed, LEN);
    let fixture = Fixture::with_chunker(seed, CHUNKER);
    let number = fixture.snapshot_of("shop", &bytes).number;
    (fixture, number, bytes)
}

/// Restores to a writer, and salvages what can be.
fn salvage<S: ReadStore>(
    repository: &Repository<'_, S>,
    number: u64,
    out: &mut dyn Write,
) -> (Result<Restored, RestoreError>, Vec<Hole>) {
    let holes = RefCell::new(Vec::new());
    let tell = |hole: &Hole| holes.borrow_mut().push(hole.clone());
    let snapshot = snapshot_at(repository, number);
    let (listings, _) = repository.listings();
    let cancel = Cancel::new();
    let restore = Restore::new(repository, &listings, &snapshot, &cancel, &Silent);
    let restore = restore.expect("the key may restore").salvaging(&tell);
    let restored = restore.to_writer(None, out);
    drop(restore);
    (restored, holes.into_inner())
}

/// The bytes with zeros for the holes, which are cut from what a restore gave.
fn with_holes(bytes: &[u8], holes: &[Hole]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for hole in holes {
        let Hole::Bytes { offset, len, .. } = hole else {
            panic!("the list is whole");
        };
        let from = usize::try_from(*offset).unwrap();
        bytes[from..from + usize::try_from(*len).unwrap()].fill(0);
    }
    bytes
}

/// Restored bytes, holes and accounts are the same with any number of threads: into
/// a directory and to a stream, where chunks are damaged, and when a later run fills
/// the holes.
///
/// Method: invert a bit at many places of each pack; salvage with 1, 2 and 5 threads;
/// mend the packs and go on. The stream with zeros for what was told is the oracle.
#[test]
fn threads_change_nothing() {
    let (fixture, number, bytes) = scene(301);
    let whole = fixture.store.clone();
    for pack in packs(&fixture.store) {
        let key = ObjectKey::Pack(pack);
        let len = object(&fixture.store, &key).len();
        for part in 1..8 {
            fixture.store.flip(&key, len / 9 * part, 2);
        }
    }
    let damaged = fixture.store.clone();
    let mut told = Vec::new();
    for threads in THREADS {
        fixture.store.roll_back_to(&damaged);
        let (account, written) = with_threads(threads, || {
            let mut written = Vec::new();
            let (restored, holes) = salvage(&fixture.open(), number, &mut written);
            assert!(!holes.is_empty());
            assert!(written == with_holes(&bytes, &holes), "{threads} threads");
            (format!("{restored:?} {holes:?}"), written)
        });
        let target = scratch();
        let cancel = Cancel::new();
        let run = |resumes: bool| {
            let how = How {
                salvages: !resumes,
                resumes,
                ..How::plainly(&cancel)
            };
            // The sink of holes is not for other threads, so it is made in the pool.
            with_threads(threads, || {
                let (restored, holes) = how.run(&fixture.open(), number, target.path());
                let restored = restored.expect("it goes on");
                (format!("{restored:?} {holes:?}"), restored.kept_bytes)
            })
        };
        let (salvaged, _) = run(false);
        let file = fs::read(target.path().join("dump.sql.salvaged")).unwrap();
        assert!(file == written, "{threads} threads");
        fixture.store.roll_back_to(&whole);
        let (resumed, kept) = run(true);
        assert!(kept > 0 && kept < LEN as u64);
        let file = fs::read(target.path().join("dump.sql")).unwrap();
        assert!(file == bytes, "{threads} threads");
        told.push([account, salvaged, resumed]);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

/// A restore that is interrupted in any window can be gone on with, and writes what
/// was not written.
///
/// Method: interrupt after some writes, in each window and with 1, 2 and 5 threads;
/// resume, and add up.
#[test]
fn any_window_can_be_the_last() {
    let (fixture, number, bytes) = scene(302);
    for (threads, writes) in [(1, 1), (1, 400), (2, 100), (2, 300), (5, 200), (5, 600)] {
        let target = scratch();
        let run = |resumes, after: u64| {
            with_threads(threads, || {
                let cancel = Cancel::new();
                let progress = Interrupting::after(after, &cancel);
                let how = How {
                    resumes,
                    progress: &progress,
                    ..How::plainly(&cancel)
                };
                how.run(&fixture.open(), number, target.path()).0
            })
        };
        assert!(matches!(run(false, writes), Err(RestoreError::Interrupted)));
        let restored = run(true, u64::MAX).expect("nothing interrupts");
        assert!(restored.kept_bytes >= writes * (16 << 10));
        assert_eq!(restored.kept_bytes + restored.bytes, LEN as u64);
        assert!(fs::read(target.path().join("dump.sql")).unwrap() == bytes);
    }
}

/// A store that does not answer any more ends the restore, whichever read it is, and
/// makes no hole; what was written is the beginning of the stream.
///
/// Method: let it fall silent at each read of a pack in turn, while a restore salvages
/// to a stream; and let all be read once.
#[test]
fn a_store_that_falls_silent_ends_the_restore() {
    let (fixture, number, bytes) = scene(303);
    let mut ended = 0;
    for silent_at in 0.. {
        let reads = AtomicU64::new(0);
        let store = FaultyStore::new(&fixture.store, |call| match call.request {
            Request::Read(ObjectKey::Pack(_))
                if reads.fetch_add(1, Ordering::SeqCst) == silent_at =>
            {
                Fate::DownBefore
            }
            _ => Fate::Done,
        });
        let opened = Repository::open(&store, None, &fixture.recovery, fixture.env.clone());
        let repository = opened.expect("no pack is read to open it");
        let mut written = Vec::new();
        let (restored, holes) = salvage(&repository, number, &mut written);
        assert!(holes.is_empty(), "{holes:?}");
        match restored {
            Ok(_) => {
                assert!(written == bytes);
                break;
            }
            Err(error) => assert!(matches!(error, RestoreError::Read { .. }), "{error}"),
        }
        assert!(written.len() < LEN && bytes.starts_with(&written));
        ended += 1;
    }
    assert!(ended >= 8, "{ended} reads");
}

/// A writer that takes so many bytes.
struct Full {
    room: usize,
    taken: Vec<u8>,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.room);
        if len == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= len;
        self.taken.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output that fails ends the restore at once, in any window.
///
/// Method: an output with room for a part of the stream.
#[test]
fn a_full_output_ends_the_restore() {
    let (fixture, number, bytes) = scene(304);
    let repository = fixture.open();
    for room in [0, 1, 17 << 20, LEN - 1] {
        let taken = Vec::new();
        let mut out = Full { room, taken };
        let (restored, holes) = salvage(&repository, number, &mut out);
        assert!(matches!(restored, Err(RestoreError::Output(_))));
        assert!(holes.is_empty() && out.taken == bytes[..room]);
    }
}
