//! What a probe finds out about a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::env::{Env, ManualClock};
use indelible_engine::serve::{LockLimit, ServeTerms, serve, session};
use indelible_engine::store::probe::{Attempt, Outcome, ProbeTerms, withstood};
use indelible_engine::store::{
    AppendStore, Area, Capabilities, Listed, MemoryStore, ObjectKey, PutOutcome, ReadStore,
    RemoteStore, StoreError, Version, VersionId,
};
use indelible_format::policy::LockMode;

use super::{CHUNKER, DAY_MS, connect, guarded, new_repository, serving};
use crate::support::START_UNIX_MS;

/// What is tried, in its order, and what became of it.
fn outcomes(attempts: &[Attempt]) -> Vec<(&'static str, Outcome)> {
    attempts.iter().map(|it| (it.code, it.outcome)).collect()
}

fn probe(remote: &RemoteStore, over_lock_ms: Option<u64>) -> Vec<Attempt> {
    let terms = ProbeTerms {
        mode: LockMode::Governance,
        over_lock_ms,
    };
    remote.probe(&terms).expect("there is a repository")
}

/// What every server refuses for which there is no request.
const NEVER: [(&str, Outcome); 3] = [
    ("delete", Outcome::Refused),
    ("truncate", Outcome::Refused),
    ("rename", Outcome::Refused),
];

/// The outcomes of the rest, which has requests.
fn and(rest: [Outcome; 4]) -> Vec<(&'static str, Outcome)> {
    let codes = ["overwrite", "misname", "shorten", "over-lock"];
    NEVER
        .into_iter()
        .chain(codes.into_iter().zip(rest))
        .collect()
}

fn all_of(store: &MemoryStore) -> Vec<Listed> {
    let mut all = Vec::new();
    for area in Area::ALL {
        let listed = store.list(area, &mut |listed| all.push(listed));
        listed.expect("it can be listed");
    }
    all.sort();
    all
}

/// A server that judges what is put withstands, and nothing was changed; how long it lets
/// a host lock, a probe finds if it is asked to.
///
/// Method: a repository that locks for a day, behind a server that allows 400, and one that
/// locks nothing; what they hold, before and after.
#[test]
fn a_guarded_store_withstands() {
    let clock = Arc::new(ManualClock::new(START_UNIX_MS));
    let store = MemoryStore::locking(Arc::clone(&clock) as _, DAY_MS);
    let new = new_repository(&Env::system(), CHUNKER);
    new.create(&store).expect("it is empty");
    let (store, before) = (Arc::new(store.clone()), all_of(&store));
    let ends = {
        let store = Arc::clone(&store);
        serving(move |requests, answers| {
            let span_ms = 400 * DAY_MS;
            let locks = Some(LockLimit { span_ms, clock });
            let terms = ServeTerms { quota: None, locks };
            let _ = serve(&*store, terms, requests, answers);
        })
    };
    let remote = connect(ends).expect("the server welcomes");
    let attempts = probe(&remote, None);
    let (no, unknown) = (Outcome::Refused, Outcome::Unknown);
    assert_eq!(outcomes(&attempts), and([no, no, no, unknown]));
    assert!(withstood(&attempts));
    let attempts = probe(&remote, Some(800 * DAY_MS));
    assert_eq!(outcomes(&attempts), and([no; 4]));
    assert!(
        attempts[6].answer.contains("at most 400 days"),
        "{attempts:?}"
    );
    assert_eq!(all_of(&store), before);
    let first = || remote.locked_until(&ObjectKey::Log(0), &VersionId::only());
    assert_eq!(first().expect("it is there"), Some(START_UNIX_MS + DAY_MS));
    let attempts = probe(&remote, Some(10 * DAY_MS));
    assert_eq!(outcomes(&attempts), and([no, no, no, Outcome::Done]));
    assert!(!withstood(&attempts));
    assert_eq!(
        first().expect("it is there"),
        Some(START_UNIX_MS + 11 * DAY_MS)
    );

    let store = MemoryStore::new();
    let new = new_repository(&Env::system(), CHUNKER);
    new.create(&store).expect("it is empty");
    let remote = connect(guarded(&Arc::new(store), None)).expect("the server welcomes");
    let attempts = probe(&remote, Some(DAY_MS));
    assert_eq!(outcomes(&attempts), and([no, no, unknown, unknown]));
    assert!(withstood(&attempts));
}

/// Of a place without a repository nothing can be said.
///
/// Method: an empty store behind a guard.
#[test]
fn nothing_is_attacked_where_nothing_is() {
    let remote = connect(guarded(&Arc::new(MemoryStore::new()), None)).expect("welcome");
    let terms = ProbeTerms {
        mode: LockMode::Governance,
        over_lock_ms: None,
    };
    let error = remote.probe(&terms).expect_err("there is no log");
    assert!(error.is_not_found(), "{error:?}");
}

/// What a store does that does not heed what it is to refuse.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heed {
    /// It does all that is asked.
    Nothing,
    /// It says that it shortens locks, and does not.
    ButSaysSo,
    /// It says that it does not, and does.
    ButDeniesIt,
}

/// A store that takes everything.
struct Heedless {
    inner: MemoryStore,
    until_ms: AtomicU64,
    heed: Heed,
}

impl ReadStore for Heedless {
    fn read(&self, key: &ObjectKey, most: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.read(key, most)
    }

    fn read_range(&self, key: &ObjectKey, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.read_range(key, offset, len)
    }

    fn read_prefix(&self, key: &ObjectKey, most: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.read_prefix(key, most)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        self.inner.size(key)
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.inner.list(area, each)
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        self.inner.versions(key)
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        most: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.inner.read_version(key, version, most)
    }

    fn locked_until(&self, _: &ObjectKey, _: &VersionId) -> Result<Option<u64>, StoreError> {
        Ok(Some(self.until_ms.load(Ordering::Relaxed)))
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = self.inner.capabilities();
        can.locks = true;
        can
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

impl AppendStore for Heedless {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        self.inner.replace(key, bytes);
        Ok(PutOutcome::Created)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.inner.prepare()
    }

    fn extend_lock(&self, key: &ObjectKey, _: &VersionId, until_ms: u64) -> Result<(), StoreError> {
        let locked_until_ms = self.until_ms.load(Ordering::Relaxed);
        if self.heed != Heed::ButSaysSo {
            self.until_ms.store(until_ms, Ordering::Relaxed);
        }
        if self.heed == Heed::ButDeniesIt {
            return Err(StoreError::WouldShorten {
                key: *key,
                locked_until_ms,
            });
        }
        Ok(())
    }
}

/// What a server lets through is found, by what became of it and not by what it says.
///
/// Method: stores that take everything and lock as they like, behind a session that judges
/// nothing.
#[test]
fn what_is_let_through_is_found() {
    let done = Outcome::Done;
    for (heed, shorten) in [
        (Heed::Nothing, done),
        (Heed::ButSaysSo, Outcome::InVain),
        (Heed::ButDeniesIt, done),
    ] {
        let inner = MemoryStore::new();
        inner.replace(&ObjectKey::Log(0), b"the first entry");
        let store = Heedless {
            inner,
            until_ms: AtomicU64::new(START_UNIX_MS + DAY_MS),
            heed,
        };
        let ends = serving(move |requests, answers| {
            let _ = session(&store, requests, answers);
        });
        let remote = connect(ends).expect("the server welcomes");
        let attempts = probe(&remote, None);
        assert_eq!(
            outcomes(&attempts),
            and([done, done, shorten, Outcome::Unknown])
        );
        assert!(!withstood(&attempts));
    }
}
