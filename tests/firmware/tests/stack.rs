//! The stack of a program has a bound, which is read from its code: the largest sum of frames along its calls.

use tsm2_firmware_tests::calls::{Bound, Calls};
use tsm2_firmware_tests::programs::Machine;

/// Bytes that the linker scripts leave to the stack.
const STACK: u32 = 64 * 1024;
/// Most that the processor puts on the stack for an interrupt, its floating-point registers included.
const INTERRUPT: u32 = 104 + 4;
/// Functions that call each other in a circle. Formatting goes through pointers, which the code does not tell apart; a
/// panic ends in a reset; the product of the digits of a number halves its operands, at most 2048 digits of a payload.
const CIRCLES: [&str; 3] = ["fmt", "slice_error_fail", "karatsuba_mul"];

/// The calls of a program and the bound from its start. `None`: QEMU or the compiler's target is missing.
fn bound(machine: Machine, program: &str) -> Option<(Calls, Bound)> {
    let calls = Calls::of(&std::fs::read(machine.program(program)?).expect("a program"));
    let unknown: Vec<_> = calls.functions().filter(|function| function.is_unknown).collect();
    assert!(
        unknown.is_empty(),
        "{machine:?} {program}: these move the stack pointer: {unknown:#?}"
    );
    let bound = calls.bound(calls.named("main").expect("a program with a start").address);
    println!("{machine:?} {program}: at most {} bytes of stack", bound.bytes);
    Some((calls, bound))
}

#[test]
fn the_stack_of_a_step_has_a_bound_without_recursion() {
    for machine in [Machine::CortexM4F, Machine::CortexM33] {
        let Some((_, bound)) = bound(machine, "runner") else { return };
        assert!(bound.circles.is_empty(), "{bound:?}");
        assert!((4096..=8192).contains(&bound.bytes), "{bound:?}");
    }
}

/// On the Cortex-M33 alone: on the other board the flash begins at address 0, so that many a number looks like the address
/// of a function.
#[test]
fn the_stack_of_the_station_fits_its_place() {
    let Some((calls, bound)) = bound(Machine::CortexM33, "station") else {
        return;
    };
    let in_circles = calls
        .functions()
        .filter(|function| bound.circles.iter().any(|circle| circle.contains(&function.address)));
    for function in in_circles {
        let is_known = function.names.iter().any(|name| CIRCLES.iter().any(|known| name.contains(known)));
        assert!(is_known, "a function may call itself: {function:#?}");
    }
    let interrupt = calls.named("SysTick").map_or(0, |handler| calls.bound(handler.address).bytes);
    let most = bound.bytes + interrupt + INTERRUPT;
    println!("{most} bytes with an interrupt");
    assert!(
        most <= STACK / 2,
        "half of the stack's place is for formatting within formatting: {most}"
    );
}
