//! Sealing bytes under a key, and keys to a public key (SPEC 2.4 to 2.6).
//!
//! Two calls serve every sealed thing of the format but chunks. Each label is a
//! constant of this module and names one row of the table in SPEC 2.7, so a
//! ciphertext made for one purpose can't open as another. The key commitment is
//! compared before anything is decrypted.

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::Signer as _;
use hpke::rand_core::{Infallible, TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, PskBundle, Serializable as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::ids::{SealingKey, SignerId};
use crate::secret::{SecretKey, expand};

/// What a sealed thing is for: its row in the table of SPEC 2.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(&'static str);

/// A pack's directory.
pub const DIRECTORY: Label = Label("indelible v1 directory");
/// A commit's reach.
pub const REACH: Label = Label("indelible v1 reach");
/// A snapshot's manifest.
pub const MANIFEST: Label = Label("indelible v1 manifest");
/// The label and NAME patterns of a grant.
pub const GRANT_FACTS: Label = Label("indelible v1 grant facts");
/// What a repository promises to keep.
pub const POLICY: Label = Label("indelible v1 policy");
/// What one key gets of an epoch.
pub const EPOCH_SHARE: Label = Label("indelible v1 epoch share");
/// The repository secrets of past epochs.
pub const PAST_SECRETS: Label = Label("indelible v1 past secrets");
/// The index masters and meta private keys of past epochs.
pub const PAST_META_KEYS: Label = Label("indelible v1 past meta keys");
/// The data private keys of past epochs.
pub const PAST_DATA_KEYS: Label = Label("indelible v1 past data keys");
/// A key bundle under a passphrase.
pub const PASSPHRASE_SLOT: Label = Label("indelible v1 passphrase slot");
/// The wrapped key of a pack's data chunks.
pub const PACK_DATA_KEY: Label = Label("indelible v1 pack data key");
/// The wrapped key of a pack's pages and nodes.
pub const PACK_NODE_KEY: Label = Label("indelible v1 pack node key");
/// The wrapped key of a manifest.
pub const MANIFEST_KEY: Label = Label("indelible v1 manifest key");
/// The wrapped key of grant facts.
pub const GRANT_FACTS_KEY: Label = Label("indelible v1 grant facts key");
/// The wrapped key of a share of an epoch.
pub const EPOCH_SHARE_KEY: Label = Label("indelible v1 epoch share key");
/// A part of a list of chunks that a client keeps to itself; no object holds one.
pub const CHUNK_LIST: Label = Label("indelible v1 client chunk list");
/// What a client keeps to itself of what it opened; in no repository.
pub const OPENED: Label = Label("indelible v1 client opened");
/// A signed log entry.
pub const LOG_ENTRY: Label = Label("indelible v1 log entry");

const PSK_ID: &[u8] = b"indelible v1 repository secret";

/// By how much sealing lengthens: commitment and tag, bytes.
pub const SEAL_OVERHEAD: usize = 48;
/// Length of the tag behind a ciphertext, bytes.
pub const TAG_BYTES: usize = 16;
/// Length of a wrapped key: encapsulated key and ciphertext, bytes.
pub const WRAPPED_BYTES: usize = 80;

/// Why something sealed does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Too short to be sealed bytes.
    #[error("too short to be sealed")]
    TooShort,
    /// The key is not the one that it was sealed with.
    #[error("sealed under another key")]
    OtherKey,
    /// The key is right, and the bytes or what they are bound to are not.
    #[error("altered, or moved from another place")]
    Altered,
}

/// The X25519 key can't be used, for instance because it has small order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the public key can't be sealed to")]
pub struct UnusableKey;

/// A signature does not verify under `verify_strict`'s rules (SPEC 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

fn labelled(label: Label, bound: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.0.len() + 1 + bound.len());
    out.extend_from_slice(label.0.as_bytes());
    out.push(0);
    out.extend_from_slice(bound);
    out
}

/// Seals `plaintext` under a key that seals nothing else under this label.
///
/// `bound` is what the row of SPEC 2.7 says.
pub fn seal(key: &SecretKey, label: Label, bound: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let (aead, commitment) = expand(label.0, key);
    let cipher = XChaCha20Poly1305::new(aead.expose().into());
    let mut out = Vec::with_capacity(plaintext.len() + SEAL_OVERHEAD);
    out.extend_from_slice(&commitment);
    out.extend_from_slice(plaintext);
    let tag = cipher
        .encrypt_inout_detached(
            &XNonce::default(),
            &labelled(label, bound),
            (&mut out[32..]).into(),
        )
        .expect("far below the cipher's limit of 256 GiB");
    out.extend_from_slice(&tag);
    out
}

