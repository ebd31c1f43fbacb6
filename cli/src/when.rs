//! Times to come, as people type them.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::context::Context;
use crate::failure::Failure;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// For how long something is kept. A year has 365 days here, so that a span is as long
/// whenever it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeptFor(u64);

impl KeptFor {
    pub(crate) fn of_ms(ms: u64) -> Self {
        Self(ms)
    }

    pub(crate) fn ms(self) -> u64 {
        self.0
    }
}

impl FromStr for KeptFor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no span of time: write 35d, 12w, 1y or 36h");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let unit_ms = match unit {
            'h' => HOUR_MS,
            'd' => DAY_MS,
            'w' => 7 * DAY_MS,
            'y' => 365 * DAY_MS,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let ms = number.checked_mul(unit_ms).filter(|&ms| ms > 0);
        ms.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for KeptFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(DAY_MS) {
            write!(f, "{}d", self.0 / DAY_MS)
        } else {
            write!(f, "{}h", self.0.div_ceil(HOUR_MS))
        }
    }
}

/// Unix milliseconds of a date, which means its end in the local zone, or of a span from
/// now.
pub(crate) fn later(context: &Context, option: &str, text: &str) -> Result<u64, Failure> {
    let now_ms = context.env.clock.now_unix_ms();
    let end = match (text.parse::<Date>(), text.parse::<Span>()) {
        (Ok(date), _) => date
            .tomorrow()
            .ok()
            .and_then(|next| next.to_zoned(TimeZone::system()).ok()),
        (Err(_), Ok(span)) => i64::try_from(now_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .and_then(|now| now.to_zoned(TimeZone::system()).checked_add(span).ok()),
        (Err(_), Err(_)) => None,
    };
    let ms = end.and_then(|end| u64::try_from(end.timestamp().as_millisecond()).ok());
    let ms = ms.ok_or_else(|| {
        Failure::usage(format!("{option} {text:?} is neither a date nor a span"))
            .hint("for instance: 2027-11-22, 90d or 1y")
    })?;
    if ms > now_ms {
        Ok(ms)
    } else {
        Err(Failure::usage(format!("{option} {text} lies in the past")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A span is a number and a unit, and nothing else.
    ///
    /// Method: each unit, what overflows, what is empty or nothing.
    #[test]
    fn spans() {
        for (text, shown) in [
            ("35d", "35d"),
            ("2w", "14d"),
            ("1y", "365d"),
            ("36h", "36h"),
        ] {
            let span: KeptFor = text.parse().expect(text);
            assert_eq!(span.to_string(), shown);
        }
        for text in [
            "",
            "d",
            "0d",
            "-1d",
            "35",
            "35 d",
            "1.5d",
            "99999999999999999y",
            "35µ",
        ] {
            text.parse::<KeptFor>().expect_err(text);
        }
    }
}
