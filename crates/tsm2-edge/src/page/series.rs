//! What the page shows of one stream: its variates, and one of them as curves.

use serde::Serialize;

use super::data::{Data, Errors, Model};

/// Curves of one variate beside a summary of all.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    interval_ms: i64,
    /// Steps of the horizon.
    horizon: usize,
    variates: Vec<Summary>,
    /// The variate of the curves.
    variate: String,
    history: Curve,
    /// Absent for a covariate, and before the first forecast.
    forecast: Option<Forecast>,
    past: Vec<Past>,
}

/// The newest numbers of one variate.
#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    unit: Option<String>,
    is_target: bool,
    value: Option<f32>,
    /// Forecast of the last step.
    last: Option<f32>,
    errors: Option<Errors>,
}

#[derive(Debug, Serialize)]
struct Curve {
    time_ms: Vec<i64>,
    value: Vec<f32>,
}

#[derive(Debug, Serialize)]
struct Forecast {
    start_ms: i64,
    mean: Vec<f32>,
    lower: Vec<f32>,
    upper: Vec<f32>,
}

impl FromIterator<(i64, f32)> for Curve {
    fn from_iter<I: IntoIterator<Item = (i64, f32)>>(points: I) -> Self {
        let (time_ms, value) = points.into_iter().unzip();
        Curve { time_ms, value }
    }
}

/// Past forecasts of one step, at the times that they forecast.
#[derive(Debug, Serialize)]
struct Past {
    step: usize,
    #[serde(flatten)]
    curve: Curve,
}

impl Series {
    /// The curves of `variate`, or of the first variate when the model has none of that name.
    pub(super) fn of(model: &Model, data: &Data, variate: &str) -> Self {
        let index = model.variates.iter().position(|(name, _)| name == variate).unwrap_or(0);
        let steps = |target: usize| target * model.horizon..(target + 1) * model.horizon;
        let [mean, lower, upper] = &data.forecast;
        let summary = |(number, (name, unit)): (usize, &(String, Option<String>))| Summary {
            name: name.clone(),
            unit: unit.clone(),
            is_target: number < model.targets,
            value: data.newest(model, number),
            last: mean.get(steps(number)).and_then(|steps| steps.last().copied()),
            errors: data.errors.get(number).copied(),
        };
        let forecast = mean.get(steps(index)).map(|mean| Forecast {
            start_ms: data.start_ms,
            mean: mean.to_vec(),
            lower: lower[steps(index)].to_vec(),
            upper: upper[steps(index)].to_vec(),
        });
        Series {
            interval_ms: model.interval_ms,
            horizon: model.horizon,
            variates: model.variates.iter().enumerate().map(summary).collect(),
            variate: model.variates.get(index).map(|(name, _)| name.clone()).unwrap_or_default(),
            history: data.history(model, index).collect(),
            forecast,
            past: model
                .past_steps
                .iter()
                .enumerate()
                .map(|(place, &step)| Past {
                    step,
                    curve: data.past(model, place, index).collect(),
                })
                .collect(),
        }
    }
}
