//! Whether a program for a microcontroller can panic: the compiler leaves out what cannot be reached.

use std::collections::BTreeMap;

use tsm2_firmware_tests::panics::{panic_calls, panic_functions};
use tsm2_firmware_tests::programs::Machine;
use tsm2_mqtt_testkit::require::skip;

/// The crates of this project that a station consists of, by the names of their folders.
const OWN: [&str; 6] = ["tsm2-blob", "tsm2-core", "cortex-m", "tsm2-firmware", "tsm2-stream", "mps2"];

#[test]
fn no_step_of_a_model_can_panic() {
    for machine in [Machine::CortexM4F, Machine::CortexM33] {
        let Some(program) = machine.program("runner") else { return };
        let found = panic_functions(&program);
        assert!(
            found.is_empty(),
            "{machine:?}: a panic can be reached in the program `runner`; use tsm2_core's `slices`: {found:?}"
        );
    }
}

#[test]
fn the_stations_own_code_calls_no_panic() {
    for machine in [Machine::CortexM4F, Machine::CortexM33] {
        let Some(program) = machine.program("station") else { return };
        let Some(calls) = panic_calls(&program) else {
            return skip("addr2line is not installed; install it: apt install binutils");
        };
        let mut counts = BTreeMap::<&str, usize>::new();
        for call in &calls {
            *counts.entry(call.of_crate().unwrap_or("standard library")).or_default() += 1;
        }
        println!("{machine:?}: calls of panic functions by crate: {counts:?}");
        assert!(
            counts.keys().any(|name| name.starts_with("smoltcp")),
            "the calls have their crates: {counts:?}"
        );
        let own = calls
            .iter()
            .filter(|call| call.of_crate().is_some_and(|name| OWN.contains(&name)) && !call.is_of_heap());
        let own: Vec<_> = own.collect();
        assert!(own.is_empty(), "{machine:?}: {own:#?}");
    }
}
