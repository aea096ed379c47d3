//! Intervals hold what they promise on real data, and `tsm2-edge backtest`, which says so, judges every forecast.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;
use tsm2_bundle::Bundle;
use tsm2_data::Recording;
use tsm2_e2e::recording::{evaluated, open, recording};
use tsm2_e2e::{bundle, data, process};
use tsm2_edge::cli::evaluation::{Evaluation, StepErrors};
use tsm2_edge::config::{Aggregate, Input};

const MINUTE_MS: i64 = 60_000;

fn model(name: &str) -> Bundle {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{name}/model.safetensors"));
    Bundle::open(&path).unwrap()
}

#[track_caller]
fn assert_covered(outcome: &Evaluation) {
    for line in (1..=outcome.horizon).map(|step| outcome.all(step).unwrap()) {
        assert!((0.88..=0.92).contains(&line.coverage), "{line:?}");
    }
}

#[test]
fn nine_of_ten_readings_of_etth1_are_covered_at_every_lead() {
    let Some(csv) = data::file("ETTh1.csv") else { return };
    // The model has seen no row from here on.
    assert_covered(&evaluated(&model("etth1"), &open(&csv), 11_520..usize::MAX, &Input::default()));
}

#[test]
fn forecasts_of_the_cards_rows_have_its_errors_and_are_covered() {
    let Some(csv) = data::file("ETTh1.csv") else { return };
    let outcome = evaluated(&model("etth1"), &open(&csv), 11_520..14_400, &Input::default());
    assert_covered(&outcome);
    let lines: Vec<StepErrors> = (1..=96).map(|step| outcome.all(step).unwrap()).collect();
    // The card counts the forecast made at the row before the first as well, and only origins that have all 96 rows.
    let mse = lines.iter().map(|line| line.model.mse).sum::<f64>() / 96.0;
    assert!((mse - 0.3552).abs() < 0.005, "{mse}");
    assert_eq!((lines[0].n, lines[95].n), (7 * 2879, 7 * 2784));
}

/// Rows of two variates, a minute apart, with a gap to bridge, a silence that restarts the stream, and readings missing.
fn gaps() -> Recording {
    let minutes = (0..40).chain(45..90).chain(200..260);
    let value = |minute: i64, step: i64| match minute % step == 3 {
        true => f32::NAN,
        false => ((minute * step) % 17) as f32,
    };
    recording(
        &["b", "a"],
        minutes.map(|minute| (minute * MINUTE_MS, [7, 13].map(|step| value(minute, step)).to_vec())),
    )
}

#[test]
fn every_forecast_is_judged_at_every_lead_across_gaps_and_restarts() {
    const HORIZON: usize = 5;
    let folder = tempdir().unwrap();
    let bundle = Bundle::open(&bundle::random(
        folder.path(),
        "random",
        &["a", "b"],
        HORIZON,
        Some(MINUTE_MS as u64),
    ))
    .unwrap();
    let (recording, mut input) = (gaps(), Input::default());
    input.max_gap = 10;
    let outcome = evaluated(&bundle, &recording, 0..usize::MAX, &input);
    assert_eq!(outcome.time_steps, 90 + 60);
    let series = &recording.series[0];
    // The two unbroken streams, row by row, in the model's order of variates.
    let reading = |minute: i64, variate: usize| {
        let row = series.times_ms.iter().position(|&time_ms| time_ms == minute * MINUTE_MS);
        row.map_or(f32::NAN, |row| series.row(row, 2)[1 - variate])
    };
    let mut sums = [[(0_u64, 0.0_f64, 0.0_f64); HORIZON]; 2];
    for minutes in [0..90, 200..260] {
        let rows: Vec<(i64, [f32; 2])> = minutes
            .map(|minute| (minute * MINUTE_MS, [0, 1].map(|v| reading(minute, v))))
            .collect();
        let forecasts = bundle::forecasts(&bundle, rows.iter().map(|(time_ms, row)| (*time_ms, row.as_slice())));
        for (origin, forecast) in forecasts.iter().enumerate() {
            for (variate, lead) in (0..2).flat_map(|variate| (0..HORIZON).map(move |lead| (variate, lead))) {
                let known = rows[..=origin]
                    .iter()
                    .rev()
                    .map(|row| row.1[variate])
                    .find(|value| value.is_finite());
                let truth = rows.get(origin + 1 + lead).map_or(f32::NAN, |row| row.1[variate]);
                if let (Some(last), true) = (known, truth.is_finite()) {
                    let sum = &mut sums[variate][lead];
                    sum.0 += 1;
                    sum.1 += f64::from((truth - forecast[variate * HORIZON + lead]).abs());
                    sum.2 += f64::from((truth - last).abs());
                }
            }
        }
    }
    for (variate, lead) in (0..2).flat_map(|variate| (0..HORIZON).map(move |lead| (variate, lead))) {
        let (line, (n, model, naive)) = (outcome.of(variate, lead + 1).unwrap(), sums[variate][lead]);
        assert_eq!((line.step, line.n), (lead + 1, n));
        assert!((line.model.mae - model / n as f64).abs() < 1e-4, "{line:?}");
        assert!((line.naive.mae - naive / n as f64).abs() < 1e-6, "{line:?}");
        assert!(line.seasonal.is_none() && line.width > 0.0 && line.coverage > 0.0);
    }
}

