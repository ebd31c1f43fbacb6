//! Rows: the lines of a COPY, and what stands in the parentheses of an INSERT.
//!
//! Most of a dump is rows, so they are not read byte by byte where that can be helped.

use indelible_format::contents::Dialect;
use memchr::{memchr, memchr_iter, memchr2, memmem};

use super::{Lexer, Mode, Unfollowed};

/// How many bytes of a COPY are looked at twice while they are near, bytes.
const BLOCK_BYTES: usize = 16 << 10;

/// How far a line of a COPY is towards `\.`, which ends the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyLine {
    Begin,
    Backslash,
    /// Behind `\.`, perhaps with a carriage return.
    End,
    Return,
    Row,
}

/// Where the rows of an INSERT are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tuple {
    /// Before a row.
    Expect,
    Inside,
    Behind,
    /// Behind all rows.
    Beyond,
}

impl Lexer {
    /// Takes rows, and says whether their end was among them.
    pub(super) fn copy(&mut self, mut line: CopyLine, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if line == CopyLine::Row {
                let block = &bytes[at..bytes.len().min(at + BLOCK_BYTES)];
                let taken = rows_before_end(block);
                self.rows += memchr_iter(b'\n', &block[..taken]).count() as u64;
                at += taken;
                if block[taken - 1] == b'\n' {
                    line = CopyLine::Begin;
                } else if block[..taken].ends_with(b"\n\\") {
                    line = CopyLine::Backslash;
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            line = match (line, byte) {
                (CopyLine::End | CopyLine::Return, b'\n') => return (at, true),
                (_, b'\n') => {
                    self.rows += 1;
                    CopyLine::Begin
                }
                (CopyLine::Begin, b'\\') => CopyLine::Backslash,
                (CopyLine::Backslash, b'.') => CopyLine::End,
                (CopyLine::End, b'\r') => CopyLine::Return,
                _ => CopyLine::Row,
            };
        }
        self.mode = Mode::Copy(line);
        (at, false)
    }

    /// Takes some of the rows of an INSERT.
    pub(super) fn tuples(&mut self, mut tuple: Tuple, bytes: &[u8]) -> Result<usize, Unfollowed> {
        let mut at = 0;
        while at < bytes.len() && self.mode == Mode::Code {
            match tuple {
                Tuple::Inside | Tuple::Beyond => {
                    at = self.values(tuple, at, bytes)?;
                    if tuple == Tuple::Inside && self.depth == 0 {
                        tuple = Tuple::Behind;
                    }
                }
                Tuple::Expect | Tuple::Behind => {
                    let byte = bytes[at];
                    match (tuple, byte) {
                        (Tuple::Expect, b'(') => {
                            self.rows += 1;
                            tuple = Tuple::Inside;
                            self.special(byte)?;
                        }
                        (Tuple::Behind, b',') => {
                            tuple = Tuple::Expect;
                            self.before = [0; 2];
                        }
                        (_, b';' | b'-' | b'/' | b'*' | b'#') => self.special(byte)?,
                        (_, byte) if byte.is_ascii_whitespace() => self.before = [0; 2],
                        _ => {
                            tuple = Tuple::Beyond;
                            continue;
                        }
                    }
                    at += 1;
                }
            }
        }
        self.tuple = Some(tuple);
        Ok(at)
    }

    /// Takes what stands in parentheses up to where they close or another mode begins,
    /// and gives where that is.
    fn values(&mut self, tuple: Tuple, begin: usize, bytes: &[u8]) -> Result<usize, Unfollowed> {
        let stops = stops(self.dialect);
        let mut at = begin;
        while let Some(skipped) = bytes[at..].iter().position(|&b| stops[usize::from(b)]) {
            let stop = at + skipped;
            self.passed(&bytes[at..stop]);
            let byte = bytes[stop];
            at = stop + 1;
            if let Some(len) = self.short_string(byte, &bytes[at..])? {
                at += len;
                self.before = [0, byte];
                continue;
            }
            self.special(byte)?;
            if self.mode != Mode::Code || (tuple == Tuple::Inside && self.depth == 0) {
                return Ok(at);
            }
        }
        self.passed(&bytes[at..]);
        Ok(bytes.len())
    }

    /// Knows values without strings as the last bytes.
    fn passed(&mut self, values: &[u8]) {
        self.remember(values);
        if self.after_escapes {
            let code = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b'/';
            self.after_escapes = !values.iter().any(code);
        }
    }

    /// The length of a string behind its quote, if it needs no more than a look for
    /// its end, which is among the bytes. A doubled quote begins the next one.
    fn short_string(&self, quote: u8, bytes: &[u8]) -> Result<Option<usize>, Unfollowed> {
        let found = match (quote, self.dialect) {
            (b'\'', Dialect::Postgres) => {
                if self.after_escapes || self.escapes_follow()? {
                    return Ok(None);
                }
                find(bytes, b'\'')
            }
            (b'\'', Dialect::Sqlite) => find(bytes, b'\''),
            (b'\'', Dialect::Mariadb) => find_unescaped(bytes),
            _ => None,
        };
        Ok(found.map(|at| at + 1))
    }
}

/// How many bytes of a block, which begins within a line, stand before a line that
/// begins as the end of all rows does; at least one.
fn rows_before_end(block: &[u8]) -> usize {
    memmem::find(block, b"\n\\.").map_or(block.len(), |at| at + 1)
}

/// Strings are short as a rule, and then a search costs more than a loop.
const SHORT_BYTES: usize = 24;

fn find(bytes: &[u8], quote: u8) -> Option<usize> {
    let short = &bytes[..bytes.len().min(SHORT_BYTES)];
    if let Some(at) = short.iter().position(|&byte| byte == quote) {
        return Some(at);
    }
    memchr(quote, &bytes[short.len()..]).map(|at| short.len() + at)
}

/// Finds the quote before which no backslash stands alone.
fn find_unescaped(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let short = &bytes[at..bytes.len().min(at + SHORT_BYTES)];
        let ends = |byte: u8| matches!(byte, b'\'' | b'\\');
        let found = if let Some(found) = short.iter().position(|&byte| ends(byte)) {
            at + found
        } else {
            let from = at + short.len();
            from + memchr2(b'\'', b'\\', &bytes[from..])?
        };
        if bytes[found] == b'\'' {
            return Some(found);
        }
        at = found + 2;
        if at > bytes.len() {
            return None;
        }
    }
}

/// Which bytes among values mean something.
fn stops(dialect: Dialect) -> &'static [bool; 256] {
    const fn table(bytes: &[u8]) -> [bool; 256] {
        let mut table = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] = true;
            at += 1;
        }
        table
    }
    static POSTGRES: [bool; 256] = table(b"'\"();-*\\$");
    static MARIADB: [bool; 256] = table(b"'\"`();-*/\\#");
    static SQLITE: [bool; 256] = table(b"'\"`[();-*\\");
    match dialect {
        Dialect::Postgres => &POSTGRES,
        Dialect::Mariadb => &MARIADB,
        Dialect::Sqlite => &SQLITE,
    }
}
