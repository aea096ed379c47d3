//! The tutorials, walked as a new user would: each command of the page, in order, in short form: less
//! time for listening, recording and training.

#![cfg(target_os = "linux")]

use std::path::Path;

use tsm2_e2e::data::file;
use tsm2_e2e::device::Device;
use tsm2_e2e::tutorial::{Tutorial, repository};
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::require::skip;

/// Whether these programs are installed; [`skip`] without one.
fn are_installed(programs: &[&str]) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_missing = |program: &&&str| !path.split(':').any(|folder| Path::new(folder).join(program).is_file());
    let missing = programs.iter().find(is_missing);
    if let Some(missing) = missing {
        skip(&format!("{missing} is not installed"));
    }
    missing.is_none()
}

fn assert_has(printed: &str, text: &str) {
    assert!(printed.contains(text), "{text:?} is not in\n{printed}");
}

#[test]
fn the_first_hour_leads_from_devices_to_home_assistant() {
    if !are_installed(&["python3", "mosquitto_pub", "mosquitto_sub", "curl", "jq"]) {
        return;
    }
    let (Some(broker), Some(device)) = (Mosquitto::start(), Device::start("64m")) else {
        return;
    };
    let (port, http) = (broker.port(), free_port());
    // Devices: MINUTES_AGO COUNT PAUSE.
    let devices = |when: &str| {
        let script = repository("tests/first-hour/devices.py");
        format!("python3 '{}' {port} {when} >/dev/null 2>&1", script.display())
    };
    let printed = Tutorial::open("first-hour.md")
        .with("host = \"localhost\"", format!("host = \"127.0.0.1\"\nport = {port}\n#"))
        .with("127.0.0.1:9464", format!("127.0.0.1:{http}"))
        .with(
            "tsm2-edge discover --seconds 600",
            format!(
                "{} &\ntsm2-edge discover --broker 127.0.0.1:{port} --seconds 6",
                devices("1 30 0.2")
            ),
        )
        // Two days of readings while it records.
        .with(
            "timeout --signal INT --preserve-status 7d",
            format!("(sleep 3; {}) &\ntimeout --signal INT --preserve-status 25", devices("2880 2880 0")),
        )
        .with("--out house", "--out house --budget 10s --no-baselines")
        .with("deploy pi@raspberrypi.local", format!("deploy {}", device.arguments().join(" ")))
        .with(
            "mosquitto_sub -t tsm2",
            format!("{} &\nmosquitto_sub -h 127.0.0.1 -p {port} -W 100 -t tsm2", devices("3 20 0.3")),
        )
        .with(
            "mosquitto_sub -t homeassistant",
            format!("mosquitto_sub -h 127.0.0.1 -p {port} -W 100 -t homeassistant"),
        )
        .run();
    assert_has(&printed[0], "preset = \"tasmota\"");
    assert_has(&printed[0], "kitchen_temperature");
    assert_has(&printed[1], "home.toml is valid");
    assert_has(&printed[2], "heater_power");
    assert_has(&printed[3], "baseline");
    assert_has(&printed[4], "ready");
    assert_has(&printed[5], "\"model\":\"house\"");
    assert_has(&printed[6], "ok\n1\n");
    assert_has(&printed[7], "living_room_temperature reaches 20\n");
    assert_has(&printed[7], "kitchen_temperature in 30 min\n");
}

#[test]
fn the_tutorial_for_plant_engineers_runs() {
    if !are_installed(&["awk", "iconv"]) {
        return;
    }
    let printed = Tutorial::open("scada-export.md")
        .with("28 * 96", "10 * 96")
        .with("--horizon 96", "--horizon 8 --budget 5s --no-baselines")
        .with(
            "tsm2 train --data nord.csv sued.csv west.csv",
            "for plant in nord sued west; do cp anlage.csv $plant.csv; done\ntsm2 train --data nord.csv sued.csv west.csv",
        )
        .run();
    assert_has(&printed[1], "windows-1252");
    assert_has(&printed[2], "zone Europe/Berlin");
    assert_has(&printed[3], "kesselhaus/model.safetensors");
    assert_has(&printed[4], "west");
}

#[test]
fn the_tutorial_for_researchers_runs() {
    let Some(recording) = file("ETTh1.csv") else { return };
    let tutorial = Tutorial::open("researcher.md")
        .with("--split 8640,2880,2880", "--split 1000,300,300 --budget 5s --no-baselines")
        .with("--horizon 96", "--horizon 24")
        .with("--horizons 24,96", "--horizons 12,24")
        .with("11520..14400", "1300..1600");
    let rows = std::fs::read_to_string(recording).expect("text");
    let short: String = rows.lines().take(1601).map(|line| format!("{line}\n")).collect();
    std::fs::write(tutorial.folder().join("ETTh1.csv"), short).expect("a file");
    let printed = tutorial.run();
    assert_has(&printed[0], "linear");
    assert_has(&printed[1], "naive");
    assert_has(&printed[2], "'OT'");
    assert_has(&printed[3], "coverage");
}
