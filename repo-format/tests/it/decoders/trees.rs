//! Commits and trees (SPEC 7, 8).

use indelible_format::commit::{Binding, CommitBody, Reach};
use indelible_format::contents::DumpTables;
use indelible_format::ids::{CommitId, DomainId, PackId, RepositoryId};
use indelible_format::manifest::Manifest;
use indelible_format::node::{Node, PlacedRoot};
use indelible_format::page::{self, EntryKind, Page};
use indelible_format::path::{EntryPath, shown};
use indelible_format::places::{self, Place};
use indelible_format::wire::Cursor;

use super::{Found, Refused, list};
use crate::sealed::{open_reach, plain_reach};
use crate::vector::Vector;

fn own(vector: &Vector) -> PackId {
    PackId(vector.array("own-pack"))
}

fn show_places(places: &[Place]) -> String {
    list(
        places
            .iter()
            .map(|place| format!("{}:{}", place.pack.short(), place.number)),
    )
}

pub(super) fn node(vector: &Vector) -> Result<Found, Refused> {
    let own = own(vector);
    let node = Node::decode(vector.bytes(), &own)?;
    let items = node
        .items
        .iter()
        .map(|item| format!("{}:{}", item.id.short(), item.len));
    Ok(Found::encoded(node.encode(&own))
        .give("level", node.level)
        .give("length", node.len())
        .give("items", list(items))
        .give("places", show_places(&node.places))
        .give("identity-bytes", Node::identity_of(vector.bytes())?.len()))
}

pub(super) fn places(vector: &Vector) -> Result<Found, Refused> {
    let expected = usize::try_from(vector.number("items")).expect("a count");
    let own = own(vector);
    let places = places::decode(Cursor::new(vector.bytes()), expected, &own)?;
    Ok(Found::encoded(places::encode(&places, &own)).give("places", show_places(&places)))
}

pub(super) fn page(vector: &Vector) -> Result<Found, Refused> {
    let own = own(vector);
    let decoded = Page::decode(vector.bytes(), &own)?;
    let mut found = Found::encoded(encode_page(&decoded, &own))
        .give("identity-bytes", Page::identity_of(vector.bytes())?.len());
    for (number, (entry, place)) in decoded.placed().enumerate() {
        let kind = match &entry.kind {
            EntryKind::File { .. } => "file",
            EntryKind::Directory { .. } => "directory",
            EntryKind::Symlink { .. } => "symlink",
            EntryKind::Stream { .. } => "stream",
        };
        let len = entry.content().map_or(0, page::Content::len);
        let place = show_places(place.as_slice());
        let line = format!("{} {kind} {len} {place}", entry.path);
        found = found.give(&format!("entry-{number}"), line.trim_end());
    }
    Ok(found)
}

/// A decoded page's bytes.
fn encode_page(page: &Page, own: &PackId) -> Vec<u8> {
    let records: Vec<Vec<u8>> = page.entries.iter().map(page::TreeEntry::encode).collect();
    page::encode(&records.concat(), &page.places, own)
}

pub(super) fn path(vector: &Vector) -> Result<Found, Refused> {
    let path = EntryPath::new(vector.bytes())?;
    Ok(Found::encoded(path.as_bytes()).give("components", path.components().count()))
}

pub(super) fn manifest(vector: &Vector) -> Result<Found, Refused> {
    let manifest = Manifest::decode(vector.bytes())?;
    let found = describe(&manifest);
    // Records of a later version are passed over, and so not written again.
    let encoded = (!vector.has("unknown-record")).then(|| manifest.encode());
    Ok(Found { encoded, ..found })
}

pub(super) fn contents(vector: &Vector) -> Result<Found, Refused> {
    let (mut found, mut encoded) = (Found::new(), Vec::new());
    for (number, dump) in DumpTables::new(vector.bytes())?.enumerate() {
        let (path, contents) = dump?;
        contents.encode_to(&path, &mut encoded);
        let lines = contents.sections().map(|section| {
            let name: Vec<String> = section.name.parts().map(|x| shown(x).to_string()).collect();
            let name = name.join(".");
            let (from, len) = (section.offset, section.len);
            let line = format!("{:?}:{name}:{from}+{len}", section.kind);
            if section.rows > 0 {
                format!("{line}({} rows)", section.rows)
            } else {
                line
            }
        });
        let dump = format!("{path} {:?} {}", contents.dialect(), list(lines));
        found = found.give(&format!("dump-{number}"), dump);
    }
    let encoded = Some(encoded);
    Ok(Found { encoded, ..found })
}

fn describe(manifest: &Manifest) -> Found {
    let root = |placed: &PlacedRoot| {
        let root = &placed.root;
        let place = show_places(&[placed.place]);
        format!(
            "{}:{} level {} at {place}",
            root.id.short(),
            root.len,
            root.level
        )
    };
    Found::new()
        .give("name", &manifest.name)
        .give("host", format!("{:?}", manifest.host))
        .give("labels", list(&manifest.labels))
        .give("list", root(&manifest.list))
        .give("small", format!("{:?}", manifest.small.as_ref().map(root)))
        .give("totals", list([manifest.entries, manifest.content_bytes]))
        .give("source", format!("{:?}", manifest.source))
        .give("times", list([manifest.started_ms, manifest.finished_ms]))
        .give("program", format!("{:?}", manifest.program))
        .give(
            "contents",
            format!("{:?}", manifest.contents.as_ref().map(root)),
        )
}

pub(super) fn commit_body(vector: &Vector) -> Result<Found, Refused> {
    let body = CommitBody::decode(vector.bytes())?;
    let packs = body
        .packs
        .iter()
        .map(|pack| format!("{}:{}", pack.id.short(), pack.len));
    let mut found = Found::encoded(body.encode())
        .give("retain-until-ms", format!("{:?}", body.retain_until_ms))
        .give("packs", list(packs));
    if vector.has("index-key") {
        let binding = Binding {
            repository: RepositoryId(vector.array("repository")),
            commit: CommitId(vector.array("commit")),
            domain: DomainId(vector.array("domain")),
            epoch: 0,
        };
        let reach = body.open_reach(&binding, vector.number("before"), &vector.key("index-key"))?;
        let (private, psk) = (vector.key("meta-private"), vector.key("psk"));
        let manifest = body.open_manifest(&binding, &private, &psk)?;
        found.gives.extend(describe(&manifest).gives);
        found = found.give("reach", show_reach(&reach));
    }
    Ok(found)
}

fn show_reach(reach: &Reach) -> String {
    list(
        reach
            .ranges()
            .iter()
            .map(|range| format!("{}:{}+{}", range.entry, range.first, range.count)),
    )
}

/// The bytes are the plaintext.
pub(super) fn reach(vector: &Vector) -> Result<Found, Refused> {
    let reach = open_reach(vector.bytes(), vector.number("before"))?;
    Ok(Found::encoded(plain_reach(&reach)).give("ranges", show_reach(&reach)))
}
