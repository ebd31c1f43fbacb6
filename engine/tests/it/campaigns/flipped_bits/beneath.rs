//! One inverted bit beneath a seal: as if it had been inverted in the memory of
//! the writer, before it encrypted, sealed or signed.
//!
//! Then the outermost check passes, and those behind it must hold: the id of a
//! chunk's content, the commitments to keys, what each sealed thing is bound to.
//! Whoever holds a domain's keys and may overwrite the store can do the same on
//! purpose.

use std::collections::BTreeSet;
use std::ops::Range;

use indelible_engine::keys::Credential;
use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::bundle::KeyBundle;
use indelible_format::coding::Class;
use indelible_format::ids::{PackId, RepositoryId};
use indelible_format::pack::{HEADER_BYTES, KeyClass, PackHeader};
use indelible_format::seal::{self, DIRECTORY, LOG_ENTRY};
use indelible_format::secret::{SecretKey, directory_key};

use super::super::anatomy::Spot;
use super::super::oracle::{Notes, Oracle, Part, restored, said_lost, tell, told};
use super::super::{Finding, Scale};
use crate::support::{object, verify_with};

/// A signature stands at the end of an entry.
const SIGNATURE_BYTES: usize = 64;
/// Fields of an entry that its sealed parts are bound to: epoch and commit id
/// (SPEC 3.2, 2.7).
const BOUND: [Range<usize>; 2] = [18..22, 30..46];
/// What an entry states of those before it: the last leaf, and the root.
const STATED: Range<usize> = 94..158;
/// Where an entry with one new pack lists its id and its SHA-256 (SPEC 3.2, 3.9,
/// 7.1).
const LISTED_ID: Range<usize> = 175..207;
const LISTED_SHA256: Range<usize> = 211..243;

/// Which seal the bit lies beneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// A pack's header, over which the directory is then sealed.
    Header,
    /// The coded bytes of a chunk, which are then encrypted.
    Coded(Spot),
    /// The plaintext of a directory, which is then sealed.
    Directory,
    /// The newest entry, which is then signed.
    Entry,
}

/// One bit to invert.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beneath {
    key: ObjectKey,
    layer: Layer,
    /// In what is sealed, not in the object.
    offset: usize,
    bit: u32,
}

impl Beneath {
    pub(super) const fn word(&self) -> &'static str {
        match self.layer {
            Layer::Header => "bits of headers, directory sealed over them",
            Layer::Coded(_) => "bits of chunks before encryption",
            Layer::Directory => "bits of directories before sealing",
            Layer::Entry => "bits of an entry before signing",
        }
    }
}

/// Every bit beneath a seal; one of each byte unless it is long.
pub(super) fn all_beneath(oracle: &Oracle, scale: Scale) -> Vec<Beneath> {
    let mut layers: Vec<(ObjectKey, Layer, usize)> = Vec::new();
    for (pack, parts) in &oracle.anatomy.packs {
        let key = ObjectKey::Pack(*pack);
        layers.push((key, Layer::Header, HEADER_BYTES));
        for ((range, _), number) in parts.chunks.iter().zip(0..) {
            let spot = Spot {
                pack: *pack,
                number,
            };
            layers.push((key, Layer::Coded(spot), range.len() - seal::TAG_BYTES));
        }
        let plain = parts.directory.len() - seal::SEAL_OVERHEAD;
        layers.push((key, Layer::Directory, plain));
    }
    let newest = ObjectKey::Log(oracle.head());
    let signed = object(&oracle.store, &newest).len() - SIGNATURE_BYTES;
    layers.push((newest, Layer::Entry, signed));
    let mut all = Vec::new();
    for (key, layer, len) in layers {
        for offset in 0..len {
            let one = u32::try_from(offset % 8).expect("at most 7");
            let bits = if scale.long { 0..8 } else { one..one + 1 };
            all.extend(bits.map(|bit| Beneath {
                key,
                layer,
                offset,
                bit,
            }));
        }
    }
    all
}

