//! Walks the sources of a snapshot and writes the entry list over them.

use std::io::Read;

use indelible_format::node::Root;
use indelible_format::page::{Content, EntryKind, TreeEntry};
use indelible_format::path::EntryPath;

use super::ingest::{Cutting, Ingest};
use super::writer::Writer;
use super::{CommandInput, Input, SnapshotRunError, Stored, WalkError, check, placed};
use crate::cancel::Cancel;
use crate::progress::{Note, Phase, Progress};
use crate::source::{self, Change, FileItem, Item};
use crate::tree::Pager;

/// Files below this size share one stream (SPEC 8.5).
const SMALL_FILE_BYTES: u64 = 64 << 10;

/// Stores items one after the other.
pub(super) struct Walk<'k, 'w, 'scope> {
    cutting: &'k Cutting<'k>,
    writer: Writer<'w, 'scope>,
    cancel: &'k Cancel,
    progress: &'k dyn Progress,
    pager: Pager,
    small: Ingest<'k>,
    entries: u64,
    content_bytes: u64,
    changed: Vec<(String, Change)>,
    /// The entry before, and whether others may stand below it.
    last: Option<(EntryPath, bool)>,
}

impl<'k, 'w, 'scope> Walk<'k, 'w, 'scope> {
    pub(super) fn new(
        cutting: &'k Cutting<'k>,
        writer: Writer<'w, 'scope>,
        cancel: &'k Cancel,
        progress: &'k dyn Progress,
    ) -> Self {
        Self {
            cutting,
            writer,
            cancel,
            progress,
            pager: Pager::new(),
            small: Ingest::new(cutting),
            entries: 0,
            content_bytes: 0,
            changed: Vec::new(),
            last: None,
        }
    }

    pub(super) fn run(mut self, input: Input) -> Result<Stored, WalkError> {
        match input {
            Input::Items(items) => {
                self.progress.begin(Phase::Reading, known_size(&items));
                for item in items {
                    check(self.cancel)?;
                    self.item(item)?;
                }
            }
            Input::Commands(commands) => {
                self.progress.begin(Phase::Reading, None);
                for (path, command) in arranged(commands)? {
                    check(self.cancel)?;
                    self.command(path, command)?;
                }
            }
        }
        self.progress.end(Phase::Reading);
        let small = self.small.finish(&mut self.writer)?;
        let list = self.pager.finish(self.cutting.node_id, &mut self.writer)?;
        let list = list.ok_or(SnapshotRunError::NoEntries)?;
        self.writer.flush()?;
        Ok(Stored {
            list: placed(list, &self.writer),
            small: small.map(|root| placed(root, &self.writer)),
            entries: self.entries,
            content_bytes: self.content_bytes,
            written: self.writer.finish(),
            changed: self.changed,
        })
    }

    fn item(&mut self, item: Item) -> Result<(), WalkError> {
        match item {
            Item::File(file) => self.file(&file),
            Item::Directory { path, metadata } => {
                self.entry(path, EntryKind::Directory { metadata })
            }
            Item::Symlink {
                path,
                metadata,
                target,
            } => self.entry(path, EntryKind::Symlink { metadata, target }),
            Item::Stream { path, mut reader } => self.stream(path, &mut *reader),
        }
    }

    fn entry(&mut self, path: EntryPath, kind: EntryKind) -> Result<(), WalkError> {
        let directory = matches!(kind, EntryKind::Directory { .. });
        if let Some((before, may_hold)) = self.last.take() {
            check_order(&before, may_hold, &path)?;
        }
        self.last = Some((path.clone(), directory));
        let entry = TreeEntry { path, kind };
        self.entries += 1;
        self.content_bytes += entry.content().map_or(0, Content::len);
        Ok(self
            .pager
            .push(&entry, self.cutting.node_id, &mut self.writer)?)
    }

