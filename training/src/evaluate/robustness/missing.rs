//! Errors while single readings are missing at random, all along.

use crate::data::mask::{Rate, mask};
use crate::evaluate::baselines::{Baseline, Series};
use crate::evaluate::robustness::RobustnessTest;
use crate::evaluate::{EvaluateError, HorizonError, Tally, carried, check_horizons, on_all_cores};

/// Errors while a share of the readings is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    /// The share, in percent; readings that the recording lacks come on top.
    pub percent: u32,
    /// The model's errors by horizon.
    pub model: Vec<HorizonError>,
    /// Those of the naive forecast.
    pub naive: Vec<HorizonError>,
}

impl RobustnessTest<'_> {
    /// The errors while each of these shares, in percent, is missing; the state is carried from row 0. What is missing at one share is missing at the larger ones too. `done`
    /// gets the shares of the work: together 1.
    ///
    /// # Errors
    /// `NoHorizon`, `BeyondModel`, `NothingToCompare`, `Model`.
    pub fn missing(&self, percent: &[u32], done: &(dyn Fn(f64) + Sync)) -> Result<Vec<Missing>, EvaluateError> {
        check_horizons(self.model, self.horizons)?;
        let variates = self.model.config().targets();
        let z = self.scaler.standardise_targets(self.table);
        let pieces = self.rows.clone().into();
        let blank = Tally::new(&z, variates, &pieces, self.horizons)?;
        let shares = percent.len() as f64;
        let at = |percent: u32| {
            let mut seen = self.table.clone();
            mask(&mut seen.values, Rate::percent(percent), self.seed);
            let model = carried(self.model, &seen, self.scaler, blank.clone(), &|share| done(share / shares))?;
            let series = Series::new(&self.scaler.standardise_targets(&seen), variates);
            let mut naive = blank.clone();
            let mut out = vec![0.0; variates * self.longest()];
            for origin in blank.origins() {
                Baseline::Naive.forecast(&series, origin, &mut out);
                naive.add(origin, &out);
            }
            Ok(Missing {
                percent,
                model: model.errors()?.total,
                naive: naive.errors()?.total,
            })
        };
        let share = |job, jobs| percent.iter().copied().skip(job).step_by(jobs).map(at).collect::<Vec<_>>();
        let mut results = on_all_cores(share)
            .into_iter()
            .flatten()
            .collect::<Result<Vec<Missing>, EvaluateError>>()?;
        results.sort_by_key(|missing| missing.percent);
        Ok(results)
    }
}
