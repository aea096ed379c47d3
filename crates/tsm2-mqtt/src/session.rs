//! The MQTT session: one connection at a time, opened again after every loss.
//!
//! Two tasks: one polls the connection, one publishes and subscribes. Who competes: publishers and
//! the session itself, through the outbox.
//!
//! Invariants:
//! 1. The polling task waits for nothing but the connection; no queue that it fills can make it wait.
//! 2. Every connection subscribes again, with or without a session at the broker.
//! 3. `online` is published after the broker has granted every subscription.
//! 4. A PUBLISH that is too large is truncated below the client library, and rejected and
//!    acknowledged above it.
//! 5. A password without TLS is reported; no password is ever logged.
//! 6. A message that MQTT cannot carry is skipped: a broker would end the connection, each time again.
//! 7. A clean end publishes `offline` itself, because the broker then discards the Will.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, Packet, PublishOptions, QoS};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::connection::{IN_FLIGHT, cause, client, mqtt_options};
use crate::inbox::{Inbox, Receiver};
use crate::on_connect::{OnConnect, SessionState, StateChannel};
use crate::options::{SessionError, SessionOptions, is_sendable};
use crate::outbox::{Outbox, Publisher};
use crate::session_record::{self, SessionRecord};
use crate::status::Status;

const FIRST_BACK_OFF: Duration = Duration::from_millis(250);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// After a connection that stood this long the next failure begins with the shortest back-off.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// How long a clean end may take.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A session. It lives until [`Session::shutdown`] or until it is dropped.
#[derive(Debug)]
pub struct Session {
    outbox: Arc<Outbox>,
    client: AsyncClient,
    status_topic: Option<String>,
    state: watch::Receiver<(u64, SessionState)>,
    dropped: Arc<AtomicU64>,
    poller: JoinHandle<()>,
    sender: JoinHandle<()>,
}

impl Session {
    /// Starts to connect on the current tokio runtime and returns at once. An absent broker is
    /// awaited.
    ///
    /// # Errors
    /// The options are not valid.
    pub fn start(options: SessionOptions) -> Result<(Session, Publisher, Receiver), SessionError> {
        options.check()?;
        let (client, events) = client(mqtt_options(&options));
        let broker = format!("{}:{}", options.host, options.port);
        static REPORTED: Once = Once::new();
        if options.shows_password() {
            REPORTED.call_once(|| warn!(broker, "the password is sent without encryption; configure TLS ([broker.tls])"));
        }

        let outbox = Arc::<Outbox>::default();
        let (state, current) = watch::channel((0, SessionState::Disconnected));
        let dropped = Arc::<AtomicU64>::default();
        let (inbox, receiver) = Inbox::new(client.clone(), dropped.clone());
        let connected = Arc::<Notify>::default();
        let poller = Poller {
            events,
            inbox,
            outbox: outbox.clone(),
            broker,
            state: state.clone(),
            connected: connected.clone(),
        };
        let poller = tokio::spawn(poller.run());
        let on_connect = OnConnect {
            client: client.clone(),
            account: options.account(),
            record: Arc::new(Mutex::new(SessionRecord::open(&options))),
            filters: options.filters,
            online: options.status_topic.as_deref().map(|topic| Status::Online.message(topic)),
            outbox: outbox.clone(),
            state,
        };
        let sender = tokio::spawn(send(on_connect, connected));
        let publisher = Publisher { outbox: outbox.clone() };
        let session = Session {
            outbox,
            client,
            status_topic: options.status_topic,
            state: current,
            dropped,
            poller,
            sender,
        };
        Ok((session, publisher, receiver))
    }

