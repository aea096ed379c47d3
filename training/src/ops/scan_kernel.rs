//! The selective scan over slices, forward and backward (docs/reference/bundle.md, section 10; Mamba, arXiv 2312.00752, algorithm 2).
//!
//! Lanes run over the features E; the state of one sequence lies in blocks `[block][n]`. The forward pass keeps the state at
//! the start of every [`SEGMENT`] steps; the backward pass replays a segment from there, with the same operations and so the
//! same bits, and then walks it in reverse. Its buffers are those of one segment and stay in the first-level cache.
//! "Step" counts in the order of the recurrence, "position" in memory; they differ when the scan runs in reverse.

use super::lanes::{LANES, Lanes, blocks, load, store, sum, untranspose};
use tsm2_core::math;

/// Steps between two kept states.
const SEGMENT: usize = 16;

/// The shape of a scan and the form of its recurrence.
#[derive(Clone, Copy, Debug)]
pub struct ScanShape {
    /// O: sequences that lie far apart (streams).
    pub outer: usize,
    /// L: steps.
    pub length: usize,
    /// I: sequences that are interleaved (variates).
    pub inner: usize,
    /// E.
    pub d_inner: usize,
    /// N.
    pub d_state: usize,
    /// From the last position to the first.
    pub reverse: bool,
}

impl ScanShape {
    /// Numbers in c, dt and y.
    pub fn features(&self) -> usize {
        self.outer * self.length * self.inner * self.d_inner
    }

    /// Numbers in B and C together.
    pub fn selections(&self) -> usize {
        self.outer * self.length * self.inner * 2 * self.d_state
    }

    /// Numbers in the state of all sequences.
    pub fn states(&self) -> usize {
        self.outer * self.inner * self.d_inner * self.d_state
    }

    fn blocks(&self) -> usize {
        blocks(self.d_inner)
    }

    fn segments(&self) -> usize {
        self.length.div_ceil(SEGMENT)
    }

    /// Blocks of kept states of all sequences, `[outer][inner][segment][block][n]`.
    fn kept(&self) -> usize {
        self.outer * self.inner * self.segments() * self.blocks() * self.d_state
    }

    /// The row of `[O, L, I]` at which sequence (outer, inner) is after `step` steps.
    #[inline(always)]
    fn row(&self, outer: usize, inner: usize, step: usize) -> usize {
        let position = if self.reverse { self.length - 1 - step } else { step };
        (outer * self.length + position) * self.inner + inner
    }
}

/// What both passes read.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// `[O, L, I, E]`.
    pub c: &'a [f32],
    /// `[O, L, I, E]`, after softplus.
    pub dt: &'a [f32],
    /// `[O, L, I, 2N]`: B, then C.
    pub selection: &'a [f32],
    /// A = -exp(a_log) as `[block][n]`, padded with -1.
    pub a: &'a [Lanes],
    /// The skip D, `[E]`.
    pub skip: &'a [f32],
}

/// What the forward pass returns.
pub struct Forward {
    /// `[O, L, I, E]`.
    pub y: Vec<f32>,
    /// `[O, I, E, N]`.
    pub last_state: Vec<f32>,
    /// The state before each segment, for [`backward`].
    pub kept: Vec<Lanes>,
}

/// What the backward pass returns.
pub struct Gradients {
    /// Of c, `[O, L, I, E]`.
    pub c: Vec<f32>,
    /// Of dt (after softplus), `[O, L, I, E]`.
    pub dt: Vec<f32>,
    /// Of B and C, `[O, L, I, 2N]`.
    pub selection: Vec<f32>,
    /// Of A (not of its logarithm), `[block][n]`.
    pub a: Vec<Lanes>,
    /// Of the skip D, `[E]`.
    pub skip: Vec<f32>,
}

/// One step of one block and one state index: h = exp(dt A) h + dt B c. Returns exp(dt A).
#[inline(always)]
fn advance(h: &mut Lanes, a: &Lanes, dt: &Lanes, c: &Lanes, b: f32) -> Lanes {
    let mut decay = [0.0; LANES];
    for k in 0..LANES {
        decay[k] = math::exp(dt[k] * a[k]);
        h[k] = decay[k] * h[k] + dt[k] * b * c[k];
    }
    decay
}

