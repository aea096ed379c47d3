//! ONNX graphs as models of the daemon: the graphs are of public libraries, from `tests/golden/onnx`.

use std::path::{Path, PathBuf};

use tsm2_edge::config::{Config, prepare};

fn graph(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx").join(name)
}

#[cfg(not(feature = "onnx"))]
#[test]
fn without_the_feature_a_graph_is_refused_by_name() {
    let error = prepare(&Config::new(graph("gru.onnx"), "s/{stream}")).unwrap_err().to_string();
    assert!(
        error.starts_with("model.bundle: an ONNX graph, and this program was built without the feature `onnx`"),
        "{error}"
    );
}

#[test]
fn the_key_engine_says_what_the_file_is() {
    let error = |engine: &str, file: &str| {
        let text = format!(
            "model.bundle = '{}'\nmodel.engine = '{engine}'\ninput.topic = 's/{{stream}}'\n",
            graph(file).display()
        );
        let config = Config::parse(&text, Path::new("edge.toml"), []);
        config.map(|config| prepare(&config).map(|_| ()).map_err(|error| error.to_string()))
    };
    let unknown = error("tract", "gru.onnx").unwrap_err().to_string();
    assert!(
        unknown.contains("model.engine") && unknown.contains("`native` or `onnx`"),
        "{unknown}"
    );
    let no_bundle = error("native", "gru.onnx").unwrap().unwrap_err();
    assert!(
        no_bundle.starts_with("model.bundle: ") && no_bundle.contains("gru.onnx"),
        "{no_bundle}"
    );
    let no_graph = error("onnx", "../../../models/etth1/model.safetensors").unwrap().unwrap_err();
    let wanted = if cfg!(feature = "onnx") {
        "not an ONNX file"
    } else {
        "built without the feature `onnx`"
    };
    assert!(no_graph.starts_with("model.bundle: ") && no_graph.contains(wanted), "{no_graph}");
    let mut config = Config::new("", "s/{stream}");
    config.model.engine = Some(tsm2_edge::config::Engine::Onnx);
    assert_eq!(
        prepare(&config).unwrap_err().to_string(),
        "model.engine: set model.bundle, too, or remove this key"
    );
}

#[test]
fn backtest_names_the_file_of_its_option_and_no_key() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
    let output = command
        .args(["backtest", "--model", "absent.onnx", "--data", "absent.csv"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && error.contains("--model: ") && !error.contains("model.bundle"),
        "{error}"
    );
}

#[cfg(feature = "onnx")]
mod with_the_feature {
    use std::collections::HashMap;
    use std::fmt::Write as _;
    use std::io::{Read, Write as _};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use serde_json::Value;
    use tsm2_edge::config::Prepared;
    use tsm2_edge::observe::Metrics;
    use tsm2_edge::runtime::engine::{Engine, Input, Loaded};
    use tsm2_edge::state::Stored;
    use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
    use tsm2_mqtt_testkit::test_client::{TestClient, numbers};

    use super::{Config, Path, graph, prepare};

    const MINUTE: i64 = 60_000;
    /// 2026-03-01.
    const START: i64 = 1_772_323_200_000;

    /// Readings, where there are some, and PyTorch's forecasts.
    fn expected(name: &str) -> Vec<(Vec<Option<f64>>, Vec<f32>)> {
        let file: Value = serde_json::from_slice(&std::fs::read(graph(&format!("{name}.json"))).unwrap()).unwrap();
        let rows = |key: &str| file[key].as_array().unwrap().clone();
        let readings = |row: Value| row.as_array().unwrap().iter().map(Value::as_f64).collect();
        let forecast = |row: Value| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        rows("readings")
            .into_iter()
            .map(readings)
            .zip(rows("forecasts").into_iter().map(forecast))
            .collect()
    }

    fn prepared(name: &str) -> Prepared {
        let mut config = Config::new(graph(&format!("{name}.onnx")), "s/{stream}");
        config.input.time_field = Some("time".into());
        prepare(&config).unwrap()
    }

