//! What definitions need: whatever they mention, and what that mentions.
//!
//! A word is taken for a name wherever it could be one, so too much may come along;
//! that loads all the same. Too little would not.

use std::collections::{BTreeSet, HashMap};

use indelible_format::contents::{Contents, Dialect, ObjectName, Section, SectionKind};

use super::mentions::{self, Place};
use super::postgres::Role;
use super::statements;
use super::{PlanError, ReadRange};
use crate::sql::classify::Name;

/// The sections of one database in a dump, by their names in it.
pub(super) struct Database<'a> {
    /// Numbered in the order of the dump.
    pub(super) sections: Vec<Section<'a>>,
    scope: Vec<&'a [u8]>,
    definitions: HashMap<Vec<&'a [u8]>, Vec<usize>>,
    /// Values of sequences, by the sequence.
    values: HashMap<Vec<&'a [u8]>, Vec<usize>>,
    /// What code in a string may name without its schema.
    late: HashMap<&'a [u8], Vec<usize>>,
}

impl<'a> Database<'a> {
    /// The database that the table is in.
    pub(super) fn of(contents: &'a Contents, table: ObjectName<'a>) -> Self {
        let scope: Vec<&[u8]> = table
            .parts()
            .take(table.parts().len().saturating_sub(2))
            .collect();
        let mut database = Self {
            sections: Vec::new(),
            scope,
            definitions: HashMap::new(),
            values: HashMap::new(),
            late: HashMap::new(),
        };
        for section in contents.sections() {
            let Some(local) = database.local(section.name) else {
                continue;
            };
            let number = database.sections.len();
            if section.kind == SectionKind::SequenceValue {
                let values = database.values.entry(local.clone());
                values.or_default().push(number);
            }
            if is_definition(section.kind) && !local.is_empty() {
                if is_late(section.kind) {
                    let last = local[local.len() - 1];
                    database.late.entry(last).or_default().push(number);
                }
                database.definitions.entry(local).or_default().push(number);
            }
            database.sections.push(section);
        }
        database
    }

    /// A name without the database; `None` if it is in another one.
    pub(super) fn local(&self, name: ObjectName<'a>) -> Option<Vec<&'a [u8]>> {
        let mut parts = name.parts();
        let within = self.scope.iter().all(|part| parts.next() == Some(*part));
        within.then(|| parts.collect())
    }

    /// The name without the database of something in it.
    pub(super) fn local_of(&self, number: usize) -> Vec<&'a [u8]> {
        let name = self.sections[number].name;
        self.local(name).unwrap_or_default()
    }

    /// A name that a statement of this section says, with its schema.
    pub(super) fn qualified(&self, number: usize, mut name: Name) -> Name {
        if let ([_], [schema, _]) = (name.as_slice(), self.local_of(number).as_slice()) {
            name.insert(0, schema.to_vec());
        }
        name
    }
}

fn is_definition(kind: SectionKind) -> bool {
    is_late(kind)
        || matches!(
            kind,
            SectionKind::Namespace | SectionKind::Table | SectionKind::View
        )
}

fn is_late(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::Type | SectionKind::Routine | SectionKind::Sequence
    )
}

/// Sections that are needed, as far as it is known.
pub(super) struct Closure<'d, 'a> {
    database: &'d Database<'a>,
    /// Names without a schema are looked for in that of their statement.
    unqualified: bool,
    queue: Vec<usize>,
    pub(super) needed: BTreeSet<usize>,
}

impl<'d, 'a> Closure<'d, 'a> {
    pub(super) fn new(database: &'d Database<'a>, unqualified: bool) -> Self {
        Self {
            database,
            unqualified,
            queue: Vec::new(),
            needed: BTreeSet::new(),
        }
    }

    /// Needs a section.
    pub(super) fn add(&mut self, number: usize) {
        if !self.needed.insert(number) {
            return;
        }
        self.queue.push(number);
        if let [schema, _] = self.database.local_of(number).as_slice() {
            self.add_all(&[*schema]);
        }
    }

    fn add_all(&mut self, name: &[&[u8]]) {
        let database = self.database;
        for &number in database.definitions.get(name).into_iter().flatten() {
            self.add(number);
        }
        // They need nothing themselves.
        self.needed
            .extend(database.values.get(name).into_iter().flatten());
    }

    /// Needs whatever the needed sections mention.
    pub(super) fn close<R: ReadRange>(
        &mut self,
        reader: &mut R,
    ) -> Result<(), PlanError<R::Error>> {
        while let Some(number) = self.queue.pop() {
            let section = self.database.sections[number];
            // Where a sequence is drawn from is not what it needs.
            if section.kind == SectionKind::Sequence {
                continue;
            }
            let routine = section.kind == SectionKind::Routine;
            statements::each(Dialect::Postgres, &section, reader, |statement| {
                if Role::of(&statement.text) == Role::Stays {
                    let mut take = |name: &Name, place| self.mention(number, name, place);
                    let text = &statement.text;
                    mentions::each(Dialect::Postgres, text, Place::Code, routine, &mut take);
                }
            })?;
        }
        Ok(())
    }

    fn mention(&mut self, from: usize, name: &Name, place: Place) {
        let parts: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
        let database = self.database;
        if place == Place::Body {
            if let Some(last) = parts.get(1).or(parts.first()) {
                for &number in database.late.get(last).into_iter().flatten() {
                    self.add(number);
                }
            }
            return;
        }
        // Behind schema and object a column may follow.
        let object = &parts[..parts.len().min(2)];
        self.add_all(object);
        if self.unqualified && parts.len() == 1 {
            let name = database.qualified(from, name.clone());
            let parts: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
            self.add_all(&parts);
        }
    }
}
