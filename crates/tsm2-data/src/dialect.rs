//! How a file is laid out: delimiter, lines above the header, header, units, and where the rows begin.
//!
//! Everything is decided on the first lines. A delimiter is right when the cells between are numbers, times and states; ties go to
//! more columns. A line is a row when its cells are numbers and times where those of later lines are.

use csv::{ByteRecord, ReaderBuilder, Terminator};

use crate::cells::{Class, classify, name, trim};
use crate::error::{Error, shown};
use crate::options::Options;
use crate::source::Source;
use crate::time::date::ORDERS;
use crate::time::formats::parse;
use crate::units;

/// The layout of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dialect {
    /// The character between cells; a space stands for any number of them.
    pub delimiter: u8,
    /// Physical lines above the first row.
    pub lines_above: u64,
    /// Cells of the header as they stand, to know it again.
    pub header: Option<Vec<Vec<u8>>>,
    /// Names of the columns; without a header empty texts.
    pub names: Vec<String>,
    /// Unit of each column, from the line of units or the name.
    pub units: Vec<Option<String>>,
    /// What a user should know.
    pub notes: Vec<String>,
}

/// Text looked at.
const SAMPLE: usize = 256 * 1024;
/// Lines looked at.
const LINES: usize = 400;

const DELIMITERS: [u8; 5] = [b',', b';', b'\t', b'|', b' '];

struct Line {
    /// From 0.
    line: u64,
    cells: Vec<Vec<u8>>,
}

impl Dialect {
    pub fn find(source: &Source<'_>, options: &Options) -> Result<Dialect, Error> {
        let mut sample = source.head(SAMPLE)?;
        if sample.len() == SAMPLE {
            // The last line is cut.
            let end = sample.iter().rposition(|&byte| byte == b'\n').map_or(SAMPLE, |at| at + 1);
            sample.truncate(end);
        }
        let empty = || Error::Empty { path: source.path.into() };
        let (separator, skipped) = separator_line(&sample);
        let text = &sample[skipped.1..];
        let chosen = match options.delimiter.or(separator) {
            Some(c) => u8::try_from(c).ok().filter(u8::is_ascii).ok_or_else(|| Error::Option {
                option: "--delimiter",
                value: c.into(),
                problem: "give one ASCII character".into(),
            })?,
            None => best_delimiter(text).ok_or_else(empty)?,
        };
        let lines = lines(text, chosen);
        if lines.is_empty() {
            return Err(empty());
        }
        let mut dialect = of_lines(source, &lines, chosen)?;
        dialect.lines_above += skipped.0;
        Ok(dialect)
    }
}

/// The delimiter that a line `sep=;` names, and the lines and bytes up to its end.
fn separator_line(sample: &[u8]) -> (Option<char>, (u64, usize)) {
    let line = sample.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let name = trim(line).trim_ascii_start();
    let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
    let is_separator = name.len() <= 5 && name.len() >= 4 && name[..4].eq_ignore_ascii_case(b"sep=");
    if !is_separator {
        return (None, (0, 0));
    }
    let delimiter = name.get(4).map_or('\t', |&byte| byte.into());
    (Some(delimiter), (1, (line.len() + 1).min(sample.len())))
}

fn lines(text: &[u8], delimiter: u8) -> Vec<Line> {
    let collapsed;
    let text = match delimiter {
        b' ' => {
            collapsed = crate::spaces::collapse(text);
            collapsed.as_slice()
        }
        _ => text,
    };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(text);
    let mut record = ByteRecord::new();
    let mut lines = Vec::new();
    while lines.len() < LINES && reader.read_byte_record(&mut record).unwrap_or(false) {
        let cells: Vec<Vec<u8>> = record.iter().map(|cell| trim(cell).to_vec()).collect();
        let is_blank = cells.iter().all(Vec::is_empty);
        let has_nul = record.as_slice().contains(&0);
        if !is_blank && !has_nul {
            let line = record.position().map_or(1, csv::Position::line) - 1;
            lines.push(Line { line, cells });
        }
    }
    lines
}

