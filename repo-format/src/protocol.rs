//! What a client and an append-only server say to each other (SPEC 16).
//!
//! A frame is a length and that many bytes, which are one [`Request`] or one
//! [`Answer`] with the number of its request. Nothing here says that an object is
//! what its name says: both sides check that by themselves, and neither believes
//! the other.
//!
//! Why it is safe: there is no message that changes or removes an object, so no
//! bytes can ask for it. An object is named by its kind and its number or hash, not
//! by a path, so no bytes can name anything else. Each message has one accepted
//! encoding, what it holds is borrowed from the frame, and a frame's length is
//! within [`FRAME_BYTES_MAX`] before memory is taken for it.

mod fault;
mod object;

pub use fault::{Fault, Reason, shortened};
pub use object::{Area, Item, Object};

use crate::limits::{COMMIT_BYTES_MAX, SERVED_ITEMS_MAX, SERVED_READ_BYTES_MAX};
use crate::wire::{Builder, Cursor, LayoutError, ascending, within};

/// Begins what each side says first.
const MAGIC: &[u8; 8] = b"indserve";
/// The version of the protocol.
const VERSION: u16 = 1;
/// An object in a frame, bytes: a commit record is the largest there is.
pub const OBJECT_BYTES_MAX: usize = COMMIT_BYTES_MAX;
/// A frame without its length, bytes: an object, and what stands before it.
pub const FRAME_BYTES_MAX: usize = OBJECT_BYTES_MAX + 64;
/// Kind and number of a message.
const HEAD_BYTES: usize = 9;

/// The length of a frame from the four bytes before it, if it is within its limits.
pub fn frame_len(prefix: [u8; 4]) -> Result<usize, LayoutError> {
    let least = HEAD_BYTES;
    Cursor::new(&prefix).count32(least, FRAME_BYTES_MAX, "length of a frame")
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// Comes first, and once.
    Hello,
    /// To make what must exist before the first object.
    Prepare,
    /// To create an object.
    Put {
        /// Which one.
        object: Object,
        /// All its bytes.
        bytes: &'a [u8],
    },
    /// For bytes of an object, and its size. Fewer come where it ends.
    Read {
        /// Which one.
        object: Object,
        /// The first byte.
        offset: u64,
        /// At most so many, up to [`SERVED_READ_BYTES_MAX`].
        len: u32,
    },
    /// For what stands in an area, behind an item.
    List {
        /// Where.
        area: Area,
        /// The last item that the client has; none for the beginning.
        after: Option<Item>,
    },
    /// To keep an object from being removed until a time, in milliseconds since 1970.
    Extend {
        /// Which one.
        object: Object,
        /// Until when.
        until_ms: u64,
    },
    /// For until when an object is kept from being removed.
    Locked {
        /// Which one.
        object: Object,
    },
}

impl<'a> Request<'a> {
    /// The whole frame, with its length.
    pub fn frame(&self, number: u64) -> Vec<u8> {
        let (head, bytes) = self.frame_in_two(number);
        [&head, bytes].concat()
    }

    /// The frame, but for the bytes of an object that it ends with, and those: who sends
    /// one behind the other copies none.
    pub fn frame_in_two(&self, number: u64) -> (Vec<u8>, &'a [u8]) {
        let kind = match self {
            Self::Hello => 1,
            Self::Prepare => 2,
            Self::Put { .. } => 3,
            Self::Read { .. } => 4,
            Self::List { .. } => 5,
            Self::Extend { .. } => 6,
            Self::Locked { .. } => 7,
        };
        let mut out = head(kind, number);
        match self {
            Self::Hello => drop(out.bytes(MAGIC).u16(VERSION)),
            Self::Prepare => {}
            Self::Put { object, .. } | Self::Locked { object } => object.encode_to(&mut out),
            Self::Read {
                object,
                offset,
                len,
            } => {
                object.encode_to(&mut out);
                out.u64(*offset).u32(*len);
            }
            Self::List { area, after } => {
                out.u8(*area as u8);
                match after {
                    Some(item) => item.encode_to(&mut out),
                    None => drop(out.u8(0)),
                }
            }
            Self::Extend { object, until_ms } => {
                object.encode_to(&mut out);
                out.u64(*until_ms);
            }
        }
        let bytes: &[u8] = match *self {
            Self::Put { bytes, .. } => bytes,
            _ => &[],
        };
        (framed(out, bytes), bytes)
    }

