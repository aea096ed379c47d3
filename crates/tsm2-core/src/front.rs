//! From readings to patches: scaler, missing readings, causal normaliser, sample ring, seasonal averages, and what is known ahead.
//!
//! Nothing here is learned by gradient descent, so the trainer runs this very code over its data: what the network and the
//! read-out see in training is what they see on the device. All memory lies in the caller's state slice; every number in it is
//! an ordinary `f32`, so saving and restoring the slice saves and restores the front end bit for bit.
//!
//! **Missing readings.** A reading that is not finite is missing. It is replaced by the variate's last reading; a variate that
//! has not been read yet counts as standing at its training mean, and its first reading then stands for all its past. What was told of a
//! variate that is known ahead counts as read. An exponential
//! normaliser does not count what is missing: a reading held for a day would leave no deviation, and the next one would be
//! thousands of deviations away.
//!
//! **No drift.** The sliding window's sums are kept in double precision and replaced by freshly added ones each time the window
//! has been passed once, so rounding errors live for one window at most, at constant work per sample.

use crate::ahead::Ahead;
use crate::config::CALENDAR;
use crate::{Config, Error, Normaliser, SEASON_RATES};

/// Scaled samples are limited to this many training standard deviations, so that no reading can overflow the sums over them.
pub const Z_LIMIT: f32 = 1e3;

/// Samples in a patch are limited to this many standard deviations. The network's selection multiplies what a sample does to the state
/// by functions of the same sample, so a far larger one could overflow it, or be remembered for very long; the linear read-out, which
/// forgets, is only limited by [`Z_LIMIT`].
pub const PATCH_LIMIT: f32 = 30.0;

/// Added to a normaliser's variance (TSM2 stream mode, section 2).
const VARIANCE_EPS: f64 = 1e-4;

/// The sample counter is stored as two numbers to this base, each exact in an `f32`.
const COUNTER_BASE: u64 = 1 << 24;

/// Mean and standard deviation of each variate over the training data; z = (x - mean) / std.
#[derive(Clone, Copy, Debug)]
pub struct Scaler<'a> {
    /// Means, `[M]`, in the sensors' units.
    pub mean: &'a [f32],
    /// Standard deviations, `[M]`, in the sensors' units; positive.
    pub std: &'a [f32],
}

impl Scaler<'_> {
    pub(crate) fn validate(&self, variates: usize) -> Result<(), Error> {
        check_len("scaler.mean", self.mean.len(), variates)?;
        check_len("scaler.std", self.std.len(), variates)?;
        let usable = |(mean, std): (&f32, &f32)| mean.is_finite() && std.is_finite() && *std > 0.0;
        match self.mean.iter().zip(self.std).position(|pair| !usable(pair)) {
            Some(variate) => Err(Error::Scaler { variate }),
            None => Ok(()),
        }
    }
}

pub(crate) fn check_len(buffer: &'static str, actual: usize, expected: usize) -> Result<(), Error> {
    if actual == expected {
        Ok(())
    } else {
        Err(Error::Length { buffer, expected, actual })
    }
}

/// The front end of a model: where its parts lie in the state slice, and the arithmetic on them.
#[derive(Clone, Copy, Debug)]
pub struct Front<'a> {
    scaler: Scaler<'a>,
    variates: usize,
    patch: usize,
    calendar: bool,
    normaliser: Normaliser,
    /// Weight that is left of a sample after one step of the exponential normaliser.
    decay: f64,
    lags: usize,
    cross_lags: usize,
    period: usize,
    ring: usize,
    ahead: Ahead,
    /// Whether the read-out sees the calendar, and what is known ahead.
    sees: (bool, bool),
}

/// Numbers per variate in the normaliser's part of the state: two running sums and two fresh ones, each as high and low part.
const SUMS: usize = 8;

impl<'a> Front<'a> {
    /// The front end of a validated configuration.
    ///
    /// # Errors
    /// A fault of the configuration or the scaler.
    pub fn new(config: &Config, scaler: Scaler<'a>) -> Result<Self, Error> {
        config.validate()?;
        scaler.validate(config.variates)?;
        let decay = if let Normaliser::Exponential { half_life } = config.normaliser {
            libm::exp2(-1.0 / f64::from(half_life))
        } else {
            0.0
        };
        Ok(Self {
            scaler,
            variates: config.variates,
            patch: config.patch,
            calendar: config.calendar,
            normaliser: config.normaliser,
            decay,
            lags: config.readout.lags,
            cross_lags: config.readout.cross_lags,
            period: config.readout.season.map_or(0, |s| s.period),
            ring: config.ring_len(),
            ahead: Ahead::new(config),
            sees: (config.readout.calendar, config.readout.known_ahead),
        })
    }

