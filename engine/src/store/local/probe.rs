//! Attacks canaries in a directory as this user.
//!
//! Why it is safe: see [`super::super::probe`]. Canaries lie in a directory of their own,
//! which is removed in the end with all that can be removed. Of a write-once filesystem that
//! is little; what is left can be removed minutes later, which the next probe does.

use std::io;

use super::files::{Attack, Files, Retention};
use super::immutable::Immutable;
use super::worm::CANARY_SPAN_MS;
use super::{LocalStore, STAGING, retry};
use crate::store::probe::{Attempt, Outcome};
use crate::store::{Action, StoreError};

/// Where they lie (SPEC 9.1).
pub(super) const CANARIES: &str = "canary";

const CANARY: &[u8] = b"a canary of indelible, to be attacked\n";

/// What is tried, in this order, each on a canary of its own.
const ATTACKS: [(Attack, &str, &str); 9] = [
    (Attack::Remove, "delete", "remove it"),
    (Attack::Write, "overwrite", "write into it"),
    (Attack::Truncate, "truncate", "cut it"),
    (Attack::Rename, "rename", "give it another name"),
    (Attack::Replace, "replace", "put another file in its place"),
    (Attack::ClearFlag, "unflag", "take its immutable flag away"),
    (
        Attack::MakeWritable,
        "make-writable",
        "make it writable again",
    ),
    (
        Attack::Shorten,
        "shorten",
        "have it kept for a shorter time",
    ),
    (
        Attack::RenameParent,
        "rename-parent",
        "give its directory another name",
    ),
];

/// Whether an attack means something where files are kept so.
fn applies(attack: Attack, how: Option<Immutable>) -> bool {
    match attack {
        Attack::ClearFlag => how != Some(Immutable::PosixWorm),
        Attack::MakeWritable | Attack::Shorten => how == Some(Immutable::PosixWorm),
        _ => true,
    }
}

impl<F: Files> LocalStore<F> {
    /// Tries everything on canaries that are kept from change as is said.
    pub(super) fn attack_canaries(
        &self,
        how: Option<Immutable>,
    ) -> Result<Vec<(Attack, Attempt)>, StoreError> {
        let mut name = [0; 16];
        self.entropy.fill(&mut name);
        let directory = format!("{CANARIES}/{:032x}", u128::from_be_bytes(name));
        for path in [STAGING, CANARIES, &directory] {
            self.make_directory(path)?;
        }
        let attacks = ATTACKS.into_iter().enumerate();
        let attacks = attacks.filter(|(_, (attack, ..))| applies(*attack, how));
        let attempts = attacks.map(|(number, (attack, code, tried))| {
            let path = format!("{directory}/{number}");
            let (outcome, answer) = self.attack_canary(attack, &path, how)?;
            Ok((attack, Attempt::new((code, tried), outcome, answer)))
        });
        let attempts = attempts.collect();
        if how == Some(Immutable::PosixWorm) {
            self.clear_earlier_canaries();
        }
        self.files.clear_canaries(&directory);
        attempts
    }

    /// Tries one thing on one canary.
    fn attack_canary(
        &self,
        attack: Attack,
        path: &str,
        how: Option<Immutable>,
    ) -> Result<(Outcome, String), StoreError> {
        if attack == Attack::ClearFlag && how.is_none() {
            return Ok((Outcome::Unknown, "files here get no flag".to_owned()));
        }
        self.put_canary(path, how)?;
        let is_watched = how == Some(Immutable::PosixWorm) && attack != Attack::RenameParent;
        let before = is_watched.then(|| self.seen(path)).flatten();
        let (outcome, answer) = match retry(|| self.files.attack(attack, path)) {
            Ok(()) => (Outcome::Done, "it was done".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                (Outcome::Unknown, error.to_string())
            }
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        if !is_watched {
            return Ok((outcome, answer));
        }
        // What a server answers is one thing, and what became of the file another.
        let is_whole = before.is_some() && self.seen(path) == before;
        Ok(match (outcome, is_whole) {
            (Outcome::Done, true) => (Outcome::InVain, "it was let through, in vain".to_owned()),
            (Outcome::Refused, false) => (Outcome::Done, format!("{answer}, and it was done")),
            other => (other.0, answer),
        })
    }

    /// Until when a canary is kept, and its bytes.
    fn seen(&self, path: &str) -> Option<(Retention, Vec<u8>)> {
        let held = retry(|| self.files.retention(path)).ok()?;
        let file = retry(|| self.files.open(path)).ok()?;
        let mut bytes = vec![0; CANARY.len() + 1];
        let read = retry(|| self.files.read_at(&file, &mut bytes, 0)).ok()?;
        bytes.truncate(read);
        Some((held, bytes))
    }

    /// Removes what earlier probes had to leave, as far as its time is over.
    fn clear_earlier_canaries(&self) {
        let mut earlier = Vec::new();
        let _ = self.files.list(CANARIES, &mut |name, _| {
            earlier.extend(name.to_str().map(|name| format!("{CANARIES}/{name}")));
        });
        for directory in earlier {
            self.files.clear_canaries(&directory);
        }
    }

    /// Puts a canary as objects are put.
    fn put_canary(&self, path: &str, how: Option<Immutable>) -> Result<(), StoreError> {
        let staged = self.stage(CANARY, how)?;
        let linked = self.files.link(&staged, path);
        self.discard(&staged);
        linked.map_err(|source| StoreError::Io {
            action: Action::Link,
            path: path.to_owned(),
            source,
        })?;
        match how {
            None => Ok(()),
            Some(Immutable::Flags) => self.flag(path, true),
            Some(Immutable::PosixWorm) => self.commit_for(path, CANARY_SPAN_MS),
        }
    }
}
