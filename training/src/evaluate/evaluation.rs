//! The errors of a model and of its baselines at the same origins.

use std::collections::BTreeMap;

use serde::Serialize;
use tsm2_data::Meter;

use crate::data::runs::{Part, Pieces};
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::baselines::{Baseline, Linear, LinearAll, Series, SparseTsf};
use crate::evaluate::model::{Protocol, model_errors};
use crate::evaluate::tally::{Details, ErrorsByDevice, EvaluateError, HorizonError, Tally};
use crate::model::Stepper;

/// By the name of the baseline, the details of each device.
pub type DetailsByBaseline = BTreeMap<&'static str, Vec<Details>>;

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
    /// The same of each device, those that are held out last; none of a recording of one device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceErrors>,
    /// Errors of the model at each target and horizon, in the target's own unit.
    pub sensors: Vec<SensorErrors>,
    /// The season that seasonal-naive repeats; `None` if the training data has none and it repeats the last reading.
    #[serde(skip)]
    pub period: Option<usize>,
    /// The errors in detail, by forecaster, `tsm2` being the model.
    #[serde(skip)]
    pub details: DetailsByBaseline,
}

/// Errors of a target at one horizon, in its own unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SensorErrors {
    /// The target.
    pub name: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Steps ahead.
    pub horizon: usize,
    /// Mean absolute error of the model; `None` without a reading.
    pub mae: Option<f64>,
    /// Mean absolute error of naive.
    pub naive_mae: Option<f64>,
}

/// The errors of a model on one device, and of its baselines.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceErrors {
    /// The device.
    pub name: String,
    /// Whether no row of it trained or chose anything. Then all of its rows are measured on, and it does not count in the errors of all.
    pub is_held_out: bool,
    /// The model's errors.
    pub results: Vec<HorizonError>,
    /// Errors of the baselines.
    pub baselines: BaselineErrors,
}

impl Evaluation {
    /// Adds the errors of the linear head alone, its state carried, at the same origins.
    ///
    /// # Errors
    /// As [`model_errors`].
    pub fn add_linear_head(&mut self, linear_head: &Stepper<'_>, rows: &Rows<'_>) -> Result<(), EvaluateError> {
        let (table, scaler) = (rows.table, rows.scaler);
        for part in rows.parts() {
            let pieces = table.part(rows.split, part);
            let errors = model_errors(linear_head, table, scaler, &pieces, &self.horizons(), Protocol::Carried, &|_| ())?;
            for (device, errors) in errors.devices {
                let name = &table.runs.devices()[device].name;
                if let Some(of_device) = self.devices.iter_mut().find(|device| device.name == *name) {
                    of_device.baselines.linear_head = Some(errors);
                }
            }
            if part == rows.part {
                self.baselines.linear_head = Some(errors.total);
                self.details.insert("linear-head", errors.details);
            }
        }
        Ok(())
    }

    /// The errors of every target, from the details of model and naive.
    fn sensor_errors(&self, table: &Table, scaler: &Scaler) -> Vec<SensorErrors> {
        let mae = |forecaster: &str, i: usize, v: usize| {
            let sums = self.details.get(forecaster)?.get(i)?.target(v);
            Some(sums.mean()?.mae * f64::from(scaler.std[v]))
        };
        let mut sensors = Vec::new();
        for v in 0..table.targets() {
            sensors.extend(self.horizons().into_iter().enumerate().map(|(i, horizon)| SensorErrors {
                name: table.names[v].clone(),
                unit: table.units[v].clone(),
                horizon,
                mae: mae("tsm2", i, v),
                naive_mae: mae("naive", i, v),
            }));
        }
        sensors
    }

    /// The horizons.
    #[must_use]
    pub fn horizons(&self) -> Vec<usize> {
        self.results.iter().map(|error| error.horizon).collect()
    }
}

/// The rows that forecasters are measured on.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The recording, with the model's variates in its order.
    pub table: &'a Table,
    /// The scaler of the training rows.
    pub scaler: &'a Scaler,
    /// The recording's parts.
    pub split: &'a Split,
    /// The part that is measured on: test, or validation.
    pub part: Part,
}

