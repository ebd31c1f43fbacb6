//! What can be typed to look into snapshots.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::SNAP_HELP;

/// List what a snapshot holds.
#[derive(Debug, Args)]
#[command(after_help = SNAP_HELP)]
pub(crate) struct Ls {
    /// Which snapshot.
    pub(crate) snap: String,
    /// A directory in it, or one entry [default: the top].
    pub(crate) path: Option<OsString>,
    /// Also what stands in directories, at any depth.
    #[arg(long, short = 'R', conflicts_with = "tables")]
    pub(crate) recursive: bool,
    /// List the tables of the dump at PATH, with their rows. PATH may be left out if
    /// there is only one dump.
    #[arg(long)]
    pub(crate) tables: bool,
}

/// Print a file of a snapshot, a part of one, or one table of a dump.
///
/// With --table, what is printed loads alone into an empty database: the dump's
/// settings, what the table needs, its definition, rows, indexes and constraints.
/// Foreign keys to other tables are left out and named on standard error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    indelible cat orders@2026-11-22 app.sql --table public.orders | psql -v ON_ERROR_STOP=1 fresh\n  \
    indelible cat @12 app.sql --range 0-99\n  \
    indelible cat orders app.sql --table orders --data-only > rows.sql")]
pub(crate) struct Cat {
    /// Which snapshot: NAME, NAME@2026-11-22, @12, id:3fa9.
    pub(crate) snap: String,
    /// Which file. It may be left out with --table if there is only one dump.
    #[arg(required_unless_present = "table")]
    pub(crate) path: Option<OsString>,
    /// These bytes alone, counted from 0, the last one included: 0-99, 100- for the
    /// rest, -100 for the last hundred.
    #[arg(
        long,
        value_name = "A-B",
        conflicts_with = "table",
        allow_hyphen_values = true
    )]
    pub(crate) range: Option<String>,
    /// One table of the dump, as SQL names it: orders, public.orders, \"Odd name\".
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// Of the table, its rows alone, as they stand in the dump.
    #[arg(long, requires = "table")]
    pub(crate) data_only: bool,
}

/// Say what differs between two snapshots: which entries, and which tables in a dump.
///
/// Found from lists of chunks and tables. NEW is what lies in chunks that the first
/// snapshot has not, GONE what lies in chunks that the second has not.
#[derive(Debug, Args)]
#[command(
    after_help = "Before a path stands + if it was added, - if it was removed, M if its content is another,\n\
    m if only its mode, owner or time is.\n\n\
Example:\n  \
    indelible diff orders@2026-11-21 orders@2026-11-22"
)]
pub(crate) struct Diff {
    /// The one snapshot: NAME, NAME@2026-11-22, @12, id:3fa9.
    #[arg(value_name = "A")]
    pub(crate) before: String,
    /// The other.
    #[arg(value_name = "B")]
    pub(crate) after: String,
}

/// Say in which snapshots a table stands, with its rows and size in each.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    indelible find orders")]
pub(crate) struct Find {
    /// The table, as SQL names it. Without a schema, tables of any schema are found.
    pub(crate) table: String,
    /// Only in snapshots with this NAME; `*` matches any sequence.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Show the snapshots as a file system that nobody can write to.
///
/// Nothing is unpacked: a read fetches and checks what it touches. New snapshots
/// appear by themselves. It ends with Ctrl-C, SIGTERM or `umount DIR`.
#[derive(Debug, Args)]
#[command(after_help = "Below DIR:\n  \
    by-name/NAME/latest/                  the newest snapshot of NAME\n  \
    by-name/NAME/2026-11-22T03:00:00Z/    one of a certain time, in UTC\n  \
    by-number/12/                         the same by its number in the log\n\n\
Examples:\n  \
    indelible mount /mnt/backups --background\n  \
    pg_restore -j 4 -d fresh /mnt/backups/by-name/orders/latest/orders.dump\n  \
    diff /mnt/backups/by-number/12/app.sql /mnt/backups/by-number/13/app.sql")]
pub(crate) struct Mount {
    /// An empty directory to mount on.
    pub(crate) dir: PathBuf,
    /// Go on in the background once it is mounted.
    #[arg(long)]
    pub(crate) background: bool,
    /// In the background, write what goes wrong to the end of this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Let other users in too, as owners and modes allow. By default, only who
    /// mounts sees anything.
    #[arg(long)]
    pub(crate) allow_other: bool,
    /// Is the process in the background.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}
