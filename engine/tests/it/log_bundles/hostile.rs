//! Bundles that are damaged, or that an enemy made, and logs that were changed behind
//! their bundles.

use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{Harm, ProblemKind};
use indelible_format::attest::Level;
use indelible_format::bundle::KeyBundle;
use indelible_format::entry::{Draft, ParsedEntry};
use indelible_format::history::{Continuity, LogProblem};
use indelible_format::ids::CommitId;
use indelible_format::limits::LEAF_BYTES_MAX;
use indelible_format::log_bundle::LogBundle;
use indelible_format::rights::Rights;
use indelible_format::seal::signer_of;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{
    append, bundle, bundles, each, each_remembering, grow, grow_with, long, opened, read_by, reads,
    remembering, settle, told,
};
use crate::support::{
    Client, Fixture, attest, key_request, noise, object, restore_stream, revoke, rows, verify_with,
};

/// The bundle with other objects.
fn edited<'b>(bytes: &'b [u8], edit: impl FnOnce(&mut LogBundle<'b>)) -> Vec<u8> {
    let mut bundle = LogBundle::decode(bytes).expect("it is a bundle");
    edit(&mut bundle);
    bundle.encode()
}

/// Whatever stands in a bundle, the log tells the same, with a memory and without;
/// `verify` names the bundle, and no snapshot is harmed.
///
/// Method: each bundle cut, flipped in its frame and in its objects, exchanged for others'
/// bytes, for another repository's, and with objects left out, exchanged or put in.
#[test]
fn no_bundle_changes_an_answer() {
    let (fixture, _) = long(710, 530);
    let snapshot = fixture.snapshot_of("shop", &rows(0..100)).number;
    let (strange, _) = long(711, 600);
    let truth = told(&each(&fixture.store));
    let leaves = each(&fixture.store).leaves;
    let remembered = told(&each_remembering(&fixture.store, &leaves));
    let intact = fixture.store.clone();
    for number in [1, 2] {
        let key = ObjectKey::Bundle(number);
        let bytes = object(&intact, &key);
        let longest = vec![0; LEAF_BYTES_MAX];
        let other = object(&intact, &ObjectKey::Bundle(number % 2 + 1));
        let mut ways = vec![
            Vec::new(),
            b"junk".to_vec(),
            noise(number, 100_000),
            bytes[..bytes.len() - 1].to_vec(),
            [&bytes[..], &[0]].concat(),
            other.clone(),
            edited(&other, |it| it.number = number),
            object(&strange.store, &ObjectKey::Bundle(1)),
            edited(&bytes, |it| it.objects.fill(None)),
            edited(&bytes, |it| it.objects[..100].fill(Some(&longest))),
        ];
        for at in [1, 100, 254, 255] {
            ways.push(edited(&bytes, |it| it.objects[at] = None));
            ways.push(edited(&bytes, |it| it.objects[at] = Some(b"junk")));
            ways.push(edited(&bytes, |it| it.objects.swap(at, at - 1)));
            let entry = object(&intact, &ObjectKey::Log((number - 1) * 256 + 200));
            ways.push(edited(&bytes, |it| it.objects[at] = Some(&entry)));
        }
        for offset in [0, 9, 41, 49, 60, 1_080, 1_400, 20_000, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[offset] ^= 1;
            ways.push(flipped);
        }
        for (way, changed) in ways.iter().enumerate() {
            fixture.store.replace(&key, changed);
            assert_eq!(told(&opened(&fixture.store)), truth, "{key} {way}");
            let seen = told(&remembering(&fixture.store, &leaves));
            assert_eq!(seen, remembered, "{key} {way}");
        }
        let report = verify_with(&fixture.open(), Level::Tree);
        let [problem] = &report.problems[..] else {
            panic!("one problem, and not {:?}", report.problems);
        };
        assert_eq!(
            (problem.kind, &problem.object),
            (ProblemKind::LogBundle, &key.path())
        );
        assert!(matches!(&problem.harm, Harm::Snapshots(harmed) if harmed.is_empty()));
        assert!(restore_stream(&fixture.open(), snapshot).is_ok());
        fixture.store.replace(&key, &bytes);
    }
    // All of them at once.
    for number in [1, 2] {
        fixture.store.replace(&ObjectKey::Bundle(number), b"junk");
    }
    assert_eq!(told(&opened(&fixture.store)), truth);
}

