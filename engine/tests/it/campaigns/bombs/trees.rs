//! Bombs under seal in what is read last: chunks, nodes and pages.

use indelible_format::coding::{Class, Coding};
use indelible_format::commit::NewPack;
use indelible_format::manifest::Manifest;
use indelible_format::node::Item;
use indelible_format::places::Place;
use indelible_format::wire::Builder;

use super::raw::{RawCommit, frame};
use super::scene::{Expected, Restored, Scene, restore_some};
use super::sealed::{metadata, page_of_nothing, record};
use super::{Bomb, Charge, planted};
use crate::support::tree::{ForgedPack, Stored, manifest, placed};

pub(super) fn bombs() -> Vec<Bomb> {
    let mut all = codings();
    all.extend(nodes());
    all.extend(streams());
    all.extend(pages());
    all
}

/// Content 1: a stream of its own.
fn own(root: &Stored, level: u8) -> Vec<u8> {
    let mut out = Builder::new();
    out.u64(root.len).u8(1).u64(root.len).u8(level);
    out.bytes(&root.id.0);
    out.finish()
}

/// Content 2: a slice of the small-file stream.
fn slice(offset: u64, len: u64) -> Vec<u8> {
    Builder::new().u64(len).u8(2).u64(offset).finish()
}

/// Signs a snapshot of one file whose stream has this root.
fn commit_stream(scene: &Scene<'_>, mut pack: ForgedPack<'_>, root: Stored, level: u8) -> u64 {
    let page = pack.page(&record(b"file", &own(&root, level)), &[root]);
    let list = pack.node(0, &[page]);
    let pack = pack.finish();
    let manifest = Manifest {
        content_bytes: root.len,
        ..manifest(list, 0, &pack)
    };
    scene.insider.commit(vec![pack], manifest)
}

/// Chunks that don't decode to what the directory says.
fn codings() -> Vec<Bomb> {
    const BLOCK: u32 = 128 << 10;
    let good = |len: u32| frame(None, Some(len.into()), &[len]);
    let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &[0xFF; 4]].concat();
    let wide = |window: u8| frame(Some(window << 3), Some(1_000), &[1_000]);
    let blocks = vec![BLOCK; 8_192];
    let gib = |said: u64| frame(None, Some(said), &blocks);
    let small_window = frame(Some(7 << 3), Some(1 << 30), &blocks);
    let large = frame(None, Some(1 << 27), &blocks[..1_024]);
    let no_length = frame(Some(0), None, &[1_000]);
    let two = [good(500), good(500)].concat();
    let frames: Vec<(&str, usize, Vec<u8>)> = vec![
        ("a GiB in a frame of 100 bytes", 100, gib(100)),
        ("a GiB in a frame of 1 MiB", 1 << 20, gib(1 << 20)),
        ("a frame of 2^64 bytes", 1 << 20, gib(u64::MAX)),
        ("a frame of a TiB", 1 << 20, gib(1 << 40)),
        ("a frame of a GiB", 1 << 20, gib(1 << 30)),
        ("a frame of a GiB and a small window", 1 << 20, small_window),
        ("128 MiB, as its frame says", 1 << 27, large),
        ("a frame of another length", 999, good(1_000)),
        ("a frame that says no length", 1_000, no_length),
        ("a window of 2 TiB", 1_000, wide(31)),
        ("two frames", 1_000, two),
        ("a frame to be skipped", 1_000, skippable),
        ("a frame cut short", 1_000, good(1_000)[..10].to_vec()),
    ];
    let frames = frames.into_iter();
    let mut all: Vec<Bomb> = frames
        .map(|(what, len, coded)| coded_chunk(what, Expected::Unreadable, Coding::Zstd, coded, len))
        .collect();
    for (what, coded) in [
        ("its right bytes", good(1_000)),
        ("a window of 2 GiB", wide(21)),
    ] {
        let bomb = coded_chunk(what, Expected::Harmless, Coding::Zstd, coded, 1_000);
        all.push(bomb);
    }
    all.extend(uncoded());
    all
}

