//! Which objects a store holds, and what they are called in it (SPEC 9.1).
//!
//! Why it is safe: a name is a pure function of the object's key, built from
//! hexadecimal digits, decimal digits and fixed words, so no key can name
//! anything outside its place. [`ObjectKey::from_path`] accepts exactly what
//! [`ObjectKey::path`] writes: an object has one name, and what has another
//! name is no object.

use std::fmt;

use indelible_format::ids::{PackId, RecordId};
pub use indelible_format::limits::LOG_NUMBER_MAX;
use indelible_format::limits::{
    COMMIT_BYTES_MAX, ENTRY_BYTES_MAX, LOG_BUNDLE_BYTES_MAX, LOG_BUNDLES_MAX, PACK_BYTES_MAX,
};

/// Digits in the name of a log entry, or of a bundle of them.
const DIGITS: usize = 12;

/// Which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    /// The copy of `log/0` under a telling name.
    Repository,
    /// The log entry of this number, at most [`LOG_NUMBER_MAX`].
    Log(u64),
    /// A commit record too large for its log entry.
    Record(RecordId),
    /// A pack.
    Pack(PackId),
    /// A bundle of log objects, from 1 to 3,906,249,999.
    Bundle(u64),
}

impl ObjectKey {
    /// The name in the store: components separated by `/`, without one before.
    ///
    /// A log number above [`LOG_NUMBER_MAX`], like a bundle that none is for, gives a name that
    /// [`ObjectKey::from_path`] refuses; see [`ObjectKey::is_nameable`].
    pub fn path(&self) -> String {
        match self {
            Self::Repository => "repository".to_owned(),
            Self::Log(number) => format!("log/{number:012}"),
            Self::Record(id) => format!("commits/{id}"),
            Self::Pack(id) => format!("packs/{:02x}/{id}", id.as_bytes()[0]),
            Self::Bundle(number) => format!("bundle/{number:012}"),
        }
    }

    /// Reads what [`ObjectKey::path`] writes, and nothing else.
    pub fn from_path(path: &str) -> Option<Self> {
        let Some((area, name)) = path.split_once('/') else {
            return (path == "repository").then_some(Self::Repository);
        };
        match area {
            "log" => number(name).map(Self::Log),
            "bundle" => number(name).map(Self::Bundle).filter(Self::is_nameable),
            "commits" => RecordId::from_hex(name).map(Self::Record),
            "packs" => {
                let (fan_out, name) = name.split_once('/')?;
                let id = PackId::from_hex(name)?;
                (fan_out.len() == 2 && name.starts_with(fan_out)).then_some(Self::Pack(id))
            }
            _ => None,
        }
    }

    /// Whether the key has a name at all.
    ///
    /// Only a log number above [`LOG_NUMBER_MAX`], and a bundle that none is for,
    /// have none. Such a number can come from bytes that someone forged, so reading
    /// it finds nothing rather than panics.
    pub const fn is_nameable(&self) -> bool {
        match self {
            Self::Log(number) => *number <= LOG_NUMBER_MAX,
            Self::Bundle(number) => 1 <= *number && *number <= LOG_BUNDLES_MAX,
            Self::Repository | Self::Record(_) | Self::Pack(_) => true,
        }
    }

    /// Whether the key is the hash of the object's bytes.
    pub const fn is_hash(&self) -> bool {
        matches!(self, Self::Pack(_) | Self::Record(_))
    }

    /// Whether bytes are those that the key names, where it is the hash of them. Others
    /// are judged by who reads them.
    pub fn names(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Pack(id) => PackId::of(bytes) == *id,
            Self::Record(id) => RecordId::of(bytes) == *id,
            Self::Log(_) | Self::Repository | Self::Bundle(_) => true,
        }
    }

    /// The most bytes that an object of this kind has.
    pub const fn bytes_max(&self) -> usize {
        match self {
            Self::Repository | Self::Log(_) => ENTRY_BYTES_MAX,
            Self::Record(_) => COMMIT_BYTES_MAX,
            Self::Pack(_) => PACK_BYTES_MAX,
            Self::Bundle(_) => LOG_BUNDLE_BYTES_MAX,
        }
    }

    /// Whether an object of this kind may ever be removed.
    ///
    /// The log is what removals are proven by, so it stays.
    pub const fn is_expirable(&self) -> bool {
        matches!(self, Self::Pack(_) | Self::Record(_))
    }
}

