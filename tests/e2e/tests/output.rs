//! What of a forecast is published.

use serde_json::{Value, json};
use tsm2_e2e::site::{HORIZON, MINUTE, START, Site, payload, row, summary};
use tsm2_edge::config::{Config, prepare};
use tsm2_mqtt::rfc3339;
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::test_client::TestClient;

/// The next message on a topic.
async fn next(client: &mut TestClient, topic: &str) -> Value {
    loop {
        let (found, payload) = client.next().await;
        if found == topic {
            return serde_json::from_slice(&payload).expect("JSON");
        }
    }
}

fn floats(numbers: &Value) -> Vec<f32> {
    let numbers = numbers.as_array().expect("an array").iter();
    numbers.map(|number| number.as_f64().expect("a number") as f32).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_limits_extremes_crossings_and_residuals() {
    let Some(broker) = Mosquitto::start() else { return };
    let plain = Site::new(broker.port(), "");
    let expected = plain.expected(0..2);
    // A threshold between the reading and the forecast is crossed at once.
    let (reading, first) = (row(1)[0], expected[1][0]);
    let threshold = (reading + first) / 2.0;
    let extra = format!(
        "output.steps = [2, {HORIZON}]\noutput.extremes = true\noutput.residuals = true\noutput.limits.power.max = -1e6\n\
         output.thresholds = {{ temp = [{threshold}, 1e9] }}"
    );
    let site = Site::new(broker.port(), &extra);
    let daemon = site.start();
    let mut client = site.client().await;
    client.wait_for("tsm2/status", "online").await;
    for index in 0..2 {
        client.publish("sensors/a", payload(index)).await;
    }
    next(&mut client, "tsm2/a/forecast/temp").await;
    let forecast = next(&mut client, "tsm2/a/forecast/temp").await;
    assert_eq!(forecast["step"], json!([2, HORIZON]));
    assert_eq!(floats(&forecast["mean"]), [expected[1][1], expected[1][HORIZON - 1]]);
    let largest = expected[1][..HORIZON].iter().copied().fold(f32::MIN, f32::max);
    assert_eq!(forecast["maximum"]["value"].as_f64().map(|value| value as f32), Some(largest));
    let crossings = forecast["crossings"].as_array().expect("crossings");
    assert_eq!(crossings.len(), 1, "{forecast}");
    let at = (&crossings[0]["rising"], &crossings[0]["step"], &crossings[0]["time"]);
    assert_eq!(at, (&json!(first > reading), &json!(1), &json!(rfc3339(START + 2 * MINUTE))));
    let power = next(&mut client, "tsm2/a/forecast/power").await;
    assert!(
        floats(&power["mean"])
            .iter()
            .chain(&floats(&power["lower"]))
            .all(|value| *value <= -1e6),
        "{power}"
    );
    assert_eq!(power.get("crossings"), None, "only where there are thresholds");

    let residual = next(&mut client, "tsm2/a/residual/temp").await;
    let value = |key: &str| residual[key].as_f64().expect("a number") as f32;
    assert_eq!((value("value"), value("expected")), (reading, expected[0][0]));
    assert_eq!(residual["time"], rfc3339(START + MINUTE));
    let bound = if reading > expected[0][0] { value("upper") } else { value("lower") };
    let score = (reading - expected[0][0]) / (bound - expected[0][0]).abs();
    assert!((value("score") - score).abs() < 1e-3 * score.abs(), "{residual}");
    assert_eq!(summary(daemon)["rejected"], json!({}));
}

#[test]
fn what_cannot_be_published_is_refused_by_name() {
    for (extra, named) in [
        ("output.steps = [0]", "output.steps"),
        ("output.steps = [2, 2]", "ascending"),
        ("output.steps = [6]", "horizon 5"),
        ("output.limits.room = { min = 0 }", "output.limits.room"),
        ("output.limits.temp = { min = 3, max = 1 }", "output.limits.temp"),
        ("output.thresholds.room = [1]", "output.thresholds.room"),
        ("output.thresholds.temp = [nan]", "output.thresholds.temp"),
    ] {
        let site = Site::new(1883, extra);
        let config = Config::load(std::path::Path::new(&site.config())).expect("keys that exist");
        let error = prepare(&config).expect_err(extra).to_string();
        assert!(error.contains(named), "{extra}: {error}");
    }
    let site = Site::new(1883, "output.limits.temp = { mim = 0 }");
    let error = Config::load(std::path::Path::new(&site.config()))
        .expect_err("no such key")
        .to_string();
    assert!(error.contains("output.limits.temp") && error.contains("min"), "{error}");
}
