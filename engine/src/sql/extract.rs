//! What one table of a dump takes to load alone into an empty database.
//!
//! A plan is pieces of the dump in its own order, so what stands before what it needs
//! in the dump stands there in the plan too. Nothing is made up: a piece is bytes of
//! the dump, or a statement of it with a part left out. What a table can't have alone
//! (foreign keys to tables that are not there, triggers) is left out and told.
//!
//! What is read to make a plan is bounded: definitions, a piece at a time, and of
//! rows nothing. A statement over a mebibyte goes out as it is.

mod closure;
mod mariadb;
mod mentions;
mod postgres;
mod sqlite;
mod statements;

use indelible_format::contents::{Contents, Dialect, ObjectName, Section, SectionKind};

use super::name::show_name;

/// One piece of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes of the dump.
    Range {
        /// Where they begin.
        offset: u64,
        /// How many they are.
        len: u64,
    },
    /// This text, in place of bytes of the dump.
    Text(Vec<u8>),
}

/// What to write, piece by piece, to load a table alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The pieces, in order.
    pub pieces: Vec<Piece>,
    /// What is not as in the dump, a sentence each, for a person.
    pub notes: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError<E> {
    /// The dump can't be read.
    #[error("cannot read the dump")]
    Read(#[source] E),
    /// A section does not hold what the table of contents says.
    #[error("the table of contents is not that of this dump")]
    Mismatch,
}

/// What is wanted of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All that it takes to load it alone.
    Whole,
    /// Its rows.
    Data,
}

/// Reads a range of the dump: offset and length in bytes, of at most a mebibyte.
pub trait ReadRange {
    /// Why a range can't be read.
    type Error;

    /// The bytes of the range.
    ///
    /// # Errors
    ///
    /// If they can't be had.
    fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, Self::Error>;
}

impl<E, F: FnMut(u64, usize) -> Result<Vec<u8>, E>> ReadRange for F {
    type Error = E;

    fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, E> {
        self(offset, len)
    }
}

/// Plans how a table is taken out of a dump. A partitioned table comes with its
/// partitions.
///
/// # Errors
///
/// See [`PlanError`].
pub fn plan<R: ReadRange>(
    contents: &Contents,
    table: ObjectName<'_>,
    part: Part,
    reader: &mut R,
) -> Result<Plan, PlanError<R::Error>> {
    match contents.dialect() {
        Dialect::Postgres => postgres::plan(contents, table, part, reader),
        _ if part == Part::Data => Ok(rows(contents, table)),
        Dialect::Mariadb => mariadb::plan(contents, table, reader),
        Dialect::Sqlite => sqlite::plan(contents, table, reader),
    }
}

fn rows(contents: &Contents, table: ObjectName<'_>) -> Plan {
    let mut plan = Plan::default();
    for section in contents.sections() {
        if section.kind == SectionKind::Data && section.name == table {
            plan.range(section.offset, section.len);
        }
    }
    plan
}

impl Plan {
    /// Adds bytes of the dump.
    fn range(&mut self, offset: u64, len: u64) {
        if let Some(Piece::Range {
            offset: last,
            len: last_len,
        }) = self.pieces.last_mut()
            && *last + *last_len == offset
        {
            *last_len += len;
            return;
        }
        self.pieces.push(Piece::Range { offset, len });
    }

    fn whole(&mut self, section: &Section<'_>) {
        self.range(section.offset, section.len);
    }

    fn text(&mut self, text: Vec<u8>) {
        self.pieces.push(Piece::Text(text));
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn note_triggers(&mut self, dialect: Dialect, table: ObjectName<'_>) {
        let table = show_name(dialect, table);
        self.note(format!(
            "triggers, rules and policies of {table} are left out"
        ));
    }
}
