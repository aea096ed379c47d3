//! What the demo showed, in the end: the object that `--json` prints.

use super::DemoError;
use super::score::{Board, LEADS_MIN, Skill};
use crate::simulator::{NAMES, UNITS};
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The model's name.
    pub model: String,
    /// The broker's port.
    pub port: u16,
    /// Rows of readings that came by MQTT.
    pub rows: u64,
    /// Forecasts that came by MQTT, of all variates.
    pub forecasts: u64,
    /// By name, those that the model forecasts.
    pub variates: BTreeMap<&'static str, VariateOutcome>,
}

/// One variate's part.
#[derive(Clone, Debug, Serialize)]
pub struct VariateOutcome {
    /// Unit of the errors.
    pub unit: &'static str,
    /// Forecasts that came by MQTT.
    pub forecasts: u64,
    /// How they turned out, at each lead within the model's horizon.
    pub errors: Vec<LeadOutcome>,
}

/// Errors at one lead.
#[derive(Clone, Debug, Serialize)]
pub struct LeadOutcome {
    /// How far ahead.
    pub minutes: usize,
    /// Forecasts compared with what came.
    pub settled: u64,
    /// Mean absolute error of the model.
    pub mae: Option<f64>,
    /// Mean absolute error of repeat-last at the same moments.
    pub repeat_last_mae: Option<f64>,
    /// The first divided by the second.
    pub ratio: Option<f64>,
}

impl Outcome {
    pub(super) fn of(board: &Board, model: String, port: u16, rows: u64) -> Result<Self, DemoError> {
        let mut variates = BTreeMap::new();
        let all = NAMES.into_iter().zip(UNITS).zip(&board.tracks);
        for ((variate, unit), track) in all.filter(|(_, track)| !track.is_exogenous) {
            let Some((_, newest)) = &track.newest else {
                return Err(DemoError::NoForecast { variate });
            };
            let leads = LEADS_MIN
                .into_iter()
                .zip(&track.skill)
                .filter(|(minutes, _)| *minutes <= newest.len());
            let errors = leads.map(|(minutes, skill)| LeadOutcome::of(minutes, skill)).collect();
            variates.insert(
                variate,
                VariateOutcome {
                    unit,
                    forecasts: track.forecasts,
                    errors,
                },
            );
        }
        let forecasts = variates.values().map(|variate| variate.forecasts).sum();
        Ok(Self {
            model,
            port,
            rows,
            forecasts,
            variates,
        })
    }
}

impl LeadOutcome {
    fn of(minutes: usize, skill: &Skill) -> Self {
        Self {
            minutes,
            settled: skill.settled,
            mae: skill.model_mae(),
            repeat_last_mae: skill.repeat_last_mae(),
            ratio: skill.ratio(),
        }
    }
}
