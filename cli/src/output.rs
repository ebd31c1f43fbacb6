//! How things look: lines for people, and one JSON object a line for programs.

use std::fmt::Write as _;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use indicatif::HumanBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;

/// The version of what `--json` prints. It grows when a field changes its
/// meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// Prints a line of data. A reader that has gone away is no error: it has seen
/// what it wanted.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Many lines of data, written in large pieces. Dropping it prints what is left.
pub(crate) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    /// An object as one line.
    pub(crate) fn json(&mut self, message_type: &str, fields: impl Serialize) {
        self.line(&message(message_type, fields));
    }
}

/// An object in one line, with its type and the schema's version.
fn message(message_type: &str, fields: impl Serialize) -> String {
    let mut object = json!({ "message_type": message_type, "schema_version": SCHEMA_VERSION });
    if let (Some(object), Ok(serde_json::Value::Object(fields))) =
        (object.as_object_mut(), serde_json::to_value(fields))
    {
        object.extend(fields);
    }
    object.to_string()
}

/// Prints an object as one line of data.
pub(crate) fn json(message_type: &str, fields: impl Serialize) {
    line(&message(message_type, fields));
}

/// Prints an object as one line beside the data.
pub(crate) fn json_aside(message_type: &str, fields: impl Serialize) {
    eprintln!("{}", message(message_type, fields));
}

/// Something worth knowing, unless `--quiet`.
pub(crate) fn note(context: &Context, text: &str) {
    if !context.common.quiet && !context.common.json {
        eprintln!("indelible: {text}");
    }
}

/// Something to look into.
pub(crate) fn warn(context: &Context, text: &str) {
    if context.common.json {
        json_aside("warning", json!({ "message": text }));
    } else {
        eprintln!("indelible: warning: {text}");
    }
}

/// A failure that did not end the command.
pub(crate) fn warn_failure(context: &Context, failure: &Failure) {
    let mut text = failure.line();
    if let Some(hint) = &failure.hint {
        let _ = write!(text, " ({hint})");
    }
    warn(context, &text);
}

/// Why the command failed: what was tried, why it failed, what to do.
pub(crate) fn failure(context: &Context, failure: &Failure) {
    if context.common.json {
        let fields = json!({
            "code": failure.exit.word(),
            "exit_code": failure.exit.number(),
            "message": failure.message,
            "causes": failure.causes,
            "hint": failure.hint,
        });
        json_aside("error", fields);
        return;
    }
    eprintln!("indelible: {}", failure.message);
    for cause in &failure.causes {
        eprintln!("  because {cause}");
    }
    if let Some(hint) = &failure.hint {
        eprintln!("  {hint}");
    }
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A duration for people.
pub(crate) fn duration(ms: u64) -> String {
    let tenths = ms / 100;
    if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        format!("{} min {} s", ms / 60_000, ms / 1_000 % 60)
    }
}

/// A number of things.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        indicatif::HumanCount(number),
        if number == 1 { one } else { many }
    )
}

/// A time in the local zone, to the second.
pub(crate) fn local_time(unix_ms: u64) -> String {
    match timestamp(unix_ms) {
        Some(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        None => "-".to_owned(),
    }
}

/// A time in UTC, for programs.
pub(crate) fn utc_time(unix_ms: u64) -> Option<String> {
    timestamp(unix_ms).map(|time| time.to_string())
}

fn timestamp(unix_ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()
}

/// A table whose columns are as wide as they must be.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns that stand on the right: numbers.
    right: &'static [usize],
}

impl Table {
    pub(crate) fn new(head: &[&str], right: &'static [usize]) -> Self {
        Self {
            rows: vec![head.iter().map(|&text| text.to_owned()).collect()],
            right,
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no row but its head.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    pub(crate) fn print(&self) {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Lines::new();
        for row in &self.rows {
            let mut text = String::new();
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[column] - cell.chars().count());
                let (before, behind) = if self.right.contains(&column) {
                    (pad.as_str(), "")
                } else {
                    ("", pad.as_str())
                };
                let _ = write!(text, "{before}{cell}{behind}  ");
            }
            lines.line(text.trim_end());
        }
    }
}
