//! `indelible key`.

mod revoke;
mod rotate;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use indelible_engine::keys::KeyRequest;
use indelible_engine::repository::{Repository, Trial};
use indelible_format::grant::GrantFacts;
use indelible_format::key_file::KeyFile;
use indelible_format::name::Pattern;
use indelible_format::rights::{Kind, Rights};
use serde_json::json;

use crate::args::{Key, KeyAdd, Right};
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::when;

/// On how many packs and manifests `key check` tries a key.
const TRIED: usize = 16;

pub(crate) fn run(context: &Context, args: &Key) -> Result<Exit, Failure> {
    match args {
        Key::Add(args) => add(context, args),
        Key::List => list(context),
        Key::Check { file } => check(context, file),
        Key::Revoke(args) => revoke::run(context, args),
        Key::Rotate(_) => rotate::run(context),
    }
}

fn add(context: &Context, args: &KeyAdd) -> Result<Exit, Failure> {
    let request = request(context, args)?;
    // Claimed before anything is written to the log, so that a key can't be
    // authorised and then have nowhere to go.
    let file = claim(&args.out)?;
    let added = issue(context, request).and_then(|key| fill(file, &args.out, &key));
    if let Err(failure) = added {
        let _ = fs::remove_file(&args.out);
        return Err(failure);
    }
    if context.common.json {
        output::json(
            "key_added",
            json!({ "file": args.out.display().to_string() }),
        );
    } else if !context.common.quiet {
        output::line(&format!(
            "wrote {}; keep it readable for its owner alone",
            args.out.display()
        ));
    }
    Ok(Exit::Done)
}

/// Writes a key file where there is none.
pub(crate) fn write_key_file(path: &Path, key: &KeyFile) -> Result<(), Failure> {
    fill(claim(path)?, path, key)
}

fn fill(mut file: File, path: &Path, key: &KeyFile) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::io(format!("write the key file {}", path.display()), &error);
    file.write_all(key.encode().as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn claim(path: &Path) -> Result<File, Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            let failure = Failure::io(format!("create the key file {}", path.display()), &error);
            if error.kind() == io::ErrorKind::AlreadyExists {
                Failure {
                    exit: Exit::Exists,
                    ..failure
                }
                .hint("a key file is never overwritten; choose another name")
            } else {
                failure
            }
        })
}

fn issue(context: &Context, request: KeyRequest) -> Result<KeyFile, Failure> {
    let store = context.store()?;
    let mut repository = context.open(&store)?;
    if let Some(forbidden) = repository.forbids(Kind::Authorize) {
        return Err(Failure::from(forbidden));
    }
    let new = repository.add_key(request)?;
    let history = repository.history();
    Ok(KeyFile {
        repository: repository.id(),
        size: history.size(),
        root: history.root(),
        bundle: new.bundle().clone(),
    })
}

