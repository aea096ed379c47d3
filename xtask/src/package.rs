//! The contents of the package `tsm2-edge`: program, configuration, unit, manual, completions, maintainer scripts.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::{Shell, generate};

use crate::deb::Package;
use crate::target::Target;

/// Whoever answers for the package.
const MAINTAINER: &str = "the TSM2 Edge developers <tsm2-edge@localhost.localdomain>";
const DESCRIPTION: &str = "forecasts of sensor readings over MQTT
 TSM2 Edge forecasts sensor readings on the device that receives them. Each
 reading that arrives over MQTT updates a small state of fixed size, and a
 forecast of each sensor leaves over MQTT.
 .
 The program is linked statically. The service is not started at installation:
 it needs a model, which \"tsm2 train\" makes on a workstation and \"tsm2 deploy\"
 brings to the device.";

/// What a package is made of.
pub struct Contents<'c> {
    /// The root of the workspace.
    pub workspace: &'c Path,
    /// Version of the package.
    pub version: &'c str,
    /// Time of every file, in seconds since 1970.
    pub time: u64,
    /// The command line of the program.
    pub command: Command,
}

impl Contents<'_> {
    /// The package of one target with its program.
    pub fn package(&self, target: Target, program: Vec<u8>) -> anyhow::Result<Package> {
        let linux = self.workspace.join("firmware/linux");
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut package = Package {
            control: self.control(target),
            time: self.time,
            ..Package::default()
        };
        for script in ["postinst", "prerm", "postrm"] {
            package.scripts.insert(script, read(&linux.join("debian").join(script))?);
        }
        package.file("usr/bin/tsm2-edge", 0o755, program);
        for (path, source) in [
            ("etc/tsm2-edge/tsm2-edge.toml", "tsm2-edge.toml"),
            ("usr/lib/systemd/system/tsm2-edge.service", "tsm2-edge.service"),
            ("usr/share/doc/tsm2-edge/copyright", "debian/copyright"),
            ("usr/share/lintian/overrides/tsm2-edge", "debian/lintian-overrides"),
        ] {
            package.file(path, 0o644, read(&linux.join(source))?);
        }
        for example in ["prometheus.yml", "tsm2-edge.rules.yml"] {
            let bytes = read(&linux.join("prometheus").join(example))?;
            package.file(format!("usr/share/doc/tsm2-edge/examples/prometheus/{example}"), 0o644, bytes);
        }
        package.compressed_file("usr/share/doc/tsm2-edge/changelog.gz", self.changelog()?.as_bytes())?;
        for (name, text) in self.manual()? {
            package.compressed_file(format!("usr/share/man/man1/{name}.gz"), &text)?;
        }
        for (shell, path) in [
            (Shell::Bash, "usr/share/bash-completion/completions/tsm2-edge"),
            (Shell::Zsh, "usr/share/zsh/vendor-completions/_tsm2-edge"),
            (Shell::Fish, "usr/share/fish/vendor_completions.d/tsm2-edge.fish"),
        ] {
            let mut text = Vec::new();
            generate(shell, &mut self.command.clone(), "tsm2-edge", &mut text);
            package.file(path, 0o644, text);
        }
        Ok(package)
    }

    fn control(&self, target: Target) -> Vec<(&'static str, String)> {
        vec![
            ("Package", "tsm2-edge".into()),
            ("Version", self.version.into()),
            ("Architecture", target.debian().into()),
            ("Maintainer", MAINTAINER.into()),
            ("Depends", "adduser".into()),
            ("Recommends", "ca-certificates".into()),
            ("Suggests", "mosquitto".into()),
            ("Section", "net".into()),
            ("Priority", "optional".into()),
            ("Description", DESCRIPTION.into()),
        ]
    }

    /// The change log in Debian's form: what changed stands in the project's own.
    fn changelog(&self) -> anyhow::Result<String> {
        let time = jiff::Timestamp::from_second(i64::try_from(self.time)?)?;
        let date = jiff::fmt::rfc2822::to_string(&time.to_zoned_datetime(jiff::tz::TimeZone::UTC))?;
        Ok(format!(
            "tsm2-edge ({}) stable; urgency=medium\n\n  * Changes: CHANGELOG.md of the project.\n\n -- {MAINTAINER}  {date}\n",
            self.version
        ))
    }

    /// The manual: a page for the program and one for each command, by file name.
    fn manual(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut command = self.command.clone().disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        add_pages(&command, &mut pages)?;
        Ok(pages)
    }
}

fn add_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    let name = page.get_filename();
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push((name, text));
    command.get_subcommands().try_for_each(|command| add_pages(command, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents<'static> {
        Contents {
            workspace: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")),
            version: "1.2.3",
            time: 1_700_000_000,
            command: tsm2_edge::cli::command(),
        }
    }

    #[test]
    fn each_command_has_a_manual_page_and_stands_in_every_completion() {
        let package = contents().package(Target::Arm64, b"program".to_vec()).unwrap();
        for command in ["run", "validate", "replay", "backtest", "clear-session", "state", "state-list"] {
            let page = format!("usr/share/man/man1/tsm2-edge-{command}.1.gz");
            assert!(package.files.contains_key(&page), "{page}");
        }
        for completion in [
            "bash-completion/completions/tsm2-edge",
            "zsh/vendor-completions/_tsm2-edge",
            "fish/vendor_completions.d/tsm2-edge.fish",
        ] {
            let file = &package.files[&format!("usr/share/{completion}")];
            assert!(String::from_utf8_lossy(&file.bytes).contains("clear-session"), "{completion}");
        }
    }

    #[test]
    fn the_change_log_has_the_form_of_debian() {
        let changelog = contents().changelog().unwrap();
        assert!(
            changelog.starts_with("tsm2-edge (1.2.3) stable; urgency=medium\n\n  * "),
            "{changelog}"
        );
        assert!(changelog.ends_with("  Tue, 14 Nov 2023 22:13:20 +0000\n"), "{changelog}");
    }

    #[test]
    fn the_unit_runs_what_the_package_installs() {
        let package = contents().package(Target::Armhf, b"program".to_vec()).unwrap();
        let unit = &package.files["usr/lib/systemd/system/tsm2-edge.service"];
        let unit = String::from_utf8_lossy(&unit.bytes);
        let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let paths: Vec<&str> = command.split(' ').filter_map(|word| word.strip_prefix('/')).collect();
        assert_eq!(paths, ["usr/bin/tsm2-edge", "etc/tsm2-edge/tsm2-edge.toml"]);
        assert!(paths.iter().all(|path| package.files.contains_key(*path)), "{paths:?}");
        assert!(unit.contains("\nUser=tsm2-edge\n"), "the user that postinst creates");
    }
}
