//! A thief of everything that a host has, in a repository of two hosts: whatever he
//! tries, the snapshots from before restore, the other host's next backup is committed
//! and restores, and a verification tells what he left where that can be seen.
//!
//! What he forges he makes at home, on a copy of the repository that he may write as he
//! likes, and then carries to where the repository is. The same drill runs on every kind
//! of store; what a store has beyond this program's own calls is up to its [`Site`].

mod served;

use std::sync::Arc;

use indelible_engine::env::{Env, ManualClock, OsEntropy};
use indelible_engine::keys::Credential;
use indelible_engine::repository::{Refusal, Repository};
use indelible_engine::store::{
    AppendStore, Area, Listed, MemoryStore, ObjectKey, PutOutcome, ReadStore,
};
use indelible_engine::verify::Report;
use indelible_format::attest::Level;
use indelible_format::bundle::KeyBundle;
use indelible_format::coding::{Class, Coding};
use indelible_format::commit::Reach;
use indelible_format::ids::{PackId, RecordId};
use indelible_format::name::{Name, Pattern};
use indelible_format::policy::{LockMode, Promise};
use indelible_format::rights::Rights;
use indelible_format::secret::SecretKey;

use crate::support::tree::Insider;
use crate::support::{
    CHUNKER, Fixture, Forged, attest, draft_at, forge_snapshot, key_file, key_request,
    new_repository, noise, recovery, restore_stream, rows, snapshot_at, take_stream, verify_with,
};

const DAY_MS: u64 = 86_400_000;
const OBJECT_BYTES_MAX: u64 = 32 << 20;

/// Who reaches a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Who made it.
    Admin,
    /// The host whose credentials are stolen.
    Host,
    /// Another one.
    Other,
}

/// Where a repository lies, and what credentials give there.
pub(crate) trait Site {
    /// How this program reaches it.
    type Store: AppendStore;

    /// A client that has seen nothing yet.
    fn store(&self, who: Who) -> Self::Store;

    /// Puts anything under a name, as far as the host's credentials go.
    fn put(&self, key: &ObjectKey, bytes: &[u8]);

    /// Does to each object what the store must refuse, or must make harmless, by other
    /// means than this program's calls. Panics if the store lets it be done.
    fn attack(&self, keys: &[ObjectKey]);

    /// Whether the host may store only so much.
    const HAS_QUOTA: bool;

    /// Whether junk in the log is refused, instead of standing there without effect.
    const JUDGES: bool;
}

/// A repository under attack, and what must stay of it.
struct Drill<'s, S> {
    site: &'s S,
    recovery: Credential,
    admin: KeyBundle,
    host: Credential,
    other: Credential,
    /// Snapshots that nobody may take away.
    kept: Vec<(u64, Vec<u8>)>,
    /// Those that the thief signed.
    forged: Vec<u64>,
}

/// Runs all of it, and gives what a verification says in the end.
pub(crate) fn run<S: Site>(site: &S) -> Report {
    Drill::new(site).run()
}

impl<'s, S: Site> Drill<'s, S> {
    /// Two hosts, and a snapshot or two of each.
    fn new(site: &'s S) -> Self {
        let env = Env::system();
        let store = site.store(Who::Admin);
        store.lock_new(LockMode::Compliance, DAY_MS);
        let new = new_repository(&env, CHUNKER);
        new.create(&store).expect("the store is fit");
        let recovery = recovery();
        let mut admin = Repository::open(&store, None, &recovery, env).expect("it opens");
        if store.capabilities().locks {
            let promise = Promise {
                pattern: Pattern::all(),
                retain_ms: 35 * DAY_MS,
            };
            let stated = admin.promise(Some(LockMode::Compliance), &[promise]);
            assert!(stated.expect("it is stated").short.is_none());
        }
        let mut add = |name: &str| {
            let added = admin.add_key(key_request(Rights::WRITE, &[name]));
            key_file(&admin, added.expect("it is authorised").bundle())
        };
        let (host, other) = (add("shop"), add("payroll"));
        let mut drill = Self {
            site,
            recovery,
            admin: new.bundle().clone(),
            host,
            other,
            kept: Vec::new(),
            forged: Vec::new(),
        };
        drill.back_up(Who::Host, rows(0..300));
        drill.back_up(Who::Host, rows(40..340));
        drill.back_up(Who::Other, rows(1_000..1_200));
        drill.holds();
        drill
    }

    fn run(mut self) -> Report {
        let attacks: [fn(&mut Self); 6] = [
            Self::changes_objects,
            Self::writes_junk_entries,
            Self::lies_about_chunks,
            Self::writes_under_another_name,
            Self::claims_other_times,
            Self::fills_the_store,
        ];
        for attack in attacks {
            attack(&mut self);
            self.holds();
        }
        self.verified()
    }

