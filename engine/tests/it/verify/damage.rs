//! Every kind of damage to a pack, at every kind of place in it: noticed, and
//! attributed exactly to the snapshots that a restore then loses.

use std::collections::BTreeSet;

use indelible_engine::pack::SealedDirectory;
use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{Harm, ProblemKind};
use indelible_format::attest::Level;
use indelible_format::coding::Class;
use indelible_format::ids::PackId;
use indelible_format::pack::{HEADER_BYTES, TRAILER_BYTES};
use indelible_format::rights::Rights;

use super::{harmed, harmed_at_most, lost, originals};
use crate::support::{
    Contents, Fixture, noise, object, packs, restore_stream, rows, stream, take, take_stream,
    verify_with,
};

/// A repository of four packs: three snapshots that lean on each other in
/// different ways, an unchanged one, and one of another domain.
fn sample(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed);
    let both = |a: &[u8], b: &[u8]| vec![stream("a.sql", a), stream("b.sql", b)];
    let (one, other) = (rows(0..40), noise(1, 3_000));
    let mut repository = fixture.open();
    take(&mut repository, "shop", both(&one, &other)).unwrap();
    take(&mut repository, "shop", both(&rows(0..60), &other)).unwrap();
    take(&mut repository, "mail", both(&noise(2, 2_000), &one)).unwrap();
    take(&mut repository, "shop", both(&rows(0..60), &other)).unwrap();
    let writer = fixture.add_key(Rights::WRITE, &["*"]);
    take_stream(&mut fixture.open_as(&writer), "shop", &one).unwrap();
    fixture
}

/// Harms one pack, and compares what is said with what is lost.
struct Scene<'f> {
    fixture: &'f Fixture,
    repository: Repository<'f, MemoryStore>,
    intact: MemoryStore,
    originals: Vec<(u64, Contents)>,
}

impl<'f> Scene<'f> {
    fn new(fixture: &'f Fixture) -> Self {
        let repository = fixture.open();
        let originals = originals(&repository);
        assert_eq!(originals.len(), 5);
        Self {
            fixture,
            repository,
            intact: fixture.store.clone(),
            originals,
        }
    }

    /// Harms the store, checks every level, and undoes the harm. Gives the
    /// snapshots that were lost.
    fn check(&self, pack: PackId, what: &str, harm: impl FnOnce(&MemoryStore)) -> BTreeSet<u64> {
        harm(&self.fixture.store);
        let object = ObjectKey::Pack(pack).path();
        let lost = lost(&self.repository, &self.originals);
        let data = verify_with(&self.repository, Level::Data);
        assert!(
            data.problems.iter().any(|problem| problem.object == object),
            "{what}: {:?}",
            data.problems
        );
        assert_eq!(harmed(&data), lost, "{what}: {:?}", data.problems);

        let tree = verify_with(&self.repository, Level::Tree);
        assert!(
            tree.problems.iter().any(|problem| problem.object == object),
            "{what}: {:?}",
            tree.problems
        );
        assert!(harmed(&tree).is_subset(&lost), "{what}");
        assert!(lost.is_subset(&harmed_at_most(&tree)), "{what}");

        let keyless = verify_with(&self.repository, Level::Packs);
        let [problem] = &keyless.problems[..] else {
            panic!("{what}: {:?}", keyless.problems)
        };
        assert!(harmed(&keyless).is_subset(&lost), "{what}");
        assert_eq!(problem.object, object, "{what}");
        assert!(matches!(problem.harm, Harm::AtLeast(_)));
        assert!(matches!(
            problem.kind,
            ProblemKind::PackAltered | ProblemKind::PackMissing
        ));
        self.fixture.store.roll_back_to(&self.intact);
        lost
    }
}

/// A pack that is gone, cut, extended or exchanged is noticed, and harms exactly
/// what needs it.
///
/// Method: each of these to each pack, restoring every snapshot as the oracle.
/// What stands behind a pack's end harms nobody.
#[test]
fn harm_to_whole_packs_is_attributed_exactly() {
    let fixture = sample(101);
    let scene = Scene::new(&fixture);
    let all = packs(&fixture.store);
    assert_eq!(all.len(), 4);
    for pack in &all {
        let key = ObjectKey::Pack(*pack);
        let bytes = object(&fixture.store, &key);
        let gone = scene.check(*pack, "removed", |store| store.forget(&key));
        assert!(!gone.is_empty());
        for len in [0, 1, HEADER_BYTES, bytes.len() / 2, bytes.len() - 1] {
            let cut = scene.check(*pack, "cut", |store| store.truncate(&key, len));
            assert_eq!(cut, gone, "cut to {len}");
        }
        for more in [1, 100_000] {
            let more = noise(9, more);
            let lost = scene.check(*pack, "extended", |store| store.extend(&key, &more));
            assert!(lost.is_empty(), "extended by {}", more.len());
        }
        for other in all.iter().filter(|other| *other != pack) {
            let other = ObjectKey::Pack(*other);
            scene.check(*pack, "exchanged", |store| store.copy(&other, &key));
        }
        let mut same_len = bytes.clone();
        same_len.reverse();
        scene.check(*pack, "reversed", |store| store.replace(&key, &same_len));
    }
}