/// Whether a cell is one that a row of readings has.
fn is_value(cell: &[u8]) -> bool {
    !matches!(classify(cell), Class::Empty | Class::Text) || is_time(cell)
}

fn is_time(cell: &[u8]) -> bool {
    ORDERS.iter().any(|&order| parse(cell, order).is_some())
}

fn best_delimiter(text: &[u8]) -> Option<u8> {
    let mut best: Option<(f64, usize, u8)> = None;
    for delimiter in DELIMITERS {
        let lines = lines(text, delimiter);
        let Some(width) = width(&lines) else { continue };
        let tail = tail(&lines);
        let (mut good, mut all) = (0.0, 0.0);
        for line in tail {
            all += line.cells.len().max(width) as f64;
            if line.cells.len() == width {
                let values = line.cells.iter().map(|cell| {
                    if cell.is_empty() {
                        0.5
                    } else {
                        f64::from(u8::from(is_value(cell)))
                    }
                });
                good += values.sum::<f64>();
            }
        }
        let mut score = good / all.max(1.0);
        if width == 1 {
            score *= 0.3;
        }
        // A header with as many names speaks for it.
        if width > 1
            && lines.iter().take(30).any(|line| {
                is_header_like(line, width)
                    && line
                        .cells
                        .iter()
                        .all(|cell| matches!(classify(cell), Class::Empty | Class::Text) && !is_time(cell))
            })
        {
            score += 0.25;
        }
        // A space is also part of times and of texts.
        if delimiter == b' ' {
            score *= 0.95;
        }
        // The tabs of a table with tabs may part empty cells.
        if delimiter == b' ' && has_even_tabs(text) {
            score *= 0.8;
        }
        let is_better = best.is_none_or(|(other, columns, _)| score > other + 1e-9 || score > other - 1e-9 && width > columns);
        if is_better {
            best = Some((score, width, delimiter));
        }
    }
    best.map(|(_, _, delimiter)| delimiter)
}

/// Whether each of the later lines has as many tabs.
fn has_even_tabs(text: &[u8]) -> bool {
    let lines: Vec<&[u8]> = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .take(LINES)
        .collect();
    let mut tabs = lines[lines.len() / 3..]
        .iter()
        .map(|line| line.iter().filter(|&&byte| byte == b'\t').count());
    let first = tabs.next().unwrap_or(0);
    first > 0 && tabs.all(|count| count == first)
}

/// The commonest number of cells, of the later lines.
fn width(lines: &[Line]) -> Option<usize> {
    let tail = tail(lines);
    let count = |width: usize| tail.iter().filter(|line| line.cells.len() == width).count();
    tail.iter().map(|line| line.cells.len()).max_by_key(|&width| (count(width), width))
}

/// The lines that are most likely rows.
fn tail(lines: &[Line]) -> &[Line] {
    &lines[(lines.len() / 3).max(usize::from(lines.len() > 1))..]
}

/// What a column's later cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typed {
    Value,
    Time,
    Free,
}

