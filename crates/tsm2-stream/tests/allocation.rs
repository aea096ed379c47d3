//! A resampler allocates nothing after it was made: a counting allocator watches readings in every
//! order, gaps, clock jumps and rollbacks. It counts this thread only, so the test harness may
//! allocate beside it.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait; this one only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use tsm2_stream::{Aggregate, Reading, Resampler, ResamplerConfig};

thread_local! {
    // Constant and without a destructor, so reading it never allocates.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed to the system's allocator unchanged; counting touches no memory that it manages.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is the one `System` needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
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

#[test]
fn readings_allocate_nothing() {
    assert_eq!(allocations(|| drop(black_box(vec![0u8; 16]))), 1, "the counter counts");
    for allowed_lateness_ms in [0, 5_500] {
        let mut config = ResamplerConfig::new(5, 1_000, 20);
        config.aggregates = vec![Aggregate::Last, Aggregate::Mean, Aggregate::Sum, Aggregate::Min, Aggregate::Max];
        config.sources = vec![0, 0, 1, 1, 2];
        (config.allowed_lateness_ms, config.forward_fill_limit) = (allowed_lateness_ms, 3);
        let mut resampler = Resampler::new(config).unwrap();
        let mut rows = 0;
        let count = allocations(|| {
            for index in 0..100_000i64 {
                // Ten readings of a variate in a time bin and more, back and forth; now and then a gap, and a wrong clock for a while.
                let gap = (index + 5_000) / 20_000 * 10_000;
                let wrong = if index % 10_000 >= 9_900 { 1 << 40 } else { 0 };
                let time_ms = index * 20 + gap + wrong - (index * 7919) % 5_000;
                let reading = Reading {
                    arrival_ms: Some(index * 20 + gap),
                    ..Reading::at(index as usize % 5, index as f32, time_ms)
                };
                let _ = resampler.push(reading, |_| rows += 1);
            }
        });
        assert_eq!(count, 0, "lateness {allowed_lateness_ms}");
        let counts = resampler.counts();
        assert!(
            rows > 1_000 && counts.bridged_steps > 10 && counts.clock_rollbacks > 0 && counts.merged > 0,
            "{counts:?}"
        );
    }
}
