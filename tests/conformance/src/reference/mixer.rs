//! The selective mixer and the MLP of the reference.

use tsm2_core::{Mlp, NetworkConfig, S6};

use super::tensors::Tensors;

/// Memory of one direction of a selective mixer: every value so far, and the state.
#[derive(Clone)]
pub struct Memory {
    sizes: S6,
    /// v of every token so far, `[tokens][E]`.
    values: Vec<Vec<f64>>,
    /// h, `[E][N]`.
    h: Vec<Vec<f64>>,
}

impl Memory {
    /// Nothing seen, zero state.
    pub fn new(sizes: &S6) -> Self {
        Self {
            sizes: *sizes,
            values: Vec::new(),
            h: vec![vec![0.0; sizes.d_state]; sizes.d_inner],
        }
    }

    /// The last d_conv - 1 values `[d_conv - 1, E]`, oldest first (zero before the first token), then h `[N, E]`.
    pub fn state(&self) -> Vec<f64> {
        let mut state = Vec::new();
        for back in (1..self.sizes.d_conv).rev() {
            state.extend((0..self.sizes.d_inner).map(|e| self.value(back, e)));
        }
        for n in 0..self.sizes.d_state {
            state.extend((0..self.sizes.d_inner).map(|e| self.h[e][n]));
        }
        state
    }

    /// v of the `back`-th last token, 1 being the newest.
    fn value(&self, back: usize, e: usize) -> f64 {
        if back > self.values.len() {
            0.0
        } else {
            self.values[self.values.len() - back][e]
        }
    }
}

/// The time mixer of layer `l` on one variate's token `x`: what is added to it.
pub fn time_mixer(config: &NetworkConfig, tensors: &Tensors, l: usize, memory: &mut Memory, x: &[f64]) -> Vec<f64> {
    let block = format!("layers.{l}.time");
    let sizes = &config.time_mixer;
    let xn = layer_norm(tensors, &block, x);
    let projected = project(tensors, &block, sizes, x, &xn, 1);
    let y = selective(tensors, &block, sizes, memory, &projected[0]);
    gated_output(tensors, &block, &y, &projected[1])
}

/// The bidirectional scan of layer `l` over the variates of one token, `x` `[M][D]`: what is added to each.
pub fn variate_scan(tensors: &Tensors, l: usize, sizes: &S6, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let block = format!("layers.{l}.variate");
    let xn: Vec<Vec<f64>> = x.iter().map(|x| layer_norm(tensors, &block, x)).collect();
    let projected: Vec<Vec<Vec<f64>>> = (0..x.len()).map(|m| project(tensors, &block, sizes, &x[m], &xn[m], 2)).collect();
    let mut y = vec![vec![0.0; sizes.d_inner]; x.len()];
    let mut memory = Memory::new(sizes);
    for m in 0..x.len() {
        let forward = format!("{block}.forward");
        add(&mut y[m], &selective(tensors, &forward, sizes, &mut memory, &projected[m][0]));
    }
    let mut memory = Memory::new(sizes);
    for m in (0..x.len()).rev() {
        let backward = format!("{block}.backward");
        add(&mut y[m], &selective(tensors, &backward, sizes, &mut memory, &projected[m][1]));
    }
    (0..x.len())
        .map(|m| gated_output(tensors, &block, &y[m], &projected[m][2]))
        .collect()
}

/// The MLP of layer `l` over the variates of one token, `x` `[M][D]`: what is added to each.
pub fn variate_mlp(tensors: &Tensors, l: usize, sizes: &Mlp, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let block = format!("layers.{l}.variate");
    let get = |leaf: &str| tensors.get(&format!("{block}.mlp.{leaf}"));
    let mut reduced = Vec::new();
    for x in x {
        reduced.extend(linear(get("reduce.weight"), &layer_norm(tensors, &block, x)));
    }
    assert_eq!(reduced.len(), x.len() * sizes.reduce);
    let mut hidden = linear(get("hidden.weight"), &reduced);
    add(&mut hidden, get("hidden.bias"));
    let hidden: Vec<f64> = hidden.into_iter().map(gelu).collect();
    let out = linear(get("out.weight"), &hidden);
    out.chunks(x[0].len()).map(<[f64]>::to_vec).collect()
}

