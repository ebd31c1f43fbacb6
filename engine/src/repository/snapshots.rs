//! The snapshots of a repository, as far as a key may see them.

use std::collections::{BTreeMap, BTreeSet};

use indelible_format::commit::{Binding, CommitBody, CommitError};
use indelible_format::entry::Entry;
use indelible_format::grant::{FactsError, GrantFacts};
use indelible_format::ids::{CommitId, LogHash, PackId, SignerId};
use indelible_format::manifest::Manifest;
use indelible_format::planted::{Bug, planted};
use indelible_format::rights::Kind;

use rayon::prelude::*;

use super::opened::{Opened, Reader};
use super::{Listings, RecordError, Repository};
use crate::store::ReadStore;

/// From so many manifests on, all cores open them.
const PARALLEL_MIN: usize = 16;

/// Why a valid snapshot entry is not to be trusted (SPEC 3.14).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its key may not write its NAME.
    #[error("its key may not write this NAME")]
    Name,
    /// Its key was revoked, and is distrusted since before this entry.
    #[error("its key was revoked by entry {by}, and is not trusted since before this snapshot")]
    Distrusted {
        /// The revoking entry.
        by: u64,
    },
    /// What its key may write can't be read.
    #[error("the NAMEs that its key may write can't be read")]
    Facts(#[source] FactsError),
}

/// Why a snapshot can't be shown at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Its commit record is gone or altered.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its manifest does not open.
    #[error("its manifest can't be read")]
    Manifest(#[source] CommitError),
    /// Its reach does not open.
    #[error("its reach can't be read")]
    Reach(#[source] CommitError),
    /// Its reach names a pack that no readable entry lists.
    #[error("it reaches a pack of entry {entry}, which lists no such pack")]
    Unlisted {
        /// The entry.
        entry: u64,
    },
    /// The key has no part of its epoch.
    #[error("it is of epoch {epoch}, of which the key has no part")]
    NoPart {
        /// The epoch.
        epoch: u32,
    },
    /// The key has not the verify right.
    #[error("the key may not read manifests")]
    NotAllowed,
}

/// A valid snapshot entry that can't be shown.
#[derive(Debug)]
pub struct BrokenSnapshot {
    /// Its number.
    pub number: u64,
    /// Why.
    pub error: SnapshotError,
}

/// A snapshot whose manifest opened.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its number in the log.
    pub number: u64,
    /// Its commit id.
    pub commit: CommitId,
    /// The key that signed it.
    pub signer: SignerId,
    /// When its writer says that it was committed, Unix milliseconds.
    pub claimed_ms: u64,
    /// What its sealed parts are bound to.
    pub binding: Binding,
    /// What it states in clear.
    pub body: CommitBody,
    /// What it states in private.
    pub manifest: Manifest,
    /// Whether it is refused.
    pub refused: Option<Refusal>,
}

fn broken(entry: &Entry, error: SnapshotError) -> BrokenSnapshot {
    BrokenSnapshot {
        number: entry.header().number,
        error,
    }
}

