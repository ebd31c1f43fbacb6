//! What `pg_dump` and `pg_dumpall` write.

mod settings;

use indelible_format::contents::{Dialect, SectionKind};

use self::settings::{connected, followed};
use super::{Class, Head, Name, section};
use crate::sql::lexer::{Statement, Unfollowed};

/// The database that the statements are for, and where names without a schema lie.
#[derive(Debug, Default)]
pub(in crate::sql) struct Postgres {
    database: Option<Vec<u8>>,
    schema: Option<Vec<u8>>,
}

impl Postgres {
    /// The name of what is about a database and no object in it.
    pub(super) fn scope(&self) -> Name {
        self.database.iter().cloned().collect()
    }

    pub(super) fn classify(&mut self, statement: &Statement<'_>) -> Result<Class, Unfollowed> {
        if let Some(command) = statement.head.strip_prefix(b"\\") {
            return self.command(command);
        }
        let mut head = Head::new(Dialect::Postgres, statement.head);
        let Some(first) = head.next() else {
            return Ok(Class::Joins);
        };
        let verb = first.text.to_ascii_uppercase();
        Ok(match verb.as_slice() {
            b"SET" => return self.set(head),
            b"SELECT" => return self.select(head),
            b"RESET" => Class::Section(SectionKind::Preamble, self.scope()),
            b"COPY" if statement.copied => self.about(SectionKind::Data, head.name()),
            b"INSERT" => {
                head.word("INTO");
                self.about(SectionKind::Data, head.name())
            }
            b"CREATE" | b"DROP" => self.object(head),
            b"ALTER" => self.alter(head),
            b"COMMENT" => self.comment(head),
            b"REFRESH" => {
                head.words(&["MATERIALIZED", "VIEW"]);
                self.about(SectionKind::View, head.name())
            }
            b"GRANT" | b"REVOKE" | b"REASSIGN" | b"SECURITY" => {
                section(SectionKind::Privilege, None)
            }
            _ => section(SectionKind::Other, None),
        })
    }

    /// What a statement is, with its full name.
    fn about(&self, kind: SectionKind, name: Option<Name>) -> Class {
        let Some(mut name) = name else {
            return section(SectionKind::Other, None);
        };
        if name.len() == 1
            && let Some(schema) = &self.schema
        {
            name.insert(0, schema.clone());
        }
        self.within(kind, name)
    }

    /// The same for what lies in no schema.
    fn within(&self, kind: SectionKind, mut name: Name) -> Class {
        let inner = name.len().saturating_sub(2);
        name.drain(..inner);
        if let Some(database) = &self.database {
            name.insert(0, database.clone());
        }
        Class::Section(kind, name)
    }

    /// A command of psql. Those that could do anything are not followed.
    fn command(&mut self, command: &[u8]) -> Result<Class, Unfollowed> {
        let end = command.iter().position(u8::is_ascii_whitespace);
        let (word, rest) = command.split_at(end.unwrap_or(command.len()));
        match word {
            b"restrict" => Ok(Class::Section(SectionKind::Preamble, self.scope())),
            b"unrestrict" => Ok(Class::Section(SectionKind::End, self.scope())),
            b"encoding" => {
                followed(b"client_encoding", rest.trim_ascii())?;
                Ok(Class::Section(SectionKind::Preamble, self.scope()))
            }
            b"connect" => {
                let database = connected(rest.trim_ascii()).ok_or(Unfollowed)?;
                self.database = Some(database);
                self.schema = None;
                Ok(Class::Section(SectionKind::Namespace, self.scope()))
            }
            _ => Err(Unfollowed),
        }
    }

    fn set(&mut self, mut head: Head<'_>) -> Result<Class, Unfollowed> {
        if !head.word("LOCAL") && head.word("SESSION") && head.word("AUTHORIZATION") {
            return Ok(section(SectionKind::Privilege, None));
        }
        let setting = head.next().map(|token| token.text.to_ascii_lowercase());
        let _ = head.mark(b'=') || head.word("TO");
        match setting.as_deref() {
            Some(b"search_path") => {
                let first = head.name().and_then(|mut name| name.pop());
                self.schema = first.filter(|schema| schema != b"pg_catalog");
            }
            Some(setting) => {
                let word = head.peek().map(|token| token.text.to_vec());
                let value = head.text().or(word).unwrap_or_default();
                followed(setting, &value)?;
            }
            None => {}
        }
        Ok(Class::Section(SectionKind::Preamble, self.scope()))
    }

