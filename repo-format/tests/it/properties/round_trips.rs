//! What is encoded decodes to the same value.

use std::collections::BTreeSet;

use indelible_format::attest::Attest;
use indelible_format::bundle::KeyBundle;
use indelible_format::checkpoint::{Checkpoint, ParsedCheckpoint, is_signature_line};
use indelible_format::coding::{self, Class, Coding, Decoder};
use indelible_format::commit::{Reach, SnapshotBody};
use indelible_format::contents::DumpTables;
use indelible_format::entry::{Body, Draft, ParsedEntry};
use indelible_format::genesis::Genesis;
use indelible_format::grant::{Authorize, GrantFacts, Revoke};
use indelible_format::ids::{CommitId, DomainId, LogHash, PackId, RepositoryId};
use indelible_format::key_file::KeyFile;
use indelible_format::manifest::Manifest;
use indelible_format::node::Node;
use indelible_format::pack::{KeyClass, PackHeader, PackRandomness, PackRecipients};
use indelible_format::page::{self, Page, TreeEntry};
use indelible_format::places;
use indelible_format::rekey::Rekey;
use indelible_format::rights::Kind;
use indelible_format::seal;
use indelible_format::wire::Cursor;
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategies as any_;
use crate::codecs::OWN;
use crate::fixture::{self, COMMIT, PASSPHRASE, key, signer};
use crate::frame::encode_entry;
use crate::sealed;

