//! Several daemons share the streams over one broker: members that join, die, freeze and come back cost no reading, and none counts twice.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;
use tsm2_e2e::PATIENCE;
use tsm2_e2e::broker::{Access, Broker, free_port};
use tsm2_e2e::process::{Running, run};
use tsm2_e2e::site::{HORIZON, MINUTE, START, Site, payload, summary};
use tsm2_e2e::watcher::Watcher;
use tsm2_mqtt::rfc3339;

const STREAMS: usize = 12;
const PARTITIONS: usize = 8;

/// A site with a configuration per member, at a mosquitto; `None` where that is not installed (the built-in broker keeps no sessions apart).
fn site() -> Option<(Broker, Site)> {
    let broker = Broker::start_mosquitto(free_port(), Access::Open)?;
    let site = Site::new(broker.port(), "state.commit_every_readings = 20\nstate.commit_every_s = 1");
    let text = std::fs::read_to_string(site.config()).unwrap();
    for member in ["one", "two", "three"] {
        let text = format!("{text}\ncluster.member = '{member}'\ncluster.partitions = {PARTITIONS}\n");
        std::fs::write(site.path().join(format!("{member}.toml")), text).unwrap();
    }
    Some((broker, site))
}

fn config(site: &Site, member: &str) -> String {
    site.path().join(format!("{member}.toml")).to_str().unwrap().to_owned()
}

fn start(site: &Site, member: &str) -> Running {
    Running::start(&["run", &config(site, member), "--json"])
}

/// All forecasts seen, by topic and time. One that is published again must be the same.
#[derive(Default)]
struct Seen(HashMap<(String, String), Vec<f32>>);

impl Seen {
    /// Publishes these rows of all streams and waits for their forecasts.
    async fn exchange(&mut self, site: &Site, watcher: &mut Watcher, rows: Range<i64>) {
        for index in rows.clone() {
            for stream in 0..STREAMS {
                watcher.publish(&format!("sensors/{stream}"), payload(index)).await;
            }
        }
        let expected = site.expected(0..rows.end);
        let wanted: Vec<_> = rows
            .flat_map(|index| (0..STREAMS).map(move |stream| (stream, index)))
            .flat_map(|(stream, index)| ["temp", "power"].map(|variate| (stream, index, variate)))
            .collect();
        let key = |stream: usize, index: i64, variate: &str| (format!("tsm2/{stream}/forecast/{variate}"), rfc3339(START + index * MINUTE));
        let all = async {
            while !wanted
                .iter()
                .all(|&(stream, index, variate)| self.0.contains_key(&key(stream, index, variate)))
            {
                let forecast = watcher.forecast().await;
                let place = (forecast.topic, forecast.issued);
                if let Some(before) = self.0.insert(place.clone(), forecast.mean.clone()) {
                    assert_eq!(before, forecast.mean, "{place:?} came twice and differs");
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("all forecasts in time");
        for (stream, index, variate) in wanted {
            let of_variate = usize::from(variate == "power") * HORIZON;
            let expected = &expected[index as usize][of_variate..of_variate + HORIZON];
            assert_eq!(
                self.0[&key(stream, index, variate)],
                expected,
                "stream {stream}, row {index}, {variate}"
            );
        }
    }
}

fn refused_late(summary: &Value) -> u64 {
    summary["refused"]["late"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_join_die_freeze_and_come_back_cost_nothing() {
    let Some((_broker, site)) = site() else { return };
    let mut watcher = site.watcher().await;
    let mut seen = Seen::default();
    let one = start(&site, "one");
    for _ in 0..PARTITIONS {
        one.wait_for("a partition is taken over");
    }
    seen.exchange(&site, &mut watcher, 0..5).await;

    // Two more join and take their partitions over.
    let two = start(&site, "two");
    let three = start(&site, "three");
    two.wait_for("a partition is taken over");
    three.wait_for("a partition is taken over");
    seen.exchange(&site, &mut watcher, 5..20).await;

    // One dies in the middle of its work.
    let publishing = Watcher::connect(site.port, &[]).await;
    let dying = tokio::spawn(async move {
        for index in 20..30 {
            for stream in 0..STREAMS {
                publishing.publish(&format!("sensors/{stream}"), payload(index)).await;
            }
        }
    });
    two.kill();
    dying.await.unwrap();
    // The rows are published again: who has them refuses them.
    seen.exchange(&site, &mut watcher, 20..30).await;

    // One freezes: the broker misses it, the others go on, and when it thaws it finds out before it does any harm.
    three.signal("STOP");
    seen.exchange(&site, &mut watcher, 30..40).await;
    three.signal("CONT");
    three.wait_for("connected");
    seen.exchange(&site, &mut watcher, 40..50).await;

    let (one, three) = (summary(one), summary(three));
    assert!(refused_late(&one) + refused_late(&three) >= 1, "what came twice was refused");
    // A new member alone goes on where they ended.
    let two = start(&site, "two");
    seen.exchange(&site, &mut watcher, 50..55).await;
    let two = summary(two);
    assert_eq!(
        (&two["rows"], &two["gap_rows"], &two["refused"]),
        (&(5 * STREAMS).into(), &0.into(), &Value::Object(Default::default()))
    );
}

#[test]
fn a_cluster_without_what_it_needs_is_refused() {
    let site = Site::new(1883, "cluster.member = 'one'");
    let text = std::fs::read_to_string(site.config()).unwrap();
    for (from, to, culprit) in [
        ("cluster.member = 'one'", "cluster.member = 'a/b'", "cluster.member"),
        (
            "cluster.member = 'one'",
            "cluster.member = 'one'\ncluster.partitions = 0",
            "cluster.partitions",
        ),
        (
            "cluster.member = 'one'",
            "cluster.member = 'one'\nstate.path = 'state.redb'",
            "state.path",
        ),
        ("input.time_field = 'time'", "", "input.time_field"),
    ] {
        std::fs::write(site.config(), text.replace(from, to)).unwrap();
        let done = run(&["validate", &site.config()]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(culprit), "{said}");
    }
    std::fs::write(site.config(), text).unwrap();
    assert!(run(&["validate", &site.config()]).status.success());
}
