//! The preprocessor of the reference: it remembers every sample and computes everything anew from them.
//!
//! - A missing reading is the last one, forward-filled.
//! - A variate that was not read yet stands at its training mean; its first reading then stands for all its past.
//! - An exponential normalizer counts no sample that was missing after the first reading.
//! - A known future value counts as read where its reading is missing.

use std::collections::BTreeMap;

use tsm2_core::{Config, NetworkConfig, Normalizer, SEASON_RATES};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 1970-01-01 was a Thursday; the first Monday came four days later.
const FIRST_MONDAY_MS: i64 = 4 * DAY_MS;

/// All samples of a stream so far, scaled.
pub struct History {
    /// `[M][t]`: z = (x - mean) / std, held where a reading is missing.
    z: Vec<Vec<f64>>,
    /// `[M][t]`: whether an exponential normalizer counts it.
    counted: Vec<Vec<bool>>,
    /// Which variates have been read.
    read: Vec<bool>,
    /// `[M]`: by number of sample the values that were last set, scaled, up to the last known one.
    known: Vec<BTreeMap<usize, f64>>,
    time_ms: i64,
}

impl History {
    /// A stream of `variates` that has seen nothing.
    pub fn new(variates: usize) -> Self {
        Self {
            z: vec![Vec::new(); variates],
            counted: vec![Vec::new(); variates],
            read: vec![false; variates],
            known: vec![BTreeMap::new(); variates],
            time_ms: 0,
        }
    }

    /// Samples so far.
    pub fn samples(&self) -> usize {
        self.z[0].len()
    }

    /// Sets the values of variate `m` from the next sample on, in the sensors' units, NaN where a value is not known.
    pub fn set_future(&mut self, m: usize, values: &[f32], mean: f64, std: f64) {
        self.known[m].clear();
        let finite = |x: &&f32| x.is_finite();
        let last = values.iter().rposition(|x| x.is_finite()).map_or(0, |last| last + 1);
        for (i, _) in values[..last].iter().enumerate() {
            // A value that is not known stands at the known value before it; before the first nothing is known.
            if let Some(x) = values[..=i].iter().rfind(finite) {
                let z = ((f64::from(*x) - mean) / std).clamp(-1000.0, 1000.0);
                self.known[m].insert(self.z[m].len() + i, z);
            }
        }
    }

    /// Consumes a row in the sensors' units.
    pub fn push(&mut self, row: &[f32], mean: &[f64], std: &[f64], time_ms: i64) {
        self.time_ms = time_ms;
        for (m, &x) in row.iter().enumerate() {
            let past = &mut self.z[m];
            let own = x.is_finite().then(|| ((f64::from(x) - mean[m]) / std[m]).clamp(-1000.0, 1000.0));
            let read = own.or(self.known[m].get(&past.len()).copied());
            self.counted[m].push(read.is_some() || !self.read[m]);
            if let Some(z) = read {
                if !self.read[m] {
                    past.fill(z);
                    self.read[m] = true;
                }
                past.push(z);
            } else {
                past.push(past.last().copied().unwrap_or(0.0));
            }
        }
    }

    /// The normalizer's mean and standard deviation of variate `m` at sample `t`.
    pub fn statistics(&self, config: &Config, m: usize, t: usize) -> (f64, f64) {
        let past = &self.z[m][..=t];
        let weights: Vec<f64> = match config.normalizer {
            Normalizer::Global => return (0.0, 1.0),
            // A sample's weight halves every `half_life` samples that count; the weights of those sum to one.
            Normalizer::Exponential { half_life } => {
                let counted = &self.counted[m][..=t];
                let later = |i: usize| counted[i + 1..].iter().filter(|&&counts| counts).count();
                let weight = |i: usize| match counted[i] {
                    true => 0.5f64.powf(later(i) as f64 / f64::from(half_life)),
                    false => 0.0,
                };
                let total: f64 = (0..past.len()).map(weight).sum();
                (0..past.len()).map(|i| weight(i) / total).collect()
            }
        };
        let mu: f64 = weights.iter().zip(past).map(|(w, z)| w * z).sum();
        let variance: f64 = weights.iter().zip(past).map(|(w, z)| w * (z - mu) * (z - mu)).sum();
        (mu, (variance + 1e-4).sqrt())
    }