fn body() -> impl Strategy<Value = Body> {
    let kinds = [6, 7, 8, 9, 10, 11, 31].map(|byte| Kind::from_byte(byte).unwrap());
    let opaque = (
        prop::sample::select(kinds.to_vec()),
        vec(any::<u8>(), 0..50),
    );
    prop_oneof![
        any_::genesis().prop_map(Body::Genesis),
        any_::authorize().prop_map(Body::Authorize),
        any_::revoke().prop_map(Body::Revoke),
        any_::snapshot().prop_map(Body::Snapshot),
        any_::attest().prop_map(Body::Attest),
        any_::rekey().prop_map(Body::Rekey),
        opaque.prop_map(|(kind, bytes)| Body::Opaque(kind, bytes)),
    ]
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>());
    (
        any::<(u64, u32, u64)>(),
        ids,
        any_::hash(),
        any_::hash(),
        body(),
    )
        .prop_map(
            |((number, epoch, claimed_ms), (commit, domain), previous, root, body)| Draft {
                number,
                epoch,
                claimed_ms,
                commit: CommitId(commit),
                domain: DomainId(domain),
                previous: LogHash(previous),
                root: LogHash(root),
                body,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Each body decodes to what was encoded.
    ///
    /// Method: arbitrary bodies of every kind.
    #[test]
    fn bodies(
        genesis in any_::genesis(),
        authorize in any_::authorize(),
        revoke in any_::revoke(),
        snapshot in any_::snapshot(),
        attest in any_::attest(),
        rekey in any_::rekey(),
    ) {
        prop_assert_eq!(Genesis::decode(&genesis.encode()), Ok(genesis));
        prop_assert_eq!(Authorize::decode(&authorize.encode()), Ok(authorize));
        prop_assert_eq!(Revoke::decode(&revoke.encode()), Ok(revoke));
        prop_assert_eq!(SnapshotBody::decode(&snapshot.encode()), Ok(snapshot));
        prop_assert_eq!(Attest::decode(&attest.encode()), Ok(attest));
        prop_assert_eq!(Rekey::decode(&rekey.encode()), Ok(rekey));
    }

    /// A signed entry parses to what was signed, and a second encoder lays it
    /// out alike.
    ///
    /// Method: arbitrary drafts.
    #[test]
    fn entries(draft in draft(), seed in any::<u8>(), repository in any_::hash()) {
        let bytes = draft.sign(&RepositoryId(repository), &key(seed)).unwrap();
        let parsed = ParsedEntry::parse(&bytes).unwrap();
        let header = parsed.header();
        prop_assert_eq!(parsed.body(), &draft.body);
        prop_assert_eq!(header.number, draft.number);
        prop_assert_eq!(header.epoch, draft.epoch);
        prop_assert_eq!(header.claimed_ms, draft.claimed_ms);
        prop_assert_eq!(header.commit, draft.commit);
        prop_assert_eq!(header.domain, draft.domain);
        prop_assert_eq!(header.previous, draft.previous);
        prop_assert_eq!(header.root, draft.root);
        prop_assert_eq!(header.signer, signer(seed));
        let signature = &bytes[bytes.len() - 64..];
        prop_assert_eq!(encode_entry(header, parsed.body(), signature), bytes);
    }

    /// Keys decode to what was encoded, from every container.
    ///
    /// Method: arbitrary bundles, bare, in a key file and in a slot.
    #[test]
    fn keys(bundle in any_::bundle(), repository in any_::hash(), size in 1..=u64::MAX) {
        prop_assert_eq!(KeyBundle::decode(&bundle.encode()), Ok(bundle.clone()));
        prop_assert_eq!(GrantFacts::decode(&bundle.facts.encode()), Ok(bundle.facts.clone()));
        let slot = fixture::slot(&bundle, &COMMIT, &bundle.signer());
        let opened = slot.open(&format!(" {PASSPHRASE}\n"), &COMMIT, &bundle.signer());
        prop_assert_eq!(opened, Ok(bundle.clone()));
        let file = KeyFile {
            repository: RepositoryId(repository),
            size,
            root: LogHash(repository),
            bundle,
        };
        prop_assert_eq!(KeyFile::decode(&file.encode()), Ok(file));
    }

    /// Trees decode to what was encoded.
    ///
    /// Method: arbitrary nodes, pages, places, manifests and tables of contents.
    #[test]
    fn trees(
        node in any_::node(),
        page in any_::page(),
        places in any_::some_places(),
        manifest in any_::manifest(),
        contents in any_::contents(),
    ) {
        prop_assert_eq!(Node::decode(&node.encode(&OWN), &OWN), Ok(node));
        let records: Vec<Vec<u8>> = page.entries.iter().map(TreeEntry::encode).collect();
        let bytes = page::encode(&records.concat(), &page.places, &OWN);
        prop_assert_eq!(Page::decode(&bytes, &OWN), Ok(page));
        let bytes = places::encode(&places, &OWN);
        prop_assert_eq!(places::decode(Cursor::new(&bytes), places.len(), &OWN), Ok(places));
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
        let bytes = any_::encode_contents(&contents);
        let decoded: Result<Vec<_>, _> = DumpTables::new(&bytes).unwrap().collect();
        prop_assert_eq!(decoded, Ok(contents));
    }

    /// Directories and reaches decode to what was sealed.
    ///
    /// Method: arbitrary ones, sealed and opened.
    #[test]
    fn sealed_tables(directory in any_::directory(), reach in any_::reach()) {
        let header = sealed::some_header();
        let sealed = directory.seal(&header, &fixture::index_key());
        let stored = directory.records.iter().map(|record| u64::from(record.stored_len)).sum();
        let index_key = fixture::index_key();
        let opened = indelible_format::directory::Directory::open(&header, &index_key, &sealed, stored);
        prop_assert_eq!(opened, Ok(directory));
        let plain = sealed::plain_reach(&reach);
        prop_assert_eq!(sealed::open_reach(&plain, 5), Ok(reach));
    }

    /// A reach names the places that were collected and no others, in ascending ranges
    /// of which no two could be one (SPEC 7.3).
    ///
    /// Method: arbitrary places, some of them more than once, in any order.
    #[test]
    fn reaches(places in vec((0_u64..5, 0_u32..20), 0..60)) {
        let reach = Reach::collect(places.clone());
        let named = reach.ranges().iter().flat_map(|range| {
            (range.first..range.first + range.count).map(|place| (range.entry, place))
        });
        let named: Vec<(u64, u32)> = named.collect();
        let collected: Vec<(u64, u32)> = BTreeSet::from_iter(places).into_iter().collect();
        prop_assert_eq!(&named, &collected);
        let follows = |pair: &&[(u64, u32)]| pair[1] == (pair[0].0, pair[0].1 + 1);
        let joints = collected.windows(2).filter(follows).count();
        prop_assert_eq!(reach.ranges().len(), collected.len() - joints);
    }

    /// A pack's header parses to what was made, and its keys open what was
    /// encrypted with them.
    ///
    /// Method: arbitrary randomness, chunks of each class at arbitrary numbers.
    #[test]
    fn packs(random in any::<[[u8; 32]; 5]>(), coded in vec(any::<u8>(), 0..60), number: u32) {
        let [data_key, node_key, one, two, salt] = random;
        let random = PackRandomness {
            data_key: indelible_format::secret::SecretKey::new(data_key),
            node_key: indelible_format::secret::SecretKey::new(node_key),
            wrap: [one, two],
            salt,
        };
        let to = PackRecipients {
            repository: RepositoryId(salt),
            domain: DomainId([3; 16]),
            epoch: number,
            data_public: &fixture::data_public(),
            meta_public: &fixture::meta_public(),
            psk: &fixture::psk(),
        };
        let (header, keys) = PackHeader::create(&to, &random).unwrap();
        prop_assert_eq!(PackHeader::parse(&header.encode()), Ok(header.clone()));
        for class in [Class::Data, Class::Page, Class::Node] {
            let mut stored = coded.clone();
            keys.of(class).encrypt(class, number, &mut stored);
            let private = match KeyClass::of(class) {
                KeyClass::Data => fixture::data_private(),
                KeyClass::Node => fixture::meta_private(),
            };
            let cipher = header.open_key(KeyClass::of(class), &private, &fixture::psk()).unwrap();
            let opened = cipher.decrypt(class, number, stored.clone());
            prop_assert_eq!(opened.as_deref(), Ok(coded.as_slice()));
            let mut buffer = vec![7; stored.len() + 3];
            let opened = cipher.decrypt_into(class, number, &stored, &mut buffer);
            prop_assert_eq!(opened, Ok(coded.as_slice()));
            let other = number.wrapping_add(1);
            prop_assert!(cipher.decrypt_into(class, other, &stored, &mut buffer).is_err());
            prop_assert!(cipher.decrypt(class, number.wrapping_add(1), stored).is_err());
        }
    }

    /// What zstd compresses decodes, to exactly the stated length.
    ///
    /// Method: arbitrary bytes at levels 1 to 19, with the right and with wrong
    /// lengths.
    #[test]
    fn codings(seed in vec(any::<u8>(), 0..200), times in 1_usize..20, level in 1..=19) {
        let plain = seed.repeat(times);
        let coded = zstd::bulk::compress(&plain, level).unwrap();
        let decoded = coding::decode(Coding::Zstd, coded.clone(), plain.len());
        prop_assert_eq!(decoded.as_ref(), Ok(&plain));
        prop_assert!(coding::decode(Coding::Zstd, coded, plain.len() + 1).is_err());
    }

    /// A decoder decodes each chunk as a new one would, whatever it met before.
    ///
    /// Method: chunks that are right, cut, inverted at a bit, or stated with a wrong
    /// length, one after the other into one buffer; `decode` is the oracle.
    #[test]
    fn a_decoder_keeps_nothing(chunks in vec((vec(any::<u8>(), 1..300), 0..5_u8, any::<prop::sample::Index>()), 1..20)) {
        let (mut decoder, mut buffer) = (Decoder::default(), vec![7; 4_000]);
        for (seed, harm, at) in chunks {
            let plain = seed.repeat(10);
            let mut coded = zstd::bulk::compress(&plain, 3).unwrap();
            let (mut coding, mut len) = (Coding::Zstd, plain.len());
            match harm {
                0 => coded.truncate(at.index(coded.len())),
                1 => {
                    let at = at.index(coded.len());
                    coded[at] ^= 4;
                }
                2 => len += 1,
                3 => coding = Coding::Raw,
                _ => {}
            }
            let decoded = decoder.decode(coding, &coded, &mut buffer[..len]);
            let expected = coding::decode(coding, coded, len);
            prop_assert_eq!(decoded.map(|()| buffer[..len].to_vec()), expected);
        }
    }

    /// A checkpoint verifies with the key that signed it, and with no other.
    ///
    /// Method: arbitrary claims and signers.
    #[test]
    fn checkpoints(repository in any_::hash(), root in any_::hash(), size: u64, seed: u8) {
        let claim = Checkpoint {
            repository: RepositoryId(repository),
            size,
            root: LogHash(root),
        };
        let note = claim.sign(&key(seed));
        // Three lines of claim, an empty one, and the signatures.
        let signatures: Vec<bool> = note.lines().map(is_signature_line).collect();
        prop_assert_eq!(signatures, [false, false, false, false, true]);
        let parsed = ParsedCheckpoint::parse(&note).unwrap();
        prop_assert_eq!(parsed.verify([signer(seed)]), Ok(claim));
        let other = signer(seed.wrapping_add(1));
        prop_assert!(parsed.verify([other]).is_err());
        prop_assert_eq!(parsed.verify([other, signer(seed)]), Ok(claim));
    }

    /// What is sealed opens, and identifiers have one text form.
    ///
    /// Method: arbitrary keys and bytes.
    #[test]
    fn seals(secret in any_::hash(), bound in vec(any::<u8>(), 0..40), plain in vec(any::<u8>(), 0..80)) {
        let secret = indelible_format::secret::SecretKey::new(secret);
        let sealed = seal::seal(&secret, seal::REACH, &bound, &plain);
        let opened = seal::open(&secret, seal::REACH, &bound, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), &plain[..]);
        let id = PackId(*secret.expose());
        prop_assert_eq!(PackId::from_hex(&id.to_string()), Some(id));
    }
}

/// The largest node decodes.
///
/// Method: 1,024 items in 1,024 packs, none of them the node's own.
#[test]
fn largest_node() {
    let item = |n: u32| indelible_format::node::Item {
        id: indelible_format::ids::ChunkId([7; 32]),
        len: u64::from(n) + 1,
    };
    let place = |n: u32| {
        let mut pack = PackId([9; 32]);
        pack.0[..4].copy_from_slice(&n.to_le_bytes());
        places::Place { pack, number: 0 }
    };
    let node = Node {
        level: 0,
        items: (0..1_024).map(item).collect(),
        places: (0..1_024).map(place).collect(),
    };
    assert_eq!(Node::decode(&node.encode(&OWN), &OWN), Ok(node));
}