    /// A backup as every night, which has to work.
    fn back_up(&mut self, who: Who, dump: Vec<u8>) {
        let (key, name) = match who {
            Who::Host => (&self.host, "shop"),
            _ => (&self.other, "payroll"),
        };
        let store = self.site.store(who);
        let mut repository = open(&store, key);
        let taken = take_stream(&mut repository, name, &dump).expect("it is committed");
        assert!(taken.locked.short.is_none(), "{:?}", taken.locked.short);
        self.kept.push((taken.number, dump));
    }

    /// What must be so after each attack.
    fn holds(&mut self) {
        let night = self.kept.len() as u64;
        self.back_up(Who::Other, rows(1_000 + night..1_200 + 2 * night));
        let store = self.site.store(Who::Admin);
        let repository = open(&store, &self.recovery);
        for (number, dump) in &self.kept {
            let restored = restore_stream(&repository, *number);
            assert_eq!(restored.as_deref(), Ok(&dump[..]), "snapshot {number}");
        }
    }

    /// Everything is read, and nothing that was to stay is harmed.
    fn verified(&self) -> Report {
        let store = self.site.store(Who::Admin);
        let report = verify_with(&open(&store, &self.recovery), Level::Data);
        for (number, _) in &self.kept {
            let found = report.snapshots.iter().find(|it| it.number == *number);
            let verdict = found.expect("it is in the report");
            assert!(verdict.refused.is_none(), "{verdict:?}");
            assert!(verdict.problems.is_empty(), "{:?}", report.problems);
        }
        report
    }

    /// A copy of the repository that can be written as one likes.
    fn home(&self) -> Fixture {
        let theirs = self.site.store(Who::Host);
        let store = MemoryStore::new();
        for key in objects(&theirs) {
            let bytes = match key {
                ObjectKey::Log(_) => theirs.read_oldest(&key, OBJECT_BYTES_MAX),
                _ => theirs.read(&key, OBJECT_BYTES_MAX),
            };
            store.replace(&key, &bytes.expect("a host may read"));
        }
        let clock = Arc::new(ManualClock::new(Env::system().clock.now_unix_ms()));
        let env = Env {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
        };
        Fixture {
            store,
            clock,
            env,
            recovery: self.recovery.clone(),
            bundle: self.admin.clone(),
        }
    }

    /// Carries what was made at home to the repository, the log last.
    fn carry(&mut self, home: &Fixture) {
        let theirs = objects(&self.site.store(Who::Host));
        let mut new = home.store.keys();
        new.retain(|key| !theirs.contains(key));
        new.sort_by_key(|key| matches!(key, ObjectKey::Log(_)));
        for key in &new {
            let bytes = home.store.read(key, OBJECT_BYTES_MAX);
            self.site.put(key, &bytes.expect("it was made"));
            if let ObjectKey::Log(number) = key {
                self.forged.push(*number);
            }
        }
        let store = self.site.store(Who::Host);
        for key in &new {
            store.size(key).expect("it was taken");
        }
    }

    fn thief(&self) -> &KeyBundle {
        match &self.host {
            Credential::KeyFile(file) => &file.bundle,
            Credential::Passphrase(_) => unreachable!("a key file was made"),
        }
    }

    /// Writes over every object, by this program's calls and past them.
    fn changes_objects(&mut self) {
        let store = self.site.store(Who::Host);
        let keys = objects(&store);
        assert!(keys.len() >= 12, "{keys:?}");
        for key in &keys {
            let stored = store.put_new(key, b"forged");
            let stored = matches!(&stored, Ok(outcome) if outcome.is_stored());
            assert!(!stored, "{key}");
        }
        self.site.attack(&keys);
    }

    /// Puts junk, entries that others signed, and old ones at the log's head and beyond.
    fn writes_junk_entries(&mut self) {
        let home = self.home();
        let repository = home.open();
        let next = repository.history().next;
        let stranger = draft_at(&repository, next, attest());
        let stranger = stranger.sign(&repository.id(), &SecretKey::new([9; 32]));
        // A host's key signs nothing but snapshots.
        let beyond = draft_at(&repository, next, attest());
        let beyond = beyond.sign(&repository.id(), &self.thief().signing_seed);
        let old = home.store.read(&ObjectKey::Log(next - 1), OBJECT_BYTES_MAX);
        let junk = [
            b"junk".to_vec(),
            noise(3, 70_000),
            stranger.expect("it is small"),
            beyond.expect("it is small"),
            old.expect("it is there"),
        ];
        for (number, bytes) in (next..).zip(&junk) {
            self.site.put(&ObjectKey::Log(number), bytes);
        }
        self.site.put(&ObjectKey::Log(next + 5_000), b"far ahead");
        let store = self.site.store(Who::Host);
        let is_there = store.size(&ObjectKey::Log(next)).is_ok();
        assert_eq!(is_there, !S::JUDGES);
    }

