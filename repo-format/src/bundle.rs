//! What a key holds: its own secrets, and those of the repository that its
//! rights call for (SPEC 5.2, 5.4).
//!
//! The fields follow the rights as types: a write-only bundle has no place for a
//! private key, so no bug can hand one out. Slots and key files carry the same
//! bundle.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::grant::GrantFacts;
use crate::ids::{DomainId, SealingKey, SignerId};
use crate::limits::BUNDLE_BYTES_MAX;
use crate::rights::Rights;
use crate::seal::{sealing_key_of, signer_of};
use crate::secret::{self, SecretKey};
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "key bundle";
const VERSION: u8 = 1;

/// Why bytes are no key bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Wrong layout, or records that the rights don't call for.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A private key is not the one of the public key beside it.
    #[error("the {0} private key does not belong to the public key beside it")]
    KeyPair(&'static str),
}

/// The keys under which one domain names, cuts and indexes (SPEC 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainKeys {
    /// Names data chunks.
    pub data_id: SecretKey,
    /// Names pages and nodes.
    pub node_id: SecretKey,
    /// Cuts.
    pub gear: SecretKey,
    /// Opens directories and reaches.
    pub index: SecretKey,
}

/// What the verify right adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyKeys {
    /// From which every domain's node-id key derives.
    pub node_id_master: SecretKey,
    /// From which every domain's index key derives.
    pub index_master: SecretKey,
    /// Opens manifests, grant facts and the keys of pages and nodes.
    pub meta_private: SecretKey,
}

/// What the restore right adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreKeys {
    /// From which every domain's data-id key derives.
    pub data_id_master: SecretKey,
    /// Opens the keys of data chunks.
    pub data_private: SecretKey,
}

/// All that a key holds in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBundle {
    /// Domain in which it writes.
    pub domain: DomainId,
    /// Epoch of the secrets.
    pub epoch: u32,
    /// Ed25519 seed with which it signs.
    pub signing_seed: SecretKey,
    /// Its own X25519 private key, for rekeying.
    pub sealing_private: SecretKey,
    /// The repository secret: the PSK of every wrapped key.
    pub psk: SecretKey,
    /// Manifests, grant facts, pages and nodes are sealed to it.
    pub meta_public: SealingKey,
    /// Contents are sealed to it.
    pub data_public: SealingKey,
    /// The write right.
    pub write: Option<DomainKeys>,
    /// The verify right.
    pub verify: Option<VerifyKeys>,
    /// The restore right.
    pub restore: Option<RestoreKeys>,
    /// Whether it has the admin right.
    pub admin: bool,
    /// With it, a key with every right can make write keys.
    pub gear_master: Option<SecretKey>,
    /// Label and NAMEs.
    pub facts: GrantFacts,
    /// A host with this key keeps nothing with which its own packs could be read
    /// again: write without restore only.
    pub strict: bool,
}

impl KeyBundle {
    /// The rights that it holds.
    pub fn rights(&self) -> Rights {
        let mut byte = 0;
        for (held, right) in [
            (self.write.is_some(), Rights::WRITE),
            (self.verify.is_some(), Rights::VERIFY),
            (self.restore.is_some(), Rights::RESTORE),
            (self.admin, Rights::ADMIN),
        ] {
            byte |= if held { right.to_byte() } else { 0 };
        }
        Rights::from_byte(byte).expect("a bundle is made with some right, and with what it implies")
    }

    /// The public key that names it.
    pub fn signer(&self) -> SignerId {
        signer_of(&self.signing_seed)
    }

    /// Every secret in the bundle, for showing what it can't open.
    pub fn secrets(&self) -> Vec<&SecretKey> {
        let mut secrets = vec![&self.signing_seed, &self.sealing_private, &self.psk];
        if let Some(keys) = &self.write {
            secrets.extend([&keys.data_id, &keys.node_id, &keys.gear, &keys.index]);
        }
        if let Some(keys) = &self.verify {
            secrets.extend([&keys.node_id_master, &keys.index_master, &keys.meta_private]);
        }
        if let Some(keys) = &self.restore {
            secrets.extend([&keys.data_id_master, &keys.data_private]);
        }
        secrets.extend(&self.gear_master);
        secrets
    }

    /// The index key of a domain, if this key may open its directories.
    pub fn index_key(&self, domain: &DomainId) -> Option<SecretKey> {
        match (&self.verify, &self.write) {
            (Some(verify), _) => Some(secret::index_key(&verify.index_master, domain)),
            (None, Some(write)) if *domain == self.domain => Some(write.index.clone()),
            _ => None,
        }
    }

    /// The node-id key of a domain, if this key may know it.
    pub fn node_id_key(&self, domain: &DomainId) -> Option<SecretKey> {
        match (&self.verify, &self.write) {
            (Some(verify), _) => Some(secret::node_id_key(&verify.node_id_master, domain)),
            (None, Some(write)) if *domain == self.domain => Some(write.node_id.clone()),
            _ => None,
        }
    }

    /// The data-id key of a domain, if this key may know it.
    pub fn data_id_key(&self, domain: &DomainId) -> Option<SecretKey> {
        match (&self.restore, &self.write) {
            (Some(restore), _) => Some(secret::data_id_key(&restore.data_id_master, domain)),
            (None, Some(write)) if *domain == self.domain => Some(write.data_id.clone()),
            _ => None,
        }
    }

