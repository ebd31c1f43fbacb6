//! Those tests of keys, log and packs that are quick and near to them, as a program of
//! their own. The campaign of mutants builds it hundreds of times, and asks it first; all
//! of them are tests of `it` too.

#![allow(dead_code, unused_imports, reason = "the support is that of all tests")]

mod keys;
mod log_append;
mod log_junk;
mod log_races;
mod pack;
mod revocation;
mod rights;
mod support;
