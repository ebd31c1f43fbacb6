//! Entries that the engine would not write: what a modified writer, or a thief
//! of keys or of storage credentials, can put into the log.

use indelible_engine::env::Env;
use indelible_engine::keys::{Credential, Forbidden};
use indelible_engine::repository::{Repository, Snapshot};
use indelible_engine::store::{AppendStore, MemoryStore, ReadStore};
use indelible_format::bundle::KeyBundle;
use indelible_format::commit::{
    Binding, CommitBody, CommitKeys, CommitRandomness, Reach, SnapshotBody,
};
use indelible_format::entry::{Body, Draft};
use indelible_format::grant::{Authorize, Revoke, SealedFacts};
use indelible_format::ids::{CommitId, SignerId};
use indelible_format::manifest::Manifest;
use indelible_format::rights::Rights;
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
    let env = repository.env();
    let number = repository.history().next;
    let mut draft = draft_at(repository, number, Body::Revoke(no_revoke()));
    let binding = Binding {
        repository: repository.id(),
        commit: draft.commit,
        domain: key.domain,
        epoch: 0,
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
        from.body.packs.clone(),
        None,
        forged.reach,
        &forged.manifest,
        keys,
        &random,
    )
    .expect("the keys are usable");
    draft.domain = key.domain;
    draft.body = Body::Snapshot(SnapshotBody::Inline(body));
    draft
        .sign(&repository.id(), &key.signing_seed)
        .expect("the entry is small")
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

/// Authorises a write key for every NAME in the domain of the opened key, which
/// the engine does not offer.
pub(crate) fn share_domain(
    repository: &mut Repository<'_, MemoryStore>,
    env: &Env,
) -> (Credential, SignerId) {
    let own = repository.key().clone();
    let bundle = KeyBundle {
        signing_seed: SecretKey::new(env.random()),
        sealing_private: SecretKey::new(env.random()),
        verify: None,
        restore: None,
        admin: false,
        gear_master: None,
        ..own.clone()
    };
    let subject = signer_of(&bundle.signing_seed);
    let (commit, id) = (CommitId(env.random()), repository.id());
    let facts = SealedFacts::seal(
        &key_request(Rights::WRITE, &["*"]).facts,
        &id,
        &commit,
        &subject,
        &own.meta_public,
        &own.psk,
        &SecretKey::new(env.random()),
        env.random(),
    )
    .expect("the keys are usable");
    let body = Authorize {
        subject,
        sealing_key: sealing_key_of(&bundle.sealing_private),
        domain: own.domain,
        rights: Rights::WRITE,
        kinds: Rights::WRITE.kinds(),
        expires_ms: None,
        facts,
        slot: None,
    };
    repository
        .append(commit, |_| {
            Ok::<_, Forbidden>(Body::Authorize(body.clone()))
        })
        .expect("the grant is appended");
    (key_file(repository, &bundle), subject)
}
