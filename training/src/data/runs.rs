//! Which rows of a table follow one another: devices, runs without a gap, and the parts of a split.
//!
//! Rows of all devices stand one device after the other. A *run* is rows of one device without a long gap; a model's state starts anew at the
//! first row of each, as on the device. A part of the split (training rows, for example) is a list of *pieces*: rows of one run.

use std::fmt;
use std::ops::Range;

use super::split::{Split, SplitError};

/// A device: its rows in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name, or that of its file.
    pub name: String,
    /// Its rows.
    pub rows: Range<usize>,
    /// Whether no row of it trains or chooses anything.
    pub is_held_out: bool,
}

/// Devices and runs of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runs {
    devices: Vec<Device>,
    /// `(rows, device)`, in the order of the rows.
    runs: Vec<(Range<usize>, usize)>,
}

/// A part of a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Rows that train.
    Train,
    /// Rows that every choice is made on.
    Validation,
    /// Rows that are only measured on.
    Test,
    /// Rows of the three parts above, in one.
    All,
    /// All rows of the devices that are held out.
    HeldOut,
}

/// Rows of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The rows.
    pub rows: Range<usize>,
    /// The run that they belong to.
    pub run: Range<usize>,
    /// Number of the device.
    pub device: usize,
}

/// Rows in pieces, in the order of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pieces(Vec<Piece>);

impl Runs {
    /// One device without a gap.
    pub fn unbroken(name: &str, rows: usize) -> Runs {
        let mut runs = Runs::default();
        runs.push(name.to_owned(), std::iter::once(rows));
        runs
    }

    /// Adds a device with runs of these lengths behind the others.
    pub fn push(&mut self, name: String, runs: impl IntoIterator<Item = usize>) {
        let first = self.rows();
        let mut end = first;
        for rows in runs {
            self.runs.push((end..end + rows, self.devices.len()));
            end += rows;
        }
        self.devices.push(Device {
            name,
            rows: first..end,
            is_held_out: false,
        });
    }

    /// The devices.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Holds every device of this name out; `false` if there is none.
    pub fn hold_out(&mut self, name: &str) -> bool {
        let devices = self.devices.iter_mut().filter(|device| device.name == name);
        devices.map(|device| device.is_held_out = true).count() > 0
    }

    /// Names of the devices that are held out.
    pub fn held_out(&self) -> impl Iterator<Item = &str> {
        let held_out = self.devices.iter().filter(|device| device.is_held_out);
        held_out.map(|device| device.name.as_str())
    }

