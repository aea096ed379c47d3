//! Options of every command that reads a recording.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use tsm2_data::{Aggregate, Options, Report};

use super::progress::metered;
use crate::data::table::Table;

/// How a recording is read. Without options the reader finds everything by itself, or names the option that it needs.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Reading the recording")]
pub struct Reading {
    /// Column of times, or the columns of date and time of day [default: found]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    time_column: Vec<String>,
    /// dmy, mdy or ymd; unix-s, unix-ms, unix-us or unix-ns; excel; matlab; labview; filetime; dotnet; elapsed-s, elapsed-min, elapsed-h or elapsed-d; or a pattern
    /// such as %d.%m.%Y %H:%M [default: found]
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<String>,
    /// Zone of times without an offset, such as Europe/Berlin or +01:00. A model trained with a named zone reads the time of day and the
    /// day of the week there, in summer and in winter [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Columns to read, in this order [default: all columns of numbers]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    columns: Vec<String>,
    /// Columns to read although they look like a row number, a clock or a text
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    keep: Vec<String>,
    /// Columns to leave out, whatever they hold
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Character between cells [default: found]
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// Decimal point or comma [default: found]
    #[arg(long, value_name = "CHARACTER", value_parser = [".", ","])]
    decimal: Option<String>,
    /// Encoding of the text, such as windows-1252 [default: found]
    #[arg(long, value_name = "ENCODING")]
    encoding: Option<String>,
    /// Words or numbers that stand for a missing reading; COLUMN:VALUE for one column
    #[arg(long, value_name = "VALUE,..", value_delimiter = ',', allow_hyphen_values = true)]
    missing_values: Vec<String>,
    /// Counters to read as the increase since the row before
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    difference: Vec<String>,
    /// Column that names the device of each row. All devices train one model
    #[arg(long, value_name = "COLUMN")]
    series: Option<String>,
    /// Column that names the variate of each row, in a table with a row per reading [default: found]
    #[arg(long, value_name = "COLUMN")]
    name_column: Option<String>,
    /// Column of values, in a table with a row per reading [default: found]
    #[arg(long, value_name = "COLUMN")]
    value_column: Option<String>,
    /// The files are parts of one recording, not a device each
    #[arg(long)]
    join: bool,
    /// Time between two time steps, such as 30s, 1m or 1h [default: the commonest step between rows]
    #[arg(long, value_name = "DURATION")]
    interval: Option<jiff::SignedDuration>,
    /// How several readings of one time step become one value: last, mean, sum, min or max; COLUMN:HOW for one column [default: last]
    #[arg(long, value_name = "HOW,..", value_delimiter = ',')]
    aggregate: Vec<String>,
    /// Time steps for which a silent column repeats its last reading
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    forward_fill_limit: u64,
    /// Longest gap that is bridged, in time steps. After a longer one a model's state starts anew [default: 1440]
    #[arg(long, value_name = "STEPS")]
    max_gap: Option<u64>,
    /// Leave out rows that cannot be used, and warn, where reading would stop
    #[arg(long)]
    force: bool,
}

impl Reading {
    /// The reader's options.
    ///
    /// # Errors
    /// A value that cannot be used.
    fn options(&self) -> anyhow::Result<Options> {
        let mut options = Options {
            time_column: self.time_column.clone(),
            time_format: self.time_format.clone(),
            time_zone: self.time_zone.clone(),
            columns: self.columns.clone(),
            keep: self.keep.clone(),
            ignore: self.ignore.clone(),
            delimiter: self.delimiter,
            decimal: self.decimal.as_ref().and_then(|text| text.chars().next()),
            encoding: self.encoding.clone(),
            missing_values: self.missing_values.clone(),
            difference: self.difference.clone(),
            series: self.series.clone(),
            name_column: self.name_column.clone(),
            value_column: self.value_column.clone(),
            join: self.join,
            forward_fill_limit: self.forward_fill_limit,
            max_gap: self.max_gap.unwrap_or(Options::default().max_gap),
            force: self.force,
            ..Options::default()
        };
        if let Some(interval) = self.interval {
            let ms = u64::try_from(interval.as_millis()).ok().filter(|&ms| ms > 0);
            options.interval_ms = Some(ms.ok_or_else(|| anyhow!("--interval {interval:#}: give at least 1 ms"))?);
        }
        for entry in &self.aggregate {
            let (column, how) = match entry.rsplit_once(':') {
                Some((column, how)) => (Some(column), how),
                None => (None, entry.as_str()),
            };
            let how = aggregate(how).ok_or_else(|| anyhow!("--aggregate {entry}: use last, mean, sum, min or max"))?;
            match column {
                Some(column) => {
                    options.aggregates.insert(column.to_owned(), how);
                }
                None => options.aggregate = Some(how),
            }
        }
        Ok(options)
    }

    /// The options of this kind among the arguments of a command line, for another command that reads the same recording.
    pub fn arguments(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
        let known = Self::augment_args(clap::Command::new("reading"));
        let find = |name: &str| known.get_arguments().find(|argument| argument.get_long() == Some(name));
        let mut arguments = arguments.into_iter();
        let mut found = Vec::new();
        while let Some(argument) = arguments.next() {
            let name = argument
                .strip_prefix("--")
                .map(|text| text.split_once('=').map_or(text, |(name, _)| name));
            if let Some(option) = name.and_then(find) {
                let has_more = option.get_action().takes_values() && !argument.contains('=');
                found.push(argument);
                found.extend(has_more.then(|| arguments.next()).flatten());
            }
        }
        found
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// Whatever is wrong with the options or the files.
    pub fn read(&self, paths: &[PathBuf]) -> anyhow::Result<(Table, Report)> {
        let options = self.options()?;
        Ok(metered(|meter| Table::read_metered(paths, &options, meter))?)
    }

    /// Reads a recording for the report of how it was read.
    ///
    /// # Errors
    /// Whatever is wrong with the options or the files.
    pub fn report(&self, paths: &[PathBuf]) -> anyhow::Result<Report> {
        let options = self.options()?;
        Ok(metered(|meter| tsm2_data::read_metered(paths, &options, meter))?.1)
    }

    /// Reads the columns of these names, in this order.
    ///
    /// # Errors
    /// Whatever is wrong with the options or the file; a column that is not there.
    pub fn read_columns(&self, paths: &[PathBuf], names: &[String]) -> anyhow::Result<(Table, Report)> {
        let options = Options {
            columns: names.to_vec(),
            ..self.options()?
        };
        Ok(metered(|meter| Table::read_metered(paths, &options, meter))?)
    }
}

fn aggregate(how: &str) -> Option<Aggregate> {
    match how {
        "last" => Some(Aggregate::Last),
        "mean" => Some(Aggregate::Mean),
        "sum" => Some(Aggregate::Sum),
        "min" => Some(Aggregate::Min),
        "max" => Some(Aggregate::Max),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_reading_are_found_among_others() {
        let line = "tsm2 train --data a.csv --missing-values -9999 --budget 5s --join --columns=a,b --time-zone Europe/Berlin --out mine";
        assert_eq!(
            Reading::arguments(line.split(' ').map(str::to_owned)).join(" "),
            "--missing-values -9999 --join --columns=a,b --time-zone Europe/Berlin"
        );
    }
}
