//! Strings, quoted names, dollar quotes and comments: what lies in them is passed over.

use indelible_format::contents::Dialect;
use memchr::{memchr, memchr2};

use super::{Lexer, Mode, TAG_BYTES_MAX, Unfollowed};

impl Lexer {
    pub(super) fn quote(&mut self, close: u8, escapes: bool, bytes: &[u8]) -> usize {
        let found = if escapes {
            memchr2(close, b'\\', bytes)
        } else {
            memchr(close, bytes)
        };
        let taken = match found {
            None => bytes.len(),
            Some(at) => {
                self.mode = if bytes[at] == close {
                    Mode::QuoteEnd { close, escapes }
                } else {
                    Mode::Escaped { close }
                };
                at + 1
            }
        };
        self.keep(&bytes[..taken]);
        taken
    }

    pub(super) fn escaped(&mut self, close: u8, bytes: &[u8]) -> usize {
        self.keep(&bytes[..1]);
        let escapes = true;
        self.mode = Mode::Quote { close, escapes };
        1
    }

    pub(super) fn quote_end(&mut self, close: u8, escapes: bool, byte: u8) -> usize {
        // Brackets are not doubled.
        if byte == close && close != b']' {
            self.keep(&[byte]);
            self.mode = Mode::Quote { close, escapes };
            return 1;
        }
        self.after_escapes = escapes && self.dialect == Dialect::Postgres;
        self.mode = Mode::Code;
        // Nothing joins what stands behind a quote.
        self.before = [0, close];
        0
    }

    /// Reads the tag of a dollar quote, or finds that it is none.
    pub(super) fn tag(&mut self, bytes: &[u8]) -> Result<usize, Unfollowed> {
        let first = self.tag.len() == 1;
        let byte = bytes[0];
        let fits = byte.is_ascii_alphabetic()
            || byte == b'_'
            || byte >= 0x80
            || (!first && byte.is_ascii_digit());
        if fits && self.tag.len() >= TAG_BYTES_MAX {
            return Err(Unfollowed);
        }
        if byte == b'$' || fits {
            self.keep(&[byte]);
            self.tag.push(byte);
            if byte == b'$' {
                self.mode = Mode::Dollar { matched: 0 };
            }
            return Ok(1);
        }
        // A parameter such as `$1`; its digits are no part of a tag. Behind a name
        // that merely began like one, no program goes on.
        if !first {
            return Err(Unfollowed);
        }
        self.before = [0, b'$'];
        self.mode = Mode::Code;
        Ok(0)
    }

    /// Looks for the tag. It has a dollar at each end and none within, so a mismatch
    /// can begin a match only at a dollar.
    pub(super) fn dollar(&mut self, mut matched: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if matched == 0 {
                match memchr(b'$', &bytes[at..]) {
                    None => at = bytes.len(),
                    Some(skipped) => {
                        at += skipped + 1;
                        matched = 1;
                    }
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            if byte != self.tag[matched] {
                matched = usize::from(byte == b'$');
                continue;
            }
            matched += 1;
            if matched == self.tag.len() {
                self.keep(&bytes[..at]);
                self.before = [0, b'$'];
                self.mode = Mode::Code;
                return at;
            }
        }
        self.keep(bytes);
        self.mode = Mode::Dollar { matched };
        at
    }

    /// MariaDB takes two dashes for a comment only before white space.
    pub(super) fn dashes(&mut self, byte: u8) -> usize {
        if byte.is_ascii_whitespace() || byte.is_ascii_control() {
            self.comment_begins(2);
            self.mode = Mode::LineComment;
        } else {
            self.mode = Mode::Code;
        }
        0
    }

    pub(super) fn line_comment(&mut self, bytes: &[u8]) -> usize {
        match memchr(b'\n', bytes) {
            None => bytes.len(),
            Some(at) => {
                self.mode = Mode::Code;
                at + 1
            }
        }
    }

    /// MariaDB runs what stands in `/*! */` and `/*M! */`.
    pub(super) fn block_begin(&mut self, marked: bool, byte: u8) -> usize {
        if self.dialect == Dialect::Mariadb && !self.conditional {
            if byte == b'!' {
                self.conditional = true;
                if self.head.is_empty() {
                    self.version = 0;
                }
                self.mode = Mode::Version;
                return 1;
            }
            if byte == b'M' && !marked {
                self.mode = Mode::BlockBegin { marked: true };
                return 1;
            }
        }
        self.mode = Mode::Block { depth: 0, last: 0 };
        0
    }

    /// Only PostgreSQL nests comments.
    pub(super) fn block(&mut self, mut depth: u32, mut last: u8, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            match (last, byte) {
                (b'*', b'/') if depth == 0 => {
                    self.mode = Mode::Code;
                    return at + 1;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    last = 0;
                }
                (b'/', b'*') if self.dialect == Dialect::Postgres => {
                    depth = depth.saturating_add(1);
                    last = 0;
                }
                _ => last = byte,
            }
        }
        self.mode = Mode::Block { depth, last };
        bytes.len()
    }

    pub(super) fn version(&mut self, byte: u8) -> usize {
        if byte.is_ascii_digit() {
            if self.head.is_empty() {
                let digit = u32::from(byte - b'0');
                self.version = self.version.saturating_mul(10).saturating_add(digit);
            }
            return 1;
        }
        // A command to the loading program alone, as it stands before newer dumps.
        if byte == b'\\' {
            self.conditional = false;
            self.version = 0;
            self.mode = Mode::Block { depth: 0, last: 0 };
            return 0;
        }
        self.mode = Mode::Code;
        0
    }
}
