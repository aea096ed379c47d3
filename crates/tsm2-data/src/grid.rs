//! Rows to regular time steps, by the resampler of the device.
//!
//! Invariant: the time steps are those that a daemon makes of the same readings with the same interval, aggregation, forward-fill limit
//! and largest gap. A recording whose rows already lie one to a time bin is not sent through the resampler; a test holds both ways equal.

use std::ops::Range;

use crate::recording::whole;

use tsm2_stream::{Aggregate, Event, Reading, Resampler, ResamplerConfig, ResamplerError};

/// The readings of one device, oldest first.
pub(crate) struct Readings {
    pub times_ms: Vec<i64>,
    /// Number of the variate of each row of a long table; empty when each row has all variates.
    pub names: Vec<u32>,
    /// Row-major `[rows][variates]`, or one value a row of a long table.
    pub values: Vec<f32>,
}

impl Readings {
    /// Whether two rows of a table that is not long hold the same at the same time.
    pub fn is_same_row(&self, a: usize, b: usize) -> bool {
        let width = self.values.len() / self.times_ms.len().max(1);
        let row = |row: usize| self.values[row * width..(row + 1) * width].iter().map(|value| value.to_bits());
        self.times_ms[a] == self.times_ms[b] && self.names.get(a) == self.names.get(b) && row(a).eq(row(b))
    }
}

/// How time steps are made.
#[derive(Debug, Clone)]
pub(crate) struct GridOptions {
    pub interval_ms: u64,
    pub aggregates: Vec<Aggregate>,
    pub forward_fill_limit: u64,
    pub max_gap: u64,
}

/// Regular time steps.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Grid {
    pub times_ms: Vec<i64>,
    pub values: Vec<f32>,
    pub segments: Vec<Range<usize>>,
    /// Bridged gaps: how many, their time steps, the longest.
    pub gaps: (u64, u64, u64),
    /// Rows, or readings of a long table, that share a time step with another.
    pub merged: u64,
    /// Rows with a time that no other confirms.
    pub jumps: u64,
}

impl GridOptions {
    fn bin(&self, time_ms: i64) -> i64 {
        let interval = self.interval_ms as i64;
        (time_ms + interval / 2).div_euclid(interval)
    }

    /// Time steps that the rows would make, gaps that begin a new segment left out.
    pub fn steps(&self, times_ms: &[i64]) -> u64 {
        let bridged = |pair: &[i64]| {
            let step = self.bin(pair[1]).abs_diff(self.bin(pair[0]));
            if step > self.max_gap + 1 { 1 } else { step }
        };
        times_ms.windows(2).map(bridged).sum::<u64>() + 1
    }
}

impl Grid {
    pub fn of(readings: Readings, options: &GridOptions) -> Result<Grid, ResamplerError> {
        let is_wide = readings.names.is_empty();
        if is_wide && options.forward_fill_limit == 0 && is_regular(&readings.times_ms, options) {
            return Ok(Grid::placed(readings, options));
        }
        Grid::resampled(&readings, options)
    }

    /// Rows that have a time bin each, without a gap that is too long.
    fn placed(mut readings: Readings, options: &GridOptions) -> Grid {
        let variates = options.aggregates.len();
        let rows = readings.times_ms.len();
        let bins: Vec<i64> = readings.times_ms.iter().map(|&time| options.bin(time)).collect();
        let (Some(&first), Some(&last)) = (bins.first(), bins.last()) else {
            return Grid::default();
        };
        let steps = (last - first + 1) as usize;
        let mut grid = Grid::default();
        for pair in bins.windows(2) {
            let gap = (pair[1] - pair[0] - 1) as u64;
            if gap > 0 {
                grid.gaps = (grid.gaps.0 + 1, grid.gaps.1 + gap, grid.gaps.2.max(gap));
            }
        }
        if steps > rows {
            // From the end, so that no row is overwritten before it has moved.
            readings.values.resize(steps * variates, f32::NAN);
            let mut next = steps;
            for row in (0..rows).rev() {
                let step = (bins[row] - first) as usize;
                readings.values.copy_within(row * variates..(row + 1) * variates, step * variates);
                readings.values[(step + 1) * variates..next * variates].fill(f32::NAN);
                next = step;
            }
        }
        grid.times_ms = (first..=last).map(|bin| bin * options.interval_ms as i64).collect();
        grid.values = readings.values;
        grid.segments = whole(steps);
        grid
    }

