//! `tsm2 compare`: two models on the same rows.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use tsm2_bundle::Metadata;
use tsm2_data::Meter;

use super::common;
use super::progress::metered;
use super::reading::Reading;
use super::subject::{check, unseen};
use crate::data::runs::Part;
use crate::data::scale::Scaler;
use crate::data::split::{Split, SplitSpec};
use crate::data::table::Table;
use crate::evaluate::{ErrorsByDevice, Protocol, model_errors, reported_horizons};
use crate::model::OpenModel;
use crate::report::{Duel, Sensor, comparison_page};

/// Compare two models of the same sensors, at the same origins.
///
/// Errors are in units of the standard deviation in the training of A, on rows after the training and validation part of both models.
/// The interval is that of `tsm2 evaluate`: what chance allows, by a paired block bootstrap.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 compare old/model.safetensors new/model.safetensors --data building.csv
  tsm2 compare mine/linear.safetensors mine/model.safetensors --data building.csv --output network.html
  tsm2 compare old/model.safetensors new/model.safetensors --data building.csv --horizons 15,60 --json")]
pub struct Compare {
    /// The model file A
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The model file B
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Recording with a column for each variate of both models
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Training, validation and test part, in rows or in fractions [default: as the models were trained]
    #[arg(long, value_name = "A,B,C")]
    split: Option<SplitSpec>,
    /// Horizons: errors are averaged over steps 1 to H [default: 1, a quarter, half and all steps of the shorter model]
    #[arg(long, value_name = "H,..", value_delimiter = ',')]
    horizons: Vec<usize>,
    /// Write a page with the comparison
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

/// A model with the recording as the model reads it.
struct Side {
    path: PathBuf,
    bundle: OpenModel,
    table: Table,
}

impl Side {
    fn meta(&self) -> &Metadata {
        self.bundle.meta()
    }
}

impl Compare {
    /// Measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let open = |path: &PathBuf| {
            let (bundle, table, _) = common::open(path, &self.data, &self.reading)?;
            let table = common::hold_out(&[], bundle.meta(), table)?;
            Ok::<_, anyhow::Error>(Side {
                path: path.clone(),
                bundle,
                table,
            })
        };
        let (mut a, mut b) = (open(&self.a)?, open(&self.b)?);
        let sensors = sensors(&a, &b)?;
        let split = split(self.split, &a, &b)?;
        for side in [&mut a, &mut b] {
            side.bundle = unseen(&side.path, side.bundle.clone(), &side.table, &split, self.split.is_some())?;
            check(&self.horizons, &side.bundle)?;
        }
        let (table, scaler) = (&a.table, common::scaler(a.meta()));
        let horizons = match self.horizons.as_slice() {
            [] => reported_horizons(a.meta().config.horizon.min(b.meta().config.horizon)),
            some => {
                let mut sorted = some.to_vec();
                sorted.sort_unstable();
                sorted
            }
        };
        let name = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", table.path.display());
        let longest = horizons.last().copied().unwrap_or(1);
        table.runs.check_test(&split, longest).map_err(|error| name(&error))?;
        let pieces = table.part(&split, Part::Test);
        let work = |side: &Side| side.meta().config.operations();
        let a_is_larger = work(&a) >= work(&b);
        let measure = |side: &Side, scaler: &Scaler, counts: bool, meter: &Meter| {
            let model = side.bundle.model();
            model_errors(&model, &side.table, scaler, &pieces, &horizons, Protocol::Carried, &|share| {
                // The larger model ends last.
                if counts {
                    meter.add(share);
                }
            })
        };
        let of_b = scaler_in_order(&scaler, a.meta(), b.meta());
        let (errors_a, errors_b) = metered(|meter| {
            meter.begin("errors of both models");
            std::thread::scope(|scope| {
                let errors = scope.spawn(|| measure(&a, &scaler, a_is_larger, meter));
                let errors_b = measure(&b, &of_b, !a_is_larger, meter);
                (errors.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), errors_b)
            })
        });
        let errors: [ErrorsByDevice; 2] = [errors_a.map_err(|error| name(&error))?, errors_b.map_err(|error| name(&error))?];
        let rows = format!("{pieces} of {}", table.path.display());
        let duel = Duel::new(names(&a, &b), rows, &sensors, errors.each_ref());
        if let Some(output) = &self.output {
            std::fs::write(output, comparison_page(&duel)).with_context(|| format!("{}: cannot be written", output.display()))?;
        }
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&duel)?)?;
            return Ok(());
        }
        print(&duel, out)?;
        if let Some(output) = &self.output {
            writeln!(out, "{}", output.display())?;
        }
        Ok(())
    }
}

