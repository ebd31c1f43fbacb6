//! Streams that entries share: the contents of small files, and the tables of contents
//! of dumps.

use indelible_format::limits::CONTENTS_BYTES_MAX;
use indelible_format::node::Root;
use indelible_format::path::EntryPath;

use super::WalkError;
use super::before::Before;
use super::cutter::{Cutter, Cutting};
use super::feed::BATCH_BYTES;
use super::intake::{Intake, Stream};
use crate::sql::Scanner;

/// A stream that is put together from pieces.
pub(super) struct SharedStream<'k> {
    path: &'static [u8],
    cutter: Cutter<'k, 'k>,
    stream: Stream,
    /// What is not stored yet.
    bytes: Vec<u8>,
    /// Length of the stream so far, bytes.
    len: u64,
}

impl<'k> SharedStream<'k> {
    /// Begins the stream at a path that no entry has.
    pub(super) fn begin(
        path: &'static [u8],
        cutting: &'k Cutting<'k>,
        before: &'k Before<'_>,
        intake: &mut Intake<'k, '_, '_>,
    ) -> Self {
        Self {
            path,
            cutter: Cutter::new(cutting, before.past(path)),
            stream: intake.begin(path),
            bytes: Vec::new(),
            len: 0,
        }
    }

    /// Adds a piece, and says where it begins.
    pub(super) fn add(
        &mut self,
        piece: &[u8],
        intake: &mut Intake<'_, '_, '_>,
    ) -> Result<u64, WalkError> {
        let offset = self.len;
        self.bytes.extend_from_slice(piece);
        self.len += piece.len() as u64;
        if self.bytes.len() >= BATCH_BYTES {
            self.store(false, intake)?;
        }
        Ok(offset)
    }

    fn store(&mut self, ended: bool, intake: &mut Intake<'_, '_, '_>) -> Result<(), WalkError> {
        let cuts = self.cutter.cut(&self.bytes, ended);
        intake.take(&mut self.stream, &self.bytes, &cuts)?;
        let used = cuts.last().map_or(0, |cut| cut.at.end);
        self.bytes.drain(..used);
        Ok(())
    }

    /// Ends the stream, and gives its root; `None` if it has no bytes.
    pub(super) fn finish(
        mut self,
        intake: &mut Intake<'_, '_, '_>,
    ) -> Result<Option<Root>, WalkError> {
        self.store(true, intake)?;
        Ok(intake.end(self.stream, self.path)?)
    }
}

/// The tables of contents of the snapshot's dumps (SPEC 8.6).
pub(super) struct Tables<'k>(SharedStream<'k>);

impl<'k> Tables<'k> {
    pub(super) fn new(stream: SharedStream<'k>) -> Self {
        Self(stream)
    }

    /// Adds what was found of an entry, if that was a dump. Entries come in the order
    /// of their paths. A dump for whose table there is no room goes without one.
    pub(super) fn add(
        &mut self,
        path: &EntryPath,
        scanner: Scanner,
        intake: &mut Intake<'_, '_, '_>,
    ) -> Result<(), WalkError> {
        let Some(contents) = scanner.finish() else {
            return Ok(());
        };
        let mut record = Vec::new();
        contents.encode_to(path, &mut record);
        let len = self.0.len + record.len() as u64;
        if len <= CONTENTS_BYTES_MAX as u64 {
            self.0.add(&record, intake)?;
        }
        Ok(())
    }

    /// Ends the stream, and gives its root; `None` if there were no dumps.
    pub(super) fn finish(self, intake: &mut Intake<'_, '_, '_>) -> Result<Option<Root>, WalkError> {
        self.0.finish(intake)
    }
}
