//! What was typed, as the terms of a verification.

use indelible_engine::pin::{Accepted, Pin};
use indelible_engine::repository::SeenLog;
use indelible_engine::verify::Extent;
use jiff::SignedDuration;

use crate::args::Verify;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// How much is to be read.
pub(super) fn extent(args: &Verify) -> Result<Extent, Failure> {
    let mut extent = Extent::ALL;
    if let Some(text) = &args.sample {
        let millionths = millionths(text).ok_or_else(|| {
            Failure::usage(format!("--sample {text:?} is no share of a whole"))
                .hint("write 0 to 100 with at most four decimals, for instance 10% or 0.5%")
        })?;
        extent = extent.sampled(millionths);
    }
    if let Some(text) = &args.max_time {
        let ms = text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|span| u64::try_from(span.as_millis()).ok());
        let ms = ms.ok_or_else(|| {
            Failure::usage(format!("--max-time {text:?} is no span of time"))
                .hint("for instance: 90s, 30m or 2h")
        })?;
        extent = extent.within(ms);
    }
    Ok(extent)
}

/// Percent with up to four decimals, in millionths of the whole.
fn millionths(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 4 {
        return None;
    }
    let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
    let all = whole.parse::<u32>().ok()?.checked_mul(10_000)?;
    all.checked_add(decimals).filter(|&all| all <= 1_000_000)
}

/// Takes note of the junk that somebody looked at, here and for later runs.
pub(super) fn accept(
    context: &Context,
    args: &Verify,
    seen: &SeenLog,
    pin: Option<&Pin>,
) -> Result<Accepted, Failure> {
    let mut accepted = Accepted::default();
    if args.accept_void.is_empty() {
        return Ok(accepted);
    }
    let freshness = seen.against(pin)?;
    for number in &args.accept_void {
        accepted.insert(*number, seen.junk_at(*number, &freshness)?);
    }
    match seen.state.as_ref().map(|state| state.accept(&accepted)) {
        Some(Ok(())) => {}
        Some(Err(error)) => context.warn_of_state(&error),
        None if args.update_pin => {}
        None => output::warn(
            context,
            "this machine remembers nothing, so what you accept holds for this run only (keep it in a pin: --pin FILE --update-pin)",
        ),
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::millionths;

    /// Shares have up to four decimals, and nothing else is one.
    ///
    /// Method: the ends, fractions, with and without a sign, and what is none.
    #[test]
    fn shares() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0%", Some(0)),
            ("100%", Some(1_000_000)),
            ("100.0000%", Some(1_000_000)),
            ("12.5 %", Some(125_000)),
            ("0.0001", Some(1)),
            ("100.0001", None),
            ("0.00001", None),
            ("101", None),
            ("99999999999", None),
            ("-1", None),
            ("+1", None),
            ("1.", None),
            (".5", None),
            ("", None),
            ("%", None),
            ("1e1", None),
            ("5%%", None),
        ] {
            assert_eq!(millionths(text), expected, "{text:?}");
        }
    }
}
