//! The soak and the load test in short.

use std::time::Duration;

use tsm2_endurance::load::Load;
use tsm2_endurance::soak::Soak;
use tsm2_mqtt_testkit::mosquitto;

#[test]
fn a_short_soak_loses_nothing_and_counts_nothing_twice() {
    if !mosquitto::is_installed() {
        return;
    }
    let soak = Soak {
        streams: 50,
        rows: 210,
        limit: Duration::MAX,
        names_per_s: 20,
        publishers: 2,
        csv: None,
        every: Duration::from_millis(200),
    };
    let outcome = soak.run().unwrap();
    assert!(outcome.holds(), "{}", outcome.report());
    assert_eq!((outcome.sent, outcome.consumed), (10_500, 10_500));
    assert!(outcome.names.0 > 0);
    assert!(outcome.compared.0 > 0 && outcome.samples.iter().any(|sample| sample.memory > 0 && sample.state > 0));
}

#[test]
fn a_short_load_test_finds_a_rate_without_loss() {
    if !mosquitto::is_installed() {
        return;
    }
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return println!("skipped: there is one core only");
    }
    let load = Load {
        streams: vec![10],
        trial: Duration::from_millis(300),
        rates: (100.0, 200.0),
        drained: Duration::from_secs(50),
    };
    let rows = load.run(|line| println!("{line}")).unwrap();
    assert_eq!(rows[0].total.0, rows[0].total.1);
    assert!(rows[0].rate >= 100.0 && rows[0].delay_ms[0] <= rows[0].delay_ms[2]);
}
