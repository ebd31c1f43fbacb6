//! Giving a key its rights, and taking them away (SPEC 3.7, 3.8).
//!
//! Who may sign what stands in clear, so that a store without keys can judge an
//! entry. Labels and NAMEs are sealed to the holders of the verify right.

use zeroize::Zeroizing;

use crate::ids::{CommitId, DomainId, RepositoryId, SealingKey, SignerId};
use crate::limits::{BUNDLE_BYTES_MAX, PATTERNS_MAX};
use crate::name::{Name, Pattern};
use crate::rights::{Kinds, Rights};
use crate::seal::{self, GRANT_FACTS, GRANT_FACTS_KEY, OpenError, UnusableKey, WRAPPED_BYTES};
use crate::secret::SecretKey;
use crate::slot::PassphraseSlot;
use crate::wire::{Builder, Cursor, LayoutError, ascending, within};

const FIELD: &str = "authorize body";

/// What a grant says in private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFacts {
    label: String,
    patterns: Vec<Pattern>,
}

impl GrantFacts {
    /// A key's label (at most 255 bytes) and the NAMEs that it may write, which
    /// are sorted here.
    pub fn new(label: &str, mut patterns: Vec<Pattern>) -> Result<Self, LayoutError> {
        patterns.sort();
        patterns.dedup();
        within(
            patterns.len() as u64,
            0,
            PATTERNS_MAX as u64,
            "number of NAME patterns",
        )?;
        within(label.len() as u64, 0, 255, "length of the key's label")?;
        if label.chars().any(char::is_control) {
            return Err(LayoutError::NotCanonical {
                field: "key's label",
            });
        }
        Ok(Self {
            label: label.to_owned(),
            patterns,
        })
    }

    /// The key's label, for people.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The patterns, ascending.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether some pattern matches.
    pub fn may_write(&self, name: &Name) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// The layout that grants and bundles share.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.text8(self.label.as_bytes())
            .count16(self.patterns.len());
        for pattern in &self.patterns {
            out.text8(pattern.as_str().as_bytes());
        }
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let field = "grant facts";
        let mut cursor = Cursor::new(bytes);
        let label =
            std::str::from_utf8(cursor.text8(field)?).map_err(|_| LayoutError::NotCanonical {
                field: "key's label",
            })?;
        let count = cursor.count16(0, PATTERNS_MAX, "number of NAME patterns")?;
        let mut patterns = Vec::with_capacity(count);
        for _ in 0..count {
            let text = cursor.text8(field)?;
            patterns.push(Pattern::new(text).map_err(|_| LayoutError::NotCanonical {
                field: "NAME pattern",
            })?);
        }
        cursor.finish(field)?;
        ascending(&patterns, "NAME patterns")?;
        Self::new(label, patterns)
    }
}

/// What sealed grant facts and slots are bound to (SPEC 2.7).
fn bound(repository: &RepositoryId, commit: &CommitId, subject: &SignerId) -> Vec<u8> {
    [&repository.0[..], &commit.0, &subject.0].concat()
}

/// Grant facts, sealed to the meta key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFacts {
    wrapped_key: [u8; WRAPPED_BYTES],
    sealed: Vec<u8>,
}

impl SealedFacts {
    /// Seals facts. `key` and `drawn` are fresh random bytes.
    #[allow(clippy::too_many_arguments, reason = "each is one column of SPEC 2.7")]
    pub fn seal(
        facts: &GrantFacts,
        repository: &RepositoryId,
        commit: &CommitId,
        subject: &SignerId,
        meta_public: &SealingKey,
        psk: &SecretKey,
        key: &SecretKey,
        drawn: [u8; 32],
    ) -> Result<Self, UnusableKey> {
        let bound = bound(repository, commit, subject);
        Ok(Self {
            wrapped_key: seal::wrap(meta_public, psk, GRANT_FACTS_KEY, &bound, key, drawn)?,
            sealed: seal::seal(key, GRANT_FACTS, &bound, &facts.encode()),
        })
    }

