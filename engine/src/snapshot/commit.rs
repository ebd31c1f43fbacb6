//! Seals what was stored, and commits it.
//!
//! By now every pack is durable. Each pack of earlier snapshots that this one
//! leans on is checked to be there right before the log entry is signed, and
//! again if another writer took the number: signing asserts that all of it
//! exists. By then it is locked too, for as long as is promised ([`super::locking`]).

use std::collections::BTreeSet;

use indelible_format::commit::{
    Binding, CommitBody, CommitKeys, CommitRandomness, NewPack, Reach, SnapshotBody,
};
use indelible_format::entry::{BODY_BYTES_MAX, Body};
use indelible_format::history::History;
use indelible_format::ids::{CommitId, DomainId, PackId, RecordId};
use indelible_format::manifest::Manifest;
use indelible_format::planted::{Bug, planted};
use indelible_format::secret::SecretKey;

use super::SnapshotRunError;
use super::locking::{Locked, Locking};
use super::writer::Written;
use crate::log::AppendError;
use crate::progress::{Note, Phase, Progress};
use crate::repository::{Listings, Repository};
use crate::retention::InForce;
use crate::store::{AppendStore, ObjectKey, put_object};

/// What became of a commit.
pub(super) struct Committed {
    /// Number of its entry.
    pub(super) number: u64,
    /// What became of its locks.
    pub(super) locked: Locked,
}

/// Seals and commits what was stored.
pub(super) fn commit_snapshot<S: AppendStore + ?Sized>(
    repository: &mut Repository<'_, S>,
    commit: CommitId,
    manifest: &Manifest,
    written: Written,
    listings: &Listings,
    policy: Option<&InForce>,
    progress: &dyn Progress,
) -> Result<Committed, SnapshotRunError> {
    progress.begin(Phase::Committing, None);
    let domain = repository.key().domain;
    let reached = |pack: &PackId| {
        let listed = listings
            .get(&domain, pack)
            .expect("the index holds listed packs only");
        (listed.entry, listed.place)
    };
    let reach = Reach::collect(written.reused.iter().map(reached));
    let mut locking = Locking::begin(repository, manifest, policy);
    locking.need(repository, &written, listings);
    let body = seal_commit(
        repository,
        commit,
        manifest,
        (written.packs, locking.until_ms()),
        &reach,
    )?;
    let inline = SnapshotBody::Inline(body.clone());
    let body = if inline.encode().len() <= BODY_BYTES_MAX {
        inline
    } else {
        store_record(repository.store(), &body)?
    };
    if let SnapshotBody::Record { id, .. } = &body {
        locking.need_record(*id);
    }

    let store = repository.store();
    let mut first = true;
    let number = repository.append(
        commit,
        |history: &History| -> Result<Body, SnapshotRunError> {
            if !std::mem::take(&mut first) {
                progress.note(Note::LogNumberTaken {
                    number: history.next - 1,
                });
            }
            check_reach(store, &domain, &written.reused, listings)?;
            locking.lock(history.next);
            Ok(Body::Snapshot(body.clone()))
        },
    );
    let number = number.map_err(|error| match error {
        AppendError::Draft(error) => error,
        other => Box::new(other).into(),
    })?;
    let locked = locking.finish(number);
    progress.end(Phase::Committing);
    Ok(Committed { number, locked })
}

fn seal_commit<S: AppendStore + ?Sized>(
    repository: &Repository<'_, S>,
    commit: CommitId,
    manifest: &Manifest,
    (packs, retain_until_ms): (Vec<NewPack>, Option<u64>),
    reach: &Reach,
) -> Result<CommitBody, SnapshotRunError> {
    let (key, env) = (repository.key(), repository.env());
    let index = &key
        .write
        .as_ref()
        .ok_or(SnapshotRunError::NoWrite { held: key.rights() })?
        .index;
    let binding = Binding {
        repository: repository.id(),
        commit,
        domain: key.domain,
        epoch: key.epoch,
    };
    let keys = CommitKeys {
        index,
        meta_public: &key.meta_public,
        psk: &key.psk,
    };
    let random = CommitRandomness {
        salt: env.random(),
        manifest_key: SecretKey::new(env.random()),
        wrap: env.random(),
    };
    Ok(CommitBody::seal(
        &binding,
        packs,
        retain_until_ms,
        reach,
        manifest,
        keys,
        &random,
    )?)
}

fn store_record<S: AppendStore + ?Sized>(
    store: &S,
    body: &CommitBody,
) -> Result<SnapshotBody, SnapshotRunError> {
    let bytes = body.encode();
    let len = u32::try_from(bytes.len()).ok();
    let len = len.filter(|_| CommitBody::decode(&bytes).is_ok());
    let len = len.ok_or(SnapshotRunError::CommitTooLarge {
        size_bytes: bytes.len(),
    })?;
    let id = RecordId::of(&bytes);
    let key = ObjectKey::Record(id);
    if put_object(store, &key, &bytes).map_err(SnapshotRunError::Record)? {
        Ok(SnapshotBody::Record { id, len })
    } else {
        Err(SnapshotRunError::RecordTaken { id })
    }
}

/// Checks that each reused pack is there, with the length that its entry lists.
fn check_reach<S: AppendStore + ?Sized>(
    store: &S,
    domain: &DomainId,
    reused: &BTreeSet<PackId>,
    listings: &Listings,
) -> Result<(), SnapshotRunError> {
    if planted(Bug::ReachUnchecked) {
        return Ok(());
    }
    for pack in reused {
        let expected = listings
            .get(domain, pack)
            .map(|listed| u64::from(listed.pack.len));
        match store.size(&ObjectKey::Pack(*pack)) {
            Ok(size) if Some(size) == expected => {}
            Ok(_) => {
                return Err(SnapshotRunError::ReachLost {
                    pack: *pack,
                    source: None,
                });
            }
            Err(error) => {
                return Err(SnapshotRunError::ReachLost {
                    pack: *pack,
                    source: Some(Box::new(error)),
                });
            }
        }
    }
    Ok(())
}
