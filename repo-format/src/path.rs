//! Paths inside a snapshot (SPEC 8.4).
//!
//! A path that can leave the directory it is restored to can't be made: no
//! absolute path, no `..`, no empty component, no zero byte. The order puts what
//! is below a directory together.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use crate::limits::{COMPONENT_BYTES_MAX, PATH_BYTES_MAX};
use crate::planted::{Bug, planted};

/// Why some bytes are no path of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Empty, or over 4,096 bytes.
    #[error("it has {0} bytes, and 1 to {PATH_BYTES_MAX} are allowed")]
    Length(usize),
    /// A component over 255 bytes.
    #[error("a component has {0} bytes, and at most {COMPONENT_BYTES_MAX} are allowed")]
    Component(usize),
    /// A component that is empty (as in absolute paths), `.` or `..`.
    #[error("a component is empty, '.' or '..'")]
    Relative,
    /// A zero byte.
    #[error("it holds a zero byte")]
    Zero,
}

/// A checked path: components of any bytes, separated by `/`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Takes checked bytes as a path.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        let bytes = bytes.into();
        if bytes.is_empty() || bytes.len() > PATH_BYTES_MAX {
            return Err(PathError::Length(bytes.len()));
        }
        if bytes.contains(&0) {
            return Err(PathError::Zero);
        }
        for component in bytes.split(|&b| b == b'/') {
            let upwards = component == b".." && planted(Bug::UpwardsAllowed);
            if matches!(component, b"" | b"." | b"..") && !upwards {
                return Err(PathError::Relative);
            }
            if component.len() > COMPONENT_BYTES_MAX {
                return Err(PathError::Component(component.len()));
            }
        }
        Ok(Self(bytes))
    }

    /// The path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its components, from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/')
    }

    /// The path of the directory that it stands in, if it has one.
    pub fn parent(&self) -> Option<Self> {
        let at = self.0.iter().rposition(|&b| b == b'/')?;
        Some(Self(self.0[..at].to_vec()))
    }

    /// Whether it is `other` or stands below it.
    pub fn is_within(&self, other: &Self) -> bool {
        match self.0.strip_prefix(other.0.as_slice()) {
            Some(rest) => rest.is_empty() || rest[0] == b'/',
            None => false,
        }
    }
}

impl Ord for EntryPath {
    fn cmp(&self, other: &Self) -> Ordering {
        // No path holds a zero byte, so '/' can take its rank.
        let rank = |&byte: &u8| if byte == b'/' { 0 } else { byte };
        self.0.iter().map(rank).cmp(other.0.iter().map(rank))
    }
}

impl PartialOrd for EntryPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for EntryPath {
    /// For people, as [`shown`] does it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.0).fmt(f)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryPath({self})")
    }
}

/// A name of any bytes, made fit for a message to a person.
///
/// Backslashes, bytes that are not UTF-8 and whatever is not printable are
/// escaped: a terminal would obey a control character, and a text direction
/// override would make one name look like another.
pub fn shown(bytes: &[u8]) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                // Debug escaping knows what is printable; quotes it would
                // escape too, though they are harmless here.
                if matches!(character, '\'' | '"') {
                    f.write_char(character)?;
                } else {
                    write!(f, "{}", character.escape_debug())?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(bytes: &[u8]) -> EntryPath {
        EntryPath::new(bytes).unwrap()
    }

    /// No path leads out of where it is restored to.
    ///
    /// Method: one path for each way out.
    #[test]
    fn escapes_are_refused() {
        for bad in [
            &b"/etc"[..],
            b"..",
            b"a/../b",
            b"a//b",
            b"a/",
            b".",
            b"./a",
            b"a/.",
        ] {
            assert_eq!(EntryPath::new(bad), Err(PathError::Relative), "{bad:?}");
        }
        assert_eq!(EntryPath::new(&b""[..]), Err(PathError::Length(0)));
        assert_eq!(EntryPath::new(&b"a\0"[..]), Err(PathError::Zero));
        assert_eq!(
            EntryPath::new(vec![b'a'; 256]),
            Err(PathError::Component(256))
        );
        assert_eq!(
            EntryPath::new(vec![b'/'; 4_097]),
            Err(PathError::Length(4_097))
        );
    }

    /// What is below a directory stands directly behind it.
    ///
    /// Method: sort names that plain byte order would put between.
    #[test]
    fn subtrees_stand_together() {
        let mut paths = [
            path(b"a-b"),
            path(b"a/z"),
            path(b"a"),
            path(b"a/b/c"),
            path(b"a.b"),
            path(b"a/b"),
        ];
        paths.sort();
        let order: Vec<String> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(order, ["a", "a/b", "a/b/c", "a/z", "a-b", "a.b"]);
        assert!(path(b"a/b").is_within(&path(b"a")));
        assert!(!path(b"ab").is_within(&path(b"a")));
    }

    /// A path stands in the directory that its components but the last name;
    /// one component stands in none.
    ///
    /// Method: go up from a path, and compare it with its components each time.
    #[test]
    fn parents_lead_to_the_top() {
        let mut below = path(b"srv/db.d/\xff/orders.sql");
        for depth in [3, 2, 1] {
            let parent = below.parent().expect("a directory above");
            let above: Vec<&[u8]> = below.components().take(depth).collect();
            assert_eq!(parent.components().collect::<Vec<_>>(), above);
            assert!(below.is_within(&parent) && !parent.is_within(&below));
            below = parent;
        }
        assert_eq!(below, path(b"srv"));
        assert_eq!(below.parent(), None);
    }

    /// A name can't drive a terminal nor pass for another one.
    ///
    /// Method: show an escape sequence, a text direction override, and an escape
    /// that was typed out; quotes and letters stay as they are.
    #[test]
    fn display_is_harmless() {
        assert_eq!(
            path(b"\x1b[2J\xff\xc3\xa9").to_string(),
            "\\u{1b}[2J\\xff\u{e9}"
        );
        let debug = format!("{:?}", path(b"a\x1b[2J"));
        assert!(debug.contains("a\\u{1b}[2J"), "{debug}");
        assert_eq!(
            path("no\u{202e}such 'a\\xff\"".as_bytes()).to_string(),
            "no\\u{202e}such 'a\\\\xff\""
        );
    }
}