    /// Opens the facts with the verify right.
    pub fn open(
        &self,
        repository: &RepositoryId,
        commit: &CommitId,
        subject: &SignerId,
        meta_private: &SecretKey,
        psk: &SecretKey,
    ) -> Result<GrantFacts, FactsError> {
        let plain = self.unseal(repository, commit, subject, meta_private, psk)?;
        Ok(GrantFacts::decode(&plain)?)
    }

    /// Opens the bytes of the facts with the verify right.
    pub fn unseal(
        &self,
        repository: &RepositoryId,
        commit: &CommitId,
        subject: &SignerId,
        meta_private: &SecretKey,
        psk: &SecretKey,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let bound = bound(repository, commit, subject);
        let label = GRANT_FACTS_KEY;
        let key = seal::unwrap(meta_private, psk, label, &bound, &self.wrapped_key)?;
        seal::open(&key, GRANT_FACTS, &bound, &self.sealed)
    }
}

/// Why sealed grant facts can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// They don't open.
    #[error("the grant's label and NAMEs do not open")]
    Open(#[from] OpenError),
    /// They open and are malformed.
    #[error("the grant's label and NAMEs are malformed")]
    Layout(#[from] LayoutError),
}

/// The body that gives a key its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorize {
    /// The key.
    pub subject: SignerId,
    /// The key's own sealing key, for rekeying.
    pub sealing_key: SealingKey,
    /// Its domain.
    pub domain: DomainId,
    /// What its bundle holds.
    pub rights: Rights,
    /// What it may sign.
    pub kinds: Kinds,
    /// The last moment at which it may sign, Unix milliseconds; `None`: it may for
    /// ever.
    pub expires_ms: Option<u64>,
    /// Label and NAMEs.
    pub facts: SealedFacts,
    /// Its bundle, if it is opened with a passphrase rather than a file.
    pub slot: Option<PassphraseSlot>,
}

impl Authorize {
    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.bytes(&self.subject.0)
            .bytes(&self.sealing_key.0)
            .bytes(&self.domain.0);
        out.u8(self.rights.to_byte())
            .u32(self.kinds.0)
            .u64(self.expires_ms.unwrap_or(0));
        out.bytes(&self.facts.wrapped_key)
            .text16(&self.facts.sealed);
        out.text16(
            &self
                .slot
                .as_ref()
                .map(PassphraseSlot::encode)
                .unwrap_or_default(),
        );
        out.finish()
    }

    /// Reads the body.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        let subject = SignerId(cursor.array(FIELD)?);
        let sealing_key = SealingKey(cursor.array(FIELD)?);
        let domain = DomainId(cursor.array(FIELD)?);
        let rights = Rights::from_byte(cursor.u8(FIELD)?)?;
        let kinds = Kinds(cursor.u32(FIELD)?);
        let expires_ms = Some(cursor.u64(FIELD)?).filter(|&ms| ms != 0);
        let wrapped_key = cursor.array(FIELD)?;
        let sealed = cursor.text16(FIELD)?;
        within(
            sealed.len() as u64,
            0,
            BUNDLE_BYTES_MAX as u64,
            "sealed grant facts",
        )?;
        let slot = cursor.text16(FIELD)?;
        cursor.finish(FIELD)?;
        let slot = if slot.is_empty() {
            None
        } else {
            Some(PassphraseSlot::decode(slot)?)
        };
        let facts = SealedFacts {
            wrapped_key,
            sealed: sealed.to_vec(),
        };
        Ok(Self {
            subject,
            sealing_key,
            domain,
            rights,
            kinds,
            expires_ms,
            facts,
            slot,
        })
    }
}

/// The body that takes a key's rights away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// The key.
    pub subject: SignerId,
    /// From which entry on what it signed is distrusted.
    pub distrust_from: u64,
}

impl Revoke {
    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        Builder::new()
            .bytes(&self.subject.0)
            .u64(self.distrust_from)
            .finish()
    }

    /// Reads the body.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let field = "revoke body";
        let mut cursor = Cursor::new(bytes);
        let revoke = Self {
            subject: SignerId(cursor.array(field)?),
            distrust_from: cursor.u64(field)?,
        };
        cursor.finish(field)?;
        Ok(revoke)
    }
}
