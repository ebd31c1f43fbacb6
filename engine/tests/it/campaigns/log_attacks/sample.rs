//! The repository that is attacked: a log of 50 entries by eleven keys.

use std::collections::BTreeMap;

use indelible_engine::cancel::Cancel;
use indelible_engine::keys::{Credential, Forbidden, KeyRequest};
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{self, Input};
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_format::bundle::KeyBundle;
use indelible_format::entry::Body;
use indelible_format::ids::{CommitId, LogHash};
use indelible_format::key_file::KeyFile;
use indelible_format::rights::{Kind, Kinds, Rights};

use crate::support::{
    Fixture, START_UNIX_MS, attest, authorize, key_file, key_request, object, request, revoke,
    rows, stream, write_key_beside,
};

/// Entries of the log.
pub(super) const SIZE: u64 = 50;
/// When the key that expires does.
pub(super) const EXPIRY_MS: u64 = START_UNIX_MS + 3_600_000;
/// What the revoked write key signed from here on is distrusted.
const STOLEN_FROM: u64 = 22;
/// The second administrator is distrusted from here on, and whom he authorised.
const SECOND_FROM: u64 = 19;

/// A key of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Role {
    /// Signed genesis.
    Admin,
    /// Writes `shop`.
    Shop,
    /// Writes `mail` and `mail-*`.
    Mail,
    /// Writes all until it expires.
    Temp,
    /// Wrote all; revoked.
    Stolen,
    /// Verifies.
    Verifier,
    /// Restores.
    Restorer,
    /// Had every right; revoked.
    Second,
    /// A write key that the second administrator authorised while he was already
    /// distrusted.
    Child,
    /// A write key whose kinds hold `authorize`.
    Delegate,
    /// Administers, and may not write.
    Bounded,
}

/// What an entry does.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Nothing that others depend on.
    Nothing,
    /// Authorises a key.
    Authorize(Role),
    /// Revokes a key, distrusted from an entry on.
    Revoke(Role, u64),
    /// Stores these bytes as `dump.sql`.
    Snapshot(Vec<u8>),
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) signer: Role,
    pub(super) act: Act,
}

/// The repository.
pub(super) struct Sample {
    pub(super) fixture: Fixture,
    pub(super) keys: BTreeMap<Role, KeyBundle>,
    pub(super) facts: Vec<Fact>,
    /// The store when the log had as many entries as the place says.
    pub(super) stores: Vec<MemoryStore>,
    pub(super) leaves: Vec<LogHash>,
    /// Roots over the first so many leaves.
    pub(super) roots: Vec<LogHash>,
}

impl Sample {
    pub(super) fn new(seed: u64) -> Self {
        let mut making = Making::new(seed);
        making.first_half();
        making.second_half();
        making.finish()
    }

    /// The bytes of an entry.
    pub(super) fn entry(&self, number: u64) -> Vec<u8> {
        object(self.store(), &ObjectKey::Log(number))
    }

    /// The store as it is at the end.
    pub(super) fn store(&self) -> &MemoryStore {
        &self.fixture.store
    }

    /// The recovery key in a file that pins the log at a size.
    pub(super) fn pinned(&self, size: u64) -> Credential {
        let at = usize::try_from(size).expect("a small number");
        Credential::KeyFile(Box::new(KeyFile {
            repository: self.fixture.open().id(),
            size,
            root: self.roots[at],
            bundle: self.fixture.bundle.clone(),
        }))
    }
}

/// The log while entries are added.
struct Making {
    fixture: Fixture,
    keys: BTreeMap<Role, KeyBundle>,
    facts: Vec<Fact>,
    stores: Vec<MemoryStore>,
    /// Snapshots that each key took.
    taken: BTreeMap<Role, u64>,
}

impl Making {
    fn new(seed: u64) -> Self {
        let fixture = Fixture::new(seed);
        let mut making = Self {
            keys: BTreeMap::from([(Role::Admin, fixture.bundle.clone())]),
            stores: vec![MemoryStore::new()],
            fixture,
            facts: Vec::new(),
            taken: BTreeMap::new(),
        };
        making.note(Role::Admin, Act::Nothing);
        making
    }

    fn first_half(&mut self) {
        use Role::{Admin, Child, Mail, Restorer, Second, Shop, Stolen, Temp, Verifier};
        self.grant(Admin, Shop, Rights::WRITE, &["shop"], None);
        self.grant(Admin, Mail, Rights::WRITE, &["mail", "mail-*"], None);
        self.snapshot(Shop, "shop");
        self.snapshot(Mail, "mail");
        self.grant(Admin, Temp, Rights::WRITE, &["*"], Some(EXPIRY_MS));
        self.grant(Admin, Stolen, Rights::WRITE, &["*"], None);
        self.grant(Admin, Verifier, Rights::VERIFY, &[], None);
        self.snapshot(Temp, "temp");
        self.snapshot(Stolen, "web");
        self.grant(Admin, Restorer, Rights::RESTORE, &[], None);
        self.append(Verifier, &attest());
        self.snapshot(Shop, "shop");
        self.grant(Admin, Second, Rights::ALL, &["*"], None);
        self.snapshot(Admin, "all");
        self.snapshot(Second, "other");
        self.delegate();
        self.snapshot(Mail, "mail-eu");
        self.snapshot(Stolen, "web");
        assert_eq!(self.number(), SECOND_FROM);
        self.grant(Second, Child, Rights::WRITE, &["*"], None);
        self.snapshot(Child, "child");
        self.snapshot(Shop, "shop");
        assert_eq!(self.number(), STOLEN_FROM);
        self.snapshot(Stolen, "web");
        self.snapshot(Stolen, "web");
        self.snapshot(Mail, "mail");
    }

