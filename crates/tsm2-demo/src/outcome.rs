//! The result of the demo: the JSON object that `--json` prints.

use crate::error::DemoError;
use crate::scoreboard::{Comparison, HORIZONS_MIN, Scoreboard};
use crate::simulator::{NAMES, UNITS};
use serde::Serialize;
use std::collections::BTreeMap;

/// The result of the demo.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The model's name.
    pub model: String,
    /// The broker's port.
    pub port: u16,
    /// Time steps of readings received over MQTT.
    pub time_steps: u64,
    /// Forecasts of all variates received over MQTT.
    pub forecasts: u64,
    /// The targets of the model, by name.
    pub variates: BTreeMap<&'static str, VariateOutcome>,
}

/// The result of one variate.
#[derive(Clone, Debug, Serialize)]
pub struct VariateOutcome {
    /// Unit of the errors.
    pub unit: &'static str,
    /// Forecasts received over MQTT.
    pub forecasts: u64,
    /// Errors at each of [`HORIZONS_MIN`] within the model's horizon.
    pub errors: Vec<HorizonOutcome>,
}

/// Errors at one step of the horizon.
#[derive(Clone, Debug, Serialize)]
pub struct HorizonOutcome {
    /// Minutes ahead.
    pub minutes: usize,
    /// Forecasts compared with the reading that followed.
    pub resolved: u64,
    /// Mean absolute error of the model.
    pub mae: Option<f64>,
    /// Mean absolute error of the naive forecast (the last reading) of the same times.
    pub naive_mae: Option<f64>,
    /// `mae / naive_mae`.
    pub ratio: Option<f64>,
}

impl Outcome {
    pub(crate) fn of(scoreboard: &Scoreboard, model: String, port: u16, time_steps: u64) -> Result<Self, DemoError> {
        let mut variates = BTreeMap::new();
        let all = NAMES.into_iter().zip(UNITS).zip(&scoreboard.series);
        for ((variate, unit), series) in all.filter(|(_, series)| !series.is_covariate) {
            let Some((_, newest)) = &series.newest else {
                return Err(DemoError::NoForecast { variate });
            };
            let steps = HORIZONS_MIN
                .into_iter()
                .zip(&series.errors)
                .filter(|(minutes, _)| *minutes <= newest.len());
            let errors = steps.map(|(minutes, errors)| HorizonOutcome::of(minutes, errors)).collect();
            variates.insert(
                variate,
                VariateOutcome {
                    unit,
                    forecasts: series.forecasts,
                    errors,
                },
            );
        }
        let forecasts = variates.values().map(|variate| variate.forecasts).sum();
        Ok(Self {
            model,
            port,
            time_steps,
            forecasts,
            variates,
        })
    }
}

impl HorizonOutcome {
    fn of(minutes: usize, errors: &Comparison) -> Self {
        Self {
            minutes,
            resolved: errors.resolved(),
            mae: errors.model_mae(),
            naive_mae: errors.naive_mae(),
            ratio: errors.ratio(),
        }
    }
}
