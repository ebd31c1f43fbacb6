//! What can be typed. What it means is decided by the commands.

mod key;
mod limits;
mod look;
mod probe;
mod retain;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use key::{Key, KeyAdd, KeyRevoke, Right};
pub(crate) use limits::Limited;
pub(crate) use look::{Cat, Diff, Find, Ls, Mount};
pub(crate) use probe::Probe;
pub(crate) use retain::{
    Immutable, Locking, Retain, RetainFor, RetainHold, RetainPromise, RetainShow,
};
pub(crate) use serve::Serve;

/// Immutable, deduplicating, encrypted backups of SQL database dumps.
///
/// Every snapshot costs like an incremental and restores alone, like a full.
/// Nothing that was written is ever changed, and a host that writes backups can
/// neither delete nor read them.
#[derive(Debug, Parser)]
#[command(
    name = "indelible",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(
    after_help = "Begin with `indelible demo`, or with `indelible init`.\n\
    Exit codes: 0 done, 1 failed, 2 usage, 4 source failed and nothing committed, 10 no repository,\n\
    12 wrong key or right missing, 13 store unreachable, 14 already there, 20 integrity failure,\n\
    21 rollback or fork, 22 locked shorter than promised, 23 object missing, 24 policy unmet, 25 outcome unknown, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Where the repository is: a directory, `ssh://USER@HOST/PATH`, or
    /// `s3://bucket/prefix`.
    #[arg(
        long,
        short = 'r',
        global = true,
        env = "INDELIBLE_REPO",
        value_name = "PLACE"
    )]
    pub(crate) repo: Option<String>,
    /// Open the repository with this key file. It beats a passphrase.
    #[arg(
        long,
        short = 'k',
        global = true,
        env = "INDELIBLE_KEY_FILE",
        value_name = "FILE"
    )]
    pub(crate) key_file: Option<PathBuf>,
    /// Read the passphrase from the first line of this file.
    #[arg(
        long,
        global = true,
        env = "INDELIBLE_PASSPHRASE_FILE",
        value_name = "FILE"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line that this shell command prints.
    #[arg(
        long,
        global = true,
        env = "INDELIBLE_PASSPHRASE_COMMAND",
        hide_env_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) passphrase_command: Option<String>,
    /// Where this machine keeps what it knows of repositories
    /// [default: indelible in the XDG state directory].
    #[arg(long, global = true, env = "INDELIBLE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limited: Limited,
    /// Print one JSON object a line for programs to read.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only.
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
    /// Show no progress, also on a terminal.
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Init),
    #[command(subcommand)]
    Key(Key),
    #[command(visible_alias = "backup")]
    Snapshot(Snapshot),
    #[command(visible_alias = "snapshots")]
    List(List),
    Ls(Ls),
    Cat(Cat),
    Diff(Diff),
    Find(Find),
    Restore(Restore),
    Mount(Mount),
    Verify(Verify),
    #[command(subcommand)]
    Log(Log),
    #[command(subcommand)]
    Retain(Retain),
    Mirror(Mirror),
    Probe(Probe),
    Checkpoint(Checkpoint),
    Serve(Serve),
    Demo(Demo),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version,
}

/// Make a repository and print its recovery sheet.
///
/// A passphrase of 100 bits is drawn, unless one is given, and shown with the
/// repository's id before anything is created. It has every right and is the
/// only way back if all key files are lost: print it, and keep it away from the
/// hosts that are backed up.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Ask for a passphrase on the terminal instead of drawing one.
    #[arg(long)]
    pub(crate) ask_passphrase: bool,
    /// Write the recovery sheet to this file too; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub(crate) sheet: Option<PathBuf>,
    /// Memory for deriving a key from the passphrase, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) derivation_memory: u32,
    /// Promise that snapshots stay for so long, such as 35d or 1y, and have the store
    /// lock them. PATTERN=SPAN promises it to some NAMEs. May be given several times.
    #[arg(long, value_name = "[PATTERN=]SPAN")]
    pub(crate) retain: Vec<RetainFor>,
    #[command(flatten)]
    pub(crate) locking: Locking,
    /// How a directory keeps the promise.
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        requires = "retain",
        conflicts_with = "lock"
    )]
    pub(crate) immutable: Option<Immutable>,
}

