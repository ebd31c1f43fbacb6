//! Ctrl-C and SIGTERM: the first asks the operation to stop, the second ends the
//! program at once. Both are safe: what is not committed does not count.

use std::sync::Arc;
use std::thread;

use indelible_engine::cancel::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::failure::Failure;

/// A request to stop that signals make.
pub(crate) fn on_signals() -> Result<Arc<Cancel>, Failure> {
    on_signals_also(|| {})
}

/// The same; `also` wakes what does not look at the request by itself.
pub(crate) fn on_signals_also(
    also: impl FnOnce() + Send + 'static,
) -> Result<Arc<Cancel>, Failure> {
    let cancel = Arc::new(Cancel::new());
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::io("listen for signals", &error))?;
    let asked = Arc::clone(&cancel);
    thread::spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            asked.request();
            also();
        }
        if signals.next().is_some() {
            // The operation did not get to its end in time for whoever asked
            // twice. Nothing durable hangs on ending well.
            #[allow(clippy::exit, reason = "a second signal means now")]
            std::process::exit(i32::from(Exit::Interrupted.number()));
        }
    });
    Ok(cancel)
}
