//! What a snapshot is, for those who may know (SPEC 7.4).
//!
//! Unknown records are passed over, so that a later version can say more
//! without making older ones blind.

use std::collections::BTreeMap;

use crate::limits::CONTENTS_BYTES_MAX;
use crate::name::Name;
use crate::node::PlacedRoot;
use crate::wire::{Builder, Cursor, LayoutError, ascending, within};

const FIELD: &str = "manifest";
const LIST_MAX: usize = 1_024;

/// Where the bytes came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Files and directories, as typed.
    Paths(Vec<String>),
    /// Standard input.
    Stdin,
    /// The standard output of commands, as typed.
    Commands(Vec<String>),
}

/// What the snapshot cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Bytes of chunks that the domain did not have, before coding.
    pub new_bytes: u64,
    /// How many such chunks.
    pub new_chunks: u64,
    /// How many of them are stored as deltas.
    pub delta_chunks: u64,
    /// Bytes of the new packs.
    pub added_bytes: u64,
}

/// A snapshot's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its series.
    pub name: Name,
    /// The host that it was made on.
    pub host: Option<String>,
    /// Labels, ascending.
    pub labels: Vec<String>,
    /// Top of the entry list.
    pub list: PlacedRoot,
    /// Top of the small-file stream.
    pub small: Option<PlacedRoot>,
    /// Entries in the list.
    pub entries: u64,
    /// Bytes of content, all entries together.
    pub content_bytes: u64,
    /// Where the bytes came from.
    pub source: Source,
    /// What it cost.
    pub accounting: Accounting,
    /// When reading began, Unix milliseconds.
    pub started_ms: u64,
    /// When it ended.
    pub finished_ms: u64,
    /// The program that wrote it.
    pub program: Option<String>,
    /// Top of the stream of tables of contents (SPEC 8.6).
    pub contents: Option<PlacedRoot>,
}

mod tag {
    pub(super) const NAME: u16 = 1;
    pub(super) const HOST: u16 = 2;
    pub(super) const LABELS: u16 = 3;
    pub(super) const LIST: u16 = 4;
    pub(super) const SMALL: u16 = 5;
    pub(super) const TOTALS: u16 = 6;
    pub(super) const SOURCE: u16 = 7;
    pub(super) const ACCOUNTING: u16 = 8;
    pub(super) const TIMES: u16 = 9;
    pub(super) const PROGRAM: u16 = 10;
    pub(super) const DELTAS: u16 = 11;
    pub(super) const CONTENTS: u16 = 12;
}

fn encode_list(out: &mut Builder, list: &[String]) {
    out.count16(list.len());
    for text in list {
        out.text16(text.as_bytes());
    }
}

fn encode_root(root: &PlacedRoot) -> Builder {
    let mut value = Builder::new();
    root.encode_to(&mut value);
    value
}

fn decode_text(bytes: &[u8], field: &'static str) -> Result<String, LayoutError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| LayoutError::NotCanonical { field })
}

fn decode_list(cursor: &mut Cursor<'_>, field: &'static str) -> Result<Vec<String>, LayoutError> {
    let count = cursor.count16(0, LIST_MAX, field)?;
    (0..count)
        .map(|_| decode_text(cursor.text16(field)?, field))
        .collect()
}

