//! What goes wrong in the field: brokers that are absent, vanish or refuse, devices that lose power, payloads that are nonsense. Nothing
//! else is lost by it.

use serde_json::json;
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{MINUTE, START, Site, exchange, forecast_of, payload, row, summary};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_absent_at_the_start_is_waited_for() {
    let site = Site::new(free_port(), "");
    let daemon = site.start();
    let said = daemon.wait_for("no connection");
    assert!(
        said.last().unwrap().contains(&format!("127.0.0.1:{}", site.port)),
        "the culprit is named: {said:?}"
    );
    let Some(_broker) = Mosquitto::start_on(site.port) else { return };
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    assert_eq!(exchange(&mut client, 0).await, site.expected(0..1)[0]);
    assert_eq!(summary(daemon)["time_steps"], 1);
    client.wait_for("tsm2/status", "offline").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_vanishes_and_forgets_everything_costs_no_state() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let expected = site.expected(0..6);
    for index in 0..3 {
        assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
    }
    drop(broker);
    daemon.wait_for("no connection");
    let Some(_broker) = Mosquitto::start_on(site.port) else { return };
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    for index in 3..6 {
        assert_eq!(
            exchange(&mut client, index).await,
            expected[index as usize],
            "the model goes on where it was"
        );
    }
    assert_eq!(summary(daemon)["rejected"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_said_once_and_tried_again() {
    let port = free_port();
    let Some(refusing) = Mosquitto::start_refusing(port) else {
        return;
    };
    let site = Site::new(port, "broker.username = 'edge'\nbroker.password_file = 'secret'");
    std::fs::write(site.path().join("secret"), "not-the-password\n").unwrap();
    let daemon = site.start();
    let mut said = daemon.wait_for("the broker refuses the credentials");
    said.extend(daemon.wait_for("still no connection"));
    said.extend(daemon.wait_for("still no connection"));
    drop(refusing);
    let Some(_broker) = Mosquitto::start_on(port) else { return };
    said.extend(daemon.wait_for("connected"));
    let refusals: Vec<_> = said
        .iter()
        .filter(|line| line.contains("WARN") && line.contains("refuses"))
        .collect();
    assert_eq!(refusals.len(), 1, "{said:#?}");
    assert!(said.iter().all(|line| !line.contains("not-the-password")), "no secret in the log");
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    assert_eq!(exchange(&mut client, 0).await, site.expected(0..1)[0]);
    summary(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_come_while_the_daemon_is_away_are_not_lost() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    exchange(&mut client, 0).await;
    summary(daemon);
    client.wait_for("tsm2/status", "offline").await;
    for index in 1..4 {
        client.publish("sensors/a", payload(index)).await;
    }
    let daemon = site.start();
    // Without `state.path` the state begins anew with the process; the readings are all there.
    let expected = site.expected(1..4);
    for index in 1..4 {
        assert_eq!(forecast_of(&mut client, index).await, expected[index as usize - 1]);
    }
    assert_eq!(summary(daemon)["time_steps"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_cut_off_is_offline_by_its_will() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    daemon.kill();
    client.wait_for("tsm2/status", "offline").await;
    let daemon = site.start();
    client.wait_for("tsm2/status", "online").await;
    summary(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_takes_ends_nothing() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "");
    let daemon = site.start_by(Running::start_unheard);
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    client.publish("sensors/a", "no JSON").await;
    assert_eq!(exchange(&mut client, 0).await, site.expected(0..1)[0]);
    assert_eq!(summary(daemon)["rejected"], json!({ "not_json": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_counted_and_skipped_and_nothing_else_is_lost() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "input.streams = ['a', 'b']");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let expected = site.expected(0..2);
    assert_eq!(exchange(&mut client, 0).await, expected[0]);

    let time = rfc3339(START + MINUTE);
    client.publish("sensors/a", "no JSON").await;
    client.publish("sensors/a", "").await;
    client.publish("sensors/a", vec![b'x'; 1 << 20]).await;
    client
        .publish("sensors/a", format!("{}1{}", "[".repeat(500), "]".repeat(500)))
        .await;
    client.publish("sensors/a", "[1, 2]").await;
    client.publish("sensors/a", r#"{"temp": 1, "power": 2}"#).await;
    client.publish("sensors/a", r#"{"temp": 1, "power": 2, "time": "noon"}"#).await;
    client.publish("sensors/a", payload(-3)).await; // time going backwards
    client.publish("sensors/a", payload(0)).await; // a duplicate
    client
        .publish(
            "sensors/a",
            json!({ "time": "2099-01-01T00:00:00Z", "temp": 1, "power": 2 }).to_string(),
        )
        .await; // a clock gone mad
    client
        .publish("sensors/a", format!(r#"{{"time": "{time}", "temp": "warm"}}"#))
        .await;
    client.publish("sensors/c", payload(1)).await;
    client.publish(&format!("sensors/{}", "x".repeat(200)), payload(1)).await;
    let [temp, power] = row(1);
    client
        .publish(
            "sensors/a",
            format!(r#"{{"time": "{time}", "temp": "{temp}", "power": {power}, "more": NaN}}"#),
        )
        .await;
    assert_eq!(
        forecast_of(&mut client, 1).await,
        expected[1],
        "what is well formed counts, numbers in text too"
    );

    let summary = summary(daemon);
    assert_eq!(
        summary["rejected"],
        json!({
            "not_json": 2, "too_large": 1, "too_deep": 1, "not_an_object": 1, "no_time": 1, "bad_time": 1, "late": 4, "clock_jump": 1,
            "not_a_number": 1, "unknown_stream": 1, "topic": 1,
        })
    );
    assert_eq!(summary["time_steps"], 2);
    assert_eq!(summary["streams"], 1);
}
