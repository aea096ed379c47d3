//! The suite's table, for people and as CSV.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

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

/// The table in Markdown.
pub fn markdown(verdicts: &[Verdict]) -> String {
    let mut table = Table::new();
    table.force_no_tty().load_style(presets::ASCII_MARKDOWN).set_header(COLUMNS);
    table.add_rows(verdicts.iter().map(cells));
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

/// Writes the table as CSV.
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
