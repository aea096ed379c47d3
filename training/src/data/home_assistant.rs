//! Home Assistant's recorder database (SQLite) as a long table: `entity_id,state,unit,last_changed`.
//!
//! - States, of the schema since 2023.4 (`states_meta`, times in seconds) and of those before it (names and times as text).
//! - Long-term statistics: the hourly mean of a sensor, or the sum of a meter. They outlive the states.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tsm2_data::Meter;

/// Why nothing is exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeAssistantError {
    /// The database cannot be read.
    #[error("{}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// The reason given by SQLite.
        source: rusqlite::Error,
    },
    /// The database is another one.
    #[error("{}: no table `{table}`: is it the database of Home Assistant's recorder (home-assistant_v2.db)?", path.display())]
    OtherDatabase {
        /// The file.
        path: PathBuf,
        /// The table that is missing.
        table: &'static str,
    },
    /// An entity is not in the database.
    #[error("{}: --entity {entity}: no such entity; {known}", path.display())]
    MissingEntity {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        entity: String,
        /// Names that are there.
        known: String,
    },
    /// The table cannot be written.
    #[error("the recording cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// A recorder's database, opened for reading.
#[derive(Debug)]
pub struct HomeAssistant {
    path: PathBuf,
    database: Connection,
    /// Names of the tables, each with its columns.
    tables: HashMap<String, Vec<String>>,
}

/// An entity and how much of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Its id, such as `sensor.hall_temperature`.
    pub id: String,
    /// Rows.
    pub rows: u64,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each state, at the time of its change.
    States,
    /// Hourly statistics.
    Statistics,
}

impl HomeAssistant {
    /// Opens the database; nothing is written to it.
    ///
    /// # Errors
    /// `Database`, `OtherDatabase`.
    pub fn open(path: &Path) -> Result<Self, HomeAssistantError> {
        let failed = |source| HomeAssistantError::Database { path: path.into(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).map_err(failed)?;
        let mut tables: HashMap<String, Vec<String>> = HashMap::new();
        let columns = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'";
        let mut statement = database.prepare(columns).map_err(failed)?;
        let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        for pair in pairs {
            let (table, column): (String, String) = pair.map_err(failed)?;
            tables.entry(table).or_default().push(column);
        }
        drop(statement);
        match tables.contains_key("states") {
            true => Ok(Self {
                path: path.into(),
                database,
                tables,
            }),
            false => Err(HomeAssistantError::OtherDatabase {
                path: path.into(),
                table: "states",
            }),
        }
    }

    /// All entities with numbers or states stored. `meter` shows how far that is.
    ///
    /// # Errors
    /// `Database`, `OtherDatabase`.
    pub fn entities(&self, kind: Kind, meter: &Meter) -> Result<Vec<Entity>, HomeAssistantError> {
        self.scan(kind, meter, |_, _, _| ())
    }

    /// Writes the rows of these entities, oldest first, and returns how many they are. `meter` shows how far that is.
    ///
    /// # Errors
    /// `Database`, `OtherDatabase`, `MissingEntity`, `Write`.
    pub fn export(&self, kind: Kind, entities: &[String], out: impl Write, meter: &Meter) -> Result<u64, HomeAssistantError> {
        // One look at the database, whose lock is not taken anew for each row.
        let _transaction = self.database.unchecked_transaction().map_err(|source| self.failed(source))?;
        // Sorted here, since SQLite does not show how far a sort is.
        let mut found: Vec<(Timestamp, i64)> = Vec::new();
        let known = self.scan(kind, meter, |row, id, time| {
            if entities.iter().any(|entity| entity == id) {
                found.extend(time.map(|time| (time, row)));
            }
        })?;
        if let Some(missing) = entities.iter().find(|entity| known.iter().all(|known| known.id != **entity)) {
            return Err(HomeAssistantError::MissingEntity {
                path: self.path.clone(),
                entity: missing.clone(),
                known: some_of(&known, missing),
            });
        }
        found.sort_unstable();
        meter.begin("writing the recording");
        let Query {
            from,
            id,
            value,
            attributes,
            ..
        } = self.query(kind)?;
        let text = format!("SELECT {id}, {value}, {attributes} FROM {from} WHERE s.rowid = ?");
        let mut statement = self.database.prepare(&text).map_err(|source| self.failed(source))?;
        let mut writer = csv::Writer::from_writer(out);
        let written = |error: csv::Error| HomeAssistantError::Write(error.into());
        writer
            .write_record(["entity_id", "state", "unit", "last_changed"])
            .map_err(written)?;
        for (time, row) in &found {
            let cells = statement.query_row([row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            let (id, value, attributes): (String, Option<String>, Option<String>) = cells.map_err(|source| self.failed(source))?;
            let unit = attributes.map(|text| match kind {
                Kind::States => unit_of(&text),
                Kind::Statistics => text,
            });
            let cells = [id, value.unwrap_or_default(), unit.unwrap_or_default(), format!("{time:.3}")];
            writer.write_record(&cells).map_err(written)?;
            meter.add(1.0 / found.len() as f64);
        }
        writer.flush()?;
        Ok(found.len() as u64)
    }

    /// Hands number, entity and time of every row to `take`, in the order of the numbers, and returns the entities.
    fn scan(
        &self,
        kind: Kind,
        meter: &Meter,
        mut take: impl FnMut(i64, &str, Option<Timestamp>),
    ) -> Result<Vec<Entity>, HomeAssistantError> {
        meter.begin("reading the database");
        let Query { table, from, id, time, .. } = self.query(kind)?;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut scan = || {
            let end = |which: &str| {
                let text = format!("SELECT {which}(rowid) FROM {table}");
                self.database.query_row(&text, [], |row| row.get::<_, Option<i64>>(0))
            };
            let (first, last) = (end("min")?.unwrap_or(0), end("max")?.unwrap_or(0));
            let text = format!("SELECT s.rowid, {id}, {time} FROM {from} ORDER BY s.rowid");
            let mut statement = self.database.prepare(&text)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(0)?;
                meter.reach((number - first) as f64 / (last - first).max(1) as f64);
                let Some(id) = row.get_ref(1)?.as_str_or_null()? else { continue };
                match counts.get_mut(id) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(id.to_owned(), 1)),
                }
                let seconds: Option<f64> = row.get(2)?;
                take(
                    number,
                    id,
                    seconds.and_then(|seconds| Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()),
                );
            }
            Ok(())
        };
        scan().map_err(|source| self.failed(source))?;
        Ok(counts.into_iter().map(|(id, rows)| Entity { id, rows }).collect())
    }

