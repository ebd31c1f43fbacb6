//! The lists of chunks that a client keeps, so that its next snapshot can guess
//! cuts: right when they open, and without effect when they don't.

use std::fs;

use indelible_engine::past::PastChunk;
use indelible_engine::read::Reader;
use indelible_engine::repository::Repository;
use indelible_engine::state::ChunkLists;
use indelible_engine::store::{MemoryStore, ReadStore};
use indelible_format::ids::{CommitId, DomainId};
use indelible_format::name::Name;
use indelible_format::node::{PlacedRoot, Root};
use indelible_format::page::Content;

use crate::support::{
    Client, Fixture, noise, restore, rows, snapshot_at, stream, take, take_stream,
};

fn lists_of(repository: &Repository<'_, MemoryStore>, name: &str) -> ChunkLists {
    let key = repository.key();
    let gear = &key.write.as_ref().expect("the write right").gear;
    let state = repository.state().expect("a state");
    state.chunk_lists(
        &key.domain,
        &Name::new(name.as_bytes()).expect("a NAME"),
        gear,
    )
}

/// The chunks that the tree of a snapshot has at a path, and its root.
fn tree_chunks<S: ReadStore>(
    repository: &Repository<'_, S>,
    number: u64,
    path: &[u8],
) -> (Root, Vec<PastChunk>) {
    let snapshot = snapshot_at(repository, number);
    let (listings, _) = repository.listings();
    let reader = Reader::new(repository, &listings, snapshot.binding.domain).expect("a right");
    let entries = reader.entries(&snapshot.manifest.list).expect("a list");
    let found = entries
        .map(|entry| entry.expect("a page"))
        .find_map(|(entry, place)| {
            let content = entry.content().filter(|_| entry.path.as_bytes() == path)?;
            match content {
                Content::Own(root) => Some(PlacedRoot {
                    root: *root,
                    place: place?,
                }),
                _ => None,
            }
        });
    let root = found.expect("the stream is there");
    let chunks = reader.walk(&root, 0, root.root.len).map(|part| {
        let (item, _) = part.chunk.expect("the tree is whole");
        PastChunk {
            id: item.id,
            len: u32::try_from(item.len).expect("a chunk is short"),
        }
    });
    (root.root, chunks.collect())
}

/// After a snapshot, the client has for each stream the chunks that the tree has,
/// and only those of the last snapshot of the NAME.
///
/// Method: two snapshots of two streams and of small files under one NAME, one
/// under another; compare with the trees, also for a list of several parts.
#[test]
fn lists_are_what_the_tree_has() {
    let fixture = Fixture::new(301);
    let client = Client::new();
    let mut repository = fixture.open_with(&client.state);
    let streams = |from: u64| {
        vec![
            stream("a.sql", &rows(from..from + 2_000)),
            stream("b.sql", &noise(from, 3 << 20)),
        ]
    };
    let mut number = 0;
    for from in [0, 7] {
        number = take(&mut repository, "shop", streams(from))
            .expect("a snapshot")
            .number;
    }
    take_stream(&mut repository, "other", &rows(0..50)).expect("a snapshot");
    assert_eq!(client.lists().len(), 2, "one file a NAME");
    let lists = lists_of(&repository, "shop")
        .latest()
        .expect("there are lists");
    for path in [&b"a.sql"[..], b"b.sql"] {
        let kept: Vec<PastChunk> = lists.stream(path).expect("it is listed").collect();
        assert_eq!(kept, tree_chunks(&repository, number, path).1);
    }
    let long: Vec<PastChunk> = lists.stream(b"b.sql").expect("it is listed").collect();
    assert!(long.len() > 2_048, "more than two parts");
    assert!(lists.stream(b"c.sql").is_none());
    assert_eq!(
        lists.stream(b"").map(Iterator::count),
        Some(0),
        "no small files"
    );
}

