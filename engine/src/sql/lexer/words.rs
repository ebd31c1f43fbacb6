//! The words of a statement that decide where it ends and what follows it.
//!
//! PostgreSQL's functions hold statements between BEGIN and END; how deep the
//! semicolon stands is counted as psql counts it (`psqlscan.l`). SQLite's triggers end
//! with `; END ;` (`sqlite3_complete`).

use indelible_format::contents::Dialect;

/// Longer words are none of those that are looked for.
const WORD_BYTES_MAX: usize = 12;

/// How far a trigger of SQLite is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Body,
    Semicolon,
    End,
}

/// What was read of a statement's words.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The word that is being read, in lower case.
    word: [u8; WORD_BYTES_MAX],
    len: usize,
    /// Unquoted words so far.
    count: usize,
    /// The first four, by their first letter, if they are those of a function.
    begin: [u8; 4],
    /// BEGIN and CASE that are open in a function.
    blocks: u32,
    first: First,
    trigger: Option<Trigger>,
    default: bool,
    from: bool,
    /// `FROM stdin` stood in a COPY.
    pub(super) stdin: bool,
}

/// The first word, where it matters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum First {
    #[default]
    Other,
    Insert,
    Copy,
}

/// What a word makes of its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Nothing,
    /// Rows in parentheses follow.
    Values,
    /// One row follows from nothing.
    DefaultValues,
    /// A command of the loading program that changes what ends a statement.
    Delimiter,
}

impl Words {
    /// Whether a word is being read.
    pub(super) fn in_word(&self) -> bool {
        self.len > 0
    }

    /// Whether the word that is being read begins as a number does.
    pub(super) fn is_number(&self) -> bool {
        self.len > 0 && self.word[0].is_ascii_digit()
    }

    /// Takes a part of a word.
    pub(super) fn push(&mut self, part: &[u8]) {
        for &byte in part.iter().take(WORD_BYTES_MAX + 1 - self.len) {
            if let Some(place) = self.word.get_mut(self.len) {
                *place = byte.to_ascii_lowercase();
            }
            self.len += 1;
        }
    }

    /// Ends the word that is being read, in so many parentheses.
    pub(super) fn end(&mut self, dialect: Dialect, depth: u32) -> Meaning {
        if self.len == 0 {
            return Meaning::Nothing;
        }
        let buffer = self.word;
        let word = buffer.get(..self.len).unwrap_or_default();
        self.len = 0;
        if buffer[0].is_ascii_digit() {
            return Meaning::Nothing;
        }
        let meaning = self.meaning(word, dialect, depth);
        if dialect == Dialect::Postgres {
            self.count_blocks(word, depth);
        }
        self.count += 1;
        meaning
    }

    fn meaning(&mut self, word: &[u8], dialect: Dialect, depth: u32) -> Meaning {
        if self.count == 0 {
            self.first = match word {
                b"insert" | b"replace" => First::Insert,
                b"copy" => First::Copy,
                b"delimiter" if dialect == Dialect::Mariadb => return Meaning::Delimiter,
                _ => First::Other,
            };
        }
        if dialect == Dialect::Sqlite {
            self.follow_trigger(word);
        }
        let (default, from) = (self.default, self.from);
        self.default = word == b"default";
        self.from = word == b"from" && depth == 0;
        match (self.first, word) {
            (First::Insert, b"values") if default => Meaning::DefaultValues,
            (First::Insert, b"values") if depth == 0 => Meaning::Values,
            (First::Copy, b"stdin") if from && depth == 0 => {
                self.stdin = true;
                Meaning::Nothing
            }
            _ => Meaning::Nothing,
        }
    }

    fn count_blocks(&mut self, word: &[u8], depth: u32) {
        if let Some(place) = self.begin.get_mut(self.count)
            && matches!(
                word,
                b"create" | b"function" | b"procedure" | b"or" | b"replace"
            )
        {
            *place = word[0];
        }
        let function = matches!(
            self.begin,
            [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']
        );
        if !function || depth > 0 {
            return;
        }
        match word {
            b"begin" => self.blocks += 1,
            b"case" if self.blocks > 0 => self.blocks += 1,
            b"end" => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
    }

    fn follow_trigger(&mut self, word: &[u8]) {
        self.trigger = match self.trigger {
            Some(Trigger::Semicolon) if word == b"end" => Some(Trigger::End),
            Some(_) => Some(Trigger::Body),
            None => {
                match (self.count, word) {
                    (0, b"create") => self.begin[0] = b'c',
                    (1, b"temp" | b"temporary") => self.begin[1] = b't',
                    _ => {}
                }
                let at = match self.begin {
                    [b'c', 0, ..] => 1,
                    [b'c', b't', ..] => 2,
                    _ => return,
                };
                (self.count == at && word == b"trigger").then_some(Trigger::Body)
            }
        };
    }

    /// Something that is neither word nor white space nor a semicolon.
    pub(super) fn other(&mut self) {
        if self.trigger.is_some() {
            self.trigger = Some(Trigger::Body);
        }
        self.from = false;
    }

    /// Whether a semicolon ends the statement.
    pub(super) fn ends_at_semicolon(&mut self) -> bool {
        match &mut self.trigger {
            None | Some(Trigger::End) => self.blocks == 0,
            Some(trigger) => {
                *trigger = Trigger::Semicolon;
                false
            }
        }
    }
}
