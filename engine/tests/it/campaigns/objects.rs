//! Whole objects removed, cut, extended, copied, exchanged and replaced, alone
//! and in pairs.
//!
//! Verification must name each lost object and its kind, accuse no other, and
//! say exactly which snapshots do not restore. Then the next backups are taken
//! on what is left, with every right and with a write key: they must be
//! committed, must restore, and must not lean on what is gone. A bit that is
//! inverted inside of a pack can't be known to a writer: what leans on it must
//! be reported as harmed.
//!
//! Short, it tries every removal and a sample of the rest. Long, everything, all
//! pairs of removals, and many mixed pairs.

mod damage;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use indelible_engine::cancel::Cancel;
use indelible_engine::keys::Credential;
use indelible_engine::progress::Silent;
use indelible_engine::snapshot::{self, Input, Summary};
use indelible_engine::source::Item;
use indelible_engine::state::State;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_format::attest::Level;
use indelible_format::commit::SnapshotBody;
use indelible_format::entry::Body;
use indelible_format::rights::Rights;

use super::oracle::{Notes, Oracle, add_verifier, restored, said_lost, tell};
use super::{Coverage, Finding, Scale};
use crate::support::{Contents, Fixture, chain, noise, request, rows, stream, take, verify_with};
use damage::{Damage, Diff, Effect, JUNK, all_damage};
use judge::{judge_packs, judge_with_key};

/// A short campaign tries one case in so many.
const SAMPLE: usize = 7;
/// Mixed pairs, short and long.
const PAIRS: (usize, usize) = (100, 4_000);
/// The entry that authorises the key of the second domain.
const WRITER_AT: u64 = 2;

/// What is done to one object, or to two.
type Case = Vec<(ObjectKey, Damage)>;

/// The repository and who writes to it.
struct Scene {
    oracle: Oracle,
    writer: Credential,
    /// Another repository of the same shape.
    foreign: MemoryStore,
}

pub(crate) fn run(scale: Scale) -> Coverage {
    let mut coverage = Coverage::new("objects", scale);
    let (fixture, verifier, writer) = repository(601);
    let (other, _, _) = repository(602);
    let foreign = in_order(&other).into_iter();
    let in_its_place: BTreeMap<ObjectKey, ObjectKey> =
        in_order(&fixture).into_iter().zip(foreign).collect();
    let scene = Scene {
        oracle: Oracle::new(&fixture, verifier),
        writer,
        foreign: other.store.clone(),
    };
    assert_eq!(in_its_place.len(), scene.oracle.store.keys().len());
    let packs = scene.oracle.anatomy.packs.values();
    let lengths: BTreeSet<usize> = packs.clone().map(|parts| parts.trailer.end).collect();
    assert_eq!((packs.len(), lengths.len()), (7, 6), "two have one length");
    coverage.add("objects", in_its_place.len() as u64);

    let cases = all_cases(&scene, &in_its_place, scale);
    for case in &cases {
        let word = match case[..] {
            [(_, damage)] => damage.word(),
            _ => "two at once",
        };
        coverage.add(word, 1);
    }
    Oracle::try_all(&cases, &mut coverage, |case| try_case(&scene, case));
    coverage
}

#[test]
fn campaign() {
    run(Scale::asked()).finish();
}

/// Eight snapshots in two domains, one with a commit record, and two of whose
/// packs have one length.
fn repository(seed: u64) -> (Fixture, Credential, Credential) {
    let fixture = Fixture::new(seed);
    fixture.snapshot("shop", shop(400));
    let writer = fixture.add_key(Rights::WRITE, &["mail"]);
    fixture.snapshot("shop", shop(500));
    let mail = |to| {
        let mut repository = fixture.open_as(&writer);
        take(&mut repository, "mail", mail(to)).expect("it is committed");
    };
    mail(400);
    let mut request = request("notes");
    // Too much for a log entry.
    request.labels = (0..40).map(|n| format!("{n:02000}")).collect();
    let input = Input::Items(vec![stream("notes", &noise(seed + 2, 5_000))]);
    snapshot::run(
        &mut fixture.open(),
        &request,
        input,
        &Cancel::new(),
        &Silent,
    )
    .expect("it is committed");
    mail(450);
    let verifier = add_verifier(&fixture);
    for twin in [3, 4] {
        fixture.snapshot_of("twins", &noise(seed + twin, 200));
    }
    fixture.snapshot("shop", shop(500));
    (fixture, verifier, writer)
}

fn shop(to: u64) -> Vec<Item> {
    vec![
        stream("a.sql", &rows(0..to)),
        stream("b.bin", &noise(1, 9_000)),
    ]
}

