//! Beginning an epoch: fresh secrets, sealed to the keys that stay (SPEC 3.16).
//!
//! Each key gets a share, sealed to its own sealing key, of what its rights call for;
//! a key that is left out gets nothing, whatever it holds of the epochs before. What
//! came before is sealed under the new secrets, class by class: who may read
//! what is written from now on may read what was, and a write key learns no private
//! key. So a lost rekey entry costs nothing once there is a later one.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::bundle::{BundleError, KeyBundle};
use crate::entry::BODY_BYTES_MAX;
use crate::ids::{CommitId, RepositoryId, SealingKey, SignerId};
use crate::limits::{EPOCHS_MAX, SHARE_BYTES_MAX, SHARES_MAX};
use crate::rights::Rights;
use crate::seal::{
    self, EPOCH_SHARE, EPOCH_SHARE_KEY, Label, OpenError, PAST_DATA_KEYS, PAST_META_KEYS,
    PAST_SECRETS, SEAL_OVERHEAD, UnusableKey, WRAPPED_BYTES, sealing_key_of,
};
use crate::secret::{SecretKey, past_key};
use crate::wire::{Builder, Cursor, LayoutError, ascending, within};

const FIELD: &str = "rekey body";
const SHARE: &str = "share of an epoch";
const PAST: &str = "past epochs";

/// What an epoch's parts are bound to (SPEC 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochBinding {
    /// The repository.
    pub repository: RepositoryId,
    /// The commit id of the rekey entry.
    pub commit: CommitId,
    /// The epoch that it begins.
    pub epoch: u32,
}

impl EpochBinding {
    fn bound(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.bytes(&self.repository.0)
            .bytes(&self.commit.0)
            .u32(self.epoch);
        out.finish()
    }

    fn bound_to(&self, subject: &SignerId) -> Vec<u8> {
        [&self.bound()[..], &subject.0].concat()
    }
}

/// Why a part of a rekey can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RekeyError {
    /// It does not open.
    #[error("it does not open")]
    Open(#[from] OpenError),
    /// It opens and is malformed.
    #[error("it is malformed")]
    Layout(#[from] LayoutError),
    /// It opens, and a private key is not the one of the public key beside it.
    #[error("it holds keys that do not belong together")]
    KeyPair,
}

impl From<BundleError> for RekeyError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Layout(error) => Self::Layout(error),
            BundleError::KeyPair(_) => Self::KeyPair,
        }
    }
}

/// All secrets of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochSecrets {
    /// The repository secret.
    pub psk: SecretKey,
    /// The index master.
    pub index_master: SecretKey,
    /// The meta private key.
    pub meta_private: SecretKey,
    /// The data private key.
    pub data_private: SecretKey,
}

impl EpochSecrets {
    /// Those of a bundle that holds them all.
    pub fn of(bundle: &KeyBundle) -> Option<Self> {
        let (verify, restore) = (bundle.verify.as_ref()?, bundle.restore.as_ref()?);
        Some(Self {
            psk: bundle.psk.clone(),
            index_master: verify.index_master.clone(),
            meta_private: verify.meta_private.clone(),
            data_private: restore.data_private.clone(),
        })
    }

    /// What a key gets of them, by its rights; a write key what is its domain's.
    pub fn share(&self, rights: Rights, index: impl FnOnce(&SecretKey) -> SecretKey) -> Share {
        let has = |right| rights.contains(right);
        Share {
            rights,
            psk: self.psk.clone(),
            meta_public: sealing_key_of(&self.meta_private),
            data_public: sealing_key_of(&self.data_private),
            index: has(Rights::WRITE).then(|| index(&self.index_master)),
            verify: has(Rights::VERIFY)
                .then(|| (self.index_master.clone(), self.meta_private.clone())),
            data_private: has(Rights::RESTORE).then(|| self.data_private.clone()),
        }
    }
}

