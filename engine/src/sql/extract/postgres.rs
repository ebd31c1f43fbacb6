//! Tables of PostgreSQL, whose definitions are spread over a dump.

use std::collections::HashSet;

use indelible_format::contents::{Contents, Dialect, ObjectName, SectionKind};

use super::closure::{Closure, Database};
use super::statements::{self, Piecemeal};
use super::{Part, Plan, PlanError, ReadRange};
use crate::sql::classify::{Head, Name};
use crate::sql::name::{show_name, show_part};

const DIALECT: Dialect = Dialect::Postgres;

/// What becomes of a statement, whatever it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    Stays,
    /// It removes something, as what is loaded alone must never do.
    Drops,
    /// It makes this table a part of its own.
    Attaches(Name),
}

impl Role {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut head = Head::new(DIALECT, text);
        if head.word("DROP") {
            return Self::Drops;
        }
        if !head.word("ALTER") {
            return Self::Stays;
        }
        head.any(&["FOREIGN", "MATERIALIZED"]);
        head.any(&["TABLE", "VIEW"]);
        head.if_exists();
        head.word("ONLY");
        head.name();
        if head.words(&["ATTACH", "PARTITION"]) {
            return head.name().map_or(Self::Stays, Self::Attaches);
        }
        if head.any(&["DROP", "DETACH"]) {
            return Self::Drops;
        }
        if head.word("ALTER") {
            head.word("COLUMN");
            head.name();
            if head.word("DROP") {
                return Self::Drops;
            }
        }
        Self::Stays
    }
}

pub(super) fn plan<R: ReadRange>(
    contents: &Contents,
    table: ObjectName<'_>,
    part: Part,
    reader: &mut R,
) -> Result<Plan, PlanError<R::Error>> {
    let database = Database::of(contents, table);
    let tables = with_partitions(&database, table, reader)?;
    let mut plan = Plan::default();
    if part == Part::Data {
        for (number, section) in database.sections.iter().enumerate() {
            if section.kind == SectionKind::Data && tables.contains(&owned(&database, number)) {
                plan.whole(section);
            }
        }
        return Ok(plan);
    }
    let mut closure = Closure::new(&database, has_search_path(&database, reader)?);
    for (number, section) in database.sections.iter().enumerate() {
        let own = tables.contains(&owned(&database, number));
        let defines = match section.kind {
            SectionKind::Table | SectionKind::Index | SectionKind::Constraint => own,
            SectionKind::Namespace => is_extension(&database, number, reader)?,
            _ => false,
        };
        if defines {
            closure.add(number);
        }
    }
    closure.close(reader)?;
    let mut writer = Writer {
        database: &database,
        tables,
        closure,
        indexes: HashSet::new(),
        plan,
    };
    for number in 0..database.sections.len() {
        writer.section(number, reader)?;
    }
    Ok(writer.plan)
}

fn owned(database: &Database<'_>, number: usize) -> Name {
    let local = database.local_of(number);
    local.iter().map(|part| part.to_vec()).collect()
}

/// The table, and those that are attached to it.
fn with_partitions<R: ReadRange>(
    database: &Database<'_>,
    table: ObjectName<'_>,
    reader: &mut R,
) -> Result<HashSet<Name>, PlanError<R::Error>> {
    let skipped = table.parts().len().saturating_sub(2);
    let table: Name = table.parts().skip(skipped).map(<[u8]>::to_vec).collect();
    let mut found = HashSet::from([table.clone()]);
    let mut queue = vec![table];
    while let Some(table) = queue.pop() {
        for (number, section) in database.sections.iter().enumerate() {
            if section.kind != SectionKind::Table || owned(database, number) != table {
                continue;
            }
            statements::each(DIALECT, section, reader, |statement| {
                if let Role::Attaches(partition) = Role::of(&statement.text) {
                    let partition = database.qualified(number, partition);
                    if found.insert(partition.clone()) {
                        queue.push(partition);
                    }
                }
            })?;
        }
    }
    Ok(found)
}

/// Older releases set the schema of names that have none.
fn has_search_path<R: ReadRange>(
    database: &Database<'_>,
    reader: &mut R,
) -> Result<bool, PlanError<R::Error>> {
    let mut found = false;
    for (number, section) in database.sections.iter().enumerate() {
        if section.kind == SectionKind::Preamble && database.local_of(number).is_empty() && !found {
            statements::each(DIALECT, section, reader, |statement| {
                found |= Head::new(DIALECT, &statement.text).words(&["SET", "search_path"]);
            })?;
        }
    }
    Ok(found)
}

fn is_extension<R: ReadRange>(
    database: &Database<'_>,
    number: usize,
    reader: &mut R,
) -> Result<bool, PlanError<R::Error>> {
    let mut found = false;
    if database.local_of(number).len() == 1 {
        statements::each(DIALECT, &database.sections[number], reader, |statement| {
            found |= Head::new(DIALECT, &statement.text).words(&["CREATE", "EXTENSION"]);
        })?;
    }
    Ok(found)
}

/// Writes the plan, section by section.
struct Writer<'d, 'a> {
    database: &'d Database<'a>,
    tables: HashSet<Name>,
    closure: Closure<'d, 'a>,
    /// Those that the plan makes.
    indexes: HashSet<Name>,
    plan: Plan,
}

