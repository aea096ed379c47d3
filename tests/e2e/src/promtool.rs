//! `promtool`, which checks pages of metrics, rules and configurations of Prometheus.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tsm2_mqtt_testkit::require::skip;

/// What promtool prints, from its exit status on; `None` after [`skip`] where it is not installed.
pub fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Option<String> {
    let tool = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        skip("promtool (Debian's package prometheus) is not installed");
        return None;
    };
    tool.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = tool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some(format!("{}: {said}", output.status))
}
