//! `indelible serve`: the other end of `ssh://`.
//!
//! It speaks on standard input and output, takes no key and never asks for anything.
//! What a client may do is decided in the engine.

mod confine;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use indelible_engine::serve::{LockLimit, Quota, ServeTerms, serve};
use indelible_engine::store::LocalStore;
use indelible_format::name::Name;

use crate::args::Serve;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(context: &Context, args: &Serve) -> Result<Exit, Failure> {
    let root = std::path::absolute(&args.append_only)
        .map_err(|error| Failure::io(format!("find {}", args.append_only.display()), &error))?;
    let store = LocalStore::open(&root, context.env.entropy.clone())?;
    let store = store.with_clock(context.env.clock.clone());
    let quota = args.max_bytes.map(|most| {
        let account = Name::new(args.account.as_bytes()).map_err(|error| {
            Failure::usage(format!(
                "{} is no name of an account: {error}",
                args.account
            ))
        })?;
        Ok::<_, Failure>(Quota::open(&root, &account, most.as_u64())?)
    });
    let quota = quota.transpose()?;
    // Past the library's buffers, which two threads could not share.
    let mut input = own(io::stdin().as_fd())?;
    let mut output = own(io::stdout().as_fd())?;
    if let Err(error) = confine::confine(&root) {
        let warning = "this kernel can't confine the server to its directory";
        output::warn_failure(context, &Failure::of(Exit::Failed, &error).context(warning));
    }
    let locks = Some(LockLimit {
        span_ms: args.max_lock.ms(),
        clock: context.env.clock.clone(),
    });
    serve(&store, ServeTerms { quota, locks }, &mut input, &mut output)
        .map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(Exit::Done)
}

fn own(fd: BorrowedFd<'_>) -> Result<File, Failure> {
    let owned = fd.try_clone_to_owned();
    let owned = owned.map_err(|error| Failure::io("use standard input and output", &error))?;
    Ok(File::from(owned))
}
