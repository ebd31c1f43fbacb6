//! The simulated disk: it behaves like a real one, forgets what its model says
//! that it may, and nothing else; and what stands in front of it, and of a
//! store, does what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use indelible_engine::env::{Entropy, OsEntropy, SeededEntropy};
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::faulty::{Call, Fate, Fault, Request};
use indelible_engine::store::local::files::{FileStat, Files, Kind, RealFiles};
use indelible_engine::store::local::simulated::{
    FaultyFiles, FileCallKind, FileFate, SimulatedFiles, Survival,
};
use indelible_engine::store::{
    AppendStore as _, ErrorClass, ExpireStore, FaultyStore, LocalStore, MemoryStore, PutOutcome,
    ReadStore as _,
};
use rustix::io::Errno;

use super::PACK;

struct SimulatedSubject {
    files: &'static SimulatedFiles,
    store: LocalStore<&'static SimulatedFiles>,
}

impl SimulatedSubject {
    fn new() -> Self {
        // The suite wants a store that borrows nothing.
        let files: &SimulatedFiles = Box::leak(Box::default());
        let store = LocalStore::with_files(files, "simulated".to_owned(), Arc::new(OsEntropy));
        store.prepare().expect("it is writable");
        Self { files, store }
    }
}

impl Subject for SimulatedSubject {
    fn store(&self) -> &dyn ExpireStore {
        &self.store
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        write(self.files, path, bytes);
    }
}

struct FaultlessSubject {
    inner: &'static MemoryStore,
    store: FaultyStore<'static, MemoryStore>,
}

impl Subject for FaultlessSubject {
    fn store(&self) -> &dyn ExpireStore {
        &self.store
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        self.inner.plant(path, bytes);
    }
}

/// A local store on a simulated disk, and a faulty store without a fault, keep
/// every promise of a store.
///
/// Method: the common suite.
#[test]
fn what_simulates_conforms() {
    conformance::check(&|| Box::new(SimulatedSubject::new()));
    conformance::check(&|| {
        let inner: &MemoryStore = Box::leak(Box::default());
        let store = FaultyStore::new(inner, |_| Fate::Done);
        Box::new(FaultlessSubject { inner, store })
    });
}

/// Creates a file that is not synced.
fn write(files: &SimulatedFiles, path: &str, bytes: &[u8]) {
    let mut file = (&files).create_new(path).expect("the name is free");
    let written = (&files).write(&mut file, bytes).expect("it is open");
    assert_eq!(written, bytes.len());
}

/// Creates a file whose bytes are durable, and its name is not.
fn write_synced(files: &SimulatedFiles, path: &str, bytes: &[u8]) {
    write(files, path, bytes);
    let file = (&files).open(path).expect("it is there");
    (&files).fsync(&file).expect("there is no fault");
}

/// The bytes of a file, if there is one.
fn read(files: &SimulatedFiles, path: &str) -> Option<Vec<u8>> {
    let file = (&files).open(path).ok()?;
    let mut bytes = vec![0; 1 << 16];
    let read = (&files).read_at(&file, &mut bytes, 0).expect("a file");
    bytes.truncate(read);
    Some(bytes)
}

/// Every disk that may be found if power is cut now, as what is under a path.
fn found(files: &SimulatedFiles, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    let cut = files.power_cut(files.operations());
    Survival::choices(1, 400)
        .map(|survival| read(&cut.image(survival), path))
        .collect()
}

fn kind<T>(answer: io::Result<T>) -> Result<T, io::ErrorKind> {
    answer.map_err(|error| error.kind())
}

fn create<F: Files>(files: &F, path: &str, bytes: &[u8]) -> io::Result<usize> {
    let mut file = files.create_new(path)?;
    files.fsync(&file)?;
    files.write(&mut file, bytes)
}

/// A few bytes of a file, and of what kind it is.
fn look<F: Files>(files: &F, path: &str, from: u64) -> io::Result<(Vec<u8>, Kind)> {
    let mut out = vec![0; 4];
    let file = files.open(path)?;
    let read = files.read_at(&file, &mut out, from)?;
    out.truncate(read);
    Ok((out, files.stat_open(&file)?.kind))
}

/// The names in a directory, and what stands there.
fn list<F: Files>(files: &F, path: &str) -> io::Result<BTreeMap<OsString, Kind>> {
    let mut names = BTreeMap::new();
    files.list(path, &mut |name, stat| {
        let stat = stat().expect("nobody else is there");
        assert_eq!(
            files
                .stat(&format!("{path}/{}", name.display()))
                .unwrap()
                .kind,
            stat.kind
        );
        names.insert(name.to_owned(), stat.kind);
    })?;
    Ok(names)
}

