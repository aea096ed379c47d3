//! The model and the test rows of every command that measures.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use tsm2_bundle::Bundle;

use super::common;
use super::reading::Reading;
use crate::data::scale::Scaler;
use crate::data::split::{Split, SplitSpec};
use crate::data::table::Table;
use crate::evaluate::{EvaluateError, check_horizons};
use crate::train::MEASURED;

/// Which model is measured on which rows, at which horizons.
#[derive(Args, Clone, Debug)]
pub struct Subject {
    /// The model file
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// Recording with a column for each of the model's variates; a file for each device, or parts of one recording with --join
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Training, validation and test part, in rows or in fractions [default: as the model was trained]
    #[arg(long, value_name = "A,B,C")]
    split: Option<SplitSpec>,
    /// Horizons: errors are averaged over steps 1 to H [default: all steps of the model]
    #[arg(long, value_name = "H,..", value_delimiter = ',')]
    horizons: Vec<usize>,
}

/// What was asked for, read.
#[derive(Debug)]
pub struct Opened {
    /// The model's file.
    pub path: PathBuf,
    /// The model.
    pub bundle: Bundle,
    /// The recording.
    pub table: Table,
    /// Its parts.
    pub split: Split,
    /// The scaler of the model's training rows.
    pub scaler: Scaler,
    /// Steps ahead, at least one number.
    pub horizons: Vec<usize>,
}

impl Subject {
    /// Reads the model and the recording; these devices are held out, or without any those that the training held out.
    ///
    /// # Errors
    /// Whatever is wrong with the files; a column or a device that is not there; a split that does not fit.
    pub fn open(&self, reading: &Reading, hold_out: &[String]) -> anyhow::Result<Opened> {
        let (bundle, table) = common::open(&self.model, &self.data, reading)?;
        let table = common::hold_out(hold_out, bundle.meta(), table)?;
        let split = common::split(self.split, &self.model, bundle.meta(), &table)?;
        let bundle = self.unseen(bundle, &table, &split)?;
        let horizons = match self.horizons.as_slice() {
            [] => vec![bundle.meta().config.horizon],
            some => some.to_vec(),
        };
        let fits = match horizons.contains(&0) {
            true => Err(EvaluateError::NoHorizon),
            false => check_horizons(&bundle.model(), &horizons),
        };
        fits.map_err(|error| anyhow!("--horizons: {error}"))?;
        Ok(Opened {
            path: self.model.clone(),
            scaler: common::scaler(bundle.meta()),
            bundle,
            table,
            split,
            horizons,
        })
    }

    /// The model to measure: one that has learned from the test rows is not measured on them, but the one beside it is, which was fitted to
    /// the training rows only.
    fn unseen(&self, bundle: Bundle, table: &Table, split: &Split) -> anyhow::Result<Bundle> {
        let trained = &bundle.meta().provenance;
        let is_beyond = split.train + split.validation >= trained.split.iter().sum();
        if !trained.refit || trained.data_sha256 != table.sha256 || is_beyond {
            return Ok(bundle);
        }
        let path = self.model.with_file_name(MEASURED);
        let learned = format!("{} has learned from these rows", self.model.display());
        let measured = Bundle::open(&path).map_err(|error| {
            anyhow!("{learned}, and the model before that cannot be measured in its place: {error}; give a recording that it has not seen")
        })?;
        common::note(format_args!("{learned}: {} is measured, the model before", path.display()));
        Ok(measured)
    }
}
