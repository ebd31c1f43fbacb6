//! The demo's database: a small shop in SQLite that trades by day.
//!
//! Numbers come from the row and the day alone, so every run of the demo stores
//! the same rows. The copy at night is made by SQLite's online backup, which
//! keeps pages in their places; a dump by `VACUUM INTO` would move them all.

use std::path::Path;

use rusqlite::backup::Backup;
use rusqlite::{Connection, params};

use crate::exit::Exit;
use crate::failure::Failure;

const CUSTOMERS: u64 = 5_000;
const FIRST_ORDERS: u64 = 150_000;
const ORDERS_A_DAY: u64 = 1_500;
/// Orders are shipped within two days.
const OPEN_ORDERS: u64 = 2 * ORDERS_A_DAY;
const PAGES_A_STEP: i32 = 1_000;
const WORDS: [&str; 12] = [
    "teapot", "ladder", "compass", "lantern", "blanket", "kettle", "hammer", "violin", "carpet",
    "mirror", "saddle", "clock",
];

/// The shop's live database.
pub(super) struct Shop {
    database: Connection,
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "map_err hands errors over by value"
)]
fn failed(error: rusqlite::Error) -> Failure {
    Failure::new(Exit::Source, "the sample database failed").hint(error.to_string())
}

/// A well-spread number from two others (the finalizer of `SplitMix64`: Steele,
/// Lea and Flood, OOPSLA 2014).
fn spread(row: u64, day: u64) -> u64 {
    let mut z = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ day.wrapping_mul(0xD1B5_4A32_D192_ED03);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn word(number: u64) -> &'static str {
    let at = number % WORDS.len() as u64;
    WORDS[usize::try_from(at).expect("one of twelve")]
}

impl Shop {
    /// Opens the database and fills it as of the morning of the first day.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let shop = Self {
            database: Connection::open(path).map_err(failed)?,
        };
        let schema = "
            CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT NOT NULL);
            CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers,
                item TEXT NOT NULL, cents INTEGER NOT NULL, state TEXT NOT NULL, token TEXT NOT NULL);";
        shop.database.execute_batch(schema).map_err(failed)?;
        shop.fill().map_err(failed)?;
        Ok(shop)
    }

    fn fill(&self) -> rusqlite::Result<()> {
        let transaction = self.database.unchecked_transaction()?;
        let mut insert = transaction.prepare("INSERT INTO customers VALUES (?, ?, ?)")?;
        for id in 1..=CUSTOMERS {
            let (first, second) = (word(spread(id, 1)), word(spread(id, 2)));
            insert.execute(params![
                id.cast_signed(),
                format!("{first} {second} {id}"),
                word(spread(id, 3))
            ])?;
        }
        drop(insert);
        for id in 1..=FIRST_ORDERS {
            insert_order(&transaction, id)?;
        }
        transaction.commit()
    }

    /// A day's trade: new orders at the end, and half of the open ones shipped.
    pub(super) fn trade(&self, day: u64) -> Result<(), Failure> {
        let trade = || -> rusqlite::Result<()> {
            let transaction = self.database.unchecked_transaction()?;
            let first = FIRST_ORDERS + (day - 1) * ORDERS_A_DAY;
            for id in first + 1..=first + ORDERS_A_DAY {
                insert_order(&transaction, id)?;
            }
            let mut ship =
                transaction.prepare("UPDATE orders SET state = 'shipped' WHERE id = ?")?;
            for id in first - OPEN_ORDERS..=first {
                if spread(id, 1_000 + day).is_multiple_of(2) {
                    ship.execute([id.cast_signed()])?;
                }
            }
            drop(ship);
            transaction.commit()
        };
        trade().map_err(failed)
    }

    /// How many orders there are.
    pub(super) fn orders(&self) -> Result<u64, Failure> {
        let count = self
            .database
            .query_row("SELECT count(*) FROM orders", [], |row| row.get(0));
        count.map(i64::cast_unsigned).map_err(failed)
    }

    /// Copies the database page by page while it could be in use.
    pub(super) fn back_up(&self, to: &Path) -> Result<(), Failure> {
        let copy = || -> rusqlite::Result<()> {
            let mut copy = Connection::open(to)?;
            let backup = Backup::new(&self.database, &mut copy)?;
            backup.run_to_completion(PAGES_A_STEP, std::time::Duration::ZERO, None)
        };
        copy().map_err(failed)
    }
}

fn insert_order(database: &Connection, id: u64) -> rusqlite::Result<()> {
    let mut insert =
        database.prepare_cached("INSERT INTO orders VALUES (?, ?, ?, ?, 'open', ?)")?;
    let customer = 1 + spread(id, 4) % CUSTOMERS;
    let cents = 100 + spread(id, 5) % 100_000;
    let token = format!("{:016x}{:016x}", spread(id, 6), spread(id, 7));
    insert.execute(params![
        id.cast_signed(),
        customer.cast_signed(),
        word(spread(id, 8)),
        cents.cast_signed(),
        token
    ])?;
    Ok(())
}
