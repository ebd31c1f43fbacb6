//! Nodes, places and paths.

use indelible_format::ids::{ChunkId, PackId};
use indelible_format::node::{Item, Node, identity};
use indelible_format::places::{self, Place};
use indelible_format::wire::Builder;

use super::{Group, cut, longer};
use crate::vector::{Vector, hex};

pub(super) const OWN: PackId = PackId([0; 32]);

pub(super) fn make() -> Vec<Vector> {
    [nodes(), all_places(), paths()].concat()
}

pub(super) fn place(pack: u8, number: u16) -> Place {
    Place { pack: PackId([pack; 32]), number }
}

fn items(lens: &[u64]) -> Vec<Item> {
    (1_u16..)
        .zip(lens)
        .map(|(n, &len)| Item { id: ChunkId([n.to_le_bytes()[0]; 32]), len })
        .collect()
}

/// A node whose items lie one behind the other in its own pack.
fn node(level: u8, lens: &[u64]) -> Vec<u8> {
    let count = u16::try_from(lens.len()).unwrap();
    let places: Vec<Place> = (0..count).map(|number| place(0, number)).collect();
    longer(&identity(level, &items(lens)), &places::encode(&places, &OWN))
}

fn nodes() -> Vec<Vector> {
    let mut group = Group::new("node", "8.2");
    group.with("own-pack", hex(&OWN.0));
    let plain = Node {
        level: 0,
        items: items(&[1, 1 << 20, 300]),
        places: vec![place(0, 7), place(9, 0), place(9, 1)],
    };
    let plain = plain.encode(&OWN);
    group.accept("plain", "three chunks of two packs", plain.clone());
    group.accept("top", "the highest level and the longest stream", node(7, &[u64::MAX - 1, 1]));
    group.reject("cut", "cut short", "Truncated: places", cut(&plain, 1));
    group.reject("cut-items", "cut in the items", "Truncated: node", &plain[..100]);
    group.reject("trailing", "a byte behind", "Trailing: places", longer(&plain, &[0]));
    let length = "OutOfBounds: length of an item";
    group.reject("length-0", "an empty chunk", length, node(0, &[1, 0]));
    group.reject("length-above-0", "an empty node", length, node(1, &[0]));
    let overflow = "NotCanonical: length of the node";
    group.reject("overflow", "over 64 bits", overflow, node(1, &[u64::MAX, 1]));
    group.spec("11");
    group.reject("length-chunk", "a chunk over 1 MiB", length, node(0, &[(1 << 20) + 1]));
    group.reject("level", "level 8", "OutOfBounds: level of the node", node(8, &[1]));
    let count = "OutOfBounds: items of the node";
    group.reject("no-items", "no item", count, node(0, &[]));
    group.reject("too-many", "1,025 items", count, [0, 1, 4]);
    group.vectors
}

fn laid_out(packs: &[u8], runs: &[(u16, u16, u16)]) -> Vec<u8> {
    let mut out = Builder::new();
    out.count16(packs.len()).count16(runs.len());
    for pack in packs {
        out.bytes(&[*pack; 32]);
    }
    for (slot, first, count) in runs {
        out.u16(*slot).u16(*first).u16(*count);
    }
    out.finish()
}

fn all_places() -> Vec<Vector> {
    let mut group = Group::new("places", "8.2");
    group.with("own-pack", hex(&OWN.0));
    group.with("items", 0);
    group.accept("none", "no item", laid_out(&[], &[]));
    group.with("items", 3);
    let own = laid_out(&[], &[(0, 8_189, 3)]);
    group.accept("own", "one run, at the end of the own pack", own.clone());
    let mixed = laid_out(&[7, 3], &[(1, 5, 1), (0, 1, 1), (2, 0, 1)]);
    group.accept("mixed", "packs in the order of their first use", mixed);
    let gap = laid_out(&[], &[(0, 1, 1), (0, 3, 1), (0, 3, 1)]);
    group.accept("gap", "runs of one pack that can't be joined", gap);
    group.reject("cut", "cut short", "Truncated: places", cut(&own, 1));
    group.reject("trailing", "a byte behind", "Trailing: places", longer(&own, &[0]));
    refused_packs(&mut group);
    refused_runs(&mut group);
    group.vectors
}

