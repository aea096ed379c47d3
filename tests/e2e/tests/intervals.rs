//! Intervals hold what they promise on real data, and `tsm2-edge backtest`, which says so, judges every forecast.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;
use tsm2_bundle::Bundle;
use tsm2_e2e::{bundle, data, process};
use tsm2_edge::cli::backtest::{Backtest, Line, backtest};
use tsm2_edge::cli::table::{Record, Table};

const MINUTE_MS: i64 = 60_000;

fn model(name: &str) -> Bundle {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{name}/model.safetensors"));
    Bundle::open(&path).unwrap()
}

fn judged(bundle: &Bundle, table: &Table, rows: Range<usize>) -> Backtest {
    backtest(bundle, table, rows, 0.9, 1440, || ()).unwrap()
}

#[track_caller]
fn assert_covered(outcome: &Backtest) {
    for line in (0..outcome.horizon).map(|lead| outcome.all(lead).unwrap()) {
        assert!((0.88..=0.92).contains(&line.coverage), "{line:?}");
    }
}

#[test]
fn nine_of_ten_readings_of_etth1_are_covered_at_every_lead() {
    let Some(csv) = data::file("ETTh1.csv") else { return };
    // The model has seen no row from here on.
    assert_covered(&judged(&model("etth1"), &Table::open(&csv).unwrap(), 11_520..usize::MAX));
}

#[test]
fn forecasts_of_the_cards_rows_have_its_errors_and_are_covered() {
    let Some(csv) = data::file("ETTh1.csv") else { return };
    let outcome = judged(&model("etth1"), &Table::open(&csv).unwrap(), 11_520..14_400);
    assert_covered(&outcome);
    let lines: Vec<Line> = (0..96).map(|lead| outcome.all(lead).unwrap()).collect();
    // The card counts the forecast made at the row before the first as well, and only origins that have all 96 rows.
    let mse = lines.iter().map(|line| line.model.mse).sum::<f64>() / 96.0;
    assert!((mse - 0.3552).abs() < 0.005, "{mse}");
    assert_eq!((lines[0].n, lines[95].n), (7 * 2879, 7 * 2784));
}

/// Rows of two variates, a minute apart, with a gap to bridge, a silence that restarts the stream, and readings missing.
fn table() -> Table {
    let minutes = (0..40).chain(45..90).chain(200..260);
    let rows = minutes.map(|minute: i64| Record {
        time_ms: minute * MINUTE_MS,
        values: [7, 13]
            .map(|step| {
                if minute % step == 3 {
                    f64::NAN
                } else {
                    ((minute * step) % 17) as f64
                }
            })
            .to_vec(),
    });
    Table {
        names: ["b", "a"].map(String::from).to_vec(),
        rows: rows.collect(),
    }
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
    let table = table();
    let outcome = backtest(&bundle, &table, 0..usize::MAX, 0.9, 10, || ()).unwrap();
    assert_eq!(outcome.rows, 90 + 60);
    // The two unbroken streams, row by row, in the model's order of variates.
    let reading = |minute: i64, variate: usize| {
        let row = table.rows.iter().find(|row| row.time_ms == minute * MINUTE_MS);
        row.map_or(f32::NAN, |row| row.values[1 - variate] as f32)
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
        let (line, (n, model, repeat_last)) = (outcome.of(variate, lead).unwrap(), sums[variate][lead]);
        assert_eq!((line.lead, line.n), (lead + 1, n));
        assert!((line.model.mae - model / n as f64).abs() < 1e-4, "{line:?}");
        assert!((line.repeat_last.mae - repeat_last / n as f64).abs() < 1e-6, "{line:?}");
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
        (json["rows"].as_u64(), json["leads"].as_array().map(Vec::len)),
        (Some(200), Some(5))
    );
    assert_eq!(json["variates"]["a"][0]["n"], 199);
    let lines = run(&["--csv"]);
    assert_eq!(lines.lines().count(), 1 + 5 + 2 * 5);
    let first: Vec<&str> = lines.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(first[..3], ["", "1", "398"]);
    assert_eq!(first[3].parse::<f64>().ok(), json["leads"][0]["coverage"].as_f64());
    let text = run(&[]);
    assert!(text.contains("random on 200 rows") && text.contains("of 5 leads"), "{text}");
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
    assert!(refusal(&["--model", other.to_str().unwrap()]).contains("no column \"c\""));
    assert!(refusal(&["--model", timeless.to_str().unwrap()]).contains("\"timeless\" was trained on data without timestamps"));
    assert!(refusal(&["--model", &model, "--rows", "299.."]).contains("there are 300 rows"));
    assert!(refusal(&["--model", &model, "--coverage", "1.5"]).contains("--coverage 1.5 is not between 0 and 1"));
}
