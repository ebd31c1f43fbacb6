//! Bombs under seal, by somebody with a real write key, in what is read first:
//! reach and manifest, and directories of packs.

use indelible_format::commit::NewPack;
use indelible_format::ids::ChunkId;
use indelible_format::manifest::Manifest;
use indelible_format::pack::HEADER_BYTES;
use indelible_format::wire::Builder;

use super::clear::sound;
use super::raw::{RawCommit, RawPack};
use super::scene::{Expected, Scene};
use super::{Bomb, Charge, planted};
use crate::support::tree::{ForgedPack, Stored, manifest};

pub(super) fn bombs() -> Vec<Bomb> {
    let mut all = reaches();
    all.extend(manifests());
    all.extend(packs());
    all.extend(directories());
    all
}

/// Metadata of a file that is ours.
pub(super) fn metadata() -> [u8; 24] {
    let mut out = Builder::new();
    out.u32(0o600)
        .u32(rustix::process::geteuid().as_raw())
        .u32(rustix::process::getegid().as_raw());
    out.i64(1_000_000_000).u32(0);
    out.finish().try_into().expect("24 bytes")
}

/// The record of a file: path, and what stands behind the metadata.
pub(super) fn record(path: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = Builder::new();
    out.text16(path).u8(1).bytes(&metadata()).bytes(content);
    out.finish()
}

/// A page of one empty file.
pub(super) fn page_of_nothing(pack: &mut ForgedPack<'_>) -> Stored {
    pack.page(&record(b"empty", &[0; 9]), &[])
}

/// Reaches that name packs by the billion.
fn reaches() -> Vec<Bomb> {
    let mut all = Vec::new();
    let counts = [1, 1 << 20, (1 << 20) + 1, u32::MAX];
    let texts = counts.map(|count| {
        (format!("{count} ranges that are not there"), {
            count.to_le_bytes().to_vec()
        })
    });
    let range = |entry: u64, first: u32, count: u32| {
        Builder::new()
            .u32(1)
            .u64(entry)
            .u32(first)
            .u32(count)
            .finish()
    };
    let ranges = [
        ("all packs of genesis", range(0, 0, 917_504)),
        ("all packs of a snapshot", range(1, 0, 917_504)),
        ("more packs than there can be", range(1, 0, u32::MAX)),
        ("packs at the end of numbers", range(1, u32::MAX, 1)),
        ("packs beyond it", range(1, 917_504, 917_504)),
        ("packs of the future", range(u64::MAX, 0, 1)),
    ];
    let ranges = ranges.map(|(what, plain)| (what.to_owned(), plain));
    for (what, plain) in texts.into_iter().chain(ranges) {
        let what = format!("a reach with {what}");
        // A restore does without the reach; a verification does not.
        all.push(Bomb {
            what,
            charge: Charge::Met(Box::new(move |scene| {
                let (packs, manifest) = sound(&scene.insider);
                let mut commit = RawCommit::of(&packs, &manifest);
                commit.reach.clone_from(&plain);
                let number = commit.inline(&scene.insider);
                Box::new(move |scene| {
                    let harmed = scene.harmed(number)?;
                    if harmed {
                        Ok(())
                    } else {
                        Err("a verification finds nothing".to_owned())
                    }
                })
            })),
        });
    }
    all
}

/// Makes a manifest say something else.
type Change = fn(&mut Manifest);

/// Manifests that promise more than they hold.
fn manifests() -> Vec<Bomb> {
    let tagged = |tag: u16, value: Vec<u8>| Builder::new().u16(tag).text32(&value).finish();
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        (
            "a record of 4 GiB",
            Builder::new().u16(1).u32(u32::MAX).finish(),
        ),
        (
            "a host of 4 GiB",
            Builder::new().u16(2).u32(u32::MAX).finish(),
        ),
        ("65,535 labels", tagged(3, vec![0xFF; 2])),
        (
            "1,024 labels of 64 KiB",
            tagged(3, [&[0, 4][..], &[0xFF; 64]].concat()),
        ),
        ("65,535 paths", tagged(7, vec![1, 0xFF, 0xFF])),
        ("a list of level 255", tagged(4, vec![0xFF; 75])),
        ("1 MiB of unknown records", {
            let records = (100..u16::MAX).map(|tag| tagged(tag, vec![0; 9]));
            records.take(69_000).flatten().take(1_040_000).collect()
        }),
    ];
    let mut all: Vec<Bomb> = odd
        .into_iter()
        .map(|(what, plain)| {
            let what = format!("a manifest with {what}");
            planted(what, Expected::Unreadable, move |scene| {
                let (packs, manifest) = sound(&scene.insider);
                let mut commit = RawCommit::of(&packs, &manifest);
                commit.manifest.clone_from(&plain);
                commit.record(&scene.insider, &scene.fixture.store, None)
            })
        })
        .collect();
    let changes: [(&str, Change); 5] = [
        ("a list of 2^64 bytes", |it| it.list.root.len = u64::MAX),
        ("a list of level 7", |it| it.list.root.level = 7),
        ("a list at chunk 8,191", |it| it.list.place.number = 8_191),
        ("a list in no pack", |it| it.list.place.pack.0 = [3; 32]),
        ("another list", |it| it.list.root.id.0 = [3; 32]),
    ];
    all.extend(changes.into_iter().map(|(what, change)| {
        let what = format!("a manifest with {what}");
        // The right place is found by the id.
        let expected = if what.contains("chunk 8,191") || what.contains("no pack") {
            Expected::Harmless
        } else {
            Expected::Unreadable
        };
        planted(what, expected, move |scene| {
            let (packs, mut manifest) = sound(&scene.insider);
            change(&mut manifest);
            scene.insider.commit(packs, manifest)
        })
    }));
    all
}

