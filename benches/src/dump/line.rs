//! Text of `COPY` rows, appended to a buffer.
//!
//! Formatting decides how fast a dump is made, so numbers are written by hand
//! and nothing allocates. Every form is the one in which `PostgreSQL` prints the
//! value: a dump that is loaded and dumped again has the same rows.

use super::prng::SplitMix64;

const HEX: &[u8; 16] = b"0123456789abcdef";
const DIGIT_PAIRS: [[u8; 2]; 100] = digit_pairs();

#[expect(
    clippy::cast_possible_truncation,
    reason = "tens and units are single digits"
)]
const fn digit_pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
}

/// Microseconds of a day.
pub(super) const DAY_MICROS: u64 = 86_400 * 1_000_000;

/// Rows that wait to be written.
pub(super) struct Line {
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// ASCII letters in lower case, everything else as it is.
    pub(super) fn lowercase(&mut self, text: &str) -> &mut Self {
        let lower = text.bytes().map(|byte| byte.to_ascii_lowercase());
        self.bytes.extend(lower);
        self
    }

    /// Ends a field.
    pub(super) fn tab(&mut self) -> &mut Self {
        self.bytes.push(b'\t');
        self
    }

    /// Ends a row.
    pub(super) fn end(&mut self) {
        self.bytes.push(b'\n');
    }

    /// The absent value of `COPY`.
    pub(super) fn null(&mut self) -> &mut Self {
        self.text("\\N")
    }

    pub(super) fn number(&mut self, mut number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut start = digits.len();
        while number >= 100 {
            start -= 2;
            digits[start..start + 2].copy_from_slice(pair(number % 100));
            number /= 100;
        }
        start -= 2;
        digits[start..start + 2].copy_from_slice(pair(number));
        if number < 10 {
            start += 1;
        }
        self.bytes.extend_from_slice(&digits[start..]);
        self
    }

    /// Two digits; only the last two of a larger number.
    pub(super) fn two_digits(&mut self, number: u64) -> &mut Self {
        self.bytes.extend_from_slice(pair(number % 100));
        self
    }

    /// `numeric(12,2)`.
    pub(super) fn money(&mut self, cents: u64) -> &mut Self {
        self.number(cents / 100).text(".").two_digits(cents % 100)
    }

    /// `digits` (up to 16) lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, value: u64, digits: usize) -> &mut Self {
        let mut text = [0; 16];
        for (byte, pair) in value.to_be_bytes().iter().zip(text.chunks_exact_mut(2)) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        self.bytes.extend_from_slice(&text[16 - digits..]);
        self
    }

    /// A random UUID, version 4 (RFC 9562 section 5.4).
    pub(super) fn uuid(&mut self, rng: &mut SplitMix64) -> &mut Self {
        let (high, low) = (rng.next(), rng.next());
        let high = high & !0xf000 | 0x4000;
        let low = low & !(0b11 << 62) | 0b10 << 62;
        self.hex(high >> 32, 8).text("-").hex(high >> 16, 4);
        self.text("-").hex(high, 4).text("-").hex(low >> 48, 4);
        self.text("-").hex(low, 12)
    }

    /// `timestamp without time zone`, from microseconds since 1970.
    ///
    /// `PostgreSQL` drops trailing zeros of the fraction.
    pub(super) fn timestamp(&mut self, micros: u64) -> &mut Self {
        let (year, month, day) = civil_from_days(micros / DAY_MICROS);
        self.number(year).text("-").two_digits(month);
        self.text("-").two_digits(day).text(" ");
        let seconds = micros % DAY_MICROS / 1_000_000;
        self.two_digits(seconds / 3600).text(":");
        self.two_digits(seconds / 60 % 60).text(":");
        self.two_digits(seconds % 60);
        let fraction = micros % 1_000_000;
        if fraction > 0 {
            self.text(".").two_digits(fraction / 10_000);
            self.two_digits(fraction / 100).two_digits(fraction);
            while self.bytes.last() == Some(&b'0') {
                self.bytes.pop();
            }
        }
        self
    }
}

/// The two digits of a number below 100.
fn pair(number: u64) -> &'static [u8; 2] {
    &DIGIT_PAIRS[usize::try_from(number).expect("below 100")]
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{DAY_MICROS, Line};

    fn written(write: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::with_capacity(64);
        write(&mut line);
        String::from_utf8(line.bytes).expect("only text is written")
    }

    /// Numbers written by hand are those of the standard library.
    ///
    /// Method: both, around every power of ten and at the type's ends.
    #[test]
    fn numbers_agree_with_the_standard_library() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        let near = powers.flat_map(|power| [power - 1, power, power + 1]);
        for number in near.chain([u64::MAX]) {
            let text = written(|line| {
                line.number(number);
            });
            assert_eq!(text, number.to_string());
        }
    }

    /// Timestamps read as `PostgreSQL` prints them.
    ///
    /// Method: a leap day, a year's last moment, and fractions that end in
    /// zeros, compared with what `select to_timestamp(...)` prints in UTC.
    #[test]
    fn timestamps_are_those_of_postgresql() {
        let cases = [
            (0, "1970-01-01 00:00:00"),
            (DAY_MICROS - 1, "1970-01-01 23:59:59.999999"),
            (1_709_164_800_000_000, "2024-02-29 00:00:00"),
            (1_709_164_800_000_010, "2024-02-29 00:00:00.00001"),
            (1_767_225_599_500_000, "2025-12-31 23:59:59.5"),
        ];
        for (micros, expected) in cases {
            let text = written(|line| {
                line.timestamp(micros);
            });
            assert_eq!(text, expected);
        }
    }
}