/// The number that a name of twelve digits stands for.
fn number(name: &str) -> Option<u64> {
    let all_digits = name.bytes().all(|byte| byte.is_ascii_digit());
    (name.len() == DIGITS && all_digits)
        .then(|| name.parse().ok())
        .flatten()
}

/// The key's name in the store.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// A part of the store that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Every [`ObjectKey::Pack`].
    Packs,
    /// Every [`ObjectKey::Record`].
    Records,
    /// Every [`ObjectKey::Log`].
    Log,
    /// Every [`ObjectKey::Bundle`].
    Bundles,
}

impl Area {
    /// Every area.
    pub const ALL: [Self; 4] = [Self::Packs, Self::Records, Self::Log, Self::Bundles];

    /// The first component of the names in this area.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Packs => "packs",
            Self::Records => "commits",
            Self::Log => "log",
            Self::Bundles => "bundle",
        }
    }

    /// Whether the key's objects are listed here.
    pub const fn holds(self, key: &ObjectKey) -> bool {
        matches!(
            (self, key),
            (Self::Packs, ObjectKey::Pack(_))
                | (Self::Records, ObjectKey::Record(_))
                | (Self::Log, ObjectKey::Log(_))
                | (Self::Bundles, ObjectKey::Bundle(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key comes back from its name.
    ///
    /// Method: one of each kind, with the least and the greatest number.
    #[test]
    fn names_round_trip() {
        let keys = [
            ObjectKey::Repository,
            ObjectKey::Log(0),
            ObjectKey::Log(LOG_NUMBER_MAX),
            ObjectKey::Record(RecordId([0xC3; 32])),
            ObjectKey::Pack(PackId([0x0A; 32])),
            ObjectKey::Bundle(1),
            ObjectKey::Bundle(LOG_BUNDLES_MAX),
        ];
        for key in keys {
            assert_eq!(ObjectKey::from_path(&key.path()), Some(key));
        }
        assert_eq!(ObjectKey::Log(12).path(), "log/000000000012");
        assert_eq!(
            ObjectKey::Pack(PackId([0xAB; 32])).path(),
            format!("packs/ab/{}", "ab".repeat(32))
        );
    }

    /// No second name leads to a key.
    ///
    /// Method: a list of near misses, each refused.
    #[test]
    fn near_misses_are_no_names() {
        let id = "ab".repeat(32);
        let misses = [
            String::new(),
            "Repository".to_owned(),
            "repository/".to_owned(),
            "/repository".to_owned(),
            "log".to_owned(),
            "log/".to_owned(),
            "log/12".to_owned(),
            "log/0000000000012".to_owned(),
            "log/+00000000012".to_owned(),
            "log/00000000001a".to_owned(),
            "log/000000000012/".to_owned(),
            "log/00000000001\u{0663}".to_owned(),
            format!("commits/{}", id.to_uppercase()),
            format!("commits/{}", &id[2..]),
            format!("commits/ab/{id}"),
            format!("packs/{id}"),
            format!("packs/ac/{id}"),
            format!("packs/aba/{id}"),
            format!("packs/a/{id}"),
            format!("packs//{id}"),
            format!("packs/AB/{id}"),
            format!("packs/ab/{id}.tmp"),
            format!("packs/ab/{id}/"),
            format!("tmp/{id}"),
            "bundle/1".to_owned(),
            "bundle/000000000000".to_owned(),
            "bundle/003906250000".to_owned(),
        ];
        for miss in misses {
            assert_eq!(ObjectKey::from_path(&miss), None, "{miss}");
        }
    }

    /// A forged log number is no name, and does not panic.
    ///
    /// Method: the first number with 13 digits, and the greatest of all.
    #[test]
    fn overlong_log_numbers_have_no_name() {
        for number in [LOG_NUMBER_MAX + 1, u64::MAX] {
            let key = ObjectKey::Log(number);
            assert!(!key.is_nameable());
            assert_eq!(ObjectKey::from_path(&key.path()), None);
        }
        for number in [0, LOG_BUNDLES_MAX + 1, u64::MAX] {
            let key = ObjectKey::Bundle(number);
            assert!(!key.is_nameable());
            assert_eq!(ObjectKey::from_path(&key.path()), None);
        }
    }
}