/// One inverted bit anywhere in a pack is noticed, and harms exactly what needs
/// the byte.
///
/// Method: for each pack, bytes of the header and of the directory at a stride,
/// the first and last byte of each chunk and one between, and every byte of the
/// trailer; restoring every snapshot is the oracle.
#[test]
fn one_bit_is_attributed_exactly() {
    let fixture = sample(102);
    let scene = Scene::new(&fixture);
    let mut spared = 0;
    for pack in packs(&fixture.store) {
        let key = ObjectKey::Pack(pack);
        let bytes = object(&fixture.store, &key);
        for offset in interesting_offsets(&fixture, &bytes) {
            let bit = u32::try_from(offset % 8).unwrap();
            let what = format!("bit {bit} of byte {offset}");
            let lost = scene.check(pack, &what, |store| store.flip(&key, offset, bit));
            assert!(!lost.is_empty(), "{what}");
            let directory = offset < HEADER_BYTES;
            if !directory && lost.len() < 3 {
                spared += 1;
            }
        }
    }
    // A chunk that one snapshot alone needs harms no other.
    assert!(spared > 0);
}

/// Offsets that stand for all others of their part of the pack.
fn interesting_offsets(fixture: &Fixture, pack: &[u8]) -> Vec<usize> {
    let sealed = SealedDirectory::of_bytes(pack).unwrap();
    let index = fixture.bundle.index_key(&sealed.header().domain).unwrap();
    let open = sealed.open(&index).unwrap();
    let mut offsets: Vec<usize> = (0..HEADER_BYTES).step_by(29).collect();
    let mut end = HEADER_BYTES;
    for span in &open.spans {
        let (start, len) = (usize::try_from(span.offset).unwrap(), span.len as usize);
        offsets.extend([start, start + len / 2, start + len - 1]);
        end = start + len;
    }
    let trailer = pack.len() - TRAILER_BYTES;
    offsets.extend((end..trailer).step_by(59));
    offsets.extend(trailer..pack.len());
    offsets
}

/// The level tree notices every altered byte, says exactly whom damage to the
/// tree harms, and of damage to contents whom it may harm and nobody else.
///
/// Method: a bit in the header, in the directory, in each data chunk, and in each
/// page or node of each pack; restoring every snapshot is the oracle. Whom any
/// data chunk of the pack harms, all of its data chunks together may.
#[test]
fn the_level_tree_notices_every_byte() {
    let fixture = sample(103);
    let scene = Scene::new(&fixture);
    for pack in packs(&fixture.store) {
        let key = ObjectKey::Pack(pack);
        let bytes = object(&fixture.store, &key);
        let sealed = SealedDirectory::of_bytes(&bytes).unwrap();
        let index = fixture.bundle.index_key(&sealed.header().domain).unwrap();
        let open = sealed.open(&index).unwrap();
        let mut places = vec![(50, None), (bytes.len() - TRAILER_BYTES - 1, None)];
        for (record, span) in open.directory.records.iter().zip(&open.spans) {
            let offset = usize::try_from(span.offset).unwrap();
            places.push((offset, record.known_class()));
        }
        let (mut by_data, mut may_be) = (BTreeSet::new(), BTreeSet::new());
        for (offset, class) in places {
            fixture.store.flip(&key, offset, 0);
            let report = verify_with(&scene.repository, Level::Tree);
            let lost = lost(&scene.repository, &scene.originals);
            let of_data = class == Some(Class::Data);
            let sure = if of_data {
                BTreeSet::new()
            } else {
                lost.clone()
            };
            assert_eq!(
                harmed(&report),
                sure,
                "byte {offset}: {:?}",
                report.problems
            );
            if of_data {
                let [problem] = &report.problems[..] else {
                    panic!("{:?}", report.problems)
                };
                assert_eq!(problem.kind, ProblemKind::PackAltered);
                assert!(matches!(problem.harm, Harm::Within { .. }));
                by_data.extend(lost);
                may_be = harmed_at_most(&report);
            }
            fixture.store.roll_back_to(&scene.intact);
        }
        assert!(!by_data.is_empty());
        assert_eq!(may_be, by_data);
    }
}

