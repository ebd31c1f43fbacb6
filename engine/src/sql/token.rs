//! Statements as tokens: words, names, strings, marks. Comments are none.
//!
//! What is read is short or bounded by its reader, and has been split from its
//! neighbours by the lexer. A token that does not end is the last one.

use std::ops::Range;

use indelible_format::contents::Dialect;
use memchr::memmem;

/// What a token is, by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword or a name, a number or a variable.
    Word,
    /// A name in quotes.
    Quoted,
    /// A string in quotes; with escapes, if there may be some.
    Text,
    /// What stands in a dollar quote.
    Dollar,
    /// Any other byte.
    Mark,
    /// A string or name without its end.
    Open,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a [u8],
    /// Where it stands.
    pub(super) range: Range<usize>,
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it is this mark.
    pub(super) fn is_mark(&self, mark: u8) -> bool {
        self.kind == TokenKind::Mark && self.text == [mark]
    }

    /// The part of a name that it is, as the database stores it.
    pub(super) fn name(&self, dialect: Dialect) -> Option<Vec<u8>> {
        match self.kind {
            TokenKind::Word if dialect == Dialect::Postgres => Some(self.text.to_ascii_lowercase()),
            TokenKind::Word => Some(self.text.to_vec()),
            TokenKind::Quoted => Some(self.unquoted()),
            // Names in the quotes of strings.
            TokenKind::Text if dialect != Dialect::Postgres => Some(self.unquoted()),
            _ => None,
        }
    }

    /// What stands in the quotes of a name, or of a string without escapes.
    pub(super) fn unquoted(&self) -> Vec<u8> {
        let Some((&quote, inner)) = self.text.split_first() else {
            return Vec::new();
        };
        let inner = &inner[..inner.len().saturating_sub(1)];
        let mut out = Vec::with_capacity(inner.len());
        let mut bytes = inner.iter();
        while let Some(&byte) = bytes.next() {
            out.push(byte);
            // Brackets are not doubled.
            if byte == quote && byte != b'[' {
                bytes.next();
            }
        }
        out
    }
}

/// Reads the tokens of a statement.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(dialect: Dialect, bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            dialect,
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let skipped = match rest {
                [byte, ..] if byte.is_ascii_whitespace() => 1,
                [b'-', b'-', ..] if self.dialect != Dialect::Mariadb => line(rest),
                [b'-', b'-', byte, ..] if byte.is_ascii_whitespace() => line(rest),
                [b'#', ..] if self.dialect == Dialect::Mariadb => line(rest),
                // The code in a comment counts where some servers run it.
                [b'/', b'*', b'!', ..] if self.dialect == Dialect::Mariadb => {
                    3 + digits(&rest[3..])
                }
                [b'/', b'*', b'M', b'!', ..] if self.dialect == Dialect::Mariadb => {
                    4 + digits(&rest[4..])
                }
                [b'*', b'/', ..] if self.dialect == Dialect::Mariadb => 2,
                [b'/', b'*', ..] => block(rest, self.dialect == Dialect::Postgres),
                _ => return,
            };
            self.at += skipped;
        }
    }

    /// Kind and length of the token that begins here.
    fn measure(&self, rest: &[u8]) -> (TokenKind, usize) {
        use Dialect::{Mariadb, Postgres, Sqlite};
        match (rest[0], self.dialect) {
            (b'e' | b'E', Postgres) if rest.get(1) == Some(&b'\'') => {
                let (kind, len) = quoted(&rest[1..], b'\'', true, TokenKind::Text);
                (kind, 1 + len)
            }
            // What its escapes mean is not read: it is no name, and no plain string.
            (b'u' | b'U', Postgres) if matches!(rest[1..], [b'&', b'\'' | b'"', ..]) => {
                let (kind, len) = quoted(&rest[2..], rest[2], false, TokenKind::Text);
                (kind, 2 + len)
            }
            (b'\'', Mariadb) => quoted(rest, b'\'', true, TokenKind::Text),
            (b'\'', _) => quoted(rest, b'\'', false, TokenKind::Text),
            (b'"', Mariadb) => quoted(rest, b'"', true, TokenKind::Text),
            (b'"', _) => quoted(rest, b'"', false, TokenKind::Quoted),
            (b'`', Mariadb | Sqlite) => quoted(rest, b'`', false, TokenKind::Quoted),
            (b'[', Sqlite) => match memchr::memchr(b']', rest) {
                Some(end) => (TokenKind::Quoted, end + 1),
                None => (TokenKind::Open, rest.len()),
            },
            (b'$', Postgres) => dollar(rest),
            (byte, _) if in_word(byte) => {
                let len = rest.iter().take_while(|&&byte| in_word(byte)).count();
                (TokenKind::Word, len)
            }
            // Variables.
            (b'@', Mariadb) => {
                let name = |byte: &&u8| in_word(**byte) || **byte == b'@';
                (TokenKind::Word, rest.iter().take_while(name).count())
            }
            _ => (TokenKind::Mark, 1),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let (kind, len) = self.measure(rest);
        let range = self.at..self.at + len;
        self.at = range.end;
        Some(Token {
            kind,
            text: &self.bytes[range.clone()],
            range,
        })
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn digits(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

fn line(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())
}

fn block(bytes: &[u8], nests: bool) -> usize {
    let (mut at, mut depth) = (2, 0_usize);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'*', b'/', ..] if depth == 0 => return at + 2,
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
            }
            [b'/', b'*', ..] if nests => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn quoted(bytes: &[u8], quote: u8, escapes: bool, kind: TokenKind) -> (TokenKind, usize) {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            b'\\' if escapes => 2,
            _ if byte != quote => 1,
            _ if bytes.get(at + 1) == Some(&quote) => 2,
            _ => return (kind, at + 1),
        };
    }
    (TokenKind::Open, bytes.len())
}

fn dollar(bytes: &[u8]) -> (TokenKind, usize) {
    let tag = bytes[1..]
        .iter()
        .take_while(|&&byte| in_word(byte) && byte != b'$')
        .count();
    let tag_len = tag + 2;
    let is_tag = bytes.get(tag + 1) == Some(&b'$') && !bytes[1].is_ascii_digit();
    if !is_tag {
        return (TokenKind::Mark, 1);
    }
    match memmem::find(&bytes[tag_len..], &bytes[..tag_len]) {
        Some(end) => (TokenKind::Dollar, end + 2 * tag_len),
        None => (TokenKind::Open, bytes.len()),
    }
}
