//! One inverted bit, at every place in a repository.
//!
//! Every bit of every log entry, commit record, pack header, directory, trailer
//! and chunk, and of the copy of genesis. Each level of verification must say
//! exactly which object is damaged, how, and whom it harms, as far as the level
//! reaches; restores must give either the bytes that were stored or an error;
//! and snapshots that do not need the bit must not notice.
//!
//! Then the same beneath the seals: see [`beneath`].
//!
//! Short, it tries a sample of them. Of chunks it then inverts one bit of a
//! byte; long, all eight.

mod beneath;
mod sample;

use indelible_engine::keys::Credential;
use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{ProblemKind, Report};
use indelible_format::attest::Level;
use indelible_format::coding::Class;
use indelible_format::pack::HEADER_BYTES;

use super::anatomy::Spot;
use super::oracle::{
    Notes, Oracle, Part, Restored, Told, check_harm, restored, said_lost, surely, tell, told,
};
use super::{Coverage, Finding, Scale};
use crate::support::{object, verify_with};
use beneath::{all_beneath, try_beneath};
use sample::repository;

/// All objects together, bytes: so that every bit of them can be tried.
const REPOSITORY_BYTES_MAX: usize = 16 << 10;
/// A short campaign tries one bit in so many: of the objects, and beneath seals.
/// Primes, so that all eight bits of a byte and all places in a field get their
/// turn.
const SAMPLES: (usize, usize) = (89, 19);

/// Where a bit lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Region {
    Copy,
    Log,
    Record,
    Header,
    Chunk(Class),
    Directory,
    Trailer,
}

impl Region {
    const fn word(self) -> &'static str {
        match self {
            Self::Copy => "bits of the copy of genesis",
            Self::Log => "bits of log entries",
            Self::Record => "bits of commit records",
            Self::Header => "bits of pack headers",
            Self::Chunk(Class::Data) => "bits of data chunks",
            Self::Chunk(_) => "bits of pages and nodes",
            Self::Directory => "bits of directories",
            Self::Trailer => "bits of trailers",
        }
    }
}

/// One bit to invert.
#[derive(Debug, Clone, Copy)]
struct Flip {
    key: ObjectKey,
    part: Part,
    region: Region,
    offset: usize,
    bit: u32,
}

/// Who verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// At the level data, with a key file that was issued at the end of the log.
    Pinned,
    /// At the level tree, with a key file that was issued before.
    Verifier,
    /// At the level packs, without a key, having seen the whole log before.
    Remembering,
    /// At the level packs, without a key or a memory.
    Stranger,
}

pub(crate) fn run(scale: Scale) -> Coverage {
    let mut coverage = Coverage::new("flipped_bits", scale);
    let (fixture, verifier) = repository(501);
    let oracle = Oracle::new(&fixture, verifier);
    let bytes: usize = sizes(&oracle.store).iter().map(|(_, len)| len).sum();
    assert!(
        bytes <= REPOSITORY_BYTES_MAX,
        "the objects have {bytes} bytes"
    );
    assert_eq!(oracle.originals.len(), 6);
    coverage.add("bytes of the repository", bytes as u64);

    let flips = sampled(all_flips(&oracle, scale), SAMPLES.0, scale);
    for flip in &flips {
        coverage.add(flip.region.word(), 1);
    }
    let beneath = sampled(all_beneath(&oracle, scale), SAMPLES.1, scale);
    for flip in &beneath {
        coverage.add(flip.word(), 1);
    }
    Oracle::try_all(&flips, &mut coverage, |flip| try_flip(&oracle, flip));
    Oracle::try_all(&beneath, &mut coverage, |flip| try_beneath(&oracle, flip));
    coverage
}

/// All of them, or one in so many from one on that the seed says.
fn sampled<T>(flips: Vec<T>, one_in: usize, scale: Scale) -> Vec<T> {
    if scale.long {
        return flips;
    }
    let first = usize::try_from(scale.seed % one_in as u64).expect("a small number");
    flips.into_iter().skip(first).step_by(one_in).collect()
}

#[test]
fn campaign() {
    run(Scale::asked()).finish();
}

fn sizes(store: &MemoryStore) -> Vec<(ObjectKey, usize)> {
    let keys = store.keys().into_iter();
    keys.map(|key| (key, object(store, &key).len())).collect()
}

/// Every bit of the repository; one of each byte of a chunk unless it is long.
fn all_flips(oracle: &Oracle, scale: Scale) -> Vec<Flip> {
    let mut flips = Vec::new();
    for (key, len) in sizes(&oracle.store) {
        for offset in 0..len {
            let (part, region) = place(oracle, &key, offset);
            let bits = match region {
                Region::Chunk(_) if !scale.long => {
                    let bit = u32::try_from(offset % 8).expect("at most 7");
                    bit..bit + 1
                }
                _ => 0..8,
            };
            flips.extend(bits.map(|bit| Flip {
                key,
                part,
                region,
                offset,
                bit,
            }));
        }
    }
    flips
}

