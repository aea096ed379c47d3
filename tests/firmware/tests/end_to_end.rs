//! The station on emulated boards, beside a mosquitto on this machine: its forecasts are those of a
//! forecaster on the host, through a reset, a restart of the broker, and nonsense.

use std::path::Path;

use serde_json::Value;
use tsm2_blob::export;
use tsm2_bundle::Bundle;
use tsm2_firmware_tests::guest::Guest;
use tsm2_firmware_tests::programs::Machine;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::test_client::{TestClient, numbers};
use tsm2_stream::{Event, Forecaster, ForecasterConfig, Reading, Resampler, ResamplerConfig, Workspace, initial_widths};

const COVERAGE: f32 = 0.9;
const START_MS: i64 = 1_709_208_000_000; // 2024-02-29 12:00 UTC

/// Mean, lower and upper of every target.
type Forecasts = [Vec<f32>; 3];

/// What the host computes with the same crates.
struct Host {
    bundle: Bundle,
    resampler: Resampler,
    forecaster: Forecaster,
    workspace: Workspace,
}

impl Host {
    fn new(model: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../models")
            .join(model)
            .join("model.safetensors");
        let bundle = Bundle::open(&path).expect("a shipped model");
        let meta = bundle.meta();
        let interval_ms = meta.interval_ms.expect("a shipped model has an interval");
        let deviations = meta.targets().iter().map(|variate| variate.std);
        let config = ForecasterConfig {
            naive: None,
            interval_ms,
            coverage: COVERAGE,
            initial_widths: initial_widths(deviations, meta.config.horizon, COVERAGE, meta.validation_mse()),
        };
        let model = bundle.model();
        Host {
            resampler: Resampler::new(ResamplerConfig::new(meta.variates.len(), interval_ms, 1440)).expect("valid"),
            forecaster: Forecaster::new(&model, &config).expect("valid"),
            workspace: Workspace::new(&model),
            bundle,
        }
    }

    fn blob(&self) -> Vec<u8> {
        export(&self.bundle, COVERAGE).expect("a shipped model")
    }

    fn targets(&self) -> usize {
        self.bundle.meta().config.targets()
    }

    /// Row `t`: a payload, and the forecasts that it leads to.
    fn row(&mut self, t: usize) -> (String, Forecasts) {
        let meta = self.bundle.meta();
        let time_ms = START_MS + t as i64 * meta.interval_ms.unwrap() as i64;
        let mut payload = format!("{{\"time\": {time_ms}");
        let mut forecasts = None;
        let model = self.bundle.model();
        for (variate, known) in meta.variates.iter().enumerate() {
            let position = (t + 5 * variate) as f32 / 24.0;
            let wave = 4.0 * (position - position.floor() - 0.5).abs() - 1.0;
            let value = known.mean + known.std * (wave + 0.1 * ((t * 7 + variate * 3) % 11) as f32);
            payload += &format!(", {:?}: {value}", known.name);
            let reading = Reading::at(variate, value, time_ms);
            let result = self.resampler.push(reading, |event| {
                let Event::TimeStep(step) = event else { panic!("{event:?}") };
                let forecast = self.forecaster.step(&model, &mut self.workspace, &step).expect("it fits");
                forecasts = Some([forecast.mean, forecast.lower, forecast.upper].map(<[f32]>::to_vec));
            });
            result.expect("accepted");
        }
        (payload + "}", forecasts.expect("a complete row is a time step"))
    }

    /// Asserts that the forecast of a target is the host's, to the bit.
    fn compare(&self, expected: &Forecasts, target: usize, got: &Value) {
        let horizon = self.bundle.meta().config.horizon;
        for (field, expected) in ["mean", "lower", "upper"].iter().zip(expected) {
            let expected = &expected[target * horizon..(target + 1) * horizon];
            assert_eq!(numbers(&got[field]), expected, "{field} of target {target}");
        }
        assert_eq!(got["model"], self.bundle.meta().name.as_str());
    }
}

/// The station's forecasts of all targets, checked against the host's.
async fn receive(client: &mut TestClient, host: &Host, row: usize, expected: &Forecasts) {
    let interval_ms = host.bundle.meta().interval_ms.unwrap() as i64;
    let origin = tsm2_mqtt::rfc3339(START_MS + row as i64 * interval_ms);
    let mut missing: Vec<usize> = (0..host.targets()).collect();
    while !missing.is_empty() {
        let (topic, payload) = client.next().await;
        let Some(name) = topic.strip_prefix("tsm2/plant/forecast/") else {
            continue;
        };
        let got: Value = serde_json::from_slice(&payload).expect("JSON");
        // After a new connection the newest forecast comes again.
        if got["origin"] != origin.as_str() {
            continue;
        }
        let targets = host.bundle.meta().targets();
        let target = targets.iter().position(|variate| variate.name == name).expect("a target");
        host.compare(expected, target, &got);
        missing.retain(|&other| other != target);
    }
}

