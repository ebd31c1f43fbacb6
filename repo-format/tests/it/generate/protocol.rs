//! Messages of an append-only server, without their lengths, and lengths.

use indelible_format::ids::{PackId, RecordId};
use indelible_format::protocol::{
    Answer, Area, FRAME_BYTES_MAX, Fault, Item, Object, Outcome, PageEnd, Reason, Request,
};

use super::{Group, cut, flip, longer, patch};
use crate::vector::Vector;

const PACK: Object = Object::Pack(PackId([0x4B; 32]));
const RECORD: Object = Object::Record(RecordId([0x5C; 32]));

pub(super) fn make() -> Vec<Vector> {
    [lengths(), requests(), puts_and_reads(), answers(), pages()].concat()
}

fn lengths() -> Vec<Vector> {
    let mut group = Group::new("frame-length", "16.1");
    let bytes = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    group.accept("least", "a message without a body", bytes(9));
    group.accept("most", "a commit record of 64 MiB", bytes(FRAME_BYTES_MAX));
    let expected = "OutOfBounds: length of a frame";
    group.reject("short", "no room for kind and number", expected, bytes(8));
    group.reject("long", "a byte over the limit", expected, bytes(FRAME_BYTES_MAX + 1));
    group.vectors
}

fn asked(request: &Request<'_>) -> Vec<u8> {
    request.frame(7).split_off(4)
}

fn answered(answer: &Answer<'_>) -> Vec<u8> {
    answer.frame(7).split_off(4)
}

fn requests() -> Vec<Vector> {
    let mut group = Group::new("request", "16.2");
    let hello = asked(&Request::Hello);
    group.accept("hello", "comes first", hello.clone());
    group.reject("magic", "another magic number", "Magic: hello", flip(&hello, 9));
    let version = "OutOfBounds: version of the protocol";
    group.reject("version-0", "version 0", version, patch(&hello, 17, &[0]));
    group.reject("version-2", "version 2", version, patch(&hello, 17, &[2]));
    group.reject("hello-cut", "cut short", "Truncated: hello", cut(&hello, 1));
    let prepare = asked(&Request::Prepare);
    group.accept("prepare", "no body", prepare.clone());
    group.reject("trailing", "a byte behind", "Trailing: request", longer(&prepare, &[0]));
    group.reject("cut", "no whole number", "Truncated: request", cut(&prepare, 1));
    let kind = "Unknown: kind of a request";
    group.reject("kind-0", "kind 0", kind, patch(&prepare, 0, &[0]));
    group.reject("kind-8", "kind 8: nothing removes or overwrites", kind, patch(&prepare, 0, &[8]));
    group.reject("kind-answer", "an answer", kind, patch(&prepare, 0, &[0x82]));
    for (name, area) in [("packs", Area::Packs), ("records", Area::Records), ("log", Area::Log), ("bundles", Area::Bundles)] {
        group.accept(&format!("list-{name}"), "from the beginning", asked(&Request::List { area, after: None }));
    }
    let after = Some(Item::Object(PACK));
    let list = asked(&Request::List { area: Area::Packs, after });
    group.accept("list-behind", "behind a pack", list.clone());
    group.reject("list-area", "area 4", "Unknown: area of a listing", patch(&list, 9, &[4]));
    group.reject("list-tag", "an item of kind 3", "Unknown: kind of an item", patch(&list, 10, &[3]));
    let after = Some(Item::Foreign("packs/README".to_owned()));
    let foreign = asked(&Request::List { area: Area::Packs, after });
    group.accept("list-foreign", "behind what is no object", foreign.clone());
    let path = "path of a listing";
    group.reject("list-latin", "no UTF-8", &format!("NotCanonical: {path}"), patch(&foreign, 13, &[0xFF]));
    let empty = [&foreign[..11], &[0, 0]].concat();
    group.reject("list-empty", "an empty name", &format!("OutOfBounds: {path}"), empty);
    let long = [&foreign[..11], &4_097_u16.to_le_bytes(), &[b'a'; 4_097]].concat();
    group.reject("list-long", "a name of 4,097 bytes", &format!("OutOfBounds: {path}"), long);
    group.accept("extend", "a lock", asked(&Request::Extend { object: PACK, until_ms: 1_795_316_400_000 }));
    group.accept("locked", "until when", asked(&Request::Locked { object: Object::Log(7) }));
    group.vectors
}

fn puts_and_reads() -> Vec<Vector> {
    let mut group = Group::new("request", "16.2");
    for (name, object) in [("repository", Object::Repository), ("log", Object::Log(12)), ("record", RECORD), ("pack", PACK), ("bundle", Object::Bundle(1))] {
        group.accept(&format!("put-{name}"), "create only", asked(&Request::Put { object, bytes: b"bytes" }));
    }
    let put = asked(&Request::Put { object: PACK, bytes: b"" });
    group.accept("put-empty", "no bytes", put.clone());
    group.reject("put-cut", "no whole hash", "Truncated: object", cut(&put, 1));
    group.reject("put-kind", "an object of kind 5", "Unknown: kind of an object", patch(&put, 9, &[5]));
    let bundle = asked(&Request::Put { object: Object::Bundle(1), bytes: b"" });
    group.reject("put-bundle-0", "no bundle", "OutOfBounds: number of a log bundle", patch(&bundle, 10, &[0]));
    let read = Request::Read { object: Object::Log(999_999_999_999), offset: u64::MAX, len: 8 << 20 };
    let read = asked(&read);
    group.accept("read", "as much as one answer holds", read.clone());
    let number = 1_000_000_000_000_u64.to_le_bytes();
    group.reject("read-number", "13 digits", "OutOfBounds: number of a log entry", patch(&read, 10, &number));
    let len = ((8_u32 << 20) + 1).to_le_bytes();
    group.reject("read-long", "a byte too many", "OutOfBounds: length of a read", patch(&read, 26, &len));
    group.vectors
}

