//! Many nights of one database, one after the other.
//!
//! [`Dump`] gives any night by itself, at a cost that grows with its number. Here the
//! rows of the last night are kept, so that a night costs what it changes and writes.
//! That also allows for what depends on all the nights before: in a heap, a row that
//! is updated goes to the table's end, since its old place is not free until the table
//! was vacuumed. That happens when there is a dead row for every five live ones, which
//! is when `PostgreSQL`'s autovacuum comes, and then new rows fill those places first.
//!
//! What a night does to a row is a hash of the seed, the table, the row's number and
//! the night, and what is written of it is what [`Dump`] writes of such a row.

use std::io::{self, Write};

use super::edit::Edit;
use super::history::Row;
use super::line::Line;
use super::prng::{derive, permille_of};
use super::rows::RowWriter;
use super::schema::Table;
use super::{Dump, PIECE_BYTES, Summary, write_tables};

/// Updated and inserted rows a night, in thousandths of those that there are and of
/// those that there were at first; half as many are deleted.
const PERMILLE: u16 = 10;

/// The table is vacuumed when there is a dead row for so many live ones.
const VACUUM_AT: usize = 5;

/// How a database keeps its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As `PostgreSQL` does: 1 % of the rows is updated each day and moves, 1 % is
    /// inserted, 0.5 % is deleted.
    Heap,
    /// As what clusters by primary key does: small fields of 1 % of the rows are
    /// updated each day, where they stand.
    InPlace,
}

/// A place in a table.
enum Slot {
    Row(Row),
    /// The row is gone, and its place not free yet.
    Dead,
    Free,
}

struct Rows {
    table: Table,
    key: u64,
    /// The number of the last row, and how many there were at first.
    last_id: u64,
    base: u64,
    slots: Vec<Slot>,
    dead: usize,
}

/// A database that never existed, from its first night on.
///
/// ```
/// use indelible_benches::{Order, Series};
///
/// let mut series = Series::new(7, 1_000_000, Order::Heap);
/// let mut first = Vec::new();
/// series.write_to(&mut first)?;
/// series.advance();
/// let mut second = Vec::new();
/// series.write_to(&mut second)?;
/// assert_ne!(first, second);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Series {
    order: Order,
    night: u32,
    writer: RowWriter,
    tables: Vec<Rows>,
}

impl Series {
    /// The database on its first night, whose dump is that of [`Dump`]. The seed and
    /// the size, in bytes, choose it.
    pub fn new(seed: u64, size_bytes: u64, order: Order) -> Self {
        let dump = Dump {
            seed,
            size_bytes,
            edit: Edit::Nothing,
            night: 0,
        };
        let writer = dump.row_writer(&mut Line::with_capacity(PIECE_BYTES));
        let tables = Table::ALL.map(|table| {
            let (key, base) = (dump.table_key(table), writer.base.of(table));
            let slots = (1..=base).map(|id| Slot::Row(Row::born(key, id, 0)));
            Rows {
                table,
                key,
                last_id: base,
                base,
                slots: slots.collect(),
                dead: 0,
            }
        });
        Self {
            order,
            night: 0,
            writer,
            tables: tables.into(),
        }
    }

    /// Lets a day pass.
    pub fn advance(&mut self) {
        self.night += 1;
        for rows in &mut self.tables {
            match self.order {
                Order::Heap => rows.live_in_heap(self.night),
                Order::InPlace => rows.live_in_place(self.night),
            }
        }
    }

    /// How many days have passed.
    pub fn night(&self) -> u32 {
        self.night
    }

    /// Writes tonight's dump from its first to its last byte.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<Summary> {
        write_tables(&self.writer, out, |table, each| {
            let rows = self.tables.iter().filter(|rows| rows.table == table);
            for slot in rows.flat_map(|rows| &rows.slots) {
                if let Slot::Row(row) = slot {
                    each(row)?;
                }
            }
            Ok(())
        })
    }
}

impl Rows {
    /// A number that decides what a day does to a row: the upper half whether, the
    /// lowest bits what.
    fn lot(&self, night: u32, id: u64) -> u64 {
        derive(derive(!self.key, u64::from(night)), id)
    }

    fn live_in_place(&mut self, night: u32) {
        for at in 0..self.slots.len() {
            let Slot::Row(row) = &self.slots[at] else {
                continue;
            };
            let lot = self.lot(night, row.id);
            if is_among(lot, PERMILLE)
                && let Slot::Row(row) = &mut self.slots[at]
            {
                let small = self.table.small_fields();
                row.update(night, small[usize::from(lot & 1 == 1)]);
            }
        }
    }

    fn live_in_heap(&mut self, night: u32) {
        let is_row = |slot: &&Slot| matches!(slot, Slot::Row(_));
        if self.dead * VACUUM_AT > self.slots.iter().filter(is_row).count() {
            self.vacuum();
        }
        let mut written = Vec::new();
        for at in 0..self.slots.len() {
            let Slot::Row(row) = &self.slots[at] else {
                continue;
            };
            let lot = self.lot(night, row.id);
            let is_updated = is_among(lot, PERMILLE);
            // The same share of the even rows is half of it of all rows.
            let is_deleted = row.id.is_multiple_of(2) && is_among(lot, 2 * PERMILLE);
            if !is_updated && !is_deleted {
                continue;
            }
            if let Slot::Row(mut row) = std::mem::replace(&mut self.slots[at], Slot::Dead)
                && is_updated
            {
                row.update(night, (lot & 3) as usize);
                written.push(row);
            }
            self.dead += 1;
        }
        let inserted = permille_of(self.base, PERMILLE).max(1);
        let ids = self.last_id + 1..=self.last_id + inserted;
        self.last_id += inserted;
        written.extend(ids.map(|id| Row::born(self.key, id, night)));
        self.place(written);
    }

    fn vacuum(&mut self) {
        for slot in &mut self.slots {
            if matches!(slot, Slot::Dead) {
                *slot = Slot::Free;
            }
        }
        self.dead = 0;
    }

    /// Puts rows into the free places, and behind the last one when there are no more.
    fn place(&mut self, rows: Vec<Row>) {
        let mut rows = rows.into_iter();
        let free = self.slots.iter_mut();
        for slot in free.filter(|slot| matches!(slot, Slot::Free)) {
            let Some(row) = rows.next() else {
                return;
            };
            *slot = Slot::Row(row);
        }
        self.slots.extend(rows.map(Slot::Row));
    }
}

/// Whether a lot is among the lowest `permille` thousandths.
fn is_among(lot: u64, permille: u16) -> bool {
    (lot >> 32) * 1000 < u64::from(permille) << 32
}
