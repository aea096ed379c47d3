//! Why there is no report.

use tsm2_stream::MonitorError;

use crate::evaluate::EvaluateError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The model cannot be measured.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// There are no prediction intervals.
    #[error("the prediction intervals: {0}")]
    Intervals(#[from] MonitorError),
}
