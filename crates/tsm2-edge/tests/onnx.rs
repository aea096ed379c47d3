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
        let rest = format!(
            "broker.host = '127.0.0.1'\nbroker.port = {}\ninput.time_field = 'time'\nstate.path = 'state'\nhttp.listen = '127.0.0.1:{port}'\n",
            broker.port(),
        );
        let config = folder.path().join("edge.toml");
        write_config(&config, &graph("mamba.onnx"), &rest);
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

    /// A configuration with this graph, and keys after it.
    fn write_config(file: &Path, graph: &Path, rest: &str) {
        let text = format!(
            "model.bundle = '{}'\nmodel.engine = 'onnx'\ninput.topic = 's/{{stream}}'\n{rest}",
            graph.display()
        );
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn a_wrong_graph_is_one_line_and_a_sound_one_none() {
        let folder = tempfile::tempdir().unwrap();
        let [config, cut] = ["edge.toml", "cut.onnx"].map(|name| folder.path().join(name));
        let validated = |graph: &Path| {
            write_config(&config, graph, "");
            let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
            command.arg("validate").arg(&config).output().unwrap()
        };
        assert!(validated(&graph("gru.onnx")).status.success());
        let bytes = std::fs::read(graph("gru.onnx")).unwrap();
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        let output = validated(&cut);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            error.starts_with("Error: model.bundle: ") && error.contains("cut.onnx: not an ONNX file"),
            "{error}"
        );
    }

    /// The process that this one started, once there is one.
    #[cfg(target_os = "linux")]
    fn started_by(parent: u32) -> rustix::process::Pid {
        loop {
            let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
            if let Some(child) = children.split_whitespace().next() {
                return rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_graph_that_ends_the_program_by_a_signal_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("edge.toml");
        write_config(&config, &graph("slow.onnx"), "");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
        let validate = command.arg("validate").arg(&config).stderr(Stdio::piped()).spawn().unwrap();
        rustix::process::kill_process(started_by(validate.id()), rustix::process::Signal::KILL).unwrap();
        let output = validate.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            error.contains("slow.onnx: the graph ends the program that runs it (signal: 9"),
            "{error}"
        );
    }

    /// What `validate` says of the sound graph under this name, in a folder of this name, where `limits` ran before it in a shell.
    #[cfg(target_os = "linux")]
    fn validated_in(folder: &std::ffi::OsStr, name: &str, limits: &str) -> std::process::Output {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(graph("gru.onnx"), folder.join(name)).unwrap();
        write_config(&folder.join("edge.toml"), Path::new(name), "");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{limits} exec \"$0\" validate edge.toml"));
        command.arg(env!("CARGO_BIN_EXE_tsm2-edge")).current_dir(&folder).output().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_graph_is_tried_whatever_its_name_and_folder() {
        use std::os::unix::ffi::OsStrExt;
        for (folder, name) in [(&b"\xff"[..], "gru.onnx"), (b"plain", "-h"), (b"a b", "--version.onnx")] {
            let output = validated_in(std::ffi::OsStr::from_bytes(folder), name, "");
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_trial_without_memory_did_not_say_so() {
        let mut failed = 0;
        for megabytes in (20..320).rev().step_by(10) {
            let output = validated_in("plain".as_ref(), "gru.onnx", &format!("ulimit -v {megabytes}000;"));
            let error = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => continue,
                Some(1) => failed += 1,
                // There is no room for the program itself.
                _ => break,
            }
            assert_eq!(error.lines().count(), 1, "{megabytes} MB: {error}");
            let is_said = ["unavailable", "memory allocation"].iter().any(|words| error.contains(words));
            assert!(is_said, "{megabytes} MB: {error}");
        }
        assert!(failed > 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_trial_is_the_first_to_go_where_memory_ends() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
        command.arg("try-graph").arg(graph("slow.onnx")).arg("60").stdin(Stdio::piped());
        let mut trial = Daemon(command.spawn().unwrap());
        let score = || std::fs::read_to_string(format!("/proc/{}/oom_score_adj", trial.0.id())).unwrap();
        while score().trim() != "1000" {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(trial.0.stdin.take());
        assert_eq!(trial.0.wait().unwrap().code(), Some(3), "it ends with the one that started it");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_whose_program_was_replaced_still_tries_a_graph() {
        let Some(broker) = Mosquitto::start() else { return };
        let folder = tempfile::tempdir().unwrap();
        let [config, program] = ["edge.toml", "tsm2-edge"].map(|name| folder.path().join(name));
        let rest = format!(
            "broker.host = '127.0.0.1'\nbroker.port = {}\ninput.time_field = 'time'\n",
            broker.port()
        );
        write_config(&config, &graph("gru.onnx"), &rest);
        std::fs::copy(env!("CARGO_BIN_EXE_tsm2-edge"), &program).unwrap();
        let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
        let mut command = Command::new(&program);
        let daemon = Daemon(command.arg("run").arg(&config).stdout(Stdio::null()).spawn().unwrap());
        client.wait_for("tsm2/status", "online").await;

        std::fs::remove_file(&program).unwrap();
        std::fs::write(&program, "the next version").unwrap();
        write_config(&config, &graph("mamba.onnx"), &rest);
        let pid = rustix::process::Pid::from_child(&daemon.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        let readings = [20.0, -5.0, 0.25].map(Some);
        for row in 0.. {
            client.publish("s/one", payload(row, &readings)).await;
            if row > 0 && client.forecast().await.payload["model"] == "mamba" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[test]
    fn a_graph_that_takes_hours_ends_with_the_time_of_its_trial() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
        command.arg("try-graph").arg(graph("slow.onnx")).arg("1");
        let mut trial = command.stdin(Stdio::piped()).spawn().unwrap();
        let _open_until_its_end = trial.stdin.take();
        assert_eq!(trial.wait().unwrap().code(), Some(3));
    }

    #[cfg(unix)]
    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_that_reloads_to_a_slow_graph_goes_on_and_ends_when_it_is_told_to() {
        let Some(broker) = Mosquitto::start() else { return };
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("edge.toml");
        let rest = format!(
            "broker.host = '127.0.0.1'\nbroker.port = {}\ninput.time_field = 'time'\n",
            broker.port()
        );
        write_config(&config, &graph("gru.onnx"), &rest);
        let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
        let mut daemon = Daemon::start(&config);
        client.wait_for("tsm2/status", "online").await;
        let pid = rustix::process::Pid::from_child(&daemon.0);
        let signal = |signal| rustix::process::kill_process(pid, signal).unwrap();

        write_config(&config, &graph("slow.onnx"), &rest);
        signal(rustix::process::Signal::HUP);
        // While the graph is tried, forecasts go on.
        let readings = [20.0, -5.0, 0.25].map(Some);
        for row in 0..3 {
            client.publish("s/one", payload(row, &readings)).await;
        }
        client.forecast().await;
        signal(rustix::process::Signal::TERM);
        let ended = tokio::task::spawn_blocking(move || daemon.0.wait().unwrap());
        let ended = tokio::time::timeout(Duration::from_secs(40), ended).await;
        assert!(ended.expect("the end waits for no trial").unwrap().success());
    }

    #[test]
    fn another_graph_does_not_take_the_state_of_this_one() {
        assert_ne!(prepared("gru").fingerprint, prepared("mamba").fingerprint);
    }

    /// The first block of this language on the how-to's page whose text has these words.
    fn block(language: &str, words: &str) -> String {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to/run-an-onnx-model.md");
        let page = std::fs::read_to_string(page).unwrap();
        let blocks = page.split("```").skip(1).step_by(2);
        let mut blocks = blocks
            .filter_map(|block| block.strip_prefix(language))
            .filter(|block| block.contains(words));
        let lines = blocks.next().expect(words).trim().lines();
        lines.map(|line| format!("{}\n", line.trim())).collect()
    }

    /// The page's commands from the configuration on, with a model with states and one on a window.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_how_to_runs() {
        for name in ["gru", "patchtst"] {
            // A broker of its own: the session of the daemon before would hand over what that one had not acknowledged.
            let Some(broker) = Mosquitto::start() else { return };
            let folder = tempfile::tempdir().unwrap();
            let file = |name: &str| folder.path().join(name);
            let mut recording = String::from("time,v0,v1,v2\n");
            for (row, (readings, _)) in expected(name).iter().enumerate() {
                let cell = |reading: &Option<f64>| reading.map_or(String::new(), |reading| reading.to_string());
                let cells: Vec<String> = readings.iter().map(cell).collect();
                let _ = writeln!(recording, "{},{}", tsm2_mqtt::rfc3339(START + row as i64 * MINUTE), cells.join(","));
            }
            std::fs::write(file("building.csv"), recording).unwrap();
            std::fs::copy(graph(&format!("{name}.onnx")), file("gru.onnx")).unwrap();
            let host = "host = \"localhost\"";
            let config = block("toml", host).replace(host, &format!("host = \"127.0.0.1\"\nport = {}", broker.port()));
            std::fs::write(file("tsm2-edge.toml"), config).unwrap();
            let program = |line: &str| {
                let arguments = line.strip_prefix("tsm2-edge ").expect(line).split_whitespace();
                let mut program = Command::new(env!("CARGO_BIN_EXE_tsm2-edge"));
                program.args(arguments).current_dir(folder.path());
                program
            };
            let printed = |line: &str| {
                let output = program(line).output().unwrap();
                assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8_lossy(&output.stdout).into_owned()
            };
            let checks: Vec<String> = block("sh", "backtest").lines().map(printed).collect();
            assert!(checks[0].contains("is valid") && checks[1].contains("MAE"), "{checks:?}");

            let mut client = TestClient::connect(broker.port(), &["tsm2/#"]).await;
            let mut daemon = program(block("sh", "tsm2-edge run").trim());
            let _daemon = Daemon(daemon.stdout(Stdio::null()).spawn().unwrap());
            client.wait_for("tsm2/status", "online").await;
            let replay = block("sh", "replay");
            let sent = tokio::task::block_in_place(|| printed(replay.trim()));
            let mut seen = std::collections::BTreeSet::new();
            while seen.len() < 3 {
                seen.insert(client.forecast().await.topic);
            }
            assert!(seen.iter().all(|topic| topic.contains("/forecast/v")), "{seen:?} {sent}");
        }
    }
}
