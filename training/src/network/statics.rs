//! Static features: what is known of each variate besides its readings, such as what it measures, where it hangs, or what its pump is rated for (TSM2.md
//! section 5a).
//!
//! A table with a line per variate is turned into numbers S `[M, C]`; training learns a projection of them onto each token's embedding, beside the
//! variate's own vector. Being constant, it is folded into that vector when the model is written: the device neither knows of it nor pays for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};

use crate::data::table::cells::{Cell, Record, records};
use crate::data::table::{TableError, sha256};

/// The projection, `[D, C]`, among the trained tensors.
pub const PROJECTION: &str = "embed.static.weight";

/// The variates' own vectors, `[M, D]`.
const VECTORS: &str = "embed.variate";

/// Bound of the projection's initial values times the root of C: variates that are alike in everything start alike.
const INITIAL: f32 = 0.1;

/// Static features of the variates of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Statics {
    /// What each number says: a column's name, or `column=word`.
    pub features: Vec<String>,
    /// S `[M, C]`, each feature with mean 0 and mean square 1 over the variates.
    pub values: Vec<f32>,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub sha256: String,
}

/// Why a file does not hold static features of these variates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StaticsError {
    /// The file cannot be read, or a line has more or fewer cells than the first.
    #[error(transparent)]
    File(#[from] TableError),
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

impl Statics {
    /// Reads a CSV file, delimited as [`crate::data::table::Table::read`] has it, with a header and a line per variate, its name first. A column of numbers is one feature, any other one feature per word in it; an empty cell
    /// is an average number, or none of the words. Lines of other variates are passed over, and so are features in which these do not differ.
    ///
    /// # Errors
    /// Every [`StaticsError`].
    pub fn read(path: &Path, variates: &[String]) -> Result<Self, StaticsError> {
        let bytes = std::fs::read(path).map_err(|source| TableError::Read { path: path.into(), source })?;
        Self::parse(path, &bytes, variates)
    }

    /// The same of bytes in memory; `path` names them in errors.
    ///
    /// # Errors
    /// As [`Statics::read`].
    pub fn parse(path: &Path, bytes: &[u8], variates: &[String]) -> Result<Self, StaticsError> {
        let (_, records) = records(bytes);
        let mut records = records();
        let header = records.next().map_or(Vec::new(), |first| first.cells);
        let mut lines = BTreeMap::new();
        for Record { line, cells } in records {
            if cells.len() != header.len() {
                return Err(StaticsError::File(TableError::Ragged {
                    path: path.into(),
                    line,
                    found: cells.len(),
                    expected: header.len(),
                }));
            }
            let variate = cells[0].0.clone();
            if variates.contains(&variate) && lines.insert(variate.clone(), cells).is_some() {
                return Err(StaticsError::Twice {
                    path: path.into(),
                    line,
                    variate,
                });
            }
        }
        if let Some(variate) = variates.iter().find(|&name| !lines.contains_key(name)) {
            return Err(StaticsError::Missing {
                path: path.into(),
                variate: variate.clone(),
            });
        }
        let (mut features, mut columns) = (Vec::new(), Vec::new());
        for (c, column) in header.iter().enumerate().skip(1) {
            let cells: Vec<&Cell> = variates.iter().map(|name| &lines[name][c]).collect();
            for (feature, values) in numbers(&column.0, &cells) {
                if let Some(values) = standardised(values) {
                    features.push(feature);
                    columns.push(values);
                }
            }
        }
        if features.is_empty() {
            return Err(StaticsError::NothingDiffers { path: path.into() });
        }
        Ok(Self {
            features,
            values: (0..variates.len())
                .flat_map(|m| columns.iter().map(move |column| column[m]))
                .collect(),
            sha256: sha256(bytes),
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

    /// Adds what the projection makes of each variate's features to its vector, and takes the projection away.
    pub fn fold(&self, weights: &mut BTreeMap<String, Vec<f32>>) {
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

/// A column as features: its numbers, or whether each word stands there. An empty cell is NaN among numbers.
fn numbers(column: &str, cells: &[&Cell]) -> Vec<(String, Vec<f64>)> {
    let number = |cell: &&Cell| match cell.is_missing() {
        true => Some(f64::NAN),
        false => cell.number().map(f64::from),
    };
    if let Some(numbers) = cells.iter().map(number).collect() {
        return vec![(column.to_owned(), numbers)];
    }
    let words: BTreeSet<&str> = cells.iter().filter(|cell| !cell.is_missing()).map(|cell| cell.0.as_str()).collect();
    let is = |word| cells.iter().map(|cell| f64::from(u8::from(cell.0 == word))).collect();
    words.into_iter().map(|word| (format!("{column}={word}"), is(word))).collect()
}

/// The numbers with mean 0 and mean square 1, NaN as 0; nothing where they do not differ.
fn standardised(values: Vec<f64>) -> Option<Vec<f32>> {
    let known = || values.iter().filter(|x| !x.is_nan());
    let count = known().count() as f64;
    let mean = known().sum::<f64>() / count;
    let variance = known().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let z = |&x: &f64| if x.is_nan() { 0.0 } else { ((x - mean) / variance.sqrt()) as f32 };
    // Written so that NaN, of no known number at all, is nothing too.
    (variance > 1e-12 * mean * mean && variance.is_finite()).then(|| values.iter().map(z).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variates: &[&str]) -> Result<Statics, StaticsError> {
        let variates: Vec<String> = variates.iter().map(|&name| name.to_owned()).collect();
        Statics::parse(Path::new("sensors.csv"), text.as_bytes(), &variates)
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
        statics.fold(&mut weights);
        assert_eq!(weights, BTreeMap::from([(VECTORS.to_owned(), vec![9.5, 18.0, 30.5, 42.0])]));
    }
}
