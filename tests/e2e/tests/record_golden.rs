//! Every version of checkpoint and log entry ever committed is read, for ever: `tests/golden/record/v*`.
//!
//! A folder has a model, the checkpoint of a stream, the log entries after it, and the forecast that
//! follows the next reading. After a change of the records,
//! `TSM2_WRITE_GOLDEN=v2 cargo test -p tsm2-e2e --test record_golden` adds a folder of that name. The
//! folders of earlier versions stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tsm2_core::{Config, LinearHead};
use tsm2_e2e::bundle;
use tsm2_e2e::engine::TestEngine;
use tsm2_e2e::site::{HORIZON, MINUTE, START};
use tsm2_edge::config::Config as EdgeConfig;
use tsm2_edge::config::{Prepared, prepare};
use tsm2_edge::state::Stored;
use tsm2_mqtt::rfc3339;

/// Rows before the checkpoint, and all rows before the reading that is forecast.
const ROWS: (i64, i64) = (12, 16);

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/record")
}

/// The daemon's parts for a model of two targets and a future covariate.
fn prepared(folder: &Path) -> Prepared {
    let mut config = EdgeConfig::new(folder.join("model.safetensors"), "sensors/{stream}");
    config.input.time_field = Some("time".into());
    config.input.future_covariates_topic = Some("future/{stream}/{variate}".into());
    prepare(&config).unwrap()
}

/// Takes the message of a row. Before every third row the covariate's next values come.
fn take(engine: &mut TestEngine<'_>, index: i64, on: impl FnMut(tsm2_edge::runtime::engine::Step<'_>) -> u64) {
    let time = |index: i64| rfc3339(START + index * MINUTE);
    if index % 3 == 0 {
        let points: Vec<Value> = (index..index + 6)
            .map(|index| json!({ "time": time(index), "value": index % 4 }))
            .collect();
        engine.take("future/a/tariff", Value::from(points).to_string().as_bytes(), false, 0, |_| 0);
    }
    let row = json!({ "time": time(index), "temp": 20.0 + (index % 7) as f32, "power": 3.5 - (index % 4) as f32 });
    engine.take("sensors/a", row.to_string().as_bytes(), false, START + index * MINUTE + 300, on);
}

/// A reading whose clock is ten hours ahead: it waits for another that confirms its time.
fn take_ahead(engine: &mut TestEngine<'_>, index: i64) {
    let row = json!({ "time": rfc3339(START + (index + 600) * MINUTE), "temp": 99.0, "power": 9.0 });
    engine.take("sensors/a", row.to_string().as_bytes(), false, START + index * MINUTE + 400, |_| 0);
}

/// The forecast after the next row: mean, lower and upper.
fn forecast(engine: &mut TestEngine<'_>) -> Vec<f32> {
    let mut forecast = Vec::new();
    take(engine, ROWS.1, |step| {
        forecast = [step.mean, step.lower, step.upper].concat();
        0
    });
    forecast
}

fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let config = Config {
        future_covariates: 1,
        linear_head: LinearHead {
            lags: 2,
            future_covariates: true,
            ..LinearHead::default()
        },
        ..bundle::small(3, HORIZON)
    };
    bundle::write(folder, "model", &["temp", "power", "tariff"], Some(MINUTE as u64), config);
    let prepared = prepared(folder);
    let mut engine = TestEngine::new(&prepared);
    (0..ROWS.0).for_each(|index| take(&mut engine, index, |_| 0));
    take_ahead(&mut engine, ROWS.0 - 1);
    fs::write(folder.join("checkpoint"), engine.checkpoint("a").unwrap()).unwrap();
    let before = engine.log().len();
    (ROWS.0..ROWS.1).for_each(|index| take(&mut engine, index, |_| 0));
    take_ahead(&mut engine, ROWS.1 - 1);
    for (number, entry) in engine.log()[before..].iter().enumerate() {
        fs::write(folder.join(format!("entry-{number}")), entry).unwrap();
    }
    let expected = json!({ "forecast": forecast(&mut engine) });
    fs::write(folder.join("expected.json"), format!("{expected:#}\n")).unwrap();
}

#[test]
fn checkpoints_and_log_entries_of_every_version_are_read() {
    if let Some(version) = std::env::var_os("TSM2_WRITE_GOLDEN") {
        write(&golden().join(version));
    }
    let mut versions = Vec::new();
    for folder in fs::read_dir(golden()).unwrap() {
        let folder = folder.unwrap().path();
        let entries = (0..).map(|number| fs::read(folder.join(format!("entry-{number}"))));
        let stored = Stored {
            checkpoint: Some(fs::read(folder.join("checkpoint")).unwrap()),
            tail: entries.map_while(Result::ok).collect(),
        };
        assert!(stored.tail.len() > 4, "readings and a future covariate");
        let prepared = prepared(&folder);
        let mut engine = TestEngine::new(&prepared);
        engine.load("a", &stored, &[]);
        let found = forecast(&mut engine);
        let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let expected: Vec<f32> = serde_json::from_value(expected["forecast"].clone()).unwrap();
        assert_eq!(found.len(), expected.len(), "{}", folder.display());
        for (found, expected) in found.iter().zip(&expected) {
            let is_close = (found - expected).abs() <= 1e-4 * expected.abs().max(1.0);
            assert!(is_close, "{}: {found} where {expected} is expected", folder.display());
        }
        versions.push(folder.file_name().unwrap().to_owned());
    }
    for version in ["v1", "v2"] {
        assert!(versions.contains(&version.into()), "{version} is missing of {versions:?}");
    }
}