    /// The runs.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        self.runs.iter().map(|(rows, _)| rows.clone())
    }

    /// Rows of all devices.
    pub fn rows(&self) -> usize {
        self.devices.last().map_or(0, |device| device.rows.end)
    }

    /// Rows of the devices that are not held out.
    pub fn known_rows(&self) -> usize {
        let known = self.devices.iter().filter(|device| !device.is_held_out);
        known.map(|device| device.rows.len()).sum()
    }

    /// The run of this row.
    pub fn run_of(&self, row: usize) -> Range<usize> {
        let at = self.runs.partition_point(|(rows, _)| rows.end <= row);
        self.runs.get(at).map_or(row..row, |(rows, _)| rows.clone())
    }

    /// Whether a run begins at this row.
    pub fn starts_at(&self, row: usize) -> bool {
        self.runs.binary_search_by_key(&row, |(rows, _)| rows.start).is_ok()
    }

    /// The rows of a part. Each device is split by time in the proportions of the whole.
    pub fn part(&self, split: &Split, part: Part) -> Pieces {
        let known = self.known_rows().max(1);
        let mut pieces = Vec::new();
        for (device, Device { rows, is_held_out, .. }) in self.devices.iter().enumerate() {
            let share = |total: usize| rows.start + (total as u128 * rows.len() as u128 / known as u128) as usize;
            let ends = [
                0,
                split.train,
                split.train + split.validation,
                split.train + split.validation + split.test,
            ]
            .map(share);
            let rows = match (part, is_held_out) {
                (Part::Train, false) => ends[0]..ends[1],
                (Part::Validation, false) => ends[1]..ends[2],
                (Part::Test, false) => ends[2]..ends[3],
                (Part::All, false) => ends[0]..ends[3],
                (Part::HeldOut, true) => rows.clone(),
                _ => continue,
            };
            for (run, _) in self.runs.iter().filter(|(_, of)| *of == device) {
                let rows = rows.start.max(run.start)..rows.end.min(run.end);
                if !rows.is_empty() {
                    pieces.push(Piece {
                        rows,
                        run: run.clone(),
                        device,
                    });
                }
            }
        }
        Pieces(pieces)
    }

    /// Training and validation rows.
    pub fn training_and_validation(&self, split: &Split) -> Pieces {
        let (train, validation) = (self.part(split, Part::Train), self.part(split, Part::Validation));
        let mut pieces = [train.0, validation.0].concat();
        pieces.sort_by_key(|piece| piece.rows.start);
        Pieces(pieces)
    }

    /// Checks that a model of this patch and horizon can be trained: a piece of the training part must hold a patch and a horizon, one of the
    /// validation part a horizon.
    ///
    /// # Errors
    /// `TooShort`.
    pub fn check_training(&self, split: &Split, patch: usize, horizon: usize) -> Result<(), SplitError> {
        self.check(split, Part::Train, patch.saturating_add(horizon), || {
            format!("a patch of {patch} and a horizon of {horizon}")
        })?;
        self.check(split, Part::Validation, horizon, || format!("a horizon of {horizon}"))
    }

    /// Checks that a piece of the test part holds one forecast of this horizon.
    ///
    /// # Errors
    /// `TooShort`.
    pub fn check_test(&self, split: &Split, horizon: usize) -> Result<(), SplitError> {
        self.check(split, Part::Test, horizon, || format!("a horizon of {horizon}"))
    }

    fn check(&self, split: &Split, part: Part, needed: usize, reason: impl Fn() -> String) -> Result<(), SplitError> {
        let pieces = self.part(split, part);
        let longest = pieces.longest();
        if longest >= needed {
            return Ok(());
        }
        let part = match part {
            Part::Train => "training",
            Part::Validation => "validation",
            Part::Test => "test",
            Part::All => "whole",
            Part::HeldOut => "held-out",
        };
        Err(match pieces.0.len() {
            0 | 1 => SplitError::TooShort {
                part,
                rows: longest,
                needed,
                reason: reason(),
            },
            count => SplitError::TooBroken {
                part,
                rows: pieces.rows(),
                count,
                longest,
                needed,
                reason: reason(),
            },
        })
    }
}

impl Pieces {
    /// The pieces.
    pub fn iter(&self) -> std::slice::Iter<'_, Piece> {
        self.0.iter()
    }

    /// Rows of all pieces.
    pub fn rows(&self) -> usize {
        self.0.iter().map(|piece| piece.rows.len()).sum()
    }

    /// Rows of the longest piece.
    pub fn longest(&self) -> usize {
        self.0.iter().map(|piece| piece.rows.len()).max().unwrap_or(0)
    }

    /// From the first row to the last.
    pub fn hull(&self) -> Range<usize> {
        let ends = self.0.first().zip(self.0.last());
        ends.map_or(0..0, |(first, last)| first.rows.start..last.rows.end)
    }

    /// The piece that holds this row, and its number.
    pub fn find(&self, row: usize) -> Option<(usize, &Piece)> {
        let at = self.0.partition_point(|piece| piece.rows.end <= row);
        let piece = self.0.get(at).filter(|piece| piece.rows.contains(&row))?;
        Some((at, piece))
    }

    /// Origins of forecasts of `horizon` steps, a range for each piece that has any: all steps lie in the piece, and the run has a row before.
    ///
    /// A forecast of origin `o` is made after row `o - 1`; its first step is row `o`.
    pub fn origins(&self, horizon: usize) -> impl Iterator<Item = Range<usize>> {
        let of = move |piece: &Piece| piece.rows.start.max(piece.run.start + 1)..(piece.rows.end + 1).saturating_sub(horizon);
        self.0.iter().map(of).filter(|origins| !origins.is_empty())
    }

    /// The origins that `lags` rows of their run come before.
    pub fn windows(&self, lags: usize, horizon: usize) -> Vec<usize> {
        let of = |piece: &Piece| piece.rows.start.max(piece.run.start + lags)..(piece.rows.end + 1).saturating_sub(horizon);
        self.0.iter().flat_map(of).collect()
    }

    /// How many forecasts of `horizon` steps there are.
    pub fn origin_count(&self, horizon: usize) -> usize {
        self.origins(horizon).map(|origins| origins.len()).sum()
    }

    /// For each run that has a piece: its rows up to the end of its last piece. A model that forecasts in the pieces runs through these.
    pub fn passes(&self) -> Vec<Range<usize>> {
        let of_run = |pieces: &[Piece]| {
            pieces
                .first()
                .zip(pieces.last())
                .map(|(first, last)| first.run.start..last.rows.end)
        };
        self.0.chunk_by(|a, b| a.run == b.run).filter_map(of_run).collect()
    }
}

