//! Errors of a perturbed state, after a gap in all readings or from nothing, beside those of the state that was carried.
//!
//! Many such runs begin at places spread over the rows. Each is stepped on for a while and forecasts at some ages; the carried state
//! forecasts from the same rows, so that the two differ by nothing but their perturbation.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::split::SplitError;
use crate::data::table::Table;
use crate::evaluate::robustness::RobustnessTest;
use crate::evaluate::{EvaluateError, HorizonError, Tally, check_horizons, go_on, on_all_cores, standardised};
use crate::model::{StepError, Stepped};

/// Errors of forecasts at one age.
#[derive(Debug, Clone, PartialEq)]
pub struct PerturbedErrors {
    /// Rows read since the gap ended, 0 being its last row, or since the state was empty.
    pub rows: usize,
    /// Errors by horizon.
    pub errors: Vec<HorizonError>,
    /// Those of the carried state at the same origins.
    pub carried: Vec<HorizonError>,
}

/// A chunk of rows without a single reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// How long it is, in words.
    pub name: &'static str,
    /// How long it is.
    pub rows: usize,
}

impl Gap {
    /// An hour and a day; 1 and 24 rows where the interval is longer than an hour or unknown.
    #[must_use]
    pub fn hour_and_day(interval_ms: Option<u64>) -> [Gap; 2] {
        const HOUR_MS: u64 = 3_600_000;
        match interval_ms {
            Some(interval @ 1..=HOUR_MS) => [("hour", HOUR_MS), ("day", 24 * HOUR_MS)].map(|(name, ms)| Gap {
                name,
                rows: (ms / interval) as usize,
            }),
            _ => [("1 row", 1), ("24 rows", 24)].map(|(name, rows)| Gap { name, rows }),
        }
    }
}

/// What happened to a perturbed state.
#[derive(Debug, Clone, Copy)]
enum Perturbation {
    /// The carried state's, and so many rows without a reading.
    Gap(usize),
    /// None.
    Empty,
}

impl Perturbation {
    /// Rows of which nothing is read.
    fn outage_rows(self) -> usize {
        match self {
            Perturbation::Gap(rows) => rows,
            Perturbation::Empty => 0,
        }
    }
}

