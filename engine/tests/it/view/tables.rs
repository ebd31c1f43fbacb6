//! The tables of dumps, and what differs between two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use indelible_engine::source::{self, NamedPath};
use indelible_engine::store::{MemoryStore, ObjectKey, ReadStore as _};
use indelible_engine::view::{Change, EntryChange, Shelf, Tree, View, diff, rows_of};
use indelible_format::commit::Reach;
use indelible_format::path::EntryPath;
use proptest::prelude::*;

use super::{children, opened, shared};
use crate::support::{
    Fixture, Forged, forge_snapshot, noise, object, path, rows, snapshot_at, stream, take,
};

/// Rows by table.
type Tables = BTreeMap<String, Vec<u32>>;

fn row(number: u32) -> String {
    let filling = number.wrapping_mul(2_654_435_761);
    format!(
        "{number}\tname {filling:08x}\t{:.3}\n",
        f64::from(number) / 7.0
    )
}

/// A dump as `pg_dump` writes one.
fn dump(tables: &Tables) -> String {
    let mut dump = "--\n-- PostgreSQL database dump\n--\n\n\
        SET standard_conforming_strings = on;\n\n"
        .to_owned();
    for name in tables.keys() {
        let _ = write!(
            dump,
            "CREATE TABLE public.{name} (\n    id integer,\n    name text\n);\n\n"
        );
    }
    for (name, numbers) in tables {
        let _ = writeln!(dump, "COPY public.{name} (id, name) FROM stdin;");
        for &number in numbers {
            dump.push_str(&row(number));
        }
        dump.push_str("\\.\n\n");
    }
    dump.push_str("--\n-- PostgreSQL database dump complete\n--\n\n");
    dump
}

fn trees(fixture: &Fixture, store: &Arc<MemoryStore>) -> Vec<Arc<Tree<MemoryStore>>> {
    let repository = opened(fixture, store);
    let shelf = Shelf::new(Arc::clone(store));
    let view = View::open(&repository, &shelf).expect("every right is there");
    view.trees().to_vec()
}

fn changes(before: &Arc<Tree<MemoryStore>>, after: &Arc<Tree<MemoryStore>>) -> Vec<EntryChange> {
    let mut changes = Vec::new();
    diff(before, after, &mut |change| changes.push(change)).expect("it can be read");
    changes
}

/// The rows of each table are a slice of the dump, with their number.
///
/// Method: a dump among other entries, short enough to lie in the stream of small
/// files and long enough for one of its own.
#[test]
fn tables_are_slices_of_their_dump() {
    for scale in [3, 3_000] {
        let fixture = Fixture::new(20);
        let tables = Tables::from([
            ("orders".to_owned(), (0..scale).collect()),
            ("customers".to_owned(), (0..scale / 3).collect()),
            ("empty".to_owned(), Vec::new()),
        ]);
        let text = dump(&tables);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("app.sql"), &text).unwrap();
        fs::write(dir.path().join("notes"), "no dump").unwrap();
        fs::write(dir.path().join("cut.sql"), &text[..text.len() / 2]).unwrap();
        let named = NamedPath {
            path: dir.path().to_owned(),
            as_name: Some(b"dumps".to_vec()),
        };
        let items = source::list(&[named]).unwrap().items;
        take(&mut fixture.open(), "shop", items).expect("committed");
        let store = shared(&fixture);
        let tree = &trees(&fixture, &store)[0];
        let entry = tree.entry(&path(b"dumps/app.sql")).unwrap().unwrap();
        let contents = tree.contents(&entry).unwrap().expect("it is a dump");
        let file = tree.open(&entry).unwrap().unwrap();
        let found = rows_of(&contents);
        assert_eq!(found.len(), tables.len());
        for table in found {
            let name = table.shown.strip_prefix("public.").expect("it is public");
            let numbers = &tables[name];
            assert_eq!(table.rows, numbers.len() as u64);
            assert_eq!(
                table.file.as_deref(),
                Some(format!("public.{name}.data.sql").as_str())
            );
            let slice = file
                .slice(table.offset, table.len)
                .read_at(0, u64::MAX)
                .unwrap();
            let lines: String = numbers.iter().map(|&number| row(number)).collect();
            let slice = String::from_utf8(slice).unwrap();
            assert!(slice.contains(&format!(
                "COPY public.{name} (id, name) FROM stdin;\n{lines}\\.\n"
            )));
        }
        for other in [&b"dumps/notes"[..], b"dumps/cut.sql"] {
            let entry = tree.entry(&path(other)).unwrap().unwrap();
            assert!(tree.contents(&entry).unwrap().is_none());
        }
        assert_eq!(children(tree, Some(&path(b"dumps"))).len(), 3);
    }
}

