//! Parquet as CSV, a few rows at a time.
//!
//! - Numbers are written so that they are read back to the same bits; a missing value is an empty cell.
//! - Times are RFC 3339, with `Z` where the file says that they are UTC.
//! - A column of lists has the word `list` in each row, one of half precision `float16`, and one of decimals with too many digits `decimal`,
//!   so that the report names it among those left out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Span};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

/// Rows decoded at a time.
const CHUNK: usize = 1024;
/// Cells beyond which a file is not read: a few bytes may stand for any number of equal cells.
const MOST_CELLS: u128 = 1 << 30;
/// Digits behind the point of a decimal that is read.
const MOST_DIGITS: u32 = 38;
/// The word for a decimal with more digits.
const DECIMAL: &str = "decimal";

/// What the values of a column mean.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    Plain,
    Unsigned,
    /// Days since 1970.
    Date,
    /// Nanoseconds per unit since midnight.
    Clock(i64),
    /// Nanoseconds per unit since 1970, and whether that is in UTC.
    Moment(i64, bool),
    /// Digits behind the point.
    Decimal(u32),
    /// Nothing that is read, and the word for it.
    Other(&'static str),
}

impl Meaning {
    fn of(column: &ColumnDescriptor) -> Meaning {
        if column.max_rep_level() > 0 {
            return Meaning::Other("list");
        }
        let unit = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => 1_000_000,
            TimeUnit::MICROS => 1000,
            TimeUnit::NANOS => 1,
        };
        match column.logical_type_ref() {
            Some(LogicalType::Timestamp(time)) => return Meaning::Moment(unit(&time.unit), time.is_adjusted_to_u_t_c),
            Some(LogicalType::Time(time)) => return Meaning::Clock(unit(&time.unit)),
            Some(LogicalType::Date) => return Meaning::Date,
            Some(LogicalType::Decimal(decimal)) => return Meaning::decimal(decimal.scale),
            Some(LogicalType::Integer(integer)) if !integer.is_signed => return Meaning::Unsigned,
            Some(LogicalType::Float16) => return Meaning::Other("float16"),
            _ => {}
        }
        match column.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS => Meaning::Moment(1_000_000, true),
            ConvertedType::TIMESTAMP_MICROS => Meaning::Moment(1000, true),
            ConvertedType::TIME_MILLIS => Meaning::Clock(1_000_000),
            ConvertedType::TIME_MICROS => Meaning::Clock(1000),
            ConvertedType::DATE => Meaning::Date,
            ConvertedType::DECIMAL => Meaning::decimal(column.type_scale()),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => Meaning::Unsigned,
            _ => Meaning::Plain,
        }
    }

    fn decimal(scale: i32) -> Meaning {
        match scale.max(0) as u32 {
            scale @ 0..=MOST_DIGITS => Meaning::Decimal(scale),
            _ => Meaning::Other(DECIMAL),
        }
    }

    /// A whole number as a cell.
    fn write(self, value: i128, out: &mut Vec<u8>) -> io::Result<()> {
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        match self {
            Meaning::Other(word) => write!(out, "{word}"),
            Meaning::Plain | Meaning::Unsigned | Meaning::Decimal(0) => write!(out, "{value}"),
            Meaning::Date => {
                let days = i64::try_from(value).ok().and_then(|days| Span::new().try_days(days).ok());
                let date = days.and_then(|days| Date::constant(1970, 1, 1).checked_add(days).ok());
                date.map_or(Ok(()), |date| write!(out, "{date}"))
            }
            Meaning::Clock(unit) | Meaning::Moment(unit, _) => {
                let nanoseconds = value * i128::from(unit);
                let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
                let later = SignedDuration::new(seconds, nanoseconds.rem_euclid(1_000_000_000) as i32);
                let Ok(time) = epoch.checked_add(later) else { return Ok(()) };
                match self {
                    Meaning::Clock(_) => write!(out, "{}", time.time()),
                    Meaning::Moment(_, true) => write!(out, "{time}Z"),
                    _ => write!(out, "{time}"),
                }
            }
            Meaning::Decimal(scale) => {
                let (all, one) = (value.unsigned_abs(), 10u128.pow(scale));
                let sign = if value < 0 { "-" } else { "" };
                write!(out, "{sign}{}.{:0width$}", all / one, all % one, width = scale as usize)
            }
        }
    }
}

