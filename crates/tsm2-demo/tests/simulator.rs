//! The simulated building behaves like one: reproducible, within physical bounds, with thermostats that have a dead band, empty
//! nights, and air that people use up. Judged by its readings alone, over a simulated month.

use std::sync::LazyLock;
use tsm2_demo::simulator::{Building, INTERVAL_MS, NAMES, Row, UNITS};

/// Monday 2026-03-02, 00:00 UTC.
const MONDAY_MS: i64 = 1_772_409_600_000;
const MINUTES_PER_DAY: usize = 1440;
const MONTH: usize = 28 * MINUTES_PER_DAY;

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| Building::new(11, MONDAY_MS).take(MONTH).collect());

fn variate(name: &str) -> usize {
    NAMES.iter().position(|n| *n == name).expect("a variate of the building")
}

fn series(name: &str) -> Vec<f32> {
    let variate = variate(name);
    ROWS.iter().map(|row| row.values[variate]).collect()
}

fn mean(values: impl Iterator<Item = f32>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + f64::from(value), count + 1));
    sum / count as f64
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let product = |x: &[f32], mean_x: f64, y: &[f32], mean_y: f64| {
        x.iter()
            .zip(y)
            .map(|(x, y)| (f64::from(*x) - mean_x) * (f64::from(*y) - mean_y))
            .sum::<f64>()
    };
    product(a, mean_a, b, mean_b) / (product(a, mean_a, a, mean_a) * product(b, mean_b, b, mean_b)).sqrt()
}

/// Minute of the day of a row, and whether its day is one of work.
fn calendar(index: usize) -> (usize, bool) {
    (index % MINUTES_PER_DAY, index / MINUTES_PER_DAY % 7 < 5)
}

#[test]
fn a_seed_gives_the_same_rows_and_another_seed_others() {
    let rows = |seed| Building::new(seed, MONDAY_MS).take(3 * MINUTES_PER_DAY).collect::<Vec<_>>();
    let large: Vec<_> = Building::of_size(1, MONDAY_MS, 2.0).take(3 * MINUTES_PER_DAY).collect();
    let most = |rows: &[Row], variate: usize| rows.iter().map(|row| row.values[variate]).fold(0.0, f32::max);
    assert!(most(&large, 10) < 0.9 * most(&rows(1), 10), "twice the air for as many people");
    assert_eq!(most(&large, 2), most(&rows(1), 2));
    assert_eq!(rows(11), rows(11));
    let (one, other) = (rows(11), rows(12));
    for (variate, name) in NAMES.iter().enumerate() {
        assert!(
            one.iter().zip(&other).any(|(a, b)| a.values[variate] != b.values[variate]),
            "{name} does not depend on the seed"
        );
    }
}

#[test]
fn a_row_a_minute_from_the_start_on() {
    assert_eq!(ROWS[0].time_ms, MONDAY_MS);
    assert!(ROWS.windows(2).all(|pair| pair[1].time_ms - pair[0].time_ms == INTERVAL_MS));
    assert_eq!(NAMES.len(), UNITS.len());
}