    fn second_half(&mut self) {
        use Role::{Admin, Bounded, Mail, Restorer, Second, Shop, Stolen, Temp, Verifier};
        self.revoke(Stolen, STOLEN_FROM);
        self.append(Admin, &Body::Opaque(Kind::Policy, b"of tomorrow".to_vec()));
        self.snapshot(Shop, "shop");
        self.append(Restorer, &attest());
        self.revoke(Second, SECOND_FROM);
        self.grant(Admin, Bounded, Rights::ADMIN, &[], None);
        self.snapshot_with_record();
        while self.number() < SIZE - 1 {
            match self.number() % 6 {
                0 => self.snapshot(Shop, "shop"),
                1 => self.snapshot(Mail, "mail-us"),
                2 => self.snapshot(Temp, "temp"),
                3 => self.append(Verifier, &attest()),
                4 => self.snapshot(Admin, "all"),
                _ => self.append(Role::Delegate, &Body::Opaque(Kind::Volume, Vec::new())),
            }
        }
        self.snapshot(Admin, "all");
    }

    fn finish(self) -> Sample {
        let repository = self.fixture.open();
        let history = repository.history();
        assert!(history.problems.is_empty(), "{:?}", history.problems);
        assert_eq!((history.size(), self.facts.len() as u64), (SIZE, SIZE));
        let (leaves, sizes) = (history.leaves.clone(), 0..=SIZE);
        let root = |size| history.root_at(size).expect("it is that long");
        let roots = sizes.map(root).collect();
        drop(repository);
        Sample {
            fixture: self.fixture,
            keys: self.keys,
            facts: self.facts,
            stores: self.stores,
            leaves,
            roots,
        }
    }

    /// The number of the next entry.
    fn number(&self) -> u64 {
        self.facts.len() as u64
    }

    /// Notes an entry that was just added.
    fn note(&mut self, signer: Role, act: Act) {
        self.facts.push(Fact { signer, act });
        self.stores.push(self.fixture.store.clone());
        self.fixture.clock.advance(1_000);
    }

    /// The repository, opened with a key.
    fn open(&self, role: Role) -> Repository<'_, MemoryStore> {
        let credential = key_file(&self.fixture.open(), &self.keys[&role]);
        self.fixture.open_as(&credential)
    }

    fn grant(
        &mut self,
        by: Role,
        role: Role,
        rights: Rights,
        patterns: &[&str],
        expires_ms: Option<u64>,
    ) {
        let asked = KeyRequest {
            expires_ms,
            ..key_request(rights, patterns)
        };
        let new = self.open(by).add_key(asked).expect("the key is authorised");
        self.keys.insert(role, new.bundle().clone());
        self.note(by, Act::Authorize(role));
    }

    /// Authorises a write key that may authorise: rights and kinds are separate
    /// in a grant, and the engine never makes such a one.
    fn delegate(&mut self) {
        let bundle = write_key_beside(&self.fixture.open());
        let kinds = Kinds(Rights::WRITE.kinds().0 | 1 << Kind::Authorize.to_byte());
        authorize(&mut self.fixture.open(), &self.fixture.env, &bundle, kinds);
        self.keys.insert(Role::Delegate, bundle);
        self.note(Role::Admin, Act::Authorize(Role::Delegate));
    }

    fn revoke(&mut self, role: Role, distrust_from: u64) {
        let subject = self.keys[&role].signer();
        revoke(&mut self.open(Role::Admin), subject, distrust_from);
        self.note(Role::Admin, Act::Revoke(role, distrust_from));
    }

    fn append(&mut self, signer: Role, body: &Body) {
        let commit = CommitId(self.fixture.env.random());
        self.open(signer)
            .append(commit, |_| Ok::<_, Forbidden>(body.clone()))
            .expect("the entry is appended");
        self.note(signer, Act::Nothing);
    }

    fn snapshot(&mut self, signer: Role, name: &str) {
        self.take(signer, &request(name));
    }

    /// A snapshot whose commit body has no room in its entry.
    fn snapshot_with_record(&mut self) {
        let mut long = request("all");
        long.labels = (0..1_000).map(|n| format!("{n:080}")).collect();
        self.take(Role::Admin, &long);
        let record = |key: &ObjectKey| matches!(key, ObjectKey::Record(_));
        assert_eq!(
            self.fixture.store.keys().into_iter().filter(record).count(),
            1
        );
    }

    fn take(&mut self, signer: Role, request: &snapshot::Request) {
        let taken = self.taken.entry(signer).or_default();
        *taken += 1;
        let bytes = rows(*taken * 15..*taken * 15 + 60);
        let input = Input::Items(vec![stream("dump.sql", &bytes)]);
        let mut repository = self.open(signer);
        snapshot::run(&mut repository, request, input, &Cancel::new(), &Silent)
            .expect("the snapshot is committed");
        drop(repository);
        self.note(signer, Act::Snapshot(bytes));
    }
}
