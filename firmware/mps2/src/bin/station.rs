//! The station on an emulated board.
#![no_std]
#![no_main]

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;
use embedded_alloc::LlffHeap;
use tsm2_firmware::{Board, Flash, run};
use tsm2_mps2::board::Mps2;
use tsm2_mps2::{memory, stack};

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

#[entry]
fn main() -> ! {
    stack::paint();
    let room = memory::free();
    // SAFETY: called once, before anything is allocated; nothing else uses this memory.
    unsafe { HEAP.init(room.as_mut_ptr().addr(), size_of_val(room)) };
    let Some(peripherals) = cortex_m::Peripherals::take() else {
        SCB::sys_reset()
    };
    let mut board = Mps2::start(peripherals.SYST);
    let flash = Flash {
        model: memory::model(),
        settings: memory::settings(),
    };
    // It returns only with an error: a message on the serial line, and the watchdog's reset.
    let Err(error) = run(&mut board, flash, memory::retained());
    let _ = writeln!(Line(&board), "# {error}");
    loop {}
}

/// The serial line.
struct Line<'b>(&'b Mps2);

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while !self.0.write_serial(byte) {}
        }
        Ok(())
    }
}

/// The state before the payload that caused the panic is in the retained memory.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
