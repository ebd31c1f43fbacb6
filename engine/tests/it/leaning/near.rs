//! Copies of packs that a client keeps near: they change what is read, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use indelible_engine::cancel::Cancel;
use indelible_engine::env::ManualClock;
use indelible_engine::keys::Credential;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{self, Input, Summary};
use indelible_engine::state::{PackCopies, Room};
use indelible_engine::store::faulty::{Fate, Request};
use indelible_engine::store::{FaultyStore, ObjectKey};
use indelible_format::attest::Level;
use indelible_format::ids::{PackId, RepositoryId};
use indelible_format::rights::Rights;
use proptest::prelude::*;

use super::edits::{apply, content, edits};
use super::night;
use crate::support::{
    Client, Fixture, START_UNIX_MS, noise, object, packs, request, restore_stream, stream,
    verify_with,
};

/// More than all packs of a test have.
const PLENTY: u64 = 64 << 20;

/// A host with a repository of its own.
struct Host {
    fixture: Fixture,
    client: Client,
    key: Credential,
    keep_packs: Option<u64>,
}

impl Host {
    fn new(seed: u64, write_only: bool, keep_packs: Option<u64>) -> Self {
        let fixture = Fixture::new(seed);
        let key = if write_only {
            fixture.add_key(Rights::WRITE, &["shop"])
        } else {
            fixture.recovery.clone()
        };
        Self {
            fixture,
            client: Client::new(),
            key,
            keep_packs,
        }
    }

    /// Takes the next night's snapshot, and says how often it read a pack.
    fn backup(&self, dump: &[u8]) -> (Summary, u64) {
        self.fixture.clock.advance(86_400_000);
        let reads = AtomicU64::new(0);
        let store = FaultyStore::new(&self.fixture.store, |call| {
            if matches!(call.request, Request::Read(ObjectKey::Pack(_))) {
                reads.fetch_add(1, Ordering::SeqCst);
            }
            Fate::Done
        });
        let (state, env) = (&self.client.state, self.fixture.env.clone());
        let mut repository =
            Repository::open(&store, Some(state), &self.key, env).expect("it opens");
        let mut asked = request("shop");
        asked.keep_packs = self.keep_packs;
        let input = Input::Items(vec![stream("dump.sql", dump)]);
        let summary = snapshot::run(&mut repository, &asked, input, &Cancel::new(), &Silent);
        (summary.expect("a snapshot"), reads.load(Ordering::SeqCst))
    }

    /// Where the copies are.
    fn dir(&self) -> PathBuf {
        let repository = self.fixture.open().id().to_string();
        self.client.dir.path().join(repository).join("packs")
    }

    /// The files there but the lock, with their lengths.
    fn files(&self) -> BTreeMap<PathBuf, u64> {
        let files = fs::read_dir(self.dir()).into_iter().flatten().flatten();
        let files = files.filter(|file| file.file_name() != "lock");
        files
            .map(|file| (file.path(), file.metadata().expect("a file").len()))
            .collect()
    }

    fn copied_bytes(&self) -> u64 {
        self.files().values().sum()
    }

    /// All objects of the store.
    fn objects(&self) -> BTreeMap<ObjectKey, Vec<u8>> {
        let keys = self.fixture.store.keys().into_iter();
        keys.map(|key| (key, object(&self.fixture.store, &key)))
            .collect()
    }
}

/// A host that keeps copies of all that it published reads no byte of a pack from the
/// store, and stores what it would without.
///
/// Method: four nights as either key, with copies and without; count reads of packs, and
/// compare the stores object by object. Copies have the packs' bytes, and are for their
/// owner alone.
#[test]
fn copies_spare_the_store() {
    for write_only in [false, true] {
        let near = Host::new(420, write_only, Some(PLENTY));
        let far = Host::new(420, write_only, None);
        for number in 0..4 {
            let dump = night(number);
            let (summary, reads) = near.backup(&dump);
            assert_eq!(reads, 0, "night {number}");
            let (_, without) = far.backup(&dump);
            assert_eq!(without > 0, number > 0, "night {number}");
            assert_eq!(summary.accounting.delta_chunks > 100, number > 0);
        }
        assert!(near.objects() == far.objects());
        assert!(far.files().is_empty());
        let copied = near.files();
        assert_eq!(copied.len(), packs(&near.fixture.store).len());
        for pack in packs(&near.fixture.store) {
            let path = near.dir().join(pack.to_string());
            let bytes = fs::read(&path).expect("a copy");
            assert!(bytes == object(&near.fixture.store, &ObjectKey::Pack(pack)));
            let mode = |path| {
                fs::metadata(path)
                    .expect("it is there")
                    .permissions()
                    .mode()
            };
            assert_eq!(mode(path) & 0o777, 0o600);
            assert_eq!(mode(near.dir()) & 0o777, 0o700);
        }
    }
}