/// What one key holds of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The rights that it was made for.
    pub rights: Rights,
    /// The repository secret.
    pub psk: SecretKey,
    /// Manifests, grant facts, pages and nodes are sealed to it.
    pub meta_public: SealingKey,
    /// Contents are sealed to it.
    pub data_public: SealingKey,
    /// With the write right: the index key of the key's domain.
    pub index: Option<SecretKey>,
    /// With the verify right: index master and meta private key.
    pub verify: Option<(SecretKey, SecretKey)>,
    /// With the restore right: the data private key.
    pub data_private: Option<SecretKey>,
}

impl Share {
    /// The plaintext.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Builder::new();
        out.u8(self.rights.to_byte())
            .bytes(self.psk.expose())
            .bytes(&self.meta_public.0)
            .bytes(&self.data_public.0);
        let index_master = self.verify.as_ref().map(|(index_master, _)| index_master);
        let meta_private = self.verify.as_ref().map(|(_, meta_private)| meta_private);
        let (index, data_private) = (self.index.as_ref(), self.data_private.as_ref());
        let keys = [index, index_master, meta_private, data_private];
        for key in keys.into_iter().flatten() {
            out.bytes(key.expose());
        }
        Zeroizing::new(out.finish())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, RekeyError> {
        let mut cursor = Cursor::new(bytes);
        let rights = Rights::from_byte(cursor.u8(SHARE)?)?;
        let key = |cursor: &mut Cursor<'_>| cursor.array(SHARE).map(SecretKey::new);
        let psk = key(&mut cursor)?;
        let meta_public = SealingKey(cursor.array(SHARE)?);
        let data_public = SealingKey(cursor.array(SHARE)?);
        let mut if_has = |right: Rights| {
            let has = rights.contains(right);
            has.then(|| key(&mut cursor)).transpose()
        };
        let index = if_has(Rights::WRITE)?;
        let index_master = if_has(Rights::VERIFY)?;
        let meta_private = if_has(Rights::VERIFY)?;
        let share = Self {
            rights,
            psk,
            meta_public,
            data_public,
            index,
            verify: index_master.zip(meta_private),
            data_private: if_has(Rights::RESTORE)?,
        };
        cursor.finish(SHARE)?;
        let differs = |private: Option<&SecretKey>, public| {
            private.is_some_and(|private| sealing_key_of(private) != public)
        };
        let meta = share.verify.as_ref().map(|(_, meta)| meta);
        if differs(meta, meta_public) || differs(share.data_private.as_ref(), data_public) {
            return Err(RekeyError::KeyPair);
        }
        Ok(share)
    }
}

/// To whom a share is sealed.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The key.
    pub subject: SignerId,
    /// Its sealing key, as the entry that authorised it states.
    pub sealing_key: SealingKey,
    /// The repository secret of the epoch in which it was authorised.
    pub psk: SecretKey,
}

/// A share that one key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedShare {
    subject: SignerId,
    wrapped_key: [u8; WRAPPED_BYTES],
    sealed: Vec<u8>,
}

impl SealedShare {
    /// Seals a share. `key` and `drawn` are fresh random bytes.
    pub fn seal(
        share: &Share,
        to: &Recipient,
        binding: &EpochBinding,
        key: &SecretKey,
        drawn: [u8; 32],
    ) -> Result<Self, UnusableKey> {
        let bound = binding.bound_to(&to.subject);
        let label = EPOCH_SHARE_KEY;
        Ok(Self {
            subject: to.subject,
            wrapped_key: seal::wrap(&to.sealing_key, &to.psk, label, &bound, key, drawn)?,
            sealed: seal::seal(key, EPOCH_SHARE, &bound, &share.encode()),
        })
    }

    /// For whom it is.
    pub fn subject(&self) -> SignerId {
        self.subject
    }

    /// How many bytes it takes in the body.
    pub fn len_bytes(&self) -> usize {
        32 + WRAPPED_BYTES + 2 + self.sealed.len()
    }

