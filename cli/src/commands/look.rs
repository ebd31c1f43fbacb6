//! What the commands that look into snapshots share.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use indelible_engine::view::{Entry, Shelf, Tree, View};
use indelible_format::contents::Contents;
use indelible_format::history::Continuity;
use indelible_format::path::EntryPath;

use crate::address;
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::Store;

/// A snapshot, open for looking.
pub(crate) type Looked = Arc<Tree<Store>>;

/// Opens one snapshot after the other of a repository that was opened once.
pub(crate) struct Looking<'s> {
    repository: Opened<'s>,
    shelf: Shelf<Store>,
}

impl<'s> Looking<'s> {
    pub(crate) fn new(context: &Context, store: &'s Arc<Store>) -> Result<Self, Failure> {
        Ok(Self {
            repository: context.open(store)?,
            shelf: Shelf::new(Arc::clone(store)),
        })
    }

    /// The snapshot that was meant. One that a time chose is named.
    pub(crate) fn snapshot(&self, context: &Context, typed: &str) -> Result<Looked, Failure> {
        let chosen = address::resolve(typed, self.repository.snapshots())?;
        address::check_refusal(&chosen, false)?;
        if chosen.by_time {
            let shown = address::describe(&chosen.snapshot);
            output::note(context, &format!("looking at {shown}"));
        }
        Ok(View::of_one(
            &self.repository,
            chosen.snapshot,
            &self.shelf,
        )?)
    }

    /// All snapshots that are not refused.
    pub(crate) fn all(&self) -> Result<View<Store>, Failure> {
        Ok(View::open(&self.repository, &self.shelf)?)
    }

    /// What a command ends with that did what it was asked to: the log may be older
    /// than what was seen of it.
    pub(crate) fn exit(&self) -> Exit {
        match self.repository.continuity() {
            Continuity::Behind { .. } | Continuity::Forked { .. } => Exit::Rollback,
            Continuity::Unpinned | Continuity::Extends => Exit::Done,
        }
    }
}

/// A path in a snapshot, as typed.
pub(crate) fn entry_path(typed: &OsStr) -> Result<EntryPath, Failure> {
    let mut bytes = typed.as_bytes();
    while let Some(rest) = bytes.strip_suffix(b"/") {
        bytes = rest;
    }
    EntryPath::new(bytes).map_err(|error| {
        Failure::usage(format!(
            "{} is no path in a snapshot: {error}",
            typed.to_string_lossy()
        ))
        .hint("paths are relative, as `indelible ls` shows them")
    })
}

/// What stands at a path.
pub(crate) fn entry_at(tree: &Looked, path: &EntryPath) -> Result<Entry, Failure> {
    tree.entry(path)?.ok_or_else(|| {
        let shown = address::describe(tree.snapshot());
        Failure::usage(format!("{shown} has no {path}")).hint(format!(
            "`indelible ls @{}` shows what it has",
            tree.snapshot().number
        ))
    })
}

/// A dump with its table of contents: the one that was named, or the only one.
pub(crate) fn dump(
    tree: &Looked,
    typed: Option<&OsString>,
) -> Result<(Entry, Arc<Contents>), Failure> {
    let missing = |what: String| {
        Failure::usage(format!("{what} no table of contents")).hint(
            "plain dumps of pg_dump, mariadb-dump, mysqldump and SQLite get one when they are stored",
        )
    };
    let dumps = tree.dumps()?;
    let path = match typed {
        Some(typed) => entry_path(typed)?,
        None if dumps.len() > 1 => {
            let paths: Vec<String> = dumps.keys().map(ToString::to_string).collect();
            return Err(Failure::usage(format!(
                "the snapshot has {} dumps; name one",
                dumps.len()
            ))
            .hint(paths.join(", ")));
        }
        None => match dumps.keys().next() {
            Some(path) => path.clone(),
            None => return Err(missing("nothing in the snapshot has".to_owned())),
        },
    };
    let entry = entry_at(tree, &path)?;
    match tree.contents(&entry)? {
        Some(contents) => Ok((entry, contents)),
        None => Err(missing(format!("{path} has"))),
    }
}
