//! Tables of contents of SQL dumps (SPEC 8.6): which part of a dump is what.
//!
//! A table says no offsets. A section stands where those before it end, so one that
//! did not change has the same bytes, whatever grew before it; and no table can name
//! bytes that overlap or lie outside of its dump.
//!
//! What was decoded keeps the encoding and is read section by section: a table takes
//! the memory of its bytes, however many sections it claims.

use crate::limits::{
    CONTENTS_BYTES_MAX, CONTENTS_NAME_PART_BYTES_MAX, CONTENTS_NAME_PARTS_MAX,
    CONTENTS_SECTIONS_MAX,
};
use crate::path::EntryPath;
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "section";

/// Whose SQL a dump is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `pg_dump` and `pg_dumpall`.
    Postgres,
    /// `mariadb-dump` and `mysqldump`.
    Mariadb,
    /// `.dump` of SQLite.
    Sqlite,
}

impl Dialect {
    /// All of them, by their number from 1 on.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Mariadb, Self::Sqlite];

    fn from_byte(byte: u8) -> Result<Self, LayoutError> {
        numbered(&Self::ALL, byte, "dialect of a dump")
    }

    fn to_byte(self) -> u8 {
        match self {
            Self::Postgres => 1,
            Self::Mariadb => 2,
            Self::Sqlite => 3,
        }
    }
}

/// What a section of a dump is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// Settings that what follows is loaded under.
    Preamble,
    /// Schemas, databases, extensions, and changes between databases.
    Namespace,
    /// Types, domains and collations.
    Type,
    /// Functions, procedures, aggregates and operators.
    Routine,
    /// Sequences without their values.
    Sequence,
    /// The definition of a table.
    Table,
    /// Rows of a table.
    Data,
    /// The value of a sequence.
    SequenceValue,
    /// Indexes of a table.
    Index,
    /// Constraints of a table that its definition does not hold.
    Constraint,
    /// Foreign keys of a table that its definition does not hold.
    ForeignKey,
    /// A view.
    View,
    /// Triggers, rules and policies of a table.
    Trigger,
    /// Owners and grants.
    Privilege,
    /// Comments on an object.
    Comment,
    /// Whatever else.
    Other,
    /// What ends the dump.
    End,
}

impl SectionKind {
    /// All of them, by their number from 1 on.
    pub const ALL: [Self; 17] = [
        Self::Preamble,
        Self::Namespace,
        Self::Type,
        Self::Routine,
        Self::Sequence,
        Self::Table,
        Self::Data,
        Self::SequenceValue,
        Self::Index,
        Self::Constraint,
        Self::ForeignKey,
        Self::View,
        Self::Trigger,
        Self::Privilege,
        Self::Comment,
        Self::Other,
        Self::End,
    ];

    fn from_byte(byte: u8) -> Result<Self, LayoutError> {
        numbered(&Self::ALL, byte, "kind of a section")
    }

    fn to_byte(self) -> u8 {
        // The kinds are declared in the order of their numbers.
        self as u8 + 1
    }
}

/// The variant with this number, counted from 1.
fn numbered<T: Copy>(all: &[T], byte: u8, field: &'static str) -> Result<T, LayoutError> {
    let index = usize::from(byte).checked_sub(1);
    let found = index.and_then(|index| all.get(index));
    found.copied().ok_or(LayoutError::Unknown {
        field,
        found: byte.into(),
    })
}

/// The name of an object: up to three parts of bytes, the outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectName<'a> {
    /// The encoding, which is checked.
    encoded: &'a [u8],
}

impl<'a> ObjectName<'a> {
    fn read(cursor: &mut Cursor<'a>, bytes: &'a [u8]) -> Result<Self, LayoutError> {
        let begin = bytes.len() - cursor.remaining();
        let count = cursor.u8(FIELD)?;
        let most = CONTENTS_NAME_PARTS_MAX as u64;
        within(count.into(), 0, most, "parts of a section's name")?;
        for _ in 0..count {
            let part = cursor.text16(FIELD)?;
            let most = CONTENTS_NAME_PART_BYTES_MAX as u64;
            within(part.len() as u64, 0, most, "length of a name's part")?;
        }
        let end = bytes.len() - cursor.remaining();
        Ok(Self {
            encoded: &bytes[begin..end],
        })
    }