/// Runs the scan from `state` (`[O, I, E, N]`, zero when absent).
#[inline(always)]
pub fn forward(shape: &ScanShape, inputs: Inputs, state: Option<&[f32]>) -> Forward {
    let ScanShape {
        outer,
        length,
        inner,
        d_inner,
        d_state,
        ..
    } = *shape;
    let per_sequence = d_inner * d_state;
    let mut y = vec![0.0; shape.features()];
    let mut last_state = vec![0.0; shape.states()];
    let mut kept = Vec::with_capacity(shape.kept());
    let mut h = vec![[0.0; LANES]; shape.blocks() * d_state];
    for o in 0..outer {
        for i in 0..inner {
            let sequence = (o * inner + i) * per_sequence;
            match state {
                Some(state) => transpose_into(&state[sequence..sequence + per_sequence], &mut h, d_state),
                None => h.fill([0.0; LANES]),
            }
            for step in 0..length {
                if step % SEGMENT == 0 {
                    kept.extend_from_slice(&h);
                }
                let row = shape.row(o, i, step);
                let features = row * d_inner..(row + 1) * d_inner;
                let (b, c_out) = inputs.selection[row * 2 * d_state..(row + 1) * 2 * d_state].split_at(d_state);
                let (c_row, dt_row, y_row) = (&inputs.c[features.clone()], &inputs.dt[features.clone()], &mut y[features]);
                for (block, (h, a)) in h.chunks_exact_mut(d_state).zip(inputs.a.chunks_exact(d_state)).enumerate() {
                    let (c, dt, skip) = (load(c_row, block), load(dt_row, block), load(inputs.skip, block));
                    let mut out = [0.0; LANES];
                    for n in 0..d_state {
                        advance(&mut h[n], &a[n], &dt, &c, b[n]);
                        for k in 0..LANES {
                            out[k] += c_out[n] * h[n][k];
                        }
                    }
                    for k in 0..LANES {
                        out[k] += skip[k] * c[k];
                    }
                    store(y_row, block, &out);
                }
            }
            untranspose(&h, &mut last_state[sequence..sequence + per_sequence], d_state);
        }
    }
    Forward { y, last_state, kept }
}

/// `[E, N]` into `[block][n]`; the lanes past E keep what they hold, which nothing reads.
#[inline(always)]
fn transpose_into(matrix: &[f32], lanes: &mut [Lanes], d_state: usize) {
    for (feature, row) in matrix.chunks_exact(d_state).enumerate() {
        for (n, value) in row.iter().enumerate() {
            lanes[(feature / LANES) * d_state + n][feature % LANES] = *value;
        }
    }
}

