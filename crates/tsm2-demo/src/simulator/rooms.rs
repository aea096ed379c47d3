//! Three rooms in a row as a network of resistances and capacities: each has air (with furniture), walls and a radiator, exchanges
//! heat with its neighbours and the outdoors, and is heated by a thermostat with a dead band. Explicit Euler in short steps; the
//! fastest time constant is the radiator's, some ten minutes.

use super::clock::Clock;

pub(super) const ROOMS: usize = 3;

const AIR_J_K: [f64; ROOMS] = [1.3e6, 1.6e6, 1.2e6];
const WALL_J_K: [f64; ROOMS] = [14.0e6, 16.0e6, 14.0e6];
/// Windows and draughts; the middle room has the least outside wall.
const AIR_TO_OUTDOOR_W_K: [f64; ROOMS] = [48.0, 36.0, 44.0];
const WALL_TO_OUTDOOR_W_K: [f64; ROOMS] = [40.0, 26.0, 44.0];
const AIR_TO_WALL_W_K: f64 = 230.0;
const ROOM_TO_ROOM_W_K: f64 = 70.0;

/// Sunlit window area times transmittance, against irradiance on the horizontal; the first room looks south, the last north.
const APERTURE_M2: [f64; ROOMS] = [3.6, 2.0, 0.8];
const SUN_ON_AIR: f64 = 0.4;

const PERSON_W: f64 = 90.0;
const DESK_W: f64 = 60.0;
const STANDBY_W: f64 = 80.0;

const HEATER_W: f64 = 3000.0;
const RADIATOR_LAG_S: f64 = 540.0;
const SETPOINT_C: [f64; ROOMS] = [21.0, 21.5, 20.5];
const SETBACK_K: f64 = 3.5;
const DEAD_BAND_K: f64 = 0.4;
/// Full set points on weekdays between these hours.
const HEATING_HOURS: (f64, f64) = (5.5, 18.0);

/// Share of the building's fresh air that each room gets.
const FRESH_AIR_SHARE: f64 = 1.0 / ROOMS as f64;

#[derive(Clone, Debug)]
pub(super) struct Rooms {
    /// Floor area, in units of the usual building: air, walls, windows and radiators grow with it, desks and people do not.
    size: f64,
    air_c: [f64; ROOMS],
    wall_c: [f64; ROOMS],
    radiator_w: [f64; ROOMS],
    heating: [bool; ROOMS],
}

impl Rooms {
    pub(super) fn new(outdoor_c: f64, size: f64) -> Self {
        let wall_c = SETPOINT_C.map(|setpoint| setpoint - 0.2 * (setpoint - outdoor_c).max(0.0));
        Self {
            size,
            air_c: SETPOINT_C,
            wall_c,
            radiator_w: [0.0; ROOMS],
            heating: [false; ROOMS],
        }
    }

    pub(super) fn air_c(&self, room: usize) -> f64 {
        self.air_c[room]
    }

    /// Electric power drawn, not the heat that the radiator gives off with its lag.
    pub(super) fn heater_w(&self, room: usize) -> f64 {
        if self.heating[room] { HEATER_W * self.size } else { 0.0 }
    }

    /// On below the dead band, off above it, and as it was within.
    pub(super) fn switch_heaters(&mut self, clock: Clock) {
        for room in 0..ROOMS {
            let error_k = self.air_c[room] - setpoint_c(room, clock);
            if error_k < -DEAD_BAND_K {
                self.heating[room] = true;
            } else if error_k > DEAD_BAND_K {
                self.heating[room] = false;
            }
        }
    }

    /// Heat flows for `seconds`. `fresh_air_w_k` is the heat that the whole ventilation takes per kelvin between room and outdoors.
    pub(super) fn flow(&mut self, outdoor_c: f64, irradiance_w_m2: f64, occupants: [f64; ROOMS], fresh_air_w_k: f64, seconds: f64) {
        let air_c = self.air_c;
        for room in 0..ROOMS {
            let sun_w = APERTURE_M2[room] * self.size * irradiance_w_m2;
            let wall_gap_k = self.wall_c[room] - air_c[room];
            let outdoor_gap_k = outdoor_c - air_c[room];
            let neighbours_k: f64 = [room.checked_sub(1), Some(room + 1)]
                .into_iter()
                .flatten()
                .filter_map(|neighbour| air_c.get(neighbour))
                .map(|neighbour_c| neighbour_c - air_c[room])
                .sum();
            let heat_w = self.radiator_w[room]
                + SUN_ON_AIR * sun_w
                + STANDBY_W
                + (PERSON_W + DESK_W) * occupants[room]
                + AIR_TO_WALL_W_K * self.size * wall_gap_k
                + (AIR_TO_OUTDOOR_W_K[room] * self.size + FRESH_AIR_SHARE * fresh_air_w_k) * outdoor_gap_k
                + ROOM_TO_ROOM_W_K * neighbours_k;
            let wall_heat_w = (1.0 - SUN_ON_AIR) * sun_w - AIR_TO_WALL_W_K * self.size * wall_gap_k
                + WALL_TO_OUTDOOR_W_K[room] * self.size * (outdoor_c - self.wall_c[room]);
            self.air_c[room] += seconds * heat_w / (AIR_J_K[room] * self.size);
            self.wall_c[room] += seconds * wall_heat_w / (WALL_J_K[room] * self.size);
            self.radiator_w[room] += seconds * (self.heater_w(room) - self.radiator_w[room]) / RADIATOR_LAG_S;
        }
    }
}

fn setpoint_c(room: usize, clock: Clock) -> f64 {
    let working = !clock.is_weekend() && (HEATING_HOURS.0..HEATING_HOURS.1).contains(&clock.hour());
    if working { SETPOINT_C[room] } else { SETPOINT_C[room] - SETBACK_K }
}
