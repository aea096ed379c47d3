//! The fault suite in short. It needs mosquitto and mounts nothing; `endurance faults` also has the
//! read-only disk.

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
    corrupt_state: StateCorrupt,
    truncated_state: StateTruncated,
    clocks_that_jump: ClockJumps,
    a_short_clock_jump: ShortClockJump,
    a_broker_that_stalls: Stall,
    stops_under_load: Stop,
    reloads_under_load: Reload,
    names_that_come_and_go: Names,
}