/// Gradients of everything [`forward`] read, from `grad_y` `[O, L, I, E]`. The initial state is taken as given.
#[inline(always)]
pub fn backward(shape: &ScanShape, inputs: Inputs, kept: &[Lanes], grad_y: &[f32]) -> Gradients {
    let ScanShape {
        outer,
        length,
        inner,
        d_inner,
        d_state,
        ..
    } = *shape;
    let zero = [0.0; LANES];
    let mut grad = Gradients {
        c: vec![0.0; shape.features()],
        dt: vec![0.0; shape.features()],
        selection: vec![0.0; shape.selections()],
        a: vec![zero; shape.blocks() * d_state],
        skip: vec![0.0; d_inner],
    };
    let mut grad_skip = vec![zero; shape.blocks()];
    // Of one segment: the states before and after each step, the decays, and the sums over blocks of the gradients of B and C.
    let mut states = vec![zero; (SEGMENT + 1) * d_state];
    let mut decays = vec![zero; SEGMENT * d_state];
    let mut grad_b = vec![zero; SEGMENT * d_state];
    let mut grad_c_out = vec![zero; SEGMENT * d_state];
    // Of one sequence: the gradient of the state, and of A (summed per sequence first, for accuracy).
    let mut grad_h = vec![zero; shape.blocks() * d_state];
    let mut grad_a = vec![zero; shape.blocks() * d_state];
    for o in 0..outer {
        for i in 0..inner {
            grad_h.fill(zero);
            grad_a.fill(zero);
            for segment in (0..shape.segments()).rev() {
                let first = segment * SEGMENT;
                let steps = SEGMENT.min(length - first);
                grad_b.fill(zero);
                grad_c_out.fill(zero);
                for block in 0..shape.blocks() {
                    let start = (((o * inner + i) * shape.segments() + segment) * shape.blocks() + block) * d_state;
                    let a = &inputs.a[block * d_state..(block + 1) * d_state];
                    states[..d_state].copy_from_slice(&kept[start..start + d_state]);
                    for s in 0..steps {
                        let row = shape.row(o, i, first + s);
                        let features = row * d_inner..(row + 1) * d_inner;
                        let b = &inputs.selection[row * 2 * d_state..][..d_state];
                        let (c, dt) = (load(&inputs.c[features.clone()], block), load(&inputs.dt[features], block));
                        for n in 0..d_state {
                            let mut h = states[s * d_state + n];
                            decays[s * d_state + n] = advance(&mut h, &a[n], &dt, &c, b[n]);
                            states[(s + 1) * d_state + n] = h;
                        }
                    }
                    let skip = load(inputs.skip, block);
                    let grad_h = &mut grad_h[block * d_state..(block + 1) * d_state];
                    let grad_a = &mut grad_a[block * d_state..(block + 1) * d_state];
                    for s in (0..steps).rev() {
                        let row = shape.row(o, i, first + s);
                        let features = row * d_inner..(row + 1) * d_inner;
                        let (b, c_out) = inputs.selection[row * 2 * d_state..(row + 1) * 2 * d_state].split_at(d_state);
                        let (c, dt) = (load(&inputs.c[features.clone()], block), load(&inputs.dt[features.clone()], block));
                        let gy = load(&grad_y[features.clone()], block);
                        // Per lane: what reaches c and dt through the input term, and dt through the decay.
                        let (mut to_c, mut to_dt) = (zero, zero);
                        for n in 0..d_state {
                            let at = s * d_state + n;
                            let (decay, before, after) = (&decays[at], &states[at], &states[at + d_state]);
                            let (gh, ga, gb, gc) = (&mut grad_h[n], &mut grad_a[n], &mut grad_b[at], &mut grad_c_out[at]);
                            for k in 0..LANES {
                                let g = gh[k] + c_out[n] * gy[k];
                                gc[k] += gy[k] * after[k];
                                let carried = decay[k] * g;
                                let to_exponent = carried * before[k];
                                ga[k] += to_exponent * dt[k];
                                to_dt[k] += to_exponent * a[n][k];
                                gb[k] += g * dt[k] * c[k];
                                to_c[k] += g * b[n];
                                gh[k] = carried;
                            }
                        }
                        for k in 0..LANES {
                            to_dt[k] += to_c[k] * c[k];
                            to_c[k] *= dt[k];
                            to_c[k] += skip[k] * gy[k];
                            grad_skip[block][k] += gy[k] * c[k];
                        }
                        store(&mut grad.c[features.clone()], block, &to_c);
                        store(&mut grad.dt[features], block, &to_dt);
                    }
                }
                for s in 0..steps {
                    let row = shape.row(o, i, first + s);
                    let (gb, gc) = grad.selection[row * 2 * d_state..(row + 1) * 2 * d_state].split_at_mut(d_state);
                    for n in 0..d_state {
                        gb[n] = sum(&grad_b[s * d_state + n]);
                        gc[n] = sum(&grad_c_out[s * d_state + n]);
                    }
                }
            }
            for (total, part) in grad.a.iter_mut().zip(&grad_a) {
                for k in 0..LANES {
                    total[k] += part[k];
                }
            }
        }
    }
    for (block, lanes) in grad_skip.iter().enumerate() {
        store(&mut grad.skip, block, lanes);
    }
    grad
}
