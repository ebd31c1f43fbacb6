//! Where a repository lies in S3, as people write it.
//!
//! Why it is safe: what is taken as a prefix is a plain path of harmless
//! characters, so no object's key can leave it, and none needs quoting. An
//! address holds no secret; one with a password in it is refused.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The parameters that an address may have.
const KNOWN: &str = "endpoint, region and path-style";

/// `s3://bucket/prefix?endpoint=...&region=...&path-style=true`.
///
/// Everything but the bucket may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Address {
    /// The bucket's name.
    pub bucket: String,
    /// Where in the bucket the repository lies: components separated by `/`,
    /// none before or behind; empty where it has the bucket to itself.
    pub prefix: String,
    /// The server, unless it is Amazon's.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// Whether the bucket stands in the path of requests rather than in the name
    /// of the host. By default it does where there is an endpoint.
    pub path_style: Option<bool>,
}

/// Why a text is no address of a repository in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum S3AddressError {
    /// It begins otherwise.
    #[error("an address in S3 begins with s3://, as in s3://bucket/prefix")]
    Scheme,
    /// No bucket has such a name.
    #[error(
        "`{bucket}` is no name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens"
    )]
    Bucket {
        /// What stands where the bucket should.
        bucket: String,
    },
    /// The prefix has an empty component, or a character that might be misread.
    #[error(
        "`{prefix}` is no prefix: components of letters, digits, `.`, `_`, `-` and `=`, with one / between them"
    )]
    Prefix {
        /// What stands where the prefix should.
        prefix: String,
    },
    /// The endpoint is no address of a server.
    #[error(
        "`{endpoint}` is no endpoint: http:// or https:// and a host, without user, query and fragment"
    )]
    Endpoint {
        /// What was given, without the password that it may hold.
        endpoint: String,
    },
    /// A value that is not of its kind.
    #[error("`{value}` is no value of {name}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// Nobody knows the parameter.
    #[error("`{name}` is no parameter of an address in S3, which are {KNOWN}")]
    Parameter {
        /// What was given.
        name: String,
    },
    /// The parameter stands there twice.
    #[error("`{name}` is given twice")]
    Twice {
        /// What was given.
        name: String,
    },
}

/// Reads an endpoint.
pub(super) fn endpoint(text: &str) -> Result<Url, S3AddressError> {
    let refused = |endpoint: &str| S3AddressError::Endpoint {
        endpoint: endpoint.to_owned(),
    };
    let url = Url::parse(text).map_err(|_| refused(text))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("(one with a user or a password)"));
    }
    let plain = url.query().is_none() && url.fragment().is_none() && url.has_host();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return Err(refused(text));
    }
    Ok(url)
}

impl FromStr for S3Address {
    type Err = S3AddressError;

    fn from_str(text: &str) -> Result<Self, S3AddressError> {
        let rest = text.strip_prefix("s3://").ok_or(S3AddressError::Scheme)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let mut address = Self {
            bucket: checked_bucket(bucket)?,
            prefix: checked_prefix(prefix)?,
            endpoint: None,
            region: None,
            path_style: None,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let given_before = match &*name {
                "endpoint" => address.endpoint.replace(endpoint(&value)?).is_some(),
                "region" => address.region.replace(checked_region(&value)?).is_some(),
                "path-style" => {
                    let value = value.parse().map_err(|_| S3AddressError::Value {
                        name: "path-style (true or false)",
                        value: value.into_owned(),
                    })?;
                    address.path_style.replace(value).is_some()
                }
                _ => {
                    return Err(S3AddressError::Parameter {
                        name: name.into_owned(),
                    });
                }
            };
            if given_before {
                return Err(S3AddressError::Twice {
                    name: name.into_owned(),
                });
            }
        }
        Ok(address)
    }
}

fn checked_bucket(bucket: &str) -> Result<String, S3AddressError> {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
    };
    let sound = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(fits)
        && bucket.split('.').all(|label| !label.is_empty());
    if !sound {
        return Err(S3AddressError::Bucket {
            bucket: bucket.to_owned(),
        });
    }
    Ok(bucket.to_owned())
}