    fn failed(&self, source: rusqlite::Error) -> HomeAssistantError {
        HomeAssistantError::Database {
            path: self.path.clone(),
            source,
        }
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|columns| columns.iter().any(|known| known == column))
    }

    /// The parts of the query for this schema.
    fn query(&self, kind: Kind) -> Result<Query, HomeAssistantError> {
        if kind == Kind::Statistics {
            for table in ["statistics", "statistics_meta"] {
                if !self.tables.contains_key(table) {
                    return Err(HomeAssistantError::OtherDatabase {
                        path: self.path.clone(),
                        table,
                    });
                }
            }
            return Ok(Query {
                table: "statistics",
                from: "statistics s LEFT JOIN statistics_meta m ON s.metadata_id = m.id".into(),
                id: "m.statistic_id",
                value: "CAST(COALESCE(s.mean, s.sum, s.state) AS TEXT)",
                time: self.time("statistics", "s", &["start"]),
                attributes: "m.unit_of_measurement",
            });
        }
        let (mut from, mut id, mut attributes) = ("states s".to_owned(), "s.entity_id", "NULL");
        if self.has("states", "metadata_id") && self.tables.contains_key("states_meta") {
            from += " LEFT JOIN states_meta m ON s.metadata_id = m.metadata_id";
            // Rows from before the change of the schema keep their name for a while.
            id = match self.has("states", "entity_id") {
                true => "COALESCE(m.entity_id, s.entity_id)",
                false => "m.entity_id",
            };
        }
        if self.has("states", "attributes_id") && self.tables.contains_key("state_attributes") {
            from += " LEFT JOIN state_attributes a ON s.attributes_id = a.attributes_id";
            attributes = match self.has("states", "attributes") {
                true => "COALESCE(a.shared_attrs, s.attributes)",
                false => "a.shared_attrs",
            };
        } else if self.has("states", "attributes") {
            attributes = "s.attributes";
        }
        Ok(Query {
            table: "states",
            from,
            id,
            value: "s.state",
            // `last_changed` is empty where it is that of the update.
            time: self.time("states", "s", &["last_changed", "last_updated"]),
            attributes,
        })
    }

    /// The first of these times that a row has, in seconds.
    fn time(&self, table: &str, alias: &str, names: &[&str]) -> String {
        let mut choices = String::new();
        for name in names {
            if self.has(table, &format!("{name}_ts")) {
                let _ = write!(choices, "{alias}.{name}_ts, ");
            }
            if self.has(table, name) {
                let _ = write!(choices, "(julianday({alias}.{name}) - 2440587.5) * 86400.0, ");
            }
        }
        format!("COALESCE({choices}NULL, NULL)")
    }
}

struct Query {
    /// The table of the rows, `s` in the query.
    table: &'static str,
    from: String,
    id: &'static str,
    value: &'static str,
    time: String,
    /// Attributes as JSON, or the unit itself.
    attributes: &'static str,
}

fn unit_of(attributes: &str) -> String {
    let attributes: Option<serde_json::Value> = serde_json::from_str(attributes).ok();
    let unit = attributes
        .as_ref()
        .and_then(|attributes| attributes["unit_of_measurement"].as_str());
    unit.unwrap_or_default().to_owned()
}

/// Names that are like the one asked for, or the first.
fn some_of(known: &[Entity], asked: &str) -> String {
    let word = asked.rsplit('.').next().unwrap_or(asked);
    let (like, others): (Vec<&Entity>, Vec<&Entity>) = known.iter().partition(|entity| entity.id.contains(word));
    let names: Vec<String> = like
        .iter()
        .chain(&others)
        .take(8)
        .map(|entity| format!("`{}`", entity.id))
        .collect();
    match names.len() {
        0 => "the database holds none".into(),
        _ => format!("the database has {} of them, such as {}", known.len(), names.join(", ")),
    }
}