fn of_lines(source: &Source<'_>, lines: &[Line], delimiter: u8) -> Result<Dialect, Error> {
    let width = width(lines).unwrap_or(1);
    let typed = typed(lines, width);
    let looks_like_row = |at: usize| is_row(&lines[at], &typed, lines[..at].iter().any(|above| is_header_like(above, width)));
    // A line of numbers within a description is no row: rows follow one another.
    let goes_on = |at: usize| {
        let next = at + 1..lines.len().min(at + 5);
        next.clone().filter(|&at| looks_like_row(at)).count() * 2 >= next.len()
    };
    // Nor does another header stand among the first rows.
    let ends_at_header = |at: usize| {
        let is_name = |cell: &Vec<u8>| cell.is_empty() || matches!(classify(cell), Class::Text) && !is_time(cell);
        let is_new = |line: &Line| lines[..at].iter().all(|above| above.cells != line.cells);
        let next = lines.len().min(at + 5);
        lines[at + 1..next]
            .iter()
            .any(|line| is_header_like(line, width) && line.cells.iter().all(is_name) && is_new(line))
    };
    let has_numbers = typed.contains(&Typed::Value) || typed.contains(&Typed::Time);
    let body = (0..lines.len()).find(|&at| looks_like_row(at) && goes_on(at) && !(has_numbers && ends_at_header(at)));
    let Some(body) = body else {
        let header = lines.iter().any(|line| line.cells.iter().any(|cell| !cell.is_empty()));
        let path = source.path.into();
        return Err(if header {
            Error::HeaderOnly { path }
        } else {
            Error::Empty { path }
        });
    };
    let above = &lines[..body];
    let candidates: Vec<usize> = (0..above.len()).filter(|&at| is_header_like(&above[at], width)).collect();
    let distinct = |at: &usize| {
        let mut names: Vec<&[u8]> = above[*at].cells.iter().map(Vec::as_slice).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        let units = above[*at]
            .cells
            .iter()
            .filter(|cell| units::is_unit_cell(&String::from_utf8_lossy(cell)))
            .count();
        let is_word = |name: &&&[u8]| !matches!(classify(name), Class::Number(_)) && !is_time(name);
        let words = names.iter().filter(is_word).count();
        let is_ruled = lines.get(at + 1).is_some_and(is_rule);
        let fits = above[*at].cells.len() <= width;
        (units * 2 <= above[*at].cells.len(), is_ruled, fits, words, names.len())
    };
    // Of equals the first: units and statistics stand below the names.
    let header = candidates.iter().copied().rev().max_by_key(distinct);
    let lines_above = lines[body].line;
    let mut dialect = Dialect {
        delimiter,
        lines_above,
        header: None,
        names: vec![String::new(); width],
        units: vec![None; width],
        notes: Vec::new(),
    };
    if let Some(at) = header {
        dialect.header = Some(above[at].cells.clone());
        dialect.names = names(&above[at].cells, width, lines);
        strip_types(&mut dialect.names);
        let level_above = candidates.iter().rev().find(|&&other| other < at);
        if let Some(&level) = level_above {
            join_levels(&mut dialect.names, &names(&above[level].cells, width, lines));
        }
        dialect.units = dialect.names.iter().map(|name| units::of_name(name)).collect();
        let is_of_units = |&&below: &&usize| below > at && !above[below - 1].cells[0].starts_with(b"#TYPES");
        for &below in candidates.iter().filter(is_of_units) {
            let cells = names(&above[below].cells, width, lines);
            let units = cells.iter().filter(|cell| units::is_unit_cell(cell)).count();
            if units * 2 > cells.len() {
                for (unit, cell) in dialect.units.iter_mut().zip(&cells) {
                    let cell = cell.trim_matches(['(', ')', '[', ']']);
                    if unit.is_none() && units::is_unit(cell) {
                        *unit = Some(cell.to_owned());
                    }
                }
            }
        }
        let skipped = above.len() - 1;
        if skipped > 0 {
            let first = above.iter().enumerate().find(|(other, _)| *other != at).map(|(_, line)| line);
            let example = first
                .map(|line| shown(&String::from_utf8_lossy(&line.cells.join(&b' '))))
                .unwrap_or_default();
            let lines = if skipped == 1 { "1 line" } else { &format!("{skipped} lines") };
            dialect
                .notes
                .push(format!("{lines} above the rows beside the header skipped (`{example}`)"));
        }
    } else if !above.is_empty() {
        let example = shown(&String::from_utf8_lossy(&above[0].cells.join(&b' ')));
        let count = above.len();
        let lines = if count == 1 { "1 line" } else { &format!("{count} lines") };
        dialect
            .notes
            .push(format!("{lines} above the rows skipped (`{example}`); no header found"));
    }
    if width > 2 && header.is_none() && above.iter().any(|line| line.cells.len() * 2 - 1 == width && delimiter == b',') {
        return Err(Error::Option {
            option: "--decimal",
            value: ",".into(),
            problem: format!(
                "{}: the rows have {width} cells between commas where the header has fewer names: the file uses a decimal comma and commas between cells; \
                 export it with semicolons between cells, or with numbers in quotes",
                source.path.display()
            ),
        });
    }
    Ok(dialect)
}

