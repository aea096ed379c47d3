//! `tsm2 deploy` to a device with a real sshd and a real broker, and what can go wrong on the way.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::tempdir;
use tsm2_e2e::bundle;
use tsm2_e2e::device::Device;
use tsm2_e2e::process::{run_tsm2, tsm2};
use tsm2_e2e::site::{self, Site};
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};

/// Exit status, standard output and error of a deployment.
fn deploy(mut arguments: Vec<String>, bundle: &Path, config: &Path, more: &[&str]) -> (bool, String) {
    arguments.extend([
        "--bundle".into(),
        bundle.display().to_string(),
        "--config".into(),
        config.display().to_string(),
    ]);
    arguments.extend(more.iter().map(ToString::to_string));
    finished(&arguments)
}

fn finished(arguments: &[String]) -> (bool, String) {
    let all: Vec<&str> = std::iter::once("deploy").chain(arguments.iter().map(String::as_str)).collect();
    let output = run_tsm2(&all);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    println!("{}", text.concat());
    (output.status.success(), text.concat())
}

fn status(device: &Device) -> String {
    let mut arguments = device.arguments();
    arguments.push("--status".into());
    let (done, text) = finished(&arguments);
    assert!(done, "{text}");
    text
}

fn wait_until(what: &str, is: &dyn Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < TIMEOUT, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn file(site: &Site, name: &str) -> PathBuf {
    site.path().join(name)
}

/// A configuration like the site's with another broker port.
fn with_port(site: &Site, port: u16) -> PathBuf {
    let text = std::fs::read_to_string(site.config()).unwrap();
    let other = file(site, "other.toml");
    std::fs::write(&other, text.replace(&format!("port = {}", site.port), &format!("port = {port}"))).unwrap();
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_becomes_forecasts_and_another_replaces_it() {
    let (Some(broker), Some(device)) = (Mosquitto::start(), Device::start("64m")) else {
        return;
    };
    let site = Site::new(broker.port(), "");
    let (model, config) = (file(&site, "site.safetensors"), file(&site, "edge.toml"));

    let (done, text) = deploy(device.arguments(), &model, &config, &["--dry-run"]);
    assert!(done && text.contains("nothing was changed"), "{text}");
    assert_eq!(device.files(), [""; 0], "a dry run copies nothing");

    let (done, text) = deploy(device.arguments(), &model, &config, &[]);
    assert!(done && text.ends_with("ready\n"), "{text}");
    let files = device.files();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files[0].starts_with("site-") && files[0].ends_with(".safetensors"), "{files:?}");
    let mut client = site.client().await;
    assert_eq!(site::exchange(&mut client, 0).await, site.expected(0..1)[0]);
    let shown = status(&device);
    assert!(
        shown.contains("active, enabled") && shown.contains("connected to the broker"),
        "{shown}"
    );
    assert!(shown.contains(&files[0]), "{shown}");

    // The same again copies no model.
    let (done, text) = deploy(device.arguments(), &model, &config, &[]);
    assert!(done && !text.contains("copied site-"), "{text}");
    assert_eq!(device.files(), files);

    // Another model takes the place of the first, whose file goes; by a user who may use sudo.
    device.replace("id", "#!/bin/sh\necho 1000\n");
    device.replace("sudo", "#!/bin/sh\n[ \"$1\" = -n ] && shift && exec \"$@\"\n");
    let folder = tempdir().unwrap();
    let other = bundle::random(folder.path(), "it's $(another) one", &["temp", "power"], 3, Some(60_000));
    let (done, text) = deploy(device.arguments(), &other, &config, &[]);
    assert!(done, "{text}");
    let files = device.files();
    assert!(files.len() == 2 && files[0].starts_with("it-s---another--one-"), "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_never_becomes_ready_is_rolled_back() {
    let (Some(broker), Some(device)) = (Mosquitto::start(), Device::start("64m")) else {
        return;
    };
    let site = Site::new(broker.port(), "");
    let (model, config) = (file(&site, "site.safetensors"), file(&site, "edge.toml"));
    let lost = with_port(&site, free_port());

    // At first there is nothing to go back to: the service stops.
    let (done, text) = deploy(device.arguments(), &model, &lost, &["--timeout", "3"]);
    assert!(!done && text.contains("the configuration before is back"), "{text}");
    assert!(text.contains("no connection to the broker"), "the reason: {text}");
    assert!(!device.files().contains(&"tsm2-edge.toml".to_owned()), "{:?}", device.files());
    assert!(status(&device).contains("inactive, disabled"));

    assert!(deploy(device.arguments(), &model, &config, &[]).0);
    let before = device.read("etc/tsm2-edge/tsm2-edge.toml");
    let folder = tempdir().unwrap();
    let other = bundle::random(folder.path(), "other", &["temp", "power"], 3, Some(60_000));
    let (done, text) = deploy(device.arguments(), &other, &lost, &["--timeout", "3"]);
    assert!(!done, "{text}");
    assert_eq!(device.read("etc/tsm2-edge/tsm2-edge.toml"), before);
    wait_until("connected again", &|| status(&device).contains("connected to the broker"));
    let mut client = site.client().await;
    assert_eq!(site::exchange(&mut client, 0).await, site.expected(0..1)[0]);

    // A configuration that the device rejects changes nothing.
    let text = std::fs::read_to_string(site.config()).unwrap();
    let wrong = file(&site, "wrong.toml");
    std::fs::write(&wrong, text.replace("sensors/{stream}", "sensors/#/{stream}")).unwrap();
    let (done, text) = deploy(device.arguments(), &model, &wrong, &[]);
    assert!(
        !done && text.contains("input.topic") && text.contains("nothing was changed"),
        "{text}"
    );
    assert_eq!(device.read("etc/tsm2-edge/tsm2-edge.toml"), before);
    assert!(status(&device).contains("active, enabled"));
}

#[test]
fn a_deployment_that_cannot_work_is_refused_before_anything_is_copied() {
    let Some(device) = Device::start("9m") else {
        return;
    };
    let site = Site::new(1883, "");
    let (model, config) = (file(&site, "site.safetensors"), file(&site, "edge.toml"));
    let refused = |bundle: &Path, more: &[&str], why: &str| {
        let (done, text) = deploy(device.arguments(), bundle, &config, more);
        assert!(!done && text.contains(why), "{why}: {text}");
        assert_eq!(device.files(), [""; 0], "{why}");
    };
    let broken = file(&site, "broken.safetensors");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    refused(&broken, &[], "broken.safetensors");

    let package = file(&site, "tsm2-edge_0.1.0_armhf.deb");
    std::fs::write(&package, "a package").unwrap();
    device.replace("dpkg", "#!/bin/sh\necho arm64\n");
    refused(
        &model,
        &["--package", package.to_str().unwrap()],
        "the package is for armhf and the device is arm64",
    );
    device.replace("dpkg", "#!/bin/sh\necho riscv64\n");
    refused(&model, &[], "riscv64");
    device.replace("dpkg", "#!/bin/sh\necho amd64\n");

    let package = file(&site, "tsm2-edge_0.1.0_amd64.deb");
    std::fs::write(&package, vec![0; 1 << 20]).unwrap();
    refused(&model, &["--package", package.to_str().unwrap()], "bytes free at /etc/tsm2-edge");

    device.replace("id", "#!/bin/sh\necho 1000\n");
    device.replace("sudo", "#!/bin/sh\nexit 1\n");
    refused(&model, &[], "allow sudo on the device");
    device.replace("id", "#!/bin/sh\necho 0\n");

    device.replace("date", "#!/bin/sh\necho 86400\n");
    refused(&model, &[], "the clocks of the device and of this machine differ");
    device.replace("systemctl", "#!/bin/sh\necho offline\nexit 1\n");
    refused(&model, &[], "does not run systemd");
    device.replace("tsm2-edge", "#!/bin/sh\nexit 126\n");
    refused(&model, &[], "tsm2-edge is not installed on the device");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_leaves_nothing_half_done() {
    let (Some(broker), Some(device)) = (Mosquitto::start(), Device::start("64m")) else {
        return;
    };
    let site = Site::new(broker.port(), "");
    let config = file(&site, "edge.toml");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/building/model.safetensors");

    // While the model is copied.
    let (done, text) = deploy(device.arguments_of_a_connection_that_breaks(1 << 20), &model, &config, &[]);
    assert!(!done && text.contains("connection"), "{text}");
    wait_until("removed", &|| !device.files().iter().any(|name| name.starts_with(".incoming")));
    assert_eq!(device.files(), [""; 0], "no part of a file keeps a name");
    let (done, text) = deploy(device.arguments(), &model, &config, &[]);
    assert!(done && text.ends_with("ready\n"), "the same command completes: {text}");
    let before = device.read("etc/tsm2-edge/tsm2-edge.toml");

    // After the swap: the device goes back by itself.
    let lost = with_port(&site, free_port());
    let mut command = Command::new(tsm2());
    command
        .arg("deploy")
        .args(device.arguments())
        .args(["--timeout", "4", "--bundle"])
        .arg(&model);
    command.arg("--config").arg(&lost).stdin(Stdio::null()).stdout(Stdio::null());
    let mut deployment = command.spawn().unwrap();
    wait_until("swapped", &|| device.read("etc/tsm2-edge/tsm2-edge.toml") != before);
    let pid = deployment.id().to_string();
    assert!(
        Command::new("pkill").args(["-KILL", "--parent", &pid]).status().unwrap().success(),
        "the end of ssh"
    );
    assert!(!deployment.wait().unwrap().success(), "the connection was lost");
    wait_until("rolled back", &|| device.read("etc/tsm2-edge/tsm2-edge.toml") == before);
    wait_until("connected again", &|| status(&device).contains("connected to the broker"));
}