/// Chunks that are not zstd, and are not what they say.
fn uncoded() -> Vec<Bomb> {
    let chunks = [
        ("fewer bytes than it says", Coding::Raw, 999, 1_000),
        ("more bytes than it says", Coding::Raw, 1_000, 999),
        ("1 MiB that is one byte", Coding::Raw, 1, 1 << 20),
        ("an unknown coding", Coding::Unsupported(9), 1_000, 1_000),
    ];
    let bomb = |(what, coding, held, said)| {
        let bytes = vec![b'x'; held];
        coded_chunk(what, Expected::Unreadable, coding, bytes, said)
    };
    chunks.map(bomb).into()
}

/// A chunk of the bytes `x`, said to be so many, that is coded as this.
fn coded_chunk(
    what: &str,
    expected: Expected,
    coding: Coding,
    coded: Vec<u8>,
    plain_len: usize,
) -> Bomb {
    let what = format!("a chunk with {what}");
    planted(what, expected, move |scene| {
        let mut pack = scene.insider.pack();
        let chunk = (coding, coded.clone(), plain_len);
        let data = pack.chunk(Class::Data, &vec![b'x'; plain_len], chunk);
        let root = pack.node(0, &[data]);
        commit_stream(scene, pack, root, 0)
    })
}

/// Nodes by hand.
fn nodes() -> Vec<Bomb> {
    let node = |level: u8, said: u16, items: &[(u8, u64)]| {
        let mut out = Builder::new();
        out.u8(level).u16(said);
        for (id, len) in items {
            out.bytes(&[*id; 32]).u64(*len);
        }
        out.finish()
    };
    let run = |packs: u16, runs: u16, count: u16| {
        let mut out = Builder::new();
        out.u16(packs).u16(runs).u16(0).u16(0).u16(count);
        out.finish()
    };
    let one = run(0, 1, 1);
    let odd: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("level 255", node(255, 1, &[(7, 5)]), one.clone()),
        ("level 8", node(8, 1, &[(7, 5)]), one.clone()),
        ("level 7", node(7, 1, &[(7, 5)]), one.clone()),
        ("no items", node(0, 0, &[]), run(0, 0, 0)),
        ("65,535 items", node(0, u16::MAX, &[(7, 5)]), one.clone()),
        ("1,024 items", node(0, 1_024, &[(7, 5)]), one.clone()),
        (
            "an item of 2^64 bytes",
            node(0, 1, &[(7, u64::MAX)]),
            one.clone(),
        ),
        (
            "a child of 2^64 bytes",
            node(1, 1, &[(7, u64::MAX)]),
            one.clone(),
        ),
        (
            "children of 2^65 bytes",
            node(1, 2, &[(7, u64::MAX), (8, u64::MAX)]),
            run(0, 1, 2),
        ),
        ("65,535 packs", node(0, 1, &[(7, 5)]), run(u16::MAX, 1, 1)),
        ("65,535 runs", node(0, 1, &[(7, 5)]), run(0, u16::MAX, 1)),
        (
            "a run of 65,535",
            node(0, 1, &[(7, 5)]),
            run(0, 1, u16::MAX),
        ),
        ("itself as its child", node(0, 1, &[(7, 5)]), one),
    ];
    let bomb = |(what, identity, places): (&str, Vec<u8>, Vec<u8>)| {
        let what = format!("a node with {what}");
        planted(what, Expected::Unreadable, move |scene: &Scene<'_>| {
            let mut pack = scene.insider.pack();
            let plain = [&identity[..], &places].concat();
            let mut root = pack.raw(Class::Node, &identity, plain);
            root.len = 5;
            commit_stream(scene, pack, root, 0)
        })
    };
    odd.into_iter().map(bomb).collect()
}

