//! Fixed keys, and a log that is written with them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use indelible_format::attest::{Attest, Level};
use indelible_format::bundle::{DomainKeys, KeyBundle, RestoreKeys, VerifyKeys};
use indelible_format::commit::{
    Binding, CommitBody, CommitKeys, CommitRandomness, NewPack, Reach, SnapshotBody,
};
use indelible_format::entry::{Body, Draft};
use indelible_format::genesis::{ChunkerParameters, Genesis};
use indelible_format::grant::{Authorize, GrantFacts, Revoke, SealedFacts};
use indelible_format::ids::{
    ChunkId, CommitId, DomainId, LogHash, PackId, RepositoryId, SealingKey, SignerId,
};
use indelible_format::manifest::{Accounting, Manifest, Source};
use indelible_format::merkle::{Frontier, leaf_hash};
use indelible_format::name::{Name, Pattern};
use indelible_format::node::{PlacedRoot, Root};
use indelible_format::places::Place;
use indelible_format::rekey::{EpochBinding, EpochSecrets, Recipient, Rekey, SealedShare, Share};
use indelible_format::rights::{Kinds, Rights};
use indelible_format::seal::{sealing_key_of, signer_of};
use indelible_format::secret::{self, SecretKey};
use indelible_format::slot::{Cost, PassphraseSlot};

use crate::frame::Frame;

pub(crate) const DOMAIN: DomainId = DomainId([0xD0; 16]);
pub(crate) const OTHER_DOMAIN: DomainId = DomainId([0xD1; 16]);
pub(crate) const REPOSITORY: RepositoryId = RepositoryId([0xE0; 32]);
pub(crate) const COMMIT: CommitId = CommitId([0xC0; 16]);
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
/// When the first entry claims to have been written.
pub(crate) const EPOCH_MS: u64 = 1_767_225_600_000;

/// The key whose bytes are all `byte`.
pub(crate) fn key(byte: u8) -> SecretKey {
    SecretKey::new([byte; 32])
}

/// The administrator's seed; others have the seeds 2, 3, ...
pub(crate) const ADMIN: u8 = 1;
const PSK: u8 = 0x10;
const META: u8 = 0x11;
const DATA: u8 = 0x12;
const MASTERS: [u8; 4] = [0x13, 0x14, 0x15, 0x16];

pub(crate) fn signer(seed: u8) -> SignerId {
    signer_of(&key(seed))
}

pub(crate) fn psk() -> SecretKey {
    key(PSK)
}

pub(crate) fn meta_private() -> SecretKey {
    key(META)
}

pub(crate) fn data_private() -> SecretKey {
    key(DATA)
}

pub(crate) fn meta_public() -> SealingKey {
    sealing_key_of(&meta_private())
}

pub(crate) fn data_public() -> SealingKey {
    sealing_key_of(&data_private())
}

pub(crate) fn index_key() -> SecretKey {
    secret::index_key(&key(MASTERS[3]), &DOMAIN)
}

pub(crate) fn data_id_key() -> SecretKey {
    secret::data_id_key(&key(MASTERS[0]), &DOMAIN)
}

pub(crate) fn node_id_key() -> SecretKey {
    secret::node_id_key(&key(MASTERS[1]), &DOMAIN)
}

pub(crate) fn pattern(text: &str) -> Pattern {
    Pattern::new(text.as_bytes()).unwrap()
}

pub(crate) fn facts() -> GrantFacts {
    GrantFacts::new(
        "orders on db-1",
        vec![pattern("orders"), pattern("orders-*")],
    )
    .unwrap()
}

