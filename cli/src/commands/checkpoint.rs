//! `indelible checkpoint`.

use indelible_format::checkpoint::{Checkpoint as Claim, verifier_key};
use indelible_format::history::Continuity;
use serde_json::json;

use crate::args::Checkpoint;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(context: &Context, args: &Checkpoint) -> Result<Exit, Failure> {
    let store = context.store()?;
    let repository = context.open(&store)?;
    if !matches!(
        repository.continuity(),
        Continuity::Unpinned | Continuity::Extends
    ) {
        return Err(Failure::new(
            Exit::Rollback,
            "a log that contradicts what this machine saw is not vouched for",
        ));
    }
    let history = repository.history();
    let claim = Claim {
        repository: repository.id(),
        size: history.size(),
        root: history.root(),
    };
    let verifier = verifier_key(&claim.repository, &repository.signer());
    let note = claim.sign(&repository.key().signing_seed);
    if context.common.json {
        output::json(
            "checkpoint",
            json!({ "size": claim.size, "root": claim.root.to_string(), "note": note, "verifier_key": verifier }),
        );
    } else if args.verifier_key {
        output::line(&verifier);
    } else {
        output::line(note.trim_end_matches('\n'));
    }
    Ok(Exit::Done)
}
