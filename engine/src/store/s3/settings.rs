//! Who asks a store in S3, and where: credentials and what goes with them, from
//! the places where other tools look for them too.
//!
//! Why it is safe: nothing here reads the environment; the caller hands in how to
//! look up a variable. Files are read up to a bound. A secret is wiped when it is
//! dropped, and neither [`S3Settings`]' `Debug` nor any error shows one: errors
//! name files and profiles, never lines.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

use super::address::{S3AddressError, checked_region, endpoint};

/// The most that is read of a file of settings, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a store in S3 is asked with.
#[derive(Clone)]
pub struct S3Settings {
    /// The public half of the credentials.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Zeroizing<String>,
    /// What temporary credentials have besides.
    pub session_token: Option<Zeroizing<String>>,
    /// The region, unless the address has one.
    pub region: Option<String>,
    /// The server, unless the address has one.
    pub endpoint: Option<Url>,
    /// Certificates (PEM) of the authorities that may vouch for the server,
    /// instead of those that browsers take.
    pub authorities: Option<Vec<u8>>,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Why a store in S3 can't be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3SettingsError {
    /// There are no credentials.
    #[error(
        "there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write both to profile `{profile}` of {}", .file.display()
    )]
    NoCredentials {
        /// The profile that was looked for.
        profile: String,
        /// Where.
        file: PathBuf,
    },
    /// One half of the credentials is there.
    #[error("{found} is set and {missing} is not")]
    Half {
        /// Which is there.
        found: &'static str,
        /// Which is missing.
        missing: &'static str,
    },
    /// The profile gets its credentials in a way that this program does not know.
    #[error(
        "profile `{profile}` gets its credentials by `{by}`, which is not supported: hand them over as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
    )]
    Indirect {
        /// The profile.
        profile: String,
        /// The setting that says so.
        by: &'static str,
    },
    /// A file can't be read.
    #[error("could not read {}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A variable is no text.
    #[error("{name} is not valid Unicode")]
    NotText {
        /// Which variable.
        name: &'static str,
    },
    /// A value can't be meant.
    #[error("{from} can't be used")]
    Value {
        /// Where the value comes from.
        from: String,
        /// Why.
        source: S3AddressError,
    },
    /// What should be certificates is none.
    #[error("{from} holds no certificate in PEM form")]
    Authorities {
        /// Where they come from.
        from: String,
    },
    /// The lock is no lock, or one that nobody could ever undo.
    #[error("a lock lasts a second at least, and a hundred years at most")]
    LockSpan,
    /// Bucket and endpoint don't make a host.
    #[error(
        "bucket `{bucket}` can't stand in a name of a host: add path-style=true to the address"
    )]
    HostStyle {
        /// The bucket.
        bucket: String,
    },
}

/// Looks up a variable of the environment.
pub type Lookup<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

