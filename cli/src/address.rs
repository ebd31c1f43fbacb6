//! Which snapshot is meant.
//!
//! `NAME`, `NAME@latest`, `NAME@2026-11-22`, `NAME@2026-11-22T03:00`, `@12`,
//! `id:3fa9` and a bare `latest`. A NAME is never all digits and begins with
//! neither `@` nor a dash, so the forms can't be confused. A date means the
//! newest at or before it, in the local zone.

use indelible_engine::repository::{BrokenSnapshot, Snapshot};
use indelible_format::name::{Name, Pattern};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// What was typed, parsed.
#[derive(Debug, PartialEq)]
enum Address {
    Latest,
    LatestOf(Name),
    /// The newest of a NAME claimed at or before this moment, Unix milliseconds.
    Before(Name, u64),
    Number(u64),
    Id(String),
}

/// A chosen snapshot, and whether a time chose it, which is then worth showing.
pub(crate) struct Chosen {
    pub(crate) snapshot: Snapshot,
    pub(crate) by_time: bool,
    /// Named by number or id, and not as "the newest".
    pub(crate) exactly: bool,
}

fn parse(text: &str) -> Result<Address, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("{text:?} names no snapshot: {why}"))
            .hint("use NAME, NAME@2026-11-22, NAME@2026-11-22T03:00, @12 or id:3fa9")
    };
    if text == "latest" {
        return Ok(Address::Latest);
    }
    if let Some(prefix) = text.strip_prefix("id:") {
        let hex = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
        return if hex {
            Ok(Address::Id(prefix.to_lowercase()))
        } else {
            Err(wrong("an id is hexadecimal digits"))
        };
    }
    let (name, moment) = match text.split_once('@') {
        Some((name, moment)) => (name, Some(moment)),
        None => (text, None),
    };
    if name.is_empty() {
        let number = moment.and_then(|digits| digits.parse().ok());
        return number
            .map(Address::Number)
            .ok_or_else(|| wrong("behind @ stands an entry's number"));
    }
    let name = Name::new(name.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
    match moment {
        None | Some("latest") => Ok(Address::LatestOf(name)),
        Some(moment) => match end_of(moment) {
            Some(ms) => Ok(Address::Before(name, ms)),
            None => Err(wrong("that is no date")),
        },
    }
}

/// The last millisecond that a date or time stands for, in the local zone.
fn end_of(text: &str) -> Option<u64> {
    // A date is parsed from a time as well, and would then mean its whole day.
    let bare = !text.contains(['T', 't', ' ']);
    let end = if bare {
        let date: Date = text.parse().ok()?;
        date.tomorrow()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight())
    } else {
        let time: DateTime = text.parse().ok()?;
        // A time without seconds means that whole minute.
        let seconds = text.matches(':').count() > 1;
        let span = if seconds {
            jiff::Span::new().seconds(1)
        } else {
            jiff::Span::new().minutes(1)
        };
        time.checked_add(span).ok()?
    };
    let ms = end
        .to_zoned(TimeZone::system())
        .ok()?
        .timestamp()
        .as_millisecond();
    u64::try_from(ms).ok()?.checked_sub(1)
}

/// The NAMEs that were meant: all, if none was typed.
pub(crate) fn names(typed: Option<&str>) -> Result<Pattern, Failure> {
    let Some(text) = typed else {
        return Ok(Pattern::all());
    };
    Pattern::new(text.as_bytes())
        .map_err(|error| Failure::usage(format!("{text:?} is no NAME: {error}")))
}

/// Finds the snapshot that was meant.
pub(crate) fn resolve(
    text: &str,
    snapshots: Vec<Result<Snapshot, BrokenSnapshot>>,
) -> Result<Chosen, Failure> {
    let address = parse(text)?;
    let exactly = matches!(address, Address::Number(_) | Address::Id(_));
    let by_time = matches!(address, Address::Before(..));
    if let Address::Number(number) = address
        && let Some(Err(broken)) = snapshots
            .iter()
            .find(|found| matches!(found, Err(broken) if broken.number == number))
    {
        return Err(
            Failure::new(Exit::Integrity, format!("snapshot @{number} can't be read"))
                .hint(broken.error.to_string()),
        );
    }
    let snapshots: Vec<Snapshot> = snapshots.into_iter().filter_map(Result::ok).collect();
    let names = names_of(&snapshots);
    let matches: Vec<Snapshot> = match &address {
        Address::Latest if names.len() > 1 => {
            return Err(Failure::usage(format!(
                "\"latest\" of which NAME? There are {}",
                names.join(", ")
            ))
            .hint(format!("for instance: {}@latest", names[0])));
        }
        Address::Latest => newest(snapshots, |_| true),
        Address::LatestOf(name) => newest(snapshots, |snapshot| snapshot.manifest.name == *name),
        Address::Before(name, ms) => newest(snapshots, |snapshot| {
            snapshot.manifest.name == *name && snapshot.claimed_ms <= *ms
        }),
        Address::Number(number) => snapshots
            .into_iter()
            .filter(|snapshot| snapshot.number == *number)
            .collect(),
        Address::Id(prefix) => snapshots
            .into_iter()
            .filter(|snapshot| snapshot.commit.to_string().starts_with(prefix))
            .collect(),
    };
    one(text, matches, &names).map(|snapshot| Chosen {
        snapshot,
        by_time,
        exactly,
    })
}

