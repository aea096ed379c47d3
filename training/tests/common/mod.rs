//! What the tests of the command line share: running `tsm2`, and files to run it on.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tsm2_bundle::{Bundle, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{Config, LinearHead, NetworkConfig, Season, parameter_count};

/// A folder of its own for one test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A new, empty folder.
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file into it.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Runs a program with these arguments.
pub fn run<A: AsRef<std::ffi::OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// What a run that must succeed printed.
pub fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Minutes of three sensors, `a` a wave of period 20, `b` its square, `c` a slow ramp with ripples; every 97th reading of `b` missing.
pub fn recording(rows: usize) -> String {
    let mut text = "time,a,b,c\n".to_string();
    for r in 0..rows {
        let (day, hour, minute) = (1 + r / 1440, r / 60 % 24, r % 60);
        let a = (r as f64 * std::f64::consts::TAU / 20.0).sin();
        let b = if r % 97 == 50 { "".into() } else { format!("{:.4}", a * a + 10.0) };
        writeln!(
            text,
            "2024-01-{day:02} {hour:02}:{minute:02}:00,{a:.4},{b},{:.4}",
            100.0 + 0.01 * r as f64 + 0.05 * (0.7 * r as f64).sin()
        )
        .unwrap();
    }
    text
}

/// A small model of that recording with weights that mean nothing.
pub fn bundle(folder: &Folder) -> PathBuf {
    let linear_head = LinearHead {
        lags: 4,
        season: Some(Season {
            period: 20,
            bins: None,
            rate: None,
        }),
        ..LinearHead::default()
    };
    let config = Config {
        variates: 3,
        horizon: 6,
        network: Some(NetworkConfig {
            patch: 4,
            d_model: 8,
            layers: 1,
            ..NetworkConfig::default()
        }),
        linear_head,
        ..Config::default()
    };
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.3
    };
    let weights = (0..parameter_count(&config).unwrap()).map(|_| next()).collect();
    let variate = |name: &str, mean, std| Variate {
        name: name.into(),
        unit: Some("K".into()),
        mean,
        std,
    };
    let meta = Metadata {
        format_version: FORMAT_VERSION,
        name: "small".into(),
        config,
        variates: vec![variate("a", 0.0, 0.7), variate("b", 10.5, 0.35), variate("c", 103.0, 2.0)],
        interval_ms: Some(60_000),
        time_zone: None,
        provenance: Provenance {
            code_version: "0.1.0".into(),
            data: "recording.csv".into(),
            data_sha256: "0".repeat(64),
            split: [600, 200, 200],
            held_out: Vec::new(),
            refit: false,
            seed: 7,
            decisions: vec!["none was needed".into()],
            metrics: [("validation_mse".to_string(), 0.25)].into(),
        },
    };
    let path = folder.path("model.safetensors");
    Bundle::new(meta, weights).unwrap().write(&path).unwrap();
    path
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
