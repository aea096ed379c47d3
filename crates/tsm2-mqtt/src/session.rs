//! The one session over the MQTT client library.
//!
//! Two tasks: one polls the connection and never waits for anything else; one publishes and subscribes. Invariants:
//! - nothing is published or subscribed from the polling task, and no queue that it feeds can make it wait;
//! - every CONNACK resubscribes, session or not, and once the broker has answered that, `online` is said: who reads it may publish;
//! - whatever is published is taken from the wire, cut where it is too large, and acknowledged or refused above it;
//! - no password leaves in the clear without a word of warning, and none is ever logged;
//! - a clean end says `offline` itself, for the broker then discards the Will.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttc::{
    AckMode, AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Packet,
    PublishOptions, QoS, StateError, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use crate::inbox::{Inbox, Receiver};
use crate::options::{SessionError, SessionOptions};
use crate::outbox::{Message, Outbox, Publisher};
use crate::tls;
use crate::transport::{CONNECT_TIMEOUT_S, Endpoint};

/// The longest remaining length of a packet in MQTT 3.1.1.
const MAX_LENGTH: usize = 268_435_455;
/// What a PUBLISH has before its payload, at most: the topic with its length, and the identifier.
const MAX_TOPIC: usize = 2 + 65_535 + 2;
/// Publishes on their way at once.
const IN_FLIGHT: u16 = 100;
const FIRST_BACK_OFF: Duration = Duration::from_millis(250);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// A connection that stood this long was a good one: the next failure starts with the shortest back-off.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// How long a clean end may take.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Retained availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The session stands.
    Online,
    /// It ended, cleanly or not.
    Offline,
}

impl Status {
    /// The payload published.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Offline => "offline",
        }
    }
}

/// A session, living until [`Session::shutdown`] or until it is dropped.
#[derive(Debug)]
pub struct Session {
    outbox: Arc<Outbox>,
    client: AsyncClient,
    status_topic: Option<String>,
    connected: watch::Receiver<bool>,
    dropped: Arc<AtomicU64>,
    poller: JoinHandle<()>,
    sender: JoinHandle<()>,
}

impl Session {
    /// Starts connecting, on the current tokio runtime, and returns at once: an absent broker is waited for.
    pub fn start(options: SessionOptions) -> Result<(Session, Publisher, Receiver), SessionError> {
        Self::begin(options, false)
    }

    /// As [`Session::start`], for one connection: when that has stood and is lost, or another client takes the client id over, the session
    /// has ended.
    pub fn start_once(options: SessionOptions) -> Result<(Session, Publisher, Receiver), SessionError> {
        Self::begin(options, true)
    }

    fn begin(options: SessionOptions, once: bool) -> Result<(Session, Publisher, Receiver), SessionError> {
        options.check()?;
        let (client, mut events) = AsyncClient::builder(mqtt_options(&options)).unbounded().build();
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_TIMEOUT_S);
        events.set_network_options(network);
        let broker = format!("{}:{}", options.host, options.port);
        static SHOWN: Once = Once::new();
        if options.shows_password() {
            SHOWN.call_once(|| warn!(broker, "the password goes over the network in the clear: the connection has no TLS"));
        }

