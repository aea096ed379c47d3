//! The commands of `tsm2`, and what several of them do alike: opening a model with the data it is to be run on.

pub mod ablate;
pub mod evaluate;
pub mod forecast;
pub mod inspect;
pub mod lines;
pub mod paper;
pub mod robustness;
pub mod train;
mod trainings;

use std::fmt::Display;
use std::path::Path;

use anyhow::{anyhow, ensure};
use comfy_table::{CellAlignment, LineStyle, Table as Printed, TableStyle};
use tsm2_bundle::{Bundle, Metadata};
use tsm2_train::scale::Scaler;
use tsm2_train::split::{Split, SplitSpec};
use tsm2_train::table::Table;

/// Tells the user something that is no error, on stderr.
pub fn note(message: impl Display) {
    eprintln!("note: {message}");
}

/// Reads a CSV and tells what reading had to mend.
pub fn read_table(path: &Path) -> anyhow::Result<Table> {
    let table = Table::read(path)?;
    tell_warnings(&table);
    Ok(table)
}

fn tell_warnings(table: &Table) {
    table
        .warnings()
        .iter()
        .for_each(|warning| note(format_args!("{}: {warning}", table.path.display())));
}

/// A model and the data it is to be run on, the data's columns in the order of the model's variates.
pub fn open(model: &Path, data: &Path) -> anyhow::Result<(Bundle, Table)> {
    let bundle = Bundle::open(model)?;
    let names: Vec<&str> = bundle.meta().variates.iter().map(|variate| variate.name.as_str()).collect();
    let (mut table, extra) = Table::read(data)?.select(&names)?;
    table.exogenous = bundle.meta().config.exogenous;
    tell_warnings(&table);
    let data = data.display();
    if !extra.is_empty() {
        note(format_args!(
            "{data}: columns that the model does not know are left out: {}",
            extra.join(", ")
        ));
    }
    if let (Some(model), Some(data_ms)) = (bundle.meta().interval_ms, table.interval_ms)
        && model != data_ms
    {
        note(format_args!(
            "{data}: a row every {data_ms} ms, where the model was trained on one every {model} ms"
        ));
    }
    Ok((bundle, table))
}

/// The split asked for, or else the one the model was trained with.
pub fn split(asked: Option<SplitSpec>, model: &Path, meta: &Metadata, table: &Table) -> anyhow::Result<Split> {
    let spec = match asked {
        Some(spec) => spec,
        None => {
            let trained = &meta.provenance;
            ensure!(
                trained.split != [0; 3],
                "{}: does not tell how its data was split; give --split",
                model.display()
            );
            if trained.data_sha256 != table.sha256 {
                note(format_args!(
                    "{}: not the file the model was trained on, split alike",
                    table.path.display()
                ));
            }
            SplitSpec::Rows(trained.split)
        }
    };
    spec.resolve(table.len())
        .map_err(|error| anyhow!("{}: {error}", table.path.display()))
}

/// The scaler of the model's training rows.
pub fn scaler(meta: &Metadata) -> Scaler {
    Scaler {
        mean: meta.variates.iter().map(|variate| variate.mean).collect(),
        std: meta.variates.iter().map(|variate| variate.std).collect(),
    }
}

/// An empty table for the terminal: a line below the header, the first `left` columns aligned left and the others, being numbers, right.
pub fn printed(header: impl IntoIterator<Item = impl Display>, left: usize) -> Printed {
    let mut printed = Printed::new();
    printed.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    printed.set_header(header.into_iter().map(|name| name.to_string()));
    printed.column_iter_mut().skip(left).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    printed
}
