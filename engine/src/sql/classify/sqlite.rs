//! What `.dump` of SQLite's shell writes.

use indelible_format::contents::{Dialect, SectionKind};

use super::{Class, Head, Name, section};
use crate::sql::lexer::{Statement, Unfollowed};

pub(super) fn classify(statement: &Statement<'_>) -> Result<Class, Unfollowed> {
    let mut head = Head::new(Dialect::Sqlite, statement.head);
    let Some(first) = head.next() else {
        return Ok(Class::Joins);
    };
    let verb = first.text.to_ascii_uppercase();
    Ok(match verb.as_slice() {
        // Tables of modules are written past the language, which must be allowed.
        b"PRAGMA" if head.word("writable_schema") => section(SectionKind::Other, None),
        b"PRAGMA" | b"BEGIN" => section(SectionKind::Preamble, None),
        b"COMMIT" | b"END" => section(SectionKind::End, None),
        // The dump met an error, and is not whole.
        b"ROLLBACK" => return Err(Unfollowed),
        b"INSERT" => insert(head),
        b"DELETE" if head.words(&["FROM", "sqlite_sequence"]) => {
            section(SectionKind::SequenceValue, None)
        }
        b"CREATE" => create(head),
        _ => section(SectionKind::Other, None),
    })
}

/// What is about one object, whose database is the only one.
fn about(kind: SectionKind, name: Option<Name>) -> Class {
    match name.and_then(|mut name| name.pop()) {
        Some(name) => Class::Section(kind, vec![name]),
        None => section(SectionKind::Other, None),
    }
}

fn insert(mut head: Head<'_>) -> Class {
    if head.word("OR") {
        head.next();
    }
    head.word("INTO");
    let Some(table) = head.name() else {
        return section(SectionKind::Other, None);
    };
    let own = table.last().map(Vec::as_slice);
    match own {
        Some(b"sqlite_schema" | b"sqlite_master") => schema(head),
        Some(b"sqlite_sequence") if head.skip_to("VALUES") && head.mark(b'(') => {
            let table = head.text().map(|name| vec![name]);
            about(SectionKind::SequenceValue, table)
        }
        Some(name) if name.starts_with(b"sqlite_") => section(SectionKind::Other, None),
        _ => about(SectionKind::Data, Some(table)),
    }
}

/// A row that defines an object: its type, its name, its table.
fn schema(mut head: Head<'_>) -> Class {
    if head.skip_to("VALUES")
        && head.mark(b'(')
        && head.text().is_some_and(|kind| kind == b"table")
        && head.mark(b',')
    {
        return about(SectionKind::Table, head.text().map(|name| vec![name]));
    }
    section(SectionKind::Other, None)
}

fn create(mut head: Head<'_>) -> Class {
    while head.any(&["UNIQUE", "TEMP", "TEMPORARY", "VIRTUAL"]) {}
    let Some(object) = head.next() else {
        return section(SectionKind::Other, None);
    };
    head.if_exists();
    let name = head.name();
    match object.text.to_ascii_uppercase().as_slice() {
        b"TABLE" => about(SectionKind::Table, name),
        b"VIEW" => about(SectionKind::View, name),
        b"INDEX" if head.word("ON") => about(SectionKind::Index, head.name()),
        b"TRIGGER" if head.skip_to("ON") => about(SectionKind::Trigger, head.name()),
        _ => section(SectionKind::Other, None),
    }
}
