//! Path: where a value lies in a JSON payload.
//!
//! - `room.temperature`, `channels.0.value`: names joined by dots. A field whose own name has the
//!   dots comes first.
//! - `$`: the whole payload.
//! - `$.values[?@.id == 'inlet'].v`: a JSONPath (RFC 9535) without regular expressions.
//!
//! Invariant: the work is at most proportional to the payload for each `[?...]` of the path, and for
//! each selector of a list `['a','b']`: a path descends (`..`) once and has one list at most, and a
//! filter neither descends nor begins at `$` nor has a list.

use serde_json::Value;
use serde_json_path::JsonPath;

/// Longest JSONPath, in bytes.
const MAX_LENGTH: usize = 256;
/// Deepest nesting of brackets in a JSONPath.
const MAX_NESTING: usize = 8;

/// A path that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Neither a name nor a JSONPath.
    #[error("the path is empty; write the name of a field, or $ for the whole payload")]
    Empty,
    /// Not RFC 9535.
    #[error("{path:?} is not a JSONPath: {reason}")]
    Syntax {
        /// The path.
        path: String,
        /// The message of the parser.
        reason: String,
    },
    /// Its work could grow faster than the payload.
    #[error("{path:?}: {why}")]
    Costly {
        /// The path.
        path: String,
        /// What to change.
        why: &'static str,
    },
}

/// See the module's description.
///
/// ```
/// use serde_json::json;
/// use tsm2_mqtt::Path;
///
/// let payload = json!({"room": {"temp": 21.5}, "values": [{"id": "a", "v": 1}, {"id": "b", "v": 2}]});
/// assert_eq!(Path::parse("room.temp")?.find(&payload), Ok(Some(&json!(21.5))));
/// assert_eq!(Path::parse("$.values[?@.id == 'b'].v")?.find(&payload), Ok(Some(&json!(2))));
/// assert_eq!(Path::parse("$.values[*].v")?.find(&payload), Err(2));
/// # Ok::<(), tsm2_mqtt::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Whole,
    Names,
    Query(JsonPath),
}

impl Path {
    /// Compiles a path.
    ///
    /// # Errors
    /// Why the text is no path, or why it could be too costly.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let kind = match text {
            "" => return Err(PathError::Empty),
            "$" => Kind::Whole,
            query if query.starts_with('$') => Kind::Query(query_of(query)?),
            _ => Kind::Names,
        };
        Ok(Path {
            text: text.to_owned(),
            kind,
        })
    }

    /// The whole payload.
    pub fn whole() -> Self {
        Path {
            text: "$".to_owned(),
            kind: Kind::Whole,
        }
    }

    /// The text of the path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the whole payload.
    pub fn is_whole(&self) -> bool {
        self.kind == Kind::Whole
    }

    /// Whether it is a JSONPath that selects within the payload.
    pub(super) fn is_query(&self) -> bool {
        matches!(self.kind, Kind::Query(_))
    }

    /// The value at the path.
    ///
    /// # Errors
    /// The number of values, where the path selects several.
    pub fn find<'v>(&self, value: &'v Value) -> Result<Option<&'v Value>, usize> {
        match &self.kind {
            Kind::Whole => Ok(Some(value)),
            Kind::Names => Ok(by_names(value, &self.text)),
            Kind::Query(query) => match query.query(value).all().as_slice() {
                [] => Ok(None),
                [one] => Ok(Some(*one)),
                several => Err(several.len()),
            },
        }
    }

    /// All values at the path.
    pub fn find_all<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match &self.kind {
            Kind::Whole => vec![value],
            Kind::Names => by_names(value, &self.text).into_iter().collect(),
            Kind::Query(query) => query.query(value).all(),
        }
    }
}

/// First the field with exactly that name, then name by name.
fn by_names<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(direct) = value.get(path) {
        return Some(direct);
    }
    path.split('.').try_fold(value, |at, name| match at {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => at.get(name),
    })
}

