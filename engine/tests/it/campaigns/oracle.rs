//! What damage may cost, what it did cost, and what a verification says of it.
//!
//! Three voices that must agree. The *model* ([`Oracle::costs`]) knows from the
//! intact repository which snapshots need what, by means of its own. The
//! *restores* ([`Oracle::restored`]) show what really became of each snapshot.
//! The *report* is the engine's. The restores decide: what is lost must lie
//! within what the model allows, and must be what the report says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use indelible_engine::cancel::Cancel;
use indelible_engine::env::Env;
use indelible_engine::keys::Credential;
use indelible_engine::log::{self, Signed};
use indelible_engine::pack::SealedDirectory;
use indelible_engine::pin::Accepted;
use indelible_engine::progress::Silent;
use indelible_engine::read::Reader;
use indelible_engine::repository::{Against, Freshness, Listings, OpenError, Repository, SeenLog};
use indelible_engine::restore::Restore;
use indelible_engine::state::State;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{self, Harm, ProblemKind, Report, Terms};
use indelible_format::commit::SnapshotBody;
use indelible_format::entry::Body;
use indelible_format::history::{Continuity, History};
use indelible_format::ids::{LogHash, PackId, RecordId, SignerId};
use indelible_format::rights::Rights;
use rayon::prelude::*;

use super::anatomy::{Anatomy, Spot};
use super::{Coverage, Finding};
use crate::support::{
    Contents, Fixture, START_UNIX_MS, chain, key_file, object, restore, snapshot_at,
};

/// How many cases are tried before it is asked again whether to go on.
const BATCH: usize = 64;

/// What damage is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The copy of genesis or of other log objects, on which nothing depends.
    Copy,
    /// A log entry.
    Log(u64),
    /// A commit record.
    Record(RecordId),
    /// A whole pack, or what all of its chunks depend on.
    Pack(PackId),
    /// One chunk.
    Chunk(Spot),
}

impl Part {
    /// All of an object.
    pub(crate) fn whole(key: &ObjectKey) -> Self {
        match *key {
            ObjectKey::Repository | ObjectKey::Bundle(_) => Self::Copy,
            ObjectKey::Log(number) => Self::Log(number),
            ObjectKey::Record(id) => Self::Record(id),
            ObjectKey::Pack(pack) => Self::Pack(pack),
        }
    }
}

/// A snapshot before any damage.
pub(crate) struct Original {
    pub(crate) contents: Contents,
    pub(crate) record: Option<RecordId>,
    needs: BTreeSet<Spot>,
}

/// An intact repository, and what is known of it.
pub(crate) struct Oracle {
    pub(crate) store: MemoryStore,
    /// Every right, pinned at the end of the log.
    pub(crate) all: Credential,
    /// The verify right alone, as it was issued.
    pub(crate) verifier: Credential,
    /// What a client remembers who saw the whole log.
    pub(crate) leaves: Vec<LogHash>,
    pub(crate) originals: BTreeMap<u64, Original>,
    pub(crate) anatomy: Anatomy,
    /// Packs and the entries that list them.
    pub(crate) listed_by: BTreeMap<PackId, u64>,
    /// Entries and their signers.
    signers: BTreeMap<u64, SignerId>,
    /// Keys by the entries that authorised them.
    granted: BTreeMap<u64, SignerId>,
}

/// What became of the snapshots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Restored {
    /// Those that do not restore, or are not listed.
    pub(crate) lost: BTreeSet<u64>,
    /// Those of which something else was shown than was stored.
    pub(crate) wrong: BTreeSet<u64>,
    pub(crate) tried: u64,
}

/// A kind of problem, the object and the chunk.
pub(crate) type Told = (ProblemKind, String, Option<u32>);

/// What one case found and counted.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) found: Vec<(Finding, String)>,
    pub(crate) verifications: u64,
    pub(crate) restores: u64,
}

impl Notes {
    pub(crate) fn expect(
        &mut self,
        good: bool,
        finding: Finding,
        what: impl FnOnce() -> String,
    ) -> bool {
        if !good {
            self.find(finding, what());
        }
        good
    }

