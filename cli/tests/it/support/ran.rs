//! What a run of the binary came to, and what can be asserted of it.

use std::fmt;
use std::process::Output;

use serde_json::Value;

/// A run that has ended. Each assertion shows the whole run when it fails.
#[must_use]
pub(crate) struct Ran {
    shown: String,
    output: Output,
}

impl Ran {
    pub(crate) fn new(shown: String, output: Output) -> Self {
        Self { shown, output }
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.output.stdout
    }

    /// Its exit code, unless a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    fn describe(&self) -> String {
        format!(
            "{} ended with {}\n--- stdout\n{}--- stderr\n{}---",
            self.shown,
            self.output.status,
            self.stdout(),
            self.stderr()
        )
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.output.status.code(), Some(code), "{}", self.describe());
        self
    }

    /// It said this on standard error.
    #[track_caller]
    pub(crate) fn says(&self, phrase: &str) -> &Self {
        assert!(
            self.stderr().contains(phrase),
            "{phrase:?} was not said: {}",
            self.describe()
        );
        self
    }

    /// It did not say this on standard error.
    #[track_caller]
    pub(crate) fn is_silent_about(&self, phrase: &str) -> &Self {
        assert!(
            !self.stderr().contains(phrase),
            "{phrase:?} was said: {}",
            self.describe()
        );
        self
    }

    /// It printed this on standard output.
    #[track_caller]
    pub(crate) fn prints(&self, phrase: &str) -> &Self {
        assert!(
            self.stdout().contains(phrase),
            "{phrase:?} was not printed: {}",
            self.describe()
        );
        self
    }

    /// It printed nothing on standard output.
    #[track_caller]
    pub(crate) fn prints_nothing(&self) -> &Self {
        assert!(self.output.stdout.is_empty(), "{}", self.describe());
        self
    }

    /// The messages on standard output, each of which says what it is.
    #[track_caller]
    pub(crate) fn messages(&self) -> Vec<Value> {
        parsed(&self.stdout())
    }

    /// The messages on standard error, the same.
    #[track_caller]
    pub(crate) fn error_messages(&self) -> Vec<Value> {
        parsed(&self.stderr())
    }

    /// The one message of a type on standard output.
    #[track_caller]
    pub(crate) fn message(&self, message_type: &str) -> Value {
        let mut found = self.messages();
        found.retain(|message| message["message_type"] == message_type);
        assert_eq!(found.len(), 1, "{message_type}: {}", self.describe());
        found.remove(0)
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Lines of JSON, each of which says what it is.
#[track_caller]
fn parsed(text: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let message: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"));
        assert!(message["message_type"].is_string(), "{line}");
        assert_eq!(message["schema_version"], 1, "{line}");
        message
    };
    text.lines().map(parse).collect()
}
