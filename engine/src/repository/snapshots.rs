//! The snapshots of a repository, as far as a key may see them.

use indelible_format::commit::{Binding, CommitBody, CommitError};
use indelible_format::entry::Entry;
use indelible_format::grant::FactsError;
use indelible_format::ids::{CommitId, PackId, SignerId};
use indelible_format::manifest::Manifest;
use indelible_format::planted::{Bug, planted};
use indelible_format::rights::Kind;

use super::{Listings, RecordError, Repository};
use crate::store::ReadStore;

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
    pub fn snapshots(&self) -> Vec<Result<Snapshot, BrokenSnapshot>> {
        let read = |entry: &Entry| {
            self.snapshot(entry).map_err(|error| BrokenSnapshot {
                number: entry.header().number,
                error,
            })
        };
        self.snapshot_entries().map(read).collect()
    }

    /// One snapshot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`].
    pub fn snapshot(&self, entry: &Entry) -> Result<Snapshot, SnapshotError> {
        let verify = self
            .key()
            .verify
            .as_ref()
            .ok_or(SnapshotError::NotAllowed)?;
        let header = entry.header();
        let body = self.commit_body(entry)?.ok_or(SnapshotError::NotAllowed)?;
        let binding = entry.binding(self.id());
        let manifest = body
            .open_manifest(&binding, &verify.meta_private, &self.key().psk)
            .map_err(SnapshotError::Manifest)?;
        let refused = self.refusal(entry, &manifest);
        Ok(Snapshot {
            number: header.number,
            commit: header.commit,
            signer: header.signer,
            claimed_ms: header.claimed_ms,
            binding,
            body,
            manifest,
            refused,
        })
    }

    fn refusal(&self, entry: &Entry, manifest: &Manifest) -> Option<Refusal> {
        let signer = entry.header().signer;
        let authority = &self.history().authority;
        if authority.is_distrusted(entry) {
            let by = authority
                .grant(&signer)
                .and_then(|grant| grant.revoked)
                .map_or(0, |revoked| revoked.by);
            return Some(Refusal::Distrusted { by });
        }
        match self.facts(&signer) {
            Ok(Some(facts)) if !facts.may_write(&manifest.name) && !planted(Bug::NameUnchecked) => {
                Some(Refusal::Name)
            }
            // The administrator of genesis has no facts, and may write any.
            Ok(_) => None,
            Err(error) => Some(Refusal::Facts(error)),
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
        let index_key = self
            .key()
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