fn one(text: &str, mut matches: Vec<Snapshot>, names: &[String]) -> Result<Snapshot, Failure> {
    if matches.len() > 1 {
        let list: Vec<String> = matches
            .iter()
            .map(|snapshot| {
                format!(
                    "id:{} (@{}, {})",
                    snapshot.commit, snapshot.number, snapshot.manifest.name
                )
            })
            .collect();
        return Err(Failure::usage(format!("{text:?} is ambiguous")).hint(list.join(", ")));
    }
    matches.pop().ok_or_else(|| {
        let failure = Failure::usage(format!("there is no snapshot {text:?}"));
        if names.is_empty() {
            failure.hint("the repository has no snapshots that this key can see")
        } else {
            failure.hint(format!(
                "there are snapshots of {}; `indelible list` shows them",
                names.join(", ")
            ))
        }
    })
}

/// The newest in the order of the log that is not refused, by itself.
fn newest(snapshots: Vec<Snapshot>, matches: impl Fn(&Snapshot) -> bool) -> Vec<Snapshot> {
    snapshots
        .into_iter()
        .rev()
        .filter(|snapshot| snapshot.refused.is_none())
        .find(|snapshot| matches(snapshot))
        .into_iter()
        .collect()
}

fn names_of(snapshots: &[Snapshot]) -> Vec<String> {
    let trusted = snapshots
        .iter()
        .filter(|snapshot| snapshot.refused.is_none());
    let mut names: Vec<String> = trusted
        .map(|snapshot| snapshot.manifest.name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Refuses a snapshot that readers refuse, unless it is accepted and was named by
/// number or id.
pub(crate) fn check_refusal(chosen: &Chosen, accepted: bool) -> Result<(), Failure> {
    let Some(refusal) = &chosen.snapshot.refused else {
        return Ok(());
    };
    if accepted && chosen.exactly {
        return Ok(());
    }
    let snapshot = describe(&chosen.snapshot);
    Err(
        Failure::new(Exit::Integrity, format!("{snapshot} is refused: {refusal}")).hint(
            "use another snapshot; if you must have this one, `indelible restore` takes --accept-refused",
        ),
    )
}

/// One line that says which snapshot was chosen.
pub(crate) fn describe(snapshot: &Snapshot) -> String {
    format!(
        "@{} {} of {} (id:{})",
        snapshot.number,
        snapshot.manifest.name,
        output::local_time(snapshot.claimed_ms),
        snapshot.commit.short()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each form of address is told from the others.
    ///
    /// Method: parse one of each, and one wrong of each.
    #[test]
    fn forms_are_distinct() {
        let name = || Name::new(b"orders").unwrap();
        assert_eq!(parse("latest").unwrap(), Address::Latest);
        assert_eq!(parse("orders").unwrap(), Address::LatestOf(name()));
        assert_eq!(parse("orders@latest").unwrap(), Address::LatestOf(name()));
        assert_eq!(parse("@12").unwrap(), Address::Number(12));
        assert_eq!(parse("id:3FA9").unwrap(), Address::Id("3fa9".to_owned()));
        assert!(matches!(
            parse("orders@2026-11-22").unwrap(),
            Address::Before(..)
        ));
        for wrong in [
            "",
            "@",
            "@x",
            "12",
            "id:",
            "id:xyz",
            "orders@noon",
            "a/b",
            "orders@2026-13-01",
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }

    /// A date includes its whole day, and a minute its whole minute.
    ///
    /// Method: compare the ends of a day, of its last minute and last second.
    #[test]
    fn moments_mean_their_end() {
        let day = end_of("2026-11-22").unwrap();
        assert_eq!(end_of("2026-11-22T23:59"), Some(day));
        assert_eq!(end_of("2026-11-22T23:59:59"), Some(day));
        assert_eq!(end_of("2026-11-22T23:58").unwrap() + 60_000, day);
    }
}
