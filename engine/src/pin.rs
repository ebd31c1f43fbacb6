//! What somebody keeps of a log outside the machine that looks at it: a pin, and
//! the junk that was looked at and is known.
//!
//! A pin is the text of a checkpoint (SPEC 3.15), so what `indelible checkpoint`
//! prints is one, followed by a line `void N LEAF` for each known piece of junk.
//! Signatures in it are passed over: whoever keeps the file is trusted, and a
//! file that an attacker may write protects nobody, signed or not.
//!
//! Why it is safe: junk is known by its number *and* its leaf hash, which covers
//! its bytes, so no other object can take its place. A line that is neither a
//! checkpoint's nor junk's is refused: a pin that is half understood would pin
//! half of what its keeper believes.
//!
//! This module is pure: text and values. It reads no file.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use indelible_format::checkpoint::{
    Checkpoint, CheckpointTextError, is_signature_line, parse_number,
};
use indelible_format::history::LogProblem;
use indelible_format::ids::LogHash;

/// The longest pin that is read, bytes: room for ten thousand pieces of junk.
pub const PIN_BYTES_MAX: usize = 1 << 20;

const VOID_LINE: &str = "`void`, a number and a leaf hash in base64, ascending";

/// Why some text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// A line is not what must stand there.
    #[error("line {line} is not {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
}

impl From<CheckpointTextError> for PinError {
    fn from(CheckpointTextError { line, expected }: CheckpointTextError) -> Self {
        Self::Line { line, expected }
    }
}

/// Where a log stood, and what is known to be junk in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The repository, and the size and root of its log.
    pub checkpoint: Checkpoint,
    /// Void entries that somebody looked at.
    pub accepted: Accepted,
}

impl Pin {
    /// Reads a pin: the three lines of a checkpoint; then, if there is an empty
    /// line, the signatures of a note; then known junk.
    ///
    /// # Errors
    ///
    /// [`PinError`], with the line.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let checkpoint = Checkpoint::from_lines(&mut lines)?;
        if checkpoint.size == 0 {
            // A log has its genesis entry.
            return Err(PinError::Line {
                line: 2,
                expected: "the size of a log, which is at least 1",
            });
        }
        let mut rest = (4..).zip(lines).peekable();
        if rest.next_if(|(_, line)| line.is_empty()).is_some() {
            while rest.next_if(|(_, line)| is_signature_line(line)).is_some() {}
        }
        let accepted = Accepted::from_lines(rest)?;
        Ok(Self {
            checkpoint,
            accepted,
        })
    }

    /// The text of the pin, which carries no signature.
    pub fn to_text(&self) -> String {
        self.checkpoint.text() + &self.accepted.to_text()
    }
}

/// Void log entries that somebody looked at, by number and leaf hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted(BTreeSet<(u64, LogHash)>);

impl Accepted {
    /// Reads lines `void N LEAF`, strictly ascending.
    ///
    /// # Errors
    ///
    /// [`PinError`], with the line.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let lines = text.split('\n').filter(|_| !text.is_empty());
        Self::from_lines((1..).zip(lines))
    }

    fn from_lines<'t>(lines: impl Iterator<Item = (usize, &'t str)>) -> Result<Self, PinError> {
        let mut accepted = BTreeSet::new();
        for (line, text) in lines {
            let junk = parse_void(text).filter(|junk| accepted.last() < Some(junk));
            accepted.insert(junk.ok_or(PinError::Line {
                line,
                expected: VOID_LINE,
            })?);
        }
        Ok(Self(accepted))
    }

    /// A line for each.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (number, leaf) in &self.0 {
            let leaf = leaf.to_base64();
            writeln!(text, "void {number} {leaf}").expect("a string takes all");
        }
        text
    }

    /// Adds what somebody looked at.
    pub fn insert(&mut self, number: u64, leaf: LogHash) {
        self.0.insert((number, leaf));
    }

    /// Adds what others looked at.
    pub fn add(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a problem is this very junk: the same number, the same bytes.
    /// Anything but a void entry never is.
    pub fn covers(&self, problem: &LogProblem) -> bool {
        match problem {
            LogProblem::Void { number, leaf, .. } => self.0.contains(&(*number, *leaf)),
            _ => false,
        }
    }
}

