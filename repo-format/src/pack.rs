//! The clear parts of a pack, and the encryption of its chunks (SPEC 6.1 to
//! 6.3, 6.5).
//!
//! Every pack has two fresh keys, one for data and one for pages and nodes, and
//! each chunk's nonce is its number in the pack. So a nonce repeats only if one
//! pack's keys encrypt two different sequences of chunks, which a writer never
//! does: a [`PackKeys`] is drawn for one pack and dropped with it.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use subtle::ConstantTimeEq as _;

use crate::coding::Class;
use crate::genesis::FORMAT_VERSION;
use crate::ids::{ChunkId, DomainId, RepositoryId, SealingKey};
use crate::planted::{Bug, planted};
use crate::seal::{
    self, OpenError, PACK_DATA_KEY, PACK_NODE_KEY, TAG_BYTES, UnusableKey, WRAPPED_BYTES,
};
use crate::secret::{SecretKey, expand};
use crate::wire::{Builder, Cursor, LayoutError};

/// Length of a pack's header, bytes.
pub const HEADER_BYTES: usize = 320;
/// Length of a pack's trailer, bytes.
pub const TRAILER_BYTES: usize = 12;
const MAGIC: &[u8] = b"INDLPACK";
const TRAILER_MAGIC: &[u8] = b"INDLPEND";
const DATA_CHUNK: &str = "indelible v1 data chunk";
const NODE_CHUNK: &str = "indelible v1 node chunk";

/// Why some bytes are not a pack header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Wrong layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The chunks may be intact; a newer release wrote them.
    #[error("pack version {found} is newer than this release reads")]
    TooNew {
        /// The version found.
        found: u16,
    },
}

/// Which of a pack's two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClass {
    /// Contents: opened with the restore right.
    Data,
    /// Pages and nodes: opened with the verify right.
    Node,
}

impl KeyClass {
    /// The key that a class of chunk is encrypted under.
    pub fn of(class: Class) -> Self {
        match class {
            Class::Data => Self::Data,
            Class::Page | Class::Node => Self::Node,
        }
    }

    fn labels(self) -> (&'static str, seal::Label, u8) {
        match self {
            Self::Data => (DATA_CHUNK, PACK_DATA_KEY, 0),
            Self::Node => (NODE_CHUNK, PACK_NODE_KEY, 1),
        }
    }
}

/// One pack key, wrapped, with the commitment to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SealedKey {
    wrapped: [u8; WRAPPED_BYTES],
    commitment: [u8; 32],
}

/// A pack's header. Parsed, not authenticated: what it says is checked when a
/// key or the directory is opened, both of which are bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackHeader {
    /// The repository that it says it belongs to.
    pub repository: RepositoryId,
    /// The domain that it says its chunks belong to.
    pub domain: DomainId,
    /// Epoch of the keys that it is sealed to.
    pub epoch: u32,
    data: SealedKey,
    node: SealedKey,
    /// Salt of the directory's key.
    pub salt: [u8; 32],
}

/// The fresh random bytes that one pack takes.
#[derive(Clone)]
pub struct PackRandomness {
    /// Key of the data chunks.
    pub data_key: SecretKey,
    /// Key of the pages and nodes.
    pub node_key: SecretKey,
    /// Drawn for wrapping the two.
    pub wrap: [[u8; 32]; 2],
    /// Salt of the directory's key.
    pub salt: [u8; 32],
}

/// What a pack is sealed to.
#[derive(Debug, Clone)]
pub struct PackRecipients<'a> {
    /// Its repository.
    pub repository: RepositoryId,
    /// Its writer's domain.
    pub domain: DomainId,
    /// The keys' epoch.
    pub epoch: u32,
    /// Readers of contents.
    pub data_public: &'a SealingKey,
    /// Readers of pages and nodes.
    pub meta_public: &'a SealingKey,
    /// The repository secret.
    pub psk: &'a SecretKey,
}