    /// The scaler this front end applies.
    #[must_use]
    pub fn scaler(&self) -> Scaler<'a> {
        self.scaler
    }

    /// Numbers in the state. Layout: counter `[2]`, time of day and week `[2]`, last z `[M]`, seen `[M]`, statistics at the newest
    /// sample: mu `[M]` and sd `[M]`, sums `[M, 8]`, ring `[ring, M]`, seasonal averages `[M, rates, T]`, what is known ahead.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.ahead_start() + self.ahead.state_len()
    }

    fn ahead_start(&self) -> usize {
        4 + self.variates * (4 + SUMS + self.ring + SEASON_RATES.len() * self.period)
    }

    /// Tells what a variate that is known ahead will read, in the sensors' units: the value of the row that is pushed next, then those of the H rows
    /// after it. A value that is not finite or not there is not known, and stands at the last one before it that is, or else at the newest sample.
    /// What was told before is forgotten; without being told anew it moves up row by row.
    ///
    /// # Errors
    /// [`Error::NotKnownAhead`] of any other variate; [`Error::Length`] when `state` has the wrong length or there are more than H + 1 values.
    pub fn foretell(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), Error> {
        check_len("front state", state.len(), self.state_len())?;
        let k = (variate + self.ahead.variates()).checked_sub(self.variates);
        let k = k.filter(|&k| k < self.ahead.variates()).ok_or(Error::NotKnownAhead { variate })?;
        if values.len() > self.ahead.most() {
            check_len("values known ahead", values.len(), self.ahead.most())?;
        }
        let scaled = |&x: &f32| if x.is_finite() { self.scaled(x, variate) } else { f32::NAN };
        self.ahead.tell(&mut state[self.ahead_start()..], k, values.iter().map(scaled));
        Ok(())
    }

    /// z of a finite reading.
    fn scaled(&self, reading: f32, variate: usize) -> f32 {
        ((reading - self.scaler.mean[variate]) / self.scaler.std[variate]).clamp(-Z_LIMIT, Z_LIMIT)
    }

    /// Samples consumed since the state was zero.
    #[must_use]
    pub fn samples(&self, state: &[f32]) -> u64 {
        // Whatever a state from elsewhere holds, the counter stays within its two digits.
        let [low, high] = [state[0], state[1]].map(|digit| digit as u64 % COUNTER_BASE);
        low + COUNTER_BASE * high
    }

    /// Consumes one row (`[M]`, sensors' units, not finite = missing) taken at `time_ms` (Unix time; only its time of day and day of
    /// week are used, and only with a calendar). `state` has [`Front::state_len`] numbers, all zero at the start.
    ///
    /// # Errors
    /// [`Error::Length`] when a slice has the wrong length.
    pub fn push(&self, state: &mut [f32], row: &[f32], time_ms: i64) -> Result<(), Error> {
        check_len("row", row.len(), self.variates)?;
        check_len("front state", state.len(), self.state_len())?;
        let m = self.variates;
        let t = self.samples(state);
        let (head, rest) = state.split_at_mut(4);
        let (last, rest) = rest.split_at_mut(m);
        let (seen, rest) = rest.split_at_mut(m);
        let (mu, rest) = rest.split_at_mut(m);
        let (sd, rest) = rest.split_at_mut(m);
        let (sums, rest) = rest.split_at_mut(SUMS * m);
        let (ring, rest) = rest.split_at_mut(self.ring * m);
        let (season, ahead) = rest.split_at_mut(m * SEASON_RATES.len() * self.period);

        let slot = (t % self.ring as u64) as usize;
        for v in 0..m {
            let known = (v + self.ahead.variates()).checked_sub(m);
            // An infinite reading would pass the clamp, so the reading itself is asked.
            let read = match row[v].is_finite() {
                true => Some(self.scaled(row[v], v)),
                false => known.and_then(|k| self.ahead.next(ahead, k)),
            };
            let z = read.unwrap_or(last[v]);
            let first = (read.is_some() && seen[v] == 0.0) || t == 0;
            if read.is_some() {
                seen[v] = 1.0;
            }
            if first {
                for i in 0..self.ring {
                    ring[i * m + v] = z;
                }
            }
            let sums = &mut sums.as_chunks_mut::<SUMS>().0[v];
            (mu[v], sd[v]) = match self.normaliser {
                Normaliser::Global => (0.0, 1.0),
                Normaliser::Window { length } => {
                    let oldest = ring[((t + self.ring as u64 - length as u64) % self.ring as u64) as usize * m + v];
                    window_step(sums, z, oldest, length as u64, t, first)
                }
                Normaliser::Exponential { .. } if read.is_some() || seen[v] == 0.0 => exponential_step(sums, z, self.decay, first),
                Normaliser::Exponential { .. } => (mu[v], sd[v]),
            };
            ring[slot * m + v] = z;
            last[v] = z;
            if let Some(k) = known {
                self.ahead.advance(ahead, k, z);
            }
            if self.period > 0 {
                let normalised = (z - mu[v]) / sd[v];
                let now = (t % self.period as u64) as usize;
                let visited = t.min(self.period as u64) as usize;
                let averages = &mut season[v * SEASON_RATES.len() * self.period..][..SEASON_RATES.len() * self.period];
                for (averages, rate) in averages.chunks_exact_mut(self.period).zip(SEASON_RATES) {
                    if first {
                        averages[..visited].fill(normalised);
                    }
                    // The first visit sets the average, which is then free of the zero start.
                    averages[now] = if t < self.period as u64 {
                        normalised
                    } else {
                        rate * averages[now] + (1.0 - rate) * normalised
                    };
                }
            }
        }
        let t = t + 1;
        head[0] = (t % COUNTER_BASE) as f32;
        head[1] = (t / COUNTER_BASE) as f32;
        head[2] = fraction_of(time_ms, 86_400_000);
        // Unix time began on a Thursday; the week is counted from Monday.
        head[3] = fraction_of(time_ms.wrapping_add(3 * 86_400_000), 7 * 86_400_000);
        Ok(())
    }

    /// Mean and standard deviation of the variate's normaliser at the newest sample, in units of z.
    #[must_use]
    pub fn statistics(&self, state: &[f32], variate: usize) -> (f32, f32) {
        let m = self.variates;
        (state[4 + 2 * m + variate], state[4 + 3 * m + variate])
    }

    /// The variate's newest scaled sample z.
    #[must_use]
    pub fn newest(&self, state: &[f32], variate: usize) -> f32 {
        state[4 + variate]
    }

    /// Writes the patch vector of a variate: the last P samples normalised now, oldest first, then the calendar's entries, then what is known
    /// ahead, which all variates see.
    /// `out` has [`Config::patch_len`] numbers.
    pub fn patch(&self, state: &[f32], variate: usize, out: &mut [f32]) {
        let (samples, extra) = out.split_at_mut(self.patch);
        self.normalised(state, variate, samples);
        samples
            .iter_mut()
            .for_each(|sample| *sample = sample.clamp(-PATCH_LIMIT, PATCH_LIMIT));
        let (calendar, ahead) = extra.split_at_mut(if self.calendar { CALENDAR } else { 0 });
        calendar_of(state, calendar);
        self.ahead.seen(&state[self.ahead_start()..], ahead);
        ahead.iter_mut().for_each(|mean| *mean = mean.clamp(-PATCH_LIMIT, PATCH_LIMIT));
    }

    /// Writes the read-out's feature vector phi of a variate: its lags, its seasonal averages (rate by rate), the other
    /// variates' last samples in order of variate, each oldest first; the calendar, and what is known ahead. `out` has [`Config::readout_features`] numbers.
    pub fn features(&self, state: &[f32], variate: usize, out: &mut [f32]) {
        let (lags, rest) = out.split_at_mut(self.lags);
        self.normalised(state, variate, lags);
        let (season, rest) = rest.split_at_mut(SEASON_RATES.len() * self.period);
        let (cross, rest) = rest.split_at_mut((self.variates - 1) * self.cross_lags);
        let (calendar, ahead) = rest.split_at_mut(if self.sees.0 { CALENDAR } else { 0 });
        calendar_of(state, calendar);
        if self.sees.1 {
            self.ahead.seen(&state[self.ahead_start()..], ahead);
        }
        if self.period > 0 {
            let start = 4 + self.variates * (4 + SUMS + self.ring);
            let averages = &state[start + variate * season.len()..][..season.len()];
            // The slot after the newest one is the oldest.
            let oldest = (self.samples(state) % self.period as u64) as usize;
            for (out, average) in season.chunks_exact_mut(self.period).zip(averages.chunks_exact(self.period)) {
                out[..self.period - oldest].copy_from_slice(&average[oldest..]);
                out[self.period - oldest..].copy_from_slice(&average[..oldest]);
            }
        }
        if self.cross_lags > 0 {
            let others = (0..self.variates).filter(|&other| other != variate);
            for (other, out) in others.zip(cross.chunks_exact_mut(self.cross_lags)) {
                self.normalised(state, other, out);
            }
        }
    }

    /// The last `out.len()` samples of a variate, oldest first, normalised with the statistics of now.
    fn normalised(&self, state: &[f32], variate: usize, out: &mut [f32]) {
        let m = self.variates;
        let (mu, sd) = self.statistics(state, variate);
        let ring = &state[4 + m * (4 + SUMS)..][..self.ring * m];
        let t = self.samples(state);
        let n = out.len() as u64;
        let mut slot = ((t + self.ring as u64 - n) % self.ring as u64) as usize;
        for value in out {
            *value = (ring[slot * m + variate] - mu) / sd;
            slot = if slot + 1 == self.ring { 0 } else { slot + 1 };
        }
    }
}

