//! The scan and the convolution on a CUDA device, by kernels of our own (`kernels.cu`).
//!
//! `plan` says as plain values which kernels an operation runs and over what; `device` has them run on the device, as operations of
//! candle. The tests have the same plans run on the processor by the same source, compiled as C++ (`host.cpp`), and compare the
//! outcome with the processor's own kernels, mostly bit for bit. `make-ptx` compiles the kernels to the PTX that is embedded.

#[cfg(feature = "cuda")]
mod device;
mod plan;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
pub use device::{conv_silu, selective_scan};
