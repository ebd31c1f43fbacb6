//! Why a server did not do something (SPEC 16.4).

use super::{text, unknown};
use crate::limits::SERVED_MESSAGE_BYTES_MAX;
use crate::wire::{Builder, Cursor, LayoutError};

/// Of what kind a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server does not do it, whoever asks again. Nothing was created.
    Refused = 1,
    /// The message is none, or comes when it must not. The server ends.
    Malformed = 2,
    /// The object does not exist.
    NotFound = 3,
    /// Under the object's name stands something else than a file.
    NotRegular = 4,
    /// The repository's place does not exist.
    NoRepository = 5,
    /// The store does not answer now.
    Unreachable = 6,
    /// The server's user may not.
    PermissionDenied = 7,
    /// The disk or the quota is full.
    NoSpace = 8,
    /// The store can't be written.
    ReadOnly = 9,
    /// The store can't do this at all.
    Unsupported = 10,
    /// Whether the object is stored cannot be known.
    Doubtful = 11,
    /// Anything else.
    Other = 12,
}

impl Reason {
    const ALL: [Self; 12] = [
        Self::Refused,
        Self::Malformed,
        Self::NotFound,
        Self::NotRegular,
        Self::NoRepository,
        Self::Unreachable,
        Self::PermissionDenied,
        Self::NoSpace,
        Self::ReadOnly,
        Self::Unsupported,
        Self::Doubtful,
        Self::Other,
    ];
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    reason: Reason,
    message: String,
}

impl Fault {
    /// A failure in words. Control characters are replaced, and what is too long is
    /// cut. Without words it says just that.
    pub fn new(reason: Reason, message: &str) -> Self {
        let message = if message.is_empty() {
            "no reason was given"
        } else {
            message
        };
        let shown = message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c });
        Self {
            reason,
            message: shortened(shown.collect(), SERVED_MESSAGE_BYTES_MAX),
        }
    }

    /// Its kind.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// In words, without control characters. Untrusted.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn encode_to(&self, out: &mut Builder) {
        out.u8(self.reason as u8).text16(self.message.as_bytes());
    }

    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Self, LayoutError> {
        let number = cursor.u8("fault")?;
        let known = Reason::ALL.into_iter().find(|it| *it as u8 == number);
        let reason = known.ok_or_else(|| unknown("reason of a fault", number))?;
        let message = text(cursor, SERVED_MESSAGE_BYTES_MAX, "message of a fault")?;
        if message.chars().any(char::is_control) {
            return Err(LayoutError::NotCanonical {
                field: "message of a fault",
            });
        }
        let message = message.to_owned();
        Ok(Self { reason, message })
    }
}

/// The longest beginning of a text that has at most `most` bytes.
pub fn shortened(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}
