//! What the fuzz targets run: the codecs and the fixture of the format's tests, and the
//! engine on dumps.

#![allow(dead_code, reason = "the fixture serves other tests too")]

#[path = "../../repo-format/tests/it/codecs.rs"]
mod codecs;
#[path = "../../repo-format/tests/it/fixture.rs"]
mod fixture;
#[path = "../../repo-format/tests/it/frame.rs"]
mod frame;
mod logs;
#[path = "../../repo-format/tests/it/sealed.rs"]
mod sealed;
mod sql;

pub use logs::{history, resigned};
pub use sql::sql_dump;

/// Decodes bytes, and panics if what is accepted has another encoding.
pub fn codec(name: &str, data: &[u8]) {
    codecs::check(name, data);
}
