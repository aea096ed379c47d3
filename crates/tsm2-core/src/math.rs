//! Scalar functions, inner products and LayerNorm of the network, written so that loops over them vectorise.
//!
//! Every engine in Rust (device step, training kernels) calls these functions, so the engines agree to the bit
//! wherever the order of operations is the same. `exp` is a range reduction and a polynomial, without branches and
//! without library calls; the other functions follow from it. The relative error of `exp` is below 2e-7 over its
//! whole finite range.
//!
//! ```
//! use tsm2_core::math::{exp, silu};
//!
//! assert!((exp(1.0) - core::f32::consts::E).abs() < 1e-6);
//! assert_eq!(silu(0.0), 0.0);
//! ```

/// Arguments of [`exp`] are limited to this range, within which its result is a normal, finite number.
const EXP_MIN: f32 = -87.0;
const EXP_MAX: f32 = 88.0;

/// e to the power x. Below -87 and above 88 it returns the value at that bound; NaN stays NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer in the low mantissa bits.
    const SHIFT: f32 = 12_582_912.0;
    // ln 2 in two parts: n * LN2_HI is exact for the n that occur.
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    // `if` rather than clamp: compiles to min and max, and keeps NaN.
    let x = if x < EXP_MIN { EXP_MIN } else { x };
    let x = if x > EXP_MAX { EXP_MAX } else { x };
    let shifted = x * core::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    // Minimax polynomial of (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2] (coefficients of the Cephes library's expf).
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    let scale = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    y * scale
}

/// Logistic function 1 / (1 + e^-x).
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// x * sigmoid(x).
#[inline(always)]
#[must_use]
pub fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// ln(1 + e^x), for the step size dt of the selective scan. NaN stays NaN.
///
/// With u = e^-|x| it is max(x, 0) + ln(1 + u), and the logarithm 2 artanh(u / (2 + u)), whose argument is at most a third.
#[inline(always)]
#[must_use]
pub fn softplus(x: f32) -> f32 {
    let u = exp(-x.abs());
    let s = u / (2.0 + u);
    let z = s * s;
    let mut p = 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z + 1.0 / 3.0;
    let positive = if x > 0.0 { x } else { 0.0 };
    positive + 2.0 * (s + s * z * p)
}