/// Does the same to both, as it is drawn, and compares the answers.
fn same<F: Files, G: Files>(one: &F, other: &G, draw: &[u8; 12]) {
    let paths = ["a", "b", "d", "d/a", "d/b", "a/x", "e/a"];
    let [act, first, second, len, bytes @ ..] = draw;
    let path = paths[usize::from(first % 7)];
    let to = paths[usize::from(second % 7)];
    let bytes = &bytes[..usize::from(len % 8)];
    let from = u64::from(len % 9);
    match act % 8 {
        0 | 1 => assert_eq!(
            kind(create(one, path, bytes)),
            kind(create(other, path, bytes))
        ),
        2 => assert_eq!(kind(one.link(path, to)), kind(other.link(path, to))),
        3 => assert_eq!(kind(one.unlink(path)), kind(other.unlink(path))),
        4 => assert_eq!(kind(one.mkdir(path)), kind(other.mkdir(path))),
        5 => assert_eq!(kind(one.fsync_dir(path)), kind(other.fsync_dir(path))),
        6 => assert_eq!(kind(list(one, path)), kind(list(other, path))),
        _ => {
            assert_eq!(kind(look(one, path, from)), kind(look(other, path, from)));
            let stat = |answer: io::Result<FileStat>| kind(answer.map(|stat| stat.kind));
            assert_eq!(stat(one.stat(path)), stat(other.stat(path)));
        }
    }
}

/// As long as power is not cut, the simulated disk behaves like a real one.
///
/// Method: random calls on few names, the same to both, each answer compared.
#[test]
fn a_simulated_disk_behaves_like_a_real_one() {
    for seed in 0..60 {
        let root = tempfile::tempdir().expect("a temporary directory");
        let real = RealFiles::open(root.path()).expect("it exists");
        let simulated = SimulatedFiles::new();
        let entropy = SeededEntropy::new(seed);
        for _ in 0..60 {
            let mut draw = [0; 12];
            entropy.fill(&mut draw);
            same(&real, &&simulated, &draw);
        }
    }
}

/// What was synced survives every power cut, whatever its names do; what was not
/// is lost in some.
///
/// Method: a file with its name synced, then unlinked and linked elsewhere; a
/// file that was appended to since.
#[test]
fn what_is_synced_survives() {
    let files = SimulatedFiles::new();
    write_synced(&files, "a", b"synced");
    assert_eq!(
        found(&files, "a"),
        BTreeSet::from([None, Some(b"synced".to_vec())]),
        "to sync a file syncs no name"
    );
    (&files).fsync_dir("").expect("there is no fault");
    assert_eq!(found(&files, "a").len(), 1);
    (&files).link("a", "b").expect("the name is free");
    (&files).unlink("a").expect("it is there");
    let either = BTreeSet::from([None, Some(b"synced".to_vec())]);
    assert_eq!(found(&files, "a"), either, "an unlinked name comes back");
    assert_eq!(found(&files, "b"), either);
    (&files).fsync_dir("").expect("there is no fault");
    assert_eq!(found(&files, "a"), BTreeSet::from([None]));
    assert_eq!(
        found(&files, "b"),
        BTreeSet::from([Some(b"synced".to_vec())])
    );
}

/// Of what was not synced, every legal rest is found: nothing, all, a beginning,
/// pages that were never written, a length without its bytes.
///
/// Method: a name that is durable, with a file that is not, of three pages.
#[test]
fn what_is_not_synced_survives_in_part() {
    let files = SimulatedFiles::new();
    let content = vec![7; 3 * 4_096];
    write(&files, "a", &content);
    (&files).fsync_dir("").expect("there is no fault");
    let found = found(&files, "a");
    assert!(!found.contains(&None), "the name is durable");
    let found: Vec<Vec<u8>> = found.into_iter().flatten().collect();
    assert!(found.contains(&Vec::new()) && found.contains(&content));
    assert!(found.contains(&vec![0; content.len()]), "only its length");
    let whole = |bytes: &&Vec<u8>| bytes.iter().all(|byte| *byte == 7);
    let cut = found.iter().filter(whole).count();
    assert!(cut > 10, "{cut} lengths");
    for size in [512, 4_096] {
        let torn = |bytes: &&Vec<u8>| {
            let pages: BTreeSet<&[u8]> = bytes.chunks_exact(size).collect();
            let one_kind = |page: &&[u8]| page.iter().all(|byte| byte == &page[0]);
            bytes.len() == content.len() && pages.len() > 1 && pages.iter().all(one_kind)
        };
        assert!(found.iter().any(|bytes| torn(&bytes)), "pages of {size}");
    }
    assert!(found.len() > 50, "{} disks", found.len());
}

/// A directory that is not durable takes with it all that was synced in it, and
/// names are lost one by one.
///
/// Method: a directory with a synced file and name, its own name not synced; two
/// names made one after the other.
#[test]
fn names_are_lost_one_by_one() {
    let files = SimulatedFiles::new();
    (&files).mkdir("d").expect("the name is free");
    write_synced(&files, "d/a", b"synced");
    (&files).fsync_dir("d").expect("there is no fault");
    write_synced(&files, "first", b"1");
    write_synced(&files, "second", b"2");
    let cut = files.power_cut(files.operations());
    let images: Vec<SimulatedFiles> = Survival::choices(2, 200)
        .map(|survival| cut.image(survival))
        .collect();
    let seen: BTreeSet<[bool; 3]> = images
        .iter()
        .map(|image| ["d/a", "first", "second"].map(|path| read(image, path).is_some()))
        .collect();
    assert_eq!(seen.len(), 8, "every combination");
    let digests: BTreeSet<[u8; 32]> = images.iter().map(SimulatedFiles::digest).collect();
    assert_eq!(digests.len(), 8);
}

