//! What a reader borrows from its caller, or has a share in if it outlives them.

use std::ops::Deref;
use std::sync::Arc;

pub(super) enum Held<'h, T: ?Sized> {
    Borrowed(&'h T),
    Shared(Arc<T>),
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(held) => held,
            Self::Shared(held) => held,
        }
    }
}

impl<'h, T: ?Sized> From<&'h T> for Held<'h, T> {
    fn from(held: &'h T) -> Self {
        Self::Borrowed(held)
    }
}

impl<T: ?Sized> From<Arc<T>> for Held<'_, T> {
    fn from(held: Arc<T>) -> Self {
        Self::Shared(held)
    }
}
