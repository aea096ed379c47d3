//! A broker that takes no forecasts: nothing is acknowledged that is not durable, whenever the daemon ends.

use std::time::Duration;

use tsm2_e2e::site::{Site, payload};
use tsm2_e2e::stored;
use tsm2_mqtt_testkit::fake_broker::{ClientPacket, FakeBroker};

/// Readings that are sent: their forecasts fill every window on the way.
const ROWS: u16 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn stop_under_back_pressure_acknowledges_nothing_uncommitted() {
    let (broker, port) = FakeBroker::start().await;
    let site = Site::new(port, "state.path = 'state'\nstate.commit_every_s = 1");
    let daemon = site.start();
    let mut connection = broker.accept(false).await;
    let ClientPacket::Subscribe { id, filters } = connection.next().await else {
        panic!("SUBSCRIBE comes first")
    };
    connection.grant(id, filters.len()).await;
    for index in 0..ROWS {
        connection.publish(index + 1, "sensors/a", payload(index.into()).as_bytes()).await;
    }
    // No forecast is acknowledged. Several commits are due, then the end.
    let (mut forecasts, mut acknowledged) = (0, 0);
    let mut count = |packet: ClientPacket| match packet {
        ClientPacket::PubAck(_) => acknowledged += 1,
        ClientPacket::Publish { .. } => forecasts += 1,
        _ => {}
    };
    while let Ok(packet) = tokio::time::timeout(Duration::from_secs(3), connection.next()).await {
        count(packet);
    }
    let end = tokio::task::spawn_blocking(|| daemon.terminate());
    loop {
        match connection.next().await {
            ClientPacket::Closed => break,
            packet => count(packet),
        }
    }
    end.await.unwrap();
    assert!(forecasts > 0, "the broker got forecasts");
    let stored = stored::counts(site.config().as_ref(), &site.path().join("state"), &["a"])[0];
    assert_eq!(
        (acknowledged, stored.readings),
        (0, 0),
        "acknowledged messages, readings in the state"
    );
}
