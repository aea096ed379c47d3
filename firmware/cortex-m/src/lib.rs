//! What boards with a Cortex-M share: memory map, stack, clock, heap, and the start of the station.
//!
//! A board is then a memory map, [`Board`](tsm2_firmware::Board) for its devices, and a `main` that
//! calls [`serve`].
#![no_std]

#[cfg(feature = "station")]
pub mod clock;
pub mod memory;
#[cfg(feature = "station")]
mod station;

#[cfg(feature = "station")]
pub use station::serve;
