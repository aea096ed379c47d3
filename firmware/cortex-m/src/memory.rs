//! The regions of a board's memory map, which the linker script `memory.x` of the board names:
//!
//! | symbol | region |
//! |---|---|
//! | `_model`, `_model_length` | flash that holds the model |
//! | `_settings`, `_settings_length` | flash that holds the settings |
//! | `_retained`, `_retained_length` | RAM that survives a reset |
//! | `_stack_end`, `_stack_start` | the stack, which grows down from `_stack_start`, the end of the other RAM |

use core::{ptr, slice};

unsafe extern "C" {
    static _model: u8;
    static _model_length: u8;
    static _settings: u8;
    static _settings_length: u8;
    static mut _retained: u8;
    static _retained_length: u8;
    static mut __sheap: u8;
    static _stack_end: u8;
    static _stack_start: u8;
}

/// The flash that holds the model, of which the model is the first part.
#[must_use]
pub fn model() -> &'static [u8] {
    // SAFETY: the linker script reserves the region; nothing writes to it.
    unsafe { slice::from_raw_parts(&raw const _model, (&raw const _model_length).addr()) }
}

/// The flash that holds the settings.
#[must_use]
pub fn settings() -> &'static [u8] {
    // SAFETY: as `model`.
    unsafe { slice::from_raw_parts(&raw const _settings, (&raw const _settings_length).addr()) }
}

/// The RAM that survives a reset. Call it once: a second slice would alias the first.
#[must_use]
pub fn retained() -> &'static mut [u8] {
    // SAFETY: the linker script reserves the region for this function's only caller; RAM holds some bytes at any time.
    unsafe { slice::from_raw_parts_mut(&raw mut _retained, (&raw const _retained_length).addr()) }
}

/// The RAM between the program's variables and the stack. Call it once: a second slice would alias the first.
#[must_use]
pub fn free() -> &'static mut [f32] {
    let start = (&raw mut __sheap).addr().next_multiple_of(align_of::<f32>());
    let end = (&raw const _stack_end).addr();
    // SAFETY: the linker puts nothing between `__sheap` and the stack; any bits are an f32.
    unsafe { slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(start), (end - start) / size_of::<f32>()) }
}

/// Bytes of stack that were used since the start, which painted all of it.
#[must_use]
pub fn stack_used() -> u32 {
    let (mut address, end) = ((&raw const _stack_end).addr(), (&raw const _stack_start).addr());
    // SAFETY: the stack's memory can be read at any time.
    while address < end && unsafe { ptr::with_exposed_provenance::<u32>(address).read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE {
        address += size_of::<u32>();
    }
    (end - address) as u32
}
