//! Weather: sun behind drifting clouds, and an outdoor temperature with seasonal, synoptic and daily swings.

use super::chance::{Chance, Drift};
use super::clock::Clock;
use std::f64::consts::TAU;

const LATITUDE_DEG: f64 = 47.0;
const AXIAL_TILT_DEG: f64 = 23.44;
const WINTER_SOLSTICE_DAY: f64 = 355.0;

/// Mean temperature over the year, and how far winter lies below it; the coldest day follows the solstice by a month.
const MEAN_C: f64 = 9.0;
const SEASON_K: f64 = 9.0;
const COLDEST_DAY: f64 = 24.0;

/// Air masses come and go over days; fronts and breezes over hours.
const SYNOPTIC_H: f64 = 60.0;
const SYNOPTIC_K: f64 = 2.8;
const LOCAL_H: f64 = 3.0;
const LOCAL_K: f64 = 0.35;

/// The ground warms under the sun and cools under a clear sky, and the air follows with this lag.
const GROUND_LAG_H: f64 = 2.5;
const GROUND_K_PER_W_M2: f64 = 0.013;
const CLEAR_SKY_COOLING_K: f64 = 3.5;

/// Cover changes over most of a day; single clouds pass in a quarter of an hour and matter most under a half-covered sky.
const COVER_H: f64 = 15.0;
const CLOUD_H: f64 = 0.25;
const CLOUD_CONTRAST: f64 = 1.3;
/// An overcast sky lets through the rest.
const OPACITY: f64 = 0.75;

#[derive(Clone, Debug)]
pub(super) struct Weather {
    chance: Chance,
    synoptic: Drift,
    local: Drift,
    cover: Drift,
    cloud: Drift,
    ground_k: f64,
    season_c: f64,
    irradiance_w_m2: f64,
}

impl Weather {
    pub(super) fn new(mut chance: Chance, clock: Clock) -> Self {
        let synoptic = Drift::new(SYNOPTIC_H, &mut chance);
        let local = Drift::new(LOCAL_H, &mut chance);
        let cover = Drift::new(COVER_H, &mut chance);
        let cloud = Drift::new(CLOUD_H, &mut chance);
        let season_c = season_c(clock);
        Self {
            chance,
            synoptic,
            local,
            cover,
            cloud,
            ground_k: 0.0,
            season_c,
            irradiance_w_m2: 0.0,
        }
    }

    pub(super) fn advance(&mut self, clock: Clock) {
        for drift in [&mut self.synoptic, &mut self.local, &mut self.cover, &mut self.cloud] {
            drift.advance(&mut self.chance);
        }
        let cover = 1.0 / (1.0 + libm::exp(-1.6 * self.cover.value()));
        let broken = cover * (1.0 - cover) * CLOUD_CONTRAST * self.cloud.value();
        let cover = (cover + broken).clamp(0.0, 1.0);
        self.irradiance_w_m2 = clear_sky_w_m2(sine_of_elevation(clock)) * (1.0 - OPACITY * cover);
        self.season_c = season_c(clock);
        let pull_k = GROUND_K_PER_W_M2 * self.irradiance_w_m2 - CLEAR_SKY_COOLING_K * (1.0 - cover);
        self.ground_k += (pull_k - self.ground_k) / (60.0 * GROUND_LAG_H);
    }

    pub(super) fn outdoor_c(&self) -> f64 {
        self.season_c + SYNOPTIC_K * self.synoptic.value() + LOCAL_K * self.local.value() + self.ground_k
    }

    /// On a horizontal plane; 0 at night.
    pub(super) fn irradiance_w_m2(&self) -> f64 {
        self.irradiance_w_m2
    }
}

fn season_c(clock: Clock) -> f64 {
    MEAN_C - SEASON_K * libm::cos(TAU * (clock.day_of_year() - COLDEST_DAY) / 365.2422)
}

fn sine_of_elevation(clock: Clock) -> f64 {
    let latitude = LATITUDE_DEG.to_radians();
    let declination = -AXIAL_TILT_DEG.to_radians() * libm::cos(TAU * (clock.day_of_year() - WINTER_SOLSTICE_DAY) / 365.2422);
    let hour_angle = TAU * (clock.hour() - 12.0) / 24.0;
    libm::sin(latitude) * libm::sin(declination) + libm::cos(latitude) * libm::cos(declination) * libm::cos(hour_angle)
}

/// Global irradiance under a cloudless sky (Haurwitz 1945).
fn clear_sky_w_m2(sine_of_elevation: f64) -> f64 {
    if sine_of_elevation <= 0.0 {
        0.0
    } else {
        1098.0 * sine_of_elevation * libm::exp(-0.057 / sine_of_elevation)
    }
}
