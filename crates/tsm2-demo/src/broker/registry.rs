//! The connected clients with their subscriptions, and the retained message of each topic.

use super::packet::{self, Filter, Message};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Packets that wait for one client; more are dropped, newest first, with a warning.
const MAX_WAITING: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Registry(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    connections: HashMap<u64, Connection>,
    retained: BTreeMap<String, Message>,
    last_connection: u64,
}

#[derive(Debug)]
struct Connection {
    client_id: String,
    filters: Vec<Filter>,
    outbox: Sender<Vec<u8>>,
    last_packet_id: u16,
}

/// A connected client. Dropping it ends its subscriptions.
#[derive(Debug)]
pub(super) struct Client<'a> {
    registry: &'a Registry,
    connection: u64,
}

impl Registry {
    /// Registers a client. The receiver yields the packets to write; it ends when a newer connection has the same identifier (3.1.4).
    pub(super) fn connect(&self, client_id: String) -> (Client<'_>, Receiver<Vec<u8>>) {
        let mut state = self.0.borrow_mut();
        if !client_id.is_empty() {
            state.connections.retain(|_, connection| connection.client_id != client_id);
        }
        state.last_connection += 1;
        let (outbox, packets) = mpsc::channel(MAX_WAITING);
        let connection = Connection {
            client_id,
            filters: Vec::new(),
            outbox,
            last_packet_id: 0,
        };
        let id = state.last_connection;
        state.connections.insert(id, connection);
        (
            Client {
                registry: self,
                connection: id,
            },
            packets,
        )
    }
}

impl Client<'_> {
    /// Queues a packet for this client.
    pub(super) fn send(&self, packet: Vec<u8>) {
        if let Some(connection) = self.registry.0.borrow().connections.get(&self.connection) {
            connection.send(packet);
        }
    }

    /// To every client with a matching filter, once, at the highest QoS of its matching filters (3.3.5); stored if retained.
    pub(super) fn publish(&self, mut message: Message) {
        let mut state = self.registry.0.borrow_mut();
        if message.retain && message.payload.is_empty() {
            state.retained.remove(&message.topic);
        } else if message.retain {
            state.retained.insert(message.topic.clone(), message.clone());
        }
        message.retain = false;
        for connection in state.connections.values_mut() {
            let matching = connection.filters.iter().filter(|(filter, _)| matches(filter, &message.topic));
            if let Some(at_least_once) = matching.map(|(_, at_least_once)| *at_least_once).max() {
                connection.publish(&message, at_least_once);
            }
        }
    }

    /// Subscribes and sends the retained messages (3.3.1.3).
    pub(super) fn subscribe(&self, filters: Vec<Filter>) {
        let mut state = self.registry.0.borrow_mut();
        let State { connections, retained, .. } = &mut *state;
        let Some(connection) = connections.get_mut(&self.connection) else {
            return;
        };
        for (filter, at_least_once) in filters {
            for message in retained.values().filter(|message| matches(&filter, &message.topic)) {
                connection.publish(message, at_least_once);
            }
            connection.filters.retain(|(existing, _)| *existing != filter);
            connection.filters.push((filter, at_least_once));
        }
    }

    pub(super) fn unsubscribe(&self, filters: &[String]) {
        if let Some(connection) = self.registry.0.borrow_mut().connections.get_mut(&self.connection) {
            connection.filters.retain(|(existing, _)| !filters.contains(existing));
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.registry.0.borrow_mut().connections.remove(&self.connection);
    }
}

impl Connection {
    fn publish(&mut self, message: &Message, granted: bool) {
        let id = (granted && message.at_least_once).then(|| {
            self.last_packet_id = self.last_packet_id % u16::MAX + 1;
            self.last_packet_id
        });
        self.send(packet::publish(message, id));
    }

    fn send(&self, packet: Vec<u8>) {
        if self.outbox.try_send(packet).is_err() {
            tracing::warn!(
                client_id = self.client_id,
                "the demo's broker dropped a packet for a client that reads too slowly"
            );
        }
    }
}

/// 4.7: `+` is any one level, `#` the parent and any levels below; neither matches the first level of `$`-topics.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_match_as_the_standard_says() {
        let cases = [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/+/c", "a/b/c", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("#", "$SYS/load", false),
            ("+/load", "$SYS/load", false),
            ("$SYS/#", "$SYS/load", true),
            ("+/+", "/a", true),
            ("/+", "/a", true),
            ("+", "/a", false),
        ];
        for (filter, topic, expected) in cases {
            assert_eq!(matches(filter, topic), expected, "{filter} against {topic}");
        }
    }
}
