//! Tables of SQLite. Their definitions are the user's own text and stay as they are.

use indelible_format::contents::{Contents, Dialect, ObjectName, Section, SectionKind};

use super::statements;
use super::{Plan, PlanError, ReadRange};
use crate::sql::classify::Head;
use crate::sql::name::show_name;

const DIALECT: Dialect = Dialect::Sqlite;

/// What the definition of a table says.
#[derive(Default)]
struct Definition {
    /// A module keeps it, in tables of its own whose names begin with this one's.
    module: bool,
    refers: bool,
}

pub(super) fn plan<R: ReadRange>(
    contents: &Contents,
    table: ObjectName<'_>,
    reader: &mut R,
) -> Result<Plan, PlanError<R::Error>> {
    let definition = define(contents, table, reader)?;
    let name = table.last().unwrap_or_default();
    let shadow = |other: ObjectName<'_>| {
        let rest = other.last().and_then(|other| other.strip_prefix(name));
        definition.module && rest.is_some_and(|rest| rest.starts_with(b"_"))
    };
    let mut plan = Plan::default();
    let mut values: Vec<Section<'_>> = Vec::new();
    let mut reset = None;
    for section in contents.sections() {
        let own = section.name == table;
        match section.kind {
            SectionKind::Preamble => plan.whole(&section),
            SectionKind::Table if own && definition.module => {
                plan.text(b"PRAGMA writable_schema=ON;\n".to_vec());
                plan.whole(&section);
            }
            SectionKind::Table | SectionKind::Data if own || shadow(section.name) => {
                plan.whole(&section);
            }
            SectionKind::Index if own => plan.whole(&section),
            SectionKind::SequenceValue if own => values.push(section),
            SectionKind::SequenceValue if section.name.last().is_none() => reset = Some(section),
            SectionKind::Trigger if own => plan.note_triggers(DIALECT, table),
            SectionKind::End => {
                // The table of these values is there once a table counts, and has
                // counted the rows by then.
                if !values.is_empty() {
                    for section in reset.iter().chain(&values) {
                        plan.whole(section);
                    }
                }
                if definition.module {
                    plan.text(b"PRAGMA writable_schema=OFF;\n".to_vec());
                }
                plan.whole(&section);
            }
            _ => {}
        }
    }
    if definition.refers {
        let table = show_name(DIALECT, table);
        plan.note(format!(
            "foreign keys of {table} are kept, and what they refer to is left out"
        ));
    }
    Ok(plan)
}

fn define<R: ReadRange>(
    contents: &Contents,
    table: ObjectName<'_>,
    reader: &mut R,
) -> Result<Definition, PlanError<R::Error>> {
    let mut definition = Definition::default();
    for section in contents.sections() {
        if section.kind == SectionKind::Table && section.name == table {
            statements::each(DIALECT, &section, reader, |statement| {
                let mut head = Head::new(DIALECT, &statement.text);
                definition.module |= head.word("INSERT");
                definition.refers |= head.skip_to("REFERENCES");
            })?;
        }
    }
    Ok(definition)
}
