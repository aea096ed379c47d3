//! Session record: a small JSON file of the subscriptions that brokers keep for us.
//!
//! A persistent session keeps its subscriptions when the configuration changes, and MQTT 3.1.1 has no
//! request that lists them. The record lists them instead. It is written before a filter is
//! subscribed and after a filter is unsubscribed, so it never lacks a filter that the broker has.
//! Only the sending task of the session uses it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::options::SessionOptions;

/// A session that a broker keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSession {
    /// Host name or address of the broker.
    pub host: String,
    /// Port of the broker.
    pub port: u16,
    /// Client id of the session.
    pub client_id: String,
    /// Filters subscribed in it.
    pub filters: BTreeSet<String>,
}

impl RecordedSession {
    fn is_of(&self, options: &SessionOptions) -> bool {
        (&self.host, self.port, &self.client_id) == (&options.host, options.port, &options.client_id)
    }
}

/// The sessions in a record; none if the file is missing.
///
/// # Errors
/// The file cannot be read or is not a session record.
pub fn recorded_sessions(path: &Path) -> io::Result<Vec<RecordedSession>> {
    match fs::read(path) {
        Ok(json) => Ok(serde_json::from_slice(&json)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Takes a session out of a record.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn forget(path: &Path, options: &SessionOptions) -> io::Result<()> {
    let mut sessions = recorded_sessions(path)?;
    sessions.retain(|session| !session.is_of(options));
    write(path, &sessions)
}

fn write(path: &Path, sessions: &[RecordedSession]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(sessions)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// The record of one running session.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    path: Option<PathBuf>,
    /// The sessions of others, and ours last.
    sessions: Vec<RecordedSession>,
}

impl SessionRecord {
    /// Reads the record of these options. A file that cannot be read is reported and left alone.
    pub(crate) fn open(options: &SessionOptions) -> Self {
        let mut path = options.record.clone().filter(|_| options.is_kept_by_broker());
        let mut sessions = match path.as_deref().map(recorded_sessions) {
            None => Vec::new(),
            Some(Ok(sessions)) => sessions,
            Some(Err(error)) => {
                let file = path.take().unwrap_or_default();
                warn!(
                    file = %file.display(),
                    %error,
                    "cannot read the record of subscriptions; earlier subscriptions stay at the broker. Remove the file to start a new record"
                );
                Vec::new()
            }
        };
        let own = sessions.iter().position(|session| session.is_of(options));
        let own = own.map(|own| sessions.remove(own)).unwrap_or_else(|| RecordedSession {
            host: options.host.clone(),
            port: options.port,
            client_id: options.client_id.clone(),
            filters: BTreeSet::new(),
        });
        for other in &sessions {
            warn!(
                broker = format!("{}:{}", other.host, other.port),
                client_id = other.client_id,
                "the broker may still keep a session of an earlier configuration and queue messages for it; if nobody uses it, clear it: tsm2-edge clear-session CONFIG --client-id ID"
            );
        }
        sessions.push(own);
        SessionRecord { path, sessions }
    }

    /// Filters that the broker may have and that are not wanted.
    pub(crate) fn stale(&self, wanted: &[String]) -> Vec<String> {
        let own = self.sessions.last().into_iter().flat_map(|own| &own.filters);
        own.filter(|filter| !wanted.contains(filter)).cloned().collect()
    }

    /// Before a SUBSCRIBE: the broker may have these filters, too.
    pub(crate) fn add(&mut self, filters: &[String]) {
        self.change(|own| own.extend(filters.iter().cloned()));
    }

    /// After an UNSUBACK: the broker no longer has these filters.
    pub(crate) fn remove(&mut self, filters: &[String]) {
        self.change(|own| own.retain(|filter| !filters.contains(filter)));
    }

    fn change(&mut self, change: impl FnOnce(&mut BTreeSet<String>)) {
        let (Some(path), Some(own)) = (&self.path, self.sessions.last_mut()) else {
            return;
        };
        let before = own.filters.clone();
        change(&mut own.filters);
        if own.filters != before
            && let Err(error) = write(path, &self.sessions)
        {
            warn!(file = %path.display(), %error, "cannot write the record of subscriptions");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(path: &Path, client_id: &str) -> SessionOptions {
        SessionOptions {
            filters: vec!["new/+".into()],
            record: Some(path.to_owned()),
            ..SessionOptions::new("broker", 1883, client_id)
        }
    }

    #[test]
    fn the_record_has_every_filter_that_the_broker_may_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/session.json");
        let mut record = SessionRecord::open(&options(&path, "a"));
        record.add(&["old/+".into(), "new/+".into()]);
        let wanted = ["new/+".to_owned()];
        let mut record = SessionRecord::open(&options(&path, "a"));
        assert_eq!(record.stale(&wanted), ["old/+"]);
        record.remove(&["old/+".into()]);
        assert_eq!(SessionRecord::open(&options(&path, "a")).stale(&wanted), [""; 0]);

        let mut other = SessionRecord::open(&options(&path, "b"));
        assert_eq!(other.stale(&wanted), [""; 0], "the filters of another session");
        other.add(&wanted);
        let ids: Vec<_> = recorded_sessions(&path)
            .unwrap()
            .into_iter()
            .map(|session| session.client_id)
            .collect();
        assert_eq!(ids, ["a", "b"]);
        forget(&path, &options(&path, "a")).unwrap();
        assert_eq!(recorded_sessions(&path).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_no_record_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        fs::write(&path, "something else").unwrap();
        SessionRecord::open(&options(&path, "a")).add(&["x".into()]);
        assert_eq!(fs::read(&path).unwrap(), b"something else");
    }
}
