//! Whether a program for a microcontroller can panic: the compiler leaves out what cannot be reached.

use tsm2_firmware_tests::elf::symbols;
use tsm2_firmware_tests::programs::Machine;

/// The functions of panics in a program. `None`: QEMU or the compiler's target is missing.
fn panics(machine: Machine, name: &str) -> Option<Vec<String>> {
    let elf = std::fs::read(machine.program(name)?).expect("a program");
    let names = symbols(&elf);
    assert!(names.iter().any(|name| name.contains("tsm2_core")), "the program has its symbols");
    let of_panics = |name: &&&str| name.contains("panicking") || name.contains("rust_begin_unwind");
    Some(names.iter().filter(of_panics).map(ToString::to_string).collect())
}

#[test]
fn no_step_of_a_model_can_panic() {
    for machine in [Machine::CortexM4F, Machine::CortexM33] {
        let Some(found) = panics(machine, "runner") else { return };
        assert!(
            found.is_empty(),
            "{machine:?}: a panic can be reached in the program `runner`; find the calls with \
             `objdump --disassemble` and use tsm2_core's `slices`: {found:?}"
        );
    }
}

#[test]
fn a_program_that_can_panic_is_found() {
    let Some(found) = panics(Machine::CortexM4F, "station") else {
        return;
    };
    assert!(!found.is_empty(), "the heap of the station ends in a panic where it is full");
}
