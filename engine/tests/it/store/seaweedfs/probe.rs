//! What probing finds out on a real server, beside what is true there.

use std::collections::BTreeMap;

use indelible_engine::store::probe::{Outcome, ProbeTerms, withstood};
use indelible_engine::store::s3::LockMode;
use indelible_engine::store::{AppendStore as _, Area, ReadStore as _};

use super::{ADMIN, LOCKING, PLAIN, WRITER, Weed};

/// A compliance lock withstands an administrator; a governance lock does not, nor does a
/// bucket without locks, where a writer may delete. What was locked for too long is told.
///
/// Method: probe each bucket with each kind of lock and with either's credentials.
#[test]
fn probing_finds_what_is_true_on_seaweedfs() {
    let Some(weed) = Weed::start() else { return };
    let probe = |bucket, who, mode, over_lock_ms| {
        let store = weed.store_at(bucket, "probed", who, None);
        let terms = ProbeTerms { mode, over_lock_ms };
        let attempts = store.probe(&terms).expect("canaries can be put");
        let holds = withstood(&attempts);
        let outcomes = attempts.into_iter().map(|it| (it.code, it.outcome));
        let mut listed = 0;
        for area in Area::ALL {
            store
                .list(area, &mut |_| listed += 1)
                .expect("it can be listed");
        }
        assert_eq!(listed, 0, "canaries are no objects");
        (holds, outcomes.collect::<BTreeMap<_, _>>())
    };
    for who in [ADMIN, WRITER] {
        let (holds, outcomes) = probe(LOCKING, who, LockMode::Compliance, None);
        assert!(holds, "{outcomes:?}");
        for code in ["delete", "bypass", "shorten", "downgrade", "suspend"] {
            assert_eq!(outcomes[code], Outcome::Refused, "{code}: {outcomes:?}");
        }
        assert_eq!(outcomes["overwrite"], Outcome::InVain);
    }
    let (holds, outcomes) = probe(LOCKING, ADMIN, LockMode::Governance, Some(86_400_000));
    assert!(!holds);
    assert_eq!(outcomes["bypass"], Outcome::Done);
    assert_eq!(outcomes["over-lock"], Outcome::Done);
    assert_eq!(outcomes["delete"], Outcome::Refused);
    let (holds, outcomes) = probe(PLAIN, ADMIN, LockMode::Compliance, None);
    assert!(!holds);
    assert_eq!(outcomes["delete"], Outcome::Done);
    assert_eq!(outcomes["suspend"], Outcome::Done);
    let (_, outcomes) = probe(PLAIN, ADMIN, LockMode::Compliance, None);
    assert_eq!(
        outcomes["overwrite"],
        Outcome::InVain,
        "versioning was switched on again"
    );
}
