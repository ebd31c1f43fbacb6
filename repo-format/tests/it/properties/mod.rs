//! Properties of encoders, decoders and the judgement of the log, over
//! arbitrary values and bytes.

mod authority;
mod garbage;
mod history;
mod log_script;
mod mutations;
mod patterns;
mod round_trips;
mod strategies;
