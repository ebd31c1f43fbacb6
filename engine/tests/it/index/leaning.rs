//! Chunks that lean on others, in the index.

use indelible_engine::index::{CountedPack, Directories, Index, PackChunks};
use indelible_format::coding::Coding;
use indelible_format::directory::{Base, Directory, Record};
use indelible_format::ids::{ChunkId, PackId};

/// Packs of one chunk each, every one a delta of the one before.
struct Chain {
    /// Numbers of those that hold much of their own.
    heavy: Vec<u8>,
}

const LAST: u8 = 9;

fn id(number: u8) -> ChunkId {
    ChunkId([number + 1; 32])
}

fn pack(number: u8) -> PackId {
    PackId([number; 32])
}

impl Directories for Chain {
    fn chunks(&self, counted: &CountedPack) -> Option<PackChunks> {
        let number = counted.id.0[0];
        let leans = number > 0;
        let bases = leans.then_some(Base { slot: 1, number: 0 });
        let record = Record {
            id: id(number),
            class: 0,
            coding: if leans { Coding::Delta } else { Coding::Zstd },
            stored_len: if self.heavy.contains(&number) {
                5_000
            } else {
                50
            },
            plain_len: 20_000,
            depth: number,
            bases: bases.into_iter().collect(),
        };
        Some(PackChunks::new(Directory {
            packs: leans.then(|| pack(number - 1)).into_iter().collect(),
            records: vec![record],
        }))
    }
}

fn index(heavy: &[u8], counts: impl Fn(u8) -> bool) -> Index<'static> {
    let counted = (0..=LAST).filter(|number| counts(*number));
    let counted = counted.map(|number| CountedPack {
        id: pack(number),
        len: 400,
    });
    let heavy = heavy.to_vec();
    Index::open(counted.collect(), None, Box::new(Chain { heavy }))
}

/// A delta brings all packs that it leans on, and counts as absent without any of them.
///
/// Method: a chain of ten packs; then without one of them.
#[test]
fn a_delta_is_there_with_all_below_it() {
    let whole = index(&[], |_| true);
    for number in 0..=LAST {
        let found = whole.get(&id(number)).expect("it is there");
        assert_eq!((found.place.pack, found.depth), (pack(number), number));
        assert_eq!(found.chunks, usize::from(number) + 1);
        let below: Vec<PackId> = (0..number).map(pack).collect();
        assert_eq!(found.leans_on, below);
    }
    let holed = index(&[], |number| number != 4);
    for number in 0..=LAST {
        let there = holed.get(&id(number)).is_some();
        assert_eq!(there, number < 4, "{number}");
        assert_eq!(!holed.shallow(&id(number), 9, 4).is_empty(), number < 4);
    }
    assert!(!holed.is_lost());
}

/// What is too deep makes way for what it leans on, down to where much is a delta's own.
///
/// Method: ask the chain for chunks at most so far above ground: without any that holds
/// much of its own, and with two.
#[test]
fn what_is_too_deep_makes_way() {
    let shallow = |index: &Index<'_>, number, above| {
        let found = index.shallow(&id(number), above, 4);
        let [(id, found)] = &found[..] else {
            panic!("one stands in for one");
        };
        assert_eq!(*id, self::id(found.depth));
        found.depth
    };
    let light = index(&[], |_| true);
    for number in 0..=LAST {
        for above in 0..=LAST {
            assert_eq!(shallow(&light, number, above), number.min(above));
        }
    }
    let heavy = index(&[3, 6], |_| true);
    assert_eq!([0, 1, 2].map(|above| shallow(&heavy, 2, above)), [0, 1, 2]);
    assert_eq!([0, 1, 2].map(|above| shallow(&heavy, 5, above)), [3, 4, 5]);
    assert_eq!([0, 2, 9].map(|above| shallow(&heavy, 9, above)), [6, 8, 9]);
    assert!(light.shallow(&ChunkId([99; 32]), 9, 4).is_empty());
}