/// A host that begins to keep copies fetches what it leans on once, in one request for
/// each pack.
///
/// Method: two nights without copies, and three with: the first of those reads each pack
/// that it leans on once, and the others none.
#[test]
fn what_is_leaned_on_is_fetched_once() {
    let mut host = Host::new(421, true, None);
    host.backup(&night(0));
    host.backup(&night(1));
    let before = packs(&host.fixture.store).len() as u64;
    host.keep_packs = Some(PLENTY);
    let (_, reads) = host.backup(&night(2));
    assert!(
        reads > 0 && reads <= before,
        "{reads} reads of {before} packs"
    );
    for number in 3..5 {
        assert_eq!(host.backup(&night(number)).1, 0);
    }
}

/// All copies together are within the bound, whatever it is, and a smaller one, or none,
/// is obeyed from the next snapshot on.
///
/// Method: bounds from more than all packs have to less than one; each night restores
/// and leans on the one before.
#[test]
fn the_bound_is_obeyed() {
    let mut host = Host::new(422, true, None);
    host.backup(&night(0));
    let pack = packs(&host.fixture.store)[0];
    let pack = object(&host.fixture.store, &ObjectKey::Pack(pack)).len() as u64;
    for (bound, number) in [PLENTY, 2 * pack, pack + 1, pack, pack / 4, 1, 0]
        .into_iter()
        .zip(1..)
    {
        host.keep_packs = Some(bound);
        let (summary, _) = host.backup(&night(number));
        let copied = host.copied_bytes();
        assert!(copied <= bound, "{copied} of {bound}");
        assert!(copied > 0 || bound < pack, "{bound}");
        assert!(summary.accounting.delta_chunks > 100);
        let restored = restore_stream(&host.fixture.open(), summary.number);
        assert!(restored == Ok(night(number)));
    }
}

/// A copy that is spoilt in whatever way is found out, and made anew; what is stored is
/// what would be without it.
///
/// Method: each way to spoil all copies, before a night of its own; beside a host that
/// keeps none.
#[test]
fn spoilt_copies_are_found_out() {
    let spoils: [fn(Vec<u8>) -> Vec<u8>; 6] = [
        |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        },
        |mut bytes| {
            bytes[0] ^= 1;
            bytes
        },
        |bytes| bytes[..bytes.len() - 1].to_vec(),
        |bytes| [bytes, vec![0]].concat(),
        |_| Vec::new(),
        |bytes| noise(1, bytes.len()),
    ];
    let near = Host::new(423, true, Some(PLENTY));
    let far = Host::new(423, true, None);
    for host in [&near, &far] {
        host.backup(&night(0));
    }
    let mut number = 0;
    for spoil in spoils {
        let copies = near.files();
        assert!(!copies.is_empty());
        for path in copies.keys() {
            let bytes = fs::read(path).expect("a copy");
            fs::write(path, spoil(bytes)).expect("it is writable");
        }
        for _ in 0..2 {
            number += 1;
            let (summary, reads) = near.backup(&night(number));
            far.backup(&night(number));
            assert!(summary.accounting.delta_chunks > 100);
            assert_eq!(reads > 0, number % 2 == 1, "once: night {number}");
        }
        assert!(near.objects() == far.objects());
    }
}

