//! Snapshots whose chunks hold what no writer would store: sealed and signed
//! with a real write key, and refused, if at all, for what they say.

use indelible_engine::keys::Credential;
use indelible_engine::pack::{Basis, CodedChunk, PackBuilder};
use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_format::bundle::KeyBundle;
use indelible_format::coding::{Class, Coding};
use indelible_format::commit::{NewPack, Reach};
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::manifest::{Accounting, Manifest, Source};
use indelible_format::name::Name;
use indelible_format::node::{self, Item, Node, PlacedRoot, Root};
use indelible_format::pack::{PackRecipients, chunk_id};
use indelible_format::page;
use indelible_format::places::Place;
use indelible_format::rights::Rights;

use super::{Forged, draft_snapshot};
use crate::support::Fixture;

/// Stands for the pack that a chunk lies in itself.
pub(crate) const OWN: PackId = PackId([0xEE; 32]);

/// Whoever holds a write key and a writer of their own making.
pub(crate) struct Insider<'f> {
    pub(crate) repository: Repository<'f, MemoryStore>,
    fixture: &'f Fixture,
    credential: Credential,
    key: KeyBundle,
}

impl<'f> Insider<'f> {
    /// Authorises the key.
    pub(crate) fn new(fixture: &'f Fixture) -> Self {
        let credential = fixture.add_key(Rights::WRITE, &["*"]);
        let Credential::KeyFile(file) = &credential else {
            unreachable!("a key file was made")
        };
        Self::with_key(fixture, file.bundle.clone(), credential)
    }

    /// Whoever has this key.
    pub(crate) fn with_key(fixture: &'f Fixture, key: KeyBundle, credential: Credential) -> Self {
        Self {
            key,
            repository: fixture.open_as(&credential),
            fixture,
            credential,
        }
    }

    /// Reads the log again, with what was put into it.
    pub(crate) fn refresh(&mut self) {
        self.repository = self.fixture.open_as(&self.credential);
    }

    /// Its key.
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What the key holds.
    pub(crate) fn key(&self) -> &KeyBundle {
        &self.key
    }

    /// A pack with nothing in it yet.
    pub(crate) fn pack(&self) -> ForgedPack<'_> {
        let to = PackRecipients {
            repository: self.repository.id(),
            domain: self.key.domain,
            epoch: 0,
            data_public: &self.key.data_public,
            meta_public: &self.key.meta_public,
            psk: &self.key.psk,
        };
        let index = &self.domain_keys().index;
        let builder = PackBuilder::new(&to, index, self.repository.env());
        ForgedPack {
            insider: self,
            builder: builder.expect("the keys are usable"),
        }
    }

    /// Signs a snapshot of these packs for the next number, and gives the number.
    pub(crate) fn commit(&self, packs: Vec<NewPack>, manifest: Manifest) -> u64 {
        self.commit_reaching(packs, manifest, &Reach::default())
    }

    /// The same, with a reach.
    pub(crate) fn commit_reaching(
        &self,
        packs: Vec<NewPack>,
        manifest: Manifest,
        reach: &Reach,
    ) -> u64 {
        let forged = Forged { manifest, reach };
        let draft = draft_snapshot(&self.repository, packs, &self.key, &forged);
        let entry = draft
            .sign(&self.repository.id(), &self.key.signing_seed)
            .expect("the entry is small");
        self.put_entry(&entry)
    }

    /// Puts an object at the next number of the log, and gives the number.
    pub(crate) fn put_entry(&self, entry: &[u8]) -> u64 {
        let number = self.repository.history().next;
        self.fixture.store.replace(&ObjectKey::Log(number), entry);
        number
    }

    /// Puts a pack into the store, as its bytes name it.
    pub(crate) fn put_pack(&self, bytes: &[u8]) -> NewPack {
        let id = PackId::of(bytes);
        self.fixture.store.replace(&ObjectKey::Pack(id), bytes);
        NewPack {
            id,
            len: u32::try_from(bytes.len()).expect("a pack is at most 32 MiB"),
            sha256: [0; 32],
        }
    }

    pub(crate) fn domain_keys(&self) -> &indelible_format::bundle::DomainKeys {
        self.key.write.as_ref().expect("it is a write key")
    }
}

/// A pack whose chunks may say anything.
pub(crate) struct ForgedPack<'i> {
    insider: &'i Insider<'i>,
    builder: PackBuilder,
}

