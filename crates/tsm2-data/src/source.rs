//! A file, or bytes in memory, as UTF-8 text that can be read more than once.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Error;
use crate::encoding::{self, Decoded, Encoding, Survey};
use crate::line_protocol;
use crate::meter::Meter;
use crate::unpack;

/// Bytes read at a time.
pub(crate) const BUFFER: usize = 128 * 1024;

/// The part of the time that the survey of the bytes takes, and of the rest the unpacking of JSON.
const SURVEY: f64 = 0.10;
const UNPACKING: f64 = 0.6;

/// A recording's text.
pub(crate) struct Source<'a> {
    pub path: &'a Path,
    bytes: Option<&'a [u8]>,
    container: Container,
    pub encoding: Encoding,
    /// Whether lines end with a carriage return alone.
    return_lines: bool,
    line_protocol: bool,
    /// A table that the text was turned into, and its delimiter.
    table: Option<(Vec<u8>, u8)>,
    /// SHA-256 of the bytes as stored, in hexadecimal.
    pub sha256: String,
    meter: &'a Meter,
    /// Of the meter: before the file, the whole file, what is left of it, and the pass.
    before: f64,
    whole: f64,
    left: Cell<f64>,
    share: Cell<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    None,
    Gzip,
    Zstd,
    Parquet,
}

impl<'a> Source<'a> {
    /// Surveys the whole file once: its digest and its encoding. All passes together are this share of the meter.
    pub fn open(path: &'a Path, bytes: Option<&'a [u8]>, encoding: Option<&str>, (meter, share): (&'a Meter, f64)) -> Result<Self, Error> {
        let mut source = Source {
            path,
            bytes,
            container: Container::None,
            encoding: Encoding::Utf8,
            return_lines: false,
            line_protocol: false,
            table: None,
            sha256: String::new(),
            meter,
            before: meter.now().1,
            whole: share,
            left: Cell::new(share),
            share: Cell::new(0.0),
        };
        source.container = source.find_container()?;
        source.pass(SURVEY);
        let mut digest = Sha256::new();
        let mut survey = Survey::default();
        let is_plain = source.container == Container::None;
        source.pieces(source.raw()?, |bytes| {
            digest.update(bytes);
            if is_plain {
                survey.add(bytes);
            }
        })?;
        source.sha256 = hexadecimal(&digest.finalize());
        if matches!(source.container, Container::Gzip | Container::Zstd) {
            source.pass(SURVEY);
            source.pieces(source.decompressed()?, |bytes| survey.add(bytes))?;
        }
        source.pass(0.0);
        source.return_lines = survey.has_return_lines();
        source.encoding = match encoding {
            _ if source.container == Container::Parquet => Encoding::Utf8,
            Some(name) => encoding::by_name(name)?,
            None => survey.encoding(),
        };
        let head = source.head(4096)?;
        source.line_protocol = line_protocol::is_line_protocol(&String::from_utf8_lossy(whole_lines(&head)));
        source.refuse_documents(&head)?;
        if head.contains(&b'{') {
            source.unpack_json()?;
        }
        Ok(source)
    }

    /// A pass over the whole file begins, which takes this part of the time that is left.
    pub fn pass(&self, part: f64) {
        let left = self.left.get();
        // The pass before may have ended early.
        self.meter.reach(self.before + self.whole - left);
        self.left.set(left - part * left);
        self.share.set(part * left);
    }

    /// A reader of so many bytes in all, which are counted as they are read.
    fn metered<R>(&self, reader: R, bytes: u64) -> Metered<'a, R> {
        Metered {
            reader,
            meter: self.meter,
            share_of_byte: self.share.get() / bytes.max(1) as f64,
        }
    }