/// The rows of `in_proj`: `values` value paths, then the gate with its bias.
fn project(tensors: &Tensors, block: &str, sizes: &S6, x: &[f64], xn: &[f64], values: usize) -> Vec<Vec<f64>> {
    let weight = tensors.get(&format!("{block}.in_proj.weight"));
    let rows: Vec<&[f64]> = weight.chunks(sizes.d_inner * x.len()).collect();
    assert_eq!(rows.len(), values + 1);
    // The values come from x itself and are limited before the convolution; the gate comes from the LayerNorm.
    let limited = |w: &&[f64]| linear(w, x).into_iter().map(|v| v.clamp(-30.0, 30.0)).collect();
    let mut projected: Vec<Vec<f64>> = rows[..values].iter().map(limited).collect();
    let mut gate = linear(rows[values], xn);
    add(&mut gate, tensors.get(&format!("{block}.gate_bias")));
    projected.push(gate);
    projected
}

/// Convolution, selection and scan of one token: y before the gate.
fn selective(tensors: &Tensors, block: &str, sizes: &S6, memory: &mut Memory, v: &[f64]) -> Vec<f64> {
    let get = |leaf: &str| tensors.get(&format!("{block}.{leaf}"));
    let (e, n, r, k) = (sizes.d_inner, sizes.d_state, sizes.dt_rank, sizes.d_conv);
    memory.values.push(v.to_vec());
    let mut c = vec![0.0; e];
    for i in 0..e {
        let mut sum = get("conv.bias")[i];
        for tap in 0..k {
            sum += get("conv.weight")[i * k + tap] * memory.value(k - tap, i);
        }
        c[i] = silu(sum);
    }
    let selection = linear(get("x_proj.weight"), &c);
    let d = &selection[..r];
    let mut b = selection[r..r + n].to_vec();
    let mut c_out = selection[r + n..].to_vec();
    add(&mut b, get("b_bias"));
    add(&mut c_out, get("c_bias"));
    let mut dt = linear(get("dt_proj.weight"), d);
    add(&mut dt, get("dt_proj.bias"));
    let mut y = vec![0.0; e];
    for i in 0..e {
        let dt = softplus(dt[i]);
        for j in 0..n {
            let a = -get("a_log")[i * n + j].exp();
            memory.h[i][j] = (dt * a).exp() * memory.h[i][j] + dt * b[j] * c[i];
            y[i] += c_out[j] * memory.h[i][j];
        }
        y[i] += get("d")[i] * c[i];
    }
    y
}

/// W_out (y * SiLU(g)).
fn gated_output(tensors: &Tensors, block: &str, y: &[f64], gate: &[f64]) -> Vec<f64> {
    let gated: Vec<f64> = y.iter().zip(gate).map(|(y, &g)| y * silu(g)).collect();
    linear(tensors.get(&format!("{block}.out_proj.weight")), &gated)
}

fn layer_norm(tensors: &Tensors, block: &str, x: &[f64]) -> Vec<f64> {
    let (weight, bias) = (
        tensors.get(&format!("{block}.norm.weight")),
        tensors.get(&format!("{block}.norm.bias")),
    );
    let d = x.len() as f64;
    let mean = x.iter().sum::<f64>() / d;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / d;
    (0..x.len())
        .map(|i| (x[i] - mean) / (variance + 1e-5).sqrt() * weight[i] + bias[i])
        .collect()
}

/// W x, with W `[rows, x.len()]`.
pub fn linear(weight: &[f64], x: &[f64]) -> Vec<f64> {
    weight
        .chunks(x.len())
        .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum())
        .collect()
}

/// y += x.
pub fn add(y: &mut [f64], x: &[f64]) {
    assert_eq!(y.len(), x.len());
    for i in 0..y.len() {
        y[i] += x[i];
    }
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    (1.0 + x.exp()).ln()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}
