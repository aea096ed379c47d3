//! `--json`: one object on standard output, with the keys of docs/reference/json.md.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;

use serde_json::Value;
use tsm2_e2e::device::Device;
use tsm2_e2e::process::{run, run_tsm2};
use tsm2_e2e::site::{MINUTE, START, Site, row};
use tsm2_e2e::tutorial::repository;
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::Mosquitto;

/// The documented keys of a command.
fn documented(page: &str, command: &str) -> BTreeSet<String> {
    let start = format!("| `{command}` | ");
    let line = page.lines().find_map(|line| line.strip_prefix(&start));
    let line = line.unwrap_or_else(|| panic!("{command} is not documented"));
    let keys = line.split(" |").next().expect("keys").split(", ");
    keys.map(|key| key.trim_matches('`').to_owned()).collect()
}

#[test]
fn json_is_one_object_with_the_documented_keys() {
    let (Some(broker), Some(device)) = (Mosquitto::start(), Device::start("64m")) else {
        return;
    };
    let page = std::fs::read_to_string(repository("docs/reference/json.md")).expect("the page");
    let site = Site::new(broker.port(), "");
    let path = |name: &str| site.path().join(name).display().to_string();
    let (model, config, address) = (path("site.safetensors"), site.config(), format!("127.0.0.1:{}", broker.port()));
    let lines = (0..40).map(|index| {
        let [temp, power] = row(index);
        format!("{},{temp},{power}\n", rfc3339(START + index * MINUTE))
    });
    let data = path("data.csv");
    std::fs::write(&data, "time,temp,power\n".to_owned() + &lines.collect::<String>()).expect("a file");
    let (flash, graph, proposal) = (path("model.bin"), path("model.onnx"), path("proposal.toml"));
    let there = device.arguments();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let deploy = [&there[..], &["--bundle", &model, "--config", &config]].concat();
    let status = [&there[..], &["--status"]].concat();
    let export = [&model, "--firmware", &flash, "--onnx", &graph];
    let discover = ["--broker", &address, "--seconds", "1", "--out", &proposal];
    let commands: [(&str, &[&str]); 9] = [
        ("tsm2 describe", &[&data]),
        ("tsm2 inspect", &[&model]),
        ("tsm2 export", &export),
        ("tsm2 deploy", &deploy),
        ("tsm2 deploy --status", &status),
        ("tsm2-edge validate", &[&config]),
        ("tsm2-edge replay", &["--data", &data, "--broker", &address, "--speed", "0"]),
        ("tsm2-edge discover", &discover),
        ("tsm2-edge clear-session", &[&config, "--client-id", "earlier"]),
    ];
    for (name, arguments) in commands {
        let mut words = name.split(' ');
        let program = words.next();
        let all: Vec<&str> = words
            .filter(|word| !word.starts_with('-'))
            .chain(arguments.iter().copied())
            .chain(["--json"])
            .collect();
        let output = if program == Some("tsm2") { run_tsm2(&all) } else { run(&all) };
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found: BTreeSet<String> = object.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(found, documented(&page, name), "{name}");
    }
}
