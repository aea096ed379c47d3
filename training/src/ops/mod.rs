//! The networks' own operations for training: forward and hand-written backward, one thread each, the same bits on every run.
//!
//! Tensors are f32. Sequences are seen as `[O, L, I, F]`: outer, length, inner, features. A recurrence runs along L,
//! independently for every (o, i), so neither mixer transposes: the time mixer over `[streams, tokens, variates, E]` has
//! O = streams, L = tokens, I = variates; the variate mixer has O = streams * tokens, L = variates, I = 1.
//!
//! On the CPU each is a candle custom operation over plain slices (`lanes` tells how they vectorise). On a CUDA device so are the scan
//! and the convolution, over kernels of our own (`cuda`). Elsewhere, and in the tests as the truth, each has a `*_reference` twin of
//! candle's own differentiable operations. The functions of one number
//! (exp, sigmoid, softplus) are those of `tsm2_core::math`, so training agrees with the device's step.

mod conv;
#[cfg(any(feature = "cuda", test))]
mod cuda;
mod gru;
mod lanes;
mod linear;
mod norm;
mod pointwise;
mod scan;
mod scan_kernel;
mod weighted;

pub(crate) use lanes::{dot, vectorised};

pub use conv::{conv_silu, conv_silu_reference};
pub use gru::{gru, gru_reference};
pub use linear::{linear, linear_onto, linear_reference};
pub use norm::{layer_norm, layer_norm_reference};
pub use pointwise::{gate, gate_reference, gelu, gelu_reference, limit, limit_reference};
pub use scan::{ScanOptions, selective_scan, selective_scan_reference};
pub use weighted::{squared_error, squared_error_reference, weighted_sum, weighted_sum_reference};

use candle_core::{CpuStorage, Device, Layout, Result, Storage, Tensor, bail};

/// Whether the kernels of this module can take the tensor.
fn on_cpu(tensor: &Tensor) -> bool {
    matches!(tensor.device(), Device::Cpu)
}

/// The numbers of a contiguous CPU tensor as a custom operation receives it.
fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a training operation was given a tensor that is not contiguous: {layout:?}"),
    }
}

/// Lends the numbers of CPU tensors to `kernel`, in the backward pass, where tensors arrive instead of storages.
pub(crate) fn with_slices<const N: usize, R>(tensors: [&Tensor; N], kernel: impl FnOnce([&[f32]; N]) -> Result<R>) -> Result<R> {
    let mut dense = Vec::with_capacity(N);
    for tensor in tensors {
        dense.push(tensor.contiguous()?);
    }
    let guards: Vec<_> = dense.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        *slice = match &**storage {
            Storage::Cpu(storage) => contiguous(storage, layout)?,
            _ => bail!("a training operation for the CPU was given a tensor on another device"),
        };
    }
    kernel(slices)
}
