//! Attacks canaries in a directory as this user.
//!
//! Why it is safe: see [`super::super::probe`]. Canaries lie in a directory of their own,
//! which is removed in the end with all that can be removed.

use std::io;

use super::files::{Attack, Files};
use super::{LocalStore, STAGING, retry};
use crate::store::probe::{Attempt, Outcome};
use crate::store::{Action, StoreError};

const CANARIES: &str = "canary";

/// What is tried, in this order, each on a canary of its own.
const ATTACKS: [(Attack, &str, &str); 7] = [
    (Attack::Remove, "delete", "remove it"),
    (Attack::Write, "overwrite", "write into it"),
    (Attack::Truncate, "truncate", "cut it"),
    (Attack::Rename, "rename", "give it another name"),
    (Attack::Replace, "replace", "put another file in its place"),
    (Attack::ClearFlag, "unflag", "take its immutable flag away"),
    (
        Attack::RenameParent,
        "rename-parent",
        "give its directory another name",
    ),
];

impl<F: Files> LocalStore<F> {
    /// Tries everything on canaries.
    pub(super) fn attack_canaries(&self) -> Result<Vec<Attempt>, StoreError> {
        let mut name = [0; 16];
        self.entropy.fill(&mut name);
        let directory = format!("{CANARIES}/{:032x}", u128::from_be_bytes(name));
        for path in [STAGING, CANARIES, &directory] {
            self.make_directory(path)?;
        }
        let mut attempts = Vec::new();
        for (number, (attack, code, tried)) in ATTACKS.into_iter().enumerate() {
            if attack == Attack::ClearFlag && !self.keeps_flags() {
                let why = "files here get no flag";
                attempts.push(Attempt::new((code, tried), Outcome::Unknown, why));
                continue;
            }
            let path = self.put_canary(&format!("{directory}/{number}"))?;
            let tries = retry(|| self.files.attack(attack, &path));
            let (outcome, answer) = match tries {
                Ok(()) => (Outcome::Done, "it was done".to_owned()),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    (Outcome::Unknown, error.to_string())
                }
                Err(error) => (Outcome::Refused, error.to_string()),
            };
            attempts.push(Attempt::new((code, tried), outcome, answer));
        }
        self.files.clear_canaries(&directory);
        Ok(attempts)
    }

    /// Puts a canary as objects are put.
    fn put_canary(&self, path: &str) -> Result<String, StoreError> {
        let staged = self.stage(b"a canary of indelible, to be attacked\n")?;
        let linked = self.files.link(&staged, path);
        self.discard(&staged);
        linked.map_err(|source| StoreError::Io {
            action: Action::Link,
            path: path.to_owned(),
            source,
        })?;
        if self.keeps_flags() {
            self.flag(path, true)?;
        }
        Ok(path.to_owned())
    }
}
