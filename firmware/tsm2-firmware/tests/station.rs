//! The station on the host: settings, payloads, the retained memory, and a restart to the bit.

use tsm2_blob::{Parts, write};
use tsm2_core::{Config, LinearHead, Scaler, parameter_count};
use tsm2_firmware::{Rejected, Retained, Settings, Station};

const MINUTE_MS: i64 = 60_000;

/// A blob in aligned words: two targets and a horizon of three steps.
fn model() -> Vec<u32> {
    let config = Config {
        variates: 2,
        horizon: 3,
        network: None,
        linear_head: LinearHead {
            lags: 4,
            ..LinearHead::default()
        },
        ..Config::default()
    };
    let count = parameter_count(&config).unwrap();
    let weights: Vec<f32> = (0..count).map(|i| (i % 5) as f32 / 5.0 - 0.3).collect();
    let bytes = write(&Parts {
        name: "office",
        digest: [3; 32],
        interval_ms: 60_000,
        config,
        scaler: Scaler {
            mean: &[20.0, 400.0],
            std: &[2.0, 50.0],
        },
        variates: &["temp", "co2"],
        coverage: 0.9,
        initial_widths: &[1.0; 6],
        weights: &weights,
        integers: &[],
    });
    bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
}

fn settings() -> Settings {
    Settings::read(b"stream = plant").unwrap()
}

fn row(minute: i64) -> String {
    let time = 1_700_000_040_000 + minute * MINUTE_MS;
    format!(
        "{{\"time\": {time}, \"temp\": {}, \"co2\": {}}}",
        20.0 + (minute % 7) as f32 * 0.3,
        400 + minute % 11
    )
}

#[test]
fn settings_are_read_and_end_at_the_erased_flash() {
    let text = "# plant 1\nstream = plant\nbroker = 192.168.1.2:1883 # the house\naddress = 192.168.1.9/24\n\
                gateway = 192.168.1.1\nmax_gap = 60\n";
    let flash = [text.as_bytes(), &[0xFF; 100]].concat();
    let settings = Settings::read(&flash).unwrap();
    assert_eq!(settings.broker, Some("192.168.1.2:1883".parse().unwrap()));
    assert_eq!(settings.address, Some(("192.168.1.9".parse().unwrap(), 24)));
    assert_eq!((settings.max_gap, settings.input_topic()), (60, "sensors/plant/telemetry".into()));
    assert_eq!(settings.forecast_topic("temp"), "tsm2/plant/forecast/temp");
}

#[test]
fn a_password_and_a_topic_keep_their_number_sign() {
    let settings = Settings::read(b"stream = a\npassword = x#y # the broker's\n # none\ntopic = plant/#\n").unwrap();
    assert_eq!(settings.password.as_deref(), Some("x#y"));
    assert_eq!(settings.topic, "plant/#");
}

#[test]
fn an_address_that_no_board_can_have_is_named() {
    for address in ["0.0.0.0/24", "255.255.255.255/32", "224.0.0.1/24"] {
        let error = Settings::read(format!("stream = a\naddress = {address}").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("line 2: `address = "), "{error}");
    }
}

