//! Attacks canaries in S3 with the credentials at hand.
//!
//! Why it is safe: see [`super::super::probe`]. Whether an attempt had an effect is asked of
//! the store afterwards: a canary stands if its version can be read and is locked as it was.

use indelible_format::policy::LockMode;

use super::super::probe::{Attempt, Outcome, ProbeTerms};
use super::super::{Action, StoreError, VersionId};
use super::S3Store;
use super::client::Fetch;
use super::lock::{Retention, name_of, retention_xml};
use super::prepare::CANARIES;
use super::request::Request;
use super::time::lock_date;

/// For how long a canary is locked. The attempts take less.
const LOCK_MS: u64 = 120_000;
/// Takes a governance lock away from a version, says Amazon.
const NO_RETENTION: &str = "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";
const BODY: &[u8] = b"a canary of indelible, to be attacked\n";

const DELETE: (&str, &str) = ("delete", "delete it for good");
const BYPASS: (&str, &str) = ("bypass", "delete it, bypassing governance");
const HIDE: (&str, &str) = ("hide", "hide it behind a marker");
const OVERWRITE: (&str, &str) = ("overwrite", "write over it");
const SHORTEN: (&str, &str) = ("shorten", "make its lock shorter");
const UNLOCK: (&str, &str) = ("unlock", "take its lock away");
const DOWNGRADE: (&str, &str) = ("downgrade", "turn its compliance lock into governance");
const SUSPEND: (&str, &str) = ("suspend", "suspend the bucket's versioning");
const OVER_LOCK: (&str, &str) = ("over-lock", "lock it for longer than need be");

/// An object that is there to be attacked.
struct Canary {
    path: String,
    version: VersionId,
    lock: Option<Retention>,
}

impl S3Store {
    /// Tries everything on canaries.
    pub(super) fn attack(&self, terms: &ProbeTerms) -> Result<Vec<Attempt>, StoreError> {
        self.learn_time()?;
        let mode = self.canary(Some(terms.mode))?.lock.map(|lock| lock.mode);
        let bypass = ("x-amz-bypass-governance-retention", "true");
        let versioned =
            |it: &Canary| Request::delete(it.path.clone()).query("versionId", it.version.0.clone());
        let mut attempts = vec![
            self.attempt(DELETE, mode, &versioned)?,
            self.attempt(BYPASS, mode, &|it| versioned(it).header(bypass.0, bypass.1))?,
            self.attempt(HIDE, mode, &|it| Request::delete(it.path.clone()))?,
            self.attempt(OVERWRITE, mode, &|it| {
                Request::put(it.path.clone(), b"forged")
            })?,
        ];
        let Some(mode) = mode else {
            for what in [SHORTEN, UNLOCK, DOWNGRADE] {
                attempts.push(Attempt::new(
                    what,
                    Outcome::Unknown,
                    "the store locks nothing",
                ));
            }
            attempts.push(self.try_to_suspend());
            return Ok(attempts);
        };
        let relock = |what, mode: Option<LockMode>, until_ms: u64| {
            let until = lock_date(until_ms).ok_or_else(|| self.locks_unsupported())?;
            let body = match mode {
                Some(mode) => retention_xml(mode, &until),
                None => NO_RETENTION.to_owned(),
            };
            self.attempt(what, Some(terms.mode), &|it| {
                Request::put(it.path.clone(), body.as_bytes())
                    .query("retention", "")
                    .query("versionId", it.version.0.clone())
                    .header(bypass.0, bypass.1)
            })
        };
        let now_ms = self.client.store_now_ms();
        attempts.push(relock(SHORTEN, Some(mode), now_ms + LOCK_MS / 4)?);
        attempts.push(relock(UNLOCK, None, now_ms)?);
        attempts.push(if mode == LockMode::Compliance {
            relock(DOWNGRADE, Some(LockMode::Governance), now_ms + 2 * LOCK_MS)?
        } else {
            Attempt::new(DOWNGRADE, Outcome::Unknown, "its lock is a governance lock")
        });
        attempts.push(self.try_to_suspend());
        attempts.push(match terms.over_lock_ms {
            Some(span_ms) => relock(OVER_LOCK, Some(mode), now_ms.saturating_add(span_ms))?,
            None => Attempt::new(OVER_LOCK, Outcome::Unknown, "it was not asked for"),
        });
        Ok(attempts)
    }

