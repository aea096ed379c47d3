//! Section `output`: where forecasts go, and what of them is published.

use std::collections::BTreeMap;

use serde::Deserialize;
use tsm2_bundle::Metadata;
use tsm2_mqtt::topic_level;

use super::section::section;

section! {
    /// Where forecasts go: `PREFIX/<stream>/forecast/<variate>`, `PREFIX/<stream>/metrics/<variate>` and
    /// `PREFIX/status`; and what of them is published.
    Output in "output" {
        /// First levels of the published topics.
        prefix: String = "tsm2".into();
        /// Fraction of the readings that the prediction intervals (`lower`, `upper`) should contain,
        /// between 0 and 1.
        coverage: f32 = 0.9;
        /// Steps of the horizon to publish, from 1, ascending. The message then lists them in `step`.
        steps: Vec<usize> = Vec::new() => "all";
        /// Physical limits of variates: `mean`, `lower` and `upper` never lie beyond them.
        limits: BTreeMap<String, Limits> = BTreeMap::new() => "none";
        /// Whether a forecast has the `maximum` and the `minimum` of `mean` over the horizon, and when.
        extremes: bool = false;
        /// For each variate the values whose crossing is of interest. A forecast then has `crossings`: when
        /// `mean` crosses each of them first.
        thresholds: BTreeMap<String, Vec<f32>> = BTreeMap::new() => "none";
        /// Whether each time step gives a message `PREFIX/<stream>/residual/<variate>`: the reading, the
        /// forecast of it, and how unusual it is.
        residuals: bool = false;
    }
    example: r#"[output]
prefix = "site/forecasts"
coverage = 0.95
steps = [15, 60]
limits = { heater1_kw = { min = 0, max = 4.5 } }
extremes = true
thresholds = { "room 1" = [18, 26] }
residuals = true
"#
}

/// The physical limits of a variate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Limits {
    /// The smallest value.
    pub min: Option<f32>,
    /// The largest value.
    pub max: Option<f32>,
}

/// A section `output` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The prefix is not a topic.
    #[error("output.prefix: {prefix:?} is not a topic; remove empty levels, `+`, `#` and control characters")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// No interval can have this coverage.
    #[error("output.coverage is {coverage}; set it between 0 and 1")]
    Coverage {
        /// The coverage.
        coverage: f32,
    },
    /// Steps that the model does not forecast, or in no order.
    #[error("output.steps is {steps:?}; list steps from 1 to the model's horizon {horizon}, ascending")]
    Steps {
        /// The steps.
        steps: Vec<usize>,
        /// The horizon.
        horizon: usize,
    },
    /// Limits that nothing can meet.
    #[error("output.limits.{variate}: set min below max, both to numbers")]
    Limits {
        /// The variate.
        variate: String,
    },
    /// A threshold that is no number.
    #[error("output.thresholds.{variate}: {threshold} is not a number to cross")]
    Threshold {
        /// The variate.
        variate: String,
        /// The threshold.
        threshold: f32,
    },
    /// A key for a variate that is not forecast.
    #[error("output.{key}.{name}: the model {model:?} does not forecast {name:?}; it forecasts {known}")]
    UnknownVariate {
        /// The key above it.
        key: &'static str,
        /// The variate.
        name: String,
        /// The model.
        model: String,
        /// Its targets.
        known: String,
    },
}

/// What of a forecast is published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Publication {
    /// Steps from 1; empty: all.
    pub steps: Vec<usize>,
    /// For each target the smallest and the largest value.
    pub limits: Vec<(f32, f32)>,
    /// Whether with the extremes.
    pub extremes: bool,
    /// For each target the values whose crossing is published.
    pub thresholds: Vec<Vec<f32>>,
    /// Whether with a message for each residual.
    pub residuals: bool,
}

impl Output {
    pub(super) fn check(&self) -> Result<(), OutputError> {
        let prefix = &self.prefix;
        if prefix.split('/').any(|level| level.is_empty() || topic_level(level) != level) {
            return Err(OutputError::Prefix { prefix: prefix.clone() });
        }
        match self.coverage > 0.0 && self.coverage < 1.0 {
            true => Ok(()),
            false => Err(OutputError::Coverage { coverage: self.coverage }),
        }
    }

    /// What of a model's forecasts is published.
    pub(super) fn publication(&self, meta: &Metadata) -> Result<Publication, OutputError> {
        let horizon = meta.config.horizon;
        let ascends = self.steps.is_sorted_by(|one, next| one < next);
        if !ascends || self.steps.iter().any(|step| !(1..=horizon).contains(step)) {
            let steps = self.steps.clone();
            return Err(OutputError::Steps { steps, horizon });
        }
        let targets: Vec<&str> = meta.targets().iter().map(|variate| variate.name.as_str()).collect();
        let keys = self.limits.keys().map(|name| ("limits", name));
        for (key, name) in keys.chain(self.thresholds.keys().map(|name| ("thresholds", name))) {
            if !targets.contains(&name.as_str()) {
                return Err(OutputError::UnknownVariate {
                    key,
                    name: name.clone(),
                    model: meta.name.clone(),
                    known: targets.join(", "),
                });
            }
        }
        let limits = targets.iter().map(|&name| {
            let Limits { min, max } = self.limits.get(name).copied().unwrap_or_default();
            let (min, max) = (min.unwrap_or(f32::NEG_INFINITY), max.unwrap_or(f32::INFINITY));
            match min < max {
                true => Ok((min, max)),
                false => Err(OutputError::Limits { variate: name.to_owned() }),
            }
        });
        let thresholds = targets.iter().map(|&name| {
            let thresholds = self.thresholds.get(name).cloned().unwrap_or_default();
            match thresholds.iter().find(|threshold| !threshold.is_finite()) {
                None => Ok(thresholds),
                Some(&threshold) => Err(OutputError::Threshold {
                    variate: name.to_owned(),
                    threshold,
                }),
            }
        });
        Ok(Publication {
            steps: self.steps.clone(),
            limits: limits.collect::<Result<_, _>>()?,
            extremes: self.extremes,
            thresholds: thresholds.collect::<Result<_, _>>()?,
            residuals: self.residuals,
        })
    }
}
