//! The binary, run as its users run it: exit codes, words, bytes.

mod campaigns;
mod concurrency;
mod demo;
mod golden;
mod immutable;
mod mount;
mod pipeline;
mod postgres;
mod readme;
mod security;
mod ssh;
mod support;
mod transcripts;
mod verify;
mod worm;
