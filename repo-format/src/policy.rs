//! What a repository promises to keep, and for how long (SPEC 17).
//!
//! A policy is sealed under a key that every holder of the repository secret can
//! derive: writers must know for how long to lock what they store, and they hold no
//! private key. Whoever holds the storage alone learns nothing of the NAMEs in it.
//! That it was meant is for the entry's signature to say.

use crate::ids::{CommitId, RepositoryId};
use crate::limits::{HOLDS_MAX, PATTERNS_MAX, POLICY_BYTES_MAX, RETAIN_MS_MAX};
use crate::name::{Name, Pattern};
use crate::seal::{self, OpenError, POLICY};
use crate::secret::{SecretKey, policy_key};
use crate::wire::{Builder, Cursor, LayoutError, ascending, within};

const FIELD: &str = "policy";

/// Who may break the locks of a store that has several kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever the storage's owner grants it to.
    Governance,
    /// Nobody, until they end.
    Compliance,
}

/// For how long snapshots of some NAMEs are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Promise {
    /// Which NAMEs.
    pub pattern: Pattern,
    /// From their commit on, milliseconds; at least 1 and at most 100 years.
    pub retain_ms: u64,
}

/// One snapshot that is kept for longer than its NAME has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    /// Its entry.
    pub entry: u64,
    /// Until when, Unix milliseconds; not 0.
    pub until_ms: u64,
}

/// All that is promised. The newest policy counts, and it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    mode: LockMode,
    promises: Vec<Promise>,
    holds: Vec<Hold>,
}

/// Why a policy can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It does not open.
    #[error("it does not open")]
    Open(#[from] OpenError),
    /// It opens and is malformed.
    #[error("it is malformed")]
    Layout(#[from] LayoutError),
}

impl Policy {
    /// A policy of at least one promise, whose patterns differ, and of at most 1,024
    /// holds of different entries. Both are sorted here.
    pub fn new(
        mode: LockMode,
        mut promises: Vec<Promise>,
        mut holds: Vec<Hold>,
    ) -> Result<Self, LayoutError> {
        promises.sort();
        holds.sort();
        let policy = Self {
            mode,
            promises,
            holds,
        };
        // What is written must be what is read.
        Self::decode(&policy.encode())
    }

    /// Who may break the locks.
    pub fn mode(&self) -> LockMode {
        self.mode
    }

    /// For how long which NAMEs are kept, by pattern.
    pub fn promises(&self) -> &[Promise] {
        &self.promises
    }

    /// The snapshots that are kept for longer, by entry.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// For how long snapshots of a NAME are kept, milliseconds: the longest of all
    /// promises that match it.
    pub fn retain_ms(&self, name: &Name) -> Option<u64> {
        let matching = self
            .promises
            .iter()
            .filter(|promise| promise.pattern.matches(name));
        matching.map(|promise| promise.retain_ms).max()
    }

    /// For how long those NAMEs are kept that are kept longest, milliseconds.
    pub fn longest_ms(&self) -> u64 {
        let all = self.promises.iter().map(|promise| promise.retain_ms);
        all.max().expect("a policy has a promise")
    }

    /// Until when a snapshot is held, if it is.
    pub fn held_until_ms(&self, entry: u64) -> Option<u64> {
        let held = self.holds.iter().find(|hold| hold.entry == entry);
        held.map(|hold| hold.until_ms)
    }

    /// The plaintext.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.u8(match self.mode {
            LockMode::Governance => 1,
            LockMode::Compliance => 2,
        });
        out.count16(self.promises.len());
        for promise in &self.promises {
            out.text8(promise.pattern.as_str().as_bytes())
                .u64(promise.retain_ms);
        }
        out.count16(self.holds.len());
        for hold in &self.holds {
            out.u64(hold.entry).u64(hold.until_ms);
        }
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        let mode = match cursor.u8(FIELD)? {
            1 => LockMode::Governance,
            2 => LockMode::Compliance,
            _ => return Err(LayoutError::Reserved { field: "lock mode" }),
        };
        let promises = decode_promises(&mut cursor)?;
        let holds = decode_holds(&mut cursor)?;
        cursor.finish(FIELD)?;
        Ok(Self {
            mode,
            promises,
            holds,
        })
    }

    /// The body of an entry. `salt` is fresh random bytes.
    pub fn seal(
        &self,
        repository: &RepositoryId,
        commit: &CommitId,
        psk: &SecretKey,
        salt: [u8; 32],
    ) -> Vec<u8> {
        let key = policy_key(psk, &salt);
        let sealed = seal::seal(&key, POLICY, &bound(repository, commit), &self.encode());
        [&salt[..], &sealed].concat()
    }

    /// Opens the body of an entry with the repository secret.
    pub fn open(
        body: &[u8],
        repository: &RepositoryId,
        commit: &CommitId,
        psk: &SecretKey,
    ) -> Result<Self, PolicyError> {
        let mut cursor = Cursor::new(body);
        let salt = cursor.array::<32>(FIELD)?;
        let sealed = cursor.rest();
        within(
            sealed.len() as u64,
            0,
            POLICY_BYTES_MAX as u64,
            "sealed policy",
        )?;
        let key = policy_key(psk, &salt);
        let plain = seal::open(&key, POLICY, &bound(repository, commit), sealed)?;
        Ok(Self::decode(&plain)?)
    }
}

fn decode_promises(cursor: &mut Cursor<'_>) -> Result<Vec<Promise>, LayoutError> {
    let count = cursor.count16(1, PATTERNS_MAX, "number of promises")?;
    let mut promises = Vec::with_capacity(count);
    for _ in 0..count {
        let text = cursor.text8(FIELD)?;
        let pattern = Pattern::new(text).map_err(|_| LayoutError::NotCanonical {
            field: "NAME pattern",
        })?;
        let retain_ms = cursor.u64(FIELD)?;
        within(retain_ms, 1, RETAIN_MS_MAX, "time to keep")?;
        promises.push(Promise { pattern, retain_ms });
    }
    let patterns: Vec<&Pattern> = promises.iter().map(|promise| &promise.pattern).collect();
    ascending(&patterns, "promises")?;
    Ok(promises)
}

fn decode_holds(cursor: &mut Cursor<'_>) -> Result<Vec<Hold>, LayoutError> {
    let count = cursor.count16(0, HOLDS_MAX, "number of holds")?;
    let mut holds = Vec::with_capacity(count);
    for _ in 0..count {
        let hold = Hold {
            entry: cursor.u64(FIELD)?,
            until_ms: cursor.u64(FIELD)?,
        };
        within(hold.until_ms, 1, u64::MAX, "end of a hold")?;
        holds.push(hold);
    }
    let entries: Vec<u64> = holds.iter().map(|hold| hold.entry).collect();
    ascending(&entries, "holds")?;
    Ok(holds)
}

/// What a sealed policy is bound to (SPEC 2.7).
fn bound(repository: &RepositoryId, commit: &CommitId) -> Vec<u8> {
    [&repository.0[..], &commit.0].concat()
}