    /// Its parts; none where a section is about no single object.
    pub fn parts(self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator {
        let mut parts = [&[][..]; CONTENTS_NAME_PARTS_MAX];
        let mut rest = &self.encoded[1..];
        let count = usize::from(self.encoded[0]);
        for part in &mut parts[..count] {
            let (len, tail) = rest.split_first_chunk().expect("the name was checked");
            (*part, rest) = tail.split_at(u16::from_le_bytes(*len).into());
        }
        parts.into_iter().take(count)
    }

    /// The innermost part, which is the object's own name.
    pub fn last(self) -> Option<&'a [u8]> {
        self.parts().next_back()
    }
}

/// One stretch of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// What it is.
    pub kind: SectionKind,
    /// What it is about. Rows, indexes, constraints, foreign keys and triggers are
    /// about their table.
    pub name: ObjectName<'a>,
    /// Where it begins, bytes from the beginning of the dump.
    pub offset: u64,
    /// Its length in bytes; at least 1.
    pub len: u64,
    /// Rows of data.
    pub rows: u64,
}

/// The table of contents of one dump: sections that cover it wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    dialect: Dialect,
    count: u32,
    len: u64,
    /// The sections' encodings, which are checked.
    sections: Vec<u8>,
}

impl Contents {
    /// Whose SQL the dump is written in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Bytes of the dump.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the dump has no section, which no decoded one has.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sections, in the order of the dump.
    pub fn sections(&self) -> Sections<'_> {
        Sections {
            bytes: &self.sections,
            cursor: Cursor::new(&self.sections),
            offset: 0,
        }
    }

    /// Appends the dump's record to a stream of tables of contents.
    pub fn encode_to(&self, path: &EntryPath, out: &mut Vec<u8>) {
        let mut head = Builder::new();
        head.text16(path.as_bytes())
            .u8(self.dialect.to_byte())
            .u32(self.count);
        out.extend_from_slice(&head.finish());
        out.extend_from_slice(&self.sections);
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        let dialect = Dialect::from_byte(cursor.u8("dialect of a dump")?)?;
        let count = cursor.count32(1, CONTENTS_SECTIONS_MAX, "sections of a dump")?;
        let bytes = cursor.clone().rest();
        let mut sections = Sections {
            bytes,
            cursor: cursor.clone(),
            offset: 0,
        };
        let mut last = None;
        for _ in 0..count {
            let section = sections.read()?;
            let about = (section.kind, section.name);
            if last.replace(about) == Some(about) {
                return Err(LayoutError::NotCanonical {
                    field: "sections of a dump",
                });
            }
        }
        let len = bytes.len() - sections.cursor.remaining();
        Ok(Self {
            dialect,
            count: u32::try_from(count).expect("it was a u32"),
            len: sections.offset,
            sections: cursor.take(len, FIELD)?.to_vec(),
        })
    }
}

/// Reads sections one behind the other.
#[derive(Debug, Clone)]
pub struct Sections<'a> {
    bytes: &'a [u8],
    cursor: Cursor<'a>,
    offset: u64,
}

impl<'a> Sections<'a> {
    fn read(&mut self) -> Result<Section<'a>, LayoutError> {
        let kind = SectionKind::from_byte(self.cursor.u8(FIELD)?)?;
        let name = ObjectName::read(&mut self.cursor, self.bytes)?;
        let len = self.cursor.u64(FIELD)?;
        within(len, 1, u64::MAX, "length of a section")?;
        let rows = self.cursor.u64(FIELD)?;
        if kind != SectionKind::Data {
            within(rows, 0, 0, "rows of a section without data")?;
        }
        let offset = self.offset;
        self.offset = offset.checked_add(len).ok_or(LayoutError::NotCanonical {
            field: "length of a dump",
        })?;
        Ok(Section {
            kind,
            name,
            offset,
            len,
            rows,
        })
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        if self.cursor.remaining() == 0 {
            return None;
        }
        Some(self.read().expect("the sections were checked"))
    }
}

/// Puts a table of contents together, section by section.
#[derive(Debug)]
pub struct ContentsBuilder {
    contents: Contents,
    /// Kind and name of the last section, encoded.
    about: Vec<u8>,
    last_len: u64,
    last_rows: u64,
}

