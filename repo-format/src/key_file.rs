//! A key bundle in a file, for hosts that must start without a person
//! (SPEC 5.6).
//!
//! The file pins the repository and the log at which it was issued, so its
//! holder can't be shown another repository or an older state of this one. The
//! hash at its end finds copying errors and proves nothing.

use zeroize::Zeroizing;

use crate::bundle::{BundleError, KeyBundle};
use crate::ids::{LogHash, RepositoryId};
use crate::limits::BUNDLE_BYTES_MAX;
use crate::wire::{Builder, Cursor, LayoutError, within};

const MAGIC: &[u8] = b"INDLKEY1";
const BEGIN: &str = "-----BEGIN INDELIBLE KEY FILE-----\n";
const END: &str = "-----END INDELIBLE KEY FILE-----\n";
const LINE: usize = 64;
const FIELD: &str = "key file";

/// The longest key file, bytes: for reading one with a bound.
pub const KEY_FILE_BYTES_MAX: usize = 2 * BUNDLE_BYTES_MAX;

/// Why some text is no key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The lines around, the line lengths or the base64 are not as they must be.
    #[error("it is not framed as an Indelible key file")]
    Armour,
    /// The hash differs: the file was cut or mistyped.
    #[error("its hash does not match: it was cut or altered")]
    Hash,
    /// Its inside is malformed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its bundle is malformed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// A key, and the log at which it was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The repository that it belongs to.
    pub repository: RepositoryId,
    /// Size of the log when it was issued.
    pub size: u64,
    /// Root over it.
    pub root: LogHash,
    /// The key.
    pub bundle: KeyBundle,
}

impl KeyFile {
    /// The file's text.
    pub fn encode(&self) -> Zeroizing<String> {
        let mut out = Builder::new();
        out.bytes(MAGIC)
            .bytes(&self.repository.0)
            .u64(self.size)
            .bytes(&self.root.0);
        out.text16(&self.bundle.encode());
        let mut bytes = Zeroizing::new(out.finish());
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        let base64 = Zeroizing::new(data_encoding::BASE64.encode(&bytes));
        let mut text = Zeroizing::new(String::from(BEGIN));
        for line in base64.as_bytes().chunks(LINE) {
            text.extend(line.iter().copied().map(char::from));
            text.push('\n');
        }
        text.push_str(END);
        text
    }

    /// Reads the file's text.
    pub fn decode(text: &str) -> Result<Self, KeyFileError> {
        let bytes = Zeroizing::new(unarmour(text).ok_or(KeyFileError::Armour)?);
        let (content, hash) = bytes.split_last_chunk::<32>().ok_or(KeyFileError::Armour)?;
        if blake3::hash(content) != *hash {
            return Err(KeyFileError::Hash);
        }
        let mut cursor = Cursor::new(content);
        cursor.magic(MAGIC, FIELD)?;
        let repository = RepositoryId(cursor.array(FIELD)?);
        let size = cursor.u64(FIELD)?;
        within(size, 1, u64::MAX, "size of the log in the key file")?;
        let root = LogHash(cursor.array(FIELD)?);
        let bundle = cursor.text16(FIELD)?;
        cursor.finish(FIELD)?;
        Ok(Self {
            repository,
            size,
            root,
            bundle: KeyBundle::decode(bundle)?,
        })
    }
}

fn unarmour(text: &str) -> Option<Vec<u8>> {
    let inner = text
        .strip_prefix(BEGIN)?
        .strip_suffix(END)?
        .strip_suffix('\n')?;
    let lines: Vec<&str> = inner.split('\n').collect();
    let (last, full) = lines.split_last()?;
    if last.is_empty() || last.len() > LINE || full.iter().any(|line| line.len() != LINE) {
        return None;
    }
    let base64 = Zeroizing::new(lines.concat());
    // The decoder also takes padding between groups, which would be a second
    // text of the same bytes: only the last two characters may be padding.
    let padding = base64.find('=').unwrap_or(base64.len());
    if base64.len() - padding > 2 {
        return None;
    }
    data_encoding::BASE64.decode(base64.as_bytes()).ok()
}
