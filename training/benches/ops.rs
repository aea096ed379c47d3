//! Time of every training operation beside its plain-candle twin, measured alternately in one run, on one thread.
//!
//! `RAYON_NUM_THREADS=1 MALLOC_TOP_PAD_=67108864 cargo bench -p tsm2-train --bench ops`: the first variable keeps the twins'
//! products on one thread, the second keeps glibc from giving memory back after every operation, which would be most of the time
//! measured. Each figure is the smallest of the runs; backward includes candle adding the gradients up.

use candle_core::{Device, Result, Tensor, Var};
use std::time::Instant;
use tsm2_train::ops::*;

fn var(shape: &[usize], centre: f32, spread: f32) -> Var {
    let len = shape.iter().product();
    let values: Vec<f32> = (0..len)
        .map(|i| centre + spread * ((i as f32 * 12.9898).sin() * 43_758.547).fract())
        .collect();
    Var::from_vec(values, shape, &Device::Cpu).expect("a vector of the shape's length")
}

/// Smallest time of forward and of backward in microseconds.
fn time(runs: usize, op: &dyn Fn() -> Result<Tensor>) -> Result<(f64, f64)> {
    let (mut forward, mut both) = (f64::MAX, f64::MAX);
    let loss_weight = op()?.detach();
    for _ in 0..runs {
        let start = Instant::now();
        let out = op()?;
        forward = forward.min(start.elapsed().as_secs_f64());
        // The gradient that reaches the operation is the loss weight itself.
        let loss = (out * &loss_weight)?.sum_all()?;
        let start = Instant::now();
        std::hint::black_box(loss.backward()?);
        both = both.min(start.elapsed().as_secs_f64());
    }
    Ok((forward * 1e6, both * 1e6))
}

fn compare(name: &str, runs: usize, op: &dyn Fn() -> Result<Tensor>, reference: &dyn Fn() -> Result<Tensor>) -> Result<()> {
    let (forward, backward) = time(runs, op)?;
    let (naive_forward, naive_backward) = time((runs / 10).max(3), reference)?;
    println!(
        "{name:<44} forward {forward:>9.1} us (candle {naive_forward:>10.1}, {:>5.1}x)   backward {backward:>9.1} us (candle {naive_backward:>10.1}, {:>5.1}x)",
        naive_forward / forward,
        naive_backward / backward
    );
    Ok(())
}

fn scan(o: usize, l: usize, i: usize, e: usize, n: usize, runs: usize) -> Result<()> {
    let (c, dt) = (var(&[o, l, i, e], 0.0, 1.0), var(&[o, l, i, e], -2.0, 1.0));
    let (bc, a_log, d) = (var(&[o, l, i, 2 * n], 0.0, 1.0), var(&[e, n], 0.5, 0.5), var(&[e], 1.0, 0.1));
    for (label, reverse) in [("", false), (" reverse", true)] {
        let options = ScanOptions { reverse };
        compare(
            &format!("scan O={o} L={l} I={i} E={e} N={n}{label}"),
            runs,
            &|| Ok(selective_scan(&c, &dt, &bc, &a_log, &d, None, options)?.0),
            &|| Ok(selective_scan_reference(&c, &dt, &bc, &a_log, &d, None, options)?.0),
        )?;
    }
    Ok(())
}

fn rest(o: usize, l: usize, i: usize, d: usize, e: usize, runs: usize) -> Result<()> {
    let label = format!("O={o} L={l} I={i}");
    let (v, g) = (var(&[o, l, i, e], 0.0, 1.0), var(&[o, l, i, e], 0.0, 2.0));
    let (x, other) = (var(&[o, l, i, d], 0.0, 1.0), var(&[o, l, i, d], 0.0, 1.0));
    let (taps, tap_bias) = (var(&[e, 4], 0.0, 1.0), var(&[e], 0.0, 1.0));
    let (scale, shift) = (var(&[d], 1.0, 0.5), var(&[d], 0.0, 0.5));
    let (weight, bias) = (var(&[e, d], 0.0, 0.2), var(&[e], 0.0, 0.2));
    let weights = var(&[o, l, i, d], 1.0, 0.5);
    let name = |op: &str| format!("{op} {label}");
    compare(
        &name(&format!("conv_silu E={e} K=4")),
        runs,
        &|| conv_silu(&v, &taps, &tap_bias, false, None),
        &|| conv_silu_reference(&v, &taps, &tap_bias, false, None),
    )?;
    compare(
        &name(&format!("layer_norm D={d}")),
        runs,
        &|| layer_norm(&x, &scale, &shift),
        &|| layer_norm_reference(&x, &scale, &shift),
    )?;
    compare(
        &name(&format!("linear {d} to {e}")),
        runs,
        &|| linear(&x, &weight, Some(&bias)),
        &|| linear_reference(&x, &weight, Some(&bias)),
    )?;
    compare(&name(&format!("gate E={e}")), runs, &|| gate(&v, &g), &|| gate_reference(&v, &g))?;
    compare(&name(&format!("gelu D={d}")), runs, &|| gelu(&x), &|| gelu_reference(&x))?;
    let (pair, of) = (var(&[2], 0.7, 0.1), [x.as_tensor(), other.as_tensor()]);
    compare(
        &name(&format!("weighted_sum of 2, D={d}")),
        runs,
        &|| weighted_sum(&of, &pair),
        &|| weighted_sum_reference(&of, &pair),
    )?;
    compare(
        &name(&format!("squared_error D={d}")),
        runs,
        &|| squared_error(&x, &other, &weights),
        &|| squared_error_reference(&x, &other, &weights),
    )
}

fn main() -> Result<()> {
    println!("one training update (8 streams, 16 tokens, 11 variates):");
    scan(8, 16, 11, 32, 2, 300)?;
    rest(8, 16, 11, 64, 32, 300)?;
    println!("a long window (batch 32, 512 steps):");
    scan(32, 512, 1, 64, 16, 10)?;
    rest(32, 512, 1, 32, 64, 20)
}
