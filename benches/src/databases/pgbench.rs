//! pgbench's own database in PostgreSQL: rows of little but numbers, of which a few are
//! updated here and there.

use std::path::Path;

use super::Database;
use super::postgres::Server;

pub(super) struct Pgbench {
    server: Server,
    scale: u64,
    night: u32,
}

impl Pgbench {
    pub(super) fn new(size_bytes: u64) -> anyhow::Result<Self> {
        // 1 GB is the customary scale of 100.
        let scale = (size_bytes / 10_000_000).max(1);
        let server = Server::start()?;
        server.pgbench(&["--initialize", "--quiet", &format!("--scale={scale}")])?;
        Ok(Self {
            server,
            scale,
            night: 0,
        })
    }
}

impl Database for Pgbench {
    fn dump(&mut self, out: &Path) -> anyhow::Result<()> {
        self.server.dump(out)
    }

    fn live(&mut self) -> anyhow::Result<()> {
        self.night += 1;
        // At a scale of 100: 20,000 on the first day, 100,000 after the second.
        let transactions = self.scale * if self.night == 2 { 800 } else { 200 };
        self.server.pgbench(&[
            // Which would empty the table of what happened.
            "--no-vacuum",
            &format!("--random-seed={}", self.night),
            &format!("--transactions={transactions}"),
        ])
    }
}