/// Tables of contents that do not fit their dump are passed over, and the dump itself
/// is read all the same.
///
/// Method: a snapshot that names those of an earlier one.
#[test]
fn tables_that_do_not_fit_are_none() {
    let fixture = Fixture::new(21);
    let first = dump(&Tables::from([("orders".to_owned(), (0..100).collect())]));
    let second = dump(&Tables::from([("orders".to_owned(), (0..101).collect())]));
    fixture.snapshot_of("shop", first.as_bytes());
    fixture.snapshot_of("shop", second.as_bytes());
    let repository = fixture.open();
    let (of_first, of_second) = (snapshot_at(&repository, 1), snapshot_at(&repository, 2));
    let mut manifest = of_second.manifest.clone();
    manifest.contents = of_first.manifest.contents;
    let reach = &Reach::default();
    let forged = Forged { manifest, reach };
    let entry = forge_snapshot(&repository, &of_second, &fixture.bundle, &forged);
    let number = repository.history().next;
    fixture.store.replace(&ObjectKey::Log(number), &entry);
    let store = shared(&fixture);
    for (tree, fits) in trees(&fixture, &store).iter().zip([true, true, false]) {
        let entry = tree.entry(&path(b"dump.sql")).unwrap().unwrap();
        assert_eq!(tree.contents(&entry).unwrap().is_some(), fits);
        let file = tree.open(&entry).unwrap().unwrap();
        assert_eq!(
            file.read_at(0, u64::MAX).unwrap().len() as u64,
            entry.size_bytes()
        );
    }
}

/// What both snapshots share is not decoded to tell what differs.
///
/// Method: break every pack of the first snapshot that the second leans on for what
/// did not change, and compare.
#[test]
fn what_is_shared_is_not_decoded() {
    let fixture = Fixture::new(22);
    let mut tables = Tables::from([
        ("a_large".to_owned(), (0..20_000).collect()),
        ("b_small".to_owned(), (0..10).collect()),
    ]);
    fixture.snapshot_of("shop", dump(&tables).as_bytes());
    let before: BTreeSet<ObjectKey> = fixture.store.keys().into_iter().collect();
    tables.get_mut("b_small").unwrap().push(10);
    fixture.snapshot_of("shop", dump(&tables).as_bytes());
    let store = shared(&fixture);
    let largest = |key: &&ObjectKey| store.size(key).expect("it is there");
    let packs = before
        .iter()
        .filter(|key| matches!(key, ObjectKey::Pack(_)));
    let pack = *packs.max_by_key(largest).expect("there are packs");
    let trees = trees(&fixture, &store);
    // What the lists take is read before.
    let expected = changes(&trees[0], &trees[1]);
    let fresh = shared(&fixture);
    let half = object(&store, &pack).len() / 2;
    for offset in (5_000..half).step_by(512) {
        fresh.flip(&pack, offset, 1);
    }
    let others = self::trees(&fixture, &fresh);
    let found = changes(&others[0], &others[1]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].new_bytes, expected[0].new_bytes);
    let [table] = found[0].tables.as_slice() else {
        panic!("one table differs: {:?}", found[0].tables);
    };
    assert_eq!(table.name, "public.b_small");
    assert_eq!((table.before_rows, table.after_rows), (Some(10), Some(11)));
    let entry = others[0].entry(&path(b"dump.sql")).unwrap().unwrap();
    let file = others[0].open(&entry).unwrap().unwrap();
    assert!(file.read_at(0, u64::MAX).is_err(), "it is damaged indeed");
}

