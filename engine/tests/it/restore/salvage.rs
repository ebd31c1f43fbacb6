//! Restoring what is intact around damage.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::restore::{Hole, Restore, RestoreError, Restored};
use indelible_engine::store::faulty::Fate;
use indelible_engine::store::{AppendStore as _, FaultyStore, MemoryStore, ObjectKey, PutOutcome};
use indelible_format::coding::Class;
use indelible_format::commit::Reach;
use indelible_format::ids::ChunkId;
use indelible_format::path::EntryPath;

use super::model::{Left, Model, Ranges, add};
use super::{How, KEEP, OVERWRITE, files_below, items_of, scratch, tree};
use crate::support::{
    Contents, Fixture, Forged, forge_snapshot, noise, packs, path, snapshot_at, stream,
};

/// A snapshot of a tree, with the model of it.
struct Scene {
    fixture: Fixture,
    number: u64,
    originals: Contents,
    model: Model,
}

impl Scene {
    fn new(seed: u64, small_files: u64) -> Self {
        let source = tree(small_files);
        let fixture = Fixture::new(seed);
        let number = fixture.snapshot("files", items_of(source.path())).number;
        let files = files_below(source.path()).into_iter();
        let below = |(path, bytes): (Vec<u8>, _)| ([&b"tree/"[..], &path].concat(), bytes);
        let originals = files.map(below).collect();
        let model = Model::of(&fixture, &snapshot_at(&fixture.open(), number));
        Self {
            fixture,
            number,
            originals,
            model,
        }
    }

    /// Salvages into a fresh directory, and compares with what is left.
    fn check(&self, lost: &BTreeSet<ChunkId>, what: &str) -> Restored {
        let left = self.model.without(&self.originals, lost);
        let repository = self.fixture.open();
        let target = scratch();
        let cancel = Cancel::new();
        let how = How {
            salvages: true,
            ..How::plainly(&cancel)
        };
        let (restored, holes) = how.run(&repository, self.number, target.path());
        let restored = restored.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(restored.holes, holes.len() as u64, "{what}");
        assert_holes(&holes, &left, what);
        assert_files(&files_below(target.path()), &left, what);
        restored
    }
}

/// What was told is exactly what is lost.
fn assert_holes(holes: &[Hole], left: &Left, what: &str) {
    let mut told = Ranges::new();
    let mut lost_ranges: Vec<(Option<EntryPath>, Option<EntryPath>)> = Vec::new();
    for hole in holes {
        match hole {
            Hole::Bytes {
                path, offset, len, ..
            } => add(
                told.entry(path.as_bytes().to_vec()).or_default(),
                *offset..offset + len,
            ),
            Hole::Entries { after, before, .. } => {
                lost_ranges.push((after.clone(), before.clone()));
            }
            _ => panic!("{what}: {hole:?}"),
        }
    }
    assert_eq!(told, left.holes, "{what}");
    let lies_in = |path: &EntryPath, (after, before): &(Option<EntryPath>, Option<EntryPath>)| {
        after.as_ref().is_none_or(|after| after < path)
            && before.as_ref().is_none_or(|before| path < before)
    };
    for entry in &left.lost_entries {
        let ranges = lost_ranges.iter().filter(|range| lies_in(entry, range));
        assert_eq!(ranges.count(), 1, "{what}: {entry}");
    }
    for range in &lost_ranges {
        let lost = left.lost_entries.iter();
        assert!(
            lost.filter(|entry| lies_in(entry, range)).count() > 0,
            "{what}"
        );
    }
}

/// What stands there is what is left, and only whole files have their names.
fn assert_files(found: &Contents, left: &Left, what: &str) {
    let expected: BTreeSet<Vec<u8>> = left
        .contents
        .keys()
        .map(|path| {
            let suffix: &[u8] = if left.holes.contains_key(path) {
                b".salvaged"
            } else {
                b""
            };
            [path, suffix].concat()
        })
        .collect();
    assert_eq!(
        found.keys().cloned().collect::<BTreeSet<_>>(),
        expected,
        "{what}"
    );
    for (path, bytes) in &left.contents {
        let found = found
            .get(path)
            .or_else(|| found.get(&[path, &b".salvaged"[..]].concat()));
        let shown = String::from_utf8_lossy(path);
        assert!(found == Some(bytes), "{what}: {shown}");
    }
}

