//! The header among the lines above the rows: the names of the columns, and their units.

use std::collections::HashSet;

use crate::cells;
use crate::error::shown;
use crate::lines::{Cell, Line, Looks, tail};
use crate::units;

/// What a header says of the columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Header {
    /// The cells as they stand, to know the header again.
    pub cells: Option<Vec<Vec<u8>>>,
    /// A name per column; without a header empty texts.
    pub names: Vec<String>,
    /// The unit of each column, from the line of units or the name.
    pub units: Vec<Option<String>>,
    /// What a user should know.
    pub notes: Vec<String>,
}

impl Header {
    /// Of the lines above `body`, the first row, in a table of so many columns.
    pub fn find(lines: &[Line], body: usize, width: usize) -> Header {
        let above = &lines[..body];
        let mut candidates: Vec<usize> = (0..body).filter(|&at| may_be(lines, at, width)).collect();
        // Values end a table of properties, whose header is not that of the readings.
        if let Some(last) = (0..body).rev().find(|&at| is_of_values(&lines[at])) {
            let is_below = |&at: &usize| at > last;
            if candidates.iter().any(|at| is_below(at) && !is_of_units(&lines[*at])) {
                candidates.retain(is_below);
            }
        }
        let count = |count: usize| {
            if count == 1 {
                "1 line".to_owned()
            } else {
                format!("{count} lines")
            }
        };
        // Of equals the first: units and statistics stand below the names.
        let Some(at) = candidates.iter().copied().rev().max_by_key(|&at| rank(lines, at, width)) else {
            let note = above
                .first()
                .map(|first| format!("{} above the rows skipped (`{}`); no header found", count(body), first.shown()));
            return Header {
                names: vec![String::new(); width],
                units: vec![None; width],
                notes: note.into_iter().collect(),
                cells: None,
            };
        };
        let mut found = names(&above[at], width, lines);
        strip_types(&mut found);
        if let Some(&level) = candidates.iter().rev().find(|&&other| other < at) {
            join_levels(&mut found, &names(&above[level], width, lines));
        }
        if let Some(&level) = candidates.iter().find(|&&other| other > at && !is_of_units(&above[other])) {
            join_lower_level(&mut found, &names(&above[level], width, lines));
        }
        let mut header = Header::of_names(found);
        header.cells = Some(above[at].cells.iter().map(|cell| cell.text.clone()).collect());
        let may_have_units = |&&below: &&usize| below > at && !above[below - 1].cells[0].text.starts_with(b"#TYPES");
        for &below in candidates.iter().filter(may_have_units) {
            header.add_units(&names(&above[below], width, lines));
        }
        let cut = above[at].cells.iter().skip(width + usize::from(has_mark(&above[at], width)));
        let cut: Vec<String> = cut
            .filter(|cell| !cell.is_empty())
            .map(|cell| format!("`{}`", shown(&cells::name(&cell.text))))
            .collect();
        if !cut.is_empty() {
            header.notes.push(format!(
                "the header has more names than the rows have cells; left out: {}",
                cut.join(", ")
            ));
        }
        if let Some(first) = above.iter().enumerate().find(|(other, _)| *other != at).map(|(_, line)| line) {
            header.notes.push(format!(
                "{} above the rows beside the header skipped (`{}`)",
                count(body - 1),
                first.shown()
            ));
        }
        header
    }

    /// Names that stand in the first line of a table.
    pub fn of_names(names: Vec<String>) -> Header {
        Header {
            units: names.iter().map(|name| units::of_name(name)).collect(),
            names,
            ..Header::default()
        }
    }

    /// Whether the table has a header.
    pub fn has_names(&self) -> bool {
        self.names.iter().any(|name| !name.is_empty())
    }

    /// Takes the units of a line, where most of its cells are units.
    fn add_units(&mut self, cells: &[String]) {
        let units = cells.iter().filter(|cell| units::is_unit_cell(cell)).count();
        if units * 2 <= cells.len() {
            return;
        }
        for (unit, cell) in self.units.iter_mut().zip(cells) {
            let cell = cell.trim_matches(['(', ')', '[', ']']);
            if unit.is_none() && units::is_unit(cell) {
                *unit = Some(cell.to_owned());
            }
        }
    }
}

/// How well a line fits as the header.
fn rank(lines: &[Line], at: usize, width: usize) -> (bool, bool, bool, usize, usize) {
    let cells = &lines[at].cells;
    let mut names: Vec<&Cell> = cells.iter().filter(|cell| !cell.is_empty()).collect();
    names.sort_unstable_by(|a, b| a.text.cmp(&b.text));
    names.dedup_by(|a, b| a.text == b.text);
    let words = names.iter().filter(|name| name.looks != Looks::Number && !name.is_time()).count();
    let is_ruled = lines.get(at + 1).is_some_and(is_rule);
    (!is_of_units(&lines[at]), is_ruled, cells.len() <= width, words, names.len())
}

/// Whether most cells of a line are units.
fn is_of_units(line: &Line) -> bool {
    let units = line.cells.iter().filter(|cell| units::is_unit_cell(&cell.as_text())).count();
    units * 2 > line.cells.len()
}