/// One bad bundle costs only its own objects.
///
/// Method: exchange an object in the second of three bundles for one that is no entry.
#[test]
fn a_bad_bundle_costs_its_own_objects() {
    let (fixture, _) = long(712, 800);
    let key = ObjectKey::Bundle(2);
    let bytes = object(&fixture.store, &key);
    let changed = edited(&bytes, |it| it.objects[9] = Some(b"junk"));
    fixture.store.replace(&key, &changed);
    assert_eq!(opened(&fixture.store).bundled, read_by(2));
    fixture.store.forget(&key);
    assert_eq!(opened(&fixture.store).bundled, read_by(2));
}

/// The thief of a key and of storage credentials hides nothing, not even from who
/// remembers nothing: neither a revocation, nor what others added.
///
/// Method: two keys write; one is revoked, and the other goes on. The thief of the revoked
/// one goes on too, as if nothing had been: it signs a log of its own from the revocation
/// on, puts its entries behind the true ones, and bundles its own log. It also puts
/// there what looks like an entry of the other key.
#[test]
fn a_thief_hides_nothing() {
    let fixture = Fixture::new(713);
    let keys = [
        fixture.add_key(Rights::VERIFY, &["*"]),
        fixture.add_key(Rights::VERIFY, &["*"]),
    ];
    let [honest, thief] = [bundle(&keys[0]), bundle(&keys[1])];
    grow(&fixture, 240, &[honest, thief]);
    let forged = fixture.store.clone();
    let subject = signer_of(&thief.signing_seed);
    revoke(&mut fixture.open(), subject, 240);
    grow(&fixture, 245, &[honest]);
    let end = each(&fixture.store).next;

    // What is no entry of the honest key, in the thief's log.
    grow_with(&fixture, &forged, 262, &[thief], |_| None);
    let mut lookalike = object(&forged, &ObjectKey::Log(261));
    lookalike[62..94].copy_from_slice(&signer_of(&honest.signing_seed).0);
    grow_with(&fixture, &forged, 263, &[thief], |_| {
        Some(Some(lookalike_at(&lookalike, 262)))
    });
    grow_with(&fixture, &forged, 270, &[thief], |_| None);
    plant(&fixture.store, &forged, end, 270);
    let history = opened(&fixture.store);
    assert_eq!(told(&history), told(&each(&fixture.store)));
    let revoked = history
        .authority
        .grant(&subject)
        .expect("it is known")
        .revoked;
    assert!(revoked.is_some(), "the revocation is seen");
    assert!(
        history.entries.contains_key(&244),
        "and what came behind it"
    );

    // Nor from who remembers all but the revocation.
    let known = &each(&forged).leaves[..240];
    let seen = remembering(&fixture.store, known);
    assert!(
        seen.authority
            .grant(&subject)
            .expect("it is known")
            .revoked
            .is_some()
    );
}

/// One stolen administrator's key, other than that of genesis, does not hide its own
/// revocation, though it may authorise keys.
///
/// Method: as above; in the log of its own, the thief goes on with a key that it makes.
#[test]
fn a_revoked_administrator_hides_nothing() {
    let fixture = Fixture::new(718);
    let key = fixture.add_key(Rights::VERIFY, &["*"]);
    let stolen = fixture.add_key(Rights::ALL, &["*"]);
    let [honest, thief] = [bundle(&key), bundle(&stolen)];
    grow(&fixture, 240, &[honest, thief]);
    let forged = fixture.store.clone();
    let subject = signer_of(&thief.signing_seed);
    revoke(&mut fixture.open(), subject, 240);
    grow(&fixture, 245, &[honest]);
    let end = each(&fixture.store).next;
    let repository = Repository::open(&forged, None, &stolen, fixture.env.clone());
    let made = repository
        .expect("it opens")
        .add_key(key_request(Rights::VERIFY, &["*"]))
        .expect("it may");
    grow_with(&fixture, &forged, 270, &[made.bundle(), thief], |_| None);
    plant(&fixture.store, &forged, end, 270);
    let history = opened(&fixture.store);
    assert_eq!(told(&history), told(&each(&fixture.store)));
    let grant = history.authority.grant(&subject).expect("it is known");
    assert!(grant.revoked.is_some());
}

