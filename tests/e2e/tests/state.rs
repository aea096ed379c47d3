//! `tsm2-edge state` beside a daemon and a broker.

use std::collections::BTreeSet;

use tsm2_e2e::process;
use tsm2_e2e::site::{MINUTE, START, Site, exchange, forecast_of, payload, row};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::require::skip;

/// The topics that the broker has retained messages of.
async fn retained(site: &Site) -> BTreeSet<String> {
    let mut client = site.client().await;
    client.publish("tsm2/end", "end").await;
    let mut topics = BTreeSet::new();
    loop {
        match client.next().await {
            (topic, _) if topic == "tsm2/end" => break topics,
            (topic, _) => topics.insert(topic),
        };
    }
}

fn state(site: &Site, arguments: &[&str]) -> (bool, String) {
    let (task, rest) = arguments.split_first().expect("a task");
    let output = process::run(&[&["state", task, &site.config()], rest].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_stream_leaves_nothing_at_the_broker_and_other_streams_lose_nothing() {
    let Some(broker) = Mosquitto::start() else {
        return skip("mosquitto");
    };
    let site = Site::new(broker.port(), "state.path = 'state'");
    let mut client = site.client().await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/b", payload(0)).await;
    for _ in ["temp", "power"] {
        client.forecast().await;
    }
    for index in 0..3 {
        exchange(&mut client, index).await;
    }
    let (done, text) = state(&site, &["list"]);
    assert!(!done && text.contains("stop that daemon first"), "{text}");
    daemon.terminate();
    assert!(retained(&site).await.contains("tsm2/a/forecast/temp"));

    // This one waits in the daemon's session meanwhile.
    client.publish("sensors/a", payload(3)).await;
    let (done, text) = state(&site, &["forget", "b", "--yes"]);
    assert!(done && text.contains("tsm2/b/forecast/temp"), "{text}");
    let left = retained(&site).await;
    assert!(!left.iter().any(|topic| topic.starts_with("tsm2/b/")), "{left:?}");
    assert!(left.contains("tsm2/a/forecast/temp"), "{left:?}");

    // A new client: the other one has the empty messages that remove the topics of `b`.
    let mut client = site.client().await;
    let daemon = site.start();
    let expected = site.expected(0..4);
    assert_eq!(forecast_of(&mut client, 3).await, expected[3]);
    daemon.terminate();
    let (done, text) = state(&site, &["list", "--json"]);
    assert!(done && !text.contains("\"b\""), "{text}");

    // Reset: the next forecast is that of a stream whose first reading it is.
    let (done, text) = state(&site, &["reset", "a", "--yes"]);
    assert!(done, "{text}");
    let daemon = site.start();
    let first = exchange(&mut client, 4).await;
    assert_eq!(first, site.expected(4..5)[0]);
    daemon.terminate();

    // Without the broker the topics are named.
    broker.stop();
    let (done, text) = state(&site, &["forget", "a", "--yes"]);
    assert!(
        !done && text.contains("tsm2/a/forecast/temp") && text.contains("mosquitto_pub -r -n"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_leaves_its_place_its_state_and_its_retained_messages() {
    let Some(broker) = Mosquitto::start() else { return };
    let extra = "state.path = 'state'\nstate.forget_after_s = 1\ninput.max_streams = 1";
    let site = Site::new(broker.port(), extra);
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    exchange(&mut client, 0).await;
    let topics = ["tsm2/a/forecast/temp", "tsm2/a/forecast/power"];
    for topic in topics {
        client.wait_for(topic, "").await;
    }
    daemon.wait_for("the stream is forgotten");
    client.publish("sensors/b", payload(0)).await;
    assert_eq!(
        client.forecast().await.topic,
        "tsm2/b/forecast/temp",
        "there is room for another one"
    );
    daemon.terminate();
    let (_, listed) = state(&site, &["list", "--json"]);
    assert!(!listed.contains("\"a\""), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemon_has_stored_is_a_recording_that_trains_the_next_model() {
    const ROWS: i64 = 600;
    let Some(broker) = Mosquitto::start() else {
        return skip("mosquitto");
    };
    let site = Site::new(broker.port(), "state.path = 'state'\nstate.warmup_steps = 1000");
    let mut client = site.client().await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    for index in 0..ROWS {
        client.publish("sensors/a", payload(index)).await;
    }
    client.publish("sensors/b", payload(3)).await;
    while client.forecast().await.topic != "tsm2/b/forecast/power" {}
    daemon.terminate();

    let file = site.path().join("a.csv").to_str().unwrap().to_owned();
    let (done, text) = state(&site, &["export", "a", "--output", &file]);
    assert!(done, "{text}");
    let (recording, report) = tsm2_data::read(&[&file], &tsm2_data::Options::default()).unwrap();
    let series = &recording.series[0];
    assert_eq!(
        (report.interval_s, series.times_ms[0], series.rows(2)),
        (Some(60.0), START, ROWS as usize)
    );
    for index in 0..ROWS {
        assert_eq!(series.times_ms[index as usize], START + index * MINUTE);
        assert_eq!(series.row(index as usize, 2), row(index), "row {index}");
    }
    // All streams in one file: a device each.
    let (done, both) = state(&site, &["export"]);
    assert!(
        done && both.starts_with("time,stream,temp,power\n") && both.contains(",b,"),
        "{both:.200}"
    );

    let out = site.path().join("next").to_str().unwrap().to_owned();
    let train = [
        "train",
        "--data",
        &file,
        "--horizon",
        "5",
        "--updates",
        "2",
        "--no-baselines",
        "--out",
        &out,
    ];
    let trained = process::run_tsm2(&train);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    // The daemon goes on with the model that its own log has trained.
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("site.safetensors", "next/model.safetensors")).unwrap();
    let mut client = site.client().await;
    let daemon = site.start();
    client.publish("sensors/a", payload(ROWS)).await;
    let newest = tsm2_mqtt::rfc3339(START + ROWS * MINUTE);
    while client.forecast().await.origin != newest {}
    daemon.terminate();
}