/// Look at the log.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    Show(LogShow),
}

/// List the log's entries: who signed what, and what has no effect.
///
/// Takes no key. With one that may verify, NAMEs and labels are shown too.
#[derive(Debug, Args)]
pub(crate) struct LogShow {
    /// Begin with this entry.
    #[arg(long, value_name = "ENTRY", default_value_t = 0)]
    pub(crate) from: u64,
    /// Show so many of the last entries only.
    #[arg(long, value_name = "COUNT", conflicts_with = "from")]
    pub(crate) last: Option<u64>,
}

/// Store files, a stream, or what a dump command prints.
///
/// A command that fails, is killed or prints nothing leaves no snapshot, and
/// this program exits with 4.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    indelible snapshot orders /var/dumps/orders.sql\n  \
    indelible snapshot orders -- pg_dump --format=plain orders\n  \
    indelible snapshot orders --cmd globals.sql='pg_dumpall -g' --cmd orders.sql='pg_dump orders'\n  \
    mariadb-dump shop | indelible snapshot shop --stdin --filename shop.sql")]
pub(crate) struct Snapshot {
    /// What the series is called: letters, digits, `.`, `_`, `-`.
    pub(crate) name: String,
    /// Files and directories. Each is stored under its last component.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Store a PATH under another name.
    #[arg(long = "as", value_name = "STORED=PATH")]
    pub(crate) renamed: Vec<OsString>,
    /// Store standard input.
    #[arg(long, conflicts_with_all = ["paths", "renamed", "commands", "command"])]
    pub(crate) stdin: bool,
    /// What to store standard input, or the one command's output, as
    /// [default: NAME].
    #[arg(long, value_name = "STORED")]
    pub(crate) filename: Option<OsString>,
    /// Store what a shell command prints. May be given several times.
    #[arg(long = "cmd", value_name = "STORED=COMMAND", conflicts_with_all = ["paths", "renamed", "command", "filename"])]
    pub(crate) commands: Vec<OsString>,
    /// A label to keep with the snapshot. May be given several times.
    #[arg(long = "label", value_name = "TEXT")]
    pub(crate) labels: Vec<String>,
    /// The host's name to note [default: this host's].
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Level of zstd for what is new: more is smaller and slower.
    #[arg(long, value_name = "1..19", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub(crate) level: i32,
    /// Store a changed chunk as what differs from its last versions. Off, each is
    /// stored whole, and no key of a pack is kept on this host to read them with.
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub(crate) delta: Toggle,
    /// For a repository that is slow, or takes money for reading: keep copies of its
    /// packs on this host, as encrypted as they are there, so many bytes of them at most,
    /// such as 2GiB. What changed chunks are compared with is then read here. 0 removes
    /// them [default: those that are there stay, and are not used].
    #[arg(long, env = "INDELIBLE_KEEP_PACKS", value_name = "SIZE")]
    pub(crate) keep_packs: Option<ByteSize>,
    /// Leave locking what the repository promises to keep to another host, which runs
    /// `indelible retain extend`.
    #[arg(long)]
    pub(crate) no_lock: bool,
    /// A dump command, run without a shell, whose output is stored.
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["paths", "renamed"])]
    pub(crate) command: Vec<OsString>,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Toggle {
    On,
    Off,
}

/// List snapshots.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those with this NAME; `*` matches any sequence.
    pub(crate) name: Option<String>,
}

/// Which snapshot is meant: for every command that takes one.
const SNAP_HELP: &str = "SNAP is one of:\n  \
    NAME or NAME@latest       the newest with this NAME\n  \
    NAME@2026-11-22           the newest of that day or before (also NAME@2026-11-22T03:00)\n  \
    @12                       entry 12 of the log\n  \
    id:3fa9                   the one whose id begins so\n  \
    latest                    the newest, if there is one NAME only";

