//! The tutorials, walked as a new user would: each command of the page, in order, in short form: less
//! time for listening, recording and training.

#![cfg(target_os = "linux")]

use std::path::Path;

use tsm2_e2e::data::file;
use tsm2_e2e::tutorial::{Ran, Tutorial};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
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

/// Each block must have printed its text.
fn assert_printed(ran: &[Ran], texts: &[&str]) {
    assert_eq!(ran.len(), texts.len(), "a text for each block of commands");
    for (block, text) in ran.iter().zip(texts) {
        assert!(block.printed.contains(text), "{text:?} is not in\n{}", block.printed);
    }
}

/// A script that runs a program until its log has a line with this text, and then goes on.
fn in_background(command: &str, text: &str) -> String {
    format!(
        "{command} >daemon.log 2>&1 & daemon=$!\n\
         until grep -q '{text}' daemon.log; do kill -0 $daemon || {{ cat daemon.log; exit 1; }}; sleep 0.1; done\n"
    )
}

#[test]
fn the_tutorial_of_the_first_forecast_runs() {
    if !are_installed(&["mosquitto_sub"]) {
        return;
    }
    let Some(broker) = Mosquitto::start() else { return };
    let address = format!("-h 127.0.0.1 -p {}", broker.port());
    let ran = Tutorial::open("first-forecast.md")
        // The programs are there.
        .with("sudo apt install mosquitto mosquitto-clients", "mosquitto_sub --help || true")
        .with("cargo build --release -p tsm2-train -p tsm2-edge -p tsm2-demo", "tsm2 --version")
        .with("export PATH=$PWD/target/release:$PATH\nmkdir -p ~/first && cd ~/first\n", "")
        .with("--rows 40320", "--rows 1500")
        .with("--horizon 60", "--horizon 20 --updates 6 --no-baselines")
        .with("host = \"localhost\"", format!("host = \"127.0.0.1\"\nport = {}", broker.port()))
        .with(
            "mosquitto                                                   # if it does not run as a service\n",
            "",
        )
        .with(
            "tsm2-edge run tsm2-edge.toml\n",
            in_background("tsm2-edge run tsm2-edge.toml", "connected"),
        )
        .with(
            "tsm2-edge replay --data recording.csv --speed 600",
            format!(
                "tsm2-edge replay --data recording.csv --speed 0 --rows 0..100 --broker 127.0.0.1:{}",
                broker.port()
            ),
        )
        .with("mosquitto_sub -v -t", format!("mosquitto_sub {address} -W 300 -C 11 -v -t"))
        .run();
    assert_printed(
        &ran,
        &[
            "mosquitto_sub",
            "tsm2 0.",
            "",
            "room1",
            "mine/model.safetensors",
            "naive",
            "tsm2-edge.toml is valid",
            "\"model\":\"mine\"",
        ],
    );
}

#[test]
fn the_tutorial_of_home_assistants_history_runs() {
    if !are_installed(&["awk", "python3"]) {
        return;
    }
    let tutorial = Tutorial::open("home-assistant.md")
        .with("14 * 86400", "5 * 86400")
        .with("--horizon 24", "--horizon 24 --updates 4 --no-baselines");
    // The database of a recorder, with hourly statistics.
    let database = "
import math, sqlite3
database = sqlite3.connect('home-assistant_v2.db')
database.executescript('''
    CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id VARCHAR(255));
    CREATE TABLE state_attributes (attributes_id INTEGER PRIMARY KEY, shared_attrs TEXT);
    CREATE TABLE states (state_id INTEGER PRIMARY KEY, entity_id CHAR(0), state VARCHAR(255), attributes CHAR(0),
        last_changed CHAR(0), last_changed_ts FLOAT, last_updated CHAR(0), last_updated_ts FLOAT,
        attributes_id INTEGER, metadata_id INTEGER);
    CREATE TABLE statistics_meta (id INTEGER PRIMARY KEY, statistic_id VARCHAR(255), unit_of_measurement VARCHAR(255));
    CREATE TABLE statistics (id INTEGER PRIMARY KEY, start CHAR(0), start_ts FLOAT, metadata_id INTEGER,
        mean FLOAT, state FLOAT, sum FLOAT);''')
for number, name in enumerate(['hall', 'outdoor'], 1):
    entity = f'sensor.{name}_temperature'
    database.execute('INSERT INTO states_meta VALUES (?, ?)', (number, entity))
    database.execute('INSERT INTO states (state, last_updated_ts, metadata_id) VALUES (20.5, 1772409600, ?)', (number,))
    database.execute('INSERT INTO statistics_meta VALUES (?, ?, ?)', (number, entity, '°C'))
    for hour in range(1200):
        mean = 20 + math.sin(hour * math.pi / 12) + 0.3 * math.sin(hour * number)
        database.execute('INSERT INTO statistics (start_ts, metadata_id, mean) VALUES (?, ?, ?)',
            (1772409600 + 3600 * hour, number, mean))
database.commit()";
    let made = std::process::Command::new("python3")
        .args(["-c", database])
        .current_dir(tutorial.folder())
        .status()
        .expect("python3 starts");
    assert!(made.success(), "python3 makes a database");
    assert_printed(
        &tutorial.run(),
        &[
            "",
            "sensor.hall_humidity",
            "house/model.safetensors",
            "naive",
            "house-hourly/model.safetensors",
        ],
    );
}

#[test]
fn the_tutorial_for_plant_engineers_runs() {
    if !are_installed(&["awk", "iconv"]) {
        return;
    }
    let ran = Tutorial::open("scada-export.md")
        .with("28 * 96", "18 * 96")
        .with("--horizon 96", "--horizon 8 --updates 4 --no-baselines")
        .with(
            "tsm2 train --data nord.csv sued.csv west.csv",
            "for plant in nord sued west; do cp anlage.csv $plant.csv; done\ntsm2 train --data nord.csv sued.csv west.csv",
        )
        .run();
    assert_printed(
        &ran,
        &["", "windows-1252", "zone Europe/Berlin", "kesselhaus/model.safetensors", "west"],
    );
}

#[test]
fn the_tutorial_for_researchers_runs() {
    if !are_installed(&["python3"]) {
        return;
    }
    let Some(recording) = file("ETTh1.csv") else { return };
    let tutorial = Tutorial::open("researcher.md")
        .with("--split 8640,2880,2880", "--split 1000,300,300 --updates 4 --no-baselines")
        .with("--horizon 96", "--horizon 24")
        .with("--horizons 24,96", "--horizons 12,24")
        .with("11520..14400", "1300..1600");
    let rows = std::fs::read_to_string(recording).expect("text");
    let short: String = rows.lines().take(1601).map(|line| format!("{line}\n")).collect();
    std::fs::write(tutorial.folder().join("ETTh1.csv"), short).expect("a file");
    assert_printed(&tutorial.run(), &["linear", "naive", "'OT'", "coverage"]);
}
