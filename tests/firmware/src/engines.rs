//! Engines of the conformance suite on other processors: the runner of `firmware/runner` under QEMU.

use std::path::Path;
use std::process::Command;

use tsm2_blob::export;
use tsm2_bundle::Bundle;
use tsm2_conformance::{Run, Stream};

use crate::programs::Machine;

/// The mark at the end of the output of a board.
const MARK: u32 = 0x444E_4521;

/// What a run on a board cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions of the cheapest step and of the dearest one, forecast included.
    pub instructions: (u32, u32),
    /// Bytes of stack.
    pub stack: u32,
}

/// Runs a stream from a zero state. `None`: QEMU or the compiler's target is missing.
///
/// # Panics
/// When the program fails.
#[must_use]
pub fn run(machine: Machine, bundle: &Bundle, stream: &Stream) -> Option<(Run, Cost)> {
    let (qemu, program) = (machine.qemu()?, machine.program("runner")?);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (model, input) = (folder.path().join("model.bin"), folder.path().join("input.bin"));
    std::fs::write(&model, export(bundle, 0.9).expect("a bundle with an interval")).expect("a file");
    std::fs::write(&input, words(bundle, stream)).expect("a file");
    let mut command = match machine {
        Machine::Aarch64 => linux(qemu, &program, &model, &input),
        _ => board(machine, qemu, &program, &model, &input),
    };
    let output = command.output().expect("QEMU starts");
    assert!(output.status.success(), "{machine:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut words: Vec<u32> = output.stdout.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    let mut cost = Cost::default();
    if machine != Machine::Aarch64 {
        let [.., least, most, stack, mark] = words[..] else {
            panic!("{machine:?}: no output")
        };
        assert_eq!(mark, MARK, "{machine:?}: the output is cut short");
        cost = Cost {
            instructions: (least, most),
            stack,
        };
        words.truncate(words.len() - 4);
    }
    let numbers: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
    let (forecasts, state) = numbers.split_at(stream.times.len() * bundle.meta().config.forecast_len());
    let run = Run {
        forecasts: forecasts.to_vec(),
        state: state.to_vec(),
    };
    Some((run, cost))
}

fn linux(mut qemu: Command, program: &Path, model: &Path, input: &Path) -> Command {
    qemu.args(["-L", "/usr/aarch64-linux-gnu"]).arg(program).arg(model).arg(input);
    qemu
}

/// `-icount shift=6`: an instruction takes 64 ns, so the board's clock counts instructions.
fn board(machine: Machine, mut qemu: Command, program: &Path, model: &Path, input: &Path) -> Command {
    let [at_model, _, at_input] = machine.addresses();
    let loader = |file: &Path, address: u32| format!("loader,file={},addr={address:#x},force-raw=on", file.display());
    qemu.args(["-M", machine.board(), "-nographic", "-monitor", "none", "-serial", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-icount", "shift=6"])
        .args(["-device", &loader(model, at_model), "-device", &loader(input, at_input)])
        .arg("-kernel")
        .arg(program);
    qemu
}

/// The input of the runner.
fn words(bundle: &Bundle, stream: &Stream) -> Vec<u8> {
    let config = &bundle.meta().config;
    let width = config.future_covariates * (config.horizon + 1);
    let mut bytes = (stream.times.len() as u32).to_le_bytes().to_vec();
    for (t, time) in stream.times.iter().enumerate() {
        bytes.extend(time.to_le_bytes());
        let readings = &stream.readings[t * config.variates..(t + 1) * config.variates];
        let future = &stream.future[t * width..(t + 1) * width];
        bytes.extend(readings.iter().chain(future).flat_map(|number| number.to_le_bytes()));
    }
    bytes
}
