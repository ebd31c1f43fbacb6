//! Checks that a bucket keeps what a repository rests on.
//!
//! Why it is safe: what is found out is found by trying. A store that takes
//! `If-None-Match: *` and ignores it would let two writers commit the same number
//! of the log, and both would be told that they were first; so several create one
//! name at once here, and exactly one must be. The name is drawn, lies beside the
//! objects (SPEC 9.1), and is left there, since nothing that appends can remove.

use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::thread;

use super::super::{Action, StoreError, Unfit};
use super::S3Store;
use super::client::{Fetch, reads_nothing};
use super::fault::Fault;
use super::request::Request;
use super::xml;

/// How many create the name at once.
const RACERS: usize = 4;
/// How many names are tried where no answer is clear.
const ROUNDS_MAX: u32 = 5;
/// Where the names lie.
pub(super) const CANARIES: &str = "canary";

/// What a creator of the name was told.
enum Told {
    Created,
    Taken,
    Unclear(Fault),
}

impl S3Store {
    fn bucket_fetch(&self) -> Fetch {
        Fetch::elsewhere(Action::Inspect, self.client.location.clone())
    }

    /// Asks for the bucket, once, so that the store's clock is known.
    pub(super) fn learn_time(&self) -> Result<(), StoreError> {
        if !self.client.knows_time() {
            let request = Request::head(String::new());
            let asked = self
                .client
                .ask(&self.bucket_fetch(), &request, &mut reads_nothing);
            match asked {
                Err(StoreError::Answered { source, .. }) if source.status == 404 => {
                    return Err(StoreError::BucketMissing {
                        location: self.client.location.clone(),
                    });
                }
                // Who may write need not be allowed to ask that. It told the time.
                Err(StoreError::Answered { source, .. }) if source.status == 403 => {}
                asked => asked?,
            }
        }
        self.client.check_clock()
    }

    fn unfit(&self, lacks: Unfit) -> StoreError {
        StoreError::Unfit {
            location: self.client.location.clone(),
            lacks,
        }
    }

    /// Versioning must be on, and Object Lock if locks are wanted.
    pub(super) fn check_bucket(&self) -> Result<(), StoreError> {
        let ask = |subresource, wanted| {
            let request = Request::get(String::new()).query(subresource, "");
            self.client
                .ask(&self.bucket_fetch(), &request, &mut |reply| {
                    xml::text_of(&reply.into_bytes()?, wanted).map_err(Fault::from)
                })
        };
        if ask("versioning", "Status")? != "Enabled" {
            return Err(self.unfit(Unfit::NotVersioned));
        }
        if self.lock().is_none() {
            return Ok(());
        }
        match ask("object-lock", "ObjectLockEnabled") {
            Ok(enabled) if enabled == "Enabled" => Ok(()),
            Ok(_) => Err(self.unfit(Unfit::NotLocking)),
            Err(StoreError::Answered { source, .. }) if source.status == 404 => {
                Err(self.unfit(Unfit::NotLocking))
            }
            Err(error) => Err(error),
        }
    }

    /// Of several creators of one name exactly one must be told that it created
    /// it, and the others that it was taken.
    pub(super) fn check_conditions(&self) -> Result<(), StoreError> {
        if self.is_conditional() {
            return Ok(());
        }
        let fetch = Fetch::elsewhere(Action::Write, CANARIES);
        let mut tries = self.client.tries();
        for round in 1.. {
            let mut drawn = [0; 16];
            self.client.entropy.fill(&mut drawn);
            let name = format!("{CANARIES}/{:032x}", u128::from_le_bytes(drawn));
            let told = self.race(&self.path_below(&name));
            let mut created = 0;
            let mut unclear = None;
            for told in told {
                match told {
                    Told::Created => created += 1,
                    Told::Taken => {}
                    Told::Unclear(fault) => unclear = Some(fault),
                }
            }
            match unclear {
                _ if created > 1 => return Err(self.unfit(Unfit::IgnoresConditions)),
                None if created == 1 => {
                    self.conditional.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                // All lost against nobody, or nobody knows.
                Some(fault) if !fault.is_transient() => {
                    return Err(self.client.error(&fetch, fault));
                }
                unclear if round >= ROUNDS_MAX || !tries.wait() => {
                    return Err(match unclear {
                        Some(fault) => self.client.error(&fetch, fault),
                        None => self.unfit(Unfit::IgnoresConditions),
                    });
                }
                _ => {}
            }
        }
        unreachable!("the last round returns")
    }

    /// Creates one name from several threads at once, and once more.
    fn race(&self, path: &str) -> Vec<Told> {
        let start = &Barrier::new(RACERS);
        let mut told: Vec<Told> = thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS)
                .map(|racer| {
                    scope.spawn(move || {
                        start.wait();
                        self.create_canary(path, racer)
                    })
                })
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().expect("no racer panics"))
                .collect()
        });
        told.push(self.create_canary(path, RACERS));
        told
    }

    fn create_canary(&self, path: &str, racer: usize) -> Told {
        let body = format!("an experiment of indelible, by writer {racer}\n");
        let request = Request::put(path.to_owned(), body.as_bytes()).header("if-none-match", "*");
        match self.client.send(&request) {
            Ok(reply) => match reply.status() {
                200..=299 => Told::Created,
                409 | 412 => Told::Taken,
                _ => Told::Unclear(Fault::Answered(reply.into_answer())),
            },
            Err(lost) => Told::Unclear(Fault::Lost(lost)),
        }
    }
}