fn some_tables() -> impl Strategy<Value = Tables> {
    let rows = prop::collection::vec(0..500_u32, 0..120);
    prop::collection::btree_map("[a-e]", rows, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The entries and tables that are said to differ are those that do.
    ///
    /// Method: two random dumps of tables that may have the same rows at other places,
    /// beside random entries; against a comparison of the plain values.
    #[test]
    fn differences_agree_with_a_model(
        tables in [some_tables(), some_tables()],
        keep in prop::bool::ANY,
        others in prop::collection::btree_map("[a-z]{1,3}", [0..4_u64, 0..4_u64], 0..12),
    ) {
        let fixture = Fixture::new(23);
        let [before, mut after] = tables;
        if keep {
            // Most stay as they are, so that the same rows stand elsewhere.
            let mut kept = before.clone();
            kept.extend(after.into_iter().take(1));
            after = kept;
        }
        let versions = [before, after];
        let mut contents: [BTreeMap<EntryPath, Vec<u8>>; 2] = Default::default();
        for (side, tables) in versions.iter().enumerate() {
            contents[side].insert(path(b"~dump.sql"), dump(tables).into_bytes());
            for (name, seeds) in &others {
                // The fourth means that it is not there.
                if seeds[side] < 3 {
                    let bytes = [rows(0..40), noise(seeds[side], 3_000), rows(0..40)].concat();
                    contents[side].insert(path(name.as_bytes()), bytes);
                }
            }
            let items = contents[side].iter().map(|(path, bytes)| {
                stream(std::str::from_utf8(path.as_bytes()).expect("text"), bytes)
            });
            take(&mut fixture.open(), "shop", items.collect()).expect("committed");
        }
        let store = shared(&fixture);
        let trees = trees(&fixture, &store);
        let found = changes(&trees[0], &trees[1]);

        let paths: BTreeSet<&EntryPath> = contents.iter().flat_map(BTreeMap::keys).collect();
        let expected: Vec<(EntryPath, Change)> = paths
            .into_iter()
            .filter_map(|path| {
                let change = match (contents[0].get(path), contents[1].get(path)) {
                    (Some(before), Some(after)) if before == after => return None,
                    (Some(_), Some(_)) => Change::Changed,
                    (Some(_), None) => Change::Removed,
                    (None, _) => Change::Added,
                };
                Some((path.clone(), change))
            })
            .collect();
        let told: Vec<(EntryPath, Change)> =
            found.iter().map(|it| (it.path.clone(), it.change)).collect();
        prop_assert_eq!(told, expected);

        let [before, after] = &versions;
        let names: BTreeSet<&String> = versions.iter().flat_map(BTreeMap::keys).collect();
        let differing: Vec<String> = names
            .into_iter()
            .filter(|name| before.get(*name) != after.get(*name))
            .map(|name| format!("public.{name}"))
            .collect();
        let of_dump = found.iter().find(|it| it.path == path(b"~dump.sql"));
        let told: Vec<String> = of_dump
            .map(|it| it.tables.iter().map(|table| table.name.clone()).collect())
            .unwrap_or_default();
        prop_assert_eq!(told, differing);
        for change in &found {
            prop_assert!(change.new_bytes <= change.after_bytes.unwrap_or(0));
            prop_assert!(change.gone_bytes <= change.before_bytes.unwrap_or(0));
        }
        prop_assert!(changes(&trees[1], &trees[1]).is_empty());
    }
}
