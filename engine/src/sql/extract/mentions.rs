//! The names that a statement mentions: all that could be one, whatever it stands for.

use indelible_format::contents::Dialect;

use crate::sql::classify::{Head, Name};
use crate::sql::token::TokenKind;

/// Longer strings are texts, not names.
const NAME_BYTES_MAX: usize = 400;

/// Where a name was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the statement itself, which does not run without what it names.
    Code,
    /// In a string that is code, and runs later.
    Body,
}

/// Gives each name in a statement to `take`. Strings may be names, as those of
/// sequences are; in routines they may be code.
pub(super) fn each(
    dialect: Dialect,
    text: &[u8],
    place: Place,
    routine: bool,
    take: &mut dyn FnMut(&Name, Place),
) {
    let mut head = Head::new(dialect, text);
    while let Some(token) = head.peek() {
        match token.kind {
            TokenKind::Word | TokenKind::Quoted => {
                if let Some(name) = head.name() {
                    take(&name, place);
                } else {
                    head.next();
                }
                continue;
            }
            TokenKind::Dollar if place == Place::Code => {
                let tag = token.text[1..].iter().position(|&byte| byte == b'$');
                let tag = tag.map_or(0, |at| at + 2);
                let body = token.text.get(tag..token.text.len() - tag);
                each(
                    dialect,
                    body.unwrap_or_default(),
                    Place::Body,
                    routine,
                    take,
                );
            }
            TokenKind::Text => string(dialect, &token.unquoted(), place, routine, take),
            _ => {}
        }
        head.next();
    }
}

fn string(
    dialect: Dialect,
    text: &[u8],
    place: Place,
    routine: bool,
    take: &mut dyn FnMut(&Name, Place),
) {
    if routine && place == Place::Code {
        each(dialect, text, Place::Body, routine, take);
    }
    if text.len() <= NAME_BYTES_MAX {
        let mut head = Head::new(dialect, text);
        if let Some(name) = head.name()
            && head.peek().is_none()
        {
            take(&name, place);
        }
    }
}
