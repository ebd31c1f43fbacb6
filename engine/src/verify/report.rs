//! What a verification found, and whom each problem harms.

use std::collections::BTreeSet;

use indelible_format::attest::Level;
use indelible_format::authority::Void;
use indelible_format::checkpoint::Checkpoint;
use indelible_format::ids::{LogHash, PackId, RecordId, RepositoryId};

use super::{Amount, Extent, Harm, Problem};
use crate::pin::{Accepted, Pin};
use crate::repository::{Freshness, Refusal};

/// What was found of one snapshot.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its number.
    pub number: u64,
    /// Its NAME, where the key may know.
    pub name: Option<String>,
    /// Places in [`Report::problems`] of what harms it.
    pub problems: BTreeSet<usize>,
    /// Places in [`Report::problems`] of what may harm it, where it takes the
    /// restore right to tell.
    pub suspects: BTreeSet<usize>,
    /// Whether readers refuse it.
    pub refused: Option<Refusal>,
}

/// A void log entry that somebody looked at before: no problem any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Junk {
    /// Its number.
    pub number: u64,
    /// Its leaf hash, by which it is known.
    pub leaf: LogHash,
    /// Why it is void.
    pub reason: Void,
}

/// What a verification found.
#[derive(Debug)]
pub struct Report {
    /// The repository.
    pub repository: RepositoryId,
    /// How deep it went.
    pub level: Level,
    /// How much of the packs it was to read.
    pub extent: Extent,
    /// Size of the log.
    pub size: u64,
    /// Root over it.
    pub root: LogHash,
    /// How the log compares with what says where it stood.
    pub freshness: Freshness,
    /// Packs that the log lists.
    pub packs: u64,
    /// Packs that were read whole.
    pub packs_read: u64,
    /// Bytes read from packs.
    pub bytes: u64,
    /// Packs that could have been read whole and were not, for which the store's word was
    /// not taken either.
    pub unread: Amount,
    /// Packs that were not read because the store says that it keeps them with the SHA-256
    /// that their entry lists.
    pub vouched: Amount,
    /// Chunks decoded and checked against their ids, by themselves.
    pub chunks: u64,
    /// Deltas of packs that were read, and for which there was no time: their bytes are
    /// what was sealed, and were not decoded.
    pub undecoded: u64,
    /// How often a chunk was decoded for that, or because others lean on it.
    pub decodes: u64,
    /// Pages and nodes walked.
    pub nodes: u64,
    /// Objects whose locks were asked for; none where nothing is promised, or no key
    /// tells what.
    pub locks: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// Known junk in the log. Not errors.
    pub accepted: Vec<Junk>,
    /// Every snapshot.
    pub snapshots: Vec<Verdict>,
    /// Packs that no entry lists: what crashed runs left. Not errors.
    pub unreferenced: Vec<PackId>,
    /// Commit records that no entry names. Not errors.
    pub unreferenced_records: Vec<RecordId>,
    /// Names in the store that no object has.
    pub foreign: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong with what was checked.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// What to keep of the log from now on, with the junk that is known. There is
    /// none of a log with which something is wrong: who kept it would keep the
    /// damage.
    pub fn pin(&self) -> Option<Pin> {
        let mut accepted = Accepted::default();
        for junk in &self.accepted {
            accepted.insert(junk.number, junk.leaf);
        }
        self.is_sound().then_some(Pin {
            checkpoint: Checkpoint {
                repository: self.repository,
                size: self.size,
                root: self.root,
            },
            accepted,
        })
    }

    /// Says of each problem which snapshots it harms.
    pub(super) fn attribute(&mut self, with_key: bool) {
        let mut harms = vec![(BTreeSet::new(), BTreeSet::new()); self.problems.len()];
        for verdict in &self.snapshots {
            for problem in &verdict.problems {
                harms[*problem].0.insert(verdict.number);
            }
            for problem in verdict.suspects.difference(&verdict.problems) {
                harms[*problem].1.insert(verdict.number);
            }
        }
        for (problem, (surely, perhaps)) in self.problems.iter_mut().zip(harms) {
            problem.harm = if !with_key && !problem.kind.is_of_the_log() {
                Harm::AtLeast(surely)
            } else if perhaps.is_empty() {
                Harm::Snapshots(surely)
            } else {
                Harm::Within { surely, perhaps }
            };
        }
    }
}
