//! The demo's broker, tested by the bytes of the MQTT 3.1.1 standard.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use tsm2_demo::broker::{Broker, BrokerError};

/// Long enough for the slowest machine; a test waits this long only to fail.
const PATIENCE: Duration = Duration::from_secs(30);

struct Client(TcpStream);

impl Client {
    fn new(broker: &Broker) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", broker.port())).expect("the broker listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(socket)
    }

    /// Connects with a clean session and no Will.
    fn connected(broker: &Broker, id: &str) -> Self {
        let mut client = Self::new(broker);
        client.send(0x10, &[&string("MQTT")[..], &[4, 0x02, 0, 60], &string(id)].concat());
        assert_eq!(client.receive(), (0x20, vec![0, 0]));
        client
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut length = body.len();
        while length > 0x7f {
            packet.push(length as u8 | 0x80);
            length >>= 7;
        }
        packet.push(length as u8);
        packet.extend(body);
        self.0.write_all(&packet).expect("the broker reads");
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut byte = [0];
        let mut read = || {
            self.0.read_exact(&mut byte).expect("the broker answers");
            byte[0]
        };
        let first = read();
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = read();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a whole packet");
        (first, body)
    }

    fn subscribe(&mut self, filter: &str, qos: u8) {
        self.send(0x82, &[&[0, 7][..], &string(filter), &[qos]].concat());
        assert_eq!(self.receive(), (0x90, vec![0, 7, qos.min(1)]));
    }

    /// Publishes with QoS 1 and waits for the acknowledgement.
    fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        self.send(0x32 | u8::from(retain), &[&string(topic)[..], &[0, 9], payload].concat());
        assert_eq!(self.receive(), (0x40, vec![0, 9]));
    }

    /// A message of QoS 1: the flags, its identifier, topic and payload.
    fn message(&mut self) -> (u8, [u8; 2], String, Vec<u8>) {
        let (first, body) = self.receive();
        assert_eq!(first & 0xf6, 0x32, "a publish of QoS 1, not {first:#04x}");
        let (topic, rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
        (
            first & 0x0f,
            [rest[0], rest[1]],
            String::from_utf8(topic.to_vec()).expect("a topic"),
            rest[2..].to_vec(),
        )
    }

    /// All packets that the broker wrote before were received.
    fn ping(&mut self) {
        self.send(0xc0, &[]);
        assert_eq!(self.receive(), (0xd0, vec![]));
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0)) || self.0.write_all(&[0xc0, 0]).is_err()
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn broker() -> Broker {
    Broker::start(0).expect("a free port")
}

#[test]
fn a_taken_port_is_named_and_a_dropped_broker_frees_its_port() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let error = Broker::start(port).expect_err("the port is taken");
    assert!(matches!(error, BrokerError::PortTaken { port: named } if named == port));
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    drop(taken);

    let broker = broker();
    let port = broker.port();
    let mut client = Client::connected(&broker, "left behind");
    drop(broker);
    assert!(client.is_closed());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn messages_reach_every_matching_subscriber_in_order() {
    let broker = broker();
    let (mut one, mut other) = (Client::connected(&broker, "one"), Client::connected(&broker, "other"));
    one.subscribe("building/+/temperature", 2);
    other.subscribe("building/#", 0);
    let mut publisher = Client::connected(&broker, "publisher");
    for value in [b"20.1", b"20.2"] {
        publisher.publish("building/room1/temperature", value, false);
        publisher.publish("elsewhere/room1/temperature", value, false);
    }
    for value in [b"20.1", b"20.2"] {
        let (flags, _, topic, payload) = one.message();
        assert_eq!(
            (flags, topic.as_str(), &payload[..]),
            (0x02, "building/room1/temperature", &value[..])
        );
        let (first, body) = other.receive();
        assert_eq!(first, 0x30, "QoS 0, since no more was asked for");
        assert!(body.ends_with(value));
    }
    // Nothing else is on its way to either.
    one.ping();
    other.ping();
}

#[test]
fn a_retained_message_meets_later_subscribers_until_an_empty_one_clears_it() {
    let broker = broker();
    let mut publisher = Client::connected(&broker, "publisher");
    publisher.publish("tsm2/status", b"online", true);
    let mut late = Client::connected(&broker, "late");
    late.subscribe("tsm2/#", 1);
    let (flags, _, topic, payload) = late.message();
    assert_eq!((flags, topic.as_str(), &payload[..]), (0x03, "tsm2/status", &b"online"[..]));
    publisher.publish("tsm2/status", b"", true);
    assert_eq!(late.message().0, 0x02, "a live message does not carry the retain flag");
    let mut later = Client::connected(&broker, "later");
    later.subscribe("tsm2/#", 1);
    later.ping();
}

#[test]
fn nonsense_ends_its_own_connection_only() {
    let broker = broker();
    let mut good = Client::connected(&broker, "good");
    for nonsense in [
        &b"GET / HTTP/1.1\r\nHost: somebody who takes this port for that of a web page, as happens\r\n\r\n"[..],
        &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0x00],
        &[0x10, 0x02, 0x00, 0x09],
        &[0x10, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let mut client = Client::new(&broker);
        client.0.write_all(nonsense).expect("the broker accepts the connection");
        assert!(client.is_closed(), "{nonsense:02x?}");
    }
    for first_packet in [&[0x35, 0x05, 0x00, 0x01, b'a', 0, 1][..], &[0x82, 0x07, 0, 1, 0, 1, b'a', 1, 0]] {
        let mut client = Client::connected(&broker, "confused");
        client.0.write_all(first_packet).expect("the broker reads");
        assert!(client.is_closed(), "{first_packet:02x?}");
    }
    let mut version_5 = Client::new(&broker);
    version_5.send(0x10, &[&string("MQTT")[..], &[5, 0x02, 0, 60, 0], &string("modern")].concat());
    assert_eq!(version_5.receive(), (0x20, vec![0, 1]));
    assert!(version_5.is_closed());
    good.ping();
}

#[test]
fn a_second_connection_of_the_same_client_takes_over() {
    let broker = broker();
    let mut first = Client::connected(&broker, "same");
    let mut second = Client::connected(&broker, "same");
    assert!(first.is_closed());
    second.ping();
}
