//! What the payload around the readings has for all of them, looked up once.

use std::cell::OnceCell;

use serde_json::Value;

use super::error::PayloadError;
use super::layout::{Condition, DecoderOptions};

/// See the module's description.
pub(super) struct Envelope<'v> {
    pub(super) whole: Option<&'v Value>,
    pub(super) time: OnceCell<Result<Option<i64>, PayloadError>>,
    /// For each condition whether it holds there.
    conditions: Vec<OnceCell<bool>>,
}

impl<'v> Envelope<'v> {
    pub(super) fn new(whole: Option<&'v Value>, options: &DecoderOptions) -> Self {
        Envelope {
            whole,
            time: OnceCell::new(),
            conditions: vec![OnceCell::new(); options.conditions.len()],
        }
    }

    /// Whether a reading meets all conditions. What it lacks may be around it.
    pub(super) fn meets(&self, conditions: &[Condition], reading: &Value) -> bool {
        let mut all = conditions.iter().zip(&self.conditions);
        all.all(|(condition, of_all)| {
            let of_all = || *of_all.get_or_init(|| self.whole.and_then(|whole| condition.holds(whole)).unwrap_or(false));
            condition.holds(reading).unwrap_or_else(of_all)
        })
    }
}

impl Condition {
    /// Whether a value meets it; `None` for one that has nothing at the path.
    fn holds(&self, value: &Value) -> Option<bool> {
        let Ok(found) = self.path.find(value) else { return Some(false) };
        let found = found?;
        Some(self.any_of.iter().any(|value| match (value.as_f64(), found.as_f64()) {
            (Some(value), Some(found)) => value == found,
            _ => text_of(value) == text_of(found),
        }))
    }
}

/// Text without quotes; other values as JSON writes them.
pub(super) fn text_of(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}
