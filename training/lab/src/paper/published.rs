//! What the paper reports (arXiv 2403.19888), as far as this project has its figures, and how the data sets it reports on are split.

use std::path::Path;

use tsm2_train::data::split::SplitSpec;

/// A data set of the paper.
#[derive(Debug)]
pub struct Published {
    /// As the paper names it.
    pub name: &'static str,
    /// How its file's name begins, in small letters.
    stem: &'static str,
    /// Its split.
    pub split: SplitSpec,
    /// Mean squared errors by variant and horizon.
    mse: &'static [(&'static str, usize, f64)],
}

const PUBLISHED: [Published; 2] = [
    Published {
        name: "ETTh1",
        stem: "etth1",
        split: SplitSpec::Rows([8640, 2880, 2880]),
        mse: &[
            ("tsm2", 96, 0.375),
            ("tsm2", 192, 0.398),
            ("tsm2", 336, 0.419),
            ("tsm2", 720, 0.422),
            ("tsm2-mlp", 96, 0.386),
            ("linear-time", 96, 0.388),
        ],
    },
    Published {
        name: "Exchange",
        stem: "exchange",
        split: SplitSpec::Fractions([0.7, 0.1, 0.2]),
        mse: &[("tsm2", 96, 0.163), ("tsm2-mlp", 96, 0.197), ("linear-time", 96, 0.220)],
    },
];

impl Published {
    /// The data set that a file holds, by its name.
    #[must_use]
    pub fn of(path: &Path) -> Option<&'static Published> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        PUBLISHED.iter().find(|published| name.starts_with(published.stem))
    }

    /// The paper's figure for a variant of the network at a horizon, if it reports one.
    #[must_use]
    pub fn mse(&self, variant: &str, horizon: usize) -> Option<f64> {
        let entry = self.mse.iter().find(|(name, at, _)| (*name, *at) == (variant, horizon));
        entry.map(|(.., mse)| *mse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_known_by_its_file() {
        let mse = |file: &str, variant, horizon| Published::of(Path::new(file)).map(|published| published.mse(variant, horizon));
        assert_eq!(mse("data/ETTh1.csv", "tsm2", 720), Some(Some(0.422)));
        assert_eq!(mse("exchange_rate.txt", "tsm2-mlp", 96), Some(Some(0.197)));
        assert_eq!(mse("exchange_rate.txt", "tsm2-mlp", 192), Some(None));
        assert_eq!(mse("building.csv", "tsm2", 96), None);
    }
}
