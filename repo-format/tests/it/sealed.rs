//! Plaintexts that stand sealed in a repository, sealed and opened with the
//! fixture's keys.

use std::sync::OnceLock;

use data_encoding::BASE64;
use indelible_format::commit::{CommitBody, CommitError, Reach};
use indelible_format::directory::{Directory, DirectoryError};
use indelible_format::pack::{PackHeader, PackKeys, PackRandomness, PackRecipients};
use indelible_format::seal::{self, DIRECTORY, REACH};
use indelible_format::secret::{SecretKey, directory_key, reach_key};
use indelible_format::wire::{Builder, Cursor};

use crate::fixture::{self, DOMAIN, REPOSITORY, key};

/// A header for directories that stand alone.
pub(crate) fn some_header() -> PackHeader {
    static HEADER: OnceLock<PackHeader> = OnceLock::new();
    HEADER.get_or_init(|| pack_header().0).clone()
}

pub(crate) fn pack_header() -> (PackHeader, PackKeys) {
    let to = PackRecipients {
        repository: REPOSITORY,
        domain: DOMAIN,
        epoch: 0,
        data_public: &fixture::data_public(),
        meta_public: &fixture::meta_public(),
        psk: &fixture::psk(),
    };
    let random = PackRandomness {
        data_key: key(0xA1),
        node_key: key(0xA2),
        wrap: [[0xA3; 32], [0xA4; 32]],
        salt: [0xA5; 32],
    };
    PackHeader::create(&to, &random).unwrap()
}

fn directory_binding(header: &PackHeader) -> (SecretKey, [u8; 32]) {
    let key = directory_key(&fixture::index_key(), &header.salt);
    (key, *blake3::hash(&header.encode()).as_bytes())
}

/// Decodes the plaintext of a directory, by sealing and opening it.
pub(crate) fn open_directory(
    header: &PackHeader,
    plain: &[u8],
    chunks_len: u64,
) -> Result<Directory, DirectoryError> {
    let (key, bound) = directory_binding(header);
    let sealed = seal::seal(&key, DIRECTORY, &bound, plain);
    Directory::open(header, &fixture::index_key(), &sealed, chunks_len)
}

/// The plaintext of a directory, by sealing and opening it.
pub(crate) fn plain_directory(header: &PackHeader, directory: &Directory) -> Vec<u8> {
    let (key, bound) = directory_binding(header);
    let sealed = directory.seal(header, &fixture::index_key());
    seal::open(&key, DIRECTORY, &bound, &sealed)
        .unwrap()
        .to_vec()
}

/// Decodes the plaintext of a reach, by sealing it into a commit body.
pub(crate) fn open_reach(plain: &[u8], before: u64) -> Result<Reach, CommitError> {
    let salt = [0x91; 32];
    let key = reach_key(&fixture::index_key(), &salt);
    let sealed = seal::seal(&key, REACH, &reach_bound(), plain);
    let mut out = Builder::new();
    out.u64(0).u32(0).bytes(&salt).text32(&sealed);
    out.bytes(&[0; 80]).text32(&[]);
    let body = CommitBody::decode(&out.finish())?;
    body.open_reach(&fixture::binding(), before, &fixture::index_key())
}

/// The plaintext of a reach, by sealing it into a commit body.
pub(crate) fn plain_reach(reach: &Reach) -> Vec<u8> {
    let body = fixture::commit_body(&fixture::binding(), reach).encode();
    let mut cursor = Cursor::new(&body);
    cursor.take(8, "retention").unwrap();
    let packs = cursor.u32("packs").unwrap() as usize;
    cursor.take(packs * 68, "packs").unwrap();
    let salt = cursor.array("salt").unwrap();
    let sealed = cursor.text32(body.len(), "reach").unwrap();
    let key = reach_key(&fixture::index_key(), &salt);
    seal::open(&key, REACH, &reach_bound(), sealed)
        .unwrap()
        .to_vec()
}

fn reach_bound() -> Vec<u8> {
    let binding = fixture::binding();
    Builder::new()
        .bytes(&binding.repository.0)
        .bytes(&binding.commit.0)
        .bytes(&binding.domain.0)
        .u32(binding.epoch)
        .finish()
}

const BEGIN: &str = "-----BEGIN INDELIBLE KEY FILE-----";
const END: &str = "-----END INDELIBLE KEY FILE-----";

/// Text between the lines of a key file, wrapped.
pub(crate) fn framed(base64: &str) -> String {
    let mut text = format!("{BEGIN}\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + END + "\n"
}

/// A key file of these bytes, hash included.
pub(crate) fn armour(bytes: &[u8]) -> String {
    framed(&BASE64.encode(bytes))
}
