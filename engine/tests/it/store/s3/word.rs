//! Verifying packs by the checksums that S3 keeps: what is read, what is believed, and
//! what is found all the same.

use indelible_engine::repository::Repository;
use indelible_engine::store::{Area, ExpireStore as _, ObjectKey, ReadStore as _};
use indelible_engine::verify::{Amount, Extent, ProblemKind, Report, Terms};
use indelible_format::attest::Level;
use indelible_format::ids::PackId;

use super::bucket::Sums;
use super::{PATIENCE, PREFIX, Stage, open};
use crate::support::{Fixture, noise, object, packs, verify_on};

/// A pack each.
const SNAPSHOTS: u64 = 32;

/// A repository in S3.
struct Vault {
    fixture: Fixture,
    stage: Stage,
}

/// What was found, and how many requests for packs it took: for their checksums, and for
/// bytes.
struct Found {
    report: Report,
    heads: usize,
    gets: usize,
}

impl Found {
    /// What is wrong with which object.
    fn problems(&self) -> Vec<(ProblemKind, &str)> {
        let problems = self.report.problems.iter();
        problems.map(|it| (it.kind, it.object.as_str())).collect()
    }
}

fn path(pack: &PackId) -> String {
    format!("{PREFIX}/{}", ObjectKey::Pack(*pack).path())
}

impl Vault {
    fn new(seed: u64) -> Self {
        let fixture = Fixture::new(seed);
        for number in 0..SNAPSHOTS {
            fixture.snapshot_of("shop", &noise(seed + number, 5_000));
        }
        let stage = Stage::prepared(None);
        stage.server.bucket().page_max = 1_000;
        for key in fixture.store.keys() {
            let bytes = object(&fixture.store, &key);
            let path = format!("{PREFIX}/{}", key.path());
            stage.server.bucket().push(&path, Some(&bytes));
        }
        Self { fixture, stage }
    }

    fn packs(&self) -> Vec<PackId> {
        packs(&self.fixture.store)
    }

    /// Of these packs.
    fn amount<'p>(&self, packs: impl IntoIterator<Item = &'p PackId>) -> Amount {
        let mut amount = Amount::default();
        for pack in packs {
            amount.packs += 1;
            amount.bytes += object(&self.fixture.store, &ObjectKey::Pack(*pack)).len() as u64;
        }
        amount
    }

    fn verify(&self, level: Level, terms: &Terms<'_>) -> Found {
        let store = open(&self.stage.server, &self.stage.clock, None, PATIENCE);
        let fixture = &self.fixture;
        let opened = Repository::open(&store, None, &fixture.recovery, fixture.env.clone());
        let opened = opened.expect("it opens");
        let before = self.stage.server.requests().len();
        let report = verify_on(&opened, level, terms);
        let requests = self.stage.server.requests().split_off(before);
        let object = format!("{PREFIX}/{}/", Area::Packs.directory());
        let of_packs = |method: &str| {
            let of_pack = |it: &&String| it.starts_with(method) && it.contains(&object);
            requests.iter().filter(of_pack).count()
        };
        Found {
            report,
            heads: of_packs("HEAD"),
            gets: of_packs("GET /bucket/"),
        }
    }

    /// At the level packs, on the store's word.
    fn on_word(&self) -> Found {
        self.verify(Level::Packs, &on_word(Extent::ALL))
    }
}

fn on_word(extent: Extent) -> Terms<'static> {
    Terms {
        extent,
        takes_word: true,
        ..Terms::default()
    }
}

/// Where the store keeps checksums, no pack is read at the level packs, and the report says
/// so; who wants them read, or goes deeper, has them read.
///
/// Method: count requests and what is reported, with and without the word, at each level.
#[test]
fn the_stores_word_spares_reading() {
    let vault = Vault::new(900);
    let all = vault.amount(&vault.packs());
    let count = vault.packs().len();
    assert_eq!(count as u64, SNAPSHOTS);
    let found = vault.on_word();
    assert!(found.report.is_sound(), "{:?}", found.report.problems);
    assert_eq!((found.heads, found.gets), (count, 0));
    assert_eq!(found.report.vouched, all);
    assert_eq!(found.report.unread, Amount::default());
    assert_eq!((found.report.packs_read, found.report.bytes), (0, 0));

    let mut read = vec![vault.verify(Level::Packs, &Terms::default())];
    for level in [Level::Tree, Level::Data] {
        read.push(vault.verify(level, &on_word(Extent::ALL)));
    }
    for found in read {
        assert!(found.report.is_sound(), "{:?}", found.report.problems);
        assert_eq!(found.heads, 0);
        assert_eq!(found.report.vouched, Amount::default());
        assert_eq!(found.report.packs_read, all.packs);
        assert!(found.gets >= count && found.report.bytes >= all.bytes);
    }
}

