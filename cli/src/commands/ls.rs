//! `indelible ls`.

use indelible_engine::view::{Entry, TableRows, rows_of};
use indelible_format::page::EntryKind;
use indelible_format::path::shown;
use serde_json::json;

use super::look::{self, Looked, Looking};
use crate::args::Ls;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Lines, Table};

pub(crate) fn run(context: &Context, args: &Ls) -> Result<Exit, Failure> {
    let store = context.store()?;
    let looking = Looking::new(context, &store)?;
    let tree = looking.snapshot(context, &args.snap)?;
    if args.tables {
        tables(context, &tree, args)?;
    } else {
        entries(context, &tree, args)?;
    }
    Ok(looking.exit())
}

/// Shows entries as they are read.
fn entries(context: &Context, tree: &Looked, args: &Ls) -> Result<(), Failure> {
    let path = args.path.as_deref().map(look::entry_path).transpose()?;
    let top = path
        .as_ref()
        .map(|path| look::entry_at(tree, path))
        .transpose()?;
    let mut show = Show::new(context);
    match top {
        Some(entry) if !entry.is_directory() => show.entry(&entry),
        top => below(tree, top.as_ref(), args.recursive, &mut show)?,
    }
    show.finish();
    Ok(())
}

fn below(
    tree: &Looked,
    directory: Option<&Entry>,
    recursive: bool,
    show: &mut Show,
) -> Result<(), Failure> {
    // A stack instead of a call in itself: paths are deep if somebody wants them so.
    let mut open = vec![tree.children(directory.map(|entry| &entry.path))];
    while let Some(children) = open.last_mut() {
        let Some(entry) = children.next() else {
            open.pop();
            continue;
        };
        let entry = entry?;
        show.entry(&entry);
        if recursive && entry.is_directory() {
            open.push(tree.children(Some(&entry.path)));
        }
    }
    Ok(())
}

/// Prints entries: for programs one by one, for people as a table.
enum Show {
    Json(Lines),
    Table(Table),
}

impl Show {
    fn new(context: &Context) -> Self {
        if context.common.json {
            Self::Json(Lines::new())
        } else {
            Self::Table(Table::new(
                &["MODE", "OWNER", "SIZE", "MODIFIED", "PATH"],
                &[2],
            ))
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let (kind, letter, target) = match &entry.listed {
            None | Some(EntryKind::Directory { .. }) => ("directory", 'd', None),
            Some(EntryKind::File { .. }) => ("file", '-', None),
            Some(EntryKind::Stream { .. }) => ("stream", '-', None),
            Some(EntryKind::Symlink { target, .. }) => ("link", 'l', Some(target)),
        };
        let known = entry.metadata();
        match self {
            Self::Json(lines) => lines.json(
                "entry",
                json!({
                    "path": entry.path.to_string(),
                    "kind": kind,
                    "size_bytes": entry.content().map(|_| entry.size_bytes()),
                    "mode": known.map(|known| format!("{:04o}", known.mode)),
                    "uid": known.map(|known| known.uid),
                    "gid": known.map(|known| known.gid),
                    "modified_s": known.map(|known| known.mtime_s),
                    "target": target.map(|target| shown(target).to_string()),
                }),
            ),
            Self::Table(table) => {
                let arrow = target.map(|target| format!(" -> {}", shown(target)));
                let unknown = || "-".to_owned();
                let slash = if kind == "directory" { "/" } else { "" };
                table.row([
                    known.map_or_else(
                        || format!("{letter}---------"),
                        |known| format!("{letter}{}", permissions(known.mode)),
                    ),
                    known.map_or_else(unknown, |known| format!("{}:{}", known.uid, known.gid)),
                    entry
                        .content()
                        .map_or_else(unknown, |_| output::size(entry.size_bytes())),
                    known
                        .and_then(|known| u64::try_from(known.mtime_s).ok())
                        .map_or_else(unknown, |seconds| {
                            output::local_time(seconds.saturating_mul(1_000))
                        }),
                    format!("{}{slash}{}", entry.path, arrow.unwrap_or_default()),
                ]);
            }
        }
    }

    fn finish(self) {
        if let Self::Table(table) = self
            && !table.is_empty()
        {
            table.print();
        }
    }
}

/// Permission bits as `ls` shows them.
fn permissions(mode: u32) -> String {
    let bit = |at: u32, letter: char| if mode >> at & 1 == 1 { letter } else { '-' };
    let letters = (0..9).rev().map(|at| {
        let letter = ['x', 'w', 'r'][at as usize % 3];
        match (at, mode >> (9 + at / 3) & 1 == 1) {
            // Set-user-id, set-group-id and sticky stand where their `x` is.
            (0, true) => {
                if bit(0, 'x') == 'x' {
                    't'
                } else {
                    'T'
                }
            }
            (3 | 6, true) => {
                if bit(at, 'x') == 'x' {
                    's'
                } else {
                    'S'
                }
            }
            _ => bit(at, letter),
        }
    });
    letters.collect()
}

/// Shows the tables of a dump.
fn tables(context: &Context, tree: &Looked, args: &Ls) -> Result<(), Failure> {
    let (entry, contents) = look::dump(tree, args.path.as_ref())?;
    let rows = rows_of(&contents);
    if context.common.json {
        let mut lines = Lines::new();
        for table in &rows {
            lines.json("table", describe(&entry, table));
        }
    } else if rows.is_empty() {
        output::note(context, &format!("{} has no rows of any table", entry.path));
    } else {
        let mut table = Table::new(&["TABLE", "ROWS", "SIZE"], &[1, 2]);
        for rows in &rows {
            table.row([
                rows.shown.clone(),
                indicatif::HumanCount(rows.rows).to_string(),
                output::size(rows.len),
            ]);
        }
        table.print();
    }
    Ok(())
}

/// A table's rows, for programs.
pub(super) fn describe(entry: &Entry, table: &TableRows) -> serde_json::Value {
    json!({
        "path": entry.path.to_string(),
        "table": table.shown,
        "rows": table.rows,
        "bytes": table.len,
        "offset": table.offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_ls_shows_them() {
        assert_eq!(permissions(0o640), "rw-r-----");
        assert_eq!(permissions(0o777), "rwxrwxrwx");
        assert_eq!(permissions(0o4755), "rwsr-xr-x");
        assert_eq!(permissions(0o2644), "rw-r-Sr--");
        assert_eq!(permissions(0o1777), "rwxrwxrwt");
        assert_eq!(permissions(0o1776), "rwxrwxrwT");
    }
}
