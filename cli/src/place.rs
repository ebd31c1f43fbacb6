//! Where a repository is, as people name it: a directory, one behind
//! ssh, or a bucket in S3.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_engine::env::Env;
use indelible_engine::pace::Limits;
#[cfg(feature = "s3")]
use indelible_engine::store::s3::S3Address;
use indelible_engine::store::{self, AppendStore, LocalStore, StoreError, Unfit};

use crate::args::Immutable;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ssh::SshPlace;

/// Where objects lie. Nothing that a command does can overwrite or delete.
pub(crate) type Store = dyn AppendStore;

/// A place that was named, made absolute, so that it is one place whatever directory
/// it is named from.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Directory(PathBuf),
    Ssh(SshPlace),
    #[cfg(feature = "s3")]
    S3(S3Address),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Ssh(place) => place.fmt(f),
            #[cfg(feature = "s3")]
            Self::S3(address) => address.fmt(f),
        }
    }
}

impl Place {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme.or_else(|| text.starts_with("image:").then_some("image")) {
            None => std::path::absolute(Path::new(text))
                .map(Self::Directory)
                .map_err(|error| Failure::io(format!("find {text}"), &error)),
            Some("ssh") => SshPlace::parse(text).map(Self::Ssh),
            #[cfg(feature = "s3")]
            Some("s3") => Ok(Self::S3(
                text.parse().map_err(|error| s3::no_address(&error))?,
            )),
            Some(scheme) => Err(Failure::usage(format!(
                "this release can't reach {scheme} repositories"
            ))
            .hint("name a directory, ssh://user@host/path, or s3://bucket/prefix")),
        }
    }

    /// As a word of a shell's command line.
    pub(crate) fn quoted(&self) -> String {
        let place = self.to_string();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:".contains(&byte);
        if place.bytes().all(plain) {
            place
        } else {
            format!("'{}'", place.replace('\'', "'\\''"))
        }
    }

    /// The store of an existing repository.
    pub(crate) fn open(&self, env: &Env, limits: &Limits) -> Result<Arc<Store>, Failure> {
        match self {
            Self::Directory(path) => {
                let store = LocalStore::open(path, env.entropy.clone())?;
                Ok(Arc::new(store.with_clock(env.clock.clone())))
            }
            Self::Ssh(place) => Ok(Arc::new(place.connect(limits)?)),
            #[cfg(feature = "s3")]
            Self::S3(address) => Ok(Arc::new(s3::open(address, env, limits)?)),
        }
    }

    /// The same in a directory, whose files are kept from change from now on. Where they
    /// can't be, no directory is left that was made for them.
    pub(crate) fn create_immutable(
        &self,
        env: &Env,
        limits: &Limits,
        how: Immutable,
    ) -> Result<Arc<Store>, Failure> {
        let Self::Directory(path) = self else {
            return self.create(env, limits);
        };
        let missing: Vec<&Path> = path.ancestors().take_while(|it| !it.exists()).collect();
        let store = LocalStore::create(path, env.entropy.clone())?.with_clock(env.clock.clone());
        let made = store.make_immutable(match how {
            Immutable::Flags => store::Immutable::Flags,
            Immutable::PosixWorm => store::Immutable::PosixWorm,
        });
        let Err(error) = made else {
            return Ok(Arc::new(store));
        };
        for directory in missing {
            // One that is not empty is not only ours.
            let _ = fs::remove_dir(directory);
        }
        Err(match &error {
            StoreError::Unfit {
                lacks: Unfit::NotWriteOnce { .. },
                ..
            } => Failure::of(Exit::Policy, &error).hint(
                "name a directory on a WORM volume; if it is one, see that the clocks agree, and that it commits files that become read-only",
            ),
            _ => error.into(),
        })
    }

    /// The store where a repository is to be made, or stands already.
    pub(crate) fn create(&self, env: &Env, limits: &Limits) -> Result<Arc<Store>, Failure> {
        match self {
            Self::Directory(path) => {
                let store = LocalStore::create(path, env.entropy.clone())?;
                Ok(Arc::new(store.with_clock(env.clock.clone())))
            }
            Self::Ssh(_) => self.open(env, limits),
            #[cfg(feature = "s3")]
            Self::S3(_) => self.open(env, limits),
        }
    }
}

/// Stores in S3, and what they are opened with.
#[cfg(feature = "s3")]
mod s3 {
    use std::env;
    use std::path::PathBuf;
    use std::sync::Arc;

    use indelible_engine::env::{Env, SystemClock};
    use indelible_engine::pace::Limits;
    use indelible_engine::store::s3::{
        Patience, S3Address, S3AddressError, S3Options, S3Settings, S3SettingsError, S3Store,
    };

    use crate::exit::Exit;
    use crate::failure::Failure;

    pub(super) fn no_address(error: &S3AddressError) -> Failure {
        Failure::of(Exit::Usage, error).hint(
            "for instance: s3://bucket/prefix, or s3://bucket/prefix?endpoint=https://host:9000",
        )
    }

    pub(super) fn open(
        address: &S3Address,
        env: &Env,
        limits: &Limits,
    ) -> Result<S3Store, Failure> {
        let variable = |name: &str| env::var_os(name);
        let home = env::var_os("HOME").map(PathBuf::from);
        let settings =
            S3Settings::find(&variable, home.as_deref()).map_err(|error| no_settings(&error))?;
        let options = S3Options {
            lock: None,
            patience: Patience::default(),
            clock: env.clock.clone(),
            entropy: env.entropy.clone(),
            pause: Arc::new(SystemClock::new()),
            limits: limits.clone(),
        };
        S3Store::open(address, &settings, options).map_err(|error| no_settings(&error))
    }

    fn no_settings(error: &S3SettingsError) -> Failure {
        Failure::of(Exit::Key, error)
    }
}
