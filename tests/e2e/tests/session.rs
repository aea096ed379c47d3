//! The session against a broker that forgets, does not answer and hangs up: the known faults of the client library underneath, each held off.

use std::collections::HashSet;

use bytes::Bytes;
use tsm2_e2e::PATIENCE;
use tsm2_e2e::peer::{Peer, Sent, Stage};
use tsm2_mqtt::{Incoming, Message, Publisher, Receiver, Session, SessionOptions};

const MAX_PAYLOAD: usize = 1000;

fn start(port: u16) -> (Session, Publisher, Receiver) {
    Session::start(SessionOptions {
        filters: vec!["in/+".into(), "also/in".into()],
        status_topic: Some("out/status".into()),
        max_payload: MAX_PAYLOAD,
        ..SessionOptions::new("127.0.0.1", port, "device-7")
    })
    .unwrap()
}

/// The first connection as far as `online`.
async fn greeted(stage: &Stage, session_present: bool) -> Peer {
    let mut peer = stage.accept(session_present).await;
    let Sent::Subscribe { id, filters } = peer.next().await else {
        panic!("SUBSCRIBE comes first")
    };
    assert_eq!(filters, ["in/+", "also/in"]);
    peer.suback(id, 2).await;
    let Sent::Publish {
        id,
        topic,
        payload,
        retain,
    } = peer.next().await
    else {
        panic!("online comes next")
    };
    assert_eq!((topic.as_str(), payload.as_str(), retain), ("out/status", "online", true));
    peer.puback(id).await;
    peer
}

async fn publish(publisher: &Publisher, topic: &str, payload: &'static str) {
    let message = Message {
        topic: topic.into(),
        payload: Bytes::from_static(payload.as_bytes()),
        retain: true,
    };
    publisher.publish(message).await.unwrap();
}

async fn incoming(receiver: &mut Receiver) -> Incoming {
    tokio::time::timeout(PATIENCE, receiver.recv())
        .await
        .expect("a message in time")
        .expect("an open session")
}

#[tokio::test]
async fn the_session_is_persistent_and_has_a_will() {
    let (stage, port) = Stage::open().await;
    let (_session, ..) = start(port);
    let peer = stage.accept(false).await;
    // After the protocol's name and level: Will retained at QoS 1, no clean session, no credentials.
    assert_eq!(peer.connect[7], 0b0010_1100);
    let connect = String::from_utf8_lossy(&peer.connect);
    assert!(connect.contains("device-7") && connect.contains("out/status") && connect.contains("offline"));
}

#[tokio::test]
async fn what_a_forgetful_broker_did_not_acknowledge_is_published_again() {
    let (stage, port) = Stage::open().await;
    let (_session, publisher, _receiver) = start(port);
    let mut peer = greeted(&stage, false).await;
    publish(&publisher, "out/a", "old").await;
    publish(&publisher, "out/a", "new").await;
    publish(&publisher, "out/b", "only").await;
    for _ in 0..3 {
        assert!(matches!(peer.next().await, Sent::Publish { .. }));
    }
    drop(peer); // without a PUBACK

    let mut peer = stage.accept(false).await; // and without the session
    let (mut again, mut online) = (Vec::new(), false);
    while again.len() < 2 || !online {
        match peer.next().await {
            Sent::Subscribe { id, filters } => peer.suback(id, filters.len()).await,
            Sent::Publish { id, topic, payload, .. } => {
                peer.puback(id).await;
                match topic.as_str() {
                    "out/status" => online = payload == "online",
                    _ => again.push((topic, payload)),
                }
            }
            other => panic!("not expected: {other:?}"),
        }
    }
    let expected = [("out/a", "new"), ("out/b", "only")].map(|(t, p)| (t.to_owned(), p.to_owned()));
    assert_eq!(again, expected, "the newest of each topic, in order, and nothing stale");
    tokio::time::timeout(PATIENCE, publisher.flush())
        .await
        .expect("everything is acknowledged")
        .expect("an open session");
}

#[tokio::test]
async fn every_connection_subscribes_also_when_the_broker_kept_the_session() {
    let (stage, port) = Stage::open().await;
    let (_session, ..) = start(port);
    drop(greeted(&stage, false).await);
    drop(greeted(&stage, true).await);
    greeted(&stage, true).await;
}

