//! Campaigns against the binary, as the engine's tests have them against the
//! engine: each prints what it covered, here short, and long by `tools/campaign`.

#[path = "../../../engine/tests/it/campaigns/coverage.rs"]
#[allow(dead_code, reason = "the engine's campaigns use more of it")]
mod coverage;
mod kills;
