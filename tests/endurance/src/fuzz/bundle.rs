//! Bundles, in three forms: any bytes; after `H`, a safetensors header over tensors of zeros; after `M`, metadata of
//! this format over weights that fit it.

use tsm2_bundle::{Bundle, Metadata};
use tsm2_core::parameter_count;

/// No file under test is larger than this.
const LARGEST: usize = 1 << 20;
/// Models larger than this are not stepped, so that every input takes milliseconds.
const MAX_NUMBERS: usize = 1 << 16;

/// Reads a bundle and, when it is one, writes it again and steps its model.
///
/// # Panics
/// When a bundle that is taken cannot be written and read back, or its model cannot step.
pub fn bundle(data: &[u8]) {
    let taken = match data {
        [b'H', header @ ..] => Bundle::from_bytes(&with_zeros(header)).ok(),
        [b'M', metadata @ ..] => with_weights(metadata),
        _ => Bundle::from_bytes(data).ok(),
    };
    let Some(bundle) = taken else { return };
    let bytes = bundle.to_bytes().expect("a bundle can be written");
    let again = Bundle::from_bytes(&bytes).expect("what was written can be read");
    assert_eq!(again.weights(), bundle.weights());
    assert_eq!(again.to_bytes().expect("a bundle can be written"), bytes);
    step(&again);
}

fn with_zeros(header: &[u8]) -> Vec<u8> {
    // The largest number in the header is most probably the end of the last tensor.
    let numbers = header
        .split(|byte| !byte.is_ascii_digit())
        .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let zeros = numbers.filter(|&number: &usize| number <= LARGEST).max().unwrap_or(0);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.resize(bytes.len() + zeros, 0);
    bytes
}

fn with_weights(metadata: &[u8]) -> Option<Bundle> {
    let metadata: Metadata = serde_json::from_slice(metadata).ok()?;
    let count = parameter_count(&metadata.config).ok().filter(|&count| count <= MAX_NUMBERS)?;
    Bundle::new(metadata, (0..count).map(|index| (index % 13) as f32 / 26.0 - 0.25).collect()).ok()
}

fn step(bundle: &Bundle) {
    let model = bundle.model();
    let config = model.config();
    if model.state_len() + model.scratch_len() + config.forecast_len() > MAX_NUMBERS {
        return;
    }
    let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    model.reset(&mut state).expect("a state of the right length");
    for (time, value) in [1.0, f32::NAN, -1e30].into_iter().enumerate() {
        let mut forecast = vec![0.0; config.forecast_len()];
        for variate in config.variates - config.future_covariates..config.variates {
            let set = model.set_future(&mut state, variate, &[value, 2.0]);
            set.expect("a future covariate");
        }
        let token = model.step(&mut state, &mut scratch, &vec![value; config.variates], time as i64 * 60_000);
        let mut token = token.expect("readings of the right length");
        token.forecast(&mut forecast).expect("a forecast of the right length");
    }
}
