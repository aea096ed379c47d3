//! A mosquitto broker for one test.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::{PATIENCE, data};

/// A broker on loopback.
pub struct Broker {
    child: Child,
    _folder: TempDir,
    port: u16,
}

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Nobody: every user name and password is refused.
    Nobody,
    /// Whom the further settings let in.
    AsSet,
}

impl Broker {
    /// A broker on a free port. It keeps nothing when it ends.
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    /// A broker on a given port.
    pub fn start_on(port: u16) -> Self {
        let program = mosquitto().expect("mosquitto is not installed; install it: apt install mosquitto");
        Self::mosquitto(&program, port, Access::Open, "")
    }

    /// A mosquitto with the given access; `None`, with a line printed, where it is not installed.
    pub fn start_mosquitto(port: u16, access: Access) -> Option<Self> {
        let Some(program) = mosquitto() else {
            data::absent("skipped: mosquitto is not installed");
            return None;
        };
        Some(Self::mosquitto(&program, port, access, ""))
    }

    /// A mosquitto that keeps sessions and messages in `folder` when it is stopped; `None` as above.
    pub fn start_mosquitto_in(folder: &Path, port: u16) -> Option<Self> {
        let persistence = format!("persistence true\npersistence_location {}/", folder.display());
        Self::start_mosquitto_with(port, &format!("allow_anonymous true\n{persistence}"))
    }

    /// A mosquitto with further settings, which say who may connect and may secure its listener; `None` as above.
    pub fn start_mosquitto_with(port: u16, settings: &str) -> Option<Self> {
        let Some(program) = mosquitto() else {
            data::absent("skipped: mosquitto is not installed");
            return None;
        };
        Some(Self::mosquitto(&program, port, Access::AsSet, settings))
    }

    fn mosquitto(program: &Path, port: u16, access: Access, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let passwords = folder.path().join("passwords");
        std::fs::write(&passwords, "").expect("an empty password file");
        let access = match access {
            Access::Open => "allow_anonymous true".to_owned(),
            Access::Nobody => format!("allow_anonymous false\npassword_file {}", passwords.display()),
            Access::AsSet => String::new(),
        };
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nuser root\nset_tcp_nodelay true\nmax_queued_messages 0\n{access}\n{more}\n");
        std::fs::write(&file, text).expect("a configuration file");
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        let broker = Broker {
            child,
            _folder: folder,
            port,
        };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "mosquitto does not listen on port {port}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        broker
    }

    /// Stops it as a service manager does, so that it can save what it keeps.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill starts");
        assert!(sent.success(), "mosquitto takes signals");
        self.child.wait().expect("mosquitto ends");
    }

    /// Its process.
    pub fn id(&self) -> Option<u32> {
        Some(self.child.id())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Ended already when it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether mosquitto is installed.
pub fn has_mosquitto() -> bool {
    mosquitto().is_some()
}

fn mosquitto() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.map(|folder| folder.join("mosquitto")).find(|program| program.is_file())
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
