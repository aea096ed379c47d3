//! The configuration file and the environment variables that override it.
//!
//! A variable `TSM2_EDGE__SECTION__KEY` replaces the key of that section;
//! `TSM2_EDGE__INPUT__FIELDS__name` replaces the field of a variate. Sections `[[source]]` have no
//! variables. Paths are relative to the file.
//! Paths of secrets and certificates may begin with `$CREDENTIALS_DIRECTORY/`, where systemd puts
//! the files of a unit's `LoadCredential=`.
//!
//! Invariant: an unknown key and a value of the wrong type are rejected with the key's full path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::broker::Broker;
use super::home_assistant::HomeAssistant;
use super::http::Http;
use super::input::Input;
use super::log::Log;
use super::model::Model;
use super::output::Output;
use super::record::Record;
use super::source::Source;
use super::state::State;

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
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: not TOML: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
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
    #[error("{variable} names no key; write {ENV_PREFIX}SECTION__KEY")]
    Variable {
        /// The variable.
        variable: String,
    },
}

/// The whole configuration. The types are right; [`crate::config::prepare`] checks the rest.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// The broker.
    pub broker: Broker,
    /// The model.
    pub model: Model,
    /// Where readings come from.
    pub input: Input,
    /// Sources beside the short form in `input`.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// Where forecasts go.
    pub output: Output,
    /// Streams as devices of Home Assistant; nothing is announced when absent.
    pub home_assistant: Option<HomeAssistant>,
    /// What outlives the process.
    pub state: State,
    /// Recordings of what the daemon sees; none when absent.
    pub record: Option<Record>,
    /// Metrics and health over HTTP; nothing listens when absent.
    pub http: Option<Http>,
    /// What is logged, and how.
    pub log: Log,
}

impl Config {
    /// The smallest configuration: readings on `topic` at a broker on this machine, forecast by the
    /// model file `bundle`.
    pub fn new(bundle: impl Into<PathBuf>, topic: impl Into<String>) -> Self {
        let mut config = Config {
            input: Input::new(topic),
            ..Config::default()
        };
        config.model.bundle = bundle.into();
        config
    }

    /// Reads a file and applies the environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::parse(&text, path, variables)
    }

    /// Parses the text of the file at `path` and applies those of `variables` that begin with
    /// [`ENV_PREFIX`], and systemd's `CREDENTIALS_DIRECTORY`.
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
            // Keys are lower-case; names of variates are as they are.
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
                Ok(config) => return config.complete(path)?.located(path, credentials.as_deref()),
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

    /// Rejects a configuration without a required key.
    fn complete(self, file: &Path) -> Result<Self, ConfigError> {
        for (key, is_missing) in [
            ("model.bundle", !self.model.has_bundle() && self.input.variates.is_empty()),
            ("input.topic", self.input.topic.is_empty() && self.sources.is_empty()),
        ] {
            if is_missing {
                return Err(ConfigError::Key {
                    origin: file.display().to_string(),
                    key: key.to_owned(),
                    reason: match key {
                        "model.bundle" => "missing; set this key, or input.variates to begin without a model".to_owned(),
                        _ => "missing; set this key".to_owned(),
                    },
                });
            }
        }
        Ok(self)
    }

    /// Makes its paths relative to the file's folder.
    fn located(mut self, file: &Path, credentials: Option<&Path>) -> Result<Self, ConfigError> {
        let folder = file.parent().unwrap_or(Path::new(""));
        if self.model.has_bundle() {
            self.model.bundle = folder.join(&self.model.bundle);
        }
        self.state.path = self.state.path.map(|path| folder.join(path));
        if let Some(record) = &mut self.record {
            record.path = folder.join(&record.path);
        }
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
                        reason: format!("systemd has not set {CREDENTIALS}; add LoadCredential= to the unit"),
                    });
                }
            };
        }
        Ok(self)
    }
}

/// Sets a key given by its path and makes missing sections; `None` when the path leads through a key.
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

/// A variable's text as a TOML value that is not text.
fn literal(text: &str) -> Option<toml::Value> {
    let mut table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    table.remove("value").filter(|value| !value.is_str())
}
