//! Samples and time limits: what is left unread is said, and nothing else is
//! left out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;

use indelible_engine::env::{Env, ManualClock, SeededEntropy};
use indelible_engine::progress::{Note, Silent};
use indelible_engine::repository::{Repository, read_log};
use indelible_engine::store::{
    Area, Capabilities, Listed, MemoryStore, ObjectKey, ReadStore, StoreError, Version, VersionId,
};
use indelible_engine::verify::{self, Amount, Extent, Harm, ProblemKind, Report, Terms};
use indelible_format::attest::Level;
use indelible_format::coding::Class;
use indelible_format::ids::PackId;

use super::{LEVELS, harmed, lost, originals};
use crate::support::{Fixture, Notes, noise, object, packs, verify_on};

const PERCENT: u32 = 10_000;

/// A store in memory that tells what is read of packs, and lets time pass whenever
/// one is read whole.
pub(super) struct Watched<'a> {
    inner: &'a MemoryStore,
    clock: &'a ManualClock,
    cost_ms: u64,
    read: Mutex<Vec<PackId>>,
    /// Every read, with its offset and length.
    ranges: Mutex<Vec<(PackId, u64, u64)>>,
    /// After so many packs were read whole, reading a part costs as much.
    parts_cost_behind: Option<usize>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(fixture: &'a Fixture, cost_ms: u64) -> Self {
        Self {
            inner: &fixture.store,
            clock: &fixture.clock,
            cost_ms,
            read: Mutex::default(),
            ranges: Mutex::default(),
            parts_cost_behind: None,
        }
    }

    /// Reading a part of a pack costs as much as reading a whole one, once so many whole
    /// ones were read in a verification.
    pub(super) fn with_cost_of_parts_behind(mut self, packs: usize) -> Self {
        self.parts_cost_behind = Some(packs);
        self
    }

    /// The packs that were read whole since the last call, in their order.
    pub(super) fn taken(&self) -> Vec<PackId> {
        std::mem::take(&mut self.read.lock().unwrap())
    }

    /// The reads of packs since the last call: offset and length of each.
    pub(super) fn ranges(&self) -> Vec<(PackId, u64, u64)> {
        std::mem::take(&mut self.ranges.lock().unwrap())
    }
}

impl ReadStore for Watched<'_> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.read(key, size_bytes_max)
    }

    fn read_range(&self, key: &ObjectKey, from: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let bytes = self.inner.read_range(key, from, len)?;
        if let ObjectKey::Pack(id) = key {
            self.ranges.lock().unwrap().push((*id, from, len));
            if PackId::of(&bytes) == *id {
                self.clock.advance(self.cost_ms);
                self.read.lock().unwrap().push(*id);
            } else if let Some(packs) = self.parts_cost_behind
                && self.read.lock().unwrap().len() >= packs
            {
                self.clock.advance(self.cost_ms);
            }
        }
        Ok(bytes)
    }

    fn read_prefix(&self, key: &ObjectKey, len_max: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.read_prefix(key, len_max)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        self.inner.size(key)
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.inner.list(area, each)
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        self.inner.versions(key)
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.inner.read_version(key, version, len_max)
    }
}

/// A repository of this many snapshots with a pack each, of about 6 KB.
fn sample(seed: u64, count: u64) -> Fixture {
    let fixture = Fixture::new(seed);
    for number in 0..count {
        fixture.snapshot_of("shop", &noise(seed + number, 5_000));
    }
    assert_eq!(packs(&fixture.store).len() as u64, count);
    fixture
}

fn stored(fixture: &Fixture, packs: &[PackId]) -> Amount {
    let len = |pack: &PackId| object(&fixture.store, &ObjectKey::Pack(*pack)).len() as u64;
    Amount {
        packs: packs.len() as u64,
        bytes: packs.iter().map(len).sum(),
    }
}

fn terms(extent: Extent) -> Terms<'static> {
    Terms {
        extent,
        ..Terms::default()
    }
}

/// A verification of the watched store, on one thread, so that packs are taken
/// in the order that was drawn.
pub(super) fn verified(
    fixture: &Fixture,
    store: &Watched<'_>,
    level: Level,
    extent: Extent,
) -> Report {
    let pool = rayon_of_one();
    let env = fixture.env.clone();
    pool.install(|| {
        if level == Level::Packs {
            let seen = read_log(store, None, None).unwrap();
            return verify::packs(store, &seen, &terms(extent), &env, &Silent).unwrap();
        }
        let repository = Repository::open(store, None, &fixture.recovery, env).unwrap();
        store.taken();
        verify::with_key(&repository, level, &terms(extent), &Silent).unwrap()
    })
}

