//! What the broker knows: sessions with their subscriptions and unsent messages, and the retained message of each topic.
//!
//! Invariants: a message of QoS 1 leaves its session only when it is acknowledged; messages of a session leave in the order of
//! publication; at most [`IN_FLIGHT`] of them are unacknowledged at a time. No borrow of the state outlives a method.

use super::packet::{self, Connect, Filter, Message};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use tokio::sync::Notify;

/// Unacknowledged messages to one client; mosquitto's default, so that clients see here what they see there.
const IN_FLIGHT: usize = 20;
/// Messages that wait for one client; more are dropped, newest first, with a warning.
const MAX_WAITING: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Hub {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, Session>,
    retained: BTreeMap<String, Rc<Message>>,
    connections: u64,
}

#[derive(Debug)]
struct Session {
    /// The connection that serves it; a newer one takes over.
    connection: Option<u64>,
    clean: bool,
    subscriptions: Vec<Filter>,
    /// Acknowledgements and answers; they do not wait behind messages.
    answers: Vec<u8>,
    waiting: VecDeque<(Rc<Message>, bool)>,
    in_flight: VecDeque<(u16, Rc<Message>)>,
    last_id: u16,
    wake: Rc<Notify>,
}

/// One connection's hold on its session.
#[derive(Debug)]
pub(super) struct Seat {
    client_id: String,
    connection: u64,
    /// Something is to be sent, or another connection took the session over.
    pub(super) wake: Rc<Notify>,
    pub(super) session_present: bool,
}

impl Hub {
    /// 3.1.4: a session is resumed unless a clean one is asked for; an older connection of the same client loses it.
    pub(super) fn sit_down(&self, connect: &Connect) -> Seat {
        let mut state = self.state.borrow_mut();
        state.connections += 1;
        let connection = state.connections;
        let client_id = if connect.client_id.is_empty() {
            format!("anonymous-{connection}")
        } else {
            connect.client_id.clone()
        };
        if let Some(previous) = state.sessions.get(&client_id) {
            previous.wake.notify_one();
        }
        let resumed = state
            .sessions
            .remove(&client_id)
            .filter(|session| !connect.clean_session && !session.clean);
        let session_present = resumed.is_some();
        let mut session = resumed.unwrap_or_else(|| Session {
            connection: None,
            clean: connect.clean_session,
            subscriptions: Vec::new(),
            answers: Vec::new(),
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            last_id: 0,
            wake: Rc::default(),
        });
        session.connection = Some(connection);
        session.wake = Rc::default();
        session.answers.clear();
        for (id, message) in &session.in_flight {
            packet::publish(message, Some(*id), true, &mut session.answers);
        }
        session.wake.notify_one();
        let wake = Rc::clone(&session.wake);
        state.sessions.insert(client_id.clone(), session);
        Seat {
            client_id,
            connection,
            wake,
            session_present,
        }
    }

    /// The connection ended; a session that is not clean waits for the next one.
    pub(super) fn stand_up(&self, seat: &Seat) {
        let mut state = self.state.borrow_mut();
        if let Some(session) = state.session(seat) {
            if session.clean {
                state.sessions.remove(&seat.client_id);
            } else {
                session.connection = None;
            }
        }
    }

    /// Whether the seat still holds its session.
    pub(super) fn holds(&self, seat: &Seat) -> bool {
        self.state.borrow_mut().session(seat).is_some()
    }

    pub(super) fn answer(&self, seat: &Seat, bytes: &[u8]) {
        if let Some(session) = self.state.borrow_mut().session(seat) {
            session.answers.extend(bytes);
            session.wake.notify_one();
        }
    }

    /// To every session with a matching filter, once, with the better of the QoS of its matching filters (3.3.5); kept if retained.
    pub(super) fn publish(&self, mut message: Message) {
        let mut state = self.state.borrow_mut();
        let retain = std::mem::take(&mut message.retain);
        if retain && message.payload.is_empty() {
            state.retained.remove(&message.topic);
        } else if retain {
            let kept = Message {
                retain: true,
                ..message.clone()
            };
            state.retained.insert(message.topic.clone(), Rc::new(kept));
        }
        let message = Rc::new(message);
        for (client_id, session) in &mut state.sessions {
            let matching = session.subscriptions.iter().filter(|(filter, _)| matches(filter, &message.topic));
            if let Some(at_least_once) = matching.map(|(_, at_least_once)| *at_least_once).max() {
                session.push(client_id, &message, at_least_once);
            }
        }
    }

    /// Subscribes and sends what is retained (3.3.1.3).
    pub(super) fn subscribe(&self, seat: &Seat, id: u16, filters: &[Filter]) {
        let mut state = self.state.borrow_mut();
        let State { sessions, retained, .. } = &mut *state;
        let Some(session) = sessions
            .get_mut(&seat.client_id)
            .filter(|session| session.connection == Some(seat.connection))
        else {
            return;
        };
        session.answers.extend(packet::sub_ack(id, filters));
        for (filter, at_least_once) in filters {
            session.subscriptions.retain(|(existing, _)| existing != filter);
            session.subscriptions.push((filter.clone(), *at_least_once));
            for message in retained.values().filter(|message| matches(filter, &message.topic)) {
                session.push(&seat.client_id, message, *at_least_once);
            }
        }
        session.wake.notify_one();
    }

    pub(super) fn unsubscribe(&self, seat: &Seat, filters: &[String]) {
        if let Some(session) = self.state.borrow_mut().session(seat) {
            session.subscriptions.retain(|(existing, _)| !filters.contains(existing));
        }
    }

    /// The client acknowledged a message; the next one may go.
    pub(super) fn acknowledged(&self, seat: &Seat, id: u16) {
        if let Some(session) = self.state.borrow_mut().session(seat) {
            session.in_flight.retain(|(in_flight, _)| *in_flight != id);
            session.wake.notify_one();
        }
    }

    /// Moves into `wire` what may be sent now: answers, then messages as far as the window allows.
    pub(super) fn take(&self, seat: &Seat, wire: &mut Vec<u8>) {
        if let Some(session) = self.state.borrow_mut().session(seat) {
            wire.append(&mut session.answers);
            while session.in_flight.len() < IN_FLIGHT
                && let Some((message, at_least_once)) = session.waiting.pop_front()
            {
                let id = at_least_once.then(|| session.next_id());
                packet::publish(&message, id, false, wire);
                session.in_flight.extend(id.map(|id| (id, message)));
            }
        }
    }
}

impl State {
    fn session(&mut self, seat: &Seat) -> Option<&mut Session> {
        self.sessions
            .get_mut(&seat.client_id)
            .filter(|session| session.connection == Some(seat.connection))
    }
}

impl Session {
    fn push(&mut self, client_id: &str, message: &Rc<Message>, granted: bool) {
        let at_least_once = granted && message.at_least_once;
        if self.connection.is_none() && !at_least_once {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            tracing::warn!(
                client_id,
                topic = message.topic,
                "the embedded broker dropped a message for a client that reads too slowly"
            );
            return;
        }
        self.waiting.push_back((Rc::clone(message), at_least_once));
        self.wake.notify_one();
    }

    /// The next identifier that is not 0 and not in flight; the window is far smaller than their number.
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if self.last_id != 0 && self.in_flight.iter().all(|(id, _)| *id != self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// 4.7: `+` is any one level, `#` the parent and any levels below; neither reaches from the first level into `$`-topics.
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
