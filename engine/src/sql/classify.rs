//! What a statement is and what it is about, by its first tokens.
//!
//! A statement that no rule knows is [`SectionKind::Other`]: nobody is told that it is
//! something else. Nothing is taken from comments.

mod mariadb;
mod postgres;
mod sqlite;

use std::iter::Peekable;

use indelible_format::contents::{Dialect, SectionKind};

use super::lexer::{Statement, Unfollowed};
use super::token::{Token, TokenKind, Tokens};

pub(super) use mariadb::Mariadb;
pub(super) use postgres::Postgres;

/// The parts of a name, the outermost first.
pub(super) type Name = Vec<Vec<u8>>;

/// Where a statement belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    Section(SectionKind, Name),
    /// To whatever stands before it.
    Joins,
    /// To whatever follows it.
    Leads,
}

/// What earlier statements say of later ones, by dialect.
#[derive(Debug)]
pub(super) enum Classifier {
    Postgres(Postgres),
    Mariadb(Mariadb),
    Sqlite,
}

impl Classifier {
    pub(super) fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Postgres => Self::Postgres(Postgres::default()),
            Dialect::Mariadb => Self::Mariadb(Mariadb::default()),
            Dialect::Sqlite => Self::Sqlite,
        }
    }

    pub(super) fn classify(&mut self, statement: &Statement<'_>) -> Result<Class, Unfollowed> {
        if statement.head.is_empty() {
            return Ok(Class::Joins);
        }
        match self {
            Self::Postgres(postgres) => postgres.classify(statement),
            Self::Mariadb(mariadb) => mariadb.classify(statement),
            Self::Sqlite => sqlite::classify(statement),
        }
    }

    /// What white space and comments behind the last statement are about.
    pub(super) fn end(&self) -> Name {
        match self {
            Self::Postgres(postgres) => postgres.scope(),
            Self::Mariadb(_) | Self::Sqlite => Name::new(),
        }
    }
}

/// Reads the head of a statement from its front.
#[derive(Clone)]
pub(super) struct Head<'a> {
    tokens: Peekable<Tokens<'a>>,
    dialect: Dialect,
}

impl<'a> Head<'a> {
    pub(super) fn new(dialect: Dialect, bytes: &'a [u8]) -> Self {
        Self {
            tokens: Tokens::new(dialect, bytes).peekable(),
            dialect,
        }
    }

    pub(super) fn peek(&mut self) -> Option<&Token<'a>> {
        self.tokens.peek()
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        self.tokens.next()
    }

    /// Takes the next token if it is this keyword.
    pub(super) fn word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| token.is(word)).is_some()
    }

    /// Takes the next tokens as far as they are these keywords.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        words.iter().all(|word| self.word(word))
    }

    /// Takes the next token if it is one of these keywords.
    pub(super) fn any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.word(word))
    }

    /// Takes the next token if it is this mark.
    pub(super) fn mark(&mut self, mark: u8) -> bool {
        self.tokens.next_if(|token| token.is_mark(mark)).is_some()
    }

    /// Passes over what lies before this keyword, and it; false if there is none.
    pub(super) fn skip_to(&mut self, word: &str) -> bool {
        self.tokens.any(|token| token.is(word))
    }

    /// IF EXISTS or IF NOT EXISTS, if it stands here.
    pub(super) fn if_exists(&mut self) {
        if self.word("IF") {
            self.word("NOT");
            self.word("EXISTS");
        }
    }

    /// Takes a name: parts with dots between. The last one may be an operator.
    pub(super) fn name(&mut self) -> Option<Name> {
        let dialect = self.dialect;
        let mut parts = Name::new();
        loop {
            let token = self.tokens.peek()?;
            if let Some(part) = token.name(dialect) {
                self.tokens.next();
                parts.push(part);
            } else {
                parts.push(self.operator()?);
                return Some(parts);
            }
            if !self.mark(b'.') {
                return Some(parts);
            }
        }
    }

    fn operator(&mut self) -> Option<Vec<u8>> {
        let mut operator = Vec::new();
        let part = |token: &Token<'_>| {
            token.kind == TokenKind::Mark && !matches!(token.text[0], b'(' | b')' | b',' | b'.')
        };
        while let Some(token) = self.tokens.next_if(part) {
            operator.extend_from_slice(token.text);
        }
        (!operator.is_empty()).then_some(operator)
    }

    /// Takes a string without escapes.
    pub(super) fn text(&mut self) -> Option<Vec<u8>> {
        let plain = |token: &Token<'_>| token.kind == TokenKind::Text && token.text[0] == b'\'';
        let token = self.tokens.next_if(plain)?;
        Some(token.unquoted())
    }
}

fn section(kind: SectionKind, name: Option<Name>) -> Class {
    Class::Section(kind, name.unwrap_or_default())
}
