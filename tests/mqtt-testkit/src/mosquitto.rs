//! A mosquitto broker for one test, on a port of this machine.
//!
//! Without mosquitto each start returns `None` after [`skip`]: the test is skipped, or fails under
//! `TSM2_REQUIRE_ALL=1`.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::TIMEOUT;
use crate::require::skip;

/// A mosquitto on loopback. Its process ends when it is dropped.
pub struct Mosquitto {
    child: Child,
    _folder: TempDir,
    port: u16,
}

impl Mosquitto {
    /// A broker that anybody may use, on a free port. It keeps nothing when it ends.
    pub fn start() -> Option<Self> {
        Self::start_on(free_port())
    }

    /// As [`Mosquitto::start`], on a given port.
    pub fn start_on(port: u16) -> Option<Self> {
        Self::start_with(port, "allow_anonymous true")
    }

    /// A broker that refuses every user and password.
    pub fn start_refusing(port: u16) -> Option<Self> {
        Self::start_with(port, "allow_anonymous false\npassword_file passwords")
    }

    /// A broker that keeps sessions and messages in `folder` when it is stopped.
    pub fn start_in(folder: &Path, port: u16) -> Option<Self> {
        let persistence = format!("persistence true\npersistence_location {}/", folder.display());
        Self::start_with(port, &format!("allow_anonymous true\n{persistence}"))
    }

    /// A broker with these settings, which decide who may connect and can secure its listener.
    /// `passwords` is the name of an empty file.
    pub fn start_with(port: u16, settings: &str) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("passwords"), "").expect("an empty password file");
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nuser root\nset_tcp_nodelay true\nmax_queued_messages 0\n{settings}\n");
        std::fs::write(&file, text).expect("a configuration file");
        let spawn = || {
            let mut command = Command::new(&program);
            command.arg("-c").arg(&file).current_dir(folder.path());
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("mosquitto starts")
        };
        let begun = Instant::now();
        let mut child = spawn();
        // A mosquitto that ends found its port in use, by a broker that has not ended yet.
        loop {
            assert!(begun.elapsed() < TIMEOUT, "mosquitto does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(20));
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            match child.try_wait().expect("a process") {
                None if connected => break,
                None => {}
                Some(_) => child = spawn(),
            }
        }
        Some(Mosquitto {
            child,
            _folder: folder,
            port,
        })
    }

    /// Stops it as a service manager does, so that it saves what it keeps.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill starts");
        assert!(sent.success(), "mosquitto takes signals");
        self.child.wait().expect("mosquitto ends");
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // An error means that it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether mosquitto is installed. If not, the test is skipped.
pub fn is_installed() -> bool {
    program().is_some()
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    let program = folders.map(|folder| folder.join("mosquitto")).find(|program| program.is_file());
    if program.is_none() {
        skip("mosquitto is not installed; install it: apt install mosquitto");
    }
    program
}

/// A port on which nobody listens. It lies below the ports of outgoing connections, and each test
/// process begins its search elsewhere, so that nobody takes it before the test does.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(101);
    loop {
        let number = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + number % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
