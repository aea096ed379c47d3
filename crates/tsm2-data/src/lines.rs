//! The first lines of a file by one delimiter, each cell looked at once.

use std::cell::OnceCell;

use crate::cells::{Class, classify, trim};
use crate::delimited::Records;
use crate::error::shown;
use crate::spaces;
use crate::time::date::ORDERS;
use crate::time::formats::parse;

/// Lines looked at.
const LINES: usize = 400;

/// A line as cells.
pub(crate) struct Line {
    /// From 0.
    pub line: u64,
    pub cells: Vec<Cell>,
}

/// A trimmed cell.
pub(crate) struct Cell {
    pub text: Vec<u8>,
    pub looks: Looks,
    is_time: OnceCell<bool>,
}

/// What a cell looks like, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    Empty,
    Number,
    /// A number with a comma.
    Comma,
    /// A number with a unit.
    Unit,
    State,
    /// A word for no reading.
    Missing,
    Text,
}

impl Cell {
    fn new(text: &[u8]) -> Cell {
        let looks = match classify(text) {
            Class::Empty => Looks::Empty,
            Class::Number(_) => Looks::Number,
            Class::Comma(_) => Looks::Comma,
            Class::Unit(..) => Looks::Unit,
            Class::State(_) => Looks::State,
            Class::Missing => Looks::Missing,
            Class::Text => Looks::Text,
        };
        Cell {
            text: text.to_vec(),
            looks,
            is_time: OnceCell::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.looks == Looks::Empty
    }

    pub fn is_time(&self) -> bool {
        let is_time = || ORDERS.iter().any(|&order| parse(&self.text, order).is_some());
        *self.is_time.get_or_init(is_time)
    }

    /// Whether a row of readings has such a cell.
    pub fn is_value(&self) -> bool {
        !matches!(self.looks, Looks::Empty | Looks::Text) || self.is_time()
    }

    /// Whether the cell can only be a name.
    pub fn is_word(&self) -> bool {
        self.looks == Looks::Text && !self.is_time()
    }

    /// The cell as text.
    pub fn as_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }
}

impl Line {
    pub fn has_value(&self) -> bool {
        self.cells.iter().any(Cell::is_value)
    }

    /// Whether another line has the same cells.
    pub fn is_same(&self, other: &Line) -> bool {
        self.cells
            .iter()
            .map(|cell| &cell.text)
            .eq(other.cells.iter().map(|cell| &cell.text))
    }

    /// The line as an example in a message.
    pub fn shown(&self) -> String {
        let cells: Vec<_> = self.cells.iter().map(Cell::as_text).collect();
        shown(&cells.join(" "))
    }
}

/// The lines of a text that hold anything.
pub(crate) fn lines(text: &[u8], delimiter: u8) -> Vec<Line> {
    let collapsed;
    let text = match delimiter {
        b' ' => {
            collapsed = spaces::collapse(text);
            collapsed.as_slice()
        }
        _ => text,
    };
    let mut records = Records::new(text, delimiter);
    let mut lines = Vec::new();
    // Reading from memory cannot fail.
    while lines.len() < LINES && records.advance().unwrap_or(false) {
        let record = records.record();
        let is_blank = record.iter().all(|cell| trim(cell).is_empty());
        let has_nul = record.all().contains(&0);
        if !is_blank && !has_nul {
            lines.push(Line {
                line: records.line() - 1,
                cells: record.iter().map(|cell| Cell::new(trim(cell))).collect(),
            });
        }
    }
    lines
}

/// Whether each of the later lines has as many tabs.
pub(crate) fn has_even_tabs(text: &[u8]) -> bool {
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
pub(crate) fn width(lines: &[Line]) -> Option<usize> {
    let mut widths: Vec<usize> = tail(lines).iter().map(|line| line.cells.len()).collect();
    widths.sort_unstable();
    let commonest = widths.chunk_by(|a, b| a == b).max_by_key(|equal| (equal.len(), equal[0]));
    commonest.map(|equal| equal[0])
}

/// The lines that are most likely rows.
pub(crate) fn tail(lines: &[Line]) -> &[Line] {
    &lines[(lines.len() / 3).max(usize::from(lines.len() > 1))..]
}
