//! What chunks decode to (SPEC 6.6): deltas lean on their bases and on nothing else.

use indelible_format::coding::{Coding, DecodeError, Decoder, decode_delta};
use proptest::collection::vec;
use proptest::prelude::*;
use zstd::zstd_safe;

/// Most bytes that the bases of a delta have together (SPEC 11).
const BASES_BYTES: usize = 4 << 20;

/// One frame that continues what stands before it.
fn delta_of(plain: &[u8], before: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(plain.len())];
    let mut frames = zstd_safe::CCtx::create();
    frames.ref_prefix(before).unwrap();
    let len = frames.compress2(&mut out, plain).unwrap();
    out.truncate(len);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A delta decodes from its bases in their order, to exactly the length that its
    /// directory states.
    ///
    /// Method: one to four arbitrary bases; a plaintext that quotes each of them and
    /// adds bytes of its own; with the right length and with wrong ones.
    #[test]
    fn deltas_continue_their_bases(
        bases in vec(vec(any::<u8>(), 1..400), 1..=4),
        own in vec(any::<u8>(), 0..100),
    ) {
        let bases: Vec<&[u8]> = bases.iter().map(Vec::as_slice).collect();
        let quoted: Vec<&[u8]> = bases.iter().rev().copied().collect();
        let plain = [&quoted.concat()[..], &own].concat();
        let coded = delta_of(&plain, &bases.concat());
        let mut decoded = vec![7; plain.len()];
        prop_assert_eq!(decode_delta(&coded, &bases, &mut decoded), Ok(()));
        prop_assert_eq!(&decoded, &plain);
        for len in [plain.len() - 1, plain.len() + 1] {
            let refused = Err(DecodeError::Length { stated: len });
            prop_assert_eq!(decode_delta(&coded, &bases, &mut vec![7; len]), refused);
        }
    }
}

/// A delta has one to four bases of at most 4 MiB together (SPEC 6.6, 11).
///
/// Method: a delta of each number of bases, of few bytes, of as many as may be and of
/// one more. Those that may be are all zeros, so the frame is the same for all.
#[test]
fn bases_are_bounded() {
    let plain = [0; 700];
    let coded = delta_of(&plain, &[0; 64]);
    let zeros = vec![0; BASES_BYTES + 1];
    let mut decoded = [7; 700];
    let mut decode = |bases: &[&[u8]]| decode_delta(&coded, bases, &mut decoded);
    assert_eq!(decode(&[]), Err(DecodeError::NoBases));
    for count in 1..=5 {
        for size_bytes in [5 * 64, BASES_BYTES, BASES_BYTES + 1] {
            // The last one is what the others leave.
            let mut bases = vec![&zeros[..64]; count - 1];
            bases.push(&zeros[..size_bytes - (count - 1) * 64]);
            let expected = if count > 4 || size_bytes > BASES_BYTES {
                Err(DecodeError::Bases { count, size_bytes })
            } else {
                Ok(())
            };
            assert_eq!(decode(&bases), expected, "{count} of {size_bytes} bytes");
        }
    }
    assert_eq!(decoded, plain);
}

/// A raw chunk is its plaintext, if it has the length that its directory states; a
/// decoder that is given one chunk knows no bases of a delta.
///
/// Method: raw bytes into buffers of their length, a shorter one and a longer one;
/// then the same bytes as what else they may be said to be.
#[test]
fn raw_is_the_plaintext() {
    let mut reader = Decoder::default();
    for coded in [&b""[..], b"p", b"plain"] {
        for stated in 0..8 {
            let mut plain = vec![7; stated];
            let decoded = reader.decode(Coding::Raw, coded, &mut plain);
            if stated == coded.len() {
                assert_eq!((decoded, &plain[..]), (Ok(()), coded));
            } else {
                assert_eq!(decoded, Err(DecodeError::Length { stated }));
            }
        }
        let mut plain = vec![7; coded.len()];
        let mut refusal = |coding| reader.decode(coding, coded, &mut plain).unwrap_err();
        assert_eq!(refusal(Coding::Zstd), DecodeError::Frame);
        assert_eq!(refusal(Coding::Delta), DecodeError::NoBases);
        assert_eq!(refusal(Coding::Unsupported(9)), DecodeError::Unsupported(9));
    }
}
