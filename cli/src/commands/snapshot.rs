//! `indelible snapshot`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use indelible_engine::snapshot::{self, CommandInput, Input, Request, SnapshotRunError, Summary};
use indelible_engine::source::{self, CommandSpec, Item, NamedPath, Stderr};
use indelible_format::history::Continuity;
use indelible_format::manifest::Source;
use indelible_format::name::Name;
use indelible_format::rights::Rights;
use serde_json::json;

use crate::args::{Snapshot, Toggle};
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::progress::Bars;
use crate::stdin::{self, Stdin};

pub(crate) fn run(context: &Context, args: Snapshot) -> Result<Exit, Failure> {
    let name = Name::new(args.name.as_bytes()).map_err(|error| {
        Failure::usage(format!("{:?} is no NAME: {error}", args.name))
            .hint("a NAME is what the series is called, such as orders; the PATH comes behind it")
    })?;
    let request = Request {
        name,
        host: Some(args.host.clone().unwrap_or_else(host_name)),
        labels: args.labels.clone(),
        source: describe_source(&args),
        program: Some(concat!("indelible ", env!("CARGO_PKG_VERSION")).to_owned()),
        level: args.level,
        delta: args.delta == Toggle::On,
        keep_packs: args.keep_packs.map(|size| size.as_u64()),
        lock: !args.no_lock,
    };
    // What can't be read is found before the repository is opened, and so
    // before a passphrase is asked for.
    let (stdin, interrupter) = stdin::interruptible();
    let input = input(context, args, stdin)?;
    let store = context.store()?;
    let mut repository = context.open(&store)?;
    warn_of_rights(context, &repository);
    warn_of_epoch(context, &repository);
    let contradicts = matches!(
        repository.continuity(),
        Continuity::Behind { .. } | Continuity::Forked { .. }
    );
    let cancel = interrupt::on_signals_also(move || interrupter.interrupt())?;
    let ran = {
        let bars = Bars::new(context);
        snapshot::run(&mut repository, &request, input, &cancel, &bars)
    };
    let summary = ran.map_err(|error| match error {
        // An interrupted stream is not a source that failed.
        SnapshotRunError::Stream { .. } if cancel.is_requested() => SnapshotRunError::Interrupted,
        error => error,
    })?;
    report(context, &request.name, &summary);
    // The snapshot is safe, and the operator must hear of the log all the same.
    if let Some(short) = &summary.locked.short {
        let failure = Failure::of(Exit::ShortLock, &**short)
            .context("the snapshot was taken, and is not locked for as long as promised")
            .hint("give the host credentials that may lock, or run `indelible retain extend` elsewhere and `snapshot --no-lock` here");
        output::warn_failure(context, &failure);
    }
    Ok(if contradicts {
        Exit::Rollback
    } else if summary.locked.short.is_some() {
        Exit::ShortLock
    } else {
        Exit::Done
    })
}

fn input(context: &Context, args: Snapshot, stdin: Stdin) -> Result<Input, Failure> {
    let stored = args
        .filename
        .map_or_else(|| args.name.clone().into_bytes(), OsString::into_vec);
    if args.stdin {
        let path = source::stream_path(stored)?;
        return Ok(Input::Items(vec![Item::Stream {
            path,
            reader: Box::new(stdin),
        }]));
    }
    if !args.command.is_empty() {
        let command = CommandSpec::Argv(args.command);
        return Ok(Input::Commands(vec![CommandInput {
            path: stored,
            command,
            stderr: Stderr::Inherit,
        }]));
    }
    if !args.commands.is_empty() {
        return commands(&args.commands);
    }
    let mut sources: Vec<NamedPath> = args
        .paths
        .into_iter()
        .map(|path| NamedPath {
            path,
            as_name: None,
        })
        .collect();
    for typed in &args.renamed {
        let (name, path) = split(typed, "--as")?;
        sources.push(NamedPath {
            path: PathBuf::from(path),
            as_name: Some(name.as_bytes().to_vec()),
        });
    }
    if sources.is_empty() {
        return Err(Failure::usage("there is nothing to store")
            .hint("name a PATH, or use --stdin, -- COMMAND or --cmd STORED=COMMAND"));
    }
    let listing = source::list(&sources)?;
    for skipped in &listing.skipped {
        let path = indelible_format::path::shown(skipped.path.as_os_str().as_bytes()).to_string();
        output::warn(
            context,
            &format!("{path} is a {} and was left out", skipped.kind),
        );
    }
    Ok(Input::Items(listing.items))
}

