//! Tables of `MariaDB` and `MySQL`. Their foreign keys stand in their definitions.

use std::collections::HashSet;
use std::ops::Range;

use indelible_format::contents::{Contents, Dialect, ObjectName, SectionKind};

use super::mentions::{self, Place};
use super::statements::{self, Piecemeal};
use super::{Plan, PlanError, ReadRange};
use crate::sql::classify::Head;
use crate::sql::name::{show_name, show_part};
use crate::sql::token::{Token, TokenKind, Tokens};

const DIALECT: Dialect = Dialect::Mariadb;

pub(super) fn plan<R: ReadRange>(
    contents: &Contents,
    table: ObjectName<'_>,
    reader: &mut R,
) -> Result<Plan, PlanError<R::Error>> {
    let scope: Vec<&[u8]> = table.parts().rev().skip(1).collect();
    let same_scope = |name: ObjectName<'_>| name.parts().rev().skip(1).eq(scope.iter().copied());
    // Sequences stand before the tables that draw from them.
    let mut drawn = HashSet::new();
    for section in contents.sections() {
        if section.kind == SectionKind::Table && section.name == table {
            statements::each(DIALECT, &section, reader, |statement| {
                mentions::each(
                    DIALECT,
                    &statement.text,
                    Place::Code,
                    false,
                    &mut |name, _| {
                        drawn.extend(name.last().cloned());
                    },
                );
            })?;
        }
    }
    let mut plan = Plan::default();
    for section in contents.sections() {
        let own = section.name == table;
        let sequence = || {
            same_scope(section.name) && section.name.last().is_some_and(|name| drawn.contains(name))
        };
        match section.kind {
            SectionKind::Preamble | SectionKind::End => plan.whole(&section),
            SectionKind::Data if own => plan.whole(&section),
            SectionKind::Table if own => {
                statements::each(DIALECT, &section, reader, |statement| {
                    add_definition(&mut plan, table, &statement);
                })?;
            }
            SectionKind::Sequence if sequence() => {
                statements::each(DIALECT, &section, reader, |statement| {
                    if !drops(&statement.text) {
                        plan.range(statement.offset, statement.len);
                    }
                })?;
            }
            SectionKind::SequenceValue if sequence() => plan.whole(&section),
            SectionKind::Trigger if own => plan.note_triggers(DIALECT, table),
            _ => {}
        }
    }
    Ok(plan)
}

/// A load must never drop what is there.
fn drops(text: &[u8]) -> bool {
    Head::new(DIALECT, text).word("DROP")
}

fn add_definition(plan: &mut Plan, table: ObjectName<'_>, statement: &Piecemeal) {
    if drops(&statement.text) {
        return;
    }
    match without_foreign_keys(&statement.text, table) {
        None => plan.range(statement.offset, statement.len),
        Some((text, absent)) => {
            for referred in absent {
                let table = show_name(DIALECT, table);
                plan.note(format!(
                    "a foreign key of {table} to {referred} is left out"
                ));
            }
            plan.text(text);
        }
    }
}

/// A CREATE TABLE without its foreign keys to other tables, and those tables; `None`
/// if it has none.
fn without_foreign_keys(text: &[u8], table: ObjectName<'_>) -> Option<(Vec<u8>, Vec<String>)> {
    let mut head = Head::new(DIALECT, text);
    if !head.word("CREATE") {
        return None;
    }
    let (body, items) = items(text)?;
    let mut absent = Vec::new();
    let kept: Vec<&Range<usize>> = items
        .iter()
        .filter(|item| match refers_to(&text[(*item).clone()]) {
            Some(parts) if !is_table(&parts, table) => {
                let parts: Vec<String> =
                    parts.iter().map(|part| show_part(DIALECT, part)).collect();
                absent.push(parts.join("."));
                false
            }
            _ => true,
        })
        .collect();
    if absent.is_empty() || kept.is_empty() {
        return None;
    }
    let kept: Vec<&[u8]> = kept.into_iter().map(|item| &text[item.clone()]).collect();
    let mut out = text[..body.start].to_vec();
    out.extend_from_slice(&kept.join(&b','));
    // The white space before the closing parenthesis is that of the last item.
    let last = &text[items.last()?.clone()];
    if !out.ends_with(b"\n") && last.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.extend_from_slice(&text[body.end..]);
    Some((out, absent))
}

