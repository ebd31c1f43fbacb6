//! `indelible demo`: the whole round on a sample database, in a directory of its
//! own.
//!
//! It does what an operator would do, in the same order and through the same
//! engine: make a repository, give the host a write-only key, take three nightly
//! snapshots of a database that changes in between, list, verify, restore the
//! second night and compare it with what was taken.

mod shop;

use std::fs;
use std::path::{Path, PathBuf};

use indelible_engine::cancel::Cancel;
use indelible_engine::keys::{Credential, KeyRequest, NewRepository, generate_passphrase};
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::restore::Restore;
use indelible_engine::snapshot::{self, Input, Request, Summary};
use indelible_engine::source::{self, NamedPath};
use indelible_engine::state::State;
use indelible_engine::store::LocalStore;
use indelible_engine::target::Policy;
use indelible_engine::verify::{self, Terms};
use indelible_format::attest::Level;
use indelible_format::genesis::ChunkerParameters;
use indelible_format::grant::GrantFacts;
use indelible_format::key_file::KeyFile;
use indelible_format::manifest::Source;
use indelible_format::name::{Name, Pattern};
use indelible_format::rights::Rights;
use indelible_format::slot::Cost;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::args::Demo;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use shop::Shop;

const NIGHTS: u64 = 3;
const RESTORED_NIGHT: usize = 2;

pub(crate) fn run(context: &Context, args: &Demo) -> Result<Exit, Failure> {
    let (dir, _temporary) = directory(args)?;
    let stage = Stage::new(context, &dir)?;
    stage.say(&format!(
        "made a repository in {}",
        stage.repository.display()
    ));
    stage.say("gave the host a key that may add snapshots of shop*, and read nothing");
    let nights = stage.nights()?;
    stage.show(&nights)?;
    if args.keep.is_some() {
        stage.say(&format!("kept everything in {}:", dir.display()));
        stage.say(&format!(
            "  export INDELIBLE_REPO={}",
            stage.repository.display()
        ));
        stage.say(&format!(
            "  export INDELIBLE_STATE_DIR={}",
            dir.join("state").display()
        ));
        stage.say(&format!(
            "  export INDELIBLE_PASSPHRASE={}",
            *stage.passphrase
        ));
        stage.say("  indelible list");
    }
    Ok(Exit::Done)
}

/// Where it all happens. The temporary one goes when it is dropped, also after a
/// failure.
fn directory(args: &Demo) -> Result<(PathBuf, Option<TempDir>), Failure> {
    let Some(keep) = &args.keep else {
        let made = tempfile::Builder::new().prefix("indelible-demo-").tempdir();
        let made = made.map_err(|error| Failure::io("make a temporary directory", &error))?;
        return Ok((made.path().to_owned(), Some(made)));
    };
    let failed = |error| Failure::io(format!("use the directory {}", keep.display()), &error);
    fs::create_dir_all(keep).map_err(failed)?;
    if fs::read_dir(keep).map_err(failed)?.next().is_some() {
        return Err(
            Failure::new(Exit::Exists, format!("{} is not empty", keep.display()))
                .hint("the demo writes into an empty directory only"),
        );
    }
    Ok((std::path::absolute(keep).map_err(failed)?, None))
}

/// What the demo works with.
struct Stage<'c> {
    context: &'c Context,
    dir: PathBuf,
    repository: PathBuf,
    store: LocalStore,
    state: State,
    passphrase: Zeroizing<String>,
    host_key: Credential,
}

/// One night's copy of the database, and what its snapshot came to.
struct Night {
    taken: PathBuf,
    summary: Summary,
}

impl<'c> Stage<'c> {
    fn new(context: &'c Context, dir: &Path) -> Result<Self, Failure> {
        let env = &context.env;
        let repository = dir.join("repository");
        let passphrase = generate_passphrase(env);
        let new = NewRepository::prepare(
            env,
            &passphrase,
            Cost::default(),
            ChunkerParameters::default(),
        )?;
        let store = LocalStore::create(&repository, env.entropy.clone())?;
        new.create(&store)?;
        let state = State::open(dir.join("state"))?;
        let host_key = make_host_key(context, &store, &state, &passphrase, dir)?;
        Ok(Self {
            context,
            dir: dir.to_owned(),
            repository,
            store,
            state,
            passphrase,
            host_key,
        })
    }

    fn say(&self, text: &str) {
        if !self.context.common.quiet && !self.context.common.json {
            output::line(text);
        }
    }