/// A chunk of a forged pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) id: ChunkId,
    /// What the chunk's part of its stream really is, bytes.
    pub(crate) len: u64,
    pub(crate) number: u16,
}

impl Stored {
    /// As a list names it.
    pub(crate) fn item(&self) -> Item {
        Item {
            id: self.id,
            len: self.len,
        }
    }

    /// In its own pack.
    pub(crate) fn place(&self) -> Place {
        Place {
            pack: OWN,
            number: self.number,
        }
    }

    /// As the root of a stream.
    pub(crate) fn root(&self, level: u8) -> Root {
        Root {
            len: self.len,
            level,
            id: self.id,
        }
    }
}

impl ForgedPack<'_> {
    /// A chunk under the id of these identity bytes.
    pub(crate) fn chunk(
        &mut self,
        class: Class,
        identity: &[u8],
        coded: (Coding, Vec<u8>, usize),
    ) -> Stored {
        self.chunk_on(class, identity, coded, Basis::default())
    }

    /// The same, leaning on others.
    pub(crate) fn chunk_on(
        &mut self,
        class: Class,
        identity: &[u8],
        (coding, coded, plain_len): (Coding, Vec<u8>, usize),
        mut basis: Basis,
    ) -> Stored {
        for base in basis.bases.iter_mut().filter(|base| base.pack == OWN) {
            base.pack = self.builder.provisional();
        }
        let keys = self.insider.domain_keys();
        let key = match class {
            Class::Data => &keys.data_id,
            Class::Page | Class::Node => &keys.node_id,
        };
        let id = chunk_id(key, class, identity);
        let number = self.builder.add(vec![CodedChunk {
            id,
            class,
            coding,
            plain_len,
            coded,
            basis,
        }]);
        Stored {
            id,
            len: identity.len() as u64,
            number,
        }
    }

    /// A chunk that is stored as it is.
    pub(crate) fn raw(&mut self, class: Class, identity: &[u8], plain: Vec<u8>) -> Stored {
        let len = plain.len();
        self.chunk(class, identity, (Coding::Raw, plain, len))
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) -> Stored {
        self.raw(Class::Data, bytes, bytes.to_vec())
    }

    /// A node over chunks or nodes that lie in this pack, each as long as given.
    pub(crate) fn node(&mut self, level: u8, children: &[Stored]) -> Stored {
        let (items, places) = (
            children.iter().map(Stored::item).collect(),
            children.iter().map(Stored::place).collect(),
        );
        self.node_over(level, items, places)
    }

    /// A node over chunks or nodes that lie anywhere.
    pub(crate) fn node_over(&mut self, level: u8, items: Vec<Item>, places: Vec<Place>) -> Stored {
        let node = Node {
            level,
            items,
            places,
        };
        let identity = node::identity(level, &node.items);
        let len = node
            .items
            .iter()
            .fold(0_u64, |len, item| len.wrapping_add(item.len));
        let stored = self.raw(Class::Node, &identity, node.encode(&OWN));
        Stored { len, ..stored }
    }

    /// A page of encoded records, whose streams' root nodes lie in this pack.
    pub(crate) fn page(&mut self, records: &[u8], roots: &[Stored]) -> Stored {
        let places: Vec<Place> = roots.iter().map(Stored::place).collect();
        let plain = page::encode(records, &places, &OWN);
        self.raw(Class::Page, records, plain)
    }

    /// Stores the pack.
    pub(crate) fn finish(self) -> NewPack {
        let finished = self.builder.finish();
        NewPack {
            sha256: finished.sha256,
            ..self.insider.put_pack(&finished.bytes)
        }
    }
}

/// The manifest of a snapshot whose entry list has this root, in this pack.
pub(crate) fn manifest(list: Stored, level: u8, pack: &NewPack) -> Manifest {
    Manifest {
        name: Name::new(b"forged").expect("a NAME"),
        host: None,
        labels: Vec::new(),
        list: placed(list, level, pack),
        small: None,
        entries: 1,
        content_bytes: 0,
        source: Source::Stdin,
        accounting: Accounting::default(),
        started_ms: 0,
        finished_ms: 0,
        program: None,
        contents: None,
    }
}

/// The root of a stream, in this pack.
pub(crate) fn placed(root: Stored, level: u8, pack: &NewPack) -> PlacedRoot {
    PlacedRoot {
        root: root.root(level),
        place: Place {
            pack: pack.id,
            number: root.number,
        },
    }
}