fn is_table(parts: &[Vec<u8>], table: ObjectName<'_>) -> bool {
    let mut own = table.parts().rev();
    parts
        .iter()
        .rev()
        .all(|part| own.next().is_none_or(|own| own == part.as_slice()))
}

/// What stands in the first parentheses, and where its items do.
fn items(text: &[u8]) -> Option<(Range<usize>, Vec<Range<usize>>)> {
    let mut depth = 0_usize;
    let mut begin = None;
    let mut from = 0;
    let mut items = Vec::new();
    for token in Tokens::new(DIALECT, text) {
        if token.is_mark(b'(') {
            depth += 1;
            if depth == 1 {
                from = token.range.end;
                begin = Some(from);
            }
        } else if token.is_mark(b')') {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                items.push(from..token.range.start);
                return Some((begin?..token.range.start, items));
            }
        } else if token.is_mark(b',') && depth == 1 {
            items.push(from..token.range.start);
            from = token.range.end;
        }
    }
    None
}

/// The table that an item of a definition refers to, if it is a foreign key.
fn refers_to(item: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut head = Head::new(DIALECT, item);
    if head.word("CONSTRAINT") {
        let quoted = |token: &Token<'_>| token.kind == TokenKind::Quoted;
        if head.peek().is_some_and(quoted) {
            head.next();
        }
    }
    if !head.words(&["FOREIGN", "KEY"]) || !head.skip_to("REFERENCES") {
        return None;
    }
    head.name()
}

#[cfg(test)]
mod tests {
    use indelible_format::contents::ContentsBuilder;

    use super::*;

    /// A definition without a foreign key is the definition without that line, and
    /// those that refer to the table itself stay.
    ///
    /// Method: foreign keys first, last, alone and between others, with commas and
    /// parentheses in names, comments and defaults.
    #[test]
    fn foreign_keys_are_taken_out() {
        let mut builder = ContentsBuilder::new(DIALECT);
        builder.push(SectionKind::Table, &[b"t"], 1, 0).unwrap();
        let contents = builder.finish().unwrap().unwrap();
        let table = contents.sections().next().unwrap().name;
        let without = |text: &str| {
            without_foreign_keys(text.as_bytes(), table)
                .map(|(text, absent)| (String::from_utf8(text).unwrap(), absent.join(" ")))
        };
        let own = "CONSTRAINT `b` FOREIGN KEY (`a`) REFERENCES `t` (`a`)";
        let other =
            "CONSTRAINT `,(` FOREIGN KEY (`a`,`b`) REFERENCES `o``)` (`x`,`y`) ON DELETE CASCADE";
        let columns = "  `a` int DEFAULT (1 + (2)) COMMENT 'x, (FOREIGN KEY',\n  KEY `k` (`a`,`b`)";
        let expected = format!("CREATE TABLE `t` (\n{columns},\n  {own}\n) ENGINE=x;\n");
        for text in [
            format!("CREATE TABLE `t` (\n{columns},\n  {other},\n  {own}\n) ENGINE=x;\n"),
            format!("CREATE TABLE `t` (\n{columns},\n  {own},\n  {other}\n) ENGINE=x;\n"),
            format!(
                "CREATE TABLE `t` (\n{columns},\n  {other},\n  {own},\n  {other}\n) ENGINE=x;\n"
            ),
        ] {
            let (found, absent) = without(&text).unwrap();
            assert_eq!(found, expected);
            assert!(absent.starts_with("`o``)`"), "{absent}");
        }
        assert_eq!(without(&expected), None);
        assert_eq!(without("INSERT INTO `t` VALUES (1)"), None);
    }
}
