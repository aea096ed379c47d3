//! Scripts on another machine by OpenSSH.
//!
//! 1. The destination is a host name, address or `ssh://` URL of plain characters, and never an option.
//! 2. A script and its arguments reach the remote shell in single quotes: no text is executed twice.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::str::FromStr;

use anyhow::{Context, bail};
use tsm2_data::quoted;

/// Exit status of ssh itself when there is no connection.
const NO_CONNECTION: i32 = 255;

/// `HOST`, `USER@HOST` or `ssh://USER@HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination(String);

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._-:/[]%".contains(c);
        match text {
            "" => Err("the host is empty".into()),
            _ if text.starts_with('-') || text.contains("@-") => Err("a host cannot begin with -".into()),
            _ => match text.chars().find(|&c| !is_plain(c)) {
                Some(c) => Err(format!("a host cannot contain {c:?}")),
                None => Ok(Destination(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A device that is reached by OpenSSH.
#[derive(Debug, Clone)]
pub struct Device {
    destination: Destination,
    /// As of `ssh -F`.
    config: Option<PathBuf>,
    /// Whether scripts run through sudo.
    sudo: bool,
}

impl Device {
    /// A device; nothing is connected.
    pub fn new(destination: Destination, config: Option<PathBuf>) -> Self {
        let sudo = false;
        Device { destination, config, sudo }
    }

    /// The same device, with scripts as root by `sudo` without a password.
    pub fn with_sudo(self) -> Self {
        Device { sudo: true, ..self }
    }

    /// Runs a shell script with arguments; its standard output.
    ///
    /// # Errors
    /// No connection; a script that fails, with what it printed.
    pub fn output(&self, script: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(script, arguments).stdin(Stdio::null()).output();
        self.succeeded(output.context("cannot start ssh; install OpenSSH")?)
    }

    /// Runs a script whose standard output goes to `lines` and whose errors are the user's; its exit status.
    ///
    /// # Errors
    /// No connection, or a connection that was lost.
    pub fn run(&self, script: &str, arguments: &[&str], lines: Stdio) -> anyhow::Result<i32> {
        let status = self.command(script, arguments).stdin(Stdio::null()).stdout(lines).status();
        match status.context("cannot start ssh; install OpenSSH")?.code() {
            Some(NO_CONNECTION) | None => bail!("the connection to {} was lost; run the command again", self.destination),
            Some(code) => Ok(code),
        }
    }

    /// Runs a script with these bytes as its standard input.
    ///
    /// # Errors
    /// As [`Device::output`].
    pub fn send(&self, bytes: &[u8], script: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command(script, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start ssh; install OpenSSH")?;
        let mut input = child.stdin.take().context("ssh has no input")?;
        // A script that ends early fails, and so does a connection: both say why.
        let _ = input.write_all(bytes);
        drop(input);
        self.succeeded(child.wait_with_output()?).map(drop)
    }

    fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        if let Some(config) = &self.config {
            command.arg("-F").arg(config);
        }
        command.args([
            "-T",
            "-oConnectTimeout=15",
            "-oServerAliveInterval=10",
            "-oServerAliveCountMax=3",
            "--",
        ]);
        let sudo = if self.sudo { "sudo -n " } else { "" };
        let words = [script, "tsm2-deploy"].into_iter().chain(arguments.iter().copied()).map(quoted);
        let line = words.fold(format!("{sudo}sh -c"), |line, word| format!("{line} {word}"));
        command.arg(&self.destination.0).arg(line);
        command
    }

    fn succeeded(&self, output: Output) -> anyhow::Result<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let (printed, complaint) = (text(&output.stdout), text(&output.stderr));
        match output.status.code() {
            Some(0) => Ok(printed),
            Some(NO_CONNECTION) | None => bail!("no connection to {}: {complaint}", self.destination),
            Some(_) => bail!("{}: {}", self.destination, [printed, complaint].join(" ").trim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reaches_the_shell_unchanged() {
        for text in ["", "plain", "it's", "$(reboot)", "`x` \"y\" \\", "a\nb", "'", "-n", "; rm -rf /"] {
            let line = format!("printf %s {}", quoted(text));
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_destination_is_neither_an_option_nor_a_command() {
        for text in [
            "",
            "-oProxyCommand=reboot",
            "pi@-oX",
            "pi@host;reboot",
            "$(reboot)",
            "a b",
            "a\nb",
            "`x`",
            "a'b",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text:?}");
        }
        for text in ["pi@raspberrypi.local", "192.0.2.7", "ssh://pi@host:2222", "pi@[fe80::1%eth0]"] {
            assert!(text.parse::<Destination>().is_ok(), "{text:?}");
        }
    }
}
