//! Messages of public devices and services in their documented form, through a broker into one model.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::{TempDir, tempdir};
use tsm2_e2e::engine::TestEngine;
use tsm2_e2e::process::Running;
use tsm2_e2e::{bundle, site};
use tsm2_edge::config::{Config, prepare};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::test_client::TestClient;

/// What a device sends: the keys of its source, the paths of its values and what they are, and its
/// messages, each with its topic. `NOW` stands for the time, `UNIX` for seconds and `UNIX_MS` for
/// milliseconds since 1970.
struct Device {
    name: &'static str,
    source: &'static str,
    values: &'static [(&'static str, f32)],
    messages: &'static [(&'static str, &'static str)],
}

const DEVICES: [Device; 18] = [
    Device {
        name: "Shelly Gen2 status of one component",
        source: "topic = 'shellypro3em-a8/status/em:0'",
        values: &[("total_act_power", 412.5)],
        messages: &[(
            "shellypro3em-a8/status/em:0",
            r#"{"id":0,"a_current":1.2,"a_act_power":412.5,"user_calibrated_phase":[],"total_act_power":412.5}"#,
        )],
    },
    Device {
        name: "Shelly Gen2 events before its clock is set",
        source: "preset = 'shelly'\ndevice = 'shellyplusht-08'",
        values: &[("temperature:0.tC", 19.4)],
        messages: &[
            (
                "shellyplusht-08/events/rpc",
                r#"{"src":"shellyplusht-08","dst":"shellyplusht-08/events","method":"NotifyEvent","params":{"ts":UNIX.02,"events":[{"component":"sys","event":"sleep","ts":UNIX.02}]}}"#,
            ),
            (
                "shellyplusht-08/events/rpc",
                r#"{"src":"shellyplusht-08","dst":"shellyplusht-08/events","method":"NotifyFullStatus","params":{"ts":null,"ble":{},"temperature:0":{"id":0,"tC":19.4,"tF":66.9}}}"#,
            ),
        ],
    },
    Device {
        name: "Tasmota with two channels",
        source: "preset = 'tasmota'\ndevice = 'meter'",
        values: &[("ENERGY.Power.1", 34.0), ("DS18B20-1.Temperature", 20.6)],
        messages: &[(
            "tele/meter/SENSOR",
            r#"{"Time":"2026-01-15T12:00:02","ENERGY":{"TotalStartTime":"2024-03-09T12:55:42","Total":[1.2,3.4],"Power":[12,34],"Voltage":231},"DS18B20-1":{"Id":"01131B123456","Temperature":20.6},"TempUnit":"C"}"#,
        )],
    },
    Device {
        name: "Zigbee2MQTT availability",
        source: "topic = 'zigbee2mqtt/kitchen/availability'\nwords = { online = 1, offline = 0 }",
        values: &[("state", 0.0)],
        messages: &[("zigbee2mqtt/kitchen/availability", r#"{"state":"offline"}"#)],
    },
    Device {
        name: "Homie",
        source: "topic = 'homie/super-car/engine/{variate}'",
        values: &[("temperature", 21.5), ("running", 1.0)],
        messages: &[
            ("homie/super-car/engine/$name", "Car engine"),
            ("homie/super-car/engine/temperature", "21.5"),
            ("homie/super-car/engine/running", "true"),
        ],
    },
    Device {
        name: "OwnTracks",
        source: "topic = 'owntracks/jane/phone'\nwhere = { _type = 'location' }\ntime_field = 'tst'",
        values: &[("batt", 87.0)],
        messages: &[
            ("owntracks/jane/phone", r#"{"_type":"lwt","tst":UNIX}"#),
            (
                "owntracks/jane/phone",
                r#"{"_type":"location","acc":5,"batt":87,"lat":46.0,"lon":7.1,"tst":UNIX,"conn":"w"}"#,
            ),
        ],
    },
    Device {
        name: "rtl_433, two sensors on one topic",
        source: "topic = 'rtl_433/+/events'\nvariate_field = 'id'\nvalue = 'temperature_C'\nwhere = { model = 'Acurite-Tower' }",
        values: &[("1234", -3.5), ("77", 4.5)],
        messages: &[
            (
                "rtl_433/pi/events",
                r#"{"time":"2026-01-15 12:00:02","model":"Acurite-Tower","id":1234,"battery_ok":1,"temperature_C":-3.5,"mic":"CHECKSUM"}"#,
            ),
            (
                "rtl_433/pi/events",
                r#"{"time":"2026-01-15 12:00:03","model":"Neighbour","id":77,"temperature_C":60.0}"#,
            ),
            (
                "rtl_433/pi/events",
                r#"{"time":"2026-01-15 12:00:04","model":"Acurite-Tower","id":77,"temperature_C":4.5}"#,
            ),
        ],
    },
    Device {
        name: "Theengs gateway",
        source: "topic = 'home/TheengsGateway/BTtoMQTT/A4C138112233'",
        values: &[("tempc", 22.3), ("hum", 47.0)],
        messages: &[(
            "home/TheengsGateway/BTtoMQTT/A4C138112233",
            r#"{"name":"ATC_112233","id":"A4:C1:38:11:22:33","rssi":-62,"brand":"Xiaomi","tempc":22.3,"tempf":72.14,"hum":47,"batt":88,"volt":2.98}"#,
        )],
    },
    Device {
        name: "The Things Stack",
        source: "preset = 'ttn'\ndevice = 'meter-7'",
        values: &[("co2", 512.0)],
        messages: &[
            (
                "v3/building@ttn/devices/meter-7/up",
                r#"{"received_at":"NOW","uplink_message":{"f_port":0,"frm_payload":""}}"#,
            ),
            (
                "v3/building@ttn/devices/meter-7/up",
                r#"{"end_device_ids":{"device_id":"meter-7"},"received_at":"NOW","uplink_message":{"f_port":1,"f_cnt":9,"decoded_payload":{"co2":512,"battery":3.6},"rx_metadata":[{"rssi":-40}]}}"#,
            ),
        ],
    },
    Device {
        name: "ChirpStack 3, JSON in a string",
        source: "topic = 'application/9/device/0101010101010101/event/up'\nreadings = 'objectJSON'\ntime_field = 'rxInfo.0.time'",
        values: &[("temperature", 22.5)],
        messages: &[(
            "application/9/device/0101010101010101/event/up",
            r#"{"applicationID":"9","deviceName":"room","rxInfo":[{"gatewayID":"AA==","time":"NOW","rssi":-57}],"data":"AA==","objectJSON":"{\"temperature\":22.5}"}"#,
        )],
    },
    Device {
        name: "ChirpStack 4",
        source: "topic = 'application/+/device/0202020202020202/event/up'\nreadings = 'object'\ntime_field = 'time'",
        values: &[("analogInput.3", 4.25)],
        messages: &[(
            "application/57/device/0202020202020202/event/up",
            r#"{"deduplicationId":"3ac7","time":"NOW","deviceInfo":{"devEui":"0202020202020202"},"fPort":1,"object":{"analogInput":{"3":4.25}}}"#,
        )],
    },
    Device {
        name: "wmbusmeters",
        source: "topic = 'wmbusmeters/MyTapWater'\ntime_field = 'timestamp'",
        values: &[("total_m3", 3.388)],
        messages: &[(
            "wmbusmeters/MyTapWater",
            r#"{"media":"cold water","meter":"multical21","name":"MyTapWater","id":"12345678","total_m3":3.388,"current_status":"DRY","timestamp":"NOW"}"#,
        )],
    },
    Device {
        name: "OpenDTU",
        source: "topic = 'solar/116180400144/0/{variate}'",
        values: &[("power", 123.4)],
        messages: &[("solar/116180400144/0/power", "123.4"), ("solar/116180400144/0/yieldday", "812")],
    },
    Device {
        name: "evcc",
        source: "topic = 'evcc/loadpoints/1/{variate}'",
        values: &[("chargePower", 3680.0), ("charging", 1.0)],
        messages: &[("evcc/loadpoints/1/chargePower", "3680"), ("evcc/loadpoints/1/charging", "true")],
    },
    Device {
        name: "Victron Venus",
        source: "topic = 'N/b827eb/system/0/Ac/Consumption/L1/Power'",
        values: &[("value", 640.0)],
        messages: &[
            ("N/b827eb/system/0/Ac/Consumption/L1/Power", r#"{"value": []}"#),
            ("N/b827eb/system/0/Ac/Consumption/L1/Power", r#"{"value": 640.0}"#),
        ],
    },
    Device {
        name: "Frigate",
        source: "topic = 'frigate/stats'",
        values: &[("cameras.front.camera_fps", 5.1)],
        messages: &[(
            "frigate/stats",
            r#"{"cameras":{"front":{"camera_fps":5.1,"pid":99}},"detectors":{"coral":{"inference_speed":10.2}},"service":{"uptime":12}}"#,
        )],
    },
    Device {
        name: "Z-Wave JS UI",
        source: "topic = 'zwave/living/49/0/{variate}'\ntime_field = 'time'",
        values: &[("Air_temperature", 21.25)],
        messages: &[("zwave/living/49/0/Air_temperature", r#"{"time":UNIX_MS,"value":21.25}"#)],
    },
    Device {
        name: "an automation of Home Assistant, as a list of points",
        source: "topic = 'ha/export'\nreadings = '$.points[*]'\ntime_field = '$[0]'",
        values: &[("$[1]", 18.5), ("$[2]", 0.0)],
        messages: &[("ha/export", r#"{"points": [[UNIX, 18.5, False]]}"#)],
    },
];

/// The variates, a folder with a model of them and a configuration, and how many messages there are.
fn folder(port: u16) -> (Vec<String>, TempDir) {
    let folder = tempdir().unwrap();
    let mut text = format!("model.bundle = 'm.safetensors'\nbroker.host = '127.0.0.1'\nbroker.port = {port}\ninput.stream = 'house'\n");
    let mut variates = Vec::new();
    for Device { source, values, .. } in &DEVICES {
        write!(text, "[[source]]\n{source}\n[source.values]\n").unwrap();
        for (path, _) in *values {
            writeln!(text, "v{} = \"{path}\"", variates.len()).unwrap();
            variates.push(format!("v{}", variates.len()));
        }
    }
    let names: Vec<&str> = variates.iter().map(String::as_str).collect();
    bundle::random(folder.path(), "m", &names, 3, Some(60_000));
    std::fs::write(folder.path().join("edge.toml"), text).unwrap();
    (variates, folder)
}

/// All messages at a time.
fn messages(now_ms: i64) -> impl Iterator<Item = (&'static str, String)> {
    let filled = move |payload: &str| {
        payload
            .replace("UNIX_MS", &now_ms.to_string())
            .replace("UNIX", &(now_ms / 1000).to_string())
            .replace("NOW", &rfc3339(now_ms))
    };
    let all = DEVICES.iter().flat_map(|device| device.messages);
    all.map(move |&(topic, payload)| (topic, filled(payload)))
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_in_their_documented_form_join_into_one_model() {
    let Some(broker) = Mosquitto::start() else { return };
    let (variates, folder) = folder(broker.port());
    let file = folder.path().join("edge.toml");
    let prepared = prepare(&Config::load(Path::new(&file)).unwrap()).unwrap_or_else(|error| panic!("{error}"));

    // Each value, without a broker.
    let mut engine = TestEngine::new(&prepared);
    let noon_ms = 1_768_478_400_000;
    let mut rows = Vec::new();
    for (topic, payload) in messages(noon_ms) {
        engine.take(topic, payload.as_bytes(), false, noon_ms + 500, |step| {
            rows.push(step.values.to_vec());
            1
        });
    }
    let devices = || {
        DEVICES
            .iter()
            .flat_map(|device| device.values.iter().map(|value| (device.name, value)))
    };
    assert_eq!(rows.len(), 1, "{:?}", engine.summary());
    for ((name, (path, expected)), found) in devices().zip(&rows[0]) {
        assert_eq!(found, expected, "{name}: {path}");
    }
    let rejected = json!(engine.summary().rejected);
    assert_eq!(rejected, json!({ "topic": 2 }), "two topics that the daemon does not subscribe to");

    // The same messages at a broker.
    site::within_a_minute().await;
    let daemon = Running::start(&["run", file.to_str().unwrap(), "--json"]);
    let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
    client.wait_for("tsm2/status", "online").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    for (topic, payload) in messages(now.as_millis() as i64) {
        client.publish(topic, payload).await;
    }
    for variate in &variates {
        assert_eq!(client.forecast().await.topic, format!("tsm2/house/forecast/{variate}"));
    }
    let summary = site::summary(daemon);
    assert_eq!(
        (&summary["rejected"], &summary["forecasts"]),
        (&json!({}), &json!(variates.len())),
        "{summary}"
    );
}
