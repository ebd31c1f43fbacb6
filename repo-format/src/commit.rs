//! What a snapshot adds and what it reaches (SPEC 3.9, 7.1 to 7.3).
//!
//! The list of new packs is clear, so that a store can be checked, locked and
//! copied without a key. Reach and manifest are sealed and bound to the commit,
//! so neither can be moved to another entry.

use zeroize::Zeroizing;

use crate::ids::{CommitId, DomainId, PackId, RecordId, RepositoryId, SealingKey};
use crate::limits::{
    COMMIT_BYTES_MAX, COMMIT_PACKS_MAX, MANIFEST_BYTES_MAX, PACK_BYTES_MAX, REACH_BYTES_MAX,
};
use crate::manifest::Manifest;
use crate::seal::{self, MANIFEST, MANIFEST_KEY, OpenError, REACH, UnusableKey, WRAPPED_BYTES};
use crate::secret::{SecretKey, reach_key};
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "commit body";
const PACK_BYTES: usize = 68;

/// The body of a snapshot entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotBody {
    /// The commit body stands in the entry.
    Inline(CommitBody),
    /// It stands in an object of its own.
    Record {
        /// The record's id.
        id: RecordId,
        /// Its length, bytes.
        len: u32,
    },
}

impl SnapshotBody {
    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        match self {
            Self::Inline(body) => out.u8(0).bytes(&body.encode()),
            Self::Record { id, len } => out.u8(1).bytes(&id.0).u32(*len),
        };
        out.finish()
    }

    /// Reads the body.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u8(FIELD)? {
            0 => Ok(Self::Inline(CommitBody::decode(cursor.rest())?)),
            1 => {
                let id = RecordId(cursor.array(FIELD)?);
                let len = cursor.u32(FIELD)?;
                within(
                    len.into(),
                    0,
                    COMMIT_BYTES_MAX as u64,
                    "length of the commit record",
                )?;
                cursor.finish(FIELD)?;
                Ok(Self::Record { id, len })
            }
            found => Err(LayoutError::Unknown {
                field: "placement of the commit body",
                found: found.into(),
            }),
        }
    }
}

/// A pack that a commit added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPack {
    /// Its id.
    pub id: PackId,
    /// Its length, bytes.
    pub len: u32,
    /// SHA-256 of its bytes, which stores can check by themselves.
    pub sha256: [u8; 32],
}

/// What the sealed parts of a commit are bound to (SPEC 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The repository.
    pub repository: RepositoryId,
    /// The commit.
    pub commit: CommitId,
    /// The signer's domain.
    pub domain: DomainId,
    /// The keys' epoch.
    pub epoch: u32,
}

impl Binding {
    fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.bytes(&self.repository.0)
            .bytes(&self.commit.0)
            .bytes(&self.domain.0)
            .u32(self.epoch);
        out.finish()
    }
}

/// All that a snapshot states (SPEC 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitBody {
    /// Until when its packs shall be kept, Unix milliseconds; `None`: no promise.
    pub retain_until_ms: Option<u64>,
    /// The packs that it adds.
    pub packs: Vec<NewPack>,
    salt: [u8; 32],
    reach: Vec<u8>,
    manifest_key: [u8; WRAPPED_BYTES],
    manifest: Vec<u8>,
}

/// The fresh random bytes that one commit takes.
#[derive(Clone)]
pub struct CommitRandomness {
    /// Salt of the reach key.
    pub salt: [u8; 32],
    /// Key of the manifest.
    pub manifest_key: SecretKey,
    /// Drawn for wrapping it.
    pub wrap: [u8; 32],
}

/// What a commit is sealed with.
#[derive(Debug, Clone, Copy)]
pub struct CommitKeys<'a> {
    /// Index key of the writer's domain.
    pub index: &'a SecretKey,
    /// Readers of manifests.
    pub meta_public: &'a SealingKey,
    /// The repository secret.
    pub psk: &'a SecretKey,
}

