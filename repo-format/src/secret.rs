//! Keys that must stay secret, and how they are derived (SPEC 2.3).
//!
//! A [`SecretKey`] is wiped when dropped, never shown, and compares in constant
//! time. Each context string of `derive` stands once, beside the one function that
//! uses it (those of chunk keys in [`pack`](crate::pack), those of seals in
//! [`seal`](crate::seal)): two purposes can't share a key by accident.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::ids::DomainId;

/// 32 secret bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Takes the bytes as a key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be handed to a primitive or sealed, and nowhere else.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// `derive(context, material, 32)` of SPEC 2.3.
fn derive<const PARTS: usize>(context: &'static str, material: [&[u8]; PARTS]) -> SecretKey {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in material {
        hasher.update(part);
    }
    let key = SecretKey(*hasher.finalize().as_bytes());
    hasher.zeroize();
    key
}

/// `derive(label, key, 64)`: an AEAD key and its commitment (SPEC 2.4).
pub(crate) fn expand(label: &'static str, key: &SecretKey) -> (SecretKey, [u8; 32]) {
    let mut hasher = blake3::Hasher::new_derive_key(label);
    hasher.update(&key.0);
    let mut out = Zeroizing::new([0; 64]);
    hasher.finalize_xof().fill(&mut *out);
    hasher.zeroize();
    let mut aead = [0; 32];
    let mut commitment = [0; 32];
    aead.copy_from_slice(&out[..32]);
    commitment.copy_from_slice(&out[32..]);
    let key = SecretKey(aead);
    aead.zeroize();
    (key, commitment)
}

/// The data-id key of a domain, from the data-id master.
pub fn data_id_key(master: &SecretKey, domain: &DomainId) -> SecretKey {
    derive("indelible v1 domain data-id key", [&master.0, &domain.0])
}

/// The node-id key of a domain, from the node-id master.
pub fn node_id_key(master: &SecretKey, domain: &DomainId) -> SecretKey {
    derive("indelible v1 domain node-id key", [&master.0, &domain.0])
}

/// The gear key of a domain, from the gear master.
pub fn gear_key(master: &SecretKey, domain: &DomainId) -> SecretKey {
    derive("indelible v1 domain gear key", [&master.0, &domain.0])
}

/// The index key of a domain, from the index master.
pub fn index_key(master: &SecretKey, domain: &DomainId) -> SecretKey {
    derive("indelible v1 domain index key", [&master.0, &domain.0])
}

/// The key of one pack's directory.
pub fn directory_key(index_key: &SecretKey, salt: &[u8; 32]) -> SecretKey {
    derive("indelible v1 directory key", [&index_key.0, salt])
}

/// The key of one commit's reach.
pub fn reach_key(index_key: &SecretKey, salt: &[u8; 32]) -> SecretKey {
    derive("indelible v1 reach key", [&index_key.0, salt])
}

/// The key of one policy, which every holder of the repository secret derives.
pub fn policy_key(psk: &SecretKey, salt: &[u8; 32]) -> SecretKey {
    derive("indelible v1 policy key", [&psk.0, salt])
}

/// The key of what a rekey tells of past epochs, to whoever holds a secret of the new one.
pub fn past_key(secret: &SecretKey, salt: &[u8; 32]) -> SecretKey {
    derive("indelible v1 past epochs key", [&secret.0, salt])
}

/// The key of one part of a list of chunks that a client keeps to itself. Only
/// who cuts with the gear key can make one that opens.
pub fn chunk_list_key(gear_key: &SecretKey, salt: &[u8; 32], part: u64) -> SecretKey {
    derive(
        "indelible v1 client chunk list key",
        [&gear_key.0, salt, &part.to_le_bytes()],
    )
}

/// The key under which a reader keeps to itself what it opened with its meta
/// private key and the repository secret. `salt` is fresh each time.
pub fn opened_key(meta_private: &SecretKey, psk: &SecretKey, salt: &[u8; 32]) -> SecretKey {
    derive(
        "indelible v1 client opened key",
        [&meta_private.0, &psk.0, salt],
    )
}

/// The secret table of the chunker (SPEC 12).
pub fn gear_table(gear_key: &SecretKey) -> Zeroizing<[u64; 256]> {
    let mut hasher = blake3::Hasher::new_derive_key("indelible v1 gear table");
    hasher.update(&gear_key.0);
    let mut bytes = Zeroizing::new([0; 2_048]);
    hasher.finalize_xof().fill(&mut *bytes);
    hasher.zeroize();
    let mut table = Zeroizing::new([0; 256]);
    for (entry, chunk) in table.iter_mut().zip(bytes.as_chunks().0) {
        *entry = u64::from_le_bytes(*chunk);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No secret ever reaches a log or a panic message.
    ///
    /// Method: format a key.
    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", SecretKey::new([0x5A; 32]));
        assert_eq!(shown, "SecretKey(..)");
    }

    /// Keys for different purposes and domains differ.
    ///
    /// Method: derive all from one master and compare pairwise.
    #[test]
    fn purposes_are_separate() {
        let master = SecretKey::new([7; 32]);
        let (a, b) = (DomainId([1; 16]), DomainId([2; 16]));
        let keys = [
            data_id_key(&master, &a),
            data_id_key(&master, &b),
            node_id_key(&master, &a),
            gear_key(&master, &a),
            index_key(&master, &a),
            directory_key(&master, &[0; 32]),
            reach_key(&master, &[0; 32]),
            policy_key(&master, &[0; 32]),
            past_key(&master, &[0; 32]),
            opened_key(&master, &master, &[0; 32]),
            opened_key(&master, &master, &[1; 32]),
            opened_key(&master, &SecretKey::new([8; 32]), &[0; 32]),
        ];
        for (i, one) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|other| other != one));
        }
    }
}
