//! A bundle's blob is the same model.

use std::path::Path;

use tsm2_blob::{Blob, ExportError, export};
use tsm2_bundle::Bundle;

fn shipped() -> Bundle {
    Bundle::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/etth1/model.safetensors")).expect("a shipped model")
}

#[test]
fn a_shipped_model_is_the_same_from_its_blob() {
    is_the_same_from_its_blob(&shipped());
}

#[test]
fn a_model_with_8_bit_integers_is_the_same_from_its_blob() {
    is_the_same_from_its_blob(&shipped().to_int8().expect("valid"));
}

fn is_the_same_from_its_blob(bundle: &Bundle) {
    let bytes = export(bundle, 0.9).expect("a shipped model");
    let words: Vec<u32> = bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    let blob = Blob::open(bytemuck::cast_slice(&words)).expect("valid");
    let meta = bundle.meta();
    assert_eq!(blob.config(), &meta.config);
    assert_eq!((blob.name(), blob.digest()), (meta.name.as_str(), &bundle.digest()));
    assert_eq!((blob.coverage(), Some(blob.interval_ms())), (0.9, meta.interval_ms));
    let [blob, bundle] = [blob.model().expect("valid"), bundle.model()].map(|model| {
        let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
        let mut forecast = vec![0.0; model.config().forecast_len()];
        for hour in 0..30 {
            let readings = vec![hour as f32 * 0.5; model.config().variates];
            let mut token = model
                .step(&mut state, &mut scratch, &readings, hour * 3_600_000)
                .expect("lengths fit");
            token.forecast(&mut forecast).expect("length fits");
        }
        forecast
    });
    assert_eq!(blob, bundle);
}

#[test]
fn a_coverage_out_of_range_is_refused() {
    for coverage in [0.0, 1.0, f32::NAN] {
        assert!(matches!(export(&shipped(), coverage), Err(ExportError::Coverage { .. })));
    }
}