impl Manifest {
    /// The manifest's bytes. Lists are bounded by their maker: at most 1,024
    /// labels and source texts, of at most 65,535 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        let mut record = |tag: u16, value: &mut Builder| {
            out.u16(tag).text32(&value.finish());
        };
        let text = |text: &str| {
            let mut value = Builder::new();
            value.bytes(text.as_bytes());
            value
        };
        record(tag::NAME, &mut text(self.name.as_str()));
        if let Some(host) = &self.host {
            record(tag::HOST, &mut text(host));
        }
        if !self.labels.is_empty() {
            let mut value = Builder::new();
            encode_list(&mut value, &self.labels);
            record(tag::LABELS, &mut value);
        }
        for (tag, root) in [
            (tag::LIST, Some(&self.list)),
            (tag::SMALL, self.small.as_ref()),
        ] {
            if let Some(root) = root {
                record(tag, &mut encode_root(root));
            }
        }
        record(
            tag::TOTALS,
            Builder::new().u64(self.entries).u64(self.content_bytes),
        );
        let mut value = Builder::new();
        match &self.source {
            Source::Paths(paths) => encode_list(value.u8(1), paths),
            Source::Stdin => encode_list(value.u8(2), &[]),
            Source::Commands(commands) => encode_list(value.u8(3), commands),
        }
        record(tag::SOURCE, &mut value);
        let cost = &self.accounting;
        record(
            tag::ACCOUNTING,
            Builder::new()
                .u64(cost.new_bytes)
                .u64(cost.new_chunks)
                .u64(cost.added_bytes),
        );
        record(
            tag::TIMES,
            Builder::new().u64(self.started_ms).u64(self.finished_ms),
        );
        if let Some(program) = &self.program {
            record(tag::PROGRAM, &mut text(program));
        }
        if cost.delta_chunks > 0 {
            record(tag::DELTAS, Builder::new().u64(cost.delta_chunks));
        }
        if let Some(contents) = &self.contents {
            record(tag::CONTENTS, &mut encode_root(contents));
        }
        out.finish()
    }

    /// Reads a manifest.
    pub fn decode(plain: &[u8]) -> Result<Self, LayoutError> {
        let mut records = Records::read(plain)?;
        let name =
            Name::new(records.required(tag::NAME, "NAME of the manifest")?).map_err(|_| {
                LayoutError::NotCanonical {
                    field: "NAME of the manifest",
                }
            })?;
        let labels = records.optional(tag::LABELS, |cursor| {
            let labels = decode_list(cursor, "labels")?;
            ascending(&labels, "labels")?;
            within(labels.len() as u64, 1, LIST_MAX as u64, "labels")?;
            Ok(labels)
        })?;
        let totals = |cursor: &mut Cursor<'_>| Ok((cursor.u64(FIELD)?, cursor.u64(FIELD)?));
        let list = records.optional(tag::LIST, PlacedRoot::decode)?;
        let (entries, content_bytes) =
            records
                .optional(tag::TOTALS, totals)?
                .ok_or(LayoutError::Missing {
                    field: "totals of the manifest",
                })?;
        let (started_ms, finished_ms) =
            records
                .optional(tag::TIMES, totals)?
                .ok_or(LayoutError::Missing {
                    field: "times of the manifest",
                })?;
        let accounting = records.optional(tag::ACCOUNTING, |cursor| {
            Ok(Accounting {
                new_bytes: cursor.u64(FIELD)?,
                new_chunks: cursor.u64(FIELD)?,
                delta_chunks: 0,
                added_bytes: cursor.u64(FIELD)?,
            })
        })?;
        let deltas = records.optional(tag::DELTAS, |cursor| {
            let deltas = cursor.u64(FIELD)?;
            within(deltas, 1, u64::MAX, "deltas of the manifest")?;
            Ok(deltas)
        })?;
        Ok(Self {
            name,
            host: records.text(tag::HOST, "host of the manifest")?,
            labels: labels.unwrap_or_default(),
            list: list.ok_or(LayoutError::Missing {
                field: "entry list of the manifest",
            })?,
            small: records.optional(tag::SMALL, PlacedRoot::decode)?,
            entries,
            content_bytes,
            source: records
                .optional(tag::SOURCE, decode_source)?
                .ok_or(LayoutError::Missing {
                    field: "source of the manifest",
                })?,
            accounting: Accounting {
                delta_chunks: deltas.unwrap_or(0),
                ..accounting.ok_or(LayoutError::Missing {
                    field: "accounting of the manifest",
                })?
            },
            started_ms,
            finished_ms,
            program: records.text(tag::PROGRAM, "program of the manifest")?,
            contents: records.optional(tag::CONTENTS, decode_contents)?,
        })
    }
}

fn decode_contents(cursor: &mut Cursor<'_>) -> Result<PlacedRoot, LayoutError> {
    let placed = PlacedRoot::decode(cursor)?;
    let most = CONTENTS_BYTES_MAX as u64;
    within(placed.root.len, 1, most, "tables of contents")?;
    Ok(placed)
}

fn decode_source(cursor: &mut Cursor<'_>) -> Result<Source, LayoutError> {
    let field = "source of the manifest";
    let kind = cursor.u8(field)?;
    let list = decode_list(cursor, field)?;
    match kind {
        1 => Ok(Source::Paths(list)),
        2 if list.is_empty() => Ok(Source::Stdin),
        2 => Err(LayoutError::NotCanonical { field }),
        3 => Ok(Source::Commands(list)),
        found => Err(LayoutError::Unknown {
            field,
            found: found.into(),
        }),
    }
}

/// The tagged records of a manifest.
struct Records<'a>(BTreeMap<u16, &'a [u8]>);

impl<'a> Records<'a> {
    fn read(plain: &'a [u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(plain);
        let mut records = BTreeMap::new();
        while cursor.remaining() > 0 {
            let tag = cursor.u16(FIELD)?;
            if records
                .last_key_value()
                .is_some_and(|(&last, _)| last >= tag)
            {
                return Err(LayoutError::NotAscending {
                    field: "records of the manifest",
                });
            }
            let left = cursor.remaining();
            records.insert(tag, cursor.text32(left, FIELD)?);
        }
        Ok(Self(records))
    }

    fn required(&mut self, tag: u16, field: &'static str) -> Result<&'a [u8], LayoutError> {
        self.0.remove(&tag).ok_or(LayoutError::Missing { field })
    }

    fn optional<T>(
        &mut self,
        tag: u16,
        decode: impl FnOnce(&mut Cursor<'a>) -> Result<T, LayoutError>,
    ) -> Result<Option<T>, LayoutError> {
        let Some(value) = self.0.remove(&tag) else {
            return Ok(None);
        };
        let mut cursor = Cursor::new(value);
        let decoded = decode(&mut cursor)?;
        cursor.finish(FIELD)?;
        Ok(Some(decoded))
    }

    fn text(&mut self, tag: u16, field: &'static str) -> Result<Option<String>, LayoutError> {
        self.0
            .remove(&tag)
            .map(|value| decode_text(value, field))
            .transpose()
    }
}
