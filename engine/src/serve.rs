//! Serves a store to somebody who is to add to it and nothing else (SPEC 16).
//!
//! [`Guard`] is what such a client may do: it stands in front of the store, and takes
//! only objects that are what their names say, and log entries that count. [`session`]
//! speaks for any store with one client at the other end of two streams. Why it is
//! safe to let an enemy be that client:
//!
//! - Both hold an [`AppendStore`], which can neither overwrite nor remove, and no
//!   message asks for it.
//! - What is put is judged before it is created, by the same code that readers judge
//!   it with; so the log gets no junk, and no pack stands under another's name.
//! - A client makes the server hold a bounded number of frames of bounded length. The
//!   first one that is malformed or out of turn is the last.
//! - [`Quota`] bounds what an account stores, over all its connections and for good.
//!
//! Reading is allowed to every client: all is encrypted or signed, and who writes must
//! read the log, directories, and what changed chunks lean on.

mod guard;
mod quota;
mod session;

pub use guard::{Guard, LockLimit, Refusal, ServeTerms};
pub use quota::{OBJECT_CHARGE_BYTES_MIN, Quota};
pub use session::{SessionError, session};

use std::io::{Read, Write};

use crate::store::AppendStore;

/// Serves one client until it hangs up, on these terms.
///
/// # Errors
///
/// [`SessionError`]: it did not hang up properly. What it put is put.
pub fn serve(
    store: &dyn AppendStore,
    terms: ServeTerms,
    input: &mut (dyn Read + Send),
    output: &mut (dyn Write + Send),
) -> Result<(), SessionError> {
    session(&Guard::new(store, terms), input, output)
}
