//! `indelible key rotate`.

use indelible_engine::repository::{LeftOut, Rotated};
use indelible_format::ids::SignerId;
use indelible_format::rights::Kind;
use serde_json::json;

use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let store = context.store()?;
    let mut repository = context.open(&store)?;
    if let Some(forbidden) = repository.forbids(Kind::Rekey) {
        return Err(forbidden.into());
    }
    let rotated = repository.rotate()?;
    if context.common.json {
        print_json(&rotated);
    } else if !context.common.quiet {
        print(&repository, &rotated);
    }
    Ok(Exit::Done)
}

fn print(repository: &Opened<'_>, rotated: &Rotated) {
    let named = |signer: &SignerId| {
        let facts = repository.facts(signer).ok().flatten();
        let recovery = *signer == repository.history().authority.administrator();
        let label = facts.map(|facts| facts.label().to_owned());
        let label = label.or_else(|| recovery.then(|| "recovery".to_owned()));
        label.map_or_else(
            || signer.short(),
            |label| format!("{label} ({})", signer.short()),
        )
    };
    output::line(&format!(
        "entry @{} begins epoch {}; {} of it",
        rotated.entries.first().copied().unwrap_or_default(),
        rotated.epoch,
        match rotated.given.len() {
            1 => "1 key has its part".to_owned(),
            many => format!("{many} keys have their parts"),
        }
    ));
    for (signer, reason) in &rotated.left_out {
        output::line(&format!("left out: {}, {}", named(signer), words(*reason)));
    }
    output::line("no key file changes; what was stored before stays as readable as it was");
    output::line("a snapshot that is being taken right now may still use the keys before");
}

fn words(reason: LeftOut) -> &'static str {
    match reason {
        LeftOut::Revoked => "revoked",
        LeftOut::Expired => "expired",
        LeftOut::UnknownSecret => "the secret that it was made with is lost",
        LeftOut::UnusableKey => "the log states no key that can be sealed to",
        _ => "unknown",
    }
}

fn print_json(rotated: &Rotated) {
    let given: Vec<String> = rotated.given.iter().map(ToString::to_string).collect();
    let left_out = rotated
        .left_out
        .iter()
        .map(|(signer, reason)| json!({ "signer": signer.to_string(), "reason": words(*reason) }));
    output::json(
        "keys_rotated",
        json!({
            "epoch": rotated.epoch,
            "entries": rotated.entries,
            "given": given,
            "left_out": left_out.collect::<Vec<_>>(),
        }),
    );
}
