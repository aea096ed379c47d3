//! TLS against a real mosquitto: a private authority is believed and nobody else, and nothing secret is ever said.

use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};
use tsm2_e2e::process::Running;
use tsm2_e2e::site::{Site, exchange, summary};
use tsm2_e2e::test_ca::{Identity, TestCa, Validity};
use tsm2_e2e::{bundle, process};
use tsm2_edge::config::{Config, Tls, prepare};
use tsm2_mqtt::{SessionOptions, TlsOptions};
use tsm2_mqtt_testkit::mosquitto::{Mosquitto, free_port};
use tsm2_mqtt_testkit::test_client::TestClient;

const ADDRESS: &str = "127.0.0.1";

/// An authority and the folder of its files.
struct TlsSite {
    folder: TempDir,
    authority: TestCa,
    ca: PathBuf,
}

impl TlsSite {
    fn open() -> Self {
        let folder = tempdir().unwrap();
        let authority = TestCa::new("site");
        let ca = authority.write(folder.path(), "ca");
        TlsSite { folder, authority, ca }
    }

    fn issue(&self, name: &str, validity: Validity) -> Identity {
        self.authority.issue(self.folder.path(), &[name], validity)
    }

    /// A mosquitto that shows `identity`.
    fn broker(&self, port: u16, identity: &Identity, more: &str) -> Option<Mosquitto> {
        let settings = format!(
            "certfile {}\nkeyfile {}\ncafile {}\nallow_anonymous true\n{more}",
            identity.cert.display(),
            identity.key.display(),
            self.ca.display()
        );
        Mosquitto::start_with(port, &settings)
    }

    /// TLS as the daemon's configuration says it.
    fn tls(&self, more: &str) -> String {
        format!("[broker.tls]\nca_file = '{}'\n{more}", self.ca.display())
    }

    /// TLS as the tests' own clients do it.
    fn options(&self, identity: Option<Identity>) -> TlsOptions {
        let mut options = TlsOptions::default();
        options.ca_file = Some(self.ca.clone());
        (options.cert_file, options.key_file) = identity.map(|identity| (identity.cert, identity.key)).unzip();
        options
    }

    async fn client(&self, port: u16, identity: Option<Identity>) -> TestClient {
        let options = SessionOptions {
            tls: Some(self.options(identity)),
            ..SessionOptions::new(ADDRESS, port, "client")
        };
        TestClient::connect_with(options, "client/ready", &["tsm2/#"]).await
    }
}