/// Salvage gives every byte that is intact, zeros for every one that is not, and
/// names exactly those, whichever chunk is damaged.
///
/// Method: a tree with large and small files, several pages and two levels of
/// nodes; flip a bit of each chunk of the pack in turn, and compare with a model
/// that was decoded without the reader. Then all pages, all nodes, all data.
#[test]
fn any_damaged_chunk_costs_its_own_bytes() {
    let scene = Scene::new(402, 130);
    let chunks = scene.model.chunks.clone();
    let of_class = |class| chunks.iter().filter(move |chunk| chunk.class == class);
    assert!(of_class(Class::Data).count() > 100);
    assert!(of_class(Class::Page).count() > 1, "several pages");
    assert!(scene.model.deepest() >= 2, "nodes above nodes");
    let intact = scene.fixture.store.clone();
    assert_eq!(scene.check(&BTreeSet::new(), "intact").holes, 0);
    for chunk in &chunks {
        let key = ObjectKey::Pack(chunk.pack);
        scene.fixture.store.flip(&key, chunk.offset, 3);
        let what = format!("{:?} {}", chunk.class, chunk.id);
        let restored = scene.check(&BTreeSet::from([chunk.id]), &what);
        assert!(restored.holes > 0, "{what}");
        scene.fixture.store.roll_back_to(&intact);
    }
    for class in [Class::Data, Class::Node, Class::Page] {
        for chunk in of_class(class) {
            let key = ObjectKey::Pack(chunk.pack);
            scene.fixture.store.flip(&key, chunk.offset, 3);
        }
        let lost = of_class(class).map(|chunk| chunk.id).collect();
        scene.check(&lost, &format!("every {class:?}"));
        scene.fixture.store.roll_back_to(&intact);
    }
}

/// A pack that is gone, cut or exchanged costs what it alone had.
///
/// Method: two snapshots, the second leaning on the first one's pack; salvage the
/// second without each of the packs, and with each harmed otherwise.
#[test]
fn a_removed_pack_costs_what_it_alone_had() {
    let fixture = Fixture::new(302);
    let before = noise(1, 60_000);
    fixture.snapshot_of("shop", &before);
    let bytes = [&before[..], &noise(2, 60_000)].concat();
    let number = fixture.snapshot_of("shop", &bytes).number;
    let originals = Contents::from([(b"dump.sql".to_vec(), bytes)]);
    let model = Model::of(&fixture, &snapshot_at(&fixture.open(), number));
    let scene = Scene {
        fixture,
        number,
        originals,
        model,
    };
    let intact = scene.fixture.store.clone();
    let all = packs(&intact);
    assert_eq!(all.len(), 2);
    let harms: [fn(&MemoryStore, &ObjectKey); 3] = [
        |store, key| store.forget(key),
        |store, key| store.truncate(key, 1_000),
        |store, key| store.replace(key, b"something else"),
    ];
    for pack in all {
        let in_pack = scene.model.chunks.iter().filter(|it| it.pack == pack);
        let elsewhere = |id| {
            let mut others = scene.model.chunks.iter();
            others.any(|it| it.id == id && it.pack != pack)
        };
        let lost = in_pack.map(|it| it.id).filter(|id| !elsewhere(*id));
        let lost: BTreeSet<ChunkId> = lost.collect();
        for (number, harm) in harms.iter().enumerate() {
            harm(&scene.fixture.store, &ObjectKey::Pack(pack));
            let what = format!("pack {}, harm {number}", pack.short());
            let restored = scene.check(&lost, &what);
            assert!(restored.holes > 0, "{what}");
            assert!(restored.holes < 10, "{what}: neighbours are one hole");
            scene.fixture.store.roll_back_to(&intact);
        }
    }
}

/// The same to a stream: zeros of the right length.
///
/// Method: flip a bit of some data chunks, and write the stream; without salvage
/// it ends with an error.
#[test]
fn a_stream_has_zeros_for_holes() {
    let fixture = Fixture::new(303);
    let bytes = noise(1, 50_000);
    let number = fixture.snapshot_of("shop", &bytes).number;
    let repository = fixture.open();
    let snapshot = snapshot_at(&repository, number);
    let model = Model::of(&fixture, &snapshot);
    let data = model.chunks.iter().filter(|it| it.class == Class::Data);
    let damaged: Vec<_> = data.skip(1).step_by(7).collect();
    for chunk in &damaged {
        let key = ObjectKey::Pack(chunk.pack);
        fixture.store.flip(&key, chunk.offset, 0);
    }
    let lost = damaged.iter().map(|chunk| chunk.id).collect();
    let originals = Contents::from([(b"dump.sql".to_vec(), bytes)]);
    let left = model.without(&originals, &lost);
    let (listings, _) = repository.listings();
    let cancel = Cancel::new();
    let holes = RefCell::new(Vec::new());
    let tell = |hole: &Hole| holes.borrow_mut().push(hole.clone());
    let new = || Restore::new(&repository, &listings, &snapshot, &cancel, &Silent).unwrap();
    let mut out = Vec::new();
    let restored = new().salvaging(&tell).to_writer(None, &mut out).unwrap();
    assert!(out == left.contents[&b"dump.sql"[..]]);
    assert_eq!(restored.bytes + restored.hole_bytes, 50_000);
    assert_eq!(restored.files_with_holes, 0, "a stream has no name");
    assert_holes(&holes.borrow(), &left, "to a stream");
    let error = new().to_writer(None, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, RestoreError::Read { path: Some(_), .. }));
}

