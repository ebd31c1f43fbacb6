//! `indelible key revoke`.

use indelible_engine::repository::Snapshot;
use indelible_format::ids::SignerId;
use indelible_format::rights::Kind;
use serde_json::json;

use crate::address;
use crate::args::KeyRevoke;
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(super) fn run(context: &Context, args: &KeyRevoke) -> Result<Exit, Failure> {
    let store = context.store()?;
    let mut repository = context.open(&store)?;
    if let Some(forbidden) = repository.forbids(Kind::Revoke) {
        return Err(forbidden.into());
    }
    let subject = find(&repository, &args.key)?;
    let before = trusted(&repository);
    let number = repository.revoke(subject, args.distrust_from)?;
    let after = trusted(&repository);
    let refused: Vec<&Snapshot> = before
        .iter()
        .filter(|snapshot| !after.iter().any(|it| it.number == snapshot.number))
        .collect();
    if context.common.json {
        let refused: Vec<u64> = refused.iter().map(|snapshot| snapshot.number).collect();
        output::json(
            "key_revoked",
            json!({
                "entry": number,
                "signer": subject.to_string(),
                "distrust_from": args.distrust_from.unwrap_or(number),
                "refused": refused,
            }),
        );
        return Ok(Exit::Done);
    }
    if !context.common.quiet {
        output::line(&format!(
            "entry @{number} revokes key {}; what it read before, it may have kept",
            subject.short()
        ));
    }
    for snapshot in refused {
        output::line(&format!(
            "refused from now on: {}",
            address::describe(snapshot)
        ));
    }
    Ok(Exit::Done)
}

/// The snapshots that readers do not refuse, as far as the key sees any.
fn trusted(repository: &Opened<'_>) -> Vec<Snapshot> {
    let snapshots = repository.snapshots().into_iter().flatten();
    snapshots
        .filter(|snapshot| snapshot.refused.is_none())
        .collect()
}

/// The key that was meant.
fn find(repository: &Opened<'_>, typed: &str) -> Result<SignerId, Failure> {
    let authority = &repository.history().authority;
    let entry = typed.strip_prefix('@').map(str::parse::<u64>);
    let means = |signer: &SignerId, granted: u64| match &entry {
        Some(Ok(entry)) => granted == *entry,
        Some(Err(_)) => false,
        None => {
            let facts = repository.facts(signer).ok().flatten();
            let labelled = facts.is_some_and(|facts| facts.label() == typed);
            labelled || (typed.len() >= 4 && signer.to_string().starts_with(typed))
        }
    };
    let mut found: Vec<(u64, SignerId)> = authority
        .grants()
        .filter(|(signer, grant)| means(signer, grant.entry))
        .map(|(signer, grant)| (grant.entry, *signer))
        .collect();
    found.sort_by_key(|(entry, _)| *entry);
    match found.as_slice() {
        [(_, signer)] => Ok(*signer),
        [] => Err(Failure::usage(format!("there is no key {typed:?}"))
            .hint("`indelible key list` shows them; name one by label, id or @entry")),
        several => {
            let list = several.iter();
            let list = list.map(|(entry, signer)| format!("@{entry} ({})", signer.short()));
            Err(
                Failure::usage(format!("{typed:?} is the label of several keys"))
                    .hint(list.collect::<Vec<_>>().join(", ")),
            )
        }
    }
}