fn commands(typed: &[OsString]) -> Result<Input, Failure> {
    let mut commands = Vec::new();
    for typed in typed {
        let (name, line) = split(typed, "--cmd")?;
        let path = name.as_bytes().to_vec();
        source::stream_path(path.clone())?;
        if commands
            .iter()
            .any(|command: &CommandInput| command.path == path)
        {
            let name = indelible_format::path::shown(&path).to_string();
            return Err(Failure::usage(format!(
                "two commands would be stored as {name}"
            )));
        }
        commands.push(CommandInput {
            path,
            command: CommandSpec::Shell(line.to_owned()),
            stderr: Stderr::Inherit,
        });
    }
    Ok(Input::Commands(commands))
}

/// Cuts `STORED=REST` at its first equals sign.
fn split<'t>(typed: &'t OsStr, option: &str) -> Result<(&'t OsStr, &'t OsStr), Failure> {
    let bytes = typed.as_bytes();
    let at = bytes
        .iter()
        .position(|&byte| byte == b'=')
        .filter(|&at| at > 0 && at + 1 < bytes.len());
    let at = at.ok_or_else(|| {
        Failure::usage(format!(
            "{option} {} has no name in front of an equals sign",
            typed.to_string_lossy()
        ))
        .hint(format!(
            "write {option} STORED=..., for instance {option} app.sql=..."
        ))
    })?;
    Ok((
        OsStr::from_bytes(&bytes[..at]),
        OsStr::from_bytes(&bytes[at + 1..]),
    ))
}

/// What the manifest says of where the bytes came from. Only a command's name is
/// kept: arguments hold passwords.
fn describe_source(args: &Snapshot) -> Source {
    let text = |typed: &OsStr| {
        typed
            .to_string_lossy()
            .chars()
            .take(4_096)
            .collect::<String>()
    };
    if args.stdin {
        Source::Stdin
    } else if let Some(program) = args.command.first() {
        Source::Commands(vec![text(program)])
    } else if !args.commands.is_empty() {
        let programs = args.commands.iter().filter_map(|typed| {
            let (_, line) = split(typed, "--cmd").ok()?;
            line.to_string_lossy()
                .split_whitespace()
                .next()
                .map(|word| text(OsStr::new(word)))
        });
        Source::Commands(programs.take(1_024).collect())
    } else {
        let paths = args.paths.iter().map(|path| text(path.as_os_str()));
        let renamed = args
            .renamed
            .iter()
            .filter_map(|typed| Some(text(split(typed, "--as").ok()?.1)));
        Source::Paths(paths.chain(renamed).take(1_024).collect())
    }
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn warn_of_rights(context: &Context, repository: &Opened<'_>) {
    let rights = repository.key().rights();
    if rights != Rights::WRITE {
        output::warn(
            context,
            &format!(
                "this key has the rights {rights}, more than a snapshot needs: give the host a write key (`indelible key add`)"
            ),
        );
    }
}

/// What is written in an epoch that is past opens with keys that were perhaps stolen.
fn warn_of_epoch(context: &Context, repository: &Opened<'_>) {
    if let Some(epoch) = repository.behind() {
        output::warn(
            context,
            &format!(
                "the keys were rotated, and this key has no part of epoch {epoch}: the snapshot opens with the keys before. Give the host another key (`indelible key add`), or rotate again"
            ),
        );
    }
}

fn report(context: &Context, name: &Name, summary: &Summary) {
    let accounting = &summary.accounting;
    if context.common.json {
        output::json(
            "summary",
            json!({
                "number": summary.number,
                "id": summary.commit.to_string(),
                "name": name.as_str(),
                "entries": summary.entries,
                "content_bytes": summary.content_bytes,
                "new_bytes": accounting.new_bytes,
                "new_chunks": accounting.new_chunks,
                "delta_chunks": accounting.delta_chunks,
                "added_bytes": accounting.added_bytes,
                "packs": summary.packs,
                "changed_files": summary.changed.len(),
                "promised_until": summary.locked.promised_until_ms.and_then(output::utc_time),
                "locks_extended": summary.locked.extended,
                "took_ms": summary.took_ms,
            }),
        );
    } else if !context.common.quiet {
        output::line(&format!(
            "@{} {name} (id:{}): {}, {} read, {} new, {} added, {}",
            summary.number,
            summary.commit.short(),
            output::count(summary.entries, "entry", "entries"),
            output::size(summary.content_bytes),
            output::size(accounting.new_bytes),
            output::size(accounting.added_bytes),
            output::duration(summary.took_ms)
        ));
    }
}