    /// Opens it with the private half of the recipient's sealing key, and the
    /// repository secret of the epoch in which it was authorised.
    pub fn open(
        &self,
        sealing_private: &SecretKey,
        psk: &SecretKey,
        binding: &EpochBinding,
    ) -> Result<Share, RekeyError> {
        let bound = binding.bound_to(&self.subject);
        let label = EPOCH_SHARE_KEY;
        let key = seal::unwrap(sealing_private, psk, label, &bound, &self.wrapped_key)?;
        Share::decode(&seal::open(&key, EPOCH_SHARE, &bound, &self.sealed)?)
    }
}

/// What the verify right opens of a past epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastMeta {
    /// The index master.
    pub index_master: SecretKey,
    /// The meta private key.
    pub meta_private: SecretKey,
    /// The data public key.
    pub data_public: SealingKey,
}

/// The body that begins an epoch, or gives more keys their share of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekey {
    epoch: u32,
    salt: [u8; 32],
    secrets: Vec<u8>,
    metas: Vec<u8>,
    datas: Vec<u8>,
    shares: Vec<SealedShare>,
}

impl Rekey {
    /// Begins the epoch that the binding names, from 1 on. `past` is what is known of
    /// epochs before it, at most 256; `salt` is fresh random bytes; the shares are of
    /// different keys, at least one, and are sorted here.
    pub fn seal(
        binding: &EpochBinding,
        new: &EpochSecrets,
        past: &BTreeMap<u32, EpochSecrets>,
        salt: [u8; 32],
        mut shares: Vec<SealedShare>,
    ) -> Result<Self, LayoutError> {
        shares.sort_by_key(|share| share.subject.0);
        let list = |keys: &dyn Fn(&EpochSecrets, &mut Builder)| {
            let mut out = Builder::new();
            out.count16(past.len());
            for (epoch, secrets) in past {
                out.u32(*epoch);
                keys(secrets, &mut out);
            }
            Zeroizing::new(out.finish())
        };
        let bound = binding.bound();
        let sealed = |under: &SecretKey, label, plain: &[u8]| {
            seal::seal(&past_key(under, &salt), label, &bound, plain)
        };
        let secrets = list(&|of, out| {
            out.bytes(of.psk.expose());
        });
        let metas = list(&|of, out| {
            out.bytes(of.index_master.expose())
                .bytes(of.meta_private.expose())
                .bytes(&sealing_key_of(&of.data_private).0);
        });
        let datas = list(&|of, out| {
            out.bytes(of.data_private.expose());
        });
        let rekey = Self {
            epoch: binding.epoch,
            salt,
            secrets: sealed(&new.psk, PAST_SECRETS, &secrets),
            metas: sealed(&new.meta_private, PAST_META_KEYS, &metas),
            datas: sealed(&new.data_private, PAST_DATA_KEYS, &datas),
            shares,
        };
        within(past.len() as u64, 0, EPOCHS_MAX as u64, PAST)?;
        // What is written must be what is read.
        Self::decode(&rekey.encode())
    }

    /// How many bytes of shares an entry has room for that tells of so many epochs
    /// before its own.
    pub fn room_bytes(past: usize) -> usize {
        let lists = [32, 3 * 32, 32].map(|keys| 2 + SEAL_OVERHEAD + 2 + past * (4 + keys));
        BODY_BYTES_MAX.saturating_sub(4 + 32 + lists.iter().sum::<usize>() + 2)
    }

    /// The epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The shares, ascending by subject.
    pub fn shares(&self) -> &[SealedShare] {
        &self.shares
    }

    /// The share of a key, if it has one.
    pub fn share_of(&self, subject: &SignerId) -> Option<&SealedShare> {
        self.shares.iter().find(|share| share.subject == *subject)
    }

    /// The repository secrets of epochs before, for who holds that of this one.
    pub fn past_secrets(
        &self,
        psk: &SecretKey,
        binding: &EpochBinding,
    ) -> Result<BTreeMap<u32, SecretKey>, RekeyError> {
        self.past((psk, PAST_SECRETS), &self.secrets, binding, |cursor| {
            cursor.array(PAST).map(SecretKey::new)
        })
    }