    pub(crate) fn find(&mut self, finding: Finding, what: String) {
        self.found.push((finding, what));
    }
}

impl Oracle {
    /// Learns an intact repository. `verifier` is a key with the verify right.
    pub(crate) fn new(fixture: &Fixture, verifier: Credential) -> Self {
        let repository = fixture.open();
        let history = repository.history();
        let anatomy = Anatomy::new(&fixture.store, &fixture.bundle);
        let originals = repository.snapshot_entries().map(|entry| {
            let number = entry.header().number;
            let snapshot = snapshot_at(&repository, number);
            let record = match entry.body() {
                Body::Snapshot(SnapshotBody::Record { id, .. }) => Some(*id),
                _ => None,
            };
            let original = Original {
                contents: restore(&repository, number).expect("it is intact"),
                record,
                needs: anatomy.needs(&snapshot.manifest),
            };
            (number, original)
        });
        let grants = history.authority.grants();
        let (listings, _) = repository.listings();
        Self {
            store: fixture.store.clone(),
            all: key_file(&repository, &fixture.bundle),
            verifier,
            leaves: history.leaves.clone(),
            originals: originals.collect(),
            listed_by: listings
                .packs()
                .map(|listed| (listed.pack.id, listed.entry))
                .collect(),
            signers: history
                .entries
                .iter()
                .map(|(number, entry)| (*number, entry.header().signer))
                .collect(),
            granted: grants
                .map(|(signer, grant)| (grant.entry, *signer))
                .collect(),
            anatomy,
        }
    }

    /// The number of the newest entry.
    pub(crate) fn head(&self) -> u64 {
        self.leaves.len() as u64 - 1
    }

    /// Entries that count only as long as this one does, which authorises their
    /// signer.
    pub(crate) fn signed_under(&self, entry: u64) -> Vec<u64> {
        let signer = self.granted.get(&entry);
        let under = |(number, by): (&u64, &SignerId)| {
            (Some(by) == signer && *number != entry).then_some(*number)
        };
        self.signers.iter().filter_map(under).collect()
    }

    /// The snapshots that damage to a part may cost.
    pub(crate) fn costs(&self, part: Part) -> BTreeSet<u64> {
        let under = match part {
            Part::Log(number) => self.signed_under(number),
            _ => Vec::new(),
        };
        let costs = |number: u64, original: &Original| match part {
            Part::Copy => false,
            Part::Log(0) => true,
            Part::Log(damaged) => damaged == number || under.contains(&number),
            Part::Record(id) => original.record == Some(id),
            Part::Pack(pack) => original.needs.iter().any(|spot| spot.pack == pack),
            Part::Chunk(spot) => original.needs.contains(&spot),
        };
        self.originals
            .iter()
            .filter(|(number, original)| costs(**number, original))
            .map(|(number, _)| *number)
            .collect()
    }

    /// What every snapshot holds.
    pub(crate) fn contents(&self) -> BTreeMap<u64, Contents> {
        self.originals
            .iter()
            .map(|(number, original)| (*number, original.contents.clone()))
            .collect()
    }

