//! The daemon's configuration: one TOML file, overridden by the environment.
//!
//! A variable `TSM2_EDGE__SECTION__KEY` replaces the key of that section, `TSM2_EDGE__INPUT__FIELDS__name` the field of a variate. Paths are
//! relative to the file; those of secrets and certificates may begin with `$CREDENTIALS_DIRECTORY/`, where systemd lays what a unit's
//! `LoadCredential=` names. Invariants: an unknown key and a value of the wrong type are refused with the key's full path; a [`Config`] has the
//! right types, and [`service::Service`] checks that its parts fit together.

pub mod prior;
pub mod service;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tsm2_mqtt::{TimeFormat, TlsOptions};
pub use tsm2_stream::Aggregate;

/// Prefix of the environment variables that override keys.
pub const ENV_PREFIX: &str = "TSM2_EDGE__";
/// Set by systemd.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The broker's port where none is given and TLS is on.
const TLS_PORT: i64 = 8883;

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: not TOML: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser said, with the line.
        reason: String,
    },
    /// A key that is unknown, missing, or has a value of the wrong type.
    #[error("{origin}: {key}: {reason}")]
    Key {
        /// The file, or the environment variable.
        origin: String,
        /// The key's path, or that of the section that lacks one.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// An environment variable that names no key.
    #[error("{variable}: expected {ENV_PREFIX}SECTION__KEY")]
    Variable {
        /// The variable.
        variable: String,
    },
}

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The broker.
    #[serde(default)]
    pub broker: Broker,
    /// The model.
    pub model: Model,
    /// Where readings come from.
    pub input: Input,
    /// Where forecasts go.
    #[serde(default)]
    pub output: Output,
    /// What outlives the process.
    #[serde(default)]
    pub state: State,
    /// What is shown over HTTP; nothing listens when absent.
    #[serde(default)]
    pub http: Option<Http>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: Log,
}

impl Config {
    /// The smallest configuration: readings on `topic` at a broker on this machine, forecast by the bundle at `bundle`.
    pub fn new(bundle: impl Into<PathBuf>, topic: impl Into<String>) -> Self {
        Config {
            broker: Broker::default(),
            model: Model {
                bundle: bundle.into(),
                interval_s: None,
            },
            input: Input::new(topic),
            output: Output::default(),
            state: State::default(),
            http: None,
            log: Log::default(),
        }
    }
}

/// Section `broker`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port; in a file the default is 8883 where there is a section `tls`.
    pub port: u16,
    /// Unique at the broker and the same after every start, for unread messages are kept under it.
    pub client_id: String,
    /// User name, when the broker wants one.
    pub username: Option<String>,
    /// File with the password; a line end at its end is ignored.
    pub password_file: Option<PathBuf>,
    /// Seconds between signs of life.
    pub keep_alive_s: u16,
    /// At how many unacknowledged messages the broker may stop to send.
    pub max_inflight: usize,
    /// TLS, on where the section is there, be it empty.
    pub tls: Option<TlsOptions>,
}

impl Default for Broker {
    fn default() -> Self {
        Broker {
            host: "localhost".into(),
            port: 1883,
            client_id: "tsm2-edge".into(),
            username: None,
            password_file: None,
            keep_alive_s: 30,
            max_inflight: 10,
            tls: None,
        }
    }
}

/// Section `model`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Model {
    /// The bundle's file.
    pub bundle: PathBuf,
    /// Sampling interval in seconds, for a bundle that does not know its own.
    #[serde(default)]
    pub interval_s: Option<f64>,
}

