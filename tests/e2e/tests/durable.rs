//! What outlives the process: no reading is lost and none counts twice, whenever the daemon ends and however; state that cannot be trusted
//! is refused by name.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tsm2_e2e::engine::TestEngine;
use tsm2_e2e::process::{Running, edge};
use tsm2_e2e::site::{HORIZON, MINUTE, START, Site, exchange, forecast_of, payload, row, summary};
use tsm2_e2e::{bundle, process, stored};
use tsm2_edge::config::Config;
use tsm2_edge::config::prepare;
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::fake_broker::{ClientPacket, FakeBroker, FakeConnection};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::require::skip;
use tsm2_mqtt_testkit::test_client::{TestClient, numbers};

const STATE: &str = "state.path = 'state'";
/// Rows of the replay that is interrupted.
const ROWS: i64 = 300;

/// A forecast and its bounds.
type Published = (Vec<f32>, [Vec<f32>; 2]);

/// Publishes rows, each variate in a message of its own, so that rows are open in between.
async fn replay(sender: &TestClient, rows: std::ops::Range<i64>) {
    for index in rows {
        let time = rfc3339(START + index * MINUTE);
        for (variate, value) in ["temp", "power"].into_iter().zip(row(index)) {
            let payload = json!({ "time": time, "value": value }).to_string();
            sender.publish(&format!("sensors/a/{variate}"), payload).await;
        }
    }
}

/// Kills the daemon at random moments of a replay and compares everything with a run that was never interrupted.
async fn killed_while_it_runs(extra: &str, seed: u64) {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), &format!("{STATE}\n{extra}"));
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("sensors/{stream}", "sensors/{stream}/{variate}")).unwrap();
    let expected = site.expected(0..ROWS);
    let bounds = uninterrupted_bounds(&site);

    let mut client = site.client().await;
    let mut daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    daemon.kill();
    // Half of the readings wait for the daemon, the others come while it runs.
    let sender = TestClient::connect(broker.port(), &[]).await;
    replay(&sender, 0..ROWS / 2).await;
    daemon = site.start();
    let sending = tokio::spawn(async move { replay(&sender, ROWS / 2..ROWS).await });

    let (mut random, mut kills) = (seed, 0);
    let mut seen: HashMap<(String, String), Published> = HashMap::new();
    while seen.len() < 2 * ROWS as usize {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Not in step with the forecasts: the moment lies anywhere between two of them.
        let (forecasts, pause_us) = ((random >> 33) % 60, (random >> 50) % 15_000);
        for _ in 0..forecasts {
            if seen.len() == 2 * ROWS as usize {
                break;
            }
            let forecast = client.forecast().await;
            let bounds = ["lower", "upper"].map(|bound| numbers(&forecast.payload[bound]));
            seen.insert((forecast.topic, forecast.origin), (forecast.mean, bounds));
        }
        tokio::time::sleep(Duration::from_micros(pause_us)).await;
        if kills < 8 {
            daemon.kill();
            kills += 1;
            daemon = site.start();
        }
    }
    sending.await.unwrap();
    assert_eq!(kills, 8);
    for (index, expected) in expected.iter().enumerate() {
        for (variate, expected) in ["temp", "power"].into_iter().zip(expected.chunks_exact(HORIZON)) {
            let key = (format!("tsm2/a/forecast/{variate}"), rfc3339(START + index as i64 * MINUTE));
            let (mean, seen_bounds) = &seen[&key];
            assert_eq!(mean, expected, "{key:?}");
            assert_eq!(
                seen_bounds, &bounds[&key],
                "{key:?}: what the monitor learned outlives the process too"
            );
        }
    }
    // Before that it does not listen to signals.
    daemon.wait_for("connected");
    summary(daemon);
    assert_eq!(stored_counts(&site), (2 * ROWS as u64, ROWS as u64, 0), "readings, rows, gap rows");
}

