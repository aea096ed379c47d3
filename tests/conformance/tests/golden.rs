//! Reference implementations of Mamba, as golden vectors: whole blocks and scans through the core's step, whole blocks through the
//! trainer's operations; within 1e-5 of each tensor's scale. (The scan's gradients are tested in the trainer's crate.)
//!
//! The files lie outside the repository: `TSM2_GOLDEN`, else `golden` in `TSM2_DATA`, else `../shared/data/golden` beside the repository.
//! Without them a test reports that it is skipped, and passes, unless `TSM2_REQUIRE_ALL=1`.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{D, Device, Tensor};
use tsm2_conformance::tolerance::relative_difference;
use tsm2_core::math::{dot, silu, softplus};
use tsm2_core::{Matrix, S6, S6Scratch, S6Weights, scan_step};
use tsm2_train::ops::{ScanOptions, conv_silu, gate, selective_scan};

type File = HashMap<String, Tensor>;

const LIMIT: f64 = 1e-5;

fn load(name: &str) -> Option<File> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let folder = variable("TSM2_GOLDEN").unwrap_or_else(|| {
        let data = variable("TSM2_DATA").unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into());
        data.join("golden")
    });
    let path = folder.join(name);
    if path.exists() {
        return Some(candle_core::safetensors::load(path, &Device::Cpu).expect("a safetensors file"));
    }
    let required = std::env::var_os("TSM2_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{} is required", path.display());
    println!("skipped: {} is not there", path.display());
    None
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|t| t.to_vec1()).expect("floats")
}

fn assert_close(what: &str, got: &[f32], want: &Tensor) {
    let double = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
    let difference = relative_difference(&double(got), &double(&numbers(want)));
    println!("{what}: {difference:.1e} of scale");
    assert!(difference <= LIMIT, "{what}: off by {difference:e} of its scale");
}

/// A block's sizes, from its tensors.
fn sizes(file: &File) -> S6 {
    let (d_inner, d_state) = file["A_log"].dims2().expect("[E, N]");
    S6 {
        d_inner,
        d_state,
        dt_rank: file["dt_proj.weight"].dim(1).expect("[E, R]"),
        d_conv: file["conv1d.weight"].dim(2).expect("[E, 1, K]"),
    }
}

/// A whole block, token by token through the core: input projection, step, gate, output projection. The golden block has no LayerNorm
/// and no biases on B, C and the gate.
fn block_by_steps(file: &File) -> Vec<f32> {
    let sizes = sizes(file);
    let e = sizes.d_inner;
    let get = |name: &str| numbers(&file[name]);
    let (conv, conv_bias, x_proj) = (get("conv1d.weight"), get("conv1d.bias"), get("x_proj.weight"));
    let (dt_proj, dt_bias, a_log, d_skip) = (get("dt_proj.weight"), get("dt_proj.bias"), get("A_log"), get("D"));
    let (in_proj, out_proj, x) = (get("in_proj.weight"), get("out_proj.weight"), get("x"));
    let no_bias = vec![0.0; sizes.d_state];
    let weights = S6Weights {
        sizes,
        conv: &conv,
        conv_bias: &conv_bias,
        x_proj: Matrix::single(&x_proj, e),
        b_bias: &no_bias,
        c_bias: &no_bias,
        dt_proj: &dt_proj,
        dt_bias: &dt_bias,
        a_log: &a_log,
        d_skip: &d_skip,
    };
    let (_, length, d_model) = file["x"].dims3().expect("[batch, length, D]");
    let linear = |weight: &[f32], x: &[f32]| -> Vec<f32> { weight.chunks_exact(x.len()).map(|row| dot(row, x)).collect() };
    let mut buffer = vec![f32::NAN; S6Scratch::len(&sizes)];
    let mut scratch = S6Scratch::new(&weights, &mut buffer);
    let mut out = Vec::new();
    for sequence in x.chunks_exact(length * d_model) {
        let mut state = vec![0.0; weights.state_len()];
        let mut y = vec![0.0; e];
        for x in sequence.chunks_exact(d_model) {
            let projected = linear(&in_proj, x);
            let (v, g) = projected.split_at(e);
            weights.step(&mut state, v, &mut scratch, &mut y);
            for (y, g) in y.iter_mut().zip(g) {
                *y *= silu(*g);
            }
            out.extend(linear(&out_proj, &y));
        }
    }
    out
}

