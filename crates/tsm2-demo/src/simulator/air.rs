//! Air: one balance of carbon dioxide for the whole building, and ventilation that follows it.

use super::clock::Clock;

const OUTDOOR_PPM: f64 = 425.0;
const VOLUME_M3: f64 = 540.0;
/// At rest or light office work.
const BREATH_M3_H: f64 = 0.019;
const INFILTRATION_M3_H: f64 = 90.0;
const FAN_M3_H: f64 = 900.0;
/// Heat that a cubic metre of air carries per kelvin, and the part of it that the exchanger wins back.
const AIR_J_M3_K: f64 = 1210.0;
const RECOVERY: f64 = 0.7;

/// The fan follows carbon dioxide between these values, within its hours, and no faster than its ramp allows.
const FAN_FROM_PPM: f64 = 600.0;
const FAN_FULL_PPM: f64 = 1000.0;
const FAN_HOURS: (f64, f64) = (6.0, 20.0);
const RAMP_PCT_PER_MINUTE: f64 = 4.0;

#[derive(Clone, Debug)]
pub(super) struct Air {
    /// Floor area, in units of the usual building.
    size: f64,
    co2_ppm: f64,
    ventilation_pct: f64,
}

impl Air {
    pub(super) fn new(size: f64) -> Self {
        Self {
            size,
            co2_ppm: OUTDOOR_PPM,
            ventilation_pct: 0.0,
        }
    }

    pub(super) fn co2_ppm(&self) -> f64 {
        self.co2_ppm
    }

    pub(super) fn ventilation_pct(&self) -> f64 {
        self.ventilation_pct
    }

    pub(super) fn heat_exchange_w_k(&self) -> f64 {
        (1.0 - RECOVERY) * AIR_J_M3_K * self.fan_m3_h() / 3600.0
    }

    fn fan_m3_h(&self) -> f64 {
        FAN_M3_H * self.size * self.ventilation_pct / 100.0
    }

    /// The ventilation's controller, once a minute.
    pub(super) fn control(&mut self, clock: Clock) {
        let wanted_pct = if (FAN_HOURS.0..FAN_HOURS.1).contains(&clock.hour()) {
            (100.0 * (self.co2_ppm - FAN_FROM_PPM) / (FAN_FULL_PPM - FAN_FROM_PPM)).clamp(0.0, 100.0)
        } else {
            0.0
        };
        let change_pct = wanted_pct - self.ventilation_pct;
        self.ventilation_pct += change_pct.clamp(-RAMP_PCT_PER_MINUTE, RAMP_PCT_PER_MINUTE);
    }

    /// People breathe and air is exchanged for `seconds`.
    pub(super) fn flow(&mut self, people: f64, seconds: f64) {
        let exchange_m3_h = INFILTRATION_M3_H * self.size + self.fan_m3_h();
        let gain_ppm_h = (1e6 * BREATH_M3_H * people + exchange_m3_h * (OUTDOOR_PPM - self.co2_ppm)) / (VOLUME_M3 * self.size);
        self.co2_ppm += seconds * gain_ppm_h / 3600.0;
    }
}
