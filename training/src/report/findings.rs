//! What a report shows, as numbers.

use std::path::Path;

use tsm2_data::Meter;

use super::advice::{Advice, Summary};
use super::cost::Cost;
use super::curves::{self, Curve};
use super::error::ReportError;
use super::intervals::Intervals;
use super::outages::Outages;
use crate::evaluate::{Evaluation, Rows};
use crate::model::OpenModel;

/// A model and the rows that it was measured on.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The model's file; the course of its training lies beside it.
    pub path: &'a Path,
    /// The model.
    pub bundle: &'a OpenModel,
    /// How the recording was read.
    pub recording: &'a tsm2_data::Report,
    /// The rows.
    pub rows: Rows<'a>,
    /// The errors on them.
    pub evaluation: &'a Evaluation,
    /// What a reader should know of the measurement, a sentence each.
    pub notes: &'a [String],
}

/// What was measured beside the errors.
#[derive(Debug)]
pub struct Findings {
    /// The comparison in short.
    pub summary: Summary,
    /// Prediction intervals, and some forecasts.
    pub intervals: Intervals,
    /// Errors with missing readings, after gaps and from a cold start; or why they could not be measured.
    pub outages: Result<Outages, String>,
    /// The course of the training, if its file is there.
    pub curves: Vec<Curve>,
    /// Size and time.
    pub cost: Cost,
}

impl Subject<'_> {
    /// The longest horizon that was measured.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.evaluation.horizons().into_iter().max().unwrap_or(1)
    }

    /// The unit of a target, from the recording or from the model; empty where none is known.
    #[must_use]
    pub fn unit(&self, target: usize) -> &str {
        let of_model = self.bundle.meta().targets().get(target).and_then(|variate| variate.unit.as_deref());
        self.rows.table.units[target].as_deref().or(of_model).unwrap_or("")
    }

    /// The place of that horizon among those measured.
    #[must_use]
    pub fn longest(&self) -> usize {
        let steps = self.steps();
        self.evaluation.results.iter().position(|error| error.horizon == steps).unwrap_or(0)
    }

    /// What to use where the whole model is to be used.
    fn whole(&self) -> Advice {
        match (self.bundle.is_graph(), self.bundle.meta().config.network) {
            (true, _) => Advice::Graph,
            (false, Some(_)) => Advice::Model,
            (false, None) => Advice::LinearModel,
        }
    }

    /// Measures what the errors do not show.
    ///
    /// # Errors
    /// Every [`ReportError`].
    pub fn measure(&self, meter: &Meter) -> Result<Findings, ReportError> {
        let steps = self.steps();
        meter.begin("prediction intervals");
        let passes = self.rows.pieces().passes();
        let rows = passes.iter().map(ExactSizeIterator::len).sum::<usize>().max(1) as f64;
        let intervals = Intervals::measure(self.bundle, &self.rows, steps, &|| meter.add(1.0 / rows))?;
        meter.begin("errors with missing readings");
        let outages = Outages::measure(self.bundle, &self.rows, steps, &|share| meter.add(share));
        Ok(Findings {
            summary: Summary::of(self.evaluation, self.longest(), self.whole()),
            intervals,
            outages: outages.map_err(|error| error.to_string()),
            curves: curves::beside(self.path),
            cost: Cost::measure(self.path, self.bundle, self.rows.table)?,
        })
    }
}
