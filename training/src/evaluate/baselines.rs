//! Baselines without gradient descent: naive, seasonal naive, and linear models of the last readings.
//!
//! All work on standardised series without missing values (the last reading is carried forward). They are fitted on the
//! training part; choices are made on the validation part.

mod linear;
mod linear_all;
mod sparse_tsf;

pub use linear::{GroupChoice, Linear, SharedMap};
pub use linear_all::LinearAll;
pub use sparse_tsf::SparseTsf;

use std::ops::Range;

use tsm2_data::Meter;

use crate::data::period::find_period;
use crate::data::runs::{Part, Runs};
use crate::data::split::Split;
use crate::data::table::Table;

/// A table's standardised readings as one series per variate, without missing values.
#[derive(Debug, Clone)]
pub struct Series {
    /// `[variates][rows]`, a missing reading replaced by the last before it in its run (zero, the mean, before the first).
    pub values: Vec<Vec<f32>>,
    /// Number of covariates, the last variates.
    covariates: usize,
    /// `[variates][rows + 1]`: missing readings before each row.
    missing: Vec<Vec<u32>>,
    runs: Runs,
}

impl Series {
    /// Fills the standardised readings `z` `[rows][variates]` of one device without a gap.
    pub fn new(z: &[f32], variates: usize) -> Series {
        Self::with_runs(z, variates, Runs::unbroken("", z.len() / variates))
    }

    /// Fills the standardised readings `z` of a table, `[rows][variates]`.
    pub fn of(table: &Table, z: &[f32]) -> Series {
        Self::with_runs(z, z.len() / table.len().max(1), table.runs.clone())
    }

    fn with_runs(z: &[f32], variates: usize, runs: Runs) -> Series {
        let of = |m: usize| z.iter().skip(m).step_by(variates);
        let carry = |last: &mut f32, (row, value): (usize, &f32)| {
            *last = match value.is_nan() {
                true if runs.starts_at(row) => 0.0,
                true => *last,
                false => *value,
            };
            Some(*last)
        };
        let count = |sum: &mut u32, value: &f32| {
            *sum += u32::from(value.is_nan());
            Some(*sum)
        };
        Series {
            covariates: 0,
            values: (0..variates).map(|m| of(m).enumerate().scan(0.0, carry).collect()).collect(),
            missing: (0..variates)
                .map(|m| std::iter::once(0).chain(of(m).scan(0, count)).collect())
                .collect(),
            runs,
        }
    }

    /// The same, with so many of the last variates as covariates: fewer than all.
    #[must_use]
    pub fn with_covariates(self, covariates: usize) -> Series {
        Series { covariates, ..self }
    }

    /// Number of variates that are forecast.
    pub fn variates(&self) -> usize {
        self.values.len() - self.covariates
    }

    /// The share of these rows of a variate that is not filled in.
    fn known(&self, m: usize, rows: Range<usize>) -> f32 {
        1.0 - (self.missing[m][rows.end] - self.missing[m][rows.start]) as f32 / rows.len() as f32
    }

    /// The first row of the run that a forecast of this origin continues.
    fn first_row(&self, origin: usize) -> usize {
        self.runs.run_of(origin.saturating_sub(1)).start
    }

    /// The season of the training rows, from the longest piece of them. `meter` shows how far that is.
    pub fn find_period(&self, split: &Split, meter: &Meter) -> Option<usize> {
        meter.begin("season");
        let pieces = self.runs.part(split, Part::Train);
        let longest = pieces.iter().rev().max_by_key(|piece| piece.rows.len());
        let rows = longest.map_or(0..0, |piece| piece.rows.clone());
        let forecast = &self.values[..self.variates()];
        let forecast: Vec<_> = forecast.iter().map(|values| &values[rows.clone()]).collect();
        find_period(&forecast, &|share| meter.add(share))
    }
}

/// A forecast that needs no model.
#[derive(Debug, Clone)]
pub enum Baseline {
    /// The last reading, at every step.
    Naive,
    /// The reading one season before.
    SeasonalNaive {
        /// The season in rows; 1 makes it naive.
        period: usize,
    },
    /// A linear map of each variate's own window before the origin.
    Linear(Linear),
    /// A linear map of all variates' last readings.
    LinearAll(LinearAll),
    /// A linear map from past seasons to coming ones.
    SparseTsf(SparseTsf),
}

impl Baseline {
    /// Forecasts row `origin` and those after it, all variates that are forecast: `out` `[variates][horizon]`.
    pub fn forecast(&self, series: &Series, origin: usize, out: &mut [f32]) {
        let horizon = out.len() / series.variates();
        match self {
            Baseline::Linear(linear) => linear.forecast(series, origin, out),
            Baseline::LinearAll(linear) => linear.forecast(series, origin, out),
            Baseline::SparseTsf(sparse) => sparse.forecast(series, origin, out),
            Baseline::Naive => repeat(series, origin, 1, horizon, out),
            Baseline::SeasonalNaive { period } => repeat(series, origin, *period, horizon, out),
        }
    }
}

fn repeat(series: &Series, origin: usize, period: usize, horizon: usize, out: &mut [f32]) {
    // Before the end of the first season there is none to repeat.
    let period = if period > origin - series.first_row(origin) { 1 } else { period };
    for (values, out) in series.values.iter().zip(out.chunks_exact_mut(horizon)) {
        for (step, out) in out.iter_mut().enumerate() {
            *out = values[origin - period + step % period];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_readings_are_carried_forward() {
        let series = Series::new(&[f32::NAN, 1.0, 2.0, f32::NAN, f32::NAN, 3.0], 2);
        assert_eq!(series.values, [[0.0, 2.0, 2.0], [1.0, 1.0, 3.0]]);
        assert_eq!(
            (series.known(0, 0..2), series.known(0, 1..2), series.known(1, 1..3)),
            (0.5, 1.0, 0.5)
        );
    }

    #[test]
    fn a_fit_counts_all_of_its_work() {
        let value = |i: usize| ((i / 2 * 7) % 12 + i % 2) as f32 + (i % 31) as f32 * 0.1;
        let series = Series::new(&(0..4000).map(value).collect::<Vec<_>>(), 2);
        let split = Split {
            train: 1400,
            validation: 300,
            test: 300,
        };
        let counted = |fit: &dyn Fn(&Meter)| {
            let meter = Meter::default();
            fit(&meter);
            meter.now().1
        };
        let shares = [
            counted(&|meter| assert_eq!(series.find_period(&split, meter), Some(12))),
            counted(&|meter| drop(Linear::fit(&series, &split, 30, &|share| meter.add(share)).unwrap())),
            counted(&|meter| drop(LinearAll::fit(&series, &split, 30, &|share| meter.add(share)).unwrap())),
            counted(&|meter| drop(SparseTsf::fit(&series, &split, 12, 30, &|share| meter.add(share)).unwrap().unwrap())),
        ];
        assert!(shares.iter().all(|share| *share > 0.98), "{shares:?}");
    }

    #[test]
    fn naive_forecasts_repeat() {
        let series = Series::new(&[1.0, 2.0, 3.0, 4.0, 5.0], 1);
        let mut out = [0.0; 3];
        Baseline::Naive.forecast(&series, 4, &mut out);
        assert_eq!(out, [4.0; 3]);
        Baseline::SeasonalNaive { period: 2 }.forecast(&series, 4, &mut out);
        assert_eq!(out, [3.0, 4.0, 3.0]);
        Baseline::SeasonalNaive { period: 9 }.forecast(&series, 4, &mut out);
        assert_eq!(out, [4.0; 3]);
    }
}
