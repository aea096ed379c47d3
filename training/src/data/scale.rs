//! Standardisation by the training rows.
//!
//! Mean and population standard deviation per variate, missing readings left out. A variate that does not vary there has scale 1: its
//! standardised readings are then differences from that constant, in its own units.

use tsm2_core::{Config, Preprocessor};

use crate::data::runs::Part;
use crate::data::split::Split;
use crate::data::table::Table;

/// `z = (x - mean) / std` per variate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scaler {
    /// Means, in the sensors' units.
    pub mean: Vec<f32>,
    /// Standard deviations, in the sensors' units; never zero.
    pub std: Vec<f32>,
    /// The bounds of a bounded linear head, as in the model file; empty: none.
    pub bounds: Vec<f32>,
}

impl Scaler {
    /// The scaler of the training rows of all devices, and a warning per variate that does not vary or has no reading there.
    pub fn fit(table: &Table, split: &Split) -> (Scaler, Vec<String>) {
        let pieces = table.part(split, Part::Train);
        let variates = table.variates();
        let mut scaler = Scaler {
            mean: vec![0.0; variates],
            std: vec![1.0; variates],
            bounds: Vec::new(),
        };
        let mut warnings = Vec::new();
        for (m, name) in table.names.iter().enumerate() {
            let readings = || {
                pieces
                    .iter()
                    .flat_map(|piece| piece.rows.clone())
                    .map(|r| table.row(r)[m])
                    .filter(|x| !x.is_nan())
                    .map(f64::from)
            };
            let Some(first) = readings().next() else {
                warnings.push(format!(
                    "column `{name}` has no reading in the {} training rows; its scale is set to 1",
                    pieces.rows()
                ));
                continue;
            };
            let count = readings().count() as f64;
            let mean = readings().sum::<f64>() / count;
            scaler.mean[m] = mean as f32;
            if readings().all(|x| x == first) {
                warnings.push(format!(
                    "column `{name}` is constant in the {} training rows; its scale is set to 1",
                    pieces.rows()
                ));
                continue;
            }
            let std = (readings().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt() as f32;
            scaler.std[m] = if std > 0.0 { std } else { f32::MIN_POSITIVE };
        }
        (scaler, warnings)
    }

    /// The preprocessor of a configuration with these constants.
    ///
    /// # Errors
    /// A fault of the configuration, of the scaler, or another number of bounds.
    pub fn preprocessor<'a>(&'a self, config: &Config) -> Result<Preprocessor<'a>, tsm2_core::Error> {
        let scaler = tsm2_core::Scaler {
            mean: &self.mean,
            std: &self.std,
        };
        Preprocessor::new(config, scaler)?.with_bounds(&self.bounds)
    }

    /// The whole table standardised, row-major; missing readings stay NaN.
    pub fn standardise(&self, table: &Table) -> Vec<f32> {
        self.standardise_first(table, table.variates())
    }

    /// The targets of each row, standardised, `[rows][targets]`.
    pub fn standardise_targets(&self, table: &Table) -> Vec<f32> {
        self.standardise_first(table, table.targets())
    }

    fn standardise_first(&self, table: &Table, variates: usize) -> Vec<f32> {
        let scale = |(m, x): (usize, &f32)| (x - self.mean[m]) / self.std[m];
        table
            .values
            .chunks_exact(self.mean.len())
            .flat_map(|row| row.iter().take(variates).enumerate().map(scale))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn population_figures_of_the_training_rows() {
        let text = "a,b,c,d\n1,7,,5\n3,7,,\n,7,,9\n100,8,1,100\n";
        let table = Table::parse(Path::new("x.csv"), text.as_bytes()).unwrap();
        let (scaler, warnings) = Scaler::fit(
            &table,
            &Split {
                train: 3,
                validation: 0,
                test: 0,
            },
        );
        assert_eq!(scaler.mean, [2.0, 7.0, 0.0, 7.0]);
        assert_eq!(scaler.std, [1.0, 1.0, 1.0, 2.0]);
        assert_eq!(warnings.len(), 2);
        assert!(
            warnings[0].contains("`b` is constant") && warnings[1].contains("`c` has no reading"),
            "{warnings:?}"
        );
        let z = scaler.standardise(&table);
        assert_eq!((z[0], z[1], z[3], z[15]), (-1.0, 0.0, -1.0, 46.5));
        assert!(z[2].is_nan() && z[8].is_nan());
    }
}
