//! Sources: messages of real buildings and of common makes, through a broker and the daemon.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tsm2_e2e::engine::TestEngine;
use tsm2_e2e::process::Running;
use tsm2_e2e::{bundle, cases, process, site};
use tsm2_edge::config::{Config, prepare};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::test_client::TestClient;

const HORIZON: usize = 3;
const MINUTE: u64 = 60_000;

/// A folder with a model `m.safetensors` of these variates and a configuration `edge.toml`.
fn folder(variates: &[&str], port: u16, text: &str) -> TempDir {
    folder_every(MINUTE, variates, port, text)
}

/// The same with other time steps.
fn folder_every(interval_ms: u64, variates: &[&str], port: u16, text: &str) -> TempDir {
    let folder = tempdir().unwrap();
    bundle::random(folder.path(), "m", variates, HORIZON, Some(interval_ms));
    let text = format!("model.bundle = 'm.safetensors'\nbroker.host = '127.0.0.1'\nbroker.port = {port}\n{text}");
    std::fs::write(folder.path().join("edge.toml"), text).unwrap();
    folder
}

fn file(folder: &TempDir) -> String {
    folder.path().join("edge.toml").to_str().unwrap().to_owned()
}

/// Publishes messages to a daemon, then one that it cannot read, whose log line shows that all were processed; the summary
/// without that message.
async fn run(broker: &Mosquitto, folder: &TempDir, messages: &[(String, Vec<u8>)], last_topic: &str) -> Value {
    let daemon = Running::start(&["run", &file(folder), "--json"]);
    let mut client = TestClient::connect(broker.port(), &["tsm2/status"]).await;
    client.wait_for("tsm2/status", "online").await;
    for (topic, payload) in messages {
        client.publish(topic, payload.clone()).await;
    }
    client.publish(last_topic, "\"the end\"").await;
    daemon.wait_for("the end");
    let mut summary = site::summary(daemon);
    let reasons = summary["rejected"].as_object_mut().unwrap();
    let last = reasons.get_mut("not_a_number").expect("the last message");
    *last = (last.as_u64().unwrap() - 1).into();
    reasons.retain(|_, count| *count != 0);
    summary
}

