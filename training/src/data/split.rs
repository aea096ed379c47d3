//! How many rows train, how many choose, how many are held back for the test.
//!
//! The parts follow one another in time: training rows, then validation, then test, in each device. Rows beyond the test part are used by nobody.
//! [`super::runs::Runs::part`] gives the rows.

use std::fmt;
use std::str::FromStr;

/// A split on the command line: in rows, or in fractions of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SplitSpec {
    /// Rows of training, validation and test, over all devices.
    Rows([usize; 3]),
    /// Fractions of the recording's rows, together at most 1.
    Fractions([f64; 3]),
}

impl Default for SplitSpec {
    fn default() -> Self {
        SplitSpec::Fractions([0.7, 0.1, 0.2])
    }
}

/// A split of a particular table, in rows over all devices that are not held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Training rows.
    pub train: usize,
    /// Validation rows, right after them.
    pub validation: usize,
    /// Test rows, right after those.
    pub test: usize,
}

/// Why a split cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Not three numbers.
    #[error("split `{0}`: three row counts (8640,2880,2880) or three fractions (0.7,0.1,0.2) are needed")]
    Form(String),
    /// Fractions that are negative or together more than the file.
    #[error("split `{0}`: fractions lie between 0 and 1 and add up to at most 1")]
    Fractions(String),
    /// More rows than there are.
    #[error("the split needs {needed} rows, the file has {rows}: give another --split, such as 0.7,0.1,0.2")]
    TooLarge {
        /// Rows of the three parts together.
        needed: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A part that is too short for a single example.
    #[error("the {part} part has {rows} rows; {needed} are needed for {reason}: give more rows, another --split or a shorter horizon")]
    TooShort {
        /// `training`, `validation` or `test`.
        part: &'static str,
        /// Its rows.
        rows: usize,
        /// Rows of one example.
        needed: usize,
        /// What they are needed for.
        reason: String,
    },
    /// A part whose pieces between gaps are all too short for a single example.
    #[error(
        "the {part} part has {rows} rows in {count} pieces between gaps, the longest of {longest} rows; {needed} in one piece are needed for {reason}: give a larger --max-gap, another --split or a shorter horizon"
    )]
    TooBroken {
        /// `training`, `validation` or `test`.
        part: &'static str,
        /// Its rows.
        rows: usize,
        /// Its pieces.
        count: usize,
        /// Rows of the longest piece.
        longest: usize,
        /// Rows of one example.
        needed: usize,
        /// What they are needed for.
        reason: String,
    },
}

impl FromStr for SplitSpec {
    type Err = SplitError;

    fn from_str(text: &str) -> Result<Self, SplitError> {
        fn three<T: FromStr>(text: &str) -> Option<[T; 3]> {
            let parts: Option<Vec<T>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
            parts?.try_into().ok()
        }
        if let Some(rows) = three(text) {
            return Ok(SplitSpec::Rows(rows));
        }
        let fractions: [f64; 3] = three(text).ok_or_else(|| SplitError::Form(text.into()))?;
        // Written so that NaN fails too.
        if fractions.iter().all(|f| (0.0..=1.0).contains(f)) && fractions.iter().sum::<f64>() <= 1.0 + 1e-9 {
            Ok(SplitSpec::Fractions(fractions))
        } else {
            Err(SplitError::Fractions(text.into()))
        }
    }
}

impl SplitSpec {
    /// The split of a table of `rows` rows. Fractions are rounded down; when they add up to 1, validation takes what is left over
    /// (the usage of the published benchmarks).
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn resolve(self, rows: usize) -> Result<Split, SplitError> {
        let split = match self {
            SplitSpec::Rows([train, validation, test]) => Split { train, validation, test },
            SplitSpec::Fractions(fractions) => {
                // The nudge keeps 0.7 * 40320 at 28224 in spite of binary fractions.
                let [train, validation, test] = fractions.map(|f| (f * rows as f64 + 1e-6) as usize);
                let whole = fractions.iter().sum::<f64>() > 1.0 - 1e-9;
                Split {
                    train,
                    validation: if whole { rows - train - test } else { validation },
                    test,
                }
            }
        };
        let needed = [split.validation, split.test]
            .iter()
            .try_fold(split.train, |sum, part| sum.checked_add(*part))
            .unwrap_or(usize::MAX);
        if needed > rows {
            Err(SplitError::TooLarge { needed, rows })
        } else {
            Ok(split)
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.train, self.validation, self.test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_follow_the_benchmarks() {
        let split = SplitSpec::default().resolve(7588).unwrap();
        assert_eq!(
            split,
            Split {
                train: 5311,
                validation: 760,
                test: 1517
            }
        );
        assert_eq!(
            SplitSpec::default().resolve(40320).unwrap(),
            Split {
                train: 28224,
                validation: 4032,
                test: 8064
            }
        );
        assert_eq!(
            "0.5,0.2,0.2".parse::<SplitSpec>().unwrap().resolve(10).unwrap(),
            Split {
                train: 5,
                validation: 2,
                test: 2
            }
        );
    }

    #[test]
    fn impossible_splits_name_the_numbers() {
        for text in ["", "1,2", "a,b,c", "1,2,3,4", "1;2;3", "-1,2,3x"] {
            assert!(matches!(text.parse::<SplitSpec>(), Err(SplitError::Form(_))), "{text}");
        }
        for text in ["0.7,0.2,0.2", "-0.1,0.1,0.1", "nan,0.1,0.1"] {
            assert!(matches!(text.parse::<SplitSpec>(), Err(SplitError::Fractions(_))), "{text}");
        }
        let message = "8640,2880,2880".parse::<SplitSpec>().unwrap().resolve(100).unwrap_err().to_string();
        assert!(message.contains("14400") && message.contains("100"), "{message}");
        assert!(SplitSpec::Rows([usize::MAX, 1, 1]).resolve(10).is_err());
    }
}
