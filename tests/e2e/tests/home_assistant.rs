//! Home Assistant by MQTT discovery, as a broker sees it; and the same under Home Assistant's own
//! schemas and in a running Home Assistant.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
#[cfg(target_os = "linux")]
use tsm2_e2e::home_assistant::{HomeAssistant, check, root};
use tsm2_e2e::site::{HORIZON, MINUTE, START, Site, payload, row, summary};
use tsm2_edge::config::{Config, prepare};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::fake_broker::{ClientPacket, FakeBroker};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::test_client::TestClient;

const DEVICE: &str = "homeassistant/device/tsm2/a/config";
const DAEMON: &str = "homeassistant/device/tsm2/config";

/// A client that sees what Home Assistant sees.
async fn watcher(port: u16) -> TestClient {
    TestClient::connect(port, &["homeassistant/#", "tsm2/#"]).await
}

/// The next message on a topic; `Null` for an empty one.
async fn next(client: &mut TestClient, topic: &str) -> Value {
    loop {
        let (found, payload) = client.next().await;
        if found == topic {
            return match payload.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(&payload).expect("JSON"),
            };
        }
    }
}

/// Waits until the daemon is there and has announced itself.
async fn ready(client: &mut TestClient) {
    let (mut is_online, mut is_announced) = (false, false);
    while !(is_online && is_announced) {
        let (topic, payload) = client.next().await;
        is_online |= topic == "tsm2/status" && payload == "online";
        is_announced |= topic == DAEMON && !payload.is_empty();
    }
}

/// The retained messages below the filters, by topic.
async fn retained(port: u16, filters: &[&str]) -> BTreeMap<String, Value> {
    let mut client = TestClient::connect(port, filters).await;
    // Whatever the broker keeps comes before what is published now.
    client.publish("homeassistant/end", "0").await;
    let mut found = BTreeMap::new();
    loop {
        let (topic, payload) = client.next().await;
        if topic == "homeassistant/end" {
            return found;
        }
        found.insert(topic, serde_json::from_slice(&payload).unwrap_or(Value::Null));
    }
}

