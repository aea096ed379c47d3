//! The session against a broker that forgets, refuses, stays silent and disconnects.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use tsm2_mqtt::{Incoming, Message, Publisher, Receiver, Session, SessionOptions, SessionState, recorded_sessions};
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::fake_broker::{ClientPacket, FakeBroker, FakeConnection};
use tsm2_mqtt_testkit::mosquitto::Mosquitto;
use tsm2_mqtt_testkit::packets::{QoS, SubscribeReasonCode};
use tsm2_mqtt_testkit::test_client::TestClient;

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
async fn ready(broker: &FakeBroker, session_present: bool) -> FakeConnection {
    let mut connection = broker.accept(session_present).await;
    let ClientPacket::Subscribe { id, filters } = connection.next().await else {
        panic!("SUBSCRIBE comes first")
    };
    assert_eq!(filters, ["in/+", "also/in"]);
    connection.grant(id, 2).await;
    let ClientPacket::Publish {
        id,
        topic,
        payload,
        retain,
    } = connection.next().await
    else {
        panic!("online comes next")
    };
    assert_eq!((topic.as_str(), payload.as_str(), retain), ("out/status", "online", true));
    connection.puback(id).await;
    connection
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
    tokio::time::timeout(TIMEOUT, receiver.recv())
        .await
        .expect("a message in time")
        .expect("an open session")
}

#[tokio::test]
async fn the_session_is_persistent_and_has_a_will() {
    let (broker, port) = FakeBroker::start().await;
    let (_session, ..) = start(port);
    let connection = broker.accept(false).await;
    let connect = connection.connect;
    assert_eq!((connect.client_id.as_str(), connect.clean_session), ("device-7", false));
    let will = connect.last_will.expect("a Will");
    assert_eq!((will.topic.as_str(), &will.message[..]), ("out/status", &b"offline"[..]));
    assert_eq!((will.qos, will.retain), (QoS::AtLeastOnce, true));
}