/// What stands at an offset of an object.
fn place(oracle: &Oracle, key: &ObjectKey, offset: usize) -> (Part, Region) {
    let part = Part::whole(key);
    let ObjectKey::Pack(pack) = *key else {
        let region = match part {
            Part::Copy => Region::Copy,
            Part::Log(_) => Region::Log,
            _ => Region::Record,
        };
        return (part, region);
    };
    let parts = &oracle.anatomy.packs[&pack];
    if offset < HEADER_BYTES {
        return (part, Region::Header);
    }
    if parts.directory.contains(&offset) {
        return (part, Region::Directory);
    }
    if parts.trailer.contains(&offset) {
        return (part, Region::Trailer);
    }
    let at = parts
        .chunks
        .iter()
        .position(|(range, _)| range.contains(&offset));
    let at = at.expect("the parts make the pack");
    let number = u16::try_from(at).expect("at most 8,192 chunks");
    let chunk = Part::Chunk(Spot { pack, number });
    (chunk, Region::Chunk(parts.chunks[at].1))
}

/// Inverts one bit of a copy of the repository, and asks everybody.
fn try_flip(oracle: &Oracle, flip: &Flip) -> Notes {
    let mut notes = Notes::default();
    let store = oracle.store.clone();
    store.flip(&flip.key, flip.offset, flip.bit);
    let seed = (flip.offset * 8) as u64 + u64::from(flip.bit);
    for client in [Client::Remembering, Client::Stranger] {
        let remembered = match client {
            Client::Remembering => &oracle.leaves[..],
            _ => &[],
        };
        match Oracle::verify_packs(&store, remembered) {
            Ok((_, report)) => judge_keyless(oracle, flip, client, &report, &mut notes),
            Err(error) => may_fail_to_open(flip, client, &error, &mut notes),
        }
    }
    match Oracle::open(&store, &oracle.all, seed) {
        Ok(repository) => {
            let restored = restored(&repository, &oracle.contents());
            judge_restores(oracle, flip, &restored, &mut notes);
            let report = verify_with(&repository, Level::Data);
            judge_data(oracle, flip, &restored, &report, &mut notes);
            judge_verifier(oracle, flip, &restored, &store, &mut notes);
        }
        Err(error) => may_fail_to_open(flip, Client::Pinned, &error, &mut notes),
    }
    notes
}

/// Nothing but a damaged genesis keeps a repository from being opened.
fn may_fail_to_open(flip: &Flip, client: Client, error: &dyn std::error::Error, notes: &mut Notes) {
    notes.verifications += 1;
    notes.expect(flip.part == Part::Log(0), Finding::Broken, || {
        format!("{flip:?}: {client:?} can't open it: {error}")
    });
}

/// What was lost is what the bit was needed for, and nothing came out wrong.
fn judge_restores(oracle: &Oracle, flip: &Flip, restored: &Restored, notes: &mut Notes) {
    notes.restores += restored.tried;
    let may_cost = oracle.costs(flip.part);
    let Restored { lost, wrong, .. } = restored;
    notes.expect(wrong.is_empty(), Finding::Wrong, || {
        format!("{flip:?}: {wrong:?} restore to something else")
    });
    notes.expect(lost.is_subset(&may_cost), Finding::Lost, || {
        format!("{flip:?}: {lost:?} are lost, and only {may_cost:?} need it")
    });
    // Every bit is under some seal, signature or hash, so a restore that needs
    // it and passes over it lacks a check.
    notes.expect(may_cost.is_subset(lost), Finding::Unnoticed, || {
        format!("{flip:?}: {may_cost:?} need it, and only {lost:?} notice")
    });
}

fn judge_data(
    oracle: &Oracle,
    flip: &Flip,
    restored: &Restored,
    report: &Report,
    notes: &mut Notes,
) {
    judge_told(oracle, flip, Client::Pinned, report, notes);
    judge_harm(oracle, flip, Client::Pinned, restored, report, notes);
}

/// At the level tree, contents are not decoded: what is damaged there is reported
/// under its pack.
fn judge_verifier(
    oracle: &Oracle,
    flip: &Flip,
    restored: &Restored,
    store: &MemoryStore,
    notes: &mut Notes,
) {
    let repository: Repository<'_, MemoryStore> = match Oracle::open(store, &oracle.verifier, 0) {
        Ok(repository) => repository,
        Err(error) => return may_fail_to_open(flip, Client::Verifier, &error, notes),
    };
    let report = verify_with(&repository, Level::Tree);
    let Region::Chunk(_) = flip.region else {
        judge_told(oracle, flip, Client::Verifier, &report, notes);
        judge_harm(oracle, flip, Client::Verifier, restored, &report, notes);
        return;
    };
    notes.verifications += 1;
    let told = told(&report);
    let rightly = |(kind, object, _): &Told| {
        let kinds = [
            ProblemKind::Tree,
            ProblemKind::Chunk,
            ProblemKind::PackAltered,
        ];
        kinds.contains(kind) && *object == flip.key.path()
    };
    notes.expect(
        !told.is_empty() && told.iter().all(rightly),
        Finding::Unnoticed,
        || format!("{flip:?}: Verifier is told {}", tell(&report)),
    );
    judge_harm(oracle, flip, Client::Verifier, restored, &report, notes);
}

