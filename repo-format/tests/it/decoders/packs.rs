//! Packs (SPEC 6).

use indelible_format::coding::{self, Class, Coding};
use indelible_format::directory::{DIRECTORY_BYTES_MAX, Directory, Record};
use indelible_format::ids::PackId;
use indelible_format::node::Node;
use indelible_format::pack::{
    self, ChunkCipher, HEADER_BYTES, KeyClass, PackHeader, TRAILER_BYTES,
};
use indelible_format::page::Page;
use indelible_format::wire::{Cursor, LayoutError};

use super::{Found, Refused};
use crate::sealed::{open_directory, plain_directory, some_header};
use crate::vector::{Vector, hex};

pub(super) fn header(vector: &Vector) -> Result<Found, Refused> {
    let bytes = vector.bytes().try_into().expect("320 bytes");
    let header = PackHeader::parse(bytes)?;
    for (class, name) in [(KeyClass::Data, "data"), (KeyClass::Node, "meta")] {
        let private = format!("{name}-private");
        if vector.has(&private) {
            header.open_key(class, &vector.key(&private), &vector.key("psk"))?;
        }
    }
    Ok(Found::encoded(header.encode())
        .give("repository", header.repository)
        .give("domain", header.domain)
        .give("epoch", header.epoch)
        .give("salt", hex(&header.salt)))
}

pub(super) fn trailer(vector: &Vector) -> Result<Found, Refused> {
    let bytes = vector.bytes().try_into().expect("12 bytes");
    let len = pack::parse_trailer(bytes, DIRECTORY_BYTES_MAX)?;
    Ok(Found::encoded(pack::encode_trailer(len)).give("length", len))
}

/// The bytes are the plaintext.
pub(super) fn directory(vector: &Vector) -> Result<Found, Refused> {
    let header = some_header();
    let directory = open_directory(&header, vector.bytes(), vector.number("chunks-length"))?;
    let mut found = Found::encoded(plain_directory(&header, &directory))
        .give("packs", super::list(&directory.packs))
        .give("chunks", directory.records.len());
    for (number, record) in directory.records.iter().enumerate() {
        found = found.give(&format!("chunk-{number}"), describe(record));
    }
    Ok(found)
}

fn describe(record: &Record) -> String {
    let bases: Vec<String> = record
        .bases
        .iter()
        .map(|base| format!("{}:{}", base.slot, base.number))
        .collect();
    format!(
        "{} class {} coding {} stored {} plain {} depth {} bases [{}]",
        record.id.short(),
        record.class,
        record.coding.to_byte(),
        record.stored_len,
        record.plain_len,
        record.depth,
        bases.join(" ")
    )
}

pub(super) fn coding(vector: &Vector) -> Result<Found, Refused> {
    let coding = Coding::from_byte(u8::try_from(vector.number("coding")).expect("a byte"));
    let plain_len = usize::try_from(vector.number("plain-length")).expect("a length");
    let plain = coding::decode(coding, vector.bytes().to_vec(), plain_len)?;
    let found = Found::new().give("plaintext", hex(&plain));
    Ok(match coding {
        Coding::Raw => Found {
            encoded: Some(plain),
            ..found
        },
        _ => found,
    })
}

/// The bases stand in its parameters.
pub(super) fn delta(vector: &Vector) -> Result<Found, Refused> {
    let bases: Vec<Vec<u8>> = (0..10)
        .map(|number| format!("base-{number}"))
        .take_while(|base| vector.has(base))
        .map(|base| vector.bytes_of(&base))
        .collect();
    let bases: Vec<&[u8]> = bases.iter().map(Vec::as_slice).collect();
    let plain_len = usize::try_from(vector.number("plain-length")).expect("a length");
    let mut plain = vec![0; plain_len];
    coding::decode_delta(vector.bytes(), &bases, &mut plain)?;
    Ok(Found::new().give("plaintext", hex(&plain)))
}

/// Why a pack as a whole is not what it should be.
#[derive(Debug, thiserror::Error)]
enum PackError {
    #[error("it has another id")]
    OtherName,
    #[error("a chunk has another id")]
    OtherChunk,
}

/// A whole pack: its name, and every chunk of it, opened and compared with its id.
pub(super) fn pack(vector: &Vector) -> Result<Found, Refused> {
    let bytes = vector.bytes();
    let id = PackId(vector.array("pack"));
    if PackId::of(bytes) != id {
        return Err(PackError::OtherName.into());
    }
    let mut cursor = Cursor::new(bytes);
    let header = PackHeader::parse(&cursor.array::<HEADER_BYTES>("pack")?)?;
    let trailer = bytes.last_chunk::<TRAILER_BYTES>().expect("a trailer");
    let directory_len = pack::parse_trailer(trailer, DIRECTORY_BYTES_MAX)?;
    let left = cursor.remaining() - TRAILER_BYTES;
    let chunks_len = left
        .checked_sub(directory_len)
        .ok_or(LayoutError::Truncated { field: "pack" })?;
    let mut chunks = Cursor::new(cursor.take(chunks_len, "pack")?);
    let sealed = cursor.take(directory_len, "pack")?;
    let directory = Directory::open(&header, &vector.key("index-key"), sealed, chunks_len as u64)?;
    let psk = vector.key("psk");
    let data = header.open_key(KeyClass::Data, &vector.key("data-private"), &psk)?;
    let node = header.open_key(KeyClass::Node, &vector.key("meta-private"), &psk)?;
    let mut found = Found::new();
    for (number, record) in (0..).zip(&directory.records) {
        let stored = chunks.take(record.stored_len as usize, "pack")?;
        let plain = chunk(vector, (&data, &node), record, number, stored)?;
        let line = format!("{} {}", describe(record), hex(&plain));
        found = found.give(&format!("chunk-{number}"), line);
    }
    Ok(found)
}

fn chunk(
    vector: &Vector,
    (data, node): (&ChunkCipher, &ChunkCipher),
    record: &Record,
    number: u32,
    stored: &[u8],
) -> Result<Vec<u8>, Refused> {
    let class = Class::from_byte(record.class)?;
    let (cipher, id_key) = match class {
        Class::Data => (data, "data-id-key"),
        Class::Page | Class::Node => (node, "node-id-key"),
    };
    let coded = cipher.decrypt(class, number, stored.to_vec())?;
    let plain = coding::decode(record.coding, coded, record.plain_len as usize)?;
    let identity = match class {
        Class::Data => &plain,
        Class::Page => Page::identity_of(&plain)?,
        Class::Node => Node::identity_of(&plain)?,
    };
    if pack::chunk_id(&vector.key(id_key), class, identity) == record.id {
        Ok(plain)
    } else {
        Err(PackError::OtherChunk.into())
    }
}