#[tokio::test]
async fn what_a_forgetful_broker_did_not_acknowledge_is_published_again() {
    let (broker, port) = FakeBroker::start().await;
    let (_session, publisher, _receiver) = start(port);
    let mut connection = ready(&broker, false).await;
    publish(&publisher, "out/a", "old").await;
    publish(&publisher, "out/a", "new").await;
    publish(&publisher, "out/b", "only").await;
    for _ in 0..3 {
        assert!(matches!(connection.next().await, ClientPacket::Publish { .. }));
    }
    drop(connection); // without a PUBACK

    let mut connection = broker.accept(false).await; // and without the session
    let (mut again, mut online) = (Vec::new(), false);
    while again.len() < 2 || !online {
        match connection.next().await {
            ClientPacket::Subscribe { id, filters } => connection.grant(id, filters.len()).await,
            ClientPacket::Publish { id, topic, payload, .. } => {
                connection.puback(id).await;
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
    tokio::time::timeout(TIMEOUT, publisher.flush())
        .await
        .expect("everything is acknowledged")
        .expect("an open session");
}

#[tokio::test]
async fn a_topic_that_mqtt_cannot_carry_is_skipped_and_does_not_end_the_connection() {
    let (broker, port) = FakeBroker::start().await;
    let (_session, publisher, _receiver) = start(port);
    let mut connection = ready(&broker, false).await;
    for topic in ["out/\0", "out/\n", "out/\u{ffff}", "out/+", "", &"t".repeat(65_536)] {
        publish(&publisher, topic, "lost").await;
    }
    publish(&publisher, "out/a", "comes").await;
    let ClientPacket::Publish { id, topic, .. } = connection.next().await else {
        panic!("the connection stands")
    };
    assert_eq!(topic, "out/a");
    connection.puback(id).await;
    tokio::time::timeout(TIMEOUT, publisher.flush())
        .await
        .expect("nothing waits for ever")
        .expect("an open session");
}

#[tokio::test]
async fn every_connection_subscribes_also_when_the_broker_kept_the_session() {
    let (broker, port) = FakeBroker::start().await;
    let (_session, ..) = start(port);
    drop(ready(&broker, false).await);
    drop(ready(&broker, true).await);
    ready(&broker, true).await;
}

#[tokio::test]
async fn an_acknowledgement_stays_with_its_connection() {
    let (broker, port) = FakeBroker::start().await;
    let (_session, publisher, mut receiver) = start(port);
    let mut connection = ready(&broker, false).await;
    connection.publish(7, "in/x", b"first").await;
    let stale = incoming(&mut receiver).await;
    assert_eq!(
        (stale.topic.as_str(), &stale.payload[..], stale.retain),
        ("in/x", &b"first"[..], false)
    );
    drop(connection);

    let mut connection = ready(&broker, true).await;
    stale.ack.done();
    publish(&publisher, "out/a", "marker").await;
    let ClientPacket::Publish { id, payload, .. } = connection.next().await else {
        panic!("no PUBACK of an earlier connection")
    };
    assert_eq!(payload, "marker");
    connection.puback(id).await;

    connection.publish(7, "in/x", b"first").await;
    incoming(&mut receiver).await.ack.done();
    assert_eq!(connection.next().await, ClientPacket::PubAck(7));
}

#[tokio::test]
async fn a_packet_of_megabytes_arrives_cut_and_does_not_end_the_connection() {
    let (broker, port) = FakeBroker::start().await;
    let (_session, _publisher, mut receiver) = start(port);
    let mut connection = ready(&broker, false).await;
    connection.publish(1, "in/x", &vec![b'x'; 3 << 20]).await;
    let large = incoming(&mut receiver).await;
    assert!((MAX_PAYLOAD + 1..100_000).contains(&large.payload.len()), "{}", large.payload.len());
    large.ack.done();
    assert_eq!(connection.next().await, ClientPacket::PubAck(1));
    connection.publish(2, "in/x", &[b'y'; MAX_PAYLOAD]).await;
    assert_eq!(
        incoming(&mut receiver).await.payload,
        vec![b'y'; MAX_PAYLOAD],
        "the next one is whole"
    );
}

#[tokio::test]
async fn a_consumer_that_sleeps_stops_neither_connection_nor_publishers() {
    let (broker, port) = FakeBroker::start().await;
    let (_session, publisher, mut receiver) = start(port);
    let mut connection = ready(&broker, false).await;
    for id in 1..=2000 {
        connection.publish(id, "in/x", b"1").await;
    }
    let publishing = tokio::spawn(async move {
        for _ in 0..2000 {
            publish(&publisher, "out/a", "x").await;
        }
        publisher.flush().await.unwrap();
    });
    for _ in 0..2000 {
        let ClientPacket::Publish { id, .. } = connection.next().await else {
            panic!("only publishes are expected")
        };
        connection.puback(id).await;
    }
    tokio::time::timeout(TIMEOUT, publishing).await.expect("in time").unwrap();
    for _ in 0..2000 {
        incoming(&mut receiver).await.ack.done();
    }
    let mut acknowledged = HashSet::new();
    while acknowledged.len() < 2000 {
        let ClientPacket::PubAck(id) = connection.next().await else {
            panic!("only acknowledgements are expected")
        };
        assert!(acknowledged.insert(id));
    }
}

#[tokio::test]
async fn the_end_flushes_says_offline_and_then_goodbye() {
    let (broker, port) = FakeBroker::start().await;
    let (session, publisher, _receiver) = start(port);
    let mut connection = ready(&broker, false).await;
    publish(&publisher, "out/a", "last").await;
    let end = tokio::spawn(session.shutdown());
    let mut said = Vec::new();
    loop {
        match connection.next().await {
            ClientPacket::Publish { id, payload, .. } => {
                said.push(payload);
                connection.puback(id).await;
            }
            other => {
                assert_eq!(other, ClientPacket::Disconnect);
                break;
            }
        }
    }
    assert_eq!(said, ["last", "offline"]);
    tokio::time::timeout(TIMEOUT, end).await.expect("in time").unwrap();
    assert_eq!(connection.next().await, ClientPacket::Closed);
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
        let (broker, port) = FakeBroker::start().await;
        let options = SessionOptions {
            filters: filters.into_iter().map(str::to_owned).collect(),
            persistent,
            ..SessionOptions::new("127.0.0.1", port, "device-7")
        };
        let _session = Session::start(options).unwrap();
        let connection = broker.accept(false).await;
        assert_eq!(connection.connect.clean_session, is_clean, "{persistent}");
    }
}

/// The packet identifier of the SUBSCRIBE to these filters, which comes next.
async fn subscribe(connection: &mut FakeConnection, expected: &[&str]) -> u16 {
    match connection.next().await {
        ClientPacket::Subscribe { id, filters } if filters == expected => id,
        other => panic!("not the SUBSCRIBE to {expected:?}: {other:?}"),
    }
}

#[tokio::test]
async fn a_refused_subscription_is_neither_online_nor_ready() {
    let (broker, port) = FakeBroker::start().await;
    let (session, ..) = start(port);
    let mut connection = broker.accept(false).await;
    let id = subscribe(&mut connection, &["in/+", "also/in"]).await;
    let codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce), SubscribeReasonCode::Failure];
    connection.suback(id, codes).await;
    // The refused filter alone is asked for again, and nothing says `online` before.
    let id = subscribe(&mut connection, &["also/in"]).await;
    let filter = "also/in".to_owned();
    assert_eq!(session.state(), SessionState::Refused { filter });
    connection.grant(id, 1).await;
    let ClientPacket::Publish { payload, .. } = connection.next().await else {
        panic!("online comes next")
    };
    assert_eq!(payload, "online");
    assert_eq!(session.state(), SessionState::Ready);
}

