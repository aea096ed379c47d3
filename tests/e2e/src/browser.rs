//! Scripts of `tests/browser`, which look at a page in a headless Chromium.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tsm2_mqtt_testkit::require::skip;

/// A script of `tests/browser` with these arguments; `None` after [`skip`], without node, Chromium or the scripts' packages.
///
/// A folder in `TSM2_SCREENSHOTS` is its last argument.
pub fn script<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Option<Command> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser").join(name);
    let chromium = std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    let has_node = || Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok();
    let lacks = if !script.with_file_name("node_modules").is_dir() {
        "the browser tests' packages are not installed; run: npm ci --prefix tests/browser"
    } else if !chromium.exists() {
        "chromium is not installed; install it, or name it in CHROMIUM"
    } else if !has_node() {
        "node is not installed"
    } else {
        let mut command = Command::new("node");
        command.arg(script).args(arguments).args(std::env::var_os("TSM2_SCREENSHOTS"));
        command.stdin(Stdio::null());
        return Some(command);
    };
    skip(lacks);
    None
}
