//! Attention of every token over all tokens of its sequence: what the scan is compared with over very long windows.
//!
//! Queries, keys and values are `[tokens, sequences, D]`; sequences do not meet. No order is told to either form. Products are those of
//! [`linear`], a matrix per sequence, so that training stays on the thread that runs it.

use candle_core::{D, Result, Tensor};

use tsm2_train::ops::linear;

/// softmax(q k' / sqrt(D)) v: work and memory grow with the square of the number of tokens.
///
/// # Errors
/// Shapes that do not fit.
pub fn softmax_attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let scale = (q.dim(D::Minus1)? as f64).sqrt().recip();
    let scores = linear(&(q * scale)?, &k.transpose(0, 1)?.contiguous()?, None)?;
    // The greatest score of a row becomes 0, which changes no quotient and keeps exp finite.
    let greatest = scores.max_keepdim(D::Minus1)?.detach();
    let weights = scores.broadcast_sub(&greatest)?.exp()?;
    let sum = linear(&weights, &v.permute((1, 2, 0))?.contiguous()?, None)?;
    sum.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
}

/// f(q) (f(k)' v) / f(q) f(k)' with f = elu + 1: work and memory grow with the number of tokens.
///
/// # Errors
/// Shapes that do not fit.
pub fn linear_attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (q, k) = ((q.elu(1.0)? + 1.0)?, (k.elu(1.0)? + 1.0)?);
    let pairs = linear(&k.permute((2, 1, 0))?.contiguous()?, &v.permute((1, 2, 0))?.contiguous()?, None)?;
    let sum = linear(&q, &pairs.permute((1, 2, 0))?.contiguous()?, None)?;
    let weights = q.broadcast_mul(&k.sum_keepdim(0)?)?.sum_keepdim(D::Minus1)?;
    sum.broadcast_div(&weights)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    const TOKENS: usize = 5;
    const SEQUENCES: usize = 2;
    const WIDTH: usize = 3;

    fn numbers(seed: usize) -> Vec<f32> {
        let value = |i: usize| ((i * 37 + seed * 11) % 23) as f32 / 8.0 - 1.4;
        (0..TOKENS * SEQUENCES * WIDTH).map(value).collect()
    }

    /// Attention as it is written down: a weight for every pair of tokens.
    fn by_hand(weight: impl Fn(&[f32], &[f32]) -> f32) -> Vec<f32> {
        let [q, k, v] = [1, 2, 3].map(numbers);
        let at = |t: usize, s: usize| (t * SEQUENCES + s) * WIDTH..(t * SEQUENCES + s + 1) * WIDTH;
        let mut out = Vec::new();
        for t in 0..TOKENS {
            for s in 0..SEQUENCES {
                let weights: Vec<f32> = (0..TOKENS).map(|other| weight(&q[at(t, s)], &k[at(other, s)])).collect();
                let total: f32 = weights.iter().sum();
                for i in 0..WIDTH {
                    let terms = weights.iter().enumerate().map(|(other, w)| w * v[at(other, s)][i]);
                    out.push(terms.sum::<f32>() / total);
                }
            }
        }
        out
    }

    fn near(attention: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>, want: &[f32]) {
        let var = |seed| {
            let tensor = Tensor::from_vec(numbers(seed), (TOKENS, SEQUENCES, WIDTH), &Device::Cpu);
            Var::from_tensor(&tensor.expect("a tensor")).expect("a variable")
        };
        let [q, k, v] = [1, 2, 3].map(var);
        let out = attention(&q, &k, &v).expect("shapes fit");
        let got = out.flatten_all().and_then(|out| out.to_vec1::<f32>()).expect("numbers");
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        let grads = out.sqr().and_then(|out| out.sum_all()?.backward()).expect("a way back");
        for var in [q, k, v] {
            let grad = grads.get(&var).expect("a gradient");
            let norm = grad.sqr().and_then(|grad| grad.sum_all()?.to_scalar::<f32>()).expect("a number");
            assert!(norm.is_finite() && norm > 0.0, "{norm}");
        }
    }

    #[test]
    fn each_is_its_sum_over_pairs_of_tokens_and_has_gradients() {
        let dot = |q: &[f32], k: &[f32]| q.iter().zip(k).map(|(q, k)| q * k).sum::<f32>();
        near(softmax_attention, &by_hand(|q, k| (dot(q, k) / (WIDTH as f32).sqrt()).exp()));
        let f = |x: &[f32]| x.iter().map(|x| if *x > 0.0 { x + 1.0 } else { x.exp() }).collect::<Vec<_>>();
        near(linear_attention, &by_hand(|q, k| dot(&f(q), &f(k))));
    }
}
