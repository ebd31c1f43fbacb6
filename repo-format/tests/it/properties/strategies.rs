//! Arbitrary valid values of each layout.

use std::collections::BTreeMap;

use indelible_format::attest::{Attest, Level};
use indelible_format::bundle::KeyBundle;
use indelible_format::coding::Coding;
use indelible_format::commit::{CommitBody, Reach, SnapshotBody};
use indelible_format::contents::{Contents, ContentsBuilder, Dialect, SectionKind};
use indelible_format::directory::{Base, Directory, Record};
use indelible_format::genesis::{ChunkerParameters, Genesis};
use indelible_format::grant::{Authorize, GrantFacts, Revoke};
use indelible_format::ids::{
    ChunkId, DomainId, LogHash, PackId, RecordId, RepositoryId, SealingKey, SignerId,
};
use indelible_format::limits::{LOG_BUNDLE_OBJECTS, RETAIN_MS_MAX};
use indelible_format::log_bundle::LogBundle;
use indelible_format::manifest::{Accounting, Manifest, Source};
use indelible_format::name::{Name, Pattern};
use indelible_format::node::{Item, Node, PlacedRoot, Root};
use indelible_format::page::{Content, EntryKind, Metadata, Page, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;
use indelible_format::policy::{Hold, LockMode, Policy, Promise};
use indelible_format::rekey::Rekey;
use indelible_format::rights::{Kinds, Rights};
use indelible_format::slot::PassphraseSlot;
use indelible_format::wire::Builder;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::codecs::OWN;
use crate::fixture;

pub(super) fn hash() -> impl Strategy<Value = [u8; 32]> + Clone {
    any::<[u8; 32]>()
}

pub(super) fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z_][A-Za-z0-9._-]{0,127}".prop_map(|text| Name::new(text.as_bytes()).unwrap())
}

pub(super) fn pattern() -> impl Strategy<Value = Pattern> {
    "[*]?([a-c.-]{1,3}[*]){0,6}[a-c]{1,3}".prop_map(|text| Pattern::new(text.as_bytes()).unwrap())
}

pub(super) fn path() -> impl Strategy<Value = EntryPath> {
    let byte = prop_oneof![97_u8..100, 1_u8..=255].prop_filter("a separator", |&b| b != b'/');
    let component = vec(byte, 1..4).prop_filter("a relative component", |bytes| {
        !matches!(&bytes[..], b"." | b"..")
    });
    vec(component, 1..4).prop_map(|parts| EntryPath::new(parts.join(&b'/')).unwrap())
}

pub(super) fn rights() -> impl Strategy<Value = Rights> {
    prop::sample::select(
        (0..16)
            .filter_map(|byte| Rights::from_byte(byte).ok())
            .collect::<Vec<_>>(),
    )
}

pub(super) fn facts() -> impl Strategy<Value = GrantFacts> {
    ("[^\\p{C}]{0,60}", vec(pattern(), 0..5))
        .prop_map(|(label, patterns)| GrantFacts::new(&label, patterns).unwrap())
}

pub(super) fn bundle() -> impl Strategy<Value = KeyBundle> {
    (
        any::<u8>(),
        rights(),
        any::<[u8; 16]>(),
        any::<u32>(),
        facts(),
        any::<bool>(),
    )
        .prop_map(|(seed, rights, domain, epoch, facts, strict)| KeyBundle {
            domain: DomainId(domain),
            epoch,
            facts,
            strict: strict && rights.contains(Rights::WRITE) && !rights.contains(Rights::RESTORE),
            ..fixture::bundle(seed, rights)
        })
}

/// A slot that nobody can open: its cost and layout are what counts.
pub(super) fn slot() -> impl Strategy<Value = PassphraseSlot> {
    let cost = (1_u32..=16, 1_u32..=16).prop_flat_map(|(passes, lanes)| {
        let most = (4 << 20) / passes;
        (Just(passes), 8 * lanes..=most.min(1 << 20), Just(lanes))
    });
    (cost, hash(), vec(any::<u8>(), 0..200)).prop_map(|(cost, salt, sealed)| {
        let (passes, memory_kib, lanes) = cost;
        let mut out = Builder::new();
        out.u8(1).u32(passes).u32(memory_kib).u32(lanes);
        PassphraseSlot::decode(&out.bytes(&salt).text16(&sealed).finish()).unwrap()
    })
}

