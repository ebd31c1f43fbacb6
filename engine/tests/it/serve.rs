//! A store served to a client, and the client's side of it, joined by pipes: what a
//! connection does, and what a client that is an enemy can't.

mod cuts;
mod enemy;
mod probe;

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::Arc;
use std::thread;

use indelible_engine::env::{Clock as _, ManualClock, OsEntropy};
use indelible_engine::pace::{Paced, Pacer, Rate};
use indelible_engine::repository::Repository;
use indelible_engine::serve::{LockLimit, Quota, ServeTerms, serve, session};
use indelible_engine::store::conformance::{self, Subject};
use indelible_engine::store::{
    AppendStore, Area, Capabilities, ExpireStore, Listed, LocalStore, MemoryStore, ObjectKey,
    PutOutcome, ReadStore, RemoteStore, StoreError, Version, VersionId,
};
use indelible_format::ids::{PackId, RecordId};
use indelible_format::protocol::{Answer, Request};

use crate::support::{
    CHUNKER, Client, Fixture, START_UNIX_MS, listed, new_repository, noise, restore_stream, rows,
    take_stream,
};

const DAY_MS: u64 = 86_400_000;

/// The client's ends of two pipes to a thread that serves.
fn serving<F>(serve: F) -> (PipeReader, PipeWriter)
where
    F: FnOnce(&mut PipeReader, &mut PipeWriter) + Send + 'static,
{
    let (mut requests, output) = pipe().expect("a pipe");
    let (input, mut answers) = pipe().expect("a pipe");
    thread::spawn(move || serve(&mut requests, &mut answers));
    (input, output)
}

/// The client's ends of a connection to a server that judges what is put.
pub(crate) fn guarded<S: AppendStore + 'static>(
    store: &Arc<S>,
    quota: Option<Quota>,
) -> (PipeReader, PipeWriter) {
    let store = Arc::clone(store);
    serving(move |requests, answers| {
        // What it ends with, the client sees.
        let terms = ServeTerms { quota, locks: None };
        let _ = serve(&*store, terms, requests, answers);
    })
}

pub(crate) fn connect(
    (input, output): (impl Read + Send + 'static, impl Write + Send + 'static),
) -> Result<RemoteStore, StoreError> {
    RemoteStore::connect(input, output, "the other end".to_owned())
}

/// A client that writes what it likes.
struct Raw {
    input: PipeReader,
    output: PipeWriter,
}

impl Raw {
    fn new((input, output): (PipeReader, PipeWriter)) -> Self {
        let mut raw = Self { input, output };
        let answer = raw.say(&Request::Hello.frame(0)).expect("an answer");
        assert!(matches!(
            Answer::decode(&answer),
            Ok((0, Answer::Welcome { .. }))
        ));
        raw
    }

    fn send(&mut self, bytes: &[u8]) {
        // The server may have hung up already.
        let _ = self.output.write_all(bytes);
    }

    /// The next answer; none if the server hung up.
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 4];
        self.input.read_exact(&mut len).ok()?;
        let mut frame = vec![0; u32::from_le_bytes(len) as usize];
        self.input.read_exact(&mut frame).expect("a whole frame");
        Some(frame)
    }

    fn say(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.send(bytes);
        self.next()
    }
}

/// A store that is reached through a connection, save for removing, which no
/// connection does.
struct Reached<S> {
    remote: RemoteStore,
    behind: Arc<S>,
}

impl<S: ReadStore> ReadStore for Reached<S> {
    fn read(&self, key: &ObjectKey, most: u64) -> Result<Vec<u8>, StoreError> {
        self.remote.read(key, most)
    }

    fn read_range(&self, key: &ObjectKey, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.remote.read_range(key, offset, len)
    }

    fn read_prefix(&self, key: &ObjectKey, most: u64) -> Result<Vec<u8>, StoreError> {
        self.remote.read_prefix(key, most)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        self.remote.size(key)
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.remote.list(area, each)
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        self.remote.versions(key)
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        most: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.remote.read_version(key, version, most)
    }

    fn locked_until(
        &self,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<u64>, StoreError> {
        self.remote.locked_until(key, version)
    }

    fn capabilities(&self) -> Capabilities {
        self.remote.capabilities()
    }

    fn location(&self) -> String {
        self.remote.location()
    }
}

impl<S: ReadStore> AppendStore for Reached<S> {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        self.remote.put_new(key, bytes)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.remote.prepare()
    }

    fn extend_lock(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        self.remote.extend_lock(key, version, until_ms)
    }
}

impl<S: ExpireStore> ExpireStore for Reached<S> {
    fn remove(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.behind.remove(key)
    }
}

