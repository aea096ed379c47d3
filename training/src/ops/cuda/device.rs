//! Plans carried out on a CUDA device, and the operations of candle whose passes they are.
//!
//! All work of a device is ordered by its one stream (`Device::new_cuda_with_stream`), whichever thread gives it.

use std::sync::{Arc, OnceLock};

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, LaunchConfig, PushKernelArg};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaDevice, CudaStorage, CustomOp3, DType, Layout, Result, Storage, Tensor, bail};

use super::plan::{self, Plan};
use crate::ops::conv::Conv;
use crate::ops::scan::pack;
use crate::ops::scan_kernel::ScanShape;

/// Threads of a block. The kernels share nothing within one, so it is small, for small networks to fill more processors.
const BLOCK: u32 = 64;

/// Runs the plan over what is given and returns its results.
#[expect(unsafe_code, reason = "memory that is not filled, and kernels, whose arguments no compiler checks")]
fn run(device: &CudaDevice, plan: &Plan, given: &[CudaView<'_, f32>]) -> Result<Vec<CudaSlice<f32>>> {
    let (major, _) = device.cuda_stream().context().compute_capability().w()?;
    let (module, ptx) = match major {
        ..9 => ("tsm2_75", include_str!("kernels.compute_75.ptx")),
        9.. => ("tsm2_90", include_str!("kernels.compute_90.ptx")),
    };
    let mut made = Vec::with_capacity(plan.results.len() + plan.scratch.len());
    for &len in plan.results.iter().chain(&plan.scratch) {
        // SAFETY: every number is written before it is read; the tests of the plans run them over buffers full of NaN.
        made.push(unsafe { device.alloc::<f32>(len) }?);
    }
    for launch in &plan.launches {
        let Ok(threads) = u32::try_from(launch.threads) else {
            bail!("{}: too large for a CUDA device: {} threads", launch.kernel, launch.threads)
        };
        let function = device.get_or_load_custom_func(launch.kernel, module, ptx)?;
        // Sizes are factors of the threads, or flags.
        let sizes: Vec<u32> = launch.sizes.iter().map(|&size| size as u32).collect();
        let mut writable: Vec<Option<&mut CudaSlice<f32>>> = made.iter_mut().map(Some).collect();
        let mut arguments = function.builder();
        for &buffer in &launch.buffers {
            match buffer.checked_sub(given.len()) {
                None => arguments.arg(&given[buffer]),
                Some(at) => match writable[at].take() {
                    Some(slice) => arguments.arg(slice),
                    None => bail!("{}: takes a buffer twice", launch.kernel),
                },
            };
        }
        for size in &sizes {
            arguments.arg(size);
        }
        let config = LaunchConfig {
            grid_dim: (threads.div_ceil(BLOCK), 1, 1),
            block_dim: (BLOCK, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are those of the kernel, and no thread leaves its buffers: the tests carry out the same plans with the same
        // source on the processor, where both are checked.
        unsafe { arguments.launch(config) }.w()?;
    }
    made.truncate(plan.results.len());
    Ok(made)
}

/// [`run`] over tensors.
fn run_on(plan: &Plan, tensors: &[&Tensor]) -> Result<Vec<CudaSlice<f32>>> {
    let dense = tensors.iter().map(|tensor| tensor.contiguous()).collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = dense.iter().map(Tensor::storage_and_layout).collect();
    let given = guards.iter().map(|(storage, layout)| numbers(on_device(storage)?, layout));
    run(dense[0].device().as_cuda_device()?, plan, &given.collect::<Result<Vec<_>>>()?)
}

fn on_device(storage: &Storage) -> Result<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        _ => bail!("an operation on a CUDA device was given a tensor elsewhere"),
    }
}

/// The numbers of a contiguous tensor.
fn numbers<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, f32>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<f32>()?.slice(start..end)),
        None => bail!("a training operation was given a tensor that is not contiguous: {layout:?}"),
    }
}

fn tensor(slice: CudaSlice<f32>, shape: impl Into<candle_core::Shape>, device: &CudaDevice) -> Tensor {
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, device.clone()));
    Tensor::from_storage(storage, shape, BackpropOp::none(), false)
}

/// The results of a plan that has N.
fn results<const N: usize>(made: Vec<CudaSlice<f32>>) -> Result<[CudaSlice<f32>; N]> {
    match made.try_into() {
        Ok(made) => Ok(made),
        Err(_) => bail!("a plan with another number of results"),
    }
}

