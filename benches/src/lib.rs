//! Realistic SQL dumps of any size, for tests and benches.
//!
//! A real dump can be neither shipped nor made public, and random bytes say
//! nothing about a program whose worth lies in what is alike from night to
//! night. [`Dump`] is a database that never existed: one seed gives the same
//! plain `pg_dump` on every machine and in every release, and an [`Edit`] gives
//! the dumps of the nights that follow.
#![forbid(unsafe_code)]

mod dump;
mod size;

pub use dump::{Dump, Edit, ParseEditError, Summary, TableSummary};
pub use size::{ParseSizeError, parse_size};
