//! A dump taken apart into its rows, by nothing but the format of `COPY`.

use indelible_benches::{Dump, Edit};
use std::collections::HashMap;

/// Large enough that a share of 1 % is dozens of rows, small enough for a
/// build without optimization.
pub(crate) const SIZE_BYTES: u64 = 4_000_000;

/// The bytes of a dump of the usual size.
pub(crate) fn dump(edit: Edit, night: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let dump = Dump {
        seed: 7,
        size_bytes: SIZE_BYTES,
        edit,
        night,
    };
    let summary = dump.write_to(&mut bytes).expect("a vector takes all");
    assert_eq!(summary.bytes, bytes.len() as u64);
    bytes
}

/// One table's rows, each a line without its end.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: Vec<String>,
}

impl Table {
    /// The rows by their numbers.
    pub(crate) fn by_id(&self) -> HashMap<u64, &str> {
        let pairs = self.rows.iter().map(|row| (id(row), row.as_str()));
        let by_id: HashMap<_, _> = pairs.collect();
        assert_eq!(by_id.len(), self.rows.len(), "numbers are unique");
        by_id
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.rows.iter().map(|row| id(row)).collect()
    }
}

pub(crate) struct Parsed {
    pub(crate) tables: Vec<Table>,
    /// Every line that is no row.
    pub(crate) frame: Vec<String>,
}

impl Parsed {
    pub(crate) fn of(edit: Edit, night: u32) -> Self {
        Self::read(dump(edit, night))
    }

    pub(crate) fn read(dump: Vec<u8>) -> Self {
        let text = String::from_utf8(dump).expect("dumps are UTF-8");
        let mut parsed = Self {
            tables: Vec::new(),
            frame: Vec::new(),
        };
        let mut in_rows = false;
        for line in text.lines() {
            in_rows &= line != "\\.";
            if in_rows {
                let table = parsed.tables.last_mut().expect("rows follow a COPY");
                table.rows.push(line.to_owned());
                continue;
            }
            if let Some(rest) = line.strip_prefix("COPY public.") {
                in_rows = true;
                let name = rest.split(' ').next().expect("a first word").to_owned();
                parsed.tables.push(Table {
                    name,
                    rows: Vec::new(),
                });
            }
            parsed.frame.push(line.to_owned());
        }
        parsed
    }

    pub(crate) fn table(&self, name: &str) -> &Table {
        let mut tables = self.tables.iter();
        tables.find(|table| table.name == name).expect("it exists")
    }
}

/// The number of a row.
pub(crate) fn id(row: &str) -> u64 {
    let first = row.split('\t').next().expect("a first field");
    first.parse().expect("the first field is the number")
}
