//! Finishes packs and puts them into the store, beside the thread that fills them.
//!
//! A pack is named as soon as its bytes are final. It counts as published once the
//! store says that it is durable; only then is it journalled. The queue holds no
//! pack: who hands one over waits until the one before is durable, so that at most
//! two are in memory.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::pack::{FinishedPack, PackBuilder};
use crate::progress::{Phase, Progress};
use crate::state::{Journal, JournalledPack, PackCopies, RepositoryState, Room};
use crate::store::{AppendStore, ObjectKey, StoreError, put_object};

use indelible_format::commit::NewPack;
use indelible_format::ids::PackId;
use indelible_format::planted::{Bug, planted};
use indelible_format::secret::SecretKey;

/// Why a pack was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The store failed.
    #[error("pack {} could not be stored", .pack.short())]
    Store {
        /// The pack.
        pack: PackId,
        /// Why.
        source: Box<StoreError>,
    },
    /// The name is taken by other bytes, which must have been put there on
    /// purpose.
    #[error("the store holds other bytes under the name of pack {pack}")]
    Taken {
        /// The pack.
        pack: PackId,
    },
}

/// A pack that has its name.
pub(super) struct Named {
    /// What stood for its id while it was filled.
    pub(super) provisional: PackId,
    /// As the entry will list it.
    pub(super) pack: NewPack,
    /// Under which its contents are encrypted.
    pub(super) data_key: SecretKey,
}

/// Hands filled packs to the thread that stores them.
pub(super) struct Publisher<'scope> {
    queue: SyncSender<PackBuilder>,
    named: Receiver<Named>,
    /// Packs that were handed over and whose names were not taken yet.
    unnamed: Cell<usize>,
    thread: ScopedJoinHandle<'scope, Result<Option<Journal>, PublishError>>,
}

impl<'scope> Publisher<'scope> {
    /// Starts the thread.
    pub(super) fn start<'env, S: AppendStore + ?Sized>(
        scope: &'scope Scope<'scope, 'env>,
        store: &'env S,
        (state, copies): (Option<&'env RepositoryState>, Option<&'env PackCopies>),
        journal: Option<Journal>,
        progress: &'env dyn Progress,
    ) -> Self {
        let (queue, packs) = sync_channel(0);
        let (tell, named) = channel();
        let thread = scope
            .spawn(move || publish_all(store, (state, copies), journal, progress, &packs, &tell));
        Self {
            queue,
            named,
            unnamed: Cell::new(0),
            thread,
        }
    }

    /// Hands over a pack. False: the thread has failed, and
    /// [`finish`](Self::finish) says why.
    pub(super) fn put(&self, pack: PackBuilder) -> bool {
        self.unnamed.set(self.unnamed.get() + 1);
        self.queue.send(pack).is_ok()
    }

    /// The names of all packs that were handed over since the last call, in that
    /// order; `None` if the thread has failed.
    pub(super) fn names(&self) -> Option<Vec<Named>> {
        let count = self.unnamed.take();
        let names: Vec<Named> = self.named.iter().take(count).collect();
        (names.len() == count).then_some(names)
    }

    /// Waits until every pack is durable, and gives the journal back.
    pub(super) fn finish(self) -> Result<Option<Journal>, PublishError> {
        drop(self.queue);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn publish_all<S: AppendStore + ?Sized>(
    store: &S,
    (state, copies): (Option<&RepositoryState>, Option<&PackCopies>),
    mut journal: Option<Journal>,
    progress: &dyn Progress,
    packs: &Receiver<PackBuilder>,
    tell: &Sender<Named>,
) -> Result<Option<Journal>, PublishError> {
    progress.begin(Phase::Publishing, None);
    for pack in packs {
        let provisional = pack.provisional();
        let pack = pack.finish();
        let len = u32::try_from(pack.bytes.len()).expect("a pack is at most 32 MiB");
        let named = Named {
            provisional,
            pack: NewPack {
                id: pack.id,
                len,
                sha256: pack.sha256,
            },
            data_key: pack.data_key.clone(),
        };
        // Nobody waits for it once the run has failed.
        let _ = tell.send(named);
        let stored = put(store, &pack);
        if !planted(Bug::PackFailureIgnored) {
            stored?;
        }
        if let Some(state) = state {
            state.keep_directory(&pack.id, &pack.directory_copy());
        }
        if let Some(copies) = copies {
            copies.keep(&pack.id, &pack.bytes, Room::OfAny);
        }
        // Without its line the pack can't be adopted if this run dies; that is
        // no reason to let it die.
        if let Some(journal) = &mut journal {
            let _ = journal.add(&JournalledPack { id: pack.id, len });
        }
        progress.advance(Phase::Publishing, len.into());
    }
    progress.end(Phase::Publishing);
    Ok(journal)
}

fn put<S: AppendStore + ?Sized>(store: &S, pack: &FinishedPack) -> Result<(), PublishError> {
    match put_object(store, &ObjectKey::Pack(pack.id), &pack.bytes) {
        Ok(true) => Ok(()),
        Ok(false) => Err(PublishError::Taken { pack: pack.id }),
        Err(source) => Err(PublishError::Store {
            pack: pack.id,
            source: Box::new(source),
        }),
    }
}