/// Write a snapshot back, in whole or in part.
#[derive(Debug, Args)]
#[command(after_help = SNAP_HELP)]
pub(crate) struct Restore {
    /// Which snapshot.
    pub(crate) snap: String,
    /// What to restore [default: everything].
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
    /// Restore below this directory, which is made if it is absent.
    #[arg(
        long,
        short = 't',
        value_name = "DIR",
        required_unless_present = "stdout",
        conflicts_with = "stdout"
    )]
    pub(crate) target: Option<PathBuf>,
    /// Write one file to standard output.
    #[arg(long)]
    pub(crate) stdout: bool,
    /// Replace files that exist.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Restore what is intact around damage, and name each hole. A file with
    /// holes gets its name with `.salvaged` behind.
    #[arg(long)]
    pub(crate) salvage: bool,
    /// Go on with a restore into this directory that ended early: what is there
    /// and right is kept.
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) resume: bool,
    /// Say what the restore needs and writes, and do nothing.
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) plan: bool,
    /// Restore although the log was rolled back or forked.
    #[arg(long)]
    pub(crate) accept_rollback: bool,
    /// Restore a snapshot that readers refuse, named by number or id.
    #[arg(long)]
    pub(crate) accept_refused: bool,
}

/// Prove that the repository is whole.
///
/// Reports every problem, a line each, with the snapshots that it harms and what
/// to do. What was not read is not called sound.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    indelible verify                                        everything that the key allows\n  \
    indelible verify --level tree --sample 5% --max-time 30m\n  \
    indelible verify --pin repository.pin --require-pin --update-pin --report verify.xml")]
pub(crate) struct Verify {
    /// How deep [default: as deep as the key allows].
    #[arg(long, value_enum)]
    pub(crate) level: Option<VerifyLevel>,
    /// Read packs with this share of all bytes, drawn anew each time: 0 to 100,
    /// such as 10% or 0.5% [default: 100%].
    #[arg(long, value_name = "N%")]
    pub(crate) sample: Option<String>,
    /// Begin no further pack after so long, such as 30m or 2h, and decode no further
    /// deltas. Packs are then taken in random order.
    #[arg(long, value_name = "SPAN")]
    pub(crate) max_time: Option<String>,
    /// Read every pack at the level packs too. Without it, a pack in S3 is left unread there
    /// if the store keeps the SHA-256 that the log lists: that is the store's word, and the
    /// report says for how much.
    #[arg(long)]
    pub(crate) download: bool,
    /// Compare the log with what this file pins: what `indelible checkpoint`
    /// prints, or what --update-pin wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) pin: Option<PathBuf>,
    /// Fail if there is no pin file, with exit code 24.
    #[arg(long, requires = "pin")]
    pub(crate) require_pin: bool,
    /// Write the pin file anew if nothing is wrong.
    #[arg(long, requires = "pin")]
    pub(crate) update_pin: bool,
    /// Remember that you looked at these void log entries: the very same junk is
    /// no problem any more. Numbers, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub(crate) accept_void: Vec<u64>,
    /// Write a JUnit report to this file, also if the verification fails.
    #[arg(long, value_name = "FILE.xml")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyLevel {
    /// The log, and every pack's bytes against its name, or in S3 the checksum that the
    /// store keeps of them. Needs no key.
    Packs,
    /// That, every snapshot's tree, and that all it names exists. Needs verify.
    Tree,
    /// That, and every stored chunk, decoded, against its id. Needs restore.
    Data,
}

/// Copy what another place lacks of the repository. Takes no key.
///
/// The copy is a repository of its own right: it lists, verifies and restores. Packs
/// are checked against their names on the way. With --lock, or in a directory with flags,
/// what is locked in the original is locked in the copy for as long. A copy whose log is no beginning of the
/// repository's is not touched, and the command exits with 21: one of the two was
/// rolled back or forked.
#[derive(Debug, Args)]
#[command(
    after_help = "Example, from a timer on a machine that the database host can't reach:\n  \
    indelible mirror --repo /mnt/backup/repository /media/disk/repository"
)]
pub(crate) struct Mirror {
    /// Where the copy is, or is to be made.
    pub(crate) dest: String,
    #[command(flatten)]
    pub(crate) locking: Locking,
}

/// Print the signed size and root of the log, to be kept elsewhere.
///
/// The form is a C2SP tlog-checkpoint in a signed note: keep it where the store's
/// owner can't reach, and a rollback or a fork can be proven later.
#[derive(Debug, Args)]
pub(crate) struct Checkpoint {
    /// Print the key with which others verify this repository's checkpoints made
    /// with this key.
    #[arg(long)]
    pub(crate) verifier_key: bool,
}

/// See it work on a sample database, from init to restore.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep everything in this directory, which must be empty or absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}