impl PackHeader {
    /// Makes the header of a new pack, and the ciphers for its chunks.
    pub fn create(
        to: &PackRecipients<'_>,
        random: &PackRandomness,
    ) -> Result<(Self, PackKeys), UnusableKey> {
        let wrap =
            |class: KeyClass, public, key: &SecretKey, drawn| -> Result<SealedKey, UnusableKey> {
                let (_, label, _) = class.labels();
                let bound = wrap_bound(&to.repository, class, &to.domain, to.epoch);
                let wrapped = seal::wrap(public, to.psk, label, &bound, key, drawn)?;
                Ok(SealedKey {
                    wrapped,
                    commitment: expand(class.labels().0, key).1,
                })
            };
        let header = Self {
            repository: to.repository,
            domain: to.domain,
            epoch: to.epoch,
            data: wrap(
                KeyClass::Data,
                to.data_public,
                &random.data_key,
                random.wrap[0],
            )?,
            node: wrap(
                KeyClass::Node,
                to.meta_public,
                &random.node_key,
                random.wrap[1],
            )?,
            salt: random.salt,
        };
        let keys = PackKeys {
            data: ChunkCipher::new(KeyClass::Data, &random.data_key, &to.repository),
            node: ChunkCipher::new(KeyClass::Node, &random.node_key, &to.repository),
        };
        Ok((header, keys))
    }

    /// Opens one of the pack's keys and checks its commitment.
    pub fn open_key(
        &self,
        class: KeyClass,
        private: &SecretKey,
        psk: &SecretKey,
    ) -> Result<ChunkCipher, OpenError> {
        let (_, label, _) = class.labels();
        let bound = wrap_bound(&self.repository, class, &self.domain, self.epoch);
        let key = seal::unwrap(private, psk, label, &bound, &self.sealed(class).wrapped)?;
        self.remembered_key(class, &key)
    }

    /// Takes one of the pack's keys from its writer, who remembers it, and checks its
    /// commitment.
    pub fn remembered_key(
        &self,
        class: KeyClass,
        key: &SecretKey,
    ) -> Result<ChunkCipher, OpenError> {
        let (context, _, _) = class.labels();
        let committed = bool::from(expand(context, key).1.ct_eq(&self.sealed(class).commitment));
        if !committed && !planted(Bug::CommitmentUnchecked) {
            return Err(OpenError::OtherKey);
        }
        Ok(ChunkCipher::new(class, key, &self.repository))
    }

    fn sealed(&self, class: KeyClass) -> &SealedKey {
        match class {
            KeyClass::Data => &self.data,
            KeyClass::Node => &self.node,
        }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Builder::new();
        out.bytes(MAGIC)
            .u16(FORMAT_VERSION)
            .u16(0)
            .bytes(&self.repository.0)
            .bytes(&self.domain.0)
            .u32(self.epoch);
        for key in [&self.data, &self.node] {
            out.bytes(&key.wrapped).bytes(&key.commitment);
        }
        out.bytes(&self.salt);
        out.finish()
            .try_into()
            .expect("the fields add up to the header")
    }

    /// Reads a header.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let field = "pack header";
        let mut cursor = Cursor::new(bytes);
        cursor.magic(MAGIC, field)?;
        match cursor.u16(field)? {
            FORMAT_VERSION => {}
            0 => {
                return Err(LayoutError::Unknown {
                    field: "pack version",
                    found: 0,
                }
                .into());
            }
            found => return Err(HeaderError::TooNew { found }),
        }
        if cursor.u16(field)? != 0 {
            return Err(LayoutError::Reserved { field }.into());
        }
        let repository = RepositoryId(cursor.array(field)?);
        let domain = DomainId(cursor.array(field)?);
        let epoch = cursor.u32(field)?;
        let mut sealed = || -> Result<SealedKey, LayoutError> {
            Ok(SealedKey {
                wrapped: cursor.array(field)?,
                commitment: cursor.array(field)?,
            })
        };
        let (data, node) = (sealed()?, sealed()?);
        let salt = cursor.array(field)?;
        cursor.finish(field)?;
        Ok(Self {
            repository,
            domain,
            epoch,
            data,
            node,
            salt,
        })
    }
}

fn wrap_bound(
    repository: &RepositoryId,
    class: KeyClass,
    domain: &DomainId,
    epoch: u32,
) -> Vec<u8> {
    let (_, _, byte) = class.labels();
    Builder::new()
        .bytes(&repository.0)
        .u8(byte)
        .bytes(&domain.0)
        .u32(epoch)
        .finish()
}

/// The ciphers for a pack that is being written.
pub struct PackKeys {
    data: ChunkCipher,
    node: ChunkCipher,
}

impl PackKeys {
    /// The cipher for a class of chunk.
    pub fn of(&self, class: Class) -> &ChunkCipher {
        match KeyClass::of(class) {
            KeyClass::Data => &self.data,
            KeyClass::Node => &self.node,
        }
    }
}