/// However many bundles are wrong, a log is judged a few times, and then read without.
///
/// Method: a log of one key, whose thief signs another entry in each of six bundles.
#[test]
fn wrong_bundles_cost_a_few_tries() {
    let fixture = Fixture::new(719);
    let key = fixture.add_key(Rights::VERIFY, &["*"]);
    grow(&fixture, 6 * 256 + 2, &[bundle(&key)]);
    settle(&fixture.store);
    let truth = told(&each(&fixture.store));
    for number in 1..=6 {
        let bytes = object(&fixture.store, &ObjectKey::Bundle(number));
        let at = (number - 1) * 256 + 100;
        let other = resigned(&fixture, bundle(&key), at);
        let changed = edited(&bytes, |it| it.objects[100] = Some(&other));
        fixture.store.replace(&ObjectKey::Bundle(number), &changed);
    }
    assert_eq!(told(&opened(&fixture.store)), truth);
    let (objects, bundles) = reads(&fixture.store, &[]);
    assert_eq!(bundles, 6 + 5 + 4 + 3);
    assert!(objects < 5 * 6 * 256, "{objects}");
    // Who remembers the log sees at once which of them are wrong.
    let leaves = each(&fixture.store).leaves;
    assert_eq!(reads(&fixture.store, &leaves).1, 6);
}

/// Another entry of the same key in the place of one.
fn resigned(fixture: &Fixture, key: &KeyBundle, number: u64) -> Vec<u8> {
    let entry = object(&fixture.store, &ObjectKey::Log(number));
    let parsed = ParsedEntry::parse(&entry).expect("an entry");
    let header = parsed.header();
    let draft = Draft {
        number,
        epoch: 0,
        claimed_ms: header.claimed_ms,
        commit: CommitId(fixture.env.random()),
        domain: header.domain,
        previous: header.previous,
        root: header.root,
        body: attest(),
    };
    let repository = each(&fixture.store).authority.repository();
    draft
        .sign(&repository, &key.signing_seed)
        .expect("it is small")
}

/// What lies over a bundle in a store that keeps versions is not looked at.
#[test]
fn newer_versions_are_not_read() {
    let (fixture, _) = long(720, 520);
    for number in [1, 2] {
        fixture
            .store
            .push_newer(&ObjectKey::Bundle(number), b"junk");
    }
    assert_eq!(opened(&fixture.store).bundled, read_by(2));
}

/// An entry with another number.
fn lookalike_at(entry: &[u8], number: u64) -> Vec<u8> {
    let mut entry = entry.to_vec();
    entry[8..16].copy_from_slice(&number.to_le_bytes());
    entry
}

/// Puts objects of another log behind those that are there, and its first bundle.
fn plant(store: &MemoryStore, forged: &MemoryStore, from: u64, to: u64) {
    for number in from..to {
        store.replace(
            &ObjectKey::Log(number),
            &object(forged, &ObjectKey::Log(number)),
        );
    }
    let objects: Vec<Vec<u8>> = (0..256)
        .map(|n| object(forged, &ObjectKey::Log(n)))
        .collect();
    let bundle = LogBundle {
        repository: each(store).authority.repository(),
        number: 1,
        objects: objects
            .iter()
            .map(|object| Some(object.as_slice()))
            .collect(),
    };
    store.replace(&ObjectKey::Bundle(1), &bundle.encode());
}

