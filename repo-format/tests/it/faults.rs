//! What a server says of a failure (SPEC 16.4).

use indelible_format::limits::SERVED_MESSAGE_BYTES_MAX;
use indelible_format::protocol::{Answer, Fault, Reason, shortened};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A text is cut to the longest beginning that has room, and never within a
    /// character.
    ///
    /// Method: arbitrary texts and every length up to theirs and beyond.
    #[test]
    fn texts_are_cut_between_characters(text in "[a-zé€🦀]{0,12}") {
        for most in 0..text.len() + 2 {
            let cut = shortened(text.clone(), most);
            prop_assert!(text.starts_with(&cut) && cut.len() <= most);
            let next = text[cut.len()..].chars().next();
            prop_assert!(next.is_none_or(|next| cut.len() + next.len_utf8() > most));
        }
    }

    /// Whatever the words of a failure, the client reads them: without control
    /// characters, cut to what a message holds, and of the same kind.
    ///
    /// Method: arbitrary characters, some of them often enough to be too many.
    #[test]
    fn failures_are_told(text in any::<String>(), times in 1_usize..300) {
        prop_assume!(!text.is_empty());
        let fault = Fault::new(Reason::NoSpace, &text.repeat(times));
        prop_assert_eq!(fault.reason(), Reason::NoSpace);
        let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let shown = shown.repeat(times);
        prop_assert_eq!(fault.message(), shortened(shown, SERVED_MESSAGE_BYTES_MAX));
        let frame = Answer::Fault(fault.clone()).frame(7);
        prop_assert_eq!(Answer::decode(&frame[4..]), Ok((7, Answer::Fault(fault))));
    }
}

/// Each kind of failure has a number of its own, by the table of SPEC 16.4.
///
/// Method: an answer of each, and where its number stands in it.
#[test]
fn each_reason_has_its_number() {
    let reasons = [
        Reason::Refused,
        Reason::Malformed,
        Reason::NotFound,
        Reason::NotRegular,
        Reason::NoRepository,
        Reason::Unreachable,
        Reason::PermissionDenied,
        Reason::NoSpace,
        Reason::ReadOnly,
        Reason::Unsupported,
        Reason::Doubtful,
        Reason::Other,
    ];
    for (reason, number) in reasons.into_iter().zip(1..) {
        let answer = Answer::Fault(Fault::new(reason, "why"));
        let frame = answer.frame(0);
        // Behind length, kind and number of the request.
        assert_eq!(frame[13], number, "{reason:?}");
        assert_eq!(Answer::decode(&frame[4..]), Ok((0, answer)));
    }
}

/// A failure of no words can be sent, and says that it has none.
///
/// Method: an empty message.
#[test]
fn a_failure_without_words_is_read() {
    let fault = Fault::new(Reason::Other, "");
    assert!(!fault.message().is_empty());
    let frame = Answer::Fault(fault.clone()).frame(7);
    assert_eq!(Answer::decode(&frame[4..]), Ok((7, Answer::Fault(fault))));
}
