//! `cargo xtask dist`: a static program and a Debian package for each target, with their checksums, and the folder of the
//! container image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::binary;
use crate::budget::Budget;
use crate::container::Container;
use crate::package::Contents;
use crate::target::Target;

/// Build the daemon for each device: a static program and a Debian package per target, SHA256SUMS, and the
/// folder of the container image
#[derive(Args)]
#[command(after_long_help = "Example, from a Debian machine for every device:
  rustup target add aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf
  sudo apt install gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf
  cargo xtask dist")]
pub struct Dist {
    /// Build these targets only
    #[arg(value_enum, default_values_t = Target::ALL)]
    targets: Vec<Target>,
    /// Folder for the results [default: packages in cargo's target folder]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Pack the programs that were built before
    #[arg(long)]
    no_build: bool,
}

impl Dist {
    /// Builds, checks and packs.
    pub fn run(self) -> anyhow::Result<()> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the workspace")?;
        let out = self.out.unwrap_or_else(|| binary::target_folder(workspace).join("packages"));
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let budget = Budget::read(&workspace.join("firmware/linux/budget.toml"))?;
        let contents = Contents {
            workspace,
            version: env!("CARGO_PKG_VERSION"),
            time: time(workspace)?,
            command: tsm2_edge::cli::command(),
        };
        let container = Container::create(workspace, out.join("container"))?;
        let mut sums = Vec::new();
        for target in self.targets {
            let path = match self.no_build {
                true => binary::path(workspace, target),
                false => binary::build(workspace, target)?,
            };
            let program = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            binary::check(&program, target).with_context(|| path.display().to_string())?;
            let (version, architecture) = (contents.version, target.debian());
            let deb = contents.package(target, program.clone())?.pack()?;
            for (name, bytes) in [
                (format!("tsm2-edge_{version}_{architecture}"), &program),
                (format!("tsm2-edge_{version}_{architecture}.deb"), &deb),
            ] {
                let file = out.join(&name);
                fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
                println!("{:>9} bytes  {}", bytes.len(), file.display());
                sums.push(format!("{}  {name}\n", hex(&Sha256::digest(bytes))));
            }
            container.add(target, &program)?;
            budget.check(target, deb.len() as u64)?;
        }
        let file = out.join("SHA256SUMS");
        fs::write(&file, sums.concat()).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// The time of every file in the packages: SOURCE_DATE_EPOCH, else that of the last commit.
fn time(workspace: &Path) -> anyhow::Result<u64> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => {
            let git = Command::new("git")
                .args(["log", "-1", "--format=%ct"])
                .current_dir(workspace)
                .output()
                .context("cannot start git; set SOURCE_DATE_EPOCH")?;
            ensure!(
                git.status.success(),
                "not in a git repository; set SOURCE_DATE_EPOCH to seconds since 1970"
            );
            String::from_utf8(git.stdout)?
        }
    };
    let seconds = seconds.trim();
    seconds
        .parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH: {seconds:?} is not a number of seconds since 1970"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
