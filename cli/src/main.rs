//! The program `indelible`: arguments, rendering, exit codes.
//!
//! What it does, the engine does. This crate decides how things are called, how
//! they look, and which number a run ends with. Data goes to standard output and
//! nothing else does; progress, warnings and errors go to standard error.

mod address;
mod args;
mod commands;
mod context;
mod exit;
mod failure;
mod interrupt;
mod output;
mod place;
mod progress;
mod replace;
mod ssh;
mod stdin;
mod when;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use context::Context;
use exit::Exit;
use failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context::new(cli.common);
    let result = run(&context, cli.command);
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&context, &failure);
            failure.exit.into()
        }
    }
}

fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => commands::init::run(context, &args),
        Command::Key(args) => commands::key::run(context, &args),
        Command::Snapshot(args) => commands::snapshot::run(context, args),
        Command::List(args) => commands::list::run(context, &args),
        Command::Ls(args) => commands::ls::run(context, &args),
        Command::Cat(args) => commands::cat::run(context, &args),
        Command::Diff(args) => commands::diff::run(context, &args),
        Command::Find(args) => commands::find::run(context, &args),
        Command::Restore(args) => commands::restore::run(context, &args),
        Command::Mount(args) => commands::mount::run(context, &args),
        Command::Verify(args) => commands::verify::run(context, &args),
        Command::Log(args) => commands::log::run(context, &args),
        Command::Retain(args) => commands::retain::run(context, &args),
        Command::Mirror(args) => commands::mirror::run(context, &args),
        Command::Probe(args) => commands::probe::run(context, &args),
        Command::Serve(args) => commands::serve::run(context, &args),
        Command::Checkpoint(args) => commands::checkpoint::run(context, &args),
        Command::Demo(args) => commands::demo::run(context, &args),
        Command::Completions { shell } => Ok(commands::about::completions(shell)),
        Command::Version => Ok(commands::about::version(context)),
    }
}
