//! Small models with random weights: their forecasts mean nothing and are all different.

use std::path::{Path, PathBuf};

use tsm2_bundle::{Bundle, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{Config, NetworkConfig, S6, VariateMixer, parameter_count};

/// A small configuration.
pub fn small(variates: usize, horizon: usize) -> Config {
    let s6 = S6 {
        d_inner: 4,
        d_state: 2,
        dt_rank: 1,
        d_conv: 3,
    };
    Config {
        variates,
        horizon,
        ..Config::default()
    }
    .with_network(NetworkConfig {
        patch: 4,
        d_model: 4,
        layers: 1,
        time_mixer: s6,
        variate_mixer: VariateMixer::S6(s6),
        ..NetworkConfig::default()
    })
}

/// Writes a small bundle for these variates into `folder` and returns its path.
pub fn random(folder: &Path, name: &str, variates: &[&str], horizon: usize, interval_ms: Option<u64>) -> PathBuf {
    write(folder, name, variates, interval_ms, small(variates.len(), horizon))
}

/// Writes a bundle of this configuration with random weights into `folder` and returns its path.
pub fn write(folder: &Path, name: &str, variates: &[&str], interval_ms: Option<u64>, config: Config) -> PathBuf {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let weights = (0..parameter_count(&config).expect("a valid configuration"))
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect();
    let meta = Metadata {
        format_version: FORMAT_VERSION,
        name: name.into(),
        config,
        variates: variates
            .iter()
            .map(|&name| Variate {
                name: name.into(),
                unit: None,
                mean: 5.0,
                std: 3.0,
            })
            .collect(),
        interval_ms,
        time_zone: None,
        provenance: Provenance::default(),
    };
    let path = folder.join(format!("{name}.safetensors"));
    Bundle::new(meta, weights)
        .expect("a valid bundle")
        .write(&path)
        .expect("the bundle can be written");
    path
}

/// The forecasts that the bundle's model gives after each of `rows`, as one stream: per row `[M - X][H]`.
pub fn forecasts<'r>(bundle: &Bundle, rows: impl IntoIterator<Item = (i64, &'r [f32])>) -> Vec<Vec<f32>> {
    let model = bundle.model();
    let config = model.config();
    let mut state = vec![0.0; model.state_len()];
    let mut scratch = vec![0.0; model.scratch_len()];
    model.reset(&mut state).expect("a state of the right length");
    rows.into_iter()
        .map(|(time_ms, row)| {
            let mut forecast = vec![0.0; config.forecast_len()];
            let mut token = model
                .step(&mut state, &mut scratch, row, time_ms)
                .expect("a row of the right length");
            token.forecast(&mut forecast).expect("a forecast of the right length");
            forecast
        })
        .collect()
}
