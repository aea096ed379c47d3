//! Section `record`: a recording of what the daemon sees.

use std::path::PathBuf;

use super::section::section;

section! {
    /// Writes the time steps of each stream as CSV, to train on: `PATH/<stream>/<day>.csv`, a row for each
    /// time step, empty where missing. `tsm2-edge record` needs this section; `tsm2-edge run` records
    /// beside its forecasts where the section is present.
    Record in "record" {
        /// Folder of the recordings. Without `state.path` the state of the streams is stored in `state`
        /// below it.
        path: PathBuf = "recordings".into();
    }
    example: r#"[record]
path = "/var/lib/tsm2-edge/recordings"
"#
}
