//! SysTick as a clock of milliseconds.

use core::cell::Cell;

use cortex_m::interrupt::{Mutex, free};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

static TIME_MS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Starts the clock of a processor that runs at `hz`. Its interrupt comes every millisecond.
pub fn start(mut syst: SYST, hz: u32) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(hz / 1000 - 1);
    syst.clear_current();
    syst.enable_counter();
    syst.enable_interrupt();
}

#[exception]
fn SysTick() {
    free(|token| {
        let time = TIME_MS.borrow(token);
        time.set(time.get() + 1);
    });
}

/// Milliseconds since the start.
#[must_use]
pub fn now_ms() -> u64 {
    free(|token| TIME_MS.borrow(token).get())
}

/// A number that differs a little from start to start, for boards without a source of randomness.
#[must_use]
pub fn seed() -> u64 {
    u64::from(SYST::get_current()) ^ now_ms() << 24
}
