//! A new configuration while the daemon runs: what can go on goes on, what cannot is said, and a wrong one changes nothing.

use tsm2_bundle::Bundle;
use tsm2_e2e::bundle;
use tsm2_e2e::site::{HORIZON, MINUTE, Site, exchange, forecast_of, payload, summary};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;

/// Another bundle in the place of the site's: of the same shape, with other weights.
fn swap_weights(site: &Site) {
    let path = site.path().join("site.safetensors");
    let old = Bundle::open(&path).unwrap();
    let mut meta = old.meta().clone();
    meta.name = "successor".into();
    let weights = old.weights().iter().map(|weight| weight * 0.5).collect();
    Bundle::new(meta, weights).unwrap().write(&path).unwrap();
}

fn edit(site: &Site, from: &str, to: &str) {
    let text = std::fs::read_to_string(site.config()).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(site.config(), text.replace(from, to)).unwrap();
}

async fn other_weights(extra: &str, warms_up: bool) {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), extra);
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let before = site.expected(0..3);
    for index in 0..3 {
        assert_eq!(exchange(&mut client, index).await, before[index as usize]);
    }
    swap_weights(&site);
    daemon.signal("HUP");
    // Published while the daemon changes, when the old model takes no more: the broker keeps it.
    daemon.wait_for("stopped");
    client.publish("sensors/a", payload(3)).await;
    daemon.wait_for("a model of the same architecture");
    let after = forecast_of(&mut client, 3).await;
    let (anew, through) = (site.expected(3..4), site.expected(0..4));
    assert!(after != anew[0] && after != before[2], "neither a new state nor the old model");
    assert_eq!(
        after == through[3],
        warms_up,
        "with a log the state is as if the new model had run from the start, without one it is the old model's"
    );
    assert_eq!(summary(daemon)["time_steps"], 4, "both lives count");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_log_other_weights_continue_with_the_state() {
    other_weights("input.max_gap = 100", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_log_other_weights_warm_up() {
    other_weights("state.path = 'state'", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_another_architecture_warms_up_from_the_log() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "state.path = 'state'");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    for index in 0..3 {
        exchange(&mut client, index).await;
    }
    // The same variates, one lead more.
    bundle::random(site.path(), "site", &["temp", "power"], HORIZON + 1, Some(MINUTE as u64));
    daemon.signal("HUP");
    daemon.wait_for("a model of another architecture");
    daemon.wait_for("connected");
    client.publish("sensors/a", payload(3)).await;
    let forecast = client.forecast().await;
    let expected = site.expected(0..4);
    assert_eq!(
        forecast.mean,
        expected[3][..HORIZON + 1],
        "as if the new model had run from the start"
    );
    summary(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_configuration_again_changes_nothing() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let expected = site.expected(0..4);
    for index in 0..4 {
        assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
        daemon.signal("HUP");
        daemon.wait_for("the same model");
    }
    summary(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_said_and_the_old_one_stays() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "output.prefix = 'tsm2'");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let expected = site.expected(0..3);
    assert_eq!(exchange(&mut client, 0).await, expected[0]);
    let faults = [
        ("output.prefix = 'tsm2'", "output.prefx = 'tsm2'", "output.prefx"),
        ("output.prefx = 'tsm2'", "output.prefix = 'a/#'", "output.prefix"),
        (
            "output.prefix = 'a/#'",
            "output.prefix = 'tsm2'\nstate.path = 'no/such/state'",
            "no/such/state",
        ),
    ];
    for (from, to, culprit) in faults {
        edit(&site, from, to);
        daemon.signal("HUP");
        let said = daemon.wait_for("cannot be used");
        assert!(said.last().unwrap().contains(culprit), "{said:?}");
    }
    assert_eq!(exchange(&mut client, 1).await, expected[1]);
    edit(&site, "\nstate.path = 'no/such/state'", "");
    std::fs::write(site.path().join("site.safetensors"), "no bundle").unwrap();
    daemon.signal("HUP");
    let said = daemon.wait_for("cannot be used");
    assert!(said.last().unwrap().contains("site.safetensors"), "{said:?}");
    assert_eq!(exchange(&mut client, 2).await, expected[2]);
    summary(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_silent_through_reloads_goes_on_and_then_into_a_file() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "output.prefix = 'tsm2'");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let expected = site.expected(0..8);
    for index in 0..2 {
        assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
    }
    for _ in 0..2 {
        daemon.signal("HUP");
        daemon.wait_for("the same model");
        daemon.wait_for("connected");
    }
    for index in 2..4 {
        assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
    }
    edit(&site, "output.prefix = 'tsm2'", "state.path = 'state'");
    daemon.signal("HUP");
    daemon.wait_for("streams=1");
    for index in 4..6 {
        assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
    }
    daemon.kill();
    let daemon = site.start();
    daemon.wait_for("connected");
    for index in 6..8 {
        assert_eq!(exchange(&mut client, index).await, expected[index as usize]);
    }
    summary(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_state_path_brings_its_own_streams_and_the_log_says_so() {
    let Some(broker) = Mosquitto::start() else { return };
    let site = Site::new(broker.port(), "state.path = 'state'");
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    let expected = site.expected(0..3);
    assert_eq!(exchange(&mut client, 0).await, expected[0]);
    edit(&site, "'state'", "'other'");
    daemon.signal("HUP");
    daemon.wait_for("no stream goes along");
    daemon.wait_for("connected");
    assert_eq!(exchange(&mut client, 1).await, site.expected(1..2)[0], "a stream of the new path");
    edit(&site, "'other'", "'state'");
    daemon.signal("HUP");
    daemon.wait_for("no stream goes along");
    daemon.wait_for("connected");
    client.publish("sensors/a", payload(1)).await;
    assert_eq!(
        forecast_of(&mut client, 1).await,
        expected[1],
        "the first path has its stream as it was"
    );
    summary(daemon);
}
