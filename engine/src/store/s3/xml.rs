//! What S3 answers in XML.
//!
//! Why it is safe: the answers are hostile. Their length is bounded before they
//! come here, nesting is bounded here, entities beyond XML's own five are refused,
//! and so is a document type. What is not known is passed over.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::Answer;
use super::fault::Garbled;
use super::lock::{Retention, mode_of};
use super::time::parse_lock_date;

/// No answer of S3 is nested deeper than four.
const DEPTH_MAX: usize = 16;
/// The most that is kept of a text which is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// What is met in a document.
enum Met<'a> {
    /// An element begins.
    Begin(&'a str),
    /// An element ends, which held this text.
    End(&'a str, &'a str),
}

/// Goes through a document.
fn walk(bytes: &[u8], each: &mut dyn FnMut(Met<'_>)) -> Result<(), Garbled> {
    let mut reader = Reader::from_reader(bytes);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<String> = Vec::new();
    let mut text = String::new();
    loop {
        match reader.read_event().map_err(|_| Garbled::Xml)? {
            Event::Start(start) => {
                let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                each(Met::Begin(&name));
                text.clear();
                open.push(name);
                if open.len() > DEPTH_MAX {
                    return Err(Garbled::Xml);
                }
            }
            Event::End(_) => {
                let name = open.pop().ok_or(Garbled::Xml)?;
                each(Met::End(&name, &text));
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.decode().map_err(|_| Garbled::Xml)?),
            Event::CData(part) => text.push_str(&part.decode().map_err(|_| Garbled::Xml)?),
            Event::GeneralRef(reference) => {
                let character = match &*reference {
                    b"lt" => '<',
                    b"gt" => '>',
                    b"amp" => '&',
                    b"quot" => '"',
                    b"apos" => '\'',
                    _ => {
                        let character = reference.resolve_char_ref();
                        character.ok().flatten().ok_or(Garbled::Xml)?
                    }
                };
                text.push(character);
            }
            Event::Eof if open.is_empty() => return Ok(()),
            Event::DocType(_) | Event::Eof => return Err(Garbled::Xml),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
        }
    }
}

/// One version of an object, or a marker that hides those before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) version: String,
    pub(super) size_bytes: u64,
    /// There are no bytes: somebody removed the object by hiding it.
    pub(super) is_marker: bool,
}

/// A part of a list of versions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Where the next part begins: the markers for key and version.
    pub(super) next: Option<(String, String)>,
}

/// Reads the answer to `ListObjectVersions`. Versions of one key come newest
/// first.
pub(super) fn versions(bytes: &[u8]) -> Result<Page, Garbled> {
    let (mut page, mut entry) = (Page::default(), Entry::default());
    let (mut key_marker, mut version_marker) = (String::new(), String::new());
    let (mut is_list, mut is_quoted, mut is_cut, mut bad_size) = (false, false, false, false);
    walk(bytes, &mut |met| match met {
        Met::Begin("ListVersionsResult") => is_list = true,
        Met::Begin("Version" | "DeleteMarker") => entry = Entry::default(),
        Met::End(name @ ("Version" | "DeleteMarker"), _) => {
            entry.is_marker = name == "DeleteMarker";
            page.entries.push(std::mem::take(&mut entry));
        }
        Met::End("Key", text) => text.clone_into(&mut entry.key),
        Met::End("VersionId", text) => text.clone_into(&mut entry.version),
        Met::End("Size", text) => match text.parse() {
            Ok(size_bytes) => entry.size_bytes = size_bytes,
            Err(_) => bad_size = true,
        },
        Met::End("EncodingType", text) => is_quoted = text == "url",
        Met::End("IsTruncated", text) => is_cut = text == "true",
        Met::End("NextKeyMarker", text) => text.clone_into(&mut key_marker),
        Met::End("NextVersionIdMarker", text) => text.clone_into(&mut version_marker),
        _ => {}
    })?;
    if !is_list || bad_size {
        return Err(Garbled::Xml);
    }
    if is_quoted {
        for entry in &mut page.entries {
            entry.key = unquoted(&entry.key);
        }
        key_marker = unquoted(&key_marker);
    }
    if is_cut {
        page.next = Some((key_marker, version_marker));
    }
    Ok(page)
}

