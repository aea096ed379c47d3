//! `tsm2 report`: a page on a model that can be judged at a glance.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use super::measure::measure;
use super::progress::metered;
use super::reading::Reading;
use super::subject::{Opened, Subject};
use crate::data::runs::Part;
use crate::evaluate::{Evaluation, Protocol};
use crate::report::{self, Findings};
use crate::train::MEASURED;

/// Write a page on a model: whether to use it, its errors, its forecasts, the recording.
///
/// One HTML file that needs no other file. The model is measured on the test part, as `tsm2 evaluate` measures it; `tsm2 train` writes
/// the same page on the validation part.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 report --model out/model.safetensors --data building.csv
  tsm2 report --model out/model.safetensors --data newer.csv --split 0.5,0.1,0.4 --output newer.html --json")]
pub struct Report {
    #[command(flatten)]
    subject: Subject,
    /// Devices that were held out of the training: all of their rows are measured on
    #[arg(long, value_name = "DEVICE,..", value_delimiter = ',')]
    hold_out: Vec<String>,
    /// The page to write [default: report.html beside the model]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object: the page's file, its summary, errors, coverage by step, size
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

/// A page that was written.
#[derive(Debug)]
pub struct Written {
    /// The errors.
    pub evaluation: Evaluation,
    /// Everything else.
    pub findings: Findings,
}

impl Report {
    /// Measures, writes the page, and prints its summary.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let opened = self.subject.open_for_report(&self.reading, &self.hold_out)?;
        let output = self.output.unwrap_or_else(|| opened.path.with_file_name(report::REPORT));
        let Written { evaluation, findings } = write(&opened, Part::Test, &output)?;
        if self.json {
            let object = json!({
                "report": output,
                "summary": findings.summary,
                "evaluation": evaluation,
                "coverage_by_step": findings.intervals.by_step(),
                "cost": findings.cost,
            });
            writeln!(out, "{object}")?;
            return Ok(());
        }
        writeln!(out, "{}", super::evaluate::summary(&evaluation))?;
        writeln!(out, "{}", output.display())?;
        Ok(())
    }
}

/// Measures a model on a part of its recording and writes the page.
///
/// # Errors
/// What cannot be measured; a page that cannot be written.
pub fn write(opened: &Opened, part: Part, output: &Path) -> anyhow::Result<Written> {
    let rows = opened.rows(part);
    let (evaluation, mut notes) = metered(|meter| measure(opened, part, Protocol::Carried, meter))?;
    if opened.is_before_refit {
        notes.push(format!(
            "{} was fitted to all rows after it was measured; these are the errors of the model before, {MEASURED}",
            opened.path.file_name().unwrap_or_default().display()
        ));
    }
    let subject = report::Subject {
        path: &opened.path,
        bundle: &opened.bundle,
        recording: &opened.report,
        rows,
        evaluation: &evaluation,
        notes: &notes,
    };
    let findings = metered(|meter| subject.measure(meter));
    let findings = findings.map_err(|error| anyhow!("{}: {error}", opened.table.path.display()))?;
    std::fs::write(output, report::page(&subject, &findings)).with_context(|| format!("{}: cannot be written", output.display()))?;
    Ok(Written { evaluation, findings })
}
