//! `indelible mount`: the snapshots as a file system that nobody can write to.
//!
//! The kernel is told that the mount is read-only, so every write ends there with
//! EROFS. What is handed out was checked by the engine; what fails that check is an
//! input/output error, and is reported with where it stands.

mod background;
mod files;
mod nodes;
mod reports;
mod spots;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use fuser::{Config, MountOption, Session, SessionACL};
use indelible_engine::read::ReadError;
use indelible_engine::view::{Shelf, View};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::geteuid;
use serde_json::json;

use crate::args::Mount;
use crate::context::{Context, Opened};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output;
use crate::place::Store;
use files::Files;
use nodes::Shown;
use reports::Reports;

/// How often the log is looked at for new snapshots.
const REFRESH: Duration = Duration::from_secs(2);
/// How far the kernel reads ahead in a file, KiB.
const READ_AHEAD_KB: u32 = 1_024;
/// Threads that answer the kernel. Some of them wait for the store.
const THREADS: usize = 4;

/// What ends the wait for the next look at the log.
enum Event {
    /// Somebody asked this program to end.
    Asked,
    /// The file system was unmounted.
    Ended(io::Result<()>),
}

/// The snapshots that are shown now.
type Current = Arc<RwLock<Arc<Shown>>>;

pub(crate) fn run(context: &Context, args: &Mount) -> Result<Exit, Failure> {
    let dir = mount_point(&args.dir)?;
    if args.background {
        return background::start(context, args);
    }
    let store = context.store()?;
    let mut repository = context.open(&store)?;
    if repository.key().restore.is_none() {
        return Err(ReadError::NotAllowed { needed: "restore" }.into());
    }
    let shelf = Shelf::new(Arc::clone(&store));
    let view = View::open(&repository, &shelf)?;
    warn_of_hidden(context, &view);
    let current: Current = Arc::new(RwLock::new(Arc::new(Shown::of(&view))));
    let files = Files::new(Arc::clone(&current), Reports::new(context));
    let mut session = Session::new(files, &dir, &config(context, args)?)
        .map_err(|error| refused(&dir, &error))?;
    let mut unmounter = session.unmount_callable();
    let (tell, events) = channel();
    listen(&tell)?;
    thread::spawn(move || tell.send(Event::Ended(session.run())));
    widen_read_ahead(&dir);
    if args.detached {
        background::detach(context, args.log.as_deref())?;
    } else {
        announce(context, &dir, &view, None);
    }
    drop(view);
    let is_asked = wait(context, &events, &mut repository, &shelf, &current)?;
    if is_asked && unmounter.unmount().is_err() && is_mounted(&dir) {
        let shown = dir.display();
        output::warn(
            context,
            &format!("{shown} is still in use: what reads from it now gets errors"),
        );
        unmount(&dir, UnmountFlags::DETACH)
            .map_err(|error| Failure::io(format!("unmount {shown}"), &error.into()))?;
    }
    Ok(Exit::Done)
}

/// The directory to mount on, checked before anything is asked for.
fn mount_point(dir: &Path) -> Result<PathBuf, Failure> {
    let shown = dir.display();
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => {
            fs::canonicalize(dir).map_err(|error| Failure::io(format!("find {shown}"), &error))
        }
        Ok(_) => Err(Failure::usage(format!("{shown} is no directory"))),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOTCONN.raw_os_error()) => {
            Err(Failure::new(
                Exit::Failed,
                format!("{shown} is a mount whose program is gone"),
            )
            .hint(format!("take it away first: umount {shown}")))
        }
        Err(error) => Err(Failure::io(format!("mount on {shown}"), &error)
            .hint("name an empty directory that exists")),
    }
}

fn config(context: &Context, args: &Mount) -> Result<Config, Failure> {
    let mut config = Config::default();
    let place = context.place()?;
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
        MountOption::NoAtime,
        MountOption::FSName(format!("indelible:{place}")),
        MountOption::Subtype("indelible".to_owned()),
    ];
    if args.allow_other {
        config.acl = SessionACL::All;
        // Then owners and modes decide who sees what.
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    Ok(config)
}