#[test]
fn a_month_stays_within_physical_bounds_and_every_variate_moves() {
    let bounds = [
        ("outdoor_temp", -20.0, 30.0),
        ("irradiance", 0.0, 1000.0),
        ("occupancy", 0.0, 30.0),
        ("room1", 14.0, 27.0),
        ("room2", 14.0, 27.0),
        ("room3", 14.0, 27.0),
        ("heater1_kw", 0.0, 3.2),
        ("heater2_kw", 0.0, 3.2),
        ("heater3_kw", 0.0, 3.2),
        ("ventilation_pct", 0.0, 100.0),
        ("co2", 390.0, 1500.0),
    ];
    assert_eq!(bounds.map(|(name, ..)| name), NAMES);
    for (name, low, high) in bounds {
        let values = series(name);
        assert!(values.iter().all(|v| (low..=high).contains(v)), "{name} leaves {low}..{high}");
        let (mean, n) = (mean(values.iter().copied()), values.len() as f64);
        let deviation = (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!(
            deviation > 0.05 * f64::from(high - low),
            "{name} hardly moves: deviation {deviation}"
        );
    }
    assert!(series("occupancy").iter().all(|people| people.fract() == 0.0), "half a person");
}

#[test]
fn heaters_switch_at_the_edges_of_a_dead_band_and_hold_within_it() {
    // In working hours, after the morning's climb, the set points stand still.
    for (room, heater, setpoint) in [
        ("room1", "heater1_kw", 21.0),
        ("room2", "heater2_kw", 21.5),
        ("room3", "heater3_kw", 20.5),
    ] {
        let (temperature, power) = (series(room), series(heater));
        let (mut switched_on, mut switched_off, mut held_on, mut held_off) = (0, 0, 0, 0);
        for index in (1..MONTH).filter(|i| matches!(calendar(*i), (480..1075, true))) {
            // Sensor noise of 0.03 K and one minute between the thermostat's look and the reading blur the edge.
            let error = temperature[index] - setpoint;
            match (power[index - 1] > 0.0, power[index] > 0.0) {
                (false, true) => {
                    switched_on += 1;
                    assert!(error < -0.2, "{heater} switched on at {error} K from its set point");
                }
                (true, false) => {
                    switched_off += 1;
                    assert!(error > 0.2, "{heater} switched off at {error} K from its set point");
                }
                (true, true) if error.abs() < 0.2 => held_on += 1,
                (false, false) if error.abs() < 0.2 => held_off += 1,
                _ => {}
            }
        }
        assert!(
            switched_on > 40 && switched_off > 40,
            "{heater} switched {switched_on} and {switched_off} times"
        );
        assert!(
            held_on > 400 && held_off > 400,
            "{heater} held {held_on} minutes on and {held_off} off inside its band"
        );
    }
}

#[test]
fn the_building_is_cooler_at_night_and_dark() {
    let room = series("room2");
    let at = |minute: usize| mean((0..MONTH).filter(|i| calendar(*i) == (minute, true)).map(|i| room[i]));
    assert!(
        at(16 * 60) - at(4 * 60) > 1.5,
        "no night set-back: {} and {}",
        at(16 * 60),
        at(4 * 60)
    );
    let sun = series("irradiance");
    assert!(
        (0..MONTH).filter(|i| !(240..1260).contains(&calendar(*i).0)).all(|i| sun[i] == 0.0),
        "sun at night"
    );
}

#[test]
fn nobody_at_night_many_at_noon_fewer_at_lunch() {
    let people = series("occupancy");
    assert!(
        (0..MONTH)
            .filter(|i| !(390..1200).contains(&calendar(*i).0))
            .all(|i| people[i] == 0.0),
        "somebody at night"
    );
    let at = |minute: usize, workday: bool| mean((0..MONTH).filter(|i| calendar(*i) == (minute, workday)).map(|i| people[i]));
    assert!(at(11 * 60, true) > 12.0);
    assert!(at(12 * 60 + 40, true) < 0.75 * at(11 * 60, true), "no lunch dip");
    assert!(at(11 * 60, false) < 3.0, "a crowd at the weekend");
}

#[test]
fn co2_rises_with_people_and_ventilation_with_co2() {
    // Carbon dioxide follows people with some half an hour of lag; the fan follows the gas within minutes.
    let (people, co2, fan) = (series("occupancy"), series("co2"), series("ventilation_pct"));
    let lagged = correlation(&people[..MONTH - 30], &co2[30..]);
    assert!(lagged > 0.8, "co2 against people 30 minutes before: {lagged}");
    let controlled = correlation(&co2, &fan);
    assert!(controlled > 0.8, "ventilation against co2: {controlled}");
    let rise = mean((0..MONTH).filter(|i| calendar(*i) == (660, true)).map(|i| co2[i] - co2[i - 300]));
    assert!(rise > 200.0, "co2 rises by {rise} ppm from 06:00 to 11:00");
}