/// The bounds of every forecast by topic and time, from an engine that takes all rows at once.
fn uninterrupted_bounds(site: &Site) -> HashMap<(String, String), [Vec<f32>; 2]> {
    let prepared = prepare(&Config::load(site.config().as_ref()).unwrap()).unwrap();
    let mut engine = TestEngine::new(&prepared);
    let mut bounds = HashMap::new();
    for index in 0..ROWS {
        let time_ms = START + index * MINUTE;
        for (variate, value) in ["temp", "power"].into_iter().zip(row(index)) {
            let payload = json!({ "time": rfc3339(time_ms), "value": value }).to_string();
            engine.take(&format!("sensors/a/{variate}"), payload.as_bytes(), false, 0, |step| {
                let (lo, hi) = (step.lower, step.upper);
                let mean = step.mean;
                assert!(lo.iter().zip(mean).zip(hi).all(|((lo, mean), hi)| lo <= mean && mean <= hi));
                for (variate, (lo, hi)) in ["temp", "power"].into_iter().zip(lo.chunks(HORIZON).zip(hi.chunks(HORIZON))) {
                    let key = (format!("tsm2/a/forecast/{variate}"), rfc3339(step.time_ms));
                    bounds.insert(key, [lo.to_vec(), hi.to_vec()]);
                }
                2
            });
        }
    }
    bounds
}