/// Packs whose clear parts promise more than there is.
fn packs() -> Vec<Bomb> {
    let mut all = Vec::new();
    for said in [
        0,
        1,
        47,
        48,
        8_192,
        (32 << 20) - 332,
        32 << 20,
        u32::MAX as usize,
    ] {
        let what = format!("a trailer that says {said}");
        all.push(planted(what, Expected::Unreadable, move |scene| {
            let pack = RawPack::new(&scene.insider);
            let bytes = pack.bytes(&[], &[0; 6], Some(said));
            commit_raw(scene, &bytes, None)
        }));
    }
    for len in [1, 11, HEADER_BYTES + 11, HEADER_BYTES + 12, 1_000] {
        let what = format!("a pack of {len} zeros");
        all.push(planted(what, Expected::Unreadable, move |scene| {
            commit_raw(scene, &vec![0; len], None)
        }));
    }
    for (said, expected) in [
        (1, Expected::Unreadable),
        (331, Expected::Unreadable),
        (400, Expected::Unreadable),
        (32 << 20, Expected::Unreadable),
        ((32 << 20) + 1, Expected::Void),
        (u32::MAX, Expected::Void),
    ] {
        let what = format!("a pack listed with {said} bytes");
        all.push(planted(what, expected, move |scene| {
            let pack = RawPack::new(&scene.insider);
            commit_raw(scene, &pack.bytes(&[], &[0; 6], None), Some(said))
        }));
    }
    all
}

/// Signs a snapshot whose list lies in this pack, as far as it says.
fn commit_raw(scene: &Scene<'_>, bytes: &[u8], said: Option<u32>) -> u64 {
    let pack = scene.insider.put_pack(bytes);
    let listed = NewPack {
        len: said.unwrap_or(pack.len),
        ..pack
    };
    let root = Stored {
        id: ChunkId([7; 32]),
        len: 100,
        number: 0,
    };
    let commit = RawCommit::of(&[listed], &manifest(root, 0, &pack));
    commit.inline(&scene.insider)
}

/// Directories, sealed under the right key, that promise more than they hold.
fn directories() -> Vec<Bomb> {
    let chunk = |class: u8, coding: u8, stored: u32, plain: u32, depth: u8, bases: u8| {
        let mut out = Builder::new();
        out.u16(0).u32(1).bytes(&[7; 32]).u8(class).u8(coding);
        out.u32(stored).u32(plain).u8(depth).u8(bases);
        out.finish()
    };
    let mut two = Builder::new();
    two.u16(0).u32(2);
    for _ in 0..2 {
        two.bytes(&[7; 32]).u8(0).u8(0).u32(32 << 20).u32(1).u16(0);
    }
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("65,535 other packs", vec![0xFF; 2]),
        ("4,096 other packs", vec![0, 0x10]),
        ("2^32 chunks", vec![0, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("8,192 chunks", vec![0, 0, 0, 0x20, 0, 0]),
        ("a chunk stored in 4 GiB", chunk(0, 0, u32::MAX, 1, 0, 0)),
        ("a chunk stored in 32 MiB", chunk(0, 0, 32 << 20, 1, 0, 0)),
        ("64 MiB in two chunks", two.finish()),
        ("a chunk stored in nothing", chunk(0, 0, 0, 1, 0, 0)),
        ("a chunk of 4 GiB", chunk(0, 1, 64, u32::MAX, 0, 0)),
        (
            "a chunk of 1 MiB and 1",
            chunk(0, 1, 64, (1 << 20) + 1, 0, 0),
        ),
        (
            "a page of 4 MiB and 1",
            chunk(1, 1, 64, (4 << 20) + 1, 0, 0),
        ),
        ("a chunk of nothing", chunk(0, 1, 64, 0, 0, 0)),
        ("a delta of depth 255", chunk(0, 2, 64, 1, 255, 1)),
        ("a delta of 255 bases", chunk(0, 2, 64, 1, 1, 255)),
        ("bases without a delta", chunk(0, 1, 64, 1, 0, 255)),
        ("a node as a delta", chunk(2, 2, 64, 1, 1, 1)),
        ("class 255", chunk(255, 255, 64, 1, 0, 0)),
        ("a byte behind", [&[0; 6][..], &[0]].concat()),
    ];
    let mut all: Vec<Bomb> = odd
        .into_iter()
        .map(|(what, plain)| {
            let what = format!("a directory with {what}");
            planted(what, Expected::Unreadable, move |scene| {
                let pack = RawPack::new(&scene.insider);
                commit_raw(scene, &pack.bytes(&[0; 64], &plain, None), None)
            })
        })
        .collect();
    // All of a pack is its directory: as long as there is room for.
    let what = "a directory of 31 MiB".to_owned();
    all.push(planted(what, Expected::Unreadable, |scene| {
        let pack = RawPack::new(&scene.insider);
        commit_raw(scene, &pack.bytes(&[], &vec![0; 31 << 20], None), None)
    }));
    all
}
