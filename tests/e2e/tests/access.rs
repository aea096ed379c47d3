//! The broker's settings and access list that `docs/how-to/secure.md` recommends, as they stand there, at a real mosquitto.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use tempfile::{TempDir, tempdir};
use tsm2_e2e::process;
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

/// A mosquitto with the documented settings, on a port, with a certificate of an authority, and users
/// whose passwords are their names.
struct Documented {
    folder: TempDir,
    port: u16,
    ca: PathBuf,
    _broker: Mosquitto,
}

fn documented_broker() -> Option<Documented> {
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
        skip("mosquitto_passwd is not installed");
        return None;
    }
    let here = folder.path().to_str().unwrap();
    let settings = block("mosquitto.conf")
        .strip_prefix("listener 8883\n")
        .expect("the listener comes first")
        .replace("/etc/mosquitto", here)
        .replace("/var/lib/mosquitto", here);
    let broker = Mosquitto::start_with(port, &settings)?;
    Some(Documented {
        port,
        ca,
        _broker: broker,
        folder,
    })
}

/// Largest message that a shipped model publishes, by `tsm2-edge validate`.
fn largest_message(folder: &Path, model: &str) -> usize {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{model}/model.safetensors"));
    let file = folder.join(format!("{model}.toml"));
    let text = format!("model.bundle = '{}'\ninput.topic = 'sensors/{{stream}}'\n", bundle.display());
    std::fs::write(&file, text).unwrap();
    let output = process::run(&["validate", file.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["warnings"], serde_json::json!([]));
    found["largest_message_bytes"].as_u64().unwrap() as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_broker_passes_the_largest_messages_of_the_shipped_models() {
    let Some(broker) = documented_broker() else { return };
    let (port, ca) = (broker.port, &broker.ca);
    let (_edge, edge, _) = session(port, ca, "tsm2-edge", "tsm2-edge", &[]);
    let (dashboard, _, mut seen) = session(port, ca, "dashboard", "dashboard", &["tsm2/#"]);
    dashboard.connected().await;
    for model in ["building", "etth1"] {
        let payload = vec![b'x'; largest_message(broker.folder.path(), model)];
        publish(&edge, &format!("tsm2/{model}/forecast/x"), payload.clone()).await;
        let message = tokio::time::timeout(TIMEOUT, seen.recv())
            .await
            .expect("in time")
            .expect("a session");
        assert!(
            message.topic.contains(model) && message.payload[..] == payload[..],
            "{}",
            message.topic
        );
        message.ack.done();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_broker_lets_each_do_its_part_and_no_more() {
    let Some(broker) = documented_broker() else { return };
    let (port, ca) = (broker.port, broker.ca.clone());

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
    publish(&boiler, "sensors/boiler", vec![b' '; 300_000]).await;
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