/// Readings, rows and gap rows of stream `a` in all its lives.
fn stored_counts(site: &Site) -> (u64, u64, u64) {
    let counts = stored::counts(site.config().as_ref(), &site.path().join("state"), &["a"])[0];
    (counts.readings, counts.rows, counts.gap_rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_moment_loses_nothing_and_counts_nothing_twice() {
    killed_while_it_runs("", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_that_commits_every_few_readings() {
    killed_while_it_runs("state.commit_every_readings = 7", 2).await;
}

/// A daemon at a broker played by hand, as far as `online`.
async fn at_a_peer(extra: &str) -> (Site, process::Running, FakeConnection) {
    let (broker, port) = FakeBroker::start().await;
    let site = Site::new(port, &format!("{STATE}\n{extra}"));
    let daemon = site.start();
    let mut connection = broker.accept(false).await;
    let ClientPacket::Subscribe { id, filters } = connection.next().await else {
        panic!("SUBSCRIBE comes first")
    };
    connection.grant(id, filters.len()).await;
    let ClientPacket::Publish { id, .. } = connection.next().await else {
        panic!("online comes next")
    };
    connection.puback(id).await;
    (site, daemon, connection)
}

/// What comes next, taking what is published of the forecasts' skill.
async fn next_of(connection: &mut FakeConnection) -> ClientPacket {
    loop {
        match connection.next().await {
            ClientPacket::Publish { id, topic, .. } if topic.contains("/metrics/") => connection.puback(id).await,
            other => return other,
        }
    }
}

/// Sends row `index` and takes its two forecasts; an acknowledgement before them is a failure.
async fn exchange_with(connection: &mut FakeConnection, index: u16) {
    connection.publish(index + 1, "sensors/a", payload(index.into()).as_bytes()).await;
    for _ in 0..2 {
        match next_of(connection).await {
            ClientPacket::Publish { id, .. } => connection.puback(id).await,
            other => panic!("row {index}: a forecast is expected, not {other:?}"),
        }
    }
}

async fn acknowledged(connection: &mut FakeConnection, ids: std::ops::RangeInclusive<u16>) {
    for id in ids {
        assert_eq!(next_of(connection).await, ClientPacket::PubAck(id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_wait_for_the_commit_of_so_many_readings() {
    let (_site, _daemon, mut connection) = at_a_peer("state.commit_every_readings = 6\nstate.commit_every_s = 1000").await;
    for batch in [0..3, 3..6] {
        for index in batch.clone() {
            exchange_with(&mut connection, index).await;
        }
        acknowledged(&mut connection, batch.start + 1..=batch.end).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_waits_no_longer_than_configured() {
    let (_site, _daemon, mut connection) = at_a_peer("state.commit_every_s = 1").await;
    exchange_with(&mut connection, 0).await;
    acknowledged(&mut connection, 1..=1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_waits_for_acknowledgements_gets_them() {
    let (_site, _daemon, mut connection) = at_a_peer("state.commit_every_s = 1000\nbroker.max_inflight = 3").await;
    for index in 0..3 {
        exchange_with(&mut connection, index).await;
    }
    acknowledged(&mut connection, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_commits_and_acknowledges_first_and_the_next_start_goes_on_there() {
    let (site, daemon, mut connection) = at_a_peer("state.commit_every_s = 1000").await;
    exchange_with(&mut connection, 0).await;
    let end = tokio::task::spawn_blocking(|| daemon.terminate());
    // Both come before DISCONNECT; the client library sends them in either order.
    let (mut acknowledged, mut offline) = (false, false);
    while !acknowledged || !offline {
        match connection.next().await {
            ClientPacket::PubAck(id) => acknowledged = id == 1,
            ClientPacket::Publish { id, payload, .. } => {
                offline = payload == "offline";
                connection.puback(id).await;
            }
            other => panic!("acknowledged: {acknowledged}, offline: {offline}, then {other:?}"),
        }
    }
    assert_eq!(connection.next().await, ClientPacket::Disconnect);
    drop(connection);
    let summary: Value = serde_json::from_str(&end.await.unwrap()).unwrap();
    assert_eq!(summary["time_steps"], 1);
    assert_eq!(stored_counts(&site), (2, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_another_model_is_refused_by_name_and_warmed_up_again_from_the_rows() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), STATE);
    let mut client = site.client().await;
    let expected = site.expected(0..6);
    for run in 0..2 {
        let daemon = site.start();
        daemon.wait_for(&format!("streams={run}"));
        client.wait_for("tsm2/status", "online").await;
        for index in run * 2..run * 2 + 2 {
            assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
        }
        summary(daemon);
        client.wait_for("tsm2/status", "offline").await;
    }

    let other = bundle::random(site.path(), "other", &["temp", "power"], HORIZON, Some(MINUTE as u64));
    std::fs::rename(other, site.path().join("site.safetensors")).unwrap();
    let daemon = site.start();
    let expected = site.expected(0..6);
    for index in 4..6 {
        assert_eq!(
            exchange(&mut client, index).await,
            expected[index as usize],
            "as if the other model had run from the start"
        );
    }
    let said = daemon.wait_for("stored state is not used");
    let line = said.last().unwrap();
    assert!(line.contains("stream=\"a\"") && line.contains("another model"), "{line}");
    daemon.wait_for("entries=4");
    summary(daemon);
    assert_eq!(stored_counts(&site), (12, 6, 0), "the grid goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_aggregation_does_not_count_a_known_stream_twice() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), &format!("{STATE}\ninput.max_streams = 1"));
    let mut client = site.client().await;
    let expected = site.expected(0..2);
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    assert_eq!(exchange(&mut client, 0).await, expected[0]);
    summary(daemon);
    client.wait_for("tsm2/status", "offline").await;
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text + "input.aggregate = 'mean'\n").unwrap();
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    // A mean is complete when the next time bin begins.
    client.publish("sensors/a", payload(1)).await;
    client.publish("sensors/a", payload(2)).await;
    assert_eq!(forecast_of(&mut client, 1).await, expected[1]);
    assert_eq!(summary(daemon)["rejected"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_other_variates_is_refused_and_the_stream_starts_anew() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), &format!("{STATE}\ninput.fields.heat = 'power'"));
    let bundle = |power| bundle::random(site.path(), "site", &["temp", power], HORIZON, Some(MINUTE as u64));
    bundle("heat");
    let mut client = site.client().await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/a", payload(0)).await;
    client.forecast().await;
    client.forecast().await;
    summary(daemon);
    client.wait_for("tsm2/status", "offline").await;

    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("input.fields.heat = 'power'", "")).unwrap();
    bundle("power");
    let daemon = site.start();
    let said = daemon.wait_for("stored state is not used");
    let line = said.last().unwrap();
    assert!(line.contains("stream=\"a\"") && line.contains("other variates"), "{line}");
    assert_eq!(exchange(&mut client, 1).await, site.expected(1..2)[0]);
    summary(daemon);
    assert_eq!(stored_counts(&site), (2, 1, 0), "the new state lies beside the other's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_place_of_the_state_is_named_and_state_in_use_is_left_alone() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), STATE);
    let path = site.path().join("state");
    let other = vec![0x5a; 10_000];
    std::fs::write(&path, &other).unwrap();
    let refused = |culprit: &str| {
        let ended = process::run(&["run", &site.config()]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            !ended.status.success() && said.contains("state.path") && said.contains(culprit),
            "{said}"
        );
    };
    refused("is a file");
    assert_eq!(std::fs::read(&path).unwrap(), other);
    std::fs::remove_file(&path).unwrap();

    let mut client = site.client().await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    assert_eq!(exchange(&mut client, 0).await, site.expected(0..1)[0]);
    refused("in use");
    summary(daemon);
    assert_eq!(stored_counts(&site), (2, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_for_one_start_erases_no_state() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), &format!("{STATE}\ninput.max_gap = 100"));
    let text = std::fs::read_to_string(site.config()).unwrap();
    let mut client = site.client().await;
    let expected = site.expected(0..4);
    let wrong = ["input.streams = ['b']", "input.aggregate = 'mean'", "model.interval_s = 60.0"];
    for (index, wrong) in (0..).zip(wrong) {
        let daemon = site.start();
        client.wait_for("tsm2/status", "online").await;
        assert_eq!(exchange(&mut client, index).await, expected[index as usize], "before {wrong}");
        summary(daemon);
        client.wait_for("tsm2/status", "offline").await;
        std::fs::write(site.config(), text.replace("input.max_gap = 100", wrong)).unwrap();
        let daemon = site.start();
        daemon.wait_for("state found");
        client.wait_for("tsm2/status", "online").await;
        summary(daemon);
        client.wait_for("tsm2/status", "offline").await;
        std::fs::write(site.config(), &text).unwrap();
    }
    assert_eq!(stored_counts(&site), (6, 3, 0));
}

fn signal(process: u32, name: &str) {
    let status = std::process::Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -s {name} {process}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_once_and_nothing_is_acknowledged_until_there_is_room() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(
        broker.port(),
        &format!("{STATE}\nstate.commit_every_s = 1\nbroker.max_inflight = 1"),
    );
    let mut client = site.client().await;
    let daemon = site.start_by(process::Running::start_limitable);
    client.wait_for("tsm2/status", "online").await;
    if !daemon.limit_files("1") {
        return skip("prlimit is not installed");
    }
    let expected = site.expected(0..3);
    for index in 0..2 {
        assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
    }
    daemon.wait_for("state is not durable");
    daemon.kill();

    // The broker waits until the disk is full: a message that comes again is committed at once.
    signal(broker.id(), "STOP");
    let daemon = site.start_by(process::Running::start_limitable);
    daemon.wait_for("streams=0");
    assert!(daemon.limit_files("1"));
    signal(broker.id(), "CONT");
    let mut said = daemon.wait_for("state is not durable");
    assert_eq!(
        forecast_of(&mut client, 1).await,
        expected[1],
        "what was not acknowledged came again"
    );
    assert!(daemon.limit_files("unlimited"));
    said.extend(daemon.wait_for("state is durable again"));
    let complaints = said.iter().filter(|line| line.contains("not durable")).count();
    assert_eq!(complaints, 1, "{said:#?}");
    assert_eq!(exchange(&mut client, 2).await, expected[2]);
    summary(daemon);
    assert_eq!(stored_counts(&site), (6, 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_those_in_memory_go_on_where_they_were() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(
        broker.port(),
        &format!("{STATE}\nstate.max_streams_in_memory = 2\nstate.commit_every_readings = 2"),
    );
    let daemon = site.start_by(|arguments| Running::start_on_one_core(edge(), arguments));
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let expected = site.expected(0..4);
    for index in 0..4 {
        for stream in 0..30 {
            client.publish(&format!("sensors/{stream}"), payload(index)).await;
            for expected in expected[index as usize].chunks_exact(HORIZON) {
                let forecast = client.forecast().await;
                assert!(forecast.topic.starts_with(&format!("tsm2/{stream}/")), "{}", forecast.topic);
                assert_eq!(forecast.mean, expected, "row {index} of stream {stream}");
            }
        }
    }
    let summary = summary(daemon);
    assert_eq!((&summary["time_steps"], &summary["bridged_time_steps"]), (&json!(120), &json!(0)));
    let resident = summary["streams"].as_u64().unwrap();
    // One worker: two streams, and those with changes that are not durable yet.
    assert!(resident <= 15, "{resident} of 30 streams are in memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_good_the_forecasts_have_been_is_published_once_a_horizon() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let rows = 10 * HORIZON as i64;
    for index in 0..rows {
        client.publish("sensors/a", payload(index)).await;
    }
    let last = rfc3339(START + (rows - 1) * MINUTE);
    let metrics = loop {
        let (topic, payload) = client.next().await;
        if topic == "tsm2/a/metrics/power" {
            let metrics: Value = serde_json::from_slice(&payload).unwrap();
            if metrics["origin"] == last.as_str() {
                break metrics;
            }
        }
    };
    for by_step in ["coverage", "mae", "mse", "naive_mae", "naive_mse", "evaluated"] {
        assert_eq!(metrics[by_step].as_array().map(Vec::len), Some(HORIZON), "{by_step}: {metrics}");
    }
    // power falls by 1 three times and then rises by 3.
    let naive = numbers(&metrics["naive_mse"])[0];
    assert!((naive - 3.0).abs() < 0.5, "{metrics}");
    let evaluated = numbers(&metrics["evaluated"]);
    assert!(
        evaluated
            .iter()
            .enumerate()
            .all(|(step, &evaluated)| evaluated == (rows - 1) as f32 - step as f32),
        "{metrics}"
    );
    summary(daemon);
}
