//! `tsm2 evaluate`: the errors of a model on test rows, beside baselines.

use std::io::Write;
use std::path::PathBuf;

use crate::data::runs::Part;
use crate::evaluate::{BaselineErrors, Comparison, Evaluation, HorizonError, Protocol, Ratio, best};
use clap::{Args, ValueEnum};
use comfy_table::Table as Printed;

use super::lines::{Cell, csv_to};
use super::measure::measure;
use super::progress::metered;
use super::reading::Reading;
use super::subject::Subject;

/// Measure a model on test rows, beside baselines.
///
/// Errors are averages over all targets and over steps 1 to h of all origins in the test part, in units of the training standard
/// deviation. Missing readings do not count. Baselines, measured at the same origins:
///
///   naive        the last reading, repeated
///   seasonal     the reading one season before
///   linear       a linear model of each target's own readings
///   linear-all   a linear model of all variates' readings
///   sparse       SparseTSF: one map of past seasons to coming ones; where there is a season
///   linear-head  the model without its network
///   gru, mlp     neural baselines that `tsm2 train` trained beside the model
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "Examples:
  tsm2 evaluate --model out/model.safetensors --data building.csv --horizons 15,60
  tsm2 evaluate --model etth1/model.safetensors --data ETTh1.csv --split 8640,2880,2880 --horizons 96 --protocol reset --json"
)]
pub struct Evaluate {
    #[command(flatten)]
    subject: Subject,
    /// Devices that are held out: all of their rows are measured on [default: as the model was trained]
    #[arg(long, value_name = "DEVICE,..", value_delimiter = ',')]
    hold_out: Vec<String>,
    /// State of the model before each origin
    #[arg(long, value_enum, default_value_t = ProtocolName::Carried)]
    protocol: ProtocolName,
    /// Write a line per forecaster and horizon as CSV to this file, or to the standard output if it is -
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON object: protocol, results and baselines
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

/// Columns of `--csv`.
const HEADER: [&str; 6] = ["model", "forecaster", "horizon", "mse", "mae", "origins"];

#[derive(Clone, Copy, ValueEnum)]
enum ProtocolName {
    /// The state runs from row 0, as on a device
    Carried,
    /// The state is empty 512 rows before each origin; takes some hundred times longer
    Reset,
}

impl Evaluate {
    /// Evaluates and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let opened = self.subject.open(&self.reading, &self.hold_out)?;
        let table = &opened.table;
        let protocol = match self.protocol {
            ProtocolName::Carried => Protocol::Carried,
            ProtocolName::Reset => Protocol::Reset,
        };
        let test = opened.rows(Part::Test).pieces();
        let (evaluation, notes) = metered(|meter| measure(&opened, Part::Test, protocol, meter))?;
        notes.iter().for_each(super::common::note);
        let name = &opened.bundle.meta().name;

        if let Some(path) = &self.csv {
            return csv_to(path, &HEADER, &lines(name, &evaluation), out);
        }
        if self.json {
            serde_json::to_writer(&mut *out, &evaluation)?;
            writeln!(out)?;
            return Ok(());
        }
        let missing: usize = evaluation.results.iter().map(|error| error.missing).max().unwrap_or(0);
        if missing > 0 {
            super::common::note(format_args!(
                "{}: {missing} forecast values without a reading to compare with",
                table.path.display()
            ));
        }
        if evaluation.period.is_none() {
            super::common::note("the training rows have no season: seasonal is the same as naive");
        }
        writeln!(out, "{name} on {test} of {}", table.path.display())?;
        writeln!(out, "{}", print(&evaluation))?;
        if !evaluation.devices.is_empty() {
            writeln!(out, "{}", print_devices(&evaluation))?;
        }
        writeln!(out, "{}", print_sensors(&evaluation))?;
        writeln!(out, "{}", summary(&evaluation))?;
        Ok(())
    }
}

/// A row per target: its mean absolute error in its own unit at each horizon, of the model and of naive.
fn print_sensors(evaluation: &Evaluation) -> Printed {
    let horizons = evaluation.horizons();
    let mut header = vec!["sensor".to_owned(), "unit".to_owned()];
    for horizon in &horizons {
        header.extend([format!("MAE at {horizon}"), "naive".to_owned()]);
    }
    let mut printed = super::common::printed(header, 2);
    for sensor in evaluation.sensors.chunks(horizons.len().max(1)) {
        let number = |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.4}"));
        let mut row = vec![sensor[0].name.clone(), sensor[0].unit.clone().unwrap_or_default()];
        row.extend(sensor.iter().flat_map(|errors| [number(errors.mae), number(errors.naive_mae)]));
        printed.add_row(row);
    }
    printed
}