/// Section `input`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Input {
    /// Topic template: with `{variate}` each topic carries one value, without it a JSON object with a field per variate.
    pub topic: String,
    /// Topic template of what is known ahead, for a model that was trained with such variates; `{variate}` must stand in it.
    #[serde(default)]
    pub known_ahead_topic: Option<String>,
    /// Name of the stream, for a template without `{stream}`.
    #[serde(default)]
    pub stream: Option<String>,
    /// The streams to serve; any when absent.
    #[serde(default)]
    pub streams: Option<Vec<String>>,
    /// Per variate the path of its field, or its name in the topic; a variate that is not named here goes by its own name.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Path of the value in a JSON object that carries one value.
    #[serde(default = "default_value")]
    pub value: String,
    /// Path of the time in the payload; absent, the time of arrival counts.
    #[serde(default)]
    pub time_field: Option<String>,
    /// How that time is written.
    #[serde(default)]
    pub time_format: TimeFormat,
    /// The zone of times that have no offset, by its IANA name; absent, they are refused.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// How the readings of a variate within one row become one value.
    #[serde(default)]
    pub aggregate: Aggregate,
    /// The same for single variates.
    #[serde(default)]
    pub aggregates: BTreeMap<String, Aggregate>,
    /// How many seconds a row waits for late readings, by the readings' own times.
    #[serde(default)]
    pub lateness_s: f64,
    /// In how many rows a variate that is not heard repeats its last value before it is missing.
    #[serde(default)]
    pub max_hold: u64,
    /// Largest payload that is read, in bytes.
    #[serde(default = "default_max_payload")]
    pub max_payload_bytes: usize,
    /// Longest silence that is bridged, in rows; a longer one restarts the stream.
    #[serde(default = "default_max_gap")]
    pub max_gap: u64,
    /// The most streams that are served.
    #[serde(default = "default_max_streams")]
    pub max_streams: usize,
}

fn default_value() -> String {
    "value".into()
}
fn default_max_payload() -> usize {
    64 * 1024
}
fn default_max_gap() -> u64 {
    1440
}
fn default_max_streams() -> usize {
    1000
}

impl Input {
    /// Readings on `topic`, everything else by default.
    pub fn new(topic: impl Into<String>) -> Self {
        Input {
            topic: topic.into(),
            known_ahead_topic: None,
            stream: None,
            streams: None,
            fields: BTreeMap::new(),
            value: default_value(),
            time_field: None,
            time_format: TimeFormat::default(),
            time_zone: None,
            aggregate: Aggregate::default(),
            aggregates: BTreeMap::new(),
            lateness_s: 0.0,
            max_hold: 0,
            max_payload_bytes: default_max_payload(),
            max_gap: default_max_gap(),
            max_streams: default_max_streams(),
        }
    }
}

/// Section `output`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Output {
    /// First levels of the topics published: `<prefix>/<stream>/forecast/<variate>` and `<prefix>/status`.
    pub prefix: String,
    /// Part of the readings that the intervals are to cover.
    pub coverage: f32,
}

impl Default for Output {
    fn default() -> Self {
        Output {
            prefix: "tsm2".into(),
            coverage: 0.9,
        }
    }
}

/// Section `state`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct State {
    /// File in which the streams' state outlives the process; absent, it does not.
    pub path: Option<PathBuf>,
    /// The most readings in one commit.
    pub commit_every_readings: u64,
    /// The oldest, in seconds, that an uncommitted reading may become.
    pub commit_every_s: u32,
    /// The last rows of each stream that are kept, to warm up another model.
    pub history_rows: u32,
    /// Seconds of silence after which a stream leaves the memory; the file keeps it.
    pub evict_after_s: u32,
    /// The most streams in memory, the others are in the file; absent, as many as there may be.
    pub resident_streams: Option<usize>,
}

impl Default for State {
    fn default() -> Self {
        State {
            path: None,
            commit_every_readings: 1000,
            commit_every_s: 10,
            history_rows: 512,
            evict_after_s: 3600,
            resident_streams: None,
        }
    }
}

/// Section `http`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Http {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// File with the bearer token that `/metrics` wants.
    pub token_file: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
            token_file: None,
        }
    }
}

/// Section `log`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// The least severe events that are logged; `RUST_LOG` in the environment overrides it.
    pub level: LogLevel,
}

impl Log {
    /// Text of this level and above.
    pub fn text(level: LogLevel) -> Self {
        Log { level, ..Log::default() }
    }
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A sentence and key=value pairs.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// How severe an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something that should work does not.
    Error,
    /// Something that somebody should look at some day.
    Warn,
    /// What the daemon does.
    #[default]
    Info,
    /// Details for those who look for a fault.
    Debug,
    /// All that there is.
    Trace,
}

impl std::fmt::Display for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        })
    }
}

