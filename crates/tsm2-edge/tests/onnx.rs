//! ONNX graphs as models of the daemon: the graphs are PyTorch's, from `tests/golden/onnx`.

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

#[cfg(feature = "onnx")]
mod with_the_feature {
    use std::fmt::Write as _;
    use std::process::Command;

    use serde_json::Value;
    use tsm2_edge::config::Prepared;
    use tsm2_edge::observe::Metrics;
    use tsm2_edge::runtime::engine::{Engine, Input, Loaded};
    use tsm2_edge::state::Stored;

    use super::{Config, graph, prepare};

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

    /// Sends a row; returns the forecasts of the time steps that it closed.
    fn send(engine: &mut Engine<'_>, prepared: &Prepared, row: usize, readings: &[Option<f64>]) -> Vec<(i64, Vec<f32>)> {
        let time_ms = START + row as i64 * MINUTE;
        let mut payload = format!("{{\"time\":\"{}\"", tsm2_mqtt::rfc3339(time_ms));
        for (variate, reading) in readings.iter().enumerate() {
            if let Some(reading) = reading {
                let _ = write!(payload, ",\"v{variate}\":{reading}");
            }
        }
        payload.push('}');
        let address = prepared.topics.parse("s/one").unwrap();
        let mut forecasts = Vec::new();
        let input = Input {
            topic: "s/one",
            address: &address,
            payload: payload.as_bytes(),
            retained: false,
            arrival_ms: time_ms,
        };
        engine.take(&input, |step| forecasts.push((step.time_ms, step.mean.to_vec())));
        forecasts
    }

    fn check(name: &str) {
        let (prepared, rows) = (prepared(name), expected(name));
        let mut engine = Engine::new(&prepared, Metrics::new().input);
        let mut met = 0;
        for (row, (readings, _)) in rows.iter().enumerate() {
            for (time_ms, forecast) in send(&mut engine, &prepared, row, readings) {
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
        ["gru", "mamba", "dlinear"].into_iter().for_each(check);
    }

    #[test]
    fn a_graphs_state_outlives_the_process_to_the_bit() {
        for name in ["gru", "mamba", "dlinear"] {
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