/// A key that came percent-encoded, as every key can.
fn unquoted(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        let digit = |at: usize| char::from(*others.get(at)?).to_digit(16);
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
            && let Ok(byte) = u8::try_from(high << 4 | low)
        {
            bytes.push(byte);
            rest = &others[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the answer to `GetObjectRetention`.
pub(super) fn retention(bytes: &[u8]) -> Result<Retention, Garbled> {
    let (mut mode, mut until_ms) = (None, None);
    walk(bytes, &mut |met| match met {
        Met::End("Mode", text) => mode = mode_of(text),
        Met::End("RetainUntilDate", text) => until_ms = parse_lock_date(text),
        _ => {}
    })?;
    match (mode, until_ms) {
        (Some(mode), Some(until_ms)) => Ok(Retention { mode, until_ms }),
        _ => Err(Garbled::Xml),
    }
}

/// The text of the first element of a name; empty where there is none.
pub(super) fn text_of(bytes: &[u8], wanted: &str) -> Result<String, Garbled> {
    let mut found = None;
    walk(bytes, &mut |met| match met {
        Met::End(name, text) if name == wanted && found.is_none() => found = Some(text.to_owned()),
        _ => {}
    })?;
    Ok(found.unwrap_or_default())
}

/// What an answer says that is no success. The body may be anything.
pub(super) fn answer(status: u16, bytes: &[u8]) -> Answer {
    let text = |name| shown(&text_of(bytes, name).unwrap_or_default());
    Answer {
        status,
        code: text("Code"),
        message: text("Message"),
    }
}

/// The beginning of a text, harmless to show.
fn shown(text: &str) -> String {
    let harmless = |character: char| {
        if character.is_control() {
            '?'
        } else {
            character
        }
    };
    text.chars().take(SHOWN_CHARS_MAX).map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, any, proptest};

    /// A list is read as it stands: order, markers, quoting, and where it goes on.
    ///
    /// Method: a list with all of that, and strange elements besides.
    #[test]
    fn lists_are_read() {
        let page = versions(
            b"<?xml version=\"1.0\"?><ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>b</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <NextKeyMarker>log%2F1</NextKeyMarker><NextVersionIdMarker>v9</NextVersionIdMarker>\
            <DeleteMarker><Key>a%0Ab+c</Key><VersionId>v2</VersionId><Owner><ID>x</ID></Owner></DeleteMarker>\
            <Version><Key>a&amp;b&#x41;</Key><VersionId>v1</VersionId><Size>7</Size><New/></Version>\
            </ListVersionsResult>",
        )
        .expect("a list");
        let entry = |key: &str, version: &str, size_bytes, is_marker| Entry {
            key: key.to_owned(),
            version: version.to_owned(),
            size_bytes,
            is_marker,
        };
        assert_eq!(
            page.entries,
            [
                entry("a\nb c", "v2", 0, true),
                entry("a&bA", "v1", 7, false)
            ]
        );
        assert_eq!(page.next, Some(("log/1".to_owned(), "v9".to_owned())));
    }

    /// What is no answer is refused, and what is shown is harmless.
    ///
    /// Method: cut, nested, expanding and other documents; an error with controls.
    #[test]
    fn nonsense_is_refused() {
        let deep = "<a>".repeat(100_000);
        for bytes in [
            "",
            "<html></html>",
            "<ListVersionsResult><Version>",
            "<ListVersionsResult><Version><Size>-1</Size></Version></ListVersionsResult>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><ListVersionsResult></ListVersionsResult>",
            "<ListVersionsResult><Key>&b;</Key></ListVersionsResult>",
            deep.as_str(),
        ] {
            assert!(versions(bytes.as_bytes()).is_err());
        }
        assert!(retention(b"<Retention><Mode>COMPLIANCE</Mode></Retention>").is_err());
        let answered = answer(
            403,
            b"<Error><Code>No&#x1b;[2J</Code><Message>m</Message></Error>",
        );
        assert_eq!(answered.to_string(), "the store answered 403, No?[2J, m");
        assert_eq!(
            answer(503, b"Bad Gateway").to_string(),
            "the store answered 503"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// No bytes make it panic.
        ///
        /// Method: drawn bytes within a list.
        #[test]
        fn bytes_never_panic(drawn in any::<Vec<u8>>()) {
            let mut bytes = b"<ListVersionsResult><Version>".to_vec();
            bytes.extend_from_slice(&drawn);
            let _ = versions(&bytes);
            let _ = (retention(&drawn), answer(400, &drawn), unquoted(&String::from_utf8_lossy(&drawn)));
        }
    }
}