/// Without salvage, a restore into a directory ends at the first byte that can't
/// be read, and no part of a file has a name.
///
/// Method: damage the last data chunk of a file that is restored after another.
#[test]
fn without_salvage_damage_ends_the_restore() {
    let fixture = Fixture::new(304);
    let both = vec![
        stream("a.sql", b"whole"),
        stream("b.sql", &noise(1, 30_000)),
    ];
    let number = fixture.snapshot("shop", both).number;
    let repository = fixture.open();
    let model = Model::of(&fixture, &snapshot_at(&repository, number));
    let mut data = model.chunks.iter().filter(|it| it.class == Class::Data);
    let last = data.next_back().unwrap();
    fixture
        .store
        .flip(&ObjectKey::Pack(last.pack), last.offset, 0);
    let target = scratch();
    let cancel = Cancel::new();
    let (result, holes) = How::plainly(&cancel).run(&repository, number, target.path());
    let Err(RestoreError::Read {
        path: Some(failed), ..
    }) = result
    else {
        panic!("{result:?}")
    };
    assert_eq!((failed, holes.len()), (path(b"b.sql"), 0));
    let files = files_below(target.path());
    assert_eq!(files[&b"a.sql"[..]], b"whole");
    assert!(!files.contains_key(&b"b.sql"[..]));
    assert_eq!(files.len(), 2, "what was written waits to be resumed");
}

/// A part of a snapshot is salvaged by itself, and only what may belong to it is
/// told.
///
/// Method: lose each page in turn, and salvage a directory and two files. A file
/// is told to be lost if and only if it is.
#[test]
fn a_part_is_salvaged_by_itself() {
    let scene = Scene::new(406, 130);
    let intact = scene.fixture.store.clone();
    let pages = scene.model.chunks.iter();
    let pages: Vec<_> = pages.filter(|it| it.class == Class::Page).collect();
    let paths: [&[u8]; 3] = [b"tree/tables", b"tree/tables/0003.csv", b"tree/other.dump"];
    for page in pages {
        let key = ObjectKey::Pack(page.pack);
        scene.fixture.store.flip(&key, page.offset, 1);
        let lost = scene
            .model
            .without(&scene.originals, &BTreeSet::from([page.id]));
        let repository = scene.fixture.open();
        for asked in paths {
            let target = scratch();
            let cancel = Cancel::new();
            let how = How {
                salvages: true,
                paths: &[asked],
                ..How::plainly(&cancel)
            };
            let (restored, holes) = how.run(&repository, scene.number, target.path());
            let restored = restored.unwrap();
            let below = |it: &Vec<u8>| path(it).is_within(&path(asked));
            let expected = lost.contents.keys().filter(|it| below(it)).count();
            assert_eq!(files_below(target.path()).len(), expected);
            let gone = lost
                .lost_entries
                .iter()
                .any(|it| it.is_within(&path(asked)));
            // Of a directory nobody knows whether it had all that is missing.
            let directory = asked == paths[0];
            assert!(restored.holes == u64::from(gone) || (directory && restored.holes == 1));
            assert_eq!(restored.holes, holes.len() as u64);
        }
        scene.fixture.store.roll_back_to(&intact);
    }
}