/// The bundle of the key with this seed.
pub(crate) fn bundle(seed: u8, rights: Rights) -> KeyBundle {
    let has = |right| rights.contains(right);
    let domain_keys = || DomainKeys {
        data_id: data_id_key(),
        node_id: node_id_key(),
        gear: secret::gear_key(&key(MASTERS[2]), &DOMAIN),
        index: index_key(),
    };
    let verify_keys = || VerifyKeys {
        node_id_master: key(MASTERS[1]),
        index_master: key(MASTERS[3]),
        meta_private: meta_private(),
    };
    let restore_keys = || RestoreKeys {
        data_id_master: key(MASTERS[0]),
        data_private: data_private(),
    };
    KeyBundle {
        domain: DOMAIN,
        epoch: 0,
        signing_seed: key(seed),
        sealing_private: key(seed.wrapping_add(0x40)),
        psk: psk(),
        meta_public: meta_public(),
        data_public: data_public(),
        write: has(Rights::WRITE).then(domain_keys),
        verify: has(Rights::VERIFY).then(verify_keys),
        restore: has(Rights::RESTORE).then(restore_keys),
        admin: has(Rights::ADMIN),
        gear_master: has(Rights::ALL).then(|| key(MASTERS[2])),
        facts: facts(),
        strict: false,
    }
}

pub(crate) fn slot(bundle: &KeyBundle, commit: &CommitId, subject: &SignerId) -> PassphraseSlot {
    PassphraseSlot::seal(
        bundle,
        PASSPHRASE,
        Cost::CHEAPEST,
        [0x51; 32],
        commit,
        subject,
    )
    .unwrap()
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        chunker: ChunkerParameters::default(),
        sealing_key: sealing_key_of(&key(ADMIN + 0x40)),
        slot: slot(&bundle(ADMIN, Rights::ALL), &COMMIT, &signer(ADMIN)),
    }
}

/// The secrets of an epoch.
pub(crate) fn secrets(epoch: u32) -> EpochSecrets {
    let byte = u8::try_from(epoch).unwrap();
    let secret = |own: u8| {
        if epoch == 0 {
            own
        } else {
            0x80 + byte * 8 + own % 8
        }
    };
    EpochSecrets {
        psk: key(secret(PSK)),
        index_master: key(secret(MASTERS[3])),
        meta_private: key(secret(META)),
        data_private: key(secret(DATA)),
    }
}

/// What a key with these rights gets of epoch 3.
pub(crate) fn share(rights: Rights) -> Share {
    secrets(3).share(rights, |master| secret::index_key(master, &DOMAIN))
}

pub(crate) fn epoch_binding() -> EpochBinding {
    EpochBinding {
        repository: REPOSITORY,
        commit: COMMIT,
        epoch: 3,
    }
}

pub(crate) fn recipient(seed: u8) -> Recipient {
    Recipient {
        subject: signer(seed),
        sealing_key: sealing_key_of(&key(seed + 0x40)),
        psk: psk(),
    }
}

/// The epochs before epoch 3: the one between is lost.
pub(crate) fn past() -> BTreeMap<u32, EpochSecrets> {
    [0, 2].map(|epoch| (epoch, secrets(epoch))).into()
}

/// A rekey that begins epoch 3, for the administrator, a write key (2) and a verify
/// key (3).
pub(crate) fn rekey() -> Rekey {
    static REKEY: OnceLock<Rekey> = OnceLock::new();
    let make = || {
        let keys = [
            (ADMIN, Rights::ALL),
            (2, Rights::WRITE),
            (3, Rights::VERIFY),
        ];
        let shares = keys.map(|(seed, rights)| {
            let (key, drawn) = (key(0xA0 + seed), [0xB0 + seed; 32]);
            SealedShare::seal(
                &share(rights),
                &recipient(seed),
                &epoch_binding(),
                &key,
                drawn,
            )
        });
        let shares = shares.map(Result::unwrap).into();
        Rekey::seal(&epoch_binding(), &secrets(3), &past(), [0x5A; 32], shares).unwrap()
    };
    REKEY.get_or_init(make).clone()
}

/// A rekey that begins this epoch; nobody opens it.
pub(crate) fn rekey_of(epoch: u32) -> Body {
    let body = [&epoch.to_le_bytes(), &rekey().encode()[4..]].concat();
    Body::Rekey(Rekey::decode(&body).unwrap())
}

