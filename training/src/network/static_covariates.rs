//! Static covariates: facts about a variate that do not change, such as its kind, its room, or the rating of its pump.
//!
//! A CSV file with a line per variate becomes numbers S `[M, C]`. Training learns a projection of S onto each token's
//! embedding, beside the variate's own vector. The sum of both is constant: export adds it to the vector. No run-time cost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};

use sha2::{Digest, Sha256};

/// The projection, `[D, C]`, among the trained tensors.
pub const PROJECTION: &str = "embed.static.weight";

/// The variates' own vectors, `[M, D]`.
const VECTORS: &str = "embed.variate";

/// Bound of the projection's initial values times the root of C: variates that are alike in everything start alike.
const INITIAL: f32 = 0.1;

/// Static covariates of the variates of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticCovariates {
    /// The features: a column's name, or `column=word`.
    pub features: Vec<String>,
    /// S `[M, C]`, each feature with mean 0 and mean square 1 over the variates.
    pub values: Vec<f32>,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub sha256: String,
}

/// Why a file does not hold static covariates of these variates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StaticCovariatesError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line has more or fewer cells than the header.
    #[error("{}: line {line} has {found} cells and the header has {expected}; give each line as many cells", path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// Its cells.
        found: usize,
        /// Cells of the header.
        expected: usize,
    },
    /// A line is no text.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        source: csv::Error,
    },
    /// A variate has no line.
    #[error("{}: no line for `{variate}`; each column of the recording needs one, its name in the first cell", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The variate.
        variate: String,
    },
    /// A variate has two lines.
    #[error("{}: line {line}: a second line for `{variate}`", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// The variate.
        variate: String,
    },
    /// Nothing distinguishes the variates.
    #[error("{}: no feature in which the recording's columns differ", path.display())]
    NothingDiffers {
        /// The file.
        path: PathBuf,
    },
}

impl StaticCovariates {
    /// Reads a CSV file with a header and a line per variate, the variate's name in the first cell.
    ///
    /// - A column of numbers is one feature. Any other column is one feature per word in it.
    /// - An empty cell is an average number, or none of the words.
    /// - Lines of other variates are ignored, and features that do not differ between the variates.
    /// - Delimiter: `,`, `;`, tab or `|`.
    ///
    /// # Errors
    /// Every [`StaticCovariatesError`].
    pub fn read(path: &Path, variates: &[String]) -> Result<Self, StaticCovariatesError> {
        let bytes = std::fs::read(path).map_err(|source| StaticCovariatesError::Read { path: path.into(), source })?;
        Self::parse(path, &bytes, variates)
    }

    /// The same of bytes in memory; `path` names them in errors.
    ///
    /// # Errors
    /// As [`StaticCovariates::read`].
    pub fn parse(path: &Path, bytes: &[u8], variates: &[String]) -> Result<Self, StaticCovariatesError> {
        let fault = |source| StaticCovariatesError::Csv { path: path.into(), source };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter(bytes))
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let header = reader.headers().map_err(fault)?.clone();
        let mut lines = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(fault)?;
            let (line, variate) = (record.position().map_or(0, csv::Position::line), record[0].to_owned());
            if record.len() != header.len() {
                return Err(StaticCovariatesError::Ragged {
                    path: path.into(),
                    line,
                    found: record.len(),
                    expected: header.len(),
                });
            }
            if variates.contains(&variate) && lines.insert(variate.clone(), record).is_some() {
                return Err(StaticCovariatesError::Twice {
                    path: path.into(),
                    line,
                    variate,
                });
            }
        }
        if let Some(variate) = variates.iter().find(|&name| !lines.contains_key(name)) {
            return Err(StaticCovariatesError::Missing {
                path: path.into(),
                variate: variate.clone(),
            });
        }
        let (mut features, mut columns) = (Vec::new(), Vec::new());
        for (c, column) in header.iter().enumerate().skip(1) {
            let cells: Vec<&str> = variates.iter().map(|name| &lines[name][c]).collect();
            for (feature, values) in numbers(column, &cells) {
                if let Some(values) = standardised(values) {
                    features.push(feature);
                    columns.push(values);
                }
            }
        }
        if features.is_empty() {
            return Err(StaticCovariatesError::NothingDiffers { path: path.into() });
        }
        Ok(Self {
            features,
            values: (0..variates.len())
                .flat_map(|m| columns.iter().map(move |column| column[m]))
                .collect(),
            sha256: Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// C.
    #[must_use]
    pub fn width(&self) -> usize {
        self.features.len()
    }

    /// Initial values of the projection onto `d_model` features.
    pub fn initial(&self, d_model: usize, rng: &mut impl Rng) -> Vec<f32> {
        let bound = INITIAL / (self.width() as f32).sqrt();
        (0..d_model * self.width()).map(|_| rng.random_range(-bound..=bound)).collect()
    }

    /// Adds the projection of each variate's features to its vector, and removes the projection.
    pub fn add_to_vectors(&self, weights: &mut BTreeMap<String, Vec<f32>>) {
        let (Some(projection), Some(vectors)) = (weights.remove(PROJECTION), weights.get_mut(VECTORS)) else {
            return;
        };
        let c = self.width();
        let d = projection.len() / c;
        for (vector, features) in vectors.chunks_exact_mut(d).zip(self.values.chunks_exact(c)) {
            for (x, row) in vector.iter_mut().zip(projection.chunks_exact(c)) {
                *x += row.iter().zip(features).map(|(w, s)| w * s).sum::<f32>();
            }
        }
    }
}

/// The delimiter that is commonest in the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: &u8| first.iter().filter(|&byte| byte == delimiter).count();
    *b"|\t;,".iter().max_by_key(|delimiter| count(delimiter)).unwrap_or(&b',')
}

