//! Campaigns: attacks of one kind, all of them, against a model.
//!
//! Each prints what it covered. Here they run short; `tools/campaign NAME` runs
//! one of them long, and writes what it covered into a page.

mod coverage;

pub(crate) use coverage::{Coverage, Finding, Scale};
