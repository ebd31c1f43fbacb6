//! `indelible retain`.

pub(crate) mod compliance;

use indelible_engine::repository::Snapshot;
use indelible_engine::retention::{InForce, Locks, Needed, Stated};
use indelible_format::name::Pattern;
use indelible_format::policy::{LockMode, Policy, Promise};
use serde_json::json;

use crate::address;
use crate::args::{Retain, RetainFor, RetainHold, RetainPromise, RetainShow};
use crate::context::{self, Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Lines, Table};
use crate::progress::Bars;
use crate::when::{self, KeptFor};

pub(crate) fn run(context: &Context, args: &Retain) -> Result<Exit, Failure> {
    match args {
        Retain::Show(args) => show(context, args),
        Retain::Promise(args) => promise(context, args),
        Retain::Hold(args) => hold(context, args),
        Retain::Extend(_) => extend(context),
    }
}

/// A snapshot, what is promised of it, and what the store says.
struct Shown {
    snapshot: Snapshot,
    promised_until_ms: Option<u64>,
    locked_until_ms: Option<u64>,
}

impl Shown {
    /// Whether the promise runs and the locks end before it.
    fn is_short(&self, now_ms: u64) -> bool {
        self.promised_until_ms
            .is_some_and(|until_ms| until_ms > now_ms && self.locked_until_ms < Some(until_ms))
    }
}

fn show(context: &Context, args: &RetainShow) -> Result<Exit, Failure> {
    let pattern = address::names(args.name.as_deref())?;
    let store = context.store()?;
    let repository = context.open(&store)?;
    context::needs_verify(&repository)?;
    let policy = repository.policy();
    let now_ms = context.env.clock.now_unix_ms();
    let shown = look(context, &repository, &pattern, policy.as_ref(), now_ms);
    if context.common.json {
        let mut lines = Lines::new();
        lines.json("policy", describe(policy.as_ref()));
        for one in &shown {
            lines.json(
                "retained",
                json!({
                    "number": one.snapshot.number,
                    "name": one.snapshot.manifest.name.as_str(),
                    "promised_until": one.promised_until_ms.and_then(output::utc_time),
                    "locked_until": one.locked_until_ms.and_then(output::utc_time),
                    "locked_for_good": one.locked_until_ms == Some(u64::MAX),
                    "short": one.is_short(now_ms),
                }),
            );
        }
    } else {
        output::line(&headline(policy.as_ref()));
        print_table(&shown, now_ms);
    }
    Ok(if shown.iter().any(|one| one.is_short(now_ms)) {
        Exit::ShortLock
    } else {
        Exit::Done
    })
}

/// Asks for the locks of all that the snapshots need.
fn look(
    context: &Context,
    repository: &Opened<'_>,
    pattern: &Pattern,
    policy: Option<&InForce>,
    now_ms: u64,
) -> Vec<Shown> {
    let (listings, _) = repository.listings();
    let mut snapshots: Vec<Snapshot> = repository.snapshots().into_iter().flatten().collect();
    snapshots.retain(|snapshot| pattern.matches(&snapshot.manifest.name));
    let locks = Locks::ask(repository, &snapshots, &listings, &Bars::new(context));
    let shown = |snapshot: Snapshot| {
        let needed = Needed::of(repository, &snapshot, &listings).ok()?;
        Some(Shown {
            promised_until_ms: policy
                .and_then(|policy| policy.promised_until_ms(&snapshot, now_ms)),
            locked_until_ms: locks.first_end_ms(needed.keys()),
            snapshot,
        })
    };
    snapshots.into_iter().filter_map(shown).collect()
}

fn headline(policy: Option<&InForce>) -> String {
    let Some(InForce { policy, .. }) = policy else {
        return "nothing is promised: see `indelible retain promise --help`".to_owned();
    };
    let told = |promise: &Promise| {
        let kept = KeptFor::of_ms(promise.retain_ms);
        format!("{} for {kept}", promise.pattern)
    };
    let promises: Vec<String> = policy.promises().iter().map(told).collect();
    let mode = match policy.mode() {
        LockMode::Governance => "governance",
        LockMode::Compliance => "compliance",
    };
    format!("promised: {}; locks: {mode}", promises.join(", "))
}

fn describe(policy: Option<&InForce>) -> serde_json::Value {
    let Some(InForce { entry, policy }) = policy else {
        return json!({ "entry": null, "promises": [], "holds": [] });
    };
    let promises = policy.promises().iter().map(|promise| {
        json!({ "names": promise.pattern.as_str(), "retain_seconds": promise.retain_ms / 1_000 })
    });
    let holds = policy
        .holds()
        .iter()
        .map(|hold| json!({ "number": hold.entry, "until": output::utc_time(hold.until_ms) }));
    json!({
        "entry": entry,
        "lock": match policy.mode() {
            LockMode::Governance => "governance",
            LockMode::Compliance => "compliance",
        },
        "promises": promises.collect::<Vec<_>>(),
        "holds": holds.collect::<Vec<_>>(),
    })
}

