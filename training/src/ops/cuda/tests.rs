//! The kernels without a CUDA device: their source compiled as C++ for the processor, run by the device's own plans, against the
//! processor's kernels and against candle's operations; and that the PTX is what that source compiles to.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use candle_core::{Device, Result, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::plan::{self, Plan};
use crate::ops::conv::{self, Conv};
use crate::ops::scan::{self, pack};
use crate::ops::{ScanOptions, conv_silu, conv_silu_reference, selective_scan, selective_scan_reference};

/// Where the kernels lie.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops/cuda")
}

/// The kernels compiled for the processor.
struct Host {
    folder: TempDir,
}

impl Host {
    /// None on a machine without a C++ compiler.
    fn compile() -> Option<Self> {
        let compiler = std::env::var("CXX").unwrap_or("c++".into());
        if Command::new(&compiler).arg("--version").output().is_err() {
            eprintln!("skipped: there is no C++ compiler `{compiler}` to compile the CUDA kernels for the processor with");
            return None;
        }
        let host = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let compiled = Command::new(compiler)
            .args(["-std=c++17", "-O1", "-ffp-contract=off", "-o"])
            .args([host.program(), folder().join("host.cpp")])
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Some(host)
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    /// What the plan makes of what is given. The order in which threads run must make no difference.
    fn run(&self, plan: &Plan, given: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let forwards = self.run_in_order(plan, given, false);
        let backwards = self.run_in_order(plan, given, true);
        assert!(forwards == backwards, "the order of threads makes a difference");
        let mut made = forwards.as_slice();
        let cut = |&len: &usize| made.split_off(..len).unwrap().to_vec();
        plan.results.iter().map(cut).collect()
    }

    fn run_in_order(&self, plan: &Plan, given: &[Vec<f32>], backwards: bool) -> Vec<f32> {
        let mut job = Job(Vec::new());
        job.number(usize::from(backwards));
        job.number(given.len());
        for buffer in given {
            job.number(buffer.len());
            buffer.iter().for_each(|x| job.0.extend(x.to_ne_bytes()));
        }
        job.numbers(&[&plan.results[..], &plan.scratch[..]].concat());
        job.number(plan.launches.len());
        for launch in &plan.launches {
            job.number(launch.kernel.len());
            job.0.extend(launch.kernel.bytes());
            job.number(launch.threads);
            job.numbers(&launch.buffers);
            job.numbers(&launch.sizes);
        }
        let mut program = Command::new(self.program())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        program.stdin.take().unwrap().write_all(&job.0).unwrap();
        let mut bytes = Vec::new();
        program.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
        assert!(program.wait().unwrap().success(), "{}", plan.launches[0].kernel);
        bytes.as_chunks().0.iter().map(|&x| f32::from_ne_bytes(x)).collect()
    }
}

/// What host.cpp reads.
struct Job(Vec<u8>);

impl Job {
    fn number(&mut self, number: usize) {
        self.0.extend(u32::try_from(number).unwrap().to_ne_bytes());
    }

    fn numbers(&mut self, numbers: &[usize]) {
        self.number(numbers.len());
        numbers.iter().for_each(|&number| self.number(number));
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Numbers around `centre`, at most `spread` away.
fn var(random: &mut ChaCha8Rng, shape: &[usize], centre: f32, spread: f32) -> Var {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| centre + spread * random.random_range(-1.0f32..1.0)).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// What is kept of an operation on the processor: its result and the gradients of its arguments, for a gradient of the result.
fn outcome(out: Result<Tensor>, grad: &Tensor, arguments: &[Var]) -> Vec<Vec<f32>> {
    let out = out.unwrap();
    let gradients = (&out * grad).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |var: &Var| numbers(gradients.get(var).unwrap());
    [numbers(&out)].into_iter().chain(arguments.iter().map(of)).collect()
}

/// Largest difference relative to the largest number; both are finite.
fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().chain(want).all(|x| x.is_finite()));
    let scale = want.iter().fold(1e-6f32, |scale, x| scale.max(x.abs()));
    got.iter().zip(want).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs())) / scale
}

/// The last sizes are drawn: `[O, L, I, E]` and one more.
fn shapes(random: &mut ChaCha8Rng, fixed: &[[usize; 5]]) -> Vec<[usize; 5]> {
    let drawn = (0..6).map(|_| [4, 40, 5, 40, 9].map(|most| random.random_range(1..=most)));
    fixed.iter().copied().chain(drawn).collect()
}