    /// Hands all bytes over, a piece at a time.
    fn pieces(&self, mut bytes: Box<dyn BufRead + '_>, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        loop {
            let piece = self.checked(bytes.fill_buf())?;
            if piece.is_empty() {
                return Ok(());
            }
            take(piece);
            let length = piece.len();
            bytes.consume(length);
        }
    }

    /// A table that this one was turned into; its errors and its digest are those of the file.
    pub fn with_table(self, table: Vec<u8>, delimiter: u8) -> Self {
        Source {
            table: Some((table, delimiter)),
            ..self
        }
    }

    /// The delimiter of a table that this program made of another form; `None` where the text is read as it is stored.
    pub fn made_delimiter(&self) -> Option<u8> {
        let is_made = self.line_protocol || self.container == Container::Parquet;
        self.table.as_ref().map(|(_, delimiter)| *delimiter).or(is_made.then_some(b','))
    }

    fn unpack_json(&mut self) -> Result<(), Error> {
        let mut text = Vec::new();
        let read = self.text()?.read_to_end(&mut text);
        self.checked(read)?;
        self.pass(UNPACKING);
        let share = self.share.get();
        let table = unpack::to_csv(&String::from_utf8_lossy(&text), &|part| self.meter.add(share * part));
        self.pass(0.0);
        match table {
            None => Ok(()),
            Some(Ok(table)) => {
                self.table = Some((table, b','));
                Ok(())
            }
            Some(Err((line, problem))) => Err(Error::Json {
                path: self.path.into(),
                line,
                problem,
            }),
        }
    }

    /// Refuses texts that are no tables, with what to do.
    fn refuse_documents(&self, head: &[u8]) -> Result<(), Error> {
        let start = String::from_utf8_lossy(head.trim_ascii_start()).to_lowercase();
        let (format, remedy) = match start {
            _ if start.starts_with("<!doctype html") || start.starts_with("<html") => {
                ("a web page", "download the readings themselves, or save the table as CSV")
            }
            _ if start.starts_with("<?xml") => ("XML", "export the readings as CSV"),
            _ if start.starts_with("100,nem12") || start.starts_with("100,nem13") => (
                "NEM12 of an electricity meter, a row a day,",
                "convert it to a row for each time, for example by `nemreader`",
            ),
            _ if start.starts_with("%pdf") => ("PDF", "export the readings as CSV"),
            _ => return Ok(()),
        };
        Err(Error::Unsupported {
            path: self.path.into(),
            format,
            remedy,
        })
    }

    /// The text from its start, without a byte order mark; line protocol as a table.
    pub fn text(&self) -> Result<Box<dyn BufRead + '_>, Error> {
        if let Some((table, _)) = &self.table {
            let table = self.metered(table.as_slice(), table.len() as u64);
            return Ok(Box::new(BufReader::with_capacity(BUFFER, table)));
        }
        #[cfg(feature = "parquet")]
        if self.container == Container::Parquet {
            let (meter, share) = (self.meter, self.share.get());
            let done = Box::new(move |part| meter.add(share * part));
            let table = self.checked(crate::parquet::Table::open(self.path, self.bytes, done))?;
            return Ok(Box::new(BufReader::with_capacity(BUFFER, table)));
        }
        let text = self.decoded()?;
        Ok(match self.line_protocol {
            true => Box::new(BufReader::with_capacity(BUFFER, line_protocol::Table::new(text))),
            false => text,
        })
    }

    fn decoded(&self) -> Result<Box<dyn BufRead + 'a>, Error> {
        let bytes = self.decompressed()?;
        if self.return_lines {
            return Ok(Box::new(BufReader::with_capacity(BUFFER, ReturnLines(bytes))));
        }
        Ok(match self.encoding {
            Encoding::Utf8 => self.checked(encoding::without_mark(bytes))?,
            Encoding::Other(encoding) => Box::new(BufReader::with_capacity(BUFFER, Decoded::new(bytes, encoding))),
        })
    }

    /// The first `length` bytes of the text, or all of it.
    pub fn head(&self, length: usize) -> Result<Vec<u8>, Error> {
        let mut head = Vec::new();
        let read = self.text()?.take(length as u64).read_to_end(&mut head);
        self.checked(read)?;
        Ok(head)
    }

    /// An error of the system with the file's name.
    pub fn checked<T>(&self, result: io::Result<T>) -> Result<T, Error> {
        result.map_err(|source| Error::Read {
            path: self.path.into(),
            source,
        })
    }

    fn raw(&self) -> Result<Box<dyn BufRead + 'a>, Error> {
        Ok(match self.bytes {
            Some(bytes) => Box::new(BufReader::with_capacity(BUFFER, self.metered(bytes, bytes.len() as u64))),
            None => {
                let file = self.metered(self.checked(File::open(self.path))?, size(self.path));
                Box::new(BufReader::with_capacity(BUFFER, file))
            }
        })
    }

    fn find_container(&self) -> Result<Container, Error> {
        let mut head = Vec::new();
        self.checked(self.raw()?.take(4).read_to_end(&mut head))?;
        let unsupported = |format, remedy| {
            Err(Error::Unsupported {
                path: self.path.into(),
                format,
                remedy,
            })
        };
        match head.as_slice() {
            [0x1f, 0x8b, ..] => Ok(Container::Gzip),
            // A frame, or one to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Ok(Container::Zstd),
            b"PK\x03\x04" => unsupported("a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
            b"PAR1" if cfg!(feature = "parquet") => Ok(Container::Parquet),
            b"PAR1" => unsupported("Parquet", "write it as CSV"),
            [0xd0, 0xcf, 0x11, 0xe0] => unsupported("a spreadsheet", "save the sheet as CSV"),
            b"SQLi" => unsupported(
                "a database",
                "export the readings, for example by `tsm2 import homeassistant --db FILE`",
            ),
            _ => Ok(Container::None),
        }
    }

    #[cfg(feature = "compressed")]
    fn decompressed(&self) -> Result<Box<dyn BufRead + 'a>, Error> {
        let raw = self.raw()?;
        Ok(match self.container {
            Container::None | Container::Parquet => raw,
            Container::Gzip => Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(raw))),
            Container::Zstd => Box::new(BufReader::with_capacity(BUFFER, crate::frames::Frames::new(raw))),
        })
    }

    #[cfg(not(feature = "compressed"))]
    fn decompressed(&self) -> Result<Box<dyn BufRead + 'a>, Error> {
        let format = match self.container {
            Container::None | Container::Parquet => return self.raw(),
            Container::Gzip => "gzip",
            Container::Zstd => "zstd",
        };
        let remedy = "unpack the file first";
        Err(Error::Unsupported {
            path: self.path.into(),
            format,
            remedy,
        })
    }
}

/// The text up to its last newline, or all where there is none.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte == b'\n').map_or(text.len(), |at| at + 1);
    &text[..end]
}

/// Bytes of a file; 0 where the system does not tell.
pub(crate) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Bytes that are counted as they are read.
struct Metered<'a, R> {
    reader: R,
    meter: &'a Meter,
    share_of_byte: f64,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(into)?;
        self.meter.add(length as f64 * self.share_of_byte);
        Ok(length)
    }
}

/// Lines that end with a carriage return, as lines that end with a newline.
struct ReturnLines<R>(R);

impl<R: Read> Read for ReturnLines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(into)?;
        into[..length]
            .iter_mut()
            .filter(|byte| **byte == b'\r')
            .for_each(|byte| *byte = b'\n');
        Ok(length)
    }
}

pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of several digests; of one, that digest.
pub(crate) fn combined(digests: &[String]) -> String {
    match digests {
        [one] => one.clone(),
        all => hexadecimal(&Sha256::digest(all.concat())),
    }
}