    fn select(&mut self, mut head: Head<'_>) -> Result<Class, Unfollowed> {
        let other = Ok(section(SectionKind::Other, None));
        let Some(function) = head.name() else {
            return other;
        };
        if !head.mark(b'(') {
            return other;
        }
        let Some(argument) = head.text() else {
            return other;
        };
        match function.last().map(Vec::as_slice) {
            Some(b"setval") => {
                let name = Head::new(Dialect::Postgres, &argument).name();
                Ok(self.about(SectionKind::SequenceValue, name))
            }
            Some(b"set_config") => {
                head.mark(b',');
                let value = head.text().unwrap_or_default();
                let setting = argument.to_ascii_lowercase();
                followed(&setting, &value)?;
                if setting == b"search_path" {
                    self.schema = None;
                }
                Ok(Class::Section(SectionKind::Preamble, self.scope()))
            }
            _ => other,
        }
    }

    /// CREATE or DROP.
    fn object(&self, mut head: Head<'_>) -> Class {
        while head.any(BETWEEN) {}
        if head.word("FOREIGN") && head.words(&["DATA", "WRAPPER"]) {
            return self.single(SectionKind::Namespace, head);
        }
        let Some(object) = head.next() else {
            return section(SectionKind::Other, None);
        };
        let object = object.text.to_ascii_uppercase();
        match object.as_slice() {
            b"TEXT" => {
                head.word("SEARCH");
                head.next();
                self.named(SectionKind::Type, head)
            }
            b"CAST" | b"TRANSFORM" => Class::Section(SectionKind::Routine, self.scope()),
            b"LANGUAGE" => self.single(SectionKind::Routine, head),
            b"SCHEMA" | b"EXTENSION" | b"SERVER" => self.single(SectionKind::Namespace, head),
            b"DATABASE" => {
                head.if_exists();
                section(SectionKind::Namespace, head.name())
            }
            b"INDEX" => self.index(head),
            b"STATISTICS" if head.skip_to("FROM") => self.named(SectionKind::Index, head),
            b"TRIGGER" | b"POLICY" if head.skip_to("ON") => self.named(SectionKind::Trigger, head),
            b"RULE" => self.rule(head),
            b"ROLE" | b"USER" | b"GROUP" => section(SectionKind::Privilege, None),
            object => self.in_schema(object, head),
        }
    }

    /// Objects that CREATE, DROP and ALTER name alike.
    fn in_schema(&self, object: &[u8], mut head: Head<'_>) -> Class {
        let kind = match object {
            b"TABLE" => SectionKind::Table,
            b"SEQUENCE" => SectionKind::Sequence,
            b"VIEW" => SectionKind::View,
            b"INDEX" => SectionKind::Index,
            b"TYPE" | b"DOMAIN" | b"COLLATION" => SectionKind::Type,
            b"FUNCTION" | b"PROCEDURE" | b"AGGREGATE" => SectionKind::Routine,
            b"OPERATOR" => {
                head.any(&["CLASS", "FAMILY"]);
                SectionKind::Routine
            }
            _ => return section(SectionKind::Other, None),
        };
        self.named(kind, head)
    }

    fn named(&self, kind: SectionKind, mut head: Head<'_>) -> Class {
        head.if_exists();
        head.word("ONLY");
        self.about(kind, head.name())
    }

    /// What lies in no schema.
    fn single(&self, kind: SectionKind, mut head: Head<'_>) -> Class {
        head.if_exists();
        match head.name() {
            Some(name) => self.within(kind, name),
            None => section(SectionKind::Other, None),
        }
    }

