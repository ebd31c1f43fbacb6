//! Keys, areas and errors of stores, as messages between a client and a server have
//! them (SPEC 16).

use std::error::Error;
use std::io::{self, Read};

use indelible_format::protocol::{self, Fault, Object, Reason, frame_len};
use indelible_format::wire::LayoutError;

use super::{Area, ErrorClass, ObjectKey, StoreError};

/// The next frame without its length; `None` where the stream ends before one. Memory
/// is taken as its bytes come.
///
/// # Errors
///
/// The stream's, or inside that its length is none.
pub(crate) fn read_frame(
    input: &mut impl Read,
) -> io::Result<Option<Result<Vec<u8>, LayoutError>>> {
    let mut prefix = Vec::new();
    input.by_ref().take(4).read_to_end(&mut prefix)?;
    let prefix = match prefix.try_into() {
        Ok(prefix) => prefix,
        Err(cut) if Vec::<u8>::is_empty(&cut) => return Ok(None),
        Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let len = match frame_len(prefix) {
        Ok(len) => len,
        Err(error) => return Ok(Some(Err(error))),
    };
    let mut frame = Vec::new();
    input.by_ref().take(len as u64).read_to_end(&mut frame)?;
    if frame.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Ok(frame)))
}

/// How messages name an object.
pub(crate) fn object_of(key: &ObjectKey) -> Object {
    match *key {
        ObjectKey::Repository => Object::Repository,
        ObjectKey::Log(number) => Object::Log(number),
        ObjectKey::Record(id) => Object::Record(id),
        ObjectKey::Pack(id) => Object::Pack(id),
        ObjectKey::Bundle(number) => Object::Bundle(number),
    }
}

/// The object that a message names.
pub(crate) fn key_of(object: &Object) -> ObjectKey {
    match *object {
        Object::Repository => ObjectKey::Repository,
        Object::Log(number) => ObjectKey::Log(number),
        Object::Record(id) => ObjectKey::Record(id),
        Object::Pack(id) => ObjectKey::Pack(id),
        Object::Bundle(number) => ObjectKey::Bundle(number),
    }
}

/// How messages name an area.
pub(crate) fn served_area(area: Area) -> protocol::Area {
    match area {
        Area::Packs => protocol::Area::Packs,
        Area::Records => protocol::Area::Records,
        Area::Log => protocol::Area::Log,
        Area::Bundles => protocol::Area::Bundles,
    }
}

/// The area that a message names.
pub(crate) fn area_of(area: protocol::Area) -> Area {
    match area {
        protocol::Area::Packs => Area::Packs,
        protocol::Area::Records => Area::Records,
        protocol::Area::Log => Area::Log,
        protocol::Area::Bundles => Area::Bundles,
    }
}

/// What a server says of an error, with what caused it.
pub(crate) fn fault_of(error: &StoreError) -> Fault {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let reason = match (error, error.class()) {
        (StoreError::NotRegular { .. }, _) => Reason::NotRegular,
        (_, ErrorClass::NotFound) => Reason::NotFound,
        (_, ErrorClass::NoRepository) => Reason::NoRepository,
        (_, ErrorClass::Unreachable) => Reason::Unreachable,
        (_, ErrorClass::PermissionDenied) => Reason::PermissionDenied,
        (_, ErrorClass::NoSpace) => Reason::NoSpace,
        (_, ErrorClass::ReadOnly) => Reason::ReadOnly,
        (_, ErrorClass::Unsupported) => Reason::Unsupported,
        (_, ErrorClass::Doubtful) => Reason::Doubtful,
        (_, ErrorClass::Refused) => Reason::Refused,
        (_, ErrorClass::Malformed | ErrorClass::Other) => Reason::Other,
    };
    Fault::new(reason, &message)
}

/// The error that a server's answer about an object stands for.
pub(crate) fn error_of(fault: &Fault, key: Option<&ObjectKey>, location: &str) -> StoreError {
    let class = match (fault.reason(), key) {
        (Reason::NotFound, Some(key)) => return StoreError::NotFound { key: *key },
        (Reason::NotRegular, Some(key)) => return StoreError::NotRegular { key: *key },
        (Reason::NoRepository, _) => ErrorClass::NoRepository,
        (Reason::Unreachable, _) => ErrorClass::Unreachable,
        (Reason::PermissionDenied, _) => ErrorClass::PermissionDenied,
        (Reason::NoSpace, _) => ErrorClass::NoSpace,
        (Reason::ReadOnly, _) => ErrorClass::ReadOnly,
        (Reason::Unsupported, _) => ErrorClass::Unsupported,
        (Reason::Doubtful, _) => ErrorClass::Doubtful,
        (Reason::Refused, _) => ErrorClass::Refused,
        (Reason::NotFound | Reason::NotRegular | Reason::Malformed | Reason::Other, _) => {
            ErrorClass::Other
        }
    };
    StoreError::Served {
        location: location.to_owned(),
        class,
        message: fault.message().to_owned(),
    }
}
