//! TSM2 on the Arm MPS2 boards that QEMU emulates: a counter of instructions, and the devices of the
//! station.
#![no_std]

#[cfg(feature = "station")]
pub mod board;
pub mod counter;
mod interrupts;
#[cfg(feature = "station")]
mod lan9118;
#[cfg(feature = "station")]
mod register;