fn request(context: &Context, args: &KeyAdd) -> Result<KeyRequest, Failure> {
    let mut rights: Option<Rights> = None;
    for right in &args.rights {
        let right = match right {
            Right::Write => Rights::WRITE,
            Right::Verify => Rights::VERIFY,
            Right::Restore => Rights::RESTORE,
            Right::Admin => Rights::ADMIN,
        };
        rights = Some(rights.map_or(right, |others| others.union(right)));
    }
    let rights = rights.ok_or_else(|| Failure::usage("a key without rights is of no use"))?;
    if rights.contains(Rights::WRITE) == args.names.is_empty() {
        return Err(if args.names.is_empty() {
            Failure::usage("a write key needs the NAMEs that it may write")
                .hint("for instance: --names 'orders*'")
        } else {
            Failure::usage("--names is for write keys alone")
        });
    }
    let reads = rights.contains(Rights::RESTORE);
    if args.strict && (reads || !rights.contains(Rights::WRITE)) {
        return Err(Failure::usage(
            "--strict is for keys that write and may not restore",
        ));
    }
    let patterns = args.names.iter().map(|text| {
        Pattern::new(text.as_bytes())
            .map_err(|error| Failure::usage(format!("{text:?} is no NAME pattern: {error}")))
    });
    let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
    let stem = || {
        args.out
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let label = args.label.clone().unwrap_or_else(stem);
    let facts =
        GrantFacts::new(&label, patterns).map_err(|error| Failure::usage(error.to_string()))?;
    let expires_ms = args
        .expires
        .as_deref()
        .map(|text| when::later(context, "--expires", text))
        .transpose()?;
    Ok(KeyRequest {
        rights,
        facts,
        expires_ms,
        strict: args.strict,
    })
}

fn patterns_of(facts: &GrantFacts) -> Vec<String> {
    facts.patterns().iter().map(ToString::to_string).collect()
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let store = context.store()?;
    let repository = context.open(&store)?;
    let authority = &repository.history().authority;
    let mut grants: Vec<_> = authority.grants().collect();
    grants.sort_by_key(|(_, grant)| grant.entry);
    let mut table = Table::new(
        &[
            "ENTRY", "KEY", "LABEL", "RIGHTS", "NAMES", "EPOCH", "EXPIRES", "STATE",
        ],
        &[0, 5],
    );
    for (signer, grant) in grants {
        let administrator = *signer == authority.administrator();
        let facts = repository.facts(signer);
        let (label, names) = match &facts {
            Ok(Some(facts)) => (facts.label().to_owned(), patterns_of(facts)),
            Ok(None) if administrator => ("recovery".to_owned(), vec!["*".to_owned()]),
            Ok(None) => ("?".to_owned(), vec!["?".to_owned()]),
            Err(_) => ("unreadable".to_owned(), vec!["unreadable".to_owned()]),
        };
        if context.common.json {
            output::json(
                "key",
                json!({
                    "entry": grant.entry,
                    "signer": signer.to_string(),
                    "label": label,
                    "rights": grant.rights.to_string(),
                    "names": names,
                    "epoch": repository.epoch_of(signer),
                    "domain": grant.domain.to_string(),
                    "expires": grant.expires_ms.and_then(output::utc_time),
                    "revoked_by": grant.revoked.map(|revoked| revoked.by),
                }),
            );
            continue;
        }
        let expired = grant
            .expires_ms
            .is_some_and(|ms| ms < context.env.clock.now_unix_ms());
        let state = match grant.revoked {
            Some(revoked) => format!("revoked by @{}", revoked.by),
            None if expired => "expired".to_owned(),
            None => "valid".to_owned(),
        };
        table.row([
            format!("@{}", grant.entry),
            signer.short(),
            label,
            grant.rights.to_string(),
            names.join(","),
            repository.epoch_of(signer).to_string(),
            grant
                .expires_ms
                .map_or_else(|| "never".to_owned(), output::local_time),
            state,
        ]);
    }
    if !context.common.json {
        table.print();
    }
    Ok(Exit::Done)
}

fn check(context: &Context, path: &Path) -> Result<Exit, Failure> {
    let file = context.read_key_file(path)?;
    let online = context.common.repo.is_some();
    let mut common = context.common.clone();
    common.key_file = Some(path.to_owned());
    let as_key = Context {
        common,
        env: context.env.clone(),
        limits: context.limits.clone(),
    };
    let store = if online { Some(as_key.store()?) } else { None };
    let repository = store.as_ref().map(|store| as_key.open(store)).transpose()?;
    let forbidden = repository
        .as_ref()
        .and_then(|repository| first_forbidden(repository));
    let behind = repository.as_ref().and_then(Repository::behind);
    let trial = repository
        .as_ref()
        .map(|repository| repository.trial(TRIED));
    let rights = file.bundle.rights();
    // A key that reads what its rights say is well; one that reads more is not.
    let reads = |trial: &Trial| trial.contents_opened > 0 && !rights.contains(Rights::RESTORE);
    let leaks = trial.as_ref().is_some_and(|trial| {
        reads(trial)
            || ((trial.trees_opened > 0 || trial.manifests_opened > 0)
                && !rights.contains(Rights::VERIFY))
    });
    if context.common.json {
        print_check_json(&file, trial.as_ref(), forbidden.as_deref(), behind);
    } else {
        let standing = (forbidden.as_deref(), behind);
        print_check(path, &file, trial.as_ref(), standing, online);
    }
    Ok(if leaks {
        Exit::Integrity
    } else if forbidden.is_some() {
        Exit::Key
    } else {
        Exit::Done
    })
}

/// Why the log does not let the key do what its rights are for.
fn first_forbidden(repository: &Opened<'_>) -> Option<String> {
    let rights = repository.key().rights();
    let kinds = [
        (Rights::WRITE, Kind::Snapshot),
        (Rights::VERIFY, Kind::Attest),
        (Rights::ADMIN, Kind::Authorize),
    ];
    let mut asked = kinds
        .into_iter()
        .filter(|(right, _)| rights.contains(*right));
    asked
        .find_map(|(_, kind)| repository.forbids(kind))
        .map(|forbidden| forbidden.to_string())
}

fn abilities(rights: Rights) -> [(&'static str, bool); 4] {
    [
        ("add snapshots", rights.contains(Rights::WRITE)),
        (
            "list snapshots, see names and sizes, verify trees",
            rights.contains(Rights::VERIFY),
        ),
        (
            "read contents and restore",
            rights.contains(Rights::RESTORE),
        ),
        ("make and revoke keys", rights.contains(Rights::ADMIN)),
    ]
}

fn print_check(
    path: &Path,
    file: &KeyFile,
    trial: Option<&Trial>,
    (forbidden, behind): (Option<&str>, Option<u32>),
    online: bool,
) {
    let bundle = &file.bundle;
    output::line(&format!("{}: {}", path.display(), bundle.facts.label()));
    output::line(&format!("  key         {}", bundle.signer()));
    output::line(&format!("  repository  {}", file.repository));
    output::line(&format!("  rights      {}", bundle.rights()));
    if bundle.write.is_some() {
        output::line(&format!(
            "  NAMEs       {}",
            patterns_of(&bundle.facts).join(", ")
        ));
    }
    output::line(&format!("  issued at   log size {}", file.size));
    for (ability, able) in abilities(bundle.rights()) {
        output::line(&format!(
            "  {} {ability}",
            if able { "may    " } else { "may not" }
        ));
    }
    output::line("  may not delete or change anything: no key can");
    if let Some(trial) = trial {
        output::line(&format!(
            "tried its {} on {} and {}: {} opened for contents, {} for names and trees, and {}",
            output::count(trial.secrets as u64, "secret", "secrets"),
            output::count(trial.packs as u64, "pack", "packs"),
            output::count(trial.manifests as u64, "manifest", "manifests"),
            output::count(trial.contents_opened as u64, "pack", "packs"),
            trial.trees_opened,
            output::count(trial.manifests_opened as u64, "manifest", "manifests"),
        ));
    }
    if let Some(epoch) = behind {
        output::line(&format!(
            "it has no part of epoch {epoch}, and can't read what is written in it"
        ));
    }
    match forbidden {
        Some(reason) => output::line(&format!("the log does not accept it: {reason}")),
        None if online => output::line("the log accepts it"),
        None => output::line("name the repository with --repo to check the key against it"),
    }
}

fn print_check_json(
    file: &KeyFile,
    trial: Option<&Trial>,
    forbidden: Option<&str>,
    behind: Option<u32>,
) {
    let trial = trial.map(|trial| {
        json!({
            "secrets": trial.secrets,
            "packs": trial.packs,
            "contents_opened": trial.contents_opened,
            "trees_opened": trial.trees_opened,
            "manifests": trial.manifests,
            "manifests_opened": trial.manifests_opened,
        })
    });
    output::json(
        "key_check",
        json!({
            "signer": file.bundle.signer().to_string(),
            "repository_id": file.repository.to_string(),
            "label": file.bundle.facts.label(),
            "rights": file.bundle.rights().to_string(),
            "names": patterns_of(&file.bundle.facts),
            "issued_at_log_size": file.size,
            "trial": trial,
            "forbidden": forbidden,
            "no_part_of_epoch": behind,
        }),
    );
}
