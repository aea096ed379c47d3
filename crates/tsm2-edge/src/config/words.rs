//! Words that stand for states and for missing readings, the same as training reads in recordings.

/// The number of a word: 1 and 0 for a state, NaN for a missing reading.
pub fn known_word(word: &str) -> Option<f64> {
    let state = tsm2_data::state(word.as_bytes()).map(|state| f64::from(u8::from(state)));
    state.or_else(|| tsm2_data::is_missing(word.as_bytes()).then_some(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::known_word;

    #[test]
    fn words_are_numbers_as_in_recordings() {
        for (on, off) in [("on", "off"), ("Open", "closed"), ("VRAI", "Faux"), ("ein", "aus")] {
            assert_eq!((known_word(on), known_word(off)), (Some(1.0), Some(0.0)), "{on} {off}");
        }
        for word in ["unavailable", "Unknown", "n/a", "None"] {
            assert!(known_word(word).is_some_and(f64::is_nan), "{word}");
        }
        assert_eq!(known_word("warm"), None);
    }
}