pub(super) fn genesis() -> impl Strategy<Value = Genesis> {
    let sizes = (8_u32..=19).prop_flat_map(|power| {
        let average = 1_u32 << power;
        (32..average / 2, Just(average), average / 2 + 1..=1 << 19)
    });
    (sizes, 0_u8..=3, hash(), slot()).prop_map(|((min, average, max), normalization, key, slot)| {
        Genesis {
            chunker: ChunkerParameters {
                min: min * 2,
                average,
                max: max * 2,
                normalization,
            },
            sealing_key: SealingKey(key),
            slot,
        }
    })
}

pub(super) fn authorize() -> impl Strategy<Value = Authorize> {
    let expiry = option::of(1..=u64::MAX);
    let ids = (hash(), hash(), any::<[u8; 16]>());
    (ids, rights(), any::<u32>(), expiry, option::of(slot())).prop_map(
        |((subject, sealing_key, domain), rights, kinds, expires_ms, slot)| Authorize {
            subject: SignerId(subject),
            sealing_key: SealingKey(sealing_key),
            domain: DomainId(domain),
            kinds: Kinds(kinds),
            expires_ms,
            slot,
            ..fixture::grant(2, rights)
        },
    )
}

pub(super) fn revoke() -> impl Strategy<Value = Revoke> {
    (hash(), any::<u64>()).prop_map(|(subject, distrust_from)| Revoke {
        subject: SignerId(subject),
        distrust_from,
    })
}

/// A rekey whose shares and past nobody opens.
pub(super) fn rekey() -> impl Strategy<Value = Rekey> {
    let sealed = || vec(any::<u8>(), 0..100);
    let shares = btree_map(hash(), sealed(), 1..4);
    let parts = (1..=u32::MAX, hash(), sealed(), sealed(), sealed(), shares);
    parts.prop_map(|(epoch, salt, secrets, metas, datas, shares)| {
        let mut out = Builder::new();
        out.u32(epoch).bytes(&salt);
        out.text16(&secrets).text16(&metas).text16(&datas);
        out.count16(shares.len());
        for (subject, sealed) in &shares {
            out.bytes(subject).bytes(&[7; 80]).text16(sealed);
        }
        Rekey::decode(&out.finish()).unwrap()
    })
}

pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let modes = vec![LockMode::Governance, LockMode::Compliance];
    let promises = btree_map(pattern(), 1..=RETAIN_MS_MAX, 1..5);
    let holds = btree_map(any::<u64>(), 1..=u64::MAX, 0..5);
    let parts = (prop::sample::select(modes), promises, holds);
    parts.prop_map(|(mode, promises, holds)| {
        let promise = |(pattern, retain_ms)| Promise { pattern, retain_ms };
        let hold = |(entry, until_ms)| Hold { entry, until_ms };
        Policy::new(
            mode,
            promises.into_iter().map(promise).collect(),
            holds.into_iter().map(hold).collect(),
        )
        .unwrap()
    })
}

pub(super) fn attest() -> impl Strategy<Value = Attest> {
    let levels = vec![Level::Packs, Level::Tree, Level::Data, Level::Drill];
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let problems = prop_oneof![Just(0), any::<u64>()];
    (prop::sample::select(levels), numbers, hash(), problems).prop_map(
        |(level, (size, packs, bytes), root, problems)| Attest {
            level,
            sound: problems == 0,
            size,
            root: LogHash(root),
            packs,
            bytes,
            problems,
        },
    )
}

/// A commit body that nobody can open.
pub(super) fn commit_body() -> impl Strategy<Value = CommitBody> {
    let pack = (1_u32..=32 << 20, hash());
    let packs = btree_map(hash(), pack, 0..4);
    let sealed = || vec(any::<u8>(), 0..100);
    (any::<u64>(), packs, hash(), sealed(), sealed()).prop_map(
        |(retention, packs, salt, reach, manifest)| {
            let mut out = Builder::new();
            out.u64(retention).count32(packs.len());
            for (id, (len, sha256)) in &packs {
                out.bytes(id).u32(*len).bytes(sha256);
            }
            out.bytes(&salt).text32(&reach).bytes(&[7; 80]);
            CommitBody::decode(&out.text32(&manifest).finish()).unwrap()
        },
    )
}

pub(super) fn snapshot() -> impl Strategy<Value = SnapshotBody> {
    let record = (hash(), 0_u32..=64 << 20).prop_map(|(id, len)| SnapshotBody::Record {
        id: RecordId(id),
        len,
    });
    prop_oneof![commit_body().prop_map(SnapshotBody::Inline), record]
}

