//! The one session over the MQTT client library.
//!
//! Two tasks: one polls the connection and never waits for anything else; one publishes and subscribes. Invariants:
//! - nothing is published or subscribed from the polling task, and no queue that it feeds can make it wait;
//! - every CONNACK resubscribes, session or not, and once the broker has answered that, `online` is said: who reads it may publish;
//! - an acknowledgement is sent only on the connection that its message came by: packet identifiers mean nothing on another. A message that
//!   was not acknowledged comes again;
//! - any packet that MQTT allows is taken from the wire and acknowledged or refused above it: refusing it below would end the connection, and
//!   a persistent session would bring it again for ever;
//! - a clean end says `offline` itself, for the broker then discards the Will.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rumqttc::{
    AckMode, AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, ManualAck, MqttOptions, NetworkOptions, Packet,
    Publish, PublishOptions, QoS, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use crate::outbox::{Message, Outbox, Publisher};

/// The largest packet of MQTT 3.1.1.
const MAX_PACKET: usize = 268_435_455 + 5;
/// Messages at QoS 0 that may wait for the consumer; beyond, they are dropped and counted (QoS 1 is bounded by the broker).
const MAX_WAITING_QOS0: usize = 10_000;
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

/// Where and as whom to connect.
#[derive(Clone)]
pub struct SessionOptions {
    /// Host name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Stable and unique at the broker: the persistent session hangs on it.
    pub client_id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Seconds between signs of life.
    pub keep_alive_s: u16,
    /// Filters to subscribe to, at QoS 1. With none the session is not persistent: there is nothing to miss.
    pub filters: Vec<String>,
    /// Topic of the availability, published retained.
    pub status_topic: Option<String>,
}

impl std::fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id)
            .field("credentials", &self.credentials.as_ref().map(|(user, _)| (user, "***")))
            .field("filters", &self.filters)
            .field("status_topic", &self.status_topic)
            .finish_non_exhaustive()
    }
}

/// Options that make no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A persistent session needs a name.
    #[error("the MQTT client id is empty")]
    NoClientId,
    /// A filter or topic that MQTT does not allow.
    #[error("{topic:?} is no valid MQTT topic")]
    Topic {
        /// The offending topic or filter.
        topic: String,
    },
}

/// A message that arrived.
#[derive(Debug)]
pub struct Incoming {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether the broker had it stored when we subscribed: then its time of arrival says nothing.
    pub retain: bool,
    /// When it arrived here.
    pub arrived: SystemTime,
    /// To be told when the message is dealt with; dropped untold, the message comes again after the next reconnect.
    pub ack: Acknowledgement,
}

/// Acknowledges one message.
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct Acknowledgement {
    link: Arc<Link>,
    generation: u64,
    packet: Option<ManualAck>,
}

impl Acknowledgement {
    /// The message is dealt with.
    pub fn done(self) {
        let generation = self.link.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packet) = self.packet
            && *generation == self.generation
        {
            // It fails only when the session has ended; then the message comes again.
            let _ = self.link.client.try_manual_ack(packet);
        }
    }
}

/// What acknowledgements need: the client, and which connection is the present one.
#[derive(Debug)]
struct Link {
    client: AsyncClient,
    generation: Mutex<u64>,
}

/// Messages in the order in which they arrived.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::UnboundedReceiver<Incoming>,
    waiting: Arc<AtomicUsize>,
}

impl Receiver {
    /// The next message; `None` when the session has ended.
    pub async fn recv(&mut self) -> Option<Incoming> {
        let incoming = self.queue.recv().await;
        self.taken(incoming)
    }

    /// The next message, for a thread of its own.
    pub fn blocking_recv(&mut self) -> Option<Incoming> {
        let incoming = self.queue.blocking_recv();
        self.taken(incoming)
    }

