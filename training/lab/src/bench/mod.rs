//! The yardsticks: public data sets, what is measured on them, and how.

pub mod gift;
mod suite;

pub use suite::{DataSet, Suite};

/// The errors of one forecaster on one data set at one horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The data set.
    pub set: String,
    /// The forecaster.
    pub forecaster: String,
    /// Steps ahead.
    pub horizon: usize,
    /// Mean squared error: in units of the training deviation, or raw where there is a MASE.
    pub mse: f64,
    /// Mean absolute error, in the same units.
    pub mae: f64,
    /// Mean absolute scaled error, where the protocol has it.
    pub mase: Option<f64>,
}
