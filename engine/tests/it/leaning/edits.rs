//! Whatever is done to a dump from night to night, each night comes back bit for bit.

use indelible_format::attest::Level;
use indelible_format::rights::Rights;
use proptest::prelude::*;

use super::backup;
use crate::support::{Client, Fixture, listed, noise, restore_stream, rows};

/// What is done to a dump, at a place in it of which the unit is a thousandth.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Insert(usize, u64, usize),
    Delete(usize, usize),
    Move(usize, usize, usize),
    Duplicate(usize, usize, usize),
    /// Every so many bytes, one is another.
    Scatter(usize, u8),
    /// A stretch alternates with other content, piece by piece.
    Interleave(usize, usize, usize, u64),
}

pub(super) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = || 0_usize..1_000;
    let len = || 1_usize..20_000;
    let edit = prop_oneof![
        2 => (at(), any::<u64>(), len()).prop_map(|(at, seed, len)| Edit::Insert(at, seed, len)),
        2 => (at(), len()).prop_map(|(at, len)| Edit::Delete(at, len)),
        2 => (at(), len(), at()).prop_map(|(at, len, to)| Edit::Move(at, len, to)),
        1 => (at(), len(), at()).prop_map(|(at, len, to)| Edit::Duplicate(at, len, to)),
        3 => (300_usize..9_000, any::<u8>()).prop_map(|(each, xor)| Edit::Scatter(each, xor)),
        1 => (at(), len(), 10_usize..3_000, any::<u64>())
            .prop_map(|(at, len, piece, seed)| Edit::Interleave(at, len, piece, seed)),
    ];
    proptest::collection::vec(edit, 0..4)
}

/// Some rows, or noise where the seed is even.
pub(super) fn content(seed: u64, len: usize) -> Vec<u8> {
    if seed.is_multiple_of(2) {
        return noise(seed, len);
    }
    let first = seed % 1_000_000;
    let mut bytes = rows(first..=first + len as u64 / 40);
    bytes.truncate(len);
    bytes
}

pub(super) fn apply(dump: &mut Vec<u8>, edit: &Edit) {
    let place = |dump: &[u8], at: usize| dump.len() * at / 1_000;
    let stretch = |dump: &[u8], at: usize, len: usize| {
        let from = place(dump, at);
        from..(from + len).min(dump.len())
    };
    match *edit {
        Edit::Insert(at, seed, len) => {
            let at = place(dump, at);
            dump.splice(at..at, content(seed, len));
        }
        Edit::Delete(at, len) => {
            let gone = stretch(dump, at, len);
            dump.drain(gone);
        }
        Edit::Move(at, len, to) => {
            let from = stretch(dump, at, len);
            let moved: Vec<u8> = dump.drain(from).collect();
            let to = place(dump, to);
            dump.splice(to..to, moved);
        }
        Edit::Duplicate(at, len, to) => {
            let copy = dump[stretch(dump, at, len)].to_vec();
            let to = place(dump, to);
            dump.splice(to..to, copy);
        }
        Edit::Scatter(each, xor) => {
            for byte in dump.iter_mut().step_by(each) {
                *byte ^= xor;
            }
        }
        Edit::Interleave(at, len, piece, seed) => {
            let from = stretch(dump, at, len);
            let other = content(seed, from.len() + 1);
            let pieces = dump[from.clone()].chunks(piece).zip(other.chunks(piece));
            let mixed: Vec<u8> = pieces.flat_map(|(one, two)| [one, two].concat()).collect();
            dump.splice(from, mixed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Method: a dump of rows and noise, up to eight nights of random edits, by a key
    /// that may restore or by one that may only write; restore every night, and verify.
    #[test]
    fn every_night_comes_back(
        nights in proptest::collection::vec(edits(), 1..8),
        seed in any::<u64>(),
        len in 1_usize..150_000,
        write_only in any::<bool>(),
    ) {
        let fixture = Fixture::new(410);
        let client = Client::new();
        let key = if write_only {
            fixture.add_key(Rights::WRITE, &["shop"])
        } else {
            fixture.recovery.clone()
        };
        let mut dump = content(seed | 1, len);
        let mut dumps = Vec::new();
        for edits in [Vec::new()].into_iter().chain(nights) {
            for edit in &edits {
                apply(&mut dump, edit);
            }
            // A stream without bytes is a dump that failed.
            if dump.is_empty() {
                dump.push(b'\n');
            }
            backup(&fixture, &client, &key, &dump);
            dumps.push(dump.clone());
        }
        let repository = fixture.open();
        let numbers = listed(&repository);
        prop_assert_eq!(numbers.len(), dumps.len());
        for (number, dump) in numbers.into_iter().zip(&dumps) {
            prop_assert!(&restore_stream(&repository, number).unwrap() == dump);
        }
        let report = fixture.verify(Level::Data);
        prop_assert!(report.problems.is_empty(), "{:?}", report.problems);
    }
}
