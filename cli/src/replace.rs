//! Replaces a file whole: whoever reads it finds the old bytes or the new ones,
//! whatever becomes of this process or the machine.
//!
//! The bytes are written under another name in the same directory, synced, and
//! renamed into place; then the directory is synced. A failure leaves the old
//! file and nothing else.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Replaces a file, or makes it, with the permissions that this user's new files
/// have.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parent.unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new()
        .prefix(".indelible-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|failed| failed.error)?;
    File::open(dir)?.sync_all()
}
