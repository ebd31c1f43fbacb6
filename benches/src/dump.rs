//! A plain `pg_dump` of a shop's database, made from a seed.
//!
//! Three tables hold what real ones do: customers (names, addresses, UUIDs),
//! orders (money, states, clerks' notes) and events (tokens, JSON). Their
//! fields are mixed so that `zstd -3` makes the dump 2.9 times smaller, as it
//! does the real dump whose figures this one stands in for; measured are 2.90
//! at 100 MB and 2.93 at 1 GB. `PostgreSQL` 15 loads every night's dump, and
//! dumps the same lines again but for the versions in the header; only their
//! order differs, because `COPY` fills gaps in pages it has left.
//!
//! A dump is streamed: memory stays below a few megabytes at any size, because
//! every row follows from the seed, its table and its number alone (`history`).
//! The bytes for a seed are part of the crate's contract: golden hashes in the
//! tests pin them, so that figures of different releases compare.

mod edit;
mod history;
mod lexicon;
mod line;
mod prng;
mod rows;
mod schema;
mod series;

pub use edit::{Edit, ParseEditError};
pub use series::{Order, Series};

use history::{History, Row};
use line::Line;
use prng::{derive, permille_of};
use rows::{BaseRows, RowWriter};
use schema::Table;
use std::io::{self, Write};

/// Rows are handed to the writer in pieces of about this size.
const PIECE_BYTES: usize = 256 * 1024;

/// How many rows of a table are looked at to learn their mean length.
const SAMPLED_ROWS: u64 = 4096;

/// One night's dump of a database that never existed.
///
/// ```
/// use indelible_benches::{Dump, Edit};
///
/// let mut before = Vec::new();
/// let mut dump = Dump {
///     seed: 7,
///     size_bytes: 1_000_000,
///     edit: Edit::Scattered { permille: 10 },
///     night: 0,
/// };
/// dump.write_to(&mut before)?;
///
/// let mut after = Vec::new();
/// dump.night = 1;
/// let summary = dump.write_to(&mut after)?;
/// assert_eq!(summary.bytes, after.len() as u64);
/// assert_ne!(before, after);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Chooses the database.
    pub seed: u64,
    /// The length of the dump before any edit, met within 2 % from 1 MB
    /// upwards. A smaller one still holds a row of each table.
    pub size_bytes: u64,
    /// What each night does.
    pub edit: Edit,
    /// How many nights have passed. Night 0 is the same for every edit.
    pub night: u32,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The tables, in the order in which they stand in the dump.
    pub tables: [TableSummary; 3],
    /// The length of the whole dump.
    pub bytes: u64,
}

/// What was written of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// Its name, without the schema.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
    /// The length of its rows, line feeds included.
    pub bytes: u64,
}

impl Dump {
    /// Writes the dump from its first to its last byte.
    ///
    /// # Errors
    ///
    /// Those of the writer, as they come; what was written by then is the
    /// beginning of the dump.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<Summary> {
        let writer = self.row_writer(&mut Line::with_capacity(PIECE_BYTES));
        write_tables(&writer, out, |table, each| {
            let base = writer.base.of(table);
            let history = History::new(self.table_key(table), base, self.edit, self.night);
            history.rows().try_for_each(|row| each(&row))
        })
    }

    fn table_key(&self, table: Table) -> u64 {
        derive(self.seed, table as u64)
    }

    /// Settles how many rows each table has.
    ///
    /// References make rows of orders as long as the numbers of customers, and
    /// events as those of orders, hence the order here.
    fn row_writer(&self, line: &mut Line) -> RowWriter {
        let texts = Table::ALL.map(|table| table.start_of_rows().len() + schema::END_OF_ROWS.len());
        let fixed = schema::HEAD.len() + schema::TAIL.len() + texts.iter().sum::<usize>();
        let for_rows = self.size_bytes.saturating_sub(fixed as u64);
        let mut writer = RowWriter::new(BaseRows {
            customers: 1,
            events: 1,
            orders: 1,
        });
        for table in [Table::Customers, Table::Orders, Table::Events] {
            let bytes = permille_of(for_rows, table.share_permille());
            // A first estimate from a typical length; then the rows' numbers
            // are nearly those of the dump, and so are their lengths.
            let mut rows = (bytes / 250).max(1);
            for _ in 0..2 {
                *writer.base.of_mut(table) = rows;
                rows = self.rows_filling(bytes, table, &writer, line);
            }
            *writer.base.of_mut(table) = rows;
        }
        writer
    }

    /// How many rows fill `bytes`, by the mean of rows all over the table.
    fn rows_filling(&self, bytes: u64, table: Table, writer: &RowWriter, line: &mut Line) -> u64 {
        let base = writer.base.of(table);
        let history = History::new(self.table_key(table), base, Edit::Nothing, 0);
        let sampled = base.min(SAMPLED_ROWS);
        for at in 0..sampled {
            // at * base / sampled, without overflow.
            let id = 1 + base / sampled * at + base % sampled * at / sampled;
            let row = history.row(id).expect("the first dump lacks no row");
            writer.write(table, &row, line);
        }
        let length = line.as_bytes().len() as u64;
        line.clear();
        let rows = u128::from(bytes) * u128::from(sampled) / u128::from(length);
        u64::try_from(rows).map_or(1, |rows| rows.max(1))
    }
}

/// Writes a dump whose rows a visitor is shown, table by table, in their order.
fn write_tables(
    writer: &RowWriter,
    out: &mut impl Write,
    rows: impl Fn(Table, &mut dyn FnMut(&Row) -> io::Result<()>) -> io::Result<()>,
) -> io::Result<Summary> {
    let mut line = Line::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
    let mut bytes = write_text(schema::HEAD, out)?;
    let mut tables = Table::ALL.map(|table| TableSummary {
        name: table.name(),
        rows: 0,
        bytes: 0,
    });
    for (table, summary) in Table::ALL.into_iter().zip(&mut tables) {
        bytes += write_text(&table.start_of_rows(), out)?;
        rows(table, &mut |row| {
            writer.write(table, row, &mut line);
            summary.rows += 1;
            if line.as_bytes().len() >= PIECE_BYTES {
                summary.bytes += hand_over(&mut line, out)?;
            }
            Ok(())
        })?;
        summary.bytes += hand_over(&mut line, out)?;
        bytes += summary.bytes + write_text(schema::END_OF_ROWS, out)?;
    }
    bytes += write_text(schema::TAIL, out)?;
    out.flush()?;
    Ok(Summary { tables, bytes })
}

/// Writes the waiting rows and says how long they were.
fn hand_over(line: &mut Line, out: &mut impl Write) -> io::Result<u64> {
    let length = line.as_bytes().len() as u64;
    out.write_all(line.as_bytes())?;
    line.clear();
    Ok(length)
}

fn write_text(text: &str, out: &mut impl Write) -> io::Result<u64> {
    out.write_all(text.as_bytes())?;
    Ok(text.len() as u64)
}