impl Rows<'_> {
    /// The rows of the part.
    #[must_use]
    pub fn pieces(&self) -> Pieces {
        self.table.part(self.split, self.part)
    }

    /// The part and, if devices are held out, those.
    fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let is_held_out = self.table.runs.devices().iter().any(|device| device.is_held_out);
        std::iter::once(self.part).chain(is_held_out.then_some(Part::HeldOut))
    }
}

/// Errors of the baselines.
#[derive(Debug, Clone, Default, Serialize)]
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
    /// `SparseTSF`; `None` without a season, and where the training rows hold too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sparse_tsf: Option<Vec<HorizonError>>,
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
            ("sparse-tsf", self.sparse_tsf.as_ref()),
            ("linear-head", self.linear_head.as_ref()),
        ];
        let trained = [("gru", self.gru.as_ref()), ("mlp", self.mlp.as_ref())];
        let all = fitted.into_iter().chain(trained);
        all.filter_map(|(name, errors)| Some((name, errors?.as_slice())))
    }
}

/// Evaluates a model on these rows and on the devices that are held out, and the baselines fitted on the training part.
///
/// `meter` shows how far that is.
///
/// # Errors
/// When a horizon does not fit the model or the rows, or the baselines cannot be fitted.
pub fn evaluate(
    model: &Stepper<'_>,
    rows: &Rows<'_>,
    horizons: &[usize],
    protocol: Protocol,
    meter: &Meter,
) -> Result<Evaluation, EvaluateError> {
    let Rows {
        table,
        scaler,
        split,
        part,
    } = *rows;
    let longest = horizons.iter().copied().max().filter(|_| !horizons.contains(&0));
    let longest = longest.ok_or(EvaluateError::NoHorizon)?;
    let patch = model.config().network.map_or(1, |network| network.patch);
    table.runs.check_training(split, patch, longest)?;
    if part == Part::Test {
        table.runs.check_test(split, longest)?;
    }
    let baselines = Baselines::fit(table, scaler, split, longest, meter)?;
    let mut evaluation = Evaluation {
        protocol,
        results: Vec::new(),
        baselines: BaselineErrors::default(),
        devices: Vec::new(),
        sensors: Vec::new(),
        period: baselines.period,
        details: BTreeMap::new(),
    };
    for part in rows.parts() {
        let pieces = table.part(split, part);
        meter.begin("errors of the model");
        let own = model_errors(model, table, scaler, &pieces, horizons, protocol, &|share| meter.add(share))?;
        let (total, by_device, details) = baselines.errors(table, scaler, &pieces, horizons, meter)?;
        if table.runs.devices().len() > 1 {
            let devices = own.devices.into_iter().zip(by_device);
            evaluation
                .devices
                .extend(devices.map(|((device, results), baselines)| DeviceErrors {
                    name: table.runs.devices()[device].name.clone(),
                    is_held_out: part == Part::HeldOut,
                    results,
                    baselines,
                }));
        }
        if part == rows.part {
            (evaluation.results, evaluation.baselines) = (own.total, total);
            evaluation.details = details;
            evaluation.details.insert("tsm2", own.details);
        }
    }
    evaluation.sensors = evaluation.sensor_errors(table, scaler);
    Ok(evaluation)
}

/// Errors of all baselines that are fitted on the split's training part, at the origins of `pieces`; and the season found.
///
/// # Errors
/// `NoHorizon`, `NothingToCompare`, `Linear`.
pub fn baseline_errors(
    table: &Table,
    scaler: &Scaler,
    split: &Split,
    pieces: &Pieces,
    horizons: &[usize],
) -> Result<(BaselineErrors, Option<usize>), EvaluateError> {
    let longest = horizons.iter().copied().max().ok_or(EvaluateError::NoHorizon)?;
    let meter = Meter::default();
    let baselines = Baselines::fit(table, scaler, split, longest, &meter)?;
    Ok((baselines.errors(table, scaler, pieces, horizons, &meter)?.0, baselines.period))
}

