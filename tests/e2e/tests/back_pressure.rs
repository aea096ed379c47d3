//! A broker that takes no forecasts: nothing is acknowledged that is not durable, no stream is lost, and
//! the daemon stays alive.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tsm2_e2e::http::get;
use tsm2_e2e::site::{HORIZON, MINUTE, START, Site, payload};
use tsm2_e2e::stored;
use tsm2_edge::observe::health::STALLED_AFTER;
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::fake_broker::{ClientPacket, FakeBroker, FakeConnection};
use tsm2_mqtt_testkit::mosquitto::free_port;
use tsm2_mqtt_testkit::test_client::numbers;

/// Readings that are sent: their forecasts fill every window on the way.
const ROWS: u16 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn stop_under_back_pressure_acknowledges_nothing_uncommitted() {
    let (broker, port) = FakeBroker::start().await;
    let site = Site::new(port, "state.path = 'state'\nstate.commit_every_s = 1");
    let daemon = site.start();
    let mut connection = subscribed(&broker, false).await;
    for index in 0..ROWS {
        connection.publish(index + 1, "sensors/a", payload(index.into()).as_bytes()).await;
    }
    // No forecast is acknowledged. Several commits are due, then the end.
    let (mut forecasts, mut acknowledged) = (0, 0);
    let mut count = |packet: ClientPacket| match packet {
        ClientPacket::PubAck(_) => acknowledged += 1,
        ClientPacket::Publish { .. } => forecasts += 1,
        _ => {}
    };
    while let Ok(packet) = tokio::time::timeout(Duration::from_secs(3), connection.next()).await {
        count(packet);
    }
    let end = tokio::task::spawn_blocking(|| daemon.terminate());
    loop {
        match connection.next().await {
            ClientPacket::Closed => break,
            packet => count(packet),
        }
    }
    end.await.unwrap();
    assert!(forecasts > 0, "the broker got forecasts");
    let stored = stored::counts(site.config().as_ref(), &site.path().join("state"), &["a"])[0];
    assert_eq!(
        (acknowledged, stored.readings),
        (0, 0),
        "acknowledged messages, readings in the state"
    );
}

/// A broker played by hand, with the daemon subscribed and `online`.
async fn subscribed(broker: &FakeBroker, is_known: bool) -> FakeConnection {
    let mut connection = broker.accept(is_known).await;
    loop {
        match connection.next().await {
            ClientPacket::Subscribe { id, filters } => connection.grant(id, filters.len()).await,
            ClientPacket::Publish { id, payload, .. } => {
                connection.puback(id).await;
                if payload == "online" {
                    return connection;
                }
            }
            other => panic!("not expected before online: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_without_state_and_with_a_full_outbox_loses_no_stream() {
    let (broker, port) = FakeBroker::start().await;
    let site = Site::new(port, "input.max_gap = 100");
    let daemon = site.start();
    let mut connection = subscribed(&broker, false).await;
    for index in 0..ROWS {
        connection.publish(index + 1, "sensors/a", payload(index.into()).as_bytes()).await;
    }
    // No forecast is acknowledged: the outbox fills and the worker waits for room.
    let mut acknowledged = BTreeSet::new();
    while let Ok(packet) = tokio::time::timeout(Duration::from_secs(3), connection.next()).await {
        if let ClientPacket::PubAck(id) = packet {
            acknowledged.insert(id);
        }
    }
    daemon.signal("HUP");
    loop {
        match connection.next().await {
            ClientPacket::PubAck(id) => drop(acknowledged.insert(id)),
            ClientPacket::Closed => break,
            _ => {}
        }
    }
    assert!(
        (1..ROWS as usize).contains(&acknowledged.len()),
        "some were processed: {acknowledged:?}"
    );
    let mut connection = subscribed(&broker, true).await;
    // What was not acknowledged comes again, then one row more.
    let rest = (0..=ROWS).filter(|index| !acknowledged.contains(&(index + 1)));
    for index in rest {
        connection.publish(index + 1, "sensors/a", payload(index.into()).as_bytes()).await;
    }
    let origin = rfc3339(START + i64::from(ROWS) * MINUTE);
    let mut last = Vec::new();
    while last.len() < 2 * HORIZON {
        if let ClientPacket::Publish { id, topic, payload, .. } = connection.next().await {
            connection.puback(id).await;
            let payload: serde_json::Value = serde_json::from_str(&payload).unwrap_or_default();
            if topic.contains("/forecast/") && payload["origin"] == origin.as_str() {
                last.extend(numbers(&payload["mean"]));
            }
        }
    }
    let expected = site.expected(0..i64::from(ROWS) + 1);
    assert_eq!(last, expected[usize::from(ROWS)], "the stream went on where it was");
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_nothing_leaves_the_daemon_alive() {
    let (broker, port) = FakeBroker::start().await;
    let http = free_port();
    let extra = format!("state.path = 'state'\nstate.commit_every_s = 1\nhttp.listen = '127.0.0.1:{http}'");
    let site = Site::new(port, &extra);
    let daemon = site.start();
    let mut connection = subscribed(&broker, false).await;
    for index in 0..ROWS {
        connection.publish(index + 1, "sensors/a", payload(index.into()).as_bytes()).await;
    }
    // The broker answers pings and acknowledges nothing, for longer than a thread may be silent.
    let begun = Instant::now();
    while begun.elapsed() < STALLED_AFTER + Duration::from_secs(3) {
        let _ = tokio::time::timeout(Duration::from_secs(1), connection.next()).await;
        let page = tokio::task::spawn_blocking(move || get(http, "/healthz")).await.unwrap();
        assert_eq!(page, Some((200, "ok\n".to_owned())), "after {:?}", begun.elapsed());
    }
    drop(daemon);
}
