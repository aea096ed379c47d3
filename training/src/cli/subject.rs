//! The model and the test rows of every command that measures.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure};
use clap::Args;
use tsm2_bundle::Bundle;
use tsm2_data::Report;

use super::common;
use super::reading::Reading;
use crate::data::runs::Part;
use crate::data::scale::Scaler;
use crate::data::split::{Split, SplitSpec};
use crate::data::table::Table;
use crate::evaluate::{EvaluateError, Rows, check_horizons, reported_horizons};
use crate::model::OpenModel;
use crate::train::MEASURED;

/// Which model is measured on which rows, at which horizons.
#[derive(Args, Clone, Debug)]
pub struct Subject {
    /// The model file; in a program with the feature `onnx` also an ONNX graph, whose name ends in .onnx
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
    pub bundle: OpenModel,
    /// Whether it is not that of the file, but the one before that was fitted to the training rows only.
    pub is_before_refit: bool,
    /// The recording.
    pub table: Table,
    /// How it was read.
    pub report: Report,
    /// Its parts.
    pub split: Split,
    /// The scaler of the model's training rows.
    pub scaler: Scaler,
    /// Steps ahead, at least one number.
    pub horizons: Vec<usize>,
}

impl Opened {
    /// The rows of a part, to measure on.
    #[must_use]
    pub fn rows(&self, part: Part) -> Rows<'_> {
        Rows {
            table: &self.table,
            scaler: &self.scaler,
            split: &self.split,
            part,
        }
    }
}

impl Subject {
    /// As [`Subject::open`], at the horizons that a report shows unless some are asked for.
    ///
    /// # Errors
    /// As [`Subject::open`].
    pub fn open_for_report(&self, reading: &Reading, hold_out: &[String]) -> anyhow::Result<Opened> {
        let mut opened = self.open(reading, hold_out)?;
        if self.horizons.is_empty() {
            opened.horizons = reported_horizons(opened.bundle.meta().config.horizon);
        }
        Ok(opened)
    }

    /// Reads the model and the recording; these devices are held out, or without any those that the training held out.
    ///
    /// # Errors
    /// Whatever is wrong with the files; a column or a device that is not there; a split that does not fit.
    pub fn open(&self, reading: &Reading, hold_out: &[String]) -> anyhow::Result<Opened> {
        let (bundle, table, report) = common::open(&self.model, &self.data, reading)?;
        let table = common::hold_out(hold_out, bundle.meta(), table)?;
        let split = common::split(self.split, &self.model, bundle.meta(), &table)?;
        let was_refit = bundle.meta().provenance.refit;
        let bundle = unseen(&self.model, bundle, &table, &split, self.split.is_some())?;
        let horizons = match self.horizons.as_slice() {
            [] => vec![bundle.meta().config.horizon],
            some => some.to_vec(),
        };
        check(&horizons, &bundle)?;
        Ok(Opened {
            path: self.model.clone(),
            is_before_refit: was_refit && !bundle.meta().provenance.refit,
            scaler: common::scaler(bundle.meta()),
            bundle,
            table,
            report,
            split,
            horizons,
        })
    }
}

/// Checks the horizons that were asked for.
pub fn check(horizons: &[usize], bundle: &OpenModel) -> anyhow::Result<()> {
    let fits = match horizons.contains(&0) {
        true => Err(EvaluateError::NoHorizon),
        false => check_horizons(&bundle.model(), horizons),
    };
    fits.map_err(|error| anyhow!("--horizons: {error}"))
}

/// The model to measure. One that was fitted to all rows is not measured on rows that it may have learned from: the one in the same
/// folder is, which was fitted to the training rows only. Another recording than that of the training may begin with the same rows,
/// unless its split `is_asked` for.
pub fn unseen(path: &Path, bundle: OpenModel, table: &Table, split: &Split, is_asked: bool) -> anyhow::Result<OpenModel> {
    if bundle.is_graph() {
        common::note(format_args!(
            "{}: which rows an ONNX graph was trained on is not known; give a --split whose test rows are new to it",
            path.display()
        ));
        return Ok(bundle);
    }
    let trained = &bundle.meta().provenance;
    let is_beyond = split.train + split.validation >= trained.split.iter().sum();
    let is_other = trained.data_sha256 != table.sha256;
    if !trained.refit || is_beyond || (is_other && is_asked) {
        return Ok(bundle);
    }
    let before = path.with_file_name(MEASURED);
    let learned = format!(
        "{} {} from these rows",
        path.display(),
        if is_other { "may have learned" } else { "has learned" }
    );
    let measured = Bundle::open(&before).map_err(anyhow::Error::from).and_then(|measured| {
        let own = &measured.meta().provenance;
        let is_before = !own.refit
            && (&own.data_sha256, own.split, own.seed, &own.metrics)
                == (&trained.data_sha256, trained.split, trained.seed, &trained.metrics);
        ensure!(is_before, "{}: of another model", before.display());
        Ok(measured)
    });
    let measured = measured.map_err(|error| {
        anyhow!("{learned}, and the model before that cannot be measured in its place: {error}; give --split with a recording that it has not seen")
    })?;
    common::note(format_args!("{learned}: {} is measured, the model before", before.display()));
    Ok(measured.into())
}