/// A column as features: its numbers, or whether each word stands there. An empty cell is NaN among numbers.
fn numbers(column: &str, cells: &[&str]) -> Vec<(String, Vec<f64>)> {
    let is_missing = |cell: &&str| cell.is_empty() || tsm2_data::is_missing(cell.as_bytes());
    let number = |cell: &&str| match is_missing(cell) {
        true => Some(f64::NAN),
        false => cell.parse::<f32>().ok().filter(|x| x.is_finite()).map(f64::from),
    };
    if let Some(numbers) = cells.iter().map(number).collect() {
        return vec![(column.to_owned(), numbers)];
    }
    let words: BTreeSet<&str> = cells.iter().copied().filter(|cell| !is_missing(cell)).collect();
    let is = |word: &str| cells.iter().map(|cell| f64::from(u8::from(*cell == word))).collect();
    words.into_iter().map(|word| (format!("{column}={word}"), is(word))).collect()
}

/// The numbers with mean 0 and mean square 1, NaN as 0; nothing where they do not differ.
fn standardised(values: Vec<f64>) -> Option<Vec<f32>> {
    let known = || values.iter().filter(|x| !x.is_nan());
    let count = known().count() as f64;
    let mean = known().sum::<f64>() / count;
    let variance = known().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let z = |&x: &f64| if x.is_nan() { 0.0 } else { ((x - mean) / variance.sqrt()) as f32 };
    // A NaN variance, of a column without numbers, compares false.
    (variance > 1e-12 * mean * mean && variance.is_finite()).then(|| values.iter().map(z).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variates: &[&str]) -> Result<StaticCovariates, StaticCovariatesError> {
        let variates: Vec<String> = variates.iter().map(|&name| name.to_owned()).collect();
        StaticCovariates::parse(Path::new("sensors.csv"), text.as_bytes(), &variates)
    }

    #[test]
    fn numbers_are_standardised_and_words_are_told_apart() {
        let text = "sensor,kind,floor,plant\nroom2,temperature,2,north\nfan, air ,\n".replace("fan, air ,", "fan, air ,,north")
            + "spare,gas,9,north\nroom1,temperature,0,north\n";
        let statics = parse(&text, &["room1", "room2", "fan"]).unwrap();
        assert_eq!(statics.features, ["kind=air", "kind=temperature", "floor"]);
        let rows: Vec<&[f32]> = statics.values.chunks(3).collect();
        for c in 0..3 {
            let of = |f: fn(f32) -> f32| rows.iter().map(|row| f(row[c])).sum::<f32>() / 3.0;
            assert!(of(|x| x).abs() < 1e-6 && (of(|x| x * x) - 1.0).abs() < 1e-6, "{rows:?}");
        }
        assert_eq!(rows[0][..2], rows[1][..2]);
        assert!(rows[2][0] > 0.0 && rows[0][2] == -rows[1][2] && rows[2][2] == 0.0, "{rows:?}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            ("sensor,floor\na,1\n", "no line for `b`"),
            ("sensor,floor\na,1\nb,2\na,3\n", "line 4: a second line for `a`"),
            ("sensor,floor\na,1\nb,1\n", "no feature"),
            ("sensor,floor\na,\nb,\n", "no feature"),
            ("sensor\na\nb\n", "no feature"),
            ("", "no line for `a`"),
            ("sensor,floor\na,1\nb,2,3\n", "line 3 has 3 cells"),
        ] {
            let message = parse(text, &["a", "b"]).unwrap_err().to_string();
            assert!(message.contains("sensors.csv") && message.contains(said), "{message}");
        }
    }

    #[test]
    fn delimiters_and_empty_cells_are_those_of_recordings() {
        let plain = parse("sensor,floor,kind\na,1,\nb,,x\nc,2,y\n", &["a", "b", "c"]).unwrap();
        let other = parse("\u{feff}sensor;floor;kind\na;1;NA\nb;nan;x\n\nc;2;y\n", &["a", "b", "c"]).unwrap();
        assert_eq!((plain.features, plain.values), (other.features, other.values));
    }

    #[test]
    fn folding_adds_the_projection_to_each_vector() {
        let statics = parse("sensor,floor\na,1\nb,3\n", &["a", "b"]).unwrap();
        let mut weights = BTreeMap::from([
            (PROJECTION.to_owned(), vec![0.5, 2.0]),
            (VECTORS.to_owned(), vec![10.0, 20.0, 30.0, 40.0]),
        ]);
        statics.add_to_vectors(&mut weights);
        assert_eq!(weights, BTreeMap::from([(VECTORS.to_owned(), vec![9.5, 18.0, 30.5, 42.0])]));
    }
}