/// The lines of a configuration for a client certificate.
fn shown(identity: &Identity) -> String {
    format!(
        "cert_file = '{}'\nkey_file = '{}'\n",
        identity.cert.display(),
        identity.key.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_and_broker_believe_each_other_by_a_private_authority() {
    let (certs, port) = (TlsSite::open(), free_port());
    let Some(_broker) = certs.broker(port, &certs.issue(ADDRESS, Validity::Now), "require_certificate true") else {
        return;
    };
    let daemon_is = certs.issue("tsm2-edge", Validity::Now);
    let site = Site::new(port, &certs.tls(&shown(&daemon_is)));
    let daemon = site.start();
    let mut client = certs.client(port, Some(certs.issue("client", Validity::Now))).await;
    client.wait_for("tsm2/status", "online").await;
    assert_eq!(exchange(&mut client, 0).await, site.expected(0..1)[0]);
    assert_eq!(summary(daemon)["time_steps"], 1);
    client.wait_for("tsm2/status", "offline").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_by_another_name_is_believed_where_the_name_is_given() {
    let (certs, port) = (TlsSite::open(), free_port());
    let Some(_broker) = certs.broker(port, &certs.issue("broker.site", Validity::Now), "") else {
        return;
    };
    let site = Site::new(port, &certs.tls(""));
    site.start().wait_for("the broker's certificate is for");
    let site = Site::new(port, &certs.tls("server_name = 'broker.site'"));
    let daemon = site.start();
    daemon.wait_for("connected");
    summary(daemon);
}

#[test]
fn a_broker_that_cannot_be_believed_is_refused_with_the_reason() {
    let (certs, elsewhere) = (TlsSite::open(), tempdir().unwrap());
    let by = |authority: &str| {
        let folder = elsewhere.path().join(authority);
        std::fs::create_dir(&folder).unwrap();
        TestCa::new(authority).issue(&folder, &[ADDRESS], Validity::Now)
    };
    for (identity, reason) in [
        (by("elsewhere"), "is not signed by a trusted authority"),
        (by("site"), "is not signed by a trusted authority"),
        (certs.issue("127.0.0.2", Validity::Now), r#"not for \"127.0.0.1\""#),
        (certs.issue(ADDRESS, Validity::Past), "has expired"),
        (certs.issue(ADDRESS, Validity::Future), "is not valid yet"),
    ] {
        let port = free_port();
        let Some(_broker) = certs.broker(port, &identity, "") else {
            return;
        };
        let site = Site::new(port, &certs.tls(""));
        let daemon = site.start();
        let mut said = daemon.wait_for(reason);
        said.extend(daemon.wait_for("still no connection"));
        let warnings = said.iter().filter(|line| line.contains("WARN")).count();
        assert_eq!(warnings, 1, "one line, and the same words again are not said again: {said:#?}");
        assert!(!said.iter().any(|line| line.contains(" connected")), "{said:#?}");
    }
    // Without `ca_file` the system's authorities count, of which this is none.
    let port = free_port();
    let Some(_broker) = certs.broker(port, &certs.issue(ADDRESS, Validity::Now), "") else {
        return;
    };
    let site = Site::new(port, "[broker.tls]");
    site.start().wait_for("is not signed by a trusted authority");
}

#[test]
fn a_broker_that_refuses_the_daemons_certificate_or_its_absence_is_heard() {
    let (certs, port) = (TlsSite::open(), free_port());
    let Some(_broker) = certs.broker(port, &certs.issue(ADDRESS, Validity::Now), "require_certificate true") else {
        return;
    };
    let foreign = TestCa::new("elsewhere").issue(certs.folder.path(), &["tsm2-edge"], Validity::Now);
    for (identity, reason) in [
        (String::new(), "the broker requires a client certificate"),
        (shown(&foreign), "the broker refuses the client certificate"),
        (
            shown(&certs.issue("late", Validity::Past)),
            "the broker refuses the client certificate",
        ),
    ] {
        let site = Site::new(port, &certs.tls(&identity));
        site.start().wait_for(reason);
    }
}

#[test]
fn a_port_that_speaks_no_tls_is_suspected() {
    let port = free_port();
    let Some(_broker) = Mosquitto::start_on(port) else {
        return;
    };
    let certs = TlsSite::open();
    let site = Site::new(port, &certs.tls(""));
    site.start().wait_for("does this port speak TLS?");
}

#[test]
fn certificates_renewed_on_the_disk_count_from_the_next_connection_on() {
    let (certs, port) = (TlsSite::open(), free_port());
    let Some(_broker) = certs.broker(port, &certs.issue(ADDRESS, Validity::Now), "") else {
        return;
    };
    let right = std::fs::read(&certs.ca).unwrap();
    TestCa::new("old").write(certs.folder.path(), "ca");
    let site = Site::new(port, &certs.tls(""));
    let daemon = site.start();
    daemon.wait_for("is not signed by a trusted authority");
    std::fs::write(&certs.ca, right).unwrap();
    daemon.wait_for("connected");
    summary(daemon);
}

#[test]
fn files_that_cannot_be_used_are_found_before_anything_connects() {
    let certs = TlsSite::open();
    let path = |name: &str| certs.folder.path().join(name);
    let (mine, other) = (certs.issue("mine", Validity::Now), certs.issue("other", Validity::Now));
    for (name, text) in [
        ("empty", ""),
        ("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
        ("nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        (
            "encrypted",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
    ] {
        std::fs::write(path(name), text).unwrap();
    }
    let model = bundle::random(certs.folder.path(), "m", &["a"], 2, Some(60_000));
    let refused = |change: &dyn Fn(&mut Tls)| {
        let mut config = Config::new(&model, "sensors/{stream}");
        let mut tls = Tls::default();
        tls.ca_file = Some(certs.ca.clone());
        (tls.cert_file, tls.key_file) = (Some(mine.cert.clone()), Some(mine.key.clone()));
        change(&mut tls);
        config.broker.tls = Some(tls);
        prepare(&config).map(drop).unwrap_err().to_string()
    };
    let assert_named = |said: String, key: &str, file: &Path, reason: &str| {
        let named = format!("broker.tls.{key}: {}: ", file.display());
        assert!(said.starts_with(&named) && said.contains(reason), "{said}");
    };
    for (name, reason) in [
        ("absent", "No such file"),
        ("empty", "no certificate"),
        ("broken", "end"),
        ("nonsense", "certificate"),
    ] {
        assert_named(refused(&|tls| tls.ca_file = Some(path(name))), "ca_file", &path(name), reason);
    }
    for (name, reason) in [("absent", "No such file"), ("empty", "no certificate"), ("broken", "end")] {
        assert_named(refused(&|tls| tls.cert_file = Some(path(name))), "cert_file", &path(name), reason);
    }
    for (name, reason) in [
        ("absent", "No such file"),
        ("empty", "no private key"),
        ("encrypted", "an encrypted one"),
        ("other-Now.key", "not the key of the certificate"),
    ] {
        assert_named(refused(&|tls| tls.key_file = Some(path(name))), "key_file", &path(name), reason);
    }
    assert_eq!(other.key, path("other-Now.key"));
    assert!(refused(&|tls| tls.key_file = None).starts_with("broker.tls.key_file is missing"));
    assert!(refused(&|tls| tls.cert_file = None).starts_with("broker.tls.cert_file is missing"));
    assert!(refused(&|tls| tls.server_name = Some("a b".into())).starts_with("broker.tls.server_name: \"a b\""));

    let file = path("edge.toml");
    let text = "model.bundle = 'm.safetensors'\ninput.topic = 'sensors/{stream}'\nbroker.tls.ca_file = 'empty'\n";
    std::fs::write(&file, text).unwrap();
    let said = String::from_utf8(process::run(&["validate", file.to_str().unwrap()]).stderr).unwrap();
    assert!(
        said.contains("broker.tls.ca_file") && said.contains(path("empty").to_str().unwrap()),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_however_loud_holds_a_password_or_a_key() {
    let (certs, port) = (TlsSite::open(), free_port());
    let daemon_is = certs.issue("tsm2-edge", Validity::Now);
    let passwords = certs.folder.path().join("passwords");
    let server = certs.issue(ADDRESS, Validity::Now);
    let locked = format!("require_certificate true\npassword_file {}", passwords.display());
    std::fs::write(&passwords, "").unwrap();
    let Some(refusing) = certs.broker(port, &server, &locked) else {
        return;
    };
    let site = Site::new(
        port,
        &format!(
            "broker.username = 'edge'\nbroker.password_file = 'secret'\n{}",
            certs.tls(&shown(&daemon_is))
        ),
    );
    std::fs::write(site.path().join("secret"), "correct-horse-battery\n").unwrap();
    let daemon = site.start_by(Running::start_traced);
    let mut said = daemon.wait_for("the broker refuses the credentials");
    drop(refusing);
    let _broker = certs.broker(port, &server, "require_certificate true");
    said.extend(daemon.wait_for("connected"));
    let mut client = certs.client(port, Some(certs.issue("client", Validity::Now))).await;
    client.wait_for("tsm2/status", "online").await;
    exchange(&mut client, 0).await;
    let (printed, rest) = daemon.terminate_with_log();
    said.extend(rest);
    said.push(printed);
    assert!(said.iter().any(|line| line.contains("DEBUG")), "the log is loud");
    let key = std::fs::read_to_string(&daemon_is.key).unwrap();
    for secret in ["correct-horse-battery", key.lines().nth(1).unwrap()] {
        assert!(!said.iter().any(|line| line.contains(secret)), "the log holds {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_replayed_over_tls_and_with_credentials() {
    let (certs, port) = (TlsSite::open(), free_port());
    let server = certs.issue(ADDRESS, Validity::Now);
    let Some(_broker) = certs.broker(port, &server, "require_certificate true") else {
        return;
    };
    let shows = certs.issue("sensors", Validity::Now);
    let mut client = certs.client(port, Some(certs.issue("client", Validity::Now))).await;
    let site = Site::new(port, &certs.tls(&shown(&shows)));
    let data = site.path().join("hall.csv");
    std::fs::write(&data, "time,temp,power\n2026-03-02T12:00:00Z,20.5,3.5\n").unwrap();
    let (data, topic) = (data.display().to_string(), "tsm2/{stream}/replayed");
    let (ca, cert, key) = (
        certs.ca.display().to_string(),
        shows.cert.display().to_string(),
        shows.key.display().to_string(),
    );
    let (address, config) = (format!("{ADDRESS}:{port}"), site.config());
    let replay = ["replay", "--data", &data, "--speed", "0", "--topic", topic];
    for connection in [
        &["--broker", &address, "--ca-file", &ca, "--cert-file", &cert, "--key-file", &key][..],
        &["--config", &config][..],
    ] {
        let ended = process::run(&[&replay[..], connection].concat());
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let (topic, payload) = client.next().await;
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((topic.as_str(), &payload["temp"]), ("tsm2/hall/replayed", &20.5.into()));
    }
}
