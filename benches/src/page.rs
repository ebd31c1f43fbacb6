//! Puts a report onto a Markdown page, between markers of its own, so that
//! whatever else stands there stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::machine;

const HEADING: &str = "# Results\n\nWritten by `benches/compare`, `benches/mount`, `benches/nights`, `benches/places` and\n`benches/sizes`; text outside of the markers stays.\n";

/// The page that is part of the sources.
pub fn usual() -> PathBuf {
    machine::workspace().join("benches").join("RESULTS.md")
}

/// Replaces a section of a page, or adds it at the end.
///
/// # Errors
///
/// If the page can't be read or written, or has only one of the markers.
pub fn put(page: &Path, section: &str, text: &str) -> anyhow::Result<()> {
    let old = match fs::read_to_string(page) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HEADING.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", page.display())),
    };
    let new = replaced(&old, section, text)
        .with_context(|| format!("the page {} is broken", page.display()))?;
    fs::write(page, new).with_context(|| format!("cannot write {}", page.display()))
}

fn replaced(old: &str, section: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (
        format!("<!-- {section}: begin -->"),
        format!("<!-- {section}: end -->"),
    );
    let block = format!("{begin}\n{text}{end}");
    match (old.find(&begin), old.find(&end)) {
        (None, None) => Ok(format!("{}\n\n{block}\n", old.trim_end())),
        (Some(from), Some(to)) if from < to => {
            Ok(format!("{}{block}{}", &old[..from], &old[to + end.len()..]))
        }
        _ => bail!("it has one marker of the section {section} without the other"),
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    /// A section is added once and then replaced, and the rest of a page stays.
    ///
    /// Method: two sections put onto a page, the first of them twice.
    #[test]
    fn sections_are_replaced_and_the_rest_stays() {
        let page = replaced("# Page\n\nBefore.\n", "one", "old\n").expect("it has no marker");
        let page = replaced(&page, "two", "other\n").expect("it has no such marker");
        let page = format!("{page}\nAfter.\n");
        let page = replaced(&page, "one", "new\n").expect("it has both markers");
        assert_eq!(
            page,
            "# Page\n\nBefore.\n\n<!-- one: begin -->\nnew\n<!-- one: end -->\n\n\
             <!-- two: begin -->\nother\n<!-- two: end -->\n\nAfter.\n"
        );
    }

    /// A page that lost a marker is not made worse.
    ///
    /// Method: one marker alone, and both in the wrong order.
    #[test]
    fn broken_markers_are_refused() {
        for page in [
            "<!-- one: begin -->\n",
            "<!-- one: end -->\n",
            "<!-- one: end -->\n<!-- one: begin -->\n",
        ] {
            assert!(replaced(page, "one", "text\n").is_err(), "{page}");
        }
    }
}
