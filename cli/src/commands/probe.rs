//! `indelible probe`.

use indelible_engine::store::probe::{Attempt, Outcome, ProbeTerms, withstood};
use serde_json::json;

use crate::args::Probe;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};

pub(crate) fn run(context: &Context, args: &Probe) -> Result<Exit, Failure> {
    let place = context.place()?;
    let store = place.open(&context.env, &context.limits)?;
    let terms = ProbeTerms {
        mode: args.lock.mode(),
        over_lock_ms: args.over_lock.map(crate::when::KeptFor::ms),
    };
    let attempts = store.probe(&terms).map_err(|error| {
        // Behind a server, what is attacked is the first entry of the log.
        if error.is_not_found() {
            Failure::new(
                Exit::NoRepository,
                format!("there is no repository at {place}"),
            )
            .hint("make one there with `indelible init`; what it does not hold can't be attacked")
        } else {
            error.into()
        }
    })?;
    let holds = withstood(&attempts);
    if context.common.json {
        tell_programs(&attempts, holds);
    } else {
        tell_people(&attempts, &place.to_string(), holds);
    }
    Ok(if holds { Exit::Done } else { Exit::Policy })
}

fn tell_programs(attempts: &[Attempt], holds: bool) {
    let attempt = |it: &Attempt| {
        json!({
            "attempt": it.code,
            "outcome": it.outcome.word(),
            "answer": it.answer,
        })
    };
    let attempts: Vec<_> = attempts.iter().map(attempt).collect();
    output::json(
        "probed",
        json!({ "withstood": holds, "attempts": attempts }),
    );
}

fn tell_people(attempts: &[Attempt], place: &str, holds: bool) {
    let mut table = Table::new(&["TRIED", "OUTCOME", "ANSWER"], &[]);
    for attempt in attempts {
        let outcome = match attempt.outcome {
            Outcome::Refused => "refused",
            Outcome::InVain => "in vain",
            Outcome::Done => "DONE",
            Outcome::Unknown => "-",
        };
        // The answer is the storage's own.
        let answer: String = attempt
            .answer
            .chars()
            .flat_map(char::escape_debug)
            .collect();
        table.row([attempt.tried.to_owned(), outcome.to_owned(), answer]);
    }
    table.print();
    let done = attempts
        .iter()
        .filter(|it| it.outcome == Outcome::Done)
        .count();
    output::line(&if holds {
        format!("{place} withstood all that was tried with these credentials")
    } else {
        let what = output::count(done as u64, "attempt", "attempts");
        format!("{place} is not immutable for these credentials: {what} succeeded")
    });
}