/// [`crate::ops::selective_scan`] of tensors on a CUDA device, whose shapes fit.
///
/// # Errors
/// The device's; a type other than f32.
pub fn selective_scan(
    shape: ScanShape,
    c: &Tensor,
    dt_raw: &Tensor,
    bc: &Tensor,
    a_log: &Tensor,
    d: &Tensor,
    state: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let state = match state {
        Some(state) => state.detach().contiguous()?,
        None => Tensor::zeros(shape.states(), DType::F32, c.device())?,
    };
    let saved = Arc::new(OnceLock::new());
    let op = Scan {
        shape,
        state,
        saved: saved.clone(),
    };
    let y = c.contiguous()?.apply_op3(&dt_raw.contiguous()?, &pack(bc, a_log, d)?, op)?;
    match saved.get() {
        Some(Saved { last, .. }) => Ok((y, last.clone())),
        None => bail!("the selective scan kept nothing"),
    }
}

struct Scan {
    shape: ScanShape,
    state: Tensor,
    saved: Arc<OnceLock<Saved>>,
}

/// What the forward pass leaves for the caller and for the backward one.
struct Saved {
    last: Tensor,
    before: Tensor,
}

impl CustomOp3 for Scan {
    fn name(&self) -> &'static str {
        "selective_scan"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        bail!("the selective scan of a CUDA device was given tensors on the CPU")
    }

    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, candle_core::Shape)> {
        let Shape {
            outer,
            inner,
            d_inner,
            d_state,
            ..
        } = self.shape;
        let (state, at) = self.state.storage_and_layout();
        let given = [
            numbers(s1, l1)?,
            numbers(s2, l2)?,
            numbers(s3, l3)?,
            numbers(on_device(&state)?, at)?,
        ];
        let device = s1.device();
        let [y, last, before] = results(run(device, &plan::scan_forward(&self.shape), &given)?)?;
        let before_len = before.len();
        // A second forward pass of the same operation does not happen; its leavings would be the same numbers.
        let _ = self.saved.set(Saved {
            last: tensor(last, (outer, inner, d_inner, d_state), device),
            before: tensor(before, before_len, device),
        });
        Ok((CudaStorage::wrap_cuda_slice(y, device.clone()), l1.shape().clone()))
    }

    fn bwd(
        &self,
        c: &Tensor,
        dt_raw: &Tensor,
        packed: &Tensor,
        _y: &Tensor,
        grad_y: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(Saved { before, .. }) = self.saved.get() else {
            bail!("the selective scan has no forward pass to go back through")
        };
        let made = run_on(&plan::scan_backward(&self.shape), &[c, dt_raw, packed, before, grad_y])?;
        let [grad_c, grad_dt, grad_packed] = results(made)?;
        let device = c.device().as_cuda_device()?;
        Ok((
            Some(tensor(grad_c, c.shape(), device)),
            Some(tensor(grad_dt, c.shape(), device)),
            Some(tensor(grad_packed, packed.shape(), device)),
        ))
    }
}

/// [`crate::ops::conv_silu`] of tensors on a CUDA device, whose shapes fit.
///
/// # Errors
/// The device's; a type other than f32.
pub fn conv_silu(shape: Conv, v: &Tensor, weight: &Tensor, bias: &Tensor, state: Option<&Tensor>) -> Result<Tensor> {
    let state = match state {
        Some(state) if shape.taps > 1 => state.detach().contiguous()?,
        // Not empty even where there is nothing before the first step: a device has no empty memory.
        _ => Tensor::zeros(shape.before().max(1), DType::F32, v.device())?,
    };
    v.contiguous()?
        .apply_op3(&weight.contiguous()?, &bias.contiguous()?, ConvSilu { shape, state })
}

struct ConvSilu {
    shape: Conv,
    state: Tensor,
}

impl CustomOp3 for ConvSilu {
    fn name(&self) -> &'static str {
        "conv_silu"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        bail!("the convolution of a CUDA device was given tensors on the CPU")
    }

    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, candle_core::Shape)> {
        let (state, at) = self.state.storage_and_layout();
        let given = [
            numbers(s1, l1)?,
            numbers(s2, l2)?,
            numbers(s3, l3)?,
            numbers(on_device(&state)?, at)?,
        ];
        let [out] = results(run(s1.device(), &plan::conv_forward(&self.shape), &given)?)?;
        Ok((CudaStorage::wrap_cuda_slice(out, s1.device().clone()), l1.shape().clone()))
    }

    fn bwd(
        &self,
        v: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let made = run_on(&plan::conv_backward(&self.shape), &[v, weight, bias, &self.state, grad])?;
        let [grad_v, grad_weight, grad_bias] = results(made)?;
        let device = v.device().as_cuda_device()?;
        Ok((
            Some(tensor(grad_v, v.shape(), device)),
            Some(tensor(grad_weight, weight.shape(), device)),
            Some(tensor(grad_bias, bias.shape(), device)),
        ))
    }
}