impl S3Settings {
    /// Finds the settings where Amazon's own tools look: variables first
    /// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL`, `AWS_CA_BUNDLE`), then the profile `AWS_PROFILE` in
    /// `.aws/credentials` and `.aws/config` below `home`, or in the files that
    /// `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` name.
    ///
    /// # Errors
    ///
    /// [`S3SettingsError`].
    pub fn find(variable: &Lookup<'_>, home: Option<&Path>) -> Result<Self, S3SettingsError> {
        let text = |name: &'static str| -> Result<Option<String>, S3SettingsError> {
            let Some(value) = variable(name).filter(|value| !value.is_empty()) else {
                return Ok(None);
            };
            let value = value.into_string();
            value
                .map(Some)
                .map_err(|_| S3SettingsError::NotText { name })
        };
        let profile = text("AWS_PROFILE")?.unwrap_or_else(|| "default".to_owned());
        let file_at = |name: &'static str, below_home: &str| match variable(name) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => home.unwrap_or(Path::new("~")).join(".aws").join(below_home),
        };
        let file = file_at("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config_file = file_at("AWS_CONFIG_FILE", "config");
        let secrets = Section::read(&file, &[&profile])?;
        let config = Section::read(&config_file, &[&format!("profile {profile}"), &profile])?;

        let pair = (text("AWS_ACCESS_KEY_ID")?, text("AWS_SECRET_ACCESS_KEY")?);
        let [access_key_id, secret_access_key, session_token] = match pair {
            (Some(id), Some(secret)) => {
                [id, secret, text("AWS_SESSION_TOKEN")?.unwrap_or_default()]
            }
            (None, None) => in_files(profile, file, [&secrets, &config])?,
            (id, _) => return Err(half(id.is_some(), VARIABLES)),
        };

        let region = text("AWS_REGION")?.or(text("AWS_DEFAULT_REGION")?);
        let region = region.or_else(|| config.get("region"));
        let server = text("AWS_ENDPOINT_URL_S3")?.or(text("AWS_ENDPOINT_URL")?);
        let server = server.or_else(|| config.get("endpoint_url"));
        let value = |from: &str, source| S3SettingsError::Value {
            from: from.to_owned(),
            source,
        };
        Ok(Self {
            access_key_id,
            secret_access_key: Zeroizing::new(secret_access_key),
            session_token: (!session_token.is_empty()).then(|| Zeroizing::new(session_token)),
            region: region
                .map(|it| checked_region(&it).map_err(|why| value("the region", why)))
                .transpose()?,
            endpoint: server
                .map(|it| endpoint(&it).map_err(|why| value("the endpoint", why)))
                .transpose()?,
            authorities: text("AWS_CA_BUNDLE")?
                .map(|path| read_bounded(Path::new(&path)))
                .transpose()?,
        })
    }
}

const VARIABLES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
const NAMES: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

fn half(first_is_there: bool, [id, secret]: [&'static str; 2]) -> S3SettingsError {
    let (found, missing) = if first_is_there {
        (id, secret)
    } else {
        (secret, id)
    };
    S3SettingsError::Half { found, missing }
}

/// Credentials from the shared files: the one for secrets first. The third, the
/// token, may be empty.
fn in_files(
    profile: String,
    file: PathBuf,
    sections: [&Section; 2],
) -> Result<[String; 3], S3SettingsError> {
    for section in sections {
        match NAMES.map(|name| section.get(name)) {
            [Some(id), Some(secret)] => {
                let token = section.get("aws_session_token").unwrap_or_default();
                return Ok([id, secret, token]);
            }
            [None, None] => {}
            [id, _] => return Err(half(id.is_some(), NAMES)),
        }
    }
    for by in [
        "credential_process",
        "sso_session",
        "sso_start_url",
        "role_arn",
    ] {
        if sections.iter().any(|section| section.get(by).is_some()) {
            return Err(S3SettingsError::Indirect { profile, by });
        }
    }
    Err(S3SettingsError::NoCredentials { profile, file })
}

/// The settings of one profile in one file.
struct Section(Vec<(String, Zeroizing<String>)>);

impl Section {
    /// Reads the first section that is there. A file that is missing has none.
    fn read(path: &Path, names: &[&str]) -> Result<Self, S3SettingsError> {
        let bytes = match read_bounded(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(S3SettingsError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(Self(Vec::new()));
            }
            Err(error) => return Err(error),
        };
        let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
        let (mut inside, mut settings) = (false, Vec::new());
        // A line that is indented belongs to the one before; none of those matters.
        for line in text.lines().filter(|line| !line.starts_with([' ', '\t'])) {
            let line = line.trim_end();
            if let Some(header) = line.strip_prefix('[') {
                let name = header.split(']').next().unwrap_or_default().trim();
                inside = names.contains(&name);
            } else if inside
                && !line.starts_with(['#', ';'])
                && let Some((name, value)) = line.split_once('=')
            {
                let value = Zeroizing::new(value.trim().to_owned());
                settings.push((name.trim().to_ascii_lowercase(), value));
            }
        }
        Ok(Self(settings))
    }

    /// The last value of that name that is not empty.
    fn get(&self, name: &str) -> Option<String> {
        let mut met = self.0.iter().rev();
        let found = met.find(|(met, value)| met == name && !value.is_empty())?;
        Some(found.1.to_string())
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, S3SettingsError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    };
    read().map_err(|source| S3SettingsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}
