//! The file that `--pin` names.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use indelible_engine::pin::{PIN_BYTES_MAX, Pin};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::replace::replace;

const MAKE_ONE: &str = "make one with --pin and --update-pin, where you know that the repository is the right one, or keep what `indelible checkpoint` prints there";

/// A pin file, which may not be there yet.
pub(super) struct PinFile {
    path: PathBuf,
    pin: Option<Pin>,
}

impl PinFile {
    /// Reads it. Where it is `required` its absence is a failure: whoever can
    /// delete it must not get a verification without it.
    pub(super) fn read(path: &Path, required: bool) -> Result<Self, Failure> {
        let shown = path.display();
        let text = match read_bounded(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && required => {
                let message = format!("there is no pin file {shown}");
                return Err(Failure::new(Exit::Policy, message).hint(MAKE_ONE));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => {
                Some(read.map_err(|error| Failure::io(format!("read the pin {shown}"), &error))?)
            }
        };
        let pin = text.map(|text| Pin::parse(&text)).transpose();
        let pin = pin.map_err(|error| {
            Failure::new(Exit::Failed, format!("{shown} is no pin: {error}"))
                .hint("bring an earlier one back; it holds the text of a checkpoint, and lines `void N LEAF`")
        })?;
        Ok(Self {
            path: path.to_owned(),
            pin,
        })
    }

    /// What it pins.
    pub(super) fn pinned(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// Says that there is no such file.
    pub(super) fn tell_absence(&self, context: &Context, will_be_made: bool) {
        let shown = self.path.display();
        if will_be_made {
            let text = format!("there is no pin file {shown} yet; it is made if nothing is wrong");
            output::note(context, &text);
        } else {
            let text = format!("there is no pin file {shown}, so nothing was compared with it");
            output::warn(context, &text);
        }
    }

    /// Writes it anew.
    pub(super) fn write(&self, pin: &Pin) -> Result<(), Failure> {
        replace(&self.path, pin.to_text().as_bytes()).map_err(|error| {
            Failure::io(format!("write the pin {}", self.path.display()), &error)
                .hint("nothing is wrong with the repository; the pin file is as it was")
        })
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(PIN_BYTES_MAX as u64 + 1)
        .read_to_string(&mut text)?;
    if read > PIN_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is longer than any pin",
        ));
    }
    Ok(text)
}
