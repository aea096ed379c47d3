//! The runner on an emulated board: the model at the address of the model, the input at the address
//! of the retained memory, forecasts and state to the host's standard output by semihosting.
//!
//! The output ends with four words: instructions of the cheapest and the dearest step (0 unless QEMU
//! counts them, see [`tsm2_mps2::counter`]), bytes of stack, and a mark.
#![no_std]
#![no_main]
#![expect(clippy::empty_loop, reason = "after `debug::exit` nothing runs")]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hio};
use tsm2_cortex_m::memory;
use tsm2_mps2::counter;

#[entry]
fn main() -> ! {
    let Ok(mut host) = hio::hstdout() else {
        debug::exit(debug::EXIT_FAILURE);
        loop {}
    };
    let (mut least, mut most) = (u32::MAX, 0);
    let result = tsm2_runner::run(
        memory::model(),
        memory::retained(),
        memory::free(),
        |numbers| {
            for number in numbers {
                let _ = host.write_all(&number.to_le_bytes());
            }
        },
        |step| {
            let ticks = counter::ticks_of(step);
            (least, most) = (least.min(ticks), most.max(ticks));
        },
    );
    let status = match result {
        Ok(()) => {
            for word in [
                counter::instructions(least),
                counter::instructions(most),
                memory::stack_used(),
                0x444E_4521,
            ] {
                let _ = host.write_all(&word.to_le_bytes());
            }
            debug::EXIT_SUCCESS
        }
        // The same code on the host says why; here the texts would take a tenth of the flash.
        Err(_) => debug::EXIT_FAILURE,
    };
    debug::exit(status);
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}
