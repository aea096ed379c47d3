//! The errors of a model and of its baselines at the same origins.

use std::ops::Range;

use serde::Serialize;
use tsm2_core::Model;

use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::baselines::{Baseline, Linear, LinearAll, Series};
use crate::evaluate::model::{Protocol, model_errors};
use crate::evaluate::tally::{EvaluateError, HorizonError, Tally};

/// The file of the linear head alone, beside the file of a model that also has a network.
pub const LINEAR_HEAD: &str = "linear.safetensors";

/// The errors of a model under one protocol, and of its baselines.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// The state of the model before each origin.
    pub protocol: Protocol,
    /// The model's errors.
    pub results: Vec<HorizonError>,
    /// Errors of the baselines at the same origins; they do not depend on the protocol.
    pub baselines: BaselineErrors,
    /// The season that seasonal-naive repeats; `None` if the training data has none and it repeats the last reading.
    #[serde(skip)]
    pub period: Option<usize>,
}

impl Evaluation {
    /// Adds the errors of the linear head alone, its state carried, at the same origins.
    ///
    /// # Errors
    /// As [`model_errors`].
    pub fn add_linear_head(&mut self, linear_head: &Model<'_>, table: &Table, scaler: &Scaler, split: &Split) -> Result<(), EvaluateError> {
        let errors = model_errors(
            linear_head,
            table,
            scaler,
            split.test_range(),
            &self.horizons(),
            Protocol::Carried,
            &|| (),
        )?;
        self.baselines.linear_head = Some(errors);
        Ok(())
    }

    /// The horizons.
    #[must_use]
    pub fn horizons(&self) -> Vec<usize> {
        self.results.iter().map(|error| error.horizon).collect()
    }
}

/// Errors of the baselines.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineErrors {
    /// The last reading at every step.
    pub naive: Vec<HorizonError>,
    /// The reading one season before.
    pub seasonal_naive: Vec<HorizonError>,
    /// The closed-form linear model of each variate's own readings.
    pub linear: Vec<HorizonError>,
    /// The closed-form linear model of all variates' readings; `None` for one variate, where it is no other, and where it would be too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear_all: Option<Vec<HorizonError>>,
    /// The model without its network, where it has both linear head and network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear_head: Option<Vec<HorizonError>>,
    /// The streaming GRU, if it was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gru: Option<Vec<HorizonError>>,
    /// The MLP over a short window, if it was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlp: Option<Vec<HorizonError>>,
}

impl BaselineErrors {
    /// All that there are, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &[HorizonError])> {
        let fitted = [
            ("naive", Some(&self.naive)),
            ("seasonal-naive", Some(&self.seasonal_naive)),
            ("linear", Some(&self.linear)),
            ("linear-all", self.linear_all.as_ref()),
            ("linear-head", self.linear_head.as_ref()),
        ];
        let trained = [("gru", self.gru.as_ref()), ("mlp", self.mlp.as_ref())];
        let all = fitted.into_iter().chain(trained);
        all.filter_map(|(name, errors)| Some((name, errors?.as_slice())))
    }
}

/// Evaluates a model on the split's test part, and the baselines fitted on its training part.
///
/// `table` has the model's variates in its order. `tick` is called once per origin of the model.
///
/// # Errors
/// When a horizon does not fit the model or the test part, or the baselines cannot be fitted.
pub fn evaluate(
    model: &Model<'_>,
    table: &Table,
    scaler: &Scaler,
    split: &Split,
    horizons: &[usize],
    protocol: Protocol,
    tick: &(dyn Fn() + Sync),
) -> Result<Evaluation, EvaluateError> {
    let longest = horizons.iter().copied().max().ok_or(EvaluateError::NoHorizon)?;
    split.check_training(model.config().network.map_or(1, |network| network.patch), longest)?;
    split.check_test(longest)?;
    let results = model_errors(model, table, scaler, split.test_range(), horizons, protocol, tick)?;
    let (baselines, period) = baseline_errors(table, scaler, split, split.test_range(), horizons)?;
    Ok(Evaluation {
        protocol,
        results,
        baselines,
        period,
    })
}

/// Errors of all baselines that are fitted on the split's training part, at the origins of `rows`; and the season found.
///
/// # Errors
/// `NoHorizon`, `NothingToCompare`, `Linear`.
pub fn baseline_errors(
    table: &Table,
    scaler: &Scaler,
    split: &Split,
    rows: Range<usize>,
    horizons: &[usize],
) -> Result<(BaselineErrors, Option<usize>), EvaluateError> {
    let longest = horizons.iter().copied().max().ok_or(EvaluateError::NoHorizon)?;
    let z = scaler.standardise_targets(table);
    let series = Series::new(&scaler.standardise(table), table.variates()).with_covariates(table.variates() - table.targets());
    let period = series.find_period(split.train_range());
    let errors = |baseline: Baseline| {
        let mut tally = Tally::new(&z, table.targets(), rows.clone(), horizons)?;
        let mut out = vec![0.0; table.targets() * longest];
        for origin in tally.origins() {
            baseline.forecast(&series, origin, &mut out);
            tally.add(origin, &out);
        }
        tally.errors()
    };
    let baselines = BaselineErrors {
        naive: errors(Baseline::Naive)?,
        seasonal_naive: errors(Baseline::SeasonalNaive {
            period: period.unwrap_or(1),
        })?,
        linear: errors(Baseline::Linear(Linear::fit(&series, split, longest)?))?,
        linear_all: match table.variates() {
            1 => None,
            _ => LinearAll::fit(&series, split, longest)?
                .map(|linear| errors(Baseline::LinearAll(linear)))
                .transpose()?,
        },
        linear_head: None,
        gru: None,
        mlp: None,
    };
    Ok((baselines, period))
}
