//! Configurations that cannot work are refused before anything connects, each with a sentence that names the culprit.

use std::path::Path;

use tempfile::tempdir;
use tsm2_e2e::{bundle, process};
use tsm2_edge::config::{
    Aggregate, BrokerError, Config, ConfigError, HttpSectionError, ModelError, OutputError, PrepareError, SchemaError, SourceError,
    StateError, Tls, TopicsError, prepare,
};

const TOPIC: &str = "sensors/{stream}/telemetry";

fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_with(text, &[])
}

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::parse(
        text,
        Path::new("site/edge.toml"),
        variables.iter().map(|(k, v)| ((*k).into(), (*v).into())),
    )
}

const MINIMAL: &str = "[model]\nbundle = 'm.safetensors'\n[input]\ntopic = 'sensors/{stream}'\n";

#[test]
fn the_smallest_configuration_has_sensible_defaults() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!((config.broker.host.as_str(), config.broker.port), ("localhost", 1883));
    assert_eq!(config.output.prefix, "tsm2");
    assert_eq!(
        (config.input.max_payload_bytes, config.input.max_gap, config.input.max_streams),
        (65_536, 1440, 1000)
    );
    assert_eq!(
        config.model.bundle,
        Path::new("site/m.safetensors"),
        "paths are relative to the file"
    );
    assert_eq!(
        (config.state.path, config.state.commit_every_readings, config.state.commit_every_s),
        (None, 1000, 10)
    );
    assert_eq!(
        (
            config.input.allowed_lateness_s,
            config.input.forward_fill_limit,
            config.input.aggregate
        ),
        (0.0, 0, Aggregate::Last)
    );
    assert_eq!(config.input, Config::new("m", "sensors/{stream}").input);
}

