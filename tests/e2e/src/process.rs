//! The workspace's programs as processes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tsm2_mqtt_testkit::TIMEOUT;

/// A program of this workspace.
struct Program {
    package: &'static str,
    name: &'static str,
    path: OnceLock<PathBuf>,
}

static EDGE: Program = Program::new("tsm2-edge", "tsm2-edge");
static TSM2: Program = Program::new("tsm2-train", "tsm2");
static DEMO: Program = Program::new("tsm2-demo", "tsm2-demo");
static LAB: Program = Program::new("tsm2-lab", "tsm2-lab");
static ENDURANCE: Program = Program::new("tsm2-endurance", "endurance");

static PROGRAMS: [&Program; 5] = [&EDGE, &TSM2, &DEMO, &LAB, &ENDURANCE];

impl Program {
    const fn new(package: &'static str, name: &'static str) -> Self {
        Self {
            package,
            name,
            path: OnceLock::new(),
        }
    }

    /// Its path. `cargo test --workspace` builds it before any test; for the tests of one package
    /// alone it must have been built.
    fn path(&self) -> &Path {
        self.path.get_or_init(|| {
            let test = std::env::current_exe().expect("the path of the test");
            let folder = test.parent().expect("programs lie in a folder");
            // Tests lie in <profile>/deps, programs that test in <profile>.
            let profile = match folder.ends_with("deps") {
                true => folder.parent().expect("tests lie in <profile>/deps"),
                false => folder,
            };
            let program = profile.join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX));
            let release = if profile.ends_with("release") { " --release" } else { "" };
            assert!(
                program.is_file(),
                "{} is not built; build it: cargo build --package {}{release}",
                program.display(),
                self.package
            );
            program
        })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(self.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts")
    }
}

/// The path of `tsm2-edge`.
pub fn edge() -> &'static Path {
    EDGE.path()
}

/// The path of `tsm2`.
pub fn tsm2() -> &'static Path {
    TSM2.path()
}

/// The path of `tsm2-demo`.
pub fn demo() -> &'static Path {
    DEMO.path()
}

/// The programs, each with its package.
pub fn programs() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROGRAMS.iter().map(|program| (program.name, program.package))
}

/// Runs a command of the program of this name, one of [`programs`], to its end.
pub fn run_program(name: &str, arguments: &[&str]) -> Output {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    program.expect("a program of this workspace").run(arguments)
}

/// Runs a command of `tsm2-edge` to its end.
pub fn run(arguments: &[&str]) -> Output {
    EDGE.run(arguments)
}

/// Runs a command of `tsm2-edge` whose output nobody reads, as in `| true`.
pub fn run_unread(arguments: &[&str]) -> ExitStatus {
    let mut command = Command::new(EDGE.path());
    command.args(arguments).stdin(Stdio::null()).stdout(nobody()).stderr(nobody());
    command.status().expect("the program starts")
}

/// The end of a pipe without a reader: writing to it fails.
fn nobody() -> Stdio {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer.into()
}

/// Runs a command of `tsm2`, the workstation's program, to its end.
pub fn run_tsm2(arguments: &[&str]) -> Output {
    TSM2.run(arguments)
}

/// A running command of `tsm2-edge`.
pub struct Running {
    child: Child,
    lines: Mutex<mpsc::Receiver<String>>,
}

impl Running {
    /// Starts a command.
    pub fn start(arguments: &[&str]) -> Self {
        Self::heard(Self::spawn(Command::new(EDGE.path()).args(arguments), Stdio::piped()), true)
    }

    /// Starts any program; its log is printed.
    pub fn start_program(command: &mut Command) -> Self {
        Self::heard(Self::spawn(command, Stdio::piped()), true)
    }

    /// Starts a command whose log is not printed.
    pub fn start_quiet(arguments: &[&str]) -> Self {
        Self::heard(Self::spawn(Command::new(EDGE.path()).args(arguments), Stdio::piped()), false)
    }