/// A store that gives other bytes than it says is believed on its word, and found out by who
/// reads.
///
/// Method: a bit of a pack is flipped beneath its checksum, then each way to verify.
#[test]
fn a_lie_is_found_by_reading() {
    let vault = Vault::new(901);
    let pack = vault.packs()[7];
    vault.stage.server.bucket().alter(&path(&pack));
    let found = vault.on_word();
    assert!(found.report.is_sound());
    assert_eq!(found.report.vouched.packs, SNAPSHOTS);
    let altered = ObjectKey::Pack(pack).path();
    for (level, terms) in [
        (Level::Packs, Terms::default()),
        (Level::Tree, on_word(Extent::ALL)),
        (Level::Data, on_word(Extent::ALL)),
    ] {
        let found = vault.verify(level, &terms);
        assert!(!found.report.is_sound(), "{level:?}");
        let told = found.report.problems.iter().map(|it| &it.object);
        assert!(told.clone().all(|it| *it == altered), "{level:?}");
    }
}

/// A pack whose checksum is another than the listed one is read, and what is wrong with its
/// bytes is a problem; if nothing is, none is made up.
///
/// Method: a pack with other bytes of the same length and their own checksum; one that is
/// longer; one that is right under a wrong checksum; one that is gone.
#[test]
fn what_differs_is_read() {
    let vault = Vault::new(902);
    let [exchanged, longer, right, gone, ..] = vault.packs()[..] else {
        panic!("there are many")
    };
    let bytes = |pack: &PackId| object(&vault.fixture.store, &ObjectKey::Pack(*pack));
    {
        let mut bucket = vault.stage.server.bucket();
        let mut other = bytes(&exchanged);
        other[100] ^= 1;
        bucket.replace(&path(&exchanged), &other);
        let mut long = bytes(&longer);
        long.push(0);
        bucket.replace(&path(&longer), &long);
        bucket.forge_sum(&path(&right), b"anything");
    }
    let removed = vault.stage.store.remove(&ObjectKey::Pack(gone));
    removed.expect("nothing locks it");
    let found = vault.on_word();
    let name = |pack: &PackId| ObjectKey::Pack(*pack).path();
    let mut expected = [
        (ProblemKind::PackAltered, name(&exchanged)),
        (ProblemKind::PackAltered, name(&longer)),
        (ProblemKind::PackMissing, name(&gone)),
    ];
    expected.sort();
    let mut problems = found.problems();
    problems.sort_unstable();
    let expected: Vec<_> = expected.iter().map(|(kind, it)| (*kind, &**it)).collect();
    assert_eq!(problems, expected);
    // Of the one that is gone nothing was asked.
    assert_eq!((found.heads as u64, found.gets), (SNAPSHOTS - 1, 3));
    assert_eq!(found.report.packs_read, 3);
    assert_eq!(found.report.vouched.packs, SNAPSHOTS - 4);
    let read = vault.verify(Level::Packs, &Terms::default());
    let mut problems = read.problems();
    problems.sort_unstable();
    assert_eq!(problems, expected);
}

/// What is told of parts, or not told, is no word; and a store that tells nothing is not
/// asked for ever.
///
/// Method: stores that keep no checksums, and those of parts: all is read.
#[test]
fn without_a_word_all_is_read() {
    let vault = Vault::new(903);
    let all = vault.amount(&vault.packs());
    for sums in [Sums::None, Sums::OfParts] {
        vault.stage.server.bucket().sums = sums;
        let found = vault.on_word();
        assert!(found.report.is_sound());
        assert_eq!(found.report.vouched, Amount::default());
        assert_eq!(found.report.packs_read, all.packs);
        assert_eq!((found.gets, found.report.bytes), (32, all.bytes));
        assert!((16..32).contains(&found.heads), "{}", found.heads);
    }
}

/// A sample asks for the packs that were drawn, and when the time is up nothing is asked.
///
/// Method: half of the bytes, and no time at all.
#[test]
fn samples_and_time_bound_what_is_asked() {
    let vault = Vault::new(904);
    let all = vault.amount(&vault.packs());
    let found = vault.verify(Level::Packs, &on_word(Extent::ALL.sampled(500_000)));
    let (vouched, unread) = (found.report.vouched, found.report.unread);
    assert_eq!(vouched.packs + unread.packs, all.packs);
    assert_eq!(vouched.bytes + unread.bytes, all.bytes);
    assert!((16..=17).contains(&vouched.packs), "{vouched:?}");
    assert_eq!((found.heads as u64, found.gets), (vouched.packs, 0));
    let found = vault.verify(Level::Packs, &on_word(Extent::ALL.within(0)));
    assert_eq!((found.heads, found.gets), (0, 0));
    assert_eq!(found.report.unread, all);
    assert_eq!(found.report.vouched, Amount::default());
}

/// The checksum that counts is that of the version that is read, whatever somebody put over
/// it.
///
/// Method: junk over a pack, and a marker over another; both are told of as covered, and
/// both are vouched for.
#[test]
fn the_version_that_is_read_is_asked() {
    let vault = Vault::new(905);
    let [covered, hidden, ..] = vault.packs()[..] else {
        panic!("there are many")
    };
    {
        let mut bucket = vault.stage.server.bucket();
        bucket.push(&path(&covered), Some(b"junk"));
        bucket.push(&path(&hidden), None);
    }
    let found = vault.on_word();
    let kinds = found.report.problems.iter().map(|it| it.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [ProblemKind::Covered; 2]);
    assert_eq!(found.report.vouched.packs, SNAPSHOTS);
    let sum = vault.stage.store.stored_sum(&ObjectKey::Pack(covered));
    let size = sum.expect("an answer").expect("a sum").size_bytes;
    assert_eq!(size, vault.amount([&covered]).bytes);
}
