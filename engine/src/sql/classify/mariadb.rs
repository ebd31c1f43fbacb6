//! What `mariadb-dump` and `mysqldump` write.
//!
//! Around most objects stand settings: those that are saved first belong to what
//! follows, those that are brought back to what stands before.

use indelible_format::contents::{Dialect, SectionKind};

use super::{Class, Head, Name, section};
use crate::sql::lexer::{Statement, Unfollowed};
use crate::sql::token::TokenKind;

/// Encodings in which a byte that looks like a backslash may be half a character.
const AMBIGUOUS: [&str; 5] = ["big5", "cp932", "gb18030", "gbk", "sjis"];

/// Comments that are run from this version on hold views, also those tables that
/// stand in for a view until all tables are there.
const VIEW_VERSION: u32 = 50_001;

/// The database that the statements are for, and what stands before the next one.
#[derive(Debug, Default)]
pub(in crate::sql) struct Mariadb {
    database: Option<Vec<u8>>,
    /// An object was seen.
    begun: bool,
    /// The statement before belongs to what follows.
    leading: bool,
}

impl Mariadb {
    pub(super) fn classify(&mut self, statement: &Statement<'_>) -> Result<Class, Unfollowed> {
        let class = self.statement(statement)?;
        self.leading = class == Class::Leads;
        if let Class::Section(kind, _) = &class {
            self.begun |= !matches!(kind, SectionKind::Preamble | SectionKind::Namespace);
        }
        Ok(class)
    }

    fn statement(&mut self, statement: &Statement<'_>) -> Result<Class, Unfollowed> {
        let mut head = Head::new(Dialect::Mariadb, statement.head);
        let Some(first) = head.next() else {
            return Ok(Class::Joins);
        };
        let verb = first.text.to_ascii_uppercase();
        Ok(match verb.as_slice() {
            b"SET" => self.set(head, statement)?,
            b"DELIMITER" if head.mark(b';') && !head.mark(b';') => Class::Joins,
            b"UNLOCK" | b"COMMIT" if self.begun => Class::Joins,
            b"START" | b"BEGIN" | b"CHANGE" => section(SectionKind::Preamble, None),
            b"INSERT" | b"REPLACE" => {
                while head.any(&["DELAYED", "LOW_PRIORITY", "IGNORE", "INTO"]) {}
                self.about(SectionKind::Data, head.name())
            }
            b"LOCK" if head.any(&["TABLES", "TABLE"]) => self.about(SectionKind::Data, head.name()),
            b"ALTER" => self.alter(head),
            b"USE" => {
                self.database = head.name().and_then(|mut name| name.pop());
                let name = self.database.iter().cloned().collect();
                Class::Section(SectionKind::Namespace, name)
            }
            b"DROP" if head.any(&["DATABASE", "SCHEMA"]) => {
                head.if_exists();
                section(SectionKind::Namespace, head.name())
            }
            // One makes room for what follows, which may be another kind of object, the
            // other lets it hold semicolons.
            b"DROP" | b"DELIMITER" => Class::Leads,
            b"CREATE" => self.create(head, statement.version),
            b"DO" | b"SELECT" if head.word("SETVAL") && head.mark(b'(') => {
                self.about(SectionKind::SequenceValue, head.name())
            }
            b"GRANT" | b"REVOKE" => section(SectionKind::Privilege, None),
            _ => section(SectionKind::Other, None),
        })
    }

    fn about(&self, kind: SectionKind, name: Option<Name>) -> Class {
        let Some(mut name) = name.filter(|name| name.len() <= 2) else {
            return section(SectionKind::Other, None);
        };
        if name.len() == 1
            && let Some(database) = &self.database
        {
            name.insert(0, database.clone());
        }
        Class::Section(kind, name)
    }

    fn set(&self, mut head: Head<'_>, statement: &Statement<'_>) -> Result<Class, Unfollowed> {
        let mode = b"NO_BACKSLASH_ESCAPES";
        let mut windows = statement.head.windows(mode.len());
        if windows.any(|window| window.eq_ignore_ascii_case(mode)) {
            return Err(Unfollowed);
        }
        let Some(variable) = head.next() else {
            return Ok(Class::Joins);
        };
        if variable.is("NAMES") && head.any(&AMBIGUOUS) {
            return Err(Unfollowed);
        }
        // What is set for a whole server is no setting of the load.
        if variable.is("@@GLOBAL") || variable.is("GLOBAL") {
            return Ok(section(SectionKind::Other, None));
        }
        head.mark(b'=');
        let value = head.next().map(|token| token.text.to_ascii_lowercase());
        let value = value.unwrap_or_default();
        // What the head saves the end brings back, in conditional comments; without one,
        // this is saved and brought back around the rows of each table.
        let around_rows = |name: &[u8]| statement.version == 0 && name == b"@old_autocommit";
        let variable = variable.text.to_ascii_lowercase();
        let saves = variable.starts_with(b"@save") || around_rows(&variable);
        Ok(if around_rows(&value) {
            Class::Joins
        } else if value.starts_with(b"@old_") {
            section(SectionKind::End, None)
        } else if value.starts_with(b"@save") {
            Class::Joins
        } else if saves || self.leading {
            Class::Leads
        } else if self.begun {
            Class::Joins
        } else {
            section(SectionKind::Preamble, None)
        })
    }

    fn alter(&self, mut head: Head<'_>) -> Class {
        if head.any(&["DATABASE", "SCHEMA"]) {
            return section(SectionKind::Namespace, head.name());
        }
        if !head.word("TABLE") {
            return section(SectionKind::Other, None);
        }
        let table = head.name();
        let kind = if head.any(&["DISABLE", "ENABLE"]) {
            SectionKind::Data
        } else {
            SectionKind::Table
        };
        self.about(kind, table)
    }

    fn create(&self, mut head: Head<'_>, version: u32) -> Class {
        while let Some(token) = head.next() {
            // In front of what it is stands who made it and how; names are quoted.
            if token.kind != TokenKind::Word {
                continue;
            }
            let kind = match token.text.to_ascii_uppercase().as_slice() {
                b"TABLE" if version == VIEW_VERSION => SectionKind::View,
                b"TABLE" => SectionKind::Table,
                b"VIEW" => SectionKind::View,
                b"SEQUENCE" => SectionKind::Sequence,
                b"FUNCTION" | b"PROCEDURE" | b"PACKAGE" | b"EVENT" => {
                    head.word("BODY");
                    SectionKind::Routine
                }
                b"TRIGGER" if head.skip_to("ON") => SectionKind::Trigger,
                b"DATABASE" | b"SCHEMA" => {
                    head.if_exists();
                    return section(SectionKind::Namespace, head.name());
                }
                b"USER" | b"ROLE" => return section(SectionKind::Privilege, None),
                b"OR" | b"REPLACE" | b"TEMPORARY" | b"ALGORITHM" | b"DEFINER" | b"SQL"
                | b"SECURITY" | b"AGGREGATE" | b"INVOKER" | b"UNDEFINED" | b"MERGE"
                | b"TEMPTABLE" | b"CURRENT_USER" | b"@" => continue,
                _ => break,
            };
            head.if_exists();
            return self.about(kind, head.name());
        }
        section(SectionKind::Other, None)
    }
}
