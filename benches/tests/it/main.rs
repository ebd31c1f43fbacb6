//! The dumps keep their promises: same bytes, right size, right edits.

mod compare;
mod dumpgen;
mod edits;
mod golden;
mod parsed;
mod series;