/// One sample into the sliding window. `oldest` is the sample that leaves once the window is full; `first` says that the
/// variate's past has just been set to `z` everywhere.
fn window_step(sums: &mut [f32; SUMS], z: f32, oldest: f32, length: u64, t: u64, first: bool) -> (f32, f32) {
    let z = f64::from(z);
    let before = t.min(length) as f64;
    let in_block = t % length;
    let [mut sum, mut square, mut fresh_sum, mut fresh_square] = load(sums);
    if first {
        (sum, square) = (before * z, before * z * z);
        (fresh_sum, fresh_square) = (in_block as f64 * z, in_block as f64 * z * z);
    }
    let leaving = if t >= length { f64::from(oldest) } else { 0.0 };
    sum += z - leaving;
    square += z * z - leaving * leaving;
    if in_block == 0 {
        (fresh_sum, fresh_square) = (0.0, 0.0);
    }
    fresh_sum += z;
    fresh_square += z * z;
    if in_block == length - 1 {
        (sum, square) = (fresh_sum, fresh_square);
    }
    store(sums, [sum, square, fresh_sum, fresh_square]);
    let n = (t + 1).min(length) as f64;
    let mean = sum / n;
    let variance = (square / n - mean * mean).max(0.0);
    (mean as f32, libm::sqrt(variance + VARIANCE_EPS) as f32)
}

