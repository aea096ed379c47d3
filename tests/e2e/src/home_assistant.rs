//! Home Assistant in a root folder of its own, which `tests/home-assistant/root` makes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tsm2_mqtt_testkit::mosquitto::free_port;
use tsm2_mqtt_testkit::require::skip;

/// Time for Home Assistant to start, or to take up a message.
const PATIENCE: Duration = Duration::from_secs(120);

/// The root folder with Home Assistant; `None` after [`skip`].
///
/// `TSM2_HOME_ASSISTANT` names it. With `left-out` a test is skipped even where each skip is a
/// failure: CI sets it on a machine where the folder cannot be made.
pub fn root() -> Option<PathBuf> {
    match std::env::var_os("TSM2_HOME_ASSISTANT") {
        None => skip("TSM2_HOME_ASSISTANT does not name the folder that tests/home-assistant/root makes"),
        Some(root) if root == "left-out" => println!("SKIPPED: Home Assistant cannot be installed on this machine"),
        Some(root) => return Some(root.into()),
    }
    None
}

/// Its Python, in its root folder.
fn python(root: &Path) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg("/venv/bin/python");
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../home-assistant").join(name);
    std::fs::read_to_string(&path).expect("a script of this repository")
}

/// Runs a script of `tests/home-assistant` with this input.
pub fn check(root: &Path, name: &str, input: &Value) -> Output {
    let mut command = python(root);
    command.args(["-c", &script(name)]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("chroot starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.to_string().as_bytes()).expect("an open pipe");
    drop(stdin);
    child.wait_with_output().expect("an end")
}

/// A running Home Assistant. It ends when it is dropped.
pub struct HomeAssistant {
    child: Child,
    folder: PathBuf,
    lines: mpsc::Receiver<String>,
    log: PathBuf,
}

impl HomeAssistant {
    /// Starts it with a broker on this port, and waits until it has started.
    pub fn start(root: &Path, port: u16) -> Self {
        let inside = PathBuf::from(format!("/tmp/home-assistant-{}-{port}", std::process::id()));
        let folder = root.join(inside.strip_prefix("/").expect("an absolute path"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let log = folder.join("log");
        let mut command = python(root);
        command
            .args(["-c", &script("home_assistant.py")])
            .arg(&inside)
            .args([port, free_port()].map(|port| port.to_string()));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(&log).expect("a file"));
        let mut child = command.spawn().expect("chroot starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (line_in, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| line_in.send(line)));
        let started = HomeAssistant { child, folder, lines, log };
        started.wait_for("its start", |said| said["started"] == true);
        started
    }

    /// Waits for something that it prints.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            let Some(json) = line.strip_prefix("PROBE ") else { continue };
            let said: Value = serde_json::from_str(json).expect("JSON");
            if is_it(&said) {
                return said;
            }
        }
        panic!("Home Assistant does not show {what}; its log: {}", self.log());
    }

    /// Waits until an entity has a state; returns its attributes.
    pub fn wait_for_state(&self, entity: &str, state: impl Fn(&str) -> bool) -> Value {
        let is_it = |said: &Value| said["entity"] == entity && said["state"].as_str().is_some_and(&state);
        self.wait_for(entity, is_it)["attributes"].clone()
    }

    /// Waits until an entity is gone.
    pub fn wait_until_gone(&self, entity: &str) {
        self.wait_for(&format!("{entity} gone"), |said| {
            said["entity"] == entity && said["state"].is_null()
        });
    }

    /// Its warnings and errors.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for HomeAssistant {
    fn drop(&mut self) {
        // chroot has become Python.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
