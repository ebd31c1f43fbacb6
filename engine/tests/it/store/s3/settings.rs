//! Where credentials and what goes with them are found.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use indelible_engine::store::s3::{LockMode, ObjectLock, S3Address, S3Settings, S3SettingsError};

use super::{SECRET, Stage, options};

/// Settings from these variables, and a home with these files.
fn find(
    variables: &[(&str, &str)],
    credentials: &str,
    config: &str,
) -> Result<S3Settings, S3SettingsError> {
    let home = tempfile::tempdir().expect("a temporary directory");
    let directory = home.path().join(".aws");
    fs::create_dir(&directory).expect("it is writable");
    for (name, text) in [("credentials", credentials), ("config", config)] {
        if !text.is_empty() {
            fs::write(directory.join(name), text).expect("it is writable");
        }
    }
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let variable = |name: &str| variables.get(name).map(OsString::from);
    S3Settings::find(&variable, Some(home.path()))
}

/// Variables, the file of credentials, and a word of the error.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

const FILE: &str = "[other]\naws_access_key_id = AKOTHER\naws_secret_access_key=othersecret\n\
    # a comment\n[default]\naws_access_key_id=AKDEFAULT\naws_secret_access_key = s=/+cret \n";

/// Variables come before files, and each value from the first place that has it.
///
/// Method: variables alone, files alone, a profile, and both.
#[test]
fn settings_are_found_where_other_tools_look() {
    let both = [
        ("AWS_ACCESS_KEY_ID", "AKENV"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_DEFAULT_REGION", "eu-west-2"),
        ("AWS_ENDPOINT_URL", "https://s3.example.org"),
    ];
    let found = find(&both, FILE, "[default]\nregion=eu-west-3\n").expect("settings");
    assert_eq!(found.access_key_id, "AKENV");
    assert_eq!(*found.secret_access_key, SECRET);
    assert_eq!(
        found.session_token.as_deref().map(String::as_str),
        Some("token")
    );
    assert_eq!(found.region.as_deref(), Some("eu-west-2"));
    let endpoint = found.endpoint.as_ref().map(url::Url::as_str);
    assert_eq!(endpoint, Some("https://s3.example.org/"));
    assert!(!format!("{found:?}").contains(SECRET));

    let config = "[default]\nregion = eu-west-3\ns3 =\n  endpoint_url = http://nested\n\
        [profile other]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:8333\n";
    let found = find(&[], FILE, config).expect("settings");
    assert_eq!(found.access_key_id, "AKDEFAULT");
    assert_eq!(*found.secret_access_key, "s=/+cret");
    assert_eq!(found.session_token, None);
    assert_eq!(found.region.as_deref(), Some("eu-west-3"));
    assert_eq!(found.endpoint, None);

    let found = find(&[("AWS_PROFILE", "other")], FILE, config).expect("settings");
    assert_eq!(found.access_key_id, "AKOTHER");
    assert_eq!(found.region.as_deref(), Some("eu-north-1"));
    assert!(found.endpoint.is_some());

    // Credentials may stand in the other file as well.
    let keys = "[profile other]\naws_access_key_id=AKCONFIG\naws_secret_access_key=x\n";
    let found = find(&[("AWS_PROFILE", "other")], "", keys).expect("settings");
    assert_eq!(found.access_key_id, "AKCONFIG");
}

/// What is missing or can't be used is named, and no secret with it.
///
/// Method: one case of each error, with a word that its message must have.
#[test]
fn what_is_missing_is_named() {
    let id = ("AWS_ACCESS_KEY_ID", "AKENV");
    let secret = ("AWS_SECRET_ACCESS_KEY", SECRET);
    let cases: [Case<'_>; 8] = [
        (&[], "", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (&[("AWS_PROFILE", "nobody")], FILE, "profile `nobody`"),
        (&[id], FILE, "AWS_SECRET_ACCESS_KEY is not"),
        (&[secret], FILE, "AWS_ACCESS_KEY_ID is not"),
        (
            &[],
            "[default]\naws_secret_access_key=wJalrXUtnFEMIHunter2",
            "aws_access_key_id is not",
        ),
        (
            &[],
            "[default]\nrole_arn = arn:aws:iam::1:role/x",
            "role_arn",
        ),
        (&[id, secret, ("AWS_REGION", "a b")], "", "the region"),
        (
            &[id, secret, ("AWS_ENDPOINT_URL", "here")],
            "",
            "the endpoint",
        ),
    ];
    for (variables, file, word) in cases {
        let error = find(variables, file, "").expect_err(word);
        let text = format!("{error} {error:?}");
        assert!(text.contains(word), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
    let bundle = ("AWS_CA_BUNDLE", "/nowhere/at/all");
    let error = find(&[id, secret, bundle], "", "").expect_err("no such file");
    assert!(error.to_string().contains("/nowhere/at/all"));

    let strange =
        |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| OsString::from_vec(vec![0xFF, b'x']));
    let error = S3Settings::find(&strange, Some(Path::new("/nowhere"))).expect_err("no text");
    assert!(
        matches!(error, S3SettingsError::NotText { .. }),
        "{error:?}"
    );
}

/// Settings that make no request are refused before one is made.
///
/// Method: a bundle without a certificate, a server by number for buckets in names
/// of hosts, and a lock that lasts for ever or not at all.
#[test]
fn unusable_settings_are_refused() {
    let Stage { clock, .. } = Stage::new(None);
    let open = |address: &str, lock, authorities: Option<Vec<u8>>| {
        let mut settings = find(
            &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")],
            "",
            "",
        )
        .expect("settings");
        settings.authorities = authorities;
        let address: S3Address = address.parse().expect("an address");
        super::S3Store::open(&address, &settings, options(&clock, lock, super::PATIENCE))
    };
    open("s3://bucket", None, None).expect("it can be asked");
    let error = open("s3://bucket", None, Some(b"no certificate".to_vec()));
    assert!(matches!(error, Err(S3SettingsError::Authorities { .. })));
    let error = open(
        "s3://bucket?endpoint=http://127.0.0.1&path-style=false",
        None,
        None,
    );
    assert!(matches!(error, Err(S3SettingsError::HostStyle { .. })));
    for span_ms in [0, 999, u64::MAX] {
        let lock = ObjectLock {
            mode: LockMode::Compliance,
            span_ms,
        };
        let error = open("s3://bucket", Some(lock), None);
        assert!(matches!(error, Err(S3SettingsError::LockSpan)), "{span_ms}");
    }
}
