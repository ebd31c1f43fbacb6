//! Every decoder of the crate, as the vectors name it: bytes and parameters to
//! what it finds and how it encodes that again, or to its refusal.

#![allow(clippy::unnecessary_wraps, reason = "all decoders have one signature")]

mod keys;
mod log;
mod packs;
mod primitives;
mod protocol;
mod trees;

use std::collections::BTreeMap;

use crate::vector::{Expect, Vector};

/// What an accepted vector holds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) gives: BTreeMap<String, String>,
    /// What the crate writes for what it read, where it can.
    pub(crate) encoded: Option<Vec<u8>>,
}

impl Found {
    fn new() -> Self {
        Self::default()
    }

    fn encoded(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            gives: BTreeMap::new(),
            encoded: Some(bytes.into()),
        }
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "the calls read better without &"
    )]
    fn give(mut self, key: &str, value: impl ToString) -> Self {
        self.gives.insert(key.to_owned(), value.to_string());
        self
    }
}

/// A refusal, as a vector states it.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Expect);

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(Expect::reject(&variant(&error)))
    }
}

/// The innermost variant of an error, and the field that it names.
pub(crate) fn variant(error: &dyn std::error::Error) -> String {
    let debug = format!("{error:?}");
    let mut inner = debug.as_str();
    for wrapper in ["Void(", "Bundle(", "Layout(", "Open(", "Signature("] {
        inner = inner.strip_prefix(wrapper).unwrap_or(inner);
    }
    let end = inner
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(inner.len());
    let field = inner
        .split_once("field: \"")
        .and_then(|(_, rest)| rest.split_once('"'));
    match field {
        Some((field, _)) => format!("{}: {field}", &inner[..end]),
        None => inner[..end].to_owned(),
    }
}

/// Runs the decoder that the vector names.
pub(crate) fn run(vector: &Vector) -> Result<Found, Refused> {
    let decode = match vector.decoder.as_str() {
        "log-entry" => log::entry,
        "genesis-body" => log::genesis,
        "authorize-body" => log::authorize,
        "revoke-body" => log::revoke,
        "rekey-body" => log::rekey,
        "epoch-share" => keys::share,
        "snapshot-body" => log::snapshot,
        "attest-body" => log::attest,
        "authority" => log::authority,
        "history" => log::history,
        "checkpoint" => log::checkpoint,
        "log-bundle" => log::bundle,
        "leaf" => log::leaf,
        "merkle" => log::merkle,
        "key-bundle" => keys::bundle,
        "passphrase-slot" => keys::slot,
        "key-file" => keys::key_file,
        "grant-facts" => keys::facts,
        "policy" => keys::policy,
        "policy-body" => keys::policy_body,
        "name" => keys::name,
        "pattern" => keys::pattern,
        "derive" => primitives::derive,
        "seal" => primitives::seal,
        "wrap" => primitives::wrap,
        "sign" => primitives::sign,
        "gear-table" => primitives::gear_table,
        "chunk-id" => primitives::chunk_id,
        "pack-header" => packs::header,
        "directory" => packs::directory,
        "trailer" => packs::trailer,
        "coding" => packs::coding,
        "delta" => packs::delta,
        "pack" => packs::pack,
        "node" => trees::node,
        "places" => trees::places,
        "page" => trees::page,
        "path" => trees::path,
        "manifest" => trees::manifest,
        "contents" => trees::contents,
        "commit-body" => trees::commit_body,
        "reach" => trees::reach,
        "frame-length" => protocol::frame_length,
        "request" => protocol::request,
        "answer" => protocol::answer,
        other => panic!("{}: there is no decoder {other}", vector.name),
    };
    decode(vector)
}

/// A list, as one line.
fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(" ")
}
