//! A report as text for a terminal: ten lines, or a drawing with a sparkline per variate.

use crate::report::{Kind, Report, VariateReport};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Width of the sparklines.
const SPARKLINE: usize = 24;
/// Lines of the short form.
const BRIEF: usize = 10;

impl Report {
    /// How the recording was read, in at most ten lines.
    pub fn brief(&self) -> String {
        let mut lines = self.headline();
        let names = self.variates.iter().map(|variate| variate.name.as_str());
        lines.push(format!("  {} variates: {}", self.variates.len(), some(names)));
        if !self.dropped_columns.is_empty() {
            let columns: Vec<String> = self
                .dropped_columns
                .iter()
                .map(|column| format!("{} ({})", column.name, column.reason))
                .collect();
            lines.push(format!("  left out: {}", some(columns.iter().map(String::as_str))));
        }
        let rows: Vec<String> = self
            .dropped_rows
            .iter()
            .map(|rows| format!("{} ({}, line {})", rows.count, rows.reason, rows.first_line))
            .collect();
        if !rows.is_empty() {
            lines.push(format!("  rows left out: {}", some(rows.iter().map(String::as_str))));
        }
        let room = BRIEF - lines.len();
        let (shown, more) = match self.warnings.len() > room {
            true => (room - 1, self.warnings.len() - (room - 1)),
            false => (self.warnings.len(), 0),
        };
        lines.extend(self.warnings.iter().take(shown).map(|warning| format!("  note: {warning}")));
        if more > 0 {
            lines.push(format!("  and {more} more notes: `tsm2 describe` shows all"));
        }
        lines.join("\n") + "\n"
    }

    /// How the recording was read, with a line per variate, at most `width` characters wide where texts allow it.
    pub fn drawing(&self, width: usize) -> String {
        let mut lines = self.headline();
        let names = self.variates.iter().map(label).collect::<Vec<_>>();
        let longest = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .min(width.saturating_sub(70).max(16));
        lines.push(String::new());
        lines.push(format!(
            "  {:longest$}  {:SPARKLINE$}  {:>9}  {:>22}  kind",
            "variate", "", "coverage", "range"
        ));
        for (variate, name) in self.variates.iter().zip(&names) {
            lines.push(format!(
                "  {:longest$}  {:SPARKLINE$}  {:>9}  {:>22}  {}",
                cut(name, longest),
                sparkline(&variate.shape.parts),
                coverage(variate.missing, self.rows),
                range(variate),
                kind(variate)
            ));
        }
        for (title, rows) in [
            (
                "columns left out",
                self.dropped_columns
                    .iter()
                    .map(|column| format!("{}: {}", column.name, column.reason))
                    .collect::<Vec<_>>(),
            ),
            (
                "rows left out",
                self.dropped_rows
                    .iter()
                    .map(|rows| format!("{}: {}, the first in line {}", rows.count, rows.reason, rows.first_line))
                    .collect(),
            ),
            ("notes", self.warnings.clone()),
        ] {
            if !rows.is_empty() {
                lines.push(String::new());
                lines.push(format!("  {title}"));
                lines.extend(rows.into_iter().map(|row| format!("    {row}")));
            }
        }
        lines.join("\n") + "\n"
    }

    /// Files, time, interval.
    fn headline(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} rows", some(self.files.iter().map(String::as_str)), self.rows)];
        match (&self.start, &self.end) {
            (Some(start), Some(end)) => lines.push(format!("  {start} to {end}")),
            _ => lines.push("  no time: the rows are taken as evenly spaced".into()),
        }
        if let Some(column) = &self.time_column {
            let zone = self.time_zone.as_ref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
            let format = self.time_format.as_deref().unwrap_or("unknown");
            lines.push(format!("  time from `{column}` ({format}{zone})"));
        }
        if let Some(interval) = self.interval_s {
            let shape = &self.shape;
            let regular = 100.0 * shape.regularity;
            let segments = if shape.segments > 1 {
                format!(", {} segments", shape.segments)
            } else {
                String::new()
            };
            lines.push(format!(
                "  every {interval} s ({regular:.1} % of the steps), {} time steps{segments}",
                shape.time_steps
            ));
        }
        if !self.shape.series.is_empty() {
            lines.push(format!(
                "  {} devices: {}",
                self.shape.series.len(),
                some(self.shape.series.iter().map(String::as_str))
            ));
        }
        lines
    }
}

