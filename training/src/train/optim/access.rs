//! The numbers of many tensors as slices, wherever they lie: in place on the CPU, and elsewhere through one copy of all of them, since a
//! transfer from a device takes its time however little it moves.

use crate::network::parameters::Parameter;
use crate::ops::with_slices;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use std::cell::RefCell;

/// Shows `see` the numbers of each tensor, by its place among them: where they lie on the CPU, elsewhere in a copy.
pub(super) fn read(tensors: &[&Tensor], mut see: impl FnMut(usize, &[f32])) -> Result<()> {
    if tensors.iter().any(|tensor| !tensor.device().is_cpu()) {
        return read_copy(tensors, see);
    }
    for (i, tensor) in tensors.iter().enumerate() {
        with_slices([tensor], |[numbers]| {
            see(i, numbers);
            Ok(())
        })?;
    }
    Ok(())
}

/// [`read`] by one transfer of all numbers from the device.
fn read_copy(tensors: &[&Tensor], mut see: impl FnMut(usize, &[f32])) -> Result<()> {
    let all = copy(tensors)?;
    let mut rest = all.as_slice();
    for (i, tensor) in tensors.iter().enumerate() {
        let (numbers, tail) = rest.split_at(tensor.elem_count());
        see(i, numbers);
        rest = tail;
    }
    Ok(())
}

/// The numbers of all tensors, one after the other.
fn copy(tensors: &[&Tensor]) -> Result<Vec<f32>> {
    let flat = tensors.iter().map(|tensor| tensor.flatten_all()).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&flat, 0)?.to_vec1()
}

/// Lets `edit` work on the numbers of each parameter, by its place among them: in place on the CPU, elsewhere through a copy.
pub(super) fn change(parameters: &[Parameter], mut edit: impl FnMut(usize, &mut [f32])) -> Result<()> {
    if parameters.iter().any(|p| !p.var.device().is_cpu()) {
        return change_copy(parameters, edit);
    }
    for (i, parameter) in parameters.iter().enumerate() {
        let edit = |numbers: &mut [f32]| edit(i, numbers);
        parameter.var.inplace_op1(&Edit(RefCell::new(Some(edit))))?;
    }
    Ok(())
}

/// [`change`] by one transfer of all numbers from the device and one back.
fn change_copy(parameters: &[Parameter], mut edit: impl FnMut(usize, &mut [f32])) -> Result<()> {
    let Some(device) = parameters.first().map(|p| p.var.device()) else {
        return Ok(());
    };
    let tensors: Vec<&Tensor> = parameters.iter().map(|p| p.var.as_tensor()).collect();
    let mut all = copy(&tensors)?;
    let mut rest = all.as_mut_slice();
    for (i, tensor) in tensors.iter().enumerate() {
        let (numbers, tail) = rest.split_at_mut(tensor.elem_count());
        edit(i, numbers);
        rest = tail;
    }
    let count = all.len();
    let all = Tensor::from_vec(all, count, device)?;
    let mut start = 0;
    for Parameter { var, .. } in parameters {
        let count = var.elem_count();
        var.set(&all.narrow(0, start, count)?.reshape(var.shape())?)?;
        start += count;
    }
    Ok(())
}

/// candle hands a variable's storage only to an operation; this one carries a closure there.
struct Edit<F>(RefCell<Option<F>>);

impl<F: FnOnce(&mut [f32])> InplaceOp1 for Edit<F> {
    fn name(&self) -> &'static str {
        "edit"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("a parameter must be contiguous and f32");
        };
        if let Some(edit) = self.0.take() {
            edit(&mut values[start..end]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn parameters() -> Vec<Parameter> {
        let matrix: Vec<f32> = (0..35).map(|i| (i as f32 * 0.7).sin()).collect();
        let parameter = |values: &[f32], shape: &[usize]| Parameter {
            name: String::new(),
            var: Var::from_tensor(&Tensor::from_slice(values, shape, &Device::Cpu).unwrap()).unwrap(),
            decay: false,
            frozen: 0..0,
        };
        vec![parameter(&matrix, &[5, 7]), parameter(&[0.5, -0.25], &[2])]
    }

    #[test]
    fn a_copy_is_read_and_changed_as_the_numbers_themselves_are() {
        let (in_place, by_copy) = (parameters(), parameters());
        let tensors: Vec<&Tensor> = in_place.iter().map(|p| p.var.as_tensor()).collect();
        let (mut seen, mut copied) = (Vec::new(), Vec::new());
        read(&tensors, |i, numbers| seen.push((i, numbers.to_vec()))).unwrap();
        read_copy(&tensors, |i, numbers| copied.push((i, numbers.to_vec()))).unwrap();
        assert_eq!(seen, copied);
        assert_eq!(seen[1], (1, vec![0.5, -0.25]));

        let edit = |i: usize, numbers: &mut [f32]| numbers.iter_mut().for_each(|x| *x = *x * 2.0 + i as f32);
        change(&in_place, edit).unwrap();
        change_copy(&by_copy, edit).unwrap();
        let values = |p: &Parameter| p.var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (in_place, by_copy) in in_place.iter().zip(&by_copy) {
            assert_eq!(values(in_place), values(by_copy));
        }
        assert_eq!(values(&by_copy[1]), [2.0, 0.5]);
    }
}
