//! Value rule: how what stands in a payload becomes a number.
//!
//! Invariant: text is a number only if the whole text is one, or a configured word, or a number
//! before a configured unit.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

/// Longest word, in bytes.
const MAX_WORD: usize = 64;

/// Words and their numbers, without regard to case; NaN stands for a missing reading.
#[derive(Debug, Clone, Default)]
pub struct Words {
    own: HashMap<String, f64>,
    known: Option<fn(&str) -> Option<f64>>,
}

impl Words {
    /// The words that a function knows.
    pub fn known(known: fn(&str) -> Option<f64>) -> Self {
        Words {
            own: HashMap::new(),
            known: Some(known),
        }
    }

    /// The number of a word.
    pub fn get(&self, word: &str) -> Option<f64> {
        if word.len() > MAX_WORD {
            return None;
        }
        let own = match self.own.is_empty() {
            true => None,
            false => self.own.get(&word.to_lowercase()).copied(),
        };
        own.or_else(|| self.known.and_then(|known| known(word)))
    }

    /// These words and others; the others win.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = (String, f64)>) -> Self {
        let others = others.into_iter().map(|(word, number)| (word.to_lowercase(), number));
        Words {
            own: self.own.clone().into_iter().chain(others).collect(),
            known: self.known,
        }
    }
}

impl<W: Into<String>> FromIterator<(W, f64)> for Words {
    fn from_iter<I: IntoIterator<Item = (W, f64)>>(words: I) -> Self {
        Words::default().with(words.into_iter().map(|(word, number)| (word.into(), number)))
    }
}

/// See the module's description.
#[derive(Debug, Clone)]
pub struct ValueRule {
    /// The number is multiplied by this, then `offset` is added.
    pub factor: f64,
    /// See `factor`.
    pub offset: f64,
    /// The smallest and the largest number that counts, after `factor` and `offset`.
    pub valid: Option<(f64, f64)>,
    /// Units that may follow the number in text, and the factor of each.
    pub units: Vec<(String, f64)>,
    /// Whether text has a comma before the decimals.
    pub decimal_comma: bool,
    /// Words that are numbers.
    pub words: Arc<Words>,
}

impl Default for ValueRule {
    fn default() -> Self {
        ValueRule {
            factor: 1.0,
            offset: 0.0,
            valid: None,
            units: Vec::new(),
            decimal_comma: false,
            words: Arc::default(),
        }
    }
}

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unreadable {
    NotANumber,
    OutOfRange(f64),
}

impl ValueRule {
    /// The number; NaN where the reading is missing.
    pub(super) fn read(&self, value: &Value) -> Result<f32, Unreadable> {
        let number = match value {
            Value::Null => Some(f64::NAN),
            Value::Number(number) => number.as_f64(),
            Value::String(text) => self.text(text.trim()),
            Value::Bool(true) => self.words.get("true"),
            Value::Bool(false) => self.words.get("false"),
            // What Victron's gateways send for a value that is not valid.
            Value::Array(items) if items.is_empty() => Some(f64::NAN),
            Value::Array(_) | Value::Object(_) => None,
        };
        let mut number = number.ok_or(Unreadable::NotANumber)?;
        if self.factor != 1.0 || self.offset != 0.0 {
            number = number * self.factor + self.offset;
        }
        if let (Some((least, most)), true) = (self.valid, number.is_finite())
            && !(least..=most).contains(&number)
        {
            return Err(Unreadable::OutOfRange(number));
        }
        Ok(Some(number as f32).filter(|number| number.is_finite()).unwrap_or(f32::NAN))
    }

    fn text(&self, text: &str) -> Option<f64> {
        if let Some(number) = self.number(text) {
            return Some(number);
        }
        if let Some(number) = self.words.get(text) {
            return Some(number);
        }
        self.units
            .iter()
            .find_map(|(unit, factor)| Some(self.number(text.strip_suffix(unit.as_str())?.trim_end())? * factor))
    }

    fn number(&self, text: &str) -> Option<f64> {
        match self.decimal_comma && text.contains(',') {
            false => text.parse().ok(),
            true if text.contains('.') => None,
            true => text.replacen(',', ".", 1).parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_units_commas_and_ranges() {
        let rule = ValueRule {
            units: vec![("kW".into(), 1000.0), ("W".into(), 1.0)],
            valid: Some((-50.0, 5000.0)),
            words: Arc::new([("on", 1.0), ("off", 0.0), ("unavailable", f64::NAN)].into_iter().collect()),
            ..ValueRule::default()
        };
        for (value, number) in [
            (json!("ON"), 1.0),
            (json!("off"), 0.0),
            (json!("1.2 kW"), 1200.0),
            (json!("900W"), 900.0),
            (json!(-3), -3.0),
        ] {
            assert_eq!(rule.read(&value), Ok(number), "{value}");
        }
        for value in [json!("unavailable"), json!(null), json!([])] {
            assert!(rule.read(&value).unwrap().is_nan(), "{value}");
        }
        assert_eq!(rule.read(&json!("6 kW")), Err(Unreadable::OutOfRange(6000.0)));
        for value in [json!("21 °C"), json!("kW"), json!(true), json!("1,5"), json!([1])] {
            assert_eq!(rule.read(&value), Err(Unreadable::NotANumber), "{value}");
        }
        let comma = ValueRule {
            decimal_comma: true,
            factor: 10.0,
            offset: 1.0,
            ..ValueRule::default()
        };
        assert_eq!((comma.read(&json!("55,5")), comma.read(&json!("55.5"))), (Ok(556.0), Ok(556.0)));
        for value in [json!("1.234,5"), json!("1,2,3")] {
            assert_eq!(comma.read(&value), Err(Unreadable::NotANumber), "{value}");
        }
    }
}
