//! The Debian package for 64-bit ARM, under qemu: its daemon with a real broker, its life in a root folder of Debian, and
//! the container image with the same program. `tests/packages/try` tries the packages of all processors.
//!
//! `TSM2_ARM64_DEB` names the package, which `cargo xtask dist arm64` builds. Without it the tests are skipped. With `left-out`
//! they are skipped even where each skip is a failure: CI sets it on a machine without the target or without namespaces.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::tempdir;
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{self, Site};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::require::skip;

const QEMU: &str = "qemu-aarch64-static";

/// The package; `None` after [`skip`] without it or without one of these programs.
fn package(programs: &[&str]) -> Option<PathBuf> {
    let Some(deb) = std::env::var_os("TSM2_ARM64_DEB") else {
        skip("TSM2_ARM64_DEB does not name the package that `cargo xtask dist arm64` builds");
        return None;
    };
    if deb == "left-out" {
        println!("SKIPPED: this machine cannot build or run programs for arm64");
        return None;
    }
    for program in programs {
        let version = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if version.is_err() {
            skip(&format!("{program} is not installed"));
            return None;
        }
    }
    Some(deb.into())
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    println!("{}", text.concat());
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text.concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_on_arm64_gives_the_forecasts_of_this_machine_to_the_bit_and_resumes() {
    let (Some(broker), Some(deb)) = (Mosquitto::start(), package(&["dpkg-deb", QEMU])) else {
        return;
    };
    let folder = tempdir().unwrap();
    succeeds(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(folder.path()));
    let site = Site::new(broker.port(), "state.path = 'state'\n");
    let start = || {
        let mut command = Command::new(QEMU);
        command
            .arg(folder.path().join("usr/bin/tsm2-edge"))
            .args(["run", &site.config(), "--json"]);
        let daemon = Running::start_program(&mut command);
        daemon.wait_for("connected");
        daemon
    };
    let expected = site.expected(0..12);
    let mut client = site.client().await;
    let daemon = start();
    client.wait_for("tsm2/status", "online").await;
    for index in 0..8 {
        assert_eq!(site::exchange(&mut client, index).await, expected[index as usize], "row {index}");
    }
    daemon.kill();
    let daemon = start();
    for index in 8..12 {
        assert_eq!(site::exchange(&mut client, index).await, expected[index as usize], "row {index}");
    }
    assert_eq!(site::summary(daemon)["rejected"], serde_json::json!({}));
}

/// The folder of the scripts; `None` after [`skip`] where they cannot run programs of arm64.
fn scripts() -> Option<PathBuf> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packages");
    if !rustix::process::geteuid().is_root() {
        skip("a root folder needs root");
        return None;
    }
    let foreign = Command::new(scripts.join("foreign")).arg("true").output().unwrap();
    if !foreign.status.success() {
        skip(&format!("no qemu of its own: {}", String::from_utf8_lossy(&foreign.stderr)));
        return None;
    }
    Some(scripts)
}

fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/building/model.safetensors")
}

#[test]
fn the_package_is_installed_upgraded_removed_and_purged() {
    let Some(deb) = package(&["dpkg-deb", "debootstrap", "unshare", "setpriv", QEMU]) else {
        return;
    };
    let Some(scripts) = scripts() else { return };
    // Kept between runs: made in minutes.
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("arm64-root");
    succeeds(Command::new(scripts.join("root")).arg(&root).arg("arm64"));
    succeeds(Command::new(scripts.join("lifecycle")).args([&deb, &bundle(), &root]));
}

#[test]
fn the_container_image_runs_without_rights_on_a_read_only_root_and_its_health_check_follows_the_daemon() {
    let (Some(broker), Some(deb)) = (Mosquitto::start(), package(&["buildah", "jq", "unshare", "setpriv", QEMU])) else {
        return;
    };
    let Some(scripts) = scripts() else { return };
    // `cargo xtask dist` makes it beside the package.
    let folder = deb.with_file_name("container");
    let mut command = Command::new(scripts.join("container"));
    command.args([&folder, &bundle()]).args(["linux/arm64", &broker.port().to_string()]);
    succeeds(&mut command);
}