/// One sample into the exponentially weighted statistics (West 1979), whose weights sum to one from the first sample on.
fn exponential_step(sums: &mut [f32; SUMS], z: f32, decay: f64, first: bool) -> (f32, f32) {
    let z = f64::from(z);
    let [mut mean, mut variance, mut weight, spare] = load(sums);
    if first {
        (mean, variance) = (z, 0.0);
    }
    weight = decay * weight + 1.0;
    let share = 1.0 / weight;
    let delta = z - mean;
    mean += share * delta;
    variance = (1.0 - share) * (variance + share * delta * delta);
    store(sums, [mean, variance, weight, spare]);
    (mean as f32, libm::sqrt(variance + VARIANCE_EPS) as f32)
}

/// Four doubles out of pairs of a high and a low part.
fn load(sums: &[f32; SUMS]) -> [f64; 4] {
    core::array::from_fn(|i| f64::from(sums[2 * i]) + f64::from(sums[2 * i + 1]))
}

/// Four doubles into pairs of a high and a low part: 48 bits of each.
fn store(sums: &mut [f32; SUMS], values: [f64; 4]) {
    for (pair, value) in sums.chunks_exact_mut(2).zip(values) {
        pair[0] = value as f32;
        pair[1] = (value - f64::from(pair[0])) as f32;
    }
}

/// Sine and cosine of the time of day and of the day of the week at the newest sample, where they are wanted.
fn calendar_of(state: &[f32], out: &mut [f32]) {
    for (pair, fraction) in out.chunks_exact_mut(2).zip(&state[2..4]) {
        let angle = core::f32::consts::TAU * fraction;
        pair[0] = libm::sinf(angle);
        pair[1] = libm::cosf(angle);
    }
}

