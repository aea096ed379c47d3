//! The station on an emulated board.
#![no_std]
#![no_main]

use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;
use tsm2_mps2::board::Mps2;

#[entry]
fn main() -> ! {
    let Some(peripherals) = cortex_m::Peripherals::take() else {
        SCB::sys_reset()
    };
    tsm2_cortex_m::serve(Mps2::start(peripherals.SYST))
}
