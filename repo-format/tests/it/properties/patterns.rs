//! NAME patterns against their definition (SPEC 4).

use indelible_format::name::{Name, Pattern};
use proptest::prelude::*;

/// The definition: `*` is any sequence, another byte itself.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        Some((byte, rest)) => name.first() == Some(byte) && matches(rest, &name[1..]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Matching is what the definition says.
    ///
    /// Method: patterns and NAMEs of two letters, which often match, against a
    /// matcher that tries everything.
    #[test]
    fn patterns_match_by_definition(pattern in "[*]?([ab]{1,2}[*]){0,4}[ab]{0,2}", name in "[ab]{1,12}") {
        let name = Name::new(name.as_bytes()).unwrap();
        if let Ok(pattern) = Pattern::new(pattern.as_bytes()) {
            let expected = matches(pattern.as_str().as_bytes(), name.as_str().as_bytes());
            prop_assert_eq!(pattern.matches(&name), expected);
        }
    }

    /// A NAME is a pattern that matches itself alone.
    ///
    /// Method: pairs of NAMEs that differ in little.
    #[test]
    fn names_match_themselves(one in "[ab][ab0.]{0,3}", two in "[ab][ab0.]{0,3}") {
        let pattern = Pattern::new(one.as_bytes()).unwrap();
        let name = Name::new(two.as_bytes()).unwrap();
        prop_assert_eq!(pattern.matches(&name), one == two);
        prop_assert!(Pattern::all().matches(&name));
    }
}
