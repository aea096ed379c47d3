//! The conformance suite on Cortex-M4F, Cortex-M33 and aarch64 under QEMU, a named test per case.
//!
//! Two tolerances: against the reference in double precision that of the device's step on the host,
//! and against that step none: every bit of every forecast and of the state is the same.

use tsm2_conformance::case::Case;
use tsm2_conformance::engines::STEP;
use tsm2_conformance::tolerance::Distance;
use tsm2_firmware_tests::engines::run;
use tsm2_firmware_tests::programs::Machine;

macro_rules! cases {
    ($($name:ident)*) => {
        mod cortex_m4f {
            $(#[test] fn $name() { super::check(super::Machine::CortexM4F, stringify!($name)); })*
        }

        mod cortex_m33 {
            $(#[test] fn $name() { super::check(super::Machine::CortexM33, stringify!($name)); })*
        }

        mod aarch64 {
            $(#[test] fn $name() { super::check(super::Machine::Aarch64, stringify!($name)); })*
        }
    };
}

tsm2_conformance::with_cases!(cases);

fn check(machine: Machine, name: &str) {
    let case = Case::open(name);
    let Some((run, _)) = run(machine, &case.bundle, &case.stream) else {
        return;
    };
    let (distance, tolerance) = (Distance::new(&case.bundle, &run, &case.expected), STEP.tolerance(name));
    println!("{machine:?}, {name}: {distance}");
    assert!(
        distance.within(tolerance),
        "{machine:?}, {name}: {distance} is beyond {tolerance:?}"
    );
    let host = (STEP.run)(&case.bundle, &case.stream);
    let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    assert_eq!(
        bits(&run.forecasts),
        bits(&host.forecasts),
        "{machine:?}, {name}: forecasts differ from the host's"
    );
    assert_eq!(
        bits(&run.state),
        bits(&host.state),
        "{machine:?}, {name}: the state differs from the host's"
    );
}
