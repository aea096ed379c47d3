//! Recorder: the time steps of each stream as CSV, a folder for each stream and a file for each day
//! (UTC).
//!
//! 1. A row is on disk before the readings that completed it are acknowledged.
//! 2. Readings that come again after a kill give the same row again. A row that its file has is not
//!    written a second time.
//! 3. When a file is opened, an incomplete last line is removed.
//! 4. A gap that restarts the stream has no rows. A file of other variates stays as it is; the rows
//!    go to another file of the same day.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tsm2_mqtt::rfc3339;

use crate::runtime::step::Step;

/// A time step of a stream, as a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    stream: String,
    time_ms: i64,
    line: String,
}

/// A file that rows are appended to.
struct Open {
    path: PathBuf,
    /// Time of its newest row.
    newest_ms: Option<i64>,
}

/// See the module's description.
pub(crate) struct Recorder {
    folder: PathBuf,
    /// First line of each file, with its line end.
    header: String,
    /// The file of each stream's newest row.
    open: HashMap<String, Open>,
}

impl Row {
    pub(crate) fn of(step: &Step<'_>) -> Self {
        let mut line = rfc3339(step.time_ms);
        for value in step.values {
            line.push(',');
            if value.is_finite() {
                // Writing into text always succeeds.
                let _ = write!(line, "{value}");
            }
        }
        line.push('\n');
        Row {
            stream: step.stream.to_owned(),
            time_ms: step.time_ms,
            line,
        }
    }

    /// The day of the time step, in UTC.
    fn day(&self) -> &str {
        self.line.split_once('T').map_or(self.line.as_str(), |(day, _)| day)
    }
}

/// A text as a cell of CSV.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\n', '\r', ';', '\t']) {
        true => Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))),
        false => Cow::Borrowed(text),
    }
}