/// What each column holds in the later lines.
fn typed(lines: &[Line], width: usize) -> Vec<Typed> {
    let rows: Vec<&Line> = tail(lines).iter().filter(|line| line.cells.len() == width).collect();
    (0..width)
        .map(|c| {
            let cells: Vec<&[u8]> = rows
                .iter()
                .map(|line| line.cells[c].as_slice())
                .filter(|cell| !cell.is_empty())
                .collect();
            let share = |is: fn(&[u8]) -> bool| cells.iter().filter(|cell| is(cell)).count() * 10 > cells.len() * 6;
            match () {
                () if share(is_time) => Typed::Time,
                () if share(is_value) => Typed::Value,
                () => Typed::Free,
            }
        })
        .collect()
}

/// Whether a line is a row. Below a header some cells may be spoiled; a first line must fit in all.
fn is_row(line: &Line, typed: &[Typed], below_header: bool) -> bool {
    if line.cells.len() != typed.len() || line.cells[0].starts_with(b"#") {
        return false;
    }
    let (mut good, mut bad) = (0, 0);
    for (cell, typed) in line.cells.iter().zip(typed) {
        let is_good = match typed {
            Typed::Free => continue,
            _ if cell.is_empty() => continue,
            Typed::Time if !is_time(cell) => return false,
            Typed::Time => true,
            Typed::Value => !matches!(classify(cell), Class::Empty | Class::Text),
        };
        if is_good { good += 1 } else { bad += 1 }
    }
    if typed.iter().all(|typed| *typed == Typed::Free) {
        return below_header;
    }
    if below_header { good > bad } else { good > 0 && bad == 0 }
}

/// Whether a line above the rows may be the header or belong to it.
fn is_header_like(line: &Line, width: usize) -> bool {
    let cells = &line.cells;
    let named = cells.iter().filter(|cell| !cell.is_empty()).count();
    let is_name = |cell: &Vec<u8>| matches!(classify(cell), Class::Empty | Class::Text) && !is_time(cell);
    let is_comment = cells.len() == width + 1 && cells[0] == b"#";
    let is_longer = (width + 1..width + 4).contains(&cells.len()) && width > 2 && cells.iter().all(is_name);
    let is_near = cells.len() == width
        || cells.len() + 1 == width && width > 1
        || cells.len() == width + 1 && cells[width].is_empty()
        // Of cells that only the first row has.
        || is_comment
        || is_longer;
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
    is_near
        && named * 2 >= cells.len()
        && !cells.iter().all(|cell| cell.iter().all(|byte| b"-=:_+".contains(byte)))
        && !ANNOTATIONS.iter().any(|annotation| cells[0].starts_with(annotation))
        && cells
            .iter()
            .any(|cell| matches!(classify(cell), Class::Text | Class::Missing | Class::State(_) | Class::Comma(_)) && !is_time(cell))
}

/// Whether a line only parts the header from the rows.
fn is_rule(line: &Line) -> bool {
    line.cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.iter().all(|byte| b"-=+|".contains(byte)))
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
fn names(cells: &[Vec<u8>], width: usize, lines: &[Line]) -> Vec<String> {
    let mut names: Vec<String> = cells.iter().map(|cell| name(cell)).collect();
    if names.len() == width + 1 && names[0] == "#" {
        names.remove(0);
    }
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
    let is_unique = (1..names.len()).all(|at| !names[..at].contains(&names[at]));
    if is_unique {
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
