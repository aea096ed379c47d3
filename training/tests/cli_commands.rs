//! What `tsm2 evaluate`, `forecast`, `inspect` print for a model and a recording that are in order.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Folder, arg, bundle, recording, stdout};
use serde::Deserialize;
use tsm2_bundle::Bundle;
use tsm2_train::data::table::Table;

/// Runs `tsm2` with these arguments.
fn tsm2<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> std::process::Output {
    common::run(env!("CARGO_BIN_EXE_tsm2"), arguments)
}

#[derive(Deserialize)]
struct Line {
    row: usize,
    origin: Option<String>,
    forecast: BTreeMap<String, Vec<f32>>,
}

/// The forecast after `rows` rows, straight from the core.
fn stepped(bundle: &Bundle, table: &Table, rows: usize) -> Vec<f32> {
    let model = bundle.model();
    let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    let mut forecast = vec![0.0; 18];
    model.reset(&mut state).unwrap();
    for r in 0..rows {
        let mut token = model.step(&mut state, &mut scratch, table.row(r), table.time_ms(r)).unwrap();
        token.forecast(&mut forecast).unwrap();
    }
    forecast
}

#[test]
fn forecast_is_what_the_core_says_after_those_rows() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(100)), bundle(&folder));
    let printed = stdout(tsm2([
        "forecast",
        "--model",
        arg(&model),
        "--data",
        arg(&data),
        "--at",
        "70,1,100",
        "--json",
    ]));
    let lines: Vec<Line> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line.row).collect::<Vec<_>>(), [70, 1, 100]);
    let (bundle, table) = (Bundle::open(&model).unwrap(), Table::read(&data).unwrap());
    for line in &lines {
        let expected = stepped(&bundle, &table, line.row);
        for (name, expected) in ["a", "b", "c"].iter().zip(expected.chunks(6)) {
            assert_eq!(line.forecast[*name], expected, "row {} variate {name}", line.row);
        }
    }
    // The time of the last row that was seen: row 69 of one a minute.
    assert_eq!(lines[0].origin.as_deref(), Some("2024-01-01T01:09:00Z"));
    let table = stdout(tsm2(["forecast", "--model", arg(&model), "--data", arg(&data), "--at", "70"]));
    assert!(
        table.contains("origin 2024-01-01T01:09:00Z") && table.contains("2024-01-01T01:15:00Z"),
        "{table}"
    );
}

#[test]
fn order_and_number_of_columns_do_not_matter_nor_do_times() {
    let folder = Folder::new();
    let model = bundle(&folder);
    let plain = folder.file("plain.csv", recording(40));
    let shuffled: String = recording(40)
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|cells| {
            format!("{};{};7;{}\n", cells[3], cells[1], cells[2]).replacen(";7;", if cells[0] == "time" { ";x;" } else { ";7;" }, 1)
        })
        .collect();
    let shuffled = folder.file("shuffled.csv", shuffled);
    let run = |data| tsm2(["forecast", "--model", arg(&model), "--data", arg(data), "--at", "40", "--json"]);
    let output = run(&shuffled);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("x ("),
        "the column left out is named"
    );
    let (one, other): (Line, Line) = (
        serde_json::from_str(&stdout(run(&plain))).unwrap(),
        serde_json::from_str(&stdout(output)).unwrap(),
    );
    assert_eq!(one.forecast, other.forecast);
    assert_eq!(other.origin, None);
}