    /// Puts a canary, locked as the mode says where the store locks.
    fn canary(&self, mode: Option<LockMode>) -> Result<Canary, StoreError> {
        let mut drawn = [0; 16];
        self.client.entropy.fill(&mut drawn);
        let name = format!("{CANARIES}/{:032x}", u128::from_le_bytes(drawn));
        let path = self.path_below(&name);
        let until_ms = (self.client.store_now_ms() / 1_000) * 1_000 + LOCK_MS;
        let mut request = Request::put(path.clone(), BODY);
        if let Some(mode) = mode {
            let until = lock_date(until_ms).ok_or_else(|| self.locks_unsupported())?;
            request = request
                .header("x-amz-object-lock-mode", name_of(mode))
                .header("x-amz-object-lock-retain-until-date", until);
        }
        let fetch = Fetch::elsewhere(Action::Write, name);
        let put = self.client.ask(&fetch, &request, &mut |reply| {
            Ok(reply.header("x-amz-version-id").map(str::to_owned))
        });
        match put {
            // A bucket without Object Lock takes no lock.
            Err(StoreError::Answered { source, .. }) if mode.is_some() && source.status == 400 => {
                self.canary(None)
            }
            put => {
                let version = VersionId(put?.unwrap_or_else(|| "null".to_owned()));
                let lock = mode.map(|mode| Retention { mode, until_ms });
                Ok(Canary {
                    path,
                    version,
                    lock,
                })
            }
        }
    }

    /// Attacks a canary of its own.
    fn attempt<'a>(
        &self,
        what: (&'static str, &'static str),
        mode: Option<LockMode>,
        attack: &dyn Fn(&Canary) -> Request<'a>,
    ) -> Result<Attempt, StoreError> {
        let canary = self.canary(mode)?;
        let reply = match self.client.send(&attack(&canary)) {
            Ok(reply) => reply,
            Err(lost) => return Ok(Attempt::new(what, Outcome::Unknown, lost.cause.to_string())),
        };
        let status = reply.status();
        let answer = reply.into_answer().to_string();
        let (outcome, answer) = match (status, self.stands(&canary)) {
            (_, Err(error)) => (Outcome::Unknown, error.to_string()),
            (_, Ok(false)) if what.0 == OVER_LOCK.0 => {
                (Outcome::Done, "it took the lock".to_owned())
            }
            (_, Ok(false)) => (Outcome::Done, "it was done".to_owned()),
            (200..=299, Ok(true)) => (Outcome::InVain, "the version stands as it was".to_owned()),
            (400..=499, Ok(true)) => (Outcome::Refused, answer),
            (_, Ok(true)) => (Outcome::Unknown, answer),
        };
        Ok(Attempt::new(what, outcome, answer))
    }

    /// Whether a canary can be read, and is locked as it was.
    fn stands(&self, canary: &Canary) -> Result<bool, StoreError> {
        let fetch = Fetch::elsewhere(Action::Read, CANARIES);
        let request = Request::get(canary.path.clone()).query("versionId", &canary.version.0);
        let read = self
            .client
            .ask(&fetch, &request, &mut super::client::Reply::into_bytes);
        match read {
            Ok(bytes) if bytes == BODY => {}
            Ok(_) => return Ok(false),
            Err(StoreError::Answered { source, .. }) if matches!(source.status, 404 | 405) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(self.retention_at(&fetch, canary.path.clone(), &canary.version)? == canary.lock)
    }

    fn try_to_suspend(&self) -> Attempt {
        let set = |status: &str| {
            let body = format!(
                "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>{status}</Status></VersioningConfiguration>"
            );
            let request = Request::put(String::new(), body.as_bytes()).query("versioning", "");
            self.client
                .send(&request)
                .map(|reply| (reply.status(), reply.into_answer().to_string()))
        };
        match set("Suspended") {
            Err(lost) => Attempt::new(SUSPEND, Outcome::Unknown, lost.cause.to_string()),
            Ok((200..=299, _)) => {
                let back = matches!(set("Enabled"), Ok((200..=299, _)));
                let answer = if back {
                    "it was done, and is switched on again"
                } else {
                    "it was done, and COULD NOT BE SWITCHED ON AGAIN: do that now"
                };
                Attempt::new(SUSPEND, Outcome::Done, answer)
            }
            Ok((400..=499, answer)) => Attempt::new(SUSPEND, Outcome::Refused, answer),
            Ok((_, answer)) => Attempt::new(SUSPEND, Outcome::Unknown, answer),
        }
    }
}
