//! Names of tables: as people type them, as they are shown, and as files.

use std::collections::HashSet;
use std::fmt::Write as _;

use indelible_format::contents::{Contents, Dialect, ObjectName, SectionKind};
use indelible_format::limits::COMPONENT_BYTES_MAX;
use indelible_format::path::shown;

use super::classify::{Head, Name};

/// How many tables an error lists.
const LISTED_MAX: usize = 20;

/// Why a name is no table of a dump.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No table has it.
    #[error("the dump has no table {name}; it has {}", tables.join(", "))]
    Unknown {
        /// As it was typed, made fit to be shown.
        name: String,
        /// Tables that the dump has, not all if there are many.
        tables: Vec<String>,
    },
    /// Several tables have it, in different schemas or databases.
    #[error("{name} may be {}", tables.join(" or "))]
    Ambiguous {
        /// As it was typed, made fit to be shown.
        name: String,
        /// The tables that it may be, not all if there are many.
        tables: Vec<String>,
    },
}

/// The tables that a dump has, each once, in its order.
pub fn tables(contents: &Contents) -> Vec<ObjectName<'_>> {
    let sections = || contents.sections();
    let views: HashSet<ObjectName<'_>> = sections()
        .filter(|section| section.kind == SectionKind::View)
        .map(|section| section.name)
        .collect();
    let mut seen = HashSet::new();
    sections()
        .filter(|section| matches!(section.kind, SectionKind::Table | SectionKind::Data))
        .map(|section| section.name)
        .filter(|name| name.last().is_some() && !views.contains(name) && seen.insert(*name))
        .collect()
}

/// Finds the table of this name. The schema and the database may be left out if the
/// name is the only one of its kind; quotes are those of the dump's dialect; where
/// nothing else fits, the case of letters does not matter.
///
/// # Errors
///
/// If no table has the name, or several do.
pub fn find_table<'a>(contents: &'a Contents, typed: &str) -> Result<ObjectName<'a>, NameError> {
    let list = |tables: &[ObjectName<'_>]| {
        let shown = tables.iter().take(LISTED_MAX);
        let shown = shown.map(|name| show_name(contents.dialect(), *name));
        shown.collect()
    };
    let name = shown(typed.as_bytes()).to_string();
    match tables_named(contents, typed).as_slice() {
        [table] => Ok(*table),
        [] => Err(NameError::Unknown {
            name,
            tables: list(&tables(contents)),
        }),
        several => Err(NameError::Ambiguous {
            name,
            tables: list(several),
        }),
    }
}

/// The tables that a name may mean, as [`find_table`] takes it: several if they stand in
/// different schemas or databases.
pub fn tables_named<'a>(contents: &'a Contents, typed: &str) -> Vec<ObjectName<'a>> {
    let dialect = contents.dialect();
    let all = tables(contents);
    let literal = Some(vec![typed.as_bytes().to_vec()]);
    let parsed = parse(dialect, typed);
    let ways = [
        (&parsed, Case::Matters),
        (&literal, Case::Matters),
        (&parsed, Case::Ignored),
        (&literal, Case::Ignored),
    ];
    for (wanted, case) in ways {
        let Some(wanted) = wanted else { continue };
        let fits = |name: &ObjectName<'_>| ends_with(*name, wanted, case);
        let found: Vec<ObjectName<'_>> = all.iter().copied().filter(fits).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn parse(dialect: Dialect, typed: &str) -> Option<Name> {
    let mut head = Head::new(dialect, typed.as_bytes());
    let name = head.name()?;
    head.peek().is_none().then_some(name)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Matters,
    Ignored,
}

fn ends_with(name: ObjectName<'_>, wanted: &[Vec<u8>], case: Case) -> bool {
    let same = |part: &[u8], wanted: &[u8]| match case {
        Case::Matters => part == wanted,
        Case::Ignored => part.eq_ignore_ascii_case(wanted),
    };
    let mut parts = name.parts().rev();
    wanted
        .iter()
        .rev()
        .all(|wanted| parts.next().is_some_and(|part| same(part, wanted)))
}

/// A name as it can be typed again, made fit for a message to a person.
pub fn show_name(dialect: Dialect, name: ObjectName<'_>) -> String {
    let parts: Vec<String> = name.parts().map(|part| show_part(dialect, part)).collect();
    parts.join(".")
}

pub(super) fn show_part(dialect: Dialect, part: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let first = part.first().is_some_and(|byte| !byte.is_ascii_digit());
    if first && part.iter().all(plain) {
        return String::from_utf8_lossy(part).into_owned();
    }
    let quote = if dialect == Dialect::Mariadb {
        '`'
    } else {
        '"'
    };
    // What can be printed stands as it is, so that it can be typed again.
    let printable = |text: &&str| {
        let harmless = |c: char| matches!(c, '\\' | '\'' | '"') || c.escape_debug().eq([c]);
        text.chars().all(harmless)
    };
    let inner = match std::str::from_utf8(part).ok().filter(printable) {
        Some(text) => text.to_owned(),
        None => shown(part).to_string(),
    };
    let doubled: String = [quote, quote].iter().collect();
    format!("{quote}{}{quote}", inner.replace(quote, &doubled))
}

/// The file that holds the rows of a table, for a directory that shows them: the parts
/// of its name with dots between, and `.data.sql`. Different names have different
/// files. `None` if the file's name would be over 255 bytes.
pub fn file_name(name: ObjectName<'_>) -> Option<String> {
    let mut file = String::new();
    for part in name.parts() {
        for chunk in part.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '/' | '.' | '%' => escape(&mut file, character as u8),
                    _ if character.is_ascii_control() => escape(&mut file, character as u8),
                    _ => file.push(character),
                }
            }
            for &byte in chunk.invalid() {
                escape(&mut file, byte);
            }
        }
        file.push('.');
    }
    file.push_str("data.sql");
    (file.len() <= COMPONENT_BYTES_MAX).then_some(file)
}

fn escape(file: &mut String, byte: u8) {
    write!(file, "%{byte:02X}").expect("a string takes all");
}
