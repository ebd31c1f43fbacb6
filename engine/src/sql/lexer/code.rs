//! Code outside of strings and comments: words, parentheses, and what begins the rest.

use indelible_format::contents::Dialect;

use super::rows::Tuple;
use super::words::Meaning;
use super::{HEAD_BYTES_MAX, Lexer, Mode, Sink, Unfollowed, in_word};

impl Lexer {
    /// Takes code up to where another mode begins.
    pub(super) fn code(&mut self, bytes: &[u8]) -> Result<usize, Unfollowed> {
        if let Some(taken) = self.same_insert(bytes) {
            return Ok(taken);
        }
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            let is_word = |byte: &u8| in_word(self.dialect, *byte);
            if is_word(&byte) && (byte != b'$' || self.words.in_word()) {
                let len = bytes[at..].iter().take_while(|byte| is_word(byte)).count();
                self.word(&bytes[at..at + len])?;
                at += len;
                continue;
            }
            if self.word_ends() {
                return Ok(at);
            }
            at += 1;
            if byte.is_ascii_whitespace() {
                if !self.head.is_empty() {
                    self.keep(&[byte]);
                }
                self.before = [self.before[1], byte];
                continue;
            }
            self.special(byte)?;
            if self.mode != Mode::Code {
                return Ok(at);
            }
        }
        Ok(at)
    }

    /// Goes on in the rows if the statement begins as the INSERT before it did.
    fn same_insert(&mut self, bytes: &[u8]) -> Option<usize> {
        let same = self.len == 0 && !self.insert.is_empty() && bytes.starts_with(&self.insert);
        // What follows must not make the last word another one.
        let next = *bytes.get(self.insert.len()).filter(|_| same)?;
        if in_word(self.dialect, next) {
            return None;
        }
        self.head.extend_from_slice(&self.insert);
        self.repeated = true;
        self.tuple = Some(Tuple::Expect);
        self.remember(&bytes[..self.insert.len()]);
        Some(self.insert.len())
    }

    fn word(&mut self, part: &[u8]) -> Result<(), Unfollowed> {
        if self.words.stdin {
            return Err(Unfollowed);
        }
        self.after_escapes = false;
        self.words.push(part);
        // Behind a number a dollar quote may begin, and behind a name none can.
        if self.words.is_number() && part.contains(&b'$') {
            return Err(Unfollowed);
        }
        self.keep(part);
        self.remember(part);
        Ok(())
    }

    /// Whether the word that ends here changed how what follows is read.
    fn word_ends(&mut self) -> bool {
        match self.words.end(self.dialect, self.depth) {
            Meaning::Nothing => return false,
            Meaning::Values if !self.has_rows() => return false,
            Meaning::Values => {
                self.insert.clear();
                if self.head.len() < HEAD_BYTES_MAX {
                    self.insert.extend_from_slice(&self.head);
                }
                self.tuple = Some(Tuple::Expect);
            }
            Meaning::DefaultValues => {
                self.rows = 1;
                self.tuple = Some(Tuple::Beyond);
            }
            Meaning::Delimiter => self.mode = Mode::Command,
        }
        true
    }

    /// Whether the values of an INSERT are rows of a table. What SQLite keeps of its
    /// own is told apart by its values.
    fn has_rows(&self) -> bool {
        let table = self.head.get(b"INSERT INTO ".len()..).unwrap_or_default();
        let table = table.strip_prefix(b"\"").unwrap_or(table);
        let own = self.dialect == Dialect::Sqlite && table.starts_with(b"sqlite_");
        !own && !self.conditional && !self.doubled
    }

    /// Takes a byte that is neither white space nor part of a word. Where the rules
    /// need no words, the rows of an INSERT use it too.
    pub(super) fn special(&mut self, byte: u8) -> Result<(), Unfollowed> {
        if self.words.stdin && !matches!(byte, b';' | b'-' | b'/' | b'*') {
            return Err(Unfollowed);
        }
        let comment = self.comment(byte);
        if comment {
            return Ok(());
        }
        if !matches!(byte, b'\'' | b'-' | b'/') {
            self.after_escapes = false;
        }
        if byte == b';' {
            return self.semicolon();
        }
        // Those may begin a comment, which is nothing to a word.
        if !matches!(byte, b'-' | b'/') {
            self.words.other();
        }
        match byte {
            b'\'' | b'"' | b'`' | b'[' => self.quote_begins(byte)?,
            b'(' => self.depth = self.depth.checked_add(1).ok_or(Unfollowed)?,
            b')' => self.depth = self.depth.saturating_sub(1),
            b'$' if self.tuple.is_some() => return Err(Unfollowed),
            b'$' if self.dialect == Dialect::Postgres => {
                self.tag.clear();
                self.tag.push(b'$');
                self.mode = Mode::Tag;
            }
            // Commands of the loading program, which may do anything.
            b'\\' if self.dialect == Dialect::Postgres && self.head.is_empty() => {
                self.mode = Mode::Command;
            }
            b'\\' => return Err(Unfollowed),
            b'.' if self.dialect == Dialect::Sqlite && self.head.is_empty() => {
                return Err(Unfollowed);
            }
            _ => {}
        }
        self.keep(&[byte]);
        self.before = [self.before[1], byte];
        Ok(())
    }

    /// Whether the byte begins or ends a comment.
    fn comment(&mut self, byte: u8) -> bool {
        match (self.before[1], byte, self.dialect) {
            (b'-', b'-', Dialect::Mariadb) => {
                self.keep(b"-");
                self.before = [b'-', b'-'];
                self.mode = Mode::Dashes;
            }
            (b'-', b'-', _) => {
                self.comment_begins(1);
                self.mode = Mode::LineComment;
            }
            (_, b'#', Dialect::Mariadb) => {
                self.comment_begins(0);
                self.mode = Mode::LineComment;
            }
            (b'/', b'*', _) => {
                self.comment_begins(1);
                self.mode = Mode::BlockBegin { marked: false };
            }
            (b'*', b'/', Dialect::Mariadb) if self.conditional => {
                self.comment_begins(1);
                self.conditional = false;
            }
            _ => return false,
        }
        true
    }

    pub(super) fn quote_begins(&mut self, byte: u8) -> Result<(), Unfollowed> {
        let mut escapes = false;
        let close = match (byte, self.dialect) {
            (b'\'', Dialect::Postgres) => {
                // Such a string would go on with the escapes of the one before it.
                if self.after_escapes {
                    return Err(Unfollowed);
                }
                escapes = self.escapes_follow()?;
                byte
            }
            (b'\'' | b'"', Dialect::Mariadb) => {
                escapes = true;
                byte
            }
            (b'\'' | b'"', _) | (b'`', Dialect::Mariadb | Dialect::Sqlite) => byte,
            (b'[', Dialect::Sqlite) => b']',
            _ => return Ok(()),
        };
        self.mode = Mode::Quote { close, escapes };
        Ok(())
    }

    /// Whether the word before a string of PostgreSQL is the E that gives it escapes.
    pub(super) fn escapes_follow(&self) -> Result<bool, Unfollowed> {
        let [before, last] = self.before;
        if !matches!(last, b'e' | b'E') {
            return Ok(false);
        }
        // Releases differ on `1E''`, and no dump has a longer word there.
        if in_word(self.dialect, before) {
            return Err(Unfollowed);
        }
        Ok(true)
    }

    /// Ends the statement, where the loading program would.
    pub(super) fn semicolon(&mut self) -> Result<(), Unfollowed> {
        let ends = match self.dialect {
            Dialect::Postgres => self.depth == 0 && self.words.ends_at_semicolon(),
            Dialect::Mariadb if self.doubled => {
                let second = self.before[1] == b';';
                if second && self.conditional {
                    return Err(Unfollowed);
                }
                if second {
                    self.head.pop();
                }
                second
            }
            // The client splits here, whatever the server would say.
            Dialect::Mariadb if self.depth > 0 || self.conditional => return Err(Unfollowed),
            Dialect::Mariadb => true,
            Dialect::Sqlite => {
                let ends = self.words.ends_at_semicolon();
                if ends && self.depth > 0 {
                    return Err(Unfollowed);
                }
                ends
            }
        };
        if ends {
            let copy = self.words.stdin;
            self.mode = Mode::LineEnd { copy };
        } else {
            self.keep(b";");
            self.before = [self.before[1], b';'];
        }
        Ok(())
    }

    /// Takes a command up to the end of its line.
    pub(super) fn command(&mut self, bytes: &[u8]) -> (usize, bool) {
        let line = bytes.iter().position(|&byte| byte == b'\n');
        let end = line.unwrap_or(bytes.len());
        self.keep(&bytes[..end]);
        (end + usize::from(line.is_some()), line.is_some())
    }

    pub(super) fn end_command(&mut self, sink: &mut impl Sink) -> Result<(), Unfollowed> {
        if self.dialect == Dialect::Mariadb {
            self.doubled = match self.head[b"delimiter".len()..].trim_ascii() {
                b";" => false,
                b";;" => true,
                _ => return Err(Unfollowed),
            };
        }
        self.end_statement(sink)
    }
}
