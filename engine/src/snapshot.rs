//! Writes sources into a repository.
//!
//! Bytes become chunks, chunks become packs; then comes the commit record, and
//! last the log entry. That order is the safety argument (SPEC 9.2): nothing is
//! written before everything that it names is durable. A crash leaves packs that
//! nobody refers to; it can't leave a snapshot that names missing data. A source
//! that fails, or a dump command that does, ends the run before the commit.
//!
//! This module never deletes or overwrites. It holds an [`AppendStore`], which
//! offers neither.

mod before;
mod code;
mod commit;
mod cutter;
mod error;
mod feed;
mod intake;
mod kept;
mod lean;
mod locking;
mod near;
mod prepare;
mod publish;
mod shared_stream;
mod source_items;
mod writer;

use std::thread;

use indelible_format::ids::CommitId;
use indelible_format::limits::MANIFEST_BYTES_MAX;
use indelible_format::manifest::{Accounting, Manifest, Source};
use indelible_format::name::Name;
use indelible_format::node::{PlacedRoot, Root};
use indelible_format::pack::PackRecipients;
use indelible_format::rights::Kind;

use crate::cancel::Cancel;
use crate::chunker::Chunker;
use crate::progress::{Note, Progress};
use crate::repository::Repository;
use crate::source::{Change, CommandSpec, Item, Stderr};
use crate::state::{ListWriter, PackCopies};
use crate::store::AppendStore;
use before::{Before, last_snapshot};
use commit::{Committed, commit_snapshot};
use cutter::Cutting;
pub use error::SnapshotRunError;
use intake::Intake;
use kept::{Kept, PackKeys};
pub use locking::Locked;
use near::NearStore;
use prepare::Prepared;
pub use publish::PublishError;
use publish::Publisher;
use source_items::Walk;
use writer::{WriteError, Writer, Written};

/// Level of zstd for new chunks, unless another is asked for: what it is weighed
/// against stands in `benches/RESULTS.md`.
pub const COMPRESSION_LEVEL: i32 = 3;

/// Labels, and paths or command lines, of one snapshot.
const NOTES_MAX: usize = 1_024;
/// All of them together, bytes: the rest of a manifest takes less than 4 KiB.
const NOTES_BYTES_MAX: usize = MANIFEST_BYTES_MAX - (4 << 10);

/// What to store.
pub enum Input {
    /// Files, directories, links and streams, in the order of their paths.
    Items(Vec<Item>),
    /// The standard output of commands, run one after the other.
    Commands(Vec<CommandInput>),
}

/// A command whose output becomes an entry.
pub struct CommandInput {
    /// Where it is stored.
    pub path: Vec<u8>,
    /// What to run.
    pub command: CommandSpec,
    /// Where its standard error goes.
    pub stderr: Stderr,
}

/// What a snapshot is to be called, and what is to be noted of it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its series.
    pub name: Name,
    /// The host that it is made on.
    pub host: Option<String>,
    /// Labels; sorted here.
    pub labels: Vec<String>,
    /// Where the bytes come from, for the manifest.
    pub source: Source,
    /// The program, for the manifest.
    pub program: Option<String>,
    /// Level of zstd for chunks that are no deltas; what is none of zstd's is taken
    /// for the nearest that is.
    pub level: i32,
    /// Whether chunks may be stored as deltas, and the keys of their packs be
    /// remembered where that takes them.
    pub delta: bool,
    /// So many bytes of packs, sealed as they are, the client keeps copies of, to read
    /// what deltas lean on; `None` keeps and removes none.
    pub keep_packs: Option<u64>,
    /// Whether what the snapshot needs is locked for as long as the repository promises;
    /// if not, another does it.
    pub lock: bool,
}

/// What a snapshot came to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its number in the log.
    pub number: u64,
    /// Its commit id.
    pub commit: CommitId,
    /// Entries that it holds.
    pub entries: u64,
    /// Bytes of content read.
    pub content_bytes: u64,
    /// What was new.
    pub accounting: Accounting,
    /// Packs that it added.
    pub packs: usize,
    /// Files that changed while they were read, by path.
    pub changed: Vec<(String, Change)>,
    /// What became of its locks.
    pub locked: Locked,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

fn check(cancel: &Cancel) -> Result<(), SnapshotRunError> {
    if cancel.is_requested() {
        Err(SnapshotRunError::Interrupted)
    } else {
        Ok(())
    }
}

