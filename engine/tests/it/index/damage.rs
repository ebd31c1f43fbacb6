//! Segments that are damaged, torn, left over or forged.

use std::fs;

use super::model::{Client, DOMAIN, REPOSITORY, Stock};
use super::place;

const BLOCK: usize = 4_096;
const RECORD: usize = 14;

/// Alters a record, given its place in the block.
type Forge = fn(usize, &mut [u8]);

/// A flipped bit anywhere hides a chunk at most, and the next run has mended it.
///
/// Method: flip a bit of every third byte of a segment's table, fan-out and end, and
/// of every 97th byte of its blocks; each time ask for every chunk, then let the next
/// run ask again.
#[test]
fn a_flipped_bit_hides_a_chunk_at_most() {
    let mut stock = Stock::new(11);
    stock.add(12, 60);
    let counted = stock.counted(|_| true);
    let client = Client::new();
    drop(client.index(&stock, &counted));
    let file = client.segments().pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let blocks = 720_usize.div_ceil(292) * BLOCK;
    let places = (0..blocks)
        .step_by(97)
        .chain((blocks..bytes.len()).step_by(3));
    let ids = stock.ids();
    for at in places {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&file, &flipped).unwrap();
        let index = client.index(&stock, &counted);
        for id in &ids {
            let found = place(&index, id);
            assert!(found.is_none_or(|place| stock.is_at(id, &place)));
        }
        assert!(!index.is_lost());
        let index = client.index(&stock, &counted);
        for id in &ids {
            assert_eq!(place(&index, id), stock.search(&counted, id), "byte {at}");
        }
        assert_eq!(client.segments(), [file.as_path()]);
    }
}

/// In a segment that is too large to be held in memory, too, a flipped bit hides
/// the chunks of its block and no others, and the next run finds all.
///
/// Method: 320,000 chunks; flip bits in four blocks; ask for every fifth chunk.
#[test]
fn a_flipped_bit_in_a_large_segment_hides_a_block() {
    let mut stock = Stock::new(15);
    stock.add(40, 8_000);
    let counted = stock.counted(|_| true);
    let client = Client::new();
    drop(client.index(&stock, &counted));
    let file = client.segments().pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    for block in [0, 1, 500, 1_095] {
        bytes[block * BLOCK + 77] ^= 4;
    }
    fs::write(&file, &bytes).unwrap();
    let hidden = || {
        let index = client.index(&stock, &counted);
        let found = stock.listed().step_by(5).map(|id| (id, place(&index, &id)));
        let hidden = found.filter(|(id, place)| {
            assert!(place.is_none_or(|place| stock.is_at(id, &place)));
            place.is_none()
        });
        let hidden = hidden.count();
        assert!(!index.is_lost());
        hidden
    };
    let most = hidden();
    assert!((4 * 30..=4 * 292).contains(&most), "{most}");
    assert_eq!(hidden(), 0);
}

/// A block that was right when it was read first, and is so no more, ends the
/// run's index: an answer that was given must not become another.
///
/// Method: find every fifth chunk, damage a block of the open file, ask again.
#[test]
fn a_block_that_goes_bad_is_told() {
    let mut stock = Stock::new(16);
    stock.add(40, 8_000);
    let client = Client::new();
    let ids: Vec<_> = stock.listed().step_by(5).collect();
    let index = client.index(&stock, &stock.counted(|_| true));
    assert!(ids.iter().all(|id| index.get(id).is_some()));
    let file = client.segments().pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[500 * BLOCK] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert!(ids.iter().any(|id| index.get(id).is_none()));
    assert!(index.is_lost());
    assert!(ids.iter().all(|id| index.get(id).is_none()));
}