/// After a sync failed, a second one succeeds and makes nothing durable, of files
/// and of names; what comes afterwards is durable when synced.
///
/// Method: fail the sync of a file and of a directory, and sync both again.
#[test]
fn a_failed_sync_is_not_made_good_by_another() {
    let files = SimulatedFiles::new();
    let faulty = FaultyFiles::new(&files, |call| match call.kind {
        FileCallKind::Sync | FileCallKind::SyncDirectory if call.number < 4 => {
            FileFate::Fails(Errno::IO)
        }
        _ => FileFate::Done,
    });
    let faulty = &faulty;
    let mut file = faulty.create_new("a").expect("the name is free");
    faulty.write(&mut file, b"first").expect("it is open");
    assert_eq!(
        faulty.fsync(&file).expect_err("a fault").raw_os_error(),
        Some(Errno::IO.raw_os_error())
    );
    faulty.fsync_dir("").expect_err("a fault");
    assert!(files.is_forsaken());
    faulty.write(&mut file, b"second").expect("it is open");
    faulty.fsync(&file).expect("the fault is gone");
    faulty.fsync_dir("").expect("the fault is gone");
    assert_eq!(read(&files, "a").as_deref(), Some(&b"firstsecond"[..]));
    let found = found(&files, "a");
    assert!(found.contains(&None) && found.len() > 3, "{found:?}");
    for bytes in found.into_iter().flatten() {
        assert_eq!(&bytes[5..], b"second");
    }
}

/// Calls fail as they are told to, and only those.
///
/// Method: halve a write and a read; lose the answer of a link; refuse a name.
#[test]
fn faulty_files_do_as_they_are_told() {
    let files = SimulatedFiles::new();
    let fates = [
        FileFate::Done,
        FileFate::Short,
        FileFate::AnswerLost(Errno::TIMEDOUT),
        FileFate::Fails(Errno::NOSPC),
        FileFate::Done,
        FileFate::Short,
    ];
    let number = |call: u64| usize::try_from(call).expect("few");
    let faulty = FaultyFiles::new(&files, |call| fates[number(call.number)]);
    let faulty = &faulty;
    let mut file = faulty.create_new("a").expect("the name is free");
    assert_eq!(faulty.write(&mut file, b"seven b").expect("it is open"), 4);
    faulty.link("a", "b").expect_err("its answer is lost");
    faulty.link("a", "c").expect_err("it is refused");
    let (b, mut out) = (faulty.open("b").expect("it was linked"), [0; 2]);
    assert_eq!(faulty.read_at(&b, &mut out, 3).expect("it is open"), 1);
    assert_eq!(out[0], b'e');
    assert!(read(&files, "c").is_none());
    assert_eq!(faulty.calls(), 6);
}

/// A faulty store answers as it is told to, and does what it says.
///
/// Method: each fate of a put and of a read, the store behind looked at.
#[test]
fn a_faulty_store_does_as_it_is_told() {
    let put = |fate: Fate| {
        let inner = MemoryStore::new();
        let store = FaultyStore::new(&inner, |call: &Call| match call.request {
            Request::Put(_) => fate,
            _ => Fate::Done,
        });
        let outcome = store.put_new(&PACK, b"pack");
        let answers = store.size(&PACK).map_err(|error| error.class());
        (outcome, inner.keys().len(), answers)
    };
    let gone = Err(ErrorClass::NotFound);
    let down = Err(ErrorClass::Unreachable);
    for (fate, stored, answers) in [
        (Fate::Done, 1, Ok(4)),
        (Fate::AnswerLost, 1, Ok(4)),
        (Fate::Unclear, 0, gone),
        (Fate::LastWord, 1, down),
        (Fate::DownAfter, 1, down),
        (Fate::DownBefore, 0, down),
    ] {
        let (outcome, found, then) = put(fate);
        let clear = matches!(outcome.expect("no error"), PutOutcome::Created);
        assert_eq!(clear, matches!(fate, Fate::Done | Fate::LastWord));
        assert_eq!((found, then), (stored, answers), "{fate:?}");
    }
    let full = Fault::System(Errno::NOSPC);
    for (fault, class) in [
        (full, ErrorClass::NoSpace),
        (Fault::Unreachable, ErrorClass::Unreachable),
        (Fault::ShortRead, ErrorClass::Other),
    ] {
        let (outcome, found, _) = put(Fate::Fails(fault));
        assert_eq!(outcome.expect_err("a fault").class(), class);
        assert_eq!(found, 0);
    }
    let inner = MemoryStore::new();
    let store = FaultyStore::new(&inner, |_| Fate::Fails(Fault::ShortRead));
    let short = store.read(&PACK, 10).expect_err("a fault");
    assert_eq!(short.class(), ErrorClass::Malformed);
}