#[test]
fn faults_of_the_file_name_the_key() {
    for (text, key, reason) in [
        ("[broker]\nhosst = 'x'\n", "broker.hosst", "unknown field `hosst`"),
        ("[brocker]\nhost = 'x'\n", "brocker", "unknown field `brocker`"),
        ("[broker]\nport = 'x'\n", "broker.port", "expected u16"),
        ("[broker]\nport = 70000\n", "broker.port", "70000"),
        ("[broker]\nport = -1\n", "broker.port", "-1"),
        (
            "[input.aggregates]\ntemp = 'median'\n",
            "input.aggregates.temp",
            "unknown variant `median`",
        ),
        ("[input.fields]\ntemp = 3\n", "input.fields.temp", "expected a string"),
        ("[output]\nprefix = ['x']\n", "output.prefix", "expected a string"),
    ] {
        let (head, section) = (MINIMAL.replace("[input]\n", "[input]\ntime_field = 't'\n"), text);
        let error = parse(&format!("{head}{section}")).unwrap_err();
        let ConfigError::Key {
            key: found,
            reason: said,
            origin,
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(found, key);
        assert!(said.contains(reason), "{said}");
        assert_eq!(origin, "site/edge.toml");
    }
    let missing = parse("[model]\nbundle = 'm'\n").unwrap_err().to_string();
    assert!(missing.contains("input.topic: missing"), "{missing}");
    let missing = parse("[model]\n[input]\ntopic = 'a/{stream}'\n").unwrap_err().to_string();
    assert!(missing.contains("model.bundle: missing"), "{missing}");
    let format = parse(&MINIMAL.replace("[input]\n", "[input]\ntime_format = 'unix'\n"))
        .unwrap_err()
        .to_string();
    assert!(format.contains("input.time_format") && format.contains("unix_ms"), "{format}");
    let toml = parse("[broker\n").unwrap_err();
    assert!(
        matches!(toml, ConfigError::Toml { .. }) && toml.to_string().contains("line 1"),
        "{toml}"
    );
    let absent = Config::load(Path::new("/nowhere/edge.toml")).unwrap_err();
    assert!(
        matches!(absent, ConfigError::Read { .. }) && absent.to_string().contains("/nowhere/edge.toml"),
        "{absent}"
    );
}

#[test]
fn the_environment_overrides_and_is_named_when_wrong() {
    let config = parse_with(
        MINIMAL,
        &[
            ("TSM2_EDGE__BROKER__PORT", "2883"),
            ("TSM2_EDGE__BROKER__USERNAME", "12345"),
            ("TSM2_EDGE__INPUT__STREAMS", "['a', 'b']"),
            ("TSM2_EDGE__MODEL__INTERVAL_S", "0.5"),
            ("TSM2_EDGE__INPUT__FIELDS__HUFL", "load.high"),
            ("TSM2_EDGE__INPUT__FIELDS__room1", "5"),
            ("TSM2_EDGE__INPUT__AGGREGATES__HUFL", "mean"),
            ("TSM2_EDGE__INPUT__ALLOWED_LATENESS_S", "30"),
            ("OTHER__BROKER__PORT", "x"),
        ],
    )
    .unwrap();
    assert_eq!(config.broker.port, 2883);
    assert_eq!(
        config.broker.username.as_deref(),
        Some("12345"),
        "text that looks like a number stays text"
    );
    assert_eq!(config.input.streams, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(config.model.interval_s, Some(0.5));
    assert_eq!(config.input.fields["HUFL"], "load.high", "names of variates are taken as they are");
    assert_eq!(config.input.fields["room1"], "5");
    assert_eq!(
        (config.input.aggregates["HUFL"], config.input.allowed_lateness_s),
        (Aggregate::Mean, 30.0)
    );

    for (variable, value) in [
        ("TSM2_EDGE__BROKER__PORT", "many"),
        ("TSM2_EDGE__BROKER__PORTS", "1"),
        ("TSM2_EDGE__INPUT__MAX_GAP", "-1"),
    ] {
        let error = parse_with(MINIMAL, &[(variable, value)]).unwrap_err().to_string();
        assert!(error.starts_with(variable), "{error}");
    }
    for variable in ["TSM2_EDGE__BROKER", "TSM2_EDGE____X", "TSM2_EDGE__INPUT__TOPIC__X"] {
        let error = parse_with(MINIMAL, &[(variable, "1")]).unwrap_err();
        assert!(
            matches!(&error, ConfigError::Variable { variable: named } if named == variable),
            "{error}"
        );
    }
}

#[test]
fn tls_is_on_where_its_section_is_and_changes_the_default_port() {
    let broker = |section: &str| parse(&format!("{MINIMAL}{section}")).unwrap().broker;
    assert_eq!((broker("").port, broker("").tls), (1883, None));
    for section in ["[broker.tls]", "[broker]\ntls = {}"] {
        assert_eq!(broker(section).port, 8883, "{section}");
        assert_eq!(broker(section).tls, Some(Tls::default()), "{section}");
    }
    assert_eq!(broker("[broker]\nport = 1884\n[broker.tls]").port, 1884);
    let tls = broker("[broker.tls]\nca_file = 'ca.pem'\nkey_file = '/etc/key.pem'").tls.unwrap();
    assert_eq!(tls.ca_file.as_deref(), Some(Path::new("site/ca.pem")));
    assert_eq!(tls.key_file.as_deref(), Some(Path::new("/etc/key.pem")));
    let variables = [
        ("TSM2_EDGE__BROKER__TLS__CA_FILE", "ca.pem"),
        ("TSM2_EDGE__BROKER__TLS__SERVER_NAME", "broker.site"),
    ];
    let broker = parse_with(MINIMAL, &variables).unwrap().broker;
    assert_eq!(
        (broker.port, broker.tls.unwrap().server_name.as_deref()),
        (8883, Some("broker.site"))
    );
    for (section, key) in [("tls.verify = false", "broker.tls.verify"), ("tls = true", "broker.tls")] {
        let error = parse(&format!("{MINIMAL}[broker]\n{section}")).unwrap_err();
        assert!(matches!(&error, ConfigError::Key { key: found, .. } if found == key), "{error}");
    }
}

#[test]
fn secrets_come_by_file_or_by_systemd_and_never_by_value() {
    let text = format!("{MINIMAL}[broker]\npassword_file = '$CREDENTIALS_DIRECTORY/broker'\ntls.key_file = '$CREDENTIALS_DIRECTORY/key'");
    let broker = parse_with(&text, &[("CREDENTIALS_DIRECTORY", "/run/credentials/x")])
        .unwrap()
        .broker;
    assert_eq!(broker.password_file.as_deref(), Some(Path::new("/run/credentials/x/broker")));
    assert_eq!(broker.tls.unwrap().key_file.as_deref(), Some(Path::new("/run/credentials/x/key")));
    let error = parse(&text).unwrap_err().to_string();
    assert!(
        error.contains("broker.password_file") && error.contains("LoadCredential="),
        "{error}"
    );

    for (text, variables) in [
        (format!("{MINIMAL}[broker]\npassword = 'hunter2'"), &[][..]),
        (MINIMAL.to_owned(), &[("TSM2_EDGE__BROKER__PASSWORD", "hunter2")]),
    ] {
        let error = parse_with(&text, variables).unwrap_err().to_string();
        assert!(
            error.contains("unknown field `password`") && error.contains("`password_file`"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn parts_that_do_not_fit_are_refused_by_name() {
    let folder = tempdir().unwrap();
    let timed = bundle::random(folder.path(), "timed", &["a", "b/c"], 2, Some(60_000));
    let untimed = bundle::random(folder.path(), "untimed", &["a", "b"], 2, None);
    let slow = bundle::random(folder.path(), "slow", &["a"], 2, Some(1 << 63));
    let clashing = bundle::random(folder.path(), "clashing", &["a/b", "a_b"], 2, Some(60_000));
    let refused = |bundle: &Path, change: &dyn Fn(&mut Config)| {
        let mut config = Config::new(bundle, TOPIC);
        change(&mut config);
        prepare(&config).unwrap_err()
    };
    macro_rules! assert_refused {
        ($bundle:expr, $change:expr, $variant:pat, $($named:literal),+) => {
            let error = refused($bundle, &$change);
            assert!(matches!(error, $variant), "{error:?}");
            $(assert!(error.to_string().contains($named), "{error}");)+
        };
    }
    let set_topic = |topic: &'static str| move |c: &mut Config| c.input.topic = topic.into();
    assert_refused!(
        Path::new("/nowhere/m.safetensors"),
        |_| (),
        PrepareError::Model(ModelError::Bundle(_)),
        "model.bundle",
        "/nowhere/m.safetensors"
    );
    assert_refused!(
        &timed,
        set_topic("sensors/telemetry"),
        PrepareError::Topics(TopicsError::NoStream { .. }),
        "input.topic",
        "{stream}"
    );
    assert_refused!(
        &timed,
        set_topic("bed/{variate}"),
        PrepareError::Topics(TopicsError::NoStream { .. }),
        "bed/{variate}"
    );
    assert_refused!(
        &timed,
        set_topic("bed/x+/y"),
        PrepareError::Source(SourceError::Template { .. }),
        "input.topic",
        "'+'"
    );
    assert_refused!(
        &timed,
        |c| c.input.stream = Some("x".into()),
        PrepareError::Topics(TopicsError::TwoStreams { .. }),
        "input.stream"
    );
    assert_refused!(
        &timed,
        |c| c.input.streams = Some(vec!["a/b".into()]),
        PrepareError::Topics(TopicsError::StreamName { .. }),
        "input.streams",
        "a/b"
    );
    assert_refused!(
        &timed,
        |c| drop(c.input.fields.insert("tmp".into(), "x".into())),
        PrepareError::Source(SourceError::UnknownVariate { .. }),
        "input.fields.tmp",
        "a, b/c"
    );
    assert_refused!(
        &timed,
        |c| c.input.aggregates.extend([("tmp".to_owned(), Aggregate::Mean)]),
        PrepareError::Schema(SchemaError::UnknownVariate { .. }),
        "input.aggregates.tmp",
        "a, b/c"
    );
    for lateness_s in [-1.0, f64::NAN, 1e10] {
        assert_refused!(
            &timed,
            |c: &mut Config| c.input.allowed_lateness_s = lateness_s,
            PrepareError::Schema(SchemaError::AllowedLateness { .. }),
            "input.allowed_lateness_s"
        );
    }
    assert_refused!(
        &timed,
        |c| c.input.allowed_lateness_s = 1e6,
        PrepareError::Schema(SchemaError::Resampler(_)),
        "input",
        "245700000 ms"
    );
    let zoned = |field: Option<&'static str>, zone: &'static str| {
        move |c: &mut Config| (c.input.time_field, c.input.time_zone) = (field.map(str::to_owned), Some(zone.into()))
    };
    assert_refused!(
        &timed,
        zoned(Some("t"), "Europe/Berlim"),
        PrepareError::Source(SourceError::TimeZone { .. }),
        "input.time_zone",
        "Berlim"
    );
    assert_refused!(
        &timed,
        zoned(None, "Europe/Berlin"),
        PrepareError::Source(SourceError::Key { .. }),
        "input.time_field"
    );
    assert_refused!(
        &timed,
        |c| drop(c.input.fields.insert("a".into(), "b/c".into())),
        PrepareError::Source(SourceError::SameName { .. }),
        "\"a\"",
        "\"b/c\""
    );
    assert_refused!(&clashing, |_| (), PrepareError::Topics(TopicsError::SameName { .. }), "a/b", "a_b");
    assert_refused!(
        &untimed,
        |_| (),
        PrepareError::Model(ModelError::NoInterval { .. }),
        "model.interval_s",
        "untimed"
    );
    assert_refused!(
        &untimed,
        |c| c.model.interval_s = Some(0.0),
        PrepareError::Model(ModelError::Interval { .. }),
        "model.interval_s"
    );
    assert_refused!(
        &timed,
        |c| c.model.interval_s = Some(10.0),
        PrepareError::Model(ModelError::OtherInterval { .. }),
        "10 s",
        "60 s"
    );
    assert_refused!(
        &slow,
        |_| (),
        PrepareError::Model(ModelError::Interval { .. }),
        "the model's own interval"
    );
    assert_refused!(
        &timed,
        |c| c.input.max_streams = 0,
        PrepareError::Schema(SchemaError::Zero { .. }),
        "input.max_streams"
    );
    assert_refused!(
        &timed,
        |c| c.broker.max_inflight = 0,
        PrepareError::Broker(BrokerError::MaxInflight { .. }),
        "broker.max_inflight"
    );
    assert_refused!(
        &timed,
        |c| c.broker.max_inflight = 32_769,
        PrepareError::Broker(BrokerError::MaxInflight { .. }),
        "broker.max_inflight is 32769; set it to 1 to 32768"
    );
    assert_refused!(
        &timed,
        |c| c.state.commit_every_readings = 0,
        PrepareError::State(StateError::Zero { .. }),
        "state.commit_every_readings"
    );
    assert_refused!(
        &timed,
        |c| c.state.commit_every_s = 0,
        PrepareError::State(StateError::Zero { .. }),
        "state.commit_every_s"
    );
    assert_refused!(
        &timed,
        |c| c.output.prefix = "a//b".into(),
        PrepareError::Output(OutputError::Prefix { .. }),
        "output.prefix"
    );
    assert_refused!(
        &timed,
        set_topic("{stream}/status"),
        PrepareError::Topics(TopicsError::Loop { .. }),
        "tsm2/status"
    );
    assert_refused!(
        &timed,
        |c| c.broker.password_file = Some("/nowhere/pw".into()),
        PrepareError::Broker(BrokerError::Password { .. }),
        "/nowhere/pw"
    );
    assert_refused!(
        &timed,
        |c| c.broker.client_id.clear(),
        PrepareError::Broker(BrokerError::Session(_)),
        "broker",
        "client id"
    );
    assert_refused!(
        &timed,
        |c| c.broker.host = "mqtt://localhost".into(),
        PrepareError::Broker(BrokerError::Session(_)),
        "broker",
        "mqtt://localhost"
    );
    assert_refused!(
        &timed,
        |c| c.broker.keep_alive_s = 0,
        PrepareError::Broker(BrokerError::NoKeepAlive),
        "broker.keep_alive_s is 0"
    );
    assert_refused!(
        &timed,
        |c| c.broker.port = 0,
        PrepareError::Broker(BrokerError::Session(_)),
        "broker",
        "port 0"
    );

    let told = bundle::write(
        folder.path(),
        "told",
        &["a", "valve"],
        Some(60_000),
        tsm2_core::Config {
            future_covariates: 1,
            ..bundle::small(2, 4)
        },
    );
    let ahead = |topic: &'static str| move |config: &mut Config| config.input.future_covariates_topic = Some(topic.into());
    assert_refused!(
        &told,
        |_| (),
        PrepareError::Topics(TopicsError::NoFutureCovariates { .. }),
        "input.future_covariates_topic",
        "valve",
        "told"
    );
    assert_refused!(
        &told,
        ahead("a/#/{variate}"),
        PrepareError::Topics(TopicsError::Template { .. }),
        "input.future_covariates_topic"
    );
    assert_refused!(
        &told,
        ahead("ahead/{stream}"),
        PrepareError::Topics(TopicsError::NoPlaceholder { .. }),
        "input.future_covariates_topic",
        "{variate}"
    );
    assert_refused!(
        &told,
        ahead("ahead/{variate}"),
        PrepareError::Topics(TopicsError::NoPlaceholder { .. }),
        "{stream}"
    );
    assert_refused!(
        &told,
        ahead("sensors/{stream}/{variate}"),
        PrepareError::Topics(TopicsError::Overlap { .. }),
        "input.future_covariates_topic",
        "sensors/{stream}/telemetry"
    );
    assert_refused!(
        &told,
        ahead("tsm2/{stream}/forecast/{variate}"),
        PrepareError::Topics(TopicsError::Loop { .. }),
        "input.future_covariates_topic"
    );

    let mut config = Config::new(&untimed, "home/boiler");
    (config.input.stream, config.model.interval_s) = (Some("boiler".into()), Some(1.5));
    let prepared = prepare(&config).unwrap();
    assert_eq!(
        (prepared.topics.filters(), prepared.schema.resampler.interval_ms),
        (vec!["home/boiler".to_owned()], 1500)
    );
    let prepared = prepare(&Config::new(&timed, TOPIC)).unwrap();
    assert_eq!(
        prepared.topics.forecast("s", 1),
        "tsm2/s/forecast/b_c",
        "a variate's name becomes one level"
    );
}

#[test]
fn validate_says_what_it_comes_to_or_what_is_wrong() {
    let folder = tempdir().unwrap();
    bundle::random(folder.path(), "m", &["a", "b"], 4, Some(60_000));
    let file = folder.path().join("edge.toml");
    let validate = |text: &str| {
        std::fs::write(&file, text).unwrap();
        process::run(&["validate", file.to_str().unwrap(), "--json"])
    };
    let valid = validate(MINIMAL);
    assert!(valid.status.success());
    let found: serde_json::Value = serde_json::from_slice(&valid.stdout).unwrap();
    for (key, value) in [
        ("model", serde_json::json!("m")),
        ("targets", serde_json::json!(["a", "b"])),
        ("past_covariates", serde_json::json!([])),
        ("future_covariates", serde_json::json!([])),
        ("horizon", 4.into()),
        ("interval_s", 60.0.into()),
        ("subscribes", serde_json::json!(["sensors/+"])),
        ("publishes", serde_json::json!(["tsm2/+/forecast/a", "tsm2/+/forecast/b"])),
        ("streams_in_memory", 1000.into()),
        ("warnings", serde_json::json!([])),
    ] {
        assert_eq!(found[key], value, "{key}");
    }
    assert_eq!(
        found["memory_bytes"].as_u64(),
        found["bytes_per_stream"].as_u64().map(|bytes| 1000 * bytes)
    );
    assert!((100..10_000).contains(&found["largest_message_bytes"].as_u64().unwrap()));
    let unread = process::run_unread(&["validate", file.to_str().unwrap()]);
    assert_eq!(unread.code(), Some(0), "a reader that left is no fault");
    assert_eq!(process::run_unread(&["validate", "/nowhere/edge.toml"]).code(), Some(1));
    let wrong = validate(&format!("{MINIMAL}topik = 'x'\n"));
    assert!(!wrong.status.success() && wrong.stdout.is_empty());
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("edge.toml") && said.contains("input.topik"), "{said}");
}

#[test]
fn replay_refuses_files_that_cannot_be_replayed() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("data.csv");
    for (text, named) in [
        ("", "empty"),
        ("time,a\n", "no row"),
        ("a,b\n1,2\n", "no column of times"),
        ("time,a\n2024-01-01 00:00:00,1\nsoon,2\n", "`soon`"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = process::run(&[
            "replay",
            "--data",
            file.to_str().unwrap(),
            "--speed",
            "0",
            "--broker",
            "127.0.0.1:1",
        ]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains(named) && said.contains("data.csv"),
            "{text:?}: {said}"
        );
    }
    for (arguments, named) in [
        (["--data", "nowhere.csv", "--speed", "0"], "nowhere.csv"),
        (["--data", "x", "--speed", "-1"], "-1"),
        (["--data", "x", "--rows", "5..5"], "empty"),
        (["--data", "x", "--topic", "a/+"], "'+'"),
        (["--data", "x", "--broker", "[::1"], "HOST:PORT"),
    ] {
        let mut all = vec!["replay"];
        all.extend(arguments);
        let output = process::run(&all);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(named), "{arguments:?}: {said}");
    }
}

#[test]
fn metrics_that_other_machines_can_read_need_a_token() {
    let folder = tempdir().unwrap();
    bundle::random(folder.path(), "m", &["a"], 4, Some(60_000));
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("token", "correct-horse-battery\n");
    file("weak", "secret\n");
    let prepare = |http: &str| {
        let config = Config::parse(&format!("{MINIMAL}[http]\n{http}"), &folder.path().join("edge.toml"), []).unwrap();
        prepare(&config)
    };
    assert_eq!(parse(MINIMAL).unwrap().http, None, "nothing listens unless asked to");
    let listen = prepare("").unwrap().http.unwrap().listen;
    assert_eq!(listen.to_string(), "127.0.0.1:9464");
    assert!(prepare("listen = '[::1]:80'").is_ok());
    let open = prepare("listen = '0.0.0.0:80'").unwrap_err();
    assert!(matches!(open, PrepareError::Http(HttpSectionError::NoToken { .. })), "{open:?}");
    assert!(
        open.to_string().contains("http.token_file") && open.to_string().contains("0.0.0.0:80"),
        "{open}"
    );
    let guarded = prepare("listen = '0.0.0.0:80'\ntoken_file = 'token'").unwrap();
    assert!(guarded.http.unwrap().token.is_some());
    let weak = prepare("token_file = 'weak'").unwrap_err();
    assert!(
        matches!(weak, PrepareError::Http(HttpSectionError::WeakToken { .. })) && weak.to_string().contains("weak"),
        "{weak}"
    );
    assert!(!weak.to_string().contains("secret"), "{weak}");
    let absent = prepare("token_file = 'nowhere'").unwrap_err();
    assert!(
        matches!(absent, PrepareError::Http(HttpSectionError::TokenFile { .. })) && absent.to_string().contains("nowhere"),
        "{absent}"
    );
    let name = parse(&format!("{MINIMAL}[http]\nlisten = 'localhost:80'\n"))
        .unwrap_err()
        .to_string();
    assert!(name.contains("http.listen") && name.contains("socket address"), "{name}");
}
