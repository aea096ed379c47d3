//! Records of cells between delimiters; a cell in quotes may hold delimiters and ends of lines.

use std::cell::RefCell;
use std::io::{self, BufRead};
use std::rc::Rc;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

type Automaton = Rc<RefCell<Reader>>;

thread_local! {
    /// Automata by their delimiter, to be used again: making one takes longer than reading a small file.
    static AUTOMATA: RefCell<Vec<(u8, Automaton)>> = const { RefCell::new(Vec::new()) };
}

/// An automaton that nobody else uses, at its start.
fn automaton(delimiter: u8) -> Automaton {
    AUTOMATA.with_borrow_mut(|automata| {
        let is_free = |(of, automaton): &&(u8, Automaton)| *of == delimiter && Rc::strong_count(automaton) == 1;
        if let Some((_, automaton)) = automata.iter().find(is_free) {
            automaton.borrow_mut().reset();
            return Rc::clone(automaton);
        }
        let terminator = Terminator::Any(b'\n');
        let reader = ReaderBuilder::new().delimiter(delimiter).terminator(terminator).build();
        let automaton = Rc::new(RefCell::new(reader));
        automata.push((delimiter, Rc::clone(&automaton)));
        automaton
    })
}

/// The cells of one record.
#[derive(Debug)]
pub(crate) struct Record {
    /// All cells, one behind the other, and room for more.
    bytes: Vec<u8>,
    /// Where each cell ends, and room for more.
    ends: Vec<usize>,
    cells: usize,
}

impl Record {
    /// Number of cells.
    pub fn len(&self) -> usize {
        self.cells
    }

    pub fn get(&self, c: usize) -> Option<&[u8]> {
        let end = *self.ends[..self.cells].get(c)?;
        let start = if c == 0 { 0 } else { self.ends[c - 1] };
        self.bytes.get(start..end)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends[..self.cells].iter().map(move |&end| {
            let cell = &self.bytes[start..end];
            start = end;
            cell
        })
    }

    /// The bytes of all cells.
    pub fn all(&self) -> &[u8] {
        let length = self.cells.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.bytes[..length]
    }
}

/// A text as records. Blank lines are passed over.
pub(crate) struct Records<R> {
    text: R,
    automaton: Automaton,
    record: Record,
    /// Line of the record, from 1.
    line: u64,
}

impl<R: BufRead> Records<R> {
    pub fn new(text: R, delimiter: u8) -> Self {
        let record = Record {
            bytes: vec![0; 256],
            ends: vec![0; 32],
            cells: 0,
        };
        Records {
            text,
            automaton: automaton(delimiter),
            record,
            line: 1,
        }
    }

    /// Reads the next record; false at the end.
    pub fn advance(&mut self) -> io::Result<bool> {
        self.record.cells = 0;
        self.skip_blank_lines()?;
        let mut automaton = self.automaton.borrow_mut();
        self.line = automaton.line();
        let (mut written, mut ended) = (0, 0);
        loop {
            let input = self.text.fill_buf()?;
            let Record { bytes, ends, .. } = &mut self.record;
            let (result, read, wrote, more) = automaton.read_record(input, &mut bytes[written..], &mut ends[ended..]);
            self.text.consume(read);
            (written, ended) = (written + wrote, ended + more);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => bytes.resize(bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.record.cells = ended;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    fn skip_blank_lines(&mut self) -> io::Result<()> {
        loop {
            let input = self.text.fill_buf()?;
            let blank = input.iter().take_while(|&&byte| byte == b'\n').count();
            let is_over = blank < input.len() || input.is_empty();
            self.text.consume(blank);
            let line = self.automaton.borrow().line();
            self.automaton.borrow_mut().set_line(line + blank as u64);
            if is_over {
                return Ok(());
            }
        }
    }

    /// The record read last.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The line on which the record begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Ends of lines in the record, that at its own end among them.
    pub fn line_ends(&self) -> u64 {
        self.automaton.borrow().line() - self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_blank_lines_and_long_cells_are_read() {
        let long = "x".repeat(1000);
        let text = format!("a,b\n\n\"1,\n2\",\"3\"\"\"\n{long},{}\nend", ",".repeat(100));
        // In small pieces, so that each cell is cut.
        let text = io::BufReader::with_capacity(3, text.as_bytes());
        let mut records = Records::new(text, b',');
        let mut found = Vec::new();
        while records.advance().unwrap() {
            let cells: Vec<String> = records.record().iter().map(|cell| String::from_utf8_lossy(cell).into()).collect();
            found.push((records.line(), records.line_ends(), cells));
        }
        assert_eq!(found[0], (1, 1, vec!["a".into(), "b".into()]));
        assert_eq!(found[1], (3, 2, vec!["1,\n2".into(), "3\"".into()]));
        assert_eq!((found[2].2.len(), &found[2].2[0]), (102, &long));
        assert_eq!(found[3].2, ["end"]);
        assert_eq!(found.len(), 4);
    }
}