/// Takes a snapshot and commits it.
///
/// # Errors
///
/// [`SnapshotRunError`]. Nothing was committed, unless it holds
/// [`AppendError::Unknown`](crate::log::AppendError::Unknown).
pub fn run<S: AppendStore + ?Sized>(
    repository: &mut Repository<'_, S>,
    request: &Request,
    input: Input,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<Summary, SnapshotRunError> {
    let clock = repository.env().clock.clone();
    let (started_ms, began) = (clock.now_unix_ms(), clock.monotonic_ms());
    may_write(repository, &request.name)?;
    check_notes(request)?;
    // Who leaves locking to another may not be allowed to lock what it puts, either.
    let policy = repository.policy().filter(|_| request.lock);
    if let Some(policy) = &policy {
        policy.begin(repository.store());
    }
    let commit = CommitId(repository.env().random());
    let mut prepared = prepare::prepare(repository, &commit, progress)?;
    let kept = Kept::of(repository, &request.name);
    let remembered = kept.keys(repository, request.delta);
    let copies = Kept::copies(repository, &remembered, request.keep_packs);
    let lists = kept.begin(&commit, repository.env().random());
    let job = Job {
        request,
        kept,
        remembered: &remembered,
        copies: copies.as_ref(),
        cancel,
        progress,
    };
    let stored = store(repository, input, lists, &mut prepared, job)?;
    check(cancel)?;

    let Stored {
        list,
        small,
        contents,
        entries,
        content_bytes,
        written,
        lists,
        changed,
    } = stored;
    let accounting = Accounting {
        new_bytes: written.new_bytes,
        new_chunks: written.new_chunks,
        delta_chunks: written.delta_chunks,
        added_bytes: written.packs.iter().map(|pack| u64::from(pack.len)).sum(),
    };
    let mut labels = request.labels.clone();
    labels.sort();
    labels.dedup();
    let manifest = Manifest {
        name: request.name.clone(),
        host: request.host.clone(),
        labels,
        list,
        small,
        entries,
        content_bytes,
        source: request.source.clone(),
        accounting,
        started_ms,
        finished_ms: clock.now_unix_ms(),
        program: request.program.clone(),
        contents,
    };
    let packs = written.packs.len();
    let lists = lists.and_then(|lists| remembered.keep(lists, &written));
    let adopted_journals = std::mem::take(&mut prepared.adopted_journals);
    let Committed { number, locked } = commit_snapshot(
        repository,
        commit,
        &manifest,
        written,
        &prepared.listings,
        policy.as_ref(),
        progress,
    )?;
    // What the journals named is committed now, or was not needed: in both cases
    // they have done their work, and a left one does no harm.
    for journal in prepared.journal.into_iter().chain(adopted_journals) {
        let _ = journal.close();
    }
    // Without them the next snapshot guesses less.
    if let Some(lists) = lists {
        let _ = lists.commit(number);
    }
    let took_ms = clock.monotonic_ms().saturating_sub(began);
    Ok(Summary {
        number,
        commit,
        entries,
        content_bytes,
        accounting,
        packs,
        changed,
        locked,
        took_ms,
    })
}

/// Checks rights before any work is done. Every reader checks them again.
fn may_write<S: AppendStore + ?Sized>(
    repository: &Repository<'_, S>,
    name: &Name,
) -> Result<(), SnapshotRunError> {
    let key = repository.key();
    if key.write.is_none() {
        return Err(SnapshotRunError::NoWrite { held: key.rights() });
    }
    if !key.facts.may_write(name) {
        let allowed = key
            .facts
            .patterns()
            .iter()
            .map(ToString::to_string)
            .collect();
        return Err(SnapshotRunError::NotThisName {
            name: name.clone(),
            allowed,
        });
    }
    repository
        .forbids(Kind::Snapshot)
        .map_or(Ok(()), |forbidden| Err(forbidden.into()))
}

/// Checks that a manifest has room for what is to be noted (SPEC 7.4), before
/// hours are spent on a snapshot that nobody could read.
fn check_notes(request: &Request) -> Result<(), SnapshotRunError> {
    let source: &[String] = match &request.source {
        Source::Paths(texts) | Source::Commands(texts) => texts,
        Source::Stdin => &[],
    };
    let lists = [request.labels.as_slice(), source];
    let fits = lists.iter().all(|list| {
        let short = list.iter().all(|text| u16::try_from(text.len()).is_ok());
        list.len() <= NOTES_MAX && short
    });
    let single = [&request.host, &request.program];
    let texts = lists
        .into_iter()
        .flatten()
        .chain(single.into_iter().flatten());
    let size_bytes: usize = texts.map(|text| 2 + text.len()).sum();
    if fits && size_bytes <= NOTES_BYTES_MAX {
        Ok(())
    } else {
        Err(SnapshotRunError::Notes)
    }
}

/// What was stored, before it is committed.
struct Stored {
    list: PlacedRoot,
    small: Option<PlacedRoot>,
    contents: Option<PlacedRoot>,
    entries: u64,
    content_bytes: u64,
    written: Written,
    /// The client's own lists of what the streams became.
    lists: Option<ListWriter>,
    changed: Vec<(String, Change)>,
}

/// What storing needs to know of a snapshot.
struct Job<'j> {
    request: &'j Request,
    /// What the client kept of snapshots before.
    kept: Kept,
    remembered: &'j PackKeys,
    copies: Option<&'j PackCopies>,
    cancel: &'j Cancel,
    progress: &'j dyn Progress,
}