/// Inverts one bit beneath its seal, and asks for restores and a verification.
pub(super) fn try_beneath(oracle: &Oracle, case: &Beneath) -> Notes {
    let mut notes = Notes::default();
    let store = oracle.store.clone();
    let Credential::KeyFile(file) = &oracle.all else {
        unreachable!("the oracle opens by a key file")
    };
    let bytes = object(&store, &case.key);
    let sealed = sealed_anew(oracle, case, bytes, &file.bundle, &file.repository);
    store.replace(&case.key, &sealed);
    let listed = listed_otherwise(oracle, case);
    if let Some((before, after)) = listed {
        let pack = object(&store, &before);
        store.forget(&before);
        store.replace(&after, &pack);
    }

    let repository = match Oracle::open(&store, &oracle.all, 1) {
        Ok(repository) => repository,
        Err(error) => {
            notes.expect(false, Finding::Broken, || format!("{case:?}: {error}"));
            return notes;
        }
    };
    let restored = restored(&repository, &oracle.contents());
    notes.restores += restored.tried;
    notes.expect(restored.wrong.is_empty(), Finding::Wrong, || {
        format!("{case:?}: {:?} restore to something else", restored.wrong)
    });
    let (must, may) = costs(oracle, case);
    let lost = &restored.lost;
    notes.expect(lost.is_subset(&may), Finding::Lost, || {
        format!("{case:?}: {lost:?} are lost, and only {may:?} need it")
    });
    notes.expect(must.is_subset(lost), Finding::Wrong, || {
        format!("{case:?}: {must:?} must be refused, and only {lost:?} are")
    });

    judge_reports(oracle, case, &repository, lost, &may, &mut notes);
    if let Some((_, pack)) = listed {
        let report = verify_with(&repository, Level::Packs);
        notes.verifications += 1;
        // That the entry is another one than the key file pins goes without saying.
        let mut told = told(&report);
        told.retain(|(kind, ..)| *kind != ProblemKind::Forked);
        let expected = [(ProblemKind::PackAltered, pack.path(), None)];
        notes.expect(told == expected, Finding::Unnoticed, || {
            format!("{case:?}: packs says {}", tell(&report))
        });
    }
    notes
}

/// A pack that the entry now lists under another name, which it then gets, or
/// with another SHA-256: each of the two is to be checked for itself.
fn listed_otherwise(oracle: &Oracle, case: &Beneath) -> Option<(ObjectKey, ObjectKey)> {
    let newest = |(_, entry): &(&PackId, &u64)| **entry == oracle.head();
    let (pack, _) = oracle.listed_by.iter().find(newest)?;
    let mut id = *pack;
    if case.layer == Layer::Entry && LISTED_ID.contains(&case.offset) {
        id.0[case.offset - LISTED_ID.start] ^= 1 << case.bit;
    }
    let listed = [LISTED_ID, LISTED_SHA256]
        .iter()
        .any(|field| field.contains(&case.offset));
    let otherwise = case.layer == Layer::Entry && listed;
    otherwise.then_some((ObjectKey::Pack(*pack), ObjectKey::Pack(id)))
}

/// What is lost is what verification says, and a pack is always named.
fn judge_reports(
    oracle: &Oracle,
    case: &Beneath,
    repository: &Repository<'_, MemoryStore>,
    lost: &BTreeSet<u64>,
    may: &BTreeSet<u64>,
    notes: &mut Notes,
) {
    let report = verify_with(repository, Level::Data);
    notes.verifications += 1;
    let said = said_lost(&report, oracle.originals.keys().copied());
    // Of an entry whose reach does not open it is said that it is harmed, though
    // restoring does not take the reach.
    let beyond = |said: &BTreeSet<u64>| case.layer == Layer::Entry && may.is_superset(said);
    let exact = said
        .as_ref()
        .is_ok_and(|said| said == lost || (said.is_superset(lost) && beyond(said)));
    notes.expect(exact, Finding::Unnoticed, || {
        format!(
            "{case:?}: data says {said:?}, and {lost:?} do not restore: {}",
            tell(&report)
        )
    });
    if case.layer == Layer::Entry && STATED.contains(&case.offset) {
        let expected = (ProblemKind::OtherHistory, case.key.path(), None);
        notes.expect(
            told(&report).contains(&expected),
            Finding::Unnoticed,
            || format!("{case:?}: data says {}", tell(&report)),
        );
    }
    if let ObjectKey::Pack(_) = case.key {
        let path = case.key.path();
        let named = told(&report).iter().any(|(_, object, _)| *object == path);
        notes.expect(named, Finding::Unnoticed, || {
            format!("{case:?}: data says {}", tell(&report))
        });
        // No seal hides from who has no key that the bytes have another name.
        let keyless = verify_with(repository, Level::Packs);
        notes.verifications += 1;
        let expected = [(ProblemKind::PackAltered, path, None)];
        notes.expect(told(&keyless) == expected, Finding::Unnoticed, || {
            format!("{case:?}: packs says {}", tell(&keyless))
        });
    }
}