        let outbox = Arc::<Outbox>::default();
        let (connected_in, connected) = watch::channel(false);
        let dropped = Arc::<AtomicU64>::default();
        let (inbox, receiver) = Inbox::new(client.clone(), dropped.clone());
        let resubscribe = Arc::<Notify>::default();
        let poller = Poller {
            events,
            inbox,
            outbox: outbox.clone(),
            broker,
            connected: connected_in,
            resubscribe: resubscribe.clone(),
            once,
        };
        let poller = tokio::spawn(poller.run());
        let on_connect = OnConnect {
            client: client.clone(),
            filters: options.filters,
            status_topic: options.status_topic.clone(),
            outbox: outbox.clone(),
        };
        let sender = tokio::spawn(send(on_connect, resubscribe));
        let publisher = Publisher { outbox: outbox.clone() };
        let session = Session {
            outbox,
            client,
            status_topic: options.status_topic,
            connected,
            dropped,
            poller,
            sender,
        };
        Ok((session, publisher, receiver))
    }

    /// Whether the connection stands now.
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Waits for the connection to stand.
    pub async fn connected(&self) {
        // The other end lives as long as the polling task; when that has ended there is nothing to wait for.
        let _ = self.connected.clone().wait_for(|&connected| connected).await;
    }

    /// Messages at QoS 0 dropped because the consumer did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Ends the session: what was handed over leaves first, then `offline`, then the farewell; bounded by a few seconds.
    pub async fn shutdown(mut self) {
        self.outbox.close();
        if self.is_connected() {
            if let Some(topic) = &self.status_topic {
                self.outbox.put(status_message(topic, Status::Offline));
            }
            let end = async {
                // Where it cannot leave any more that is said below.
                let _ = self.outbox.flush().await;
                if self.client.disconnect_with_timeout(END_TIMEOUT).await.is_ok() {
                    let _ = (&mut self.poller).await;
                }
            };
            if tokio::time::timeout(END_TIMEOUT, end).await.is_err() {
                warn!(
                    unacknowledged = self.outbox.len(),
                    "the broker did not take everything before the end"
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

fn status_message(topic: &str, status: Status) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: Bytes::from_static(status.as_str().as_bytes()),
        retain: true,
    }
}

fn mqtt_options(options: &SessionOptions) -> MqttOptions {
    let bound = options.max_payload.saturating_add(1 + MAX_TOPIC).min(MAX_LENGTH);
    let endpoint = Endpoint {
        host: options.host.clone(),
        port: options.port,
        tls: options.tls.clone().map(Arc::new),
        bound,
    };
    let mut mqtt = MqttOptions::new(options.client_id.clone(), (options.host.clone(), options.port));
    mqtt.set_keep_alive(options.keep_alive_s)
        .set_clean_session(!options.persistent || options.filters.is_empty())
        .set_ack_mode(AckMode::Manual)
        .set_max_packet_size(bound, MAX_LENGTH)
        .set_inflight(IN_FLIGHT)
        .set_socket_connector(move |_, _| endpoint.clone().connect());
    if let Some((user, password)) = &options.credentials {
        mqtt.set_credentials(user.clone(), password.clone().into_bytes());
    }
    if let Some(topic) = &options.status_topic {
        mqtt.set_last_will(LastWill::new(topic.clone(), Status::Offline.as_str(), QoS::AtLeastOnce, true));
    }
    mqtt
}

/// The polling task.
struct Poller {
    events: EventLoop,
    inbox: Inbox,
    outbox: Arc<Outbox>,
    broker: String,
    connected: watch::Sender<bool>,
    resubscribe: Arc<Notify>,
    /// Whether one connection is all.
    once: bool,
}

impl Poller {
    async fn run(mut self) {
        let mut back_off = FIRST_BACK_OFF;
        let mut since = None::<Instant>;
        let mut said = String::new();
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                    info!(broker = self.broker, session_present = connack.session_present, "connected");
                    since = Some(Instant::now());
                    said.clear();
                    self.greet();
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.inbox.deliver(publish),
                Ok(_) => {}
                Err(ConnectionError::RequestsDone) => break,
                Err(error) => {
                    self.disconnected();
                    let stood = since.take();
                    if self.once && stood.is_some() {
                        info!(
                            broker = self.broker,
                            cause = cause(&error),
                            "the session's one connection has ended"
                        );
                        break;
                    }
                    if stood.is_some_and(|since| since.elapsed() >= GOOD_CONNECTION) {
                        back_off = FIRST_BACK_OFF;
                    }
                    let cause = cause(&error);
                    if cause != said {
                        warn!(broker = self.broker, cause, "no connection; trying again");
                        said = cause;
                    } else {
                        debug!(broker = self.broker, cause, "still no connection");
                    }
                    tokio::time::sleep(jittered(back_off)).await;
                    back_off = (back_off * 2).min(LONGEST_BACK_OFF);
                }
            }
        }
        self.outbox.close();
        self.disconnected();
    }

    fn greet(&mut self) {
        self.resubscribe.notify_one();
        self.outbox.set_connected(true);
        self.connected.send_replace(true);
    }

    fn disconnected(&mut self) {
        self.outbox.set_connected(false);
        self.connected.send_replace(false);
        // What was read before the connection broke is still that connection's.
        for event in std::mem::take(&mut self.events.state.events) {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                self.inbox.deliver(publish);
            }
        }
        self.inbox.disconnected();
        // Acknowledgements that came between the library's own cleaning and the line above belong to the old connection.
        self.events.clean();
    }
}

