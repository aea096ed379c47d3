//! The suite's table, for people and as CSV.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use crate::load::Row;
use crate::verdict::Verdict;

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

fn cells(verdict: &Verdict) -> Vec<String> {
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}"));
    let recovery = verdict.recovery();
    let mut cells = vec![verdict.fault.clone()];
    let counts = [
        verdict.sent,
        verdict.lost_by_broker,
        verdict.consumed,
        verdict.lost,
        verdict.twice,
        verdict.again,
        verdict.nonsense,
        verdict.due,
        verdict.passed,
        verdict.wrong,
    ];
    cells.extend(counts.map(|count| count.to_string()));
    cells.push(seconds(recovery.map(|(median, _)| median)));
    cells.push(seconds(recovery.map(|(_, longest)| longest)));
    cells
}

/// The fault suite's table in Markdown.
pub fn markdown(verdicts: &[Verdict]) -> String {
    drawn(&COLUMNS, verdicts.iter().map(cells))
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
pub fn notes(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        text.push_str(&format!("- {}: {}\n", verdict.fault, verdict.how));
        for complaint in &verdict.complaints {
            text.push_str(&format!("  - DOES NOT HOLD: {complaint}\n"));
        }
    }
    text
}

/// Writes the fault suite's table as CSV.
///
/// # Errors
/// What the operating system said.
pub fn write_csv(path: &Path, verdicts: &[Verdict]) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(COLUMNS.iter().copied().chain(["how"]))?;
    for verdict in verdicts {
        writer.write_record(cells(verdict).into_iter().chain([verdict.how.clone()]))?;
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