/// Without a key every bit is noticed all the same. Whom it harms is known of
/// the snapshots that list the object, and of no other.
fn judge_keyless(oracle: &Oracle, flip: &Flip, client: Client, report: &Report, notes: &mut Notes) {
    judge_told(oracle, flip, client, report, notes);
    let may_cost = oracle.costs(flip.part);
    for problem in &report.problems {
        let harmed = surely(&problem.harm);
        notes.expect(harmed.is_subset(&may_cost), Finding::Unnoticed, || {
            format!("{flip:?}: {client:?} is told that it harms {harmed:?}")
        });
    }
    let harm_of_pack = matches!(flip.key, ObjectKey::Pack(_));
    let said = said_lost(report, may_cost.iter().copied()).unwrap_or_default();
    notes.expect(
        may_cost.is_empty() || !said.is_empty(),
        Finding::Unnoticed,
        || format!("{flip:?}: {client:?} is told that it harms nobody"),
    );
    notes.expect(harm_of_pack || said == may_cost, Finding::Unnoticed, || {
        format!("{flip:?}: {client:?} is told of {said:?}, and {may_cost:?} are lost")
    });
}

/// A report says exactly what is damaged and how.
fn judge_told(oracle: &Oracle, flip: &Flip, client: Client, report: &Report, notes: &mut Notes) {
    notes.verifications += 1;
    let expected = expected(oracle, flip, client);
    notes.expect(told(report) == expected, Finding::Unnoticed, || {
        format!(
            "{flip:?}: {client:?} is told {}, and not {expected:?}",
            tell(report)
        )
    });
}

/// A report says exactly whom it harms.
fn judge_harm(
    oracle: &Oracle,
    flip: &Flip,
    client: Client,
    restored: &Restored,
    report: &Report,
    notes: &mut Notes,
) {
    if let Err(how) = check_harm(oracle, restored, report) {
        notes.find(Finding::Unnoticed, format!("{flip:?}: {client:?}: {how}"));
    }
}

/// What a client must be told of an inverted bit.
fn expected(oracle: &Oracle, flip: &Flip, client: Client) -> Vec<Told> {
    let keyless = matches!(client, Client::Remembering | Client::Stranger);
    if let Part::Log(number) = flip.part {
        return expected_of_log(oracle, number, client);
    }
    let kind = match flip.region {
        Region::Copy => ProblemKind::GenesisCopy,
        Region::Log | Region::Record => ProblemKind::CommitRecord,
        _ if keyless => ProblemKind::PackAltered,
        Region::Chunk(_) => ProblemKind::Chunk,
        Region::Header | Region::Directory | Region::Trailer => ProblemKind::Directory,
    };
    let chunk = match flip.part {
        Part::Chunk(spot) if !keyless => Some(spot.number.into()),
        _ => None,
    };
    vec![(kind, flip.key.path(), chunk)]
}

/// A leaf is stated by the entry behind it, if that one counts. The newest entry
/// has none behind it; and what was signed by a key that an entry authorised is
/// void without it. A leaf that nothing states is another one for who has no
/// memory: what was there looks as if it had always been void, and whatever was
/// signed or pinned over it as if it were of another log.
fn expected_of_log(oracle: &Oracle, number: u64, client: Client) -> Vec<Told> {
    let path = |number| ObjectKey::Log(number).path();
    let under = oracle.signed_under(number);
    let counts = |entry: &u64| !under.contains(entry);
    let behind: Vec<u64> = (number + 1..=oracle.head()).filter(counts).collect();
    let stated = client == Client::Remembering || behind.first() == Some(&(number + 1));
    let mut told: Vec<Told> = under
        .iter()
        .map(|entry| (ProblemKind::VoidEntry, path(*entry), None))
        .collect();
    if stated {
        told.push((ProblemKind::DamagedEntry, path(number), None));
    } else {
        told.push((ProblemKind::VoidEntry, path(number), None));
        for run in behind.chunk_by(|a, b| a + 1 == *b) {
            let (first, last) = (run[0], run[run.len() - 1]);
            let range = if first == last {
                path(first)
            } else {
                format!("{} to {}", path(first), path(last))
            };
            told.push((ProblemKind::OtherHistory, range, None));
        }
        let pinned = match client {
            Client::Pinned => pinned_size(&oracle.all),
            Client::Verifier => pinned_size(&oracle.verifier),
            Client::Remembering | Client::Stranger => 0,
        };
        if number < pinned {
            told.push((ProblemKind::Forked, path(pinned - 1), None));
        }
    }
    told.sort();
    told
}

/// How much of the log a key file pins.
fn pinned_size(credential: &Credential) -> u64 {
    match credential {
        Credential::KeyFile(file) => file.size,
        Credential::Passphrase(_) => 0,
    }
}