    /// Reads a frame behind its length: the request and its number.
    pub fn decode(frame: &'a [u8]) -> Result<(u64, Self), LayoutError> {
        const FIELD: &str = "request";
        let mut cursor = Cursor::new(frame);
        let (kind, number) = (cursor.u8(FIELD)?, cursor.u64(FIELD)?);
        let request = match kind {
            1 => {
                greeting(&mut cursor)?;
                Self::Hello
            }
            2 => Self::Prepare,
            3 => Self::Put {
                object: Object::take(&mut cursor)?,
                bytes: cursor.rest(),
            },
            4 => Self::Read {
                object: Object::take(&mut cursor)?,
                offset: cursor.u64(FIELD)?,
                len: read_len(&mut cursor)?,
            },
            5 => Self::List {
                area: area(&mut cursor)?,
                after: match cursor.u8(FIELD)? {
                    0 => None,
                    tag => Some(Item::take(tag, &mut cursor)?),
                },
            },
            6 => Self::Extend {
                object: Object::take(&mut cursor)?,
                until_ms: cursor.u64(FIELD)?,
            },
            7 => Self::Locked {
                object: Object::take(&mut cursor)?,
            },
            found => return Err(unknown("kind of a request", found)),
        };
        cursor.finish(FIELD)?;
        Ok((number, request))
    }
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It created the object, durably.
    Created,
    /// The object has these bytes, durably.
    AlreadySame,
    /// The name is taken by other bytes.
    Conflict,
    /// The object may exist, or come to exist.
    Indeterminate(Fault),
}

/// How a page of a listing ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageEnd {
    /// There is more behind it.
    More,
    /// That was all.
    Complete,
    /// That was all that could be listed.
    Incomplete(Fault),
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// To a hello.
    Welcome {
        /// Whether the store itself lets only the first of several creators succeed.
        conditional_create: bool,
        /// Whether it locks objects.
        locks: bool,
    },
    /// It is done.
    Done,
    /// To a put.
    Put(Outcome),
    /// To a read.
    Bytes {
        /// The size of the object.
        size: u64,
        /// What was asked for, as far as it exists.
        bytes: &'a [u8],
    },
    /// To a list: items with the sizes of those that are objects, ascending, at most
    /// [`SERVED_ITEMS_MAX`]. A foreign one has size 0.
    Page {
        /// The items.
        items: Vec<(Item, u64)>,
        /// What comes behind them.
        end: PageEnd,
    },
    /// Until when an object is locked, in milliseconds since 1970, if it is: to a
    /// question for it, and to an extend, as it is now.
    Locked {
        /// The end of the lock.
        until_ms: Option<u64>,
    },
    /// It was not done.
    Fault(Fault),
}

impl<'a> Answer<'a> {
    /// The whole frame, with its length.
    pub fn frame(&self, number: u64) -> Vec<u8> {
        let (head, bytes) = self.frame_in_two(number);
        [&head, bytes].concat()
    }

    /// As of a [request](Request::frame_in_two).
    pub fn frame_in_two(&self, number: u64) -> (Vec<u8>, &'a [u8]) {
        let kind = match self {
            Self::Welcome { .. } => 0x81,
            Self::Done => 0x82,
            Self::Put(_) => 0x83,
            Self::Bytes { .. } => 0x84,
            Self::Page { .. } => 0x85,
            Self::Fault(_) => 0x86,
            Self::Locked { .. } => 0x87,
        };
        let mut out = head(kind, number);
        match self {
            Self::Welcome {
                conditional_create,
                locks,
            } => {
                out.bytes(MAGIC).u16(VERSION);
                out.u8(u8::from(*conditional_create) | u8::from(*locks) << 1);
            }
            Self::Done => {}
            Self::Put(Outcome::Created) => drop(out.u8(0)),
            Self::Put(Outcome::AlreadySame) => drop(out.u8(1)),
            Self::Put(Outcome::Conflict) => drop(out.u8(2)),
            Self::Put(Outcome::Indeterminate(fault)) => fault.encode_to(out.u8(3)),
            Self::Bytes { size, .. } => drop(out.u64(*size)),
            Self::Page { items, end } => {
                out.count16(items.len());
                for (item, size) in items {
                    item.encode_to(&mut out);
                    if let Item::Object(_) = item {
                        out.u64(*size);
                    }
                }
                match end {
                    PageEnd::More => drop(out.u8(0)),
                    PageEnd::Complete => drop(out.u8(1)),
                    PageEnd::Incomplete(fault) => fault.encode_to(out.u8(2)),
                }
            }
            Self::Locked { until_ms } => drop(out.u64(until_ms.unwrap_or(0))),
            Self::Fault(fault) => fault.encode_to(&mut out),
        }
        let bytes: &[u8] = match *self {
            Self::Bytes { bytes, .. } => bytes,
            _ => &[],
        };
        (framed(out, bytes), bytes)
    }

