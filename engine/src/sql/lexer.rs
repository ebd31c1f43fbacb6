//! Splits a dump into statements, as the program that loads it would.
//!
//! Bytes come in pieces of any length, and where they were cut changes nothing: what
//! is known of a byte is in [`Mode`] and in the two bytes before it. What is kept is
//! bounded: the beginning of a statement, a tag, a word. Whatever the loading program
//! would take in another way than these rules ends the run ([`Unfollowed`]): a wrong
//! table of contents is worse than none.
//!
//! Comments are passed over, and no word in them counts. So are strings, save that a
//! statement's head keeps its first bytes.

mod code;
mod quoted;
mod rows;
mod words;

use indelible_format::contents::Dialect;

use rows::{CopyLine, Tuple};
use words::Words;

/// How much of a statement is kept to tell what it is, bytes. The longest names that
/// a table of contents takes fit several times.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest tag of a dollar quote that is followed, bytes.
const TAG_BYTES_MAX: usize = 256;

/// The dump holds something that is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfollowed;

/// One statement, or one command of the program that loads it.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    /// Its first code, without comments: see [`HEAD_BYTES_MAX`].
    pub(super) head: &'a [u8],
    /// Bytes from the end of the statement before it to its own end.
    pub(super) len: u64,
    /// Rows that it brings.
    pub(super) rows: u64,
    /// The least version of the server that runs it, if it stands in such a comment.
    pub(super) version: u32,
    /// It brings rows to the table that the statement before it brought rows to.
    pub(super) repeated: bool,
    /// It is a COPY, and its rows follow it.
    pub(super) copied: bool,
}

