//! Databases that live on from night to night, in real servers, and are dumped each
//! night.
//!
//! The shop's rows are those of [`Dump`], of which customers and orders
//! with notes in many words are the larger part. Between the nights, SQL statements
//! change rows, and the server decides where they come to lie. A server runs for as
//! long as its database is held, below the temporary directory and over no network;
//! nothing here touches a server that was there before.

mod daemon;
mod inserts;
mod mariadb;
mod pgbench;
mod postgres;
mod shop;
mod sqlite;

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::dump::Dump;
use crate::{Edit, Order, Series};

/// Which database is made.
const SEED: u64 = 1;

/// A database, on the evening of its first day.
pub trait Database {
    /// Writes tonight's dump to a file.
    ///
    /// # Errors
    ///
    /// If the server or the disk fails.
    fn dump(&mut self, out: &Path) -> anyhow::Result<()>;

    /// Lets a day pass.
    ///
    /// # Errors
    ///
    /// If the server fails.
    fn live(&mut self) -> anyhow::Result<()>;
}

/// A database, and what happens to it in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Workload {
    /// PostgreSQL: 1 % of the rows updated, 1 % inserted, 0.5 % deleted
    Heap,
    /// PostgreSQL: 1 % of the rows inserted and nothing else
    Append,
    /// PostgreSQL: 10 % of the rows updated, here and there
    Tenth,
    /// MariaDB: small fields of 1 % of the rows updated, dumped in the order of the keys
    Mariadb,
    /// PostgreSQL: pgbench, 20,000 transactions on 1 GB, and then 80,000
    Pgbench,
    /// SQLite: small fields of 1 % of the rows updated
    Sqlite,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Heap,
        Self::Append,
        Self::Tenth,
        Self::Mariadb,
        Self::Pgbench,
        Self::Sqlite,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Append => "append",
            Self::Tenth => "tenth",
            Self::Mariadb => "mariadb",
            Self::Pgbench => "pgbench",
            Self::Sqlite => "sqlite",
        }
    }

    /// Makes the database, whose first dump is about so long.
    ///
    /// # Errors
    ///
    /// If what it takes is not installed, or fails.
    pub fn start(self, size_bytes: u64) -> anyhow::Result<Box<dyn Database>> {
        let shop = Dump {
            seed: SEED,
            size_bytes,
            edit: Edit::Nothing,
            night: 0,
        };
        Ok(match self {
            Self::Heap => Box::new(shop::Shop::new(&shop, shop::HEAP)?),
            Self::Append => Box::new(shop::Shop::new(&shop, shop::APPEND)?),
            Self::Tenth => Box::new(shop::Shop::new(&shop, shop::TENTH)?),
            Self::Mariadb => Box::new(mariadb::Mariadb::new(&shop)?),
            Self::Pgbench => Box::new(pgbench::Pgbench::new(size_bytes)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::new(&shop)?),
        })
    }

    /// Where its dumps come from, in words.
    ///
    /// # Errors
    ///
    /// If what it takes is not installed.
    pub fn origin(self) -> anyhow::Result<String> {
        let (version, of) = match self {
            Self::Heap => (
                postgres::version()?,
                "a shop's database, before and after 1 % of its rows were updated, 1 % \
                 inserted and 0.5 % deleted",
            ),
            Self::Append => (
                postgres::version()?,
                "a shop's database, before and after 1 % of its rows were inserted",
            ),
            Self::Tenth => (
                postgres::version()?,
                "a shop's database, before and after 10 % of its rows were updated",
            ),
            Self::Mariadb => (
                mariadb::version()?,
                "a shop's database in the order of its keys, one row a statement, before and \
                 after small fields of 1 % of its rows were updated",
            ),
            Self::Pgbench => (
                postgres::version()?,
                "pgbench's database, before and after its transactions, 200 and then 800 a \
                 unit of scale",
            ),
            Self::Sqlite => (
                sqlite::version()?,
                "a shop's database (`.dump`), before and after small fields of 1 % of its rows \
                 were updated",
            ),
        };
        Ok(format!("{version} of {of}"))
    }
}

/// A database that many nights are taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Nightly {
    /// A shop in a heap: 1 % of its rows updated, 1 % inserted, 0.5 % deleted
    Heap,
    /// A shop in the order of its keys: small fields of 1 % of its rows updated
    Inplace,
    /// The same in MariaDB
    Mariadb,
    /// The same in SQLite
    Sqlite,
    /// pgbench's database in PostgreSQL, with 20,000 transactions a night on 1 GB
    Pgbench,
}

impl Nightly {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Inplace => "inplace",
            Self::Mariadb => Workload::Mariadb.name(),
            Self::Sqlite => Workload::Sqlite.name(),
            Self::Pgbench => Workload::Pgbench.name(),
        }
    }

    /// Makes the database: that of a real server, or a simulated one where that is
    /// enough.
    ///
    /// # Errors
    ///
    /// If what it takes is not installed, or fails.
    pub fn start(self, size_bytes: u64) -> anyhow::Result<Box<dyn Database>> {
        Ok(match self {
            Self::Heap => Box::new(Simulated(Series::new(SEED, size_bytes, Order::Heap))),
            Self::Inplace => Box::new(Simulated(Series::new(SEED, size_bytes, Order::InPlace))),
            Self::Mariadb => Workload::Mariadb.start(size_bytes)?,
            Self::Sqlite => Workload::Sqlite.start(size_bytes)?,
            Self::Pgbench => Workload::Pgbench.start(size_bytes)?,
        })
    }
}

/// A made-up shop whose nights are computed, which is faster than any server.
struct Simulated(Series);

impl Database for Simulated {
    fn dump(&mut self, out: &Path) -> anyhow::Result<()> {
        let mut file =
            fs::File::create(out).with_context(|| format!("cannot create {}", out.display()))?;
        self.0
            .write_to(&mut file)
            .with_context(|| format!("cannot write {}", out.display()))?;
        Ok(())
    }

    fn live(&mut self) -> anyhow::Result<()> {
        self.0.advance();
        Ok(())
    }
}

/// The day that precedes a night, as SQL writes dates; the first is night 1.
fn day(night: u32) -> String {
    let first = jiff::civil::date(2026, 1, 1);
    let days = jiff::Span::new().days(i64::from(night.saturating_sub(1)));
    first.saturating_add(days).to_string()
}