    /// A row as a message.
    fn payload(row: usize, readings: &[Option<f64>]) -> String {
        let time_ms = START + row as i64 * MINUTE;
        let mut payload = format!("{{\"time\":\"{}\"", tsm2_mqtt::rfc3339(time_ms));
        for (variate, reading) in readings.iter().enumerate() {
            if let Some(reading) = reading {
                let _ = write!(payload, ",\"v{variate}\":{reading}");
            }
        }
        payload.push('}');
        payload
    }

    /// Sends a row; returns the forecasts of the time steps that it closed: mean, lower and upper.
    fn send(engine: &mut Engine<'_>, prepared: &Prepared, row: usize, readings: &[Option<f64>]) -> Vec<(i64, [Vec<f32>; 3])> {
        let time_ms = START + row as i64 * MINUTE;
        let payload = payload(row, readings);
        let address = prepared.topics.parse("s/one").unwrap();
        let mut forecasts = Vec::new();
        let input = Input {
            topic: "s/one",
            address: &address,
            payload: payload.as_bytes(),
            retained: false,
            arrival_ms: time_ms,
        };
        engine.take(&input, |step| {
            forecasts.push((step.time_ms, [step.mean, step.lower, step.upper].map(<[f32]>::to_vec)))
        });
        forecasts
    }

    fn check(name: &str) {
        let (prepared, rows) = (prepared(name), expected(name));
        let mut engine = Engine::new(&prepared, Metrics::new().input);
        let mut met = 0;
        for (row, (readings, _)) in rows.iter().enumerate() {
            for (time_ms, [forecast, ..]) in send(&mut engine, &prepared, row, readings) {
                let want = &rows[((time_ms - START) / MINUTE) as usize].1;
                for (got, want) in forecast.iter().zip(want) {
                    assert!((got - want).abs() < 1e-4, "{name} at {time_ms}: {got} {want}");
                }
                met += 1;
            }
        }
        assert!(met > rows.len() - 3, "{met} forecasts");
    }

    #[test]
    fn the_daemon_publishes_what_pytorch_forecasts() {
        ["gru", "mamba", "patchtst"].into_iter().for_each(check);
    }

    #[test]
    fn a_graphs_state_outlives_the_process_to_the_bit() {
        for name in ["gru", "mamba", "patchtst"] {
            let (prepared, rows) = (prepared(name), expected(name));
            let mut whole = Engine::new(&prepared, Metrics::new().input);
            let mut checkpoint = None;
            let mut later = Vec::new();
            for (row, (readings, _)) in rows.iter().enumerate() {
                let forecasts = send(&mut whole, &prepared, row, readings);
                if row == 35 {
                    checkpoint = whole.checkpoint("one");
                } else if row > 35 {
                    later.extend(forecasts);
                }
            }
            let mut resumed = Engine::new(&prepared, Metrics::new().input);
            let stored = Stored {
                checkpoint,
                ..Stored::default()
            };
            assert_eq!(resumed.load("one", &stored, 0, Vec::new, || ()), Loaded::Continued);
            let rest = rows.iter().enumerate().skip(36);
            let again: Vec<_> = rest
                .flat_map(|(row, (readings, _))| send(&mut resumed, &prepared, row, readings))
                .collect();
            assert_eq!(again, later, "{name}");
        }
    }

    /// A daemon that ends with the test, at once.
    struct Daemon(Child);

    impl Daemon {
        fn start(config: &Path) -> Self {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
            Daemon(command.arg("run").arg(config).stdout(Stdio::null()).spawn().unwrap())
        }
    }

