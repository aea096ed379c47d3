//! Words that stand for states and for missing readings, the same as training reads in recordings.

/// Words for a state: on, off. A test compares them with `tsm2_data`.
const STATES: [(&str, &str); 20] = [
    ("on", "off"),
    ("true", "false"),
    ("open", "closed"),
    ("yes", "no"),
    ("active", "inactive"),
    ("running", "stopped"),
    ("run", "stop"),
    ("enabled", "disabled"),
    ("occupied", "unoccupied"),
    ("home", "not_home"),
    ("detected", "clear"),
    ("motion", "no motion"),
    ("wet", "dry"),
    ("opened", "close"),
    ("ein", "aus"),
    ("an", "aus"),
    ("ja", "nein"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("vrai", "faux"),
];

/// The number of a word: 1 and 0 for a state, NaN for a missing reading.
pub fn known_word(word: &str) -> Option<f64> {
    let state = STATES.iter().find_map(|(on, off)| match word {
        _ if word.eq_ignore_ascii_case(on) => Some(1.0),
        _ if word.eq_ignore_ascii_case(off) => Some(0.0),
        _ => None,
    });
    state.or_else(|| tsm2_data::is_missing(word.as_bytes()).then_some(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::{STATES, known_word};
    use std::path::Path;
    use tsm2_data::{Options, read_bytes};

    #[test]
    fn words_are_numbers_as_in_recordings() {
        for (on, off) in STATES {
            let table = format!("time,state\n2026-01-01 00:00:00,{on}\n2026-01-01 00:01:00,{off}\n2026-01-01 00:02:00,{on}\n");
            let (recording, _) = read_bytes(Path::new("table.csv"), table.as_bytes(), &Options::default()).expect("a recording");
            assert_eq!(recording.series[0].values, [1.0, 0.0, 1.0], "{on} {off}");
            assert_eq!((known_word(on), known_word(&off.to_uppercase())), (Some(1.0), Some(0.0)));
        }
        for word in ["unavailable", "Unknown", "n/a", "None"] {
            assert!(known_word(word).is_some_and(f64::is_nan), "{word}");
        }
        assert_eq!(known_word("warm"), None);
    }
}