    fn file(&mut self, file: &FileItem) -> Result<(), WalkError> {
        let mut reader = file.open().map_err(SnapshotRunError::from)?;
        let shown = || file.path.to_string();
        // Decided by what the file holds, not by what its size said.
        let mut head = Vec::new();
        let failed = |source| SnapshotRunError::Stream {
            path: shown(),
            source,
        };
        (&mut reader)
            .take(SMALL_FILE_BYTES)
            .read_to_end(&mut head)
            .map_err(failed)?;
        self.progress.advance(Phase::Reading, head.len() as u64);
        let content = match head.len() as u64 {
            0 => Content::Empty,
            SMALL_FILE_BYTES => {
                let mut ingest = Ingest::new(self.cutting);
                ingest.extend(&head);
                drop(head);
                self.ingest(&mut ingest, &mut reader, &shown())?;
                content_of(ingest.finish(&mut self.writer)?)
            }
            len => {
                let offset = self.small.len();
                self.small.extend(&head);
                self.small.process(&mut self.writer)?;
                Content::Small { offset, len }
            }
        };
        let read = reader.finish().map_err(SnapshotRunError::from)?;
        if let Some(change) = read.change {
            self.progress.note(Note::SourceChanged { path: shown() });
            self.changed.push((shown(), change));
        }
        self.entry(
            file.path.clone(),
            EntryKind::File {
                metadata: read.metadata,
                content,
            },
        )
    }

    fn stream(&mut self, path: EntryPath, reader: &mut dyn Read) -> Result<(), WalkError> {
        let shown = path.to_string();
        let mut ingest = Ingest::new(self.cutting);
        self.ingest(&mut ingest, reader, &shown)?;
        let root = ingest.finish(&mut self.writer)?;
        let root = root.ok_or(SnapshotRunError::EmptyStream { path: shown })?;
        self.entry(
            path,
            EntryKind::Stream {
                content: Content::Own(root),
            },
        )
    }

    fn command(&mut self, path: EntryPath, input: CommandInput) -> Result<(), WalkError> {
        let shown = || path.to_string();
        let failed = |source| SnapshotRunError::Command {
            path: shown(),
            source,
        };
        let (mut output, running) = source::start(&input.command, input.stderr).map_err(failed)?;
        self.cancel.watch(Some(running.kill_switch()));
        let mut ingest = Ingest::new(self.cutting);
        let read = self.ingest(&mut ingest, &mut output, &shown());
        self.cancel.watch(None);
        // An interrupt reads as a short, failed command; say what it was.
        check(self.cancel)?;
        read?;
        let len = ingest.len();
        let root = ingest.finish(&mut self.writer)?;
        running.finish(len).map_err(failed)?;
        let content = content_of(root);
        self.entry(path, EntryKind::Stream { content })
    }

    /// Reads to the end.
    fn ingest(
        &mut self,
        ingest: &mut Ingest<'k>,
        reader: &mut dyn Read,
        shown: &str,
    ) -> Result<(), WalkError> {
        loop {
            check(self.cancel)?;
            let read = ingest
                .fill(reader)
                .map_err(|source| SnapshotRunError::Stream {
                    path: shown.to_owned(),
                    source,
                })?;
            if read == 0 {
                return Ok(());
            }
            self.progress.advance(Phase::Reading, read as u64);
            ingest.process(&mut self.writer)?;
        }
    }
}

/// Commands in the order of their paths.
fn arranged(
    commands: Vec<CommandInput>,
) -> Result<Vec<(EntryPath, CommandInput)>, SnapshotRunError> {
    let mut arranged = Vec::with_capacity(commands.len());
    for command in commands {
        arranged.push((source::stream_path(command.path.clone())?, command));
    }
    arranged.sort_by(|(a, _), (b, _)| a.cmp(b));
    // Said now rather than after the first dump.
    for pair in arranged.windows(2) {
        check_order(&pair[0].0, false, &pair[1].0)?;
    }
    Ok(arranged)
}

/// Checks what a reader will (SPEC 8.3, 8.4). What is below a path stands
/// directly behind it, so the entry before is the only one to be compared.
fn check_order(
    before: &EntryPath,
    may_hold: bool,
    path: &EntryPath,
) -> Result<(), SnapshotRunError> {
    if before < path && (may_hold || !path.is_within(before)) {
        Ok(())
    } else {
        Err(SnapshotRunError::Order {
            before: before.clone(),
            path: path.clone(),
        })
    }
}

fn content_of(root: Option<Root>) -> Content {
    root.map_or(Content::Empty, Content::Own)
}

/// The bytes to be read, if all items are files, directories and links.
fn known_size(items: &[Item]) -> Option<u64> {
    items
        .iter()
        .map(|item| match item {
            Item::File(file) => Some(file.size_hint),
            Item::Directory { .. } | Item::Symlink { .. } => Some(0),
            Item::Stream { .. } => None,
        })
        .sum()
}
