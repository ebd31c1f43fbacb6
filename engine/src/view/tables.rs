//! The tables of contents that a snapshot has of its dumps (SPEC 8.6).
//!
//! They say where a writer found what, and prove nothing: one that does not fit its
//! entry is no table of contents of it, and is passed over.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use indelible_format::contents::{Contents, DumpTables, Section, SectionKind};
use indelible_format::ids::CommitId;
use indelible_format::limits::{COMPONENT_BYTES_MAX, CONTENTS_BYTES_MAX};
use indelible_format::node::PlacedRoot;
use indelible_format::path::EntryPath;

use super::file::{File, ReadFault};
use super::tree::{Entry, Tree};
use crate::read::ReadError;
use crate::sql;
use crate::store::ReadStore;

/// The tables of contents of a snapshot, by path.
pub type Dumps = BTreeMap<EntryPath, Arc<Contents>>;

/// A table's rows, as they stand in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// Database and schema as far as there are any, and the table's own name.
    pub name: Vec<Vec<u8>>,
    /// The name as it can be typed, fit for people.
    pub shown: String,
    /// What a file with these rows is called; none if that would be too long.
    pub file: Option<String>,
    /// Where they begin, bytes.
    pub offset: u64,
    /// Their length, bytes.
    pub len: u64,
    /// How many.
    pub rows: u64,
}

/// The rows of the tables of a dump, in the order in which they stand there.
pub fn rows_of(contents: &Contents) -> Vec<TableRows> {
    let dialect = contents.dialect();
    let mut files: HashMap<String, usize> = HashMap::new();
    let data = |section: Section<'_>| {
        if section.kind != SectionKind::Data {
            return None;
        }
        // Rows that stand in several places are several files.
        let file = sql::file_name(section.name).map(|file| {
            let count = files.entry(file.clone()).or_default();
            *count += 1;
            match (*count, file.strip_suffix(".sql")) {
                (again @ 2.., Some(stem)) => format!("{stem}.{again}.sql"),
                _ => file,
            }
        });
        Some(TableRows {
            name: section.name.parts().map(<[u8]>::to_vec).collect(),
            shown: sql::show_name(dialect, section.name),
            file: file.filter(|file| file.len() <= COMPONENT_BYTES_MAX),
            offset: section.offset,
            len: section.len,
            rows: section.rows,
        })
    };
    contents.sections().filter_map(data).collect()
}

/// The tables of contents of the snapshot that was looked at last: who lists a
/// directory asks for them again and again.
pub(super) type LastDumps = Mutex<Option<(CommitId, Arc<Dumps>)>>;

impl<S: ReadStore + ?Sized + 'static> Tree<S> {
    /// The tables of contents of this snapshot's dumps.
    ///
    /// # Errors
    ///
    /// [`ReadError`], also without the restore right.
    pub fn dumps(self: &Arc<Self>) -> Result<Arc<Dumps>, ReadError> {
        let Some(root) = self.snapshot().manifest.contents else {
            return Ok(Arc::default());
        };
        let commit = self.snapshot().commit;
        let mut last = self
            .last_dumps
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((of, dumps)) = &*last
            && *of == commit
        {
            return Ok(Arc::clone(dumps));
        }
        let dumps = Arc::new(self.read_dumps(&root)?);
        *last = Some((commit, Arc::clone(&dumps)));
        Ok(dumps)
    }

    fn read_dumps(self: &Arc<Self>, root: &PlacedRoot) -> Result<Dumps, ReadError> {
        if !self.reader.may_read_contents() {
            return Err(ReadError::NotAllowed { needed: "restore" });
        }
        let id = root.root.id;
        if root.root.len > CONTENTS_BYTES_MAX as u64 {
            return Err(ReadError::Shape { id });
        }
        let stream = File::new(Arc::clone(self), Some(*root), 0, root.root.len);
        let bytes = stream.read_at(0, root.root.len);
        let bytes = bytes.map_err(|ReadFault { cause, .. }| cause)?;
        let layout = |error| ReadError::Layout { id, error };
        let dumps = DumpTables::new(&bytes).map_err(layout)?;
        let shared = |(path, contents)| (path, Arc::new(contents));
        dumps.map(|dump| dump.map(shared).map_err(layout)).collect()
    }

    /// The table of contents of an entry, if it has one that fits.
    ///
    /// # Errors
    ///
    /// As [`dumps`](Self::dumps).
    pub fn contents(self: &Arc<Self>, entry: &Entry) -> Result<Option<Arc<Contents>>, ReadError> {
        let dumps = self.dumps()?;
        let contents = dumps.get(&entry.path);
        let contents = contents.filter(|contents| contents.len() == entry.size_bytes());
        Ok(contents.cloned())
    }
}