/// The snapshots that must not restore, and those that may not.
fn costs(oracle: &Oracle, case: &Beneath) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let none = BTreeSet::new;
    match (case.layer, case.key) {
        (Layer::Entry, _) => {
            let own = oracle.costs(Part::whole(&case.key));
            let bound = BOUND.iter().any(|field| field.contains(&case.offset));
            (if bound { own.clone() } else { none() }, own)
        }
        (Layer::Coded(spot), _) => (none(), oracle.costs(Part::Chunk(spot))),
        (Layer::Header, ObjectKey::Pack(pack)) => {
            let costs = match case.offset {
                // Magic, version, repository, domain and epoch.
                0..64 => oracle.costs(Part::Pack(pack)),
                64..176 => costs_of_class(oracle, pack, KeyClass::Data),
                176..288 => costs_of_class(oracle, pack, KeyClass::Node),
                // Another salt is as good.
                _ => none(),
            };
            (costs.clone(), costs)
        }
        _ => (none(), oracle.costs(Part::whole(&case.key))),
    }
}

fn costs_of_class(oracle: &Oracle, pack: PackId, class: KeyClass) -> BTreeSet<u64> {
    let chunks = oracle.anatomy.packs[&pack].chunks.iter().zip(0..);
    let of_class = |of: &Class| KeyClass::of(*of) == class;
    chunks
        .filter(|((_, of), _)| of_class(of))
        .flat_map(|(_, number)| oracle.costs(Part::Chunk(Spot { pack, number })))
        .collect()
}

/// The object with the bit inverted, and the seal above it made anew.
fn sealed_anew(
    oracle: &Oracle,
    case: &Beneath,
    mut bytes: Vec<u8>,
    key: &KeyBundle,
    repository: &RepositoryId,
) -> Vec<u8> {
    let flip = |plain: &mut [u8]| plain[case.offset] ^= 1 << case.bit;
    let ObjectKey::Pack(pack) = case.key else {
        flip(&mut bytes);
        let signed = bytes.len() - SIGNATURE_BYTES;
        let message = [&repository.0[..], &bytes[..signed]].concat();
        let signature = seal::sign(&key.signing_seed, LOG_ENTRY, &message);
        bytes[signed..].copy_from_slice(&signature);
        return bytes;
    };
    let parts = &oracle.anatomy.packs[&pack];
    let header = bytes[..HEADER_BYTES].try_into().expect("a header");
    let header = PackHeader::parse(header).expect("the pack is intact");
    if let Layer::Coded(spot) = case.layer {
        let (range, class) = &parts.chunks[usize::from(spot.number)];
        let private = match KeyClass::of(*class) {
            KeyClass::Node => key.verify.as_ref().map(|keys| &keys.meta_private),
            KeyClass::Data => key.restore.as_ref().map(|keys| &keys.data_private),
        };
        let private = private.expect("every right");
        let cipher = header.open_key(KeyClass::of(*class), private, &key.psk);
        let cipher = cipher.expect("the pack is intact");
        let (number, stored) = (spot.number.into(), bytes[range.clone()].to_vec());
        let mut coded = cipher
            .decrypt(*class, number, stored)
            .expect("the chunk is intact");
        flip(&mut coded);
        cipher.encrypt(*class, number, &mut coded);
        bytes[range.clone()].copy_from_slice(&coded);
        return bytes;
    }
    let index = key.index_key(&header.domain).expect("every right");
    let sealed = &bytes[parts.directory.clone()];
    let bound = |header: &[u8]| *blake3::hash(header).as_bytes();
    let old = directory_key(&index, &header.salt);
    let plain = seal::open(&old, DIRECTORY, &bound(&bytes[..HEADER_BYTES]), sealed);
    let mut plain = plain.expect("the pack is intact");
    if case.layer == Layer::Header {
        flip(&mut bytes[..HEADER_BYTES]);
    } else {
        flip(&mut plain);
    }
    let salt: &[u8; 32] = bytes[HEADER_BYTES - 32..HEADER_BYTES]
        .try_into()
        .expect("the salt ends the header");
    let new: SecretKey = directory_key(&index, salt);
    let sealed = seal::seal(&new, DIRECTORY, &bound(&bytes[..HEADER_BYTES]), &plain);
    bytes[parts.directory.clone()].copy_from_slice(&sealed);
    bytes
}