#[test]
fn evaluate_scores_every_origin_as_if_by_hand() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let run = |protocol| {
        let arguments = [
            "evaluate",
            "--model",
            arg(&model),
            "--data",
            arg(&data),
            "--horizons",
            "1,6",
            "--json",
            "--protocol",
            protocol,
        ];
        serde_json::from_str::<serde_json::Value>(&stdout(tsm2(arguments))).unwrap()
    };
    let report = run("carried");
    assert_eq!(report["protocol"], "carried");
    assert_eq!(
        (&report["results"][0]["origins"], &report["results"][1]["origins"]),
        (&200.into(), &195.into())
    );
    for name in ["naive", "seasonal_naive", "linear", "linear_all"] {
        assert_eq!(report["baselines"][name][1]["origins"], 195, "{name}");
    }
    // The wave has a season, so repeating it beats repeating the last reading, and the linear model is near perfect.
    let mse = |name: &str, i: usize| report["baselines"][name][i]["mse"].as_f64().unwrap();
    assert!(
        mse("seasonal_naive", 1) < 0.1 * mse("naive", 1) && mse("linear", 0) < 0.05,
        "{report}"
    );

    let (bundle, table) = (Bundle::open(&model).unwrap(), Table::read(&data).unwrap());
    let (mut squared, mut absolute, mut count) = (0.0, 0.0, 0.0);
    for origin in 800..=994 {
        let forecast = stepped(&bundle, &table, origin);
        for (m, variate) in bundle.meta().variates.iter().enumerate() {
            for step in 0..6 {
                let error = f64::from((forecast[6 * m + step] - table.row(origin + step)[m]) / variate.std);
                if !error.is_nan() {
                    squared += error * error;
                    absolute += error.abs();
                    count += 1.0;
                }
            }
        }
    }
    let near = |key: &str, expected: f64| {
        let found = report["results"][1][key].as_f64().unwrap();
        assert!((found / expected - 1.0).abs() < 1e-4, "{key} {found} where {expected} is right");
    };
    near("mse", squared / count);
    near("mae", absolute / count);

    // A state that starts 512 rows back has forgotten nearly all of what went before.
    let reset = run("reset");
    assert_eq!(reset["protocol"], "reset");
    assert_eq!(reset["results"][1]["origins"], 195);
    let (one, other) = (
        reset["results"][1]["mse"].as_f64().unwrap(),
        report["results"][1]["mse"].as_f64().unwrap(),
    );
    assert!((one / other - 1.0).abs() < 0.05, "{one} {other}");
    assert_eq!(reset["baselines"], report["baselines"]);
}

#[test]
fn evaluate_ends_with_a_summary() {
    let folder = Folder::new();
    let (data, model) = (folder.file("data.csv", recording(1000)), bundle(&folder));
    let output = tsm2(["evaluate", "--model", arg(&model), "--data", arg(&data), "--split", "0.6,0.2,0.2"]);
    let printed = stdout(output);
    assert!(printed.contains("rows 800..1000"), "{printed}");
    assert!(
        printed.contains("A baseline is better than the model at every horizon"),
        "{printed}"
    );
}

#[test]
fn describe_shows_how_a_recording_is_read() {
    let folder = Folder::new();
    let data = folder.file("data.csv", recording(200));
    let printed = stdout(tsm2(["describe", arg(&data)]));
    assert!(
        printed.contains("data.csv") && printed.lines().any(|line| line.trim_start().starts_with("b ")),
        "{printed}"
    );
    let report: serde_json::Value = serde_json::from_str(&stdout(tsm2(["describe", arg(&data), "--json"]))).unwrap();
    assert_eq!(
        (&report["interval_s"], &report["variates"][1]["missing"]),
        (&60.0.into(), &2.into())
    );
    // The options of the reader.
    let coarse = [
        "describe",
        arg(&data),
        "--interval",
        "10m",
        "--aggregate",
        "mean,a:max",
        "--columns",
        "c,a",
        "--json",
    ];
    let report: serde_json::Value = serde_json::from_str(&stdout(tsm2(coarse))).unwrap();
    assert_eq!(
        (&report["interval_s"], &report["variates"][0]["name"]),
        (&600.0.into(), &"c".into())
    );
}

#[test]
fn evaluate_measures_the_neural_baselines_beside_the_model() {
    let folder = Folder::new();
    let (data, out) = (folder.file("data.csv", recording(400)), folder.path("out"));
    let printed = stdout(tsm2(brief(&data, &out)));
    assert!(
        printed.contains("validation part, rows 280..320") && printed.contains("tsm2 evaluate"),
        "{printed}"
    );
    let (model, gru) = (out.join("model.safetensors"), out.join("gru.safetensors"));
    let evaluate = |more: &[&str]| {
        let arguments = ["evaluate", "--model", arg(&model), "--data", arg(&data), "--json"];
        let output = tsm2(arguments.iter().chain(more));
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        (serde_json::from_str::<serde_json::Value>(&stdout(output)).unwrap(), notes)
    };
    let (report, notes) = evaluate(&["--horizons", "1,3"]);
    assert!(!notes.contains("gru"), "{notes}");
    let test_origins = &report["results"][1]["origins"];
    for name in ["gru", "mlp"] {
        assert_eq!(&report["baselines"][name][1]["origins"], test_origins, "{report}");
    }
    // Baselines of a model of another horizon.
    let other = folder.path("other");
    stdout(tsm2([
        "train",
        "--data",
        arg(&data),
        "--horizon",
        "5",
        "--updates",
        "4",
        "--out",
        arg(&other),
    ]));
    std::fs::copy(other.join("gru.safetensors"), &gru).unwrap();
    let (report, notes) = evaluate(&[]);
    assert!(
        report["baselines"]["gru"].is_null() && notes.contains("gru.safetensors: of another model"),
        "{notes}"
    );
    std::fs::write(&gru, "nothing").unwrap();
    assert!(evaluate(&[]).1.contains("gru.safetensors"));
    std::fs::remove_file(&gru).unwrap();
    assert!(evaluate(&[]).1.contains("not found"));
}

