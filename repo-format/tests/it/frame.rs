//! A log entry's frame, laid out by hand: a second encoder, which can also
//! write what the crate's own never would (SPEC 3.2).

use indelible_format::entry::{Body, Header};
use indelible_format::ids::{CommitId, DomainId, LogHash, RepositoryId, SignerId};
use indelible_format::seal::{self, LOG_ENTRY};
use indelible_format::secret::SecretKey;
use indelible_format::wire::Builder;

/// Fields of an entry, as bytes and numbers.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) magic: [u8; 8],
    pub(crate) number: u64,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) epoch: u32,
    pub(crate) claimed_ms: u64,
    pub(crate) commit: CommitId,
    pub(crate) domain: DomainId,
    pub(crate) signer: SignerId,
    pub(crate) previous: LogHash,
    pub(crate) root: LogHash,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// Header and body, up to the signature.
    pub(crate) fn unsigned(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.bytes(&self.magic)
            .u64(self.number)
            .u8(self.kind)
            .u8(self.flags)
            .u32(self.epoch)
            .u64(self.claimed_ms);
        out.bytes(&self.commit.0)
            .bytes(&self.domain.0)
            .bytes(&self.signer.0)
            .bytes(&self.previous.0)
            .bytes(&self.root.0);
        out.text32(&self.body);
        out.finish()
    }

    /// The entry, signed as the stated kind demands.
    pub(crate) fn sign(&self, repository: &RepositoryId, seed: &SecretKey) -> Vec<u8> {
        signed(repository, self.kind, self.unsigned(), seed)
    }
}

/// The bytes of an entry of this kind with their signature behind them.
pub(crate) fn signed(
    repository: &RepositoryId,
    kind: u8,
    mut bytes: Vec<u8>,
    seed: &SecretKey,
) -> Vec<u8> {
    let repository = if kind == 0 { [0; 32] } else { repository.0 };
    let message = [&repository[..], &bytes].concat();
    bytes.extend_from_slice(&seal::sign(seed, LOG_ENTRY, &message));
    bytes
}

/// The bytes that header and body stand for, with this signature behind them.
pub(crate) fn encode_entry(header: &Header, body: &Body, signature: &[u8]) -> Vec<u8> {
    let frame = Frame {
        magic: *b"INDLLOG1",
        number: header.number,
        kind: header.kind.to_byte(),
        flags: header.critical.into(),
        epoch: header.epoch,
        claimed_ms: header.claimed_ms,
        commit: header.commit,
        domain: header.domain,
        signer: header.signer,
        previous: header.previous,
        root: header.root,
        body: body.encode(),
    };
    [&frame.unsigned(), signature].concat()
}
