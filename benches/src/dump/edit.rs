//! What happens to the database from one night to the next.

use super::prng::permille_of;
use std::fmt;
use std::str::FromStr;

/// What one night does to each table; `night` applies it that many times.
///
/// All shares are in thousandths of the table's rows. A row that is updated
/// always gets a new `updated_at` and in three of four cases one more new field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Every night's dump is the same.
    Nothing,
    /// Rows here and there are updated where they stand.
    Scattered {
        /// Updated rows a night, 1 to 1,000; more counts as 1,000.
        permille: u16,
    },
    /// One run of neighbouring rows a table, elsewhere each night, is updated
    /// where it stands.
    Clustered {
        /// Updated rows a night, 1 to 1,000; more counts as 1,000.
        permille: u16,
    },
    /// What a `PostgreSQL` heap does: updated rows leave their place and stand,
    /// changed, at the table's end, followed by as many inserted rows; half as
    /// many are deleted.
    MovedToEnd {
        /// Updated rows a night, 1 to 500; more counts as 500.
        permille: u16,
    },
    /// Rows are added at the table's end.
    Appended {
        /// Added rows a night, in thousandths of the first night's; 1 to
        /// 1,000; more counts as 1,000.
        permille: u16,
    },
}

/// Why a text names no [`Edit`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseEditError {
    /// The word before the number is none of the five.
    #[error(
        "unknown edit; say `nothing`, or `scattered`, `clustered`, `moved` or `appended` \
         and a percentage, as in `scattered1`"
    )]
    UnknownKind,
    /// What follows the word is not a number with at most one decimal.
    #[error("the percentage must be a number with at most one decimal, as in `moved0.5`")]
    BadPercentage,
    /// Nothing would change, or more than there is.
    #[error("the percentage must lie between 0.1 and {permille_max_tenths}", permille_max_tenths = .permille_max / 10)]
    OutOfRange {
        /// The largest share of this edit, in thousandths.
        permille_max: u16,
    },
}

impl Edit {
    /// The share of rows, bounded as the variants say.
    pub(super) fn permille(self) -> u16 {
        match self {
            Self::Nothing => 0,
            Self::Scattered { permille }
            | Self::Clustered { permille }
            | Self::MovedToEnd { permille }
            | Self::Appended { permille } => permille.min(self.permille_max()),
        }
    }

    /// How many of `base` rows that share is: none for [`Edit::Nothing`], and
    /// else at least one, so that no edit of a small table is empty.
    pub(super) fn share_of(self, base: u64) -> u64 {
        match self.permille() {
            0 => 0,
            permille => permille_of(base, permille).max(1),
        }
    }

    /// Above 500 thousandths, updates and the deletions beside them would
    /// choose the same rows.
    fn permille_max(self) -> u16 {
        match self {
            Self::MovedToEnd { .. } => 500,
            _ => 1000,
        }
    }
}

/// The names that [`FromStr`] reads, with the share in percent.
impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, permille) = match *self {
            Self::Nothing => return f.write_str("nothing"),
            Self::Scattered { permille } => ("scattered", permille),
            Self::Clustered { permille } => ("clustered", permille),
            Self::MovedToEnd { permille } => ("moved", permille),
            Self::Appended { permille } => ("appended", permille),
        };
        write!(f, "{name}{}", permille / 10)?;
        match permille % 10 {
            0 => Ok(()),
            tenths => write!(f, ".{tenths}"),
        }
    }
}

/// Reads `nothing`, or a word and a percentage: `scattered1`, `moved0.5`.
impl FromStr for Edit {
    type Err = ParseEditError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "nothing" {
            return Ok(Self::Nothing);
        }
        let digits_at = text
            .find(|c: char| !c.is_ascii_lowercase())
            .unwrap_or(text.len());
        let (name, percentage) = text.split_at(digits_at);
        let edit_of: fn(u16) -> Self = match name {
            "scattered" => |permille| Self::Scattered { permille },
            "clustered" => |permille| Self::Clustered { permille },
            "moved" => |permille| Self::MovedToEnd { permille },
            "appended" => |permille| Self::Appended { permille },
            _ => return Err(ParseEditError::UnknownKind),
        };
        let permille = parse_permille(percentage).ok_or(ParseEditError::BadPercentage)?;
        let edit = edit_of(permille);
        let permille_max = edit.permille_max();
        if permille == 0 || permille > permille_max {
            return Err(ParseEditError::OutOfRange { permille_max });
        }
        Ok(edit)
    }
}

/// `12.5` as 125. Numbers beyond the type count as its largest, which is out
/// of every range.
fn parse_permille(percentage: &str) -> Option<u16> {
    let (whole, tenths) = percentage.split_once('.').unwrap_or((percentage, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(tenths) || tenths.len() != 1 {
        return None;
    }
    let tenths: u16 = tenths.parse().ok()?;
    let whole: u16 = whole.parse().unwrap_or(u16::MAX);
    Some(whole.saturating_mul(10).saturating_add(tenths))
}
