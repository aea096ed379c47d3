//! The suites and their data sets.

use tsm2_train::data::split::SplitSpec;

/// A group of data sets that are measured by one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Electricity transformers: ETTh1 and ETTm1, every stride-1 window.
    Ett,
    /// ETT1 in the protocol of GIFT-Eval: windows that do not overlap, MASE.
    Gift,
    /// Coupled systems: lorenz96, building and the pump of SKAB.
    Coupled,
    /// The weather station.
    Weather,
    /// Exchange rates.
    Exchange,
}

/// A data set of the stride-1 protocol.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Its name in the results.
    pub name: &'static str,
    /// Its file.
    pub file: &'static str,
    /// Training, validation and test rows.
    pub split: SplitSpec,
    /// Horizons; the model is trained for the last.
    pub horizons: &'static [usize],
    /// Rows of the season that seasonal naive repeats; 1: none.
    pub season: usize,
}

const LONG: &[usize] = &[96, 192, 336, 720];

impl Suite {
    /// The suites by name.
    pub const ALL: [(&'static str, Suite); 5] = [
        ("ett", Suite::Ett),
        ("gift", Suite::Gift),
        ("coupled", Suite::Coupled),
        ("weather", Suite::Weather),
        ("exchange", Suite::Exchange),
    ];

    /// Its data sets in the stride-1 protocol.
    #[must_use]
    pub fn data_sets(self) -> Vec<DataSet> {
        let set = |name, file, split, horizons, season| DataSet {
            name,
            file,
            split,
            horizons,
            season,
        };
        let usual = SplitSpec::default();
        match self {
            Suite::Ett => vec![
                set("ETTh1", "ETTh1.csv", SplitSpec::Rows([8640, 2880, 2880]), LONG, 24),
                set("ETTm1", "ETTm1.csv", SplitSpec::Rows([34_560, 11_520, 11_520]), LONG, 96),
            ],
            Suite::Gift => Vec::new(),
            Suite::Coupled => vec![
                set("lorenz96", "lorenz96.csv", usual, &[6, 12, 24], 1),
                set("building", "building.csv", usual, &[15, 60], 1440),
                set("SKAB", "skab_anomaly_free.csv", usual, &[1, 6, 12, 24], 1),
            ],
            Suite::Weather => vec![set("weather", "weather.csv", usual, LONG, 144)],
            Suite::Exchange => vec![set("Exchange", "exchange_rate.txt", usual, LONG, 1)],
        }
    }
}
