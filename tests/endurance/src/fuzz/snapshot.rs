//! Snapshots: after `R`, bytes as they are; else changes of a genuine snapshot, three bytes each (where, in two bytes; what), under a digest
//! that fits, for a reader that stops at the digest would hide all that comes after it.

use std::cell::RefCell;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use tsm2_edge::config::Config;
use tsm2_edge::config::service::Service;
use tsm2_edge::runtime::engine::Engine;
use tsm2_edge::state::shelf::Rows;

const MINUTE: i64 = 60_000;
const DIGEST: usize = 32;

/// Restores a snapshot and goes on with it.
///
/// # Panics
/// When what is saved is not what is restored, or the next message cannot be taken.
pub fn snapshot(data: &[u8]) {
    thread_local! {
        static ENGINE: RefCell<Engine<'static>> = RefCell::new(Engine::new(service()));
    }
    let bytes = match data {
        [b'R', bytes @ ..] => bytes.to_vec(),
        changes => changed(changes),
    };
    ENGINE.with_borrow_mut(|engine| {
        if engine.restore("a", &bytes, Rows::default).is_err() {
            return;
        }
        // Parts that are damaged or another model's are made anew; then what is saved is what was restored.
        let saved = engine.collect(true)["a"].snapshot.clone();
        engine.restore("a", &saved, Rows::default).expect("what was saved can be restored");
        assert!(
            engine.collect(true)["a"].snapshot == saved,
            "restored and saved again, it is the same"
        );
        let time = engine.counts("a").map_or(0, |counts| counts.time_steps as i64 % 1000) * MINUTE;
        engine.take("s/a", br#"{"temp": 1, "power": 2}"#, false, time, |_| 0);
    });
}

fn changed(changes: &[u8]) -> Vec<u8> {
    let mut bytes = genuine().to_vec();
    let content = bytes.len() - DIGEST;
    for &[high, low, byte] in changes.as_chunks::<3>().0 {
        bytes[usize::from(u16::from_be_bytes([high, low])) % content] = byte;
    }
    let digest = Sha256::digest(&bytes[..content]);
    bytes[content..].copy_from_slice(&digest);
    bytes
}

fn service() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bundle = tsm2_e2e::bundle::random(folder.path(), "fuzz", &["temp", "power"], 2, Some(MINUTE as u64));
        Service::prepare(&Config::new(bundle, "s/{stream}")).expect("a valid configuration")
    })
}

/// A snapshot of a stream with an open row.
fn genuine() -> &'static [u8] {
    static SNAPSHOT: OnceLock<Vec<u8>> = OnceLock::new();
    SNAPSHOT.get_or_init(|| {
        let mut engine = Engine::new(service());
        for minute in 0..9 {
            engine.take("s/a", br#"{"temp": 1.5, "power": 2}"#, false, minute * MINUTE, |_| 0);
        }
        engine.take("s/a", br#"{"temp": 1.5}"#, false, 9 * MINUTE, |_| 0);
        let change = engine.collect(true).remove("a");
        change.expect("the stream is there").snapshot
    })
}
