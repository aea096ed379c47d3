//! Options and errors of the client library, and its quirks.

use std::sync::Arc;

use rumqttc::{
    AckMode, AsyncClient, ConnectReturnCode, ConnectionError, EventLoop, LastWill, MqttOptions, NetworkOptions, QoS, StateError,
};

use crate::options::SessionOptions;
use crate::status::Status;
use crate::tls;
use crate::transport::{CONNECT_TIMEOUT_S, Endpoint};

/// The longest remaining length of a packet in MQTT 3.1.1, in bytes.
const MAX_LENGTH: usize = 268_435_455;
/// Bytes of a PUBLISH before its payload, at most: the topic with its length, and the identifier.
const MAX_TOPIC: usize = 2 + 65_535 + 2;
/// Publishes that may be unacknowledged at once.
pub(crate) const IN_FLIGHT: u16 = 100;

/// A client and its event loop. The queue between them is unbounded: the polling task must never
/// wait for its own requests.
pub(crate) fn client(mqtt: MqttOptions) -> (AsyncClient, EventLoop) {
    let (client, mut events) = AsyncClient::builder(mqtt).unbounded().build();
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(CONNECT_TIMEOUT_S);
    events.set_network_options(network);
    (client, events)
}

/// The options of the client library.
pub(crate) fn mqtt_options(options: &SessionOptions) -> MqttOptions {
    let bound = options.max_payload.saturating_add(1 + MAX_TOPIC).min(MAX_LENGTH);
    let endpoint = Endpoint {
        host: options.host.clone(),
        port: options.port,
        tls: options.tls.clone().map(Arc::new),
        bound,
    };
    let mut mqtt = MqttOptions::new(options.client_id.clone(), (options.host.clone(), options.port));
    mqtt.set_keep_alive(options.keep_alive_s)
        .set_clean_session(!options.is_kept_by_broker())
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

/// The cause in one line, in the same words each time it happens.
pub(crate) fn cause(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
            "the broker refuses the credentials (user name or password wrong, or not allowed)".to_owned()
        }
        ConnectionError::ConnectionRefused(code) => format!("the broker refuses the connection: {code:?}"),
        ConnectionError::MqttState(StateError::ConnectionAborted) => "the broker closed the connection".to_owned(),
        other => tls::explain(other).unwrap_or_else(|| other.to_string()),
    }
}
