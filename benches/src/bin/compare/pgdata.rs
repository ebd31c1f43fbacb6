//! The dumps to compare with: two nights of one database, written by `pg_dump`
//! from a real server.
//!
//! The rows are those of `dumpgen`, of which customers and orders with notes in
//! many words are the larger part. Between the nights, SQL statements delete,
//! update and insert rows, and the server decides where they come to lie. The
//! dumps are made once and kept.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use indelible_benches::{Dump, Edit};

use crate::postgres::{self, Server};
use crate::round::Nights;

/// What happens between the nights.
const NIGHT: &str = include_str!("night.sql");

/// Which database.
const SEED: u64 = 1;

/// The dumps in a directory, made unless they are there.
///
/// # Errors
///
/// If there is no PostgreSQL, or no room.
pub(crate) fn nights(dir: &Path, size_bytes: u64) -> anyhow::Result<Nights> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = fs::canonicalize(dir)?;
    let name = |night: u32| dir.join(format!("pg-{size_bytes}-night{night}.sql"));
    let nights = Nights {
        first: name(0),
        second: name(1),
    };
    // The second is renamed last.
    if nights.second.is_file() && nights.first.is_file() {
        return Ok(nights);
    }
    eprintln!("making dumps in {}", dir.display());
    let server = Server::start()?;
    server.load(|out| {
        let dump = Dump {
            seed: SEED,
            size_bytes,
            edit: Edit::Nothing,
            night: 0,
        };
        dump.write_to(&mut &mut *out)?;
        Ok(())
    })?;
    dump(&server, &nights.first)?;
    server.load(|out| Ok(out.write_all(NIGHT.as_bytes())?))?;
    dump(&server, &nights.second)?;
    Ok(nights)
}

/// Where the dumps come from, in words.
pub(crate) fn origin() -> anyhow::Result<String> {
    let version = postgres::version()?;
    Ok(format!(
        "{version} of a shop's database, before and after 1 % of its rows were updated, 1 % \
         inserted and 0.5 % deleted"
    ))
}

fn dump(server: &Server, out: &Path) -> anyhow::Result<()> {
    let partial = out.with_extension("partial");
    server.dump(&partial)?;
    fs::rename(&partial, out).with_context(|| format!("cannot name {}", out.display()))
}
