//! Whole logs of fuzzed objects.

use std::sync::OnceLock;

use indelible_format::commit::{CommitBody, Reach, SnapshotBody};
use indelible_format::entry::Body;
use indelible_format::history::{Continuity, History};
use indelible_format::ids::LogHash;
use indelible_format::rights::Rights;
use indelible_format::wire::{Cursor, LayoutError};

use crate::fixture::{self, ADMIN, key, staffed};
use crate::frame::{encode_entry, signed};

type Objects = Vec<(u64, Vec<u8>)>;

/// Reads a log of arbitrary objects at arbitrary numbers. An object is a gap
/// (`u16`) and text16; the first byte is how many leaves are remembered.
pub fn history(data: &[u8]) {
    let mut cursor = Cursor::new(data);
    let mut objects = staffed().objects;
    let _ = (|| -> Result<(), LayoutError> {
        let remembered = cursor.u8("remembered")?;
        for _ in 0..16 {
            let number = objects.last().map_or(0, |(number, _)| number + 1);
            let gap = cursor.u16("gap")?;
            let object = cursor.text16("object")?;
            objects.push((number + u64::from(gap), object.to_vec()));
        }
        check(&objects, remembered);
        Ok(())
    })();
    check(&objects, data.first().copied().unwrap_or(0));
}

/// Signs arbitrary changes of entries by keys that may sign them. An entry is:
/// signer, what, and changes of (place, xor) up to place 0.
pub fn resigned(data: &[u8]) {
    let mut log = staffed();
    let mut cursor = Cursor::new(data);
    let mut step = || -> Result<(), LayoutError> {
        let signer = ADMIN + cursor.u8("signer")? % 4;
        let what = cursor.u8("what")?;
        let frame = log.frame(signer, &body(what, log.next()));
        let mut bytes = frame.unsigned();
        loop {
            let place = usize::from(cursor.u16("place")?);
            if place == 0 {
                break;
            }
            let xor = cursor.u8("xor")?;
            let at = place % bytes.len();
            // A change of the signer would void the signature: skip it.
            if !(62..94).contains(&at) {
                bytes[at] ^= xor;
            }
        }
        if what & 0x80 != 0 {
            // Or another length of the body.
            bytes.truncate(bytes.len() - bytes.len().min(usize::from(what & 7)));
            let len = u32::try_from(bytes.len().saturating_sub(162)).unwrap();
            if let Some(field) = bytes.get_mut(158..162) {
                field.copy_from_slice(&len.to_le_bytes());
            }
        }
        let kind = bytes.get(16).copied().unwrap_or(0);
        log.push(signed(&log.repository, kind, bytes, &key(signer)));
        Ok(())
    };
    for _ in 0..12 {
        if step().is_err() {
            break;
        }
    }
    check(&log.objects, 0);
}

/// A body to begin with.
fn body(what: u8, number: u64) -> Body {
    let subject = ADMIN + what % 7;
    match what % 7 {
        0 => fixture::authorize(subject, Rights::ADMIN.union(Rights::WRITE)),
        1 => fixture::authorize(subject, Rights::WRITE),
        2 => fixture::revoke(subject, number.saturating_sub(u64::from(what / 16))),
        3 => {
            static BODY: OnceLock<CommitBody> = OnceLock::new();
            let seal = || fixture::commit_body(&fixture::binding(), &Reach::collect([(1, 0)]));
            Body::Snapshot(SnapshotBody::Inline(BODY.get_or_init(seal).clone()))
        }
        4 => fixture::snapshot(),
        5 => fixture::rekey_of(1 + u32::from(what / 64)),
        _ => fixture::attest(),
    }
}

/// What must hold of every log: what is valid encodes to the same bytes, and a
/// second reader that remembers sees no change.
fn check(objects: &Objects, remembered: u8) {
    let read = |remembered: &[LogHash]| {
        let objects = objects
            .iter()
            .map(|(number, object)| (*number, object.as_slice()));
        History::read(objects, remembered).expect("genesis is whole")
    };
    let first = read(&[]);
    for (number, entry) in &first.entries {
        let (_, object) = objects.iter().find(|(known, _)| known == number).unwrap();
        let signature = object.last_chunk::<64>().expect("an entry is signed");
        let encoded = encode_entry(entry.header(), entry.body(), signature);
        assert!(encoded == *object, "two encodings of one entry");
    }
    assert_eq!(first.size(), first.next);
    let again = read(&first.leaves);
    assert_eq!(again.continuity, Continuity::Extends);
    assert_eq!(again.leaves, first.leaves);
    assert_eq!(again.problems.len(), first.problems.len());
    let some = first.leaves.len().min(usize::from(remembered));
    read(&first.leaves[..some]);
    read(&vec![LogHash([7; 32]); usize::from(remembered)]);
}