impl Config {
    /// Reads a file and applies the environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::parse(&text, path, variables)
    }

    /// Parses the text of the file at `path` and applies those of `variables` that begin with [`ENV_PREFIX`]; of the others only systemd's
    /// `CREDENTIALS_DIRECTORY` matters.
    pub fn parse(text: &str, path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut table: toml::Table = toml::from_str(text).map_err(|e| ConfigError::Toml {
            path: path.to_owned(),
            reason: e.to_string().trim_end().to_owned(),
        })?;
        let mut overrides = BTreeMap::new();
        let mut credentials = None;
        for (variable, value) in variables {
            if variable == CREDENTIALS {
                credentials = Some(PathBuf::from(&value));
            }
            let Some(key) = variable.strip_prefix(ENV_PREFIX) else { continue };
            let mut keys: Vec<String> = key.splitn(3, "__").map(str::to_owned).collect();
            // Keys are ours and lower-case, but for names of variates, which are as they are.
            let ours = if keys[0].eq_ignore_ascii_case("input") {
                keys.len().min(2)
            } else {
                keys.len()
            };
            keys[..ours].iter_mut().for_each(|key| key.make_ascii_lowercase());
            if keys.len() < 2 || keys.iter().any(String::is_empty) {
                return Err(ConfigError::Variable { variable });
            }
            // Text first: a password or a name may look like a number.
            set(&mut table, &keys, toml::Value::String(value.clone())).ok_or_else(|| ConfigError::Variable {
                variable: variable.clone(),
            })?;
            overrides.insert(keys.join("."), (variable, keys, literal(&value)));
        }
        if let Some(broker) = table.get_mut("broker").and_then(toml::Value::as_table_mut)
            && broker.contains_key("tls")
        {
            broker.entry("port").or_insert(TLS_PORT.into());
        }
        loop {
            let error = match serde_path_to_error::deserialize::<_, Config>(table.clone()) {
                Ok(config) => return config.located(path, credentials.as_deref()),
                Err(error) => error,
            };
            let key = error.path().to_string();
            let origin = match overrides.get_mut(&key) {
                Some((_, keys, literal)) if literal.is_some() => {
                    if let Some(value) = literal.take() {
                        set(&mut table, keys, value);
                    }
                    continue;
                }
                Some((variable, ..)) => variable.clone(),
                None => path.display().to_string(),
            };
            let key = if key == "." { "the file".to_owned() } else { key };
            return Err(ConfigError::Key {
                origin,
                key,
                reason: error.inner().message().to_owned(),
            });
        }
    }

    /// Its paths as they are to be opened.
    fn located(mut self, file: &Path, credentials: Option<&Path>) -> Result<Self, ConfigError> {
        let folder = file.parent().unwrap_or(Path::new(""));
        self.model.bundle = folder.join(&self.model.bundle);
        self.state.path = self.state.path.map(|path| folder.join(path));
        let tls = self.broker.tls.as_mut();
        let mut of_systemd = vec![("broker.password_file", &mut self.broker.password_file)];
        of_systemd.extend(tls.into_iter().flat_map(|tls| {
            [
                ("broker.tls.ca_file", &mut tls.ca_file),
                ("broker.tls.cert_file", &mut tls.cert_file),
                ("broker.tls.key_file", &mut tls.key_file),
            ]
        }));
        of_systemd.extend(self.http.as_mut().map(|http| ("http.token_file", &mut http.token_file)));
        for (key, path) in of_systemd.into_iter().filter_map(|(key, path)| Some((key, path.as_mut()?))) {
            *path = match (path.strip_prefix(format!("${CREDENTIALS}")), credentials) {
                (Ok(name), Some(credentials)) => credentials.join(name),
                (Err(_), _) => folder.join(&*path),
                (Ok(_), None) => {
                    return Err(ConfigError::Key {
                        origin: file.display().to_string(),
                        key: key.to_owned(),
                        reason: format!("systemd has not set {CREDENTIALS}: is there a LoadCredential= in the unit?"),
                    });
                }
            };
        }
        Ok(self)
    }
}

/// Sets a key given by its path, making sections on the way; `None` when something on the way is no section.
fn set(table: &mut toml::Table, keys: &[String], value: toml::Value) -> Option<()> {
    let (last, sections) = keys.split_last()?;
    let mut at = table;
    for section in sections {
        at = at
            .entry(section.clone())
            .or_insert_with(|| toml::Table::new().into())
            .as_table_mut()?;
    }
    at.insert(last.clone(), value);
    Some(())
}

/// A variable's text as a TOML value other than text.
fn literal(text: &str) -> Option<toml::Value> {
    let mut table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    table.remove("value").filter(|value| !value.is_str())
}
