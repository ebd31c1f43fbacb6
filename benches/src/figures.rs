//! What is made of samples: medians, and numbers to divide.

/// The middle of some values, or the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[upper - 1], values[upper])
    } else {
        values[upper]
    }
}

/// A size or a count, to divide.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53 bytes")]
pub fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::median;

    /// Medians of odd and even counts are what they are called.
    ///
    /// Method: values out of order, one of them far out.
    #[test]
    fn medians_lie_in_the_middle() {
        let cases: [(&[f64], f64); 3] = [
            (&[3.0], 3.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[4.0, 100.0, 1.0, 2.0], 3.0),
        ];
        for (values, expected) in cases {
            let found = median(values.iter().copied());
            assert!(
                (found - expected).abs() < f64::EPSILON,
                "{values:?}: {found}"
            );
        }
    }
}