/// A line per forecaster and horizon.
fn lines(model: &str, evaluation: &Evaluation) -> Vec<Vec<Cell>> {
    let all = evaluation.forecasters();
    let line = |name: &'static str, error: &HorizonError| {
        vec![
            model.into(),
            name.into(),
            Cell::Count(error.horizon),
            Cell::Real(error.mse),
            Cell::Real(error.mae),
            Cell::Count(error.origins),
        ]
    };
    all.flat_map(|(name, errors)| errors.iter().map(move |error| line(name, error)))
        .collect()
}

/// Squared errors of the baselines at the i-th horizon, by name.
fn others(baselines: &BaselineErrors, i: usize) -> impl Iterator<Item = (&'static str, f64)> {
    baselines.named().map(move |(name, errors)| (name, errors[i].mse))
}

/// A row per device and horizon: the model, the best baseline, and the ratio of the two.
pub fn print_devices(evaluation: &Evaluation) -> Printed {
    let header = ["device", "best baseline", "steps", "MSE: model", "baseline", "MSE / best"];
    let mut printed = super::common::printed(header, 2);
    for device in &evaluation.devices {
        let name = match device.is_held_out {
            true => format!("{} (held out)", device.name),
            false => device.name.clone(),
        };
        for (i, result) in device.results.iter().enumerate() {
            let (baseline, ratio) = best(&device.results, &device.baselines, i);
            let numbers = [result.mse, result.mse / ratio].map(|mse| format!("{mse:.4}"));
            let texts = [name.clone(), baseline.to_owned(), result.horizon.to_string()];
            printed.add_row(texts.into_iter().chain(numbers).chain([format!("{ratio:.3}")]));
        }
    }
    printed
}

/// A row per horizon: the model, the squared errors of the baselines, and the ratio to the best of them.
pub fn print(evaluation: &Evaluation) -> Printed {
    let before = ["steps", "MAE", "MSE model"];
    // Short enough for all of them to stand side by side.
    let short = |name: &'static str| name.trim_end_matches("-naive").trim_end_matches("-tsf");
    let names = evaluation.baselines.named().map(|(name, _)| short(name));
    let mut printed = super::common::printed(before.into_iter().chain(names).chain(["/ best"]), 0);
    for (i, result) in evaluation.results.iter().enumerate() {
        let number = |number: f64| format!("{number:.4}");
        let mut row = vec![result.horizon.to_string(), number(result.mae), number(result.mse)];
        row.extend(others(&evaluation.baselines, i).map(|(_, mse)| number(mse)));
        row.push(format!("{:.3}", best(&evaluation.results, &evaluation.baselines, i).1));
        printed.add_row(row);
    }
    printed
}