#[test]
fn a_wrong_line_of_the_settings_is_named() {
    let fault = |text: &str| Settings::read(text.as_bytes()).unwrap_err().to_string();
    assert!(fault("stream = a\nbroker = mqtt.example.org").contains("line 2: `broker = mqtt.example.org` is not an address"));
    assert!(fault("stream = a\nadress = 1.2.3.4/8").contains("there is no key `adress`"));
    assert!(fault("stream = a\naddress = 1.2.3.4/33").contains("line 2"));
    assert!(fault("stream").contains("is not `key = value`"));
    assert!(fault("").contains("add the line `stream = NAME`"));
    assert!(fault("stream = a/b").contains("without `/`"));
    assert!(Settings::read(&[0xC0, 0x80]).unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn a_complete_payload_gives_a_forecast_of_each_target() {
    let words = model();
    let mut station = Station::new(bytes(&words), &settings()).unwrap();
    assert_eq!(station.forecast(0), None);
    assert_eq!(station.take(row(0).as_bytes(), || ()), Ok(true));
    let json = String::from_utf8(station.forecast(1).unwrap()).unwrap();
    let begin = "{\"origin\":\"2023-11-14T22:14:00Z\",\"start\":\"2023-11-14T22:15:00Z\",\"interval_s\":60,\"mean\":[";
    assert!(json.starts_with(begin), "{json}");
    assert!(json.ends_with("\"coverage\":0.9,\"model\":\"office\"}"), "{json}");
    assert_eq!(station.forecast(2), None);
}

#[test]
fn payloads_are_read_by_the_rules_of_the_daemon() {
    let words = model();
    let mut station = Station::new(bytes(&words), &settings()).unwrap();
    for (payload, result) in [
        ("", Err(Rejected::NotAnObject)),
        ("nonsense", Err(Rejected::NotAnObject)),
        ("[1]", Err(Rejected::NotAnObject)),
        ("{\"time\": 1700000040000", Err(Rejected::NotAnObject)),
        ("{\"time\": 1700000040000} x", Err(Rejected::NotAnObject)),
        ("{\"temp\": 1}", Err(Rejected::NoTime)),
        ("{\"time\": null, \"temp\": 1}", Err(Rejected::BadTime)),
        ("{\"time\": \"tomorrow\"}", Err(Rejected::BadTime)),
        ("{\"time\": 1e300}", Err(Rejected::BadTime)),
        ("{\"time\": [1, {}], \"temp\": 1}", Err(Rejected::BadTime)),
        ("{\"a\": [[[[[[[[1]]]]]]]]}", Err(Rejected::TooDeep)),
        // A field that is no number is lost alone: the step waits for it.
        (
            "{\"time\": 1700000040, \"temp\": \"20.5\", \"co2\": {\"ppm\": 400}, \"x\": [1, 2]}",
            Ok(false),
        ),
        ("{\"time\": \"2023-11-14T23:14:00+01:00\", \"co2\": \" 400 \"}", Ok(true)),
        ("{\"time\": 1700000100000, \"temp\": null, \"co2\": 1e39}", Ok(true)),
    ] {
        assert_eq!(station.take(payload.as_bytes(), || ()), result, "{payload}");
    }
    assert_eq!(station.rejected(), 11);
}

#[test]
fn a_restored_station_continues_to_the_bit() {
    let words = model();
    let mut station = Station::new(bytes(&words), &settings()).unwrap();
    for minute in 0..40 {
        station.take(row(minute).as_bytes(), || ()).unwrap();
    }
    let snapshot = station.snapshot();
    let mut restored = Station::new(bytes(&words), &settings()).unwrap();
    assert!(restored.restore(&snapshot));
    assert_eq!(restored.forecast(0), station.forecast(0));
    for minute in 40..80 {
        assert_eq!(
            restored.take(row(minute).as_bytes(), || ()),
            station.take(row(minute).as_bytes(), || ())
        );
        assert_eq!(
            [0, 1].map(|target| restored.forecast(target)),
            [0, 1].map(|target| station.forecast(target))
        );
    }
    assert_eq!(restored.snapshot(), station.snapshot());
    for cut in (0..snapshot.len()).step_by(7) {
        assert!(!restored.restore(&snapshot[..cut]), "{cut}");
    }
}

#[test]
fn a_payload_that_comes_again_changes_nothing() {
    let words = model();
    let mut station = Station::new(bytes(&words), &settings()).unwrap();
    station.take(row(0).as_bytes(), || ()).unwrap();
    let forecast = station.forecast(0);
    assert_eq!(station.take(row(0).as_bytes(), || ()), Ok(false));
    assert_eq!(station.forecast(0), forecast);
}

#[test]
fn the_watchdog_is_fed_in_each_time_step_of_a_long_gap() {
    let words = model();
    let mut station = Station::new(bytes(&words), &settings()).unwrap();
    station.take(row(0).as_bytes(), || ()).unwrap();
    let mut fed = 0;
    // The second row confirms the time of the first.
    assert_eq!(station.take(row(1000).as_bytes(), || fed += 1), Ok(false));
    assert_eq!(station.take(row(1001).as_bytes(), || fed += 1), Ok(true));
    assert_eq!(fed, 1001);
}

#[test]
fn the_newest_copy_of_the_retained_memory_counts() {
    let mut memory = vec![0xA7; 400];
    let mut retained = Retained::new(&mut memory, [1; 32]);
    assert_eq!(retained.state(), None);
    for state in [&b"first"[..], b"second", b"third"] {
        assert!(retained.save(state));
        assert_eq!(retained.state(), Some(state));
    }
    assert!(!retained.save(&[0; 300]), "two copies do not fit");
    assert_eq!(Retained::new(&mut memory, [1; 32]).state(), Some(&b"third"[..]));
    assert_eq!(Retained::new(&mut memory, [2; 32]).state(), None, "of another model");
    assert_eq!(Retained::new(&mut [], [1; 32]).state(), None);
}

#[test]
fn a_save_that_a_reset_interrupts_leaves_the_copy_before() {
    let states = [&b"first"[..], b"second", b"third"];
    for changed in 0..48 + 5 {
        let mut memory = vec![0; 400];
        let mut retained = Retained::new(&mut memory, [1; 32]);
        for state in states {
            retained.save(state);
        }
        // The third is in the first half. Any changed byte of it makes it void.
        memory[changed] ^= 0x40;
        assert_eq!(Retained::new(&mut memory, [1; 32]).state(), Some(states[1]), "byte {changed}");
    }
}

fn bytes(words: &[u32]) -> &[u8] {
    bytemuck::cast_slice(words)
}
