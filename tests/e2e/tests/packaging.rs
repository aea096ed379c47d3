//! What a device is given besides the program: the unit passes systemd's own checks, and the example configuration is one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::tempdir;
use tsm2_edge::config::Config;
use tsm2_mqtt_testkit::require::skip;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/linux")
}

/// What `systemd-analyze` says; `None`, with a line printed, where it is not installed.
fn systemd_analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    if output.is_err() {
        skip("systemd-analyze is not installed");
    }
    output.ok()
}

#[test]
fn the_units_are_valid() {
    let folder = tempdir().unwrap();
    for name in ["tsm2-edge.service", "first-boot.service"] {
        let unit = folder.path().join(name);
        // The program need not be installed where this runs.
        let text = std::fs::read_to_string(packaging().join(name)).unwrap();
        std::fs::write(&unit, text.replace("/usr/bin/tsm2-edge", "/bin/true")).unwrap();
        let Some(output) = systemd_analyze(&["verify"], &unit) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn the_unit_exposes_no_more_than_is_documented() {
    let readme = std::fs::read_to_string(packaging().join("README.md")).unwrap();
    let (_, figure) = readme.split_once("# exposure ").expect("a figure");
    let figure: f64 = figure.split(' ').next().unwrap().parse().expect("a number");
    let threshold = format!("--threshold={:.0}", figure * 10.0);
    let arguments = ["security", "--offline=true", "--no-pager", &threshold];
    let Some(output) = systemd_analyze(&arguments, &packaging().join("tsm2-edge.service")) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_example_is_a_configuration_with_and_without_what_it_has_as_comments() {
    let file = packaging().join("tsm2-edge.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let config = Config::load(&file).unwrap();
    assert!(config.broker.tls.is_none() && config.http.is_none());
    assert_eq!(config.model.bundle, packaging().join("model.safetensors"));

    let all: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    let credentials = ("CREDENTIALS_DIRECTORY".to_owned(), "/run/credentials/tsm2-edge.service".to_owned());
    let config = Config::parse(&all.join("\n"), Path::new("/etc/tsm2-edge/tsm2-edge.toml"), [credentials]).unwrap();
    let (tls, http) = (config.broker.tls.unwrap(), config.http.unwrap());
    assert_eq!(
        (config.broker.port, tls.ca_file.as_deref()),
        (8883, Some(Path::new("/etc/tsm2-edge/ca.pem")))
    );
    for (credential, path) in [
        ("broker-password", config.broker.password_file),
        ("broker-key", tls.key_file),
        ("http-token", http.token_file),
    ] {
        assert_eq!(path, Some(Path::new("/run/credentials/tsm2-edge.service").join(credential)));
        let unit = std::fs::read_to_string(packaging().join("tsm2-edge.service")).unwrap();
        assert!(
            unit.contains(&format!("#LoadCredential={credential}:")),
            "the unit has {credential} as an example"
        );
    }
}
