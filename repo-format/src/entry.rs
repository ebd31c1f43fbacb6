//! The frame of a log entry: header, body, signature (SPEC 3.2, 3.3).
//!
//! [`ParsedEntry`] is laid out rightly and nothing more. Whether it counts is
//! for [`Authority`](crate::authority::Authority) to say, which checks number,
//! signer, right, expiry and signature and alone can make an [`Entry`].

use crate::attest::Attest;
use crate::commit::SnapshotBody;
use crate::genesis::Genesis;
use crate::grant::{Authorize, Revoke};
use crate::ids::{CommitId, DomainId, LogHash, RepositoryId, SignerId};
use crate::limits::ENTRY_BYTES_MAX;
use crate::merkle::leaf_hash;
use crate::planted::{Bug, planted};
use crate::rekey::Rekey;
use crate::rights::Kind;
use crate::seal::{self, BadSignature};
use crate::secret::SecretKey;
use crate::wire::{Builder, Cursor, LayoutError, within};

const MAGIC: &[u8] = b"INDLLOG1";
const FRAME_BYTES: usize = 162;
const SIGNATURE_BYTES: usize = 64;
const FIELD: &str = "log entry";

/// The longest body that an entry has room for, bytes.
pub const BODY_BYTES_MAX: usize = ENTRY_BYTES_MAX - FRAME_BYTES - SIGNATURE_BYTES;

/// What every entry states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its number in the log.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
    /// Whether a writer that does not know the kind must stop.
    pub critical: bool,
    /// Epoch of the keys that it uses.
    pub epoch: u32,
    /// When its signer says that it was written, Unix milliseconds.
    pub claimed_ms: u64,
    /// The attempt to commit that it belongs to.
    pub commit: CommitId,
    /// Domain of its signer.
    pub domain: DomainId,
    /// The key that signed it.
    pub signer: SignerId,
    /// Leaf hash of the entry before.
    pub previous: LogHash,
    /// Root over all entries before.
    pub root: LogHash,
}

/// What an entry says, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// SPEC 3.6.
    Genesis(Genesis),
    /// SPEC 3.7.
    Authorize(Authorize),
    /// SPEC 3.8.
    Revoke(Revoke),
    /// SPEC 3.16.
    Rekey(Rekey),
    /// SPEC 3.9.
    Snapshot(SnapshotBody),
    /// SPEC 3.10.
    Attest(Attest),
    /// A kind whose body this version does not specify (SPEC 3.11).
    Opaque(Kind, Vec<u8>),
}

impl Body {
    /// The kind of entry that has this body.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Genesis(_) => Kind::Genesis,
            Self::Authorize(_) => Kind::Authorize,
            Self::Revoke(_) => Kind::Revoke,
            Self::Rekey(_) => Kind::Rekey,
            Self::Snapshot(_) => Kind::Snapshot,
            Self::Attest(_) => Kind::Attest,
            Self::Opaque(kind, _) => *kind,
        }
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Genesis(body) => body.encode(),
            Self::Authorize(body) => body.encode(),
            Self::Revoke(body) => body.encode(),
            Self::Rekey(body) => body.encode(),
            Self::Snapshot(body) => body.encode(),
            Self::Attest(body) => body.encode(),
            Self::Opaque(_, bytes) => bytes.clone(),
        }
    }

    fn decode(kind: Kind, bytes: &[u8]) -> Result<Self, LayoutError> {
        Ok(match kind {
            Kind::Genesis => Self::Genesis(Genesis::decode(bytes)?),
            Kind::Authorize => Self::Authorize(Authorize::decode(bytes)?),
            Kind::Revoke => Self::Revoke(Revoke::decode(bytes)?),
            Kind::Rekey => Self::Rekey(Rekey::decode(bytes)?),
            Kind::Snapshot => Self::Snapshot(SnapshotBody::decode(bytes)?),
            Kind::Attest => Self::Attest(Attest::decode(bytes)?),
            other => Self::Opaque(other, bytes.to_vec()),
        })
    }
}

/// An entry to be signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its number in the log.
    pub number: u64,
    /// Epoch of the keys that it uses.
    pub epoch: u32,
    /// Unix milliseconds.
    pub claimed_ms: u64,
    /// Random, new for each attempt.
    pub commit: CommitId,
    /// Domain of the signer.
    pub domain: DomainId,
    /// Leaf hash of the entry before.
    pub previous: LogHash,
    /// Root over all entries before.
    pub root: LogHash,
    /// What it says.
    pub body: Body,
}