/// Copies make no pack count that the store has lost, and nobody who restores or
/// verifies is shown them.
///
/// Method: with copies of all packs, destroy those of the first night: the next night
/// leans on none of them and restores. Then damage a pack: a verification by the host
/// that has the copies finds it, and its restore fails.
#[test]
fn copies_do_not_stand_for_the_store() {
    let host = Host::new(424, false, Some(PLENTY));
    host.backup(&night(0));
    let first = packs(&host.fixture.store);
    host.backup(&night(1));
    for pack in first {
        host.fixture.store.forget(&ObjectKey::Pack(pack));
    }
    let (summary, _) = host.backup(&night(2));
    let restored = restore_stream(&host.fixture.open(), summary.number);
    assert!(restored == Ok(night(2)));

    let host = Host::new(425, false, Some(PLENTY));
    let (summary, _) = host.backup(&night(0));
    for pack in packs(&host.fixture.store) {
        host.fixture.store.flip(&ObjectKey::Pack(pack), 20_000, 0);
    }
    let repository = host.fixture.open_with(&host.client.state);
    for level in [Level::Packs, Level::Tree, Level::Data] {
        assert!(!verify_with(&repository, level).is_sound());
    }
    restore_stream(&repository, summary.number).unwrap_err();
}

/// Where nothing is to lean on anything, nothing is copied.
///
/// Method: two nights with deltas off.
#[test]
fn nothing_is_copied_in_vain() {
    let fixture = Fixture::new(426);
    let client = Client::new();
    for number in 0..2 {
        let mut asked = request("shop");
        (asked.delta, asked.keep_packs) = (false, Some(PLENTY));
        let input = Input::Items(vec![stream("dump.sql", &night(number))]);
        let mut repository = fixture.open_with(&client.state);
        snapshot::run(&mut repository, &asked, input, &Cancel::new(), &Silent).expect("a snapshot");
    }
    let repository = fixture.open().id().to_string();
    assert!(!client.dir.path().join(repository).join("packs").exists());
}

/// The copies of some repository, opened by another run; and the clock of all runs.
struct Shelf {
    client: Client,
    clock: Arc<ManualClock>,
}

impl Shelf {
    fn new() -> Self {
        Self {
            client: Client::new(),
            clock: Arc::new(ManualClock::new(START_UNIX_MS)),
        }
    }

    fn open(&self, bytes_max: u64) -> PackCopies {
        self.clock.advance(1_000);
        let state = self.client.state.repository(&RepositoryId([7; 32]));
        state.pack_copies(bytes_max, Arc::clone(&self.clock) as _)
    }

    fn dir(&self) -> PathBuf {
        let repository = RepositoryId([7; 32]).to_string();
        self.client.dir.path().join(repository).join("packs")
    }

    /// Which of these there are right copies of.
    fn right(&self, packs: &[Vec<u8>]) -> Vec<usize> {
        let there = |pack: &[u8]| {
            let path = self.dir().join(PackId::of(pack).to_string());
            fs::read(path).is_ok_and(|bytes| bytes == pack)
        };
        (0..packs.len()).filter(|at| there(&packs[*at])).collect()
    }
}

/// What was used longest ago goes first; and a run does not replace what itself has used
/// by what it fetches.
///
/// Method: room for three of six; use one before the fourth comes; then fetch two in a
/// run that used two of the three.
#[test]
fn what_was_used_longest_ago_goes_first() {
    let shelf = Shelf::new();
    let all: Vec<Vec<u8>> = (0..6).map(|seed| noise(seed, 100)).collect();
    let id = |at: usize| PackId::of(&all[at]);
    for pack in &all[..3] {
        shelf.open(300).keep(&PackId::of(pack), pack, Room::OfAny);
    }
    let copies = shelf.open(300);
    let mut read = [0; 100];
    assert!(copies.read_into(&id(0), 0, &mut read) && read[..] == all[0]);
    copies.keep(&id(3), &all[3], Room::OfAny);
    assert_eq!(shelf.right(&all), [0, 2, 3]);
    let copies = shelf.open(300);
    for at in [0, 3] {
        assert!(copies.read_into(&id(at), 90, &mut read[..10]) && read[..10] == all[at][90..]);
    }
    assert!(!copies.read_into(&id(0), 91, &mut read[..10]), "it ends");
    for at in [4, 5] {
        copies.keep(&id(at), &all[at], Room::OfUnused);
    }
    assert_eq!(shelf.right(&all), [0, 3, 4]);
    assert!(!copies.has_room(100, Room::OfUnused) && copies.has_room(100, Room::OfAny));
    assert!(!copies.has_room(301, Room::OfAny));
    copies.keep(&PackId::of(&noise(9, 301)), &noise(9, 301), Room::OfAny);
    assert_eq!(shelf.right(&all), [0, 3, 4]);
    // A clock that was put back makes nothing stay for ever.
    let state = shelf.client.state.repository(&RepositoryId([7; 32]));
    let back = Arc::new(ManualClock::new(START_UNIX_MS - 1));
    let copies = state.pack_copies(300, back);
    copies.keep(&id(1), &all[1], Room::OfUnused);
    assert_eq!(shelf.right(&all).len(), 3);
    assert!(shelf.right(&all).contains(&1));
}