fn settings(port: u16) -> String {
    format!("stream = plant\nbroker = 10.0.2.2:{port}\n")
}

#[tokio::test]
async fn forecasts_over_mqtt_are_those_of_the_host_through_reset_broker_restart_and_nonsense() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port = free_port();
    let Some(broker) = Mosquitto::start_in(folder.path(), port) else {
        return;
    };
    let mut host = Host::new("etth1");
    let Some(mut guest) = Guest::start(Machine::CortexM4F, &host.blob(), &settings(port)) else {
        return;
    };
    guest.wait_for("mqtt: ready", 1);
    let mut client = TestClient::connect(port, &["tsm2/plant/forecast/+"]).await;
    for row in 0..8 {
        let (payload, expected) = host.row(row);
        client.publish("sensors/plant/telemetry", payload).await;
        receive(&mut client, &host, row, &expected).await;
    }
    for nonsense in [
        "",
        "nonsense",
        "[1, 2]",
        "{\"time\": true}",
        "{\"HUFL\": 1.0}",
        "{\"time\": \"tomorrow\"}",
        "\u{0}\u{1}{",
    ] {
        client.publish("sensors/plant/telemetry", nonsense).await;
    }
    client.publish("sensors/plant/telemetry", "[".repeat(1500)).await;
    client.publish("sensors/plant/telemetry", "x".repeat(60_000)).await;
    let (payload, expected) = host.row(8);
    client.publish("sensors/plant/telemetry", payload).await;
    receive(&mut client, &host, 8, &expected).await;

    // The readings of the time without the station wait at the broker.
    guest.reset();
    for row in 9..12 {
        let (payload, expected) = host.row(row);
        client.publish("sensors/plant/telemetry", payload).await;
        receive(&mut client, &host, row, &expected).await;
    }
    guest.wait_for("started with the state before the reset", 1);

    client.end().await;
    broker.stop();
    let Some(_broker) = Mosquitto::start_in(folder.path(), port) else {
        return;
    };
    let mut client = TestClient::connect(port, &["tsm2/plant/forecast/+"]).await;
    for row in 12..20 {
        let (payload, expected) = host.row(row);
        client.publish("sensors/plant/telemetry", payload).await;
        receive(&mut client, &host, row, &expected).await;
    }
    guest.wait_for("mqtt: ready", 3);
    client.end().await;
    for reason in ["not_an_object", "no_time", "bad_time", "too_deep"] {
        assert!(guest.log().contains(&format!("rejected {reason}")), "{reason}: {}", guest.log());
    }
}

/// The serial line alone, on each board.
fn over_the_serial_line(machine: Machine) {
    let mut host = Host::new("etth1");
    let Some(mut guest) = Guest::start(machine, &host.blob(), "stream = plant\n") else {
        return;
    };
    guest.wait_for("started without a state", 1);
    let mut serial = guest.serial();
    for row in 0..6 {
        if row == 3 {
            serial.send("nonsense");
            assert_eq!(serial.next_line(), "rejected not_an_object");
            serial.send(&"x".repeat(3000));
            assert_eq!(serial.next_line(), "rejected too_large");
            guest.reset();
            guest.wait_for("started with the state before the reset", 1);
        }
        let (payload, expected) = host.row(row);
        serial.send(&payload);
        for target in 0..host.targets() {
            let line = serial.next_line();
            let variate = &host.bundle.meta().targets()[target].name;
            let json = line
                .strip_prefix(&format!("forecast {variate} "))
                .expect("a forecast of the next target");
            host.compare(&expected, target, &serde_json::from_str(json).expect("JSON"));
        }
    }
}

#[test]
fn forecasts_over_the_serial_line_are_those_of_the_host_on_cortex_m4f() {
    over_the_serial_line(Machine::CortexM4F);
}

#[test]
fn forecasts_over_the_serial_line_are_those_of_the_host_on_cortex_m33() {
    over_the_serial_line(Machine::CortexM33);
}

#[test]
fn a_station_that_cannot_start_says_why_and_its_watchdog_resets_it() {
    let mut model = Host::new("etth1").blob();
    model[4] = 99;
    let Some(guest) = Guest::start(Machine::CortexM4F, &model, "stream = plant\n") else {
        return;
    };
    guest.wait_for("# model: the blob has version 99", 2);
    drop(guest);
    let Some(guest) = Guest::start(Machine::CortexM4F, &Host::new("etth1").blob(), "# none\nbroker = here\n") else {
        return;
    };
    guest.wait_for("# settings, line 2: `broker = here` is not an address", 1);
}
