//! A table, as text for a terminal and as Markdown.

use std::fmt::Write as _;

/// A heading and rows of as many cells; the first column is words, the others
/// are figures.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of no rows with this heading.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with as many cells as the heading has.
    pub fn add(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.head.len(), "a row fills the columns");
        self.rows.push(row);
    }

    /// Both forms have their columns aligned; Markdown has bars between them.
    pub fn render(&self, markdown: bool) -> String {
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = self.all_rows().map(|row| row[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (at, row) in self.all_rows().enumerate() {
            if markdown && at == 1 {
                text.push('|');
                for (column, width) in widths.iter().enumerate() {
                    let colon = if column == 0 { '-' } else { ':' };
                    let _ = write!(text, "{}{colon}|", "-".repeat(width + 1));
                }
                text.push('\n');
            }
            let bar = if markdown { "| " } else { "  " };
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = if column == 0 {
                    write!(line, "{bar}{cell:<width$} ")
                } else {
                    write!(line, "{bar}{cell:>width$} ")
                };
            }
            line.push_str(if markdown { "|" } else { "" });
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn all_rows(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.head).chain(&self.rows)
    }
}

/// Whole bytes, with commas between thousands.
pub fn grouped(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
