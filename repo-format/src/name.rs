//! NAMEs of snapshot series, and the patterns that say who may write which
//! (SPEC 4).
//!
//! Both are checked when they are made, so that every NAME in the program can be
//! shown, put into a path of a mount, and told apart from a log number.

use std::fmt;

use crate::limits::NAME_BYTES_MAX;

/// Why some text is no NAME or pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty, or over 128 bytes.
    #[error("it has {0} bytes, and 1 to 128 are allowed")]
    Length(usize),
    /// A byte outside of letters, digits, `.`, `_`, `-` (and `*` in patterns).
    #[error("it holds the byte {0:#04x}; letters, digits, '.', '_' and '-' are allowed")]
    Byte(u8),
    /// It begins with `-` or `.`.
    #[error("it begins with '-' or '.'")]
    Start,
    /// Digits only, which would read as a log number.
    #[error("it is all digits, which would read as an entry's number")]
    AllDigits,
    /// `**`, which says no more than `*`.
    #[error("two '*' stand side by side")]
    DoubleStar,
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn check_length(text: &[u8]) -> Result<(), NameError> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        Err(NameError::Length(text.len()))
    } else {
        Ok(())
    }
}

/// What a series of snapshots is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Takes checked bytes as a NAME.
    pub fn new(text: &[u8]) -> Result<Self, NameError> {
        check_length(text)?;
        if let Some(&byte) = text.iter().find(|&&b| !allowed(b)) {
            return Err(NameError::Byte(byte));
        }
        if matches!(text[0], b'-' | b'.') {
            return Err(NameError::Start);
        }
        if text.iter().all(u8::is_ascii_digit) {
            return Err(NameError::AllDigits);
        }
        Ok(Self(text.iter().copied().map(char::from).collect()))
    }

    /// The NAME as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which NAMEs a key may write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// Takes checked bytes as a pattern.
    pub fn new(text: &[u8]) -> Result<Self, NameError> {
        check_length(text)?;
        if let Some(&byte) = text.iter().find(|&&b| !allowed(b) && b != b'*') {
            return Err(NameError::Byte(byte));
        }
        if text.windows(2).any(|pair| pair == b"**") {
            return Err(NameError::DoubleStar);
        }
        Ok(Self(text.iter().copied().map(char::from).collect()))
    }

    /// The pattern that matches every NAME.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the NAME matches.
    ///
    /// The pieces between the stars are searched from left to right, each at
    /// its first place: with `*` as the only wildcard that finds a match if
    /// there is one, in time linear in the NAME for each piece.
    pub fn matches(&self, name: &Name) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut left) = name.0.strip_prefix(first) else {
            return false;
        };
        let mut pieces: Vec<&str> = pieces.collect();
        let Some(last) = pieces.pop() else {
            return left.is_empty();
        };
        for piece in pieces {
            match left.split_once(piece) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(last)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A NAME can't be mistaken for a number, an option or a hidden file.
    ///
    /// Method: one text for each rule.
    #[test]
    fn names_are_checked() {
        assert!(Name::new(b"orders-2026.v_1").is_ok());
        assert_eq!(Name::new(b""), Err(NameError::Length(0)));
        assert_eq!(Name::new(&[b'a'; 129]), Err(NameError::Length(129)));
        assert_eq!(Name::new(b"a/b"), Err(NameError::Byte(b'/')));
        assert_eq!(Name::new(b"a*"), Err(NameError::Byte(b'*')));
        assert_eq!(Name::new(b"-a"), Err(NameError::Start));
        assert_eq!(Name::new(b".a"), Err(NameError::Start));
        assert_eq!(Name::new(b"42"), Err(NameError::AllDigits));
        assert_eq!(Pattern::new(b"a**"), Err(NameError::DoubleStar));
    }

    /// `*` matches any sequence, and everything else itself.
    ///
    /// Method: a table of pattern, NAME and answer.
    #[test]
    fn patterns_match() {
        for (pattern, name, answer) in [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders*", "orders", true),
            ("orders*", "orders-eu", true),
            ("*eu", "orders-eu", true),
            ("*eu", "eu-orders", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "x", true),
            ("*a*", "bab", true),
            ("*a*", "bbb", false),
        ] {
            let pattern = Pattern::new(pattern.as_bytes()).unwrap();
            let name = Name::new(name.as_bytes()).unwrap();
            assert_eq!(pattern.matches(&name), answer, "{pattern} {name}");
        }
    }
}
