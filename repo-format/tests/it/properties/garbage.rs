//! No bytes make a decoder panic.

use indelible_format::authority::Authority;
use indelible_format::history::History;
use indelible_format::ids::LogHash;
use indelible_format::seal;
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategies::hash;
use crate::codecs::{self, CODECS};
use crate::fixture::{Log, key};

/// Mostly zeros and small numbers, as counts and lengths are.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => Just(0), 2 => 0_u8..4, 1 => any::<u8>()];
    prop_oneof![vec(byte, 0..400), vec(any::<u8>(), 0..100)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Every decoder returns on arbitrary bytes, and what it accepts has this
    /// one encoding.
    ///
    /// Method: arbitrary bytes through every codec.
    #[test]
    fn decoders_return(bytes in bytes()) {
        for (name, _) in CODECS {
            codecs::check(name, &bytes);
        }
    }

    /// Arbitrary bytes with the right beginning are no harder.
    ///
    /// Method: the same behind each magic number.
    #[test]
    fn decoders_return_behind_magic_numbers(tail in vec(any::<u8>(), 0..500)) {
        let padded = |magic: &[u8], len: usize| {
            let mut bytes = [magic, &tail].concat();
            bytes.resize(len, 0);
            bytes
        };
        codecs::check("log-entry", &[&b"INDLLOG1"[..], &tail].concat());
        codecs::check("key-file-content", &[&b"INDLKEY1"[..], &tail].concat());
        codecs::check("pack-header", &padded(b"INDLPACK\x01\0\0\0", 320));
        codecs::check("coding", &[&b"\x01\x05\0\x28\xB5\x2F\xFD"[..], &tail].concat());
    }

    /// Nothing sealed, wrapped or signed opens by chance or panics.
    ///
    /// Method: arbitrary bytes in place of each.
    #[test]
    fn primitives_return(bytes in bytes(), one in hash(), two in hash()) {
        prop_assert!(seal::open(&key(1), seal::MANIFEST, b"", &bytes).is_err());
        let mut wrapped = [0; 80];
        wrapped[..32].copy_from_slice(&one);
        wrapped[32..64].copy_from_slice(&two);
        let opened = seal::unwrap(&key(1), &key(2), seal::MANIFEST_KEY, b"", &wrapped);
        prop_assert!(opened.is_err());
        let signature: [u8; 64] = [one, two].concat().try_into().unwrap();
        let signer = indelible_format::ids::SignerId(two);
        prop_assert!(seal::verify(&signer, seal::LOG_ENTRY, &bytes, &signature).is_err());
    }

    /// A log of arbitrary objects is read to its end.
    ///
    /// Method: arbitrary objects at arbitrary numbers behind genesis, with
    /// arbitrary leaves remembered.
    #[test]
    fn logs_are_read(
        objects in proptest::collection::btree_map(1_u64..3_000, bytes(), 0..5),
        remembered in vec(hash(), 0..5),
    ) {
        let genesis = Log::begin().objects.remove(0).1;
        let objects = objects.iter().map(|(number, object)| (*number, object.as_slice()));
        let remembered: Vec<LogHash> = remembered.into_iter().map(LogHash).collect();
        let all = std::iter::once((0, genesis.as_slice())).chain(objects);
        let history = History::read(all, &remembered).unwrap();
        prop_assert_eq!(history.entries.len(), 1);
        prop_assert!(history.size() >= remembered.len() as u64);
    }

    /// No bytes begin a repository by chance.
    ///
    /// Method: arbitrary bytes as the first object.
    #[test]
    fn no_bytes_begin_a_repository(bytes in bytes()) {
        prop_assert!(Authority::begin(&bytes).is_err());
    }
}