/// What a dead run left unfinished goes, and counts for nothing.
///
/// Method: half a copy under the name of one that is not finished, and room for one.
#[test]
fn unfinished_copies_go() {
    let shelf = Shelf::new();
    let pack = noise(1, 100);
    let id = PackId::of(&pack);
    shelf.open(100).keep(&id, &pack, Room::OfAny);
    let unfinished = shelf.dir().join(format!("{id}.1-0.tmp"));
    fs::write(&unfinished, &pack[..50]).expect("it is writable");
    let copies = shelf.open(100);
    assert!(!unfinished.exists());
    assert!(copies.read_into(&id, 0, &mut [0; 100]));
}

/// Runs that use one state at once get right bytes or none, and leave no more than the
/// bound.
///
/// Method: four threads that each keep and read packs of their own choice, with room for
/// half of them.
#[test]
fn many_runs_share_the_copies() {
    let shelf = Shelf::new();
    let all: Vec<Vec<u8>> = (0..16).map(|seed| noise(seed, 5_000)).collect();
    let runs: Vec<PackCopies> = (0..4).map(|_| shelf.open(40_000)).collect();
    thread::scope(|scope| {
        for (copies, run) in runs.iter().zip(0_usize..) {
            let all = &all;
            scope.spawn(move || {
                for step in 0..200 {
                    let pack = &all[(step * (2 * run + 1) + run) % all.len()];
                    let id = PackId::of(pack);
                    let mut read = vec![0; 1_000];
                    if copies.read_into(&id, 4_000, &mut read) {
                        assert!(read == pack[4_000..]);
                    } else {
                        copies.keep(&id, pack, Room::OfAny);
                    }
                }
            });
        }
    });
    let files = fs::read_dir(shelf.dir()).expect("a directory").flatten();
    let bytes: u64 = files
        .map(|file| file.metadata().expect("a file").len())
        .sum();
    assert!(bytes > 0 && bytes <= 40_000, "{bytes}");
    assert_eq!(shelf.right(&all).len() as u64 * 5_000, bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// The same chunks are stored, whatever copies there are.
    ///
    /// Method: nights of random edits on two hosts, one of which keeps copies within any
    /// bound, one of them spoilt in between; compare the stores object by object.
    #[test]
    fn copies_decide_nothing(
        nights in proptest::collection::vec(edits(), 1..6),
        bound in prop_oneof![Just(PLENTY), 0_u64..200_000],
        spoilt in any::<prop::sample::Index>(),
        seed in any::<u64>(),
        len in 1_usize..100_000,
        write_only in any::<bool>(),
    ) {
        let near = Host::new(427, write_only, Some(bound));
        let far = Host::new(427, write_only, None);
        let mut dump = content(seed | 1, len);
        for edits in [Vec::new()].into_iter().chain(nights) {
            for edit in &edits {
                apply(&mut dump, edit);
            }
            if dump.is_empty() {
                dump.push(b'\n');
            }
            near.backup(&dump);
            far.backup(&dump);
            prop_assert!(near.copied_bytes() <= bound);
            let copies = near.files();
            if !copies.is_empty() {
                let path = copies.keys().nth(spoilt.index(copies.len())).expect("a copy");
                fs::write(path, noise(seed, 3_000)).expect("it is writable");
            }
        }
        prop_assert!(near.objects() == far.objects());
    }
}
