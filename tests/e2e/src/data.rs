//! Data that lies beside the repository, and what its absence means.

use std::path::PathBuf;

/// Says that something is not there; with `TSM2_REQUIRE_DATA=1` that is a failure.
pub fn absent(what: &str) {
    assert!(
        std::env::var_os("TSM2_REQUIRE_DATA").is_none_or(|value| value != "1"),
        "TSM2_REQUIRE_DATA=1: {what}"
    );
    println!("{what}");
}

/// A file of the data folder (`TSM2_DATA`, else beside the repository); `None`, with a line printed, where it is absent.
pub fn file(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("TSM2_DATA").map_or_else(beside, PathBuf::from).join(name);
    if path.is_file() {
        return Some(path);
    }
    absent(&format!("skipped: {} is absent", path.display()));
    None
}
