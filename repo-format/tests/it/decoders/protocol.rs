//! Messages of an append-only server.

use indelible_format::protocol::{Answer, Request, frame_len};

use super::{Found, Refused};
use crate::codecs;
use crate::vector::Vector;

pub(super) fn frame_length(vector: &Vector) -> Result<Found, Refused> {
    let prefix = vector.bytes().try_into().expect("four bytes");
    Ok(Found::new().give("length", frame_len(prefix)?))
}

pub(super) fn request(vector: &Vector) -> Result<Found, Refused> {
    let (number, request) = Request::decode(vector.bytes())?;
    let encoded = codecs::codec("request")(vector.bytes()).expect("it was decoded");
    let kind = match request {
        Request::Hello => "hello",
        Request::Prepare => "prepare",
        Request::Put { .. } => "put",
        Request::Read { .. } => "read",
        Request::List { .. } => "list",
        Request::Extend { .. } => "extend",
        Request::Locked { .. } => "locked",
    };
    Ok(Found::encoded(encoded)
        .give("number", number)
        .give("kind", kind))
}

pub(super) fn answer(vector: &Vector) -> Result<Found, Refused> {
    let (number, answer) = Answer::decode(vector.bytes())?;
    let encoded = codecs::codec("answer")(vector.bytes()).expect("it was decoded");
    let found = Found::encoded(encoded).give("number", number);
    Ok(match answer {
        Answer::Welcome { locks, .. } => found.give("kind", "welcome").give("locks", locks),
        Answer::Done => found.give("kind", "done"),
        Answer::Put(_) => found.give("kind", "put"),
        Answer::Bytes { size, bytes } => found
            .give("kind", "bytes")
            .give("size", size)
            .give("bytes", bytes.len()),
        Answer::Page { items, .. } => found.give("kind", "page").give("items", items.len()),
        Answer::Locked { until_ms } => found
            .give("kind", "locked")
            .give("until", until_ms.unwrap_or(0)),
        Answer::Fault(fault) => found.give("kind", "fault").give("message", fault.message()),
    })
}
