//! Sizes, memory and instructions of the programs on Cortex-M, as rows of `docs/data/firmware.csv`.
//!
//! The rows of the runner are the model alone: the step and the forecast, without a network stack and
//! without prediction intervals. The rows of the station are the whole program.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tsm2_blob::export;
use tsm2_bundle::Bundle;
use tsm2_conformance::catalogue::{Faults, bundle, stream};
use tsm2_core::{Config, LinearHead, Mlp, NetworkConfig, S6, Season, VariateMixer};

use crate::elf::{Section, sections};
use crate::engines;
use crate::guest::Guest;
use crate::programs::Machine;

/// Time steps of the runner.
const STEPS: usize = 40;
const START_MS: i64 = 1_709_208_000_000;
const INTERVAL_MS: i64 = 3_600_000;
/// Clock that the times of the table are for, at one instruction a cycle.
const CLOCK_HZ: f64 = 120e6;
/// Part of the RAM that is left to the stack, as in the linker scripts of `firmware/mps2`, and what the
/// start-up code fills it with.
const STACK: usize = 64 * 1024;
const PAINT: u32 = 0xCCCC_CCCC;
/// Sections that take flash, and sections that take RAM.
const FLASH: &[&str] = &[".vector_table", ".text", ".rodata", ".data"];
const RAM: &[&str] = &[".data", ".bss", ".uninit"];

/// A row of the table: bytes, and instructions of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The processor.
    pub machine: &'static str,
    /// `runner` or `station`.
    pub program: &'static str,
    /// The model.
    pub model: String,
    /// Flash: code and constants.
    pub code: usize,
    /// Flash: the blob.
    pub blob: usize,
    /// RAM: variables with a fixed place.
    pub variables: usize,
    /// RAM: the state of the model; in the station, all of the heap.
    pub state: usize,
    /// RAM: working memory of a step and the forecast.
    pub work: usize,
    /// RAM: most stack that was used.
    pub stack: usize,
    /// Instructions of the dearest step with its forecast; 0: not counted.
    pub instructions: u32,
}

/// The columns of the file.
pub const HEADER: &str = "machine,program,model,code,blob,variables,state,work,stack,instructions";

impl Row {
    /// As a line of the file.
    #[must_use]
    pub fn csv(&self) -> String {
        format!(
            "{},{},{},{}",
            self.machine,
            self.program,
            self.model,
            self.numbers().map(|n| n.to_string()).join(",")
        )
    }

    /// The numbers, in the order of the columns.
    #[must_use]
    pub fn numbers(&self) -> [usize; 7] {
        [
            self.code,
            self.blob,
            self.variables,
            self.state,
            self.work,
            self.stack,
            self.instructions as usize,
        ]
    }

    /// Milliseconds of a step at 120 MHz and one instruction a cycle.
    #[must_use]
    pub fn milliseconds(&self) -> f64 {
        f64::from(self.instructions) / CLOCK_HZ * 1e3
    }

    /// RAM: all of it.
    #[must_use]
    pub fn ram(&self) -> usize {
        self.variables + self.state + self.work + self.stack
    }
}

/// The file of the figures.
#[must_use]
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data/firmware.csv")
}

/// The models of the table: three sizes with weights that mean nothing, and a shipped one.
fn models() -> Vec<Bundle> {
    let s6 = |d_inner| S6 {
        d_inner,
        d_state: 2,
        dt_rank: 4,
        d_conv: 4,
    };
    let network = |d_model, layers, mlp| NetworkConfig {
        d_model,
        layers,
        time_mixer: s6(d_model / 2),
        variate_mixer: VariateMixer::Mlp(mlp),
        ..NetworkConfig::default()
    };
    let model = |name, horizon, network, lags, season: Option<usize>, per_variate| {
        let config = Config {
            variates: 7,
            horizon,
            network: Some(network),
            linear_head: LinearHead {
                lags,
                season: season.map(|period| Season {
                    period,
                    bins: None,
                    rate: None,
                }),
                per_variate,
                ..LinearHead::default()
            },
            ..Config::default()
        };
        bundle(name, &config, INTERVAL_MS, 1)
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/etth1/model.safetensors");
    vec![
        model("micro", 24, network(16, 1, Mlp { reduce: 4, hidden: 16 }), 48, None, false),
        model("small", 24, network(32, 2, Mlp { reduce: 8, hidden: 64 }), 168, Some(24), false),
        model("base", 96, network(64, 2, Mlp { reduce: 16, hidden: 256 }), 336, Some(24), true),
        Bundle::open(&path).expect("a shipped model"),
    ]
}

/// Measures every row. `None`: QEMU or a target of the compiler is missing.
///
/// # Panics
/// When a program fails.
#[must_use]
pub fn measure() -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for (machine, name) in [(Machine::CortexM4F, "Cortex-M4F"), (Machine::CortexM33, "Cortex-M33")] {
        for bundle in models() {
            rows.push(runner(machine, name, &bundle)?);
            rows.push(station(machine, name, &bundle)?);
        }
    }
    rows.sort_by_key(|row| row.program);
    Some(rows)
}

