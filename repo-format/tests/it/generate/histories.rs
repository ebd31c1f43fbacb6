//! Small logs, and what is wrong with them.

use indelible_format::entry::Body;
use indelible_format::ids::LogHash;
use indelible_format::merkle::leaf_hash;
use indelible_format::rights::Rights;

use super::{Group, flip};
use crate::fixture::{ADMIN, Log, authorize, key, revoke, snapshot, staffed};
use crate::vector::Vector;

pub(super) fn make() -> Vec<Vector> {
    [contents(), remembered(), distrusted()].concat()
}

type Objects = Vec<(u64, Vec<u8>)>;

/// Four entries of the fixture's log and three snapshots behind.
fn seven() -> Log {
    let mut log = staffed();
    for _ in 0..3 {
        log.append(2, &snapshot());
    }
    log
}

fn without(objects: &Objects, numbers: &[u64]) -> Objects {
    let mut objects = objects.clone();
    objects.retain(|(number, _)| !numbers.contains(number));
    objects
}

/// The log, with the object at `number` changed by what stands there.
fn with(objects: &Objects, number: usize, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Objects {
    let mut objects = objects.clone();
    objects[number].1 = change(&objects[number].1);
    objects
}

fn junk() -> Vec<u8> {
    b"junk".to_vec()
}

fn contents() -> Vec<Vector> {
    let mut group = Group::new("history", "3.13");
    let log = seven();
    let objects = &log.objects;
    group.accept_log("sound", "nothing is wrong", objects.clone());
    group.accept_log(
        "damaged",
        "one bit of a snapshot",
        with(objects, 5, |object| flip(object, 100)),
    );
    let key_lost = with(objects, 1, |object| flip(object, 100));
    group.accept_log(
        "damaged-key",
        "of the write key's grant, whose entries are void now",
        key_lost,
    );
    group.accept_log("removed", "an entry", without(objects, &[4]));
    group.accept_log("removed-two", "two entries", without(objects, &[4, 5]));
    group.accept_log("removed-last", "the last entry: nobody remembers it", without(objects, &[6]));
    let mut other = log.clone();
    other.append_frame(2, &{
        let mut frame = log.frame(2, &snapshot());
        frame.previous = LogHash([1; 32]);
        frame
    });
    group.accept_log("other-leaf", "an entry that states another leaf before", other.objects);
    let mut other = log.clone();
    for _ in 0..2 {
        let mut frame = other.frame(2, &snapshot());
        frame.root = LogHash([1; 32]);
        other.append_frame(2, &frame);
    }
    group.accept_log("other-root", "entries that state another root", other.objects);
    let mut exchanged = staffed();
    let mut frame = exchanged.frame(2, &snapshot());
    frame.claimed_ms += 1;
    exchanged.append_frame(2, &frame);
    let exchanged = with(objects, 4, |_| exchanged.objects[4].1.clone());
    group.accept_log("exchanged", "a valid entry for another", exchanged);
    group.spec("3.12");
    let mut littered = staffed();
    littered.push(junk());
    littered.append(2, &snapshot());
    littered.push(littered.objects[5].1.clone());
    littered.append(2, &snapshot());
    group.accept_log("void", "junk between entries", littered.objects);
    let mut trailing = log.objects.clone();
    trailing.push((7, junk()));
    group.accept_log("void-last", "junk behind the last entry", trailing);
    let mut apart = log.objects.clone();
    apart.push((9, junk()));
    group.accept_log("void-apart", "junk behind a hole has no leaf", apart);
    group.spec("11");
    let mut beyond = log.objects.clone();
    beyond.push((7 + 1_024, junk()));
    beyond.push((7 + 1_030, junk()));
    group.accept_log("beyond", "objects behind 1,024 absent numbers", beyond);
    begins(&mut group, objects);
    group.vectors
}

fn begins(group: &mut Group, objects: &Objects) {
    group.spec("10");
    let headless = without(objects, &[0]);
    group.reject_log("no-genesis", "no first entry", "Truncated: log entry", headless);
    let damaged = with(objects, 0, |object| flip(object, 200));
    group.reject_log("damaged-genesis", "one bit of genesis", "BadSignature", damaged);
}

fn leaves(objects: &Objects) -> String {
    let leaves: Vec<String> =
        objects.iter().map(|(_, object)| leaf_hash(object).to_string()).collect();
    leaves.join(" ")
}

fn remembered() -> Vec<Vector> {
    let mut group = Group::new("history", "3.13");
    let log = seven();
    let objects = &log.objects;
    group.with("remembered", leaves(objects));
    group.accept_log("extends", "what is remembered, and no more", objects.clone());
    let mut longer = log.clone();
    longer.append(2, &snapshot());
    group.accept_log("longer", "what is remembered, and one more", longer.objects);
    group.accept_log("behind", "less than is remembered", without(objects, &[5, 6]));
    let mut forked = staffed();
    let mut frame = forked.frame(2, &snapshot());
    frame.claimed_ms += 1;
    forked.append_frame(2, &frame);
    forked.append(2, &snapshot());
    forked.append(2, &snapshot());
    group.accept_log("forked", "another history since entry 4", forked.objects);
    let last = with(objects, 6, |object| flip(object, 100));
    group.accept_log("damaged-last", "the last entry, which is remembered", last);
    let two = with(objects, 4, |object| flip(object, 100));
    let two = with(&two, 5, |object| flip(object, 100));
    group.accept_log("damaged-two", "two entries: of the first, memory alone has the leaf", two);
    group.accept_log(
        "removed-remembered",
        "two entries of what is remembered",
        without(objects, &[4, 5]),
    );
    let mut junk_at_end = without(objects, &[5]);
    junk_at_end[5].1 = junk();
    group.accept_log("damaged-behind-hole", "nothing valid is left behind", junk_at_end);
    group.vectors
}

fn distrusted() -> Vec<Vector> {
    let mut group = Group::new("history", "3.8");
    let mut log = staffed();
    log.append(2, &snapshot());
    log.append(2, &snapshot());
    log.append(ADMIN, &revoke(2, 5));
    log.append(2, &snapshot());
    group.accept_log("distrust", "entry 5 is distrusted, entry 7 void", log.objects);
    let mut log = staffed();
    log.append(4, &authorize(9, Rights::WRITE.union(Rights::ADMIN)));
    log.append(9, &authorize(10, Rights::WRITE));
    log.append(10, &snapshot());
    log.append(2, &snapshot());
    log.append(9, &revoke(2, 7));
    log.append(ADMIN, &revoke(4, 4));
    group.accept_log("distrust-children", "and theirs; what they revoked stands", log.objects);
    let mut log = staffed();
    log.append(4, &authorize(9, Rights::WRITE));
    log.append(9, &snapshot());
    log.append(ADMIN, &revoke(9, 6));
    log.append(ADMIN, &revoke(4, 4));
    group.accept_log("distrust-revoked-child", "a key that was revoked before", log.objects);
    let mut log = staffed();
    log.append(2, &snapshot());
    log.append(2, &snapshot());
    log.append(ADMIN, &revoke(2, 5));
    log.append(ADMIN, &revoke(2, 4));
    group.accept_log("distrust-earlier", "a second revoke, from earlier on", log.objects);
    group.spec("3.5");
    let mut log = staffed();
    let mut frame =
        log.frame(ADMIN, &Body::Opaque(indelible_format::rights::Kind::Sweep, Vec::new()));
    frame.body = b"to come".to_vec();
    let object = frame.sign(&log.repository, &key(ADMIN));
    log.push(object);
    log.append(2, &snapshot());
    group.accept_log("stop", "a writer may not go on; a reader may", log.objects);
    group.vectors
}