    fn open(&self, credential: &Credential) -> Result<Repository<'_, LocalStore>, Failure> {
        Ok(Repository::open(
            &self.store,
            Some(&self.state),
            credential,
            self.context.env.clone(),
        )?)
    }

    /// Lets the shop trade for three days, and takes a snapshot each night.
    fn nights(&self) -> Result<Vec<Night>, Failure> {
        let shop = Shop::open(&self.dir.join("live.db"))?;
        let mut nights = Vec::new();
        for night in 1..=NIGHTS {
            shop.trade(night)?;
            let taken = self.dir.join(format!("night{night}")).join("shop.db");
            fs::create_dir(self.dir.join(format!("night{night}")))
                .map_err(|error| Failure::io("make a directory", &error))?;
            shop.back_up(&taken)?;
            let summary = self.snapshot(&taken)?;
            self.say(&format!(
                "night {night}: {} orders, {} read, {} new, {} added to the repository",
                indicatif::HumanCount(shop.orders()?),
                output::size(summary.content_bytes),
                output::size(summary.accounting.new_bytes),
                output::size(summary.accounting.added_bytes),
            ));
            if self.context.common.json {
                output::json(
                    "night",
                    serde_json::json!({
                        "night": night,
                        "number": summary.number,
                        "content_bytes": summary.content_bytes,
                        "new_bytes": summary.accounting.new_bytes,
                        "added_bytes": summary.accounting.added_bytes,
                    }),
                );
            }
            nights.push(Night { taken, summary });
        }
        Ok(nights)
    }

    fn snapshot(&self, path: &Path) -> Result<Summary, Failure> {
        let mut repository = self.open(&self.host_key)?;
        let items = source::list(&[NamedPath {
            path: path.to_owned(),
            as_name: None,
        }])?
        .items;
        let request = Request {
            name: Name::new(b"shop").expect("shop is a NAME"),
            host: None,
            labels: Vec::new(),
            source: Source::Paths(vec!["shop.db".to_owned()]),
            program: Some(concat!("indelible ", env!("CARGO_PKG_VERSION")).to_owned()),
            level: snapshot::COMPRESSION_LEVEL,
            delta: true,
            keep_packs: None,
            lock: true,
        };
        Ok(snapshot::run(
            &mut repository,
            &request,
            Input::Items(items),
            &Cancel::new(),
            &Silent,
        )?)
    }

    /// Lists, verifies, restores and compares, with the recovery passphrase.
    fn show(&self, nights: &[Night]) -> Result<(), Failure> {
        let repository = self.open(&Credential::Passphrase(self.passphrase.clone()))?;
        let snapshots = repository.snapshots();
        let mut sound = Vec::new();
        for snapshot in snapshots {
            sound.push(snapshot.map_err(|broken| Failure::from(broken.error))?);
        }
        for snapshot in &sound {
            self.say(&format!("  {}", crate::address::describe(snapshot)));
        }
        let report = verify::with_key(&repository, Level::Data, &Terms::default(), &Silent)?;
        if !report.is_sound() {
            return Err(
                Failure::new(Exit::Integrity, "the demo's repository is not sound")
                    .hint("keep it with --keep DIR and run `indelible verify`"),
            );
        }
        self.say(&format!(
            "verified: {} of {}, every byte read, {} decoded, no problem",
            output::count(report.snapshots.len() as u64, "snapshot", "snapshots"),
            output::size(report.bytes),
            output::count(report.chunks, "chunk", "chunks"),
        ));
        let night = &nights[RESTORED_NIGHT - 1];
        let chosen = sound
            .iter()
            .find(|snapshot| snapshot.number == night.summary.number);
        let chosen = chosen
            .ok_or_else(|| Failure::new(Exit::Integrity, "the second night is not listed"))?;
        let (listings, _) = repository.listings();
        let target = self.dir.join("restored");
        let cancel = Cancel::new();
        let restore = Restore::new(&repository, &listings, chosen, &cancel, &Silent)?;
        restore.to_directory(&target, &[], Policy { overwrite: false })?;
        compare(&target.join("shop.db"), &night.taken)?;
        self.say(&format!(
            "restored night {RESTORED_NIGHT}: the same, byte for byte"
        ));
        if self.context.common.json {
            output::json(
                "demo",
                serde_json::json!({
                    "snapshots": sound.len(),
                    "sound": true,
                    "restored_number": chosen.number,
                    "restored_equals_taken": true,
                }),
            );
        }
        Ok(())
    }
}

/// Makes the key file that the host would hold, and reads it back as it would.
fn make_host_key(
    context: &Context,
    store: &LocalStore,
    state: &State,
    passphrase: &Zeroizing<String>,
    dir: &Path,
) -> Result<Credential, Failure> {
    let admin = Credential::Passphrase(passphrase.clone());
    let mut repository = Repository::open(store, Some(state), &admin, context.env.clone())?;
    let pattern = Pattern::new(b"shop*").expect("shop* is a pattern");
    let facts = GrantFacts::new("demo host", vec![pattern]).expect("the label is short");
    let new = repository.add_key(KeyRequest {
        rights: Rights::WRITE,
        facts,
        expires_ms: None,
        strict: false,
    })?;
    let history = repository.history();
    let file = KeyFile {
        repository: repository.id(),
        size: history.size(),
        root: history.root(),
        bundle: new.bundle().clone(),
    };
    let path = dir.join("host.key");
    super::key::write_key_file(&path, &file)?;
    Ok(Credential::KeyFile(Box::new(context.read_key_file(&path)?)))
}

fn compare(restored: &Path, taken: &Path) -> Result<(), Failure> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| Failure::io(format!("read {}", path.display()), &error))
    };
    if read(restored)? == read(taken)? {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Integrity,
            "what was restored differs from what was taken",
        ))
    }
}
