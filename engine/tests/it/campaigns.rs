//! Campaigns: attacks of one kind, all of them, against a model.
//!
//! Each prints what it covered. Here they run short; `tools/campaign NAME` runs
//! one of them long, and writes what it covered into a page.

mod anatomy;
pub(crate) mod bombs;
mod coverage;
pub(crate) mod failed_calls;
pub(crate) mod flipped_bits;
pub(crate) mod hostile_trees;
pub(crate) mod log_attacks;
mod model;
pub(crate) mod objects;
mod oracle;
pub(crate) mod power_cut;

pub(crate) use coverage::{Coverage, Finding, Scale};
