//! What `indelible key` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Make, list and check keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    Add(KeyAdd),
    /// List the keys that the log knows.
    List,
    /// Say what a key file may do, and prove what it can't.
    Check {
        /// The key file.
        file: PathBuf,
    },
    Revoke(KeyRevoke),
    Rotate(KeyRotate),
}

/// Make a key and write it to a file.
///
/// Takes a key with the admin right, such as the recovery passphrase. A host
/// that makes backups should hold a write key: it can add snapshots, and can
/// neither read nor delete any, its own included.
#[derive(Debug, Args)]
pub(crate) struct KeyAdd {
    /// What the key may do, separated by commas.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        required = true,
        value_name = "RIGHT,..."
    )]
    pub(crate) rights: Vec<Right>,
    /// NAMEs that a write key may write, separated by commas; `*` matches any
    /// sequence.
    #[arg(long, value_delimiter = ',', value_name = "PATTERN,...")]
    pub(crate) names: Vec<String>,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// What to call the key in lists [default: the name of the file].
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// When it ends to be valid: a date, or a span such as 90d or 1y.
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<String>,
    /// Hosts with this write key remember no key of a pack that they wrote: who takes
    /// one over can read nothing that it stored. Changed chunks are then stored whole.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Take a key's rights away, for ever.
///
/// Takes a key with the admin right. What the key signed before stays valid, unless
/// --distrust-from says that it may have been stolen already: from that entry on its
/// snapshots are refused, and keys that it made fall with it. What it could read it
/// may have read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    indelible key revoke orders                      a key that is not needed any more\n  \
    indelible key revoke orders --distrust-from 812  one that was stolen before entry 812\n\n\
`indelible key list` shows keys and `indelible log show` what they signed.")]
pub(crate) struct KeyRevoke {
    /// The key: its label, the beginning of its id, or @12 for the one that entry 12
    /// authorised.
    pub(crate) key: String,
    /// Distrust what it signed from this entry of the log on.
    #[arg(long, value_name = "ENTRY")]
    pub(crate) distrust_from: Option<u64>,
}

/// Seal all that is written from now on to new keys.
///
/// Takes a key with every right, such as the recovery passphrase. Every key that is
/// neither revoked nor expired gets its part, sealed to it in the log: no key file
/// changes. What was written before is not sealed anew, and whoever could read it still
/// can.
#[derive(Debug, Args)]
#[command(after_help = "After a theft:\n  \
    indelible key revoke restorer                    first, so that it gets no part\n  \
    indelible key rotate\n\n\
`indelible key list` shows the newest epoch of which each key has a part.")]
pub(crate) struct KeyRotate {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Right {
    /// Add snapshots.
    Write,
    /// Check everything but contents.
    Verify,
    /// Read contents. Includes verify.
    Restore,
    /// Make and revoke keys. Includes verify.
    Admin,
}
