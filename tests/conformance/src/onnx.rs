//! Exported graphs beside the device's step: the runner in Python, and the table of all models.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tsm2_bundle::Bundle;

use crate::catalogue::{Faults, recipes, stream};
use crate::engines::{Graph, STEP, Stepper, recurrent};
use crate::tolerance::Distance;
use crate::{Run, Stream};

/// A model in both forms, and a stream for it.
#[derive(Debug)]
pub struct Subject {
    /// Name in the table.
    pub name: String,
    /// The model.
    pub bundle: Bundle,
    /// Its graph.
    pub exported: tsm2_onnx::Exported,
    /// Its input.
    pub stream: Stream,
}

impl Subject {
    /// A model on 2,000 time steps with missing readings; time steps 1,000 to 1,099 have no reading at all.
    ///
    /// # Panics
    /// When the model cannot be exported.
    #[must_use]
    pub fn new(name: &str, bundle: Bundle) -> Self {
        const STEPS: usize = 2000;
        let interval = bundle.meta().interval_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(60_000);
        let mut stream = stream(&bundle, STEPS, interval, Faults::Missing, 16);
        let width = bundle.meta().config.variates;
        stream.readings[1000 * width..1100 * width].fill(f32::NAN);
        Self {
            name: name.to_owned(),
            exported: tsm2_onnx::export(&bundle).expect("a graph"),
            bundle,
            stream,
        }
    }

    /// The catalogue's models and the shipped ones, these with 8-bit integers, too. Readings far outside the range are a
    /// case of their own.
    ///
    /// # Panics
    /// When a file is absent.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let mut subjects: Vec<Self> = ["building", "etth1"]
            .into_iter()
            .flat_map(|name| {
                let bundle = Bundle::open(&models.join(name).join("model.safetensors")).unwrap_or_else(|error| panic!("{error}"));
                let int8 = bundle.to_int8().expect("the same model");
                [Self::new(name, bundle), Self::new(&format!("{name}, int8"), int8)]
            })
            .collect();
        let of_catalogue = recipes().into_iter().filter(|recipe| recipe.faults != Faults::Extreme);
        subjects.extend(of_catalogue.map(|recipe| Self::new(recipe.name, crate::case::Case::open(recipe.name).bundle)));
        subjects
    }
}

/// The run of a graph and the processor time of one step.
#[derive(Debug)]
pub struct Timed {
    /// What the graph gave.
    pub run: Run,
    /// Processor time of a step, on average.
    pub step: Duration,
}

/// Processor time of this thread: other work on the machine does not count.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processor time of a step since `start`, on average.
fn of_step(start: Duration, subject: &Subject) -> Duration {
    (thread_time() - start) / u32::try_from(subject.stream.times.len()).unwrap_or(u32::MAX)
}

/// The device's step.
#[must_use]
pub fn by_core(subject: &Subject) -> Timed {
    let mut stepper = Stepper::new(&subject.bundle);
    let mut forecast = vec![0.0; subject.bundle.meta().config.forecast_len()];
    let start = thread_time();
    for step in subject.stream.steps(&subject.bundle) {
        stepper.step(&step, &mut forecast);
    }
    Timed {
        step: of_step(start, subject),
        run: (STEP.run)(&subject.bundle, &subject.stream),
    }
}

/// The graph in tract.
///
/// # Panics
/// When the graph cannot be run.
#[must_use]
pub fn by_tract(subject: &Subject) -> Timed {
    let mut graph = Graph::new(&subject.exported.bytes);
    let mut forecast = vec![0.0; subject.bundle.meta().config.forecast_len()];
    let mut run = Run::default();
    let start = thread_time();
    for step in subject.stream.steps(&subject.bundle) {
        graph.step(&step, &mut forecast);
        run.forecasts.extend_from_slice(&forecast);
    }
    let step = of_step(start, subject);
    run.state = recurrent(&subject.bundle, |name| graph.state(name).map(<[f32]>::to_vec));
    Timed { run, step }
}

/// The graphs in onnxruntime, all in one process, after `onnx.checker`. None where Python or a package is missing; with
/// `TSM2_REQUIRE_ALL=1` that is a failure.
///
/// # Panics
/// When the checker or the runtime refuses a graph.
#[must_use]
pub fn by_onnxruntime(subjects: &[Subject]) -> Option<Vec<Timed>> {
    let python = std::env::var_os("TSM2_PYTHON").unwrap_or_else(|| "python3".into());
    let packages = Command::new(&python).args(["-c", "import numpy, onnx, onnxruntime"]).output();
    if !packages.is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("TSM2_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(
            !required,
            "python3 with numpy, onnx and onnxruntime is required; TSM2_PYTHON names another interpreter"
        );
        println!("skipped: python3 with numpy, onnx and onnxruntime is not installed");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths: Vec<PathBuf> = (0..subjects.len()).map(|i| folder.path().join(i.to_string())).collect();
    for (path, subject) in paths.iter().zip(subjects) {
        std::fs::create_dir(path).expect("a folder");
        let write = |name: &str, bytes: &[u8]| std::fs::write(path.join(name), bytes).expect("writes");
        let floats = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        write("model.onnx", &subject.exported.bytes);
        write("readings", &floats(&subject.stream.readings));
        write("future", &floats(&subject.stream.future));
        let times: Vec<u8> = subject.stream.times.iter().flat_map(|time| time.to_le_bytes()).collect();
        write("times", &times);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/onnx_run.py");
    let output = Command::new(&python).arg(script).args(&paths).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path: &Path| -> Vec<f32> {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect()
    };
    let of = |(path, subject): (&PathBuf, &Subject)| {
        let state = |name: &str| path.join(name).exists().then(|| read(&path.join(name)));
        let run = Run {
            forecasts: read(&path.join("forecasts")),
            state: recurrent(&subject.bundle, state),
        };
        let seconds = std::fs::read_to_string(path.join("seconds")).expect("a time");
        let seconds = seconds.trim().parse().expect("a number");
        Timed {
            run,
            step: Duration::from_secs_f64(seconds),
        }
    };
    Some(paths.iter().zip(subjects).map(of).collect())
}

/// The table of all models: size, differences from the device's step, time of a step.
#[must_use]
pub fn table(subjects: &[Subject]) -> String {
    let python = by_onnxruntime(subjects);
    let mut table = String::from(
        "| model | nodes | bytes | bundle, bytes | tract | onnxruntime | core, µs | tract, µs | onnxruntime, µs |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (i, subject) in subjects.iter().enumerate() {
        let (core, tract) = (by_core(subject), by_tract(subject));
        let distance = |run: &Run| format!("{:.1e}", Distance::new(&subject.bundle, run, &core.run).forecasts);
        let micros = |timed: &Timed| format!("{:.0}", timed.step.as_secs_f64() * 1e6);
        let of_python = |of: &dyn Fn(&Timed) -> String| python.as_ref().map_or("-".to_owned(), |timed| of(&timed[i]));
        let bundle_bytes = subject.bundle.to_bytes().map_or(0, |bytes| bytes.len());
        let _ = writeln!(
            table,
            "| {} | {} | {} | {bundle_bytes} | {} | {} | {} | {} | {} |",
            subject.name,
            subject.exported.nodes,
            subject.exported.bytes.len(),
            distance(&tract.run),
            of_python(&|timed| distance(&timed.run)),
            micros(&core),
            micros(&tract),
            of_python(&micros),
        );
    }
    table
}
