//! Repositories behind ssh: `ssh://[USER@]HOST[:PORT]/PATH`.
//!
//! The system's ssh is run, and at its other end `indelible serve`; so keys, known
//! hosts and jump hosts are configured as everywhere else. Why no address can do
//! harm: there is no shell here, ssh gets a list of arguments; user and host can't
//! begin like an option and hold nothing that ends a word; and the path is quoted for
//! the shell that runs the command at the other end.

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use indelible_engine::pace::{Limits, Paced};
use indelible_engine::store::{RemoteStore, StoreError};

use crate::failure::Failure;

/// Names another program than ssh, with its arguments, separated by spaces.
const PROGRAM: &str = "INDELIBLE_SSH";

/// A directory of another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshPlace {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// Absolute.
    path: String,
}

impl SshPlace {
    /// Reads an address, or says what is wrong with it.
    pub(crate) fn parse(typed: &str) -> Result<Self, Failure> {
        let refused = |why: &str| {
            Err(Failure::usage(format!("{typed} is no address: {why}"))
                .hint("ssh://USER@HOST:PORT/PATH, of which user and port may be left out"))
        };
        let rest = typed.strip_prefix("ssh://").unwrap_or(typed);
        let Some(slash) = rest.find('/') else {
            return refused("it has no path");
        };
        let (authority, path) = rest.split_at(slash);
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(bracketed) => match bracketed.split_once(']') {
                Some((host, port)) => (host, port),
                None => return refused("a bracket is open"),
            },
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        let port = match port.strip_prefix(':').map(str::parse::<u16>) {
            None if port.is_empty() => None,
            Some(Ok(port)) if port > 0 => Some(port),
            _ => return refused("its port is none"),
        };
        if user.is_some_and(|user| !is_word(user)) {
            return refused("its user is none");
        }
        if !is_word(host) {
            return refused("its host is none");
        }
        if path == "/" || path.chars().any(char::is_control) {
            return refused("its path is none");
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    /// The program and its arguments.
    fn command(&self, program: Option<&str>) -> Vec<String> {
        let mut words: Vec<String> = match program {
            Some(program) => program.split_whitespace().map(str::to_owned).collect(),
            // A connection that is dead ends, and does not hang.
            None => ["ssh", "-oServerAliveInterval=15", "-oServerAliveCountMax=4"]
                .map(str::to_owned)
                .to_vec(),
        };
        words.push("-T".to_owned());
        if let Some(port) = self.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        let destination = match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        };
        let path = self.path.replace('\'', r"'\''");
        let command = format!("indelible serve --stdio --append-only '{path}'");
        words.extend(["--".to_owned(), destination, command]);
        words
    }

    /// Runs ssh, and greets the server.
    pub(crate) fn connect(&self, limits: &Limits) -> Result<RemoteStore, Failure> {
        let program = env::var(PROGRAM).ok();
        let words = self.command(program.as_deref().filter(|it| !it.trim().is_empty()));
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::io(format!("run {}", words[0]), &error))?;
        let input = child.stdout.take().expect("it was piped");
        let output = child.stdin.take();
        let output = Connection { output, child };
        let input = Paced::new(input, limits.download.clone());
        let output = Paced::new(output, limits.upload.clone());
        let connected = RemoteStore::connect(input, output, self.to_string());
        connected.map_err(|error| match error {
            StoreError::Unreachable { .. } => Failure::from(error).hint(
                "what ssh and the other side said stands above; the other side needs `indelible` and an existing directory",
            ),
            other => other.into(),
        })
    }
}

/// Whether ssh takes it for a user or a host, and for nothing else.
fn is_word(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '%' | '+');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(allowed)
}

/// As it can be typed again.
impl fmt::Display for SshPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// The way to the server. When it is dropped the server ends, and then ssh.
struct Connection {
    output: Option<ChildStdin>,
    child: Child,
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output
            .as_mut()
            .expect("it is not dropped")
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.output.take());
        // What it put was answered; how ssh ends is all the same.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address comes back as it was typed, and becomes words that no shell takes
    /// apart.
    ///
    /// Method: with and without each part.
    #[test]
    fn addresses_become_arguments() {
        let cases = [
            ("ssh://host/srv/repo", "-T -- host"),
            (
                "ssh://backup@host:2222/srv/repo",
                "-T -p 2222 -- backup@host",
            ),
            ("ssh://u@[fe80::1%eth0]:22/r", "-T -p 22 -- u@fe80::1%eth0"),
        ];
        for (typed, expected) in cases {
            let place = SshPlace::parse(typed).expect("an address");
            assert_eq!(place.to_string(), typed);
            let words = place.command(Some("x  -i key"));
            assert_eq!(words[..3], ["x", "-i", "key"]);
            assert_eq!(words[3..words.len() - 1].join(" "), expected);
        }
        let place = SshPlace::parse("ssh://h/it's; rm -rf $HOME").expect("an address");
        let words = place.command(None);
        assert_eq!(words[0], "ssh");
        assert_eq!(
            words.last().expect("the command"),
            r"indelible serve --stdio --append-only '/it'\''s; rm -rf $HOME'"
        );
    }

    /// What ssh could take for an option, and what is no address, is refused.
    ///
    /// Method: a list.
    #[test]
    fn options_are_no_addresses() {
        for typed in [
            "ssh://-oProxyCommand=x/srv",
            "ssh://-l@host/srv",
            "ssh://u@-v/srv",
            "ssh://ho st/srv",
            "ssh://a b@host/srv",
            "ssh://@host/srv",
            "ssh:///srv",
            "ssh://host",
            "ssh://host/",
            "ssh://host:0/srv",
            "ssh://host:x/srv",
            "ssh://host:/srv",
            "ssh://host:99999/srv",
            "ssh://[::1/srv",
            "ssh://[::1]x/srv",
            "ssh://host/a\nb",
        ] {
            assert!(SshPlace::parse(typed).is_err(), "{typed}");
        }
    }
}
