//! Messages of real buildings, in the folder `cases` beside the data.

use tsm2_mqtt_testkit::require::skip;

/// Topic and payload of each line of `FOLDER/FILE`; `None` after [`skip`] if it is missing.
pub fn messages(folder: &str, file: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let path = cases.join(folder).join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        skip(&format!("{} is missing", path.display()));
        return None;
    };
    let message = |line: &str| {
        let (topic, payload) = line.split_once('\t').expect("topic, tab, payload");
        (topic.to_owned(), payload.as_bytes().to_vec())
    };
    Some(text.lines().map(message).collect())
}
