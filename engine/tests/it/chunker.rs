//! Where the chunker cuts: a function of the bytes and of nothing else.

use indelible_engine::chunker::Chunker;
use indelible_format::genesis::ChunkerParameters;
use indelible_format::secret::SecretKey;
use proptest::prelude::*;

use crate::support::{CHUNKER, noise, rows};

fn chunker(key: u8) -> Chunker {
    Chunker::new(&CHUNKER, &SecretKey::new([key; 32]))
}

/// The chunks' lengths, with all bytes at hand.
fn cuts(chunker: &Chunker, mut bytes: &[u8]) -> Vec<usize> {
    let mut lens = Vec::new();
    while !bytes.is_empty() {
        let len = chunker.cut(bytes);
        lens.push(len);
        bytes = &bytes[len..];
    }
    lens
}

/// The chunks' lengths where bytes arrive in pieces, as a writer cuts them.
fn streamed_cuts(chunker: &Chunker, bytes: &[u8], pieces: &[usize]) -> Vec<usize> {
    let mut lens = Vec::new();
    let (mut buffer, mut taken) = (Vec::new(), 0);
    let mut pieces = pieces.iter().copied().cycle();
    while taken < bytes.len() {
        let piece = pieces.next().expect("a cycle has no end");
        let piece = piece.min(bytes.len() - taken);
        buffer.extend_from_slice(&bytes[taken..taken + piece]);
        taken += piece;
        while buffer.len() >= chunker.lookahead() {
            let len = chunker.cut(&buffer);
            lens.push(len);
            buffer.drain(..len);
        }
    }
    lens.extend(cuts(chunker, &buffer));
    lens
}

/// Bytes of every texture: noise, rows, periods and runs.
fn textures() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (any::<u64>(), 0_usize..20_000).prop_map(|(seed, len)| noise(seed, len)),
        (any::<u32>(), 0_u64..300)
            .prop_map(|(from, count)| { rows(u64::from(from)..u64::from(from) + count) }),
        (any::<u8>(), 0_usize..20_000).prop_map(|(byte, len)| vec![byte; len]),
        (1_u64..600, 0_usize..60).prop_map(|(period, times)| {
            noise(period, usize::try_from(period).unwrap_or(1)).repeat(times)
        }),
    ];
    proptest::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// How bytes arrive does not matter, and no cut breaks its bounds.
    ///
    /// Method: random textures in random pieces; compare with the whole buffer.
    #[test]
    fn pieces_do_not_matter(
        bytes in textures(),
        pieces in proptest::collection::vec(1_usize..9_000, 1..6),
    ) {
        let chunker = chunker(1);
        let whole = cuts(&chunker, &bytes);
        prop_assert_eq!(&streamed_cuts(&chunker, &bytes, &pieces), &whole);
        let (min, max) = (CHUNKER.min as usize, CHUNKER.max as usize);
        for len in whole.iter().rev().skip(1) {
            prop_assert!((min..=max).contains(len), "a chunk of {} bytes", len);
        }
        prop_assert!(whole.last().is_none_or(|len| (1..=max).contains(len)));
    }

    /// A cut is decided by the bytes from its start to one beyond the maximum
    /// (SPEC 12).
    ///
    /// Method: replace everything behind that byte by other bytes, and by none
    /// but as many as the look-ahead asks for.
    #[test]
    fn a_cut_depends_on_its_window(bytes in textures(), other in any::<u64>()) {
        let chunker = chunker(1);
        let window = CHUNKER.max as usize + 1;
        prop_assume!(bytes.len() > window);
        let len = chunker.cut(&bytes);
        let mut changed = bytes[..window].to_vec();
        changed.extend(noise(other, 5_000));
        prop_assert_eq!(chunker.cut(&changed), len);
        changed.truncate(chunker.lookahead());
        prop_assert_eq!(chunker.cut(&changed), len);
    }
}

/// The cuts of fixed bytes never change: writers of one domain, of any release,
/// cut alike.
///
/// Method: pinned lists, for noise and for rows, at the tests' sizes and at the
/// default ones.
#[test]
fn cuts_are_pinned() {
    let small = cuts(&chunker(1), &noise(1, 20_000));
    let text = cuts(&chunker(1), &rows(0..200));
    let default = Chunker::new(&ChunkerParameters::default(), &SecretKey::new([1; 32]));
    let large = cuts(&default, &noise(2, 2 << 20));
    let expected = [
        1_540, 1_316, 898, 483, 2_490, 663, 1_111, 1_320, 1_320, 1_593, 1_048, 1_240, 679, 438,
        2_230, 1_280, 351,
    ];
    assert_eq!(small, expected);
    let expected = [2_300, 1_341, 1_777, 1_120, 1_508, 1_655, 1_213, 658, 518];
    assert_eq!(text, expected);
    let expected = [
        547_773, 488_702, 165_276, 155_526, 197_067, 345_731, 197_077,
    ];
    assert_eq!(large, expected);
}

/// Another key cuts elsewhere, so lengths tell a stranger nothing of known
/// content.
///
/// Method: the same noise under two keys shares hardly a cut.
#[test]
fn another_key_cuts_elsewhere() {
    let bytes = noise(1, 200_000);
    let ends = |key| {
        let mut end = 0;
        let ends = cuts(&chunker(key), &bytes).into_iter().map(|len| {
            end += len;
            end
        });
        ends.collect::<std::collections::BTreeSet<usize>>()
    };
    let shared = ends(1).intersection(&ends(2)).count();
    assert!(shared <= 5, "{shared} of {} cuts", ends(1).len());
}