pub(super) fn reach() -> impl Strategy<Value = Reach> {
    vec((0_u64..5, 0_u32..20), 0..30).prop_map(Reach::collect)
}

fn place() -> impl Strategy<Value = Place> {
    // Few packs and numbers, so that runs arise.
    (0_u8..4, prop_oneof![0_u16..6, 0_u16..8_192]).prop_map(|(pack, number)| Place {
        pack: PackId([pack; 32]),
        number,
    })
}

pub(super) fn places(count: usize) -> impl Strategy<Value = Vec<Place>> {
    let runs = vec((place(), 1_u16..4), count);
    runs.prop_map(move |runs| {
        let all = runs.into_iter().flat_map(|(place, count)| {
            (0..count).map(move |n| Place {
                number: (place.number + n).min(8_191),
                ..place
            })
        });
        all.take(count).collect()
    })
}

pub(super) fn node() -> impl Strategy<Value = Node> {
    (0_u8..=7, 1_usize..40).prop_flat_map(|(level, count)| {
        let item = (hash(), 1_u64..=1 << 20).prop_map(|(id, len)| Item {
            id: ChunkId(id),
            len,
        });
        (vec(item, count), places(count)).prop_map(move |(items, places)| Node {
            level,
            items,
            places,
        })
    })
}

