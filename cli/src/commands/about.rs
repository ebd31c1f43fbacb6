//! `indelible completions` and `indelible version`.

use clap::CommandFactory as _;
use serde_json::json;

use crate::args::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;

pub(crate) fn completions(shell: clap_complete::Shell) -> Exit {
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "indelible",
        &mut std::io::stdout(),
    );
    Exit::Done
}

pub(crate) fn version(context: &Context) -> Exit {
    let format = indelible_format::genesis::FORMAT_VERSION;
    if context.common.json {
        output::json(
            "version",
            json!({ "version": env!("CARGO_PKG_VERSION"), "format_version": format }),
        );
    } else {
        output::line(&format!(
            "indelible {} (repository format {format})",
            env!("CARGO_PKG_VERSION")
        ));
    }
    Exit::Done
}