    /// Reads a frame behind its length: the answer and its request's number.
    pub fn decode(frame: &'a [u8]) -> Result<(u64, Self), LayoutError> {
        const FIELD: &str = "answer";
        let mut cursor = Cursor::new(frame);
        let (kind, number) = (cursor.u8(FIELD)?, cursor.u64(FIELD)?);
        let answer = match kind {
            0x81 => {
                greeting(&mut cursor)?;
                let flags = cursor.u8(FIELD)?;
                if flags > 3 {
                    return Err(LayoutError::Reserved { field: "welcome" });
                }
                Self::Welcome {
                    conditional_create: flags & 1 == 1,
                    locks: flags & 2 == 2,
                }
            }
            0x82 => Self::Done,
            0x83 => Self::Put(match cursor.u8(FIELD)? {
                0 => Outcome::Created,
                1 => Outcome::AlreadySame,
                2 => Outcome::Conflict,
                3 => Outcome::Indeterminate(Fault::take(&mut cursor)?),
                found => return Err(unknown("outcome of a put", found)),
            }),
            0x84 => read_bytes(&mut cursor)?,
            0x85 => page(&mut cursor)?,
            0x86 => Self::Fault(Fault::take(&mut cursor)?),
            0x87 => Self::Locked {
                until_ms: Some(cursor.u64(FIELD)?).filter(|&ms| ms != 0),
            },
            found => return Err(unknown("kind of an answer", found)),
        };
        cursor.finish(FIELD)?;
        Ok((number, answer))
    }
}

fn head(kind: u8, number: u64) -> Builder {
    let mut out = Builder::new();
    out.u32(0).u8(kind).u64(number);
    out
}

/// Puts the length where [`head`] left room for it, with that of the bytes that follow.
fn framed(mut out: Builder, bytes: &[u8]) -> Vec<u8> {
    let mut frame = out.finish();
    let len = frame.len() - 4 + bytes.len();
    assert!(len <= FRAME_BYTES_MAX, "what a message holds is bounded");
    let len = u32::try_from(len).expect("a frame is far shorter");
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame
}

fn greeting(cursor: &mut Cursor<'_>) -> Result<(), LayoutError> {
    cursor.magic(MAGIC, "hello")?;
    let version = cursor.u16("hello")?;
    let (found, most) = (version.into(), VERSION.into());
    within(found, most, most, "version of the protocol")
}

fn read_len(cursor: &mut Cursor<'_>) -> Result<u32, LayoutError> {
    let len = cursor.u32("request")?;
    within(
        len.into(),
        0,
        SERVED_READ_BYTES_MAX.into(),
        "length of a read",
    )?;
    Ok(len)
}

fn read_bytes<'a>(cursor: &mut Cursor<'a>) -> Result<Answer<'a>, LayoutError> {
    let size = cursor.u64("answer")?;
    let bytes = cursor.rest();
    within(bytes.len() as u64, 0, size, "length of a read")?;
    Ok(Answer::Bytes { size, bytes })
}

fn area(cursor: &mut Cursor<'_>) -> Result<Area, LayoutError> {
    let number = cursor.u8("request")?;
    let known = Area::ALL.get(usize::from(number)).copied();
    known.ok_or_else(|| unknown("area of a listing", number))
}

fn page<'a>(cursor: &mut Cursor<'_>) -> Result<Answer<'a>, LayoutError> {
    const FIELD: &str = "items of a listing";
    let count = cursor.count16(0, SERVED_ITEMS_MAX, FIELD)?;
    let (mut items, mut sizes) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let tag = cursor.u8(FIELD)?;
        let item = Item::take(tag, cursor)?;
        sizes.push(match item {
            Item::Object(_) => cursor.u64(FIELD)?,
            Item::Foreign(_) => 0,
        });
        items.push(item);
    }
    ascending(&items, FIELD)?;
    let end = match cursor.u8(FIELD)? {
        // A page that says nothing and promises more would never end.
        0 if items.is_empty() => return Err(LayoutError::NotCanonical { field: FIELD }),
        0 => PageEnd::More,
        1 => PageEnd::Complete,
        2 => PageEnd::Incomplete(Fault::take(cursor)?),
        found => return Err(unknown("end of a page", found)),
    };
    let items = items.into_iter().zip(sizes).collect();
    Ok(Answer::Page { items, end })
}

/// A text behind a `u16` length of 1 to `most`.
fn text<'a>(
    cursor: &mut Cursor<'a>,
    most: usize,
    field: &'static str,
) -> Result<&'a str, LayoutError> {
    let bytes = cursor.text16(field)?;
    within(bytes.len() as u64, 1, most as u64, field)?;
    std::str::from_utf8(bytes).map_err(|_| LayoutError::NotCanonical { field })
}

fn unknown(field: &'static str, found: u8) -> LayoutError {
    LayoutError::Unknown {
        field,
        found: found.into(),
    }
}