    /// Opens a store, with randomness that follows from the seed.
    pub(crate) fn open<'s>(
        store: &'s MemoryStore,
        credential: &Credential,
        seed: u64,
    ) -> Result<Repository<'s, MemoryStore>, OpenError> {
        Self::open_with(store, None, credential, seed)
    }

    /// The same, by a client that may remember.
    pub(crate) fn open_with<'s>(
        store: &'s MemoryStore,
        state: Option<&State>,
        credential: &Credential,
        seed: u64,
    ) -> Result<Repository<'s, MemoryStore>, OpenError> {
        let env = Env::replayable(seed, START_UNIX_MS + 86_400_000);
        Repository::open(store, state, credential, env)
    }

    /// Makes a client remember the intact repository: its log, and a copy of the
    /// directory of each pack, which a writer reads instead of the pack's own.
    pub(crate) fn remember(&self, state: &State) {
        let repository = Self::open_with(&self.store, Some(state), &self.all, 0);
        let repository = repository.expect("it is intact");
        let (state, key) = (repository.state(), repository.key());
        let state = state.expect("it was opened with one");
        for pack in self.anatomy.packs.keys() {
            let bytes = object(&self.store, &ObjectKey::Pack(*pack));
            let directory = SealedDirectory::of_bytes(&bytes).expect("it is intact");
            let index_key = key.index_key(&directory.header().domain);
            let index_key = index_key.expect("the key has every right");
            state.keep_directory(pack, &directory.copy(pack, &index_key));
        }
    }

    /// Verifies at the level packs, as a client that remembers these leaves.
    pub(crate) fn verify_packs(
        store: &MemoryStore,
        remembered: &[LogHash],
    ) -> Result<(History, Report), log::LogError> {
        let history = log::read(store, remembered, &Signed::default())?;
        let seen = SeenLog {
            freshness: Freshness {
                memory: history.continuity,
                key_file: Continuity::Unpinned,
                pin: Continuity::Unpinned,
            },
            history: history.clone(),
            accepted: Accepted::default(),
            state: None,
            held_against: Against::default(),
        };
        let env = Env::replayable(0, START_UNIX_MS);
        let report = verify::packs(store, &seen, &Terms::default(), &env, &Silent)
            .expect("a store in memory lists");
        Ok((history, report))
    }

    /// Tries all cases, until one has found enough.
    pub(crate) fn try_all<C: fmt::Debug + Sync>(
        cases: &[C],
        coverage: &mut Coverage,
        try_one: impl Fn(&C) -> Notes + Sync,
    ) {
        let guarded = |case: &C| {
            catch_unwind(AssertUnwindSafe(|| try_one(case))).unwrap_or_else(|_| Notes {
                found: vec![(Finding::Broken, format!("{case:?}: a panic"))],
                ..Notes::default()
            })
        };
        for batch in cases.chunks(BATCH) {
            if coverage.is_enough() {
                return;
            }
            let notes: Vec<Notes> = batch.par_iter().map(guarded).collect();
            for notes in notes {
                coverage.add("verifications", notes.verifications);
                coverage.add("restores", notes.restores);
                for (finding, what) in notes.found {
                    coverage.find(finding, what);
                }
            }
        }
    }
}

/// Restores snapshots, and compares every byte that comes out with what was
/// stored.
pub(crate) fn restored(
    repository: &Repository<'_, MemoryStore>,
    originals: &BTreeMap<u64, Contents>,
) -> Restored {
    let (listings, _) = repository.listings();
    let mut restored = Restored::default();
    for (number, contents) in originals {
        restored.tried += 1;
        match compared(repository, &listings, *number, contents) {
            Ok(()) => {}
            Err(Loss::Unread) => drop(restored.lost.insert(*number)),
            Err(Loss::Other) => drop(restored.wrong.insert(*number)),
        }
    }
    restored
}

/// Why a snapshot is not what it was.
enum Loss {
    /// It ends in an error, or is not shown.
    Unread,
    /// Something else came out.
    Other,
}

/// What went before an error counts too: it may already be in use.
fn compared(
    repository: &Repository<'_, MemoryStore>,
    listings: &Listings,
    number: u64,
    contents: &Contents,
) -> Result<(), Loss> {
    let unread = |_| Loss::Unread;
    let entry = repository.history().entries.get(&number);
    let snapshot = repository
        .snapshot(entry.ok_or(Loss::Unread)?)
        .map_err(|_| Loss::Unread)?;
    if snapshot.refused.is_some() {
        return Err(Loss::Unread);
    }
    let domain = snapshot.binding.domain;
    let reader = Reader::new(repository, listings, domain).map_err(unread)?;
    let cancel = Cancel::new();
    let restore = Restore::new(repository, listings, &snapshot, &cancel, &Silent)
        .map_err(|_| Loss::Unread)?;
    let mut expected = contents.iter();
    let list = reader.entries(&snapshot.manifest.list);
    for entry in list.map_err(unread)? {
        let (entry, _) = entry.map_err(unread)?;
        if entry.content().is_none() {
            continue;
        }
        let (path, stored) = expected.next().ok_or(Loss::Other)?;
        if entry.path.as_bytes() != path.as_slice() {
            return Err(Loss::Other);
        }
        let mut bytes = Vec::new();
        let done = restore.to_writer(Some(&entry.path), &mut bytes);
        match done {
            Ok(_) if bytes == *stored => {}
            Err(_) if stored.starts_with(&bytes) => return Err(Loss::Unread),
            _ => return Err(Loss::Other),
        }
    }
    match expected.next() {
        None => Ok(()),
        Some(_) => Err(Loss::Other),
    }
}

