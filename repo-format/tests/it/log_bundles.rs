//! What bundles of log objects say of a log (SPEC 3.17).

use std::collections::BTreeMap;

use indelible_format::history::History;
use indelible_format::ids::RepositoryId;
use indelible_format::limits::{LOG_BUNDLES_MAX, LOG_NUMBER_MAX};
use indelible_format::log_bundle::LogBundle;

use crate::fixture::{ADMIN, Log, attest};

/// Each number belongs to one bundle of 256 that follow each other, the first of them to
/// bundle 1.
///
/// Method: numbers at the edges of bundles, down from the greatest that a bundle of
/// SPEC 3.17 can have.
#[test]
fn bundles_have_256_numbers() {
    for (k, first) in [
        (1, 0),
        (2, 256),
        (3, 512),
        (1_000, 255_744),
        (3_906_249_999, 999_999_999_488),
    ] {
        assert_eq!(LogBundle::first(k), first);
        for number in [first, first + 1, first + 254, first + 255] {
            assert_eq!(LogBundle::of(number), k, "{number}");
        }
        assert_eq!(LogBundle::of(first + 256), k + 1);
    }
    // What would begin behind it has no entry behind itself.
    assert_eq!(LogBundle::of(LOG_NUMBER_MAX), LOG_BUNDLES_MAX + 1);
}

type Objects = BTreeMap<u64, Vec<u8>>;

/// The objects of a log of 520 numbers: junk, but for the entries 255, 256, 511 and 512,
/// and without those of two numbers.
fn objects() -> Objects {
    let mut log = Log::begin();
    while log.next() < 520 {
        if matches!(log.next(), 255 | 256 | 511 | 512) {
            log.append(ADMIN, &attest());
        } else {
            log.push(log.next().to_le_bytes().to_vec());
        }
    }
    let mut objects = Objects::from_iter(log.objects);
    for absent in [77, 300] {
        objects.remove(&absent);
    }
    objects
}

/// The log of those of these objects that stand before this number.
fn history(objects: &Objects, end: u64) -> History {
    History::read(
        objects.range(..end).map(|(number, bytes)| (*number, bytes)),
        &[],
    )
    .unwrap()
}

/// The bundle that a writer makes of objects.
fn bundle(objects: &Objects, repository: RepositoryId, number: u64) -> LogBundle<'_> {
    let first = LogBundle::first(number);
    let object = |number| objects.get(&number).map(Vec::as_slice);
    LogBundle {
        repository,
        number,
        objects: (first..first + 256).map(object).collect(),
    }
}

/// A bundle is right if a valid entry stands behind it, and it has the objects whose
/// leaves the log has: all of them, under its own number, of its own repository.
///
/// Method: the two bundles that a log of 520 numbers has, before and behind the entry
/// that settles each; then with one object changed, taken out or put in, with another
/// repository's id, under another number, and as bytes that are no bundle.
#[test]
fn a_right_bundle_is_what_the_log_has() {
    let objects = objects();
    let whole = history(&objects, 520);
    let repository = whole.authority.repository();
    for number in [1, 2] {
        let right = bundle(&objects, repository, number);
        let bytes = right.encode();
        let behind = LogBundle::first(number + 1);
        // The entry before the bundle's end is in it, and settles nothing.
        for (end, settled) in [(behind, false), (behind + 1, true), (520, true)] {
            let history = history(&objects, end);
            assert_eq!(
                history.entries.keys().next_back(),
                Some(&(end.min(513) - 1))
            );
            assert_eq!(right.is_of(&history), settled, "{number} before {end}");
            let is_right = LogBundle::is_right(&bytes, number, &history);
            assert_eq!(is_right, settled, "{number} before {end}");
        }
        assert!(!LogBundle::is_right(&bytes, 3 - number, &whole));
        assert!(!LogBundle::is_right(&bytes[1..], number, &whole));
        let other = RepositoryId([7; 32]);
        assert!(!bundle(&objects, other, number).is_of(&whole));
        for at in [0, 44, 100, 255] {
            let mut wrong = right.clone();
            wrong.objects[at] = match right.objects[at] {
                Some(_) => None,
                None => Some(b"junk"),
            };
            assert!(!wrong.is_of(&whole), "{number}, {at}");
            wrong.objects[at] = Some(b"other");
            assert!(!wrong.is_of(&whole), "{number}, {at}");
        }
    }
    // Nothing is settled of numbers that the log does not have.
    assert!(!bundle(&objects, repository, 3).is_of(&whole));
}
