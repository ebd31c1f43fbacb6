//! Tests of the engine: stores, sources and targets by themselves, then whole
//! repositories.

mod campaigns;
mod chunk_lists;
mod chunker;
mod commands;
mod cost;
mod golden;
mod index;
mod journal;
mod keys;
mod known;
mod log_append;
mod log_junk;
mod log_races;
mod pack;
mod restore;
mod revocation;
mod rights;
mod round_trips;
mod source;
mod state;
mod store;
mod support;
mod target;
mod trees;
mod verify;