    /// An index is about its table, where the statement says which that is.
    fn index(&self, mut head: Head<'_>) -> Class {
        head.word("CONCURRENTLY");
        head.if_exists();
        let index = head.name();
        if head.word("ON") {
            return self.named(SectionKind::Index, head);
        }
        self.about(SectionKind::Index, index)
    }

    fn rule(&self, mut head: Head<'_>) -> Class {
        head.if_exists();
        let kind = match head.name() {
            Some(name) if name == [b"_RETURN"] => SectionKind::View,
            _ => SectionKind::Trigger,
        };
        let found = if head.word("AS") {
            head.skip_to("TO")
        } else {
            head.skip_to("ON")
        };
        if found {
            self.named(kind, head)
        } else {
            section(SectionKind::Other, None)
        }
    }

    fn alter(&self, mut head: Head<'_>) -> Class {
        head.any(&["FOREIGN", "MATERIALIZED"]);
        if head.word("TABLE") {
            return self.alter_table(head);
        }
        let mut rest = head.clone();
        while rest.skip_to("OWNER") {
            if rest.word("TO") {
                return section(SectionKind::Privilege, None);
            }
        }
        let Some(object) = head.next() else {
            return section(SectionKind::Other, None);
        };
        match object.text.to_ascii_uppercase().as_slice() {
            b"TEXT" => {
                head.word("SEARCH");
                head.next();
                self.named(SectionKind::Type, head)
            }
            b"DEFAULT" | b"ROLE" | b"USER" | b"LARGE" => section(SectionKind::Privilege, None),
            object => self.in_schema(object, head),
        }
    }

    fn alter_table(&self, mut head: Head<'_>) -> Class {
        head.if_exists();
        head.word("ONLY");
        let table = head.name();
        let action = head.next().map(|token| token.text.to_ascii_uppercase());
        let kind = match action.as_deref().unwrap_or_default() {
            b"OWNER" => return section(SectionKind::Privilege, None),
            b"ENABLE" | b"DISABLE" | b"FORCE" | b"NO" => SectionKind::Trigger,
            b"CLUSTER" | b"REPLICA" => SectionKind::Index,
            b"SET" if head.words(&["WITHOUT", "CLUSTER"]) => SectionKind::Index,
            b"ADD" if head.word("CONSTRAINT") => {
                head.next();
                if head.word("FOREIGN") {
                    SectionKind::ForeignKey
                } else {
                    SectionKind::Constraint
                }
            }
            b"DROP" if head.word("CONSTRAINT") => SectionKind::Constraint,
            _ => SectionKind::Table,
        };
        self.about(kind, table)
    }

    /// A comment is about what it is on; one on a column, on its table.
    fn comment(&self, mut head: Head<'_>) -> Class {
        let kind = SectionKind::Comment;
        head.word("ON");
        head.any(&["MATERIALIZED", "FOREIGN"]);
        let Some(object) = head.next() else {
            return section(kind, None);
        };
        match object.text.to_ascii_uppercase().as_slice() {
            b"TABLE" | b"VIEW" | b"INDEX" | b"SEQUENCE" | b"TYPE" | b"DOMAIN" | b"FUNCTION"
            | b"PROCEDURE" | b"AGGREGATE" | b"COLLATION" => self.about(kind, head.name()),
            b"COLUMN" => {
                let mut name = head.name();
                if let Some(name) = &mut name {
                    name.pop();
                }
                self.about(kind, name.filter(|name| !name.is_empty()))
            }
            b"CONSTRAINT" | b"TRIGGER" | b"RULE" | b"POLICY" if head.skip_to("ON") => {
                head.word("DOMAIN");
                self.about(kind, head.name())
            }
            _ => section(kind, None),
        }
    }
}

/// What may stand between CREATE or DROP and the kind of object.
const BETWEEN: &[&str] = &[
    "OR",
    "REPLACE",
    "UNIQUE",
    "UNLOGGED",
    "GLOBAL",
    "LOCAL",
    "TEMPORARY",
    "TEMP",
    "CONSTRAINT",
    "MATERIALIZED",
    "RECURSIVE",
    "TRUSTED",
    "PROCEDURAL",
    "DEFAULT",
];
