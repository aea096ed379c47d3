//! The station on an STM32 Nucleo-H563ZI: Ethernet, and the serial line of its ST-LINK.
#![no_std]
#![no_main]

use core::cell::RefCell;

use cortex_m::peripheral::{SCB, SYST};
use cortex_m::singleton;
use cortex_m_rt::entry;
use embassy_stm32::eth::{self, Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::peripherals::{ETH, ETH_SMA, IWDG, RNG, USART3};
use embassy_stm32::rcc::{Hse, HseMode, Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk, VoltageScale};
use embassy_stm32::rng::{self, Rng};
use embassy_stm32::time::Hertz;
use embassy_stm32::usart::{self, BufferedUart, BufferedUartRx, BufferedUartTx};
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{Config, bind_interrupts, uid};
use embedded_hal_nb::serial::{Read, Write};
use tsm2_cortex_m::clock;
use tsm2_firmware::{Board, EmbassyEthernet};

bind_interrupts!(struct Interrupts {
    ETH => eth::InterruptHandler;
    RNG => rng::InterruptHandler<RNG>;
    USART3 => usart::BufferedInterruptHandler<USART3>;
});

/// Processor clock, from the 8 MHz that the ST-LINK gives.
const HZ: u32 = 250_000_000;
const WATCHDOG_US: u32 = 10_000_000;
/// Bytes of each direction of the serial line.
const SERIAL: usize = 4096;
/// Frames of each direction.
const FRAMES: usize = 4;

type Controller = EmbassyEthernet<Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>>;

struct Nucleo {
    ethernet: Option<Controller>,
    hardware_address: [u8; 6],
    seed: u64,
    watchdog: RefCell<IndependentWatchdog<'static, IWDG>>,
    receiver: RefCell<BufferedUartRx<'static>>,
    sender: RefCell<BufferedUartTx<'static>>,
}

impl Nucleo {
    /// Starts clocks, watchdog, serial line and Ethernet; `None` where this was done before.
    fn start(syst: SYST) -> Option<Self> {
        let mut config = Config::default();
        config.rcc.hsi = None;
        config.rcc.hsi48 = Some(Default::default()); // for the random numbers
        config.rcc.hse = Some(Hse {
            freq: Hertz(8_000_000),
            mode: HseMode::BypassDigital,
        });
        config.rcc.pll1 = Some(Pll {
            source: PllSource::HSE,
            prediv: PllPreDiv::DIV2,
            mul: PllMul::MUL125,
            divp: Some(PllDiv::DIV2),
            divq: None,
            divr: None,
        });
        config.rcc.sys = Sysclk::PLL1_P;
        config.rcc.voltage_scale = VoltageScale::Scale0;
        let parts = embassy_stm32::init(config);
        clock::start(syst, HZ);
        let mut watchdog = IndependentWatchdog::new(parts.IWDG, WATCHDOG_US);
        watchdog.unleash();
        let mut line = usart::Config::default();
        line.baudrate = 115_200;
        let buffers = (singleton!(: [u8; SERIAL] = [0; SERIAL])?, singleton!(: [u8; SERIAL] = [0; SERIAL])?);
        let serial = BufferedUart::new(parts.USART3, parts.PD9, parts.PD8, buffers.0, buffers.1, Interrupts, line);
        let (sender, receiver) = serial.ok()?.split();
        let hardware_address = hardware_address(uid::uid());
        let ethernet = Ethernet::new(
            singleton!(: PacketQueue<FRAMES, FRAMES> = PacketQueue::new())?,
            parts.ETH,
            Interrupts,
            parts.PA1,
            parts.PA7,
            parts.PC4,
            parts.PC5,
            parts.PG13,
            parts.PB15,
            parts.PG11,
            hardware_address,
            parts.ETH_SMA,
            parts.PA2,
            parts.PC1,
        );
        Some(Nucleo {
            ethernet: Some(EmbassyEthernet(ethernet)),
            hardware_address,
            seed: Rng::new(parts.RNG, Interrupts).next_u64(),
            watchdog: RefCell::new(watchdog),
            receiver: RefCell::new(receiver),
            sender: RefCell::new(sender),
        })
    }
}

/// An address of the processor's own: administered locally, for one station.
fn hardware_address(uid: [u8; 12]) -> [u8; 6] {
    let mut address = [2_u8, 0, 0, 0, 0, 0];
    for (place, byte) in uid.into_iter().enumerate() {
        address[1 + place % 5] = address[1 + place % 5].rotate_left(1) ^ byte;
    }
    address
}

impl Board for Nucleo {
    type Ethernet = Controller;

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn hardware_address(&self) -> [u8; 6] {
        self.hardware_address
    }

    fn ethernet(&mut self) -> Option<Controller> {
        self.ethernet.take()
    }

    fn feed_watchdog(&self) {
        self.watchdog.borrow_mut().pet();
    }

    fn sleep(&self) {
        cortex_m::asm::wfi();
    }

    fn read_serial(&self) -> Option<u8> {
        self.receiver.borrow_mut().read().ok()
    }

    /// Waits for room where the buffer is full, for less than a byte's time.
    fn write_serial(&self, byte: u8) -> bool {
        self.sender.borrow_mut().write(byte).is_ok()
    }
}

#[entry]
fn main() -> ! {
    let start = || Nucleo::start(cortex_m::Peripherals::take()?.SYST);
    match start() {
        Some(board) => tsm2_cortex_m::serve(board),
        None => SCB::sys_reset(),
    }
}