#[test]
fn progress_in_a_pipe_is_silent_unless_it_is_asked_for() {
    let folder = Folder::new();
    let (data, out) = (folder.file("data.csv", recording(400)), folder.path("out"));
    let told = |more: &[&str]| {
        let output = tsm2(brief(&data, &out).iter().chain(more));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // What was decided is a result, and is there in any case.
    let silent = told(&[]);
    assert!(silent.contains("linear part: ") && !silent.contains("..."), "{silent}");
    let asked = told(&["--progress"]);
    for task in ["reading the recording", "linear part, candidates", "tsm2"] {
        assert!(asked.contains(&format!("{task} ...\n")), "{task}: {asked}");
    }
    assert!(!asked.contains(['\r', '\x1b']), "plain lines: {asked:?}");
}

#[test]
fn an_interrupt_ends_with_a_complete_model() {
    let folder = Folder::new();
    let (data, out) = (folder.file("data.csv", recording(2000)), folder.path("out"));
    let arguments = [
        "train",
        "--data",
        arg(&data),
        "--horizon",
        "4",
        "--budget",
        "10m",
        "--progress",
        "--out",
        arg(&out),
    ];
    let mut training = std::process::Command::new(env!("CARGO_BIN_EXE_tsm2"))
        .args(arguments)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let told = std::io::BufReader::new(training.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(told).map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("tsm2")), "the training begins");
    let id = training.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(lines.any(|line| line.contains("ended early")), "the interrupt is said");
    assert!(training.wait().unwrap().success());
    Bundle::open(&out.join("model.safetensors")).unwrap();
}

#[test]
fn inspect_tells_sizes_and_provenance() {
    let folder = Folder::new();
    let path = bundle(&folder);
    let opened = Bundle::open(&path).unwrap();
    let object: serde_json::Value = serde_json::from_str(&stdout(tsm2(["inspect", arg(&path), "--json"]))).unwrap();
    assert_eq!(object["file_bytes"], std::fs::metadata(&path).unwrap().len());
    assert_eq!(object["parameters"], opened.weights().len());
    assert_eq!(object["state_bytes"], 4 * opened.model().state_len());
    assert!(object["operations"]["step"].as_u64().unwrap() > 1_000);
    assert_eq!(object["metadata"]["provenance"]["split"], serde_json::json!([600, 200, 200]));
    // The same model as 8-bit integers has as many.
    let int8 = folder.path("int8.safetensors");
    opened.to_int8().unwrap().write(&int8).unwrap();
    let of_int8: serde_json::Value = serde_json::from_str(&stdout(tsm2(["inspect", arg(&int8), "--json"]))).unwrap();
    assert_eq!(of_int8["parameters"], object["parameters"]);
    let printed = stdout(tsm2(["inspect", arg(&path)]));
    for part in [
        "small",
        "60 s",
        "3 targets, 6 steps",
        "recording.csv",
        "none was needed",
        "validation_mse",
        "0.25",
        "103",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
}

#[test]
fn every_command_knows_what_is_only_read() {
    let folder = Folder::new();
    let (data, out) = (folder.file("data.csv", recording(600)), folder.path("out"));
    let train = |more: &[&str]| {
        let fixed = [
            "train",
            "--data",
            arg(&data),
            "--out",
            arg(&out),
            "--horizon",
            "4",
            "--updates",
            "2",
        ];
        tsm2(fixed.iter().chain(more))
    };
    stdout(train(&["--past-covariates", "a"]));
    let model = out.join("model.safetensors");
    let inspected = stdout(tsm2(["inspect", arg(&model)]));
    assert!(
        inspected.contains("2 targets, 4 steps") && inspected.contains("past covariates    a"),
        "{inspected}"
    );

    let forecast = ["forecast", "--model", arg(&model), "--data", arg(&data), "--at", "300"];
    let line: serde_json::Value = serde_json::from_str(&stdout(tsm2(forecast.iter().chain(&["--json"])))).unwrap();
    let lengths = line["forecast"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, steps)| (name.as_str(), steps.as_array().unwrap().len()));
    assert_eq!(lengths.collect::<Vec<_>>(), [("b", 4), ("c", 4)]);
    let printed = stdout(tsm2(forecast));
    let header: Vec<&str> = printed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(header, ["row", "time", "b", "c"]);

    let evaluate = ["evaluate", "--model", arg(&model), "--data", arg(&data), "--json"];
    let evaluated: serde_json::Value = serde_json::from_str(&stdout(tsm2(evaluate))).unwrap();
    let metrics = Bundle::open(&model).unwrap().meta().provenance.metrics.clone();
    assert!(
        metrics.contains_key("validation_mse_4") && !metrics.contains_key("test_mse_4"),
        "{metrics:?}"
    );
    assert_eq!(evaluated["results"][0]["horizon"], 4);

    let resumed = train(&["--past-covariates", "a", "--resume"]);
    assert!(resumed.status.success(), "{resumed:?}");
    for roles in [
        &["--past-covariates", "b"][..],
        &["--future-covariates", "a"],
        &["--past-covariates", "a", "--no-calendar"],
    ] {
        let other = train(&[roles, &["--resume"]].concat());
        let said = String::from_utf8(other.stderr).unwrap();
        assert!(said.contains("belongs to another training"), "{said}");
    }
}

