//! What a view shows is what was stored: by path, by directory, at any offset.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indelible_engine::read::ReadError;
use indelible_engine::repository::Repository;
use indelible_engine::source::Item;
use indelible_engine::store::faulty::{Fate, FaultyStore};
use indelible_engine::store::{MemoryStore, ObjectKey, ReadStore as _};
use indelible_engine::view::{Shelf, Tree, View};
use indelible_format::ids::PackId;
use indelible_format::path::EntryPath;
use indelible_format::rights::Rights;
use proptest::prelude::*;

use crate::support::{Fixture, noise, path, rows, stream, take};

/// A store that a view has a share in, as it is now.
fn shared(fixture: &Fixture) -> Arc<MemoryStore> {
    Arc::new(fixture.store.clone())
}

fn opened<'s>(fixture: &Fixture, store: &'s MemoryStore) -> Repository<'s, MemoryStore> {
    Repository::open(store, None, &fixture.recovery, fixture.env.clone()).expect("it opens")
}

/// The newest snapshot in a store.
fn newest(fixture: &Fixture, store: &Arc<MemoryStore>) -> Arc<Tree<MemoryStore>> {
    let repository = opened(fixture, store);
    let view =
        View::open(&repository, &Shelf::new(Arc::clone(store))).expect("every right is there");
    Arc::clone(view.trees().last().expect("there is a snapshot"))
}

/// Streams, in the order that a snapshot wants them.
fn items(contents: &BTreeMap<EntryPath, Vec<u8>>) -> Vec<Item> {
    let item = |(path, bytes): (&EntryPath, &Vec<u8>)| {
        stream(std::str::from_utf8(path.as_bytes()).expect("text"), bytes)
    };
    contents.iter().map(item).collect()
}

fn children(tree: &Arc<Tree<MemoryStore>>, directory: Option<&EntryPath>) -> Vec<(Vec<u8>, bool)> {
    let entries = tree.children(directory).map(|entry| {
        let entry = entry.expect("it can be read");
        (entry.path.as_bytes().to_vec(), entry.is_directory())
    });
    entries.collect()
}

/// What stands directly in a directory, by the model.
fn expected(
    contents: &BTreeMap<EntryPath, Vec<u8>>,
    directory: Option<&EntryPath>,
) -> Vec<(Vec<u8>, bool)> {
    let above = directory.map_or(0, |directory| directory.as_bytes().len() + 1);
    let inside = contents.keys().filter(|path| {
        directory.is_none_or(|directory| path.is_within(directory) && *path != directory)
    });
    let mut children = Vec::new();
    for path in inside {
        let bytes = path.as_bytes();
        let name_len = bytes[above..].iter().position(|&byte| byte == b'/');
        let end = name_len.map_or(bytes.len(), |len| above + len);
        let child = (bytes[..end].to_vec(), name_len.is_some());
        if children.last() != Some(&child) {
            children.push(child);
        }
    }
    children
}

fn a_path() -> impl Strategy<Value = EntryPath> {
    // Bytes on both sides of the slash, so that its rank matters.
    prop::collection::vec("[ab!~]{1,2}", 1..4)
        .prop_map(|components| path(components.join("/").as_bytes()))
}

