//! The writer's index: whatever its files hold, no wrong place comes of them.

mod damage;
mod leaning;
mod model;
mod whole;

use std::collections::HashSet;

use indelible_engine::index::Index;
use indelible_engine::state::State;
use indelible_format::ids::ChunkId;
use indelible_format::places::Place;

use model::{Client, Stock};

/// Where an index has a chunk that leans on nothing.
fn place(index: &Index<'_>, id: &ChunkId) -> Option<Place> {
    let found = index.get(id)?;
    assert!(found.leans_on.is_empty() && found.depth == 0);
    Some(found.place)
}

/// What is asked for is found, whatever the order in which packs came and went,
/// and segments were merged.
///
/// Method: thirty runs over one state, each with some more packs, of which some
/// list chunks of others, and some of which stopped counting or count again; each
/// answer is compared with a search through the directories of those that count,
/// and with an index without a state.
#[test]
fn every_run_answers_like_a_search() {
    let mut stock = Stock::new(1);
    let client = Client::new();
    for run in 0..30 {
        stock.add(1 + run % 7, 40);
        let gone: HashSet<usize> = stock.some(5).into_iter().collect();
        let counted = stock.counted(|at| !gone.contains(&at));
        let kept = client.index(&stock, &counted);
        let without = stock.index_without_state(&counted);
        for id in stock.ids() {
            let expected = stock.search(&counted, &id);
            assert_eq!(place(&kept, &id), expected, "run {run}");
            assert_eq!(place(&without, &id), expected, "run {run}");
        }
        for id in stock.absent(100) {
            assert_eq!((place(&kept, &id), place(&without, &id)), (None, None));
        }
        assert!(client.segments().len() <= 4, "{}", client.segments().len());
    }
}

/// A run opens the directories of packs that are new, and no others.
///
/// Method: count the directories that are opened by a first run, by one with
/// nothing new, and by one with three packs more.
#[test]
fn what_is_covered_is_not_read_again() {
    let mut stock = Stock::new(2);
    let client = Client::new();
    stock.add(50, 20);
    let opened = |stock: &Stock| {
        let before = stock.opened();
        let _ = client.index(stock, &stock.counted(|_| true));
        stock.opened() - before
    };
    assert_eq!((opened(&stock), opened(&stock)), (50, 0));
    stock.add(3, 20);
    assert_eq!((opened(&stock), opened(&stock)), (3, 0));
}

/// Hits in one pack open its directory once, and a pack of many look-ups opened
/// long ago is opened again.
///
/// Method: ask for all chunks of two packs twice, then for one chunk of each of
/// 1,100 packs, then for the first ones again; count what is opened.
#[test]
fn runs_of_hits_open_a_directory_once() {
    let mut stock = Stock::new(3);
    stock.add(1_100, 3);
    let client = Client::new();
    let index = client.index(&stock, &stock.counted(|_| true));
    let ids: Vec<_> = stock.listed().collect();
    let opened = |ids: &[_]| {
        let before = stock.opened();
        assert!(ids.iter().all(|id| index.get(id).is_some()));
        stock.opened() - before
    };
    assert_eq!((opened(&ids[..6]), opened(&ids[..6])), (2, 0));
    assert_eq!(opened(&ids), 1_098);
    assert_eq!(opened(&ids[..3]), 1);
}

/// A directory that opened once and does not any more ends the run's index: an
/// answer that was given must not become another.
///
/// Method: find a chunk, drive its pack out of the directories that are kept
/// open, take its directory away, and ask again; and for any other.
#[test]
fn what_can_be_read_no_more_is_told() {
    let mut stock = Stock::new(4);
    stock.add(1_100, 2);
    let client = Client::new();
    let index = client.index(&stock, &stock.counted(|_| true));
    let ids: Vec<_> = stock.listed().collect();
    assert!(ids.iter().all(|id| index.get(id).is_some()));
    assert!(!index.is_lost());
    stock.hide(0);
    assert_eq!(place(&index, &ids[0]), None);
    assert!(index.is_lost());
    assert_eq!(place(&index, &ids[2_000]), None);
}

/// A pack whose directory does not open has nothing, from the start on.
///
/// Method: cover a pack, hide its directory, and ask a new index for what it and
/// a later pack list.
#[test]
fn a_pack_that_does_not_open_is_passed_over() {
    let mut stock = Stock::new(5);
    stock.add(2, 10);
    stock.repeat(0);
    let client = Client::new();
    let counted = stock.counted(|_| true);
    drop(client.index(&stock, &counted));
    stock.hide(0);
    let index = client.index(&stock, &counted);
    for id in stock.ids() {
        assert_eq!(place(&index, &id), stock.search(&counted, &id));
    }
    assert!(!index.is_lost());
}

/// Writers at once, with one state, all find what they should.
///
/// Method: six threads open indexes over growing stocks at the same time, and ask
/// from two threads each.
#[test]
fn writers_at_once_share_segments() {
    let mut stock = Stock::new(6);
    stock.add(120, 20);
    let client = Client::new();
    std::thread::scope(|scope| {
        for thread in 0..6_usize {
            let (stock, client) = (&stock, &client);
            scope.spawn(move || {
                for run in 1..=10 {
                    let counted = stock.counted(|at| at < run * (7 + thread));
                    let index = client.index(stock, &counted);
                    let ask = || {
                        for id in stock.listed() {
                            assert_eq!(place(&index, &id), stock.search(&counted, &id));
                        }
                    };
                    std::thread::scope(|asking| {
                        asking.spawn(ask);
                        asking.spawn(ask);
                    });
                }
            });
        }
    });
    let counted = stock.counted(|_| true);
    drop(client.index(&stock, &counted));
    assert!(client.segments().len() <= 4, "{}", client.segments().len());
    assert_eq!(client.unfinished(), 0);
}

/// A state that can't be written to is as good as none.
///
/// Method: put a file where the segments' directory would be.
#[test]
fn without_room_for_segments_memory_serves() {
    let mut stock = Stock::new(7);
    stock.add(20, 20);
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let repository = state.repository(&model::REPOSITORY);
    let root = dir.path().join(model::REPOSITORY.to_string());
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("index"), b"in the way").unwrap();
    let counted = stock.counted(|_| true);
    let index = stock.index(&counted, Some(&repository));
    for id in stock.ids() {
        assert_eq!(place(&index, &id), stock.search(&counted, &id));
    }
}
