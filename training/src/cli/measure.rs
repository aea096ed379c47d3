//! A model measured beside every baseline: those fitted here, and those whose files lie beside the model's.

use crate::data::runs::Part;
use crate::evaluate::neural::{self, Neural};
use crate::evaluate::{Evaluation, LINEAR_HEAD, Protocol, Rows, Tally, evaluate};
use crate::network::baseline::NeuralKind;
use anyhow::{anyhow, bail, ensure};
use tsm2_bundle::Bundle;
use tsm2_data::Meter;

use super::subject::Opened;

/// Measures a model on a part of its recording. Also returns notes on baselines that are left out.
///
/// # Errors
/// Whatever cannot be measured.
pub fn measure(opened: &Opened, part: Part, protocol: Protocol, meter: &Meter) -> anyhow::Result<(Evaluation, Vec<String>)> {
    let rows = opened.rows(part);
    let name = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", rows.table.path.display());
    let evaluation = evaluate(&opened.bundle.model(), &rows, &opened.horizons, protocol, meter);
    let mut evaluation = evaluation.map_err(|error| name(&error))?;
    let mut notes = Vec::new();
    if opened.bundle.is_graph() {
        notes.push("gru and mlp are left out: `tsm2 train` makes them beside a bundle".into());
    } else if let Err(reason) = add_neural_baselines(&mut evaluation, opened, &rows, meter) {
        notes.push(format!("gru and mlp are left out: {reason}"));
    }
    match linear_head(opened) {
        Ok(Some(linear_head)) => {
            let joined = evaluation.add_linear_head(&(&linear_head).into(), &rows);
            joined.map_err(|error| name(&error))?;
        }
        Ok(None) => {}
        Err(reason) => notes.push(reason.to_string()),
    }
    if evaluation.baselines.linear_all.is_none() && rows.table.variates() > 1 {
        notes.push(format!(
            "linear-all is left out: a linear map of {} variates to each of them would be too large",
            rows.table.variates()
        ));
    }
    Ok((evaluation, notes))
}

/// The linear head without the network, if its file is there and is of this model.
fn linear_head(opened: &Opened) -> anyhow::Result<Option<Bundle>> {
    let (path, meta) = (opened.path.with_file_name(LINEAR_HEAD), opened.bundle.meta());
    if opened.bundle.is_graph() || !path.exists() {
        return Ok(None);
    }
    ensure!(
        !meta.provenance.refit,
        "{}: fitted to fewer rows than the model; linear_head is left out",
        path.display()
    );
    let bundle = Bundle::open(&path)?;
    let own = bundle.meta();
    if own.variates == meta.variates && own.config.horizon == meta.config.horizon && own.provenance == meta.provenance {
        return Ok(Some(bundle));
    }
    bail!("{}: of another model; linear_head is left out", path.display())
}

/// Measures the neural baselines whose files lie beside the model; or why that is not possible.
fn add_neural_baselines(evaluation: &mut Evaluation, opened: &Opened, rows: &Rows<'_>, meter: &Meter) -> anyhow::Result<()> {
    let (model, meta) = (&opened.path, opened.bundle.meta());
    let (table, scaler) = (rows.table, rows.scaler);
    let horizons = evaluation.horizons();
    let z = scaler.standardise_targets(table);
    let pieces = rows.pieces();
    for kind in NeuralKind::ALL {
        let path = neural::file(model, kind);
        ensure!(
            path.exists(),
            "{}: not found; train the model without --no-baselines",
            path.display()
        );
        let baseline = Neural::open(&path)?;
        let (own, trained) = (baseline.meta(), &meta.provenance);
        let of_model = own.data_sha256 == trained.data_sha256 && own.split == trained.split && own.config.horizon == meta.config.horizon;
        ensure!(
            of_model && own.config.variates == meta.config.variates,
            "{}: of another model",
            path.display()
        );
        meter.begin(kind.name());
        let tally = Tally::new(&z, table.targets(), &pieces, &horizons)?;
        let errors = baseline.tally(table, scaler, tally, &|share| meter.add(share))?.errors()?;
        evaluation.details.insert(kind.name(), errors.details);
        let errors = errors.total;
        match kind {
            NeuralKind::Gru => evaluation.baselines.gru = Some(errors),
            NeuralKind::Mlp => evaluation.baselines.mlp = Some(errors),
        }
    }
    Ok(())
}