#[tokio::test]
async fn a_new_connection_ends_the_attempts_of_the_last_one() {
    let (broker, port) = FakeBroker::start().await;
    let (session, ..) = start(port);
    let mut connection = broker.accept(false).await;
    let id = subscribe(&mut connection, &["in/+", "also/in"]).await;
    connection.refuse(id, 2).await;
    let pending = session.state_after(&SessionState::Pending);
    assert!(matches!(pending.await, Some(SessionState::Refused { .. })));
    drop(connection);
    let mut connection = ready(&broker, true).await;
    assert_eq!(session.state(), SessionState::Ready);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let end = tokio::spawn(session.shutdown());
    let ClientPacket::Publish { id, payload, .. } = connection.next().await else {
        panic!("a second SUBSCRIBE")
    };
    assert_eq!(payload, "offline");
    connection.puback(id).await;
    end.await.unwrap();
}

#[tokio::test]
async fn filters_of_an_earlier_configuration_are_unsubscribed() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("session.json");
    let (broker, port) = FakeBroker::start().await;
    let options = |filters: &[&str]| SessionOptions {
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        record: Some(record.clone()),
        ..SessionOptions::new("127.0.0.1", port, "device-7")
    };
    let (session, ..) = Session::start(options(&["old/+", "both/+"])).unwrap();
    let mut connection = broker.accept(false).await;
    let id = subscribe(&mut connection, &["old/+", "both/+"]).await;
    connection.grant(id, 2).await;
    session.state_after(&SessionState::Pending).await;
    drop((session, connection));

    let (session, ..) = Session::start(options(&["both/+", "new/+"])).unwrap();
    let mut connection = broker.accept(true).await;
    let ClientPacket::Unsubscribe { id, filters } = connection.next().await else {
        panic!("UNSUBSCRIBE comes first")
    };
    assert_eq!(filters, ["old/+"]);
    drop((session, connection)); // before its answer: it is asked again

    let (session, ..) = Session::start(options(&["both/+", "new/+"])).unwrap();
    let mut connection = broker.accept(true).await;
    let ClientPacket::Unsubscribe { id: again, filters } = connection.next().await else {
        panic!("UNSUBSCRIBE comes again")
    };
    assert_eq!((again, filters), (id, vec!["old/+".to_owned()]));
    connection.unsuback(again).await;
    let id = subscribe(&mut connection, &["both/+", "new/+"]).await;
    connection.grant(id, 2).await;
    session.state_after(&SessionState::Pending).await;
    let recorded = recorded_sessions(&record).unwrap();
    assert_eq!(recorded[0].filters.iter().collect::<Vec<_>>(), ["both/+", "new/+"]);
}

#[tokio::test]
async fn the_session_of_an_earlier_client_id_can_be_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("session.json");
    let Some(broker) = Mosquitto::start() else { return };
    let options = |client_id: &str| SessionOptions {
        filters: vec!["in/#".into()],
        record: Some(record.clone()),
        ..SessionOptions::new("127.0.0.1", broker.port(), client_id)
    };
    let run = async |client_id: &str| {
        let (session, _, receiver) = Session::start(options(client_id)).unwrap();
        session.connected().await;
        let state = session.state_after(&SessionState::Pending).await;
        assert_eq!(state, Some(SessionState::Ready));
        (session, receiver)
    };
    let (session, _) = run("old").await;
    session.shutdown().await;
    let sensor = TestClient::connect(broker.port(), &[]).await;
    sensor.publish("in/1", "queued").await;
    let (session, _) = run("new").await;
    session.shutdown().await;
    assert_eq!(recorded_sessions(&record).unwrap().len(), 2);

    Session::clear(&options("old")).await.unwrap();
    assert_eq!(recorded_sessions(&record).unwrap().len(), 1);
    let (session, mut receiver) = run("old").await;
    sensor.publish("in/1", "marker").await;
    assert_eq!(
        incoming(&mut receiver).await.payload,
        "marker",
        "the queue of the cleared session is gone"
    );
    session.shutdown().await;
    sensor.end().await;
}