    /// Removes a session that a broker keeps: its subscriptions and its queued messages.
    ///
    /// `options` are those of the session. A client that is connected under the same client id loses
    /// its connection. If [`SessionOptions::record`] is set, the session also leaves the record.
    ///
    /// # Errors
    /// The options are not valid, or the broker did not accept the connection.
    pub async fn clear(options: &SessionOptions) -> Result<(), SessionError> {
        let options = SessionOptions {
            persistent: false,
            status_topic: None,
            ..options.clone()
        };
        options.check()?;
        let failed = |reason: String| SessionError::NotCleared {
            client_id: options.client_id.clone(),
            reason,
        };
        // A connection with Clean Session ends the kept session (MQTT 3.1.1, 3.1.2.4).
        let (client, mut events) = client(mqtt_options(&options));
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    // An error means that the connection has ended already.
                    let _ = client.disconnect_with_timeout(END_TIMEOUT).await;
                }
                Ok(_) => {}
                Err(ConnectionError::RequestsDone) => break,
                Err(error) => return Err(failed(cause(&error))),
            }
        }
        let forget = |path: &Path| session_record::forget(path, &options).map_err(|error| failed(error.to_string()));
        options.record.as_deref().map_or(Ok(()), forget)
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.state.borrow().1 != SessionState::Disconnected
    }

    /// Waits for a connection.
    pub async fn connected(&self) {
        // An error means that the polling task has ended: there is nothing to wait for.
        let _ = self.state.clone().wait_for(|state| state.1 != SessionState::Disconnected).await;
    }

    /// The state now.
    pub fn state(&self) -> SessionState {
        self.state.borrow().1.clone()
    }

    /// Waits until the state differs from `seen` and returns it; `None` when the session has ended.
    /// Cancel safe.
    pub async fn state_after(&self, seen: &SessionState) -> Option<SessionState> {
        let mut state = self.state.clone();
        state.wait_for(|state| state.1 != *seen).await.ok().map(|state| state.1.clone())
    }

    /// Messages at QoS 0 that were dropped because the consumer was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Ends the session within a few seconds: what was handed over leaves, then `offline`, then the
    /// disconnect.
    pub async fn shutdown(mut self) {
        self.outbox.close();
        if self.is_connected() {
            if let Some(topic) = &self.status_topic {
                self.outbox.put(Status::Offline.message(topic));
            }
            let end = async {
                // An error is reported below, with the number of messages.
                let _ = self.outbox.flush().await;
                if self.client.disconnect_with_timeout(END_TIMEOUT).await.is_ok() {
                    let _ = (&mut self.poller).await;
                }
            };
            if tokio::time::timeout(END_TIMEOUT, end).await.is_err() {
                warn!(
                    unacknowledged = self.outbox.len(),
                    "the broker did not take all messages before the end"
                );
            }
        } else if self.outbox.len() > 0 {
            warn!(
                unacknowledged = self.outbox.len(),
                "ending without a connection; these messages were not published"
            );
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.outbox.close();
        self.poller.abort();
        self.sender.abort();
    }
}

/// The polling task.
struct Poller {
    events: EventLoop,
    inbox: Inbox,
    outbox: Arc<Outbox>,
    broker: String,
    state: StateChannel,
    connected: Arc<Notify>,
}

impl Poller {
    async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_BACK_OFF, LONGEST_BACK_OFF);
        let mut since = None::<Instant>;
        let mut reported = String::new();
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                    info!(broker = self.broker, session_present = connack.session_present, "connected");
                    since = Some(Instant::now());
                    reported.clear();
                    self.outbox.set_connected(true);
                    self.set_state(SessionState::Pending);
                    self.connected.notify_one();
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.inbox.deliver(publish),
                Ok(_) => {}
                Err(ConnectionError::RequestsDone) => break,
                Err(error) => {
                    self.disconnected();
                    if since.take().is_some_and(|since| since.elapsed() >= GOOD_CONNECTION) {
                        backoff.reset();
                    }
                    let cause = cause(&error);
                    if cause != reported {
                        warn!(broker = self.broker, cause, "no connection; trying again");
                        reported = cause;
                    } else {
                        debug!(broker = self.broker, cause, "still no connection");
                    }
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
        self.outbox.close();
        self.disconnected();
    }

    /// Sets the state; a connection that begins or ends has a number of its own.
    fn set_state(&self, state: SessionState) {
        self.state.send_modify(|current| *current = (current.0 + 1, state));
    }

    fn disconnected(&mut self) {
        self.outbox.set_connected(false);
        self.set_state(SessionState::Disconnected);
        // What was read before the connection broke still belongs to that connection.
        for event in std::mem::take(&mut self.events.state.events) {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                self.inbox.deliver(publish);
            }
        }
        self.inbox.disconnected();
        // Acknowledgements between the library's own clean-up and the line above belong to the old
        // connection.
        self.events.clean();
    }
}

/// The sending task.
async fn send(on_connect: OnConnect, connected: Arc<Notify>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = connected.notified() => {
                running.spawn(on_connect.clone().run());
            }
            Some(_) = running.join_next() => {}
            (sequence, message) = on_connect.outbox.take(), if running.len() < usize::from(IN_FLIGHT) => {
                if !is_sendable(&message.topic) {
                    let topic: String = message.topic.chars().take(120).collect();
                    warn!(topic, "MQTT has no such topic; the message is not published");
                    on_connect.outbox.acknowledged(sequence, message.topic);
                    continue;
                }
                let options = PublishOptions::new(QoS::AtLeastOnce).retain(message.retain);
                match on_connect.client.publish_tracked(message.topic.clone(), message.payload.clone(), options).await {
                    Ok(notice) => {
                        let outbox = on_connect.outbox.clone();
                        running.spawn(async move {
                            match notice.wait_async().await {
                                Ok(_) => outbox.acknowledged(sequence, message.topic),
                                Err(_) => outbox.failed(sequence, message),
                            }
                        });
                    }
                    Err(error) => {
                        // The session has ended.
                        warn!(topic = message.topic, %error, "a message cannot be published");
                        on_connect.outbox.acknowledged(sequence, message.topic);
                    }
                }
            }
        }
    }
}
