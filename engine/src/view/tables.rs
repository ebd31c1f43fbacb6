//! The tables of contents that a snapshot has of its dumps (SPEC 8.6).
//!
//! They say where a writer found what, and prove nothing: one that does not fit its
//! entry is no table of contents of it, and is passed over.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_format::contents::{Contents, DumpTables, ObjectName, Section, SectionKind};
use indelible_format::limits::CONTENTS_BYTES_MAX;
use indelible_format::path::EntryPath;

use super::file::{File, ReadFault};
use super::tree::{Entry, Tree};
use crate::read::ReadError;
use crate::store::ReadStore;

/// The tables of contents of a snapshot, by path.
pub type Dumps = BTreeMap<EntryPath, Contents>;

/// A table's rows, as they stand in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// Database and schema as far as there are any, and the table's own name.
    pub name: Vec<Vec<u8>>,
    /// Where they begin, bytes.
    pub offset: u64,
    /// Their length, bytes.
    pub len: u64,
    /// How many.
    pub rows: u64,
}

/// The parts of a name.
pub fn parts_of(name: ObjectName<'_>) -> Vec<Vec<u8>> {
    name.parts().map(<[u8]>::to_vec).collect()
}

/// A name as people write it: parts with dots between them, each in quotes if it
/// would not be read as one word.
pub fn shown_name(parts: &[Vec<u8>]) -> String {
    let shown: Vec<String> = parts.iter().map(|part| shown_part(part)).collect();
    shown.join(".")
}

fn shown_part(part: &[u8]) -> String {
    let text = indelible_format::path::shown(part).to_string();
    let plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

/// The rows of the tables of a dump, in the order in which they stand there.
pub fn rows_of(contents: &Contents) -> Vec<TableRows> {
    let data = |section: Section<'_>| {
        (section.kind == SectionKind::Data).then(|| TableRows {
            name: parts_of(section.name),
            offset: section.offset,
            len: section.len,
            rows: section.rows,
        })
    };
    contents.sections().filter_map(data).collect()
}

impl<S: ReadStore + ?Sized + 'static> Tree<S> {
    /// The tables of contents of this snapshot's dumps.
    ///
    /// # Errors
    ///
    /// [`ReadError`], also without the restore right.
    pub fn dumps(self: &Arc<Self>) -> Result<Dumps, ReadError> {
        let Some(root) = self.snapshot().manifest.contents else {
            return Ok(Dumps::new());
        };
        if !self.reader.may_read_contents() {
            return Err(ReadError::NotAllowed { needed: "restore" });
        }
        let id = root.root.id;
        if root.root.len > CONTENTS_BYTES_MAX as u64 {
            return Err(ReadError::Shape { id });
        }
        let stream = File::new(Arc::clone(self), Some(root), 0, root.root.len);
        let bytes = stream.read_at(0, root.root.len);
        let bytes = bytes.map_err(|ReadFault { cause, .. }| cause)?;
        let layout = |error| ReadError::Layout { id, error };
        let dumps = DumpTables::new(&bytes).map_err(layout)?;
        dumps.map(|dump| dump.map_err(layout)).collect()
    }

    /// The table of contents of an entry, if it has one that fits.
    ///
    /// # Errors
    ///
    /// As [`dumps`](Self::dumps).
    pub fn contents(self: &Arc<Self>, entry: &Entry) -> Result<Option<Contents>, ReadError> {
        let contents = self.dumps()?.remove(&entry.path);
        Ok(contents.filter(|contents| contents.len() == entry.size_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name reads as SQL would write it, and can't be taken for another.
    #[test]
    fn names_are_quoted_where_they_must_be() {
        let shown = |parts: &[&str]| {
            let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
            shown_name(&parts)
        };
        assert_eq!(shown(&["public", "orders"]), "public.orders");
        assert_eq!(shown(&["Größe_2"]), "Größe_2");
        assert_eq!(shown(&["a.b", "c"]), "\"a.b\".c");
        assert_eq!(shown(&["say \"no\""]), "\"say \"\"no\"\"\"");
        assert_eq!(shown(&["", "\u{202e}x"]), "\"\".\"\\u{202e}x\"");
    }
}
