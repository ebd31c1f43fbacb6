//! What a long log costs to open in S3.

use indelible_engine::log::{self, Signed};
use indelible_engine::store::{ObjectKey, ReadStore as _};

use super::{PREFIX, Stage};
use crate::log_bundles::long;

/// A long log is opened in few requests; what somebody put over its bundles changes neither
/// that nor what it tells, and without bundles each entry takes two.
///
/// Method: count the requests for 520 entries with their two bundles, then with newer
/// versions and markers over those, then with junk under the oldest, then without any.
#[test]
fn a_long_log_takes_few_requests() {
    let (fixture, _) = long(740, 520);
    let stage = Stage::new(None);
    let path = |key: &ObjectKey| format!("{PREFIX}/{}", key.path());
    let fill = |stage: &Stage, bundles: bool| {
        for key in fixture.store.keys() {
            if bundles || !matches!(key, ObjectKey::Bundle(_)) {
                let bytes = fixture.store.read(&key, 1 << 20).expect("it is there");
                stage.server.bucket().push(&path(&key), Some(&bytes));
            }
        }
        stage.server.bucket().page_max = 1_000;
    };
    let opened = |stage: &Stage| {
        let before = stage.server.requests().len();
        let history = log::read(&stage.store, &[], &Signed::default()).expect("it is read");
        (history.leaves, stage.server.requests().len() - before)
    };
    fill(&stage, true);
    let (leaves, requests) = opened(&stage);
    assert_eq!(leaves.len(), 520);
    // Two lists; two each for genesis, two bundles and the eight entries behind them.
    assert_eq!(requests, 2 + 2 * (1 + 2 + 8));
    let (one, two) = (ObjectKey::Bundle(1), ObjectKey::Bundle(2));
    stage.server.bucket().push(&path(&one), Some(b"junk"));
    stage.server.bucket().push(&path(&two), None);
    assert_eq!(opened(&stage), (leaves.clone(), requests));

    let junk = Stage::new(None);
    junk.server.bucket().push(&path(&one), Some(b"junk"));
    fill(&junk, true);
    assert_eq!(opened(&junk), (leaves.clone(), requests + 2 * 255));

    let bare = Stage::new(None);
    fill(&bare, false);
    assert_eq!(opened(&bare), (leaves, 2 + 2 * 520));
}
