//! Power is lost at every operation of a disk: what was acknowledged restores,
//! nothing half-done is shown, and the next run works.
//!
//! Something is done once, over a local store on a simulated disk that logs its
//! operations. Then, for a power cut behind each of them, disks are drawn that
//! may be found afterwards, and each is judged against the model: without what
//! the host remembers, and with it as it was at the cut, for it was the storage
//! that lost power. A snapshot of the same source must then adopt the packs that
//! its host had noted as finished, and survive a power cut itself.

mod recording;

use std::collections::HashSet;
use std::sync::Arc;

use indelible_engine::progress::Note;
use indelible_engine::state::State;
use indelible_engine::store::local::simulated::{SimulatedFiles, Survival};
use indelible_engine::store::{Area, Listed, ReadStore as _};
use indelible_format::ids::PackId;

use super::model::{Judge, Model, Next, undisturbed};
use super::{Coverage, Finding, Scale};
use crate::support::rows;
pub(crate) use recording::local;
use recording::{Deed, HeldUp, Memory, Recording, What, recall, two_writers};

/// Bytes by which what a resumed run stores may exceed what it lacks: a header,
/// a directory and what was cut otherwise, for each pack.
const OVERHEAD_BYTES: u64 = 4_096;

/// Power is lost at every operation of the disk.
///
/// Method: the module's header.
#[test]
fn campaign() {
    run(Scale::asked()).finish();
}

pub(crate) fn run(scale: Scale) -> Coverage {
    let mut coverage = Coverage::new("power_cut", scale);
    let seed = scale.seed;
    for record in [
        recording::init,
        recording::inline,
        recording::deltas,
        recording::with_commit_record,
        recording::keys,
        recording::several_packs,
    ] {
        if let Some(recording) = undisturbed(&mut coverage, || record(seed)) {
            inspect(&recording, &mut coverage, scale);
        }
    }
    // A short campaign holds the first writer up at two places only.
    let places = scale.pick(5 + seed % 4..6 + seed % 4, 0..u64::MAX);
    let held_up = places.map(HeldUp::Before);
    for held_up in [HeldUp::EntryLinked].into_iter().chain(held_up) {
        let recording = undisturbed(&mut coverage, || two_writers(seed, held_up));
        let Some(Some(recording)) = recording else {
            break;
        };
        inspect(&recording, &mut coverage, scale);
        if coverage.is_enough() {
            break;
        }
    }
    coverage
}

/// Cuts the power behind each operation.
fn inspect(recording: &Recording, coverage: &mut Coverage, scale: Scale) {
    let mut judged = HashSet::new();
    let total = recording.files.operations();
    coverage.add("scenarios", 1);
    let (stride, images) = match (scale.long, recording.costly) {
        (true, _) => (1, 64),
        (false, false) => (1, 9),
        (false, true) => (3, 3),
    };
    for at in (0..=total).rev().step_by(stride) {
        coverage.add("operations", 1);
        let cut = recording.files.power_cut(at);
        let scene = Scene::new(recording, at);
        let seed = scale.seed.wrapping_mul(10_007) + at as u64;
        for survival in Survival::choices(seed, images) {
            if coverage.is_enough() {
                return;
            }
            coverage.add("images", 1);
            let image = cut.image(survival);
            if judged.insert((image.digest(), scene.digest)) {
                coverage.add("distinct images checked", 1);
                scene.judge(&image, survival, coverage);
            }
        }
    }
}

/// A power cut, and what is known at that moment.
struct Scene<'a> {
    recording: &'a Recording,
    at: usize,
    model: Model,
    /// What tells it from other power cuts, if the disk is the same.
    digest: blake3::Hash,
}

impl<'a> Scene<'a> {
    fn new(recording: &'a Recording, at: usize) -> Self {
        let mut hasher = blake3::Hasher::new();
        for deed in &recording.deeds {
            hasher.update(&[
                u8::from(deed.begun <= at),
                u8::from(deed.acknowledged <= at),
            ]);
        }
        for (path, bytes) in recording.memories_at(at).iter().flatten() {
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(blake3::hash(bytes).as_bytes());
        }
        Self {
            recording,
            at,
            model: recording.model_at(at),
            digest: hasher.finalize(),
        }
    }

    fn judge(&self, image: &SimulatedFiles, survival: Survival, coverage: &mut Coverage) {
        self.judge_as(image, survival, None, coverage);
        for (host, memory) in self.recording.memories_at(self.at).iter().enumerate() {
            self.judge_as(image, survival, Some((host, memory)), coverage);
        }
    }

