//! A simulated building: our own source of readings for the demo, for training data and for tests.
//!
//! A small office of three rooms in a row, somewhere near 47 degrees north: weather, people, heating with on/off thermostats and
//! night set-back, and ventilation driven by carbon dioxide. One row a minute, eleven variates.
//!
//! Invariants: the rows depend on the seed and the start alone. All transcendental functions come from `libm`, so that thermostats
//! switch in the same minute on every machine; weather, people and sensor noise draw from separate streams of one ChaCha generator,
//! so that a change to one leaves the others as they were. Calendar and sun follow UTC.

mod air;
mod chance;
mod clock;
mod people;
mod rooms;
mod weather;

use air::Air;
use chance::Chance;
use clock::Clock;
use people::People;
use rooms::{ROOMS, Rooms};
use weather::Weather;

/// Number of variates in a row.
pub const VARIATES: usize = 11;

/// Names of the variates, in the order of a row.
pub const NAMES: [&str; VARIATES] = [
    "outdoor_temp",
    "irradiance",
    "occupancy",
    "room1",
    "room2",
    "room3",
    "heater1_kw",
    "heater2_kw",
    "heater3_kw",
    "ventilation_pct",
    "co2",
];

/// Units of the variates, in the order of a row; occupancy counts persons.
pub const UNITS: [&str; VARIATES] = ["°C", "W/m²", "persons", "°C", "°C", "°C", "kW", "kW", "kW", "%", "ppm"];

/// Time between rows, milliseconds.
pub const INTERVAL_MS: i64 = 60_000;

/// Physics advances in steps of this many seconds, well below every time constant of the building.
const SUBSTEP_S: f64 = 15.0;
const SUBSTEPS: usize = 4;

/// Days lived through before the first row, so that walls, weather and air have forgotten where they began.
const SPIN_UP_DAYS: i64 = 3;

const OUTDOOR_SENSOR_NOISE_K: f64 = 0.05;
const ROOM_SENSOR_NOISE_K: f64 = 0.03;
const IRRADIANCE_SENSOR_NOISE_W_M2: f64 = 2.0;
const HEATER_METER_NOISE_KW: f64 = 0.01;
const CO2_SENSOR_NOISE_PPM: f64 = 4.0;

/// One minute of readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// When they were read, milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// The readings, in the order and the units of [`NAMES`] and [`UNITS`].
    pub values: [f32; VARIATES],
}

/// The building, an endless iterator over its rows.
///
/// ```
/// use tsm2_demo::simulator::{Building, INTERVAL_MS};
///
/// let rows: Vec<_> = Building::new(7, 1_772_409_600_000).take(2).collect();
/// assert_eq!(rows[1].time_ms - rows[0].time_ms, INTERVAL_MS);
/// ```
#[derive(Clone, Debug)]
pub struct Building {
    clock: Clock,
    weather: Weather,
    people: People,
    rooms: Rooms,
    air: Air,
    sensors: Chance,
}

impl Building {
    /// A building whose first row is read at `start_ms` (milliseconds since 1970-01-01 UTC), cut to the full minute.
    pub fn new(seed: u64, start_ms: i64) -> Self {
        Self::of_size(seed, start_ms, 1.0)
    }

    /// A building with so many times the floor area of the usual one, and as many people. Rooms, windows, radiators and ventilation
    /// grow with it; `size` is positive.
    pub fn of_size(seed: u64, start_ms: i64, size: f64) -> Self {
        let clock = Clock::at(start_ms).minutes_later(-SPIN_UP_DAYS * clock::MINUTES_PER_DAY);
        let weather = Weather::new(Chance::new(seed, 0), clock);
        let rooms = Rooms::new(weather.outdoor_c(), size);
        let people = People::new(Chance::new(seed, 1), clock);
        let mut building = Self {
            clock,
            weather,
            people,
            rooms,
            air: Air::new(size),
            sensors: Chance::new(seed, 2),
        };
        for _ in 0..SPIN_UP_DAYS * clock::MINUTES_PER_DAY {
            building.advance();
        }
        building
    }

    fn advance(&mut self) {
        self.clock = self.clock.minutes_later(1);
        self.weather.advance(self.clock);
        self.people.advance(self.clock);
        self.rooms.switch_heaters(self.clock);
        self.air.control(self.clock);
        for _ in 0..SUBSTEPS {
            let occupants = self.people.by_room();
            self.air.flow(occupants.iter().sum(), SUBSTEP_S);
            self.rooms.flow(
                self.weather.outdoor_c(),
                self.weather.irradiance_w_m2(),
                occupants,
                self.air.heat_exchange_w_k(),
                SUBSTEP_S,
            );
        }
    }

    fn read(&mut self) -> [f32; VARIATES] {
        let mut noisy = |value: f64, deviation: f64| (value + deviation * self.sensors.normal()) as f32;
        let sun = self.weather.irradiance_w_m2();
        let mut values = [0.0; VARIATES];
        values[0] = noisy(self.weather.outdoor_c(), OUTDOOR_SENSOR_NOISE_K);
        values[1] = noisy(sun, if sun > 0.0 { IRRADIANCE_SENSOR_NOISE_W_M2 } else { 0.0 }).max(0.0);
        values[2] = self.people.by_room().iter().sum::<f64>() as f32;
        for room in 0..ROOMS {
            values[3 + room] = noisy(self.rooms.air_c(room), ROOM_SENSOR_NOISE_K);
            let power_kw = self.rooms.heater_w(room) / 1000.0;
            values[6 + room] = noisy(power_kw, if power_kw > 0.0 { HEATER_METER_NOISE_KW } else { 0.0 });
        }
        values[9] = self.air.ventilation_pct() as f32;
        values[10] = noisy(self.air.co2_ppm(), CO2_SENSOR_NOISE_PPM);
        values
    }
}

impl Iterator for Building {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let row = Row {
            time_ms: self.clock.time_ms(),
            values: self.read(),
        };
        self.advance();
        Some(row)
    }
}
