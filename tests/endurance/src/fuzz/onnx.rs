//! ONNX files: any bytes are read or refused. With the feature `onnx` the whole way of a graph into the daemon: roles, the
//! bound on its memory, tract, and time steps.

use tsm2_mqtt_testkit::rng::Rng;
use tsm2_onnx::Interface;

use super::inputs::{self, Corpus};
use super::protobuf::Tree;

/// Reads a file, and runs it if it is taken.
///
/// # Panics
/// When a file that is taken has an input or output that is too large to run, metadata that does not hold, or a state that
/// changes in a step that fails.
pub fn onnx(data: &[u8]) {
    #[cfg(feature = "onnx")]
    run(data);
    let Ok(interface) = Interface::read(data) else { return };
    for port in interface.inputs.iter().chain(&interface.outputs) {
        assert!(!port.is_empty() && port.len() <= 1 << 24, "{port:?}");
    }
    interface.metadata.validate().expect("metadata that was taken holds");
    assert!(interface.metadata.targets() > 0);
}

#[cfg(feature = "onnx")]
fn run(data: &[u8]) {
    let Ok(model) = tsm2_onnx::GraphModel::from_bytes(data) else {
        return;
    };
    let config = *model.config();
    let (mut state, mut forecast) = (vec![0.0; model.state_len()], vec![0.0; config.forecast_len()]);
    for (time, reading) in [1.0, f32::NAN, -1e30, 1e38].into_iter().enumerate() {
        for variate in config.variates - config.future_covariates..config.variates {
            let set = model.set_future(&mut state, variate, &[reading, 2.0]);
            set.expect("a future covariate");
        }
        let before = state.clone();
        match model.step(&mut state, &vec![reading; config.variates], time as i64 * 60_000, &mut forecast) {
            Ok(()) => assert!(forecast.iter().all(|number| number.is_finite())),
            Err(_) => assert_eq!(state, before, "a step that fails leaves the state"),
        }
    }
    model.stand_in().expect("a bundle that stands for the graph");
}

/// A graph with a few of its fields changed, at times also some of its bytes.
pub fn derived(corpus: &Corpus, rng: &mut Rng) -> Vec<u8> {
    let any = |rng: &mut Rng| Tree::read(&corpus[rng.below(corpus.len() as u64) as usize].1);
    let (Some(mut tree), Some(other)) = (any(rng), any(rng)) else {
        return inputs::derived(corpus, rng);
    };
    for _ in 0..1 + rng.below(4) {
        tree.change(&other, rng);
    }
    let mut bytes = tree.write();
    if rng.below(8) == 0 && !bytes.is_empty() {
        let at = rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << rng.below(8);
    }
    bytes
}
