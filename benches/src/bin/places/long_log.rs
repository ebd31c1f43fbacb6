//! A log of many entries, and opening it as a machine that has seen nothing of it.
//!
//! Two machines attest a verification in turns: entries that stand behind the last of the
//! administrator's, and that two keys signed over. Copies are made by `mirror`, which
//! makes their bundles too.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use indelible_benches::tools::PASSWORD;
use indelible_engine::env::{Env, SeededEntropy};
use indelible_engine::keys::{Credential, KeyRequest};
use indelible_engine::repository::Repository;
use indelible_engine::store::{AppendStore as _, LocalStore, ObjectKey};
use indelible_format::attest::{Attest, Level};
use indelible_format::bundle::KeyBundle;
use indelible_format::entry::{Body, Draft};
use indelible_format::grant::GrantFacts;
use indelible_format::ids::{CommitId, LogHash};
use indelible_format::merkle::{Frontier, leaf_hash};
use indelible_format::rights::Rights;

/// Fills the log of a repository in a directory up to so many entries.
///
/// # Errors
///
/// Those of the engine.
pub(crate) fn fill(repository: &Path, entries: u64) -> anyhow::Result<()> {
    let env = Env {
        entropy: Arc::new(SeededEntropy::new(1)),
        ..Env::system()
    };
    let store = LocalStore::open(repository, env.entropy.clone())?;
    let passphrase = Credential::Passphrase(PASSWORD.to_owned().into());
    let mut admin = Repository::open(&store, None, &passphrase, env.clone())?;
    let mut keys: Vec<KeyBundle> = Vec::new();
    for name in ["ci", "auditor"] {
        let new = admin.add_key(KeyRequest {
            rights: Rights::VERIFY,
            facts: GrantFacts::new(name, Vec::new()).context("it is short")?,
            expires_ms: None,
            strict: false,
        })?;
        keys.push(new.bundle().clone());
    }
    let history = admin.history();
    let mut frontier = Frontier::new();
    let mut previous = LogHash([0; 32]);
    for leaf in &history.leaves {
        frontier.push(*leaf);
        previous = *leaf;
    }
    for number in history.next..entries {
        let key = &keys[usize::from(number % 2 == 1)];
        let draft = Draft {
            number,
            epoch: 0,
            claimed_ms: env.clock.now_unix_ms(),
            commit: CommitId(env.random()),
            domain: key.domain,
            previous,
            root: frontier.root(),
            body: Body::Attest(Attest {
                level: Level::Packs,
                sound: true,
                size: number,
                root: frontier.root(),
                packs: 0,
                bytes: 0,
                problems: 0,
            }),
        };
        let bytes = draft
            .sign(&admin.id(), &key.signing_seed)
            .context("an entry is too long")?;
        let put = store.put_new(&ObjectKey::Log(number), &bytes)?;
        anyhow::ensure!(put.is_stored(), "entry {number} is not stored: {put:?}");
        previous = leaf_hash(&bytes);
        frontier.push(previous);
    }
    Ok(())
}
