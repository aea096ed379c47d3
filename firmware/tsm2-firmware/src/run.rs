//! Main loop: both transports over one station, in turns.
//!
//! There is one thread. In each turn the tasks run until all of them wait, then packets move and the
//! watchdog is fed. A task that never waits, and a turn that never ends, end in a reset.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};

use crate::board::{Board, Flash};
use crate::net::Network;
use crate::retained::Retained;
use crate::settings::{Settings, SettingsError};
use crate::shared::Shared;
use crate::station::{Station, StationError};
use crate::{mqtt, serial};

/// Why a station does not start.
#[derive(Debug)]
pub enum StartError {
    /// The settings cannot be used.
    Settings(SettingsError),
    /// The model or what the settings ask of it cannot be used.
    Station(StationError),
}

/// Starts the station of a board and serves it for ever. `retained` survives a reset.
///
/// # Errors
/// The settings or the model cannot be used.
pub fn run<B: Board>(board: &mut B, flash: Flash<'_>, retained: &mut [u8]) -> Result<core::convert::Infallible, StartError> {
    let settings = Settings::read(flash.settings).map_err(StartError::Settings)?;
    let mut station = Station::new(flash.model, &settings).map_err(StartError::Station)?;
    let retained = Retained::new(retained, *station.blob().digest());
    let is_restored = retained.state().is_some_and(|state| station.restore(state));
    let ethernet = board.ethernet();
    let board = &*board;
    let alive = || board.feed_watchdog();
    let shared = Shared::new(station, retained, board.now_ms(), &alive);
    shared.log(if is_restored {
        "started with the state before the reset"
    } else {
        "started without a state"
    });
    let network = ethernet.map(|device| RefCell::new(Network::new(device, board.hardware_address(), board.seed(), &settings)));
    let mut mqtt = pin!(async {
        if let Some(network) = &network {
            mqtt::serve(network, &shared, &settings).await;
        }
        // Without a broker only the serial line serves.
        core::future::pending::<()>().await;
    });
    let mut serial = pin!(serial::serve(board, &shared));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        shared.begin_turn(board.now_ms());
        if network.as_ref().is_some_and(|network| network.borrow_mut().poll(shared.now_ms())) {
            shared.keep_awake();
        }
        // Neither task ends.
        let _ = mqtt.as_mut().poll(&mut context);
        let _ = serial.as_mut().poll(&mut context);
        board.feed_watchdog();
        if !shared.is_busy() {
            board.sleep();
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Settings(error) => error.fmt(f),
            StartError::Station(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}
