//! Settings and connections that change what later statements mean.

use crate::sql::lexer::Unfollowed;

/// Encodings in which a byte that looks like a quote or a backslash may be half a
/// character.
const AMBIGUOUS: [&str; 7] = [
    "BIG5",
    "GB18030",
    "GBK",
    "JOHAB",
    "SHIFT_JIS_2004",
    "SJIS",
    "UHC",
];

/// Refuses settings under which the dump means something else than is read here.
pub(super) fn followed(setting: &[u8], value: &[u8]) -> Result<(), Unfollowed> {
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
    };
    match setting {
        b"standard_conforming_strings" if !is(&["on", "true", "yes", "1"]) => Err(Unfollowed),
        b"client_encoding" if is(&AMBIGUOUS) => Err(Unfollowed),
        _ => Ok(()),
    }
}

/// The database that `\connect` names: a word, or a connection string that has only
/// that, quoted for psql and within for libpq.
pub(super) fn connected(argument: &[u8]) -> Option<Vec<u8>> {
    let string = argument.strip_prefix(b"-reuse-previous=on ");
    let argument = string.unwrap_or(argument).trim_ascii();
    let mut database = match argument {
        [b'"', inner @ .., b'"'] => undoubled(inner)?,
        _ if argument.iter().all(|&byte| plain(byte)) => argument.to_vec(),
        _ => return None,
    };
    // Without the option it would be taken for a string of more than a database.
    if string.is_none() && database.iter().any(|byte| matches!(byte, b'=' | b':')) {
        return None;
    }
    if string.is_some() {
        let value = database.strip_prefix(b"dbname=")?;
        database = match value {
            [b'\'', inner @ .., b'\''] => unescaped(inner)?,
            _ if value.iter().all(|&byte| plain(byte)) => value.to_vec(),
            _ => return None,
        };
    }
    (!database.is_empty()).then_some(database)
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

fn undoubled(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'"' && bytes.next() != Some(&b'"') {
            return None;
        }
        out.push(byte);
    }
    Some(out)
}

fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.push(*bytes.next()?),
            b'\'' => return None,
            _ => out.push(byte),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::connected;

    /// The database of a connection is the one that psql would connect to.
    ///
    /// Method: each form that `pg_dumpall` writes, with every byte that one of its two
    /// layers of quotes must hide, and forms that name more than a database.
    #[test]
    fn databases_of_connections() {
        for (argument, database) in [
            ("postgres", Some("postgres")),
            (r#""my db""#, Some("my db")),
            (r#"-reuse-previous=on "dbname='a b'""#, Some("a b")),
            (
                r#"-reuse-previous=on "dbname='a\'b\\c""d=e'""#,
                Some(r#"a'b\c"d=e"#),
            ),
            (r#"-reuse-previous=on "dbname='a' host='b'""#, None),
            (r#"-reuse-previous=on "host=b""#, None),
            (r#""dbname='a'""#, None),
            (r#""postgresql://a""#, None),
            ("postgres other", None),
            ("-", None),
            ("", None),
            ("`date`", None),
            (":x", None),
        ] {
            let found = connected(argument.as_bytes());
            assert_eq!(found.as_deref(), database.map(str::as_bytes), "{argument}");
        }
    }
}