    /// Starts a command with these variables in its environment.
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(EDGE.path());
        command.args(arguments).envs(variables.iter().copied());
        Self::heard(Self::spawn(&mut command, Stdio::piped()), true)
    }

    /// Starts a command of a build of `tsm2-edge` on one processor, the first; its log is not printed.
    pub fn start_on_one_core(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program).args(arguments);
        Self::heard(Self::spawn(&mut command, Stdio::piped()), false)
    }

    /// Starts a command whose files can be limited by [`Running::limit_files`]: writing beyond the limit is an error, not the end.
    pub fn start_limitable(arguments: &[&str]) -> Self {
        Self::heard(Self::spawn_limitable(arguments), true)
    }

    /// As [`Running::start_limitable`], and its log is not printed.
    pub fn start_limitable_quiet(arguments: &[&str]) -> Self {
        Self::heard(Self::spawn_limitable(arguments), false)
    }

    fn spawn_limitable(arguments: &[&str]) -> Child {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
            .arg(EDGE.path())
            .args(arguments);
        Self::spawn(&mut shell, Stdio::piped())
    }

    /// The largest file that it may write from now on, in bytes, or `unlimited`; false where that cannot be set.
    pub fn limit_files(&self, bytes: &str) -> bool {
        let (pid, limit) = (self.child.id().to_string(), format!("--fsize={bytes}:unlimited"));
        let set = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        set.is_ok_and(|status| status.success())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for it to end by itself, with an error or without.
    pub fn ended(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return status;
            }
            assert!(begun.elapsed() < TIMEOUT, "tsm2-edge does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn heard(mut child: Child, prints: bool) -> Self {
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (line_in, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if prints {
                    println!("tsm2-edge: {line}");
                }
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

    /// Starts a command whose log nobody takes.
    pub fn start_unheard(arguments: &[&str]) -> Self {
        Running {
            child: Self::spawn(Command::new(EDGE.path()).args(arguments), nobody()),
            lines: Mutex::new(mpsc::channel().1),
        }
    }

    /// Starts a command that logs all that it can.
    pub fn start_traced(arguments: &[&str]) -> Self {
        let child = Self::spawn_logging("trace", Command::new(EDGE.path()).args(arguments), Stdio::piped());
        Self::heard(child, true)
    }

    fn spawn(command: &mut Command, stderr: Stdio) -> Child {
        Self::spawn_logging("info,tsm2_mqtt=debug,rumqttc=off", command, stderr)
    }

    fn spawn_logging(filter: &str, command: &mut Command, stderr: Stdio) -> Child {
        command
            .env("RUST_LOG", filter)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("tsm2-edge starts")
    }

    /// Waits for a line of its log that contains `text`; returns the lines up to it.
    pub fn wait_for(&self, text: &str) -> Vec<String> {
        self.hear(text, TIMEOUT)
            .unwrap_or_else(|seen| panic!("no line with {text:?} in {TIMEOUT:?}; saw {seen:#?}"))
    }

    /// Whether a line of its log contains `text` within a time.
    pub fn says(&self, text: &str, within: Duration) -> bool {
        self.hear(text, within).is_ok()
    }

    /// The lines up to one that contains `text`, or all that came within a time.
    fn hear(&self, text: &str, within: Duration) -> Result<Vec<String>, Vec<String>> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let mut seen = Vec::new();
        while let Ok(line) = lines.recv_timeout(within.saturating_sub(begun.elapsed())) {
            let found = line.contains(text);
            seen.push(line);
            if found {
                return Ok(seen);
            }
        }
        Err(seen)
    }

    /// Sends a signal, given by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .expect("kill starts")
                .success()
        );
    }

    /// Sends SIGTERM, waits for the end and returns what it printed; it must succeed.
    pub fn terminate(self) -> String {
        self.terminate_with_log().0
    }

    /// As [`Running::terminate`], with the lines of its log since the last that was waited for.
    pub fn terminate_with_log(mut self) -> (String, Vec<String>) {
        self.signal("TERM");
        let mut printed = String::new();
        self.child
            .stdout
            .take()
            .expect("a pipe")
            .read_to_string(&mut printed)
            .expect("text");
        let status = self.child.wait().expect("an end");
        assert!(status.success(), "tsm2-edge ended with {status}");
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().collect();
        (printed, lines)
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