/// Stores everything that the snapshot names, durably.
fn store<S: AppendStore + ?Sized>(
    repository: &Repository<'_, S>,
    input: Input,
    lists: Option<ListWriter>,
    prepared: &mut Prepared<'_>,
    job: Job<'_>,
) -> Result<Stored, SnapshotRunError> {
    let key = repository.key();
    let domain_keys = key
        .write
        .as_ref()
        .ok_or(SnapshotRunError::NoWrite { held: key.rights() })?;
    let chunker = Chunker::new(
        &repository.history().authority.genesis().chunker,
        &domain_keys.gear,
    );
    let cutting = Cutting {
        chunker,
        data_id: &domain_keys.data_id,
        node_id: &domain_keys.node_id,
    };
    let recipients = PackRecipients {
        repository: repository.id(),
        domain: key.domain,
        epoch: key.epoch,
        data_public: &key.data_public,
        meta_public: &key.meta_public,
        psk: &key.psk,
    };
    let index = std::mem::take(&mut prepared.index);
    let adopted = std::mem::take(&mut prepared.adopted);
    let journal = prepared.journal.take();
    let last = match &job.kept.latest {
        Some(_) => None,
        None => last_snapshot(repository, &prepared.listings, &job.request.name),
    };
    let listings = &prepared.listings;
    let near = NearStore::new(repository.store(), job.copies, listings, key.domain);
    let lean = job.kept.lean(repository, &near, listings, job.remembered);
    if job
        .kept
        .is_forgotten(repository, job.remembered, last.is_some())
    {
        job.progress.note(Note::NothingToLeanOn);
    }
    let before = match (job.kept.latest, &last) {
        (Some(lists), _) => Before::Lists(lists),
        (None, Some((reader, snapshot))) => Before::of_tree(reader, snapshot),
        (None, None) => Before::Unknown,
    };
    let stored = thread::scope(|scope| {
        let publisher = Publisher::start(
            scope,
            repository.store(),
            (repository.state(), job.copies),
            journal,
            job.progress,
        );
        let env = repository.env();
        let writer = Writer::new(
            recipients,
            &domain_keys.index,
            env,
            index,
            adopted,
            &publisher,
        );
        let intake = Intake::new(writer, cutting.node_id, lists, lean, job.request.level);
        let walked = Walk::new(&cutting, &before, intake, job.cancel, job.progress).run(input);
        let walked = match walked {
            Ok(walked) => Ok(walked),
            // The publisher's own error says more than "it failed".
            Err(WalkError::Write(WriteError::Publisher)) => Err(None),
            Err(WalkError::Write(WriteError::Seal(error))) => Err(Some(error.into())),
            Err(WalkError::Write(WriteError::IndexLost)) => Err(Some(SnapshotRunError::IndexLost)),
            Err(WalkError::Source(error)) => Err(Some(*error)),
        };
        // Nothing is committed before every pack is durable.
        match (publisher.finish(), walked) {
            (_, Err(Some(error))) => Err(error),
            (Err(error), _) => Err(error.into()),
            (Ok(journal), Ok(stored)) => Ok((journal, stored)),
            (Ok(_), Err(None)) => unreachable!("a publisher that ended well took every pack"),
        }
    });
    let (journal, stored) = stored?;
    prepared.journal = journal;
    Ok(stored)
}

/// Why the sources could not be stored.
enum WalkError {
    Source(Box<SnapshotRunError>),
    Write(WriteError),
}

impl From<WriteError> for WalkError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<SnapshotRunError> for WalkError {
    fn from(error: SnapshotRunError) -> Self {
        Self::Source(Box::new(error))
    }
}

/// Gives a root the place of its node, which was stored with its stream.
fn placed(root: Root, writer: &Writer<'_, '_>) -> Result<PlacedRoot, WriteError> {
    let place = writer.place(&root.id).ok_or(WriteError::IndexLost)?;
    Ok(PlacedRoot { root, place })
}
