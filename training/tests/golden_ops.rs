//! The selective scan with its gate against state-spaces/mamba's `selective_scan_ref`: output, last state and every gradient
//! within 1e-5 of each tensor's scale. The files lie outside the repository: `TSM2_GOLDEN`, else `golden` in `TSM2_DATA`, else
//! `../shared/data/golden` beside the repository. Without them the test says so and passes, unless `TSM2_REQUIRE_ALL=1`.

use candle_core::{Device, Tensor, Var};
use std::collections::HashMap;
use std::path::PathBuf;
use tsm2_train::ops::{ScanOptions, gate, selective_scan};

fn folder() -> PathBuf {
    if let Some(golden) = std::env::var_os("TSM2_GOLDEN") {
        return golden.into();
    }
    let data =
        std::env::var_os("TSM2_DATA").map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").into(), PathBuf::from);
    data.join("golden")
}

fn load(name: &str) -> Option<HashMap<String, Tensor>> {
    let path = folder().join(name);
    if path.exists() {
        return Some(candle_core::safetensors::load(path, &Device::Cpu).unwrap());
    }
    assert!(
        std::env::var_os("TSM2_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "{} is required",
        path.display()
    );
    println!("skipped: {} is not there", path.display());
    None
}

/// The file's (batch, features, length) as `[O, L, 1, F]`.
fn rows(x: &Tensor) -> Tensor {
    x.transpose(1, 2).unwrap().unsqueeze(2).unwrap().contiguous().unwrap()
}

fn assert_close(name: &str, got: &Tensor, want: &Tensor) {
    assert_eq!(got.dims(), want.dims(), "{name}");
    let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (got, want) = (numbers(got), numbers(want));
    let scale = want.iter().fold(0.0f32, |scale, x| scale.max(x.abs()));
    let worst = got.iter().zip(&want).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    println!("{name}: {:.1e} of scale", worst / scale);
    assert!(worst <= 1e-5 * scale, "{name}: off by {worst:e} at a scale of {scale:e}");
}

fn check(name: &str) {
    let Some(file) = load(name) else { return };
    let var = |x: &Tensor| Var::from_tensor(x).unwrap();
    let u = var(&rows(&file["u"]));
    let delta = var(&rows(&file["delta"]));
    let bias = var(&file["delta_bias"]);
    let bc = var(&Tensor::cat(&[rows(&file["B"]), rows(&file["C"])], 3).unwrap());
    let a_log = var(&file["A"].neg().unwrap().log().unwrap());
    let d = var(&file["D"]);
    let z = var(&rows(&file["z"]));

    let options = ScanOptions { reverse: false };
    let dt_raw = delta.broadcast_add(&bias).unwrap();
    let (y, last_state) = selective_scan(&u, &dt_raw, &bc, &a_log, &d, None, options).unwrap();
    let out = gate(&y, &z).unwrap();
    assert_close("y", &out, &rows(&file["y"]));
    assert_close("last_state", &last_state.squeeze(1).unwrap(), &file["last_state"]);

    let grads = (out * rows(&file["grad_out"])).unwrap().sum_all().unwrap().backward().unwrap();
    let grad = |x: &Var| grads.get(x).unwrap().clone();
    assert_close("grad_u", &grad(&u), &rows(&file["grad_u"]));
    assert_close("grad_delta", &grad(&delta), &rows(&file["grad_delta"]));
    assert_close("grad_delta_bias", &grad(&bias), &file["grad_delta_bias"]);
    let n = file["A"].dim(1).unwrap();
    assert_close("grad_B", &grad(&bc).narrow(3, 0, n).unwrap(), &rows(&file["grad_B"]));
    assert_close("grad_C", &grad(&bc).narrow(3, n, n).unwrap(), &rows(&file["grad_C"]));
    // The file's gradient is of A = -exp(a_log).
    assert_close("grad_A", &grad(&a_log), &(&file["grad_A"] * &file["A"]).unwrap());
    assert_close("grad_D", &grad(&d), &file["grad_D"]);
    assert_close("grad_z", &grad(&z), &rows(&file["grad_z"]));
}

#[test]
fn the_scan_equals_mambas_reference_on_a_short_sequence() {
    check("selective_scan_small.safetensors");
}

#[test]
fn the_scan_equals_mambas_reference_on_a_long_sequence() {
    check("selective_scan_long.safetensors");
}