/// A chunk that is damaged in one pack and intact in another harms nobody.
///
/// Method: lose a pack, store its content anew, bring the pack back, and damage
/// it chunk by chunk, then its directory, then remove it: nothing is lost. The
/// same to both packs loses both snapshots.
#[test]
fn an_intact_copy_saves_every_snapshot() {
    let fixture = Fixture::new(104);
    let bytes = noise(1, 10_000);
    fixture.snapshot_of("shop", &bytes);
    let first = packs(&fixture.store)[0];
    let key = ObjectKey::Pack(first);
    let intact = object(&fixture.store, &key);
    fixture.store.forget(&key);
    fixture.snapshot_of("shop", &bytes);
    let second = ObjectKey::Pack(packs(&fixture.store)[0]);
    fixture.store.replace(&key, &intact);

    let repository = fixture.open();
    let originals = originals(&repository);
    let healthy = fixture.store.clone();
    for offset in (0..intact.len()).step_by(211) {
        fixture.store.flip(&key, offset, 1);
        assert!(lost(&repository, &originals).is_empty(), "byte {offset}");
        let report = verify_with(&repository, Level::Data);
        assert!(!report.is_sound() && harmed(&report).is_empty());
        fixture.store.roll_back_to(&healthy);
    }
    fixture.store.forget(&key);
    assert!(lost(&repository, &originals).is_empty());
    fixture.store.forget(&second);
    assert_eq!(lost(&repository, &originals), BTreeSet::from([1, 2]));
    let report = verify_with(&repository, Level::Data);
    assert_eq!(harmed(&report), BTreeSet::from([1, 2]));
}

/// A pack whose entry is lost is held to its name as those that are listed.
///
/// Method: a snapshot that leans on the pack of another, whose entry is junk; then
/// a bit of the pack's first chunk.
#[test]
fn the_level_tree_notices_damage_to_unlisted_packs() {
    let fixture = Fixture::new(105);
    let bytes = noise(1, 10_000);
    for _ in 0..2 {
        fixture.snapshot_of("shop", &bytes);
    }
    fixture.store.replace(&ObjectKey::Log(1), b"junk");
    let pack = ObjectKey::Pack(packs(&fixture.store)[0]);
    let repository = fixture.open();
    let found = || {
        let report = verify_with(&repository, Level::Tree);
        let mut problems = report.problems.iter();
        let told = problems.find(|problem| problem.object == pack.path());
        (told.map(|problem| problem.kind), harmed_at_most(&report))
    };
    assert_eq!(restore_stream(&repository, 2).unwrap(), bytes);
    let (kind, harmed) = found();
    assert!(kind.is_none() && !harmed.contains(&2));
    fixture.store.flip(&pack, HEADER_BYTES, 0);
    restore_stream(&repository, 2).unwrap_err();
    let (kind, harmed) = found();
    assert_eq!(kind, Some(ProblemKind::PackAltered));
    assert!(harmed.contains(&2));
}

/// Packs that were exchanged for each other are noticed, and harm nobody whose
/// chunks are found where they are now.
///
/// Method: two packs of one length; restoring is the oracle.
#[test]
fn exchanged_packs_of_one_length_harm_nobody() {
    let fixture = Fixture::new(106);
    let contents = [noise(1, 250), noise(2, 250)];
    for bytes in &contents {
        fixture.snapshot_of("shop", bytes);
    }
    let both: Vec<ObjectKey> = packs(&fixture.store)
        .into_iter()
        .map(ObjectKey::Pack)
        .collect();
    let [one, other] = [&both[0], &both[1]].map(|key| object(&fixture.store, key));
    assert_eq!(one.len(), other.len());
    fixture.store.replace(&both[0], &other);
    fixture.store.replace(&both[1], &one);
    let repository = fixture.open();
    for (bytes, number) in contents.iter().zip(1..) {
        assert_eq!(restore_stream(&repository, number).unwrap(), *bytes);
    }
    for level in [Level::Tree, Level::Data] {
        let report = verify_with(&repository, level);
        assert!(harmed(&report).is_empty(), "{:?}", report.problems);
        for key in &both {
            let mut problems = report.problems.iter();
            assert!(problems.any(|problem| problem.object == key.path()));
        }
    }
}