/// Behind its bundle an object may be damaged: who opens sees what was committed, and
/// `verify` that it is damaged. One that is gone is seen to be gone.
#[test]
fn damage_behind_a_bundle_is_found_by_verify() {
    let (fixture, _) = long(714, 600);
    let truth = told(&opened(&fixture.store));
    let intact = fixture.store.clone();
    let key = ObjectKey::Log(77);
    fixture.store.flip(&key, 200, 3);
    assert_eq!(told(&opened(&fixture.store)), truth);
    let kinds = |report: indelible_engine::verify::Report| -> Vec<ProblemKind> {
        report.problems.iter().map(|problem| problem.kind).collect()
    };
    for level in [Level::Packs, Level::Tree] {
        assert_eq!(kinds(fixture.verify(level)), [ProblemKind::DamagedEntry]);
    }
    fixture.store.roll_back_to(&intact);
    fixture.store.forget(&key);
    let removed = LogProblem::Removed {
        first: 77,
        last: 77,
    };
    assert_eq!(opened(&fixture.store).problems, [removed]);
    assert_eq!(
        kinds(fixture.verify(Level::Packs)),
        [ProblemKind::RemovedEntry]
    );
}

/// No bundle is made of a log that is damaged, but of what is whole of it.
#[test]
fn damage_is_not_bundled() {
    let fixture = Fixture::new(715);
    let key = fixture.add_key(Rights::VERIFY, &["*"]);
    grow(&fixture, 1_024, &[bundle(&key)]);
    fixture.store.flip(&ObjectKey::Log(600), 200, 3);
    fixture.store.forget(&ObjectKey::Log(100));
    append(&mut fixture.open());
    assert_eq!(bundles(&fixture.store), [2, 4]);
    assert_eq!(told(&opened(&fixture.store)), told(&each(&fixture.store)));
}

/// A fork and a rollback are told as without bundles.
///
/// Method: a client saw a log; then the store shows it cut, and another one that has the
/// same beginning, with their bundles.
#[test]
fn forks_and_rollbacks_are_told() {
    let (fixture, keys) = long(716, 520);
    let fork = fixture.store.clone();
    let by = [bundle(&keys[0]), bundle(&keys[1])];
    let early = fixture.store.clone();
    grow(&fixture, 900, &by);
    settle(&fixture.store);
    let client = Client::new();
    let size = fixture.open_with(&client.state).history().size();
    let shown = each(&early).next;
    fixture.store.roll_back_to(&early);
    let behind = fixture.open_with(&client.state).continuity();
    assert_eq!(
        behind,
        Continuity::Behind {
            shown,
            remembered: size
        }
    );
    grow_with(&fixture, &fork, 1_000, &by, |_| None);
    settle(&fork);
    fixture.store.roll_back_to(&fork);
    assert_eq!(bundles(&fixture.store), [1, 2, 3]);
    let forked = fixture.open_with(&client.state);
    assert_eq!(forked.continuity(), Continuity::Forked { at: shown });
}

/// Whatever is changed in bundles, and whatever a client remembers, the log tells the same
/// as when each object is read.
///
/// Method: entries of the same keys, broken ones, holes and junk at places of bundles.
#[test]
fn any_change_of_bundles_changes_nothing() {
    let (fixture, keys) = long(730, 600);
    let (intact, leaves) = (fixture.store.clone(), each(&fixture.store).leaves);
    let changes = vec((1_u64..=2, 0_usize..256, 0_usize..5), 1..6);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    let check = |(known, changes): (usize, Vec<(u64, usize, usize)>)| {
        fixture.store.roll_back_to(&intact);
        for (number, at, way) in changes {
            let key = ObjectKey::Bundle(number);
            let bytes = object(&fixture.store, &key);
            let place = ((number - 1) * 256 + at as u64).max(3);
            let other = resigned(&fixture, bundle(&keys[at % 2]), place);
            let replaced = edited(&bytes, |it| match way {
                0 => it.objects[at] = Some(&other),
                1 => it.objects[at] = Some(&other[1..]),
                2 => it.objects[at] = None,
                3 => it.objects.swap(at, 255 - at),
                _ => it.objects[at..].fill(Some(b"junk")),
            });
            fixture.store.replace(&key, &replaced);
        }
        let told_each = told(&each_remembering(&fixture.store, &leaves[..known]));
        prop_assert_eq!(
            told(&remembering(&fixture.store, &leaves[..known])),
            told_each
        );
        Ok(())
    };
    let known = 0_usize..=600;
    runner
        .run(&(known, changes), check)
        .expect("no change tells");
}