/// A bundle and a CSV for it in `folder`.
fn files(folder: &Path) -> [String; 2] {
    let model = bundle::random(folder, "random", &["a", "b"], 5, Some(MINUTE_MS as u64));
    let csv = folder.join("readings.csv");
    let rows: String = (0..300)
        .map(|minute| {
            format!(
                "2026-03-02T{:02}:{:02}:00Z,{},{}\n",
                minute / 60,
                minute % 60,
                minute % 7,
                minute % 5
            )
        })
        .collect();
    std::fs::write(&csv, format!("time,a,b\n{rows}")).unwrap();
    [model, csv].map(|path| path.to_str().unwrap().to_owned())
}

#[test]
fn a_backtest_is_printed_as_text_csv_and_json_and_all_agree() {
    let folder = tempdir().unwrap();
    let [model, csv] = files(folder.path());
    let run = |more: &[&str]| {
        let output = process::run(&[&["backtest", "--model", &model, "--data", &csv, "--rows", "100.."], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!(
        (json["time_steps"].as_u64(), json["steps"].as_array().map(Vec::len)),
        (Some(200), Some(5))
    );
    assert_eq!(json["variates"]["a"][0]["n"], 199);
    let lines = run(&["--csv"]);
    assert_eq!(lines.lines().count(), 1 + 5 + 2 * 5);
    let first: Vec<&str> = lines.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(first[..3], ["", "1", "398"]);
    assert_eq!(first[3].parse::<f64>().ok(), json["steps"][0]["coverage"].as_f64());
    let text = run(&[]);
    assert!(text.contains("random on 200 time steps") && text.contains("of 5 steps"), "{text}");
}

#[test]
fn a_recording_that_does_not_fit_is_refused_by_name() {
    let folder = tempdir().unwrap();
    let [model, csv] = files(folder.path());
    let other = bundle::random(folder.path(), "other", &["a", "c"], 5, Some(MINUTE_MS as u64));
    let timeless = bundle::random(folder.path(), "timeless", &["a"], 5, None);
    let refusal = |arguments: &[&str]| {
        let output = process::run(&[&["backtest", "--data", &csv], arguments].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refusal(&["--model", other.to_str().unwrap()]).contains("`c`"));
    assert!(refusal(&["--model", timeless.to_str().unwrap()]).contains("\"timeless\" was trained on data without timestamps"));
    assert!(refusal(&["--model", &model, "--rows", "299.."]).contains("there are 300 rows"));
    assert!(refusal(&["--model", &model, "--coverage", "1.5"]).contains("--coverage is 1.5; set it between 0 and 1"));
}

#[test]
fn a_backtest_resamples_as_the_daemon_is_configured_to() {
    let folder = tempdir().unwrap();
    let bundle = Bundle::open(&bundle::random(folder.path(), "m", &["a"], 2, Some(MINUTE_MS as u64))).unwrap();
    // Three readings a minute; one of the minute before comes late; then one minute in two is silent.
    let readings = (0..60).flat_map(|minute| {
        let values = [(0, 1.0), (10_000, 2.0), (20_000, 6.0)];
        values.map(|(after, value)| (minute * MINUTE_MS + after - 25_000, vec![value + minute as f32]))
    });
    let (recording, mut input) = (recording(&["a"], readings), Input::default());
    let naive = |input: &Input| evaluated(&bundle, &recording, 0..usize::MAX, input).of(0, 1).unwrap().naive.mae;
    assert_eq!(naive(&input), 1.0, "the last complete reading of each minute grows by one");
    input.aggregate = Aggregate::Sum;
    assert_eq!(naive(&input), 3.0, "the sum of three readings grows by three");
    input.allowed_lateness_s = 1e6;
    let folder = folder.path().join("edge.toml");
    let lateness = tsm2_edge::config::resampler(&input, bundle.meta(), MINUTE_MS as u64);
    assert!(lateness.is_err(), "{} would be refused by the daemon too", folder.display());
}

#[test]
fn a_backtest_takes_the_configuration_of_the_daemon() {
    let folder = tempdir().unwrap();
    let [model, csv] = files(folder.path());
    let file = folder.path().join("edge.toml");
    let run = |more: &str| {
        let text = format!("model.bundle = '{model}'\ninput.topic = 's/{{stream}}'\n{more}");
        std::fs::write(&file, text).unwrap();
        let output = process::run(&["backtest", "--config", file.to_str().unwrap(), "--data", &csv, "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (all, late) = (run(""), run("input.allowed_lateness_s = 600\noutput.coverage = 0.5"));
    let steps = |json: &Value| json["time_steps"].as_u64().unwrap();
    assert!(steps(&late) < steps(&all), "the last time steps still wait for late readings");
    let width = |json: &Value| json["steps"][0]["width"].as_f64().unwrap();
    assert!(width(&late) < width(&all), "output.coverage counts");
}