/// A segment that was cut, lengthened, emptied or exchanged for another domain's
/// is made anew.
///
/// Method: each of these, then ask for every chunk.
#[test]
fn torn_and_foreign_segments_are_made_anew() {
    let mut stock = Stock::new(12);
    stock.add(12, 60);
    let counted = stock.counted(|_| true);
    let client = Client::new();
    drop(client.index(&stock, &counted));
    let file = client.segments().pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let mut harmed: Vec<Vec<u8>> = [0, 1, 99, 100, BLOCK, 2 * BLOCK, bytes.len() - 1]
        .map(|len| bytes[..len].to_vec())
        .to_vec();
    harmed.push([&bytes[..], &[0]].concat());
    harmed.push([&[0; BLOCK], &bytes[..]].concat());
    for id in [&REPOSITORY.0[..], &DOMAIN.0[..]] {
        let mut foreign = bytes.clone();
        let at = foreign
            .windows(id.len())
            .rposition(|part| part == id)
            .unwrap();
        foreign[at] ^= 1;
        sign(&mut foreign, 3);
        harmed.push(foreign);
    }
    for bytes in harmed {
        fs::write(&file, &bytes).unwrap();
        let before = stock.opened();
        let index = client.index(&stock, &counted);
        assert_eq!(stock.opened() - before, 12);
        for id in stock.ids() {
            assert_eq!(place(&index, &id), stock.search(&counted, &id));
        }
    }
}

/// Whatever a segment with right checksums says, no wrong place comes of it.
///
/// Method: let its records name other packs, other numbers, packs and numbers that
/// there are not, and other keys, in order and not; sign each block and the end
/// again; ask for every chunk and for others.
#[test]
fn a_forged_segment_makes_no_place() {
    let mut stock = Stock::new(13);
    stock.add(12, 60);
    let counted = stock.counted(|_| true);
    let client = Client::new();
    drop(client.index(&stock, &counted));
    let file = client.segments().pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let forgeries: [Forge; 6] = [
        |_, record| record[8] = (record[8] + 1) % 12,
        |_, record| record[12] = record[12].wrapping_add(1),
        |_, record| record[8..12].fill(0xFF),
        |_, record| record[12..].fill(0xFF),
        |at, record| record[at % 8] ^= 0x55,
        |_, record| record[..8].fill(0),
    ];
    for forge in forgeries {
        let mut forged = bytes.clone();
        for block in 0..3 {
            for at in 0..292 {
                let from = block * BLOCK + at * RECORD;
                forge(at, &mut forged[from..from + RECORD]);
            }
        }
        sign(&mut forged, 3);
        fs::write(&file, &forged).unwrap();
        let index = client.index(&stock, &counted);
        for id in stock.ids() {
            let found = place(&index, &id);
            assert!(found.is_none_or(|place| stock.is_at(&id, &place)));
        }
        for id in stock.absent(100) {
            assert_eq!(place(&index, &id), None);
        }
    }
}

/// Computes the checksums of a segment's blocks and end anew.
fn sign(bytes: &mut [u8], blocks: usize) {
    for block in 0..blocks {
        let from = block * BLOCK;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(block as u64).to_le_bytes());
        hasher.update(&bytes[from..from + BLOCK - 8]);
        let sum = hasher.finalize();
        bytes[from + BLOCK - 8..from + BLOCK].copy_from_slice(&sum.as_bytes()[..8]);
    }
    let end = bytes.len() - 32;
    let sum = blake3::hash(&bytes[blocks * BLOCK..end]);
    bytes[end..].copy_from_slice(sum.as_bytes());
}

/// A merge that died before it removed what it replaced does no harm, and what it
/// left unfinished is removed.
///
/// Method: put the segments of earlier runs back, and an unfinished file, after
/// they were merged; the next run finds everything and one segment is left.
#[test]
fn a_merge_that_died_is_tidied_up() {
    let mut stock = Stock::new(14);
    let client = Client::new();
    let mut old = Vec::new();
    for _ in 0..3 {
        stock.add(4, 30);
        drop(client.index(&stock, &stock.counted(|_| true)));
        for path in client.segments() {
            old.push((fs::read(&path).unwrap(), path));
        }
    }
    let merged = client.segments();
    assert_eq!(merged.len(), 1);
    for (bytes, path) in &old {
        fs::write(path, bytes).unwrap();
    }
    fs::write(merged[0].with_file_name("segment.1-2.tmp"), b"half").unwrap();
    let counted = stock.counted(|_| true);
    let before = stock.opened();
    let index = client.index(&stock, &counted);
    assert_eq!(stock.opened(), before);
    assert_eq!((client.segments(), client.unfinished()), (merged, 0));
    for id in stock.ids() {
        assert_eq!(place(&index, &id), stock.search(&counted, &id));
    }
}