fn some_contents() -> impl Strategy<Value = BTreeMap<EntryPath, Vec<u8>>> {
    prop::collection::btree_map(a_path(), 1..40_usize, 1..60).prop_map(|lengths| {
        let mut contents: BTreeMap<EntryPath, Vec<u8>> = BTreeMap::new();
        for (path, len) in lengths {
            let below_file = contents.keys().any(|other| path.is_within(other));
            if !below_file {
                contents.insert(path, noise(len as u64, len));
            }
        }
        contents
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every path is found, every directory lists what stands in it, and nothing
    /// else is there.
    ///
    /// Method: random trees without entries for directories, with names around the
    /// slash in order, against a sorted map.
    #[test]
    fn paths_and_directories_agree_with_a_model(
        contents in some_contents(),
        others in prop::collection::vec(a_path(), 20),
    ) {
        let fixture = Fixture::new(1);
        fixture.snapshot("shop", items(&contents));
        let store = shared(&fixture);
        let tree = newest(&fixture, &store);
        let mut asked: BTreeSet<EntryPath> = others.into_iter().collect();
        for path in contents.keys() {
            let mut above = Some(path.clone());
            while let Some(path) = above {
                above = path.parent();
                asked.insert(path);
            }
        }
        prop_assert_eq!(children(&tree, None), expected(&contents, None));
        for path in &asked {
            let found = tree.entry(path).expect("it can be read");
            let below = expected(&contents, Some(path));
            let bytes = contents.get(path);
            prop_assert_eq!(found.is_some(), bytes.is_some() || !below.is_empty());
            prop_assert_eq!(children(&tree, Some(path)), below);
            let Some(entry) = found else { continue };
            prop_assert_eq!(entry.is_directory(), bytes.is_none());
            let file = tree.open(&entry).expect("every right is there");
            let read = file.map(|file| file.read_at(0, u64::MAX).expect("it can be read"));
            prop_assert_eq!(read.as_ref(), bytes);
        }
    }
}

/// A directory of thousands, and one behind a subtree of thousands, list all that
/// stands in them.
///
/// Method: more entries than a page, than are stepped over and than are read at a
/// time.
#[test]
fn large_directories_are_listed() {
    let fixture = Fixture::new(2);
    let mut contents = BTreeMap::new();
    for n in 0..2_500 {
        contents.insert(path(format!("a/{n:05}.sql").as_bytes()), vec![1]);
    }
    for n in 0..1_200 {
        contents.insert(path(format!("{n:05}").as_bytes()), vec![2]);
    }
    contents.insert(path(b"b/last"), vec![3]);
    fixture.snapshot("shop", items(&contents));
    let store = shared(&fixture);
    let tree = newest(&fixture, &store);
    for directory in [None, Some(path(b"a")), Some(path(b"b")), Some(path(b"c"))] {
        let listed = children(&tree, directory.as_ref());
        assert_eq!(listed, expected(&contents, directory.as_ref()));
    }
}

/// A read at any offset gives the bytes at that offset, of files in streams of
/// their own and of slices.
///
/// Method: a version that leans on another, read from both sides of each step, up to
/// and over its end, and through slices.
#[test]
fn reads_agree_with_what_was_stored() {
    let fixture = Fixture::new(3);
    let client = crate::support::Client::new();
    let mut bytes = rows(0..3_000);
    let mut host = fixture.open_with(&client.state);
    take(&mut host, "shop", vec![stream("dump.sql", &bytes)]).expect("committed");
    bytes[20_000] ^= 1;
    bytes.splice(50_000..50_010, *b"other");
    take(&mut host, "shop", vec![stream("dump.sql", &bytes)]).expect("committed");
    let store = shared(&fixture);
    let tree = newest(&fixture, &store);
    assert!(tree.snapshot().manifest.accounting.delta_chunks > 0);
    let entry = tree.entry(&path(b"dump.sql")).unwrap().unwrap();
    let file = tree.open(&entry).unwrap().unwrap();
    assert_eq!(file.len(), bytes.len() as u64);
    let end = |offset: usize, len: usize| (offset + len).min(bytes.len());
    for offset in (0..bytes.len()).step_by(997) {
        for len in [0, 1, 700, 9_000] {
            let read = file.read_at(offset as u64, len as u64).unwrap();
            assert!(
                read == bytes[offset..end(offset, len)],
                "{len} from {offset}"
            );
        }
        let slice = file.slice(offset as u64, 3_000);
        let read = slice.read_at(1_000, 1_000_000).unwrap();
        assert!(
            read == bytes[end(offset, 1_000)..end(offset, 3_000)],
            "a slice from {offset}"
        );
    }
    for offset in [bytes.len() as u64, u64::MAX] {
        assert!(file.read_at(offset, 10).unwrap().is_empty());
        assert!(file.slice(offset, 10).is_empty());
    }
}

/// A read costs as many calls of the store as the tree is high, not as the file is
/// long.
///
/// Method: a byte in the middle of a stream of some 17,000 chunks under nodes on
/// several levels, read by a view that has read nothing before; then many others.
#[test]
fn a_read_touches_little() {
    let fixture = Fixture::new(9);
    let bytes = noise(1, 17 << 20);
    fixture.snapshot_of("shop", &bytes);
    // A view has a share in its store for ever.
    let inner: &'static MemoryStore = Box::leak(Box::new(fixture.store.clone()));
    let store = Arc::new(FaultyStore::new(inner, |_| Fate::Done));
    let repository = Repository::open(&*store, None, &fixture.recovery, fixture.env.clone());
    let repository = repository.expect("it opens");
    let view = View::open(&repository, &Shelf::new(Arc::clone(&store))).expect("every right");
    let tree = &view.trees()[0];
    let before = store.calls();
    let entry = tree.entry(&path(b"dump.sql")).unwrap().unwrap();
    let file = tree.open(&entry).unwrap().unwrap();
    let middle = bytes.len() / 2;
    assert_eq!(
        file.read_at(middle as u64, 1).unwrap(),
        bytes[middle..][..1]
    );
    let first = store.calls() - before;
    assert!(first <= 24, "{first} calls for a byte");
    let before = store.calls();
    for n in 0..200 {
        let at = n * 7_919_333 % bytes.len();
        assert_eq!(file.read_at(at as u64, 1).unwrap(), bytes[at..][..1]);
    }
    let others = store.calls() - before;
    assert!(others <= 200 * 4, "{others} calls for 200 bytes");
}

/// Many readers at once, some from end to end and some here and there, all get the
/// right bytes.
#[test]
fn many_read_at_once() {
    let fixture = Fixture::new(4);
    let bytes = rows(0..20_000);
    fixture.snapshot_of("shop", &bytes);
    let store = shared(&fixture);
    let tree = newest(&fixture, &store);
    let entry = tree.entry(&path(b"dump.sql")).unwrap().unwrap();
    let file = tree.open(&entry).unwrap().unwrap();
    std::thread::scope(|scope| {
        for reader in 0..8_usize {
            let (file, bytes) = (&file, &bytes);
            scope.spawn(move || {
                let mut at = reader * 7_919;
                for _ in 0..400 {
                    let step = if reader % 2 == 0 { 4_096 } else { 104_729 };
                    at = (at + step) % (bytes.len() - 4_096);
                    let read = file.read_at(at as u64, 4_096).expect("it can be read");
                    assert!(read == bytes[at..at + 4_096], "reader {reader} at {at}");
                }
            });
        }
    });
}

/// Damage fails the reads that touch it, says where it is, and nothing else; what
/// comes back is read again.
///
/// Method: flip a bit in the one large pack, and read the file in steps.
#[test]
fn damage_stays_where_it_is() {
    let fixture = Fixture::new(5);
    let bytes = noise(9, 200_000);
    fixture.snapshot_of("shop", &bytes);
    let store = shared(&fixture);
    let tree = newest(&fixture, &store);
    let entry = tree.entry(&path(b"dump.sql")).unwrap().unwrap();
    let largest = |key: &ObjectKey| store.size(key).expect("it is there");
    let packs = store.keys().into_iter();
    let packs = packs.filter(|key| matches!(key, ObjectKey::Pack(PackId(_))));
    let pack = packs.max_by_key(largest).expect("there are packs");
    let whole = store.read(&pack, u64::MAX).expect("it can be read");
    store.flip(&pack, 100_000, 3);
    let file = tree.open(&entry).unwrap().unwrap();
    let mut failed = 0;
    for at in (0..bytes.len()).step_by(1_000) {
        let offset = at as u64;
        match file.read_at(offset, 1_000) {
            Ok(read) => assert!(read == bytes[at..][..1_000]),
            Err(fault) => {
                assert!((offset..offset + 1_000).contains(&fault.offset));
                assert!(matches!(fault.cause, ReadError::Chunk { .. }));
                failed += 1;
            }
        }
    }
    assert!((1..=6).contains(&failed), "{failed} reads of 1,000 bytes");
    store.replace(&pack, &whole);
    assert!(file.read_at(0, u64::MAX).unwrap() == bytes, "it came back");
}

/// A page that can't be read hides what it lists, and nothing else.
///
/// Method: damage the pack of a page in the middle of a long list.
#[test]
fn a_lost_page_hides_its_own_entries() {
    let fixture = Fixture::new(6);
    let mut contents = BTreeMap::new();
    for n in 0..2_000 {
        contents.insert(path(format!("{n:05}").as_bytes()), vec![1]);
    }
    fixture.snapshot("shop", items(&contents));
    let store = shared(&fixture);
    let packs = store.keys().into_iter();
    let packs: Vec<ObjectKey> = packs
        .filter(|key| matches!(key, ObjectKey::Pack(PackId(_))))
        .collect();
    let total = contents.len();
    let mut seen_partial = 0;
    for pack in packs {
        let damaged = Arc::new(MemoryStore::clone(&store));
        let len = usize::try_from(damaged.size(&pack).unwrap()).unwrap();
        for offset in (200..len).step_by(len / 24 + 1) {
            damaged.flip(&pack, offset, 0);
            let tree = newest(&fixture, &damaged);
            let (shown, lost): (Vec<_>, Vec<_>) = tree.children(None).partition(Result::is_ok);
            let found = contents
                .keys()
                .filter(|path| matches!(tree.entry(path), Ok(Some(_))));
            assert_eq!(found.count(), shown.len(), "found and listed are the same");
            assert_eq!(
                lost.is_empty(),
                shown.len() == total,
                "what is lost is told, once"
            );
            assert!(lost.len() <= 1);
            seen_partial += usize::from(!shown.is_empty() && shown.len() < total);
            damaged.flip(&pack, offset, 0);
        }
    }
    assert!(seen_partial > 0, "no page was damaged alone");
}

/// A new snapshot shows once the log is read again, and only then.
#[test]
fn new_snapshots_show() {
    let fixture = Fixture::new(7);
    fixture.snapshot_of("shop", b"one");
    let store = shared(&fixture);
    let mut repository = opened(&fixture, &store);
    assert!(!repository.reread().expect("the log can be read"));
    let mut writer = opened(&fixture, &store);
    take(&mut writer, "shop", vec![stream("dump.sql", b"two")]).expect("committed");
    let shelf = Shelf::new(Arc::clone(&store));
    let count = |repository: &Repository<'_, MemoryStore>| {
        let view = View::open(repository, &shelf).expect("every right");
        for tree in view.trees() {
            let entry = tree.entry(&path(b"dump.sql")).unwrap().unwrap();
            let file = tree.open(&entry).unwrap().unwrap();
            assert_eq!(file.read_at(0, 10).unwrap().len(), 3);
        }
        view.trees().len()
    };
    assert_eq!(count(&repository), 1);
    assert!(repository.reread().expect("the log can be read"));
    assert_eq!(count(&repository), 2);
    assert!(!repository.reread().expect("the log can be read"));
}

/// Who may verify can look at names and sizes, and not at contents; who may do less
/// sees nothing.
#[test]
fn rights_hold() {
    let fixture = Fixture::new(8);
    fixture.snapshot_of("shop", b"secret");
    let (may_verify, may_write) = (
        fixture.add_key(Rights::VERIFY, &[]),
        fixture.add_key(Rights::WRITE, &["*"]),
    );
    let store = shared(&fixture);
    let open = |key| Repository::open(&*store, None, key, fixture.env.clone()).expect("it opens");
    let view =
        View::open(&open(&may_verify), &Shelf::new(Arc::clone(&store))).expect("it may verify");
    let tree = &view.trees()[0];
    let entry = tree.entry(&path(b"dump.sql")).unwrap().unwrap();
    assert_eq!(entry.size_bytes(), 6);
    assert!(matches!(
        tree.open(&entry),
        Err(ReadError::NotAllowed { needed: "restore" })
    ));
    assert!(matches!(
        View::open(&open(&may_write), &Shelf::new(Arc::clone(&store))),
        Err(ReadError::NotAllowed { needed: "verify" })
    ));
}
