//! Every decoder with the encoder behind it: bytes to the bytes that the crate
//! writes for what it read.
//!
//! Each layout has one accepted encoding (SPEC 1.2), so a codec gives its own
//! input or nothing. The fuzz targets run these same functions.

use indelible_format::attest::Attest;
use indelible_format::bundle::KeyBundle;
use indelible_format::checkpoint::ParsedCheckpoint;
use indelible_format::coding::{self, Coding};
use indelible_format::commit::{CommitBody, SnapshotBody};
use indelible_format::contents::DumpTables;
use indelible_format::directory::DIRECTORY_BYTES_MAX;
use indelible_format::entry::ParsedEntry;
use indelible_format::genesis::Genesis;
use indelible_format::grant::{Authorize, GrantFacts, Revoke};
use indelible_format::ids::PackId;
use indelible_format::key_file::KeyFile;
use indelible_format::log_bundle::LogBundle;
use indelible_format::manifest::Manifest;
use indelible_format::name::{Name, Pattern};
use indelible_format::node::Node;
use indelible_format::pack::{self, PackHeader};
use indelible_format::page::{self, Page, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places;
use indelible_format::policy::Policy;
use indelible_format::protocol::{Answer, Request, frame_len};
use indelible_format::rekey::{Rekey, Share};
use indelible_format::slot::PassphraseSlot;
use indelible_format::wire::{Builder, Cursor, LayoutError};

use crate::frame::encode_entry;
use crate::sealed;

/// Decodes and encodes again, or gives nothing for what is refused.
pub(crate) type Codec = fn(&[u8]) -> Option<Vec<u8>>;

/// The pack in which pages and nodes lie here.
pub(crate) const OWN: PackId = PackId([0; 32]);

/// All codecs by their names.
pub(crate) const CODECS: [(&str, Codec); 33] = [
    ("log-entry", log_entry),
    ("genesis-body", |bytes| {
        Some(Genesis::decode(bytes).ok()?.encode())
    }),
    ("authorize-body", |bytes| {
        Some(Authorize::decode(bytes).ok()?.encode())
    }),
    ("revoke-body", |bytes| {
        Some(Revoke::decode(bytes).ok()?.encode())
    }),
    ("rekey-body", |bytes| {
        Some(Rekey::decode(bytes).ok()?.encode())
    }),
    ("epoch-share", |bytes| {
        Some(Share::decode(bytes).ok()?.encode().to_vec())
    }),
    ("snapshot-body", |bytes| {
        Some(SnapshotBody::decode(bytes).ok()?.encode())
    }),
    ("attest-body", |bytes| {
        Some(Attest::decode(bytes).ok()?.encode())
    }),
    ("key-bundle", |bytes| {
        Some(KeyBundle::decode(bytes).ok()?.encode().to_vec())
    }),
    ("passphrase-slot", |bytes| {
        Some(PassphraseSlot::decode(bytes).ok()?.encode())
    }),
    ("log-bundle", |bytes| {
        Some(LogBundle::decode(bytes).ok()?.encode())
    }),
    ("key-file", key_file),
    ("key-file-content", key_file_content),
    ("grant-facts", |bytes| {
        Some(GrantFacts::decode(bytes).ok()?.encode())
    }),
    ("policy", |bytes| Some(Policy::decode(bytes).ok()?.encode())),
    ("name", |bytes| Some(Name::new(bytes).ok()?.as_str().into())),
    ("pattern", |bytes| {
        Some(Pattern::new(bytes).ok()?.as_str().into())
    }),
    ("path", |bytes| {
        Some(EntryPath::new(bytes).ok()?.as_bytes().to_vec())
    }),
    ("checkpoint", checkpoint),
    ("pack-header", |bytes| {
        let header = PackHeader::parse(bytes.try_into().ok()?).ok()?;
        Some(header.encode().to_vec())
    }),
    ("trailer", |bytes| {
        let len = pack::parse_trailer(bytes.try_into().ok()?, DIRECTORY_BYTES_MAX).ok()?;
        Some(pack::encode_trailer(len).to_vec())
    }),
    ("directory", directory),
    ("coding", coding),
    ("node", node),
    ("places", all_places),
    ("page", page),
    ("manifest", manifest),
    ("contents", contents),
    ("commit-body", |bytes| {
        Some(CommitBody::decode(bytes).ok()?.encode())
    }),
    ("reach", |bytes| {
        let reach = sealed::open_reach(bytes, 1_000).ok()?;
        Some(sealed::plain_reach(&reach))
    }),
    ("places-none", |bytes| {
        let places = places::decode(Cursor::new(bytes), 0, &OWN).ok()?;
        Some(places::encode(&places, &OWN))
    }),
    ("request", |bytes| {
        let (number, request) = Request::decode(bytes).ok()?;
        Some(behind_length(request.frame(number)))
    }),
    ("answer", |bytes| {
        let (number, answer) = Answer::decode(bytes).ok()?;
        Some(behind_length(answer.frame(number)))
    }),
];

/// A frame without its length, which must be right.
fn behind_length(mut frame: Vec<u8>) -> Vec<u8> {
    let message = frame.split_off(4);
    let len = frame_len(frame.try_into().expect("four bytes"));
    assert_eq!(len, Ok(message.len()));
    message
}

/// The codec of this name.
pub(crate) fn codec(name: &str) -> Codec {
    let found = CODECS.iter().find(|(known, _)| *known == name);
    found
        .unwrap_or_else(|| panic!("there is no codec {name}"))
        .1
}

/// Panics if the bytes are accepted and have another encoding.
pub(crate) fn check(name: &str, bytes: &[u8]) {
    if let Some(encoded) = codec(name)(bytes) {
        assert!(encoded == bytes, "{name}: two encodings of one value");
    }
}

fn log_entry(bytes: &[u8]) -> Option<Vec<u8>> {
    let entry = ParsedEntry::parse(bytes).ok()?;
    let signature = bytes.last_chunk::<64>()?;
    Some(encode_entry(entry.header(), entry.body(), signature))
}

fn key_file(bytes: &[u8]) -> Option<Vec<u8>> {
    let file = KeyFile::decode(std::str::from_utf8(bytes).ok()?).ok()?;
    Some(file.encode().as_bytes().to_vec())
}

/// The bytes stand inside, before the hash.
fn key_file_content(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = sealed::armour(&[bytes, blake3::hash(bytes).as_bytes()].concat());
    let encoded = KeyFile::decode(&text).ok()?.encode();
    assert!(*encoded == text, "two texts of one key file");
    Some(bytes.to_vec())
}

/// The signatures are taken over: what they say is not decoded without a key.
fn checkpoint(bytes: &[u8]) -> Option<Vec<u8>> {
    let note = std::str::from_utf8(bytes).ok()?;
    let parsed = ParsedCheckpoint::parse(note).ok()?;
    let claim = parsed.claim();
    let root = data_encoding::BASE64.encode(&claim.root.0);
    let text = format!("indelible/{}\n{}\n{root}\n", claim.repository, claim.size);
    let (_, signatures) = note.split_once("\n\n")?;
    Some(format!("{text}\n{signatures}").into_bytes())
}

fn directory(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = sealed::some_header();
    let stored = stored_len(bytes).unwrap_or(0);
    let directory = sealed::open_directory(&header, bytes, stored).ok()?;
    Some(sealed::plain_directory(&header, &directory))
}

/// The sum of the stored lengths that a directory's plaintext states.
fn stored_len(plain: &[u8]) -> Result<u64, LayoutError> {
    let mut cursor = Cursor::new(plain);
    let packs = cursor.u16("packs")?;
    cursor.take(usize::from(packs) * 32, "packs")?;
    let mut sum = 0;
    for _ in 0..cursor.u32("chunks")? {
        cursor.take(34, "id, class, coding")?;
        sum += u64::from(cursor.u32("stored length")?);
        cursor.take(5, "length, depth")?;
        let bases = cursor.u8("bases")?;
        cursor.take(usize::from(bases) * 4, "bases")?;
    }
    Ok(sum)
}

/// The first three bytes are coding and plaintext length. A coded chunk has no one
/// encoding: what must hold is the length.
fn coding(bytes: &[u8]) -> Option<Vec<u8>> {
    let ([coding, len @ ..], coded) = bytes.split_first_chunk::<3>()?;
    let plain_len = usize::from(u16::from_le_bytes(*len));
    match Coding::from_byte(*coding) {
        Coding::Delta => {
            let bases: [&[u8]; 2] = [&[b'a'; 700], b"INSERT INTO orders VALUES"];
            coding::decode_delta(coded, &bases, &mut vec![0; plain_len]).ok()?;
        }
        coding => {
            let plain = coding::decode(coding, coded.to_vec(), plain_len).ok()?;
            assert_eq!(plain.len(), plain_len);
        }
    }
    Some(bytes.to_vec())
}

fn node(bytes: &[u8]) -> Option<Vec<u8>> {
    // What finds the identity bytes takes whatever stands there.
    let identity = Node::identity_of(bytes);
    let node = Node::decode(bytes, &OWN).ok()?;
    let expected = indelible_format::node::identity(node.level, &node.items);
    assert_eq!(identity, Ok(expected.as_slice()));
    assert_eq!(node.places.len(), node.items.len());
    Some(node.encode(&OWN))
}

/// The first byte is how many places are expected.
fn all_places(bytes: &[u8]) -> Option<Vec<u8>> {
    let (expected, rest) = bytes.split_first()?;
    let places = places::decode(Cursor::new(rest), usize::from(*expected), &OWN).ok()?;
    assert_eq!(places.len(), usize::from(*expected));
    Some([&[*expected], &places::encode(&places, &OWN)[..]].concat())
}

fn page(bytes: &[u8]) -> Option<Vec<u8>> {
    let identity = Page::identity_of(bytes).map(<[u8]>::to_vec);
    let page = Page::decode(bytes, &OWN).ok()?;
    let records: Vec<Vec<u8>> = page.entries.iter().map(TreeEntry::encode).collect();
    let records = records.concat();
    assert_eq!(identity.as_ref(), Ok(&records));
    assert_eq!(
        page.placed().filter(|(_, place)| place.is_some()).count(),
        page.places.len()
    );
    Some(page::encode(&records, &page.places, &OWN))
}

/// Sections cover their dump without a gap.
fn contents(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoded = Vec::new();
    for dump in DumpTables::new(bytes).ok()? {
        let (path, contents) = dump.ok()?;
        let end = contents.sections().fold(0, |end, section| {
            assert_eq!(section.offset, end);
            assert_eq!(section.name.parts().next_back(), section.name.last());
            end + section.len
        });
        assert_eq!(contents.len(), end);
        contents.encode_to(&path, &mut encoded);
    }
    Some(encoded)
}

/// Records of a later version are passed over, and so not written again: the
/// rest must be.
fn manifest(bytes: &[u8]) -> Option<Vec<u8>> {
    let encoded = Manifest::decode(bytes).ok()?.encode();
    let mut cursor = Cursor::new(bytes);
    let (mut known, mut unknown) = (Builder::new(), 0);
    while cursor.remaining() > 0 {
        let tag = cursor.u16("tag").unwrap();
        let value = cursor.text32(bytes.len(), "value").unwrap();
        if (1..=12).contains(&tag) {
            known.u16(tag).text32(value);
        } else {
            unknown += 1;
        }
    }
    if unknown > 0 {
        assert_eq!(known.finish(), encoded);
        return Some(bytes.to_vec());
    }
    Some(encoded)
}