/// A dump has more sections, or longer names, than a table of contents holds (SPEC 11).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dump has too many parts for a table of contents")]
pub struct ContentsFull;

impl ContentsBuilder {
    /// A table without a section.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            contents: Contents {
                dialect,
                count: 0,
                len: 0,
                sections: Vec::new(),
            },
            about: Vec::new(),
            last_len: 0,
            last_rows: 0,
        }
    }

    /// Says what the next `len` bytes of the dump are; of none, nothing is said. They
    /// join the section before them if that is of the same kind and name. `rows` count
    /// only for data.
    pub fn push(
        &mut self,
        kind: SectionKind,
        name: &[&[u8]],
        len: u64,
        rows: u64,
    ) -> Result<(), ContentsFull> {
        let fits = |part: &&[u8]| part.len() <= CONTENTS_NAME_PART_BYTES_MAX;
        if name.len() > CONTENTS_NAME_PARTS_MAX || !name.iter().all(fits) {
            return Err(ContentsFull);
        }
        if len == 0 {
            return Ok(());
        }
        let mut about = Builder::new();
        about.u8(kind.to_byte());
        about.u8(u8::try_from(name.len()).expect("at most three"));
        for part in name {
            about.text16(part);
        }
        let about = about.finish();
        if about != self.about {
            self.close()?;
            self.about = about;
        }
        self.extend(len, rows)
    }

    /// Says that the next bytes belong to the last section, which must be there. `rows`
    /// count only for data.
    pub fn extend(&mut self, len: u64, rows: u64) -> Result<(), ContentsFull> {
        let kind = *self.about.first().expect("a section was pushed before");
        let rows = if kind == SectionKind::Data.to_byte() {
            rows
        } else {
            0
        };
        let total = self.contents.len.checked_add(len).ok_or(ContentsFull)?;
        self.contents.len = total;
        self.last_len += len;
        self.last_rows = self.last_rows.saturating_add(rows);
        Ok(())
    }

    fn close(&mut self) -> Result<(), ContentsFull> {
        if self.last_len == 0 {
            return Ok(());
        }
        let sections = &mut self.contents.sections;
        let full = sections.len() + self.about.len() + 16 > CONTENTS_BYTES_MAX
            || self.contents.count as usize >= CONTENTS_SECTIONS_MAX;
        if full {
            return Err(ContentsFull);
        }
        self.contents.count += 1;
        let mut end = Builder::new();
        end.u64(std::mem::take(&mut self.last_len));
        end.u64(std::mem::take(&mut self.last_rows));
        sections.extend_from_slice(&self.about);
        sections.extend_from_slice(&end.finish());
        Ok(())
    }

    /// The table; `None` for a dump without a byte.
    pub fn finish(mut self) -> Result<Option<Contents>, ContentsFull> {
        self.close()?;
        Ok((!self.contents.is_empty()).then_some(self.contents))
    }
}

/// Reads a stream of tables of contents, one dump after the other.
///
/// After an error it ends: what follows can't be found.
#[derive(Debug)]
pub struct DumpTables<'a> {
    cursor: Cursor<'a>,
    last: Option<EntryPath>,
}

impl<'a> DumpTables<'a> {
    /// Begins at the front of a stream, which has at least one record and at most
    /// 64 MiB.
    pub fn new(stream: &'a [u8]) -> Result<Self, LayoutError> {
        let most = CONTENTS_BYTES_MAX as u64;
        within(stream.len() as u64, 1, most, "tables of contents")?;
        Ok(Self {
            cursor: Cursor::new(stream),
            last: None,
        })
    }

    fn read(&mut self) -> Result<(EntryPath, Contents), LayoutError> {
        let path = self.cursor.text16("path of a dump")?;
        let path = EntryPath::new(path).map_err(|_| LayoutError::NotCanonical {
            field: "path of a dump",
        })?;
        if self.last.as_ref().is_some_and(|last| *last >= path) {
            return Err(LayoutError::NotAscending {
                field: "paths of dumps",
            });
        }
        self.last = Some(path.clone());
        Ok((path, Contents::decode(&mut self.cursor)?))
    }
}

impl Iterator for DumpTables<'_> {
    type Item = Result<(EntryPath, Contents), LayoutError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.remaining() == 0 {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.cursor.rest();
        }
        Some(read)
    }
}