/// Takes statements as they end.
pub(super) trait Sink {
    fn statement(&mut self, statement: &Statement<'_>) -> Result<(), Unfollowed>;
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Outside of everything below.
    Code,
    /// In a string or a quoted name.
    Quote {
        close: u8,
        escapes: bool,
    },
    /// In it, behind a backslash.
    Escaped {
        close: u8,
    },
    /// Behind what closes it, unless it is doubled.
    QuoteEnd {
        close: u8,
        escapes: bool,
    },
    /// In what may become the tag of a dollar quote.
    Tag,
    /// In a dollar quote; so many bytes of its end were seen.
    Dollar {
        matched: usize,
    },
    /// Behind two dashes, which begin a comment only before white space.
    Dashes,
    LineComment,
    /// Behind `/*`, and behind `/*M`.
    BlockBegin {
        marked: bool,
    },
    /// In a comment in so many others, behind this byte.
    Block {
        depth: u32,
        last: u8,
    },
    /// In the number of a comment that some servers run.
    Version,
    /// In a command of the loading program, which ends with the line.
    Command,
    /// In the rows of a COPY.
    Copy(CopyLine),
    /// Behind the end of a statement, before the end of the line.
    LineEnd {
        copy: bool,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lexer {
    dialect: Dialect,
    mode: Mode,
    /// The last two bytes of code; zeros where something else lies between.
    before: [u8; 2],
    head: Vec<u8>,
    /// Bytes since the last statement.
    len: u64,
    rows: u64,
    version: u32,
    repeated: bool,
    /// Open parentheses.
    depth: u32,
    words: Words,
    /// In the rows of an INSERT.
    tuple: Option<Tuple>,
    /// The head of the last statement up to its rows, if it was an INSERT.
    insert: Vec<u8>,
    /// The dollar quote's tag, with both dollars.
    tag: Vec<u8>,
    /// A string with escapes ended, and nothing but white space followed.
    after_escapes: bool,
    /// In a comment that some servers run.
    conditional: bool,
    /// Two semicolons end a statement.
    doubled: bool,
}

impl Lexer {
    /// Begins before the first statement.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            mode: Mode::Code,
            before: [0; 2],
            head: Vec::new(),
            len: 0,
            rows: 0,
            version: 0,
            repeated: false,
            depth: 0,
            words: Words::default(),
            tuple: None,
            insert: Vec::new(),
            tag: Vec::new(),
            after_escapes: false,
            conditional: false,
            doubled: false,
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), Unfollowed> {
        while !bytes.is_empty() {
            let taken = self.step(bytes, sink)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Takes some bytes, at least one or else the mode changes.
    fn step(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Unfollowed> {
        let taken = match self.mode {
            Mode::LineEnd { copy } => return self.line_end(copy, bytes, sink),
            Mode::Copy(line) => {
                let (taken, ended) = self.copy(line, bytes);
                self.len += taken as u64;
                if ended {
                    self.end_statement(sink)?;
                }
                return Ok(taken);
            }
            Mode::Command => {
                let (taken, ended) = self.command(bytes);
                self.len += taken as u64;
                if ended {
                    self.end_command(sink)?;
                }
                return Ok(taken);
            }
            Mode::Code => match self.tuple {
                None => self.code(bytes)?,
                Some(tuple) => self.tuples(tuple, bytes)?,
            },
            Mode::Quote { close, escapes } => self.quote(close, escapes, bytes),
            Mode::Escaped { close } => self.escaped(close, bytes),
            Mode::QuoteEnd { close, escapes } => self.quote_end(close, escapes, bytes[0]),
            Mode::Tag => self.tag(bytes)?,
            Mode::Dollar { matched } => self.dollar(matched, bytes),
            Mode::Dashes => self.dashes(bytes[0]),
            Mode::LineComment => self.line_comment(bytes),
            Mode::BlockBegin { marked } => self.block_begin(marked, bytes[0]),
            Mode::Block { depth, last } => self.block(depth, last, bytes),
            Mode::Version => self.version(bytes[0]),
        };
        self.len += taken as u64;
        Ok(taken)
    }

    /// Behind a terminator, the line's end still belongs to the statement.
    fn line_end(
        &mut self,
        copy: bool,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<usize, Unfollowed> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let mut taken = bytes.iter().take_while(|byte| blank(byte)).count();
        let newline = bytes.get(taken) == Some(&b'\n');
        if newline {
            taken += 1;
        }
        self.len += taken as u64;
        match (newline, copy) {
            (true, true) => self.mode = Mode::Copy(CopyLine::Begin),
            (false, _) if taken == bytes.len() => {}
            // Rows begin on a line of their own.
            (false, true) => return Err(Unfollowed),
            (_, false) => self.end_statement(sink)?,
        }
        Ok(taken)
    }

    fn end_statement(&mut self, sink: &mut impl Sink) -> Result<(), Unfollowed> {
        if self.tuple.is_none() {
            self.insert.clear();
        }
        sink.statement(&Statement {
            head: &self.head,
            len: self.len,
            rows: self.rows,
            version: self.version,
            repeated: self.repeated,
            copied: self.words.stdin,
        })?;
        self.mode = Mode::Code;
        self.before = [0; 2];
        self.head.clear();
        self.len = 0;
        self.rows = 0;
        self.version = 0;
        self.repeated = false;
        self.depth = 0;
        self.words = Words::default();
        self.tuple = None;
        self.after_escapes = false;
        Ok(())
    }

    /// The bytes behind the last statement, if nothing in them is unfinished.
    pub(super) fn finish(mut self, sink: &mut impl Sink) -> Result<u64, Unfollowed> {
        match self.mode {
            Mode::LineEnd { copy: false } | Mode::Copy(CopyLine::End) => {
                self.end_statement(sink)?;
            }
            Mode::Command => self.end_command(sink)?,
            _ => {}
        }
        let idle = matches!(self.mode, Mode::Code | Mode::LineComment);
        if idle && self.head.is_empty() && !self.conditional {
            Ok(self.len)
        } else {
            Err(Unfollowed)
        }
    }

    /// Keeps code for the head; of rows nothing is kept.
    fn keep(&mut self, code: &[u8]) {
        if self.tuple.is_none() {
            let room = HEAD_BYTES_MAX - self.head.len();
            self.head.extend_from_slice(&code[..code.len().min(room)]);
        }
    }

    /// The last so many bytes began a comment. It stands where white space might, and
    /// parts words.
    fn comment_begins(&mut self, len: usize) {
        self.before = [0; 2];
        if self.tuple.is_none() {
            self.head.truncate(self.head.len().saturating_sub(len));
            if !self.head.is_empty() {
                self.keep(b" ");
            }
        }
    }

    /// Knows these bytes of code as the last ones.
    fn remember(&mut self, code: &[u8]) {
        match *code {
            [] => {}
            [last] => self.before = [self.before[1], last],
            [.., one, two] => self.before = [one, two],
        }
    }
}

/// Whether a byte can stand in a word. A dollar can only in its middle, in
/// PostgreSQL.
fn in_word(dialect: Dialect, byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | 0x80..)
        || (byte == b'$' && dialect != Dialect::Sqlite)
}
