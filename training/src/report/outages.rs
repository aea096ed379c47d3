//! Errors with missing readings, after gaps and from a cold start, on the last rows of the part.

use crate::evaluate::robustness::{Gap, Missing, PerturbedErrors, RobustnessTest};
use crate::evaluate::{EvaluateError, Rows};
use crate::model::OpenModel;

/// Shares of readings that are missing, in percent.
const PERCENT: [u32; 5] = [0, 5, 10, 20, 30];

/// Rows that are measured on at most: the last ones of the longest piece without a gap.
const ROWS: usize = 4096;

/// Rows that the model reads before them at most.
const BEFORE: usize = 2048;

/// Start points of gaps and cold starts.
const START_POINTS: usize = 24;

/// Time steps after a gap or a cold start, at most.
const LONGEST_AGE: usize = 256;

/// What was measured, at one horizon.
#[derive(Debug, Clone)]
pub struct Outages {
    /// Rows that were measured on.
    pub rows: usize,
    /// With single readings missing, by their share.
    pub missing: Vec<Missing>,
    /// After gaps.
    pub gaps: Vec<(Gap, Vec<PerturbedErrors>)>,
    /// From a state that is empty.
    pub cold_start: Vec<PerturbedErrors>,
}

impl Outages {
    /// Measures at this horizon. `done` gets the shares of the work: together 1 at most.
    pub(super) fn measure(bundle: &OpenModel, rows: &Rows<'_>, horizon: usize, done: &(dyn Fn(f64) + Sync)) -> Result<Self, EvaluateError> {
        let pieces = rows.pieces();
        let nothing = EvaluateError::NothingToCompare { horizon, rows: 0..0 };
        let piece = pieces.iter().max_by_key(|piece| piece.rows.len()).ok_or(nothing)?;
        let first = piece.rows.start.max(piece.rows.end.saturating_sub(ROWS));
        let before = piece.run.start.max(first.saturating_sub(BEFORE));
        let table = rows.table.slice(before..piece.rows.end);
        let model = bundle.model();
        let test = RobustnessTest {
            model: &model,
            table: &table,
            scaler: rows.scaler,
            rows: (first - before).max(1)..table.len(),
            horizons: &[horizon],
            seed: 0,
            start_points: START_POINTS,
            longest_age: LONGEST_AGE,
        };
        // By the rows that are read.
        let missing = test.missing(&PERCENT, &|share| done(0.45 * share))?;
        let gaps = Gap::hour_and_day(table.interval_ms).into_iter();
        // The longer gap is left out where it does not fit.
        let gaps = gaps
            .filter_map(|gap| Some((gap, test.gap(gap.rows, &|share| done(0.2 * share)).ok()?)))
            .collect();
        Ok(Outages {
            rows: test.rows.len(),
            missing,
            gaps,
            cold_start: test.cold_start(&|share| done(0.15 * share))?,
        })
    }
}
