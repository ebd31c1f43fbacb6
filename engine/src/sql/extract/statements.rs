//! The statements of a section, read a piece at a time.

use indelible_format::contents::{Dialect, Section};

use super::{PlanError, ReadRange};
use crate::sql::lexer::{Lexer, Sink, Statement, Unfollowed};

/// How much is read at once, and the longest statement that is looked at, bytes.
const READ_BYTES: usize = 1 << 20;

/// One statement with what stands before it.
#[derive(Debug)]
pub(super) struct Piecemeal {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Its bytes; nothing if they are more than are looked at.
    pub(super) text: Vec<u8>,
}

/// Collects the ends of statements.
#[derive(Default)]
struct Ends(Vec<u64>);

impl Sink for Ends {
    fn statement(&mut self, statement: &Statement<'_>) -> Result<(), Unfollowed> {
        self.0.push(statement.len);
        Ok(())
    }
}

/// Gives each statement of a section to `take`.
pub(super) fn each<R: ReadRange>(
    dialect: Dialect,
    section: &Section<'_>,
    reader: &mut R,
    mut take: impl FnMut(Piecemeal),
) -> Result<(), PlanError<R::Error>> {
    let mut lexer = Lexer::new(dialect);
    let mut ends = Ends::default();
    let mut held = Held {
        offset: section.offset,
        text: Vec::new(),
        dropped: 0,
    };
    let mut read = 0;
    while read < section.len {
        let len = (section.len - read).min(READ_BYTES as u64);
        let count = usize::try_from(len).expect("at most what is read at once");
        let bytes = reader.read(section.offset + read, count);
        let bytes = bytes.map_err(PlanError::Read)?;
        if bytes.len() != count {
            return Err(PlanError::Mismatch);
        }
        read += len;
        let fed = lexer.feed(&bytes, &mut ends);
        fed.map_err(|_: Unfollowed| PlanError::Mismatch)?;
        held.text.extend_from_slice(&bytes);
        for len in ends.0.drain(..) {
            take(held.cut(len)?);
        }
        held.bound();
    }
    let rest = lexer.finish(&mut ends).map_err(|_| PlanError::Mismatch)?;
    for len in ends.0.drain(..).chain((rest > 0).then_some(rest)) {
        take(held.cut(len)?);
    }
    Ok(())
}

/// Bytes that no statement has taken yet.
struct Held {
    offset: u64,
    text: Vec<u8>,
    /// Bytes of the first statement that are not held.
    dropped: u64,
}

impl Held {
    fn cut<E>(&mut self, len: u64) -> Result<Piecemeal, PlanError<E>> {
        let held = len.checked_sub(self.dropped).ok_or(PlanError::Mismatch)?;
        let held = usize::try_from(held).map_err(|_| PlanError::Mismatch)?;
        if held > self.text.len() {
            return Err(PlanError::Mismatch);
        }
        let rest = self.text.split_off(held);
        let mut text = std::mem::replace(&mut self.text, rest);
        if self.dropped > 0 {
            text.clear();
        }
        let offset = self.offset;
        self.offset += len;
        self.dropped = 0;
        Ok(Piecemeal { offset, len, text })
    }

    /// Holds no more than one statement that is looked at.
    fn bound(&mut self) {
        if self.dropped > 0 || self.text.len() > READ_BYTES {
            self.dropped += self.text.len() as u64;
            self.text.clear();
        }
    }
}
