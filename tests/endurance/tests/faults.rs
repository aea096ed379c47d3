//! The fault suite in short. Each test needs mosquitto, and says so where it is not installed.

use tsm2_endurance::faults::{Fault, Scale};
use tsm2_mqtt_testkit::mosquitto;

async fn holds(fault: Fault) {
    if !mosquitto::is_installed() {
        return;
    }
    let result = fault.run(&Scale::short(7)).await;
    assert!(result.holds(), "{result:#?}");
}

macro_rules! faults {
    ($($name:ident: $fault:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            holds(Fault::$fault).await;
        }
    )*};
}

faults! {
    a_daemon_killed_at_random: Kill,
    a_broker_that_restarts: BrokerRestart,
    a_broker_that_forgets: BrokerForgets,
    a_half_open_link: HalfOpen,
    a_slow_link: Slow,
    connections_cut_within_packets: Cut,
    delays: Delay,
    oversize_payloads: Oversize,
    malformed_payloads: Malformed,
    a_full_disk: DiskFull,
    a_read_only_disk: DiskReadOnly,
    a_corrupt_state_file: SnapshotCorrupt,
    a_truncated_state_file: SnapshotTruncated,
    clocks_that_jump: ClockJumps,
}