#[tokio::test]
async fn an_acknowledgement_stays_with_its_connection() {
    let (stage, port) = Stage::open().await;
    let (_session, publisher, mut receiver) = start(port);
    let mut peer = greeted(&stage, false).await;
    peer.publish(7, "in/x", b"first").await;
    let stale = incoming(&mut receiver).await;
    assert_eq!(
        (stale.topic.as_str(), &stale.payload[..], stale.retain),
        ("in/x", &b"first"[..], false)
    );
    drop(peer);

    let mut peer = greeted(&stage, true).await;
    stale.ack.done();
    publish(&publisher, "out/a", "marker").await;
    let Sent::Publish { id, payload, .. } = peer.next().await else {
        panic!("no PUBACK of an earlier connection")
    };
    assert_eq!(payload, "marker");
    peer.puback(id).await;

    peer.publish(7, "in/x", b"first").await;
    incoming(&mut receiver).await.ack.done();
    assert_eq!(peer.next().await, Sent::Puback(7));
}

#[tokio::test]
async fn a_packet_of_megabytes_arrives_cut_and_does_not_end_the_connection() {
    let (stage, port) = Stage::open().await;
    let (_session, _publisher, mut receiver) = start(port);
    let mut peer = greeted(&stage, false).await;
    peer.publish(1, "in/x", &vec![b'x'; 3 << 20]).await;
    let large = incoming(&mut receiver).await;
    assert!((MAX_PAYLOAD + 1..100_000).contains(&large.payload.len()), "{}", large.payload.len());
    large.ack.done();
    assert_eq!(peer.next().await, Sent::Puback(1));
    peer.publish(2, "in/x", &[b'y'; MAX_PAYLOAD]).await;
    assert_eq!(
        incoming(&mut receiver).await.payload,
        vec![b'y'; MAX_PAYLOAD],
        "the next one is whole"
    );
}

#[tokio::test]
async fn a_consumer_that_sleeps_stops_neither_connection_nor_publishers() {
    let (stage, port) = Stage::open().await;
    let (_session, publisher, mut receiver) = start(port);
    let mut peer = greeted(&stage, false).await;
    for id in 1..=2000 {
        peer.publish(id, "in/x", b"1").await;
    }
    let publishing = tokio::spawn(async move {
        for _ in 0..2000 {
            publish(&publisher, "out/a", "x").await;
        }
        publisher.flush().await.unwrap();
    });
    for _ in 0..2000 {
        let Sent::Publish { id, .. } = peer.next().await else {
            panic!("only publishes are expected")
        };
        peer.puback(id).await;
    }
    tokio::time::timeout(PATIENCE, publishing).await.expect("in time").unwrap();
    for _ in 0..2000 {
        incoming(&mut receiver).await.ack.done();
    }
    let mut acknowledged = HashSet::new();
    while acknowledged.len() < 2000 {
        let Sent::Puback(id) = peer.next().await else {
            panic!("only acknowledgements are expected")
        };
        assert!(acknowledged.insert(id));
    }
}

#[tokio::test]
async fn the_end_flushes_says_offline_and_then_goodbye() {
    let (stage, port) = Stage::open().await;
    let (session, publisher, _receiver) = start(port);
    let mut peer = greeted(&stage, false).await;
    publish(&publisher, "out/a", "last").await;
    let end = tokio::spawn(session.shutdown());
    let mut said = Vec::new();
    loop {
        match peer.next().await {
            Sent::Publish { id, payload, .. } => {
                said.push(payload);
                peer.puback(id).await;
            }
            other => {
                assert_eq!(other, Sent::Disconnect);
                break;
            }
        }
    }
    assert_eq!(said, ["last", "offline"]);
    tokio::time::timeout(PATIENCE, end).await.expect("in time").unwrap();
    assert_eq!(peer.next().await, Sent::Closed);
    assert!(
        publisher
            .publish(Message {
                topic: "out/a".into(),
                payload: Bytes::new(),
                retain: false
            })
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_broker_is_asked_to_keep_a_session_only_where_there_is_something_to_miss() {
    for (persistent, filters, is_clean) in [(true, vec!["in/+"], false), (false, vec!["in/+"], true), (true, vec![], true)] {
        let (stage, port) = Stage::open().await;
        let options = SessionOptions {
            filters: filters.into_iter().map(str::to_owned).collect(),
            persistent,
            ..SessionOptions::new("127.0.0.1", port, "device-7")
        };
        let _session = Session::start(options).unwrap();
        let peer = stage.accept(false).await;
        // After the protocol's name and level; bit 1 is Clean Session (MQTT 3.1.1, 3.1.2.4).
        assert_eq!(peer.connect[7] & 2 != 0, is_clean, "{persistent}");
    }
}
