//! `metrics.csv`: the errors of a training, a line per part, forecaster and horizon.

use super::tally::HorizonError;

/// Name of the file, beside the model's.
pub const METRICS: &str = "metrics.csv";

const HEADER: &str = "part,model,horizon,mse,mae,origins";

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