/// Facts that are sealed to no entry in particular: to judge who may sign what,
/// nobody opens them.
fn some_facts() -> &'static SealedFacts {
    static FACTS: OnceLock<SealedFacts> = OnceLock::new();
    FACTS.get_or_init(|| sealed_facts(&REPOSITORY, &COMMIT, &signer(2)))
}

pub(crate) fn sealed_facts(
    repository: &RepositoryId,
    commit: &CommitId,
    subject: &SignerId,
) -> SealedFacts {
    let (key, drawn) = (key(0x61), [0x62; 32]);
    SealedFacts::seal(
        &facts(),
        repository,
        commit,
        subject,
        &meta_public(),
        &psk(),
        &key,
        drawn,
    )
    .unwrap()
}

/// A grant for the key with this seed, with the kinds that its rights need.
pub(crate) fn grant(seed: u8, rights: Rights) -> Authorize {
    Authorize {
        subject: signer(seed),
        sealing_key: sealing_key_of(&key(seed.wrapping_add(0x40))),
        domain: DOMAIN,
        rights,
        kinds: rights.kinds(),
        expires_ms: None,
        facts: some_facts().clone(),
        slot: None,
    }
}

pub(crate) fn authorize(seed: u8, rights: Rights) -> Body {
    Body::Authorize(grant(seed, rights))
}

pub(crate) fn authorize_kinds(seed: u8, rights: Rights, kinds: u32) -> Body {
    Body::Authorize(Authorize {
        kinds: Kinds(kinds),
        ..grant(seed, rights)
    })
}

pub(crate) fn revoke(seed: u8, distrust_from: u64) -> Body {
    Body::Revoke(Revoke {
        subject: signer(seed),
        distrust_from,
    })
}

pub(crate) fn attest() -> Body {
    Body::Attest(Attest {
        level: Level::Data,
        sound: true,
        size: 7,
        root: LogHash([0x77; 32]),
        packs: 12,
        bytes: 345_678,
        problems: 0,
    })
}

/// A snapshot whose body stands elsewhere: enough for the log.
pub(crate) fn snapshot() -> Body {
    Body::Snapshot(SnapshotBody::Record {
        id: indelible_format::ids::RecordId([0xAB; 32]),
        len: 4_096,
    })
}

pub(crate) fn manifest() -> Manifest {
    let root = |byte: u8, level| PlacedRoot {
        root: Root {
            len: 1_000 + u64::from(byte),
            level,
            id: ChunkId([byte; 32]),
        },
        place: Place {
            pack: PackId([byte + 1; 32]),
            number: byte.into(),
        },
    };
    Manifest {
        name: Name::new(b"orders").unwrap(),
        host: Some("db-1".to_owned()),
        labels: vec!["daily".to_owned(), "eu".to_owned()],
        list: root(0x31, 0),
        small: Some(root(0x33, 1)),
        entries: 3,
        content_bytes: 5_000,
        source: Source::Commands(vec!["pg_dump orders".to_owned()]),
        accounting: Accounting {
            new_bytes: 4_000,
            new_chunks: 4,
            delta_chunks: 0,
            added_bytes: 2_000,
        },
        started_ms: EPOCH_MS,
        finished_ms: EPOCH_MS + 60_000,
        program: Some("indelible 0.1.0".to_owned()),
        contents: None,
    }
}

pub(crate) fn binding() -> Binding {
    Binding {
        repository: REPOSITORY,
        commit: COMMIT,
        domain: DOMAIN,
        epoch: 0,
    }
}

pub(crate) fn commit_body(binding: &Binding, reach: &Reach) -> CommitBody {
    let pack = |byte: u8| NewPack {
        id: PackId([byte; 32]),
        len: 65_536 + u32::from(byte),
        sha256: [byte + 1; 32],
    };
    CommitBody::seal(
        binding,
        vec![pack(0x81), pack(0x71)],
        Some(EPOCH_MS + 86_400_000),
        reach,
        &manifest(),
        CommitKeys {
            index: &index_key(),
            meta_public: &meta_public(),
            psk: &psk(),
        },
        &CommitRandomness {
            salt: [0x91; 32],
            manifest_key: key(0x92),
            wrap: [0x93; 32],
        },
    )
    .unwrap()
}