    /// What the verify right opens of epochs before, for who holds this one's meta
    /// private key.
    pub fn past_metas(
        &self,
        meta_private: &SecretKey,
        binding: &EpochBinding,
    ) -> Result<BTreeMap<u32, PastMeta>, RekeyError> {
        self.past(
            (meta_private, PAST_META_KEYS),
            &self.metas,
            binding,
            |cursor| {
                Ok(PastMeta {
                    index_master: SecretKey::new(cursor.array(PAST)?),
                    meta_private: SecretKey::new(cursor.array(PAST)?),
                    data_public: SealingKey(cursor.array(PAST)?),
                })
            },
        )
    }

    /// The data private keys of epochs before, for who holds that of this one.
    pub fn past_datas(
        &self,
        data_private: &SecretKey,
        binding: &EpochBinding,
    ) -> Result<BTreeMap<u32, SecretKey>, RekeyError> {
        self.past(
            (data_private, PAST_DATA_KEYS),
            &self.datas,
            binding,
            |cursor| cursor.array(PAST).map(SecretKey::new),
        )
    }

    fn past<T>(
        &self,
        (under, label): (&SecretKey, Label),
        sealed: &[u8],
        binding: &EpochBinding,
        read: impl Fn(&mut Cursor<'_>) -> Result<T, LayoutError>,
    ) -> Result<BTreeMap<u32, T>, RekeyError> {
        let key = past_key(under, &self.salt);
        let plain = seal::open(&key, label, &binding.bound(), sealed)?;
        let mut cursor = Cursor::new(&plain);
        let count = cursor.count16(0, EPOCHS_MAX, PAST)?;
        let mut past = Vec::with_capacity(count);
        for _ in 0..count {
            let epoch = cursor.u32(PAST)?;
            within(epoch.into(), 0, u64::from(self.epoch) - 1, PAST)?;
            past.push((epoch, read(&mut cursor)?));
        }
        cursor.finish(PAST)?;
        let epochs: Vec<u32> = past.iter().map(|(epoch, _)| *epoch).collect();
        ascending(&epochs, PAST)?;
        Ok(past.into_iter().collect())
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.u32(self.epoch)
            .bytes(&self.salt)
            .text16(&self.secrets)
            .text16(&self.metas)
            .text16(&self.datas)
            .count16(self.shares.len());
        for share in &self.shares {
            out.bytes(&share.subject.0)
                .bytes(&share.wrapped_key)
                .text16(&share.sealed);
        }
        out.finish()
    }

    /// Reads the body.
    pub fn decode(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        let epoch = cursor.u32(FIELD)?;
        within(epoch.into(), 1, u32::MAX.into(), "epoch that begins")?;
        let salt = cursor.array(FIELD)?;
        let secrets = cursor.text16(FIELD)?.to_vec();
        let metas = cursor.text16(FIELD)?.to_vec();
        let datas = cursor.text16(FIELD)?.to_vec();
        let count = cursor.count16(1, SHARES_MAX, "number of shares")?;
        let mut shares = Vec::new();
        for _ in 0..count {
            let subject = SignerId(cursor.array(FIELD)?);
            let wrapped_key = cursor.array(FIELD)?;
            let sealed = cursor.text16(FIELD)?;
            within(sealed.len() as u64, 0, SHARE_BYTES_MAX as u64, SHARE)?;
            shares.push(SealedShare {
                subject,
                wrapped_key,
                sealed: sealed.to_vec(),
            });
        }
        cursor.finish(FIELD)?;
        let subjects: Vec<[u8; 32]> = shares.iter().map(|share| share.subject.0).collect();
        ascending(&subjects, "shares of an epoch")?;
        Ok(Self {
            epoch,
            salt,
            secrets,
            metas,
            datas,
            shares,
        })
    }
}
