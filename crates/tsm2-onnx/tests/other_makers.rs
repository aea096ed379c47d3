//! Graphs that PyTorch wrote give PyTorch's forecasts: a GRU, a Mamba block step by step, and PatchTST on a window.
//! `tests/golden/onnx/make.py` writes graphs and forecasts.
#![cfg(feature = "run")]

use std::path::Path;

use serde_json::Value;
use tsm2_onnx::GraphModel;

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx").join(name)
}

fn rows(list: &Value) -> Vec<Vec<f32>> {
    let number = |value: &Value| value.as_f64().map_or(f32::NAN, |x| x as f32);
    let row = |row: &Value| row.as_array().unwrap().iter().map(number).collect();
    list.as_array().unwrap().iter().map(row).collect()
}

/// The largest difference from PyTorch's forecasts, in standard deviations.
fn distance(name: &str) -> f32 {
    let model = GraphModel::open(&file(&format!("{name}.onnx"))).unwrap();
    let expected: Value = serde_json::from_slice(&std::fs::read(file(&format!("{name}.json"))).unwrap()).unwrap();
    let (mut state, mut forecast) = (vec![0.0; model.state_len()], vec![0.0; model.config().forecast_len()]);
    let mut worst = 0.0f32;
    for (readings, expected) in rows(&expected["readings"]).iter().zip(rows(&expected["forecasts"])) {
        model.step(&mut state, readings, 0, &mut forecast).unwrap();
        for (i, (got, want)) in forecast.iter().zip(expected).enumerate() {
            worst = worst.max((got - want).abs() / model.metadata().variates[i / model.config().horizon].std);
        }
    }
    worst
}

#[test]
fn a_gru_of_pytorch_keeps_its_state() {
    assert!(distance("gru") < 1e-5, "{}", distance("gru"));
}

#[test]
fn a_mamba_of_mambapy_keeps_the_states_of_its_layers() {
    assert!(distance("mamba") < 1e-5, "{}", distance("mamba"));
}

#[test]
fn the_daemon_keeps_the_window_of_the_patchtst_of_transformers() {
    assert!(distance("patchtst") < 1e-5, "{}", distance("patchtst"));
}

#[test]
fn the_identity_of_a_graph_is_that_of_its_file() {
    let [gru, mamba] = ["gru.onnx", "mamba.onnx"].map(|name| GraphModel::open(&file(name)).unwrap());
    let digest = |model: &GraphModel| model.stand_in().unwrap().digest();
    assert_ne!(digest(&gru), digest(&mamba));
    assert_eq!(gru.stand_in().unwrap().meta().interval_ms, Some(60_000));
}
