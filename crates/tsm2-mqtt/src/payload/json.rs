//! JSON as sensors write it.

use std::borrow::Cow;

use serde_json::Value;

/// Why a text is no JSON.
pub(super) enum NotJson {
    TooDeep,
    Syntax(serde_json::Error),
}

/// Parses JSON whose numbers may be written as NaN, Infinity or None, and its booleans as True or
/// False.
pub(super) fn parse(text: &str, max_depth: usize) -> Result<Value, NotJson> {
    let json = to_strict_json(text, max_depth).ok_or(NotJson::TooDeep)?;
    serde_json::from_str(&json).map_err(NotJson::Syntax)
}

/// The text of a payload without what serial lines and editors leave around it.
pub(super) fn trimmed(payload: &[u8]) -> Result<&str, usize> {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let text = std::str::from_utf8(payload).map_err(|error| error.valid_up_to())?;
    Ok(text.trim_start().trim_end_matches(|c: char| c == '\0' || c.is_whitespace()))
}

/// Makes JSON as sensors write it strict: outside of quotes, the words NaN, Infinity and None in any
/// case and with any sign become `null`, and so do numbers beyond f64. True and False, which templates
/// of Home Assistant give, become lower case. `None` when it is nested deeper than `max_depth`.
fn to_strict_json(text: &str, max_depth: usize) -> Option<Cow<'_, str>> {
    let mut strict = String::new();
    let (mut copied, mut depth, mut at) = (0, 0usize, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                at += 1;
                if depth > max_depth {
                    return None;
                }
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'-' | b'+' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                let start = at;
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
                at += 1 + bytes[at + 1..].iter().take_while(|byte| is_part(byte)).count();
                let word = match &text[start..at] {
                    "True" | "TRUE" => Some("true"),
                    "False" | "FALSE" => Some("false"),
                    word => is_missing(word).then_some("null"),
                };
                if let Some(word) = word {
                    strict.push_str(&text[copied..start]);
                    strict.push_str(word);
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Some(Cow::Borrowed(text));
    }
    strict.push_str(&text[copied..]);
    Some(Cow::Owned(strict))
}

/// Whether a word of JSON stands for a missing value.
fn is_missing(word: &str) -> bool {
    let bare = word.trim_start_matches(['-', '+']);
    match bare.as_bytes().first() {
        // Only an exponent or hundreds of digits go beyond f64.
        Some(b'0'..=b'9') => (bare.len() > 300 || bare.contains(['e', 'E'])) && bare.parse().is_ok_and(f64::is_infinite),
        _ => ["nan", "inf", "infinity", "none", "null"]
            .iter()
            .any(|name| bare.eq_ignore_ascii_case(name)),
    }
}

/// The position after the string that opens at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}
