//! What a key holds of each epoch: what its file or slot says, what rekey entries give
//! it, and what those tell of the time before (SPEC 5.7).
//!
//! The log is public and a key's own secrets are not, so this opens what is sealed to
//! them and believes nothing else. A share that does not open, or holds other than the
//! key's rights call for, is none: the key then goes on with the epochs that it has.

use std::collections::BTreeMap;

use crate::authority::Authority;
use crate::bundle::{DomainKeys, KeyBundle, RestoreKeys, VerifyKeys};
use crate::entry::{Body, Entry};
use crate::ids::RepositoryId;
use crate::planted::{Bug, planted};
use crate::rekey::{EpochBinding, Rekey, Share};
use crate::seal::sealing_key_of;
use crate::secret::{SecretKey, index_key};

/// A key, as it stands in every epoch of which it has a part.
#[derive(Debug, Clone)]
pub struct KeyRing {
    /// The epoch of its file or slot.
    own: u32,
    newest: KeyBundle,
    bundles: BTreeMap<u32, KeyBundle>,
    secrets: BTreeMap<u32, SecretKey>,
}

impl KeyRing {
    /// Gathers what a key holds by the entries of its log, given ascending.
    pub fn gather<'e>(
        key: KeyBundle,
        authority: &Authority,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> Self {
        let (id, own) = (key.signer(), key.epoch);
        let mut rekeys: Vec<(bool, &Rekey, EpochBinding)> = Vec::new();
        for entry in entries {
            if let Body::Rekey(rekey) = entry.body() {
                let binding = binding(authority.repository(), entry, rekey);
                rekeys.push((authority.is_distrusted(entry), rekey, binding));
            }
        }
        let mut ring = Self {
            own,
            newest: key.clone(),
            secrets: BTreeMap::from([(own, key.psk.clone())]),
            bundles: BTreeMap::from([(own, key)]),
        };
        // What is trusted comes first, and of one epoch the first.
        rekeys.sort_by_key(|(distrusted, ..)| *distrusted);
        for (distrusted, rekey, binding) in &rekeys {
            let (key, epoch) = (&ring.bundles[&own], binding.epoch);
            let share = rekey
                .share_of(&id)
                .filter(|_| !ring.bundles.contains_key(&epoch))
                .and_then(|share| share.open(&key.sealing_private, &key.psk, binding).ok());
            let Some(bundle) = share.and_then(|share| of_share(key, epoch, share)) else {
                continue;
            };
            if epoch > ring.newest.epoch && (!distrusted || planted(Bug::DistrustIgnored)) {
                ring.newest = bundle.clone();
            }
            ring.secrets.insert(epoch, bundle.psk.clone());
            ring.bundles.insert(epoch, bundle);
        }
        // The newest first: it tells of all before it, and those of what it does not know.
        rekeys.sort_by_key(|(distrusted, _, binding)| (*distrusted, u32::MAX - binding.epoch));
        for (_, rekey, binding) in &rekeys {
            ring.learn_past(rekey, binding);
        }
        ring
    }

    fn learn_past(&mut self, rekey: &Rekey, binding: &EpochBinding) {
        let Some(key) = self.bundles.get(&binding.epoch).cloned() else {
            return;
        };
        let secrets = rekey.past_secrets(&key.psk, binding).unwrap_or_default();
        for (epoch, psk) in &secrets {
            self.secrets.entry(*epoch).or_insert_with(|| psk.clone());
        }
        let Some(verify) = &key.verify else { return };
        let metas = rekey.past_metas(&verify.meta_private, binding);
        let datas = key
            .restore
            .as_ref()
            .and_then(|restore| rekey.past_datas(&restore.data_private, binding).ok())
            .unwrap_or_default();
        for (epoch, meta) in metas.unwrap_or_default() {
            let Some(psk) = secrets.get(&epoch) else {
                continue;
            };
            let share = Share {
                rights: key.rights(),
                psk: psk.clone(),
                meta_public: sealing_key_of(&meta.meta_private),
                data_public: meta.data_public,
                index: key
                    .write
                    .as_ref()
                    .map(|_| index_key(&meta.index_master, &key.domain)),
                verify: Some((meta.index_master, meta.meta_private)),
                data_private: datas.get(&epoch).cloned(),
            };
            if !self.bundles.contains_key(&epoch)
                && let Some(bundle) = of_share(&key, epoch, share)
            {
                self.bundles.insert(epoch, bundle);
            }
        }
    }

    /// The same key, by what the log says now.
    #[must_use]
    pub fn again<'e>(
        &self,
        authority: &Authority,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> Self {
        Self::gather(self.bundles[&self.own].clone(), authority, entries)
    }

    /// The key in the epoch in which it writes: the newest of which it has a part, less
    /// those that a distrusted key began.
    pub fn newest(&self) -> &KeyBundle {
        &self.newest
    }

    /// The key in an epoch, if it has all of that which its rights call for.
    pub fn at(&self, epoch: u32) -> Option<&KeyBundle> {
        self.bundles.get(&epoch)
    }

    /// The repository secret of an epoch.
    pub fn psk(&self, epoch: u32) -> Option<&SecretKey> {
        self.secrets.get(&epoch)
    }

    /// Every secret that it holds, each once, for showing what it can't open.
    pub fn secrets(&self) -> Vec<SecretKey> {
        let mut secrets: Vec<SecretKey> = Vec::new();
        for secret in self.all().flat_map(KeyBundle::secrets).chain(self.psks()) {
            if !secrets.contains(secret) {
                secrets.push(secret.clone());
            }
        }
        secrets
    }

    /// The repository secrets of all epochs of which it knows one.
    pub fn psks(&self) -> impl Iterator<Item = &SecretKey> {
        self.secrets.values()
    }

    /// The key in each epoch of which it has a part, ascending.
    pub fn all(&self) -> impl Iterator<Item = &KeyBundle> {
        self.bundles.values()
    }
}

fn binding(repository: RepositoryId, entry: &Entry, rekey: &Rekey) -> EpochBinding {
    EpochBinding {
        repository,
        commit: entry.header().commit,
        epoch: rekey.epoch(),
    }
}

/// A key with the secrets of another epoch, if those are what its rights call for.
fn of_share(key: &KeyBundle, epoch: u32, share: Share) -> Option<KeyBundle> {
    if share.rights != key.rights() {
        return None;
    }
    let write = match (&key.write, share.index) {
        (Some(keys), Some(index)) => Some(DomainKeys {
            index,
            ..keys.clone()
        }),
        (None, _) => None,
        (Some(_), None) => return None,
    };
    let verify = match (&key.verify, share.verify) {
        (Some(keys), Some((index_master, meta_private))) => Some(VerifyKeys {
            node_id_master: keys.node_id_master.clone(),
            index_master,
            meta_private,
        }),
        (None, _) => None,
        (Some(_), None) => return None,
    };
    let restore = match (&key.restore, share.data_private) {
        (Some(keys), Some(data_private)) => Some(RestoreKeys {
            data_id_master: keys.data_id_master.clone(),
            data_private,
        }),
        (None, _) => None,
        (Some(_), None) => return None,
    };
    let bundle = KeyBundle {
        epoch,
        psk: share.psk,
        meta_public: share.meta_public,
        data_public: share.data_public,
        write,
        verify,
        restore,
        ..key.clone()
    };
    bundle.check_pairs().ok()?;
    Some(bundle)
}
