//! Passphrase slots.

use indelible_format::rights::Rights;
use indelible_format::wire::Builder;

use super::{Group, cut, flip, longer, patch};
use crate::fixture::{COMMIT, PASSPHRASE, bundle, signer, slot};
use crate::vector::{Vector, hex};

/// A slot of this cost whose sealed bytes have this length.
fn laid_out(kind: u8, passes: u32, memory_kib: u32, lanes: u32, sealed: usize) -> Vec<u8> {
    let mut out = Builder::new();
    out.u8(kind).u32(passes).u32(memory_kib).u32(lanes);
    out.bytes(&[0x51; 32]).text16(&vec![0; sealed]);
    out.finish()
}

pub(super) fn make() -> Vec<Vector> {
    let mut group = Group::new("passphrase-slot", "5.5");
    let bytes = slot(&bundle(2, Rights::WRITE), &COMMIT, &signer(2)).encode();
    opened(&mut group, &bytes);
    group.without();
    group.reject("kind", "kind 2", "OutOfBounds: kind of the slot", patch(&bytes, 0, &[2]));
    group.reject("cut", "cut short", "Truncated: passphrase slot", cut(&bytes, 1));
    group.reject("trailing", "a byte behind", "Trailing: passphrase slot", longer(&bytes, &[0]));
    group.spec("11");
    group.accept("most-passes", "16 passes over 256 MiB", laid_out(1, 16, 262_144, 4, 100));
    group.accept("most-memory", "4 passes over 1 GiB", laid_out(1, 4, 1_048_576, 1, 100));
    group.accept("most-lanes", "16 lanes", laid_out(1, 1, 128, 16, 100));
    let longest = 16_384 + 48;
    group.accept("longest", "16 KiB of bundle", laid_out(1, 1, 8, 1, longest));
    let passes = "OutOfBounds: passes of Argon2id";
    group.reject("passes-0", "no pass", passes, laid_out(1, 0, 8, 1, 100));
    group.reject("passes-17", "17 passes", passes, laid_out(1, 17, 8, 1, 100));
    let lanes = "OutOfBounds: lanes of Argon2id";
    group.reject("lanes-0", "no lane", lanes, laid_out(1, 1, 8, 0, 100));
    group.reject("lanes-17", "17 lanes", lanes, laid_out(1, 1, 136, 17, 100));
    let memory = "OutOfBounds: memory of Argon2id, KiB";
    group.reject("memory-7", "less than 8 KiB", memory, laid_out(1, 1, 7, 1, 100));
    group.reject("memory-lane", "less than 8 KiB a lane", memory, laid_out(1, 1, 31, 4, 100));
    group.reject("memory-large", "over 1 GiB", memory, laid_out(1, 1, 1_048_577, 1, 100));
    let work = "OutOfBounds: passes times memory of Argon2id, KiB";
    group.reject("work", "5 passes over 1 GiB", work, laid_out(1, 5, 1_048_576, 1, 100));
    let over = laid_out(1, 1, 8, 1, longest + 1);
    group.reject("too-long", "over 16 KiB of bundle", "OutOfBounds: sealed bundle", over);
    group.vectors
}

fn opened(group: &mut Group, bytes: &[u8]) {
    group.with("passphrase", PASSPHRASE).with("commit", COMMIT).with("subject", signer(2));
    group.accept("opened", "a write key's, at the cheapest cost", bytes);
    group.spec("2.4");
    group.reject("altered", "a sealed byte is altered", "Altered", flip(bytes, 47 + 32));
    group.reject("commitment", "another key's commitment", "WrongPassphrase", flip(bytes, 47));
    group.reject("short", "too short to be sealed", "Altered", laid_out(1, 1, 8, 1, 47));
    group.spec("2.7");
    group.with("commit", hex(&[0xC1; 16]));
    group.reject("moved", "the slot of another entry", "Altered", bytes);
    group.with("commit", COMMIT).with("subject", signer(3));
    group.reject("subject", "the slot of another key", "Altered", bytes);
    group.spec("5.5");
    group.with("subject", signer(2)).with("passphrase", "Tr0ub4dor&3");
    group.reject("passphrase", "another passphrase", "WrongPassphrase", bytes);
}
