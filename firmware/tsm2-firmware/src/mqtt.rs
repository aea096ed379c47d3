//! MQTT: one session with a broker. Readings in at QoS 1, forecasts out, retained.
//!
//! The session outlives the connection and a reset: the broker keeps readings for it. Forecasts leave
//! at QoS 0 over TCP, and the newest is published again after each new connection, so after a broken
//! connection every variate's retained forecast is the newest one.

use alloc::format;
use core::cell::RefCell;
use core::num::NonZero;

use rust_mqtt::Bytes;
use rust_mqtt::buffer::AllocBuffer;
use rust_mqtt::client::Client;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{ConnectOptions, PublicationOptions, SubscriptionOptions, TopicReference};
use rust_mqtt::config::{KeepAlive, SessionExpiryInterval};
use rust_mqtt::types::{MqttBinary, MqttString, TopicFilter, TopicName};
use smoltcp::phy::Device;

use crate::net::{Network, Stream};
use crate::settings::Settings;
use crate::shared::{Shared, Timer};

/// Largest packet that the broker may send; it drops larger ones.
const MAX_PACKET: NonZero<u32> = NonZero::new(2048).unwrap();
const KEEP_ALIVE_S: NonZero<u16> = NonZero::new(30).unwrap();
/// Readings that the broker may send before the first of them is acknowledged.
///
/// mosquitto (2.0) drops a packet that is too large, and counts it as waiting for its acknowledgement
/// until the connection ends. With a limit of 1 a single one would end the delivery.
const RECEIVE_MAXIMUM: usize = 16;
/// A connection without a reading for this long is renewed: the silence may be the fault of the
/// connection.
const SILENCE_MS: u64 = 600_000;
/// First and longest wait before another connection.
const WAIT_MS: (u64, u64) = (500, 30_000);

/// Serves the broker for ever.
pub(crate) async fn serve<D: Device>(network: &RefCell<Network<D>>, shared: &Shared<'_>, settings: &Settings) {
    let Some(broker) = settings.broker else { return };
    let mut wait_ms = WAIT_MS.0;
    loop {
        if let Some(stream) = Stream::connect(network, broker).await {
            shared.log("mqtt: connected");
            if session(stream, network, shared, settings).await {
                wait_ms = WAIT_MS.0;
            }
            shared.log("mqtt: disconnected");
        }
        Timer::after(shared, wait_ms).await;
        wait_ms = (2 * wait_ms).min(WAIT_MS.1);
    }
}

/// One connection, until it ends; whether the broker accepted it.
async fn session<'n, D: Device>(stream: Stream<'n, D>, network: &RefCell<Network<D>>, shared: &Shared<'_>, settings: &Settings) -> bool {
    let mut buffer = AllocBuffer;
    let mut client = Client::<'_, Stream<'n, D>, _, 1, RECEIVE_MAXIMUM, 1, 0>::new(&mut buffer);
    let mut options = ConnectOptions::new()
        .keep_alive(KeepAlive::Seconds(KEEP_ALIVE_S))
        .session_expiry_interval(SessionExpiryInterval::NeverEnd)
        .maximum_packet_size(MAX_PACKET);
    if let Some(user) = settings.user.as_deref().and_then(|user| MqttString::from_str(user).ok()) {
        options = options.user_name(user);
    }
    if let Some(password) = settings
        .password
        .as_deref()
        .and_then(|password| MqttBinary::from_slice(password.as_bytes()).ok())
    {
        options = options.password(password);
    }
    let id = format!("tsm2-{}", settings.stream);
    let connect = client.connect(stream, &options, MqttString::from_str(&id).ok());
    match Timer::limit(shared, u64::from(KEEP_ALIVE_S.get()) * 1000, connect).await {
        Some(Ok(_)) => {}
        _ => return false,
    }
    let topic = settings.input_topic();
    let filter = MqttString::from_str(&topic).ok().and_then(TopicFilter::new);
    let Some(filter) = filter else { return false };
    if client.subscribe(filter, SubscriptionOptions::new().at_least_once()).await.is_err() {
        return false;
    }
    let mut is_unpublished = true;
    let mut last_ms = shared.now_ms();
    while shared.now_ms() - last_ms < SILENCE_MS {
        if is_unpublished && !publish(&mut client, network, shared, settings).await {
            return true;
        }
        is_unpublished = false;
        // Half of the keep-alive, so that the broker hears of the client in time.
        let wait_ms = u64::from(KEEP_ALIVE_S.get()) * 500;
        let header = match Timer::limit(shared, wait_ms, client.poll_header()).await {
            Some(Ok(header)) => header,
            Some(Err(_)) => return true,
            None => match client.ping().await {
                Ok(()) => continue,
                Err(_) => return true,
            },
        };
        match client.poll_body(header).await {
            // The state is saved before this task waits again, and so before the acknowledgement leaves.
            Ok(Event::Publish(publish)) => {
                is_unpublished = shared.take(publish.message.as_bytes());
                last_ms = shared.now_ms();
            }
            Ok(Event::Suback(ack)) if ack.reason_code.is_success() => shared.log("mqtt: ready"),
            Ok(Event::Suback(_)) => {
                shared.log("mqtt: the broker refuses the subscription; check its access rules for the topic");
                return false;
            }
            Ok(_) => {}
            Err(_) => return true,
        }
    }
    true
}

/// Publishes the newest forecast of each target; false when the connection has ended.
async fn publish<'n, D: Device>(
    client: &mut Client<'_, Stream<'n, D>, AllocBuffer, 1, RECEIVE_MAXIMUM, 1, 0>,
    network: &RefCell<Network<D>>,
    shared: &Shared<'_>,
    settings: &Settings,
) -> bool {
    let targets = shared.station().blob().config().targets();
    for target in 0..targets {
        let (topic, payload) = {
            let station = shared.station();
            let Some(payload) = station.forecast(target) else { return true };
            (settings.forecast_topic(station.blob().variate(target)), payload)
        };
        let Some(topic) = MqttString::from_str(&topic).ok().and_then(TopicName::new) else {
            continue; // The name of this variate is no level of a topic.
        };
        let options = PublicationOptions::new(TopicReference::Name(topic)).retain();
        if client.publish(&options, Bytes::from(payload.as_slice())).await.is_err() {
            return false;
        }
    }
    Stream::delivered(network).await;
    true
}
