//! Data that lies beside the repository.

use std::path::PathBuf;

use tsm2_mqtt_testkit::require::skip;

/// A file of the data folder (`TSM2_DATA`, else beside the repository); `None` after [`skip`] if it is missing.
pub fn file(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("TSM2_DATA").map_or_else(beside, PathBuf::from).join(name);
    if path.is_file() {
        return Some(path);
    }
    skip(&format!("{} is missing", path.display()));
    None
}
