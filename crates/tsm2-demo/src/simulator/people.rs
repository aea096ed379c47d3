//! People: who is in which room. Everybody draws a new day at midnight; the building is empty at night.

use super::chance::Chance;
use super::clock::Clock;
use super::rooms::ROOMS;

const STAFF: usize = 20;
const ABSENT_ON_WEEKDAYS: f64 = 0.12;
const ABSENT_ON_WEEKENDS: f64 = 0.96;

/// Hours of the day: mean, deviation, and the limits beyond which nobody comes or stays.
const ARRIVAL: Habit = Habit {
    mean_h: 8.3,
    deviation_h: 0.55,
    earliest_h: 6.5,
    latest_h: 10.5,
};
const LUNCH: Habit = Habit {
    mean_h: 12.2,
    deviation_h: 0.2,
    earliest_h: 11.5,
    latest_h: 13.0,
};
const DEPARTURE: Habit = Habit {
    mean_h: 17.1,
    deviation_h: 0.6,
    earliest_h: 15.0,
    latest_h: 20.0,
};

const LUNCH_OUTSIDE: f64 = 0.75;
const LUNCH_HOURS: (f64, f64) = (0.6, 1.0);
const ERRAND: f64 = 0.35;
const ERRAND_STARTS_H: (f64, f64) = (9.0, 16.0);
const ERRAND_HOURS: (f64, f64) = (0.3, 1.0);

/// Visitors come to a meeting on the full hour, into the middle room.
const MEETING: f64 = 0.5;
const MEETING_STARTS_H: [f64; 3] = [10.0, 14.0, 15.0];
const MEETING_HOURS: f64 = 1.0;
const MEETING_ROOM: usize = 1;
const VISITORS: (f64, f64) = (2.0, 7.0);

struct Habit {
    mean_h: f64,
    deviation_h: f64,
    earliest_h: f64,
    latest_h: f64,
}

impl Habit {
    fn draw(&self, chance: &mut Chance) -> f64 {
        (self.mean_h + self.deviation_h * chance.normal()).clamp(self.earliest_h, self.latest_h)
    }
}

/// So many people are in (or, with a negative number, away from) a room between two hours of the day.
#[derive(Clone, Copy, Debug)]
struct Stay {
    room: usize,
    people: f64,
    from_h: f64,
    to_h: f64,
}

#[derive(Clone, Debug)]
pub(super) struct People {
    chance: Chance,
    day: i64,
    stays: Vec<Stay>,
    by_room: [f64; ROOMS],
}

impl People {
    pub(super) fn new(chance: Chance, clock: Clock) -> Self {
        let mut people = Self {
            chance,
            day: clock.day(),
            stays: Vec::new(),
            by_room: [0.0; ROOMS],
        };
        people.plan(clock);
        people
    }

    pub(super) fn advance(&mut self, clock: Clock) {
        if clock.day() != self.day {
            self.day = clock.day();
            self.plan(clock);
        }
        self.by_room = [0.0; ROOMS];
        for stay in self.stays.iter().filter(|stay| (stay.from_h..stay.to_h).contains(&clock.hour())) {
            self.by_room[stay.room] += stay.people;
        }
    }

    /// People in each room; whole, never negative.
    pub(super) fn by_room(&self) -> [f64; ROOMS] {
        self.by_room
    }

    fn plan(&mut self, clock: Clock) {
        self.stays.clear();
        let absent = if clock.is_weekend() {
            ABSENT_ON_WEEKENDS
        } else {
            ABSENT_ON_WEEKDAYS
        };
        for person in 0..STAFF {
            if !self.chance.happens(absent) {
                self.plan_person(person % ROOMS);
            }
        }
        if !clock.is_weekend() && self.chance.happens(MEETING) {
            let from_h = MEETING_STARTS_H[(self.chance.uniform() * MEETING_STARTS_H.len() as f64) as usize];
            let visitors = self.chance.between(VISITORS.0, VISITORS.1).trunc();
            self.stays.push(Stay {
                room: MEETING_ROOM,
                people: visitors,
                from_h,
                to_h: from_h + MEETING_HOURS,
            });
        }
    }

    /// A day at the desk, less lunch and perhaps an errand; an errand that would overlap lunch is not run, so nobody leaves twice.
    fn plan_person(&mut self, room: usize) {
        let chance = &mut self.chance;
        let (arrival, departure) = (ARRIVAL.draw(chance), DEPARTURE.draw(chance));
        self.stays.push(Stay {
            room,
            people: 1.0,
            from_h: arrival,
            to_h: departure,
        });
        let mut lunch = (departure, departure);
        if chance.happens(LUNCH_OUTSIDE) {
            let from_h = LUNCH.draw(chance);
            lunch = (from_h, from_h + chance.between(LUNCH_HOURS.0, LUNCH_HOURS.1));
            self.stays.push(Stay {
                room,
                people: -1.0,
                from_h: lunch.0,
                to_h: lunch.1,
            });
        }
        if chance.happens(ERRAND) {
            let from_h = chance.between(ERRAND_STARTS_H.0, ERRAND_STARTS_H.1).max(arrival);
            let to_h = (from_h + chance.between(ERRAND_HOURS.0, ERRAND_HOURS.1)).min(departure);
            if to_h <= lunch.0 || from_h >= lunch.1 {
                self.stays.push(Stay {
                    room,
                    people: -1.0,
                    from_h,
                    to_h,
                });
            }
        }
    }
}
