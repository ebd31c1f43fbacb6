//! Tests of the repository format: vectors of every layout and rule, and
//! properties of every encoder and decoder; and what the decoded values say.

mod codecs;
mod codings;
mod contents;
mod decoders;
mod fixture;
mod frame;
mod generate;
mod key_rings;
mod keys;
mod properties;
mod sealed;
mod spec;
mod trees;
mod vector;
mod vectors;
