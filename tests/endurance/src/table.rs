//! Tables of results, for people and as CSV.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

/// One line of a table. The first column names the line, the others are numbers.
pub trait Row {
    /// Heads of the columns.
    const COLUMNS: &'static [&'static str];

    /// The line's cells.
    fn cells(&self) -> Vec<String>;
}

/// The table in Markdown.
pub fn markdown<R: Row>(rows: &[R]) -> String {
    let mut table = Table::new();
    table
        .force_no_tty()
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(R::COLUMNS.iter().copied());
    table.add_rows(rows.iter().map(Row::cells));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Writes the table as CSV.
///
/// # Errors
/// What the operating system said.
pub fn write_csv<R: Row>(path: &Path, rows: &[R]) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(R::COLUMNS)?;
    for row in rows {
        writer.write_record(row.cells())?;
    }
    Ok(writer.flush()?)
}