/// The sending task.
async fn send(on_connect: OnConnect, reconnected: Arc<Notify>) {
    let mut on_their_way = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = reconnected.notified() => {
                on_their_way.spawn(on_connect.clone().run());
            }
            Some(_) = on_their_way.join_next() => {}
            (sequence, message) = on_connect.outbox.take(), if on_their_way.len() < usize::from(IN_FLIGHT) => {
                let options = PublishOptions::new(QoS::AtLeastOnce).retain(message.retain);
                match on_connect.client.publish_tracked(message.topic.clone(), message.payload.clone(), options).await {
                    Ok(notice) => {
                        let outbox = on_connect.outbox.clone();
                        on_their_way.spawn(async move {
                            match notice.wait_async().await {
                                Ok(_) => outbox.acknowledged(sequence, message.topic),
                                Err(_) => outbox.failed(sequence, message),
                            }
                        });
                    }
                    Err(error) => {
                        // Only a topic that MQTT forbids or an ended session; sending it again would fail again.
                        warn!(topic = message.topic, %error, "a message cannot be published");
                        on_connect.outbox.acknowledged(sequence, message.topic);
                    }
                }
            }
        }
    }
}

/// What is said on every new connection: the subscriptions, then `online`.
#[derive(Clone)]
struct OnConnect {
    client: AsyncClient,
    filters: Vec<String>,
    status_topic: Option<String>,
    outbox: Arc<Outbox>,
}

impl OnConnect {
    /// Subscribes, waits for the broker's answer, then says `online`.
    async fn run(self) {
        if !self.filters.is_empty() {
            let wanted: Vec<_> = self
                .filters
                .iter()
                .map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce))
                .collect();
            // Where one of the two fails the connection broke first, and the next one greets again.
            let Ok(answer) = self.client.subscribe_many_tracked(wanted).await else {
                return;
            };
            let Ok(suback) = answer.wait_async().await else { return };
            for (filter, code) in self.filters.iter().zip(&suback.return_codes) {
                match code {
                    SubscribeReasonCode::Success(_) => debug!(filter, "subscribed"),
                    SubscribeReasonCode::Failure => warn!(filter, "the broker refuses the subscription"),
                }
            }
        }
        if let Some(topic) = &self.status_topic {
            self.outbox.put(status_message(topic, Status::Online));
        }
    }
}

/// One line that stays the same while the cause does.
fn cause(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
            "the broker refuses the credentials (user name or password wrong, or not allowed)".to_owned()
        }
        ConnectionError::ConnectionRefused(code) => format!("the broker refuses the connection: {code:?}"),
        ConnectionError::MqttState(StateError::ConnectionAborted) => "the broker closed the connection".to_owned(),
        other => tls::explain(other).unwrap_or_else(|| other.to_string()),
    }
}

/// Between half of `longest` and all of it, so that many devices do not return at the same moment.
fn jittered(longest: Duration) -> Duration {
    let half = longest / 2;
    let random = RandomState::new().hash_one(0u8);
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}