/// Values of one column for the rows of a chunk.
enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

struct Chunk {
    meaning: Meaning,
    values: Values,
    /// Of each row, whether it has a value; empty where all have.
    is_there: Vec<bool>,
    /// The next value.
    at: usize,
}

impl Chunk {
    fn read(reader: &mut ColumnReader, column: &ColumnDescriptor, rows: usize) -> Result<Chunk, ParquetError> {
        let (most, mut is_there) = (column.max_def_level(), Vec::new());
        let meaning = Meaning::of(column);
        let values = match reader {
            _ if matches!(meaning, Meaning::Other(_)) => Values::Bool(Vec::new()),
            ColumnReader::BoolColumnReader(reader) => Values::Bool(values(reader, rows, most, &mut is_there)?),
            ColumnReader::Int32ColumnReader(reader) => Values::Int32(values(reader, rows, most, &mut is_there)?),
            ColumnReader::Int64ColumnReader(reader) => Values::Int64(values(reader, rows, most, &mut is_there)?),
            ColumnReader::Int96ColumnReader(reader) => Values::Int96(values(reader, rows, most, &mut is_there)?),
            ColumnReader::FloatColumnReader(reader) => Values::Float(values(reader, rows, most, &mut is_there)?),
            ColumnReader::DoubleColumnReader(reader) => Values::Double(values(reader, rows, most, &mut is_there)?),
            ColumnReader::ByteArrayColumnReader(reader) => Values::Bytes(values(reader, rows, most, &mut is_there)?),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => Values::Fixed(values(reader, rows, most, &mut is_there)?),
        };
        Ok(Chunk {
            meaning,
            values,
            is_there,
            at: 0,
        })
    }

    /// The cell of a row; rows are asked for in order.
    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.is_there.is_empty() && !self.is_there.get(row).copied().unwrap_or(false) {
            return Ok(());
        }
        let at = self.at;
        self.at += 1;
        let whole = |value: i128, out: &mut Vec<u8>| self.meaning.write(value, out);
        let is_unsigned = self.meaning == Meaning::Unsigned;
        if let Meaning::Other(word) = self.meaning {
            return write!(out, "{word}");
        }
        match &self.values {
            Values::Bool(values) => values.get(at).map_or(Ok(()), |value| write!(out, "{value}")),
            Values::Int32(values) => values.get(at).map_or(Ok(()), |&value| {
                let value = if is_unsigned { i128::from(value as u32) } else { value.into() };
                whole(value, out)
            }),
            Values::Int64(values) => values.get(at).map_or(Ok(()), |&value| {
                let value = if is_unsigned { i128::from(value as u64) } else { value.into() };
                whole(value, out)
            }),
            Values::Int96(values) => values
                .get(at)
                .map_or(Ok(()), |value| Meaning::Moment(1, true).write(value.to_nanos().into(), out)),
            Values::Float(values) => values.get(at).map_or(Ok(()), |value| write!(out, "{value}")),
            Values::Double(values) => values.get(at).map_or(Ok(()), |value| write!(out, "{value}")),
            Values::Bytes(values) => values.get(at).map_or(Ok(()), |value| self.text(value.data(), out)),
            Values::Fixed(values) => values.get(at).map_or(Ok(()), |value| self.text(value.data(), out)),
        }
    }

    fn text(&self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if let Meaning::Decimal(_) = self.meaning {
            let Some(first) = bytes.first() else { return Ok(()) };
            let sign = if first & 0x80 == 0 { 0 } else { 0xff };
            // Bytes before the last 16 may only carry the sign on.
            let (above, low) = bytes.split_at(bytes.len().saturating_sub(16));
            if above.iter().any(|&byte| byte != sign) || (low[0] ^ sign) & 0x80 != 0 {
                return write!(out, "{DECIMAL}");
            }
            let mut whole = [sign; 16];
            whole[16 - low.len()..].copy_from_slice(low);
            return self.meaning.write(i128::from_be_bytes(whole), out);
        }
        quote(&String::from_utf8_lossy(bytes), out);
        Ok(())
    }
}

