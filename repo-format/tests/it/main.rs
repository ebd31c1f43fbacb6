//! Tests of the repository format: vectors of every layout and rule, and
//! properties of every encoder and decoder; and what the decoded values say.

mod codecs;
mod codings;
mod contents;
mod decoders;
mod faults;
mod fixture;
mod frame;
mod generate;
mod key_rings;
mod keys;
mod log_bundles;
mod policies;
mod properties;
mod rekeys;
mod sealed;
mod spec;
mod trees;
mod vector;
mod vectors;
