//! The commands, one module each.

pub(crate) mod about;
pub(crate) mod cat;
pub(crate) mod checkpoint;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod find;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod look;
pub(crate) mod ls;
pub(crate) mod mirror;
pub(crate) mod mount;
pub(crate) mod probe;
pub(crate) mod restore;
pub(crate) mod retain;
pub(crate) mod serve;
pub(crate) mod snapshot;
pub(crate) mod verify;