/// A node of 1,024 times the same child, again and again: streams of an exbibyte
/// out of one byte, rightly built. And children that are longer or shorter than
/// what is said of them.
fn streams() -> Vec<Bomb> {
    let mut all = Vec::new();
    for levels in [1, 3, 5] {
        let what = format!("a byte repeated 1,024^{} times", levels + 1);
        all.push(planted(what, Expected::Endless, move |scene| {
            let mut pack = scene.insider.pack();
            let data = pack.data(b"x");
            let root = tower(&mut pack, data, levels);
            commit_stream(scene, pack, root, levels)
        }));
    }
    for (said, levels) in [(1, 0), (1, 2), (1_048_576, 3)] {
        let what = format!("chunks of {said} bytes that are others, {levels} levels up");
        all.push(planted(what, Expected::Unreadable, move |scene| {
            let mut pack = scene.insider.pack();
            let len = if said == 1 { 1 << 20 } else { 1 };
            let data = pack.chunk(
                Class::Data,
                &vec![b'x'; len],
                (Coding::Zstd, frame_of(len), len),
            );
            let root = tower(&mut pack, Stored { len: said, ..data }, levels);
            commit_stream(scene, pack, root, levels)
        }));
    }
    all.extend(lists());
    all
}

/// One page again and again, and slices of an endless small-file stream.
fn lists() -> Vec<Bomb> {
    let mut all = Vec::new();
    for levels in [2, 5] {
        let what = format!("one page repeated 1,024^{} times", levels + 1);
        all.push(planted(what, Expected::Unreadable, move |scene| {
            let mut pack = scene.insider.pack();
            let page = page_of_nothing(&mut pack);
            let list = tower(&mut pack, page, levels);
            let pack = pack.finish();
            scene
                .insider
                .commit(vec![pack], manifest(list, levels, &pack))
        }));
    }
    // The small-file stream, and what its slices promise.
    for (what, len, expected) in [
        ("a slice of all of it", u64::MAX, Expected::Endless),
        ("a slice beyond its end", 0, Expected::Unreadable),
    ] {
        let what = format!("an endless small-file stream, and {what}");
        all.push(planted(what, expected, move |scene| {
            let mut pack = scene.insider.pack();
            let data = pack.data(b"x");
            let root = tower(&mut pack, data, 4);
            let len = if len == 0 { root.len + 1 } else { root.len };
            let page = pack.page(&record(b"file", &slice(0, len)), &[]);
            let list = pack.node(0, &[page]);
            let pack = pack.finish();
            let manifest = Manifest {
                small: Some(placed(root, 4, &pack)),
                content_bytes: len,
                ..manifest(list, 0, &pack)
            };
            scene.insider.commit(vec![pack], manifest)
        }));
    }
    all
}

/// Nodes over nodes, each of 1,024 times the same.
fn tower(pack: &mut ForgedPack<'_>, bottom: Stored, levels: u8) -> Stored {
    (0..=levels).fold(bottom, |child, level| pack.node(level, &vec![child; 1_024]))
}

/// A frame of this many bytes.
fn frame_of(len: usize) -> Vec<u8> {
    let block = 128 << 10;
    let whole = vec![block; len / block as usize];
    let rest = u32::try_from(len % block as usize).expect("less than a block");
    let blocks: Vec<u32> = whole
        .into_iter()
        .chain((rest > 0).then_some(rest))
        .collect();
    frame(None, Some(len as u64), &blocks)
}

/// Pages that promise more than they hold.
fn pages() -> Vec<Bomb> {
    let whole = record(b"a", &[0; 9]);
    let section = |said: u32, rest: &[u8]| [&said.to_le_bytes()[..], rest].concat();
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("records of 4 GiB", section(u32::MAX, &whole)),
        ("records of 1 MiB", section(1 << 20, &whole)),
        ("no records", section(0, &[0; 4])),
        (
            "a path of 64 KiB",
            section(3, &[0xFF, 0xFF, b'a', 0, 0, 0, 0]),
        ),
    ];
    let mut all: Vec<Bomb> = odd
        .into_iter()
        .map(|(what, plain)| {
            let what = format!("a page with {what}");
            planted(what, Expected::Unreadable, move |scene| {
                commit_page(scene, |pack| {
                    pack.raw(Class::Page, &whole_of(&plain), plain.clone())
                })
            })
        })
        .collect();
    let places: [(&str, [u16; 2]); 3] = [
        ("65,535 packs", [u16::MAX, 0]),
        ("65,535 runs", [0, u16::MAX]),
        ("places of nothing", [1, 1]),
    ];
    for (what, counts) in places {
        let what = format!("a page with {what}");
        let records = whole.clone();
        all.push(planted(what, Expected::Unreadable, move |scene| {
            commit_page(scene, |pack| {
                let mut plain = Builder::new();
                plain.text32(&records).u16(counts[0]).u16(counts[1]);
                pack.raw(Class::Page, &records, plain.finish())
            })
        }));
    }
    all.extend(full_pages());
    all
}