fn mail(to: u64) -> Vec<Item> {
    vec![stream("mail.sql", &rows(0..to))]
}

/// Every object: those of an entry behind it, the copy of genesis last.
fn in_order(fixture: &Fixture) -> Vec<ObjectKey> {
    let repository = fixture.open();
    let mut keys = Vec::new();
    for (number, entry) in &repository.history().entries {
        keys.push(ObjectKey::Log(*number));
        if let Body::Snapshot(SnapshotBody::Record { id, .. }) = entry.body() {
            keys.push(ObjectKey::Record(*id));
        }
        let body = repository.commit_body(entry).expect("it is intact");
        let packs = body.into_iter().flat_map(|body| body.packs);
        keys.extend(packs.map(|pack| ObjectKey::Pack(pack.id)));
    }
    keys.push(ObjectKey::Repository);
    keys
}

fn all_cases(
    scene: &Scene,
    in_its_place: &BTreeMap<ObjectKey, ObjectKey>,
    scale: Scale,
) -> Vec<Case> {
    let mut singles: Vec<Case> = Vec::new();
    for (key, foreign) in in_its_place {
        let damage = all_damage(&scene.oracle, key, foreign);
        singles.extend(damage.into_iter().map(|damage| vec![(*key, damage)]));
    }
    let mut pairs: Vec<Case> = Vec::new();
    let keys: Vec<ObjectKey> = in_its_place.keys().copied().collect();
    for (at, key) in keys.iter().enumerate() {
        let others = keys[at + 1..].iter();
        pairs.extend(others.map(|other| vec![(*key, Damage::Removed), (*other, Damage::Removed)]));
    }
    let first = usize::try_from(scale.seed % SAMPLE as u64).expect("a small number");
    let sampled = |cases: Vec<Case>| cases.into_iter().skip(first).step_by(SAMPLE);
    let mixed = mixed(&singles, scale);
    let always = |case: &Case| matches!(case[0].1, Damage::Removed | Damage::Foreign(_));
    let (always, rest) = singles.into_iter().partition::<Vec<Case>, _>(always);
    if scale.long {
        return [always, rest, pairs, mixed].concat();
    }
    let sample = sampled(rest).chain(sampled(pairs));
    always.into_iter().chain(sample).chain(mixed).collect()
}

/// Pairs of any two kinds of damage to two objects, as the seed has it.
fn mixed(singles: &[Case], scale: Scale) -> Vec<Case> {
    let count = scale.pick(PAIRS.0, PAIRS.1);
    let drawn = noise(scale.seed, count * 16);
    let (pairs, _) = drawn.as_chunks::<16>();
    let pick = |bytes: &[u8]| {
        let drawn = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let at = drawn % singles.len() as u64;
        singles[usize::try_from(at).expect("an index")][0]
    };
    pairs
        .iter()
        .map(|drawn| vec![pick(&drawn[..8]), pick(&drawn[8..])])
        .filter(|pair| pair[0].0 != pair[1].0)
        .collect()
}

/// Damages a copy of the repository, asks everybody, and backs up on.
fn try_case(scene: &Scene, case: &Case) -> Notes {
    let mut notes = Notes::default();
    let oracle = &scene.oracle;
    let store = oracle.store.clone();
    for name in JUNK {
        store.plant(name, b"junk");
    }
    for (key, damage) in case {
        damage.apply(&store, key, &scene.foreign);
    }
    let diff = Diff::between(&oracle.store, &store);
    let genesis_lost = diff.is_lost(&ObjectKey::Log(0));
    match Oracle::verify_packs(&store, &oracle.leaves) {
        // Who has no key file takes another genesis for another repository, and
        // a memory contradicts it.
        Ok((_, report)) if genesis_lost => {
            notes.verifications += 1;
            notes.expect(!report.is_sound(), Finding::Unnoticed, || {
                format!("{case:?}: another genesis passes")
            });
        }
        Ok((_, report)) => judge_packs(oracle, &diff, &store, &report, &mut notes),
        Err(error) => cannot_open(case, genesis_lost, &error, &mut notes),
    }
    let repository = match Oracle::open(&store, &oracle.all, 1) {
        Ok(repository) => repository,
        Err(error) => {
            cannot_open(case, genesis_lost, &error, &mut notes);
            return notes;
        }
    };
    notes.expect(!genesis_lost, Finding::Unnoticed, || {
        format!("{case:?}: it opens without its genesis")
    });
    let restored = restored(&repository, &oracle.contents());
    notes.restores += restored.tried;
    let costs = diff.costs(oracle);
    notes.expect(restored.wrong.is_empty(), Finding::Wrong, || {
        format!("{case:?}: {:?} restore to something else", restored.wrong)
    });
    notes.expect(restored.lost.is_subset(&costs), Finding::Lost, || {
        format!(
            "{case:?}: {:?} are lost, and only {costs:?} need it",
            restored.lost
        )
    });
    let report = verify_with(&repository, Level::Data);
    judge_with_key(oracle, &diff, &restored, &report, &mut notes);
    match Oracle::open(&store, &oracle.verifier, 2) {
        Ok(repository) => {
            let report = verify_with(&repository, Level::Tree);
            judge_with_key(oracle, &diff, &restored, &report, &mut notes);
        }
        Err(error) => cannot_open(case, genesis_lost, &error, &mut notes),
    }
    back_up_on(scene, case, &diff, &store, &mut notes);
    notes
}

