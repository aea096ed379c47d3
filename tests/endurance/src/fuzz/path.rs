//! Paths of values: a path, a line feed, and the JSON in which it is looked for.

use tsm2_mqtt::Path;

/// Parses a path and looks for it.
///
/// # Panics
/// When a path that was accepted is not found by its own text, or one value and all values differ.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, json) = text.split_once('\n').unwrap_or((text, "null"));
    let Ok(path) = Path::parse(path) else { return };
    assert_eq!(Path::parse(path.as_str()).as_ref(), Ok(&path));
    let Ok(value) = serde_json::from_str(json) else { return };
    let all = path.find_all(&value);
    match path.find(&value) {
        Ok(None) => assert!(all.is_empty()),
        Ok(Some(one)) => assert_eq!(all, [one]),
        Err(count) => assert!(count > 1 && count == all.len()),
    }
}
