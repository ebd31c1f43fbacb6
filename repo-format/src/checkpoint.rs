//! A log's size and root in a form that others can keep and cosign
//! (SPEC 3.15; C2SP `tlog-checkpoint` and `signed-note`).

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

use crate::ids::{LogHash, RepositoryId, SignerId};
use crate::seal::{self, BadSignature};
use crate::secret::SecretKey;

const ORIGIN: &str = "indelible/";
const DASH: &str = "\u{2014} ";

/// Why some text is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is not laid out as a signed note with a checkpoint in it.
    #[error("it is not a checkpoint in signed-note form")]
    Layout,
    /// No line is a signature by the asked key.
    #[error("the key {} did not sign it", .0.short())]
    NotSignedBy(SignerId),
    /// Its signature does not verify.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

/// Why some text is not that of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not {expected}")]
pub struct CheckpointTextError {
    /// The line, from 1.
    pub line: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// A claim of a log's size and root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The repository.
    pub repository: RepositoryId,
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: LogHash,
}

impl Checkpoint {
    fn origin(&self) -> String {
        format!("{ORIGIN}{}", self.repository)
    }

    /// The text that a note signs: three lines.
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin(),
            self.size,
            self.root.to_base64()
        )
    }

    /// Reads the three lines of the text, without their ends. What follows them
    /// is the caller's.
    pub fn from_lines<'t>(
        lines: &mut impl Iterator<Item = &'t str>,
    ) -> Result<Self, CheckpointTextError> {
        let wrong = |line, expected| CheckpointTextError { line, expected };
        let repository = lines
            .next()
            .and_then(|origin| RepositoryId::from_hex(origin.strip_prefix(ORIGIN)?))
            .ok_or(wrong(1, "`indelible/` and the id of a repository"))?;
        let size = lines
            .next()
            .and_then(parse_number)
            .ok_or(wrong(2, "the size of a log in decimal"))?;
        let root = lines
            .next()
            .and_then(LogHash::from_base64)
            .ok_or(wrong(3, "the root over a log in base64"))?;
        Ok(Self {
            repository,
            size,
            root,
        })
    }

    /// The note, signed.
    pub fn sign(&self, seed: &SecretKey) -> String {
        let text = self.text();
        let signer = seal::signer_of(seed);
        let mut signature = key_hash(&self.origin(), &signer).to_vec();
        signature.extend_from_slice(&seal::sign_raw(seed, text.as_bytes()));
        format!(
            "{text}\n{DASH}{} {}\n",
            self.origin(),
            BASE64.encode(&signature)
        )
    }
}

/// The verifier key of `signed-note` with which others check a checkpoint.
pub fn verifier_key(repository: &RepositoryId, signer: &SignerId) -> String {
    let origin = format!("{ORIGIN}{repository}");
    let hash = data_encoding::HEXLOWER.encode(&key_hash(&origin, signer));
    format!(
        "{origin}+{hash}+{}",
        BASE64.encode(&[&[1], &signer.0[..]].concat())
    )
}

fn key_hash(name: &str, signer: &SignerId) -> [u8; 4] {
    let hash = Sha256::new_with_prefix(name)
        .chain_update(b"\n\x01")
        .chain_update(signer.0)
        .finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A note that is laid out rightly; nobody's claim yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedCheckpoint {
    claim: Checkpoint,
    /// Key name and decoded signature of each signature line.
    signatures: Vec<(String, Vec<u8>)>,
}

impl ParsedCheckpoint {
    /// Parses a note.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        Self::parse_note(note).ok_or(CheckpointError::Layout)
    }

    fn parse_note(note: &str) -> Option<Self> {
        let (text, signatures) = note.split_once("\n\n")?;
        let mut lines = text.split('\n');
        let claim = Checkpoint::from_lines(&mut lines).ok()?;
        if lines.next().is_some() {
            return None;
        }
        let signatures = signatures
            .strip_suffix('\n')?
            .split('\n')
            .map(parse_signature)
            .collect::<Option<_>>()?;
        Some(Self { claim, signatures })
    }

    /// What the note claims, to find out whose signature to ask for.
    pub fn claim(&self) -> &Checkpoint {
        &self.claim
    }

    /// The claim, if one of `signers` signed it.
    pub fn verify(
        &self,
        signers: impl IntoIterator<Item = SignerId>,
    ) -> Result<Checkpoint, CheckpointError> {
        let origin = self.claim.origin();
        let mut last = Err(CheckpointError::Layout);
        for signer in signers {
            last = self.verify_by(&origin, &signer);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn verify_by(&self, origin: &str, signer: &SignerId) -> Result<Checkpoint, CheckpointError> {
        let hash = key_hash(origin, signer);
        for (name, signature) in &self.signatures {
            let Some((stated, bytes)) = signature.split_first_chunk::<4>() else {
                continue;
            };
            let Ok(bytes) = <&[u8; 64]>::try_from(bytes) else {
                continue;
            };
            if name == origin && *stated == hash {
                seal::verify_raw(signer, self.claim.text().as_bytes(), bytes)?;
                return Ok(self.claim);
            }
        }
        Err(CheckpointError::NotSignedBy(*signer))
    }
}

impl LogHash {
    /// The form in which checkpoints show it.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// Reads that form.
    pub fn from_base64(text: &str) -> Option<Self> {
        Some(Self(decode_base64(text)?.try_into().ok()?))
    }
}

/// Whether a line of a note is laid out as one of its signatures; what it holds
/// is not looked at.
pub fn is_signature_line(line: &str) -> bool {
    line.starts_with(DASH)
}

/// Reads a number as it is written: digits, and no zero in front.
pub fn parse_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn parse_signature(line: &str) -> Option<(String, Vec<u8>)> {
    let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
    Some((name.to_owned(), decode_base64(signature)?))
}

/// Reads base64 in the form in which it is written: the decoder also takes
/// padding between groups, and two texts must not stand for one claim.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    (BASE64.encode(&bytes) == text).then_some(bytes)
}