/// Pages that are laid out rightly.
fn full_pages() -> Vec<Bomb> {
    // About as many entries as a page can hold.
    let full = planted("a page of 27,000 links", Expected::Harmless, |scene| {
        let letters = || (b'0'..=b'9').chain(b'A'..=b'T');
        let mut records = Vec::new();
        for (a, b) in letters().flat_map(|a| letters().map(move |b| (a, b))) {
            for c in letters() {
                let mut out = Builder::new();
                out.text16(&[a, b, c]).u8(3).bytes(&metadata()).text16(b"x");
                records.extend(out.finish());
            }
        }
        let entries = 27_000;
        commit_entries(scene, entries, 0, |pack| pack.page(&records, &[]))
    });
    let what = "two files that have 2^64 bytes together";
    let two = planted(what, Expected::Unreadable, |scene| {
        let half = slice(0, 1 << 63);
        let records = [record(b"a", &half), record(b"b", &half)].concat();
        commit_entries(scene, 2, u64::MAX, |pack| pack.page(&records, &[]))
    });
    vec![full, two]
}

/// What identity bytes the plain bytes of a page would have, if they had any.
fn whole_of(plain: &[u8]) -> Vec<u8> {
    plain[4..].to_vec()
}

fn commit_page(scene: &Scene<'_>, make: impl FnOnce(&mut ForgedPack<'_>) -> Stored) -> u64 {
    commit_entries(scene, 1, 0, make)
}

fn commit_entries(
    scene: &Scene<'_>,
    entries: u64,
    content_bytes: u64,
    make: impl FnOnce(&mut ForgedPack<'_>) -> Stored,
) -> u64 {
    let mut pack = scene.insider.pack();
    let page = make(&mut pack);
    let list = pack.node(0, &[page]);
    let pack = pack.finish();
    let manifest = Manifest {
        entries,
        content_bytes,
        ..manifest(list, 0, &pack)
    };
    scene.insider.commit(vec![pack], manifest)
}

/// Bombs that take packs by the hundred.
pub(super) fn long_bombs() -> Vec<Bomb> {
    // A verification keeps each chunk's id, so only the restore is met.
    vec![Bomb {
        what: "a stream over 150 packs of 8,192 chunks each".to_owned(),
        charge: Charge::Met(Box::new(|scene| {
            let mut packs = Vec::new();
            let mut items: Vec<(Item, Place)> = Vec::new();
            for number in 0..150_u32 {
                let mut pack = scene.insider.pack();
                let first = pack.data(&number.to_le_bytes());
                for other in 1..8_192_u32 {
                    pack.data(&[number.to_le_bytes(), other.to_le_bytes()].concat());
                }
                let pack = pack.finish();
                let mut place = first.place();
                place.pack = pack.id;
                items.push((first.item(), place));
                packs.push(pack);
            }
            let number = commit_over(scene, packs, &items);
            Box::new(move |scene| {
                let repository = scene.open(&scene.fixture.recovery)?;
                match restore_some(&repository, number) {
                    Restored::Whole => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
        })),
    }]
}

/// Signs a snapshot of one file whose chunks lie in other packs.
fn commit_over(scene: &Scene<'_>, mut packs: Vec<NewPack>, items: &[(Item, Place)]) -> u64 {
    let mut pack = scene.insider.pack();
    let (items, places): (Vec<Item>, Vec<_>) = items.iter().copied().unzip();
    let root = pack.node_over(0, items, places);
    let page = pack.page(&record(b"file", &own(&root, 0)), &[root]);
    let list = pack.node(0, &[page]);
    let pack = pack.finish();
    packs.push(pack);
    let manifest = Manifest {
        content_bytes: root.len,
        ..manifest(list, 0, &pack)
    };
    let commit = RawCommit::of(&packs, &manifest);
    commit.record(&scene.insider, &scene.fixture.store, None)
}
