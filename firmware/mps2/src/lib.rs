//! TSM2 on the Arm MPS2 boards that QEMU emulates: memory, stack, clock, and the devices of the
//! station.
#![no_std]

#[cfg(feature = "station")]
pub mod board;
pub mod clock;
mod interrupts;
#[cfg(feature = "station")]
mod lan9118;
pub mod memory;
#[cfg(feature = "station")]
mod register;
pub mod stack;