/// Whatever happened to the lists, or where what is guessed comes from, a snapshot
/// is the same.
///
/// Method: take a first snapshot and then an edited one, with no state, with the
/// state as it was, with its lists cut short, with bits inverted across them, and
/// with those of another NAME in their place; compare roots and restored bytes with
/// those of a key that knows nothing.
#[test]
fn lists_change_nothing_but_time() {
    let before = [noise(1, 400_000), rows(0..3_000)].concat();
    let mut after = before.clone();
    after.splice(100_000..100_010, *b"changed in the middle");
    after.drain(..3);
    let run = |spoil: &dyn Fn(&Client), kept: bool| {
        let fixture = Fixture::new(302);
        let client = Client::new();
        take_stream(
            &mut fixture.open_with(&client.state),
            "other",
            &rows(9..4_000),
        )
        .expect("a snapshot");
        take_stream(&mut fixture.open_with(&client.state), "shop", &before).expect("a snapshot");
        spoil(&client);
        let mut repository = if kept {
            fixture.open_with(&client.state)
        } else {
            fixture.open()
        };
        let number = take_stream(&mut repository, "shop", &after)
            .expect("a snapshot")
            .number;
        let contents = restore(&repository, number).expect("it restores");
        assert_eq!(contents[&b"dump.sql"[..]], after);
        tree_chunks(&repository, number, b"dump.sql")
    };
    let expected = run(&|_| {}, false);
    assert_eq!(run(&|_| {}, true), expected);
    for file in 0..2 {
        let len = {
            let client = Client::new();
            let fixture = Fixture::new(302);
            take_stream(&mut fixture.open_with(&client.state), "shop", &before)
                .expect("a snapshot");
            fs::metadata(&client.lists()[0]).expect("a file").len()
        };
        for at in (0..len).step_by(4_999) {
            let flip = |client: &Client| {
                let path = &client.lists()[file];
                let mut bytes = fs::read(path).expect("a file");
                let at = usize::try_from(at).expect("short") % bytes.len();
                bytes[at] ^= 0x10;
                fs::write(path, bytes).expect("it is writable");
            };
            let cut = |client: &Client| {
                let path = &client.lists()[file];
                let bytes = fs::read(path).expect("a file");
                let at = usize::try_from(at).expect("short") % bytes.len();
                fs::write(path, &bytes[..at]).expect("it is writable");
            };
            assert_eq!(run(&flip, true), expected, "a bit at {at}");
            assert_eq!(run(&cut, true), expected, "cut at {at}");
        }
    }
    let exchange = |client: &Client| {
        let files = client.lists();
        let (one, other) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
        fs::write(&files[0], other).expect("it is writable");
        fs::write(&files[1], one).expect("it is writable");
    };
    assert_eq!(run(&exchange, true), expected);
}

/// Lists open for writers of their domain alone, and what a run that died left
/// of its own goes with the next.
///
/// Method: open a file under another gear key and find nothing; begin a list and
/// drop it, and see that it is there until another is begun, and one that is being
/// written is left alone.
#[test]
fn lists_belong_to_a_domain_and_dead_ones_go() {
    let fixture = Fixture::new(303);
    let client = Client::new();
    let mut repository = fixture.open_with(&client.state);
    take_stream(&mut repository, "shop", &rows(0..3_000)).expect("a snapshot");
    let (key, state) = (repository.key(), repository.state().expect("a state"));
    let name = Name::new(b"shop").expect("a NAME");
    let foreign = state.chunk_lists(&key.domain, &name, &key.psk);
    assert!(foreign.latest().is_none());
    let elsewhere = state.chunk_lists(&DomainId([7; 16]), &name, &key.psk);
    assert!(elsewhere.latest().is_none());

    let lists = lists_of(&repository, "shop");
    assert!(lists.latest().is_some());
    let dead = lists
        .begin(&CommitId([1; 16]), 0, [1; 32])
        .expect("it begins");
    drop(dead);
    let alive = lists
        .begin(&CommitId([2; 16]), 0, [2; 32])
        .expect("it begins");
    let other = lists
        .begin(&CommitId([3; 16]), 0, [3; 32])
        .expect("it begins");
    assert_eq!(
        client.lists().len(),
        3,
        "the kept one and two that are written"
    );
    other.discard().expect("it is removed");
    alive.commit(99).expect("it is named");
    assert_eq!(client.lists().len(), 1);
    assert!(
        lists
            .latest()
            .expect("the new one")
            .stream(b"dump.sql")
            .is_none()
    );
}
