//! The firmware under QEMU.
//!
//! - [`programs`]: builds the programs of `firmware/`, or finds them;
//! - [`engines`]: the conformance suite's engines on Cortex-M4F, Cortex-M33 and aarch64;
//! - [`elf`]: sections and symbols of a program;
//! - [`guest`]: the station on an emulated board, beside a mosquitto on the host;
//! - [`table`]: sizes, memory and instructions.
//!
//! A test without QEMU or without the compiler's target is skipped, and fails under
//! `TSM2_REQUIRE_ALL=1`.

pub mod calls;
pub mod elf;
pub mod engines;
pub mod guest;
pub mod panics;
pub mod programs;
pub mod table;
pub mod thumb;
