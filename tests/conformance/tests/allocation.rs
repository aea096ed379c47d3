//! The step path allocates nothing: a counting allocator watches a thousand steps and forecasts of every model in the
//! catalogue, and of the monitor. It counts this thread only, so the test harness may allocate in other threads.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait; this one only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use tsm2_conformance::catalogue::{Recipe, bundle, recipes, stream};
use tsm2_conformance::engines::Stepper;
use tsm2_stream::{Monitor, MonitorConfig};

const STEPS: usize = 1_000;

thread_local! {
    // Constant and without a destructor, so reading it never allocates.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    BYTES.set(BYTES.get() + bytes);
}

// SAFETY: every call is handed to the system's allocator unchanged; counting touches no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise about `layout` is the one `System` needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: `pointer` came from this allocator, hence from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn steps_and_forecasts(recipe: &Recipe) -> usize {
    let bundle = bundle(recipe.name, &recipe.config, recipe.interval_ms, 1);
    let stream = stream(&bundle, STEPS, recipe.interval_ms, recipe.faults, 2);
    let mut stepper = Stepper::new(&bundle);
    let mut forecast = vec![0.0; recipe.config.forecast_len()];
    allocations(|| {
        for step in stream.steps(&bundle) {
            stepper.step(&step, &mut forecast);
        }
    })
}

#[test]
fn the_step_path_allocates_nothing() {
    assert_eq!(allocations(|| drop(black_box(vec![0u8; 16]))), 1, "the counter counts");
    for recipe in recipes() {
        assert_eq!(steps_and_forecasts(&recipe), 0, "{}", recipe.name);
    }
}

#[test]
fn a_monitor_takes_the_memory_it_tells_of_and_no_more_while_it_runs() {
    let of = |horizon, season| MonitorConfig {
        variates: 3,
        horizon,
        season,
        coverage: 0.9,
    };
    for config in [
        of(1, None),
        of(20, Some(7)),
        of(96, Some(24)),
        of(5, Some(1440)),
        of(60, Some(9999)),
    ] {
        let cells = config.variates * config.horizon;
        let (prior, forecast) = (vec![1.0; cells], vec![0.5; cells]);
        let (mut lo, mut hi) = (forecast.clone(), forecast.clone());
        let before = BYTES.get();
        let mut monitor = Monitor::new(config, &prior).unwrap();
        assert_eq!(BYTES.get() - before + size_of::<Monitor>(), Monitor::bytes(&config), "{config:?}");
        let count = allocations(|| {
            for row in 0..STEPS {
                monitor.observe(&[row as f32, f32::NAN, 1.0]);
                monitor.issue(&forecast);
                monitor.interval(&forecast, &mut lo, &mut hi);
            }
            monitor.restart();
        });
        assert_eq!(count, 0, "{config:?}");
    }
}