/// Serves a store without judging what is put: the suite's objects are made up.
fn reached<S: ExpireStore + 'static>(store: S) -> Reached<S> {
    let behind = Arc::new(store);
    let served = Arc::clone(&behind);
    let ends = serving(move |requests, answers| {
        session(&*served, requests, answers).expect("the client hangs up properly");
    });
    let remote = connect(ends).expect("the server welcomes");
    Reached { remote, behind }
}

struct Memory(Reached<MemoryStore>);

impl Subject for Memory {
    fn store(&self) -> &dyn ExpireStore {
        &self.0
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        self.0.behind.plant(path, bytes);
    }
}

struct Local(Reached<LocalStore>, tempfile::TempDir);

impl Subject for Local {
    fn store(&self) -> &dyn ExpireStore {
        &self.0
    }

    fn plant(&self, path: &str, bytes: &[u8]) {
        std::fs::write(self.1.path().join(path), bytes).expect("the area exists");
    }
}

/// A store behind a connection keeps every promise of a store.
///
/// Method: the common suite, over a store in memory, one that locks, and one in a
/// directory.
#[test]
fn a_remote_store_conforms() {
    conformance::check(&|| Box::new(Memory(reached(MemoryStore::new()))));
    conformance::check(&|| {
        let clock = Arc::new(ManualClock::new(START_UNIX_MS));
        Box::new(Memory(reached(MemoryStore::locking(clock, DAY_MS))))
    });
    conformance::check(&|| {
        let root = tempfile::tempdir().expect("a temporary directory");
        let store = LocalStore::open(root.path(), Arc::new(OsEntropy)).expect("it exists");
        store.prepare().expect("it is writable");
        Box::new(Local(reached(store), root))
    });
}

/// A client locks as long as the server allows, and no longer; nothing gets shorter.
///
/// Method: a store that locks for a day, behind a guard that allows 400 days, and one
/// that allows none.
#[test]
fn a_server_bounds_locks() {
    let clock = Arc::new(ManualClock::new(START_UNIX_MS));
    let store = MemoryStore::locking(Arc::clone(&clock) as _, DAY_MS);
    let key = ObjectKey::Record(RecordId::of(b"record"));
    assert!(
        store
            .put_new(&key, b"record")
            .expect("it is new")
            .is_stored()
    );
    let store = Arc::new(store);
    let client = |span_ms: Option<u64>| {
        let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
        let ends = serving(move |requests, answers| {
            let locks = span_ms.map(|span_ms| LockLimit { span_ms, clock });
            let terms = ServeTerms { quota: None, locks };
            let _ = serve(&*store, terms, requests, answers);
        });
        connect(ends).expect("the server welcomes")
    };
    let only = VersionId::only();
    let remote = client(Some(400 * DAY_MS));
    assert!(remote.capabilities().locks);
    let until = || remote.locked_until(&key, &only).expect("it is there");
    assert_eq!(until(), Some(START_UNIX_MS + DAY_MS));
    // Clocks differ, by up to an hour.
    let longest = START_UNIX_MS + 400 * DAY_MS + DAY_MS / 24;
    remote
        .extend_lock(&key, &only, longest)
        .expect("it is allowed");
    let error = remote
        .extend_lock(&key, &only, longest + 1)
        .expect_err("it is too long");
    assert!(error.to_string().contains("at most 400 days"), "{error}");
    let error = remote.extend_lock(&key, &only, START_UNIX_MS + 2 * DAY_MS);
    assert!(matches!(
        error,
        Err(StoreError::WouldShorten { locked_until_ms, .. }) if locked_until_ms == longest
    ));
    assert_eq!(until(), Some(longest));

    let remote = client(None);
    assert!(!remote.capabilities().locks);
    let refused = remote.extend_lock(&key, &only, longest + 1);
    assert!(matches!(refused, Err(StoreError::LocksUnsupported { .. })));
    assert_eq!(
        store
            .locked_until(&key, &store.versions(&key).unwrap()[0].id)
            .unwrap(),
        Some(longest)
    );
}

/// A log entry that was written again is read as its oldest version, and long listings
/// come whole.
///
/// Method: a store in memory with an overwritten entry, and more entries than a page
/// of a listing holds.
#[test]
fn the_oldest_version_and_every_page_come() {
    let store = MemoryStore::new();
    for number in 0..2_500 {
        store.replace(&ObjectKey::Log(number), b"entry");
    }
    store.push_newer(&ObjectKey::Log(7), b"overwritten");
    let reached = reached(store);
    let read = reached.read_range(&ObjectKey::Log(7), 2, 3);
    assert_eq!(read.expect("it is there"), b"try");
    let mut numbers = Vec::new();
    let listed = reached.list(Area::Log, &mut |listed| {
        if let Listed::Object {
            key: ObjectKey::Log(number),
            ..
        } = listed
        {
            numbers.push(number);
        }
    });
    listed.expect("it can be listed");
    assert!(numbers.into_iter().eq(0..2_500));
}

