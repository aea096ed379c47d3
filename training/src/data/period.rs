//! The season of a recording, from its autocorrelation.
//!
//! A season is a lag at which the series, on the mean over variates, resembles itself clearly more than at the lags before, and does so again
//! after twice that lag: noise fails the first, the beat of a chaotic system the second.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// Least autocorrelation at the season.
const LEAST: f64 = 0.2;
/// How far it must rise above the lowest autocorrelation at shorter lags.
const RISE: f64 = 0.1;
/// What must be left of it at twice the lag.
const REPEATS: f64 = 0.5;
/// Of several lags this close to the best one, the shortest is the season: its multiples are as good.
const AS_GOOD: f64 = 0.02;

/// The season in rows, or `None` where there is none; at most a quarter of the rows given. `series` holds per variate the training rows,
/// without missing values. `done` gets the shares of the work: together 1.
pub fn find_period(series: &[&[f32]], done: &dyn Fn(f64)) -> Option<usize> {
    let rows = series.first()?.len();
    let acf = mean_autocorrelation(series, done)?;
    let longest = rows / 4;
    // What noise alone does to the autocorrelation of so many rows.
    let blur = 1.0 / (rows as f64).sqrt();
    let least = LEAST.max(4.0 * blur);
    let mut lowest = f64::INFINITY;
    let mut seasons = Vec::new();
    for lag in 1..=longest {
        let here = acf[lag];
        let around = lag - (lag / 4).max(1)..=lag + (lag / 4).max(1);
        let peak = lag > 1 && acf[around].iter().all(|&other| other <= here);
        if peak && here >= least && here >= lowest + RISE && acf[2 * lag] >= REPEATS * here {
            seasons.push((lag, here));
        }
        lowest = lowest.min(here);
    }
    let best = seasons.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
    let season = seasons
        .iter()
        .find(|(_, value)| *value >= best - AS_GOOD.max(3.0 * blur))
        .map(|(lag, _)| *lag)?;
    // A broad peak has its top where noise puts it; the repetitions, at many times the lag, tell it many times more finely.
    let times = (rows / 2 / season).min(16);
    let repeated = |lag: usize| (1..=times).map(|times| acf[times * lag]).sum::<f64>();
    (season - season / 16..=season + season / 16).max_by(|&a, &b| repeated(a).total_cmp(&repeated(b)))
}

/// Autocorrelation at every lag, averaged over the variates that vary; `None` if none does.
fn mean_autocorrelation(series: &[&[f32]], done: &dyn Fn(f64)) -> Option<Vec<f64>> {
    let rows = series.first()?.len();
    let size = (2 * rows).next_power_of_two();
    let mut planner = FftPlanner::new();
    let (forward, backward) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let mut sum = vec![0.0; rows];
    let mut varying = 0;
    let half = 0.5 / series.len() as f64;
    for values in series {
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / rows as f64;
        let mut spectrum: Vec<Complex<f64>> = values.iter().map(|&x| Complex::new(f64::from(x) - mean, 0.0)).collect();
        spectrum.resize(size, Complex::default());
        forward.process(&mut spectrum);
        done(half);
        for value in &mut spectrum {
            *value = Complex::new(value.norm_sqr(), 0.0);
        }
        backward.process(&mut spectrum);
        done(half);
        let variance = spectrum[0].re / rows as f64;
        if variance > 1e-9 * size as f64 {
            varying += 1;
            for (lag, sum) in sum.iter_mut().enumerate() {
                *sum += spectrum[lag].re / ((rows - lag) as f64 * variance);
            }
        }
    }
    (varying > 0).then(|| sum.iter().map(|value| value / f64::from(varying)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_period_of(series: &[&[f32]]) -> Option<usize> {
        find_period(series, &|_| ())
    }

    fn noise(seed: u32) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    fn series(rows: usize, mut of_row: impl FnMut(f32) -> f32) -> Vec<f32> {
        (0..rows).map(|row| of_row(row as f32)).collect()
    }

    #[test]
    fn a_noisy_wave_has_its_period() {
        for period in [7, 24, 100] {
            let mut next = noise(1);
            let wave = series(2_000, |t| (t * std::f32::consts::TAU / period as f32).sin() + next());
            assert_eq!(find_period_of(&[&wave]), Some(period));
        }
    }

    #[test]
    fn what_has_no_season_gets_none() {
        let mut next = noise(2);
        let white = series(2_000, |_| next());
        assert_eq!(find_period_of(&[&white]), None);
        let mut level = 0.0;
        let walk = series(2_000, |_| {
            level += next();
            level
        });
        assert_eq!(find_period_of(&[&walk]), None);
        assert_eq!(find_period_of(&[&walk[..20]]), None);
        assert_eq!(find_period_of(&[&[1.0; 500]]), None);
        assert_eq!(find_period_of(&[&[]]), None);
        assert_eq!(find_period_of(&[]), None);
    }

    #[test]
    fn a_constant_beside_it_does_not_hide_a_season() {
        let wave = series(500, |t| (t * std::f32::consts::TAU / 12.0).sin());
        assert_eq!(find_period_of(&[&[3.0; 500], &wave]), Some(12));
    }
}