/// A source that can tell the last message, beside those under test.
const END: &str = "[[source]]\ntopic = 'the/end'\nvalues = { end = '$' }\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_topic_for_all_sensors_gives_only_the_own_one() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(messages) = cases::messages("23-one-topic-for-all", "messages.tsv") else {
        return;
    };
    let text = format!(
        "input.stream = 'garden'\n[[source]]\ntopic = 'rtl_433/+/events'\nwhere = {{ id = 42 }}\ntime_field = 'time'\n\
         time_zone = 'Europe/Berlin'\nvalues = {{ outdoor = 'temperature_C' }}\n{END}"
    );
    let folder = folder(&["outdoor", "end"], broker.port(), &text);
    let summary = run(&broker, &folder, &messages, "the/end").await;
    assert_eq!(summary["messages"], messages.len() + 1);
    // Each minute of 30 is decoded twice; of the last one the time step is still open.
    assert_eq!(
        (&summary["readings"], &summary["time_steps"]),
        (&json!(30), &json!(29)),
        "{summary}"
    );
    assert_eq!(
        summary["rejected"],
        json!({ "late": 30 }),
        "a reading that comes again, and no other"
    );
    assert_eq!(summary["forecasts"], 29 * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_tags_is_read_by_name_and_without_those_of_bad_quality() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(messages) = cases::messages("24-tags-in-a-list", "messages.tsv") else {
        return;
    };
    let by_name = "readings = 'values'\nvariate_field = 'id'\nvalue = 'v'\ntime_field = 't'\nwhere = { q = true }\n\
                   values = { inlet_c = 'Channel1.PLC.Inlet', outlet_c = 'Channel1.PLC.Outlet', flow = 'Channel1.PLC.Flow' }\n";
    let by_path = "time_field = 'timestamp'\n[source.values]\n\
                   inlet_c = \"$.values[?@.id == 'Channel1.PLC.Inlet' && @.q == true].v\"\n\
                   outlet_c = \"$.values[?@.id == 'Channel1.PLC.Outlet' && @.q == true].v\"\n\
                   flow = \"$.values[?@.id == 'Channel1.PLC.Flow' && @.q == true].v\"\n";
    for source in [by_name, by_path] {
        let text = format!("input.stream = 'line1'\n[[source]]\ntopic = 'iotgateway'\n{source}{END}");
        let folder = folder(&["inlet_c", "outlet_c", "flow", "end"], broker.port(), &text);
        let summary = run(&broker, &folder, &messages, "the/end").await;
        // 29 minutes have a tag of good quality; the last is still open.
        assert_eq!((&summary["readings"], &summary["rejected"]), (&json!(68), &json!({})), "{summary}");
        let steps = summary["time_steps"].as_u64().unwrap() + summary["bridged_time_steps"].as_u64().unwrap();
        assert_eq!(steps, 29, "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_building_of_devices_with_several_sensors_each_is_one_model() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(messages) = cases::messages("27-zigbee-building", "messages.tsv") else {
        return;
    };
    let variates = ["living_temperature", "living_humidity", "kitchen_temperature", "boiler_power"];
    let source = |device: &str, values: &str| format!("[[source]]\npreset = 'zigbee2mqtt'\ndevice = '{device}'\nvalues = {{ {values} }}\n");
    let text = [
        "input.stream = 'home'\n".to_owned(),
        source(
            "living/sensor/0004",
            "living_temperature = 'temperature', living_humidity = 'humidity'",
        ),
        source("kitchen", "kitchen_temperature = 'temperature'"),
        source("boiler", "boiler_power = '$.power'"),
    ]
    .concat();
    let folder = folder(&variates, broker.port(), &text);
    // Ends with a text that is no object.
    let daemon = Running::start(&["run", &file(&folder), "--json"]);
    let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
    client.wait_for("tsm2/status", "online").await;
    for (topic, payload) in &messages {
        client.publish(topic, payload.clone()).await;
    }
    for variate in variates {
        assert_eq!(client.forecast().await.topic, format!("tsm2/home/forecast/{variate}"));
    }
    client.publish("zigbee2mqtt/kitchen", "the end").await;
    daemon.wait_for("not JSON");
    let summary = site::summary(daemon);
    assert_eq!(summary["rejected"], json!({ "not_json": 1 }), "{summary}");
    assert_eq!(summary["messages"], 3 * 12 + 1, "other topics of the bridge are not subscribed to");

    let config = Config::load(Path::new(&file(&folder))).unwrap();
    let prepared = prepare(&config).unwrap();
    let mut engine = TestEngine::new(&prepared);
    let mut rows = Vec::new();
    for (index, (topic, payload)) in messages.iter().enumerate() {
        engine.take(topic, payload, false, (index / 5) as i64 * MINUTE as i64, |step| {
            rows.push(step.values.to_vec());
            1
        });
    }
    assert_eq!((rows.len(), &rows[0]), (12, &vec![20.5, 48.2, 21.7, 820.0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_taken_one_reading_at_a_time() {
    let Some(broker) = Mosquitto::start() else { return };
    let batch = "topic = 'cell/{stream}/batch'\ntime_field = 'timestamp'\n";
    for (file, source, readings, rejected) in [
        ("messages.tsv", batch, 30, json!({})),
        (
            "times_as_keys.tsv",
            "topic = 'cell/{stream}/batch'\ntimes_as_keys = true\n",
            30,
            json!({}),
        ),
        (
            "per_variate.tsv",
            "topic = 'cell/{stream}/{variate}'\ntime_field = 'timestamp'\n",
            30,
            json!({}),
        ),
        ("array_of_values.tsv", batch, 0, json!({ "not_a_number": 6 })),
    ] {
        let Some(messages) = cases::messages("28-batches", file) else {
            return;
        };
        let text = format!("[[source]]\n{source}[[source]]\ntopic = 'the/{{stream}}/end'\nvalues = {{ end = '$' }}\n");
        let text = text.replacen("[[source]]\n", "[[source]]\nvalues = ['temperature']\n", 1);
        let folder = folder(&["temperature", "end"], broker.port(), &text);
        let summary = run(&broker, &folder, &messages, "the/a/end").await;
        assert_eq!(
            (&summary["readings"], &summary["rejected"]),
            (&json!(readings), &rejected),
            "{file}: {summary}"
        );
        let steps = if readings == 0 { 0 } else { 29 };
        assert_eq!(summary["time_steps"], steps, "{file}: the last minute is still open");
    }
    // The short form reads an array of readings too.
    let Some(messages) = cases::messages("28-batches", "messages.tsv") else {
        return;
    };
    let folder = folder(&["temperature"], broker.port(), &format!("[input]\n{batch}"));
    let prepared = prepare(&Config::load(Path::new(&file(&folder))).unwrap()).unwrap();
    let mut engine = TestEngine::new(&prepared);
    let taken: u64 = messages
        .iter()
        .map(|(topic, payload)| engine.take(topic, payload, false, 0, |_| 1))
        .sum();
    assert_eq!((taken, engine.summary().time_steps), (30, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reading_a_month_ahead_costs_only_itself() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(messages) = cases::messages("30-a-month-ahead", "messages.tsv") else {
        return;
    };
    let text = "[[source]]\ntopic = 'p1/{stream}/telemetry'\ntime_field = 'time'\nvalues = ['import_kw']\n\
                [[source]]\ntopic = 'the/{stream}/end'\nvalues = { end = '$' }\n";
    let folder = folder_every(60 * MINUTE, &["import_kw", "end"], broker.port(), text);
    let summary = run(&broker, &folder, &messages, "the/house/end").await;
    // 120 hours. The hour of the wrong time is bridged, and the last one is still open.
    assert_eq!(
        (&summary["readings"], &summary["rejected"]),
        (&json!(119), &json!({ "clock_jump": 1 })),
        "{summary}"
    );
    assert_eq!(
        (&summary["time_steps"], &summary["bridged_time_steps"]),
        (&json!(118), &json!(1)),
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_reports_at_the_half_minute_fills_every_time_step() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(messages) = cases::messages("34-half-way", "messages.tsv") else {
        return;
    };
    let text = "[[source]]\ntopic = 'meter/{stream}/telemetry'\ntime_field = 'time'\nvalues = ['temperature', 'power']\n\
                [[source]]\ntopic = 'the/{stream}/end'\nvalues = { end = '$' }\n";
    let folder = folder(&["temperature", "power", "end"], broker.port(), text);
    let summary = run(&broker, &folder, &messages, "the/a/end").await;
    assert_eq!((&summary["readings"], &summary["rejected"]), (&json!(240), &json!({})), "{summary}");
    let none = (&json!(0), &json!(0));
    assert_eq!((&summary["bridged_time_steps"], &summary["merged_readings"]), none, "{summary}");
    assert_eq!(summary["time_steps"], 119, "the last minute is still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_states_or_missing_readings_at_once() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(messages) = cases::messages("32-unavailable-and-on-off", "messages.tsv") else {
        return;
    };
    let text = format!(
        "[input]\nstream = 'home'\nforward_fill_limit = 60\n[[source]]\npreset = 'homeassistant-statestream'\n\
         [source.values]\nroom_temp = 'room_temp'\npump = 'pump'\nboiler_temp = {{ unit = '°C' }}\n{END}"
    );
    let folder = folder(&["boiler_temp", "room_temp", "pump", "end"], broker.port(), &text);
    let summary = run(&broker, &folder, &messages, "the/end").await;
    // An empty payload is no reading, and a decimal comma would have to be configured.
    assert_eq!(summary["rejected"], json!({ "not_json": 1, "not_a_number": 1 }), "{summary}");
    assert_eq!((&summary["readings"], &summary["messages"]), (&json!(11), &json!(14)), "{summary}");

    let prepared = prepare(&Config::load(Path::new(&file(&folder))).unwrap()).unwrap();
    let mut engine = TestEngine::new(&prepared);
    let mut rows = Vec::new();
    for (minute, (topic, payload)) in messages.iter().enumerate().chain([(14, &("the/end".to_owned(), b"1".to_vec()))]) {
        engine.take(topic, payload, false, minute as i64 * MINUTE as i64, |step| {
            rows.push(
                step.values[..3]
                    .iter()
                    .map(|value| (!value.is_nan()).then_some(*value))
                    .collect::<Vec<_>>(),
            );
            1
        });
    }
    assert_eq!(rows[6], [Some(55.5), Some(20.4), Some(1.0)]);
    assert_eq!((rows[7][0], rows[8][1]), (None, None), "a missing reading is not forward-filled");
}

/// Messages in the form that the makers document.
const JOINED: &str = r#"
[input]
stream = "house"
time_zone = "Europe/Berlin"

[[source]]
preset = "zigbee2mqtt"
device = "living room"
values = { living = "temperature", humidity = "humidity" }

[[source]]
preset = "tasmota"
device = "boiler"
values = { boiler = "ENERGY.Power" }

[[source]]
preset = "esphome"
device = "garage"
values = { garage = "temperature", door = "door" }

[[source]]
preset = "shelly"
device = "shellyplus1pm-a8032ab636ec"
values = { pump = "switch:0.apower" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn zigbee2mqtt_tasmota_esphome_and_a_shelly_join_into_one_model() {
    let Some(broker) = Mosquitto::start() else { return };
    let variates = ["living", "humidity", "boiler", "garage", "door", "pump"];
    let folder = folder(&variates, broker.port(), JOINED);
    let shelly = |ts: i64, params: &str| {
        format!(
            r#"{{"src":"shellyplus1pm-a8032ab636ec","dst":"shellyplus1pm-a8032ab636ec/events","method":"NotifyStatus","params":{{"ts":{ts}.55,{params}}}}}"#
        )
    };
    // 12:00 in Berlin in winter; arrival times are of the same minute.
    let noon_s = 1_768_474_800_i64;
    let messages = |minute: i64| {
        let time = format!("2026-01-15T12:0{minute}:02");
        [
            (
                "zigbee2mqtt/living room",
                r#"{"battery":97,"humidity":48.2,"linkquality":105,"temperature":20.5}"#.to_owned(),
            ),
            (
                "tele/boiler/SENSOR",
                format!(
                    r#"{{"Time":"{time}","ENERGY":{{"TotalStartTime":"2024-03-09T12:55:42","Total":1.2,"Yesterday":0.1,"Today":0.2,"Period":0,"Power":820,"ApparentPower":830,"Factor":0.99,"Voltage":231,"Current":3.6}}}}"#
                ),
            ),
            ("garage/sensor/temperature/state", "7.5".to_owned()),
            ("garage/binary_sensor/door/state", "ON".to_owned()),
            (
                "shellyplus1pm-a8032ab636ec/events/rpc",
                shelly(noon_s + 60 * minute, r#""switch:0":{"id":0,"aenergy":{"by_minute":[13.6,0,0]}}"#),
            ),
            (
                "shellyplus1pm-a8032ab636ec/events/rpc",
                shelly(noon_s + 60 * minute, r#""switch:0":{"id":0,"apower":41.5}"#),
            ),
        ]
    };
    let prepared = prepare(&Config::load(Path::new(&file(&folder))).unwrap()).unwrap();
    let mut engine = TestEngine::new(&prepared);
    let mut rows = Vec::new();
    for minute in 0..3 {
        for (topic, payload) in messages(minute) {
            engine.take(topic, payload.as_bytes(), false, (noon_s + 60 * minute) * 1000 + 500, |step| {
                rows.push(step.values.to_vec());
                1
            });
        }
    }
    assert_eq!(rows, vec![vec![20.5, 48.2, 820.0, 7.5, 1.0, 41.5]; 3]);
    assert!(engine.summary().rejected.is_empty(), "{:?}", engine.summary());

    // At a broker the times of arrival are of today: the devices' times must be too.
    site::within_a_minute().await;
    let text = JOINED.replace("time_zone = \"Europe/Berlin\"\n", "");
    let folder = self::folder(
        &variates,
        broker.port(),
        &text.replace(
            "[[source]]\npreset = \"shelly\"",
            "[[source]]\npreset = \"shelly\"\ntime_field = \"ts\"",
        ),
    );
    let daemon = Running::start(&["run", &file(&folder), "--json"]);
    let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
    client.wait_for("tsm2/status", "online").await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    for (topic, payload) in messages(0) {
        client.publish(topic, payload.replace(&noon_s.to_string(), &now.to_string())).await;
    }
    for variate in variates {
        let forecast = client.forecast().await;
        assert_eq!(
            (forecast.topic, forecast.mean.len()),
            (format!("tsm2/house/forecast/{variate}"), HORIZON)
        );
    }
    assert_eq!(site::summary(daemon)["rejected"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparkplug_node_is_asked_for_its_births_and_then_read_by_alias() {
    let Some(broker) = Mosquitto::start() else { return };
    let text = "[input]\nstream = 'line'\n[[source]]\nformat = 'sparkplug'\ntopic = 'spBv1.0/plant/+/edge/pump'\n\
                values = { flow = 'Outputs/Flow', speed = 'Outputs/Speed' }\n";
    let folder = folder(&["flow", "speed"], broker.port(), text);
    let daemon = Running::start(&["run", &file(&folder), "--json"]);
    let mut client = TestClient::connect(broker.port(), &["tsm2/#", "spBv1.0/plant/NCMD/edge"]).await;
    client.wait_for("tsm2/status", "online").await;
    let data = |seq: u8, alias: u8| [metric(&[0x10, alias, 0x65, 0, 0, 0x80, 0x3f]), vec![0x18, seq]].concat();
    client.publish("spBv1.0/plant/DDATA/edge/pump", data(7, 1)).await;
    let (topic, command) = client.next().await;
    assert_eq!(topic, "spBv1.0/plant/NCMD/edge");
    assert!(command.windows(20).any(|text| text == b"Node Control/Rebirth"));
    client.publish("spBv1.0/plant/NBIRTH/edge", vec![0x18, 0]).await;
    let named =
        |name: &[u8], alias: u8| metric(&[&[0x0a, name.len() as u8], name, &[0x10, alias, 0x20, 9, 0x65, 0, 0, 0x20, 0x41]].concat());
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let birth = [time(now_ms), named(b"Outputs/Flow", 1), named(b"Outputs/Speed", 2), vec![0x18, 1]].concat();
    client.publish("spBv1.0/plant/DBIRTH/edge/pump", birth).await;
    for variate in ["flow", "speed"] {
        assert_eq!(client.forecast().await.topic, format!("tsm2/line/forecast/{variate}"));
    }
    let next = [time(now_ms + MINUTE), data(2, 2)].concat();
    client.publish("spBv1.0/plant/DDATA/edge/pump", next).await;
    let next = [time(now_ms + MINUTE), data(3, 1)].concat();
    client.publish("spBv1.0/plant/DDATA/edge/pump", next).await;
    client.forecast().await;
    let summary = site::summary(daemon);
    assert_eq!(
        (&summary["readings"], &summary["rejected"]),
        (&json!(4), &json!({ "unknown_alias": 1 })),
        "{summary}"
    );
}

/// A metric of a Sparkplug payload.
fn metric(fields: &[u8]) -> Vec<u8> {
    [&[0x12, fields.len() as u8], fields].concat()
}

/// The timestamp of a Sparkplug payload.
fn time(mut ms: u64) -> Vec<u8> {
    let mut bytes = vec![0x08];
    while ms >= 0x80 {
        bytes.push(ms as u8 | 0x80);
        ms >>= 7;
    }
    bytes.push(ms as u8);
    bytes
}

#[test]
fn sources_that_do_not_fit_are_refused_by_name() {
    let source = |text: &str| {
        let folder = folder(&["a", "b"], 1883, text);
        let config = Config::load(Path::new(&file(&folder))).map_err(|error| error.to_string())?;
        prepare(&config).map(|_| ()).map_err(|error| error.to_string())
    };
    let one = "input.stream = 's'\n[[source]]\ntopic = 'x'\n";
    for (text, named) in [
        (
            format!("{one}values = ['a']\n[[source]]\ntopic = 'y'\nvalues = ['a', 'b']"),
            &["source 2", "\"a\"", "source 1"][..],
        ),
        (
            format!("{one}[[source]]\ntopic = 'y'\nvalues = ['a']"),
            &["source 1.values is missing"],
        ),
        (format!("{one}values = ['c']"), &["source 1.values.c", "a, b"]),
        (
            "input.topic = 'x/{stream}'\n[[source]]\ntopic = 'y/{stream}'".to_owned(),
            &["input.topic", "[[source]]"],
        ),
        ("[[source]]\ntopic = 'x'".to_owned(), &["source 1.topic", "input.stream"]),
        ("input.stream = 's'\n[[source]]\ndevice = 'x'".to_owned(), &["source 1", "preset"]),
        (
            "input.stream = 's'\n[[source]]\npreset = 'tasmota'".to_owned(),
            &["source 1", "device"],
        ),
        (
            "input.stream = 's'\n[[source]]\npreset = 'tasmoto'".to_owned(),
            &["source[0].preset", "tasmota"],
        ),
        (format!("{one}values.a = '$..x..y'"), &["source 1.values.a", "more than once"]),
        (format!("{one}values.a = '$.x['"), &["source 1.values.a", "not a JSONPath"]),
        (format!("{one}values.a = {{ pat = 'x' }}"), &["source[0].values", "path"]),
        (
            format!("{one}values.a = {{ valid = [3, 1] }}"),
            &["source 1.values.a.valid", "smaller"],
        ),
        (format!("{one}values.a = {{ factor = 0 }}"), &["source 1.values.a", "factor"]),
        (format!("{one}values.a = {{ name = 'x' }}"), &["source 1.values.a.name", "path"]),
        (format!("{one}values = {{ a = 'x', b = 'x' }}"), &["\"a\"", "\"b\"", "\"x\""]),
        (format!("{one}time_zone = 'Europe/Berlin'"), &["source 1.time_zone", "time_field"]),
        (
            format!("{one}time_field = 't'\ntime_zone = 'Europe/Berlim'"),
            &["source 1.time_zone", "Berlim"],
        ),
        (format!("{one}words = {{ warm = 'hot' }}"), &["words", "missing"]),
        (
            "input.stream = 's'\n[[source]]\nformat = 'sparkplug'\ntopic = 'x'".to_owned(),
            &["source 1.topic", "spBv1.0/GROUP/+/NODE"],
        ),
        (
            "[[source]]\ntopic = '{stream}/x/+'\nvalues = ['a']\n[[source]]\ntopic = '+/{stream}/y'\nvalues = ['b']".to_owned(),
            &["source 2.topic", "different levels"],
        ),
    ] {
        let error = source(&text).expect_err(&text);
        assert!(named.iter().all(|name| error.contains(name)), "{text}\n{error}");
    }
    assert_eq!(source(one), Ok(()), "one source has all variates by their names");
}

#[test]
fn validate_shows_what_a_message_becomes() {
    let variates = ["living", "humidity", "boiler", "garage", "door", "pump"];
    let folder = folder(&variates, 1883, JOINED);
    let said = |arguments: &[&str]| {
        let output = process::run(&[&["validate", &file(&folder)], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Columns are aligned for people.
        String::from_utf8(output.stdout)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let all = said(&[]);
    for line in [
        "source 2 tele/boiler/SENSOR",
        "boiler ENERGY.Power",
        "Time, local times of Europe/Berlin",
        "garage/+/door/state",
    ] {
        assert!(all.contains(line), "{line}\n{all}");
    }
    let message = said(&["--message", "garage/binary_sensor/door/state", "OFF", "--json"]);
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(
        (&message["stream"], &message["readings"][0]["value"]),
        (&json!("house"), &json!(0.0)),
        "{message}"
    );
    let partial = said(&["--message", "zigbee2mqtt/living room", r#"{"humidity": 40, "temperature": "cold"}"#]);
    assert!(partial.contains("humidity 40 at") && partial.contains("\"cold\""), "{partial}");
    let other = said(&["--message", "zigbee2mqtt/cellar", "{}"]);
    assert!(other.contains("does not match the topic of any source"), "{other}");
}