    fn taken(&self, incoming: Option<Incoming>) -> Option<Incoming> {
        if incoming.is_some() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        incoming
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
        let mqtt = mqtt_options(&options)?;
        let (client, mut events) = AsyncClient::builder(mqtt).unbounded().build();
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.set_network_options(network);

        let outbox = Arc::<Outbox>::default();
        let (queue_in, queue) = mpsc::unbounded_channel();
        let (connected_in, connected) = watch::channel(false);
        let waiting = Arc::<AtomicUsize>::default();
        let dropped = Arc::<AtomicU64>::default();
        let resubscribe = Arc::<Notify>::default();
        let poller = Poller {
            events,
            link: Arc::new(Link {
                client: client.clone(),
                generation: Mutex::new(0),
            }),
            outbox: outbox.clone(),
            broker: format!("{}:{}", options.host, options.port),
            queue: queue_in,
            waiting: waiting.clone(),
            dropped: dropped.clone(),
            connected: connected_in,
            resubscribe: resubscribe.clone(),
        };
        let poller = tokio::spawn(poller.run());
        let greeting = Greeting {
            client: client.clone(),
            filters: options.filters,
            status_topic: options.status_topic.clone(),
            outbox: outbox.clone(),
        };
        let sender = tokio::spawn(send(greeting, resubscribe));
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
        Ok((session, publisher, Receiver { queue, waiting }))
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
                self.outbox.idle().await;
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

fn mqtt_options(options: &SessionOptions) -> Result<MqttOptions, SessionError> {
    if options.client_id.is_empty() {
        return Err(SessionError::NoClientId);
    }
    let bad = |topic: &String| SessionError::Topic { topic: topic.clone() };
    if let Some(filter) = options.filters.iter().find(|f| !rumqttc::valid_filter(f)) {
        return Err(bad(filter));
    }
    let mut mqtt = MqttOptions::new(options.client_id.clone(), (options.host.clone(), options.port));
    mqtt.set_keep_alive(options.keep_alive_s)
        .set_clean_session(options.filters.is_empty())
        .set_ack_mode(AckMode::Manual)
        .set_max_packet_size(MAX_PACKET, MAX_PACKET)
        .set_inflight(IN_FLIGHT);
    if let Some((user, password)) = &options.credentials {
        mqtt.set_credentials(user.clone(), password.clone().into_bytes());
    }
    if let Some(topic) = &options.status_topic {
        if !rumqttc::valid_topic(topic) {
            return Err(bad(topic));
        }
        mqtt.set_last_will(LastWill::new(topic.clone(), Status::Offline.as_str(), QoS::AtLeastOnce, true));
    }
    Ok(mqtt)
}

/// The polling task.
struct Poller {
    events: EventLoop,
    link: Arc<Link>,
    outbox: Arc<Outbox>,
    broker: String,
    queue: mpsc::UnboundedSender<Incoming>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    connected: watch::Sender<bool>,
    resubscribe: Arc<Notify>,
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
                Ok(Event::Incoming(Packet::Publish(publish))) => self.deliver(publish),
                Ok(_) => {}
                Err(ConnectionError::RequestsDone) => break,
                Err(error) => {
                    self.disconnected();
                    if since.take().is_some_and(|since| since.elapsed() >= GOOD_CONNECTION) {
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
                self.deliver(publish);
            }
        }
        *self.link.generation.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        // Acknowledgements that came between the library's own cleaning and the line above belong to the old connection.
        self.events.clean();
    }

    fn deliver(&self, publish: Publish) {
        let at_least_once = publish.qos != QoS::AtMostOnce;
        if !at_least_once && self.waiting.load(Ordering::Relaxed) >= MAX_WAITING_QOS0 {
            if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!(
                    waiting = MAX_WAITING_QOS0,
                    "messages at QoS 0 arrive faster than they are dealt with; dropping"
                );
            }
            return;
        }
        let packet = self.link.client.prepare_ack(&publish);
        let generation = *self.link.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let ack = Acknowledgement {
            link: self.link.clone(),
            generation,
            packet,
        };
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Without a receiver nobody wants messages; unacknowledged, they stay with the broker.
        let _ = self.queue.send(Incoming {
            topic,
            payload: publish.payload,
            retain: publish.retain,
            arrived: SystemTime::now(),
            ack,
        });
    }
}

/// The sending task.
async fn send(greeting: Greeting, reconnected: Arc<Notify>) {
    let mut on_their_way = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = reconnected.notified() => {
                on_their_way.spawn(greeting.clone().say());
            }
            Some(_) = on_their_way.join_next() => {}
            (sequence, message) = greeting.outbox.take(), if on_their_way.len() < usize::from(IN_FLIGHT) => {
                let options = PublishOptions::new(QoS::AtLeastOnce).retain(message.retain);
                match greeting.client.publish_tracked(message.topic.clone(), message.payload.clone(), options).await {
                    Ok(notice) => {
                        let outbox = greeting.outbox.clone();
                        on_their_way.spawn(async move {
                            outbox.settle(sequence, notice.wait_async().await.map(drop).map_err(|_| message));
                        });
                    }
                    Err(error) => {
                        // Only a topic that MQTT forbids or an ended session; sending it again would fail again.
                        warn!(topic = message.topic, %error, "a message cannot be published");
                        greeting.outbox.settle(sequence, Ok(()));
                    }
                }
            }
        }
    }
}

/// What is said on every new connection: the subscriptions, then `online`.
#[derive(Clone)]
struct Greeting {
    client: AsyncClient,
    filters: Vec<String>,
    status_topic: Option<String>,
    outbox: Arc<Outbox>,
}

impl Greeting {
    /// Subscribes, waits for the broker's answer, then says `online`.
    async fn say(self) {
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
        other => other.to_string(),
    }
}

/// Between half of `longest` and all of it, so that many devices do not return at the same moment.
fn jittered(longest: Duration) -> Duration {
    let half = longest / 2;
    let random = RandomState::new().hash_one(0u8);
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}
