//! Each value has one accepted encoding: bytes that decode are what encoding
//! the value gives.

use data_encoding::HEXLOWER;
use indelible_format::ids::RepositoryId;
use indelible_format::page::{self, Page, TreeEntry};
use indelible_format::places;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::round_trips::draft;
use super::strategies as any_;
use crate::codecs::{self, OWN};
use crate::fixture::key;
use crate::sealed;
use crate::vectors;

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    Truncate(Index),
    Extend(Vec<u8>),
    /// Some bytes once more, directly behind.
    Repeat(Index, u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Small numbers are what counts and tags are made of.
    let byte = || prop_oneof![0_u8..5, any::<u8>()];
    prop_oneof![
        (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<Index>().prop_map(Mutation::Delete),
        any::<Index>().prop_map(Mutation::Truncate),
        vec(byte(), 1..6).prop_map(Mutation::Extend),
        (any::<Index>(), 1_u8..80).prop_map(|(at, len)| Mutation::Repeat(at, len)),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match mutation {
        Mutation::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
        Mutation::Set(at, byte) => bytes[at.index(len)] = *byte,
        Mutation::Insert(at, byte) => bytes.insert(at.index(len), *byte),
        Mutation::Delete(at) => {
            bytes.remove(at.index(len));
        }
        Mutation::Truncate(at) => bytes.truncate(at.index(len)),
        Mutation::Extend(more) => bytes.extend_from_slice(more),
        Mutation::Repeat(at, count) => {
            let from = at.index(len);
            let to = (from + usize::from(*count)).min(len);
            let again = bytes[from..to].to_vec();
            bytes.splice(to..to, again);
        }
    }
}

fn encode_page(page: &Page) -> Vec<u8> {
    let records: Vec<Vec<u8>> = page.entries.iter().map(TreeEntry::encode).collect();
    page::encode(&records.concat(), &page.places, &OWN)
}

/// A codec's name and an encoding that it accepts.
type Encoding = (&'static str, Vec<u8>);

fn encoded<T: std::fmt::Debug>(
    name: &'static str,
    values: impl Strategy<Value = T> + 'static,
    encode: impl Fn(T) -> Vec<u8> + 'static,
) -> BoxedStrategy<Encoding> {
    values.prop_map(move |value| (name, encode(value))).boxed()
}

fn log_encoding() -> Vec<BoxedStrategy<Encoding>> {
    let repository = RepositoryId([0; 32]);
    vec![
        encoded("log-entry", draft(), move |x| {
            x.sign(&repository, &key(1)).unwrap()
        }),
        encoded("genesis-body", any_::genesis(), |x| x.encode()),
        encoded("authorize-body", any_::authorize(), |x| x.encode()),
        encoded("revoke-body", any_::revoke(), |x| x.encode()),
        encoded("snapshot-body", any_::snapshot(), |x| x.encode()),
        encoded("attest-body", any_::attest(), |x| x.encode()),
        encoded("key-bundle", any_::bundle(), |x| x.encode().to_vec()),
        encoded("passphrase-slot", any_::slot(), |x| x.encode()),
        encoded("log-bundle", any_::objects(), |x| {
            any_::encode_log_bundle(&x)
        }),
        encoded("grant-facts", any_::facts(), |x| x.encode()),
        encoded("policy", any_::policy(), |x| x.encode()),
        encoded("name", any_::name(), |x| x.as_str().into()),
        encoded("pattern", any_::pattern(), |x| x.as_str().into()),
    ]
}

fn tree_encoding() -> Vec<BoxedStrategy<Encoding>> {
    vec![
        encoded("path", any_::path(), |x| x.as_bytes().to_vec()),
        encoded("node", any_::node(), |x| x.encode(&OWN)),
        encoded("page", any_::page(), |x| encode_page(&x)),
        encoded("manifest", any_::manifest(), |x| x.encode()),
        encoded("contents", any_::contents(), |x| any_::encode_contents(&x)),
        encoded("commit-body", any_::commit_body(), |x| x.encode()),
        encoded("reach", any_::reach(), |x| sealed::plain_reach(&x)),
        encoded("directory", any_::directory(), |x| {
            sealed::plain_directory(&sealed::some_header(), &x)
        }),
        encoded("places", any_::some_places(), |places| {
            let count = u8::try_from(places.len()).unwrap();
            [&[count], &places::encode(&places, &OWN)[..]].concat()
        }),
    ]
}

fn encoding() -> impl Strategy<Value = Encoding> {
    let all = [log_encoding(), tree_encoding()].concat();
    proptest::strategy::Union::new(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_500))]

    /// No change of an encoding is a second encoding.
    ///
    /// Method: up to three changes of the encoding of an arbitrary value; what
    /// decodes must encode to the changed bytes.
    #[test]
    fn changed_encodings((name, bytes) in encoding(), changes in vec(mutation(), 0..4)) {
        let mut changed = bytes.clone();
        for change in &changes {
            apply(&mut changed, change);
        }
        if changed == bytes {
            prop_assert_eq!(codecs::codec(name)(&bytes), Some(bytes));
        } else if let Some(encoded) = codecs::codec(name)(&changed) {
            prop_assert_eq!(HEXLOWER.encode(&encoded), HEXLOWER.encode(&changed), "{}", name);
        }
    }
}

/// No change of a vector is a second encoding of what it holds.
///
/// Method: each byte of each short vector, set to other values, left out, and
/// doubled.
#[test]
fn changed_vectors() {
    for vector in vectors::all() {
        let known = codecs::CODECS
            .iter()
            .any(|(name, _)| *name == vector.decoder);
        // Those that are sealed or hashed again each time take too long.
        let slow = matches!(
            vector.decoder.as_str(),
            "directory" | "reach" | "key-bundle"
        );
        let bytes = vector.bytes();
        if !known || slow || bytes.len() > 600 || vector.decoder == "coding" {
            continue;
        }
        for at in 0..bytes.len() {
            for byte in [
                0,
                1,
                2,
                0x7F,
                0xFF,
                bytes[at] ^ 0x20,
                bytes[at].wrapping_add(1),
            ] {
                let mut changed = bytes.to_vec();
                changed[at] = byte;
                codecs::check(&vector.decoder, &changed);
            }
            let without = [&bytes[..at], &bytes[at + 1..]].concat();
            codecs::check(&vector.decoder, &without);
            let doubled = [&bytes[..=at], &bytes[at..]].concat();
            codecs::check(&vector.decoder, &doubled);
        }
    }
}
