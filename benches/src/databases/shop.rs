//! The shop's database in PostgreSQL, whose updated rows move.

use std::path::Path;

use super::postgres::Server;
use super::{Database, day};
use crate::dump::Dump;

const DELETE: &str = include_str!("sql/delete.sql");
const UPDATE: &str = include_str!("sql/update.sql");
const INSERT: &str = include_str!("sql/insert.sql");

/// Hashes of 1 % and of 10 % of the rows lie below these.
const ONE_PERCENT: &str = "028f";
const TEN_PERCENT: &str = "199a";

/// After so many nights there is a dead row for every five live ones, and autovacuum
/// would free their places.
const NIGHTS_TO_VACUUM: u32 = 15;

/// What happens in a day.
pub(super) struct Day {
    statements: &'static [&'static str],
    /// Hashes of the rows that are updated lie below this.
    share: &'static str,
}

pub(super) const HEAP: Day = Day {
    statements: &[DELETE, UPDATE, INSERT],
    share: ONE_PERCENT,
};
pub(super) const APPEND: Day = Day {
    statements: &[INSERT],
    share: ONE_PERCENT,
};
pub(super) const TENTH: Day = Day {
    statements: &[UPDATE],
    share: TEN_PERCENT,
};

pub(super) struct Shop {
    server: Server,
    every_day: Day,
    night: u32,
}

impl Shop {
    pub(super) fn new(shop: &Dump, every_day: Day) -> anyhow::Result<Self> {
        let server = Server::start()?;
        server.load(|out| {
            shop.write_to(&mut &mut *out)?;
            Ok(())
        })?;
        Ok(Self {
            server,
            every_day,
            night: 0,
        })
    }
}

impl Database for Shop {
    fn dump(&mut self, out: &Path) -> anyhow::Result<()> {
        self.server.dump(out)
    }

    fn live(&mut self) -> anyhow::Result<()> {
        self.night += 1;
        if self.night.is_multiple_of(NIGHTS_TO_VACUUM) {
            self.server.load(|out| Ok(out.write_all(b"VACUUM;\n")?))?;
        }
        // So that each day chooses other rows.
        let salt = match self.night {
            1 => String::new(),
            night => format!("{night} "),
        };
        self.server.load(|out| {
            for statements in self.every_day.statements {
                let statements = statements
                    .replace("{salt}", &salt)
                    .replace("{day}", &day(self.night))
                    .replace("{share}", self.every_day.share);
                out.write_all(statements.as_bytes())?;
            }
            Ok(())
        })
    }
}
