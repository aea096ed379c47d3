//! The suite's table, for people and as CSV.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use crate::load::Row;
use crate::result::FaultResult;

const COLUMNS: [&str; 13] = [
    "fault",
    "sent",
    "lost by the broker",
    "consumed",
    "lost",
    "twice",
    "came again",
    "refused",
    "forecasts due",
    "passed",
    "wrong",
    "recovery s, median",
    "longest",
];

const LOAD_COLUMNS: [&str; 8] = [
    "streams",
    "readings/s",
    "delay p50, ms",
    "p99",
    "longest",
    "readings of that trial",
    "readings of all trials",
    "lost",
];

fn load_cells(row: &Row) -> Vec<String> {
    let (sent, consumed) = row.total;
    let mut cells = vec![row.streams.to_string(), format!("{:.0}", row.rate)];
    cells.extend(row.delay_ms.map(|delay| format!("{delay:.1}")));
    cells.extend([
        row.readings.to_string(),
        sent.to_string(),
        sent.saturating_sub(consumed).to_string(),
    ]);
    cells
}

fn cells(result: &FaultResult) -> Vec<String> {
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}"));
    let recovery = result.recovery();
    let mut cells = vec![result.fault.clone()];
    let counts = [
        result.sent,
        result.lost_by_broker,
        result.consumed,
        result.lost,
        result.twice,
        result.again,
        result.nonsense,
        result.due,
        result.passed,
        result.wrong,
    ];
    cells.extend(counts.map(|count| count.to_string()));
    cells.push(seconds(recovery.map(|(median, _)| median)));
    cells.push(seconds(recovery.map(|(_, longest)| longest)));
    cells
}

/// The fault suite's table in Markdown.
pub fn markdown(results: &[FaultResult]) -> String {
    drawn(&COLUMNS, results.iter().map(cells))
}

/// The load test's table in Markdown.
pub fn load_markdown(rows: &[Row]) -> String {
    drawn(&LOAD_COLUMNS, rows.iter().map(load_cells))
}

fn drawn(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .force_no_tty()
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(columns.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// What each fault was, and what does not hold, a line each.
pub fn notes(results: &[FaultResult]) -> String {
    let mut text = String::new();
    for result in results {
        text.push_str(&format!("- {}: {}\n", result.fault, result.how));
        for complaint in &result.complaints {
            text.push_str(&format!("  - DOES NOT HOLD: {complaint}\n"));
        }
    }
    text
}

/// Writes the fault suite's table as CSV.
///
/// # Errors
/// What the operating system said.
pub fn write_csv(path: &Path, results: &[FaultResult]) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(COLUMNS.iter().copied().chain(["how"]))?;
    for result in results {
        writer.write_record(cells(result).into_iter().chain([result.how.clone()]))?;
    }
    Ok(writer.flush()?)
}

/// Writes the load test's table as CSV.
///
/// # Errors
/// What the operating system said.
pub fn write_load_csv(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(LOAD_COLUMNS)?;
    for row in rows {
        writer.write_record(load_cells(row))?;
    }
    Ok(writer.flush()?)
}