impl Recorder {
    /// Recordings of these variates below `folder`.
    pub(crate) fn new<'v>(folder: &Path, variates: impl IntoIterator<Item = &'v str>) -> Self {
        let mut header = String::from("time");
        for variate in variates {
            header.push(',');
            header.push_str(&quoted(variate));
        }
        header.push('\n');
        Recorder {
            folder: folder.to_owned(),
            header,
            open: HashMap::new(),
        }
    }

    /// Appends rows and returns when they are on disk. After an error some may be there; the same
    /// rows may be given again.
    ///
    /// # Errors
    /// The file that cannot be written, and why.
    pub(crate) fn append(&mut self, rows: &[Row]) -> Result<(), (PathBuf, io::Error)> {
        let mut by_file: Vec<(&Row, Vec<&Row>)> = Vec::new();
        for row in rows {
            let same = |(first, _): &&mut (&Row, Vec<&Row>)| first.stream == row.stream && first.day() == row.day();
            match by_file.iter_mut().rev().find(same) {
                Some((_, rows)) => rows.push(row),
                None => by_file.push((row, vec![row])),
            }
        }
        for (first, rows) in by_file {
            let folder = self.folder.join(file_name(&first.stream));
            self.append_to(&folder, first, &rows).map_err(|error| {
                self.open.remove(&first.stream);
                (folder, error)
            })?;
        }
        Ok(())
    }

    fn append_to(&mut self, folder: &Path, first: &Row, rows: &[&Row]) -> io::Result<()> {
        let is_open = |open: &&Open| {
            open.path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(first.day()))
        };
        let mut open = match self.open.remove(&first.stream).filter(|open| is_open(&open)) {
            Some(open) => open,
            None => self.find(folder, first.day())?,
        };
        let mut file = OpenOptions::new().read(true).append(true).open(&open.path)?;
        let mut lines = String::new();
        let mut written: Option<String> = None;
        for row in rows {
            if open.newest_ms.is_some_and(|newest_ms| row.time_ms <= newest_ms) {
                // Written before a kill, or the clock was set back.
                let written = match &mut written {
                    Some(written) => written,
                    None => written.insert(fs::read_to_string(&open.path)?),
                };
                if written.split_inclusive('\n').any(|line| line == row.line) {
                    continue;
                }
            }
            lines.push_str(&row.line);
            open.newest_ms = open.newest_ms.max(Some(row.time_ms));
        }
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        self.open.insert(first.stream.clone(), open);
        Ok(())
    }

    /// The file of a day, made if there is none, with its last line whole.
    fn find(&self, folder: &Path, day: &str) -> io::Result<Open> {
        fs::create_dir_all(folder)?;
        for number in 0.. {
            let name = match number {
                0 => format!("{day}.csv"),
                _ => format!("{day}.{number}.csv"),
            };
            let path = folder.join(name);
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let whole = whole_lines(&bytes);
            if !self.header.as_bytes().starts_with(&bytes[..whole.min(self.header.len())]) {
                continue;
            }
            if whole < bytes.len() {
                file.set_len(whole as u64)?;
                file.seek(SeekFrom::End(0))?;
            }
            if whole == 0 {
                file.write_all(self.header.as_bytes())?;
                file.sync_all()?;
                File::open(folder)?.sync_all()?;
            }
            let rows = String::from_utf8_lossy(&bytes[..whole]);
            let times = rows.lines().skip(1).filter_map(|line| time_ms(line.split(',').next()?));
            let newest_ms = times.max();
            return Ok(Open { path, newest_ms });
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// The length of the whole lines; after a power cut the last ones may be zeros.
fn whole_lines(bytes: &[u8]) -> usize {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

fn time_ms(text: &str) -> Option<i64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

/// The stream as the name of a folder: other characters than letters, digits, `-`, `_` and spaces,
/// and a point in front, are written as `%` and their code.
fn file_name(stream: &str) -> String {
    let mut name = String::new();
    for (index, character) in stream.char_indices() {
        match character {
            '.' if index > 0 => name.push('.'),
            '-' | '_' | ' ' => name.push(character),
            _ if character.is_alphanumeric() => name.push(character),
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(name, "%{byte:02x}");
                }
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn row(stream: &str, minute: i64, values: &[f32]) -> Row {
        Row::of(&Step {
            stream,
            time_ms: minute * MINUTE,
            last_reading_ms: None,
            values,
            mean: &[],
            lower: &[],
            upper: &[],
            metrics: None,
        })
    }

    fn recorder(folder: &Path) -> Recorder {
        Recorder::new(folder, ["temp", "power, W"])
    }

    #[test]
    fn rows_are_written_once_by_day_and_an_incomplete_line_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [
            row("hall", 0, &[20.5, f32::NAN]),
            row("hall", 1, &[20.25, 410.0]),
            row("hall", 1_440, &[f32::NAN, f32::NAN]),
            row("../x", 0, &[1.0, 2.0]),
        ];
        recorder(folder.path()).append(&rows).unwrap();
        let first = folder.path().join("hall/1970-01-01.csv");
        let expected = "time,temp,\"power, W\"\n1970-01-01T00:00:00Z,20.5,\n1970-01-01T00:01:00Z,20.25,410\n";
        assert_eq!(fs::read_to_string(&first).unwrap(), expected);
        assert!(folder.path().join("hall/1970-01-02.csv").exists());
        assert!(folder.path().join("%2e.%2fx/1970-01-01.csv").exists());

        // Killed within a row, or without power before its bytes were on the disk.
        for torn in [&b"1970-01-01T00:02:00Z,2"[..], &[0; 30]] {
            OpenOptions::new().append(true).open(&first).unwrap().write_all(torn).unwrap();
            // The readings come again.
            let mut recorder = recorder(folder.path());
            recorder.append(&rows).unwrap();
            recorder.append(&rows).unwrap();
            assert_eq!(fs::read_to_string(&first).unwrap(), expected);
        }
        // A clock that is set back writes other rows of the same time.
        let mut recorder = recorder(folder.path());
        recorder
            .append(&[row("hall", 2, &[1.0, 1.0]), row("hall", 1, &[3.0, 3.0])])
            .unwrap();
        let lines = fs::read_to_string(&first).unwrap();
        assert!(lines.ends_with("1970-01-01T00:02:00Z,1,1\n1970-01-01T00:01:00Z,3,3\n"), "{lines}");
    }

    #[test]
    fn a_file_of_other_variates_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        recorder(folder.path()).append(&[row("hall", 0, &[1.0, 2.0])]).unwrap();
        let mut other = Recorder::new(folder.path(), ["temp"]);
        other.append(&[row("hall", 1, &[3.0])]).unwrap();
        let text = fs::read_to_string(folder.path().join("hall/1970-01-01.1.csv")).unwrap();
        assert_eq!(text, "time,temp\n1970-01-01T00:01:00Z,3\n");
    }

    #[test]
    fn a_row_that_cannot_be_written_is_an_error_and_may_be_given_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hall"), "in the way").unwrap();
        let mut recorder = recorder(folder.path());
        let rows = [row("hall", 0, &[1.0, 2.0])];
        assert!(recorder.append(&rows).is_err());
        fs::remove_file(folder.path().join("hall")).unwrap();
        recorder.append(&rows).unwrap();
    }
}
