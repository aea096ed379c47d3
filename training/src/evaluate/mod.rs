//! Errors of forecasts, of the model and of its baselines.

pub mod baselines;
mod comparison;
mod evaluation;
mod metrics;
mod model;
pub mod neural;
mod ratio;
pub mod robustness;
pub mod significance;
mod tally;

pub use comparison::{Comparison, best};
pub use evaluation::{BaselineErrors, DeviceErrors, Evaluation, LINEAR_HEAD, Rows, SensorErrors, baseline_errors, evaluate};
pub use metrics::{METRICS, metrics_csv};
pub use model::{Protocol, RESET_ROWS, carried, check_horizons, go_on, model_errors, on_all_cores, on_cores, run, standardised};
pub use ratio::Ratio;
pub use tally::{Details, ErrorsByDevice, EvaluateError, HorizonError, Tally, reported_horizons};