/// Opens what [`seal`] made with the same key, label and bound bytes.
pub fn open(
    key: &SecretKey,
    label: Label,
    bound: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (aead, expected) = expand(label.0, key);
    let (commitment, rest) = sealed
        .split_first_chunk::<32>()
        .ok_or(OpenError::TooShort)?;
    let (ciphertext, tag) = rest
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(OpenError::TooShort)?;
    if !bool::from(commitment.ct_eq(&expected)) {
        return Err(OpenError::OtherKey);
    }
    let cipher = XChaCha20Poly1305::new(aead.expose().into());
    let mut out = Zeroizing::new(ciphertext.to_vec());
    cipher
        .decrypt_inout_detached(
            &XNonce::default(),
            &labelled(label, bound),
            out.as_mut_slice().into(),
            tag.into(),
        )
        .map_err(|_| OpenError::Altered)?;
    Ok(out)
}

type Kem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;

/// Gives HPKE the bytes that the caller drew, since this crate draws none.
///
/// HPKE asks once, for the 32 bytes that its ephemeral key is derived from;
/// asking for more is a change of the library that must not go unnoticed.
struct Drawn(Option<Zeroizing<[u8; 32]>>);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("HPKE draws bytes only");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("HPKE draws bytes only");
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let drawn = self.0.take().expect("HPKE draws once");
        out.copy_from_slice(&*drawn);
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

/// The public half of an X25519 private key.
pub fn sealing_key_of(private: &SecretKey) -> SealingKey {
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private.expose())
        .expect("any 32 bytes are a private key");
    let mut out = [0; 32];
    out.copy_from_slice(&Kem::sk_to_pk(&private).to_bytes());
    SealingKey(out)
}

/// Wraps a key to a public key (SPEC 2.5).
///
/// `drawn` is 32 fresh random bytes, used for nothing else.
pub fn wrap(
    public: &SealingKey,
    psk: &SecretKey,
    label: Label,
    bound: &[u8],
    key: &SecretKey,
    drawn: [u8; 32],
) -> Result<[u8; WRAPPED_BYTES], UnusableKey> {
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(&public.0).map_err(|_| UnusableKey)?;
    let psk = PskBundle::new(psk.expose(), PSK_ID).expect("both are non-empty");
    let mut rng = Drawn(Some(Zeroizing::new(drawn)));
    let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<Aead, Kdf, Kem>(
        &OpModeS::Psk(psk),
        &public,
        &labelled(label, bound),
        key.expose(),
        &[],
        &mut rng,
    )
    .map_err(|_| UnusableKey)?;
    let mut out = [0; WRAPPED_BYTES];
    out[..32].copy_from_slice(&enc.to_bytes());
    out[32..].copy_from_slice(&ciphertext);
    Ok(out)
}

/// Unwraps what [`wrap`] made for the public half of `private`.
pub fn unwrap(
    private: &SecretKey,
    psk: &SecretKey,
    label: Label,
    bound: &[u8],
    wrapped: &[u8; WRAPPED_BYTES],
) -> Result<SecretKey, OpenError> {
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private.expose())
        .expect("any 32 bytes are a private key");
    let psk = PskBundle::new(psk.expose(), PSK_ID).expect("both are non-empty");
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&wrapped[..32])
        .map_err(|_| OpenError::Altered)?;
    let plain = hpke::single_shot_open::<Aead, Kdf, Kem>(
        &OpModeR::Psk(psk),
        &private,
        &enc,
        &labelled(label, bound),
        &wrapped[32..],
        &[],
    )
    .map(Zeroizing::new)
    .map_err(|_| OpenError::Altered)?;
    let key: [u8; 32] = plain
        .as_slice()
        .try_into()
        .map_err(|_| OpenError::Altered)?;
    Ok(SecretKey::new(key))
}

/// The signer id of an Ed25519 seed.
pub fn signer_of(seed: &SecretKey) -> SignerId {
    SignerId(
        ed25519_dalek::SigningKey::from_bytes(seed.expose())
            .verifying_key()
            .to_bytes(),
    )
}

