//! Walks the sources of a snapshot and writes the entry list over them.

use std::io::Read;

use indelible_format::node::Root;
use indelible_format::page::{Content, EntryKind, TreeEntry};
use indelible_format::path::EntryPath;

use super::before::{Before, SMALL, TABLES};
use super::cutter::{Cut, Cutter, Cutting};
use super::feed::{Buffer, flow};
use super::intake::Intake;
use super::shared_stream::{SharedStream, Tables};
use super::{CommandInput, Input, SnapshotRunError, Stored, WalkError, check, placed};
use crate::cancel::Cancel;
use crate::progress::{Note, Phase, Progress};
use crate::source::{self, Change, FileItem, Item};
use crate::sql::Scanner;
use crate::tree::Pager;

/// Files below this size share one stream (SPEC 8.5).
const SMALL_FILE_BYTES: u64 = 64 << 10;

/// Stores items one after the other.
pub(super) struct Walk<'k, 'b, 'w, 'scope> {
    cutting: &'k Cutting<'k>,
    before: &'k Before<'b>,
    intake: Intake<'k, 'w, 'scope>,
    cancel: &'k Cancel,
    progress: &'k dyn Progress,
    pager: Pager,
    small: SharedStream<'k>,
    tables: Tables<'k>,
    /// Buffers that no stream uses now.
    spare: Vec<Buffer>,
    entries: u64,
    content_bytes: u64,
    changed: Vec<(String, Change)>,
    /// The entry before, and whether others may stand below it.
    last: Option<(EntryPath, bool)>,
}

impl<'k, 'b, 'w, 'scope> Walk<'k, 'b, 'w, 'scope> {
    pub(super) fn new(
        cutting: &'k Cutting<'k>,
        before: &'k Before<'b>,
        mut intake: Intake<'k, 'w, 'scope>,
        cancel: &'k Cancel,
        progress: &'k dyn Progress,
    ) -> Self {
        let small = SharedStream::begin(SMALL, cutting, before, &mut intake);
        let tables = SharedStream::begin(TABLES, cutting, before, &mut intake);
        Self {
            cutting,
            before,
            intake,
            cancel,
            progress,
            pager: Pager::new(),
            small,
            tables: Tables::new(tables),
            spare: Vec::new(),
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
        let small = self.small.finish(&mut self.intake)?;
        let contents = self.tables.finish(&mut self.intake)?;
        let (mut writer, lists) = self.intake.finish();
        let list = self.pager.finish(self.cutting.node_id, &mut writer)?;
        let list = list.ok_or(SnapshotRunError::NoEntries)?;
        writer.flush()?;
        Ok(Stored {
            list: placed(list, &writer)?,
            small: small.map(|root| placed(root, &writer)).transpose()?,
            contents: contents.map(|root| placed(root, &writer)).transpose()?,
            entries: self.entries,
            content_bytes: self.content_bytes,
            written: writer.finish(),
            lists,
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
            .push(&entry, self.cutting.node_id, &mut self.intake.writer)?)
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
            SMALL_FILE_BYTES => content_of(self.content(&file.path, &head, &mut reader, &|| {})?),
            len => {
                let mut scanner = Scanner::new();
                scanner.feed(&head);
                self.tables.add(&file.path, scanner, &mut self.intake)?;
                let offset = self.small.add(&head, &mut self.intake)?;
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

    fn stream(&mut self, path: EntryPath, reader: &mut (dyn Read + Send)) -> Result<(), WalkError> {
        let root = self.content(&path, &[], reader, &|| {})?;
        let root = root.ok_or_else(|| SnapshotRunError::EmptyStream {
            path: path.to_string(),
        })?;
        self.entry(
            path,
            EntryKind::Stream {
                content: Content::Own(root),
            },
        )
    }

    fn command(&mut self, path: EntryPath, input: CommandInput) -> Result<(), WalkError> {
        let failed = |source| SnapshotRunError::Command {
            path: path.to_string(),
            source,
        };
        let (mut output, running) = source::start(&input.command, input.stderr).map_err(failed)?;
        let switch = running.kill_switch();
        self.cancel.watch(Some(running.kill_switch()));
        let root = self.content(&path, &[], &mut output, &|| switch.kill());
        self.cancel.watch(None);
        // An interrupt reads as a short, failed command; say what it was.
        check(self.cancel)?;
        let root = root?;
        let len = root.as_ref().map_or(0, |root| root.len);
        running.finish(len).map_err(failed)?;
        let content = content_of(root);
        self.entry(path, EntryKind::Stream { content })
    }

    /// Stores a stream that begins with `head` and goes on with what the reader
    /// gives, and gives its root; `None` if it has no bytes. `stop` ends a reader
    /// that may wait for ever.
    fn content(
        &mut self,
        path: &EntryPath,
        head: &[u8],
        reader: &mut (dyn Read + Send),
        stop: &dyn Fn(),
    ) -> Result<Option<Root>, WalkError> {
        let (cancel, progress) = (self.cancel, self.progress);
        let mut scanner = Scanner::new();
        let mut fill = |buffer: &mut Buffer, head: &[u8]| -> Result<bool, WalkError> {
            check(cancel)?;
            let filled = buffer.fill(head, reader);
            let (read, ended) = filled.map_err(|source| SnapshotRunError::Stream {
                path: path.to_string(),
                source,
            })?;
            progress.advance(Phase::Reading, read as u64);
            scanner.feed(buffer.content());
            Ok(ended)
        };
        let room = self.cutting.chunker.lookahead();
        let first = self.spare.pop();
        let mut first = first.unwrap_or_else(|| Buffer::new(room));
        let mut cutter = Cutter::new(self.cutting, self.before.past(path.as_bytes()));
        let mut stream = self.intake.begin(path.as_bytes());
        let intake = &mut self.intake;
        let mut take = |buffer: &Buffer, cuts: &[Cut]| -> Result<(), WalkError> {
            Ok(intake.take(&mut stream, buffer.content(), cuts)?)
        };
        if fill(&mut first, head)? {
            let cuts = cutter.cut(first.content(), true);
            take(&first, &cuts)?;
            self.spare.push(first);
        } else {
            let spare = std::mem::take(&mut self.spare);
            let fill = |buffer: &mut Buffer| fill(buffer, &[]);
            self.spare = flow(first, spare, cutter, fill, take, stop)?;
        }
        let ended = self.intake.end(stream, path.as_bytes())?;
        self.tables.add(path, scanner, &mut self.intake)?;
        Ok(ended)
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