    /// The last `count` samples of variate `m`, oldest first, normalized with the statistics of now; the first sample stands before itself.
    fn last(&self, config: &Config, m: usize, count: usize) -> Vec<f64> {
        let now = self.samples() - 1;
        let (mu, sd) = self.statistics(config, m, now);
        (0..count)
            .map(|i| (self.z[m][(now + i + 1).saturating_sub(count)] - mu) / sd)
            .collect()
    }

    /// Features of the future covariates, `[K, B]`: of each the means over bands of steps, relative to its newest sample,
    /// not normalized. The bands are single steps up to the fourth; then each is half as long as all steps before it,
    /// rounded down.
    fn future(&self, config: &Config) -> Vec<f64> {
        let now = self.samples() - 1;
        let mut means = Vec::new();
        for m in config.variates - config.future_covariates..config.variates {
            let newest = self.z[m][now];
            let at = |step: usize| {
                let still_known = || self.known[m].range(now + 1..);
                let before = still_known().take_while(|&(&t, _)| t <= now + 1 + step).last();
                before.map_or(newest, |(_, &z)| z)
            };
            let mut step = 0;
            while step < config.horizon {
                let length = if step < 4 { 1 } else { step / 2 }.min(config.horizon - step);
                let sum: f64 = (step..step + length).map(at).sum();
                means.push(sum / length as f64 - newest);
                step += length;
            }
        }
        means
    }

    /// Sine and cosine of the time of day and of the day of the week.
    fn calendar(&self) -> Vec<f64> {
        let angles = [turn(self.time_ms, DAY_MS), turn(self.time_ms - FIRST_MONDAY_MS, 7 * DAY_MS)];
        angles.iter().flat_map(|angle| [angle.sin(), angle.cos()]).collect()
    }

    /// A token's patch vector of variate `m`: samples, then the calendar, then the future covariates.
    pub fn patch(&self, config: &Config, network: &NetworkConfig, m: usize) -> Vec<f64> {
        let samples = self.last(config, m, network.patch);
        let mut patch: Vec<f64> = samples.into_iter().map(|x| x.clamp(-30.0, 30.0)).collect();
        if network.calendar {
            patch.extend(self.calendar());
        }
        patch.extend(self.future(config).into_iter().map(|x| x.clamp(-30.0, 30.0)));
        patch
    }

    /// The linear head's feature vector phi of variate `m`.
    pub fn features(&self, config: &Config, m: usize) -> Vec<f64> {
        let head = &config.linear_head;
        let mut phi = self.last(config, m, head.lags);
        if let Some(season) = head.season {
            for rate in SEASON_RATES {
                phi.extend(self.seasonal(config, m, season.period, f64::from(rate)));
            }
        }
        for other in (0..config.variates).filter(|&other| other != m) {
            phi.extend(self.last(config, other, head.cross_lags));
        }
        if head.calendar {
            phi.extend(self.calendar());
        }
        if head.future_covariates {
            phi.extend(self.future(config));
        }
        phi
    }

    /// The seasonal averages at one rate, oldest first; a place in the season that no sample has visited holds 0.
    fn seasonal(&self, config: &Config, m: usize, period: usize, rate: f64) -> Vec<f64> {
        let mut averages: Vec<Option<f64>> = vec![None; period];
        for t in 0..self.samples() {
            let (mu, sd) = self.statistics(config, m, t);
            let z_norm = (self.z[m][t] - mu) / sd;
            let average = &mut averages[t % period];
            *average = Some(average.map_or(z_norm, |e| rate * e + (1.0 - rate) * z_norm));
        }
        averages.rotate_left(self.samples() % period);
        averages.into_iter().map(|e| e.unwrap_or(0.0)).collect()
    }
}

/// The angle of a time within a cycle.
fn turn(time_ms: i64, cycle_ms: i64) -> f64 {
    std::f64::consts::TAU * time_ms.rem_euclid(cycle_ms) as f64 / cycle_ms as f64
}
