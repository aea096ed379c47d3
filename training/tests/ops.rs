//! Every training operation against its plain-candle twin, forward and backward, over shapes that exercise tails, single
//! steps and carried state; and the scan against finite differences.

use candle_core::{Device, Result, Tensor, Var};
use tsm2_train::ops::*;

/// A deterministic source of numbers in [-1, 1): splitmix64.
struct Source(u64);

impl Source {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Numbers around `centre`, at most `spread` away.
    fn var(&mut self, shape: &[usize], centre: f32, spread: f32) -> Var {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| centre + spread * self.next()).collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    }
}

/// Largest difference relative to the largest value.
fn distance(got: &Tensor, want: &Tensor) -> f32 {
    assert_eq!(got.dims(), want.dims());
    let (got, want) = (
        got.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
        want.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
    );
    let scale = want.iter().fold(1e-6f32, |scale, x| scale.max(x.abs()));
    assert!(got.iter().chain(&want).all(|x| x.is_finite()));
    got.iter().zip(&want).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs())) / scale
}

/// Results and gradients of `op` and `reference` for the same inputs, with a random weight on every output.
fn compare(name: &str, inputs: &[Var], op: impl Fn() -> Result<Tensor>, reference: impl Fn() -> Result<Tensor>) {
    let (got, want) = (op().unwrap(), reference().unwrap());
    let worst = distance(&got, &want);
    assert!(worst < 2e-6, "{name}: result differs by {worst:e}");
    let weight = Source(7).var(got.dims(), 0.0, 1.0);
    let grads = |out: &Tensor| (out * weight.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    let (got, want) = (grads(&got), grads(&want));
    for (i, input) in inputs.iter().enumerate() {
        let (Some(got), Some(want)) = (got.get(input), want.get(input)) else {
            panic!("{name}: argument {i} has no gradient")
        };
        let worst = distance(got, want);
        assert!(worst < 1e-5, "{name}: gradient of argument {i} differs by {worst:e}");
    }
}

const SHAPES: [[usize; 5]; 8] = [
    // O, L, I, E, N
    [1, 1, 1, 1, 1],
    [2, 5, 3, 7, 2],
    [1, 16, 2, 16, 4],
    [2, 17, 1, 33, 1],
    [1, 40, 2, 20, 16],
    [3, 33, 1, 8, 3],
    [8, 16, 11, 32, 2],
    [1, 3, 1, 48, 5],
];

fn scan_inputs(source: &mut Source, [o, l, i, e, n]: [usize; 5]) -> Vec<Var> {
    vec![
        source.var(&[o, l, i, e], 0.0, 1.5),
        source.var(&[o, l, i, e], -1.0, 2.0),
        source.var(&[o, l, i, 2 * n], 0.0, 1.0),
        source.var(&[e, n], 0.5, 0.7),
        source.var(&[e], 1.0, 0.5),
    ]
}

fn every_option() -> impl Iterator<Item = (ScanOptions, bool)> {
    let carried = |reverse| [false, true].map(|carried| (ScanOptions { reverse }, carried));
    [false, true].into_iter().flat_map(carried)
}

#[test]
fn the_scan_equals_its_reference() {
    let mut source = Source(1);
    for shape in SHAPES {
        let [o, _, i, e, n] = shape;
        let vars = scan_inputs(&mut source, shape);
        let start = source.var(&[o, i, e, n], 0.0, 1.0);
        for (options, carried) in every_option() {
            let state = carried.then_some(start.as_tensor());
            let args = (&vars[0], &vars[1], &vars[2], &vars[3], &vars[4]);
            let name = format!("scan {shape:?} {options:?} carried {carried}");
            let (_, got) = selective_scan(args.0, args.1, args.2, args.3, args.4, state, options).unwrap();
            let (_, want) = selective_scan_reference(args.0, args.1, args.2, args.3, args.4, state, options).unwrap();
            let worst = distance(&got, &want);
            assert!(worst < 2e-6, "{name}: last state differs by {worst:e}");
            compare(
                &name,
                &vars,
                || Ok(selective_scan(args.0, args.1, args.2, args.3, args.4, state, options)?.0),
                || Ok(selective_scan_reference(args.0, args.1, args.2, args.3, args.4, state, options)?.0),
            );
        }
    }
}

#[test]
fn the_scan_of_two_halves_with_carried_state_is_the_scan_of_the_whole() {
    let mut source = Source(2);
    let vars = scan_inputs(&mut source, [2, 41, 3, 20, 4]);
    for (options, _) in every_option().filter(|(_, carried)| !carried) {
        let run = |from: usize, len: usize, state: Option<&Tensor>| {
            let cut = |x: &Var| x.narrow(1, from, len).unwrap();
            selective_scan(&cut(&vars[0]), &cut(&vars[1]), &cut(&vars[2]), &vars[3], &vars[4], state, options).unwrap()
        };
        let (whole, last) = run(0, 41, None);
        let (first, second) = if options.reverse {
            ((18, 23), (0, 18))
        } else {
            ((0, 23), (23, 18))
        };
        let (y_first, state) = run(first.0, first.1, None);
        let (y_second, last_second) = run(second.0, second.1, Some(&state));
        let halves = if options.reverse {
            [y_second, y_first]
        } else {
            [y_first, y_second]
        };
        let bits = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(bits(&whole), bits(&Tensor::cat(&halves, 1).unwrap()), "{options:?}");
        assert_eq!(bits(&last), bits(&last_second), "{options:?}");
    }
}

#[test]
fn the_scans_gradient_is_that_of_finite_differences() {
    let mut source = Source(3);
    let vars = scan_inputs(&mut source, [1, 20, 2, 3, 2]);
    let weight = source.var(&[1, 20, 2, 3], 0.0, 1.0);
    for (options, _) in every_option().filter(|(_, carried)| !carried) {
        let loss = |vars: &[Var]| {
            let (y, _) = selective_scan(&vars[0], &vars[1], &vars[2], &vars[3], &vars[4], None, options).unwrap();
            (y * weight.as_tensor()).unwrap().sum_all().unwrap()
        };
        agrees_with_differences(&format!("{options:?}"), &mut source, &vars, loss);
    }
}

fn gru_inputs(source: &mut Source, [streams, tokens, width]: [usize; 3]) -> Vec<Var> {
    vec![
        source.var(&[streams, tokens, 3 * width], 0.0, 1.5),
        source.var(&[3 * width, width], 0.0, 0.7),
        source.var(&[width], 0.0, 1.0),
    ]
}

#[test]
fn the_gru_equals_its_reference() {
    let mut source = Source(13);
    for shape in [[1, 1, 1], [2, 5, 3], [3, 17, 16], [8, 16, 33]] {
        let vars = gru_inputs(&mut source, shape);
        let state = source.var(&[shape[0], shape[2]], 0.0, 1.0);
        let (_, got) = gru(&vars[0], &vars[1], &vars[2], &state).unwrap();
        let (_, want) = gru_reference(&vars[0], &vars[1], &vars[2], &state).unwrap();
        let worst = distance(&got, &want);
        assert!(worst < 2e-6, "{shape:?}: last state differs by {worst:e}");
        compare(
            &format!("gru {shape:?}"),
            &vars,
            || Ok(gru(&vars[0], &vars[1], &vars[2], &state)?.0),
            || Ok(gru_reference(&vars[0], &vars[1], &vars[2], &state)?.0),
        );
    }
}

#[test]
fn the_gru_of_two_halves_with_carried_state_is_the_gru_of_the_whole() {
    let mut source = Source(14);
    let vars = gru_inputs(&mut source, [3, 29, 20]);
    let start = source.var(&[3, 20], 0.0, 1.0);
    let run = |from: usize, len: usize, state: &Tensor| gru(&vars[0].narrow(1, from, len).unwrap(), &vars[1], &vars[2], state).unwrap();
    let (whole, last) = run(0, 29, &start);
    let (first, state) = run(0, 12, &start);
    let (second, last_second) = run(12, 17, &state);
    assert_eq!(distance(&Tensor::cat(&[first, second], 1).unwrap(), &whole), 0.0);
    assert_eq!(distance(&last_second, &last), 0.0);
}

/// The gradient of `loss` along a random direction of each argument against finite differences.
fn agrees_with_differences(name: &str, source: &mut Source, vars: &[Var], loss: impl Fn(&[Var]) -> Tensor) {
    let grads = loss(vars).backward().unwrap();
    for (i, var) in vars.iter().enumerate() {
        // Along one direction, so that the step is large against f32's rounding.
        let direction = source.var(var.dims(), 0.0, 1.0);
        let moved = |by: f64| {
            let mut moved = vars.to_vec();
            moved[i] = Var::from_tensor(&(var.as_tensor() + (direction.as_tensor() * by).unwrap()).unwrap()).unwrap();
            f64::from(loss(&moved).to_scalar::<f32>().unwrap())
        };
        let step = 2e-3;
        let want = (moved(step) - moved(-step)) / (2.0 * step);
        let along = (grads.get(var).unwrap() * direction.as_tensor()).unwrap().sum_all().unwrap();
        let got = f64::from(along.to_scalar::<f32>().unwrap());
        assert!(
            (got - want).abs() < 2e-3 * want.abs().max(1.0),
            "{name}, argument {i}: {got} against {want}"
        );
    }
}

#[test]
fn the_grus_gradient_is_that_of_finite_differences() {
    let mut source = Source(15);
    let vars = gru_inputs(&mut source, [2, 12, 5]);
    let (state, weight) = (source.var(&[2, 5], 0.0, 1.0), source.var(&[2, 12, 5], 0.0, 1.0));
    agrees_with_differences("gru", &mut source, &vars, |vars| {
        let (h, _) = gru(&vars[0], &vars[1], &vars[2], &state).unwrap();
        (h * weight.as_tensor()).unwrap().sum_all().unwrap()
    });
}

#[test]
fn the_convolution_equals_its_reference() {
    let mut source = Source(4);
    for [o, l, i, e, _] in SHAPES {
        for taps in [1, 2, 4, 5] {
            let vars = [
                source.var(&[o, l, i, e], 0.0, 2.0),
                source.var(&[e, taps], 0.0, 1.0),
                source.var(&[e], 0.0, 1.0),
            ];
            let before = source.var(&[o, taps - 1, i, e], 0.0, 2.0);
            for reverse in [false, true] {
                for state in [None, Some(before.as_tensor())] {
                    compare(
                        &format!("conv {:?} taps {taps} reverse {reverse} carried {}", [o, l, i, e], state.is_some()),
                        &vars,
                        || conv_silu(&vars[0], &vars[1], &vars[2], reverse, state),
                        || conv_silu_reference(&vars[0], &vars[1], &vars[2], reverse, state),
                    );
                }
            }
        }
    }
}

#[test]
fn the_convolution_of_two_halves_is_that_of_the_whole() {
    let mut source = Source(5);
    let vars = [
        source.var(&[2, 11, 3, 5], 0.0, 2.0),
        source.var(&[5, 4], 0.0, 1.0),
        source.var(&[5], 0.0, 1.0),
    ];
    let whole = conv_silu(&vars[0], &vars[1], &vars[2], false, None).unwrap();
    let cut = |from, len| vars[0].narrow(1, from, len).unwrap();
    let first = conv_silu(&cut(0, 6), &vars[1], &vars[2], false, None).unwrap();
    let second = conv_silu(&cut(6, 5), &vars[1], &vars[2], false, Some(&cut(3, 3))).unwrap();
    assert_eq!(distance(&Tensor::cat(&[first, second], 1).unwrap(), &whole), 0.0);
}

#[test]
fn normalisation_gate_limit_and_gelu_equal_their_references() {
    let mut source = Source(6);
    for shape in [vec![1, 1], vec![3, 7], vec![2, 5, 16], vec![4, 3, 2, 40], vec![9, 64]] {
        let width = shape[shape.len() - 1];
        let x = source.var(&shape, 0.5, 2.0);
        let y = source.var(&shape, 0.0, 3.0);
        let (scale, shift) = (source.var(&[width], 1.0, 0.5), source.var(&[width], 0.0, 1.0));
        if width > 1 {
            let vars = [x.clone(), scale.clone(), shift.clone()];
            compare(
                &format!("norm {shape:?}"),
                &vars,
                || layer_norm(&x, &scale, &shift),
                || layer_norm_reference(&x, &scale, &shift),
            );
        }
        compare(
            &format!("gate {shape:?}"),
            &[x.clone(), y.clone()],
            || gate(&x, &y),
            || gate_reference(&x, &y),
        );
        let limited = std::slice::from_ref(&y);
        compare(&format!("limit {shape:?}"), limited, || limit(&y, 1.5), || limit_reference(&y, 1.5));
        compare(
            &format!("gelu {shape:?}"),
            std::slice::from_ref(&y),
            || gelu(&y),
            || gelu_reference(&y),
        );
    }
}

#[test]
fn the_linear_layer_equals_its_reference() {
    let mut source = Source(10);
    for (shape, output) in [(vec![1], 1), (vec![3, 5], 7), (vec![2, 3, 4, 40], 33), (vec![176, 64], 32)] {
        let width = shape[shape.len() - 1];
        let (x, weight, bias) = (
            source.var(&shape, 0.0, 1.0),
            source.var(&[output, width], 0.0, 1.0),
            source.var(&[output], 0.0, 1.0),
        );
        let mut out = shape.clone();
        out[shape.len() - 1] = output;
        let residual = source.var(&out, 0.0, 1.0);
        let name = format!("linear {shape:?} to {output}");
        compare(
            &name,
            &[x.clone(), weight.clone()],
            || linear(&x, &weight, None),
            || linear_reference(&x, &weight, None),
        );
        let vars = [x.clone(), weight.clone(), bias.clone()];
        compare(
            &name,
            &vars,
            || linear(&x, &weight, Some(&bias)),
            || linear_reference(&x, &weight, Some(&bias)),
        );
        let vars = [x.clone(), weight.clone(), residual.clone()];
        let reference = || residual.as_tensor() + linear_reference(&x, &weight, None)?;
        compare(&name, &vars, || linear_onto(&residual, &x, &weight), reference);
    }
    let (x, weight, bias) = (
        source.var(&[2, 5, 3, 20], 0.0, 1.0),
        source.var(&[3, 7, 20], 0.0, 1.0),
        source.var(&[7], 0.0, 1.0),
    );
    let vars = [x.clone(), weight.clone(), bias.clone()];
    compare(
        "a matrix per variate, one bias",
        &vars,
        || linear(&x, &weight, Some(&bias)),
        || linear_reference(&x, &weight, Some(&bias)),
    );
}

#[test]
fn the_weighted_sums_equal_their_references() {
    let mut source = Source(11);
    for shape in [vec![1], vec![3, 5, 7], vec![2, 16, 11, 16]] {
        for terms in 1..=5 {
            let mut vars: Vec<Var> = (0..terms).map(|_| source.var(&shape, 0.0, 1.0)).collect();
            vars.push(source.var(&[terms], 0.5, 1.0));
            let (weights, of) = (&vars[terms], vars[..terms].iter().map(|var| var.as_tensor()).collect::<Vec<_>>());
            compare(
                &format!("{terms} terms {shape:?}"),
                &vars,
                || weighted_sum(&of, weights),
                || weighted_sum_reference(&of, weights),
            );
        }
        let (x, target, weights) = (
            source.var(&shape, 0.0, 1.0),
            source.var(&shape, 0.0, 1.0),
            source.var(&shape, 1.0, 1.0),
        );
        compare(
            &format!("squared error {shape:?}"),
            std::slice::from_ref(&x),
            || squared_error(&x, &target, &weights),
            || squared_error_reference(&x, &target, &weights),
        );
    }
}

#[test]
fn the_scan_is_the_devices_step_to_the_bit() {
    let (o, l, i, e, n) = (2, 9, 3, 20, 4);
    let mut source = Source(12);
    let vars = scan_inputs(&mut source, [o, l, i, e, n]);
    let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let [c, dt, bc, a_log, d] = [0, 1, 2, 3, 4].map(|at| numbers(&vars[at]));
    // Where softplus is its argument, the only function that the two compute differently (within 3e-7).
    let dt: Vec<f32> = dt.iter().map(|dt| 25.0 + dt).collect();
    let dt_var = Tensor::from_slice(&dt, (o, l, i, e), &Device::Cpu).unwrap();
    let a: Vec<f32> = (0..n * e)
        .map(|at| -tsm2_core::math::exp(a_log[(at % e) * n + at / e] - 4.0))
        .collect();
    let a_log = (vars[3].as_tensor() - 4.0).unwrap();
    let (y, last) = selective_scan(&vars[0], &dt_var, &vars[2], &a_log, &vars[4], None, ScanOptions { reverse: false }).unwrap();
    let (y, last) = (numbers(&y), numbers(&last));
    for sequence in 0..o * i {
        let mut h = vec![0.0; n * e];
        for step in 0..l {
            let row = (sequence / i * l + step) * i + sequence % i;
            let at = row * e..(row + 1) * e;
            let (b, c_out) = bc[row * 2 * n..(row + 1) * 2 * n].split_at(n);
            let mut out = vec![0.0; e];
            tsm2_core::scan_step(&dt[at.clone()], &a, b, c_out, &c[at.clone()], &d, &mut h, &mut out);
            assert_eq!(out, y[at], "sequence {sequence}, step {step}");
        }
        for (at, h) in h.iter().enumerate() {
            assert_eq!(*h, last[(sequence * e + at % e) * n + at / e]);
        }
    }
}

#[test]
fn inputs_that_are_not_contiguous_are_made_so() {
    let mut source = Source(8);
    let wide = source.var(&[2, 6, 3, 40], 0.0, 1.0);
    let (left, right) = (wide.narrow(3, 0, 20).unwrap(), wide.narrow(3, 20, 20).unwrap());
    let (scale, shift) = (source.var(&[20], 1.0, 0.5), source.var(&[20], 0.0, 1.0));
    let weight = source.var(&[20, 3], 0.0, 1.0);
    let vars = [wide.clone()];
    compare("gate of halves", &vars, || gate(&left, &right), || gate_reference(&left, &right));
    compare(
        "norm of a half",
        &vars,
        || layer_norm(&right, &scale, &shift),
        || layer_norm_reference(&right, &scale, &shift),
    );
    compare(
        "conv of a half",
        &vars,
        || conv_silu(&right, &weight, &shift, true, None),
        || conv_silu_reference(&right, &weight, &shift, true, None),
    );
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut source = Source(9);
    let v = source.var(&[2, 6, 3, 20], 0.0, 1.0);
    let (weight, bias) = (source.var(&[20, 3], 0.0, 1.0), source.var(&[19], 0.0, 1.0));
    let name = |result: Result<Tensor>| result.unwrap_err().to_string();
    assert!(name(conv_silu(&v, &weight, &bias, false, None)).contains("conv_silu: shapes do not fit"));
    assert!(name(layer_norm(&v, &bias, &bias)).contains("layer_norm: shapes do not fit"));
    assert!(name(gate(&v, &bias)).contains("gate: shapes differ"));
    assert!(name(weighted_sum(&[&v, &v], &bias)).contains("weighted_sum: 2 terms do not fit weights [19]"));
    assert!(name(weighted_sum(&[], &bias)).contains("weighted_sum: 0 terms"));
    assert!(name(squared_error(&v, &v, &weight)).contains("squared_error: shapes differ"));
    assert!(name(linear(&v, &weight, None)).contains("linear: x [2, 6, 3, 20] does not fit weight [20, 3]"));
    assert!(name(linear(&v, &v.reshape((4, 9, 20)).unwrap(), None)).contains("does not fit weight"));
    assert!(name(linear(&v, &v.reshape((3, 12, 20)).unwrap(), Some(&bias))).contains("bias [19] does not fit the result"));
    let options = ScanOptions { reverse: false };
    let refused = selective_scan(&v, &v, &v, &weight, &bias, None, options).map(|(y, _)| y);
    assert!(name(refused).contains("selective_scan: shapes do not fit"));
    let (x, state) = (source.var(&[2, 6, 9], 0.0, 1.0), source.var(&[2, 3], 0.0, 1.0));
    let (gates, candidate) = (source.var(&[9, 3], 0.0, 1.0), source.var(&[3], 0.0, 1.0));
    for (gates, state) in [(&gates, &candidate), (&state, &state)] {
        let refused = gru(&x, gates, &candidate, state).map(|(h, _)| h);
        assert!(name(refused).contains("gru: shapes do not fit"));
    }
}
