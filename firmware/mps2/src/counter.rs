//! SysTick as a counter of instructions.
//!
//! Under QEMU's `-icount shift=6` an instruction takes 64 ns of emulated time, so SysTick, which runs
//! at the processor's clock, counts instructions exactly. It has 24 bits: 10 million instructions.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// Processor clock in Hz.
pub const HZ: u32 = if cfg!(feature = "an505") { 20_000_000 } else { 25_000_000 };
const MOST: u32 = 0x00FF_FFFF;
/// Nanoseconds of an instruction under `-icount shift=6`.
const INSTRUCTION_NS: u64 = 64;

/// Runs `work` and returns the ticks that it took; [`u32::MAX`] when the counter wrapped.
pub fn ticks_of(work: &mut dyn FnMut()) -> u32 {
    // SAFETY: nothing else uses SysTick in a program that calls this.
    let syst = unsafe { &mut cortex_m::Peripherals::steal().SYST };
    syst.disable_counter();
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(MOST);
    syst.clear_current();
    syst.enable_counter();
    let from = SYST::get_current();
    work();
    let to = SYST::get_current();
    if syst.has_wrapped() && from != 0 {
        u32::MAX
    } else {
        from.wrapping_sub(to) & MOST
    }
}

/// Instructions of so many ticks.
#[must_use]
pub fn instructions(ticks: u32) -> u32 {
    if ticks == u32::MAX {
        return u32::MAX;
    }
    (u64::from(ticks) * (1_000_000_000 / u64::from(HZ)) / INSTRUCTION_NS) as u32
}