fn refused_packs(group: &mut Group) {
    let mut reject = |name: &str, comment, expected, packs, runs| {
        group.reject(name, comment, expected, laid_out(packs, runs));
    };
    let packs = "OutOfBounds: packs of the places";
    reject("packs", "more packs than items", packs, &[1, 2, 3, 4], &[(1, 0, 3)][..]);
    let packs = "NotCanonical: packs of the places";
    reject("own-listed", "the own pack in the table", packs, &[0], &[(1, 0, 3)]);
    reject("pack-twice", "a pack twice", packs, &[7, 7], &[(1, 0, 1), (2, 5, 2)]);
    let unused = "NotCanonical: places";
    reject("unused", "a pack that no run uses", unused, &[7], &[(0, 0, 3)]);
    let slot = "OutOfBounds: slot of a run";
    reject("order", "not in the order of first use", slot, &[7, 3], &[(2, 0, 1), (1, 0, 2)]);
    let slot = "Unknown: slot of a run";
    reject("slot", "a slot beyond the table", slot, &[7], &[(2, 0, 3)]);
}

fn refused_runs(group: &mut Group) {
    let mut reject = |name: &str, comment, expected, runs: &[_]| {
        group.reject(name, comment, expected, laid_out(&[], runs));
    };
    reject("runs", "more runs than items", "OutOfBounds: runs of the places", &[(0, 0, 1); 4]);
    let joined = "NotCanonical: runs of the places";
    reject("joined", "runs that could be one", joined, &[(0, 0, 1), (0, 1, 2)]);
    let end = "OutOfBounds: end of a run";
    reject("empty-run", "a run of nothing", end, &[(0, 0, 0), (0, 0, 3)]);
    reject("beyond", "chunk 8,192", end, &[(0, 8_190, 3)]);
    reject("beyond-16", "over 16 bits", end, &[(0, 65_535, 3)]);
    reject("few", "two places for three items", "NotCanonical: places", &[(0, 0, 2)]);
    reject("many", "four places for three items", "OutOfBounds: places", &[(0, 0, 4)]);
    reject("no-runs", "no place", "NotCanonical: places", &[]);
}

fn paths() -> Vec<Vector> {
    let mut group = Group::new("path", "8.4");
    group.accept("plain", "two components", "etc/passwd");
    group.accept("bytes", "any byte but zero", b"\x01\xFF\\ \n/..x/...".to_vec());
    let longest = ["a".repeat(255), "b".repeat(255)].join("/").repeat(8);
    let longest = longest.as_bytes();
    group.accept("component", "components of 255 bytes", &longest[..255]);
    let mut deep = "a/".repeat(2_047);
    deep.push_str("bb");
    group.accept("longest", "4,096 bytes", deep.clone());
    group.reject("too-long", "4,097 bytes", "Length", deep + "b");
    group.reject("empty", "no bytes", "Length", "");
    group.reject("component-256", "a component of 256 bytes", "Component", "a".repeat(256));
    group.reject("zero", "a zero byte", "Zero", b"a\0b".to_vec());
    for (name, comment, path) in [
        ("absolute", "from the top", "/etc"),
        ("parent", "leads out", ".."),
        ("inner-parent", "leads up", "a/../b"),
        ("here", "a dot", "."),
        ("leading-here", "a dot first", "./a"),
        ("last-here", "a dot last", "a/."),
        ("double-slash", "an empty component", "a//b"),
        ("last-slash", "an empty component last", "a/"),
    ] {
        group.reject(name, comment, "Relative", path);
    }
    group.vectors
}