/// The problems of a report, sorted.
pub(crate) fn told(report: &Report) -> Vec<Told> {
    let problems = report.problems.iter();
    let mut told: Vec<Told> = problems
        .map(|problem| (problem.kind, problem.object.clone(), problem.chunk))
        .collect();
    told.sort();
    told
}

/// The problems of a report with their causes, for a finding.
pub(crate) fn tell(report: &Report) -> String {
    let cause = |problem: &verify::Problem| {
        let cause = problem.cause.as_deref();
        cause.map_or(String::new(), |cause| format!(" ({})", chain(cause)))
    };
    let problems = report.problems.iter().map(|problem| {
        let object = short(&problem.object);
        format!(
            "{} {object} {:?} {:?}{}",
            problem.kind.code(),
            problem.chunk,
            problem.harm,
            cause(problem)
        )
    });
    let all: Vec<String> = problems.collect();
    format!("[{}]", all.join("; "))
}

/// An object's path that is short enough to read.
pub(crate) fn short(path: &str) -> String {
    path.chars().take(18).collect()
}

/// Of these snapshots, those that a report does not call intact.
///
/// # Errors
///
/// Where its two sides, problems and verdicts, disagree.
pub(crate) fn said_lost(
    report: &Report,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<BTreeSet<u64>, String> {
    let verdicts = report.snapshots.iter();
    let by_verdict: BTreeSet<u64> = verdicts
        .clone()
        .filter(|verdict| !verdict.problems.is_empty())
        .map(|verdict| verdict.number)
        .collect();
    let of_problem = |problem: &verify::Problem| surely(&problem.harm).clone();
    let by_problem: BTreeSet<u64> = report.problems.iter().flat_map(of_problem).collect();
    if by_problem != by_verdict {
        return Err(format!(
            "problems harm {by_problem:?}, and verdicts say {by_verdict:?}"
        ));
    }
    let intact: BTreeSet<u64> = verdicts
        .filter(|verdict| verdict.problems.is_empty() && verdict.refused.is_none())
        .map(|verdict| verdict.number)
        .collect();
    Ok(numbers
        .into_iter()
        .filter(|number| !intact.contains(number))
        .collect())
}

/// The snapshots that a problem harms, as far as that is said for certain.
pub(crate) fn surely(harm: &Harm) -> &BTreeSet<u64> {
    match harm {
        Harm::Snapshots(harmed) | Harm::AtLeast(harmed) => harmed,
        Harm::Within { surely, .. } => surely,
    }
}

/// Holds what a report says of each snapshot against the restores: those that it
/// calls harmed do not restore, and of the others only those may not that it
/// suspects. The error says how it differs.
pub(crate) fn check_harm(
    oracle: &Oracle,
    restored: &Restored,
    report: &Report,
) -> Result<(), String> {
    let unrestored: BTreeSet<u64> = restored.lost.union(&restored.wrong).copied().collect();
    let said = said_lost(report, oracle.originals.keys().copied())?;
    let suspects: BTreeSet<u64> = (report.snapshots.iter())
        .filter(|verdict| !verdict.suspects.is_empty())
        .map(|verdict| verdict.number)
        .collect();
    let silent: BTreeSet<u64> = unrestored.difference(&said).copied().collect();
    if said.is_subset(&unrestored) && silent.is_subset(&suspects) {
        Ok(())
    } else {
        Err(format!(
            "{said:?} is harmed, and {unrestored:?} do not restore"
        ))
    }
}

/// A key that may verify and nothing else.
pub(crate) fn add_verifier(fixture: &Fixture) -> Credential {
    fixture.add_key(Rights::VERIFY, &[])
}