/// Position of a time within a cycle, in [0, 1).
fn fraction_of(time_ms: i64, cycle_ms: i64) -> f32 {
    (time_ms.rem_euclid(cycle_ms) as f64 / cycle_ms as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Readout, Season};

    const ONE: Scaler = Scaler { mean: &[0.0], std: &[1.0] };

    /// A small, well-mixed sequence in [-1, 1).
    fn noise(i: u64) -> f32 {
        let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 32;
        (x & 0xFFFF) as f32 / 32768.0 - 1.0
    }

    fn run(config: &Config, samples: impl IntoIterator<Item = f32>) -> (Front<'static>, Vec<f32>) {
        let front = Front::new(config, ONE).expect("valid");
        let mut state = vec![0.0; front.state_len()];
        for x in samples {
            front.push(&mut state, &[x], 0).expect("one value a row");
        }
        (front, state)
    }

    #[test]
    fn a_counter_of_any_numbers_goes_on() {
        let (front, mut state) = run(&Config::default(), [1.0]);
        for number in [f32::MAX, f32::INFINITY, f32::NAN, -1.0, 16_777_215.0] {
            state[..2].fill(number);
            front.push(&mut state, &[1.0], 0).expect("one value a row");
            assert!(front.samples(&state) <= COUNTER_BASE * COUNTER_BASE);
        }
    }

    #[test]
    fn a_patch_holds_the_last_samples_and_is_padded_with_the_first() {
        let config = Config {
            patch: 4,
            ..Config::default()
        };
        let mut patch = [0.0; 4];
        let (front, state) = run(&config, [3.0, 5.0]);
        front.patch(&state, 0, &mut patch);
        assert_eq!(patch, [3.0, 3.0, 3.0, 5.0]);
        let (front, state) = run(&config, (0..9).map(|i| i as f32));
        front.patch(&state, 0, &mut patch);
        assert_eq!(patch, [5.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn a_missing_reading_is_held_and_a_late_first_reading_stands_for_the_past() {
        let config = Config {
            patch: 4,
            ..Config::default()
        };
        let mut patch = [0.0; 4];
        let (front, state) = run(&config, [1.0, f32::NAN, f32::INFINITY, 2.0]);
        front.patch(&state, 0, &mut patch);
        assert_eq!(patch, [1.0, 1.0, 1.0, 2.0]);
        let (front, state) = run(&config, [f32::NAN, f32::NAN]);
        front.patch(&state, 0, &mut patch);
        assert_eq!(patch, [0.0; 4]);
        let (front, state) = run(&config, [f32::NAN, f32::NAN, 2.0]);
        front.patch(&state, 0, &mut patch);
        assert_eq!(patch, [2.0; 4]);

        let readout = Readout {
            season: Some(Season { period: 2 }),
            ..Readout::default()
        };
        let mut averages = [0.0; 6];
        let (front, state) = run(&Config { readout, ..config }, [f32::NAN, f32::NAN, f32::NAN, 2.0]);
        front.features(&state, 0, &mut averages);
        assert_eq!(averages, [2.0; 6]);
        let (front, state) = run(&config, [1e30]);
        assert_eq!(front.newest(&state, 0), Z_LIMIT);
    }

    fn window_statistics(samples: &[f32]) -> (f64, f64) {
        let n = samples.len() as f64;
        let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = samples.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        (mean, (variance + VARIANCE_EPS).sqrt())
    }

    #[test]
    fn window_statistics_are_those_of_what_exists() {
        let config = Config {
            normaliser: Normaliser::Window { length: 5 },
            ..Config::default()
        };
        let samples: Vec<f32> = (0..40).map(|i| 2.0 + noise(i)).collect();
        for n in 1..=samples.len() {
            let (front, state) = run(&config, samples[..n].iter().copied());
            let (mu, sd) = front.statistics(&state, 0);
            let (mean, deviation) = window_statistics(&samples[n.saturating_sub(5)..n]);
            assert!(
                (f64::from(mu) - mean).abs() < 1e-6 && (f64::from(sd) - deviation).abs() < 1e-6,
                "{n}: {mu} {sd} / {mean} {deviation}"
            );
        }
        // A variate first read late counts as having stood there always.
        let (front, state) = run(&config, [f32::NAN, f32::NAN, f32::NAN, 4.0, 4.0]);
        assert_eq!(front.statistics(&state, 0), (4.0, 0.01));
    }

    #[test]
    fn sums_do_not_drift_over_ten_million_samples() {
        let config = Config {
            patch: 1,
            normaliser: Normaliser::Window { length: 96 },
            ..Config::default()
        };
        // Large excursions early, so that a lost bit would stay visible.
        let sample = |i: u64| if i % 1_000_003 < 50 { 900.0 * noise(i) } else { noise(i) };
        const N: u64 = 10_000_000;
        let (front, state) = run(&config, (0..N).map(sample));
        assert_eq!(front.samples(&state), N);
        let (mu, sd) = front.statistics(&state, 0);
        let window: Vec<f32> = (N - 96..N).map(sample).collect();
        let (mean, deviation) = window_statistics(&window);
        assert!(
            (f64::from(mu) - mean).abs() < 1e-6 && (f64::from(sd) - deviation).abs() < 1e-6,
            "{mu} {sd} / {mean} {deviation}"
        );
    }

    #[test]
    fn exponential_statistics_match_their_definition() {
        let config = Config {
            normaliser: Normaliser::Exponential { half_life: 20.0 },
            ..Config::default()
        };
        let samples: Vec<f32> = (0..500).map(|i| 5.0 + 0.1 * noise(i)).collect();
        let (front, state) = run(&config, samples.iter().copied());
        let decay = 0.5f64.powf(1.0 / 20.0);
        let weights: Vec<f64> = (0..500).map(|i| decay.powi(499 - i)).collect();
        let total: f64 = weights.iter().sum();
        let mean = weights.iter().zip(&samples).map(|(w, &x)| w * f64::from(x)).sum::<f64>() / total;
        let variance = weights
            .iter()
            .zip(&samples)
            .map(|(w, &x)| w * (f64::from(x) - mean).powi(2))
            .sum::<f64>()
            / total;
        let (mu, sd) = front.statistics(&state, 0);
        assert!((f64::from(mu) - mean).abs() < 1e-6 && (f64::from(sd) - (variance + VARIANCE_EPS).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_day_without_readings_leaves_the_exponential_statistics_as_they_were() {
        let config = Config {
            normaliser: Normaliser::Exponential { half_life: 20.0 },
            ..Config::default()
        };
        let before = || (0..500).map(noise);
        let (front, state) = run(&config, before());
        let (after, held) = run(&config, before().chain((0..1440).map(|_| f32::NAN)));
        assert_eq!(front.statistics(&state, 0), after.statistics(&held, 0));
        assert!(front.statistics(&state, 0).1 > 0.1);
    }

    #[test]
    fn features_are_lags_then_seasons_then_the_others() {
        let readout = Readout {
            lags: 2,
            season: Some(Season { period: 3 }),
            cross_lags: 2,
            ..Readout::default()
        };
        let config = Config {
            variates: 2,
            patch: 1,
            readout,
            ..Config::default()
        };
        let front = Front::new(
            &config,
            Scaler {
                mean: &[0.0, 0.0],
                std: &[1.0, 1.0],
            },
        )
        .expect("valid");
        let mut state = vec![0.0; front.state_len()];
        for i in 0..5 {
            front.push(&mut state, &[i as f32, 10.0 + i as f32], 0).expect("two values a row");
        }
        let mut phi = [0.0; 13];
        assert_eq!(config.readout_features(), 13);
        front.features(&state, 0, &mut phi);
        // Slots 0, 1, 2 hold (0, 3), (1, 4), (2); the newest sample, 4, went to slot 1, so slot 2 is the oldest.
        let average = |old: f32, new: f32, rate: f32| rate * old + (1.0 - rate) * new;
        for (g, rate) in SEASON_RATES.into_iter().enumerate() {
            assert_eq!(phi[2 + 3 * g..5 + 3 * g], [2.0, average(0.0, 3.0, rate), average(1.0, 4.0, rate)]);
        }
        assert_eq!((&phi[..2], &phi[11..]), ([3.0, 4.0].as_slice(), [13.0, 14.0].as_slice()));
    }

    #[test]
    fn the_calendar_turns_once_a_day_and_once_a_week() {
        let config = Config {
            patch: 1,
            calendar: true,
            ..Config::default()
        };
        let front = Front::new(&config, ONE).expect("valid");
        let mut state = vec![0.0; front.state_len()];
        let mut patch = [0.0; 5];
        front
            .push(&mut state, &[0.0], 1_704_067_200_000 + 6 * 3_600_000)
            .expect("one value a row"); // Monday 2024-01-01, 06:00 UTC
        front.patch(&state, 0, &mut patch);
        let day = [1.0, 0.0];
        let week = (core::f32::consts::TAU / 28.0).sin_cos();
        for (got, want) in patch[1..].iter().zip([day[0], day[1], week.0, week.1]) {
            assert!((got - want).abs() < 1e-5, "{patch:?}");
        }
    }
    #[test]
    fn what_is_known_ahead_moves_up_with_every_row_and_is_held_at_its_end() {
        // Two variates, of which the second is known ahead; H = 6: bands 0, 1, 2, 3, 4..6.
        let config = Config {
            variates: 2,
            exogenous: 1,
            known_ahead: 1,
            horizon: 6,
            patch: 1,
            readout: Readout {
                calendar: true,
                known_ahead: true,
                ..Readout::default()
            },
            ..Config::default()
        };
        let scaler = Scaler {
            mean: &[0.0, 10.0],
            std: &[1.0, 2.0],
        };
        let front = Front::new(&config, scaler).expect("valid");
        let mut state = vec![0.0; front.state_len()];
        let seen = |state: &[f32]| {
            let (mut patch, mut phi) = ([0.0; 6], [0.0; 9]);
            assert_eq!((config.patch_len(), config.readout_features()), (6, 9));
            front.patch(state, 0, &mut patch);
            front.features(state, 0, &mut phi);
            assert_eq!(patch[1..], phi[4..], "both see the same");
            patch[1..].to_vec()
        };
        front.push(&mut state, &[0.0, 10.0], 0).expect("two values a row");
        assert_eq!(seen(&state), [0.0; 5], "nothing was told");

        // The next row and two more; one between them is not known.
        front.foretell(&mut state, 1, &[10.0, 14.0, f32::NAN, 18.0]).expect("known ahead");
        front.push(&mut state, &[0.0, 12.0], 0).expect("two values a row");
        assert_eq!(seen(&state), [1.0, 1.0, 3.0, 3.0, 3.0], "relative to the newest sample");
        // A reading that is missing stands at what was told of it.
        front.push(&mut state, &[0.0, f32::NAN], 0).expect("two values a row");
        assert_eq!((front.newest(&state, 1), seen(&state)), (2.0, vec![0.0, 2.0, 2.0, 2.0, 2.0]));
        for _ in 0..2 {
            front.push(&mut state, &[0.0, 18.0], 0).expect("two values a row");
        }
        assert_eq!(seen(&state), [0.0; 5], "all that was told has passed");
        front.push(&mut state, &[0.0, f32::NAN], 0).expect("two values a row");
        assert_eq!(front.newest(&state, 1), 4.0, "held, as any reading");

        // What begins later stands at the newest sample until then, and is not read before.
        front.foretell(&mut state, 1, &[f32::NAN, f32::NAN, 20.0]).expect("known ahead");
        front.push(&mut state, &[0.0, f32::NAN], 0).expect("two values a row");
        assert_eq!((front.newest(&state, 1), seen(&state)), (4.0, vec![0.0, 1.0, 1.0, 1.0, 1.0]));

        front.foretell(&mut state, 1, &[1e30; 7]).expect("known ahead");
        front.push(&mut state, &[0.0, 10.0], 0).expect("two values a row");
        let mut patch = [0.0; 6];
        front.patch(&state, 0, &mut patch);
        assert_eq!(patch[1..], [PATCH_LIMIT; 5]);
        front.foretell(&mut state, 1, &[]).expect("known ahead");
        front.push(&mut state, &[0.0, 10.0], 0).expect("two values a row");
        assert_eq!(seen(&state), [0.0; 5], "forgotten");

        assert_eq!(front.foretell(&mut state, 0, &[1.0]), Err(Error::NotKnownAhead { variate: 0 }));
        assert_eq!(front.foretell(&mut state, 2, &[1.0]), Err(Error::NotKnownAhead { variate: 2 }));
        assert!(front.foretell(&mut state, 1, &[1.0; 8]).is_err());
        assert!(front.foretell(&mut state[1..], 1, &[1.0]).is_err());
    }
}
