//! Facts of a device, and the checks before anything is copied.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};

/// Debian's names of the architectures for which there is a package.
const ARCHITECTURES: [&str; 3] = ["arm64", "armhf", "amd64"];
/// By how much the clocks of the device and of this machine may differ.
const CLOCK_SECONDS: u64 = 60;
/// What is left free on the device.
const RESERVE_BYTES: u64 = 8 << 20;

/// How scripts become root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The user is root.
    Login,
    /// `sudo` without a password.
    Sudo,
    /// There is no way.
    None,
}

/// What `probe.sh` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How scripts become root.
    pub root: Root,
    /// Debian's name, or the kernel's where dpkg is missing.
    pub architecture: String,
    /// `tsm2-edge VERSION`; empty when the program is missing or does not run.
    pub program: String,
    systemd: String,
    time_s: u64,
    free_bytes: u64,
    /// Lines of sha256sum.
    models: BTreeSet<String>,
}

impl Facts {
    /// Reads the lines of `probe.sh`.
    ///
    /// # Errors
    /// A line that is missing or no number.
    pub fn parse(lines: &str) -> anyhow::Result<Self> {
        let all = |key: &'static str| {
            lines
                .lines()
                .filter_map(move |line| line.split_once('=').filter(|(name, _)| *name == key))
        };
        let one = |key: &'static str| {
            let found = all(key).next().map(|(_, value)| value.trim());
            found.with_context(|| format!("the device did not report its {key}; it needs a POSIX shell"))
        };
        let number = |key: &'static str| -> anyhow::Result<u64> {
            let value = one(key)?;
            value.parse().with_context(|| format!("the device reported {key}={value:?}"))
        };
        Ok(Facts {
            root: match one("root")? {
                "login" => Root::Login,
                "sudo" => Root::Sudo,
                _ => Root::None,
            },
            architecture: one("architecture")?.to_owned(),
            program: one("program")?.to_owned(),
            systemd: one("systemd")?.to_owned(),
            time_s: number("time")?,
            free_bytes: number("free_kib")?.saturating_mul(1024),
            models: all("model").map(|(_, line)| line.trim().to_owned()).collect(),
        })
    }

    /// Whether the device has a model of this name and SHA-256.
    pub fn has_model(&self, name: &str, sha256: &str) -> bool {
        self.models.contains(&format!("{sha256}  /etc/tsm2-edge/{name}"))
    }

    /// Checks that a deployment can work.
    ///
    /// `bytes`: what will be copied; `package`: architecture of the package that will be installed.
    ///
    /// # Errors
    /// The first thing that stands in the way, and what to do.
    pub fn check(&self, now_s: u64, bytes: u64, package: Option<&str>) -> anyhow::Result<()> {
        ensure!(
            self.root != Root::None,
            "the user is neither root nor may use sudo without a password; log in as root, or allow sudo on the device"
        );
        let architecture = self.architecture.as_str();
        ensure!(
            ARCHITECTURES.contains(&architecture),
            "the device is {architecture}; there are packages for {}",
            ARCHITECTURES.join(", ")
        );
        if let Some(package) = package {
            ensure!(
                package == architecture,
                "the package is for {package} and the device is {architecture}; give the package for {architecture}"
            );
        } else {
            ensure!(
                self.program.starts_with("tsm2-edge "),
                "tsm2-edge is not installed on the device, or does not run there; \
                 give --package tsm2-edge_VERSION_{architecture}.deb"
            );
        }
        ensure!(
            ["running", "degraded", "starting", "initializing"].contains(&self.systemd.as_str()),
            "the device does not run systemd (it reports {:?}); start the daemon there by other means",
            self.systemd
        );
        ensure!(
            self.free_bytes >= bytes.saturating_add(RESERVE_BYTES),
            "the device has {} bytes free at /etc/tsm2-edge; {bytes} are to be copied and {RESERVE_BYTES} stay free",
            self.free_bytes
        );
        let apart = self.time_s.abs_diff(now_s);
        ensure!(
            apart <= CLOCK_SECONDS,
            "the clocks of the device and of this machine differ by {apart} s; set the device's: timedatectl set-ntp true"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "root=sudo\narchitecture=arm64\nprogram=tsm2-edge 0.1.0\nsystemd=degraded\ntime=1000\n\
                         free_kib=20000\nmodel=aa  /etc/tsm2-edge/a.safetensors\n";

    fn facts(from: &str, to: &str) -> Facts {
        assert!(LINES.contains(from));
        Facts::parse(&LINES.replace(from, to)).unwrap()
    }

    #[test]
    fn facts_are_read() {
        let facts = Facts::parse(LINES).unwrap();
        assert_eq!((facts.root, facts.free_bytes), (Root::Sudo, 20_480_000));
        assert!(facts.has_model("a.safetensors", "aa") && !facts.has_model("a.safetensors", "bb"));
        facts.check(1060, 1 << 20, None).unwrap();
        facts.check(940, 1 << 20, Some("arm64")).unwrap();
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        for (from, to, package, expected) in [
            ("root=sudo", "root=none", None, "sudo"),
            ("architecture=arm64", "architecture=riscv64", None, "riscv64"),
            ("architecture=arm64", "architecture=armhf", Some("arm64"), "the device is armhf"),
            ("program=tsm2-edge 0.1.0", "program=", None, "--package"),
            ("systemd=degraded", "systemd=offline", None, "systemd"),
            ("systemd=degraded", "systemd=", None, "systemd"),
            ("free_kib=20000", "free_kib=8192", None, "free"),
            ("time=1000", "time=900", None, "clock"),
        ] {
            let error = facts(from, to).check(1000, 1, package).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn a_report_that_is_no_report_is_an_error() {
        assert!(Facts::parse("").is_err());
        assert!(Facts::parse("This account is not available.").is_err());
        assert!(Facts::parse(&LINES.replace("20000", "-")).is_err());
    }
}
