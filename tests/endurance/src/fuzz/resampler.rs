//! Resampler: a configuration in four bytes, then readings of six bytes each: what comes, by how much
//! its time and its arrival move, in units from a second to ten days.

use tsm2_stream::{Aggregate, Event, Reading, Resampler, ResamplerConfig};

const MINUTE: i64 = 60_000;
/// 2026-01-15T12:00:00Z.
const START_MS: i64 = 1_768_478_400_000;
const MAX_GAP: u64 = 12;
const UNITS_MS: [i64; 4] = [250, 5_000, MINUTE, 1440 * MINUTE];

/// What a resampler emitted.
#[derive(Debug, PartialEq)]
enum Emitted {
    Step(i64, Vec<u32>),
    Restart(i64, i64),
    Confirmed(i64),
    Dropped(i64, u64),
}

/// Resamples readings of several sources.
///
/// # Panics
/// When time steps have holes or come back without a restart, when saving and restoring shows, when
/// counts do not add up, or when a reading counts twice although nothing testifies to its arrival.
pub fn resampler(data: &[u8]) {
    let [shape, sources, lateness, ahead, readings @ ..] = data else {
        return;
    };
    let variates = usize::from(shape % 4) + 1;
    let has_arrival = shape & 0x10 != 0;
    let mut config = ResamplerConfig::new(variates, MINUTE as u64, MAX_GAP);
    config.sources = (0..variates)
        .map(|variate| u16::from(sources >> (2 * variate)) % variates as u16)
        .collect();
    config.allowed_lateness_ms = u64::from(lateness & 0x0f) * 15_000;
    config.max_ahead = u64::from(ahead % 8);
    config.device_times = shape & 0x20 == 0;
    if shape & 0x40 != 0 {
        config.aggregates[0] = [Aggregate::Mean, Aggregate::Sum, Aggregate::Min, Aggregate::Max][usize::from(lateness >> 6)];
    }
    config.forward_fill_limit = if shape & 0x80 != 0 { 2 } else { 0 };
    // Where a value names its reading, and nothing repeats or joins values.
    let is_counted = shape & 0xd0 == 0 && config.device_times;
    let (mut one, mut other) = (new(&config), new(&config));
    let (mut seen, mut sent) = (std::collections::HashSet::new(), Vec::<Reading>::new());
    let (mut time_ms, mut arrival_ms) = (START_MS, START_MS);
    let (mut last_ms, mut accepted) = (None::<i64>, 0);
    for (&[what, variate, by, unit, wait, back], index) in readings.as_chunks::<6>().0.iter().zip(0u32..) {
        time_ms = time_ms.saturating_add(i64::from(by as i8) * UNITS_MS[usize::from(unit % 4)]);
        arrival_ms += i64::from(wait) * UNITS_MS[usize::from(unit >> 4) % 3];
        let reading = match what % 8 {
            // Comes again.
            0 if !sent.is_empty() => Reading {
                arrival_ms: has_arrival.then_some(arrival_ms),
                ..sent[sent.len() - 1 - usize::from(back) % sent.len()]
            },
            _ => Reading {
                variate: usize::from(variate) % variates,
                value: if what % 8 == 1 { f32::NAN } else { index as f32 },
                time_ms,
                arrival_ms: has_arrival.then_some(arrival_ms),
            },
        };
        sent.push(reading);
        if back & 0x80 != 0 {
            other = Resampler::restore(config.clone(), other.snapshot()).expect("its own snapshot");
        }
        let ((result, events), (again, events_again)) = (push(&mut one, reading), push(&mut other, reading));
        assert_eq!((result, &events), (again, &events_again), "saving and restoring does not show");
        accepted += u64::from(result);
        for event in events {
            match event {
                Emitted::Step(time_ms, values) => {
                    assert!(time_ms % MINUTE == 0 && last_ms.is_none_or(|last_ms| time_ms == last_ms + MINUTE));
                    last_ms = Some(time_ms);
                    // What is remembered of emitted and dropped bins is bounded.
                    let counts = one.counts();
                    let is_remembered = counts.time_steps + counts.clock_jump_readings < 60;
                    let values = values.into_iter().filter(|&bits| !f32::from_bits(bits).is_nan());
                    for bits in values.filter(|_| is_counted && is_remembered) {
                        assert!(seen.insert(bits), "reading {} counts twice", f32::from_bits(bits));
                    }
                }
                Emitted::Restart(..) => last_ms = None,
                Emitted::Confirmed(_) | Emitted::Dropped(..) => {}
            }
        }
    }
    let counts = one.counts();
    assert_eq!(counts, other.counts());
    assert_eq!(
        sent.len() as u64,
        accepted + counts.rejected,
        "every reading is accepted or rejected"
    );
    assert!(counts.readings + counts.clock_jump_readings + counts.surplus <= accepted);
    assert!(counts.merged <= counts.readings && counts.time_steps <= counts.readings);
    one.close(|_| ());
}

fn new(config: &ResamplerConfig) -> Resampler {
    Resampler::new(config.clone()).expect("a valid configuration")
}

/// Whether the reading is accepted, and what it caused.
fn push(resampler: &mut Resampler, reading: Reading) -> (bool, Vec<Emitted>) {
    let mut events = Vec::new();
    let result = resampler.push(reading, |event| {
        events.push(match event {
            Event::TimeStep(step) => Emitted::Step(step.time_ms, step.values.iter().map(|value| value.to_bits()).collect()),
            Event::Restart { last_ms, next_ms } => Emitted::Restart(last_ms, next_ms),
            Event::ClockJumpConfirmed { next_ms, .. } => Emitted::Confirmed(next_ms),
            Event::ClockJumpDropped { time_ms, readings, .. } => Emitted::Dropped(time_ms, readings),
            _ => return,
        });
    });
    (result.is_ok(), events)
}
