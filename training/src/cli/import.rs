//! `tsm2 import`: recordings from the databases of other programs.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::json;
use tsm2_data::Meter;

use super::common::at;
use super::progress::metered;
use crate::data::home_assistant::{HomeAssistant, Kind};

/// Write a recording from the database of another program.
#[derive(Args)]
pub struct Import {
    #[command(subcommand)]
    source: Source,
}

#[derive(Subcommand)]
enum Source {
    #[command(name = "homeassistant")]
    HomeAssistant(HomeAssistantArgs),
}

/// From the database of Home Assistant's recorder (SQLite).
///
/// Copy home-assistant_v2.db, with home-assistant_v2.db-wal if it is there, to this machine first. The recording has a row for
/// each change of a state, as the button "Download data" writes it.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "Examples:
  tsm2 import homeassistant --db home-assistant_v2.db
  tsm2 import homeassistant --db home-assistant_v2.db --entity sensor.hall,sensor.cellar --output house.csv
  tsm2 import homeassistant --db home-assistant_v2.db --entity sensor.hall --statistics --output years.csv"
)]
struct HomeAssistantArgs {
    /// The database
    #[arg(long, value_name = "FILE")]
    db: PathBuf,
    /// Entities to read [default: print a list of all]
    #[arg(long, value_name = "ENTITY,..", value_delimiter = ',')]
    entity: Vec<String>,
    /// Hourly long-term statistics instead of states
    #[arg(long)]
    statistics: bool,
    /// The recording to write, or - for the standard output
    #[arg(long, value_name = "FILE", default_value = "recording.csv")]
    output: PathBuf,
    /// Print one JSON object: the entities, or the file and its rows
    #[arg(long)]
    json: bool,
}

impl Import {
    /// Reads and writes.
    pub fn run(self, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
        let Source::HomeAssistant(args) = self.source;
        let database = &mut HomeAssistant::open(&args.db)?;
        let kind = if args.statistics { Kind::Statistics } else { Kind::States };
        if args.entity.is_empty() {
            let entities = metered(move |meter| database.entities(kind, meter))?;
            if args.json {
                let entities: Vec<_> = entities
                    .iter()
                    .map(|entity| json!({ "entity": entity.id, "rows": entity.rows }))
                    .collect();
                writeln!(out, "{}", json!({ "entities": entities }))?;
                return Ok(());
            }
            let mut printed = super::common::printed(["entity", "rows"], 1);
            for entity in entities {
                printed.add_row([entity.id, entity.rows.to_string()]);
            }
            writeln!(out, "{printed}")?;
            super::common::note("give --entity to write some of them");
            return Ok(());
        }
        if args.output.as_os_str() == "-" {
            ensure!(
                !args.json,
                "--json: the recording goes to the standard output; name a file with --output"
            );
            let export = move |meter: &Meter| database.export(kind, &args.entity, out, meter);
            // A bar would be drawn between the rows.
            match io::stdout().is_terminal() {
                true => export(&Meter::default())?,
                false => metered(export)?,
            };
            return Ok(());
        }
        // An earlier recording stays until the new one is complete.
        let mut part = args.output.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(at(&part))?;
        let entities = &args.entity;
        let written = metered(move |meter| database.export(kind, entities, BufWriter::new(file), meter));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        let rows = written?;
        fs::rename(&part, &args.output).map_err(at(&args.output))?;
        match args.json {
            true => writeln!(out, "{}", json!({ "file": args.output.display().to_string(), "rows": rows }))?,
            false => writeln!(out, "{rows} rows in {}", args.output.display())?,
        }
        Ok(())
    }
}
