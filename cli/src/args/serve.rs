//! What `indelible serve` takes.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

use crate::when::KeptFor;

/// Serve a repository to a host that may add to it, and nothing else.
///
/// Run by ssh at the other end of `ssh://USER@HOST/PATH`. Nothing can be overwritten or
/// removed through it: packs are created under the hash of their bytes, and log entries
/// only if they count. All that is stored is encrypted, so clients may read it. Takes
/// no key.
#[derive(Debug, Args)]
#[command(
    after_help = "In ~/.ssh/authorized_keys of an account that hosts may not log in to otherwise, one line for\n\
each host:\n  \
    restrict,command=\"indelible serve --stdio --append-only /srv/repository --account db1\n  \
    --max-bytes 500GiB\" ssh-ed25519 AAAA... db1\n\n\
The directory is made beforehand; `indelible init --repo ssh://USER@HOST/srv/repository`\n\
then makes the repository in it."
)]
pub(crate) struct Serve {
    /// Speak on standard input and output.
    #[arg(long, required = true)]
    pub(crate) stdio: bool,
    /// The directory of the repository. It must exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) append_only: PathBuf,
    /// What this account may store over all its connections, such as 500GiB. It is
    /// counted in DIR/accounts.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<ByteSize>,
    /// For how long from now on this account may lock what is stored, where the directory
    /// can lock. Allow 30 days more than is promised, so that few locks have to be made
    /// longer each night; what is promised is enough.
    #[arg(long, value_name = "SPAN", default_value = "400d")]
    pub(crate) max_lock: KeptFor,
    /// On whose account it is counted.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) account: String,
}