    impl Drop for Daemon {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// The page, once the daemon serves it.
    fn page(port: u16, path: &str) -> Option<String> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_with_a_graph_that_is_killed_loses_nothing_and_shows_its_metrics_and_its_page() {
        let Some(broker) = Mosquitto::start() else { return };
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let of = |row: usize| [20.0, -5.0, 0.25].map(|mean| Some(mean + (row as f64 / 5.0).sin())).to_vec();
        let rows: Vec<Vec<Option<f64>>> = (0..60).map(of).collect();
        let text = format!(
            "model.bundle = '{}'\nmodel.engine = 'onnx'\nbroker.host = '127.0.0.1'\nbroker.port = {}\ninput.topic = 's/{{stream}}'\n\
             input.time_field = 'time'\nstate.path = 'state'\nhttp.listen = '127.0.0.1:{port}'\n",
            graph("mamba.onnx").display(),
            broker.port(),
        );
        let config = folder.path().join("edge.toml");
        std::fs::write(&config, text).unwrap();
        // What a daemon without an interruption publishes: of each variate and time, mean, lower and upper.
        let prepared = prepare(&Config::load(&config).unwrap()).unwrap();
        let mut engine = Engine::new(&prepared, Metrics::new().input);
        let mut wanted = HashMap::new();
        for (row, readings) in rows.iter().enumerate() {
            for (time_ms, forecast) in send(&mut engine, &prepared, row, readings) {
                for variate in 0..3 {
                    let steps = forecast[0].len() / 3;
                    let of = forecast.each_ref().map(|numbers| numbers[variate * steps..][..steps].to_vec());
                    wanted.insert((format!("tsm2/one/forecast/v{variate}"), tsm2_mqtt::rfc3339(time_ms)), of);
                }
            }
        }

        let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
        let mut daemon = Daemon::start(&config);
        client.wait_for("tsm2/status", "online").await;
        let sender = TestClient::connect(broker.port(), &[]).await;
        let messages: Vec<String> = rows.iter().enumerate().map(|(row, readings)| payload(row, readings)).collect();
        let sending = tokio::spawn(async move {
            for message in messages {
                sender.publish("s/one", message).await;
            }
        });
        let (mut seen, mut kills) = (HashMap::new(), 0);
        while seen.len() < wanted.len() {
            let forecast = client.forecast().await;
            let of = ["mean", "lower", "upper"].map(|key| numbers(&forecast.payload[key]));
            if let Some(before) = seen.insert((forecast.topic, forecast.origin), of.clone()) {
                assert_eq!(before, of, "a forecast that comes again is the same");
            }
            if seen.len() > 30 * (kills + 1) && kills < 4 {
                drop(daemon);
                daemon = Daemon::start(&config);
                kills += 1;
            }
        }
        sending.await.unwrap();
        assert_eq!((kills, seen), (4, wanted), "means and intervals to the bit");

        let lines = [
            "tsm2_edge_model_info{model=\"mamba\"} 1",
            "tsm2_edge_forecast_mae{",
            "tsm2_edge_interval_coverage_ratio{",
        ];
        let mut metrics = String::new();
        for _ in 0..600 {
            metrics = page(port, "/metrics").unwrap_or_default();
            if lines.iter().all(|line| metrics.contains(line)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        lines.iter().for_each(|line| assert!(metrics.contains(line), "{line}: {metrics}"));
        let page = |path| page(port, path).expect(path);
        assert!(page("/").contains("<html"));
        assert!(page("/api/streams").contains("\"one\""));
        let series = page("/api/series?stream=one&variate=v1");
        assert!(series.contains("\"mean\"") && series.contains("\"lower\""), "{series}");
    }

    #[test]
    fn another_graph_does_not_take_the_state_of_this_one() {
        assert_ne!(prepared("gru").fingerprint, prepared("mamba").fingerprint);
    }

    #[test]
    fn backtest_measures_a_graph_on_a_recording() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.csv");
        let mut text = String::from("time,v0,v1,v2\n");
        for (row, (readings, _)) in expected("gru").iter().enumerate() {
            let cell = |reading: &Option<f64>| reading.map_or(String::new(), |reading| reading.to_string());
            let cells: Vec<String> = readings.iter().map(cell).collect();
            let _ = writeln!(text, "2026-01-01T00:{row:02}:00Z,{}", cells.join(","));
        }
        std::fs::write(&data, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
        let output = command
            .arg("backtest")
            .arg("--model")
            .arg(graph("gru.onnx"))
            .arg("--data")
            .arg(&data)
            .arg("--json")
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report.to_string().contains("\"mae\""), "{report}");
    }
}