/// The baselines without gradient descent, fitted on a training part.
struct Baselines {
    series: Series,
    linear: Baseline,
    linear_all: Option<Baseline>,
    sparse_tsf: Option<Baseline>,
    period: Option<usize>,
}

impl Baselines {
    fn fit(table: &Table, scaler: &Scaler, split: &Split, longest: usize, meter: &Meter) -> Result<Self, EvaluateError> {
        let done = &|share| meter.add(share);
        meter.begin("baselines, linear-all");
        let series = Series::of(table, &scaler.standardise(table)).with_covariates(table.variates() - table.targets());
        let linear_all = match table.variates() {
            1 => None,
            _ => LinearAll::fit(&series, split, longest, done)?,
        };
        let period = series.find_period(split, meter);
        meter.begin("baselines, sparse-tsf");
        let sparse_tsf = match period {
            Some(period) => SparseTsf::fit(&series, split, period, longest, done)?,
            None => None,
        };
        meter.begin("baselines, linear");
        let linear = Linear::fit(&series, split, longest, done)?;
        Ok(Self {
            linear: Baseline::Linear(linear),
            linear_all: linear_all.map(Baseline::LinearAll),
            sparse_tsf: sparse_tsf.map(Baseline::SparseTsf),
            period,
            series,
        })
    }

    /// Errors over all devices, and by device.
    fn errors(
        &self,
        table: &Table,
        scaler: &Scaler,
        pieces: &Pieces,
        horizons: &[usize],
        meter: &Meter,
    ) -> Result<(BaselineErrors, Vec<BaselineErrors>, DetailsByBaseline), EvaluateError> {
        let z = scaler.standardise_targets(table);
        let blank = Tally::new(&z, table.targets(), pieces, horizons)?;
        let longest = horizons.iter().copied().max().unwrap_or(1);
        let origins = blank.origins().count().max(1) as f64;
        let errors = |baseline: &Baseline| {
            meter.begin(match baseline {
                Baseline::Naive => "errors of naive",
                Baseline::SeasonalNaive { .. } => "errors of seasonal-naive",
                Baseline::Linear(_) => "errors of linear",
                Baseline::LinearAll(_) => "errors of linear-all",
                Baseline::SparseTsf(_) => "errors of sparse-tsf",
            });
            let mut tally = blank.clone();
            let mut out = vec![0.0; table.targets() * longest];
            for origin in blank.origins() {
                baseline.forecast(&self.series, origin, &mut out);
                tally.add(origin, &out);
                meter.add(1.0 / origins);
            }
            tally.errors()
        };
        let seasonal = Baseline::SeasonalNaive {
            period: self.period.unwrap_or(1),
        };
        let (naive, seasonal, linear) = (errors(&Baseline::Naive)?, errors(&seasonal)?, errors(&self.linear)?);
        let linear_all = self.linear_all.as_ref().map(errors).transpose()?;
        let sparse_tsf = self.sparse_tsf.as_ref().map(errors).transpose()?;
        let of = |pick: &dyn Fn(&ErrorsByDevice) -> Vec<HorizonError>| BaselineErrors {
            naive: pick(&naive),
            seasonal_naive: pick(&seasonal),
            linear: pick(&linear),
            linear_all: linear_all.as_ref().map(pick),
            sparse_tsf: sparse_tsf.as_ref().map(pick),
            ..BaselineErrors::default()
        };
        let by_device = (0..naive.devices.len()).map(|i| of(&|errors| errors.devices[i].1.clone()));
        let named = [("naive", &naive), ("seasonal-naive", &seasonal), ("linear", &linear)];
        let named = named.into_iter().chain(linear_all.as_ref().map(|errors| ("linear-all", errors)));
        let named = named.chain(sparse_tsf.as_ref().map(|errors| ("sparse-tsf", errors)));
        let details = named.map(|(name, errors)| (name, errors.details.clone())).collect();
        Ok((of(&|errors| errors.total.clone()), by_device.collect(), details))
    }
}