/// The sensors of both, in A's order. The recording must give both models the same rows.
fn sensors(a: &Side, b: &Side) -> anyhow::Result<Vec<Sensor>> {
    let of = |side: &Side| {
        let mut names: Vec<String> = side.meta().targets().iter().map(|variate| variate.name.clone()).collect();
        names.sort();
        names
    };
    if let Some(only) = of(a).iter().find(|name| !of(b).contains(name)) {
        bail!(
            "{} forecasts `{only}` and {} does not; compare models of the same sensors",
            a.path.display(),
            b.path.display()
        );
    }
    if let Some(only) = of(b).iter().find(|name| !of(a).contains(name)) {
        bail!(
            "{} forecasts `{only}` and {} does not; compare models of the same sensors",
            b.path.display(),
            a.path.display()
        );
    }
    ensure!(
        a.meta().provenance.held_out == b.meta().provenance.held_out,
        "the trainings held out different devices; give the recordings of the others alone"
    );
    ensure!(
        a.table.len() == b.table.len() && a.table.times_ms == b.table.times_ms && a.table.runs == b.table.runs,
        "{}: the columns of the two models give different rows; give --interval",
        a.table.path.display()
    );
    let sensor = |variate: &tsm2_bundle::Variate| {
        let in_b = b.meta().targets().iter().position(|other| other.name == variate.name)?;
        Some(Sensor {
            name: variate.name.clone(),
            unit: variate.unit.clone(),
            in_b,
            deviation: f64::from(variate.std),
        })
    };
    Ok(a.meta().targets().iter().filter_map(sensor).collect())
}

/// The split asked for, or rows that neither model was trained on.
fn split(asked: Option<SplitSpec>, a: &Side, b: &Side) -> anyhow::Result<Split> {
    let of = |side: &Side| common::split(asked, &side.path, side.meta(), &side.table);
    let (first, second) = (of(a)?, of(b)?);
    let begin = |split: &Split| split.train + split.validation;
    let (earlier, later) = if begin(&first) > begin(&second) {
        (second, first)
    } else {
        (first, second)
    };
    if begin(&earlier) < begin(&later) {
        common::note("the models were trained on different rows; only rows after both trainings are compared");
    }
    let end = |split: &Split| begin(split) + split.test;
    Ok(Split {
        test: end(&earlier).max(end(&later)) - begin(&later),
        ..later
    })
}

/// A's scaler in the order of B's variates; B's own numbers for variates that A has not.
fn scaler_in_order(scaler: &Scaler, a: &Metadata, b: &Metadata) -> Scaler {
    let of = |variate: &tsm2_bundle::Variate| match a.variates.iter().position(|other| other.name == variate.name) {
        Some(at) => (scaler.mean[at], scaler.std[at]),
        None => (variate.mean, variate.std),
    };
    let (mean, std) = b.variates.iter().map(of).unzip();
    Scaler {
        mean,
        std,
        ..Scaler::default()
    }
}

/// The models' names, or their files where those are the same.
fn names(a: &Side, b: &Side) -> [String; 2] {
    match a.meta().name == b.meta().name {
        true => [a, b].map(|side| side.path.display().to_string()),
        false => [a, b].map(|side| side.meta().name.clone()),
    }
}

fn print(duel: &Duel, out: &mut impl Write) -> anyhow::Result<()> {
    let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
    let interval = |errors: &crate::evaluate::Ratio| {
        let text = errors.interval.map(|(low, high)| format!("{} to {}", percent(low), percent(high)));
        text.unwrap_or_else(|| "not known".into())
    };
    let [a, b] = &duel.names;
    writeln!(out, "A: {a}, B: {b}, on {}", duel.rows)?;
    let mut printed = common::printed(["steps", "MSE: A", "B", "B against A", "95 % interval"], 0);
    for pair in &duel.horizons {
        printed.add_row([
            pair.a.horizon.to_string(),
            format!("{:.4}", pair.a.mse),
            format!("{:.4}", pair.b.mse),
            percent(pair.errors.ratio),
            interval(&pair.errors),
        ]);
    }
    writeln!(out, "{printed}")?;
    let mut printed = common::printed(["sensor", "unit", "MAE: A", "B", "MSE: B against A", "95 % interval"], 2);
    let mae = |mae: Option<f64>| mae.map_or_else(String::new, |mae| format!("{mae:.4}"));
    for sensor in &duel.sensors {
        printed.add_row([
            sensor.name.clone(),
            sensor.unit.clone().unwrap_or_default(),
            mae(sensor.mae_a),
            mae(sensor.mae_b),
            sensor.errors.as_ref().map_or_else(String::new, |errors| percent(errors.ratio)),
            sensor.errors.as_ref().map_or_else(String::new, interval),
        ]);
    }
    writeln!(out, "{printed}")?;
    writeln!(out, "{}", duel.sentence())?;
    Ok(())
}
