//! The stored state is damaged while the daemon is stopped.

use std::path::{Path, PathBuf};

use tsm2_e2e::process::Running;
use tsm2_mqtt_testkit::rng::Rng;

use super::scale::Scale;
use crate::load_generator::Feed;
use crate::readings::{STREAMS, VARIATES, forecast_key, time_ms};
use crate::result::FaultResult;
use crate::test_bed::TestBed;

pub(super) async fn corrupt(scale: &Scale) -> FaultResult {
    let damage = |bytes: &mut Vec<u8>, rng: &mut Rng| {
        // A page of noise at a random place, and a bit in the header.
        let at = rng.below(bytes.len() as u64) as usize;
        let noise = rng.bytes(4096.min(bytes.len() - at));
        bytes[at..at + noise.len()].copy_from_slice(&noise);
        let bit = rng.below(8 * 512.min(bytes.len() as u64)) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
    };
    damaged(scale, damage, "corrupt state", "a page and a bit of one segment changed").await
}

pub(super) async fn truncated(scale: &Scale) -> FaultResult {
    let damage = |bytes: &mut Vec<u8>, rng: &mut Rng| bytes.truncate(1 + rng.below(bytes.len() as u64 - 1) as usize);
    damaged(scale, damage, "truncated state", "one segment cut at a random length").await
}

/// Runs of some rows each, one segment damaged between them. The damaged records are gone, so forecasts
/// are not compared with an uninterrupted run. Required: every start succeeds, every new row has its
/// forecasts, no reading counts twice, and no file disappears.
async fn damaged(scale: &Scale, damage: fn(&mut Vec<u8>, &mut Rng), fault: &str, how: &str) -> FaultResult {
    let mut rng = Rng::new(scale.seed);
    let mut bed = TestBed::prepare(scale.seed, None, Running::start_quiet, "").await;
    let mut result = FaultResult::default();
    let rows = scale.rows / 5;
    let (mut begun, mut files) = (0, 0);
    for time in 0..=scale.times {
        bed.start_daemon();
        bed.clear_fault();
        bed.is_online(1 + u64::from(time)).await;
        let feed = Feed {
            from: begun,
            until: Some(begun + rows),
            ..Feed::default()
        };
        begun = bed.feed(feed).done().await;
        result.require(bed.has_forecast(begun - 1, 0).await, "the last row has no forecast");
        bed.stop_daemon().await;
        let segments = segments(bed.state());
        result.require(segments.len() >= files, "a file of the state is gone");
        files = segments.len();
        if time < scale.times {
            let path = &segments[rng.below(segments.len() as u64) as usize];
            let mut bytes = std::fs::read(path).expect("a segment");
            damage(&mut bytes, &mut rng);
            std::fs::write(path, bytes).expect("a segment");
        }
    }
    let seen = bed.recorder.seen();
    for (stream, variate) in STREAMS
        .iter()
        .flat_map(|stream| VARIATES.iter().map(move |variate| (stream, variate)))
    {
        let passed = (0..begun).filter(|&row| seen.forecasts.contains_key(&forecast_key(stream, variate, time_ms(row))));
        result.passed += passed.count() as u64;
        result.due += begun as u64;
    }
    let delivered = seen.delivered.len() as u64;
    drop(seen);
    result.sent = 2 * (STREAMS.len() as i64 * begun) as u64;
    result.lost_by_broker = result.sent - delivered;
    result.consumed = bed.stored_of_damaged().iter().map(|stored| stored.readings).sum();
    result.twice = result.consumed.saturating_sub(delivered);
    result.fault = fault.into();
    let gone = delivered.saturating_sub(result.consumed);
    result.how = format!("{} times, {how}; {gone} readings went with the damaged records", scale.times);
    result.recovery_s = bed.recoveries();
    result.require(result.passed == result.due, "a forecast never passed");
    result.require(result.lost_by_broker == 0, "the broker lost readings");
    result
}

/// The files of the state.
fn segments(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state).expect("the state's folder");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    files
}