/// The comparison in one sentence, and the model against the best baseline at each horizon, with the interval that chance allows.
pub fn summary(evaluation: &Evaluation) -> String {
    let compared = evaluation.comparisons();
    let all = |test: fn(&Ratio) -> bool| compared.iter().all(|compared| test(&compared.errors));
    let some = |test: fn(&Ratio) -> bool| compared.iter().any(|compared| test(&compared.errors));
    let sentence = match (some(Ratio::is_better), some(Ratio::is_worse)) {
        (true, false) if all(Ratio::is_better) => "The model is better than every baseline at every horizon.",
        (_, false) => "No baseline is clearly better than the model at any horizon.",
        (false, true) if all(Ratio::is_worse) => "A baseline is better than the model at every horizon.",
        (false, true) => "A baseline is better than the model at some horizons. The model is clearly better at none.",
        (true, true) => "The model is better at some horizons and worse at others.",
    };
    let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
    let line = |compared: &Comparison| {
        let Comparison {
            horizon,
            baseline,
            errors: Ratio { ratio, interval },
        } = *compared;
        let interval = interval.map_or_else(String::new, |(low, high)| format!(" (95 %: {} to {})", percent(low), percent(high)));
        format!(
            "- at {horizon} steps: squared error {} against {baseline}{interval}",
            percent(ratio)
        )
    };
    let lines = compared.iter().map(line);
    std::iter::once(sentence.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn evaluation(model: [f64; 2]) -> Evaluation {
        let errors = |mse: [f64; 2]| {
            let error = |(i, mse): (usize, f64)| HorizonError {
                horizon: 10 * (i + 1),
                mse,
                mae: mse,
                origins: 5,
                missing: 0,
            };
            mse.into_iter().enumerate().map(error).collect::<Vec<_>>()
        };
        Evaluation {
            protocol: Protocol::Carried,
            results: errors(model),
            baselines: BaselineErrors {
                naive: errors([1.0, 4.0]),
                seasonal_naive: errors([2.0, 2.0]),
                linear: errors([3.0, 3.0]),
                linear_all: Some(errors([5.0, 5.0])),
                sparse_tsf: Some(errors([5.0, 5.0])),
                linear_head: Some(errors([5.0, 5.0])),
                gru: Some(errors([5.0, 5.0])),
                mlp: Some(errors([5.0, 5.0])),
            },
            devices: Vec::new(),
            sensors: Vec::new(),
            period: None,
            details: BTreeMap::new(),
        }
    }

    #[test]
    fn the_summary_tells_what_chance_allows() {
        use crate::evaluate::Details;
        use tsm2_stream::ErrorSums;

        let mut evaluation = evaluation([0.9, 1.0]);
        let block = |squared: f64| ErrorSums {
            weight: 1.0,
            absolute: 0.0,
            squared,
        };
        let details = |squared: &dyn Fn(usize) -> f64| {
            let blocks = (0..10).map(|i| block(squared(i))).collect();
            let details = Details {
                targets: 1,
                steps: Vec::new(),
                blocks,
            };
            vec![details; 2]
        };
        evaluation.details = BTreeMap::from([
            ("tsm2", details(&|i| if i % 2 == 0 { 0.1 } else { 1.7 })),
            ("naive", details(&|_| 1.0)),
        ]);
        let text = summary(&evaluation);
        assert!(
            text.starts_with("No baseline is clearly better") && text.contains("naive (95 %: -"),
            "{text}"
        );
        assert!(
            text.contains("-50.0 % against seasonal-naive\n") || text.ends_with("-50.0 % against seasonal-naive"),
            "{text}"
        );
    }

    #[test]
    fn a_difference_that_chance_allows_is_neither_better_nor_worse_in_the_summary() {
        // Without intervals, less than 2 % is chance.
        for (model, expected) in [
            (
                [1.97, 1.98],
                "A baseline is better than the model at some horizons. The model is clearly better at none.",
            ),
            (
                [1.97, 2.02],
                "A baseline is better than the model at some horizons. The model is clearly better at none.",
            ),
            ([1.01, 2.02], "No baseline is clearly better"),
            ([0.9, 2.02], "No baseline is clearly better"),
        ] {
            let text = summary(&evaluation(model));
            assert!(text.starts_with(expected), "{model:?}: {text}");
        }
    }

    #[test]
    fn the_summary_is_against_the_best_baseline_at_each_horizon() {
        let text = summary(&evaluation([0.9, 1.0]));
        assert!(text.starts_with("The model is better than every baseline"), "{text}");
        assert!(text.contains("at 10 steps: squared error -10.0 % against naive"), "{text}");
        assert!(text.contains("at 20 steps: squared error -50.0 % against seasonal-naive"), "{text}");
        assert!(summary(&evaluation([1.5, 2.5])).starts_with("A baseline is better"));
        assert!(summary(&evaluation([0.9, 2.5])).contains("worse at others"));
        assert!(summary(&evaluation([1.01, 1.9])).starts_with("No baseline is clearly better"));
    }

    #[test]
    fn the_summary_names_the_best_baseline_whatever_its_kind() {
        let mut evaluation = evaluation([0.9, 1.0]);
        let set = |errors: &mut Option<Vec<HorizonError>>, i: usize, mse: f64| errors.as_mut().expect("there")[i].mse = mse;
        set(&mut evaluation.baselines.gru, 0, 0.5);
        set(&mut evaluation.baselines.mlp, 1, 0.8);
        let text = summary(&evaluation);
        assert!(
            text.contains("+80.0 % against gru") && text.contains("+25.0 % against mlp"),
            "{text}"
        );
        set(&mut evaluation.baselines.linear_all, 1, 0.4);
        assert!(summary(&evaluation).contains("+150.0 % against linear-all"));
    }

    #[test]
    fn the_table_shows_all_in_120_columns_and_only_who_is_there() {
        let whole = evaluation([0.9, 1.0]);
        let printed = print(&whole).to_string();
        assert!(printed.lines().all(|line| line.trim_end().chars().count() <= 120), "{printed}");
        assert!(printed.contains("linear-all") && printed.contains("gru"), "{printed}");
        let baselines = BaselineErrors {
            linear_all: None,
            sparse_tsf: None,
            linear_head: None,
            gru: None,
            mlp: None,
            ..whole.baselines.clone()
        };
        let alone = print(&Evaluation { baselines, ..whole }).to_string();
        assert!(
            !alone.contains("linear-all") && !alone.contains("gru") && alone.contains("0.900"),
            "{alone}"
        );
    }

    #[test]
    fn json_is_as_documented() {
        let json = serde_json::to_value(evaluation([0.9, 1.0])).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json), ["baselines", "protocol", "results", "sensors"]);
        assert_eq!(
            keys(&json["baselines"]),
            [
                "gru",
                "linear",
                "linear_all",
                "linear_head",
                "mlp",
                "naive",
                "seasonal_naive",
                "sparse_tsf"
            ]
        );
        assert_eq!(keys(&json["results"][1]), ["horizon", "mae", "mse", "origins"]);
        assert_eq!((&json["protocol"], &json["results"][1]["horizon"]), (&"carried".into(), &20.into()));
    }
}
