//! Finishes packs and puts them into the store, beside the thread that fills them.
//!
//! A pack is named as soon as its bytes are final, and then it is on its way: to a store
//! nearby alone, to a distant one beside few others, so that neither waits for the other's
//! answer. Why that is safe:
//!
//! - A pack counts as published once the store says that it and every pack before it are
//!   durable. Only then is what it holds remembered, and is it journalled: so nothing that
//!   a later run adopts leans on a pack that was lost on its way.
//! - The first pack that fails ends the run with its error. Those beside it may come to
//!   stand in the store; nobody is told of them.
//! - The queue holds no pack: who hands one over waits until it can be sent. So what is in
//!   memory is what is on its way, and the one that is being filled.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::pack::{FinishedPack, PackBuilder};
use crate::progress::{Phase, Progress};
use crate::state::{Journal, JournalledPack, PackCopies, RepositoryState, Room};
use crate::store::{AppendStore, ObjectKey, StoreError, put_object};

use indelible_format::commit::NewPack;
use indelible_format::ids::PackId;
use indelible_format::planted::{Bug, planted};
use indelible_format::secret::SecretKey;

/// Packs that are on their way to a distant store at once.
const ON_THEIR_WAY_MAX: usize = 3;

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
    published: Arc<AtomicUsize>,
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
        let published = Arc::<AtomicUsize>::default();
        let publishing = Publishing {
            store,
            state,
            copies,
            journal,
            progress,
            published: Arc::clone(&published),
        };
        Self {
            queue,
            named,
            unnamed: Cell::new(0),
            published,
            thread: scope.spawn(move || publishing.publish_all(&packs, &tell)),
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

    /// How many packs are published: those that were handed over first.
    pub(super) fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// Waits until every pack is published, and gives the journal back.
    pub(super) fn finish(self) -> Result<Option<Journal>, PublishError> {
        drop(self.queue);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// What the thread works with.
struct Publishing<'env, S: ?Sized> {
    store: &'env S,
    state: Option<&'env RepositoryState>,
    copies: Option<&'env PackCopies>,
    journal: Option<Journal>,
    progress: &'env dyn Progress,
    published: Arc<AtomicUsize>,
}

/// A pack, and what became of it in the store.
type Put = (FinishedPack, Result<(), PublishError>);

impl<S: AppendStore + ?Sized> Publishing<'_, S> {
    fn publish_all(
        mut self,
        packs: &Receiver<PackBuilder>,
        tell: &Sender<Named>,
    ) -> Result<Option<Journal>, PublishError> {
        let store = self.store;
        let at_once = if store.capabilities().distant {
            ON_THEIR_WAY_MAX
        } else {
            1
        };
        self.progress.begin(Phase::Publishing, None);
        thread::scope(|scope| {
            let mut on_their_way = VecDeque::new();
            for pack in packs {
                let pack = finish(pack, tell);
                on_their_way.push_back(scope.spawn(move || put(store, pack)));
                if on_their_way.len() == at_once
                    && let Some(first) = on_their_way.pop_front()
                {
                    self.await_put(first)?;
                }
            }
            on_their_way
                .into_iter()
                .try_for_each(|put| self.await_put(put))
        })?;
        self.progress.end(Phase::Publishing);
        Ok(self.journal)
    }

    /// Waits for the pack that was sent first.
    fn await_put(&mut self, put: ScopedJoinHandle<'_, Put>) -> Result<(), PublishError> {
        let (pack, stored) = put.join().unwrap_or_else(|panic| resume_unwind(panic));
        if !planted(Bug::PackFailureIgnored) {
            stored?;
        }
        if let Some(state) = self.state {
            state.keep_directory(&pack.id, &pack.directory_copy());
        }
        if let Some(copies) = self.copies {
            copies.keep(&pack.id, &pack.bytes, Room::OfAny);
        }
        let NewPack { id, len, .. } = pack.listed();
        // Without its line the pack can't be adopted if this run dies; that is
        // no reason to let it die.
        if let Some(journal) = &mut self.journal {
            let _ = journal.add(&JournalledPack { id, len });
        }
        self.published.fetch_add(1, Ordering::Release);
        self.progress.advance(Phase::Publishing, len.into());
        Ok(())
    }
}

/// Makes a pack's bytes final, and tells its name.
fn finish(pack: PackBuilder, tell: &Sender<Named>) -> FinishedPack {
    let provisional = pack.provisional();
    let pack = pack.finish();
    let named = Named {
        provisional,
        pack: pack.listed(),
        data_key: pack.data_key.clone(),
    };
    // Nobody waits for it once the run has failed.
    let _ = tell.send(named);
    pack
}

fn put<S: AppendStore + ?Sized>(store: &S, pack: FinishedPack) -> Put {
    let stored = match put_object(store, &ObjectKey::Pack(pack.id), &pack.bytes) {
        Ok(true) => Ok(()),
        Ok(false) => Err(PublishError::Taken { pack: pack.id }),
        Err(source) => Err(PublishError::Store {
            pack: pack.id,
            source: Box::new(source),
        }),
    };
    (pack, stored)
}