/// The first names and how many more there are.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() > 8 {
        true => format!("{} and {} more", names[..7].join(", "), names.len() - 7),
        false => names.join(", "),
    }
}

fn label(variate: &VariateReport) -> String {
    match &variate.unit {
        Some(unit) if !variate.name.contains(unit.as_str()) => format!("{} [{unit}]", variate.name),
        _ => variate.name.clone(),
    }
}

fn cut(name: &str, width: usize) -> String {
    match name.chars().count() > width {
        true => name.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

/// Share of rows with a reading.
fn coverage(missing: u64, rows: u64) -> String {
    let share = 100.0 * (1.0 - missing as f64 / rows.max(1) as f64);
    // Never 100 % where something is missing.
    if missing > 0 && share > 99.9 {
        ">99.9 %".into()
    } else {
        format!("{share:.1} %")
    }
}

fn range(variate: &VariateReport) -> String {
    match (variate.min, variate.max) {
        (Some(min), Some(max)) if min == max => short(min),
        (Some(min), Some(max)) => format!("{} .. {}", short(min), short(max)),
        _ => "no reading".into(),
    }
}

fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn kind(variate: &VariateReport) -> String {
    let kind = match variate.kind {
        Kind::Number => "number",
        Kind::OnOff => "on/off",
        Kind::Counter => "counter",
        Kind::Constant => "constant",
        Kind::Empty => "empty",
    };
    let stretch = variate.shape.longest_constant;
    match matches!(variate.kind, Kind::Number | Kind::Counter) && stretch >= 50 {
        true => format!("{kind}, one value for {stretch} rows"),
        false => kind.into(),
    }
}

/// The parts as bars; a blank where no reading is.
fn sparkline(parts: &[f32]) -> String {
    let known = || parts.iter().copied().filter(|part| !part.is_nan());
    let (min, max) = (known().fold(f32::INFINITY, f32::min), known().fold(f32::NEG_INFINITY, f32::max));
    let bars = SPARKLINE.min(parts.len());
    (0..bars)
        .map(|bar| {
            let part = &parts[bar * parts.len() / bars..(bar + 1) * parts.len() / bars];
            let (sum, count) = part
                .iter()
                .filter(|value| !value.is_nan())
                .fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
            match count {
                0 => ' ',
                _ if max <= min => BARS[3],
                _ => BARS[(((sum / count as f32 - min) / (max - min)) * 7.99).clamp(0.0, 7.0) as usize],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Options, read_bytes};

    #[test]
    fn the_short_form_has_ten_lines_and_the_drawing_all() {
        let mut text = String::from("time,a,b,note\n");
        for row in 0..50 {
            text += &format!("2024-03-04 00:{row:02}:00,{},{},x\n", row % 7, row % 2);
        }
        let (_, mut report) = read_bytes(Path::new("some.csv"), text.as_bytes(), &Options::default()).unwrap();
        report.warnings.extend((0..20).map(|number| format!("note {number}")));
        let brief = report.brief();
        assert_eq!(brief.lines().count(), 10, "{brief}");
        assert!(
            brief.contains("every 60 s") && brief.contains("note (text: `x` throughout)"),
            "{brief}"
        );
        let drawing = report.drawing(100);
        assert!(
            drawing.contains("note 19") && drawing.contains('▁') && drawing.contains("on/off"),
            "{drawing}"
        );
    }
}
