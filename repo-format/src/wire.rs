//! The primitive encodings (SPEC 1.2): fixed-width little-endian integers,
//! arrays and length-prefixed bytes.
//!
//! [`Cursor`] never reads beyond its slice and never allocates: it hands out
//! sub-slices, and what a length claims is checked against the bytes that are
//! left. [`Cursor::finish`] refuses trailing bytes, which makes the encodings
//! built on it unique. [`Builder`] can only fail by our own mistake, so it
//! asserts.

/// Why bytes are not laid out as the SPEC says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The bytes end before the field does.
    #[error("{field} is cut short")]
    Truncated {
        /// What was being read.
        field: &'static str,
    },
    /// More bytes stand where the value should end.
    #[error("{count} bytes too many behind {field}")]
    Trailing {
        /// What was being read.
        field: &'static str,
        /// How many bytes are left.
        count: usize,
    },
    /// The magic number is another one.
    #[error("{field} does not begin with its magic number")]
    Magic {
        /// What was being read.
        field: &'static str,
    },
    /// A bit or field that must be zero is not.
    #[error("{field}: a reserved bit is set")]
    Reserved {
        /// What was being read.
        field: &'static str,
    },
    /// A count, length or parameter lies outside its limits (SPEC 11).
    #[error("{field} is {found}, outside of {least} to {most}")]
    OutOfBounds {
        /// What was being read.
        field: &'static str,
        /// The value found.
        found: u64,
        /// The least that is allowed.
        least: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// A sorted table is not strictly ascending.
    #[error("{field} does not ascend")]
    NotAscending {
        /// What was being read.
        field: &'static str,
    },
    /// A number names no variant.
    #[error("{field} is {found}, which names nothing")]
    Unknown {
        /// What was being read.
        field: &'static str,
        /// The value found.
        found: u64,
    },
    /// The value has another, canonical encoding, or contradicts a neighbour.
    #[error("{field} is not in its one accepted form")]
    NotCanonical {
        /// What was being read.
        field: &'static str,
    },
    /// A required part is absent.
    #[error("{field} is missing")]
    Missing {
        /// What is absent.
        field: &'static str,
    },
}

/// Reads a slice from its front.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    left: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Begins at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Takes the next `count` bytes.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], LayoutError> {
        let (head, tail) = self
            .left
            .split_at_checked(count)
            .ok_or(LayoutError::Truncated { field })?;
        self.left = tail;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], LayoutError> {
        let (head, tail) = self
            .left
            .split_first_chunk()
            .ok_or(LayoutError::Truncated { field })?;
        self.left = tail;
        Ok(*head)
    }

    /// Takes all bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// Takes a `u8`.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, LayoutError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    /// Takes a `u16`.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, LayoutError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    /// Takes a `u32`.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, LayoutError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// Takes a `u64`.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, LayoutError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// Takes an `i64`.
    pub fn i64(&mut self, field: &'static str) -> Result<i64, LayoutError> {
        Ok(i64::from_le_bytes(self.array(field)?))
    }

    /// Takes bytes behind a `u8` length.
    pub fn text8(&mut self, field: &'static str) -> Result<&'a [u8], LayoutError> {
        let len = self.u8(field)?;
        self.take(usize::from(len), field)
    }

    /// Takes bytes behind a `u16` length.
    pub fn text16(&mut self, field: &'static str) -> Result<&'a [u8], LayoutError> {
        let len = self.u16(field)?;
        self.take(usize::from(len), field)
    }

    /// Takes bytes behind a `u32` length of at most `most`.
    pub fn text32(&mut self, most: usize, field: &'static str) -> Result<&'a [u8], LayoutError> {
        let len = self.count32(0, most, field)?;
        self.take(len, field)
    }

    /// Takes a `u16` count within bounds.
    pub fn count16(
        &mut self,
        least: usize,
        most: usize,
        field: &'static str,
    ) -> Result<usize, LayoutError> {
        let found = usize::from(self.u16(field)?);
        within(found as u64, least as u64, most as u64, field)?;
        Ok(found)
    }

    /// Takes a `u32` count within bounds.
    pub fn count32(
        &mut self,
        least: usize,
        most: usize,
        field: &'static str,
    ) -> Result<usize, LayoutError> {
        let found = u64::from(self.u32(field)?);
        within(found, least as u64, most as u64, field)?;
        // `most` is a usize, so whatever lies within it fits one.
        Ok(usize::try_from(found).expect("bounded by a usize"))
    }

    /// Takes exactly these bytes.
    pub fn magic(&mut self, magic: &[u8], field: &'static str) -> Result<(), LayoutError> {
        if self.take(magic.len(), field)? == magic {
            Ok(())
        } else {
            Err(LayoutError::Magic { field })
        }
    }

    /// Refuses bytes that are left over.
    pub fn finish(self, field: &'static str) -> Result<(), LayoutError> {
        match self.left.len() {
            0 => Ok(()),
            count => Err(LayoutError::Trailing { field, count }),
        }
    }
}

/// Refuses a number outside of `least..=most`.
pub fn within(found: u64, least: u64, most: u64, field: &'static str) -> Result<(), LayoutError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(LayoutError::OutOfBounds {
            field,
            found,
            least,
            most,
        })
    }
}

/// Refuses a list that is not strictly ascending.
pub fn ascending<T: Ord>(list: &[T], field: &'static str) -> Result<(), LayoutError> {
    if list.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(LayoutError::NotAscending { field })
    }
}

/// Builds an encoding from its front.
#[derive(Debug, Default)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// An empty encoding.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a `u8`.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a `u16`.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a `u32`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a `u64`.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends an `i64`.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a count as `u16`. Panics if it does not fit.
    pub fn count16(&mut self, count: usize) -> &mut Self {
        self.u16(u16::try_from(count).expect("count was bounded by its limit"))
    }

    /// Appends a count as `u32`. Panics if it does not fit.
    pub fn count32(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("count was bounded by its limit"))
    }

    /// Appends bytes behind a `u8` length. Panics if there are more than 255.
    pub fn text8(&mut self, bytes: &[u8]) -> &mut Self {
        self.u8(u8::try_from(bytes.len()).expect("length was bounded by its limit"));
        self.bytes(bytes)
    }

    /// Appends bytes behind a `u16` length. Panics if they are too many.
    pub fn text16(&mut self, bytes: &[u8]) -> &mut Self {
        self.count16(bytes.len());
        self.bytes(bytes)
    }

    /// Appends bytes behind a `u32` length. Panics if they are too many.
    pub fn text32(&mut self, bytes: &[u8]) -> &mut Self {
        self.count32(bytes.len());
        self.bytes(bytes)
    }

    /// The encoding.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
