//! The engine of Indelible: snapshot, restore and verify over an append-only
//! store.
//!
//! A library that never prints, reads no environment and asks no clock of its
//! own: what it needs is passed in ([`mod@env`]), what happens on the way is told to
//! a [`progress::Progress`], and failures are typed.
//!
//! Lower modules know nothing of higher ones:
//!
//! | layer | modules |
//! |---|---|
//! | ground | [`mod@env`], [`pace`], [`progress`], [`cancel`] |
//! | objects | [`store`] |
//! | nouns of the repository | [`log`], [`keys`], [`pack`], [`tree`] |
//! | what is kept of a log, and by a client | [`pin`], [`state`] |
//! | which chunks a writer has | [`index`] |
//! | a store for others | [`serve`] |
//! | cutting | [`chunker`], [`past`] |
//! | reading | [`read`] |
//! | a repository, opened | [`repository`] |
//! | what a dump holds | [`sql`] |
//! | for how long it stays | [`retention`] |
//! | what a person asks for | [`snapshot`], [`restore`], [`view`], [`verify`], [`mirror`], with [`source`] and [`target`] |
//!
//! Snapshot code holds a [`store::AppendStore`], which can't overwrite and can't
//! delete; nothing in this crate calls for more.

mod at_once;
pub mod cancel;
pub mod chunker;
pub mod env;
pub mod generations;
pub mod index;
pub mod keys;
pub mod log;
pub mod mirror;
pub mod pace;
pub mod pack;
pub mod past;
pub mod pin;
pub mod progress;
pub mod read;
mod recent;
pub mod repository;
pub mod restore;
pub mod retention;
pub mod serve;
pub mod snapshot;
pub mod source;
pub mod sql;
pub mod state;
pub mod store;
pub mod target;
pub mod tree;
pub mod verify;
pub mod view;
