//! `indelible init`.
//!
//! The recovery sheet is shown before the repository exists: whoever loses the
//! sheet's output has lost nothing yet.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use indelible_engine::keys::{Credential, NewRepository, generate_passphrase};
use indelible_engine::log::{self, LogError, Signed};
use indelible_engine::repository::Repository;
use indelible_format::genesis::ChunkerParameters;
use indelible_format::policy::{LockMode, Promise};
use indelible_format::slot::Cost;
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::{Immutable, Init, RetainFor};
use crate::commands::retain::{self, compliance};
use crate::context::{Context, ask};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::{Place, Store};

/// The lock of what is put before the promise is made.
const FIRST_LOCK_MS: u64 = 86_400_000;

pub(crate) fn run(context: &Context, args: &Init) -> Result<Exit, Failure> {
    let place = context.place()?;
    let promises: Vec<Promise> = args.retain.iter().map(RetainFor::promise).collect();
    let mode = args.locking.mode().or(args.immutable.map(Immutable::mode));
    let mode = mode.unwrap_or(LockMode::Governance);
    refuse_misuse(&place, args)?;
    refuse_existing(context, &place)?;
    if mode == LockMode::Compliance {
        compliance::confirm(context, &args.locking, &promises)?;
    }
    let immutable = args
        .immutable
        .map(|how| place.create_immutable(&context.env, &context.limits, how));
    let immutable = immutable.transpose()?;
    let (passphrase, drawn) = choose_passphrase(context, args)?;
    let cost = Cost {
        memory_kib: args.derivation_memory * 1_024,
        ..Cost::default()
    };
    let new = NewRepository::prepare(
        &context.env,
        &passphrase,
        cost,
        ChunkerParameters::default(),
    )?;
    let shown = drawn.then_some(passphrase.as_str());
    let sheet = sheet(&place, &new, shown);
    if let Some(path) = &args.sheet {
        write_sheet(path, &sheet)?;
    }
    if context.common.json {
        output::json(
            "init",
            json!({
                "repository": place.to_string(),
                "repository_id": new.id().to_string(),
                "passphrase": shown,
            }),
        );
    } else {
        output::line(&sheet);
    }

    let store = match immutable {
        Some(store) => store,
        None => place.create(&context.env, &context.limits)?,
    };
    if !promises.is_empty() {
        must_lock(&place, &*store, mode)?;
    }
    new.create(&*store)?;
    remember(context, &*store, &new);
    output::note(context, &format!("made the repository {place}"));
    if promises.is_empty() {
        return Ok(Exit::Done);
    }
    let credential = Credential::Passphrase(passphrase);
    let state = context.state();
    let mut repository =
        Repository::open(&*store, state.as_ref(), &credential, context.env.clone())?;
    let stated = repository.promise(Some(mode), &promises)?;
    Ok(retain::tell(context, &stated))
}

/// What the command line says that can't be.
fn refuse_misuse(place: &Place, args: &Init) -> Result<(), Failure> {
    if args.immutable.is_some() && !matches!(place, Place::Directory(_)) {
        let failure = format!("--immutable is for directories, and {place} is none");
        return Err(Failure::usage(failure).hint(
            "behind ssh, make the repository on the machine that serves it; a bucket has locks: --lock",
        ));
    }
    if args.immutable == Some(Immutable::Flags) && args.locking.confirm_compliance.is_some() {
        return Err(
            Failure::usage("flags are no compliance locks: root clears them")
                .hint("leave out --confirm-compliance"),
        );
    }
    if args.retain.is_empty() && args.locking.mode().is_some() {
        return Err(
            Failure::usage("--lock says how to lock, and nothing says for how long")
                .hint("add --retain, for instance --retain 35d"),
        );
    }
    Ok(())
}

/// Has the store lock from the first object on, and refuses one that can't.
fn must_lock(place: &Place, store: &Store, mode: LockMode) -> Result<(), Failure> {
    store.lock_new(mode, FIRST_LOCK_MS);
    if store.capabilities().locks {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Policy,
        format!("{place} locks nothing, so nothing would keep the promise"),
    )
    .hint("use a bucket with Object Lock, --immutable in a directory, or leave out --retain"))
}

/// Says so before a passphrase is asked for. Creation itself decides.
fn refuse_existing(context: &Context, place: &Place) -> Result<(), Failure> {
    let store = match place.open(&context.env, &context.limits) {
        Ok(store) => store,
        // A directory that is not there yet will be made.
        Err(failure) if failure.exit == Exit::NoRepository => return Ok(()),
        Err(failure) => return Err(failure),
    };
    match log::read(&*store, &[], &Signed::default()) {
        Err(LogError::NoRepository { .. }) => Ok(()),
        Err(LogError::Store(error)) => Err(error.into()),
        _ => Err(Failure::new(
            Exit::Exists,
            format!("there is a repository at {place} already"),
        )
        .hint("choose another place; a repository is never overwritten")),
    }
}

/// The passphrase, and whether it was drawn here.
fn choose_passphrase(context: &Context, args: &Init) -> Result<(Zeroizing<String>, bool), Failure> {
    if let Some(given) = context.given_passphrase()? {
        return Ok((given, false));
    }
    if !args.ask_passphrase {
        return Ok((generate_passphrase(&context.env), true));
    }
    let first = ask("New passphrase: ")?;
    if first.trim().is_empty() {
        return Err(Failure::usage("an empty passphrase protects nothing"));
    }
    if *first != *ask("Once more: ")? {
        return Err(Failure::usage("the two passphrases differ"));
    }
    Ok((first, false))
}

fn sheet(place: &Place, new: &NewRepository, passphrase: Option<&str>) -> String {
    let passphrase = passphrase.unwrap_or("(the one that you gave)");
    format!(
        "Recovery sheet of an Indelible repository\n\
         \n\
         \x20 Repository  {}\n\
         \x20 Id          {}\n\
         \x20 Passphrase  {passphrase}\n\
         \n\
         The passphrase opens everything. Nobody can replace it if it is lost.\n\
         Print this sheet and keep it away from the hosts that are backed up.\n\
         \n\
         To restore on any machine:\n\
         \x20 indelible --repo {} list\n\
         \x20 indelible --repo {} restore NAME --target DIR\n",
        place,
        new.id(),
        place.quoted(),
        place.quoted()
    )
}

fn write_sheet(path: &Path, sheet: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::io(
            format!("write the recovery sheet {}", path.display()),
            &error,
        )
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(sheet.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// This machine made it, so it knows what stands there.
fn remember(context: &Context, store: &Store, new: &NewRepository) {
    let Some(state) = context.state() else { return };
    let leaf = indelible_format::ids::LogHash(new.id().0);
    let remembered = state
        .repository(&new.id())
        .remember(&[leaf])
        .and_then(|()| state.remember_location(&store.location(), &new.id()));
    if let Err(error) = remembered {
        output::warn_failure(context, &Failure::from(error));
    }
}