#[test]
fn the_scan_of_the_device_is_that_of_the_processor_to_the_bit_but_for_the_gradient_of_d() {
    let Some(host) = Host::compile() else { return };
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    for dims in shapes(
        random,
        &[
            [1, 1, 1, 1, 1],
            [2, 5, 3, 7, 2],
            [2, 17, 1, 33, 4],
            [1, 40, 2, 20, 16],
            [8, 16, 11, 32, 2],
        ],
    ) {
        let [o, l, i, e, n] = dims;
        let vars = [
            var(random, &[o, l, i, e], 0.0, 1.5),
            var(random, &[o, l, i, e], -1.0, 3.0),
            var(random, &[o, l, i, 2 * n], 0.0, 1.0),
            var(random, &[e, n], 0.5, 0.7),
            var(random, &[e], 1.0, 0.5),
        ];
        let [c, dt, bc, a_log, d] = &vars;
        let (start, grad) = (var(random, &[o, i, e, n], 0.0, 1.0), var(random, &[o, l, i, e], 0.0, 1.0));
        for flags in 0..8 {
            let [reverse, carried] = [1, 2].map(|flag| flags & flag != 0);
            let options = ScanOptions { reverse };
            let name = format!("{dims:?} {options:?} carried {carried}");
            let state = carried.then_some(start.as_tensor());

            let shape = scan::shape(c, dt, bc, a_log, d, state, options).unwrap();
            let packed = numbers(&pack(bc, a_log, d).unwrap());
            let given = [
                numbers(c),
                numbers(dt),
                packed.clone(),
                state.map_or(vec![0.0; shape.states()], numbers),
            ];
            let [y, last, before] = host.run(&plan::scan_forward(&shape), &given).try_into().unwrap();
            let given = [numbers(c), numbers(dt), packed, before, numbers(&grad)];
            let [grad_c, grad_dt, grad_packed] = host.run(&plan::scan_backward(&shape), &given).try_into().unwrap();
            let (grad_bc, grad_rest) = grad_packed.split_at(shape.selections());
            let (grad_a_log, grad_d) = grad_rest.split_at(e * n);
            let got = [&y, &grad_c, &grad_dt, grad_bc, grad_a_log, grad_d];

            let (out, want_last) = selective_scan(c, dt, bc, a_log, d, state, options).unwrap();
            let want = outcome(Ok(out), &grad, &vars);
            assert!(last == numbers(&want_last), "{name}: the last state");
            for (at, (got, want)) in got[..5].iter().zip(&want).enumerate() {
                let worst = distance(got, want);
                assert!(got == want, "{name}: result or gradient {at} differs by {worst:e}");
            }
            // Summed per sequence first.
            assert!(distance(grad_d, &want[5]) < 1e-6, "{name}: the gradient of D");

            let (out, want_last) = selective_scan_reference(c, dt, bc, a_log, d, state, options).unwrap();
            let want = outcome(Ok(out), &grad, &vars);
            assert!(
                distance(&last, &numbers(&want_last)) < 2e-6,
                "{name}: the last state against candle's"
            );
            for (at, (got, want)) in got.iter().zip(&want).enumerate() {
                let worst = distance(got, want);
                assert!(worst < 1e-5, "{name}: result or gradient {at} differs from candle's by {worst:e}");
            }
        }
    }
}

#[test]
fn the_convolution_of_the_device_is_that_of_the_processor() {
    let Some(host) = Host::compile() else { return };
    let random = &mut ChaCha8Rng::seed_from_u64(2);
    for dims in shapes(random, &[[1, 1, 1, 1, 1], [2, 3, 3, 7, 5], [8, 16, 11, 32, 4]]) {
        let [o, l, i, e, taps] = dims;
        let vars = [
            var(random, &[o, l, i, e], 0.0, 2.0),
            var(random, &[e, taps], 0.0, 1.0),
            var(random, &[e], 0.0, 1.0),
        ];
        let [v, weight, bias] = &vars;
        let (start, grad) = (var(random, &[o, taps - 1, i, e], 0.0, 2.0), var(random, &[o, l, i, e], 0.0, 1.0));
        for flags in 0..4 {
            let [reverse, carried] = [1, 2].map(|flag| flags & flag != 0);
            let name = format!("{dims:?} reverse {reverse} carried {carried}");
            let state = carried.then_some(start.as_tensor());

            let shape: Conv = conv::shape(v, weight, bias, reverse, state).unwrap();
            let mut given = vec![
                numbers(v),
                numbers(weight),
                numbers(bias),
                state.map_or(vec![0.0; shape.before()], numbers),
            ];
            let [out] = host.run(&plan::conv_forward(&shape), &given).try_into().unwrap();
            given.push(numbers(&grad));
            let [grad_v, grad_weight, grad_bias] = host.run(&plan::conv_backward(&shape), &given).try_into().unwrap();

            let want = outcome(conv_silu(v, weight, bias, reverse, state), &grad, &vars);
            assert!(out == want[0], "{name}: the result");
            assert!(grad_v == want[1], "{name}: the gradient of v");
            // Summed per sequence first.
            assert!(distance(&grad_weight, &want[2]) < 2e-6, "{name}: the gradient of the weight");
            assert!(distance(&grad_bias, &want[3]) < 2e-6, "{name}: the gradient of the bias");

            let want = outcome(conv_silu_reference(v, weight, bias, reverse, state), &grad, &vars);
            for (at, (got, want)) in [out, grad_v, grad_weight, grad_bias].iter().zip(&want).enumerate() {
                let worst = distance(got, want);
                assert!(worst < 1e-5, "{name}: result or gradient {at} differs from candle's by {worst:e}");
            }
        }
    }
}

#[test]
fn the_ptx_is_that_of_the_source() {
    let files = ["kernels.compute_75.ptx", "kernels.compute_90.ptx"];
    let read = |folder: &Path, file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let source = std::fs::read(folder().join("kernels.cu")).unwrap();
    let hash: String = Sha256::digest(&source).iter().map(|byte| format!("{byte:02x}")).collect();
    for file in files {
        let ptx = read(&folder(), file);
        assert!(
            ptx.starts_with(&format!("// kernels.cu, sha256 {hash}\n")),
            "{file} is not that of kernels.cu: run make-ptx"
        );
        // What may be rounded otherwise than on the processor.
        for other in ["fma.", ".ftz", ".approx", "mul.f32", "add.f32", "sub.f32", "div.f32"] {
            assert!(!ptx.contains(other), "{file} has `{other}`");
        }
    }
    let release = Command::new("nvcc").arg("--version").output();
    if !release.is_ok_and(|release| String::from_utf8_lossy(&release.stdout).contains("release 13.0")) {
        eprintln!("that the kernels compile to the PTX in the repository was not tried: there is no nvcc 13.0");
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let status = Command::new(folder().join("make-ptx")).arg(made.path()).status().unwrap();
    assert!(status.success());
    for file in files {
        assert!(
            read(&folder(), file) == read(made.path(), file),
            "{file} is not what make-ptx makes"
        );
    }
}
