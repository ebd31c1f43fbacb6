//! Bundles of log objects.

use indelible_format::ids::RepositoryId;
use indelible_format::limits::{LEAF_BYTES_MAX, LOG_BUNDLE_BYTES_MAX, LOG_BUNDLE_OBJECTS, LOG_BUNDLES_MAX};
use indelible_format::log_bundle::LogBundle;

use super::{Group, cut, flip, longer, patch};
use crate::vector::Vector;

/// Where the lengths begin, and the objects.
const LENGTHS: usize = 48;
const OBJECTS: usize = LENGTHS + 4 * LOG_BUNDLE_OBJECTS;

pub(super) fn make() -> Vec<Vector> {
    let mut group = Group::new("log-bundle", "3.17");
    let repository = RepositoryId([0x3C; 32]);
    let none = LogBundle { repository, number: 1, objects: vec![None; LOG_BUNDLE_OBJECTS] };
    group.accept("holes", "no object at all", none.encode());
    let longest = vec![0x5A; LEAF_BYTES_MAX];
    let mut some = LogBundle { number: LOG_BUNDLES_MAX, ..none.clone() };
    some.objects[0] = Some(b"first");
    some.objects[2] = Some(b"");
    some.objects[255] = Some(b"last");
    group.accept("some", "the first, an empty one, and the last", some.encode());
    let mut long = none.clone();
    long.objects[7] = Some(&longest);
    group.accept("longest", "a byte more than an entry may have", long.encode());
    let bytes = some.encode();
    group.reject("magic", "another magic number", "Magic: log bundle", flip(&bytes, 0));
    let number = "OutOfBounds: number of a log bundle";
    group.reject("number-0", "there is nothing before entry 0", number, patch(&bytes, 40, &[0; 8]));
    let above = (LOG_BUNDLES_MAX + 1).to_le_bytes();
    group.reject("number-above", "log numbers have 12 digits", number, patch(&bytes, 40, &above));
    let over = u32::try_from(LEAF_BYTES_MAX + 2).unwrap().to_le_bytes();
    group.reject("long", "more than a leaf covers", "OutOfBounds: object of a log bundle", patch(&long.encode(), LENGTHS + 28, &over));
    let most = LogBundle { objects: vec![Some(&longest[..]); LOG_BUNDLE_OBJECTS], ..none.clone() };
    let most = most.encode();
    assert_eq!(most.len(), LOG_BUNDLE_BYTES_MAX);
    group.accept("most", "all are as long as a leaf covers", most.clone());
    group.reject("more", "a byte more", "OutOfBounds: log bundle", longer(&most, &[0]));
    group.reject("lengths-cut", "255 lengths and a part", "Truncated: log bundle", cut(&none.encode(), 1));
    group.reject("cut", "an object cut short", "Truncated: log bundle", cut(&bytes, 1));
    group.reject("trailing", "a byte behind", "Trailing: log bundle", longer(&bytes, &[0]));
    group.reject("none", "an object that is said not to be there", "Trailing: log bundle", patch(&bytes, LENGTHS, &[0; 4]));
    assert_eq!(none.encode().len(), OBJECTS);
    group.vectors
}
