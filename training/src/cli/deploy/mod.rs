//! `tsm2 deploy`: a bundle and a configuration to a device, by OpenSSH.
//!
//! The device needs a POSIX shell, coreutils, util-linux, systemd, and dpkg for `--package`. Its side is the
//! scripts beside this file. The order: check here, check the device, copy, validate there, swap, restart, wait,
//! and go back to the configuration before if the service does not become ready.

mod candidate;
mod facts;
mod ssh;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{bail, ensure};
use clap::Args;
use serde_json::{Map, Value, json};

use super::common::at;
use candidate::{Contents, Model, with_bundle};
use facts::{Facts, Root};
use ssh::{Destination, Device};

const PROBE: &str = include_str!("probe.sh");
const RECEIVE: &str = include_str!("receive.sh");
const INSTALL: &str = include_str!("install.sh");
const ACTIVATE: &str = include_str!("activate.sh");
const STATUS: &str = include_str!("status.sh");

/// The configuration on the device before the swap.
const CANDIDATE: &str = "tsm2-edge.toml.candidate";
/// How many times the bytes of a package are needed: the package, and what dpkg unpacks from it.
const PACKAGE_SHARE: usize = 4;

/// Bring a bundle and a configuration to a device, restart the daemon there, and go back if it does not become ready.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 deploy pi@raspberrypi.local --bundle mine/model.safetensors --config tsm2-edge.toml \\
    --package tsm2-edge_0.1.0_arm64.deb
  tsm2 deploy pi@raspberrypi.local --status")]
pub struct Deploy {
    /// The device: HOST, USER@HOST or ssh://USER@HOST:PORT
    #[arg(value_name = "USER@HOST")]
    destination: Destination,
    /// The model file
    #[arg(long, required_unless_present = "status")]
    bundle: Option<PathBuf>,
    /// The daemon's configuration; its model.bundle is set to the copied file
    #[arg(long, required_unless_present = "status")]
    config: Option<PathBuf>,
    /// Install this Debian package of tsm2-edge first
    #[arg(long)]
    package: Option<PathBuf>,
    /// Check everything, and change nothing on the device
    #[arg(long)]
    dry_run: bool,
    /// Show what runs on the device
    #[arg(long, conflicts_with_all = ["bundle", "config", "package", "dry_run"])]
    status: bool,
    /// Seconds until the daemon must be connected to its broker
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u32,
    /// OpenSSH configuration file, as of ssh -F
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// Print one JSON object when it is done; the steps then go to standard error
    #[arg(long)]
    json: bool,
}

impl Deploy {
    /// Deploys, or shows the status.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let device = Device::new(self.destination.clone(), self.ssh_config.clone());
        let (Some(bundle), Some(config)) = (&self.bundle, &self.config) else {
            let lines = device.output(STATUS, &[])?;
            match self.json {
                true => writeln!(out, "{}", Value::from(status(&lines)))?,
                false => writeln!(out, "{lines}")?,
            }
            return Ok(());
        };
        if !self.json {
            return self.deploy(device, bundle, config, out, Stdio::inherit()).map(drop);
        }
        let done = self.deploy(device, bundle, config, &mut io::stderr(), io::stderr().into())?;
        writeln!(out, "{done}")?;
        Ok(())
    }

    /// Deploys with a line for each step, those of the device on `steps_there`; what was done.
    fn deploy(&self, device: Device, bundle: &Path, config: &Path, steps: &mut impl Write, steps_there: Stdio) -> anyhow::Result<Value> {
        let model = Model::open(bundle)?;
        let text = std::fs::read_to_string(config).map_err(at(config))?;
        let text = with_bundle(&text, &model.name).map_err(at(config))?;
        let package = self.package.as_deref().map(Package::read).transpose()?;

        let facts = Facts::parse(&device.output(PROBE, &[])?)?;
        let has_model = facts.has_model(&model.name, &model.contents.sha256);
        let space = [
            if has_model { 0 } else { model.contents.bytes.len() },
            text.len(),
            package.as_ref().map_or(0, |package| PACKAGE_SHARE * package.contents.bytes.len()),
        ];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        facts.check(
            now.as_secs(),
            space.iter().sum::<usize>() as u64,
            package.as_ref().map(|package| package.architecture.as_str()),
        )?;
        writeln!(steps, "{}: {}, {}", self.destination, facts.architecture, installed(&facts))?;
        let mut copies: Vec<(&str, usize)> = Vec::new();
        copies.extend(package.iter().map(|package| (package.name.as_str(), package.contents.bytes.len())));
        copies.extend((!has_model).then_some((model.name.as_str(), model.contents.bytes.len())));
        copies.push(("tsm2-edge.toml", text.len()));
        let done = json!({
            "destination": self.destination.to_string(),
            "architecture": facts.architecture,
            "program": facts.program,
            "copies": copies.iter().map(|(name, bytes)| json!({ "file": name, "bytes": bytes })).collect::<Vec<_>>(),
            "changed": !self.dry_run,
        });
        if self.dry_run {
            if has_model {
                writeln!(steps, "the device has {}", model.name)?;
            }
            for (name, bytes) in copies {
                writeln!(steps, "would copy {name}, {bytes} bytes")?;
            }
            writeln!(steps, "nothing was changed")?;
            return Ok(done);
        }

        let device = if facts.root == Root::Sudo { device.with_sudo() } else { device };
        let mut copy = |contents: &Contents, name: &str| -> anyhow::Result<()> {
            device.send(&contents.bytes, RECEIVE, &[name, &contents.sha256])?;
            Ok(writeln!(steps, "copied {name}, {} bytes", contents.bytes.len())?)
        };
        if let Some(package) = &package {
            copy(&package.contents, &package.name)?;
            device.output(INSTALL, &[&package.name])?;
        }
        if !has_model {
            copy(&model.contents, &model.name)?;
        }
        copy(&text.into_bytes().into(), CANDIDATE)?;
        steps.flush()?;
        match device.run(ACTIVATE, &[CANDIDATE, &model.name, &self.timeout.to_string()], steps_there)? {
            0 => Ok(done),
            3 => bail!(
                "the device rejected the deployment; nothing was changed{}",
                if package.is_some() {
                    " but the package, which is installed"
                } else {
                    ""
                }
            ),
            4 => bail!(
                "the daemon did not become ready in {} s; the configuration before is back",
                self.timeout
            ),
            code => bail!("the deployment failed on the device with exit code {code}; run the command again"),
        }
    }
}

/// The lines of `status.sh`, each a key and a value, as an object.
fn status(lines: &str) -> Map<String, Value> {
    let pairs = lines.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(key, value)| (key.to_owned(), value.trim().into())).collect()
}

fn installed(facts: &Facts) -> &str {
    match facts.program.as_str() {
        "" => "tsm2-edge not installed",
        program => program,
    }
}

/// A package with the architecture in its name.
struct Package {
    contents: Contents,
    name: String,
    architecture: String,
}

impl Package {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.strip_prefix("tsm2-edge_").and_then(|name| name.strip_suffix(".deb"));
        let architecture = stem.and_then(|stem| stem.rsplit_once('_')).map(|(_, architecture)| architecture);
        ensure!(
            architecture.is_some() && !name.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_.+~".contains(c)),
            "{}: name the package as it was built, tsm2-edge_VERSION_ARCHITECTURE.deb",
            path.display()
        );
        Ok(Package {
            contents: Contents::read(path)?,
            name: name.to_owned(),
            architecture: architecture.unwrap_or_default().to_owned(),
        })
    }
}
