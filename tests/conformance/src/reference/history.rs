//! The preprocessor of the reference: it remembers every sample and computes everything anew from them.
//!
//! - A missing reading is the last one, forward-filled.
//! - A variate that was not read yet stands at its training mean; its first reading then stands for all its past.
//! - An exponential normalizer counts no sample that was missing after the first reading.
//! - A known future value counts as read where its reading is missing.

use std::collections::BTreeMap;

use tsm2_core::{Config, NetworkConfig, Normalizer, SEASON_RATES, Season};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 1970-01-01 was a Thursday; the first Monday came four days later.
const FIRST_MONDAY_MS: i64 = 4 * DAY_MS;

/// All samples of a stream so far, scaled.
pub struct History {
    /// `[M][t]`: z = (x - mean) / std, held where a reading is missing.
    z: Vec<Vec<f64>>,
    /// `[M][t]`: whether an exponential normalizer counts it.
    counted: Vec<Vec<bool>>,
    /// `[M]`: the readings alone, scaled; a known future value counts as one.
    readings: Vec<Vec<f64>>,
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
            readings: vec![Vec::new(); variates],
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
            let is_unread = self.readings[m].is_empty();
            self.counted[m].push(read.is_some() || is_unread);
            if let Some(z) = read {
                if is_unread {
                    past.fill(z);
                }
                self.readings[m].push(z);
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

    /// `count` samples of variate `m`, oldest first, the last one `back` samples old, normalized with the statistics of now; the
    /// first sample stands before itself.
    fn last(&self, config: &Config, m: usize, count: usize, back: usize) -> Vec<f64> {
        let now = self.samples() - 1;
        let (mu, sd) = self.statistics(config, m, now);
        (0..count)
            .map(|i| (self.z[m][(now + i + 1).saturating_sub(count + back)] - mu) / sd)
            .collect()
    }

    /// The exponential averages of variate `m`, normalized with the statistics of now. The share of the n-th reading is at least
    /// 1 / n.
    fn averages(&self, config: &Config, m: usize) -> Vec<f64> {
        let (mu, sd) = self.statistics(config, m, self.samples() - 1);
        let Some(averages) = config.averages else { return Vec::new() };
        let (shortest, longest) = (f64::from(averages.shortest), f64::from(averages.longest));
        let of_half_life = |i: usize| {
            let exponent = if averages.count > 1 {
                i as f64 / (averages.count - 1) as f64
            } else {
                0.0
            };
            let half_life = shortest.powf(1.0 - exponent) * longest.powf(exponent);
            let mut average = 0.0;
            for (n, z) in self.readings[m].iter().enumerate() {
                let share = (1.0 - 0.5f64.powf(1.0 / half_life)).max(1.0 / (n + 1) as f64);
                average = (1.0 - share) * average + share * z;
            }
            (average - mu) / sd
        };
        (0..averages.count).map(of_half_life).collect()
    }

    /// What the head's forecast of variate `m` counts from.
    pub fn anchor(&self, config: &Config, m: usize) -> f64 {
        if config.linear_head.relative {
            self.last(config, m, 1, 0)[0]
        } else {
            0.0
        }
    }

    /// Samples of variate `m` and, where asked for, its averages, as the linear head reads them.
    fn for_head(&self, config: &Config, m: usize, lags: usize, averages: bool, bounds: &[f64]) -> Vec<f64> {
        let (numbers, share) = self.with_share(config, m, lags, averages, bounds);
        numbers.into_iter().map(|x| share * x).collect()
    }

    /// The same before its bounds, and the share that they let through.
    fn with_share(&self, config: &Config, m: usize, lags: usize, averages: bool, bounds: &[f64]) -> (Vec<f64>, f64) {
        let samples = self.last(config, m, lags, usize::from(config.linear_head.relative));
        let averages = if averages { self.averages(config, m) } else { Vec::new() };
        let bound = |i: usize| if i < lags { bounds[1] } else { bounds[2 + i - lags] };
        let anchor = self.anchor(config, m);
        let numbers: Vec<f64> = samples.into_iter().chain(averages).map(|x| x - anchor).collect();
        let share = |(i, x): (usize, &f64)| (2.0 * bound(i).max(1e-9) / x.abs() - 1.0).clamp(0.0, 1.0);
        let least = numbers.iter().enumerate().filter(|(_, x)| x.abs() > 0.0).map(share);
        let least = least.filter(|share| !share.is_nan()).fold(1.0, f64::min);
        (numbers, least)
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

    /// Sine and cosine of multiples of the time of day and of the time of the week.
    fn calendar(&self, config: &Config) -> Vec<f64> {
        let day = (1..=config.calendar.day).map(|k| k as f64 * turn(self.time_ms, DAY_MS));
        let week = (1..=config.calendar.week).map(|k| k as f64 * turn(self.time_ms - FIRST_MONDAY_MS, 7 * DAY_MS));
        day.chain(week).flat_map(|angle| [angle.sin(), angle.cos()]).collect()
    }

    /// A token's patch vector of variate `m`: samples and averages, then the calendar, then the future covariates.
    pub fn patch(&self, config: &Config, network: &NetworkConfig, m: usize, bounds: &[f64]) -> Vec<f64> {
        let mut own = self.last(config, m, network.patch, 0);
        if network.averages {
            own.extend(self.averages(config, m));
        }
        let mut patch: Vec<f64> = own.into_iter().map(|x| x.clamp(-bounds[0], bounds[0]).clamp(-30.0, 30.0)).collect();
        if network.calendar {
            patch.extend(self.calendar(config));
        }
        patch.extend(self.future(config).into_iter().map(|x| x.clamp(-30.0, 30.0)));
        patch
    }

    /// The linear head's feature vector phi of variate `m`.
    pub fn features(&self, config: &Config, m: usize, bounds: &dyn Fn(usize) -> Vec<f64>) -> Vec<f64> {
        let head = &config.linear_head;
        let (mut phi, share) = self.with_share(config, m, head.lags, head.averages, &bounds(m));
        phi.iter_mut().for_each(|x| *x *= share);
        if let Some(season) = head.season {
            for rate in season.rate.map_or(SEASON_RATES.to_vec(), |rate| vec![rate]) {
                let averages = self.seasonal(config, m, season, f64::from(rate));
                phi.extend(averages.into_iter().map(|x| share * x));
            }
        }
        for other in (0..config.variates).filter(|&other| other != m) {
            phi.extend(self.for_head(config, other, head.cross_lags, false, &bounds(other)));
        }
        for other in 0..config.variates {
            phi.extend(self.for_head(config, other, head.common_lags, head.common_averages, &bounds(other)));
        }
        if head.calendar {
            phi.extend(self.calendar(config));
        }
        if head.future_covariates {
            phi.extend(self.future(config));
        }
        phi
    }

    /// The seasonal averages at one rate, oldest first, relative to the head's anchor; a place in the season that no sample has
    /// visited holds 0. Neighbouring samples share a place, in which the rate is spread over them.
    fn seasonal(&self, config: &Config, m: usize, season: Season, rate: f64) -> Vec<f64> {
        let bins = season.bins.unwrap_or(season.period);
        let rate = rate.powf(bins as f64 / season.period as f64);
        let bin = |t: usize| t % season.period * bins / season.period;
        let mut averages: Vec<Option<f64>> = vec![None; bins];
        for t in 0..self.samples() {
            let (mu, sd) = self.statistics(config, m, t);
            let z_norm = (self.z[m][t] - mu) / sd;
            let average = &mut averages[bin(t)];
            *average = Some(average.map_or(z_norm, |e| rate * e + (1.0 - rate) * z_norm));
        }
        averages.rotate_left((bin(self.samples() - 1) + 1) % bins);
        let anchor = self.anchor(config, m);
        averages.into_iter().map(|e| e.map_or(0.0, |e| e - anchor)).collect()
    }
}

/// The angle of a time within a cycle.
fn turn(time_ms: i64, cycle_ms: i64) -> f64 {
    std::f64::consts::TAU * time_ms.rem_euclid(cycle_ms) as f64 / cycle_ms as f64
}
