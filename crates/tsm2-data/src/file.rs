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

/// The part of the time that the census takes, the rest being that of the rows; and before both, of turning a row a day into rows.
const CENSUS: f64 = 0.5;
const TURNING: f64 = 0.4;

impl File {
    /// Reads the file, or these bytes in its place, which is this share of the meter.
    pub fn read(path: &Path, bytes: Option<&[u8]>, options: &Options, (meter, share): (&Meter, f64)) -> Result<File, Error> {
        let mut source = Source::open(path, bytes, options.encoding.as_deref(), (meter, share))?;
        let mut dialect = Dialect::find(&source, options)?;
        let mut notes = std::mem::take(&mut dialect.header.notes);
        let mut drops = Drops::default();
        if let Some(found) = DayRows::find(&dialect)
            && let Some(table) = {
                source.pass(TURNING);
                found.read(&source, &dialect)?
            }
        {
            notes.push(found.note(&dialect));
            notes.extend(table.drops.check(path, table.rows, options.force)?);
            drops = table.drops;
            source = source.with_table(table.csv, table.delimiter);
            source.pass(0.0);
            dialect = Dialect::find(&source, options)?;
        }
        source.pass(CENSUS);
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
        source.pass(0.0);
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

#[cfg(all(test, feature = "compressed"))]
mod tests {
    use std::io::Write;

    use super::*;

    /// The meter, of which reading takes a half from a quarter on, when the file has been read.
    fn counted(bytes: &[u8]) -> f64 {
        let meter = Meter::default();
        meter.add(0.25);
        File::read(Path::new("x"), Some(bytes), &Options::default(), (&meter, 0.5)).unwrap();
        meter.now().1
    }

    #[test]
    fn reading_counts_all_of_its_share_in_each_format() {
        let row = |row: usize| (format!("2026-03-02T{:02}:{:02}:00Z", row / 60, row % 60), 20 + row % 7);
        let rows = || (0..600).map(row);
        let csv = rows().fold("time,hall\n".to_owned(), |text, (time, value)| text + &format!("{time},{value}\n"));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(csv.as_bytes()).unwrap();
        let objects: Vec<String> = rows()
            .map(|(time, value)| format!("{{\"time\":\"{time}\",\"hall\":{value}}}"))
            .collect();
        let long = rows().fold("time,name,value,unit\n".to_owned(), |text, (time, value)| {
            text + &format!("{time},hall,{value},K\n{time},attic,{value},K\n")
        });
        let clocks = (0..24).fold("date".to_owned(), |text, hour| text + &format!(",{hour:02}:00"));
        let days = (1..29).fold(clocks, |text, day| text + &format!("\n2026-03-{day:02}{}", ",21.5".repeat(24)));
        for (name, bytes) in [
            ("CSV", csv.as_bytes()),
            ("gzip", &packed.finish().unwrap()),
            ("JSON lines", objects.join("\n").as_bytes()),
            ("JSON", format!("[{}]", objects.join(",")).as_bytes()),
            ("long table", long.as_bytes()),
            ("a row a day", days.as_bytes()),
        ] {
            let share = counted(bytes);
            assert!((share - 0.75).abs() < 0.005, "{name}: {share}");
        }
    }
}