    fn resampled(readings: &Readings, options: &GridOptions) -> Result<Grid, ResamplerError> {
        let variates = options.aggregates.len();
        let mut config = ResamplerConfig::new(variates, options.interval_ms, options.max_gap);
        config.aggregates.clone_from(&options.aggregates);
        config.forward_fill_limit = options.forward_fill_limit;
        // The rows of a recording are in order: a gap is a gap.
        config.max_ahead = options.max_gap;
        let mut resampler = Resampler::new(config)?;
        let mut collector = Collector {
            first: 0,
            gap: 0,
            grid: Grid::default(),
        };
        let mut pushed = 0u64;
        for (row, &time_ms) in readings.times_ms.iter().enumerate() {
            let mut push = |variate: usize, value: f32| {
                pushed += 1;
                // What is rejected shares its time step with another and is counted by what is left.
                let _ = resampler.push(Reading::at(variate, value, time_ms), |event| collector.take(event));
            };
            match readings.names.get(row) {
                Some(&variate) => push(variate as usize, readings.values[row]),
                None => {
                    let values = &readings.values[row * variates..(row + 1) * variates];
                    let mut is_empty = true;
                    for (variate, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                        is_empty = false;
                        push(variate, value);
                    }
                    if is_empty {
                        // The row was there, though nothing was in it.
                        push(0, f32::NAN);
                    }
                }
            }
        }
        resampler.close(|event| collector.take(event));
        let mut grid = collector.finish();
        let taken = grid.times_ms.len() as u64 - grid.gaps.1;
        grid.merged = if readings.names.is_empty() {
            (readings.times_ms.len() as u64).saturating_sub(taken + grid.jumps)
        } else {
            pushed.saturating_sub(resampler.counts().readings)
        };
        Ok(grid)
    }
}

fn is_regular(times_ms: &[i64], options: &GridOptions) -> bool {
    times_ms.windows(2).all(|pair| {
        let step = options.bin(pair[1]) - options.bin(pair[0]);
        // At the border of its bins, a sensor may skip one although it reports once per interval.
        let is_skipped = step == 2 && ((pair[1] - pair[0]) as u64) < options.interval_ms / 2 * 3;
        step > 0 && step as u64 <= options.max_gap.saturating_add(1) && !is_skipped
    })
}

/// Takes the time steps that leave the resampler.
struct Collector {
    /// First row of the segment.
    first: usize,
    /// Length of the gap that the last rows make.
    gap: u64,
    grid: Grid,
}

impl Collector {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::TimeStep(step) => {
                if step.last_reading_ms.is_none() {
                    self.gap += 1;
                } else {
                    self.end_gap();
                }
                self.grid.times_ms.push(step.time_ms);
                self.grid.values.extend_from_slice(step.values);
            }
            Event::Restart { .. } => self.end_segment(),
            Event::ClockJumpDropped { .. } => self.grid.jumps += 1,
            _ => {}
        }
    }

    fn end_gap(&mut self) {
        if self.gap > 0 {
            let gaps = &mut self.grid.gaps;
            *gaps = (gaps.0 + 1, gaps.1 + self.gap, gaps.2.max(self.gap));
            self.gap = 0;
        }
    }

    fn end_segment(&mut self) {
        self.end_gap();
        let end = self.grid.times_ms.len();
        if end > self.first {
            self.grid.segments.push(self.first..end);
        }
        self.first = end;
    }

    /// Segments of one time step have no successor to learn from: a clock jumped back there, for example.
    fn drop_single_steps(&mut self) {
        let grid = &mut self.grid;
        if grid.segments.len() < 2 || grid.segments.iter().all(|segment| segment.len() > 1) {
            return;
        }
        let variates = grid.values.len() / grid.times_ms.len().max(1);
        let segments = std::mem::take(&mut grid.segments);
        let (mut times_ms, mut values) = (Vec::new(), Vec::new());
        for segment in segments {
            if segment.len() == 1 {
                grid.jumps += 1;
                continue;
            }
            let first = times_ms.len();
            times_ms.extend_from_slice(&grid.times_ms[segment.clone()]);
            values.extend_from_slice(&grid.values[segment.start * variates..segment.end * variates]);
            grid.segments.push(first..times_ms.len());
        }
        (grid.times_ms, grid.values) = (times_ms, values);
    }

    fn finish(mut self) -> Grid {
        self.end_segment();
        self.drop_single_steps();
        self.grid
    }
}

