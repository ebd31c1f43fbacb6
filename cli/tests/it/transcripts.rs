//! What a user reads and what a script branches on: exit codes and words.

mod addresses;
mod damage;
mod interrupts;
mod json;
mod keys;
mod log;
mod look;
mod mirror;
mod places;
mod plan;
mod resume;
mod rollback;
mod rotation;
mod salvage;
mod sources;
mod whole;
