//! The state of one partition's streams as retained messages at the broker, `PREFIX/cluster/state/<partition>/<stream>`.
//!
//! Invariants: state is read after the session of the partition stands, when its former owner has none any more, and written through that
//! session only: what the broker took before is all there is, and nothing of a former owner comes after it. A commit is done when the broker
//! has acknowledged every message of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tsm2_mqtt::{Message, Publisher, Session, SessionError, SessionOptions};

use crate::shelf::{Changes, Rows, Shelf};
use crate::store::StoreError;

/// How long the broker may take for one commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after the last retained message none may come, where a broker sends them apart from what is published.
const QUIET: Duration = Duration::from_millis(300);

/// See the module's invariants.
pub(crate) struct Retained {
    partition: usize,
    /// `PREFIX/cluster/state/<partition>/`.
    folder: String,
    /// What was found and has not been asked for yet.
    found: Mutex<HashMap<String, Vec<u8>>>,
    publisher: Publisher,
    runtime: Handle,
}

impl Retained {
    /// Reads what the broker has. `options` are those of the partition's session, `reader` is the name of one to read with.
    pub(crate) async fn read(
        prefix: &str,
        partition: usize,
        options: &SessionOptions,
        reader: &str,
        publisher: Publisher,
    ) -> Result<Self, SessionError> {
        let folder = format!("{prefix}/cluster/state/{partition}/");
        let end = format!("{prefix}/cluster/readers/{reader}");
        // The session says `online` when the broker has answered its subscriptions, and what was retained came before.
        let mut options = options.clone();
        options.client_id = format!("{}-{reader}", options.client_id);
        options.filters = vec![format!("{folder}+"), end.clone()];
        options.status_topic = Some(end.clone());
        // Nothing is to be kept for a reader that has read: what was kept would be old, and would grow with every commit.
        options.persistent = false;
        // A snapshot is as large as the model's state, and whole or of no use.
        options.max_payload = usize::MAX;
        let (session, _, mut receiver) = Session::start(options)?;
        let (mut found, mut is_all) = (HashMap::new(), false);
        loop {
            let next = match is_all {
                false => receiver.recv().await,
                true => tokio::time::timeout(QUIET, receiver.recv()).await.ok().flatten(),
            };
            let Some(incoming) = next else { break };
            match incoming.topic.strip_prefix(&folder) {
                Some(stream) => drop(found.insert(stream.to_owned(), incoming.payload.to_vec())),
                None => is_all |= !incoming.retain && incoming.topic == end,
            }
            incoming.ack.done();
        }
        session.shutdown().await;
        Ok(Retained {
            partition,
            folder,
            found: Mutex::new(found),
            publisher,
            runtime: Handle::current(),
        })
    }

    /// Streams found.
    pub(crate) fn len(&self) -> usize {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Shelf for Retained {
    fn load(&self, stream: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(stream))
    }

    fn rows(&self, _: &str) -> Result<Rows, StoreError> {
        Ok(Rows::default())
    }

    fn commit(&self, changes: &Changes) -> Result<u64, StoreError> {
        let write = async {
            let mut bytes = 0;
            for (stream, change) in changes {
                bytes += change.snapshot.len() as u64;
                let message = Message {
                    topic: format!("{}{stream}", self.folder),
                    payload: Bytes::from(change.snapshot.clone()),
                    retain: true,
                };
                self.publisher.publish(message).await.ok()?;
            }
            self.publisher.flush().await.ok()?;
            Some(bytes)
        };
        let written = self.runtime.block_on(tokio::time::timeout(COMMIT_TIMEOUT, write));
        written.ok().flatten().ok_or(StoreError::Broker { partition: self.partition })
    }
}
