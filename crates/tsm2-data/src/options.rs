//! What a caller may ask of the reader.

use std::collections::BTreeMap;

pub use tsm2_stream::Aggregate;

/// How a recording is read. The default finds everything by itself.
///
/// ```
/// use tsm2_data::Options;
/// let options = Options { time_zone: Some("Europe/Berlin".into()), ..Options::default() };
/// assert!(options.interval_ms.is_none());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `--time-column`: the column of times, or the columns of date and time of day. Empty: found.
    pub time_column: Vec<String>,
    /// `--time-format`: `dmy`, `mdy`, `ymd`; `unix-s`, `unix-ms`, `unix-us`, `unix-ns`; `excel`; `matlab`; `labview`; `filetime`; `dotnet`; `elapsed-s`, `elapsed-min`,
    /// `elapsed-h`, `elapsed-d`; or a pattern such as `%d.%m.%Y %H:%M`.
    pub time_format: Option<String>,
    /// `--time-zone`: zone of times without an offset, as an IANA name or `+01:00`. `None`: UTC.
    pub time_zone: Option<String>,
    /// `--columns`: the variates, in this order. Empty: all columns of numbers.
    pub columns: Vec<String>,
    /// `--keep`: columns to read as variates although they look like a row number, a clock or a text.
    pub keep: Vec<String>,
    /// `--ignore`: columns to leave out.
    pub ignore: Vec<String>,
    /// `--delimiter`. `None`: found.
    pub delimiter: Option<char>,
    /// `--decimal`: `.` or `,`. `None`: found.
    pub decimal: Option<char>,
    /// `--encoding`, for example `utf-16le` or `windows-1252`. `None`: found.
    pub encoding: Option<String>,
    /// `--missing-values`: cells that stand for no reading, as words or numbers; `COLUMN:VALUE` for one column.
    pub missing_values: Vec<String>,
    /// `--difference`: counters to be read as the increase since the row before.
    pub difference: Vec<String>,
    /// `--series`: the column that names the device of each row.
    pub series: Option<String>,
    /// `--name-column`: the column that names the variate of each row of a long table. `None`: found.
    pub name_column: Option<String>,
    /// `--value-column`: the column of values of a long table. `None`: found.
    pub value_column: Option<String>,
    /// `--join`: several files are parts of one recording. `false`: a device each.
    pub join: bool,
    /// What becomes of the rows.
    pub steps: Steps,
    /// `--interval`, in milliseconds. `None`: the commonest step between rows.
    pub interval_ms: Option<u64>,
    /// `--aggregate`: how several readings of one time step become one value.
    pub aggregate: Option<Aggregate>,
    /// The same for single variates.
    pub aggregates: BTreeMap<String, Aggregate>,
    /// `--forward-fill-limit`: time steps for which a silent variate repeats its last value.
    pub forward_fill_limit: u64,
    /// `--max-gap`: the longest silence that is bridged, in time steps. A longer one begins a new segment.
    pub max_gap: u64,
    /// `--force`: leave out and warn where reading would stop.
    pub force: bool,
}

/// What becomes of the rows of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Steps {
    /// Regular time steps, by the resampler of the device.
    #[default]
    Regular,
    /// The rows as they stand, each at its own time, oldest first: for replay.
    AsWritten,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            time_column: Vec::new(),
            time_format: None,
            time_zone: None,
            columns: Vec::new(),
            keep: Vec::new(),
            ignore: Vec::new(),
            delimiter: None,
            decimal: None,
            encoding: None,
            missing_values: Vec::new(),
            difference: Vec::new(),
            series: None,
            name_column: None,
            value_column: None,
            join: false,
            steps: Steps::Regular,
            interval_ms: None,
            aggregate: None,
            aggregates: BTreeMap::new(),
            forward_fill_limit: 0,
            max_gap: 1440,
            force: false,
        }
    }
}