/// Whether most filled cells of a line are values, and not units. States may be names: `Open`, `Close`.
fn is_of_values(line: &Line) -> bool {
    let filled: Vec<&Cell> = line.cells.iter().filter(|cell| !cell.is_empty()).collect();
    let values = filled.iter().filter(|cell| cell.is_value() && cell.looks != Looks::State).count();
    let units = filled.iter().filter(|cell| units::is_unit_cell(&cell.as_text())).count();
    filled.len() > 1 && values * 2 > filled.len() && units * 2 <= filled.len()
}

/// Whether a line has a mark of its own before its names.
fn has_mark(line: &Line, width: usize) -> bool {
    line.cells.len() == width + 1 && line.cells[0].text == b"#"
}

/// Starts of lines that annotate a table.
const ANNOTATIONS: [&[u8]; 8] = [
    b"#group",
    b"#datatype",
    b"#default",
    b"#constant",
    b"TOA5",
    b"TOB1",
    b"TOACI1",
    b"#timezone",
];

/// Whether a line above the rows may be the header or belong to it.
pub(crate) fn may_be(lines: &[Line], at: usize, width: usize) -> bool {
    let line = &lines[at];
    let cells = &line.cells;
    let named = cells.iter().filter(|cell| !cell.is_empty()).count();
    // Of cells that only the first row has.
    let has_row = |below: &Line| below.cells.len() == cells.len() && below.has_value();
    let is_longer =
        || (width + 1..width + 4).contains(&cells.len()) && width > 2 && !line.has_value() && lines[at + 1..].iter().any(has_row);
    let is_near = cells.len() == width
        || cells.len() + 1 == width && width > 1
        || cells.len() == width + 1 && cells[width].is_empty()
        || has_mark(line, width)
        || is_longer();
    let is_name = |cell: &Cell| matches!(cell.looks, Looks::Text | Looks::Missing | Looks::State | Looks::Comma) && !cell.is_time();
    // Columns without a name may be empty.
    let names_all = || {
        let row = lines[at + 1..].iter().find(|below| has_row(below));
        row.is_some_and(|row| row.cells.iter().zip(cells).all(|(cell, name)| cell.is_empty() || !name.is_empty()))
    };
    is_near
        && (named * 2 >= cells.len() || named > 1 && names_all())
        && !cells.iter().all(|cell| cell.text.iter().all(|byte| b"-=:_+".contains(byte)))
        && !ANNOTATIONS.iter().any(|annotation| cells[0].text.starts_with(annotation))
        && cells.iter().any(is_name)
}

/// Whether a line only parts the header from the rows.
fn is_rule(line: &Line) -> bool {
    let is_rule = |cell: &Cell| !cell.is_empty() && cell.text.iter().all(|byte| b"-=+|".contains(byte));
    line.cells.iter().all(is_rule)
}

/// Names without the types that InfluxDB writes behind them: `_value:float`.
fn strip_types(names: &mut [String]) {
    const TYPES: [&str; 7] = ["time", "string", "float", "int", "uint", "bool", "duration"];
    let is_typed = |name: &String| {
        name.rsplit_once(':')
            .is_some_and(|(name, kind)| !name.is_empty() && TYPES.contains(&kind))
    };
    if names.len() > 1 && names.iter().all(is_typed) {
        for name in names {
            name.truncate(name.rfind(':').unwrap_or(name.len()));
        }
    }
}

/// The names in a header, one per column: one short for row names at the start or a delimiter at the end of each line.
fn names(line: &Line, width: usize, lines: &[Line]) -> Vec<String> {
    let named = line.cells.iter().skip(usize::from(has_mark(line, width)));
    let mut names: Vec<String> = named.map(|cell| cells::name(&cell.text)).collect();
    if let Some(first) = names.first_mut()
        && let Some(rest) = first.strip_prefix('#')
        && !rest.trim().is_empty()
    {
        *first = rest.trim().to_owned();
    }
    names.truncate(width);
    if names.len() < width {
        let rows = || tail(lines).iter().filter(|line| line.cells.len() == width);
        let ends_empty = rows().all(|line| line.cells[width - 1].is_empty());
        if ends_empty {
            names.push(String::new())
        } else {
            names.insert(0, String::new())
        }
    }
    names
}

/// Puts the names of a level above before names that are not unique.
fn join_levels(names: &mut [String], level: &[String]) {
    if are_unique(names) {
        return;
    }
    let mut last = String::new();
    for (name, above) in names.iter_mut().zip(level) {
        if !above.is_empty() {
            last.clone_from(above);
        }
        if !last.is_empty() && !name.is_empty() && *name != last {
            *name = format!("{last} {name}");
        }
    }
}

/// Puts the names of a level below behind names that are not unique: a device, and what it measures.
fn join_lower_level(names: &mut [String], level: &[String]) {
    if are_unique(names) {
        return;
    }
    for (name, below) in names.iter_mut().zip(level) {
        if !below.is_empty() && *name != *below {
            *name = format!("{name} {below}").trim_start().to_owned();
        }
    }
}

fn are_unique(names: &[String]) -> bool {
    let mut taken = HashSet::new();
    names.iter().all(|name| taken.insert(name))
}
