//! Plain SQL dumps: where their tables stand, and what one table takes to load alone.
//!
//! A dump is read as the program that loads it reads it, by its grammar of strings,
//! comments and statements. What comments say is never believed: a row may hold
//! whatever looks like one. A dump in which anything is not understood has no table of
//! contents; that costs a convenience, and a wrong one would cost data.
//!
//! This module never changes a dump, and what it says of one decides nothing about
//! how it is stored or restored.

mod classify;
pub mod extract;
mod lexer;
mod name;
mod scanner;
mod token;

pub use name::{NameError, file_name, find_table, show_name, tables, tables_named};
pub use scanner::Scanner;