fn print_table(shown: &[Shown], now_ms: u64) {
    let head = [
        "ENTRY",
        "NAME",
        "TIME",
        "PROMISED UNTIL",
        "LOCKED UNTIL",
        "",
    ];
    let mut table = Table::new(&head, &[0]);
    for one in shown {
        let remark = match one.promised_until_ms {
            _ if one.snapshot.refused.is_some() => "refused",
            _ if one.is_short(now_ms) => "locked too briefly",
            Some(until_ms) if until_ms <= now_ms => "the promise has ended",
            _ => "",
        };
        table.row([
            format!("@{}", one.snapshot.number),
            one.snapshot.manifest.name.to_string(),
            output::local_time(one.snapshot.claimed_ms),
            one.promised_until_ms
                .map_or_else(|| "-".to_owned(), output::local_time),
            locked(one.locked_until_ms),
            remark.to_owned(),
        ]);
    }
    if !table.is_empty() {
        table.print();
    }
}

/// The end of a lock; some have none.
fn locked(until_ms: Option<u64>) -> String {
    match until_ms {
        None => "not locked".to_owned(),
        Some(u64::MAX) => "until it is unlocked".to_owned(),
        Some(until_ms) => output::local_time(until_ms),
    }
}

fn promise(context: &Context, args: &RetainPromise) -> Result<Exit, Failure> {
    let promises: Vec<Promise> = args.promises.iter().map(RetainFor::promise).collect();
    let store = context.store()?;
    let mut repository = context.open(&store)?;
    let before = repository.policy();
    let before = before.as_ref().map(|before| &before.policy);
    let mode = args.locking.mode().or(before.map(Policy::mode));
    if mode == Some(LockMode::Compliance) && locks_more(before, &promises) {
        compliance::confirm(context, &args.locking, &promises)?;
    }
    let stated = repository.promise(mode, &promises)?;
    output::note(context, &headline(repository.policy().as_ref()));
    Ok(tell(context, &stated))
}

/// Whether something is to be locked for longer than before, or by other locks.
fn locks_more(before: Option<&Policy>, promises: &[Promise]) -> bool {
    let Some(before) = before.filter(|before| before.mode() == LockMode::Compliance) else {
        return true;
    };
    let longer = |promise: &Promise| {
        let known = before.promises().iter();
        let mut known = known.filter(|known| known.pattern == promise.pattern);
        known.all(|known| known.retain_ms < promise.retain_ms)
    };
    promises.iter().any(longer)
}

fn hold(context: &Context, args: &RetainHold) -> Result<Exit, Failure> {
    let until_ms = when::later(context, "--until", &args.until)?;
    let store = context.store()?;
    let mut repository = context.open(&store)?;
    context::needs_verify(&repository)?;
    let chosen = address::resolve(&args.snap, repository.snapshots())?;
    if chosen.snapshot.refused.is_some() {
        return Err(Failure::new(
            Exit::Policy,
            format!(
                "@{} is refused, and nothing is promised of it",
                chosen.snapshot.number
            ),
        ));
    }
    let stated = repository.hold(chosen.snapshot.number, until_ms)?;
    output::note(
        context,
        &format!(
            "@{} is held until {}: run `indelible retain extend` to lock it",
            chosen.snapshot.number,
            output::local_time(until_ms)
        ),
    );
    Ok(tell(context, &stated))
}

/// Says what became of a policy.
pub(crate) fn tell(context: &Context, stated: &Stated) -> Exit {
    if context.common.json {
        output::json("policy_made", json!({ "number": stated.entry }));
    }
    let Some(short) = &stated.short else {
        return Exit::Done;
    };
    output::warn_failure(
        context,
        &Failure::of(Exit::ShortLock, short)
            .context("the promise stands, and the log is not locked for as long"),
    );
    Exit::ShortLock
}

fn extend(context: &Context) -> Result<Exit, Failure> {
    let store = context.store()?;
    let repository = context.open(&store)?;
    context::needs_verify(&repository)?;
    let bars = Bars::new(context);
    let extended = repository.extend_locks(&bars);
    drop(bars);
    for (number, error) in &extended.short {
        let failure = Failure::of(Exit::ShortLock, error);
        output::warn_failure(
            context,
            &failure.context(format!("@{number} is not locked for as long as promised")),
        );
    }
    for broken in &extended.broken {
        let text = format!("@{} can't be read: {}", broken.number, broken.error);
        output::warn(context, &text);
    }
    if context.common.json {
        output::json(
            "extended",
            json!({
                "snapshots": extended.snapshots,
                "locks": extended.locks,
                "short": extended.short.len(),
                "broken": extended.broken.len(),
            }),
        );
    } else if !context.common.quiet {
        output::line(&format!(
            "{} under a promise: {} made longer",
            output::count(extended.snapshots, "snapshot", "snapshots"),
            output::count(extended.locks, "lock", "locks"),
        ));
    }
    Ok(if !extended.broken.is_empty() {
        Exit::Integrity
    } else if extended.short.is_empty() {
        Exit::Done
    } else {
        Exit::ShortLock
    })
}
