//! A key bundle under a passphrase (SPEC 5.5).
//!
//! Whoever can create the object that holds a slot chooses its cost, and on
//! locked storage nobody can withdraw it. So [`PassphraseSlot::decode`] bounds
//! the cost before anyone pays it.

use zeroize::Zeroizing;

use crate::bundle::{BundleError, KeyBundle};
use crate::ids::{CommitId, SignerId};
use crate::limits::BUNDLE_BYTES_MAX;
use crate::planted::{Bug, planted};
use crate::seal::{self, PASSPHRASE_SLOT, SEAL_OVERHEAD};
use crate::secret::SecretKey;
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "passphrase slot";
const KIND: u8 = 1;
const MEMORY_KIB_MAX: u32 = 1 << 20;
const WORK_KIB_MAX: u64 = 4 << 20;

/// What deriving a key from the passphrase costs (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Passes over the memory.
    pub passes: u32,
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            passes: 3,
            memory_kib: 262_144,
            lanes: 4,
        }
    }
}

impl Cost {
    /// The cheapest cost that a slot may have. For tests alone: a passphrase
    /// under it can be guessed at leisure.
    pub const CHEAPEST: Self = Self {
        passes: 1,
        memory_kib: 8,
        lanes: 1,
    };

    fn check(self) -> Result<(), LayoutError> {
        if planted(Bug::CostUnbounded) {
            return Ok(());
        }
        within(self.passes.into(), 1, 16, "passes of Argon2id")?;
        within(self.lanes.into(), 1, 16, "lanes of Argon2id")?;
        let least = 8 * u64::from(self.lanes);
        within(
            self.memory_kib.into(),
            least,
            MEMORY_KIB_MAX.into(),
            "memory of Argon2id, KiB",
        )?;
        let work = u64::from(self.passes) * u64::from(self.memory_kib);
        within(
            work,
            1,
            WORK_KIB_MAX,
            "passes times memory of Argon2id, KiB",
        )
    }

    fn derive(self, passphrase: &str, salt: &[u8; 32]) -> SecretKey {
        let params = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .expect("the cost was checked against narrower bounds");
        let argon =
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut out = Zeroizing::new([0; 32]);
        argon
            .hash_password_into(passphrase.trim().as_bytes(), salt, &mut *out)
            .expect("salt and output have lengths that RFC 9106 allows");
        SecretKey::new(*out)
    }
}

/// Why a slot can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// The passphrase is not the slot's.
    #[error("the passphrase does not open the slot")]
    WrongPassphrase,
    /// The slot was altered or moved.
    #[error("the slot was altered or moved from another entry")]
    Altered,
    /// It opens, and what it holds is no bundle.
    #[error("the slot holds no key bundle")]
    Bundle(#[source] BundleError),
}

/// A bundle that a passphrase opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseSlot {
    cost: Cost,
    salt: [u8; 32],
    sealed: Vec<u8>,
}

fn bound(commit: &CommitId, subject: &SignerId) -> Vec<u8> {
    [&commit.0[..], &subject.0].concat()
}

impl PassphraseSlot {
    /// Seals a bundle. `salt` is 32 fresh random bytes; `commit` and `subject`
    /// are those of the entry that will carry the slot.
    pub fn seal(
        bundle: &KeyBundle,
        passphrase: &str,
        cost: Cost,
        salt: [u8; 32],
        commit: &CommitId,
        subject: &SignerId,
    ) -> Result<Self, LayoutError> {
        cost.check()?;
        let key = cost.derive(passphrase, &salt);
        let sealed = seal::seal(
            &key,
            PASSPHRASE_SLOT,
            &bound(commit, subject),
            &bundle.encode(),
        );
        Ok(Self { cost, salt, sealed })
    }

    /// Opens the slot. Takes the time and memory that its cost says.
    pub fn open(
        &self,
        passphrase: &str,
        commit: &CommitId,
        subject: &SignerId,
    ) -> Result<KeyBundle, SlotError> {
        let key = self.cost.derive(passphrase, &self.salt);
        let plain = seal::open(&key, PASSPHRASE_SLOT, &bound(commit, subject), &self.sealed)
            .map_err(|error| match error {
                seal::OpenError::OtherKey => SlotError::WrongPassphrase,
                seal::OpenError::TooShort | seal::OpenError::Altered => SlotError::Altered,
            })?;
        KeyBundle::decode(&plain).map_err(SlotError::Bundle)
    }

    /// What opening costs.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The slot's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.u8(KIND)
            .u32(self.cost.passes)
            .u32(self.cost.memory_kib)
            .u32(self.cost.lanes);
        out.bytes(&self.salt).text16(&self.sealed);
        out.finish()
    }

    /// Reads a slot.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        within(
            cursor.u8(FIELD)?.into(),
            KIND.into(),
            KIND.into(),
            "kind of the slot",
        )?;
        let cost = Cost {
            passes: cursor.u32(FIELD)?,
            memory_kib: cursor.u32(FIELD)?,
            lanes: cursor.u32(FIELD)?,
        };
        cost.check()?;
        let salt = cursor.array(FIELD)?;
        let sealed = cursor.text16(FIELD)?.to_vec();
        cursor.finish(FIELD)?;
        within(
            sealed.len() as u64,
            0,
            (BUNDLE_BYTES_MAX + SEAL_OVERHEAD) as u64,
            "sealed bundle",
        )?;
        Ok(Self { cost, salt, sealed })
    }
}
