//! Entries that the engine would not write: what a modified writer, or a thief
//! of keys or of storage credentials, can put into the log.

pub(crate) mod deltas;
pub(crate) mod tree;

use indelible_engine::env::Env;
use indelible_engine::keys::{Credential, Forbidden};
use indelible_engine::repository::{Repository, Snapshot};
use indelible_engine::store::{AppendStore, MemoryStore, ReadStore};
use indelible_format::attest::{Attest, Level};
use indelible_format::bundle::KeyBundle;
use indelible_format::commit::{
    Binding, CommitBody, CommitKeys, CommitRandomness, NewPack, Reach, SnapshotBody,
};
use indelible_format::entry::{Body, Draft};
use indelible_format::grant::{Authorize, Revoke, SealedFacts};
use indelible_format::ids::{CommitId, LogHash, SignerId};
use indelible_format::manifest::Manifest;
use indelible_format::rights::{Kinds, Rights};
use indelible_format::seal::{sealing_key_of, signer_of};
use indelible_format::secret::SecretKey;

use super::{key_file, key_request};

/// An entry for the next number of the log, or for another one.
pub(crate) fn draft_at<S: ReadStore>(
    repository: &Repository<'_, S>,
    number: u64,
    body: Body,
) -> Draft {
    let history = repository.history();
    let before = usize::try_from(number).expect("a small number") - 1;
    Draft {
        number,
        epoch: 0,
        claimed_ms: repository.env().clock.now_unix_ms(),
        commit: CommitId(repository.env().random()),
        domain: repository.key().domain,
        previous: history.leaves[before],
        root: history.root_at(number).expect("the log is that long"),
        body,
    }
}

/// A claim that a verification was run.
pub(crate) fn attest() -> Body {
    Body::Attest(Attest {
        level: Level::Packs,
        sound: true,
        size: 1,
        root: LogHash([0; 32]),
        packs: 0,
        bytes: 0,
        problems: 0,
    })
}

/// What a forged snapshot says otherwise than the one that it is made from.
pub(crate) struct Forged<'a> {
    pub(crate) manifest: Manifest,
    pub(crate) reach: &'a Reach,
}

/// Seals a commit for a snapshot that mentions the packs of another one, and
/// signs it with this key, for the next number of the log.
pub(crate) fn forge_snapshot<S: ReadStore>(
    repository: &Repository<'_, S>,
    from: &Snapshot,
    key: &KeyBundle,
    forged: &Forged<'_>,
) -> Vec<u8> {
    draft_snapshot(repository, from.body.packs.clone(), key, forged)
        .sign(&repository.id(), &key.signing_seed)
        .expect("the entry is small")
}

/// Seals a commit with this key, for the next number of the log.
pub(crate) fn draft_snapshot<S: ReadStore>(
    repository: &Repository<'_, S>,
    packs: Vec<NewPack>,
    key: &KeyBundle,
    forged: &Forged<'_>,
) -> Draft {
    let env = repository.env();
    let number = repository.history().next;
    let mut draft = draft_at(repository, number, Body::Revoke(no_revoke()));
    (draft.domain, draft.epoch) = (key.domain, key.epoch);
    let binding = Binding {
        repository: repository.id(),
        commit: draft.commit,
        domain: key.domain,
        epoch: key.epoch,
    };
    let keys = CommitKeys {
        index: &key.write.as_ref().expect("a write key").index,
        meta_public: &key.meta_public,
        psk: &key.psk,
    };
    let random = CommitRandomness {
        salt: env.random(),
        manifest_key: SecretKey::new(env.random()),
        wrap: env.random(),
    };
    let body = CommitBody::seal(
        &binding,
        packs,
        None,
        forged.reach,
        &forged.manifest,
        keys,
        &random,
    )
    .expect("the keys are usable");
    draft.body = Body::Snapshot(SnapshotBody::Inline(body));
    draft
}

/// Stands in a draft until its body is made.
fn no_revoke() -> Revoke {
    Revoke {
        subject: SignerId([0; 32]),
        distrust_from: 0,
    }
}

/// Revokes a key, with the key that the repository was opened with.
pub(crate) fn revoke<S: AppendStore>(
    repository: &mut Repository<'_, S>,
    subject: SignerId,
    distrust_from: u64,
) -> u64 {
    let commit = CommitId(repository.env().random());
    let body = Revoke {
        subject,
        distrust_from,
    };
    repository
        .append(commit, |_| Ok::<_, Forbidden>(Body::Revoke(body.clone())))
        .expect("the revocation is appended")
}

/// The body of an entry that authorises a key for every NAME.
pub(crate) fn authorize_body<S: ReadStore>(
    repository: &Repository<'_, S>,
    commit: &CommitId,
    bundle: &KeyBundle,
    rights: Rights,
    kinds: Kinds,
) -> Authorize {
    let env = repository.env();
    let subject = signer_of(&bundle.signing_seed);
    let facts = SealedFacts::seal(
        &key_request(rights, &["*"]).facts,
        &repository.id(),
        commit,
        &subject,
        &bundle.meta_public,
        &bundle.psk,
        &SecretKey::new(env.random()),
        env.random(),
    )
    .expect("the keys are usable");
    Authorize {
        subject,
        sealing_key: sealing_key_of(&bundle.sealing_private),
        domain: bundle.domain,
        rights,
        kinds,
        expires_ms: None,
        facts,
        slot: None,
    }
}

/// A write key in the domain of the opened key, which the log does not know.
pub(crate) fn write_key_beside<S: ReadStore>(repository: &Repository<'_, S>) -> KeyBundle {
    let env = repository.env();
    KeyBundle {
        signing_seed: SecretKey::new(env.random()),
        sealing_private: SecretKey::new(env.random()),
        verify: None,
        restore: None,
        admin: false,
        gear_master: None,
        ..repository.key().clone()
    }
}

/// Authorises a write key for every NAME in the domain of the opened key, which
/// the engine does not offer.
pub(crate) fn share_domain(
    repository: &mut Repository<'_, MemoryStore>,
    env: &Env,
) -> (Credential, SignerId) {
    let bundle = write_key_beside(repository);
    authorize(repository, env, &bundle, Rights::WRITE.kinds());
    (key_file(repository, &bundle), bundle.signer())
}

/// Authorises a write key to sign these kinds of entry.
pub(crate) fn authorize(
    repository: &mut Repository<'_, MemoryStore>,
    env: &Env,
    bundle: &KeyBundle,
    kinds: Kinds,
) {
    let commit = CommitId(env.random());
    let body = authorize_body(repository, &commit, bundle, Rights::WRITE, kinds);
    repository
        .append(commit, |_| {
            Ok::<_, Forbidden>(Body::Authorize(body.clone()))
        })
        .expect("the grant is appended");
}