fn query_of(text: &str) -> Result<JsonPath, PathError> {
    let costly = |why| PathError::Costly {
        path: text.to_owned(),
        why,
    };
    let syntax = |reason: &str| PathError::Syntax {
        path: text.to_owned(),
        reason: reason.to_owned(),
    };
    if text.len() > MAX_LENGTH {
        return Err(costly("the path is longer than 256 bytes; shorten it"));
    }
    let (mut descents, mut nesting, mut quote) = (0, 0usize, None);
    // Whether the bracket at hand has a comma, and how many have one.
    let (mut is_list, mut lists) = (false, 0);
    // The nesting of the bracket that each open filter is in.
    let mut filters: Vec<usize> = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match (quote, byte) {
            // The parser panics on an escape that ends too early.
            (Some(_), b'\\') if bytes.get(at + 1) == Some(&b'u') => {
                return Err(syntax("write the character itself instead of \\u"));
            }
            (Some(_), b'\\') => at += 1,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'[' | b'(') => (nesting, is_list) = (nesting + 1, false),
            (None, b',') if !filters.is_empty() => return Err(costly("a filter cannot have a list; write one selector")),
            (None, b',') => lists += usize::from(!std::mem::replace(&mut is_list, true)),
            (None, b']' | b')') => {
                nesting = nesting.saturating_sub(1);
                filters.retain(|&opened| opened <= nesting);
            }
            (None, b'?') => filters.push(nesting),
            (None, b'$') if !filters.is_empty() => return Err(costly("a filter cannot begin at $; begin at @")),
            (None, b'.') if bytes.get(at + 1) == Some(&b'.') => {
                if !filters.is_empty() {
                    return Err(costly("a filter cannot descend with ..; write the names"));
                }
                descents += 1;
                at += 1;
            }
            _ => {}
        }
        if nesting > MAX_NESTING {
            return Err(costly("brackets are nested deeper than 8; simplify it"));
        }
        at += 1;
    }
    if quote.is_some() {
        return Err(syntax("a quote is not closed"));
    }
    if descents > 1 {
        return Err(costly("the path descends with .. more than once; write the names"));
    }
    if lists > 1 {
        return Err(costly("more than one bracket has a list; write the names"));
    }
    JsonPath::parse(text).map_err(|error| PathError::Syntax {
        path: text.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_whose_work_could_explode_are_refused() {
        for path in [
            "$..a..b",
            "$[?@..a]",
            "$.a[?$.b[*] == 1]",
            "$[?@.a[?@.b == $.c]]",
            "$[?((((((((((@.a))))))))))]",
            "$[*,*][*,*].a",
            "$[?@[0,0][0,0]]",
            &format!("$.{}", "a".repeat(300)),
        ] {
            assert!(matches!(Path::parse(path), Err(PathError::Costly { .. })), "{path}");
        }
        for path in [r#"$.a[*,3,"\u"#, r#"$["\u1"]"#, r#"$["\uD834"]"#, "$['a", "$['a\\"] {
            assert!(matches!(Path::parse(path), Err(PathError::Syntax { .. })), "{path}");
        }
        for path in ["$.", "$[", "$x", "$[?@.a ==]"] {
            assert!(matches!(Path::parse(path), Err(PathError::Syntax { .. })), "{path}");
        }
        for path in [
            "$..a",
            "$['a..b']",
            "$[?@.a == '$']",
            "$[?@.a][?@.b]",
            "$.a[?@.id == 3 && @.q == true].v",
            "$[1:3]",
            "$['a','b'].v",
        ] {
            assert!(Path::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_field_whose_name_has_dots_or_colons_is_found() {
        let payload = json!({"a.b": 1, "a": {"b": 2, "switch:0": {"apower": 3}}});
        for (path, value) in [("a.b", 1), ("$.a.b", 2), ("a.switch:0.apower", 3), ("$.a['switch:0'].apower", 3)] {
            assert_eq!(Path::parse(path).unwrap().find(&payload), Ok(Some(&json!(value))), "{path}");
        }
    }
}
