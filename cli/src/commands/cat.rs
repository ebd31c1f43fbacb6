//! `indelible cat`.

use std::fs::File as OutFile;
use std::io::{self, Write};
use std::os::fd::AsFd as _;

use indelible_engine::sql::extract::{Part, Piece, PlanError, plan};
use indelible_engine::sql::find_table;
use indelible_engine::view::{File, ReadFault};

use super::look::{self, Looked, Looking};
use crate::args::Cat;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::Store;

/// How much is read at a time, bytes.
const STEP_BYTES: u64 = 8 << 20;

type Opened = File<Store>;

pub(crate) fn run(context: &Context, args: &Cat) -> Result<Exit, Failure> {
    let range = args.range.as_deref().map(Range::parse).transpose()?;
    let store = context.store()?;
    let looking = Looking::new(context, &store)?;
    let tree = looking.snapshot(context, &args.snap)?;
    // Past the buffer of the library, which looks for the last line in every write.
    let stdout = io::stdout();
    let out = stdout.as_fd().try_clone_to_owned();
    let out = out.map_err(|error| Failure::io("write to standard output", &error))?;
    let mut out = OutFile::from(out);
    let written = match &args.table {
        Some(table) => one_table(context, &tree, args, table, &mut out),
        None => whole(&tree, args, range, &mut out),
    };
    match written {
        Ok(()) => Ok(looking.exit()),
        Err(Stop::Gone) => Ok(Exit::Done),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// Why no more is written.
enum Stop {
    /// Who reads has seen what it wanted.
    Gone,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A range as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    /// From a byte on, to another one if there is one.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

impl Range {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::usage(format!("{text:?} is no range of bytes"))
                .hint("use 0-99 for the first hundred bytes, 100- for the rest, -100 for the last hundred")
        };
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| wrong());
        let range = match text.split_once('-').ok_or_else(wrong)? {
            ("", last) => Self::Last(number(last)?),
            (first, "") => Self::From(number(first)?, None),
            (first, last) => Self::From(number(first)?, Some(number(last)?)),
        };
        match range {
            Self::From(first, Some(last)) if last < first => Err(wrong()),
            range => Ok(range),
        }
    }

    /// The part of a file that it means.
    fn of(self, file: &Opened) -> Opened {
        match self {
            Self::From(first, None) => file.slice(first, u64::MAX),
            Self::From(first, Some(last)) => file.slice(first, (last - first).saturating_add(1)),
            Self::Last(count) => file.slice(file.len().saturating_sub(count), count),
        }
    }
}

fn open(tree: &Looked, entry: &indelible_engine::view::Entry) -> Result<Opened, Failure> {
    tree.open(entry)?
        .ok_or_else(|| Failure::usage(format!("{} is not a file", entry.path)))
}

fn whole(tree: &Looked, args: &Cat, range: Option<Range>, out: &mut OutFile) -> Result<(), Stop> {
    let typed = args.path.as_deref().unwrap_or_default();
    let entry = look::entry_at(tree, &look::entry_path(typed)?)?;
    let file = open(tree, &entry)?;
    let file = range.map_or(file.slice(0, u64::MAX), |range| range.of(&file));
    copy(&file, &entry.path.to_string(), out)
}

/// Writes a file, piece by piece.
fn copy(file: &Opened, path: &str, out: &mut OutFile) -> Result<(), Stop> {
    let mut at = 0;
    while at < file.len() {
        let bytes = file
            .read_at(at, STEP_BYTES)
            .map_err(|fault| unread(fault, path))?;
        at += bytes.len() as u64;
        put(&bytes, out)?;
    }
    Ok(())
}

fn unread(fault: ReadFault, path: &str) -> Failure {
    Failure::from(fault.cause).context(format!(
        "could not read {path} from byte {} on",
        fault.offset
    ))
}

fn put(bytes: &[u8], out: &mut OutFile) -> Result<(), Stop> {
    out.write_all(bytes).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Stop::Gone
        } else {
            Failure::io("write to standard output", &error).into()
        }
    })
}

/// Writes what one table takes.
fn one_table(
    context: &Context,
    tree: &Looked,
    args: &Cat,
    table: &str,
    out: &mut OutFile,
) -> Result<(), Stop> {
    let (entry, contents) = look::dump(tree, args.path.as_ref())?;
    let path = entry.path.to_string();
    let file = open(tree, &entry)?;
    let name = find_table(&contents, table).map_err(|error| {
        Failure::of(Exit::Usage, &error).hint(format!(
            "`indelible ls @{} {path} --tables` lists them",
            tree.snapshot().number
        ))
    })?;
    let part = if args.data_only {
        Part::Data
    } else {
        Part::Whole
    };
    let mut read = |offset: u64, len: usize| file.read_at(offset, len as u64);
    let plan = plan(&contents, name, part, &mut read).map_err(|error| match error {
        PlanError::Read(fault) => unread(fault, &path),
        other => Failure::of(Exit::Integrity, &other),
    })?;
    for note in &plan.notes {
        output::warn(context, note);
    }
    for piece in &plan.pieces {
        match piece {
            Piece::Range { offset, len } => copy(&file.slice(*offset, *len), &path, out)?,
            Piece::Text(text) => put(text, out)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        let parse = |text| Range::parse(text).ok();
        assert_eq!(parse("0-99"), Some(Range::From(0, Some(99))));
        assert_eq!(parse("100-"), Some(Range::From(100, None)));
        assert_eq!(parse("-5"), Some(Range::Last(5)));
        for wrong in ["", "-", "5", "9-3", "a-b", "1-2-3", "0x1-"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
