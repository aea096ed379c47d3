//! `tsm2-edge discover`: a broker with devices of five makes, and the configuration that comes of it.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::tempdir;
use tsm2_e2e::process::{self, Running};
use tsm2_e2e::{bundle, site};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::test_client::TestClient;

const ROOMS: [&str; 8] = ["kitchen", "living", "bath", "office", "cellar", "attic", "garage", "hall"];

/// The variates of the model: one for each of 40 devices.
fn variates() -> Vec<String> {
    let of_room = |room: &str| {
        [
            format!("{room}_temperature"),
            format!("{room}_plug_power"),
            format!("{room}_floor_humidity"),
            format!("{room}_pump_apower"),
            format!("{room}_meter_co2"),
        ]
    };
    ROOMS.iter().flat_map(|room| of_room(room)).collect()
}

/// One message of each device, in the form that its maker documents, and messages that are no readings.
fn messages() -> Vec<(String, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let rfc3339 = tsm2_mqtt::rfc3339((now * 1e3) as i64);
    let mut all = vec![
        ("zigbee2mqtt/bridge/state".to_owned(), r#"{"state":"online"}"#.to_owned()),
        ("zigbee2mqtt/kitchen/availability".to_owned(), "online".to_owned()),
        (
            "homeassistant/sensor/kitchen/config".to_owned(),
            r#"{"unique_id":"x","qos":1}"#.to_owned(),
        ),
        ("tele/plug/LWT".to_owned(), "Online".to_owned()),
    ];
    for (index, room) in ROOMS.iter().enumerate() {
        all.extend([
            (
                format!("zigbee2mqtt/{room}"),
                format!(r#"{{"battery":97,"linkquality":105,"temperature":{}.5,"voltage":2995}}"#, 19 + index),
            ),
            (
                format!("tele/{room}_plug/SENSOR"),
                format!(
                    r#"{{"Time":"2026-01-15T12:00:02","ENERGY":{{"TotalStartTime":"2024-03-09T12:55:42","Total":1.2,"Power":{},"Voltage":231,"Current":3.6}}}}"#,
                    100 + index
                ),
            ),
            (format!("{room}-floor/sensor/humidity/state"), format!("{}.2", 40 + index)),
            (
                format!("shellyplus1pm-{room}-pump/events/rpc"),
                format!(
                    r#"{{"src":"s","dst":"s/events","method":"NotifyStatus","params":{{"ts":{now:.3},"switch:0":{{"id":0,"apower":{}.5,"voltage":231.2}}}}}}"#,
                    40 + index
                ),
            ),
            (
                format!("v3/building@ttn/devices/{room}-meter/up"),
                format!(
                    r#"{{"end_device_ids":{{"device_id":"{room}-meter"}},"received_at":"{rfc3339}","uplink_message":{{"f_port":1,"f_cnt":7,"decoded_payload":{{"co2":{},"battery_v":3.1}},"rx_metadata":[{{"rssi":-91}}]}}}}"#,
                    600 + index
                ),
            ),
        ]);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_devices_of_five_makes_are_found_and_the_configuration_runs_unedited() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempdir().unwrap();
    let (names, file) = (variates(), folder.path().join("edge.toml"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let model = bundle::random(folder.path(), "m", &names, 3, Some(60_000));
    let address = format!("127.0.0.1:{}", broker.port());
    let (file, model) = (file.to_str().unwrap(), model.to_str().unwrap());
    let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;

    let discover = |arguments: &[&str]| {
        let all = [&["discover", "--seconds", "4", "--broker", &address], arguments].concat();
        Running::start(&all)
    };
    let discovering = discover(&["--bundle", model, "--stream", "house", "--out", file]);
    let without_model = discover(&[]);
    for _ in 0..8 {
        for (topic, payload) in messages() {
            client.publish(&topic, payload).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    }
    assert!(discovering.ended().success());
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.matches("\n[[source]]").count(), 40, "{text}");
    for (preset, device) in [
        ("zigbee2mqtt", ""),
        ("tasmota", "_plug"),
        ("esphome", "-floor"),
        ("shelly", "-pump"),
        ("ttn", "-meter"),
    ] {
        for room in ROOMS {
            let named = match preset {
                "shelly" => format!("shellyplus1pm-{room}{device}"),
                _ => format!("{room}{device}"),
            };
            assert!(
                text.contains(&format!("preset = \"{preset}\"\ndevice = \"{named}\"")),
                "{preset} {named}\n{text}"
            );
        }
    }
    for (name, path) in [
        ("kitchen_temperature", "temperature"),
        ("bath_plug_power", "ENERGY.Power"),
        ("hall_floor_humidity", "humidity"),
        ("attic_pump_apower", "switch:0.apower"),
        ("office_meter_co2", "co2"),
    ] {
        assert!(text.contains(&format!("\n\"{name}\" = \"{path}\"")), "{name}\n{text}");
    }
    assert!(text.contains("°C") && text.contains("every 0."), "units and cadences");

    // Unedited: it is valid and it runs.
    let valid = process::run(&["validate", file]);
    assert!(valid.status.success(), "{}\n{text}", String::from_utf8_lossy(&valid.stderr));
    assert!(
        !String::from_utf8_lossy(&valid.stdout).contains("warning"),
        "{}",
        String::from_utf8_lossy(&valid.stdout)
    );
    site::within_a_minute().await;
    let daemon = Running::start(&["run", file, "--json"]);
    client.wait_for("tsm2/status", "online").await;
    for (topic, payload) in messages() {
        client.publish(&topic, payload).await;
    }
    let mut forecast = BTreeSet::new();
    while forecast.len() < names.len() {
        forecast.insert(client.forecast().await.topic);
    }
    let summary = site::summary(daemon);
    let mut rejected = summary["rejected"].as_object().unwrap().clone();
    rejected.remove("late"); // where a minute ends between the messages
    assert!(rejected.is_empty(), "{summary}");

    let all = without_model.terminate();
    assert_eq!(all.matches("\n[[source]]").count(), 40, "{all}");
    // Unedited it records and forecasts before there is a model.
    let first = folder.path().join("first.toml");
    std::fs::write(&first, &all).unwrap();
    let valid = process::run(&["validate", first.to_str().unwrap()]);
    let printed = [valid.stdout, valid.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    assert!(valid.status.success() && !printed.contains("warning"), "{printed}\n{all}");
    assert!(
        all.contains("interval_s = 60") && all.contains("[record]") && printed.contains("naive"),
        "{printed}\n{all}"
    );
}

#[test]
fn what_cannot_be_discovered_is_refused_by_name() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("edge.toml");
    std::fs::write(&file, "mine").unwrap();
    for (arguments, named) in [
        (&["--out", file.to_str().unwrap()][..], "exists"),
        (&["--seconds", "0"], "--seconds"),
        (&["--stream", "a/b"], "--stream"),
        (&["--bundle", "/nowhere/m.safetensors"], "/nowhere/m.safetensors"),
        (&["--seconds", "1", "--broker", "127.0.0.1:1"], "no connection"),
    ] {
        let output = process::run(&[&["discover"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(named), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}
