//! The broker's settings and access list that `docs/how-to/secure.md` recommends, as they stand there, at a real mosquitto.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use tempfile::tempdir;
use tsm2_e2e::site::{Site, payload, summary};
use tsm2_e2e::test_ca::{TestCa, Validity};
use tsm2_mqtt::{Message, Publisher, Receiver, Session, SessionOptions, TlsOptions};
use tsm2_mqtt_testkit::TIMEOUT;
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::require::skip;

const DOCUMENT: &str = include_str!("../../../docs/how-to/secure.md");

/// The block of code under a mark in the document.
fn block(mark: &str) -> &'static str {
    let (_, rest) = DOCUMENT
        .split_once(&format!("<!-- test: {mark} -->\n```\n"))
        .expect("a marked block");
    rest.split_once("```").expect("its end").0
}

/// Makes a user whose password is its name; false where mosquitto's tool is not installed.
fn user(passwords: &Path, name: &str) -> bool {
    let mut tool = Command::new("mosquitto_passwd");
    if !passwords.exists() {
        tool.arg("-c");
    }
    tool.arg("-b")
        .arg(passwords)
        .args([name, name])
        .status()
        .is_ok_and(|status| status.success())
}

fn session(port: u16, ca: &Path, name: &str, password: &str, filters: &[&str]) -> (Session, Publisher, Receiver) {
    let mut tls = TlsOptions::default();
    tls.ca_file = Some(ca.to_owned());
    let options = SessionOptions {
        credentials: Some((name.to_owned(), password.to_owned())),
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        tls: Some(tls),
        ..SessionOptions::new("127.0.0.1", port, name)
    };
    Session::start(options).expect("valid options")
}

async fn publish(publisher: &Publisher, topic: &str, payload: impl Into<Bytes>) {
    let message = Message {
        topic: topic.into(),
        payload: payload.into(),
        retain: true,
    };
    publisher.publish(message).await.expect("an open session");
    let _ = tokio::time::timeout(TIMEOUT, publisher.flush())
        .await
        .expect("acknowledged in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_broker_lets_each_do_its_part_and_no_more() {
    let (folder, port) = (tempdir().unwrap(), free_port());
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("certs")).unwrap();
    let authority = TestCa::new("site");
    let ca = authority.write(&path("certs"), "ca");
    let broker = authority.issue(&path("certs"), &["127.0.0.1"], Validity::Now);
    std::fs::rename(&broker.cert, path("certs/broker.crt")).unwrap();
    std::fs::rename(&broker.key, path("certs/broker.key")).unwrap();
    std::fs::write(path("access"), block("access")).unwrap();
    if !["tsm2-edge", "boiler", "dashboard"]
        .iter()
        .all(|name| user(&path("passwords"), name))
    {
        return skip("mosquitto_passwd is not installed");
    }
    let here = folder.path().to_str().unwrap();
    let settings = block("mosquitto.conf")
        .strip_prefix("listener 8883\n")
        .expect("the listener comes first")
        .replace("/etc/mosquitto", here)
        .replace("/var/lib/mosquitto", here);
    let Some(_broker) = Mosquitto::start_with(port, &settings) else {
        return;
    };

    let extra = "broker.username = 'tsm2-edge'\nbroker.password_file = 'secret'\n[broker.tls]\nca_file = ";
    let site = Site::new(port, &format!("{extra}'{}'", ca.display()));
    std::fs::write(site.path().join("secret"), "tsm2-edge").unwrap();
    let daemon = site.start();
    daemon.wait_for("connected");

    let (stranger, ..) = session(port, &ca, "boiler-2", "boiler", &[]);
    let (_boiler, boiler, _) = session(port, &ca, "boiler", "boiler", &[]);
    let (_dashboard, dashboard, mut seen) = session(port, &ca, "dashboard", "dashboard", &["tsm2/#", "sensors/#"]);
    publish(&boiler, "sensors/boiler", payload(0)).await;
    publish(&boiler, "sensors/pump", payload(0)).await;
    for (publisher, topic) in [
        (&boiler, "tsm2/status"),
        (&boiler, "tsm2/boiler/forecast/temp"),
        (&dashboard, "sensors/dashboard"),
        (&dashboard, "sensors/boiler"),
        (&dashboard, "tsm2/status"),
    ] {
        publish(publisher, topic, "forged").await;
    }
    publish(&boiler, "sensors/boiler", vec![b' '; 100_000]).await;
    publish(&boiler, "sensors/boiler", payload(1)).await;

    let mut forecasts = 0;
    while forecasts < 4 {
        let message = tokio::time::timeout(TIMEOUT, seen.recv())
            .await
            .expect("in time")
            .expect("a session");
        assert!(message.topic.starts_with("tsm2/"), "{} is not for dashboards", message.topic);
        assert_ne!(&message.payload[..], b"forged", "{}", message.topic);
        forecasts += usize::from(message.topic.starts_with("tsm2/boiler/forecast/"));
        message.ack.done();
    }
    assert!(!stranger.is_connected(), "without a user of its own nobody comes in");
    let summary = summary(daemon);
    assert_eq!(
        (&summary["messages"], &summary["streams"], &summary["rejected"]),
        (&2.into(), &1.into(), &serde_json::json!({})),
        "the daemon heard what was allowed and nothing else"
    );
}
