//! Errors of forecasts, of the model and of its baselines.

pub mod baselines;
mod evaluation;
mod metrics;
mod model;
pub mod neural;
pub mod significance;
mod tally;

pub use evaluation::{BaselineErrors, DeviceErrors, Evaluation, LINEAR_HEAD, SensorErrors, baseline_errors, evaluate};
pub use metrics::{METRICS, metrics_csv};
pub use model::{Protocol, RESET_ROWS, carried, check_horizons, go_on, model_errors, on_all_cores, on_cores, run, standardised};
pub use tally::{Details, ErrorsByDevice, EvaluateError, HorizonError, Tally};
