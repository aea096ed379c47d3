//! Actions on every new connection: unsubscribe, subscribe, then publish `online`.
//!
//! `online` and [`SessionState::Ready`] mean that the broker has granted every subscription. A filter
//! that it refuses is asked for again, with back-off, for as long as the connection stands.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, QoS, SubscribeFilter, SubscribeReasonCode};
use tokio::sync::{Mutex, watch};
use tracing::{debug, error, info};

use crate::backoff::Backoff;
use crate::outbox::{Message, Outbox};
use crate::session_record::SessionRecord;

/// Pauses between attempts to subscribe to what the broker refuses.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The state of the connection and its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// No connection.
    Disconnected,
    /// Connected; the broker has not granted every subscription yet.
    Pending,
    /// Connected, and every subscription is granted.
    Ready,
    /// Connected; the broker refuses the subscription to this filter.
    Refused {
        /// The filter.
        filter: String,
    },
}

/// The state, with the number of the connection that it belongs to.
pub(crate) type StateChannel = watch::Sender<(u64, SessionState)>;

/// What to do on a new connection.
#[derive(Clone)]
pub(crate) struct OnConnect {
    pub(crate) client: AsyncClient,
    pub(crate) filters: Vec<String>,
    /// Who we are to the broker's access list.
    pub(crate) account: String,
    /// The message that says `online`, if any.
    pub(crate) online: Option<Message>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) record: Arc<Mutex<SessionRecord>>,
    pub(crate) state: StateChannel,
}

impl OnConnect {
    /// Runs the actions for the connection that stands now. When a request fails the connection is
    /// lost, and the next one runs them again.
    pub(crate) async fn run(self) {
        let connection = self.state.borrow().0;
        if self.unsubscribe().await.is_none() {
            return;
        }
        self.record.lock().await.add(&self.filters);
        let mut wanted = self.filters.clone();
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        let mut reported = Vec::new();
        while !wanted.is_empty() {
            let Some(refused) = self.subscribe(&wanted).await else { return };
            wanted = refused;
            let Some(filter) = wanted.first() else { break };
            if wanted != reported {
                let account = &self.account;
                error!(
                    filter,
                    "the broker refuses the subscription; allow {account} to read {filter:?} in the broker's access list; trying again"
                );
                reported.clone_from(&wanted);
            }
            self.set_state(connection, SessionState::Refused { filter: filter.clone() });
            tokio::time::sleep(backoff.pause()).await;
            if self.state.borrow().0 != connection {
                return;
            }
        }
        if !reported.is_empty() {
            info!("the broker grants the subscriptions now");
        }
        if self.set_state(connection, SessionState::Ready)
            && let Some(online) = self.online
        {
            self.outbox.put(online);
        }
    }

    /// Removes the subscriptions of earlier configurations. `None`: the connection is lost.
    async fn unsubscribe(&self) -> Option<()> {
        let mut record = self.record.lock().await;
        let stale = record.stale(&self.filters);
        if !stale.is_empty() {
            let answer = self.client.unsubscribe_many_tracked(stale.iter().map(String::as_str)).await.ok()?;
            answer.wait_async().await.ok()?;
            info!(filters = ?stale, "unsubscribed from filters of an earlier configuration");
            record.remove(&stale);
        }
        Some(())
    }

    /// Subscribes and returns the filters that the broker refuses. `None`: the connection is lost.
    async fn subscribe(&self, filters: &[String]) -> Option<Vec<String>> {
        let wanted: Vec<_> = filters
            .iter()
            .map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce))
            .collect();
        let answer = self.client.subscribe_many_tracked(wanted).await.ok()?;
        let suback = answer.wait_async().await.ok()?;
        let mut refused = Vec::new();
        // A filter without a return code counts as refused.
        let codes = suback.return_codes.iter().map(Some).chain(std::iter::repeat(None));
        for (filter, code) in filters.iter().zip(codes) {
            match code {
                Some(SubscribeReasonCode::Success(_)) => debug!(filter, "subscribed"),
                Some(SubscribeReasonCode::Failure) | None => refused.push(filter.clone()),
            }
        }
        Some(refused)
    }

    /// Sets the state, unless another connection has come meanwhile.
    fn set_state(&self, connection: u64, state: SessionState) -> bool {
        self.state.send_if_modified(|current| {
            let is_current = current.0 == connection;
            if is_current {
                current.1 = state;
            }
            is_current
        })
    }
}