impl Writer<'_, '_> {
    fn section<R: ReadRange>(
        &mut self,
        number: usize,
        reader: &mut R,
    ) -> Result<(), PlanError<R::Error>> {
        let section = self.database.sections[number];
        let name = owned(self.database, number);
        let own = self.tables.contains(&name);
        let needed = self.closure.needed.contains(&number);
        match section.kind {
            SectionKind::Preamble | SectionKind::End if name.is_empty() => {
                self.plan.whole(&section);
            }
            SectionKind::Data if own => self.plan.whole(&section),
            SectionKind::SequenceValue if needed => self.plan.whole(&section),
            SectionKind::Trigger if own => self.plan.note_triggers(DIALECT, section.name),
            SectionKind::ForeignKey | SectionKind::Comment if own => self.read(number, reader)?,
            // Which table an attached index belongs to, the index says.
            SectionKind::Index if self.indexes.contains(&name) => self.read(number, reader)?,
            _ if needed => {
                if section.kind == SectionKind::Table && !own {
                    let table = show_name(DIALECT, section.name);
                    let note = format!("the definition of {table} comes with it, without its rows");
                    self.plan.note(note);
                }
                self.read(number, reader)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn read<R: ReadRange>(
        &mut self,
        number: usize,
        reader: &mut R,
    ) -> Result<(), PlanError<R::Error>> {
        let section = self.database.sections[number];
        statements::each(DIALECT, &section, reader, |statement| {
            if self.takes(number, section.kind, &statement.text) {
                self.write(section.kind, &statement);
            }
        })
    }

    /// Whether a statement is part of the plan.
    fn takes(&mut self, number: usize, kind: SectionKind, text: &[u8]) -> bool {
        match (Role::of(text), kind) {
            (Role::Drops, _) => return false,
            (Role::Attaches(part), SectionKind::Table) => {
                return self.tables.contains(&self.database.qualified(number, part));
            }
            _ => {}
        }
        let mut head = Head::new(DIALECT, text);
        match kind {
            SectionKind::Index | SectionKind::Constraint => self.takes_index(number, head),
            SectionKind::ForeignKey => self.takes_foreign_key(number, head),
            SectionKind::Sequence => self.takes_sequence(number, head),
            SectionKind::View => !head.word("REFRESH"),
            SectionKind::Comment => {
                head.words(&["COMMENT", "ON"]);
                head.any(&["TABLE", "COLUMN", "FOREIGN"])
            }
            _ => true,
        }
    }

    fn takes_index(&mut self, number: usize, mut head: Head<'_>) -> bool {
        if head.word("ALTER") && head.word("INDEX") {
            let index = head
                .name()
                .map(|name| self.database.qualified(number, name));
            let own = index.is_some_and(|index| self.indexes.contains(&index));
            if head.words(&["ATTACH", "PARTITION"]) {
                let part = head
                    .name()
                    .map(|name| self.database.qualified(number, name));
                return own && part.is_some_and(|part| self.indexes.contains(&part));
            }
            return own;
        }
        // A new index, or a constraint that has one, lies in the schema of its table.
        let named = head.skip_to("INDEX") || head.skip_to("CONSTRAINT");
        if let Some(name) = head.name().filter(|_| named) {
            let name = self.database.qualified(number, name);
            self.indexes.insert(name);
        }
        true
    }

    fn takes_foreign_key(&mut self, number: usize, mut head: Head<'_>) -> bool {
        if !head.skip_to("REFERENCES") {
            return true;
        }
        let Some(referred) = head.name() else {
            return true;
        };
        let referred = self.database.qualified(number, referred);
        if self.tables.contains(&referred) {
            return true;
        }
        let parts: Vec<String> = referred
            .iter()
            .map(|part| show_part(DIALECT, part))
            .collect();
        let (table, referred) = (
            show_name(DIALECT, self.database.sections[number].name),
            parts.join("."),
        );
        self.plan.note(format!(
            "a foreign key of {table} to {referred} is left out"
        ));
        false
    }

    /// A sequence belongs to a column only if that is there.
    fn takes_sequence(&self, number: usize, mut head: Head<'_>) -> bool {
        if !head.word("ALTER") || !head.skip_to("OWNED") {
            return true;
        }
        head.word("BY");
        let mut owner = head.name().unwrap_or_default();
        owner.pop();
        let owner = self.database.qualified(number, owner);
        let needed = self.closure.needed.iter();
        self.tables.contains(&owner)
            || needed.copied().any(|number| {
                self.database.sections[number].kind == SectionKind::Table
                    && owned(self.database, number) == owner
            })
    }

    fn write(&mut self, kind: SectionKind, statement: &Piecemeal) {
        if kind == SectionKind::Namespace {
            // A schema that each database has may be there.
            let mut head = Head::new(DIALECT, &statement.text);
            if head.word("CREATE")
                && let Some(schema) = head.next()
                && schema.is("SCHEMA")
            {
                let end = schema.range.end;
                let mut text = statement.text[..end].to_vec();
                text.extend_from_slice(b" IF NOT EXISTS");
                text.extend_from_slice(&statement.text[end..]);
                self.plan.text(text);
                return;
            }
        }
        self.plan.range(statement.offset, statement.len);
    }
}
