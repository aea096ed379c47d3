//! `tsm2-edge state export`: what the daemon has stored, as a recording.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use tsm2_mqtt::rfc3339;

use super::opened::Opened;
use crate::cli::common;
use crate::runtime::record::Entry;
use crate::runtime::recorder::quoted;
use crate::state::{StateStore, StreamInfo};

#[derive(Args)]
pub(super) struct Export {
    /// Configuration of the daemon, TOML
    config: PathBuf,
    /// Names of streams [default: all with the variates of the model]
    streams: Vec<String>,
    /// The recording to write, or - for the standard output
    #[arg(long, default_value = "-")]
    output: PathBuf,
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let opened = Opened::open(&self.config)?;
        let usable = opened.usable.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        let infos = match self.streams.as_slice() {
            [] => opened.store.streams()?,
            names => opened.find(names)?,
        };
        let entries = infos.iter().map(|info| info.entries).sum::<usize>();
        let of = |info: StreamInfo| Some((usable.fingerprint.stream_of(&info.name)?.to_owned(), info.name));
        let found: Vec<(String, String)> = infos.into_iter().filter_map(of).collect();
        ensure!(
            !found.is_empty(),
            "{}: no stream with the variates of the model is stored",
            opened.path.display()
        );
        let meta = usable.prepared.bundle.meta();
        let variates: Vec<String> = meta.variates.iter().map(|variate| variate.name.clone()).collect();
        let mut out: Box<dyn Write> = match self.output.as_os_str() == "-" {
            true => Box::new(io::stdout().lock()),
            false => Box::new(create(&self.output)?),
        };
        writeln!(out, "{}", header(found.len() > 1, &variates))?;
        let bar = common::bar(entries, "{pos}/{len} entries")?;
        for (stream, key) in &found {
            let mut rows = Rows::default();
            for entry in opened.store.history(key, usize::MAX)? {
                rows.add(Entry::decode(&entry).with_context(|| format!("stream {stream}"))?);
                bar.inc(1);
            }
            rows.write((found.len() > 1).then_some(stream.as_str()), variates.len(), &mut out)?;
        }
        bar.finish_and_clear();
        out.flush()?;
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(BufWriter::new(file))
}

fn header(has_streams: bool, variates: &[String]) -> String {
    let names = ["time"].into_iter().chain(has_streams.then_some("stream")).map(str::to_owned);
    names
        .chain(variates.iter().map(|name| quoted(name).into_owned()))
        .collect::<Vec<_>>()
        .join(",")
}

/// Values of one stream by time.
#[derive(Default)]
struct Rows(BTreeMap<i64, BTreeMap<u32, f32>>);

impl Rows {
    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Readings { time_ms, values } | Entry::Arrived { time_ms, values, .. } => {
                self.0.entry(time_ms).or_default().extend(values)
            }
            // What was known of the future is what a training takes as recorded.
            Entry::FutureCovariate { variate, points } => {
                for (time_ms, value) in points {
                    self.0.entry(time_ms).or_default().insert(variate, value);
                }
            }
        }
    }

    fn write(&self, stream: Option<&str>, variates: usize, out: &mut impl Write) -> io::Result<()> {
        for (time_ms, values) in &self.0 {
            write!(out, "{}", rfc3339(*time_ms))?;
            if let Some(stream) = stream {
                write!(out, ",{}", quoted(stream))?;
            }
            for variate in 0..variates as u32 {
                match values.get(&variate) {
                    Some(value) => write!(out, ",{value:?}")?,
                    None => write!(out, ",")?,
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exported_stream_is_read_as_the_recording_that_it_was() {
        let (reading, tariff) = (|row: i64| 20.1 + (row * 7 % 31) as f32, |row: i64| (row * 5 % 7) as f32);
        let mut rows = Rows::default();
        for row in 0..60 {
            let time_ms = 1_709_510_400_000 + 60_000 * row;
            rows.add(Entry::of_readings(
                time_ms,
                (row % 2 == 0).then_some(time_ms + 350),
                vec![(0, reading(row))],
            ));
            rows.add(Entry::of_readings(time_ms, None, vec![(1, f32::MIN_POSITIVE)]));
            rows.add(Entry::FutureCovariate {
                variate: 2,
                points: vec![(time_ms + 60_000, tariff(row + 1))],
            });
        }
        let mut text = header(true, &["a, b".into(), "c".into(), "tariff".into()]).into_bytes();
        text.push(b'\n');
        rows.write(Some("hall"), 3, &mut text).unwrap();
        let options = tsm2_data::Options {
            series: Some("stream".into()),
            ..tsm2_data::Options::default()
        };
        let (recording, report) = tsm2_data::read_bytes(Path::new("export.csv"), &text, &options).unwrap();
        let names: Vec<_> = recording.variates.iter().map(|variate| variate.name.as_str()).collect();
        assert_eq!((names.as_slice(), report.interval_s), (&["a, b", "c", "tariff"][..], Some(60.0)));
        let series = &recording.series[0];
        assert_eq!((series.name.as_str(), series.rows(3)), ("hall", 61));
        assert_eq!(series.row(5, 3), [reading(5), f32::MIN_POSITIVE, tariff(5)]);
        assert!(series.row(60, 3)[0].is_nan() && series.row(60, 3)[2] == tariff(60));
    }
}
