//! The files of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The files that git tracks and whose name ends in `suffix`, relative to `workspace`.
///
/// # Panics
/// git cannot be started, or `workspace` is not its checkout.
///
/// ```
/// let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
/// assert!(tsm2_layering::tracked(&workspace, "README.md").contains(&"README.md".into()));
/// ```
#[must_use]
pub fn tracked(workspace: &Path, suffix: &str) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--", &format!("*{suffix}")])
        .current_dir(workspace)
        .output()
        .expect("git starts");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names are UTF-8");
    names.split_terminator('\0').map(PathBuf::from).collect()
}