/// Signs `message` under `label` (SPEC 2.6).
pub fn sign(seed: &SecretKey, label: Label, message: &[u8]) -> [u8; 64] {
    sign_raw(seed, &labelled(label, message))
}

/// Verifies a signature of [`sign`].
pub fn verify(
    signer: &SignerId,
    label: Label,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    verify_raw(signer, &labelled(label, message), signature)
}

/// Signs bytes with no label: signed notes fix what is signed (SPEC 3.15).
pub(crate) fn sign_raw(seed: &SecretKey, message: &[u8]) -> [u8; 64] {
    ed25519_dalek::SigningKey::from_bytes(seed.expose())
        .sign(message)
        .to_bytes()
}

/// Verifies a signature of [`sign_raw`].
pub(crate) fn verify_raw(
    signer: &SignerId,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(&signer.0).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.verify_strict(message, &signature)
        .map_err(|_| BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::new([byte; 32])
    }

    /// What is sealed opens only with the same key, label and bound bytes.
    ///
    /// Method: open with each of them changed, and with each bit flipped.
    #[test]
    fn sealing_binds_everything() {
        let sealed = seal(&key(1), MANIFEST, b"here", b"plain");
        assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD);
        assert_eq!(
            open(&key(1), MANIFEST, b"here", &sealed)
                .unwrap()
                .as_slice(),
            b"plain"
        );
        assert_eq!(
            open(&key(2), MANIFEST, b"here", &sealed),
            Err(OpenError::OtherKey)
        );
        assert_eq!(
            open(&key(1), REACH, b"here", &sealed),
            Err(OpenError::OtherKey)
        );
        assert_eq!(
            open(&key(1), MANIFEST, b"there", &sealed),
            Err(OpenError::Altered)
        );
        assert_eq!(
            open(&key(1), MANIFEST, b"here", &sealed[..47]),
            Err(OpenError::TooShort)
        );
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                open(&key(1), MANIFEST, b"here", &flipped).is_err(),
                "bit {bit}"
            );
        }
    }

    /// A wrapped key opens only with the private key, secret, label and bound
    /// bytes that it was made for.
    ///
    /// Method: unwrap with each of them changed, and with each byte changed.
    #[test]
    fn wrapping_binds_everything() {
        let public = sealing_key_of(&key(3));
        let wrapped = wrap(&public, &key(4), PACK_DATA_KEY, b"x", &key(5), [6; 32]).unwrap();
        let unwrapped = unwrap(&key(3), &key(4), PACK_DATA_KEY, b"x", &wrapped).unwrap();
        assert!(unwrapped == key(5));
        assert!(unwrap(&key(9), &key(4), PACK_DATA_KEY, b"x", &wrapped).is_err());
        assert!(unwrap(&key(3), &key(9), PACK_DATA_KEY, b"x", &wrapped).is_err());
        assert!(unwrap(&key(3), &key(4), PACK_NODE_KEY, b"x", &wrapped).is_err());
        assert!(unwrap(&key(3), &key(4), PACK_DATA_KEY, b"y", &wrapped).is_err());
        for at in 0..wrapped.len() {
            let mut altered = wrapped;
            altered[at] ^= 1;
            assert!(
                unwrap(&key(3), &key(4), PACK_DATA_KEY, b"x", &altered).is_err(),
                "byte {at}"
            );
        }
    }

    /// The all-zero point, which would make every shared secret equal, is no
    /// key to seal to.
    ///
    /// Method: wrap to it.
    #[test]
    fn small_order_keys_are_unusable() {
        assert_eq!(
            wrap(
                &SealingKey([0; 32]),
                &key(4),
                MANIFEST_KEY,
                b"",
                &key(5),
                [6; 32]
            ),
            Err(UnusableKey)
        );
    }

    /// A signature is bound to its label.
    ///
    /// Method: verify under the same and another label.
    #[test]
    fn signatures_are_labelled() {
        let signature = sign(&key(1), LOG_ENTRY, b"m");
        let signer = signer_of(&key(1));
        assert_eq!(verify(&signer, LOG_ENTRY, b"m", &signature), Ok(()));
        assert_eq!(verify(&signer, REACH, b"m", &signature), Err(BadSignature));
        assert_eq!(
            verify(&signer, LOG_ENTRY, b"n", &signature),
            Err(BadSignature)
        );
    }
}
