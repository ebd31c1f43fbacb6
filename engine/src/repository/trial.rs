//! Shows what a key can't read, by trying.
//!
//! A key without the verify right holds no private key that packs and manifests
//! are sealed to. Rather than ask to be believed, this tries every secret that
//! the key does hold as if it were one, on real packs and manifests.

use indelible_format::ids::PackId;
use indelible_format::pack::{HEADER_BYTES, KeyClass, PackHeader};
use indelible_format::secret::SecretKey;

use super::Repository;
use crate::store::{ObjectKey, ReadStore};

/// What came of trying to read with every secret of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trial {
    /// Secrets that the key holds.
    pub secrets: usize,
    /// Packs that they were tried on.
    pub packs: usize,
    /// Packs whose contents opened.
    pub contents_opened: usize,
    /// Packs whose pages and nodes opened.
    pub trees_opened: usize,
    /// Manifests that they were tried on.
    pub manifests: usize,
    /// Manifests that opened.
    pub manifests_opened: usize,
}

impl<S: ReadStore + ?Sized> Repository<'_, S> {
    /// Tries every secret of the key on the newest packs and manifests, at most
    /// `most` of each.
    pub fn trial(&self, most: usize) -> Trial {
        let held: Vec<SecretKey> = self.ring().secrets();
        let psks: Vec<&SecretKey> = self.ring().psks().collect();
        let mut trial = Trial {
            secrets: held.len(),
            ..Trial::default()
        };
        let mut packs: Vec<PackId> = Vec::new();
        for entry in self.history().entries.values().rev() {
            let Ok(Some(body)) = self.commit_body(entry) else {
                continue;
            };
            packs.extend(body.packs.iter().map(|pack| pack.id));
            if trial.manifests < most {
                trial.manifests += 1;
                let binding = entry.binding(self.id());
                let opens = |secret: &SecretKey| {
                    let with = |psk| body.open_manifest(&binding, secret, psk).is_ok();
                    psks.iter().any(|psk| with(psk))
                };
                trial.manifests_opened += usize::from(held.iter().any(opens));
            }
            if trial.manifests == most && packs.len() >= most {
                break;
            }
        }
        for header in packs.iter().filter_map(|pack| self.header(pack)).take(most) {
            trial.packs += 1;
            let opens = |class| {
                let with = |secret, psk| header.open_key(class, secret, psk).is_ok();
                let opens = |secret| psks.iter().any(|psk| with(secret, psk));
                held.iter().any(opens)
            };
            trial.contents_opened += usize::from(opens(KeyClass::Data));
            trial.trees_opened += usize::from(opens(KeyClass::Node));
        }
        trial
    }

    fn header(&self, pack: &PackId) -> Option<PackHeader> {
        let bytes = self
            .store()
            .read_range(&ObjectKey::Pack(*pack), 0, HEADER_BYTES as u64)
            .ok()?;
        PackHeader::parse(bytes.first_chunk()?).ok()
    }
}
