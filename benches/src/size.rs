//! Sizes as people type them.

/// Far beyond any bench; below it no count of rows or microseconds overflows.
const SIZE_BYTES_MAX: u64 = 100_000_000_000_000;

/// Why a text is not a size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSizeError {
    /// It is not a number with a known unit, or overflows.
    #[error("say a whole number and a unit, as in 500M, 1G or 1GiB")]
    Malformed,
    /// No bench is so large.
    #[error("the largest size is 100TB")]
    TooLarge,
}

/// A whole number of bytes with an optional unit, decimal (`M` or `MB`) or
/// binary (`MiB`).
///
/// # Errors
///
/// [`ParseSizeError`].
pub fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit_bytes: u64 = match unit {
        "" | "B" => 1,
        "k" | "K" | "kB" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "T" | "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(ParseSizeError::Malformed),
    };
    let count: u64 = digits.parse().map_err(|_| ParseSizeError::Malformed)?;
    match count.checked_mul(unit_bytes) {
        Some(bytes) if bytes <= SIZE_BYTES_MAX => Ok(bytes),
        _ => Err(ParseSizeError::TooLarge),
    }
}