/// A store that does not answer ends a salvage: what it has may be intact.
///
/// Method: open the repository, and cut the cable.
#[test]
fn an_unreachable_store_is_no_hole() {
    let fixture = Fixture::new(306);
    let number = fixture.snapshot_of("shop", &noise(1, 5_000)).number;
    let store = FaultyStore::new(&fixture.store, |call| match call.put() {
        Some(_) => Fate::DownBefore,
        None => Fate::Done,
    });
    let repository =
        Repository::open(&store, None, &fixture.recovery, fixture.env.clone()).unwrap();
    let snapshot = snapshot_at(&repository, number);
    let (listings, _) = repository.listings();
    let cancel = Cancel::new();
    let tell = |hole: &Hole| panic!("{hole:?}");
    let restore = Restore::new(&repository, &listings, &snapshot, &cancel, &Silent).unwrap();
    let restore = restore.salvaging(&tell);
    // Whoever stores something takes the store down.
    let outcome = store.put_new(&ObjectKey::Log(99), b"x").unwrap();
    assert!(matches!(outcome, PutOutcome::Indeterminate { .. }));
    let target = scratch();
    let error = restore.to_directory(target.path(), &[], KEEP).unwrap_err();
    let RestoreError::Read { source, .. } = error else {
        panic!("{error:?}")
    };
    let indelible_engine::read::ReadError::Chunk { fault, .. } = source else {
        panic!("{source:?}")
    };
    assert!(fault.is_unreachable());
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

/// A tree that claims to be of any length takes neither memory nor space.
///
/// Method: forge manifests whose streams are as long as a number can be, and
/// salvage them.
#[test]
fn forged_lengths_take_nothing() {
    let scene = Scene::new(307, 5);
    let repository = scene.fixture.open();
    let from = snapshot_at(&repository, scene.number);
    let forge = |longer: fn(&mut indelible_format::manifest::Manifest)| {
        let mut manifest = from.manifest.clone();
        longer(&mut manifest);
        let reach = &Reach::collect([(from.number, 0)]);
        let forged = Forged { manifest, reach };
        let entry = forge_snapshot(&repository, &from, &scene.fixture.bundle, &forged);
        let number = repository.history().next;
        scene.fixture.store.replace(&ObjectKey::Log(number), &entry);
        let repository = scene.fixture.open();
        let target = scratch();
        let cancel = Cancel::new();
        let how = How {
            salvages: true,
            ..How::plainly(&cancel)
        };
        let (restored, holes) = how.run(&repository, number, target.path());
        (restored.unwrap(), holes, files_below(target.path()))
    };
    let (restored, holes, files) = forge(|it| it.list.root.len = u64::MAX);
    assert!(files.is_empty() && restored.entries == 0);
    let [
        Hole::Entries {
            after: None,
            before: None,
            records_len: u64::MAX,
            ..
        },
    ] = holes[..]
    else {
        panic!("{holes:?}")
    };
    let (restored, _, files) = forge(|it| it.small.as_mut().unwrap().root.len = u64::MAX);
    assert_eq!(restored.files_with_holes, 5);
    assert!(files[&b"tree/other.dump"[..]] == scene.originals[&b"tree/other.dump"[..]]);
    let zeros = &files[&b"tree/tables/0003.csv.salvaged"[..]];
    assert_eq!(
        *zeros,
        vec![0; scene.originals[&b"tree/tables/0003.csv"[..]].len()]
    );
    let (restored, _, files) = forge(|it| it.small = None);
    assert_eq!(restored.files_with_holes, 5);
    assert_eq!(files.len(), scene.originals.len());
}

/// Once the damage is undone, a restore that resumes fills the holes.
///
/// Method: salvage with a lost pack, bring it back, and resume: with no hole left
/// the files have their names, and only what was a hole is written.
#[test]
fn holes_are_filled_later() {
    let fixture = Fixture::new(308);
    let before = noise(1, 60_000);
    fixture.snapshot_of("shop", &before);
    let first = ObjectKey::Pack(packs(&fixture.store)[0]);
    let bytes = [&before[..], &noise(2, 60_000)].concat();
    let number = fixture.snapshot_of("shop", &bytes).number;
    let intact = fixture.store.clone();
    fixture.store.forget(&first);
    let target = scratch();
    let cancel = Cancel::new();
    let salvage = How {
        salvages: true,
        ..How::plainly(&cancel)
    };
    let resume = How {
        resumes: true,
        ..salvage
    };
    let run = |how: How<'_>| how.run(&fixture.open(), number, target.path()).0.unwrap();
    let salvaged = run(salvage);
    assert!(salvaged.hole_bytes > 50_000);
    let names = || files_below(target.path()).into_keys().collect::<Vec<_>>();
    assert_eq!(names(), [b"dump.sql.salvaged"]);
    let again = run(resume);
    assert_eq!((again.bytes, again.kept_bytes), (0, salvaged.bytes));
    assert_eq!(again.hole_bytes, salvaged.hole_bytes);
    assert_eq!(names(), [b"dump.sql.salvaged"]);
    fixture.store.roll_back_to(&intact);
    let filled = run(How {
        salvages: false,
        ..resume
    });
    assert_eq!(filled.bytes, salvaged.hole_bytes);
    assert_eq!(filled.kept_bytes, salvaged.bytes);
    let files = files_below(target.path());
    assert!(files == Contents::from([(b"dump.sql".to_vec(), bytes)]));
    let replaced = run(How {
        policy: OVERWRITE,
        ..salvage
    });
    assert_eq!((replaced.holes, replaced.bytes), (0, 120_000));
}
