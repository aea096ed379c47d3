//! The `tsm2-edge` program as a process.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Instant;

use crate::PATIENCE;

/// The program, built from this workspace.
pub fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            // A test of another package is not told where the program is: it stands beside the folder of the tests.
            let test = std::env::current_exe().expect("the test knows itself");
            let profile = test.parent().and_then(|deps| deps.parent()).expect("tests lie in <profile>/deps");
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            build.args([
                "build",
                "--quiet",
                "--locked",
                "--package",
                "tsm2-edge",
                "--bin",
                "tsm2-edge",
                "--target-dir",
            ]);
            build
                .arg(profile.parent().expect("profiles lie in the target folder"))
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo starts").success(), "tsm2-edge does not build");
            profile.join(format!("tsm2-edge{}", std::env::consts::EXE_SUFFIX))
        })
        .clone()
}

/// Runs a command of the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("tsm2-edge starts")
}

/// A running command.
pub struct Running {
    child: Child,
    lines: Mutex<mpsc::Receiver<String>>,
}

impl Running {
    /// Starts a command.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(arguments)
            .env("RUST_LOG", "info,tsm2_mqtt=debug,rumqttc=off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tsm2-edge starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (line_in, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                println!("tsm2-edge: {line}");
                if line_in.send(line).is_err() {
                    break;
                }
            }
        });
        Running {
            child,
            lines: Mutex::new(lines),
        }
    }

    /// Waits for a line of its log that contains `text`; returns the lines up to it.
    pub fn wait_for(&self, text: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let mut seen = Vec::new();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let line = lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no line with {text:?} in {PATIENCE:?}; saw {seen:#?}"));
            let found = line.contains(text);
            seen.push(line);
            if found {
                return seen;
            }
        }
    }

    /// Sends SIGTERM, waits for the end and returns what it printed; it must succeed.
    pub fn terminate(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill starts").success());
        let mut printed = String::new();
        self.child
            .stdout
            .take()
            .expect("a pipe")
            .read_to_string(&mut printed)
            .expect("text");
        let status = self.child.wait().expect("an end");
        assert!(status.success(), "tsm2-edge ended with {status}");
        printed
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("the process can be ended");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
