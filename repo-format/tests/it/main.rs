//! Tests of the repository format: vectors of every layout and rule, and
//! properties of every encoder and decoder.

mod codecs;
mod decoders;
mod fixture;
mod frame;
mod generate;
mod properties;
mod sealed;
mod spec;
mod vector;
mod vectors;
