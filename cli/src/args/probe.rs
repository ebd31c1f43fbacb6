//! What `indelible probe` takes.

use clap::Args;

use super::retain::LockKind;
use crate::when::KeptFor;

/// Try what a thief of these credentials could do to the storage.
///
/// Puts canaries beside the repository's objects, locked for some minutes where the storage
/// locks, and really tries to delete, overwrite, hide, rename and unlock them with the
/// credentials at hand. Nothing of the repository is touched, and no key is needed. What
/// is locked of the canaries stays until its lock ends, below `canary/`.
///
/// Exits with 24 if anything was done that changes what was stored.
#[derive(Debug, Args)]
#[command(
    after_help = "Run it with the credentials of a host that writes backups, and once with those\n\
of whoever administers the storage."
)]
pub(crate) struct Probe {
    /// How canaries are locked in S3.
    #[arg(long, value_enum, value_name = "KIND", default_value = "compliance")]
    pub(crate) lock: LockKind,
    /// Try to lock a canary, or the first entry of a log behind ssh, for so long. Nobody may
    /// be able to undo that.
    #[arg(long, value_name = "SPAN")]
    pub(crate) over_lock: Option<KeptFor>,
}