/// The next values of a column, without those that are missing.
fn values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    most: i16,
    is_there: &mut Vec<bool>,
) -> Result<Vec<T::T>, ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut done = 0;
    while done < rows {
        let (records, ..) = reader.read_records(rows - done, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::EOF("a column has fewer values than its row group has rows".into()));
        }
        done += records;
    }
    *is_there = levels.iter().map(|&level| level == most).collect();
    Ok(values)
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        out.extend_from_slice(if byte == b'"' { b"\"\"" } else { std::slice::from_ref(&byte) });
    }
    out.push(b'"');
}

/// The text of a file.
pub(crate) struct Table<'a> {
    file: Box<dyn FileReader>,
    /// The next row group.
    group: usize,
    readers: Vec<ColumnReader>,
    /// Rows of the current group that are not decoded yet.
    rows: usize,
    ready: Vec<u8>,
    at: usize,
    /// Rows of all groups, and what gets the share of them that is decoded.
    all: u128,
    done: Box<dyn Fn(f64) + 'a>,
}

impl<'a> Table<'a> {
    /// Opens the file, or reads these bytes in its place. `done` gets the shares of the rows that are decoded.
    pub fn open(path: &Path, bytes: Option<&[u8]>, done: Box<dyn Fn(f64) + 'a>) -> io::Result<Table<'a>> {
        let file: Box<dyn FileReader> = match bytes {
            Some(bytes) => Box::new(SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes))?),
            None => Box::new(SerializedFileReader::new(File::open(path)?)?),
        };
        let mut ready = Vec::new();
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let words = (0..schema.num_columns()).map(|c| match Meaning::of(&schema.column(c)) {
            Meaning::Other(word) => Some(word),
            _ => None,
        });
        if let Some(mut words) = words.collect::<Option<Vec<_>>>() {
            words.sort_unstable();
            words.dedup();
            let problem = format!(
                "no column of the Parquet file holds one value a row that can be read ({})",
                words.join(", ")
            );
            return Err(io::Error::other(problem));
        }
        let rows = file
            .metadata()
            .row_groups()
            .iter()
            .map(|group| group.num_rows().max(0).unsigned_abs());
        let rows: u128 = rows.map(u128::from).sum();
        let columns = schema.num_columns();
        if rows * columns as u128 > MOST_CELLS {
            let problem = format!(
                "the Parquet file has {rows} rows of {columns} columns, and at most {MOST_CELLS} cells are read; give fewer rows or columns"
            );
            return Err(io::Error::other(problem));
        }
        for c in 0..schema.num_columns() {
            if c > 0 {
                ready.push(b',');
            }
            quote(&schema.column(c).path().string(), &mut ready);
        }
        ready.push(b'\n');
        Ok(Table {
            file,
            group: 0,
            readers: Vec::new(),
            rows: 0,
            ready,
            at: 0,
            all: rows,
            done,
        })
    }

    /// Decodes the next rows; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        while self.rows == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.group)?;
            self.group += 1;
            self.rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            self.readers = (0..group.num_columns())
                .map(|c| group.get_column_reader(c))
                .collect::<Result<_, _>>()?;
        }
        let rows = self.rows.min(CHUNK);
        self.rows -= rows;
        (self.done)(rows as f64 / self.all.max(1) as f64);
        let schema = self.file.metadata().file_metadata().schema_descr_ptr();
        let mut chunks = Vec::with_capacity(self.readers.len());
        for (c, reader) in self.readers.iter_mut().enumerate() {
            chunks.push(Chunk::read(reader, &schema.column(c), rows)?);
        }
        self.ready.clear();
        self.at = 0;
        for row in 0..rows {
            for (c, chunk) in chunks.iter_mut().enumerate() {
                if c > 0 {
                    self.ready.push(b',');
                }
                chunk.write(row, &mut self.ready)?;
            }
            self.ready.push(b'\n');
        }
        Ok(true)
    }
}

impl Read for Table<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() && !self.fill()? {
            return Ok(0);
        }
        let length = (self.ready.len() - self.at).min(into.len());
        into[..length].copy_from_slice(&self.ready[self.at..][..length]);
        self.at += length;
        Ok(length)
    }
}