fn keys(device: &Value) -> Vec<&str> {
    let components = device["components"].as_object().expect("components");
    components.keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_a_device_with_values_for_its_sensors() {
    let Some(broker) = Mosquitto::start() else { return };
    let plain = Site::new(broker.port(), "");
    let expected = plain.expected(0..2);
    let extra = "output.thresholds = { temp = [-1e9, 1e9] }\nhome_assistant.steps = [2, 5]\nhome_assistant.forecast_every_s = 3600\n\
                 home_assistant.units = { temp = 'C', power = 'kW' }";
    let site = Site::new(broker.port(), extra);
    let mut client = watcher(broker.port()).await;
    let daemon = site.start();
    let own = next(&mut client, DAEMON).await;
    assert_eq!(own["components"]["connected"]["state_topic"], "tsm2/status");
    for index in 0..2 {
        client.publish("sensors/a", payload(index)).await;
    }
    let (mut device, mut attributes, mut values) = (Value::Null, Vec::new(), Vec::new());
    while device.is_null() || values.len() < 2 {
        let (topic, payload) = client.next().await;
        let read = || serde_json::from_slice::<Value>(&payload).expect("JSON");
        match topic.as_str() {
            DEVICE => device = read(),
            "tsm2/a/home_assistant/temp" => values.push(read()),
            "tsm2/a/home_assistant/temp/forecast" => attributes.push(read()),
            _ => {}
        }
    }
    assert_eq!(device["device"]["via_device"], own["device"]["identifiers"][0]);
    assert_eq!(device["availability_topic"], "tsm2/status");
    let first = &device["components"]["temp_step_2"];
    assert_eq!(first["name"], "temp in 2 min");
    assert_eq!(
        (&first["unit_of_measurement"], &first["device_class"]),
        (&json!("°C"), &json!("temperature"))
    );
    assert_eq!(keys(&device).len(), 2 * 8 + 2, "{device:#}");

    let number = |value: &Value| value.as_f64().expect("a number") as f32;
    let close = |found: &Value, expected: f32| (number(found) - expected).abs() <= 1e-4 * expected.abs();
    let second = &values[1];
    assert!(
        close(&second["step_2"], expected[1][1]) && close(&second["step_5"], expected[1][4]),
        "{second}"
    );
    let largest = expected[1][..HORIZON].iter().copied().fold(f32::MIN, f32::max);
    assert!(close(&second["maximum"], largest), "{second}");
    assert!(second["maximum_time"].as_str().is_some_and(|time| time.ends_with('Z')), "{second}");
    assert_eq!(
        (&second["threshold_-1000000000"], &second["threshold_1000000000"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(values[0]["score"], Value::Null, "nothing was forecast before the first time step");
    assert!(number(&second["score"]) * (row(1)[0] - expected[0][0]) > 0.0, "{second}");
    assert_eq!(attributes.len(), 1, "the whole forecast comes more seldom");
    let whole = &attributes[0];
    assert_eq!(
        (&whole["start"], &whole["interval_s"]),
        (&json!(rfc3339(START + MINUTE)), &json!(60))
    );
    assert!(close(&whole["mean"][HORIZON - 1], expected[0][HORIZON - 1]), "{whole}");
    daemon.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_announced_again_when_home_assistant_starts() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "home_assistant.steps = [1]");
    let mut client = watcher(broker.port()).await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/a", payload(0)).await;
    let device = next(&mut client, DEVICE).await;
    client.publish("homeassistant/status", "offline").await;
    client.publish("homeassistant/status", "online").await;
    client.wait_for("homeassistant/status", "online").await;
    assert_eq!(next(&mut client, DEVICE).await, device);
    daemon.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lost_its_retained_messages_gets_the_devices_again() {
    let Some(broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let site = Site::new(port, "home_assistant.steps = [1]");
    let mut client = watcher(port).await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/a", payload(0)).await;
    let device = next(&mut client, DEVICE).await;
    drop((client, broker));
    let Some(_broker) = Mosquitto::start_on(port) else { return };
    let mut client = watcher(port).await;
    assert_eq!(next(&mut client, DEVICE).await, device);
    daemon.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_broker_still_has_is_not_announced_again() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "home_assistant.steps = [1]");
    let mut client = watcher(broker.port()).await;
    let daemon = site.start();
    ready(&mut client).await;
    client.publish("sensors/a", payload(0)).await;
    next(&mut client, DEVICE).await;
    daemon.terminate();
    let daemon = site.start();
    ready(&mut client).await;
    // After its device would come again; of a stream whose device follows in the order of names.
    client.publish("sensors/a", payload(1)).await;
    client.publish("sensors/b", payload(1)).await;
    loop {
        let (topic, _) = client.next().await;
        assert_ne!(topic, DEVICE);
        if topic == "homeassistant/device/tsm2/b/config" {
            break;
        }
    }
    daemon.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_announced_is_read_before_it_is_overwritten() {
    let (broker, port) = FakeBroker::start().await;
    let site = Site::new(port, "home_assistant.steps = [5]");
    let daemon = site.start();
    let mut connection = broker.accept(true).await;
    let ClientPacket::Subscribe { id, filters } = connection.next().await else {
        panic!("SUBSCRIBE comes first")
    };
    // A persistent session brings readings before the subscription is answered.
    for index in 0..2 {
        connection.publish(1 + index as u16, "sensors/a", payload(index).as_bytes()).await;
    }
    let earlier = json!({ "platform": "sensor", "unique_id": "x", "state_topic": "tsm2/a/home_assistant/temp" });
    let earlier = json!({ "device": { "identifiers": ["tsm2-edge:tsm2/a"] }, "components": { "temp_step_1": earlier } });
    let (mut forecasts, mut device) = (0, Value::Null);
    while device.is_null() {
        let ClientPacket::Publish {
            id: packet,
            topic,
            payload,
            ..
        } = connection.next().await
        else {
            continue;
        };
        connection.puback(packet).await;
        forecasts += usize::from(topic.starts_with("tsm2/a/forecast/"));
        if topic == DEVICE {
            device = serde_json::from_str(&payload).expect("JSON");
        }
        if forecasts == 4 {
            forecasts = 0;
            connection.grant(id, filters.len()).await;
            connection.publish_retained(3, DEVICE, earlier.to_string().as_bytes()).await;
        }
    }
    assert_eq!(
        device["components"]["temp_step_1"],
        json!({ "platform": "sensor" }),
        "it is removed"
    );
    drop(connection);
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_device_ends_no_connection() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut client = watcher(broker.port()).await;
    let own = "tsm2/b/home_assistant/";
    let topics = [
        format!("{own}\0"),
        format!("{own}{}", "x".repeat(70_000)),
        format!("{own}{}", "x/".repeat(300)),
        format!("{own}temp"),
    ];
    let components = { topics.iter().enumerate() }.map(|(id, topic)| {
        (
            id.to_string(),
            json!({ "platform": "sensor", "unique_id": id.to_string(), "state_topic": topic }),
        )
    });
    let components: serde_json::Map<_, _> = components.collect();
    let forged = json!({ "device": { "identifiers": ["tsm2-edge:tsm2/b"] }, "components": components });
    client
        .publish_retained("homeassistant/device/tsm2/b/config", forged.to_string())
        .await;
    client.publish_retained(&format!("{own}temp"), "1").await;
    let site = Site::new(broker.port(), "input.streams = ['a']\n[home_assistant]");
    let daemon = site.start();
    // The topic that is its own is emptied.
    while !next(&mut client, &format!("{own}temp")).await.is_null() {}
    client.publish("sensors/a", payload(0)).await;
    client.forecast().await;
    let (_, log) = daemon.terminate_with_log();
    let lost: Vec<_> = log.iter().filter(|line| line.contains("no connection")).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_unknown_streams_are_bounded() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut client = watcher(broker.port()).await;
    let topic = |stream: &str| format!("homeassistant/device/tsm2/{stream}/config");
    for stream in ["b", "c", "d", "e"] {
        let device = json!({ "device": { "identifiers": [format!("tsm2-edge:tsm2/{stream}")] }, "components": {} });
        client.publish_retained(&topic(stream), device.to_string()).await;
    }
    let site = Site::new(broker.port(), "input.max_streams = 2\n[home_assistant]");
    let daemon = site.start();
    ready(&mut client).await;
    client.publish("sensors/z", payload(0)).await;
    let mut announced = Vec::new();
    while !announced.contains(&topic("z")) {
        let (found, payload) = client.next().await;
        // A device of the daemon has an origin.
        if found.starts_with("homeassistant/device/tsm2/") && found != DAEMON && String::from_utf8_lossy(&payload).contains("origin") {
            announced.push(found);
        }
    }
    assert!(announced.len() <= 3, "{announced:?}");
    daemon.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variate_whose_readings_come_later_has_its_whole_forecast_then() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.toml");
    let text = format!(
        "broker.host = '127.0.0.1'\nbroker.port = {}\nmodel.interval_s = 60\nmodel.horizon = 5\n\
         input.variates = ['temp', 'power']\ninput.topic = 'sensors/{{stream}}'\ninput.time_field = 'time'\n\
         home_assistant.forecast_every_s = 3600\n",
        broker.port()
    );
    std::fs::write(&file, text).expect("a file");
    let daemon = tsm2_e2e::process::Running::start(&["run", file.to_str().expect("a path"), "--json"]);
    let mut client = watcher(broker.port()).await;
    client.wait_for("tsm2/status", "online").await;
    for minute in 0..4 {
        let time = rfc3339(START + minute * MINUTE);
        let reading = match minute {
            0 | 1 => json!({ "time": time, "temp": 20 }),
            _ => json!({ "time": time, "temp": 20, "power": 3 }),
        };
        client.publish("sensors/a", reading.to_string()).await;
    }
    let (mut temp, mut power) = (0, Value::Null);
    while power.is_null() {
        let (topic, payload) = client.next().await;
        temp += usize::from(topic == "tsm2/a/home_assistant/temp/forecast");
        if topic == "tsm2/a/home_assistant/power/forecast" {
            power = serde_json::from_slice(&payload).expect("JSON");
        }
    }
    assert_eq!((temp, power["mean"].as_array().map(Vec::len)), (1, Some(5)));
    daemon.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_the_configuration_drops_is_removed_and_a_new_name_keeps_the_others() {
    let Some(broker) = Mosquitto::start() else { return };
    // What the daemon has announced may be larger than any reading.
    let small = "input.max_payload_bytes = 500\n";
    let site = Site::new(broker.port(), &format!("{small}home_assistant.steps = [1, 5]"));
    let mut client = watcher(broker.port()).await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/a", payload(0)).await;
    let before = next(&mut client, DEVICE).await;
    daemon.terminate();
    let site = Site::new(
        broker.port(),
        &format!("{small}home_assistant.steps = [5]\nhome_assistant.name = 'Cellar'"),
    );
    // No reading is needed: the broker has what was announced.
    let daemon = site.start();
    let removed = json!({ "platform": "sensor" });
    let (mut is_removed, mut after, mut name) = (false, Value::Null, Value::Null);
    while after.is_null() || name != "Cellar" {
        let (topic, payload) = client.next().await;
        if topic == DAEMON {
            name = serde_json::from_slice::<Value>(&payload).expect("JSON")["device"]["name"].clone();
        } else if topic == DEVICE {
            // What the first daemon announced may come twice.
            let device: Value = serde_json::from_slice(&payload).expect("JSON");
            match is_removed {
                true => after = device,
                false => is_removed = device["components"]["temp_step_1"] == removed,
            }
        }
    }
    assert!(
        !keys(&after).contains(&"temp_step_1") && keys(&after).len() == keys(&before).len() - 2,
        "{after:#}"
    );
    for key in keys(&after) {
        let id = |device: &Value| device["components"][key]["unique_id"].clone();
        assert_eq!(id(&before), id(&after));
    }
    assert_eq!(summary(daemon)["rejected"], json!({}));
    let kept = retained(broker.port(), &["homeassistant/#"]).await;
    assert_eq!(kept[DEVICE], after);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_it_leaves_nothing_at_the_broker_but_what_others_put_there() {
    let Some(broker) = Mosquitto::start() else { return };
    let everything = ["homeassistant/#", "tsm2/+/home_assistant/#", "other/#"];
    let site = Site::new(broker.port(), "home_assistant.steps = [1]");
    let mut client = watcher(broker.port()).await;
    let daemon = site.start();
    ready(&mut client).await;
    client.publish("sensors/a", payload(0)).await;
    let device = next(&mut client, DEVICE).await;
    daemon.terminate();
    assert_eq!(retained(broker.port(), &everything).await.len(), 2 + 4);
    // Somebody else's device, and one of ours that names topics of others.
    client
        .publish_retained("homeassistant/device/other/a/config", r#"{"device":1}"#)
        .await;
    client.publish_retained("other/values", "1").await;
    let mut forged = device;
    forged["device"]["identifiers"] = json!(["tsm2-edge:tsm2/b"]);
    forged["components"]["temp_step_1"]["state_topic"] = json!("other/values");
    client
        .publish_retained("homeassistant/device/tsm2/b/config", forged.to_string())
        .await;

    let site = Site::new(broker.port(), "home_assistant.enabled = false");
    let daemon = site.start();
    let mut gone = 0;
    while gone < 2 {
        let (topic, payload) = client.next().await;
        gone += usize::from(topic.starts_with("homeassistant/device/tsm2/") && topic != DAEMON && payload.is_empty());
    }
    client.publish("sensors/a", payload(1)).await;
    client.forecast().await;
    daemon.terminate();
    let left = retained(broker.port(), &everything).await;
    let left: Vec<&str> = left.keys().map(String::as_str).collect();
    assert_eq!(left, ["homeassistant/device/other/a/config", "other/values"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_stream_is_no_device_any_more() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(
        broker.port(),
        "home_assistant.steps = [1]\nstate.path = 'state'\nstate.forget_after_s = 2",
    );
    let mut client = watcher(broker.port()).await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/a", payload(0)).await;
    assert!(!next(&mut client, DEVICE).await.is_null());
    while !next(&mut client, DEVICE).await.is_null() {}
    // The sensors' topics are emptied after their device.
    assert_eq!(next(&mut client, "tsm2/a/home_assistant/power/forecast").await, Value::Null);
    daemon.terminate();
    let left = retained(broker.port(), &["homeassistant/#", "tsm2/a/#"]).await;
    assert_eq!(left.keys().collect::<Vec<_>>(), [DAEMON]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_before_a_model_exists() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.toml");
    let text = format!(
        "broker.host = '127.0.0.1'\nbroker.port = {}\nmodel.interval_s = 60\nmodel.horizon = 5\n\
         input.variates = ['temp', 'power']\ninput.stream = 'Haus Süd'\n[home_assistant]\n\
         [[source]]\ntopic = 'z2m/kitchen'\ntime_field = 'last_seen'\nvalues = {{ temp = 'temperature' }}\n\
         [[source]]\ntopic = 'tele/plug/SENSOR'\ntime_field = 'Time'\nvalues = {{ power = 'ENERGY.Power' }}\n",
        broker.port()
    );
    std::fs::write(&file, text).expect("a file");
    let daemon = tsm2_e2e::process::Running::start(&["run", file.to_str().expect("a path"), "--json"]);
    let mut client = watcher(broker.port()).await;
    client.wait_for("tsm2/status", "online").await;
    for minute in 0..2 {
        let time = rfc3339(START + minute * MINUTE);
        let kitchen = json!({ "last_seen": time, "temperature": 21.5 });
        let plug = json!({ "Time": time, "ENERGY": { "Power": 40 } });
        client.publish("z2m/kitchen", kitchen.to_string()).await;
        client.publish("tele/plug/SENSOR", plug.to_string()).await;
    }
    let (mut device, mut values) = (None, Value::Null);
    while device.is_none() || values.is_null() {
        let (topic, payload) = client.next().await;
        let json = || serde_json::from_slice::<Value>(&payload).expect("JSON");
        match topic.as_str() {
            "tsm2/Haus Süd/home_assistant/temp" => values = json(),
            DAEMON => {}
            _ if topic.starts_with("homeassistant/device/tsm2/") => device = Some((topic.clone(), json())),
            _ => {}
        }
    }
    let (topic, device) = device.expect("a device");
    // A name that no discovery topic can have.
    assert!(topic.starts_with("homeassistant/device/tsm2/Haus--20S--c3--bcd/"), "{topic}");
    assert_eq!(device["device"]["name"], "Haus Süd");
    assert_eq!(
        device["components"]["power_step_5"]["state_topic"],
        "tsm2/Haus Süd/home_assistant/power"
    );
    assert_eq!(values["step_5"], 21.5);
    daemon.terminate();
}

#[test]
fn what_home_assistant_would_refuse_is_refused_by_name() {
    for (extra, named) in [
        ("home_assistant.steps = [6]", "horizon 5"),
        ("home_assistant.steps = [2, 1]", "ascending"),
        ("home_assistant.units.room = 'K'", "home_assistant.units.room"),
        ("home_assistant.device_classes.temp = 'warmth'", "temperature, power"),
        ("home_assistant.device_classes.temp = 'temperature'", "°C, °F, K"),
        (
            "home_assistant.units.temp = 'ppm'\nhome_assistant.device_classes.temp = 'humidity'",
            "home_assistant.units.temp",
        ),
        (
            "home_assistant.units.temp = 'ppm'\nhome_assistant.device_classes.temp = 'ph'",
            "none",
        ),
        ("home_assistant.discovery_prefix = 'a/#'", "home_assistant.discovery_prefix"),
    ] {
        let site = Site::new(1883, extra);
        let config = Config::load(std::path::Path::new(&site.config())).expect("keys that exist");
        let error = prepare(&config).expect_err(extra).to_string();
        assert!(error.contains(named), "{extra}: {error}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn home_assistants_own_schemas_accept_every_device_and_every_unit() {
    use tsm2_edge::config::device_class::DEVICE_CLASSES;

    let Some(root) = root() else { return };
    let Some(broker) = Mosquitto::start() else { return };
    let mut client = watcher(broker.port()).await;
    let mut devices = Vec::new();
    let pairs = DEVICE_CLASSES
        .iter()
        .flat_map(|class| class.units.iter().map(|unit| (class.name, *unit)));
    let pairs: Vec<_> = pairs.chain([("aqi", ""), ("ph", "")]).collect();
    // Two classes for each site, one for each variate.
    for (number, pair) in pairs.chunks(2).enumerate() {
        let variates = ["temp", "power"].iter().zip(pair);
        let keys = variates.map(|(variate, (class, unit))| {
            format!("home_assistant.units.{variate} = '{unit}'\nhome_assistant.device_classes.{variate} = '{class}'\n")
        });
        let extra = keys.collect::<String>() + "output.thresholds.temp = [-5.5, 20]\n";
        let site = Site::new(broker.port(), &format!("{extra}home_assistant.steps = [1, 5]"));
        let config = Config::load(std::path::Path::new(&site.config())).expect("a configuration");
        prepare(&config).unwrap_or_else(|error| panic!("{pair:?}: {error}"));
        // A daemon for some of them is enough to see that the configuration is what is announced.
        if number % 25 == 0 {
            let daemon = site.start();
            client.wait_for("tsm2/status", "online").await;
            client.publish("sensors/a", payload(number as i64)).await;
            devices.push(next(&mut client, DEVICE).await);
            daemon.terminate();
            // The next run removes a sensor.
            let site = Site::new(broker.port(), &format!("{extra}home_assistant.steps = [5]"));
            let daemon = site.start();
            let removed = json!({ "platform": "sensor" });
            let removes = |device: &Value| device["components"]["temp_step_1"] == removed;
            while !devices.last().is_some_and(removes) {
                devices.push(next(&mut client, DEVICE).await);
            }
            daemon.terminate();
        }
    }
    devices.extend(retained(broker.port(), &["homeassistant/#"]).await.into_values());
    let classes: BTreeMap<_, _> = DEVICE_CLASSES
        .iter()
        .map(|class| (class.name, json!({ "units": class.units, "is_measurement": class.is_measurement })))
        .collect();
    let output = check(&root, "check.py", &json!({ "devices": devices, "classes": classes }));
    let said = [&output.stdout, &output.stderr]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat();
    assert!(output.status.success(), "{said}");
    // The check itself finds what is wrong.
    let mut wrong = devices.pop().expect("devices");
    wrong["components"] = json!({ "x": { "platform": "sensor", "unique_id": "x", "object_id": "x", "state_topic": "t" } });
    let output = check(&root, "check.py", &json!({ "devices": [wrong], "classes": {} }));
    assert!(String::from_utf8_lossy(&output.stdout).contains("object_id"), "{output:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_running_home_assistant_has_the_sensors_and_their_values() {
    let Some(root) = root() else { return };
    let Some(broker) = Mosquitto::start() else { return };
    let steps = |steps: &str| {
        let extra = format!("home_assistant.steps = {steps}\nhome_assistant.forecast_every_s = 0\nhome_assistant.units.temp = '°C'");
        Site::new(broker.port(), &extra)
    };
    let mut site = steps("[1, 5]");
    let expected = site.expected(0..4);
    let mut client = watcher(broker.port()).await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/a", payload(0)).await;
    client.forecast().await;
    // It starts later than the daemon, and finds what is retained.
    let home = HomeAssistant::start(&root, broker.port());
    let is = |expected: f32| {
        move |state: &str| {
            state
                .parse::<f32>()
                .is_ok_and(|state| (state - expected).abs() <= 1e-3 * expected.abs())
        }
    };
    let device = |name: &str| home.wait_for(name, |said| said["device"] == name && said["action"] == "create");
    device("TSM2 Edge");
    assert_eq!(device("a")["via"], "TSM2 Edge");
    let attributes = home.wait_for_state("sensor.a_temp_in_5_min", is(expected[0][4]));
    assert_eq!(
        (&attributes["device_class"], &attributes["unit_of_measurement"]),
        (&json!("temperature"), &json!("°C"))
    );
    client.publish("sensors/a", payload(1)).await;
    home.wait_for_state("sensor.a_temp_in_5_min", is(expected[1][4]));
    // The whole forecast, drawn from these attributes.
    client.publish("sensors/a", payload(2)).await;
    let attributes = home.wait_for_state("sensor.a_temp_forecast", |state| {
        state.starts_with(&rfc3339(START + 2 * MINUTE)[..19])
    });
    assert_eq!(attributes["mean"].as_array().map(Vec::len), Some(HORIZON));
    // The daemon is killed: the broker says so.
    daemon.kill();
    home.wait_for_state("sensor.a_temp_in_5_min", |state| state == "unavailable");
    // Another configuration drops a sensor.
    site = steps("[5]");
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    home.wait_until_gone("sensor.a_temp_in_1_min");
    client.publish("sensors/a", payload(3)).await;
    home.wait_for_state("sensor.a_temp_in_5_min", |state| state.parse::<f32>().is_ok());
    daemon.terminate();
    // Switched off, everything goes.
    let site = Site::new(broker.port(), "home_assistant.enabled = false");
    let daemon = site.start();
    home.wait_until_gone("sensor.a_temp_in_5_min");
    home.wait_for("the end of its device", |said| said["action"] == "remove");
    daemon.terminate();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let log = home.log();
    let of_mqtt: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("mqtt") || line.contains("recorder"))
        .collect();
    assert!(of_mqtt.is_empty(), "{of_mqtt:#?}");
}