fn runner(machine: Machine, name: &'static str, bundle: &Bundle) -> Option<Row> {
    let input = stream(bundle, STEPS, INTERVAL_MS, Faults::None, 2);
    let (_, cost) = engines::run(machine, bundle, &input)?;
    let elf = std::fs::read(machine.program("runner")?).expect("a program");
    let sections = sections(&elf);
    Some(Row {
        machine: name,
        program: "runner",
        model: bundle.meta().name.clone(),
        code: size(&sections, FLASH),
        blob: export(bundle, 0.9).expect("a model with an interval").len(),
        variables: size(&sections, RAM),
        state: bundle.state_bytes(),
        work: bundle.scratch_bytes() + size_of::<f32>() * bundle.meta().config.forecast_len(),
        stack: cost.stack as usize,
        instructions: cost.instructions.1,
    })
}

/// The station takes rows over its serial line; then its memory is searched for what it used.
fn station(machine: Machine, name: &'static str, bundle: &Bundle) -> Option<Row> {
    let model = export(bundle, 0.9).expect("a model with an interval");
    let mut guest = Guest::start(machine, &model, "stream = table\n")?;
    guest.wait_for("started without a state", 1);
    let mut serial = guest.serial();
    // The gap after the first row is bridged by time steps, in which every place for an open forecast is taken.
    let bridged = bundle.meta().config.horizon as i64 + 10;
    for (step, has_forecast) in [(0, true), (bridged, false), (bridged + 1, true)] {
        let fields = bundle.meta().variates.iter().fold(String::new(), |mut fields, variate| {
            let _ = write!(fields, ", {:?}: {}", variate.name, variate.mean);
            fields
        });
        serial.send(&format!("{{\"time\": {}{fields}}}", START_MS + step * INTERVAL_MS));
        // The second row waits until the third confirms its time.
        for _ in bundle.meta().targets().iter().filter(|_| has_forecast) {
            let line = serial.next_line();
            assert!(line.starts_with("forecast "), "{line}");
        }
    }
    let (start, end) = machine.ram();
    let memory = guest.memory(start, (end - start) as usize);
    let words: Vec<u32> = memory.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    let (below, stack) = words.split_at(words.len() - STACK / size_of::<u32>());
    let unused = stack.iter().take_while(|&&word| word == PAINT).count();
    let used = below
        .iter()
        .rposition(|&word| word != 0)
        .map_or(0, |last| size_of::<u32>() * (last + 1));
    let elf = std::fs::read(machine.program("station")?).expect("a program");
    let sections = sections(&elf);
    let variables = size(&sections, RAM);
    Some(Row {
        machine: name,
        program: "station",
        model: bundle.meta().name.clone(),
        code: size(&sections, FLASH),
        blob: model.len(),
        variables,
        state: used - variables,
        work: 0,
        stack: size_of::<u32>() * (stack.len() - unused),
        instructions: 0,
    })
}

/// Bytes of all sections of these names.
fn size(sections: &[Section], names: &[&str]) -> usize {
    let of_names = sections.iter().filter(|section| names.contains(&section.name));
    of_names.map(|section| section.size).sum()
}

/// The rows as a table in Markdown, in KiB.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| processor | program | model | code | blob | RAM | of it state | of it stack | instructions a step | ms at 120 MHz |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    let kib = |bytes: usize| format!("{:.1}", bytes as f64 / 1024.0);
    for row in rows {
        let (instructions, ms) = match row.instructions {
            0 => ("".into(), String::new()),
            count => (count.to_string(), format!("{:.2}", row.milliseconds())),
        };
        let cells = [
            row.machine.into(),
            row.program.into(),
            row.model.clone(),
            kib(row.code),
            kib(row.blob),
            kib(row.ram()),
            kib(row.state),
            kib(row.stack),
            instructions,
            ms,
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}