/// A training of four updates for four rows ahead.
fn brief<'a>(data: &'a Path, out: &'a Path) -> [&'a str; 9] {
    ["train", "--data", arg(data), "--horizon", "4", "--updates", "4", "--out", arg(out)]
}

#[test]
fn future_covariates_go_from_training_into_the_model() {
    let folder = Folder::new();
    let (data, out) = (folder.file("data.csv", recording(400)), folder.path("out"));
    let args = brief(&data, &out);
    stdout(tsm2(args.iter().chain(&["--past-covariates", "b", "--future-covariates", "a"])));
    let model = out.join("model.safetensors");
    let bundle = Bundle::open(&model).unwrap();
    let names: Vec<&str> = bundle.meta().variates.iter().map(|variate| variate.name.as_str()).collect();
    assert_eq!(names, ["c", "b", "a"]);
    assert_eq!(
        (bundle.meta().config.past_covariates, bundle.meta().config.future_covariates),
        (1, 1)
    );
    let evaluate = ["evaluate", "--model", arg(&model), "--data", arg(&data), "--json"];
    let evaluated: serde_json::Value = serde_json::from_str(&stdout(tsm2(evaluate))).unwrap();
    assert!(evaluated["baselines"]["gru"].is_array(), "its baselines know the same: {evaluated}");
}

#[test]
fn a_model_of_local_times_reads_the_local_clock_and_names_its_zone() {
    let folder = Folder::new();
    // Three weeks of hours before the autumn change of 2026 in Berlin, and a week after it.
    let first = "2026-10-04T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
    let rows = (0..672).map(|hour| {
        let time = jiff::Timestamp::from_second(first + 3600 * hour).unwrap();
        format!("{time},{}\n", (hour * 37) % 11)
    });
    let data = folder.file("data.csv", format!("time,a\n{}", rows.collect::<String>()));
    let zones = [(vec!["--time-zone", "Europe/Berlin"], Some("Europe/Berlin")), (vec![], None)];
    let [berlin, utc] = zones.map(|(options, zone)| {
        let out = folder.path(zone.unwrap_or("utc").rsplit('/').next().unwrap());
        let data_and_options = ["--split", "500,80,92", "--no-baselines"];
        stdout(tsm2(brief(&data, &out).iter().chain(&data_and_options).chain(&options)));
        let model = out.join("model.safetensors");
        let bundle = Bundle::open(&model).unwrap();
        assert!(bundle.meta().config.linear_head.calendar);
        assert_eq!(bundle.meta().time_zone.as_deref(), zone);
        let inspected = stdout(tsm2(["inspect", arg(&model)]));
        let calendar = format!("time of day and day of the week, {}", zone.unwrap_or("UTC"));
        assert!(inspected.contains(&calendar), "{inspected}");
        // The zone is the model's: it is not given again.
        let forecast = ["forecast", "--model", arg(&model), "--data", arg(&data), "--at", "672", "--json"];
        stdout(tsm2(forecast))
    });
    assert_ne!(berlin, utc);
}

#[test]
fn static_covariates_are_used_and_belong_to_the_training() {
    let folder = Folder::new();
    let (data, out) = (folder.file("data.csv", recording(400)), folder.path("out"));
    let sensors = folder.file("sensors.csv", "name,kind,floor\na,tank,1\nb,tank,2\nc,pump,2\n");
    let train = |more: &[&str]| {
        let args = [&brief(&data, &out)[..], &["--no-baselines"]].concat();
        tsm2(args.iter().chain(&["--static-covariates", arg(&sensors)]).chain(more))
    };
    stdout(train(&[]));
    let bundle = Bundle::open(&out.join("model.safetensors")).unwrap();
    let said = "static covariates: kind=pump, kind=tank, floor";
    assert!(bundle.meta().provenance.decisions.iter().any(|decision| decision == said));
    stdout(train(&["--resume"]));
    std::fs::write(&sensors, "name,floor\na,1\nb,2\nc,2\n").unwrap();
    let other = String::from_utf8(train(&["--resume"]).stderr).unwrap();
    assert!(other.contains("belongs to another training"), "{other}");
}