impl RobustnessTest<'_> {
    /// Ages that are looked at: 1, 2, 4, and so on.
    fn ages(&self) -> impl Iterator<Item = usize> + use<> {
        (0..=self.longest_age.max(1).ilog2()).map(|power| 1 << power)
    }

    /// The errors at the last row of a gap in all readings, and 1, 2, 4, .. rows after it, as far as the rows allow. `done` gets the shares of the work: together 1.
    ///
    /// # Errors
    /// `NoHorizon`, `BeyondModel`, `Split` when the rows are too few for the gap, `NothingToCompare`, `Model`.
    pub fn gap(&self, rows: usize, done: &(dyn Fn(f64) + Sync)) -> Result<Vec<PerturbedErrors>, EvaluateError> {
        self.runs(Perturbation::Gap(rows), std::iter::once(0).chain(self.ages()), done)
    }

    /// The errors 1, 2, 4, .. rows after the state was empty, as far as the rows allow. `done` gets the shares of the work: together 1.
    ///
    /// # Errors
    /// As [`RobustnessTest::gap`].
    pub fn cold_start(&self, done: &(dyn Fn(f64) + Sync)) -> Result<Vec<PerturbedErrors>, EvaluateError> {
        self.runs(Perturbation::Empty, self.ages(), done)
    }

    /// The errors at these ages.
    fn runs(
        &self,
        perturbation: Perturbation,
        ages: impl Iterator<Item = usize>,
        done: &(dyn Fn(f64) + Sync),
    ) -> Result<Vec<PerturbedErrors>, EvaluateError> {
        check_horizons(self.model, self.horizons)?;
        let z = self.scaler.standardise_targets(self.table);
        let pieces = self.rows.clone().into();
        let blank = Tally::new(&z, self.model.config().targets(), &pieces, self.horizons)?;
        let lengths = self.lengths(perturbation, ages)?;
        let starts = self.starts(lengths.last().copied().unwrap_or(0));
        let mut sums = ErrorsByAge::new(&blank, lengths.len());
        let mut outage = self.table.clone();
        outage.values.fill(f32::NAN);
        let share = |job: usize, jobs: usize| {
            let mine: Vec<usize> = starts.iter().copied().skip(job).step_by(jobs).collect();
            self.share(
                &mine,
                &lengths,
                perturbation,
                &outage,
                ErrorsByAge::new(&blank, lengths.len()),
                &|| done(1.0 / starts.len() as f64),
            )
        };
        for share in on_all_cores(share) {
            sums.merge(&share?);
        }
        let results = lengths.iter().zip(sums.own.iter().zip(&sums.carried));
        results
            .map(|(length, (own, carried))| {
                Ok(PerturbedErrors {
                    rows: length - perturbation.outage_rows(),
                    errors: own.errors()?.total,
                    carried: carried.errors()?.total,
                })
            })
            .collect()
    }

    /// Rows from the start of a perturbed run to each of its forecasts: those without a reading and the age. The longer ones leave half of the rows to begin in.
    fn lengths(&self, perturbation: Perturbation, ages: impl Iterator<Item = usize>) -> Result<Vec<usize>, EvaluateError> {
        let longest = self.longest();
        let mut lengths: Vec<usize> = ages.map(|age| perturbation.outage_rows() + age).collect();
        let first = lengths.first().copied().unwrap_or(0);
        if first + longest > self.rows.len() {
            return Err(EvaluateError::Split(SplitError::TooShort {
                part: "test",
                rows: self.rows.len(),
                needed: first + longest,
                reason: match perturbation {
                    Perturbation::Gap(rows) => format!("a gap of {rows} rows and a horizon of {longest}"),
                    Perturbation::Empty => format!("a cold start and a horizon of {longest}"),
                },
            }));
        }
        lengths.retain(|&length| length == first || length + longest <= self.rows.len() / 2);
        Ok(lengths)
    }

    /// Where runs of this length begin: rows from which the carried state and an empty one forecast at the same rows.
    fn starts(&self, length: usize) -> Vec<usize> {
        let room = self.rows.start..(self.rows.end + 1).saturating_sub(length + self.longest());
        let count = self.start_points.min(room.len());
        let chunk = |i: usize| room.start + i * room.len() / count;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        (0..count).map(|i| rng.random_range(chunk(i)..chunk(i + 1))).collect()
    }

    /// Adds up the errors of the runs that begin at these rows, and of the carried state at the same origins.
    fn share<'z>(
        &self,
        starts: &[usize],
        lengths: &[usize],
        perturbation: Perturbation,
        outage: &Table,
        mut sums: ErrorsByAge<'z>,
        tick: &(dyn Fn() + Sync),
    ) -> Result<ErrorsByAge<'z>, StepError> {
        let Self { model, table, scaler, .. } = *self;
        let horizon = model.config().horizon;
        let mut origins: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for start in starts {
            for (i, length) in lengths.iter().enumerate() {
                origins.entry(start + length).or_default().push(i);
            }
        }
        let mut out = vec![0.0; model.config().forecast_len()];
        let mut forecast = out.clone();
        let mut carried = |origin: usize, token: &mut Stepped<'_>| {
            if let Some(lengths) = origins.get(&origin) {
                standardised(token, scaler, horizon, &mut forecast)?;
                lengths.iter().for_each(|&i| sums.carried[i].add(origin, &forecast));
            }
            Ok(())
        };
        let (mut state, mut row) = (vec![0.0; model.state_len()], 0);
        model.reset(&mut state)?;
        for &start in starts {
            go_on(model, table, &mut state, row..start, &mut carried)?;
            row = start;
            let mut own = |origin: usize, token: &mut Stepped<'_>| {
                if let Ok(i) = lengths.binary_search(&(origin - start)) {
                    standardised(token, scaler, horizon, &mut out)?;
                    sums.own[i].add(origin, &out);
                }
                Ok(())
            };
            let mut perturbed = state.clone();
            if let Perturbation::Empty = perturbation {
                model.reset(&mut perturbed)?;
            }
            let (outage_end, end) = (start + perturbation.outage_rows(), start + lengths.last().copied().unwrap_or(0));
            go_on(model, outage, &mut perturbed, start..outage_end, &mut own)?;
            go_on(model, table, &mut perturbed, outage_end..end, &mut own)?;
            tick();
        }
        let last = origins.last_key_value().map_or(row, |(&origin, _)| origin);
        go_on(model, table, &mut state, row..last, &mut carried)?;
        Ok(sums)
    }
}

/// Errors by the age of a perturbed run.
struct ErrorsByAge<'z> {
    own: Vec<Tally<'z>>,
    carried: Vec<Tally<'z>>,
}

impl<'z> ErrorsByAge<'z> {
    fn new(blank: &Tally<'z>, lengths: usize) -> Self {
        Self {
            own: vec![blank.clone(); lengths],
            carried: vec![blank.clone(); lengths],
        }
    }

    fn merge(&mut self, other: &ErrorsByAge<'_>) {
        let pairs = [(&mut self.own, &other.own), (&mut self.carried, &other.carried)];
        for (sums, shares) in pairs {
            sums.iter_mut().zip(shares).for_each(|(sum, share)| sum.merge(share));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_and_a_day_are_counted_in_rows() {
        let rows = |interval_ms| Gap::hour_and_day(interval_ms).map(|gap| (gap.name, gap.rows));
        assert_eq!(rows(Some(60_000)), [("hour", 60), ("day", 1440)]);
        assert_eq!(rows(Some(3_600_000)), [("hour", 1), ("day", 24)]);
        for interval in [None, Some(86_400_000)] {
            assert_eq!(rows(interval), [("1 row", 1), ("24 rows", 24)]);
        }
    }
}
