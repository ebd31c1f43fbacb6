//! What a campaign covered, and what it found.
//!
//! A campaign attacks a repository in every way of one kind, with a small model
//! as its oracle. It counts what it tried, and notes what should never happen.
//! It runs short among the other tests and long through `tools/campaign`, which
//! sets these variables:
//!
//! | variable | meaning |
//! |---|---|
//! | `INDELIBLE_CAMPAIGN` | `long` for all that the campaign can try |
//! | `INDELIBLE_CAMPAIGN_SEED` | what its choices follow from (1 if absent) |
//! | `INDELIBLE_CAMPAIGN_UNTIL_FOUND` | if set, one finding is enough |
//! | `INDELIBLE_CAMPAIGN_RESULTS` | a directory; the section of the page of results goes to `NAME.md` there |

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// How many findings are kept word by word.
const FINDINGS_KEPT: usize = 20;

/// How far a campaign goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Everything, rather than what the tests have time for.
    pub(crate) long: bool,
    /// What the campaign's choices follow from.
    pub(crate) seed: u64,
    /// One finding is enough.
    pub(crate) until_found: bool,
}

impl Scale {
    /// What the environment asks for.
    pub(crate) fn asked() -> Self {
        let seed = env::var("INDELIBLE_CAMPAIGN_SEED");
        Self {
            long: env::var("INDELIBLE_CAMPAIGN").is_ok_and(|scale| scale == "long"),
            seed: seed.map_or(1, |seed| seed.parse().expect("the seed is a number")),
            until_found: env::var_os("INDELIBLE_CAMPAIGN_UNTIL_FOUND").is_some(),
        }
    }

    /// One of two numbers: for a short campaign, or a long one.
    pub(crate) fn pick<T>(self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }
}

/// What should never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// What was acknowledged does not restore.
    Lost,
    /// A restore gave a byte that was never backed up there, or something was
    /// shown that was never done.
    Wrong,
    /// Damage that no verification reports, or not with its harm and kind.
    Unnoticed,
    /// Anything else: a panic, a write refused, memory without bound.
    Broken,
}

impl Finding {
    const ALL: [Self; 4] = [Self::Lost, Self::Wrong, Self::Unnoticed, Self::Broken];

    const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Wrong => "wrong",
            Self::Unnoticed => "unnoticed",
            Self::Broken => "otherwise broken",
        }
    }
}

/// What a campaign covered, and what it found.
#[derive(Debug)]
pub(crate) struct Coverage {
    name: &'static str,
    scale: Scale,
    counts: Vec<(&'static str, u64)>,
    found: [u64; 4],
    kept: Vec<(Finding, String)>,
}

impl Coverage {
    /// Nothing covered yet.
    pub(crate) fn new(name: &'static str, scale: Scale) -> Self {
        Self {
            name,
            scale,
            counts: Vec::new(),
            found: [0; 4],
            kept: Vec::new(),
        }
    }

    /// Counts what was tried. Shown in the order of the first mention.
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, counted)) => *counted += count,
            None => self.counts.push((what, count)),
        }
    }

    /// Notes what should not have happened.
    pub(crate) fn find(&mut self, finding: Finding, what: String) {
        self.found[finding as usize] += 1;
        if self.kept.len() < FINDINGS_KEPT {
            self.kept.push((finding, what));
        }
    }

    /// Notes it unless it is as it should be.
    pub(crate) fn expect(&mut self, good: bool, finding: Finding, what: impl FnOnce() -> String) {
        if !good {
            self.find(finding, what());
        }
    }

    /// Whether there is no need to go on.
    pub(crate) fn is_enough(&self) -> bool {
        self.scale.until_found && !self.kept.is_empty()
    }

    /// Prints what was covered, and fails if anything was found.
    ///
    /// # Panics
    ///
    /// If anything was found, with the first of it.
    pub(crate) fn finish(self) {
        let text = self.text();
        // Not by the macro, which the test harness captures.
        let _ = io::stderr().write_all(text.as_bytes());
        if let Some(directory) = env::var_os("INDELIBLE_CAMPAIGN_RESULTS") {
            let file = PathBuf::from(directory).join(format!("{}.md", self.name));
            fs::write(&file, self.section()).expect("the section is written");
        }
        assert!(self.kept.is_empty(), "{text}");
    }

    fn text(&self) -> String {
        let all = self.counts.iter().copied().chain(self.totals());
        let all: Vec<String> = all.map(|(what, count)| format!("{what} {count}")).collect();
        let scale = self.scale.pick("short", "long");
        let mut text = format!(
            "campaign {} ({scale}, seed {}): {}\n",
            self.name,
            self.scale.seed,
            all.join(", ")
        );
        for (finding, what) in &self.kept {
            let _ = writeln!(text, "  {}: {what}", finding.word());
        }
        text
    }

    /// The section's table; `tools/campaign` writes its heading and what it ran.
    fn section(&self) -> String {
        let mut section = format!("Seed {}.\n\n| | |\n|---|---:|\n", self.scale.seed);
        for (what, count) in self.counts.iter().copied().chain(self.totals()) {
            let _ = writeln!(section, "| {what} | {count} |");
        }
        section
    }

    fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = Finding::ALL.map(Finding::word);
        words.into_iter().zip(self.found)
    }
}