/// A log under construction.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) repository: RepositoryId,
    pub(crate) objects: Vec<(u64, Vec<u8>)>,
    leaves: Frontier,
    last: LogHash,
}

impl Log {
    /// A log of genesis alone.
    pub(crate) fn begin() -> Self {
        static GENESIS: OnceLock<Vec<u8>> = OnceLock::new();
        let object = GENESIS.get_or_init(|| {
            Self::frame_of(0, ADMIN, &Body::Genesis(genesis()))
                .sign(&RepositoryId([0; 32]), &key(ADMIN))
        });
        let mut log = Self {
            repository: RepositoryId(leaf_hash(object).0),
            objects: Vec::new(),
            leaves: Frontier::new(),
            last: LogHash([0; 32]),
        };
        log.push(object.clone());
        log
    }

    fn frame_of(number: u64, seed: u8, body: &Body) -> Frame {
        Frame {
            magic: *b"INDLLOG1",
            number,
            kind: body.kind().to_byte(),
            flags: body.kind().criticality().unwrap_or(false).into(),
            epoch: 0,
            claimed_ms: EPOCH_MS + number * 1_000,
            commit: if number == 0 {
                COMMIT
            } else {
                CommitId([number.to_le_bytes()[0]; 16])
            },
            domain: DOMAIN,
            signer: signer(seed),
            previous: LogHash([0; 32]),
            root: LogHash([0; 32]),
            body: body.encode(),
        }
    }

    /// The number of the next object.
    pub(crate) fn next(&self) -> u64 {
        self.leaves.size()
    }

    /// The next entry, unsigned.
    pub(crate) fn frame(&self, seed: u8, body: &Body) -> Frame {
        Frame {
            previous: self.last,
            root: self.leaves.root(),
            ..Self::frame_of(self.next(), seed, body)
        }
    }

    /// The next entry as the crate writes it.
    pub(crate) fn draft(&self, body: Body) -> Draft {
        Draft {
            number: self.next(),
            epoch: 0,
            claimed_ms: EPOCH_MS + self.next() * 1_000,
            commit: CommitId([u8::try_from(self.next()).unwrap(); 16]),
            domain: DOMAIN,
            previous: self.last,
            root: self.leaves.root(),
            body,
        }
    }

    /// Appends an object, whatever it is.
    pub(crate) fn push(&mut self, object: Vec<u8>) -> u64 {
        let number = self.next();
        self.last = leaf_hash(&object);
        self.leaves.push(self.last);
        self.objects.push((number, object));
        number
    }

    /// Signs the next entry and appends it.
    pub(crate) fn append(&mut self, seed: u8, body: &Body) -> u64 {
        self.append_frame(seed, &self.frame(seed, body))
    }

    pub(crate) fn append_frame(&mut self, seed: u8, frame: &Frame) -> u64 {
        self.push(frame.sign(&self.repository, &key(seed)))
    }

    /// The objects, as a reader gets them.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.objects
            .iter()
            .map(|(number, object)| (*number, object.as_slice()))
    }

    pub(crate) fn leaf(&self, number: u64) -> LogHash {
        let at = usize::try_from(number).unwrap();
        leaf_hash(&self.objects[at].1)
    }
}

/// The log that most tests begin with: the administrator, a write key (seed 2),
/// a restore key (3) and a second administrator (4), authorised by entries 1
/// to 3.
pub(crate) fn staffed() -> Log {
    static STAFFED: OnceLock<Log> = OnceLock::new();
    let staff = || {
        let mut log = Log::begin();
        log.append(ADMIN, &authorize(2, Rights::WRITE));
        log.append(ADMIN, &authorize(3, Rights::RESTORE));
        log.append(ADMIN, &authorize(4, Rights::ADMIN.union(Rights::WRITE)));
        log
    };
    STAFFED.get_or_init(staff).clone()
}
