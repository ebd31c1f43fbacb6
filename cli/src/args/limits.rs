//! How fast bytes may go and come.

use std::str::FromStr;
use std::sync::Arc;

use bytesize::ByteSize;
use clap::Args;
use indelible_engine::env::{Env, SystemClock};
use indelible_engine::pace::{Limits, Pacer, Rate};

/// Limits of every command.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Limited {
    /// Send no more than so much a second to repositories in S3 and behind ssh, such as
    /// 20MiB; all threads together. A directory has no limit, also on a network's disk.
    #[arg(
        long,
        global = true,
        env = "INDELIBLE_LIMIT_UPLOAD",
        value_name = "RATE"
    )]
    limit_upload: Option<PerSecond>,
    /// Receive no more than so much a second from them.
    #[arg(
        long,
        global = true,
        env = "INDELIBLE_LIMIT_DOWNLOAD",
        value_name = "RATE"
    )]
    limit_download: Option<PerSecond>,
}

impl Limited {
    /// The limits of this process.
    pub(crate) fn limits(self, env: &Env) -> Limits {
        let pacer = |PerSecond(rate): PerSecond| {
            let pause = Arc::new(SystemClock::new());
            Arc::new(Pacer::new(rate, env.clock.clone(), pause))
        };
        Limits {
            upload: self.limit_upload.map(pacer),
            download: self.limit_download.map(pacer),
        }
    }
}

/// A rate, typed as a size.
#[derive(Debug, Clone, Copy)]
struct PerSecond(Rate);

impl FromStr for PerSecond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size: ByteSize = text
            .parse()
            .map_err(|_| format!("{text:?} is no size: write 20MiB or 500KiB, for a second"))?;
        // A number without a unit is one of bytes, which is hardly meant.
        let rate = Rate::new(size.as_u64()).ok_or("the least is 1KiB a second");
        Ok(Self(rate?))
    }
}
