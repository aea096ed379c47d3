//! One file: from its layout to rows of times and numbers, in the order of the file.

use std::path::Path;

use crate::census::Census;
use crate::columns::unique_names;
use crate::day_rows::DayRows;
use crate::dialect::Dialect;
use crate::encoding::Encoding;
use crate::error::Error;
use crate::long;
use crate::meter::Meter;
use crate::options::Options;
use crate::reader::{File, Reader};
use crate::rows::{Drops, Reason};
use crate::source::Source;
use crate::time::finder::Finder;

/// The share of each pass in the time that a file takes: the survey, the census, and the rows.
const PASSES: [f64; 3] = [0.10, 0.45, 0.45];

impl File {
    /// Reads the file, or these bytes in its place, which is this share of the meter.
    pub fn read(path: &Path, bytes: Option<&[u8]>, options: &Options, (meter, share): (&Meter, f64)) -> Result<File, Error> {
        let [of_survey, of_census, of_rows] = PASSES.map(|part| share * part);
        let mut source = Source::open(path, bytes, options.encoding.as_deref(), (meter, of_survey))?;
        let mut dialect = Dialect::find(&source, options)?;
        let mut notes = std::mem::take(&mut dialect.header.notes);
        let mut drops = Drops::default();
        if let Some(found) = DayRows::find(&dialect)
            && let Some(table) = found.read(&source, &dialect)?
        {
            notes.push(found.note(&dialect));
            notes.extend(table.drops.check(path, table.rows, options.force)?);
            drops = table.drops;
            source = source.with_table(table.csv, table.delimiter);
            dialect = Dialect::find(&source, options)?;
        }
        source.pass(of_census);
        let census = Census::take(&source, &dialect)?;
        if source.encoding != Encoding::Utf8 {
            notes.push(format!("the text is read as {}; --encoding names another", source.encoding.name()));
        }
        if census.rows == 0 {
            return Err(Error::HeaderOnly { path: path.into() });
        }
        notes.extend(census.drops.check(path, census.rows, options.force)?);
        let (decimals, note) = census.decimals(options.decimal, dialect.delimiter);
        notes.extend(note);
        let has_header = dialect.header.has_names();
        let plain_names = unique_names(&dialect.header.names, has_header, &[], &mut Vec::new());
        let finder = Finder {
            source: &source,
            census: &census,
            names: &plain_names,
            has_header,
            options,
        };
        let time = finder.find()?;
        let time_at = time.as_ref().map_or(Vec::new(), |time| time.columns.clone());
        let names = unique_names(&dialect.header.names, has_header, &time_at, &mut notes);
        source.pass(of_rows);
        let reader = Reader {
            source: &source,
            dialect: &dialect,
            census: &census,
            names: &names,
            decimals: &decimals,
            options,
            time: time.as_ref(),
        };
        let long = long::by_names(&source, &census, &names, &time_at, options)?;
        let mut file = match long {
            Some(long) => reader.long(&long)?,
            None => reader.wide()?,
        };
        file.notes.splice(0..0, notes);
        if let Some(time) = &time {
            file.notes.extend(time.notes.iter().cloned());
        }
        file.time_names = time_at.iter().map(|&c| names[c].clone()).collect();
        file.time = time;
        file.sha256 = source.sha256.clone();
        drops.append(&census.drops);
        drops.take_back(Reason::Empty, file.table.blank);
        drops.append(&file.table.drops);
        file.notes
            .extend(file.table.drops.check(path, file.table.rows() as u64, options.force)?);
        file.table.drops = drops;
        file.rows = file.table.rows() as u64;
        if file.rows == 0 {
            return Err(Error::HeaderOnly { path: path.into() });
        }
        Ok(file)
    }
}