/// A whole block at once through the trainer's operations.
fn block_in_parallel(file: &File) -> candle_core::Result<Vec<f32>> {
    let S6 {
        d_inner: e,
        d_state: n,
        dt_rank: r,
        ..
    } = sizes(file);
    let linear = |x: &Tensor, weight: &Tensor| x.broadcast_matmul(&weight.t()?);
    let projected = linear(&file["x"], &file["in_proj.weight"])?.unsqueeze(2)?;
    let v = projected.narrow(D::Minus1, 0, e)?.contiguous()?;
    let g = projected.narrow(D::Minus1, e, e)?.contiguous()?;
    let c = conv_silu(&v, &file["conv1d.weight"].squeeze(1)?, &file["conv1d.bias"], false, None)?;
    let selection = linear(&c, &file["x_proj.weight"])?;
    let dt = linear(&selection.narrow(D::Minus1, 0, r)?.contiguous()?, &file["dt_proj.weight"])?;
    let dt = dt.broadcast_add(&file["dt_proj.bias"])?;
    let bc = selection.narrow(D::Minus1, r, 2 * n)?.contiguous()?;
    let (y, _) = selective_scan(&c, &dt, &bc, &file["A_log"], &file["D"], None, ScanOptions { reverse: false })?;
    Ok(numbers(&linear(&gate(&y, &g)?, &file["out_proj.weight"])?))
}

fn check_block(name: &str) {
    let Some(file) = load(name) else { return };
    assert_close(&format!("{name}, step"), &block_by_steps(&file), &file["y"]);
    let parallel = block_in_parallel(&file).expect("candle runs the block");
    assert_close(&format!("{name}, parallel"), &parallel, &file["y"]);
}

fn check_scan(name: &str) {
    let Some(file) = load(name) else { return };
    let (batch, e, length) = file["u"].dims3().expect("[batch, E, length]");
    let n = file["A"].dim(1).expect("[E, N]");
    let get = |name: &str| numbers(&file[name]);
    let (u, delta, z, b, c) = (get("u"), get("delta"), get("z"), get("B"), get("C"));
    let (delta_bias, d_skip) = (get("delta_bias"), get("D"));
    let a = numbers(&file["A"].t().and_then(|a| a.contiguous()).expect("[N, E]"));
    // Column t of sequence s out of a file's (batch, features, length).
    let at = |x: &[f32], s: usize, t: usize| -> Vec<f32> {
        let features = x.len() / (batch * length);
        (0..features).map(|i| x[(s * features + i) * length + t]).collect()
    };
    let mut out = vec![0.0; batch * e * length];
    let mut last_state = Vec::new();
    for s in 0..batch {
        let mut h = vec![0.0; n * e];
        let mut y = vec![0.0; e];
        for t in 0..length {
            let dt: Vec<f32> = at(&delta, s, t)
                .iter()
                .zip(&delta_bias)
                .map(|(dt, bias)| softplus(dt + bias))
                .collect();
            let (b, c, u) = (at(&b, s, t), at(&c, s, t), at(&u, s, t));
            scan_step(&dt, &a, &b, &c, &u, &d_skip, &mut h, &mut y);
            for (i, g) in at(&z, s, t).into_iter().enumerate() {
                out[(s * e + i) * length + t] = y[i] * silu(g);
            }
        }
        last_state.extend((0..e * n).map(|i| h[i % n * e + i / n]));
    }
    assert_close(&format!("{name}, y"), &out, &file["y"]);
    assert_close(&format!("{name}, last state"), &last_state, &file["last_state"]);
}

#[test]
fn a_mamba_block_of_sixteen_states() {
    check_block("mamba_block_d16.safetensors");
}

#[test]
fn a_mamba_block_of_eight_states_and_three_taps() {
    check_block("mamba_block_d40.safetensors");
}

#[test]
fn a_short_scan() {
    check_scan("selective_scan_small.safetensors");
}

#[test]
fn a_long_scan() {
    check_scan("selective_scan_long.safetensors");
}
