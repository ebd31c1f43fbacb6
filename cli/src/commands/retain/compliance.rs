//! Asks before anything is locked that nobody can unlock.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use indelible_format::policy::Promise;

use crate::args::Locking;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::when::KeptFor;

const DAY_MS: u64 = 86_400_000;

/// The longest that a lock runs beyond what was promised: locks are extended once in a
/// while and not every night.
const AHEAD_DAYS_MAX: u64 = 30;

/// Shows what compliance locks cost, and has the longest span typed.
pub(crate) fn confirm(
    context: &Context,
    locking: &Locking,
    promises: &[Promise],
) -> Result<(), Failure> {
    let longest = promises.iter().map(|promise| promise.retain_ms).max();
    let longest = KeptFor::of_ms(longest.unwrap_or(0));
    let refused = || {
        Failure::new(
            Exit::Policy,
            "nothing was locked: the confirmation is missing",
        )
        .hint(format!(
            "type it on a terminal, or give --confirm-compliance {longest}"
        ))
    };
    if let Some(given) = locking.confirm_compliance {
        return if given == longest {
            Ok(())
        } else {
            Err(refused())
        };
    }
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    let days = longest.ms().div_ceil(DAY_MS);
    let most = days + AHEAD_DAYS_MAX.min(days);
    output::warn(
        context,
        &format!(
            "compliance locks can't be taken back by anyone, the storage's owner and its provider included.\n\
             What a snapshot needs is stored, and paid for, at least {days} days and up to {most} after the last snapshot\n\
             that needs it: {most} TiB-days for each TiB, which nothing can cancel but closing the account.",
        ),
    );
    eprint!("Type {longest} to lock: ");
    let failed = |error: io::Error| Failure::io("read the confirmation from the terminal", &error);
    io::stderr().flush().map_err(failed)?;
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(failed)?;
    if typed.trim() == longest.to_string() {
        Ok(())
    } else {
        Err(refused())
    }
}
