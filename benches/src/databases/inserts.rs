//! The shop's database as statements that other databases than PostgreSQL understand.

use std::io::{self, Write};

use crate::dump::Dump;

/// The tables.
pub(super) const TABLES: &str = include_str!("sql/tables.sql");

/// What happens in a day.
const UPDATE: &str = include_str!("sql/update_in_place.sql");

/// Rows that one statement inserts.
const ROWS: usize = 200;

/// The statements of the day before a night.
pub(super) fn update(night: u32) -> String {
    UPDATE
        .replace("{day}", &super::day(night))
        .replace("{night}", &night.to_string())
}

/// Writes the rows of a dump, each table in one transaction.
pub(super) fn write_rows(shop: &Dump, out: &mut dyn Write) -> io::Result<()> {
    let mut inserts = Inserts {
        out,
        line: Vec::new(),
        table: None,
        rows: 0,
        text: Vec::new(),
    };
    shop.write_to(&mut inserts)?;
    inserts.out.flush()
}

/// Reads a plain dump and writes the rows of its `COPY`s as `INSERT`s.
struct Inserts<'a> {
    out: &'a mut dyn Write,
    /// What of the dump was written and is no whole line.
    line: Vec<u8>,
    /// Whose rows these are.
    table: Option<String>,
    /// How many a statement has that is not written yet, and the statement.
    rows: usize,
    text: Vec<u8>,
}

impl Write for Inserts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if piece.ends_with(b"\n") && self.line.is_empty() {
                self.add(&piece[..piece.len() - 1])?;
                continue;
            }
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.add(&line[..line.len() - 1])?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inserts<'_> {
    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        if self.table.is_none() {
            if let Some(rest) = line.strip_prefix(b"COPY public.") {
                let name = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
                self.table = Some(String::from_utf8_lossy(name).into_owned());
                return self.out.write_all(b"BEGIN;\n");
            }
            return Ok(());
        }
        if line == b"\\." {
            self.end()?;
            self.table = None;
            return self.out.write_all(b"COMMIT;\n");
        }
        self.add_row(line)
    }

    fn add_row(&mut self, row: &[u8]) -> io::Result<()> {
        if self.rows == 0 {
            let table = self.table.as_deref().unwrap_or_default();
            write!(self.text, "INSERT INTO {table} VALUES ")?;
        } else {
            self.text.push(b',');
        }
        for (at, field) in row.split(|byte| *byte == b'\t').enumerate() {
            self.text.push(if at == 0 { b'(' } else { b',' });
            if field == b"\\N" {
                self.text.extend_from_slice(b"NULL");
                continue;
            }
            self.text.push(b'\'');
            self.add_text(field)?;
            self.text.push(b'\'');
        }
        self.text.push(b')');
        self.rows += 1;
        if self.rows == ROWS {
            self.end()
        } else {
            Ok(())
        }
    }

    /// What `COPY` and what SQL escape; the shop has nothing else of either.
    fn add_text(&mut self, field: &[u8]) -> io::Result<()> {
        let mut bytes = field.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'\\' if bytes.next() == Some(&b'n') => self.text.push(b'\n'),
                b'\\' => {
                    let error = "a field has an escape other than that of a line's end";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                b'\'' => self.text.extend_from_slice(b"''"),
                _ => self.text.push(byte),
            }
        }
        Ok(())
    }

    /// Ends a statement, if one was begun.
    fn end(&mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.text.extend_from_slice(b";\n");
            self.out.write_all(&self.text)?;
            self.text.clear();
            self.rows = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Inserts, ROWS, write_rows};
    use crate::{Dump, Edit};
    use std::io::Write as _;

    /// Absent values, quotes and the ends of tables arrive.
    ///
    /// Method: a `COPY` written byte by byte and at once.
    #[test]
    fn rows_become_statements() {
        let dump =
            "SET x = 1;\nCOPY public.t (a, b) FROM stdin;\n1\t\\N\n2\tit's\\nme\n\\.\n\nrest\n";
        let expected = "BEGIN;\nINSERT INTO t VALUES ('1',NULL),('2','it''s\nme');\nCOMMIT;\n";
        for piece in [1, 7, dump.len()] {
            let mut out = Vec::new();
            let mut inserts = Inserts {
                out: &mut out,
                line: Vec::new(),
                table: None,
                rows: 0,
                text: Vec::new(),
            };
            for piece in dump.as_bytes().chunks(piece) {
                inserts.write_all(piece).expect("a vector takes all");
            }
            assert_eq!(String::from_utf8_lossy(&out), expected, "by {piece}");
        }
    }

    /// No row of the shop is lost.
    ///
    /// Method: count the rows of all statements of a small dump.
    #[test]
    fn every_row_is_inserted() {
        let dump = Dump {
            seed: 7,
            size_bytes: 300_000,
            edit: Edit::Nothing,
            night: 0,
        };
        let rows = dump.write_to(&mut std::io::sink()).expect("it takes all");
        let rows: u64 = rows.tables.iter().map(|table| table.rows).sum();
        let mut out = Vec::new();
        write_rows(&dump, &mut out).expect("a vector takes all");
        let text = String::from_utf8(out).expect("dumps are UTF-8");
        let ends = text.matches("'),('").count() + text.matches("');\n").count();
        assert_eq!(ends as u64, rows);
        assert!(text.matches("INSERT").count() >= usize::try_from(rows).expect("few") / ROWS);
    }
}