impl<S: ReadStore + ?Sized> Repository<'_, S> {
    /// The valid snapshot entries, ascending.
    pub fn snapshot_entries(&self) -> impl Iterator<Item = &Entry> {
        self.history()
            .entries
            .values()
            .filter(|entry| entry.header().kind == Kind::Snapshot)
    }

    /// The pack lists of the snapshot entries whose commit body can be read, and
    /// those that can't.
    pub fn listings(&self) -> (Listings, Vec<BrokenSnapshot>) {
        let mut listings = Listings::default();
        let mut broken = Vec::new();
        for entry in self.snapshot_entries() {
            let header = entry.header();
            match self.commit_body(entry) {
                Ok(Some(body)) => listings.add(header.number, header.domain, &body),
                Ok(None) => {}
                Err(error) => broken.push(BrokenSnapshot {
                    number: header.number,
                    error: error.into(),
                }),
            }
        }
        (listings, broken)
    }

    /// Every snapshot, in the order of the log: shown, or broken.
    ///
    /// What had to be opened for that is kept in the state, if there is one.
    pub fn snapshots(&self) -> Vec<Result<Snapshot, BrokenSnapshot>> {
        let entries: Vec<&Entry> = self.snapshot_entries().collect();
        let Some(reader) = self.reader() else {
            let hidden = |entry: &&Entry| Err(broken(entry, SnapshotError::NotAllowed));
            return entries.iter().map(hidden).collect();
        };
        let mut opened = Opened::load(self.state(), reader);
        let shown = self.show(&entries, reader, &mut opened);
        if let Some(state) = self.state() {
            opened.keep(state, reader, self.history(), self.env());
        }
        let shown = entries.into_iter().zip(shown);
        shown
            .map(|(entry, shown)| shown.map_err(|error| broken(entry, error)))
            .collect()
    }

    /// One snapshot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`].
    pub fn snapshot(&self, entry: &Entry) -> Result<Snapshot, SnapshotError> {
        let reader = self.reader().ok_or(SnapshotError::NotAllowed)?;
        let mut shown = self.show(&[entry], reader, &mut Opened::default());
        shown.pop().expect("each entry is shown or broken")
    }

    /// What opens manifests and facts, if the key may.
    fn reader(&self) -> Option<Reader<'_>> {
        let key = self.key();
        Some(Reader {
            repository: self.id(),
            meta_private: &key.verify.as_ref()?.meta_private,
            psk: &key.psk,
            ring: self.ring(),
        })
    }

    /// Shows snapshots, in their order.
    fn show(
        &self,
        entries: &[&Entry],
        reader: Reader<'_>,
        opened: &mut Opened,
    ) -> Vec<Result<Snapshot, SnapshotError>> {
        let read = self.read_all(entries, reader, opened);
        let facts = self.facts_of_signers(entries, opened);
        let show = |(entry, read): (&&Entry, Result<_, _>)| {
            let (body, manifest) = read?;
            let header = entry.header();
            Ok(Snapshot {
                number: header.number,
                commit: header.commit,
                signer: header.signer,
                claimed_ms: header.claimed_ms,
                binding: entry.binding(self.id()),
                body,
                refused: self.refusal(entry, &manifest, &facts[&header.signer]),
                manifest,
            })
        };
        entries.iter().zip(read).map(show).collect()
    }

    /// What the entries state, in clear and in private. Manifests that were never
    /// opened are opened on all cores.
    fn read_all(
        &self,
        entries: &[&Entry],
        reader: Reader<'_>,
        opened: &mut Opened,
    ) -> Vec<Result<(CommitBody, Manifest), SnapshotError>> {
        let bodies = entries.iter().map(|entry| match self.commit_body(entry) {
            Ok(body) => body.ok_or(SnapshotError::NotAllowed),
            Err(error) => Err(error.into()),
        });
        let parts: Vec<_> = entries.iter().zip(bodies).collect();
        let known = &*opened;
        let read = |(entry, body): (&&Entry, Result<CommitBody, SnapshotError>)| {
            let body = body?;
            let kept = known.get(&entry.leaf());
            if let Some(manifest) = kept.and_then(|plain| Manifest::decode(plain).ok()) {
                return Ok((body, manifest, None));
            }
            let binding = entry.binding(reader.repository);
            let epoch = binding.epoch;
            let part = reader.of_epoch(epoch);
            let (private, psk) = part.ok_or(SnapshotError::NoPart { epoch })?;
            let plain = body
                .unseal_manifest(&binding, private, psk)
                .map_err(|error| SnapshotError::Manifest(error.into()))?;
            let manifest =
                Manifest::decode(&plain).map_err(|error| SnapshotError::Manifest(error.into()))?;
            Ok((body, manifest, Some((entry.leaf(), plain))))
        };
        let is_new = |entry: &&&Entry| known.get(&entry.leaf()).is_none();
        let read: Vec<_> = if entries.iter().filter(is_new).count() < PARALLEL_MIN {
            parts.into_iter().map(read).collect()
        } else {
            parts.into_par_iter().map(read).collect()
        };
        let mut add = |(body, manifest, new): (_, _, Option<(LogHash, _)>)| {
            if let Some((leaf, plain)) = new {
                opened.add(leaf, plain);
            }
            (body, manifest)
        };
        read.into_iter().map(|read| read.map(&mut add)).collect()
    }

    /// The facts of all that signed the entries, each opened once.
    fn facts_of_signers(
        &self,
        entries: &[&Entry],
        opened: &mut Opened,
    ) -> BTreeMap<SignerId, Result<Option<GrantFacts>, FactsError>> {
        let signers: BTreeSet<SignerId> =
            entries.iter().map(|entry| entry.header().signer).collect();
        let facts = |signer| (signer, self.facts_once(&signer, opened));
        signers.into_iter().map(facts).collect()
    }

    /// As [`facts`](Self::facts), opened at most once.
    fn facts_once(
        &self,
        signer: &SignerId,
        opened: &mut Opened,
    ) -> Result<Option<GrantFacts>, FactsError> {
        let history = self.history();
        let entry = history.authority.grant(signer).map(|grant| grant.entry);
        let Some(entry) = entry.and_then(|number| history.entries.get(&number)) else {
            return self.facts(signer);
        };
        let kept = opened.get(&entry.leaf());
        if let Some(facts) = kept.and_then(|plain| GrantFacts::decode(plain).ok()) {
            return Ok(Some(facts));
        }
        let Some(plain) = self.unseal_facts(signer)? else {
            return Ok(None);
        };
        let facts = GrantFacts::decode(&plain)?;
        opened.add(entry.leaf(), plain);
        Ok(Some(facts))
    }

    fn refusal(
        &self,
        entry: &Entry,
        manifest: &Manifest,
        facts: &Result<Option<GrantFacts>, FactsError>,
    ) -> Option<Refusal> {
        let signer = entry.header().signer;
        let authority = &self.history().authority;
        if authority.is_distrusted(entry) {
            let by = authority
                .grant(&signer)
                .and_then(|grant| grant.revoked)
                .map_or(0, |revoked| revoked.by);
            return Some(Refusal::Distrusted { by });
        }
        match facts {
            Ok(Some(facts)) if !facts.may_write(&manifest.name) && !planted(Bug::NameUnchecked) => {
                Some(Refusal::Name)
            }
            // The administrator of genesis has no facts, and may write any.
            Ok(_) => None,
            Err(error) => Some(Refusal::Facts(error.clone())),
        }
    }

    /// Every pack that a snapshot needs: those of its reach, then its own.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Reach`], [`SnapshotError::Unlisted`].
    pub fn reached_packs(
        &self,
        snapshot: &Snapshot,
        listings: &Listings,
    ) -> Result<Vec<PackId>, SnapshotError> {
        let epoch = snapshot.binding.epoch;
        let key = self.ring().at(epoch);
        let index_key = key
            .ok_or(SnapshotError::NoPart { epoch })?
            .index_key(&snapshot.binding.domain)
            .ok_or(SnapshotError::NotAllowed)?;
        let reach = snapshot
            .body
            .open_reach(&snapshot.binding, snapshot.number, &index_key)
            .map_err(SnapshotError::Reach)?;
        let mut packs = listings
            .resolve(&reach)
            .map_err(|entry| SnapshotError::Unlisted { entry })?;
        packs.extend(snapshot.body.packs.iter().map(|pack| pack.id));
        Ok(packs)
    }
}
