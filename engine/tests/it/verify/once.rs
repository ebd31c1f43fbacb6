//! What a verification costs: each pack is read once, whatever leans on it.

use std::collections::BTreeMap;

use indelible_engine::pack::SealedDirectory;
use indelible_engine::repository::Repository;
use indelible_engine::store::ObjectKey;
use indelible_format::attest::Level;
use indelible_format::coding::Class;
use indelible_format::ids::PackId;

use super::extent::Watched;
use crate::support::{Fixture, noise, object, packs, take_stream, verify_with};

/// How many snapshots there are.
const SNAPSHOTS: u64 = 1_000;

/// A thousand snapshots cost what their packs cost: each pack is read whole once,
/// each of its chunks decoded once, and beyond that only directories, pages and nodes
/// are read, each once.
///
/// Method: a thousand snapshots of a stream that changes every hundredth night; count
/// the reads of a verification, and compare them with what the packs' directories
/// list.
#[test]
fn a_thousand_snapshots_are_read_once() {
    let fixture = Fixture::new(141);
    let mut bytes = noise(141, 150_000);
    let mut repository = fixture.open();
    for night in 0..SNAPSHOTS {
        if night % 100 == 50 {
            bytes[50_000 + usize::try_from(night).unwrap()] ^= 1;
        }
        take_stream(&mut repository, "shop", &bytes).unwrap();
    }
    let all = packs(&fixture.store);
    assert_eq!(all.len(), 11);

    let store = Watched::new(&fixture, 0);
    let repository =
        Repository::open(&store, None, &fixture.recovery, fixture.env.clone()).unwrap();
    store.ranges();
    store.taken();
    let report = verify_with(&repository, Level::Data);
    assert!(report.is_sound());
    assert_eq!(report.snapshots.len() as u64, SNAPSHOTS);

    let mut whole = store.taken();
    whole.sort_unstable();
    assert_eq!(whole, all);
    let mut reads: BTreeMap<PackId, Vec<(u64, u64)>> = BTreeMap::new();
    for (pack, offset, len) in store.ranges() {
        reads.entry(pack).or_default().push((offset, len));
    }
    let mut chunks = 0;
    for pack in all {
        let stored = object(&fixture.store, &ObjectKey::Pack(pack));
        let sealed = SealedDirectory::of_bytes(&stored).unwrap();
        let index = fixture.bundle.index_key(&sealed.header().domain).unwrap();
        let open = sealed.open(&index).unwrap();
        chunks += open.directory.records.len() as u64;
        let reads = &reads[&pack];
        let mut of_tree = 0;
        for (record, span) in open.directory.records.iter().zip(&open.spans) {
            let read = (span.offset, u64::from(span.len));
            let times = reads.iter().filter(|range| **range == read).count();
            if record.known_class() == Some(Class::Data) {
                assert_eq!(times, 0, "contents come from the pack that was read whole");
            } else {
                assert!(times <= 1, "a page or node is read once");
                of_tree += times;
            }
        }
        // The pack, its header and its directory.
        assert_eq!(reads.len(), 3 + of_tree);
    }
    assert_eq!(report.chunks, chunks);
}