    /// Judges an image as a host that remembers, or as one that does not.
    fn judge_as(
        &self,
        image: &SimulatedFiles,
        survival: Survival,
        memory: Option<(usize, &Memory)>,
        coverage: &mut Coverage,
    ) {
        let files = image.clone();
        let store = local(&files, 99);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = memory.map(|(_, memory)| recall(memory, directory.path()));
        let host = memory.map_or(0, |(host, _)| host);
        let last = self.recording.last_of(host, self.at);
        let source = match last.map(|deed| &deed.what) {
            Some(What::Snapshot { bytes, .. }) => Arc::clone(bytes),
            _ => rows(0..50).into(),
        };
        let journalled = memory.map_or(Vec::new(), |(_, memory)| self.journalled(memory, &files));
        let mut judge = Judge {
            owner: &self.recording.owner,
            model: &self.model,
            saw_more: state
                .as_ref()
                .is_some_and(|state| self.saw_more(state, &files)),
            what: self.what(survival, memory.map(|(host, _)| host)),
            coverage,
        };
        let before = pack_bytes(&files);
        let Some(next) = judge.judge(&store, state.as_ref(), &source) else {
            return;
        };
        let after = files.power_cut(files.operations()).image(Survival::Nothing);
        judge.judge_next(&local(&after, 98), &next, &source);
        if memory.is_some() {
            let stored = pack_bytes(&files) - before;
            judge_adoption(&next, &journalled, stored, last, &mut judge);
        }
    }

    /// Whether a host saw more of the log than is left of it: an entry that its
    /// writer had linked and not yet synced.
    fn saw_more(&self, state: &State, files: &SimulatedFiles) -> bool {
        let store = local(files, 95);
        let Ok(repository) = self.recording.owner.open(&store, None, 95) else {
            return false;
        };
        let kept = state.repository(&repository.id());
        let seen = kept.leaves().expect("it is whole").len() as u64;
        seen > repository.history().size()
    }

    fn what(&self, survival: Survival, host: Option<usize>) -> String {
        let last = self.at.checked_sub(1);
        let last = last.map(|last| self.recording.files.operation(last).to_string());
        format!(
            "{}, power cut behind operation {} ({}), {survival:?}, memory of host {host:?}",
            self.recording.name,
            self.at,
            last.as_deref().unwrap_or("none")
        )
    }

    /// The packs that a host noted as finished and that no entry on this disk
    /// lists, with their bytes.
    fn journalled(&self, memory: &Memory, files: &SimulatedFiles) -> Vec<(PackId, u64)> {
        let store = local(files, 97);
        let Ok(repository) = self.recording.owner.open(&store, None, 97) else {
            return Vec::new();
        };
        let (domain, (listings, _)) = (repository.key().domain, repository.listings());
        let journals = memory.iter().filter(|(path, _)| {
            path.parent()
                .is_some_and(|parent| parent.ends_with("journal"))
        });
        let mut packs = Vec::new();
        for (_, journal) in journals {
            for line in String::from_utf8_lossy(journal).lines() {
                let (id, len) = line.split_once(' ').expect("an id and a length");
                let id = PackId::from_hex(id).expect("an id");
                if listings.get(&domain, &id).is_none() {
                    packs.push((id, len.parse().expect("a length")));
                }
            }
        }
        packs
    }
}

/// The bytes of all packs on a disk.
fn pack_bytes(files: &SimulatedFiles) -> u64 {
    let mut bytes = 0;
    let listed = local(files, 96).list(Area::Packs, &mut |listed| {
        if let Listed::Object { size_bytes, .. } = listed {
            bytes += size_bytes;
        }
    });
    listed.expect("a disk without a fault");
    bytes
}

/// What was noted as finished is durable, so it is adopted and not stored
/// again.
fn judge_adoption(
    next: &Next,
    journalled: &[(PackId, u64)],
    stored: u64,
    last: Option<&Deed>,
    judge: &mut Judge<'_>,
) {
    let adopted = next.notes.taken().into_iter().find_map(|note| match note {
        Note::PacksAdopted { count, .. } => Some(count),
        _ => None,
    });
    let expected = journalled.len() as u64;
    judge.coverage.add("packs adopted", adopted.unwrap_or(0));
    judge
        .coverage
        .expect(adopted.unwrap_or(0) == expected, Finding::Broken, || {
            format!("{}: {adopted:?} of {expected} packs adopted", judge.what)
        });
    if let Some(What::Snapshot { added_bytes, .. }) = last.map(|deed| &deed.what)
        && expected > 0
    {
        let finished: u64 = journalled.iter().map(|(_, len)| len).sum();
        let allowed = added_bytes + OVERHEAD_BYTES * (1 + expected);
        judge
            .coverage
            .expect(stored + finished <= allowed, Finding::Broken, || {
                format!("{}: {stored} bytes stored again", judge.what)
            });
    }
}