fn checked_prefix(text: &str) -> Result<String, S3AddressError> {
    let prefix = text.strip_suffix('/').unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'=');
    let component =
        |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(fits) && part.len() < 256;
    let sound = prefix.is_empty() || (prefix.len() <= 512 && prefix.split('/').all(component));
    if !sound {
        return Err(S3AddressError::Prefix {
            prefix: text.to_owned(),
        });
    }
    Ok(prefix.to_owned())
}

pub(super) fn checked_region(region: &str) -> Result<String, S3AddressError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if region.is_empty() || region.len() > 64 || !region.bytes().all(fits) {
        return Err(S3AddressError::Value {
            name: "region",
            value: region.to_owned(),
        });
    }
    Ok(region.to_owned())
}

/// The address as it can be given again.
impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        let mut parameters = Vec::new();
        if let Some(endpoint) = &self.endpoint {
            parameters.push(format!("endpoint={endpoint}"));
        }
        if let Some(region) = &self.region {
            parameters.push(format!("region={region}"));
        }
        if let Some(path_style) = self.path_style {
            parameters.push(format!("path-style={path_style}"));
        }
        if !parameters.is_empty() {
            write!(f, "?{}", parameters.join("&"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address says is what is taken from it, and it can be given again.
    ///
    /// Method: addresses with all, with some and with no parameters.
    #[test]
    fn addresses_are_read() {
        let text =
            "s3://bucket/a/b?endpoint=http://127.0.0.1:8333/&region=us-east-1&path-style=true";
        let address: S3Address = text.parse().expect("an address");
        assert_eq!(
            (address.bucket.as_str(), address.prefix.as_str()),
            ("bucket", "a/b")
        );
        assert_eq!(
            address.endpoint.as_ref().map(Url::as_str),
            Some("http://127.0.0.1:8333/")
        );
        assert_eq!(address.region.as_deref(), Some("us-east-1"));
        assert_eq!(address.path_style, Some(true));
        assert_eq!(address.to_string(), text);
        for (text, prefix) in [
            ("s3://my.bucket-1", ""),
            ("s3://my.bucket-1/", ""),
            ("s3://my.bucket-1/backups/", "backups"),
        ] {
            let address: S3Address = text.parse().expect("an address");
            assert_eq!(address.prefix, prefix);
            assert_eq!(address.endpoint, None);
            let again: S3Address = address.to_string().parse().expect("an address");
            assert_eq!(again, address);
        }
    }

    /// What might be misread is refused, and says what is expected.
    ///
    /// Method: a list of near misses, each with a word of its message; a password
    /// is not repeated.
    #[test]
    fn near_misses_are_refused() {
        for (text, word) in [
            ("/var/backups", "s3://bucket/prefix"),
            ("S3://bucket", "s3://bucket/prefix"),
            ("s3://", "name of a bucket"),
            ("s3://Bucket/a", "lower-case"),
            ("s3://a..b/", "name of a bucket"),
            ("s3://user:pw@bucket/", "name of a bucket"),
            ("s3://bucket//a", "one / between"),
            ("s3://bucket/a//b", "one / between"),
            ("s3://bucket/../other", "one / between"),
            ("s3://bucket/a b", "one / between"),
            ("s3://bucket/a#b", "one / between"),
            ("s3://bucket?endpoint=host:1", "endpoint"),
            ("s3://bucket?endpoint=ftp://host", "endpoint"),
            ("s3://bucket?endpoint=http://host/?x=1", "endpoint"),
            ("s3://bucket?region=", "region"),
            ("s3://bucket?region=us%0aeast", "region"),
            ("s3://bucket?path-style=yes", "true or false"),
            ("s3://bucket?region=a&region=b", "twice"),
            ("s3://bucket?secret=x", "endpoint, region and path-style"),
        ] {
            let error = text.parse::<S3Address>().expect_err(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let error = "s3://bucket?endpoint=http://u:hunter2@host/"
            .parse::<S3Address>()
            .expect_err("a password");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