fn rayon_of_one() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread can be started")
}

/// A sample reads about its share of the bytes, reads other packs each time, and
/// says exactly what it did not read.
///
/// Method: every share of a scale, at each level, over forty packs of about one
/// length; a store that tells which packs were read whole is the oracle. Then
/// sample until every pack had its turn.
#[test]
fn a_sample_reads_its_share_and_says_the_rest() {
    let fixture = sample(131, 40);
    let all = packs(&fixture.store);
    let whole = stored(&fixture, &all);
    let longest = all
        .iter()
        .map(|pack| stored(&fixture, &[*pack]).bytes)
        .max();
    let store = Watched::new(&fixture, 0);
    for level in LEVELS {
        for share in [
            0,
            1,
            PERCENT / 2,
            10 * PERCENT,
            33 * PERCENT + 3_333,
            99 * PERCENT,
        ] {
            let report = verified(&fixture, &store, level, Extent::ALL.sampled(share));
            let read = stored(&fixture, &store.taken());
            assert!(report.is_sound());
            assert_eq!(report.unread.packs, whole.packs - read.packs);
            assert_eq!(report.unread.bytes, whole.bytes - read.bytes);
            let quota = (whole.bytes * u64::from(share)).div_ceil(1_000_000);
            assert!(read.bytes >= quota && read.bytes < quota + longest.unwrap());
            assert_eq!(read.packs == 0, share == 0);
        }
        let report = verified(&fixture, &store, level, Extent::ALL.sampled(200 * PERCENT));
        assert_eq!(report.unread, Amount::default());
        assert_eq!(store.taken().len(), 40);
    }
    let (mut seen, mut runs) = (BTreeSet::new(), 0);
    while seen.len() < all.len() {
        verified(
            &fixture,
            &store,
            Level::Packs,
            Extent::ALL.sampled(10 * PERCENT),
        );
        seen.extend(store.taken());
        runs += 1;
        assert!(runs < 1_000, "{} of 40 packs had their turn", seen.len());
    }
}

/// When the time is up no further pack is begun, and packs come in another order
/// each time.
///
/// Method: reading a pack costs ten seconds of a clock that stands still
/// otherwise; allow none, some and plenty; compare which packs were read twice.
#[test]
fn time_that_is_up_begins_no_pack() {
    let fixture = sample(132, 12);
    let store = Watched::new(&fixture, 10_000);
    for level in LEVELS {
        for (time_ms, expected) in [(0, 0), (1, 1), (10_000, 1), (10_001, 2), (45_000, 5)] {
            let extent = Extent::ALL.within(time_ms);
            let report = verified(&fixture, &store, level, extent);
            assert_eq!(store.taken().len(), expected, "{time_ms} ms");
            assert!(report.is_sound());
            assert_eq!(report.unread.packs, 12 - expected as u64);
        }
        let report = verified(&fixture, &store, level, Extent::ALL.within(1_000_000));
        assert_eq!(
            (report.unread, store.taken().len()),
            (Amount::default(), 12)
        );
    }
    let five = || {
        verified(&fixture, &store, Level::Packs, Extent::ALL.within(45_000));
        store.taken()
    };
    assert_ne!(five(), five());
    // A sample ends when its share is read or the time is up.
    let extent = Extent::ALL.sampled(20 * PERCENT).within(45_000);
    verified(&fixture, &store, Level::Packs, extent);
    assert_eq!(store.taken().len(), 3);
    let extent = Extent::ALL.sampled(75 * PERCENT).within(45_000);
    verified(&fixture, &store, Level::Packs, extent);
    assert_eq!(store.taken().len(), 5);
}

