//! Dumps as their tools write them and as an enemy would: where their parts stand, and
//! whether a table that was taken out loads alone.

mod cuts;
mod hostile;
mod mariadb;
mod names;
mod postgres;
mod random;
mod sqlite;

use indelible_engine::sql::Scanner;
use indelible_engine::sql::extract::{self, Part, Piece, Plan};
use indelible_engine::sql::find_table;
use indelible_format::contents::{Contents, Section};

/// The table of contents of a dump, which must cover it.
fn scan(dump: &[u8]) -> Option<Contents> {
    let mut scanner = Scanner::new();
    scanner.feed(dump);
    let contents = scanner.finish()?;
    assert_eq!(contents.len(), dump.len() as u64);
    Some(contents)
}

/// A section's kind, name and rows in one line.
fn line(section: &Section<'_>) -> String {
    let parts = section.name.parts().map(String::from_utf8_lossy);
    let name: Vec<_> = parts.collect();
    let line = format!("{:?} {}", section.kind, name.join("."));
    match section.rows {
        0 => line.trim_end().to_owned(),
        rows => format!("{line} {rows}"),
    }
}

fn lines(contents: &Contents) -> Vec<String> {
    contents.sections().map(|section| line(&section)).collect()
}

/// What a table takes to load alone, and the plan's notes.
fn take_out(dump: &[u8], contents: &Contents, table: &str) -> (Vec<u8>, Vec<String>) {
    let plan = plan(dump, contents, table, Part::Whole);
    (written(dump, &plan), plan.notes)
}

fn plan(dump: &[u8], contents: &Contents, table: &str, part: Part) -> Plan {
    let table = find_table(contents, table).unwrap();
    let mut read = |offset: u64, len: usize| -> Result<Vec<u8>, std::convert::Infallible> {
        let offset = usize::try_from(offset).unwrap();
        Ok(dump[offset..offset + len].to_vec())
    };
    extract::plan(contents, table, part, &mut read).unwrap()
}

fn written(dump: &[u8], plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in &plan.pieces {
        match piece {
            Piece::Range { offset, len } => {
                let from = usize::try_from(*offset).unwrap();
                out.extend_from_slice(&dump[from..from + usize::try_from(*len).unwrap()]);
            }
            Piece::Text(text) => out.extend_from_slice(text),
        }
    }
    out
}