fn parse_void(line: &str) -> Option<(u64, LogHash)> {
    let (number, leaf) = line.strip_prefix("void ")?.split_once(' ')?;
    Some((parse_number(number)?, LogHash::from_base64(leaf)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use indelible_format::ids::RepositoryId;
    use indelible_format::secret::SecretKey;
    use proptest::prelude::*;

    fn pin(size: u64, junk: &[(u64, u8)]) -> Pin {
        let mut accepted = Accepted::default();
        for (number, byte) in junk {
            accepted.insert(*number, LogHash([*byte; 32]));
        }
        Pin {
            checkpoint: Checkpoint {
                repository: RepositoryId([7; 32]),
                size,
                root: LogHash([9; 32]),
            },
            accepted,
        }
    }

    fn line_of(text: &str) -> Option<usize> {
        Pin::parse(text)
            .err()
            .map(|PinError::Line { line, .. }| line)
    }

    /// What is written is read, and a signed checkpoint is a pin, also with junk
    /// behind it.
    ///
    /// Method: write and read a pin; sign a note of the same claim, read that,
    /// with one signature and with two, with junk lines, without its last newline.
    #[test]
    fn a_checkpoint_is_a_pin() {
        let pin = pin(12, &[(3, 1), (3, 2), (40, 1)]);
        assert_eq!(Pin::parse(&pin.to_text()), Ok(pin.clone()));
        let note = pin.checkpoint.sign(&SecretKey::new([5; 32]));
        let bare = Pin::parse(&note).unwrap();
        assert_eq!(bare.checkpoint, pin.checkpoint);
        assert!(bare.accepted.is_empty());
        assert_eq!(Pin::parse(note.trim_end()), Ok(bare));
        let signature = note.lines().last().unwrap();
        let junk = pin.accepted.to_text();
        for text in [
            format!("{note}{junk}"),
            format!("{note}{signature}\n{junk}"),
        ] {
            assert_eq!(Pin::parse(&text).as_ref(), Ok(&pin), "{text}");
        }
    }

    /// Anything else is refused, with its line.
    ///
    /// Method: change, add, repeat and disorder lines.
    #[test]
    fn what_is_no_pin_is_refused_with_its_line() {
        let good = pin(12, &[(3, 1), (4, 1)]).to_text();
        let lines: Vec<&str> = good.lines().collect();
        let with = |at: usize, line: &str| {
            let mut lines = lines.clone();
            lines[at] = line;
            lines.join("\n") + "\n"
        };
        assert_eq!(line_of(""), Some(1));
        assert_eq!(line_of("indelible/07"), Some(1));
        assert_eq!(line_of(lines[0]), Some(2));
        for size in ["012", "+12", "", "0", "12 ", "18446744073709551616"] {
            assert_eq!(line_of(&with(1, size)), Some(2), "{size}");
        }
        for root in ["", "CQkJ", &lines[2][1..], &format!("{} ", lines[2])] {
            assert_eq!(line_of(&with(2, root)), Some(3), "{root}");
        }
        let leaf = LogHash([1; 32]).to_base64();
        for void in [
            "",
            "void",
            "void 3",
            "void 03 A",
            "# known",
            "\u{2014} x y",
            &format!("void 5 {leaf} "),
            &format!("Void 3 {leaf}"),
        ] {
            assert_eq!(line_of(&with(4, void)), Some(5), "{void}");
        }
        assert_eq!(line_of(&with(4, lines[3])), Some(5), "twice the same");
        assert_eq!(
            line_of(&with(3, "void 9 ").replace("void 9 ", lines[4])),
            Some(5)
        );
        assert_eq!(line_of(&format!("{good}\n")), Some(6));
    }

    proptest! {
        /// No text makes the parser panic, and what it takes has one meaning.
        ///
        /// Method: arbitrary text, and arbitrary edits of a good pin; what is
        /// taken is written and read again.
        #[test]
        fn no_text_panics(text in ".{0,300}", at in 0_usize..400, edit in ".{0,3}") {
            let good = pin(12, &[(3, 1), (900, 4)]).to_text();
            let mut edited = good.clone();
            let at = at % good.len();
            edited.replace_range(at..=at, &edit);
            for text in [text, edited] {
                if let Ok(pin) = Pin::parse(&text) {
                    prop_assert_eq!(Pin::parse(&pin.to_text()), Ok(pin));
                }
            }
        }
    }

    /// Junk is known by number and bytes, and nothing but junk is.
    ///
    /// Method: ask for the same leaf at another number, another leaf at the same,
    /// and for a removed entry.
    #[test]
    fn junk_is_known_by_its_bytes() {
        let accepted = pin(12, &[(3, 1)]).accepted;
        let void = |number, byte| LogProblem::Void {
            number,
            leaf: LogHash([byte; 32]),
            reason: indelible_format::authority::Void::Number { stated: 1 },
        };
        assert!(accepted.covers(&void(3, 1)));
        assert!(!accepted.covers(&void(3, 2)) && !accepted.covers(&void(4, 1)));
        assert!(!accepted.covers(&LogProblem::Removed { first: 3, last: 3 }));
        assert_eq!(Accepted::parse(&accepted.to_text()), Ok(accepted));
        assert_eq!(Accepted::parse(""), Ok(Accepted::default()));
    }
}