    /// Signs a snapshot with a pack whose directory gives other bytes for a chunk than its
    /// name stands for. The host whose key it is will lean on them, and others won't.
    fn lies_about_chunks(&mut self) {
        let home = self.home();
        let truth = noise(77, 200);
        let mut insider = Insider::with_key(&home, self.thief().clone(), self.host.clone());
        let taken = take_stream(&mut insider.repository, "shop", b"innocent");
        let taken = taken.expect("it is committed at home").number;
        let from = snapshot_at(&home.open(), taken);
        insider.refresh();
        let mut pack = insider.pack();
        let lie = noise(78, truth.len());
        pack.chunk(Class::Data, &truth, (Coding::Raw, lie, truth.len()));
        let mut packs = from.body.packs.clone();
        packs.push(pack.finish());
        insider.commit(packs, from.manifest.clone());
        self.carry(&home);

        let store = self.site.store(Who::Host);
        let mut repository = open(&store, &self.host);
        let misled = take_stream(&mut repository, "shop", &truth).expect("it is committed");
        self.forged.push(misled.number);
        self.back_up(Who::Other, truth);
    }

    /// Signs a snapshot of another host's NAME.
    fn writes_under_another_name(&mut self) {
        let home = self.home();
        let mut repository = home.open_as(&self.host);
        let taken = take_stream(&mut repository, "shop", b"none of theirs");
        let from = snapshot_at(&home.open(), taken.expect("it is committed").number);
        let mut manifest = from.manifest.clone();
        manifest.name = Name::new(b"payroll").expect("a NAME");
        let reach = Reach::default();
        let forged = Forged {
            manifest,
            reach: &reach,
        };
        let repository = home.open();
        let entry = forge_snapshot(&repository, &from, self.thief(), &forged);
        let number = repository.history().next;
        home.store.replace(&ObjectKey::Log(number), &entry);
        self.carry(&home);
        let store = self.site.store(Who::Admin);
        let refused = snapshot_at(&open(&store, &self.recovery), number).refused;
        assert_eq!(refused, Some(Refusal::Name));
    }

    /// Commits with a clock that is ten years late, and with one of the next century.
    fn claims_other_times(&mut self) {
        let now_ms = Env::system().clock.now_unix_ms();
        let decade_ms = 3_650 * DAY_MS;
        for claimed_ms in [now_ms - decade_ms, now_ms + 10 * decade_ms] {
            let home = self.home();
            home.clock.set_unix_ms(claimed_ms);
            let mut repository = home.open_as(&self.host);
            let dump = format!("of another time: {claimed_ms}");
            let taken = take_stream(&mut repository, "shop", dump.as_bytes());
            taken.expect("it is committed at home");
            self.carry(&home);
        }
    }

    /// Stores what nobody needs, until nothing more is taken where there is a quota.
    fn fills_the_store(&mut self) {
        let store = self.site.store(Who::Host);
        let refused = (0..40).find_map(|seed| {
            let bytes = noise(1_000 + seed, 100_000);
            let pack = store.put_new(&ObjectKey::Pack(PackId::of(&bytes)), &bytes);
            let record = ObjectKey::Record(RecordId::of(&bytes[..500]));
            let record = store.put_new(&record, &bytes[..500]);
            let stored = |put: &PutOutcome| assert!(put.is_stored(), "{put:?}");
            pack.and_then(|put| record.inspect(|_| stored(&put)))
                .inspect(stored)
                .err()
        });
        assert_eq!(refused.is_some(), S::HAS_QUOTA, "{refused:?}");
    }
}

fn open<'s, S: ReadStore>(store: &'s S, key: &Credential) -> Repository<'s, S> {
    Repository::open(store, None, key, Env::system()).expect("it opens")
}

/// All objects of a store.
pub(crate) fn objects<S: ReadStore>(store: &S) -> Vec<ObjectKey> {
    let mut keys = vec![ObjectKey::Repository];
    for area in Area::ALL {
        let each = &mut |listed| {
            if let Listed::Object { key, .. } = listed {
                keys.push(key);
            }
        };
        store.list(area, each).expect("it can be listed");
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}