/// The rows of a long table as rows of all variates, one per time.
pub(crate) fn pivot(readings: Readings, variates: usize) -> Readings {
    if readings.names.is_empty() {
        return readings;
    }
    let mut wide = Readings {
        times_ms: Vec::new(),
        names: Vec::new(),
        values: Vec::new(),
    };
    for ((&time_ms, &name), &value) in readings.times_ms.iter().zip(&readings.names).zip(&readings.values) {
        if wide.times_ms.last() != Some(&time_ms) {
            wide.times_ms.push(time_ms);
            wide.values.resize(wide.times_ms.len() * variates, f32::NAN);
        }
        let row = wide.times_ms.len() - 1;
        if !value.is_nan() {
            wide.values[row * variates + name as usize] = value;
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(variates: usize, interval_ms: u64, max_gap: u64) -> GridOptions {
        GridOptions {
            interval_ms,
            aggregates: vec![Aggregate::Last; variates],
            forward_fill_limit: 0,
            max_gap,
        }
    }

    fn bits(grid: &Grid) -> Vec<u32> {
        grid.values
            .iter()
            .map(|value| if value.is_nan() { 1 } else { value.to_bits() })
            .collect()
    }

    proptest! {
        /// Placing rows in their time bins gives what the resampler gives. Rows nearer to the border of
        /// their bins may be those of a sensor that skips a bin; the resampler takes these.
        #[test]
        fn rows_in_bins_of_their_own_are_placed_as_the_resampler_places_them(
            steps in prop::collection::vec((1i64..6, -249i64..250, prop::option::of(-5.0f32..5.0), prop::option::of(-5.0f32..5.0)), 1..60),
        ) {
            let mut bin = 1_000_000;
            let (mut times_ms, mut values) = (Vec::new(), Vec::new());
            for (step, jitter, a, b) in steps {
                bin += step;
                times_ms.push(bin * 1000 + jitter);
                values.extend([a.unwrap_or(f32::NAN), b.unwrap_or(f32::NAN)]);
            }
            let options = options(2, 1000, 10);
            prop_assert!(is_regular(&times_ms, &options));
            let readings = || Readings { times_ms: times_ms.clone(), names: Vec::new(), values: values.clone() };
            let resampled = Grid::resampled(&readings(), &options).unwrap();
            let placed = Grid::placed(readings(), &options);
            prop_assert_eq!(bits(&placed), bits(&resampled));
            prop_assert_eq!((placed.times_ms, placed.segments, placed.gaps), (resampled.times_ms, resampled.segments, resampled.gaps));
        }
    }

    #[test]
    fn a_long_pause_begins_a_new_segment() {
        let times_ms = (0..10).chain(100..110).map(|bin| bin * 1000).collect();
        let readings = Readings {
            times_ms,
            names: Vec::new(),
            values: (0..20).map(|v| v as f32).collect(),
        };
        let grid = Grid::of(readings, &options(1, 1000, 20)).unwrap();
        assert_eq!(grid.segments, [0..10, 10..20]);
        assert_eq!(grid.values, (0..20).map(|v| v as f32).collect::<Vec<_>>());
    }

    #[test]
    fn readings_of_one_time_step_are_averaged() {
        let readings = Readings {
            times_ms: (0..6).map(|at| at * 500).collect(),
            names: Vec::new(),
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        };
        let options = GridOptions {
            aggregates: vec![Aggregate::Mean],
            ..options(1, 1000, 20)
        };
        let grid = Grid::of(readings, &options).unwrap();
        assert_eq!(grid.values, [1.0, 2.5, 4.5, 6.0]);
        assert_eq!(grid.merged, 2);
    }
}
