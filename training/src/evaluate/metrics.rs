//! `metrics.csv`: the errors of a training, of the model and of its baselines, a line per part, forecaster and horizon.

use std::path::Path;

use super::tally::HorizonError;

/// Name of the file, beside the model's.
pub const METRICS: &str = "metrics.csv";

/// Why the errors of a training cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The file cannot be read or is no CSV.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// A line has other columns than `tsm2 train` writes.
    #[error("line {line} does not have the columns {HEADER}; train the model again")]
    Line {
        /// Line in the file, from 1.
        line: u64,
    },
}

const HEADER: &str = "part,model,horizon,mse,mae,origins";

/// The errors of one forecaster on one part.
#[derive(Clone, Debug, PartialEq)]
pub struct PartErrors {
    /// `validation` or `test`.
    pub part: String,
    /// The forecaster.
    pub model: String,
    /// By horizon.
    pub errors: Vec<HorizonError>,
}

/// The text of the file.
#[must_use]
pub fn metrics_csv<'a>(all: impl IntoIterator<Item = (&'a str, &'a str, &'a [HorizonError])>) -> String {
    let mut text = format!("{HEADER}\n");
    for (part, model, errors) in all {
        for error in errors {
            let HorizonError {
                horizon,
                mse,
                mae,
                origins,
                ..
            } = error;
            text.push_str(&format!(
                "{part},{},{horizon},{mse:.6},{mae:.6},{origins}\n",
                model.replace('-', "_")
            ));
        }
    }
    text
}

/// Reads the file.
///
/// # Errors
/// The file cannot be read, or has another form.
pub fn read_metrics(path: &Path) -> Result<Vec<PartErrors>, MetricsError> {
    let mut all: Vec<PartErrors> = Vec::new();
    for record in csv::Reader::from_path(path)?.into_records() {
        let record = record?;
        let fault = || MetricsError::Line {
            line: record.position().map_or(0, csv::Position::line),
        };
        let cell = |i: usize| record.get(i).ok_or_else(fault);
        let (part, model) = (cell(0)?, cell(1)?);
        let error = HorizonError {
            horizon: cell(2)?.parse().map_err(|_| fault())?,
            mse: cell(3)?.parse().map_err(|_| fault())?,
            mae: cell(4)?.parse().map_err(|_| fault())?,
            origins: cell(5)?.parse().map_err(|_| fault())?,
            missing: 0,
        };
        match all.iter_mut().find(|known| known.part == part && known.model == model) {
            Some(known) => known.errors.push(error),
            None => all.push(PartErrors {
                part: part.to_owned(),
                model: model.to_owned(),
                errors: vec![error],
            }),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let error = |horizon, mse| HorizonError {
            horizon,
            mse,
            mae: 0.25,
            origins: 7,
            missing: 0,
        };
        let (own, other) = ([error(1, 0.5), error(4, 1.5)], [error(1, 0.125)]);
        let text = metrics_csv([("validation", "tsm2", &own[..]), ("test", "linear-all", &other[..])]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS);
        std::fs::write(&path, &text).unwrap();
        let read = read_metrics(&path).unwrap();
        assert_eq!((read[0].model.as_str(), &read[0].errors[..]), ("tsm2", &own[..]));
        assert_eq!((read[1].model.as_str(), &read[1].errors[..]), ("linear_all", &other[..]));
        std::fs::write(&path, text.replace("0.250000", "many")).unwrap();
        let message = read_metrics(&path).unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("train the model again"), "{message}");
    }
}
