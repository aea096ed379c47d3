//! Which kernels an operation runs, how many threads of each, and over which buffers: the only place that knows their arguments.

use crate::ops::conv::Conv;
use crate::ops::scan_kernel::ScanShape;

/// One kernel. Its arguments are pointers to `buffers`, then `sizes`.
pub struct Launch {
    /// Its name in `kernels.cu`.
    pub kernel: &'static str,
    /// How many threads have work.
    pub threads: usize,
    /// Buffers of the plan.
    pub buffers: Vec<usize>,
    /// Numbers that it takes.
    pub sizes: Vec<usize>,
}

/// Kernels to be run one after the other. Buffers are counted from those that are given; those that are made follow: results, then scratch.
pub struct Plan {
    /// Numbers in each buffer that is kept.
    pub results: Vec<usize>,
    /// Numbers in each buffer that is not.
    pub scratch: Vec<usize>,
    /// In order.
    pub launches: Vec<Launch>,
}

/// The buffers of a plan, by number.
fn buffers<const N: usize>() -> [usize; N] {
    std::array::from_fn(|buffer| buffer)
}

/// Given c, dt, the packed argument and the state (`[O, I, E, N]`): y, the state after the last step and that before every step.
pub fn scan_forward(shape: &ScanShape) -> Plan {
    let [c, dt_raw, packed, state, y, last, before] = buffers();
    Plan {
        results: vec![shape.features(), shape.states(), shape.states() * shape.length],
        scratch: Vec::new(),
        launches: vec![Launch {
            kernel: "scan_forward",
            threads: shape.outer * shape.inner * shape.d_inner,
            buffers: vec![c, dt_raw, packed, state, y, last, before],
            sizes: scan_sizes(shape),
        }],
    }
}

/// Given c, dt, the packed argument, the state before every step and the gradient of y: the gradients of c, dt and the packed argument.
pub fn scan_backward(shape: &ScanShape) -> Plan {
    let [
        c,
        dt_raw,
        packed,
        before,
        grad_y,
        grad_c,
        grad_dt,
        grad_packed,
        of_selection,
        of_a,
        of_skip,
    ] = buffers();
    let length_of_packed = shape.selections() + shape.d_inner * (shape.d_state + 1);
    let features = shape.outer * shape.inner * shape.d_inner;
    Plan {
        results: vec![shape.features(), shape.features(), length_of_packed],
        scratch: vec![shape.selections() * shape.d_inner, shape.states(), features],
        launches: vec![
            Launch {
                kernel: "scan_backward",
                threads: features,
                buffers: vec![c, dt_raw, packed, before, grad_y, grad_c, grad_dt, of_selection, of_a, of_skip],
                sizes: scan_sizes(shape),
            },
            Launch {
                kernel: "scan_sums",
                threads: length_of_packed,
                buffers: vec![packed, of_selection, of_a, of_skip, grad_packed],
                sizes: vec![shape.outer, shape.length, shape.inner, shape.d_inner, shape.d_state],
            },
        ],
    }
}

fn scan_sizes(shape: &ScanShape) -> Vec<usize> {
    vec![
        shape.outer,
        shape.length,
        shape.inner,
        shape.d_inner,
        shape.d_state,
        usize::from(shape.reverse),
        // The kernel knows the zero-order hold too.
        0,
    ]
}

/// Given v, weight, bias and the state (`[O, K-1, I, E]`): the SiLU of the convolution.
pub fn conv_forward(shape: &Conv) -> Plan {
    let [v, weight, bias, state, out] = buffers();
    Plan {
        results: vec![numbers(shape)],
        scratch: Vec::new(),
        launches: vec![Launch {
            kernel: "conv_forward",
            threads: numbers(shape),
            buffers: vec![v, weight, bias, state, out],
            sizes: conv_sizes(shape),
        }],
    }
}

/// Given v, weight, bias, the state and the gradient of the result: the gradients of v, weight and bias.
pub fn conv_backward(shape: &Conv) -> Plan {
    let [
        v,
        weight,
        bias,
        state,
        grad_out,
        grad_v,
        grad_weight,
        grad_bias,
        grad_sum,
        of_weight,
        of_bias,
    ] = buffers();
    let (weights, sequences) = (shape.d_inner * shape.taps, shape.outer * shape.inner);
    Plan {
        results: vec![numbers(shape), weights, shape.d_inner],
        scratch: vec![numbers(shape), sequences * weights, sequences * shape.d_inner],
        launches: vec![
            Launch {
                kernel: "conv_slopes",
                threads: numbers(shape),
                buffers: vec![v, weight, bias, state, grad_out, grad_sum],
                sizes: conv_sizes(shape),
            },
            Launch {
                kernel: "conv_gradients",
                threads: numbers(shape) + sequences * (weights + shape.d_inner),
                buffers: vec![v, weight, state, grad_sum, grad_v, of_weight, of_bias],
                sizes: conv_sizes(shape),
            },
            Launch {
                kernel: "conv_sums",
                threads: weights + shape.d_inner,
                buffers: vec![of_weight, of_bias, grad_weight, grad_bias],
                sizes: vec![shape.outer, shape.inner, shape.d_inner, shape.taps],
            },
        ],
    }
}

fn numbers(shape: &Conv) -> usize {
    shape.outer * shape.length * shape.inner * shape.d_inner
}

fn conv_sizes(shape: &Conv) -> Vec<usize> {
    vec![
        shape.outer,
        shape.length,
        shape.inner,
        shape.d_inner,
        shape.taps,
        usize::from(shape.reverse),
    ]
}