/// What is not read whole is looked at all the same: presence, length, directory,
/// and the tree.
///
/// Method: read no pack whole; remove one, cut one, and flip a bit in a directory
/// and in each page and node; restoring is the oracle. A flipped bit in contents
/// goes unnoticed, and the pack counts as not read.
#[test]
fn an_empty_sample_still_checks_the_rest() {
    let fixture = sample(133, 4);
    let repository = fixture.open();
    let originals = originals(&repository);
    let intact = fixture.store.clone();
    let extent = terms(Extent::ALL.sampled(0));
    let check = |noticed: bool, unread: u64| {
        for level in [Level::Tree, Level::Data] {
            let report = verify_on(&repository, level, &extent);
            assert_eq!(report.is_sound(), !noticed, "{:?}", report.problems);
            assert_eq!(report.unread.packs, unread);
            if noticed {
                assert_eq!(harmed(&report), lost(&repository, &originals));
            }
        }
        fixture.store.roll_back_to(&intact);
    };
    for pack in packs(&fixture.store) {
        let key = ObjectKey::Pack(pack);
        let bytes = object(&fixture.store, &key);
        fixture.store.forget(&key);
        check(true, 3);
        fixture.store.truncate(&key, bytes.len() - 1);
        check(true, 3);
        fixture.store.flip(&key, bytes.len() - 40, 1);
        check(true, 4);
        for (class, offset) in chunks(&fixture, &bytes) {
            fixture.store.flip(&key, offset, 1);
            check(class != Class::Data, 4);
        }
    }
}

/// The class of each chunk of a pack, and its first byte.
fn chunks(fixture: &Fixture, pack: &[u8]) -> Vec<(Class, usize)> {
    let sealed = indelible_engine::pack::SealedDirectory::of_bytes(pack).unwrap();
    let index = fixture.bundle.index_key(&sealed.header().domain).unwrap();
    let open = sealed.open(&index).unwrap();
    let records = open.directory.records.iter().zip(&open.spans);
    records
        .map(|(record, span)| {
            let offset = usize::try_from(span.offset).unwrap();
            (record.known_class().unwrap(), offset)
        })
        .collect()
}

/// A sample finds the damage that lies in what it read, and harms nobody else.
///
/// Method: flip a bit in the contents of one of twenty packs; sample a third with
/// many seeds. It is found exactly when that pack was read.
#[test]
fn a_sample_finds_what_it_reads() {
    let fixture = sample(134, 20);
    let damaged = packs(&fixture.store)[7];
    let bytes = object(&fixture.store, &ObjectKey::Pack(damaged));
    let (_, offset) = chunks(&fixture, &bytes)[0];
    fixture.store.flip(&ObjectKey::Pack(damaged), offset, 3);
    let (mut found, mut missed) = (0, 0);
    for seed in 0..40 {
        let env = Env {
            clock: Arc::clone(&fixture.env.clock),
            entropy: Arc::new(SeededEntropy::new(seed)),
        };
        let repository = Repository::open(&fixture.store, None, &fixture.recovery, env).unwrap();
        let extent = terms(Extent::ALL.sampled(33 * PERCENT));
        let report = verify_on(&repository, Level::Data, &extent);
        assert!(report.unread.packs > 0);
        match &report.problems[..] {
            [] => missed += 1,
            [problem] => {
                found += 1;
                assert_eq!(problem.kind, ProblemKind::Chunk);
                assert!(matches!(&problem.harm, Harm::Snapshots(one) if one.len() == 1));
            }
            more => panic!("{more:?}"),
        }
    }
    assert!(found > 4 && missed > 12, "found {found}, missed {missed}");
}

/// How much will be read is told before it is.
///
/// Method: read all and a tenth, and keep the note.
#[test]
fn what_will_be_read_is_told() {
    let fixture = sample(135, 10);
    let whole = stored(&fixture, &packs(&fixture.store));
    let repository = fixture.open();
    let told = |extent: Extent| {
        let notes = Notes::default();
        verify::with_key(&repository, Level::Tree, &terms(extent), &notes).unwrap();
        notes.taken()
    };
    let expected = |chosen: u64, chosen_bytes: u64| Note::PacksToRead {
        chosen,
        chosen_bytes,
        all: whole.packs,
        all_bytes: whole.bytes,
    };
    assert_eq!(told(Extent::ALL), [expected(whole.packs, whole.bytes)]);
    assert_eq!(told(Extent::ALL.sampled(0)), [expected(0, 0)]);
    let [
        Note::PacksToRead {
            chosen: 1,
            chosen_bytes,
            ..
        },
    ] = told(Extent::ALL.sampled(1))[..]
    else {
        panic!("one pack is read")
    };
    assert!(chosen_bytes > 0 && chosen_bytes < whole.bytes / 5);
}
