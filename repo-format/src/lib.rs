//! The repository format of Indelible: bytes to values and back, as SPEC.md
//! says.
//!
//! This crate holds what a *reader* needs to recover data: layouts, labels,
//! limits, keys, and the judgement of the log. It does no input or output, asks
//! no clock, draws no randomness and starts no threads; whatever it needs is
//! passed in. No bytes make it panic, and each value has one accepted encoding.
//!
//! Distrust is in the types. What is only *parsed* ([`entry::ParsedEntry`],
//! [`pack::PackHeader`], [`checkpoint::ParsedCheckpoint`]) becomes
//! *authenticated* by a key ([`entry::Entry`], [`directory::Directory`]) and
//! *verified* by comparing it with what it names ([`pack::chunk_id`]).
//!
//! | SPEC | modules |
//! |---|---|
//! | 1 | [`wire`] |
//! | 2 | [`ids`], [`secret`], [`seal`] |
//! | 3 | [`entry`], [`examined`], [`genesis`], [`grant`], [`attest`], [`rekey`], [`rights`], [`merkle`], [`authority`], [`history`], [`checkpoint`], [`log_bundle`] |
//! | 4 | [`name`] |
//! | 5 | [`bundle`], [`slot`], [`key_file`], [`key_ring`] |
//! | 6 | [`pack`], [`directory`], [`coding`] |
//! | 7 | [`commit`], [`manifest`] |
//! | 8 | [`node`], [`places`], [`page`], [`path`], [`contents`] |
//! | 11 | [`limits`] |
//! | 16 | [`protocol`] |
#![forbid(unsafe_code)]
// Each decoder's one error is that its bytes are not laid out as its section of
// the SPEC says; repeating that on every function would hide what differs.
#![allow(clippy::missing_errors_doc)]

pub mod attest;
pub mod authority;
pub mod bundle;
pub mod checkpoint;
pub mod coding;
pub mod commit;
pub mod contents;
pub mod directory;
pub mod entry;
pub mod examined;
pub mod genesis;
pub mod grant;
pub mod history;
pub mod ids;
pub mod key_file;
pub mod key_ring;
pub mod limits;
pub mod log_bundle;
pub mod manifest;
pub mod merkle;
pub mod name;
pub mod node;
pub mod pack;
pub mod page;
pub mod path;
pub mod places;
#[doc(hidden)]
pub mod planted;
pub mod policy;
pub mod protocol;
pub mod rekey;
pub mod rights;
pub mod seal;
pub mod secret;
pub mod slot;
pub mod wire;
