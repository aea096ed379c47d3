//! GIFT-Eval's protocol on ETT1 (arXiv 2410.10393): windows that do not overlap and end at the last row; all rows before a window may
//! be used; errors in raw units, and MASE: the mean absolute error over a window divided by the mean absolute seasonal difference of
//! all rows before it, averaged over windows and variates.

use tsm2_train::data::table::Table;

use super::Measured;

/// One of the two sampling rates.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Its name in the results.
    pub name: &'static str,
    /// Rows of `ETTm1.csv` that are summed to one row.
    pub summed: usize,
    /// Rows of a season.
    pub season: usize,
    /// Prediction length and number of windows of each term.
    pub terms: [(usize, usize); 3],
}

/// Both.
pub const RATES: [Rate; 2] = [
    Rate {
        name: "ett1/15T",
        summed: 1,
        season: 96,
        terms: [(48, 20), (480, 15), (720, 10)],
    },
    Rate {
        name: "ett1/H",
        summed: 4,
        season: 24,
        terms: [(48, 20), (480, 4), (720, 3)],
    },
];

/// Sums of so many rows each, in the place of the rows.
#[must_use]
pub fn summed(table: Table, rows: usize) -> Table {
    if rows == 1 {
        return table;
    }
    let variates = table.variates();
    let sum = |block: &[f32]| {
        let of = move |v: usize| block.iter().skip(v).step_by(variates).map(|x| f64::from(*x)).sum::<f64>() as f32;
        (0..variates).map(of).collect::<Vec<f32>>()
    };
    let seconds = |block: usize| table.times_ms.as_ref().map(|_| table.time_ms(block * rows) / 1000);
    let time = seconds(0).map_or("", |_| "time,");
    let mut text = format!("{time}{}", table.names.join(","));
    for (i, block) in table.values.chunks_exact(rows * variates).enumerate() {
        let mut cells: Vec<String> = seconds(i).map(|seconds| seconds.to_string()).into_iter().collect();
        cells.extend(sum(block).iter().map(f32::to_string));
        text.push('\n');
        text.push_str(&cells.join(","));
    }
    Table::parse(&table.path, text.as_bytes()).unwrap_or(table)
}

impl Rate {
    /// Rows before the first window of any term.
    #[must_use]
    pub fn rows_before(&self, rows: usize) -> usize {
        let longest = self.terms.iter().map(|(length, windows)| length * windows).max().unwrap_or(0);
        rows.saturating_sub(longest)
    }

    /// Errors of a forecaster at each term. `forecast(origin, length)` gives `[targets][length]` in raw units, from rows `0..origin`.
    pub fn errors<E>(
        &self,
        table: &Table,
        forecaster: &str,
        mut forecast: impl FnMut(usize, usize) -> Result<Vec<f32>, E>,
    ) -> Result<Vec<Measured>, E> {
        let rows = table.len();
        let targets = table.targets();
        let mut all = Vec::new();
        for (length, windows) in self.terms {
            let (mut mase, mut absolute, mut squared, mut scaled) = (0.0, 0.0, 0.0, 0usize);
            for window in 0..windows {
                let origin = rows - length * (windows - window);
                let forecast = forecast(origin, length)?;
                for (v, forecast) in forecast.chunks_exact(length).enumerate() {
                    let error = |step: usize| f64::from(forecast[step]) - f64::from(table.row(origin + step)[v]);
                    let of_window = (0..length).map(|step| error(step).abs()).sum::<f64>();
                    squared += (0..length).map(|step| error(step).powi(2)).sum::<f64>();
                    absolute += of_window;
                    let season = seasonal_difference(table, v, self.season, origin);
                    if season > 0.0 {
                        mase += of_window / length as f64 / season;
                        scaled += 1;
                    }
                }
            }
            let count = (windows * targets * length) as f64;
            all.push(Measured {
                set: self.name.into(),
                forecaster: forecaster.into(),
                horizon: length,
                mse: squared / count,
                mae: absolute / count,
                mase: Some(mase / scaled.max(1) as f64),
            });
        }
        Ok(all)
    }

    /// The forecast that repeats the last `period` rows before `origin`; 1 repeats the last row.
    #[must_use]
    pub fn repeat(table: &Table, period: usize, origin: usize, length: usize) -> Vec<f32> {
        let of = |v: usize| (0..length).map(move |step| table.row(origin - period + step % period)[v]);
        (0..table.targets()).flat_map(of).collect()
    }
}

/// Mean absolute difference of readings a season apart in the rows before `origin`.
fn seasonal_difference(table: &Table, v: usize, season: usize, origin: usize) -> f64 {
    let differences = (season..origin).map(|row| (f64::from(table.row(row)[v]) - f64::from(table.row(row - season)[v])).abs());
    differences.sum::<f64>() / (origin - season).max(1) as f64
}