#[test]
fn the_calendar_is_seen_where_it_helps() {
    let folder = Folder::new();
    // Four times as much noise as day, in variance: what comes at this hour is told from the hour better than from the days before.
    let mut random = 1_u32;
    let mut reading = |hour: i64| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (hour as f64 * std::f64::consts::TAU / 24.0).sin() + 2.45 * (f64::from(random >> 8) / f64::from(1 << 23) - 1.0)
    };
    let mut line = |hour| format!("{},{:.3}\n", 1_772_000_000 / 86_400 * 86_400 + hour * 3600, reading(hour));
    let text: String = std::iter::once("time,a\n".to_owned())
        .chain((0..480).map(|row| line(3 * row)))
        .collect();
    let data = folder.file("days.csv", &text);
    let trained = |more: &[&str]| {
        let out = folder.path("out");
        let args = [&brief(&data, &out)[..], &["--no-baselines"]].concat();
        stdout(tsm2(args.iter().chain(more)));
        Bundle::open(&out.join("model.safetensors")).unwrap().meta().clone()
    };
    let (seen, kept_away) = (trained(&[]), trained(&["--no-calendar"]));
    assert!(
        seen.config.linear_head.calendar && !kept_away.config.linear_head.calendar,
        "{:?}",
        seen.provenance.decisions
    );
    let mse = |meta: &tsm2_bundle::Metadata| meta.provenance.metrics["validation_mse_4"];
    assert!(mse(&seen) < 0.98 * mse(&kept_away), "{} {}", mse(&seen), mse(&kept_away));
    // Of a training part of ten days nobody knows a week.
    let short: String = text.lines().take(110).map(|line| format!("{line}\n")).collect();
    std::fs::write(&data, short).unwrap();
    assert!(!trained(&[]).config.linear_head.calendar);
}

#[test]
fn help_is_there_for_every_command() {
    for command in ["train", "evaluate", "forecast", "inspect", "describe"] {
        let help = stdout(tsm2([command, "--help"]));
        assert!(help.contains("Example") && help.contains("--json"), "{help}");
    }
    let help = stdout(tsm2(["train", "--help"]));
    assert!(help.contains("Two threads") && !help.contains("All cores"), "{help}");
    assert_eq!(tsm2(["frobnicate"]).status.code(), Some(2));
}

#[test]
fn export_writes_an_onnx_graph_that_names_its_variates() {
    let folder = Folder::new();
    let model = bundle(&folder);
    let graph = model.with_extension("onnx");
    let printed = stdout(tsm2(["export", arg(&model), "--onnx", arg(&graph)]));
    assert!(printed.contains("operators (opset 17)"), "{printed}");
    let interface = tsm2_onnx::Interface::read(&std::fs::read(&graph).unwrap()).unwrap();
    let names: Vec<&str> = interface.metadata.variates.iter().map(|variate| variate.name.as_str()).collect();
    assert_eq!((names, interface.metadata.horizon), (vec!["a", "b", "c"], Some(6)));
    let error = tsm2(["export", arg(&model)]);
    assert!(
        String::from_utf8_lossy(&error.stderr).contains("--firmware"),
        "one of both files is required"
    );
}

#[test]
fn names_that_are_no_text_panicked_after_the_work() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::new();
    let data = folder.file("data.csv", recording(400));
    let [odd, out, flash] = [&b"data\xff.csv"[..], b"out\xff", b"flash\xff.bin"].map(|name| data.with_file_name(OsStr::from_bytes(name)));
    std::fs::rename(&data, &odd).unwrap();
    let train = [OsStr::new("train"), "--data".as_ref(), odd.as_ref(), "--out".as_ref(), out.as_ref()];
    stdout(tsm2(
        train
            .into_iter()
            .chain(["--horizon", "4", "--updates", "4", "--no-baselines"].map(OsStr::new)),
    ));
    let model = out.join("model.safetensors");
    stdout(tsm2([OsStr::new("export"), model.as_ref(), "--firmware".as_ref(), flash.as_ref()]));
    assert!(flash.exists());
}