impl Draft {
    /// Signs the entry and gives its bytes, or `None` if they are too many.
    ///
    /// The critical flag is the kind's own; unknown kinds are not written.
    pub fn sign(&self, repository: &RepositoryId, seed: &SecretKey) -> Option<Vec<u8>> {
        let body = self.body.encode();
        if body.len() > BODY_BYTES_MAX {
            return None;
        }
        let kind = self.body.kind();
        let critical = kind.criticality().unwrap_or(false);
        let mut out = Builder::new();
        out.bytes(MAGIC)
            .u64(self.number)
            .u8(kind.to_byte())
            .u8(u8::from(critical));
        out.u32(self.epoch)
            .u64(self.claimed_ms)
            .bytes(&self.commit.0)
            .bytes(&self.domain.0);
        out.bytes(&seal::signer_of(seed).0)
            .bytes(&self.previous.0)
            .bytes(&self.root.0);
        out.text32(&body);
        let mut bytes = out.finish();
        let signature = seal::sign(
            seed,
            seal::LOG_ENTRY,
            &signed(&signing_repository(kind, repository), &bytes),
        );
        bytes.extend_from_slice(&signature);
        Some(bytes)
    }
}

/// Genesis can't name the repository, whose id depends on its bytes.
fn signing_repository(kind: Kind, repository: &RepositoryId) -> RepositoryId {
    if kind == Kind::Genesis {
        RepositoryId([0; 32])
    } else {
        *repository
    }
}

fn signed(repository: &RepositoryId, frame_and_body: &[u8]) -> Vec<u8> {
    [&repository.0[..], frame_and_body].concat()
}

/// An entry that is laid out rightly. Nothing in it is to be believed yet.
#[derive(Debug, Clone)]
pub struct ParsedEntry {
    header: Header,
    body: Body,
    leaf: LogHash,
}

/// A parsed entry, the bytes that its signature covers, and the signature.
type Split<'a> = (ParsedEntry, &'a [u8], [u8; SIGNATURE_BYTES]);

impl ParsedEntry {
    /// Parses an object of the log.
    pub fn parse(object: &[u8]) -> Result<Self, LayoutError> {
        Self::split(object, leaf_hash(object)).map(|(parsed, ..)| parsed)
    }

    /// Parses an object with this leaf hash.
    pub(crate) fn split(object: &[u8], leaf: LogHash) -> Result<Split<'_>, LayoutError> {
        within(
            object.len() as u64,
            0,
            ENTRY_BYTES_MAX as u64,
            "length of the log object",
        )?;
        let mut cursor = Cursor::new(object);
        cursor.magic(MAGIC, FIELD)?;
        let number = cursor.u64(FIELD)?;
        let kind = Kind::from_byte(cursor.u8(FIELD)?)?;
        let critical = match cursor.u8(FIELD)? {
            0 => false,
            1 => true,
            _ => {
                return Err(LayoutError::Reserved {
                    field: "flags of the entry",
                });
            }
        };
        if kind.criticality().is_some_and(|fixed| fixed != critical) {
            return Err(LayoutError::NotCanonical {
                field: "critical flag of the entry",
            });
        }
        let header = Header {
            number,
            kind,
            critical,
            epoch: cursor.u32(FIELD)?,
            claimed_ms: cursor.u64(FIELD)?,
            commit: CommitId(cursor.array(FIELD)?),
            domain: DomainId(cursor.array(FIELD)?),
            signer: SignerId(cursor.array(FIELD)?),
            previous: LogHash(cursor.array(FIELD)?),
            root: LogHash(cursor.array(FIELD)?),
        };
        let body = Body::decode(kind, cursor.text32(BODY_BYTES_MAX, "body of the entry")?)?;
        let signature = cursor.array("signature of the entry")?;
        cursor.finish(FIELD)?;
        let signed = &object[..object.len() - SIGNATURE_BYTES];
        Ok((Self { header, body, leaf }, signed, signature))
    }

    /// What it states.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What it says.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Checks the signature by the stated signer, which says nothing of that
    /// signer's rights.
    pub(crate) fn authenticate(
        &self,
        signed_bytes: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
        repository: &RepositoryId,
    ) -> Result<(), BadSignature> {
        let repository = signing_repository(self.header.kind, repository);
        let message = signed(&repository, signed_bytes);
        let verified = seal::verify(&self.header.signer, seal::LOG_ENTRY, &message, signature);
        if planted(Bug::SignatureUnchecked) {
            return Ok(());
        }
        verified
    }

    /// The entry that it is, which only the authority may say.
    pub(crate) fn into_entry(self) -> Entry {
        Entry {
            header: self.header,
            body: self.body,
            leaf: self.leaf,
        }
    }
}

/// A valid entry: signed by a key that the log allowed to sign this kind.
///
/// Only [`Authority`](crate::authority::Authority) makes one.
#[derive(Debug, Clone)]
pub struct Entry {
    header: Header,
    body: Body,
    leaf: LogHash,
}

impl Entry {
    /// What it states.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What it says.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Its leaf hash.
    pub fn leaf(&self) -> LogHash {
        self.leaf
    }

    /// What its sealed parts are bound to (SPEC 2.7).
    pub fn binding(&self, repository: RepositoryId) -> crate::commit::Binding {
        crate::commit::Binding {
            repository,
            commit: self.header.commit,
            domain: self.header.domain,
            epoch: self.header.epoch,
        }
    }
}
