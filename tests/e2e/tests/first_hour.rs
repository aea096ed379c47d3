//! The tutorial of the first hour, walked from devices at a broker to Home Assistant: a mosquitto, simulated
//! devices, an sshd to deploy to, a browser, and Home Assistant where it can be installed.
//!
//! `UPDATE_DOCS=1` writes the transcript and the pictures of the walk.

#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;

use tsm2_e2e::browser::script;
use tsm2_e2e::device::Device;
use tsm2_e2e::home_assistant::{HomeAssistant, root};
use tsm2_e2e::http::get_until;
use tsm2_e2e::tutorial::{Tutorial, repository, transcript};
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};

const TRANSCRIPT: &str = "# The first hour, as it ran

A transcript of [the first hour](first-hour.md), written by the test that walks it. The commands are
those of the page. The test ran them in short form: `discover` listens 5 s, two days of readings are
sent at once, training has `--budget 10s --no-baselines`, and the device is an OpenSSH server on the
same machine.
";

#[test]
fn the_first_hour_leads_from_devices_to_home_assistant() {
    let (Some(broker), Some(device)) = (Mosquitto::start(), Device::start("64m")) else {
        return;
    };
    let (port, http) = (broker.port(), free_port());
    let (sub, url) = (
        format!("mosquitto_sub -h 127.0.0.1 -p {port} -W 300"),
        format!("http://127.0.0.1:{http}/"),
    );
    // Devices: MINUTES_AGO COUNT PAUSE.
    let devices = |when: &str| {
        let script = repository("tests/first-hour/devices.py");
        format!("python3 '{}' {port} {when}", script.display())
    };
    let tutorial = Tutorial::open("first-hour.md")
        .with("host = \"localhost\"", format!("host = \"127.0.0.1\"\nport = {port}\n#"))
        .with("127.0.0.1:9464", format!("127.0.0.1:{http}"))
        .with(
            "tsm2-edge discover --seconds 600",
            format!(
                "{} &\n{sub} -C 3 -t '+/+' -t 'tele/#' >/dev/null\n\
                 tsm2-edge discover --broker 127.0.0.1:{port} --seconds 5",
                devices("1 100000 0.1")
            ),
        )
        .with(
            "timeout --signal INT --preserve-status 7d tsm2-edge record home.toml\n",
            format!(
                "tsm2-edge record home.toml >record.log 2>&1 & recorder=$!\n\
                 is_there() {{ kill -0 $recorder || {{ cat record.log; exit 1; }}; sleep 0.1; }}\n\
                 until grep -q connected record.log; do is_there; done\n{}\n\
                 until [ $(cat recordings/home/*.csv | wc -l) -gt 2850 ]; do is_there; done\n\
                 kill -TERM $recorder\nwait $recorder\ncat record.log\n",
                devices("2880 2880 0")
            ),
        )
        .with("--out house", "--out house --budget 10s --no-baselines")
        .with(
            "tsm2 deploy pi@raspberrypi.local",
            format!("tsm2 deploy {}", device.arguments().join(" ")),
        )
        .with("mosquitto_sub -t tsm2", format!("{}\n{sub} -t tsm2", devices("60 60 0")))
        .with("mosquitto_sub -t homeassistant", format!("{sub} -t homeassistant"));
    let ran = tutorial.run();
    let expected = [
        "preset = \"tasmota\"",
        "home.toml is valid",
        "heater_power",
        "house/report.html",
        "ready",
        "\"model\":\"house\"",
        "ok\n1\n",
        "living_room_temperature reaches 20\n",
    ];
    assert_eq!(ran.len(), expected.len());
    for (block, text) in ran.iter().zip(expected) {
        assert!(block.printed.contains(text), "{text:?} is not in\n{}", block.printed);
    }
    get_until(http, "/api/status", |_, page| page.contains("\"time_steps\":60"));

    let mut text = TRANSCRIPT.to_owned() + &transcript(&ran);
    let is_recorded = std::env::var_os("UPDATE_DOCS").is_some();
    if let Some(root) = root() {
        let home = HomeAssistant::start(&root, port);
        text += "\n## 7. Home Assistant\n\nIts states, after it has started:\n\n```text\n";
        let wanted = [
            "sensor.home_living_room_temperature_in_30_min",
            "sensor.home_kitchen_temperature_maximum",
            "sensor.home_heater_power_minimum_at",
        ];
        // They come in any order. Until the daemon's availability has come, they are unavailable.
        let found = RefCell::new(BTreeMap::new());
        home.wait_for(&wanted.join(", "), |said| {
            let (entity, state) = (said["entity"].as_str(), said["state"].as_str());
            if let (Some(entity), Some(state)) = (entity, state)
                && wanted.contains(&entity)
                && !["unknown", "unavailable"].contains(&state)
            {
                let unit = said["attributes"]["unit_of_measurement"].as_str().unwrap_or_default();
                found.borrow_mut().insert(entity.to_owned(), format!("{state} {unit}"));
            }
            found.borrow().len() == wanted.len()
        });
        for (entity, state) in found.into_inner() {
            let _ = writeln!(text, "{entity}  {}", state.trim_end());
        }
        text += "```\n";
    }
    if is_recorded {
        let text = text.replace(&port.to_string(), "1883").replace(&http.to_string(), "9464");
        std::fs::write(repository("docs/tutorials/first-hour-transcript.md"), text).expect("a file");
        let report = format!("file://{}/house/report.html", tutorial.folder().display());
        for (url, part, picture) in [(report, "h1", "report"), (url, "#figure:not([hidden]) canvas", "page")] {
            let picture = repository("docs/tutorials").join(format!("first-hour-{picture}.png"));
            let picture = picture.to_str().expect("a path").to_owned();
            let Some(mut script) = script("picture.mjs", [url, part.to_owned(), picture]) else {
                return;
            };
            assert!(script.status().expect("node starts").success());
        }
    }
}
