//! Times as S3 writes them. A time that can't be read is none.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// `2026-11-22T03:00:00Z`, at or up to a second after `unix_ms`; `None` beyond
/// the year 9999.
pub(super) fn lock_date(unix_ms: u64) -> Option<String> {
    let seconds = i64::try_from(unix_ms.div_ceil(1_000)).ok()?;
    let time = Timestamp::from_second(seconds).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Milliseconds since 1970 of what [`lock_date`] writes, with or without a
/// fraction.
pub(super) fn parse_lock_date(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// Milliseconds since 1970 of an HTTP `Date` (RFC 9110, 5.6.7).
pub(super) fn parse_http_date(text: &str) -> Option<u64> {
    let time = DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times are read as they are written, and rounded so that no lock is short.
    ///
    /// Method: a known time in each form, a fraction of a second, and nonsense.
    #[test]
    fn times_round_trip() {
        let ms = 1_795_316_400_000;
        assert_eq!(lock_date(ms).as_deref(), Some("2026-11-22T03:00:00Z"));
        assert_eq!(lock_date(ms + 1).as_deref(), Some("2026-11-22T03:00:01Z"));
        assert_eq!(lock_date(u64::MAX), None);
        assert_eq!(parse_lock_date("2026-11-22T03:00:00Z"), Some(ms));
        assert_eq!(parse_lock_date("2026-11-22T03:00:00.007Z"), Some(ms + 7));
        assert_eq!(parse_http_date("Sun, 22 Nov 2026 03:00:00 GMT"), Some(ms));
        for nonsense in ["", "2026", "yesterday", "1900-01-01T00:00:00Z"] {
            assert_eq!(parse_lock_date(nonsense), None, "{nonsense}");
            assert_eq!(parse_http_date(nonsense), None, "{nonsense}");
        }
    }
}