    /// The bundle's bytes.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Builder::new();
        out.u8(VERSION)
            .u8(self.rights().to_byte())
            .bytes(&self.domain.0)
            .u32(self.epoch);
        let mut record = |tag: u8, value: &[u8]| {
            out.u8(tag).text16(value);
        };
        record(1, self.signing_seed.expose());
        record(2, self.sealing_private.expose());
        record(3, self.psk.expose());
        record(4, &self.meta_public.0);
        record(5, &self.data_public.0);
        if let Some(keys) = &self.write {
            record(6, keys.data_id.expose());
            record(7, keys.node_id.expose());
            record(8, keys.gear.expose());
            record(9, keys.index.expose());
        }
        if let Some(keys) = &self.verify {
            record(10, keys.node_id_master.expose());
            record(11, keys.index_master.expose());
            record(12, keys.meta_private.expose());
        }
        if let Some(keys) = &self.restore {
            record(13, keys.data_id_master.expose());
            record(14, keys.data_private.expose());
        }
        if let Some(master) = &self.gear_master {
            record(15, master.expose());
        }
        record(16, &self.facts.encode());
        if self.strict {
            record(17, &[]);
        }
        Zeroizing::new(out.finish())
    }

    /// Reads a bundle, and checks that it holds what its rights call for and
    /// that its key pairs are pairs.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        within(bytes.len() as u64, 0, BUNDLE_BYTES_MAX as u64, FIELD)?;
        let mut cursor = Cursor::new(bytes);
        within(
            cursor.u8(FIELD)?.into(),
            VERSION.into(),
            VERSION.into(),
            "version of the key bundle",
        )?;
        let rights = Rights::from_byte(cursor.u8(FIELD)?)?;
        let domain = DomainId(cursor.array(FIELD)?);
        let epoch = cursor.u32(FIELD)?;
        let mut records = Records::read(cursor)?;

        let write = rights.contains(Rights::WRITE);
        let restore = rights.contains(Rights::RESTORE);
        let admin = rights.contains(Rights::ADMIN);
        let bundle = Self {
            domain,
            epoch,
            signing_seed: records.key(1)?,
            sealing_private: records.key(2)?,
            psk: records.key(3)?,
            meta_public: SealingKey(*records.key(4)?.expose()),
            data_public: SealingKey(*records.key(5)?.expose()),
            write: write.then(|| records.domain_keys()).transpose()?,
            verify: rights
                .contains(Rights::VERIFY)
                .then(|| records.verify_keys())
                .transpose()?,
            restore: restore.then(|| records.restore_keys()).transpose()?,
            admin,
            gear_master: (write && restore && admin)
                .then(|| records.key(15))
                .transpose()?,
            facts: GrantFacts::decode(records.value(16)?)?,
            strict: write && !restore && records.flag(17)?,
        };
        records.finish()?;
        bundle.check_pairs()?;
        Ok(bundle)
    }

    pub(crate) fn check_pairs(&self) -> Result<(), BundleError> {
        let meta = self.verify.as_ref().map(|keys| &keys.meta_private);
        if meta.is_some_and(|private| sealing_key_of(private) != self.meta_public) {
            return Err(BundleError::KeyPair("meta"));
        }
        let data = self.restore.as_ref().map(|keys| &keys.data_private);
        if data.is_some_and(|private| sealing_key_of(private) != self.data_public) {
            return Err(BundleError::KeyPair("data"));
        }
        Ok(())
    }
}

/// The tagged records of a bundle, each to be taken exactly once.
struct Records<'a>(BTreeMap<u8, &'a [u8]>);

impl<'a> Records<'a> {
    fn read(mut cursor: Cursor<'a>) -> Result<Self, LayoutError> {
        let mut records = BTreeMap::new();
        while cursor.remaining() > 0 {
            let tag = cursor.u8(FIELD)?;
            if records
                .last_key_value()
                .is_some_and(|(&last, _)| last >= tag)
            {
                return Err(LayoutError::NotAscending {
                    field: "records of the key bundle",
                });
            }
            records.insert(tag, cursor.text16(FIELD)?);
        }
        Ok(Self(records))
    }

    fn value(&mut self, tag: u8) -> Result<&'a [u8], LayoutError> {
        self.0.remove(&tag).ok_or(LayoutError::Missing {
            field: "a record that the key's rights call for",
        })
    }

    fn key(&mut self, tag: u8) -> Result<SecretKey, LayoutError> {
        let value = self.value(tag)?;
        let bytes = value.try_into().map_err(|_| LayoutError::NotCanonical {
            field: "length of a key",
        })?;
        Ok(SecretKey::new(bytes))
    }

    /// Whether a record without content stands there.
    fn flag(&mut self, tag: u8) -> Result<bool, LayoutError> {
        match self.0.remove(&tag) {
            None => Ok(false),
            Some([]) => Ok(true),
            Some(_) => Err(LayoutError::NotCanonical {
                field: "length of a mark",
            }),
        }
    }

    fn domain_keys(&mut self) -> Result<DomainKeys, LayoutError> {
        Ok(DomainKeys {
            data_id: self.key(6)?,
            node_id: self.key(7)?,
            gear: self.key(8)?,
            index: self.key(9)?,
        })
    }

    fn verify_keys(&mut self) -> Result<VerifyKeys, LayoutError> {
        Ok(VerifyKeys {
            node_id_master: self.key(10)?,
            index_master: self.key(11)?,
            meta_private: self.key(12)?,
        })
    }

    fn restore_keys(&mut self) -> Result<RestoreKeys, LayoutError> {
        Ok(RestoreKeys {
            data_id_master: self.key(13)?,
            data_private: self.key(14)?,
        })
    }

    fn finish(self) -> Result<(), LayoutError> {
        match self.0.first_key_value() {
            None => Ok(()),
            Some((&tag, _)) => Err(LayoutError::Unknown {
                field: "tag of a record of the key bundle",
                found: tag.into(),
            }),
        }
    }
}
