//! Notes where each part of a dump stands while its bytes stream by.

use indelible_format::contents::{Contents, ContentsBuilder, Dialect, SectionKind};

use super::classify::{Class, Classifier, Name};
use super::lexer::{Lexer, Sink, Statement, Unfollowed};

/// How many bytes may stand before it is clear whose dump it is.
const BEGIN_BYTES_MAX: usize = 4_096;

/// Makes the table of contents of a stream that may be a dump.
///
/// How the stream is cut into pieces changes nothing. What is kept is bounded: the
/// beginning of a statement, and the table itself by its limits (SPEC 11).
#[derive(Debug)]
pub struct Scanner {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Bytes by which it is not clear yet.
    Beginning(Vec<u8>),
    Dump(Box<Dump>),
    /// No dump, or one that is not followed.
    Refused,
}

#[derive(Debug)]
struct Dump {
    lexer: Lexer,
    sections: Sections,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Begins with a stream's first byte.
    pub fn new() -> Self {
        Self {
            state: State::Beginning(Vec::new()),
        }
    }

    /// Whether it is settled that the stream gets no table of contents.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// Takes the stream's next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Beginning(begin) => {
                let room = BEGIN_BYTES_MAX - begin.len();
                let (head, rest) = bytes.split_at(bytes.len().min(room));
                begin.extend_from_slice(head);
                match recognise(begin) {
                    Guess::Later if begin.len() < BEGIN_BYTES_MAX => {}
                    Guess::Later | Guess::Nothing => self.state = State::Refused,
                    Guess::Dump { dialect, skipped } => {
                        let begin = std::mem::take(begin);
                        let mut dump = Box::new(Dump::new(dialect, skipped));
                        let fed = dump.feed(&begin[skipped..]);
                        self.state = fed.map_or(State::Refused, |()| State::Dump(dump));
                        self.feed(rest);
                    }
                }
            }
            State::Dump(dump) => {
                if dump.feed(bytes).is_err() {
                    self.state = State::Refused;
                }
            }
            State::Refused => {}
        }
    }

    /// The table of contents, if the stream was a dump that could be followed to its
    /// end.
    pub fn finish(self) -> Option<Contents> {
        let State::Dump(dump) = self.state else {
            return None;
        };
        let Dump {
            lexer,
            mut sections,
        } = *dump;
        let rest = lexer.finish(&mut sections).ok()?;
        sections.finish(rest).ok()?
    }
}

impl Dump {
    fn new(dialect: Dialect, skipped: usize) -> Self {
        let mut sections = Sections::new(dialect);
        // A byte order mark is no code, and goes with what follows.
        sections.leading = skipped as u64;
        Self {
            lexer: Lexer::new(dialect),
            sections,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Unfollowed> {
        self.lexer.feed(bytes, &mut self.sections)
    }
}

/// Puts statements together to sections.
#[derive(Debug)]
struct Sections {
    classifier: Classifier,
    builder: ContentsBuilder,
    /// Bytes that belong to what follows.
    leading: u64,
    /// A section is there to join.
    begun: bool,
}

impl Sections {
    fn new(dialect: Dialect) -> Self {
        Self {
            classifier: Classifier::new(dialect),
            builder: ContentsBuilder::new(dialect),
            leading: 0,
            begun: false,
        }
    }

    fn push(
        &mut self,
        kind: SectionKind,
        name: &Name,
        len: u64,
        rows: u64,
    ) -> Result<(), Unfollowed> {
        let parts: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
        let len = std::mem::take(&mut self.leading) + len;
        self.begun = true;
        let pushed = self.builder.push(kind, &parts, len, rows);
        pushed.map_err(|_| Unfollowed)
    }

    /// Ends behind so many bytes that are no statement.
    fn finish(mut self, rest: u64) -> Result<Option<Contents>, Unfollowed> {
        if rest + self.leading > 0 {
            let name = self.classifier.end();
            self.push(SectionKind::End, &name, rest, 0)?;
        }
        self.builder.finish().map_err(|_| Unfollowed)
    }
}

impl Sink for Sections {
    fn statement(&mut self, statement: &Statement<'_>) -> Result<(), Unfollowed> {
        let (len, rows) = (statement.len, statement.rows);
        if statement.repeated {
            return self.builder.extend(len, rows).map_err(|_| Unfollowed);
        }
        match self.classifier.classify(statement)? {
            Class::Section(kind, name) => self.push(kind, &name, len, rows),
            Class::Joins if self.begun && self.leading == 0 => {
                self.builder.extend(len, rows).map_err(|_| Unfollowed)
            }
            Class::Joins | Class::Leads => {
                self.leading += len;
                Ok(())
            }
        }
    }
}

/// What the first bytes say.
enum Guess {
    Dump { dialect: Dialect, skipped: usize },
    Nothing,
    Later,
}

/// Lines that begin the dumps of each program, behind empty comments.
const BEGINNINGS: [(&[u8], Dialect); 8] = [
    (b"-- PostgreSQL database dump", Dialect::Postgres),
    (b"-- PostgreSQL database cluster dump", Dialect::Postgres),
    (b"-- MariaDB dump ", Dialect::Mariadb),
    (b"-- MySQL dump ", Dialect::Mariadb),
    // Newer releases write this first, and go on without comments if told so.
    (
        b"/*M!999999\\- enable the sandbox mode */",
        Dialect::Mariadb,
    ),
    (b"/*!40101 SET @OLD_CHARACTER_SET_CLIENT=", Dialect::Mariadb),
    (b"PRAGMA foreign_keys=OFF;", Dialect::Sqlite),
    // The shell foresees an error.
    (
        b"/* WARNING: Script requires that SQLITE_DBCONFIG_DEFENSIVE",
        Dialect::Sqlite,
    ),
];

fn recognise(begin: &[u8]) -> Guess {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    if begin.len() < MARK.len() && MARK.starts_with(begin) {
        return Guess::Later;
    }
    let code = begin.strip_prefix(MARK).unwrap_or(begin);
    let skipped = begin.len() - code.len();
    for line in code.split_inclusive(|&byte| byte == b'\n') {
        let whole = line.ends_with(b"\n");
        let text = line.trim_ascii();
        let known = BEGINNINGS
            .iter()
            .find(|(beginning, _)| text.starts_with(beginning));
        if !whole {
            return Guess::Later;
        }
        if let Some(&(_, dialect)) = known {
            return Guess::Dump { dialect, skipped };
        }
        if text.iter().any(|&byte| byte != b'-') {
            return Guess::Nothing;
        }
    }
    Guess::Later
}
