//! Recordings, made or read, and their evaluation as `tsm2-edge backtest` does it.

use std::ops::Range;
use std::path::Path;

use tsm2_bundle::Bundle;
use tsm2_data::{Clock, Options, Recording, Series, Steps, Variate};
use tsm2_edge::cli::evaluation::{Evaluation, Settings, evaluate};
use tsm2_edge::config::{Input, resampler};

/// A recording of one device with these variates and rows.
pub fn recording(names: &[&str], rows: impl IntoIterator<Item = (i64, Vec<f32>)>) -> Recording {
    let (times_ms, values): (Vec<i64>, Vec<Vec<f32>>) = rows.into_iter().unzip();
    let variate = |name: &&str| Variate {
        name: (*name).to_owned(),
        unit: None,
    };
    Recording {
        variates: names.iter().map(variate).collect(),
        series: vec![Series {
            name: "device".into(),
            segments: std::iter::once(0..times_ms.len()).collect(),
            times_ms,
            values: values.concat(),
        }],
        interval_ms: None,
        clock: Clock::Calendar,
        sha256: String::new(),
    }
}

/// The rows of a file at their own times.
pub fn open(path: &Path) -> Recording {
    let options = Options {
        steps: Steps::AsWritten,
        ..Options::default()
    };
    tsm2_data::read(&[path], &options).expect("a recording").0
}

/// Evaluates the forecasts of these rows, intervals at 0.9, as the daemon makes them with `input`.
pub fn evaluated(bundle: &Bundle, recording: &Recording, rows: Range<usize>, input: &Input) -> Evaluation {
    let interval_ms = bundle.meta().interval_ms.expect("a model with an interval");
    let mut settings = Settings {
        rows,
        resampler: resampler(input, bundle.meta(), interval_ms).expect("a valid configuration"),
        coverage: 0.9,
    };
    settings.resampler.device_times = true;
    evaluate(&bundle.clone().into(), recording, &settings, || ()).expect("a recording of the model's variates")
}