/// Has the kernel ask for more at once of a file that is read from one end to the other:
/// by default it asks for 128 KiB, and each question costs both sides time. It takes
/// root, and nothing hangs on it.
fn widen_read_ahead(dir: &Path) {
    if let Ok(metadata) = fs::metadata(dir) {
        let device = metadata.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let setting = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
        let _ = fs::write(setting, READ_AHEAD_KB.to_string());
    }
}

/// Why the kernel did not mount.
fn refused(dir: &Path, error: &io::Error) -> Failure {
    let failure = Failure::io(format!("mount on {}", dir.display()), error);
    if !Path::new("/dev/fuse").exists() {
        return failure.hint(
            "this system has no FUSE: load the module (modprobe fuse), and give a container /dev/fuse and CAP_SYS_ADMIN; `indelible cat` and `indelible restore` do without",
        );
    }
    if geteuid().is_root() {
        failure.hint("mounting takes CAP_SYS_ADMIN, which containers may lack; `indelible cat` and `indelible restore` do without")
    } else {
        failure.hint("who is not root needs fusermount3 (package fuse3) and access to /dev/fuse, and for --allow-other user_allow_other in /etc/fuse.conf")
    }
}

/// Turns signals into events.
fn listen(tell: &Sender<Event>) -> Result<(), Failure> {
    let tell = tell.clone();
    interrupt::on_signals_also(move || {
        // Nobody listens any more if it has ended by itself.
        let _ = tell.send(Event::Asked);
    })?;
    Ok(())
}

/// Shows new snapshots until something ends it, and says whether it is still mounted.
fn wait(
    context: &Context,
    events: &Receiver<Event>,
    repository: &mut Opened<'_>,
    shelf: &Shelf<Store>,
    current: &Current,
) -> Result<bool, Failure> {
    let mut failing = false;
    loop {
        match events.recv_timeout(REFRESH) {
            Ok(Event::Asked) | Err(RecvTimeoutError::Disconnected) => return Ok(true),
            Ok(Event::Ended(Ok(()))) => return Ok(false),
            Ok(Event::Ended(Err(error))) => {
                return Err(Failure::io("go on answering the kernel", &error));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let renewed = repository.reread().map_err(Failure::from);
        let renewed = renewed.and_then(|grown| {
            if grown {
                let shown = Arc::new(Shown::of(&View::open(repository, shelf)?));
                *current.write().unwrap_or_else(PoisonError::into_inner) = shown;
            }
            Ok(())
        });
        match renewed {
            Ok(()) => failing = false,
            // Said once: what was shown stays.
            Err(failure) if !failing => {
                failing = true;
                output::warn_failure(context, &failure.context("new snapshots can't be shown"));
            }
            Err(_) => {}
        }
    }
}

/// Whether something is mounted there still.
fn is_mounted(dir: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
    let above = dir.parent().unwrap_or(dir);
    match (device(dir), device(above)) {
        (Ok(own), Ok(above)) => own != above,
        (Err(_), _) => true,
        (_, Err(_)) => false,
    }
}

fn warn_of_hidden(context: &Context, view: &View<Store>) {
    for broken in view.unread() {
        output::warn(
            context,
            &format!(
                "snapshot @{} can't be read and is not shown: {}",
                broken.number, broken.error
            ),
        );
    }
    for refused in view.refused() {
        if let Some(reason) = &refused.refused {
            output::warn(
                context,
                &format!(
                    "snapshot @{} is refused and is not shown: {reason}",
                    refused.number
                ),
            );
        }
    }
}

/// Says that it is there.
fn announce(context: &Context, dir: &Path, view: &View<Store>, process: Option<u32>) {
    let snapshots = view.trees().len();
    if context.common.json {
        mounted(dir, process, Some(snapshots));
    } else {
        let count = output::count(snapshots as u64, "snapshot", "snapshots");
        output::note(
            context,
            &format!("{count} below {}; end with Ctrl-C or umount", dir.display()),
        );
    }
}

fn mounted(dir: &Path, process: Option<u32>, snapshots: Option<usize>) {
    output::json(
        "mounted",
        json!({ "dir": dir.display().to_string(), "process": process, "snapshots": snapshots }),
    );
}