impl From<Range<usize>> for Pieces {
    /// Rows of a run that begins at row 0.
    fn from(rows: Range<usize>) -> Pieces {
        let run = 0..rows.end;
        Pieces(vec![Piece { rows, run, device: 0 }])
    }
}

impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = self.0.chunk_by(|a, b| a.device == b.device).count();
        match (self.0.len(), devices) {
            (0 | 1, _) => write!(f, "rows {:?}", self.hull()),
            (pieces, 1) => write!(f, "{} rows in {pieces} pieces", self.rows()),
            _ => write!(f, "{} rows of {devices} devices", self.rows()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two devices of 100 rows, the second in runs of 60 and 40, and a third.
    fn runs() -> Runs {
        let mut runs = Runs::unbroken("a", 100);
        runs.push("b".into(), [60, 40]);
        runs.push("c".into(), [50]);
        runs
    }

    const SPLIT: Split = Split {
        train: 140,
        validation: 20,
        test: 40,
    };

    fn rows(pieces: &Pieces) -> Vec<Range<usize>> {
        pieces.iter().map(|piece| piece.rows.clone()).collect()
    }

    #[test]
    fn each_device_is_split_by_time_and_no_piece_crosses_a_gap() {
        let mut runs = runs();
        assert!(runs.hold_out("c") && !runs.hold_out("d"));
        assert_eq!((runs.rows(), runs.known_rows()), (250, 200));
        assert_eq!(rows(&runs.part(&SPLIT, Part::Train)), [0..70, 100..160, 160..170]);
        assert_eq!(rows(&runs.part(&SPLIT, Part::Validation)), [70..80, 170..180]);
        assert_eq!(rows(&runs.part(&SPLIT, Part::Test)), [80..100, 180..200]);
        assert_eq!(rows(&runs.part(&SPLIT, Part::HeldOut)), vec![200..250; 1]);
        let both = runs.training_and_validation(&SPLIT);
        assert_eq!(both.passes(), [0..80, 100..160, 160..180]);
        assert_eq!((runs.run_of(159), runs.run_of(160)), (100..160, 160..200));
        assert!(runs.starts_at(160) && !runs.starts_at(161));
    }

    #[test]
    fn one_device_has_the_rows_asked_for() {
        let runs = Runs::unbroken("a", 17);
        let split = Split {
            train: 9,
            validation: 3,
            test: 4,
        };
        assert_eq!(rows(&runs.part(&split, Part::Train)), vec![0..9; 1]);
        assert_eq!(rows(&runs.part(&split, Part::Test)), vec![12..16; 1]);
        assert_eq!(runs.part(&split, Part::Test), {
            let mut expected = Pieces::from(12..16);
            expected.0[0].run = 0..17;
            expected
        });
    }

    #[test]
    fn an_origin_has_a_row_before_it_and_all_its_steps_in_one_piece() {
        let pieces = runs().part(
            &Split {
                train: 0,
                validation: 250,
                test: 0,
            },
            Part::Validation,
        );
        assert_eq!(pieces.origins(45).collect::<Vec<_>>(), [1..56, 101..116, 201..206]);
        assert_eq!(pieces.origin_count(45), 75);
        assert_eq!(pieces.find(159).map(|(at, piece)| (at, piece.rows.clone())), Some((1, 100..160)));
        assert_eq!(pieces.to_string(), "250 rows of 3 devices");
        assert_eq!(Pieces::from(3..9).origins(2).collect::<Vec<_>>(), vec![3..8; 1]);
        assert_eq!(Pieces::from(3..9).to_string(), "rows 3..9");
    }

    #[test]
    fn a_part_in_short_pieces_names_the_longest() {
        let split = Split {
            train: 250,
            validation: 0,
            test: 0,
        };
        let message = runs().check_training(&split, 12, 100).unwrap_err().to_string();
        assert!(
            message.contains("4 pieces") && message.contains("100") && message.contains("112"),
            "{message}"
        );
        assert!(runs().check_training(&split, 12, 8).unwrap_err().to_string().contains("validation"));
    }
}