/// GELU in its tanh form (Hendrycks and Gimpel 2016, section 2), as x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
/// Below [`GELU_FLAT`] it is 0.
#[inline(always)]
#[must_use]
pub fn gelu(x: f32) -> f32 {
    let y = x * sigmoid(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
    if x < GELU_FLAT { 0.0 } else { y }
}

/// Below this argument [`gelu`] is 0 instead of a number above -3e-15: products of smaller numbers are subnormal, and
/// many processors are slow at subnormal numbers.
pub const GELU_FLAT: f32 = -7.0;

/// 2 sqrt(2 / pi), the scale inside [`gelu`].
pub const GELU_SCALE: f32 = 1.595_769;
/// The cubic coefficient inside [`gelu`].
pub const GELU_CUBIC: f32 = 0.044_715;

/// A positive, finite, normal number to a power whose result is one too; within 1e-14 of the exact value. For the constants of a
/// model: series, since tables and special cases would take flash.
#[must_use]
pub fn power(base: f64, exponent: f64) -> f64 {
    // base = 2^n (1 + s) / (1 - s), with the logarithm n ln 2 + 2 artanh(s).
    const EXPONENT: u64 = 0x7FF << 52;
    let mut n = (base.to_bits() >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(base.to_bits() & !EXPONENT | 1023 << 52);
    if mantissa > core::f64::consts::SQRT_2 {
        (n, mantissa) = (n + 1, 0.5 * mantissa);
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    // Both series run until a term changes nothing, or nothing is a number.
    let (mut artanh, mut before, mut term, mut k) = (s, 0.0, s, 1.0);
    while (artanh - before).abs() > 0.0 {
        before = artanh;
        term *= s * s;
        k += 2.0;
        artanh += term / k;
    }
    let log2 = f64::from(n) + 2.0 * core::f64::consts::LOG2_E * artanh;
    // 2^x = 2^m e^r.
    let x = exponent * log2;
    let m = (x + if x < 0.0 { -0.5 } else { 0.5 }).clamp(-1022.0, 1023.0) as i32;
    let r = core::f64::consts::LN_2 * (x - f64::from(m));
    let (mut sum, mut before, mut term, mut k) = (1.0f64, 0.0, 1.0, 0.0);
    while (sum - before).abs() > 0.0 {
        before = sum;
        k += 1.0;
        term *= r / k;
        sum += term;
    }
    sum * f64::from_bits(u64::from((m + 1023).cast_unsigned()) << 52)
}

/// Sine and cosine of an angle in turns: of 2 pi `turns`. To the bit those of a C library (musl's `sinf` and `cosf`), whose
/// reduction of large arguments is not needed here.
#[must_use]
pub fn sine_cosine(turns: f32) -> [f32; 2] {
    use core::f64::consts::{FRAC_2_PI, FRAC_PI_2};
    let angle = f64::from(core::f32::consts::TAU * (turns - libm::floorf(turns)));
    let quarter = (angle * FRAC_2_PI + 0.5) as i32;
    let x = angle - f64::from(quarter) * FRAC_PI_2;
    let z = x * x;
    let w = z * z;
    // Polynomials on [-pi/4, pi/4] (coefficients of FreeBSD's msun).
    let (a, b) = (
        -1.666_666_664_162_652_4e-1 + z * 8.333_329_385_889_463e-3,
        -1.983_933_483_609_663_2e-4 + z * 2.718_311_493_989_822e-6,
    );
    let sine = ((x + z * x * a) + z * x * w * b) as f32;
    let (a, b) = (
        1.0 + z * -4.999_999_972_510_31e-1,
        -1.388_676_377_460_993e-3 + z * 2.439_044_879_627_741e-5,
    );
    let cosine = ((a + w * 4.166_662_332_373_906e-2) + w * z * b) as f32;
    match quarter & 3 {
        0 => [sine, cosine],
        1 => [cosine, -sine],
        2 => [-sine, -cosine],
        _ => [-cosine, sine],
    }
}

/// Inner product of two slices of equal length, in a fixed order of additions: eight partial sums, then pairs. The first
/// may hold 8-bit integers.
#[inline]
#[must_use]
pub fn dot<T: Copy + Into<f32>>(a: &[T], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut lanes = [0.0f32; LANES];
    let (a_head, a_tail) = a.as_chunks::<LANES>();
    let (b_head, b_tail) = b.as_chunks::<LANES>();
    for (x, y) in a_head.iter().zip(b_head) {
        for i in 0..LANES {
            lanes[i] += x[i].into() * y[i];
        }
    }
    let mut tail = 0.0;
    for (&x, y) in a_tail.iter().zip(b_tail) {
        tail += x.into() * y;
    }
    let pairs = [lanes[0] + lanes[4], lanes[1] + lanes[5], lanes[2] + lanes[6], lanes[3] + lanes[7]];
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]) + tail
}

/// out = W x with W `[out.len(), x.len()]`, row-major.
pub(crate) fn linear(weight: &[f32], x: &[f32], out: &mut [f32]) {
    for (out, row) in out.iter_mut().zip(crate::slices::rows(weight, x.len())) {
        *out = dot(row, x);
    }
}

/// Added to the variance inside [`layer_norm`].
pub const LAYER_NORM_EPS: f32 = 1e-5;

/// LayerNorm of one vector: (x - mean) / sqrt(variance + eps) * weight + bias. All slices have the length of `x`.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    let inverse = 1.0 / x.len() as f32;
    let mean = x.iter().sum::<f32>() * inverse;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() * inverse;
    let scale = 1.0 / libm::sqrtf(variance + LAYER_NORM_EPS);
    for ((out, x), (weight, bias)) in out.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
        *out = (x - mean) * scale * weight + bias;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative error of `function` over multiples of 1e-4, every `stride`-th one.
    fn worst(function: fn(f32) -> f32, exact: fn(f64) -> f64, range: core::ops::Range<i32>, stride: usize) -> f64 {
        let error = |i: i32| {
            let x = i as f32 * 1e-4;
            let exact = exact(f64::from(x));
            (f64::from(function(x)) - exact).abs() / exact
        };
        range.step_by(stride).map(error).fold(0.0, f64::max)
    }

    const EXP: core::ops::Range<i32> = -870_000..880_001;
    const SOFTPLUS: core::ops::Range<i32> = -860_000..300_000;

    fn exact_softplus(x: f64) -> f64 {
        x.exp().ln_1p()
    }

    #[test]
    fn exp_is_within_2e_7_of_the_exact_value() {
        assert!(worst(exp, f64::exp, EXP, 37) < 2e-7);
    }

    #[test]
    fn softplus_is_within_3e_7_of_the_exact_value() {
        assert!(worst(softplus, exact_softplus, SOFTPLUS, 37) < 3e-7);
    }

    #[test]
    #[ignore = "3 million points; run with `cargo test -p tsm2-core -- --ignored`"]
    fn exp_and_softplus_are_exact_enough_on_the_whole_grid() {
        assert!(worst(exp, f64::exp, EXP, 1) < 2e-7);
        assert!(worst(softplus, exact_softplus, SOFTPLUS, 1) < 3e-7);
    }

    #[test]
    fn the_ends_are_finite_and_nan_stays_nan() {
        assert!(exp(f32::INFINITY).is_finite() && exp(f32::NEG_INFINITY) > 0.0);
        assert!(exp(f32::NAN).is_nan() && softplus(f32::NAN).is_nan());
        assert_eq!(softplus(1000.0), 1000.0);
        assert!(sigmoid(-1000.0) < 1e-30 && sigmoid(1000.0) == 1.0);
        assert!(gelu(f32::NAN).is_nan() && gelu(f32::NEG_INFINITY) == 0.0 && gelu(GELU_FLAT - 1e-3) == 0.0);
        assert!((-3e-15..-1e-15).contains(&gelu(GELU_FLAT)));
    }

    #[test]
    fn the_others_agree_with_their_definitions() {
        for i in -4000..=4000 {
            let x = f64::from(i) * 0.005;
            let close = |got: f32, want: f64| assert!((f64::from(got) - want).abs() <= 1e-6 * want.abs().max(1.0), "{x}: {got} {want}");
            close(silu(x as f32), x / (1.0 + (-x).exp()));
            close(softplus(x as f32), x.exp().ln_1p());
            let inner = (2.0 / core::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            close(gelu(x as f32), 0.5 * x * (1.0 + inner.tanh()));
        }
    }

    #[test]
    fn powers_are_within_1e_14_of_the_exact_values() {
        for base in [0.5, 0.9, 0.999_999, 1.0, 1.5, 2.0, 7.3, 1e4] {
            for i in -100..=100 {
                let exponent = f64::from(i) * 0.05;
                let exact = f64::powf(base, exponent);
                assert!((power(base, exponent) - exact).abs() <= 1e-14 * exact, "{base}^{exponent}");
            }
        }
        assert!(power(2.0, f64::NAN).is_nan());
        assert_eq!((power(3.0, 0.0), power(1.0, 0.3), power(2.0, -3.0)), (1.0, 1.0, 0.125));
    }

    #[test]
    fn sine_and_cosine_are_those_of_a_c_library_to_the_bit() {
        for i in -400_000..=400_000 {
            let turns = i as f32 * 1e-5;
            let angle = core::f32::consts::TAU * (turns - libm::floorf(turns));
            assert_eq!(sine_cosine(turns), [libm::sinf(angle), libm::cosf(angle)], "{turns}");
        }
        assert!(sine_cosine(f32::NAN)[0].is_nan() && sine_cosine(f32::INFINITY)[0].is_nan());
    }

    #[test]
    fn dot_adds_every_element() {
        for n in 0..40 {
            let a: [f32; 40] = core::array::from_fn(|i| i as f32);
            assert_eq!(dot(&a[..n], &a[..n]), (0..n).map(|i| (i * i) as f32).sum::<f32>());
        }
    }
}