fn answers() -> Vec<Vector> {
    let mut group = Group::new("answer", "16.3");
    let welcome = answered(&Answer::Welcome { conditional_create: true, locks: false });
    group.accept("welcome", "to a hello", welcome.clone());
    group.accept("welcome-plain", "of a store that does not exclude", answered(&Answer::Welcome { conditional_create: false, locks: false }));
    group.accept("welcome-locks", "of a store that locks", answered(&Answer::Welcome { conditional_create: true, locks: true }));
    group.reject("welcome-flag", "a reserved bit", "Reserved: welcome", patch(&welcome, 19, &[4]));
    group.reject("welcome-magic", "another magic number", "Magic: hello", flip(&welcome, 9));
    group.reject("welcome-version", "version 2", "OutOfBounds: version of the protocol", patch(&welcome, 17, &[2]));
    let done = answered(&Answer::Done);
    group.accept("done", "no body", done.clone());
    group.reject("kind", "kind 0x88", "Unknown: kind of an answer", patch(&done, 0, &[0x88]));
    group.reject("kind-request", "a request", "Unknown: kind of an answer", patch(&done, 0, &[2]));
    group.reject("cut", "no whole number", "Truncated: answer", cut(&done, 1));
    group.reject("trailing", "a byte behind", "Trailing: answer", longer(&done, &[0]));
    let fault = Fault::new(Reason::Doubtful, "an earlier sync failed");
    for (name, outcome) in [("created", Outcome::Created), ("same", Outcome::AlreadySame), ("conflict", Outcome::Conflict), ("unclear", Outcome::Indeterminate(fault))] {
        group.accept(&format!("put-{name}"), "to a put", answered(&Answer::Put(outcome)));
    }
    let created = answered(&Answer::Put(Outcome::Created));
    group.reject("put-outcome", "outcome 4", "Unknown: outcome of a put", patch(&created, 9, &[4]));
    let bytes = answered(&Answer::Bytes { size: 5, bytes: b"bytes" });
    group.accept("bytes", "a whole object", bytes.clone());
    group.accept("bytes-none", "only the size", answered(&Answer::Bytes { size: 5, bytes: b"" }));
    group.reject("bytes-many", "more than the object has", "OutOfBounds: length of a read", longer(&bytes, &[0]));
    group.accept("locked", "until a time", answered(&Answer::Locked { until_ms: Some(1_795_316_400_000) }));
    group.accept("locked-not", "not locked", answered(&Answer::Locked { until_ms: None }));
    let fault = answered(&Answer::Fault(Fault::new(Reason::Refused, "its bytes have another hash")));
    group.accept("fault", "nothing was created", fault.clone());
    let reason = "Unknown: reason of a fault";
    group.reject("fault-0", "reason 0", reason, patch(&fault, 9, &[0]));
    group.reject("fault-13", "reason 13", reason, patch(&fault, 9, &[13]));
    let message = "NotCanonical: message of a fault";
    group.reject("fault-escape", "a control character", message, patch(&fault, 12, &[0x1B]));
    group.reject("fault-latin", "no UTF-8", message, patch(&fault, 12, &[0xFF]));
    group.vectors
}

fn pages() -> Vec<Vector> {
    let mut group = Group::new("answer", "16.3");
    let items = vec![
        (Item::Object(Object::Pack(PackId([1; 32]))), 10),
        (Item::Object(PACK), 0),
        (Item::Foreign("packs/README".to_owned()), 0),
    ];
    let end = PageEnd::Incomplete(Fault::new(Reason::Other, "could not list packs/01"));
    for (name, end) in [("more", PageEnd::More), ("complete", PageEnd::Complete), ("incomplete", end)] {
        group.accept(&format!("page-{name}"), "two packs and another file", answered(&Answer::Page { items: items.clone(), end }));
    }
    let field = "items of a listing";
    let empty = answered(&Answer::Page { items: Vec::new(), end: PageEnd::Complete });
    group.accept("page-empty", "nothing there", empty.clone());
    group.reject("page-endless", "nothing, and more", &format!("NotCanonical: {field}"), patch(&empty, 11, &[0]));
    group.reject("page-end", "end 3", "Unknown: end of a page", patch(&empty, 11, &[3]));
    let twice = vec![items[0].clone(), items[0].clone()];
    let twice = answered(&Answer::Page { items: twice, end: PageEnd::Complete });
    group.reject("page-twice", "one item twice", &format!("NotAscending: {field}"), twice);
    group.reject("page-count", "1,025 items", &format!("OutOfBounds: {field}"), patch(&empty, 9, &1_025_u16.to_le_bytes()));
    group.vectors
}