/// Why a commit's sealed part can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// It does not open.
    #[error("it does not open")]
    Open(#[from] OpenError),
    /// It opens and is malformed.
    #[error("it is malformed")]
    Layout(#[from] LayoutError),
}

impl CommitBody {
    /// Seals a commit.
    pub fn seal(
        binding: &Binding,
        packs: Vec<NewPack>,
        retain_until_ms: Option<u64>,
        reach: &Reach,
        manifest: &Manifest,
        keys: CommitKeys<'_>,
        random: &CommitRandomness,
    ) -> Result<Self, UnusableKey> {
        let bound = binding.encode();
        let reach_key = reach_key(keys.index, &random.salt);
        Ok(Self {
            retain_until_ms,
            packs,
            salt: random.salt,
            reach: seal::seal(&reach_key, REACH, &bound, &reach.encode()),
            manifest_key: seal::wrap(
                keys.meta_public,
                keys.psk,
                MANIFEST_KEY,
                &bound,
                &random.manifest_key,
                random.wrap,
            )?,
            manifest: seal::seal(&random.manifest_key, MANIFEST, &bound, &manifest.encode()),
        })
    }

    /// Opens the reach of a commit whose entry has the number `before`.
    pub fn open_reach(
        &self,
        binding: &Binding,
        before: u64,
        index_key: &SecretKey,
    ) -> Result<Reach, CommitError> {
        let key = reach_key(index_key, &self.salt);
        let plain = seal::open(&key, REACH, &binding.encode(), &self.reach)?;
        Ok(Reach::decode(&plain, before)?)
    }

    /// Opens the manifest with the verify right.
    pub fn open_manifest(
        &self,
        binding: &Binding,
        meta_private: &SecretKey,
        psk: &SecretKey,
    ) -> Result<Manifest, CommitError> {
        let plain = self.unseal_manifest(binding, meta_private, psk)?;
        Ok(Manifest::decode(&plain)?)
    }

    /// Opens the manifest's bytes with the verify right.
    pub fn unseal_manifest(
        &self,
        binding: &Binding,
        meta_private: &SecretKey,
        psk: &SecretKey,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let bound = binding.encode();
        let key = seal::unwrap(meta_private, psk, MANIFEST_KEY, &bound, &self.manifest_key)?;
        seal::open(&key, MANIFEST, &bound, &self.manifest)
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.u64(self.retain_until_ms.unwrap_or(0))
            .count32(self.packs.len());
        for pack in &self.packs {
            out.bytes(&pack.id.0).u32(pack.len).bytes(&pack.sha256);
        }
        out.bytes(&self.salt)
            .text32(&self.reach)
            .bytes(&self.manifest_key)
            .text32(&self.manifest);
        out.finish()
    }

    /// Reads a body.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        within(
            bytes.len() as u64,
            0,
            COMMIT_BYTES_MAX as u64,
            "length of the commit body",
        )?;
        let mut cursor = Cursor::new(bytes);
        let retain_until_ms = Some(cursor.u64(FIELD)?).filter(|&ms| ms != 0);
        let count = cursor.count32(0, COMMIT_PACKS_MAX, "new packs of the commit")?;
        let mut packs = Vec::with_capacity(count.min(cursor.remaining() / PACK_BYTES));
        for _ in 0..count {
            let pack = NewPack {
                id: PackId(cursor.array(FIELD)?),
                len: cursor.u32(FIELD)?,
                sha256: cursor.array(FIELD)?,
            };
            within(
                pack.len.into(),
                1,
                PACK_BYTES_MAX as u64,
                "length of a new pack",
            )?;
            packs.push(pack);
        }
        let mut ids: Vec<PackId> = packs.iter().map(|pack| pack.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(LayoutError::NotCanonical {
                field: "new packs of the commit",
            });
        }
        let body = Self {
            retain_until_ms,
            packs,
            salt: cursor.array(FIELD)?,
            reach: cursor.text32(REACH_BYTES_MAX, "sealed reach")?.to_vec(),
            manifest_key: cursor.array(FIELD)?,
            manifest: cursor
                .text32(MANIFEST_BYTES_MAX, "sealed manifest")?
                .to_vec(),
        };
        cursor.finish(FIELD)?;
        Ok(body)
    }
}

/// Some successive packs of one entry's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReachRange {
    /// The entry.
    pub entry: u64,
    /// First place in its pack list.
    pub first: u32,
    /// How many packs.
    pub count: u32,
}

/// The packs of earlier entries that a snapshot needs (SPEC 7.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    ranges: Vec<ReachRange>,
}

impl Reach {
    /// Collects (entry number, place in its pack list) pairs, in any order.
    pub fn collect(places: impl IntoIterator<Item = (u64, u32)>) -> Self {
        let mut places: Vec<(u64, u32)> = places.into_iter().collect();
        places.sort_unstable();
        places.dedup();
        let mut ranges: Vec<ReachRange> = Vec::new();
        for (entry, place) in places {
            match ranges.last_mut() {
                Some(last) if last.entry == entry && last.first + last.count == place => {
                    last.count += 1;
                }
                _ => ranges.push(ReachRange {
                    entry,
                    first: place,
                    count: 1,
                }),
            }
        }
        Self { ranges }
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[ReachRange] {
        &self.ranges
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.count32(self.ranges.len());
        for range in &self.ranges {
            out.u64(range.entry).u32(range.first).u32(range.count);
        }
        out.finish()
    }

    fn decode(plain: &[u8], before: u64) -> Result<Self, LayoutError> {
        let field = "reach";
        let mut cursor = Cursor::new(plain);
        let count = cursor.count32(0, REACH_BYTES_MAX / 16, "ranges of the reach")?;
        let mut ranges: Vec<ReachRange> = Vec::with_capacity(count.min(cursor.remaining() / 16));
        for _ in 0..count {
            let range = ReachRange {
                entry: cursor.u64(field)?,
                first: cursor.u32(field)?,
                count: cursor.u32(field)?,
            };
            if range.entry >= before {
                return Err(LayoutError::NotCanonical {
                    field: "entry of the reach",
                });
            }
            within(
                range.count.into(),
                1,
                COMMIT_PACKS_MAX as u64,
                "packs of a range",
            )?;
            within(
                range.first.into(),
                0,
                COMMIT_PACKS_MAX as u64,
                "first pack of a range",
            )?;
            if let Some(last) = ranges.last() {
                let apart = last.entry < range.entry
                    || (last.entry == range.entry && last.first + last.count < range.first);
                if !apart {
                    return Err(LayoutError::NotAscending { field });
                }
            }
            ranges.push(range);
        }
        cursor.finish(field)?;
        Ok(Self { ranges })
    }
}