fn root() -> impl Strategy<Value = Root> {
    (1..=u64::MAX, 0_u8..=7, hash()).prop_map(|(len, level, id)| Root {
        len,
        level,
        id: ChunkId(id),
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let ids = (any::<u32>(), any::<u32>());
    (0_u32..=0o7777, ids, any::<i64>(), 0_u32..1_000_000_000).prop_map(
        |(mode, (uid, gid), mtime_s, mtime_ns)| Metadata {
            mode,
            uid,
            gid,
            mtime_s,
            mtime_ns,
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let small = (0_u64..=u64::MAX / 2, 1_u64..=u64::MAX / 2)
        .prop_map(|(offset, len)| Content::Small { offset, len });
    prop_oneof![Just(Content::Empty), root().prop_map(Content::Own), small]
}

fn entry_kind() -> impl Strategy<Value = EntryKind> {
    let target = vec(1_u8..=255, 1..20);
    prop_oneof![
        (metadata(), content())
            .prop_map(|(metadata, content)| EntryKind::File { metadata, content }),
        metadata().prop_map(|metadata| EntryKind::Directory { metadata }),
        (metadata(), target).prop_map(|(metadata, target)| EntryKind::Symlink { metadata, target }),
        content().prop_map(|content| EntryKind::Stream { content }),
    ]
}

pub(super) fn page() -> impl Strategy<Value = Page> {
    let entries = btree_set(path(), 1..8).prop_flat_map(|paths| {
        let kinds = vec(entry_kind(), paths.len());
        (Just(paths), kinds)
    });
    entries.prop_flat_map(|(paths, kinds)| {
        let mut entries: Vec<TreeEntry> = Vec::new();
        for (path, kind) in paths.into_iter().zip(kinds) {
            // What stands below another path makes that one a directory.
            if let Some(last) = entries.last_mut()
                && path.is_within(&last.path)
            {
                let metadata = Metadata {
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                    mtime_s: 0,
                    mtime_ns: 0,
                };
                last.kind = EntryKind::Directory { metadata };
            }
            entries.push(TreeEntry { path, kind });
        }
        let roots = entries.iter().filter(|entry| entry.own_root().is_some());
        let places = places(roots.count());
        (Just(entries), places).prop_map(|(entries, places)| Page { entries, places })
    })
}

fn placed_root() -> impl Strategy<Value = PlacedRoot> {
    (root(), place()).prop_map(|(root, place)| PlacedRoot { root, place })
}

pub(super) fn manifest() -> impl Strategy<Value = Manifest> {
    let texts = || vec(".{0,12}", 0..3);
    let source = prop_oneof![
        texts().prop_map(Source::Paths),
        Just(Source::Stdin),
        texts().prop_map(Source::Commands),
    ];
    let listed = placed_root().prop_map(|mut placed| {
        placed.root.len = 1 + placed.root.len % (64 << 20);
        placed
    });
    let roots = (placed_root(), option::of(placed_root()), option::of(listed));
    let optional = (option::of(".{0,12}"), option::of(".{0,12}"));
    let labels = btree_set(".{0,12}", 0..3);
    (name(), optional, labels, roots, source, any::<[u64; 8]>()).prop_map(
        |(name, (host, program), labels, (list, small, contents), source, numbers)| {
            let [
                entries,
                content_bytes,
                new_bytes,
                new_chunks,
                delta_chunks,
                added_bytes,
                started_ms,
                finished_ms,
            ] = numbers;
            Manifest {
                name,
                host,
                labels: labels.into_iter().collect(),
                list,
                small,
                entries,
                content_bytes,
                source,
                accounting: Accounting {
                    new_bytes,
                    new_chunks,
                    delta_chunks,
                    added_bytes,
                },
                started_ms,
                finished_ms,
                program,
                contents,
            }
        },
    )
}

/// A stream of tables of contents, and what it says.
pub(super) fn contents() -> impl Strategy<Value = Vec<(EntryPath, Contents)>> {
    let kind = prop::sample::select(SectionKind::ALL.to_vec());
    let part = prop_oneof![vec(any::<u8>(), 0..4), vec(Just(b'x'), 1_024..=1_024)];
    let section = (kind, vec(part, 0..=3), 1_u64..1 << 40, any::<u64>());
    let dialect = prop::sample::select(Dialect::ALL.to_vec());
    let table = (dialect, vec(section, 1..6)).prop_map(|(dialect, sections)| {
        let mut builder = ContentsBuilder::new(dialect);
        for (kind, name, len, rows) in sections {
            let name: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
            builder.push(kind, &name, len, rows).unwrap();
        }
        builder.finish().unwrap().unwrap()
    });
    btree_map(path(), table, 1..4).prop_map(|tables| tables.into_iter().collect())
}

pub(super) fn encode_contents(tables: &[(EntryPath, Contents)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, contents) in tables {
        contents.encode_to(path, &mut bytes);
    }
    bytes
}

pub(super) fn directory() -> impl Strategy<Value = Directory> {
    let base = (0_u16..=2, 0_u16..8_192).prop_map(|(slot, number)| Base { slot, number });
    let lens = (16_u32..=32 << 20, 1_u32..=1 << 20);
    let delta = (1_u8..=16, vec(base, 1..=4));
    let record = (hash(), 0_u8..4, any::<u8>(), lens, delta).prop_map(
        |(id, class, coding, (stored_len, plain_len), (depth, bases))| {
            let coding = Coding::from_byte(coding % 5);
            let delta = coding.to_byte() == 2;
            Record {
                id: ChunkId(id),
                class: if delta { 0 } else { class },
                coding,
                stored_len,
                plain_len,
                depth: if delta { depth } else { 0 },
                bases: if delta { bases } else { Vec::new() },
            }
        },
    );
    (vec(record, 0..6), hash(), hash()).prop_map(|(mut records, one, two)| {
        // A base in this pack is one of its chunks.
        let count = u16::try_from(records.len()).unwrap();
        let bases = records.iter_mut().flat_map(|record| &mut record.bases);
        for base in bases.filter(|base| base.slot == 0) {
            base.number %= count;
        }
        let has_bases = records.iter().any(|record| !record.bases.is_empty());
        let packs = if has_bases {
            vec![PackId(one), PackId(two)]
        } else {
            Vec::new()
        };
        Directory { packs, records }
    })
}

/// Some objects of a bundle, by number.
pub(super) fn objects() -> impl Strategy<Value = BTreeMap<usize, Vec<u8>>> {
    btree_map(0..LOG_BUNDLE_OBJECTS, vec(any::<u8>(), 0..40), 0..6)
}

/// The bundle of these objects.
pub(super) fn encode_log_bundle(objects: &BTreeMap<usize, Vec<u8>>) -> Vec<u8> {
    let bundle = LogBundle {
        repository: RepositoryId([3; 32]),
        number: 1,
        objects: (0..LOG_BUNDLE_OBJECTS)
            .map(|n| objects.get(&n).map(Vec::as_slice))
            .collect(),
    };
    bundle.encode()
}

/// Places for pages and nodes that lie in [`OWN`], whose pack they may name.
pub(super) fn some_places() -> impl Strategy<Value = Vec<Place>> {
    assert_eq!(OWN, PackId([0; 32]), "the first of the packs of places");
    (1_usize..30).prop_flat_map(places)
}
