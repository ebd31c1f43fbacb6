//! The dumps to compare with: the nights of one database, written from a real server.
//! They are made once and kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indelible_benches::databases::{Database, Workload};

/// Dumps of one database on following nights, at least two.
pub(crate) struct Nights(Vec<PathBuf>);

impl Nights {
    /// Those of files that are there.
    ///
    /// # Errors
    ///
    /// If one is not.
    pub(crate) fn given(dumps: &[PathBuf]) -> anyhow::Result<Self> {
        let dumps = dumps.iter().map(|dump| {
            fs::canonicalize(dump).with_context(|| format!("there is no dump {}", dump.display()))
        });
        dumps.collect::<anyhow::Result<_>>().map(Self)
    }

    /// Those of a workload in a directory, made unless they are there.
    ///
    /// # Errors
    ///
    /// If the server that it takes is not installed, or there is no room.
    pub(crate) fn of(workload: Workload, dir: &Path, size_bytes: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let nights = Self(names(workload, &dir, size_bytes));
        if nights.0.iter().all(|dump| dump.is_file()) {
            return Ok(nights);
        }
        eprintln!("making dumps in {}", dir.display());
        let mut database = workload.start(size_bytes)?;
        for (number, out) in nights.0.iter().enumerate() {
            if number > 0 {
                database.live()?;
            }
            dump(&mut *database, out)?;
        }
        Ok(nights)
    }

    /// The first night's.
    pub(crate) fn first(&self) -> &Path {
        &self.0[0]
    }

    /// The one of a night, from 0, if there was one.
    pub(crate) fn get(&self, night: usize) -> Option<&Path> {
        self.0.get(night).map(PathBuf::as_path)
    }

    pub(crate) fn last(&self) -> &Path {
        &self.0[self.0.len() - 1]
    }

    pub(crate) fn all(&self) -> &[PathBuf] {
        &self.0
    }
}

/// The shop's first night is the same whatever happens next, and called alike.
fn names(workload: Workload, dir: &Path, size_bytes: u64) -> Vec<PathBuf> {
    let (first, later) = match workload {
        Workload::Heap => ("pg".to_owned(), "pg".to_owned()),
        Workload::Append | Workload::Tenth => ("pg".to_owned(), format!("pg-{}", workload.name())),
        Workload::Mariadb | Workload::Pgbench | Workload::Sqlite => {
            (workload.name().to_owned(), workload.name().to_owned())
        }
    };
    let nights = if workload == Workload::Pgbench { 3 } else { 2 };
    let names = (0..nights).map(|night| {
        let name = if night == 0 { &first } else { &later };
        dir.join(format!("{name}-{size_bytes}-night{night}.sql"))
    });
    names.collect()
}

/// Writes a dump, unless it is there.
fn dump(database: &mut dyn Database, out: &Path) -> anyhow::Result<()> {
    if out.is_file() {
        return Ok(());
    }
    let partial = out.with_extension("partial");
    database.dump(&partial)?;
    fs::rename(&partial, out).with_context(|| format!("cannot name {}", out.display()))
}
