//! Prediction intervals as the device makes them, and some forecasts to look at.

use tsm2_stream::{Monitor, MonitorConfig, initial_widths};

use super::error::ReportError;
use crate::evaluate::{EvaluateError, Rows, run};
use crate::model::{OpenModel, Stepped};

/// Share of the readings that the intervals should contain.
pub const COVERAGE: f32 = 0.9;

/// Forecasts that examples are chosen from, at most.
const CANDIDATES: usize = 400;

/// Memory for them, in numbers.
const CANDIDATE_NUMBERS: usize = 1 << 24;

/// Where the examples stand among the candidates, the smallest error first.
const EXAMPLES: [(&str, f64); 3] = [("good", 0.1), ("typical", 0.5), ("bad", 0.9)];

/// How often and how wide, at one step of one target.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    readings: f64,
    inside: f64,
    width: f64,
}

/// A forecast to look at.
#[derive(Debug, Clone)]
pub struct Example {
    /// `good`, `typical` or `bad`.
    pub kind: &'static str,
    /// The first row that is forecast.
    pub origin: usize,
    /// Mean squared error, in squared training standard deviations.
    pub mse: f64,
    /// Forecast, `[targets][steps]`, in the sensors' units.
    pub mean: Vec<f32>,
    /// Lower bounds.
    pub lower: Vec<f32>,
    /// Upper bounds.
    pub upper: Vec<f32>,
}

/// Prediction intervals on some rows.
#[derive(Debug, Clone)]
pub struct Intervals {
    steps: usize,
    /// `[targets][steps]`.
    cells: Vec<Cell>,
    /// Forecasts from which the examples were chosen.
    pub candidates: usize,
    /// A good, a typical and a bad one.
    pub examples: Vec<Example>,
}

impl Intervals {
    /// Runs the model through the rows as the device does. `tick` is called once per row that is read.
    pub(super) fn measure(bundle: &OpenModel, rows: &Rows<'_>, steps: usize, tick: &dyn Fn()) -> Result<Self, ReportError> {
        let (meta, model) = (bundle.meta(), bundle.model());
        let (config, table) = (&meta.config, rows.table);
        let (targets, horizon) = (config.targets(), config.horizon);
        let deviations = meta.targets().iter().map(|variate| variate.std);
        let widths = initial_widths(deviations, horizon, COVERAGE, meta.validation_mse());
        let fresh = || Monitor::new(MonitorConfig::of(config, COVERAGE), &widths);
        let pieces = rows.pieces();
        let candidates = CANDIDATES.min(CANDIDATE_NUMBERS / (3 * targets * steps).max(1)).max(EXAMPLES.len());
        let spacing = pieces.origin_count(steps).div_ceil(candidates).max(1);
        let origins: Vec<_> = pieces.origins(steps).collect();
        let is_origin = |row: usize| {
            let at = origins.partition_point(|origins| origins.end <= row);
            origins.get(at).is_some_and(|origins| origins.contains(&row))
        };
        let mut intervals = Intervals {
            steps,
            cells: vec![Cell::default(); targets * steps],
            candidates: 0,
            examples: Vec::new(),
        };
        let mut found: Vec<Example> = Vec::new();
        let (mut monitor, mut device, mut seen) = (fresh()?, None, 0_usize);
        let [mut mean, mut lower, mut upper] = [const { Vec::new() }; 3].map(|_: Vec<f32>| vec![0.0; config.forecast_len()]);
        for pass in pieces.passes() {
            let of = pieces.find(pass.end - 1).map(|(_, piece)| piece.device);
            if device != of {
                (monitor, device) = (fresh()?, of);
            }
            monitor.restart();
            let at = |row: usize, token: &mut Stepped<'_>| {
                monitor.observe(&table.row(row - 1)[..targets]);
                token.forecast(&mut mean)?;
                monitor.issue(&mean);
                tick();
                if !is_origin(row) {
                    return Ok(());
                }
                monitor.interval(&mean, &mut lower, &mut upper);
                let mse = intervals.add(row, rows, horizon, [&mean, &lower, &upper]);
                if seen.is_multiple_of(spacing) && mse.is_finite() {
                    let first = |numbers: &[f32]| numbers.chunks(horizon).flat_map(|of| &of[..steps]).copied().collect::<Vec<f32>>();
                    found.push(Example {
                        kind: "",
                        origin: row,
                        mse,
                        mean: first(&mean),
                        lower: first(&lower),
                        upper: first(&upper),
                    });
                }
                seen += 1;
                Ok(())
            };
            run(&model, table, pass, at).map_err(EvaluateError::from)?;
        }
        intervals.candidates = found.len();
        intervals.examples = choose(found);
        Ok(intervals)
    }

    /// Compares a forecast with its readings. Returns its mean squared error.
    fn add(&mut self, origin: usize, rows: &Rows<'_>, horizon: usize, [mean, lower, upper]: [&[f32]; 3]) -> f64 {
        let (mut squared, mut count) = (0.0, 0.0);
        for (target, cells) in self.cells.chunks_exact_mut(self.steps).enumerate() {
            let deviation = rows.scaler.std[target];
            for (step, cell) in cells.iter_mut().enumerate() {
                let (reading, at) = (rows.table.row(origin + step)[target], target * horizon + step);
                if !reading.is_finite() {
                    continue;
                }
                cell.readings += 1.0;
                cell.inside += f64::from(u8::from((lower[at]..=upper[at]).contains(&reading)));
                cell.width += f64::from(upper[at]) - f64::from(lower[at]);
                squared += f64::from((mean[at] - reading) / deviation).powi(2);
                count += 1.0;
            }
        }
        squared / count
    }

    /// The share of the readings inside, at each step, over all targets.
    #[must_use]
    pub fn by_step(&self) -> Vec<f64> {
        let of_step = |step: usize| share(self.cells.iter().skip(step).step_by(self.steps));
        (0..self.steps).map(of_step).collect()
    }

    /// The share inside and the mean width of a target's intervals.
    #[must_use]
    pub fn of_target(&self, target: usize) -> (f64, f64) {
        let cells = &self.cells[target * self.steps..(target + 1) * self.steps];
        let (width, readings) = cells.iter().fold((0.0, 0.0), |(w, n), cell| (w + cell.width, n + cell.readings));
        (share(cells), width / readings)
    }
}

fn share<'c>(cells: impl IntoIterator<Item = &'c Cell>) -> f64 {
    let sums = cells
        .into_iter()
        .fold((0.0, 0.0), |(i, n), cell| (i + cell.inside, n + cell.readings));
    sums.0 / sums.1
}

/// The examples, of forecasts with finite errors.
fn choose(mut found: Vec<Example>) -> Vec<Example> {
    found.sort_by(|a, b| a.mse.total_cmp(&b.mse));
    let last = found.len().saturating_sub(1);
    let of = |(kind, place): (&'static str, f64)| {
        let example = found.get((place * last as f64).round() as usize)?;
        Some(Example { kind, ..example.clone() })
    };
    EXAMPLES.into_iter().filter_map(of).collect()
}