fn cannot_open(case: &Case, genesis_lost: bool, error: &dyn std::error::Error, notes: &mut Notes) {
    notes.verifications += 1;
    notes.expect(genesis_lost, Finding::Broken, || {
        format!("{case:?}: it can't be opened: {}", chain(error))
    });
}

/// The next snapshots after the damage, of what the last ones held and more: by
/// a client that remembers the repository as it was, and by one that does not.
fn back_up_on(scene: &Scene, case: &Case, diff: &Diff, store: &MemoryStore, notes: &mut Notes) {
    let directory = tempfile::tempdir().expect("a directory for a moment");
    let state = State::open(directory.path()).expect("it is ours");
    scene.oracle.remember(&state);
    let mut expected = scene.oracle.contents();
    let mut added = Vec::new();
    for name in ["shop", "mail"] {
        let taken = back_up(scene, store, name, &state);
        let allowed = name == "shop" || !diff.is_lost(&ObjectKey::Log(WRITER_AT));
        notes.expect(taken.is_ok() == allowed, Finding::Broken, || {
            format!("{case:?}: the next {name}: {taken:?}, allowed: {allowed}")
        });
        if let Ok(summary) = taken {
            added.push(summary.number);
            // A number at the end that was removed is taken again.
            expected.insert(summary.number, contents_of(name));
        }
    }
    let repository = match Oracle::open(store, &scene.oracle.all, 5) {
        Ok(repository) => repository,
        Err(error) => return cannot_open(case, false, &error, notes),
    };
    let restored = restored(&repository, &expected);
    notes.restores += restored.tried;
    notes.expect(restored.wrong.is_empty(), Finding::Wrong, || {
        format!(
            "{case:?}: later, {:?} restore to something else",
            restored.wrong
        )
    });
    let unknowable = |effect: &Effect| *effect == Effect::Altered { same_len: true };
    let excused = diff.0.values().any(unknowable);
    let lost = added.iter().find(|number| restored.lost.contains(number));
    notes.expect(lost.is_none() || excused, Finding::Lost, || {
        format!("{case:?}: the next snapshot {lost:?} does not restore")
    });
    let costs = diff.costs(&scene.oracle);
    let earlier = restored
        .lost
        .iter()
        .find(|number| !added.contains(number) && !costs.contains(number));
    notes.expect(earlier.is_none(), Finding::Lost, || {
        format!("{case:?}: {earlier:?} is lost since the next snapshots")
    });
    let report = verify_with(&repository, Level::Data);
    notes.verifications += 1;
    let said = said_lost(&report, expected.keys().copied());
    let unrestored = restored.lost.union(&restored.wrong).copied().collect();
    notes.expect(said.as_ref() == Ok(&unrestored), Finding::Unnoticed, || {
        format!(
            "{case:?}: later, data says {said:?}, and {unrestored:?} do not restore: {}",
            tell(&report)
        )
    });
}

fn back_up(
    scene: &Scene,
    store: &MemoryStore,
    name: &str,
    state: &State,
) -> Result<Summary, String> {
    let all = &scene.oracle.all;
    let (opened, items) = match name {
        "shop" => (Oracle::open_with(store, Some(state), all, 3), shop(550)),
        _ => (Oracle::open(store, &scene.writer, 4), mail(550)),
    };
    let mut repository = opened.map_err(|error| chain(&error))?;
    take(&mut repository, name, items).map_err(|error| chain(&error))
}

/// What [`back_up_on`] stores under a NAME.
fn contents_of(name: &str) -> Contents {
    let rows = rows(0..550);
    match name {
        "shop" => Contents::from([
            (b"a.sql".to_vec(), rows),
            (b"b.bin".to_vec(), noise(1, 9_000)),
        ]),
        _ => Contents::from([(b"mail.sql".to_vec(), rows)]),
    }
}