/// Encrypts and decrypts the chunks of one pack under one of its keys.
pub struct ChunkCipher {
    cipher: XChaCha20Poly1305,
    label: &'static str,
    repository: RepositoryId,
}

impl ChunkCipher {
    fn new(class: KeyClass, pack_key: &SecretKey, repository: &RepositoryId) -> Self {
        let (label, _, _) = class.labels();
        let (key, _) = expand(label, pack_key);
        Self {
            cipher: XChaCha20Poly1305::new(key.expose().into()),
            label,
            repository: *repository,
        }
    }

    /// Nonce and associated data of SPEC 2.7.
    fn place(&self, class: u8, number: u32) -> (XNonce, Vec<u8>) {
        let mut nonce = XNonce::default();
        nonce[..8].copy_from_slice(&u64::from(number).to_le_bytes());
        let mut bound = Builder::new();
        bound
            .bytes(self.label.as_bytes())
            .u8(0)
            .u16(FORMAT_VERSION)
            .bytes(&self.repository.0);
        bound.u8(class).u64(number.into());
        if planted(Bug::AssociatedDataDropped) {
            return (nonce, Vec::new());
        }
        (nonce, bound.finish())
    }

    /// Encrypts coded bytes in place as chunk `number`, and appends the tag.
    pub fn encrypt(&self, class: Class, number: u32, coded: &mut Vec<u8>) {
        let (nonce, bound) = self.place(class.to_byte(), number);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &bound, coded.as_mut_slice().into())
            .expect("far below the cipher's limit of 256 GiB");
        coded.extend_from_slice(&tag);
    }

    /// Decrypts chunk `number` in place.
    pub fn decrypt(
        &self,
        class: Class,
        number: u32,
        mut stored: Vec<u8>,
    ) -> Result<Vec<u8>, OpenError> {
        let (coded, tag) = stored
            .split_last_chunk_mut::<TAG_BYTES>()
            .ok_or(OpenError::TooShort)?;
        let coded_len = coded.len();
        self.decrypt_inout(class, number, coded.into(), tag)?;
        stored.truncate(coded_len);
        Ok(stored)
    }

    /// Decrypts chunk `number` into the beginning of a buffer, and gives the coded
    /// bytes there. What the buffer held before does not matter.
    ///
    /// # Panics
    ///
    /// If the buffer is shorter than the stored bytes without their tag.
    pub fn decrypt_into<'b>(
        &self,
        class: Class,
        number: u32,
        stored: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], OpenError> {
        let (sealed, tag) = stored
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(OpenError::TooShort)?;
        let coded = &mut buffer[..sealed.len()];
        let both = InOutBuf::new(sealed, coded).expect("both have one length");
        self.decrypt_inout(class, number, both, tag)?;
        Ok(coded)
    }

    fn decrypt_inout(
        &self,
        class: Class,
        number: u32,
        coded: InOutBuf<'_, '_, u8>,
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), OpenError> {
        let (nonce, bound) = self.place(class.to_byte(), number);
        self.cipher
            .decrypt_inout_detached(&nonce, &bound, coded, tag.into())
            .map_err(|_| OpenError::Altered)
    }
}

/// A chunk's id: keyed BLAKE3 of its class and identity bytes (SPEC 6.3).
pub fn chunk_id(id_key: &SecretKey, class: Class, identity: &[u8]) -> ChunkId {
    let mut hasher = blake3::Hasher::new_keyed(id_key.expose());
    hasher.update(&[class.to_byte()]).update(identity);
    ChunkId(*hasher.finalize().as_bytes())
}

/// The last bytes of a pack.
pub fn encode_trailer(directory_len: usize) -> [u8; TRAILER_BYTES] {
    let mut out = Builder::new();
    out.count32(directory_len).bytes(TRAILER_MAGIC);
    out.finish()
        .try_into()
        .expect("the fields add up to the trailer")
}

/// The length of the sealed directory, bytes, that the trailer states: at most
/// `most`.
pub fn parse_trailer(bytes: &[u8; TRAILER_BYTES], most: usize) -> Result<usize, LayoutError> {
    let field = "pack trailer";
    let mut cursor = Cursor::new(bytes);
    let len = cursor.count32(0, most, "length of the directory")?;
    cursor.magic(TRAILER_MAGIC, field)?;
    cursor.finish(field)?;
    Ok(len)
}
