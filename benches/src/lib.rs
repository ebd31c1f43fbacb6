//! Realistic SQL dumps of any size, for tests and benches.
//!
//! A real dump can be neither shipped nor made public, and random bytes say
//! nothing about a program whose worth lies in what is alike from night to
//! night. [`Dump`] is a database that never existed: one seed gives the same
//! plain `pg_dump` on every machine and in every release, and an [`Edit`] gives
//! the dumps of the nights that follow; a [`Series`] is many of them. The other modules
//! are what the benches share: [`databases`] of real servers, [`tools`] to compare, what
//! a command took ([`measure`]), or a run of the engine itself ([`lab`]), and where that
//! is told ([`table`], [`marks`], [`page`]).
#![forbid(unsafe_code)]

pub mod databases;
mod dump;
pub mod figures;
pub mod lab;
pub mod machine;
pub mod marks;
pub mod measure;
pub mod page;
pub mod programs;
mod size;
pub mod table;
pub mod tools;
pub mod zstd;

use std::process::ExitCode;

pub use dump::{Dump, Edit, Order, ParseEditError, Series, Summary, TableSummary};
pub use size::{ParseSizeError, parse_size};

/// What a bench ends with; a failure is told with its causes.
pub fn ended(bench: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{bench}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