/// A repository is made, written and read by several clients of a server that judges.
///
/// Method: in memory; init, snapshots by two clients with a thread each, a key, and
/// restores of everything.
#[test]
fn clients_share_a_served_repository() {
    let fixture = Fixture::new(501);
    let env = fixture.env.clone();
    let new = new_repository(&env, CHUNKER);
    let store = Arc::new(MemoryStore::new());
    let client = || connect(guarded(&store, None)).expect("the server welcomes");
    new.create(&client()).expect("the store is empty");
    let numbers: Vec<u64> = thread::scope(|scope| {
        let write = |first: u64| {
            let (remote, env, key) = (client(), env.clone(), &fixture.recovery);
            move || {
                let mut repository = Repository::open(&remote, None, key, env).expect("it opens");
                (0..3)
                    .map(|n| take_stream(&mut repository, "shop", &rows(first + n..first + n + 90)))
                    .map(|taken| taken.expect("it is committed").number)
                    .collect::<Vec<_>>()
            }
        };
        let others = [scope.spawn(write(0)), scope.spawn(write(1_000))];
        let mut numbers: Vec<u64> = others
            .into_iter()
            .flat_map(|it| it.join().expect("no panic"))
            .collect();
        numbers.sort_unstable();
        numbers
    });
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let remote = client();
    let repository = Repository::open(&remote, None, &fixture.recovery, env).expect("it opens");
    assert_eq!(listed(&repository), numbers);
    for number in numbers {
        restore_stream(&repository, number).expect("it restores");
    }
}

/// Damage of what the server holds does not stop a writer that remembers it whole.
///
/// Method: flip a bit in each of the last two entries, and take two snapshots with the
/// client's memory; both are committed where the client remembers the end.
#[test]
fn damaged_entries_stop_no_writer() {
    let fixture = Fixture::new(502);
    let client = Client::new();
    let mut repository = fixture.open_with(&client.state);
    for n in 0..3 {
        take_stream(&mut repository, "shop", &rows(n..n + 90)).expect("it is committed");
    }
    let store = Arc::new(fixture.store.clone());
    store.flip(&ObjectKey::Log(2), 100, 1);
    store.flip(&ObjectKey::Log(3), 100, 1);
    let remote = connect(guarded(&store, None)).expect("the server welcomes");
    let (state, key) = (Some(&client.state), &fixture.recovery);
    let opened = Repository::open(&remote, state, key, fixture.env.clone());
    let mut repository = opened.expect("it opens");
    for number in [4, 5] {
        let taken = take_stream(&mut repository, "shop", &rows(number..number + 90));
        assert_eq!(taken.expect("it is committed").number, number);
        restore_stream(&repository, number).expect("it restores");
    }
}

/// What goes to a server and comes from it is paid for where its streams are paced, and all
/// arrives.
///
/// Method: a pack of a mebibyte is put and read at a mebibyte a second, through streams with
/// a pacer each, on a clock that only pauses move.
#[test]
fn paced_streams_pay_both_ways() {
    let store = Arc::new(MemoryStore::new());
    let (input, output) = guarded(&store, None);
    let paced = || {
        let clock = Arc::new(ManualClock::new(START_UNIX_MS));
        let rate = Rate::new(1 << 20).expect("it is a rate");
        let pacer = Pacer::new(rate, Arc::clone(&clock) as _, Arc::clone(&clock) as _);
        (clock, Some(Arc::new(pacer)))
    };
    let ((going, upload), (coming, download)) = (paced(), paced());
    let remote = connect((Paced::new(input, download), Paced::new(output, upload)));
    let remote = remote.expect("it is greeted");
    let bytes = noise(1, 1 << 20);
    let key = ObjectKey::Pack(PackId::of(&bytes));
    let took_ms = |clock: &ManualClock| clock.monotonic_ms();
    let due_ms = |bytes: usize| ((bytes - (64 << 10)) * 1_000).div_ceil(1 << 20) as u64;
    let outcome = remote.put_new(&key, &bytes).expect("it is answered");
    assert!(matches!(outcome, PutOutcome::Created), "{outcome:?}");
    // The heads of messages are what it takes more.
    let due_ms = due_ms(bytes.len());
    assert!((due_ms..due_ms + 5).contains(&took_ms(&going)));
    assert_eq!(took_ms(&coming), 0);
    assert!(remote.read(&key, u64::MAX).expect("it is there") == bytes);
    assert!((due_ms..due_ms + 5).contains(&took_ms(&coming)));
}
